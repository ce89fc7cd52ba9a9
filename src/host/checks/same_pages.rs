//! The kernel looking for pages that are the same, to keep one of them (KSM).

use super::{Check, Finding, Host, Mend, Told, Wish};
#[cfg(test)]
use super::{Level, cases::Case};

pub(super) const CHECK: Check = Check {
    name: "same_pages",
    cost: "writing to a page that was merged is a fault of 2-10 µs with a copy, and the search \
           takes a core's time and caches",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const RUN: &str = "sys/kernel/mm/ksm/run";

fn run(host: &Host, wish: &Wish) -> Told {
    if host.exists("sys/kernel/mm") && !host.exists("sys/kernel/mm/ksm") {
        return Ok(Finding::fit("this kernel cannot (no /sys/kernel/mm/ksm)"));
    }
    let run: u32 = host.value(RUN)?;
    let found = format!("{} (/{RUN} = {run})", if run == 1 { "on" } else { "off" });
    Ok(Finding::judge(run == 1, wish.low(), found, || {
        let mut mend = Mend::write(RUN, 2);
        mend.how.push_str("  # 2 also parts what was merged");
        mend
    }))
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(RUN, "0\n")], "off"),
    Case::fit(&[("sys/kernel/mm/transparent_hugepage/enabled", "")], "this kernel cannot"),
    Case::unfit(&[(RUN, "1\n")], "on (/sys/kernel/mm/ksm/run = 1)"),
    Case::fit(&[(RUN, "1\n")], "no fault").given(|_, wish| wish.level = Level::Relaxed),
    Case::unknown(&[(RUN, "yes\n")], "not as expected"),
    Case::unknown(&[], "cannot be read"),
];
