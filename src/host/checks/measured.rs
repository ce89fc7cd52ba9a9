//! What files alone do not tell, measured in about half a second: how dear the clock is and whether
//! it runs true, how late a sleeper wakes, and how long the core is away while a thread spins.
//!
//! A file says what was configured, a measurement what comes of it. The probes run on the core that
//! is judged, one after the other; where a Hotspur runs there already they are left out, because
//! they would disturb it.

use std::time::Duration;

/// Results of the probes; what could not be measured is none.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Of the clocks.
    pub clock: Option<ClockProbe>,
    /// Of a sleeper.
    pub wakeup: Option<WakeupProbe>,
    /// Of a spinner.
    pub spin: Option<SpinProbe>,
    /// Of the system's time.
    pub sync: Option<ClockSync>,
    /// Why there is no wake-up and no spin.
    pub omitted: Option<String>,
}

/// The clocks, side by side.
#[derive(Clone, Copy, Debug)]
pub struct ClockProbe {
    /// One reading of the system's monotonic clock, in nanoseconds.
    pub read_ns: u64,
    /// True if the hot thread's clock is the CPU's counter.
    pub is_counter: bool,
    /// How much faster that clock runs than the monotonic one, in parts per million.
    pub drift_ppm: f64,
}

/// How late a thread woke from sleeps of a millisecond.
#[derive(Clone, Copy, Debug)]
pub struct WakeupProbe {
    /// Half were later.
    pub median: Duration,
    /// The latest.
    pub max: Duration,
    /// How many.
    pub sleeps: usize,
}

/// Gaps in a spinning thread's time.
#[derive(Clone, Copy, Debug)]
pub struct SpinProbe {
    /// How long it spun.
    pub wall: Duration,
    /// The longest gap.
    pub longest: Duration,
    /// All gaps of at least `GAP`.
    pub gone: Duration,
    /// Of that, waiting for the core while another thread had it.
    pub waited: Duration,
}

/// What the kernel says of its own time, as `adjtimex` tells it.
#[derive(Clone, Copy, Debug)]
pub struct ClockSync {
    /// False if nobody disciplines the clock.
    pub synchronised: bool,
    /// Still to be corrected.
    pub offset_ns: i64,
    /// By which it may be off, as the one who disciplines it believes.
    pub error_estimate_us: i64,
    /// By which it may be off at worst.
    pub error_max_us: i64,
}

/// A gap shorter than this is an ordinary interrupt or less.
pub(super) const GAP: Duration = Duration::from_micros(10);

