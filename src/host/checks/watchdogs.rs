//! The kernel's watchdogs against lockups, which look at each core a few times a second.

use crate::host::CpuList;

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "watchdogs",
    cost: "a timer every 4 s and a thread that takes the core: 5-20 µs; the one by performance \
           counters costs an interrupt of some µs every 10 s",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const SOFT: &str = "proc/sys/kernel/soft_watchdog";
const HARD: &str = "proc/sys/kernel/nmi_watchdog";
const CORES: &str = "proc/sys/kernel/watchdog_cpumask";

fn run(host: &Host, wish: &Wish) -> Told {
    let core = wish.core()?;
    let on: Vec<&str> = [SOFT, HARD].into_iter().filter(|path| is_on(host, path)).collect();
    if on.is_empty() {
        // At least one of them must be there to say so.
        let _: u32 = host.value(SOFT).or_else(|_| host.value(HARD))?;
        return Ok(Finding::fit(format!("off (/{SOFT}, /{HARD})")));
    }
    let cores: CpuList = host.list(CORES)?;
    let watched = cores.contains(core);
    let names = on.join(", /");
    let found = match watched {
        true => format!("core {core} is watched (/{names} = 1, /{CORES}: {cores})"),
        false => format!("core {core} is not watched (/{CORES}: {cores})"),
    };
    Ok(Finding::judge(watched, wish.own(), found, || {
        Mend::sysctl("kernel.watchdog_cpumask", host.others(core))
    }))
}

fn is_on(host: &Host, path: &str) -> bool {
    host.value::<u32>(path).is_ok_and(|it| it != 0)
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(SOFT, "0\n"), (HARD, "0\n")], "off"),
    Case::fit(&[(SOFT, "1\n"), (CORES, "0-2\n")], "core 3 is not watched"),
    Case::unfit(&[(SOFT, "1\n"), (HARD, "1\n"), (CORES, "0-3\n")], "core 3 is watched"),
    Case::unknown(&[(SOFT, "1\n")], "watchdog_cpumask cannot be read"),
    Case::unknown(&[], "nmi_watchdog cannot be read"),
];
