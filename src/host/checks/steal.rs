//! Time that the core was away while a thread wanted to do nothing but run: stolen by the
//! hypervisor, or hidden by it. Spinning shows what the counter of stolen time may keep quiet
//! about.

use super::{
    Check, Finding, Host, Mend, Told, Wish,
    measured::GAP,
    proc_files::{CoreTime, STAT},
};
#[cfg(test)]
use super::{Level, cases::Case, measured::SpinProbe};

pub(super) const CHECK: Check = Check {
    name: "steal",
    cost: "while the host runs somebody else the thread stands still: 0.1-20 ms a time, whatever \
           is set inside the machine",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

/// More than this of the time is more than interrupts take.
const AWAY_PER_CENT_MAX: f64 = 2.0;
/// Since the machine started.
const STOLEN_PER_CENT_MAX: f64 = 1.0;

fn run(host: &Host, wish: &Wish) -> Told {
    let text = host.text(STAT)?;
    let odd = || Finding::unknown(format!("/{STAT} has no line of the cores' times"));
    let since_start = CoreTime::parse(&text, wish.core).ok_or_else(odd)?;
    let stolen = since_start.per_cent(since_start.stolen);
    let Some(spin) = host.measured.spin else {
        let why = host.measured.omitted.as_deref().unwrap_or("not measured");
        return Ok(Finding::unknown(format!("stolen since start {stolen:.2} % (/{STAT}); {why}")));
    };
    let away = spin.gone.saturating_sub(spin.waited);
    let per_cent = away.as_secs_f64() * 100.0 / spin.wall.as_secs_f64().max(1e-9);
    let found = format!(
        "stolen since start {stolen:.2} % (/{STAT}); a thread that spun for {} ms was away \
         {per_cent:.2} % of it while no other thread had the core (gaps from {} µs, the longest \
         {} µs), and {} µs for other threads",
        spin.wall.as_millis(),
        GAP.as_micros(),
        spin.longest.as_micros(),
        spin.waited.as_micros()
    );
    let is_bad = stolen > STOLEN_PER_CENT_MAX || per_cent > AWAY_PER_CENT_MAX;
    Ok(Finding::judge(is_bad, wish.low(), found, || match host.is_virtual() {
        Some(false) => Mend::new(
            "in the firmware's settings: no system management interrupts for power and fans \
             (performance profile); then interrupts, tickless and watchdogs of this table",
            "yes, firmware settings stay",
        ),
        _ => Mend::new(
            "a machine with processors of its own: dedicated or pinned (libvirt: <vcpupin>, no \
             overcommitment; clouds: dedicated hosts, no burstable types)",
            "yes, with the machine's definition",
        ),
    }))
}

#[cfg(test)]
fn spun(gone: u64, waited: u64) -> Option<SpinProbe> {
    let [wall, longest, gone, waited] =
        [200_000, gone / 2, gone, waited].map(std::time::Duration::from_micros);
    Some(SpinProbe { wall, longest, gone, waited })
}

#[cfg(test)]
const LITTLE: (&str, &str) = (STAT, "cpu3 500 0 0 499 0 0 0 1 0 0\n");

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[LITTLE], "stolen since start 0.10 %")
        .given(|host, _| host.measured.spin = spun(1_000, 0)),
    Case::fit(&[LITTLE], "and 90000 µs for other threads")
        .given(|host, _| host.measured.spin = spun(91_000, 90_000)),
    Case::unfit(&[LITTLE], "was away 10.00 % of it")
        .given(|host, _| host.measured.spin = spun(20_000, 0)),
    Case::unfit(&[(STAT, "cpu3 500 0 0 400 0 0 0 100 0 0\n")], "stolen since start 10.00 %")
        .given(|host, _| host.measured.spin = spun(0, 0)),
    Case::fit(&[LITTLE], "no fault for").given(|host, wish| {
        host.measured.spin = spun(20_000, 0);
        wish.level = Level::Relaxed;
    }),
    Case::unknown(&[LITTLE], "not measured"),
    Case::unknown(&[(STAT, "cpu3 a\n")], "no line of the cores"),
];
