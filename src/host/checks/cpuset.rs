//! The cores that this process's control group may use: the one that is asked for, and another.

use super::{Check, Finding, Host, Mend, Told, Wish};
#[cfg(test)]
use super::{Level, cases::Case};

pub(super) const CHECK: Check = Check {
    name: "cpuset",
    cost: "outside the set the core cannot be had; with one core for all, the client's threads \
           interrupt the hot thread, 10 µs to 4 ms a time",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

fn run(host: &Host, wish: &Wish) -> Told {
    let cores = &host.cores;
    let Some(set) = cores.cpuset.as_ref() else {
        return Ok(Finding::unknown(
            "no control group above this process names its cores (/proc/self/cgroup, \
             cpuset.cpus.effective)",
        ));
    };
    let reachable = cores.reachable();
    let lacks = wish.core.filter(|core| !reachable.contains(*core));
    let found = match lacks {
        Some(core) => format!("this process may use cores {set}: core {core} is not among them"),
        None if reachable.len() < 2 => format!("this process may use core {set} alone"),
        None => format!("this process may use cores {set} of {}", cores.online),
    };
    let is_bad = lacks.is_some() || reachable.len() < 2;
    Ok(Finding::judge(is_bad, wish.own(), found, || {
        let wanted = wish.core.map_or(wish.housekeeping.clone(), |core| {
            wish.housekeeping.or(&[core].into_iter().collect())
        });
        Mend::new(
            format!("systemctl set-property hotspur.service AllowedCPUs={wanted}"),
            "yes, with the service (a container: its cpuset, --cpuset-cpus)",
        )
    }))
}

#[cfg(test)]
const GROUP: (&str, &str) = ("proc/self/cgroup", "0::/a\n");
#[cfg(test)]
const SET: &str = "sys/fs/cgroup/a/cpuset.cpus.effective";

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[GROUP, (SET, "2-3\n")], "this process may use cores 2-3 of 0-3"),
    Case::unfit(&[GROUP, (SET, "0-1\n")], "core 3 is not among them"),
    Case::unfit(&[GROUP, (SET, "3\n")], "this process may use core 3 alone"),
    Case::fit(&[GROUP, (SET, "3\n")], "no fault for").given(|_, wish| wish.level = Level::Relaxed),
    Case::unknown(&[], "no control group above"),
];
