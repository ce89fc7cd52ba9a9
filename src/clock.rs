//! Time as the hot thread sees it: raw ticks, read cheaply, converted later.
//!
//! The engine stamps stages in ticks of the CPU's time stamp counter (through `quanta`), because a
//! read costs a few nanoseconds and needs no system call. A tick means nothing outside the process:
//! `Clock::nanos` turns a difference into nanoseconds, and `WallOffset` carries the distance to the
//! epoch, which a side thread refreshes, so that the hot thread never reads wall time itself.
//! Tests use `ManualClock`, where a tick is a nanosecond and time moves when told to.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A point in time on this process's clock, in ticks of unknown length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(pub u64);

/// What the engine needs of a clock.
pub trait Clock {
    /// The present, in ticks. Never goes back on one thread.
    fn now(&self) -> Ticks;

    /// Nanoseconds from `from` to `to`; zero where `to` is not later.
    fn nanos(&self, from: Ticks, to: Ticks) -> u64;

    /// Ticks that `nanos` nanoseconds take; used for deadlines, so rounding does not matter.
    fn ticks(&self, nanos: u64) -> u64;
}

/// The CPU's time stamp counter, or the system's monotonic clock where there is none.
#[derive(Clone, Debug)]
pub struct TscClock {
    clock: quanta::Clock,
    ticks_per_second: u64,
    /// Nanoseconds a tick, as a binary fraction of `FRACTION_BITS` bits.
    nanos_per_tick: u64,
}

/// With 32 bits the rounding of a tick's length is below a part in a billion at any usual rate.
const FRACTION_BITS: u32 = 32;

impl TscClock {
    /// Calibrates on first use in the process, which takes up to 200 ms.
    pub fn new() -> TscClock {
        let clock = quanta::Clock::new();
        let span = 1 << 40;
        let nanos = clock.delta_as_nanos(0, span).max(1);
        let ticks_per_second = (u128::from(span) * 1_000_000_000 / u128::from(nanos)) as u64;
        let nanos_per_tick = ((u128::from(nanos) << FRACTION_BITS) / u128::from(span)) as u64;
        TscClock { clock, ticks_per_second, nanos_per_tick }
    }

    /// True if ticks are the CPU's own counter; else they are the system's monotonic clock, which
    /// counts nanoseconds: no counter is that exact.
    pub fn is_counter(&self) -> bool {
        self.ticks_per_second != 1_000_000_000
    }

    /// Where its ticks come from, and how many there are in a second.
    pub fn describe(&self) -> String {
        match self.is_counter() {
            true => format!("TSC at {:.4} GHz", self.ticks_per_second as f64 / 1e9),
            false => "the system's monotonic clock (no invariant TSC on this host)".to_owned(),
        }
    }
}

impl Default for TscClock {
    fn default() -> TscClock {
        TscClock::new()
    }
}

impl Clock for TscClock {
    #[inline]
    fn now(&self) -> Ticks {
        Ticks(self.clock.raw())
    }

    #[inline]
    fn nanos(&self, from: Ticks, to: Ticks) -> u64 {
        let ticks = u128::from(to.0.saturating_sub(from.0));
        ((ticks * u128::from(self.nanos_per_tick)) >> FRACTION_BITS) as u64
    }

    fn ticks(&self, nanos: u64) -> u64 {
        (u128::from(nanos) * u128::from(self.ticks_per_second) / 1_000_000_000) as u64
    }
}

/// How far the tick clock is from the system's monotonic clock over a stretch of time: what it was
/// calibrated by, and what it may have drifted from since. Not for the hot thread.
#[derive(Clone, Debug)]
pub struct ClockCheck {
    started: (Ticks, Instant),
    /// Nanoseconds between the two readings of a sample at the start.
    width_ns: u64,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockError {
    /// Parts in a million that the tick clock runs fast; negative where it runs slow.
    pub parts_per_million: f64,
    /// How exactly that is known, in the same parts.
    pub known_to: f64,
    /// Over this stretch of time.
    pub over: Duration,
}

impl ClockCheck {
    /// Begins at the present.
    pub fn new(clock: &impl Clock) -> ClockCheck {
        let (width_ns, ticks, instant) = sample_monotonic(clock);
        ClockCheck { started: (ticks, instant), width_ns }
    }

