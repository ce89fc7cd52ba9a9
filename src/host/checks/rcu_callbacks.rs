//! The kernel's deferred work of freeing memory (RCU callbacks), which `rcu_nocbs=` moves to
//! threads elsewhere. `nohz_full=` implies it.

use crate::host::CpuList;

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "rcu_callbacks",
    cost: "batches of callbacks run on the core: 5-100 µs, after bursts of closed files, sockets \
           and freed memory",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const LINE: &str = "proc/cmdline";

fn run(host: &Host, wish: &Wish) -> Told {
    let core = wish.core()?;
    let line = host.text(LINE)?;
    let words = || line.split_whitespace();
    let by = ["rcu_nocbs", "nohz_full"].into_iter().find(|name| {
        words().filter_map(|it| it.strip_prefix(name)).any(|value| names(value, core))
    });
    let found = match by {
        Some(by) => format!("core {core} has none: {by}= on the kernel's command line (/{LINE})"),
        None => format!("core {core} runs them: no rcu_nocbs= for it (/{LINE})"),
    };
    Ok(Finding::judge(by.is_none(), wish.own(), found, || Mend::boot(format!("rcu_nocbs={core}"))))
}

/// Whether a parameter's value (`=1-3`, `=all`, or nothing, which is all) names the core.
fn names(value: &str, core: usize) -> bool {
    match value.strip_prefix('=') {
        Some("all") => true,
        Some(list) => list.parse::<CpuList>().is_ok_and(|list| list.contains(core)),
        None => value.is_empty(),
    }
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(LINE, "quiet rcu_nocbs=2-3\n")], "core 3 has none: rcu_nocbs="),
    Case::fit(&[(LINE, "nohz_full=3\n")], "core 3 has none: nohz_full="),
    Case::fit(&[(LINE, "rcu_nocbs\n")], "has none"),
    Case::unfit(&[(LINE, "quiet rcu_nocbs=1 rcu_nocbs_poll\n")], "core 3 runs them"),
    Case::unknown(&[], "/proc/cmdline cannot be read"),
];
