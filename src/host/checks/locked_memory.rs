//! Whether this process may lock its memory, if it is to. The limit does not bind who has the
//! right.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "locked_memory",
    cost: "memory that cannot be locked can be swapped out or reclaimed: 50 µs to 20 ms a page",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const LIMIT: &str = "Max locked memory";
const CAP_IPC_LOCK: u32 = 14;

fn run(host: &Host, wish: &Wish) -> Told {
    let limit = host.limit(LIMIT)?;
    let is_capable = host.is_capable(CAP_IPC_LOCK);
    let shown = limit.map_or("unlimited".to_owned(), |it| format!("{} KiB", it >> 10));
    let right = if is_capable { ", which CAP_IPC_LOCK goes beyond" } else { "" };
    let found = format!("the limit is {shown}{right} (/proc/self/limits)");
    let is_bad = limit.is_some() && !is_capable;
    if is_bad && !wish.lock_memory {
        return Ok(Finding::fit(format!("{found}; memory is not to be locked")));
    }
    Ok(Finding::judge(is_bad, true, found, || {
        Mend::new(
            "LimitMEMLOCK=infinity in the service's unit, or \"* - memlock unlimited\" in \
             /etc/security/limits.d/hotspur.conf and a new login (a container: --ulimit \
             memlock=-1)",
            "yes, it is in a file",
        )
    }))
}

#[cfg(test)]
const SMALL: (&str, &str) =
    ("proc/self/limits", "Max locked memory         8388608              8388608   bytes\n");

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[("proc/self/limits", "Max locked memory         unlimited     unlimited   bytes\n")],
        "unlimited",
    ),
    Case::fit(&[SMALL, ("proc/self/status", "CapEff:\t0000000000004000\n")], "goes beyond"),
    Case::fit(&[SMALL], "memory is not to be locked"),
    Case::unfit(&[SMALL, ("proc/self/status", "CapEff:\t0000000000000000\n")], "8192 KiB")
        .given(|_, wish| wish.lock_memory = true),
    Case::unknown(&[("proc/self/limits", "Max locked memory all\n")], "not as expected"),
    Case::unknown(&[], "/proc/self/limits cannot be read"),
];