    /// Compares both clocks since the start.
    pub fn error(&self, clock: &impl Clock) -> ClockError {
        let (width_ns, ticks, instant) = sample_monotonic(clock);
        let over = instant.duration_since(self.started.1);
        let nanos = over.as_nanos().max(1) as f64;
        let ours = clock.nanos(self.started.0, ticks) as f64;
        ClockError {
            parts_per_million: (ours - nanos) / nanos * 1e6,
            known_to: (self.width_ns + width_ns) as f64 / nanos * 1e6,
            over,
        }
    }
}

/// Of five tries the one whose two readings of the tick clock lay closest together: how far apart
/// they were in nanoseconds, their middle, and the system's clock in between.
fn sample_monotonic(clock: &impl Clock) -> (u64, Ticks, Instant) {
    let sample = |_| {
        let before = clock.now();
        let instant = Instant::now();
        let after = clock.now();
        let width = after.0 - before.0;
        (clock.nanos(before, after), Ticks(before.0 + width / 2), instant)
    };
    let narrowest = (0..5).map(sample).min_by_key(|(width_ns, ..)| *width_ns);
    narrowest.unwrap_or_else(|| (0, clock.now(), Instant::now()))
}

/// The system's monotonic clock, counted from the epoch: a tick is a nanosecond since then.
///
/// For who stamps times into records that others read, and compares them later. The system steers
/// this clock as it does wall time, so that it does not drift from it; only it is never set. A read
/// costs more than one of the CPU's counter, so this is not for the hot thread.
#[derive(Clone, Copy, Debug)]
pub struct EpochClock {
    start: Instant,
    start_nanos: u64,
}

impl EpochClock {
    /// Reads both clocks: of five tries the one that lay closest together.
    pub fn new() -> EpochClock {
        let sample = |_| {
            let start = Instant::now();
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            (start.elapsed(), start, wall)
        };
        let (width, start, wall) = (0..5).map(sample).min().expect("five tries are some");
        EpochClock { start, start_nanos: (wall.as_nanos() - width.as_nanos() / 2) as u64 }
    }

    /// How far wall time has been set since, in nanoseconds.
    pub fn set_by(&self) -> i64 {
        EpochClock::new().now().0 as i64 - self.now().0 as i64
    }
}

impl Default for EpochClock {
    fn default() -> EpochClock {
        EpochClock::new()
    }
}

impl Clock for EpochClock {
    fn now(&self) -> Ticks {
        Ticks(self.start_nanos + self.start.elapsed().as_nanos() as u64)
    }

    fn nanos(&self, from: Ticks, to: Ticks) -> u64 {
        to.0.saturating_sub(from.0)
    }

    fn ticks(&self, nanos: u64) -> u64 {
        nanos
    }
}

/// A clock that stands still until it is moved; a tick is a nanosecond. Clones share their time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    now: Rc<Cell<u64>>,
}

impl ManualClock {
    /// Moves time forward by `nanos`.
    pub fn advance(&self, nanos: u64) {
        self.now.set(self.now.get() + nanos);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Ticks {
        Ticks(self.now.get())
    }

    fn nanos(&self, from: Ticks, to: Ticks) -> u64 {
        to.0.saturating_sub(from.0)
    }

    fn ticks(&self, nanos: u64) -> u64 {
        nanos
    }
}

/// The epoch as seen from the tick clock: what to add to a tick's nanoseconds to get wall time.
///
/// One word, written by a side thread about once a second and read by the hot thread: a counter
/// that is calibrated to ten parts in a million is then never more than 10 µs away from the system
/// clock, however long the process runs.
#[derive(Clone, Debug)]
pub struct WallOffset {
    nanos: Arc<AtomicI64>,
}

impl WallOffset {
    /// Reads both clocks once. Not for the hot thread.
    pub fn new(clock: &impl Clock) -> WallOffset {
        let offset = WallOffset { nanos: Arc::new(AtomicI64::new(0)) };
        offset.refresh(clock);
        offset
    }

