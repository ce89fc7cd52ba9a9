//! Page faults of the hot thread: those while it was watched count, as the start has many.

#[cfg(test)]
use super::recorded::{COMM, STAT};
use super::{Check, Finding, Host, Told, Wish, asked, proc_files::TaskStat, reading::odd};
use crate::host::checks::Mend;
#[cfg(test)]
use crate::host::checks::{Level, cases::Case};

pub(in super::super) const CHECK: Check = Check {
    name: "page_faults",
    cost: "a minor fault takes 0.5-5 µs, a major one reads a disk: 50 µs to 20 ms",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

fn run(host: &Host, wish: &Wish) -> Told {
    let (_, folder) = asked(host, wish)?;
    let path = format!("{folder}/stat");
    let text = host.text(&path)?;
    let now = TaskStat::parse(&text).ok_or_else(|| odd(&path, &text))?;
    let earlier = host.earlier(&path)?;
    let before = TaskStat::parse(earlier).ok_or_else(|| odd(&path, earlier))?;
    let minor = now.minor_faults.saturating_sub(before.minor_faults);
    let major = now.major_faults.saturating_sub(before.major_faults);
    let found = format!(
        "{} minor and {} major so far, {minor} and {major} while it was watched (/{path})",
        now.minor_faults, now.major_faults
    );
    // What shares its cores may also have to fetch a page now and then.
    let is_bad = major > 0 || (minor > 0 && wish.own());
    Ok(Finding::judge(is_bad, wish.low(), found, || {
        Mend::new(
            "LimitMEMLOCK=infinity in the service's unit for locked memory, and swapoff -a",
            "yes for the unit; no for swapoff: its lines out of /etc/fstab",
        )
    }))
}

#[cfg(test)]
const NOW: &str = "103 (hotspur-hot) S 1 2 3 4 5 6 70 8 9 10 1 2 3 4 20 0 1 0 5 6 7 8 9 10 11 12 \
                   13 14 15 16 17 18 19 20 17 3 0";
#[cfg(test)]
const BEFORE: &str = "103 (hotspur-hot) S 1 2 3 4 5 6 60 8 9 10 1 2 3 4 20 0 1 0 5 6 7 8 9 10 11 \
                      12 13 14 15 16 17 18 19 20 17 3 0";

#[cfg(test)]
fn fewer_before(host: &mut Host, _: &mut Wish) {
    host.earlier.insert(STAT.to_owned(), BEFORE.to_owned());
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[COMM, (STAT, NOW)], "70 minor and 9 major so far, 0 and 0 while")
        .given(|host, _| host.remember(STAT)),
    Case::unfit(&[COMM, (STAT, NOW)], "10 and 0 while it was watched").given(fewer_before),
    Case::fit(&[COMM, (STAT, NOW)], "10 and 0 while it was watched").given(|host, wish| {
        fewer_before(host, wish);
        wish.level = Level::Shared;
    }),
    Case::unknown(&[COMM, (STAT, "103 (")], "not as expected"),
    Case::unknown(&[COMM, (STAT, NOW)], "was not watched"),
];
