//! How much of the process's memory is locked, if it is to be.

#[cfg(test)]
use super::recorded::COMM;
use super::{Check, Finding, Host, Told, Wish, asked, reading::odd};
use crate::host::checks::Mend;
#[cfg(test)]
use crate::host::checks::cases::Case;

pub(in super::super) const CHECK: Check = Check {
    name: "memory_locked",
    cost: "memory that is not locked can be swapped out or reclaimed: 50 µs to 20 ms a page",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

fn run(host: &Host, wish: &Wish) -> Told {
    let (pid, _) = asked(host, wish)?;
    let path = format!("proc/{pid}/status");
    let kib = |name: &str| {
        let text = host.field(&path, name)?;
        let number = text.strip_suffix(" kB").and_then(|it| it.trim().parse::<u64>().ok());
        number.ok_or_else(|| odd(&path, &text))
    };
    let (locked, resident) = (kib("VmLck:")?, kib("VmRSS:")?);
    let found = format!("{locked} KiB locked, {resident} KiB resident (/{path})");
    if locked == 0 && !wish.lock_memory {
        return Ok(Finding::fit(format!("{found}; memory is not to be locked")));
    }
    Ok(Finding::judge(locked == 0, true, found, || {
        Mend::new(
            "LimitMEMLOCK=infinity in the service's unit (a container: --ulimit memlock=-1), and a \
             restart",
            "yes, it is in a file",
        )
    }))
}

#[cfg(test)]
const NONE: (&str, &str) = ("proc/100/status", "VmLck:\t       0 kB\nVmRSS:\t   9000 kB\n");

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[COMM, NONE], "0 KiB locked, 9000 KiB resident (/proc/100/status); memory is not"),
    Case::fit(
        &[COMM, ("proc/100/status", "VmLck:\t    8000 kB\nVmRSS:\t   9000 kB\n")],
        "8000 KiB locked",
    ),
    Case::unfit(&[COMM, NONE], "0 KiB locked").given(|_, wish| wish.lock_memory = true),
    Case::unknown(&[COMM, ("proc/100/status", "Name:\thotspur\n")], "has no VmLck:"),
];
