//! The clocks as they run: measured, because the name of a clock source says little about it.

use super::{Check, Finding, Host, Mend, Told, Wish};
#[cfg(test)]
use super::{Level, cases::Case, measured::ClockProbe};

pub(super) const CHECK: Check = Check {
    name: "clock_runs",
    cost: "a clock that is read by a system call costs 0.2-2 µs a reading; one that drifts makes \
           every latency wrong by as much as it drifts",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

/// A reading takes a tenth of this without a system call.
const READ_NS_MAX: u64 = 150;
/// The system's clock is steered by up to 500; what is beyond is a counter that cannot be trusted.
const DRIFT_PPM_MAX: f64 = 1_000.0;

fn run(host: &Host, wish: &Wish) -> Told {
    let Some(probe) = host.measured.clock else {
        let why = host.measured.omitted.as_deref().unwrap_or("the clocks were not measured");
        return Ok(Finding::unknown(why));
    };
    let hot = if probe.is_counter { "the processor's counter" } else { "no counter" };
    let found = format!(
        "measured: a reading of the monotonic clock takes {} ns; the hot thread's clock ({hot}) \
         runs {:+.0} ppm against it",
        probe.read_ns, probe.drift_ppm
    );
    let is_bad = probe.read_ns > READ_NS_MAX || probe.drift_ppm.abs() > DRIFT_PPM_MAX;
    Ok(Finding::judge(is_bad || !probe.is_counter, wish.low(), found, || {
        Mend::boot("clocksource=tsc tsc=reliable")
    }))
}

#[cfg(test)]
const fn probe(read_ns: u64, drift_ppm: f64) -> Option<ClockProbe> {
    Some(ClockProbe { read_ns, is_counter: true, drift_ppm })
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[], "takes 25 ns").given(|host, _| host.measured.clock = probe(25, -3.0)),
    Case::unfit(&[], "takes 900 ns").given(|host, _| host.measured.clock = probe(900, 0.0)),
    Case::unfit(&[], "-5000 ppm").given(|host, _| host.measured.clock = probe(25, -5_000.0)),
    Case::fit(&[], "no fault for").given(|host, wish| {
        host.measured.clock = probe(900, 0.0);
        wish.level = Level::Relaxed;
    }),
    Case::unknown(&[], "not measured"),
];
