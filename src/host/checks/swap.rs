//! Swap: a table that was not touched for a while may have to be read from a disk.

use super::{Check, Finding, Host, Mend, Told, Wish};
#[cfg(test)]
use super::{Level, cases::Case};

pub(super) const CHECK: Check = Check {
    name: "swap",
    cost: "a page that was swapped out takes 50 µs to 20 ms to come back, in the middle of a \
    record",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const SWAPS: &str = "proc/swaps";

fn run(host: &Host, wish: &Wish) -> Told {
    let text = host.text(SWAPS)?;
    let mut lines = text.lines();
    if !lines.next().is_some_and(|it| it.starts_with("Filename")) {
        return Err(super::reading::odd(SWAPS, text));
    }
    let names: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    let found = match names.as_slice() {
        [] => format!("none (/{SWAPS})"),
        names if wish.lock_memory => {
            format!("swap on {}, but engine.lock_memory keeps memory in", names.join(", "))
        }
        names => format!("swap on {} (/{SWAPS}), and memory is not locked", names.join(", ")),
    };
    Ok(Finding::judge(!names.is_empty() && !wish.lock_memory, wish.low(), found, || {
        Mend::new("swapoff -a", "no; to keep it: its lines out of /etc/fstab")
    }))
}

#[cfg(test)]
const ONE: &str = "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2  partition\t4\t0\t-2\n";

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(SWAPS, "Filename\t\tType\tSize\tUsed\tPriority\n")], "none (/proc/swaps)"),
    Case::fit(&[(SWAPS, ONE)], "keeps memory in").given(|_, wish| wish.lock_memory = true),
    Case::unfit(&[(SWAPS, ONE)], "swap on /dev/sda2 (/proc/swaps), and memory is not locked"),
    Case::fit(&[(SWAPS, ONE)], "no fault").given(|_, wish| wish.level = Level::Relaxed),
    Case::unknown(&[(SWAPS, "x")], "not as expected"),
    Case::unknown(&[], "cannot be read"),
];
