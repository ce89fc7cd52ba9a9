//! The kernel's memory statistics, added up by each core once an interval.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "vm_statistics",
    cost: "a kernel thread takes the core for 2-10 µs each interval, which is a second at first",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const INTERVAL: &str = "proc/sys/vm/stat_interval";
const SECONDS_MIN: u32 = 10;

fn run(host: &Host, wish: &Wish) -> Told {
    wish.core()?;
    let seconds: u32 = host.value(INTERVAL)?;
    let found = format!("every {seconds} s (/{INTERVAL})");
    Ok(Finding::judge(seconds < SECONDS_MIN, wish.own(), found, || {
        Mend::sysctl("vm.stat_interval", SECONDS_MIN)
    }))
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(INTERVAL, "120\n")], "every 120 s"),
    Case::unfit(&[(INTERVAL, "1\n")], "every 1 s (/proc/sys/vm/stat_interval)"),
    Case::unknown(&[(INTERVAL, "-1\n")], "not as expected: \"-1\""),
    Case::unknown(&[], "cannot be read"),
];