    /// An offset that is said, for tests with a manual clock.
    pub fn fixed(nanos: i64) -> WallOffset {
        WallOffset { nanos: Arc::new(AtomicI64::new(nanos)) }
    }

    /// Reads both clocks again: of five tries the one whose two readings lay closest together, so
    /// that losing the core in between does not shift the result. Not for the hot thread.
    pub fn refresh(&self, clock: &impl Clock) {
        let sample = |_| {
            let before = clock.now();
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_nanos());
            let after = clock.now();
            let width = after.0 - before.0;
            let middle = clock.nanos(Ticks(0), Ticks(before.0 + width / 2));
            (width, wall as i64 - middle as i64)
        };
        let (_, offset) = (0..5).map(sample).min().unwrap_or_default();
        self.nanos.store(offset, Ordering::Relaxed);
    }

    /// Nanoseconds since the epoch at `at`.
    #[inline]
    pub fn epoch_nanos(&self, clock: &impl Clock, at: Ticks) -> i64 {
        clock.nanos(Ticks(0), at) as i64 + self.nanos.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tsc_ticks_and_nanos_agree() {
        let clock = TscClock::new();
        let ticks = clock.ticks(1_000_000_000);
        let nanos = clock.nanos(Ticks(5), Ticks(5 + ticks));
        assert!(nanos.abs_diff(1_000_000_000) < 1_000, "one second came back as {nanos} ns");
        assert_eq!(clock.nanos(Ticks(9), Ticks(3)), 0);
    }

    #[test]
    fn wall_offset_follows_the_system_clock() {
        let clock = TscClock::new();
        let offset = WallOffset::new(&clock);
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
        let ours = offset.epoch_nanos(&clock, clock.now());
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
        let slack = 1_000_000;
        assert!(before - slack <= ours && ours <= after + slack, "{before} {ours} {after}");
    }

    #[test]
    fn a_check_tells_how_fast_the_tick_clock_runs() {
        let clock = TscClock::new();
        let check = ClockCheck::new(&clock);
        while check.error(&clock).over < Duration::from_millis(20) {}
        let error = check.error(&clock);
        let bound = 500.0 + error.known_to;
        assert!(error.parts_per_million.abs() < bound, "{error:?}");
        // A clock that stands still loses all of it.
        let still = ManualClock::default();
        let check = ClockCheck::new(&still);
        while check.error(&still).over < Duration::from_micros(10) {}
        assert_eq!(check.error(&still).parts_per_million, -1e6);
        assert!(clock.describe().contains(if clock.is_counter() { "TSC at" } else { "system's" }));
    }

    #[test]
    fn ticks_of_the_epoch_clock_are_wall_time() {
        let clock = EpochClock::new();
        let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let (before, ours, after) = (wall(), clock.now().0, wall());
        let slack = 1_000_000;
        assert!(before - slack <= ours && ours <= after + slack, "{before} {ours} {after}");
        assert!(clock.set_by().abs() < 1_000_000_000, "nobody sets the clock by a second");
        assert!(clock.now() >= Ticks(ours));
    }

    #[test]
    fn manual_clock_moves_only_when_told() {
        let clock = ManualClock::default();
        let start = clock.now();
        clock.clone().advance(250);
        assert_eq!(clock.nanos(start, clock.now()), 250);
        assert_eq!(WallOffset::fixed(1_000).epoch_nanos(&clock, clock.now()), 1_250);
    }
}
