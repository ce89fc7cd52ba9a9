//! How often the hot thread was moved to another core.

#[cfg(test)]
use super::recorded::{COMM, SCHED};
use super::{Check, Finding, Host, Told, Wish, asked, grown};
use crate::host::checks::Mend;
#[cfg(test)]
use crate::host::checks::{Level, cases::Case};

pub(in super::super) const CHECK: Check = Check {
    name: "migrations",
    cost: "after a move the caches of the new core are empty: 10-100 µs more for the next records",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

fn run(host: &Host, wish: &Wish) -> Told {
    let (_, folder) = asked(host, wish)?;
    let path = format!("{folder}/sched");
    let (all, new) = grown(host, &path, "se.nr_migrations")?;
    let found = format!("{all} so far, {new} while it was watched (/{path})");
    Ok(Finding::judge(new > 0, wish.own(), found, || {
        Mend::setting("engine.core = N, and a restart:")
    }))
}

#[cfg(test)]
const SEVEN: &str = "hotspur-hot (103, #threads: 9)\nse.nr_migrations   :     7\n";

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[COMM, (SCHED, SEVEN)], "7 so far, 0 while it was watched")
        .given(|host, _| host.remember(SCHED)),
    Case::unfit(&[COMM, (SCHED, SEVEN)], "7 so far, 2 while").given(|host, _| {
        host.earlier.insert(SCHED.to_owned(), "se.nr_migrations : 5\n".to_owned());
    }),
    Case::fit(&[COMM, (SCHED, SEVEN)], "no fault for").given(|host, wish| {
        host.earlier.insert(SCHED.to_owned(), "se.nr_migrations : 5\n".to_owned());
        wish.level = Level::Shared;
    }),
    Case::unknown(&[COMM], "sched cannot be read"),
    Case::unknown(&[COMM, (SCHED, SEVEN)], "was not watched"),
];