#[cfg(target_os = "linux")]
pub(super) use linux::{clock_and_spin, clock_sync, wakeup};

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        path::Path,
        thread,
        time::{Duration, Instant},
    };

    use super::{ClockProbe, ClockSync, GAP, SpinProbe, WakeupProbe};
    use crate::{
        clock::{Clock, TscClock},
        host::{Waits, pin_current, scheduling},
    };

    const SPIN: Duration = Duration::from_millis(200);
    const SLEEP_NS: i64 = 1_000_000;
    const SLEEPS: usize = 200;
    const READINGS: u32 = 2_000;

    /// Runs a probe on a thread of its own, on that core; in words why that cannot be.
    fn on<T: Send>(core: Option<usize>, probe: impl FnOnce() -> T + Send) -> Result<T, String> {
        thread::scope(|scope| {
            let work = || {
                if let Some(core) = core {
                    pin_current(core).map_err(|error| error.to_string())?;
                }
                Ok(probe())
            };
            scope.spawn(work).join().unwrap_or_else(|_| Err("a probe failed".to_owned()))
        })
    }

    /// Spins a while, with both clocks read at its ends.
    pub(in super::super) fn clock_and_spin(
        core: Option<usize>,
    ) -> Result<(ClockProbe, SpinProbe), String> {
        let clock = TscClock::new();
        on(core, || spin(&clock))
    }

    fn spin(clock: &TscClock) -> (ClockProbe, SpinProbe) {
        let waits = Waits::of_this_thread();
        let before = Instant::now();
        (0..READINGS).for_each(|_| _ = std::hint::black_box(Instant::now()));
        let read_ns = before.elapsed().as_nanos() as u64 / u64::from(READINGS);
        let waited_before = waits.nanos();
        let (start, first) = (Instant::now(), clock.now());
        let (mut last, mut longest, mut gone) = (first, 0, 0);
        let [until, gap] = [SPIN, GAP].map(|it| it.as_nanos() as u64);
        while clock.nanos(first, last) < until {
            let now = clock.now();
            let away = clock.nanos(last, now);
            if away >= gap {
                longest = longest.max(away);
                gone += away;
            }
            last = now;
        }
        // Another gap may lie between the two readings: the best of a few pairs counts.
        let (ticks, wall) = pair(clock, start, first);
        let drift_ppm = (ticks as f64 - wall as f64) / wall as f64 * 1e6;
        let waited = Duration::from_nanos(waits.nanos().saturating_sub(waited_before));
        let [wall, longest, gone] = [wall, longest, gone].map(Duration::from_nanos);
        (
            ClockProbe { read_ns, is_counter: clock.is_counter(), drift_ppm },
            SpinProbe { wall, longest, gone, waited },
        )
    }

    /// Both clocks since their starts, read as close to each other as it went in ten attempts.
    fn pair(clock: &TscClock, start: Instant, first: crate::clock::Ticks) -> (u64, u64) {
        let attempt = |_| {
            let before = clock.now();
            let wall = start.elapsed().as_nanos() as u64;
            let after = clock.now();
            (clock.nanos(before, after), clock.nanos(first, before), wall)
        };
        let closest = (0..10).map(attempt).min().unwrap_or_default();
        (closest.1 + closest.0 / 2, closest.2.max(1))
    }

    /// Sleeps for a millisecond many times, and sees how late it wakes.
    pub(in super::super) fn wakeup(core: Option<usize>) -> Result<WakeupProbe, String> {
        on(core, || {
            // This thread's own, which ends with the probe.
            scheduling::set_timer_slack(Duration::from_nanos(1));
            let mut late: Vec<u64> = (0..SLEEPS).map(|_| sleep_once()).collect();
            late.sort_unstable();
            let [median, max] = [late[SLEEPS / 2], late[SLEEPS - 1]].map(Duration::from_nanos);
            WakeupProbe { median, max, sleeps: SLEEPS }
        })
    }

    /// How late it woke, in nanoseconds.
    fn sleep_once() -> u64 {
        let due = monotonic_ns() + SLEEP_NS;
        let (tv_sec, tv_nsec) = (due / 1_000_000_000, due % 1_000_000_000);
        let until = libc::timespec { tv_sec, tv_nsec };
        // SAFETY: the time lives through the call, and no remainder is asked for.
        unsafe {
            let null = std::ptr::null_mut();
            libc::clock_nanosleep(
                libc::CLOCK_MONOTONIC,
                libc::TIMER_ABSTIME,
                &raw const until,
                null,
            )
        };
        u64::try_from(monotonic_ns() - due).unwrap_or(0)
    }

    fn monotonic_ns() -> i64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to one structure that lives through the call.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    /// Asks the kernel; none where it does not answer.
    pub(in super::super) fn clock_sync() -> Option<ClockSync> {
        if !Path::new("/proc/self").exists() {
            return None;
        }
        // SAFETY: the structure is plain numbers, for which all zeroes is a valid value.
        let mut time: libc::timex = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to one structure that lives through the call; no mode is set, so
        // nothing is changed.
        let state = unsafe { libc::adjtimex(&raw mut time) };
        let unit = if time.status & libc::STA_NANO == 0 { 1_000 } else { 1 };
        (state >= 0).then(|| ClockSync {
            synchronised: state != libc::TIME_ERROR && time.status & libc::STA_UNSYNC == 0,
            offset_ns: time.offset * unit,
            error_estimate_us: time.esterror,
            error_max_us: time.maxerror,
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_probes_measure_this_machine() {
        let (clock, spin) = clock_and_spin(None).unwrap();
        assert!(clock.read_ns > 0 && clock.drift_ppm.abs() < 1e5, "{clock:?}");
        assert!(spin.wall >= Duration::from_millis(199) && spin.gone >= spin.longest, "{spin:?}");
        let wakeup = wakeup(None).unwrap();
        assert!(wakeup.median <= wakeup.max && !wakeup.median.is_zero(), "{wakeup:?}");
        assert!(clock_and_spin(Some(1_023)).unwrap_err().contains("cores 1023"));
        assert!(clock_sync().is_none_or(|it| it.error_max_us >= 0));
    }
}
