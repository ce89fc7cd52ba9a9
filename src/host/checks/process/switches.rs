//! How often the hot thread lost its core, and how often it gave it up.

#[cfg(test)]
use super::recorded::{COMM, STATUS};
use super::{Check, Finding, Host, Told, Wish, asked, grown};
use crate::host::checks::Mend;
#[cfg(test)]
use crate::host::checks::{Level, cases::Case};

pub(in super::super) const CHECK: Check = Check {
    name: "switches",
    cost: "each time the core is taken away the hot thread waits for 10 µs to 4 ms; it gives it up \
           itself only where it parks",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

fn run(host: &Host, wish: &Wish) -> Told {
    let (_, folder) = asked(host, wish)?;
    let path = format!("{folder}/status");
    let (given, given_new) = grown(host, &path, "voluntary_ctxt_switches:")?;
    let (taken, taken_new) = grown(host, &path, "nonvoluntary_ctxt_switches:")?;
    let found = format!(
        "the core was taken away {taken} times so far, {taken_new} while it was watched; given up \
         {given} times, {given_new} while it was watched (/{path})"
    );
    Ok(Finding::judge(taken_new > 0, wish.own(), found, || {
        let core = wish.core.unwrap_or(0);
        Mend::boot(format!("isolcpus=managed_irq,domain,{core} nohz_full={core}"))
    }))
}

#[cfg(test)]
const NOW: &str = "voluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t9\n";
#[cfg(test)]
const BEFORE: &str = "voluntary_ctxt_switches:\t30\nnonvoluntary_ctxt_switches:\t6\n";

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[COMM, (STATUS, NOW)], "taken away 9 times so far, 0 while")
        .given(|host, _| host.remember(STATUS)),
    Case::unfit(&[COMM, (STATUS, NOW)], "9 times so far, 3 while it was watched; given up 40")
        .given(|host, _| _ = host.earlier.insert(STATUS.to_owned(), BEFORE.to_owned())),
    Case::fit(&[COMM, (STATUS, NOW)], "no fault for").given(|host, wish| {
        host.earlier.insert(STATUS.to_owned(), BEFORE.to_owned());
        wish.level = Level::Relaxed;
    }),
    Case::unknown(&[COMM, (STATUS, "Name:\thotspur-hot\n")], "has no voluntary_ctxt_switches")
        .given(|host, _| host.remember(STATUS)),
];
