//! A second Hotspur on the same core: two threads that spin take turns of milliseconds.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};
use crate::host::core_lock;

pub(super) const CHECK: Check = Check {
    name: "core_holder",
    cost: "two hot threads on a core wait for each other, 1-4 ms at a time; with engine.core = N \
           the second refuses to start",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

fn run(host: &Host, wish: &Wish) -> Told {
    let core = wish.core()?;
    if !host.exists("proc/locks") {
        return Ok(Finding::unknown("/proc/locks cannot be read"));
    }
    let folder = host.locks.display();
    match core_lock::holder(host.root(), &host.locks, core) {
        Some(pid) if wish.pid == Some(pid) => {
            Ok(Finding::fit(format!("core {core} is held by process {pid}, the one asked about")))
        }
        Some(pid) => {
            let found = format!("core {core} is held by process {pid} ({folder})");
            Ok(Finding::judge(true, wish.own(), found, || {
                Mend::new(
                    format!("engine.core = N with another core, or kill -TERM {pid}"),
                    "yes, if engine.core is in the configuration",
                )
            }))
        }
        None => Ok(Finding::fit(format!("no other Hotspur holds core {core} ({folder})"))),
    }
}

#[cfg(test)]
fn held(host: &mut Host, _: &mut Wish) {
    use std::os::unix::fs::MetadataExt;
    let inode = host.locks.join("hotspur-core-3.lock").metadata().map(|it| it.ino()).unwrap_or(0);
    let line = format!("1: FLOCK  ADVISORY  WRITE 709 08:01:{inode} 0 EOF\n");
    std::fs::write(host.root().join("proc/locks"), line).unwrap();
}

#[cfg(test)]
const LOCK: (&str, &str) = ("run/user/1000/hotspur-core-3.lock", "709\n");

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[LOCK, ("proc/locks", "")], "no other Hotspur holds core 3"),
    Case::fit(&[LOCK, ("proc/locks", "")], "the one asked about").given(|host, wish| {
        held(host, wish);
        wish.pid = Some(709);
    }),
    Case::unfit(&[LOCK, ("proc/locks", "")], "core 3 is held by process 709").given(held),
    Case::unknown(&[LOCK], "/proc/locks cannot be read"),
];
