//! The system's time against the world's: end-to-end latency across hosts is the difference of two
//! such clocks. The kernel itself says whether somebody disciplines it; no daemon is asked.

use super::{Check, Finding, Host, Mend, Told, Wish};
#[cfg(test)]
use super::{Level, cases::Case, measured::ClockSync};

pub(super) const CHECK: Check = Check {
    name: "clock_sync",
    cost: "none while records pass; end-to-end figures across hosts are wrong by the offset, which \
           grows to milliseconds in hours and to seconds in weeks",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

/// Beyond this, figures in microseconds say nothing.
const ERROR_US_MAX: i64 = 1_000;

fn run(host: &Host, wish: &Wish) -> Told {
    let Some(sync) = host.measured.sync else {
        return Ok(Finding::unknown("adjtimex does not tell the state of the system's clock"));
    };
    let error = sync.error_estimate_us.max(sync.offset_ns.abs() / 1_000);
    let state = if sync.synchronised { "synchronised" } else { "not synchronised" };
    let found = format!(
        "the system's clock is {state}: offset {} µs, estimated error {} µs, at worst {} µs \
         (adjtimex)",
        sync.offset_ns / 1_000,
        sync.error_estimate_us,
        sync.error_max_us
    );
    let is_bad = !sync.synchronised || error > ERROR_US_MAX;
    Ok(Finding::judge(is_bad, wish.low(), found, || {
        // A virtual machine's host may lend its clock.
        let lent = match host.exists("dev/ptp0") {
            true => ", with \"refclock PHC /dev/ptp0 poll 2\" in chrony.conf",
            false => "",
        };
        let how = format!("apt install chrony && systemctl enable --now chrony{lent}");
        Mend::new(how, "yes, the service is enabled")
    }))
}

#[cfg(test)]
const fn state(synchronised: bool, error_estimate_us: i64) -> Option<ClockSync> {
    Some(ClockSync { synchronised, offset_ns: 42_000, error_estimate_us, error_max_us: 16_000 })
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[], "offset 42 µs").given(|host, _| host.measured.sync = state(true, 100)),
    Case::unfit(&[], "not synchronised").given(|host, _| host.measured.sync = state(false, 0)),
    Case::unfit(&[], "error 9000 µs").given(|host, _| host.measured.sync = state(true, 9_000)),
    Case::fit(&[], "no fault for").given(|host, wish| {
        host.measured.sync = state(false, 0);
        wish.level = Level::Relaxed;
    }),
    Case::unknown(&[], "adjtimex does not tell"),
];
