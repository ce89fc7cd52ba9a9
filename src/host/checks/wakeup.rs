//! How late a thread wakes that slept for a millisecond: all of the idle states, the hypervisor and
//! the scheduler together, as they are.

use super::{Check, Finding, Host, Mend, Told, Wish};
#[cfg(test)]
use super::{Level, cases::Case, measured::WakeupProbe};

pub(super) const CHECK: Check = Check {
    name: "wakeup",
    cost: "what is measured here is added to each record that finds its thread asleep, the \
           client's threads twice a record",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const MEDIAN_US_MAX: u128 = 50;
const LATEST_US_MAX: u128 = 5_000;

fn run(host: &Host, wish: &Wish) -> Told {
    let Some(probe) = host.measured.wakeup else {
        return Ok(Finding::unknown(host.measured.omitted.as_deref().unwrap_or("not measured")));
    };
    let [median, max] = [probe.median, probe.max].map(|it| it.as_micros());
    let place = wish.core.map_or("any core".to_owned(), |core| format!("core {core}"));
    let found = format!(
        "measured on {place}: of {} sleeps half woke more than {median} µs late, the latest {max} \
         µs",
        probe.sleeps
    );
    let is_bad = median > MEDIAN_US_MAX || max > LATEST_US_MAX;
    Ok(Finding::judge(is_bad, wish.low(), found, || {
        Mend::new(
            "what idle_states, halt_polling, governor, neighbours and steal of this table say; \
             then look again: hotspur doctor",
            "no by itself: as long as what was mended lasts",
        )
    }))
}

#[cfg(test)]
fn woke(median: u64, max: u64) -> Option<WakeupProbe> {
    let [median, max] = [median, max].map(std::time::Duration::from_micros);
    Some(WakeupProbe { median, max, sleeps: 200 })
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[], "more than 8 µs late, the latest 90 µs")
        .given(|host, _| host.measured.wakeup = woke(8, 90)),
    Case::unfit(&[], "more than 75 µs late").given(|host, _| host.measured.wakeup = woke(75, 90)),
    Case::unfit(&[], "the latest 12000 µs").given(|host, _| host.measured.wakeup = woke(8, 12_000)),
    Case::fit(&[], "no fault for").given(|host, wish| {
        host.measured.wakeup = woke(75, 90);
        wish.level = Level::Relaxed;
    }),
    Case::unknown(&[], "core 3 is held").given(|host, _| {
        host.measured.omitted = Some("not measured: core 3 is held by process 7".to_owned());
    }),
];
