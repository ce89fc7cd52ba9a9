//! When the hot thread stood still: readings of its clock that lie too far apart.
//!
//! Between two readings lies a record, a hand-over or a few calls of the client: microseconds.
//! Where it was much longer something held the thread up, and the system is asked at once what it
//! took from the thread meanwhile. That costs a few system calls a turn at the worst. What it means
//! is said elsewhere (`observe::slow`). A thread that slept on purpose has not stood still.

use crate::{
    clock::{Clock, Ticks},
    host::{ThreadUsage, Waits, current_core},
    limits::{READING_NS_MAX, STALL_NS_MIN},
    measure::slow::{Doing, Stall, Taken},
};

/// Stalls that a slow record may have lived through.
const REMEMBERED: usize = 16;

/// What the system says of the hot thread, at a point in time.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Ticks,
    usage: ThreadUsage,
    waited_ns: u64,
    core: Option<usize>,
}

/// The readings of the hot thread's clock, as far as they are remembered.
#[derive(Debug)]
pub(super) struct Pulse {
    /// The last one.
    last: Ticks,
    limit_ticks: u64,
    reading_ticks_max: u64,
    waits: Waits,
    before: Reading,
    /// What was taken from the thread since `before`, if it was asked since then at `at`.
    asked: Option<(Ticks, Taken)>,
    recent: [Option<Stall>; REMEMBERED],
    next: usize,
    /// The group is changing.
    pub(super) is_rebalancing: bool,
}

impl Pulse {
    /// Begins at the present, on the thread whose pulse it is.
    pub(super) fn new(clock: &impl Clock) -> Pulse {
        let waits = Waits::of_this_thread();
        let before = Reading::take(clock, &waits);
        Pulse {
            last: before.at,
            limit_ticks: clock.ticks(STALL_NS_MIN),
            reading_ticks_max: clock.ticks(READING_NS_MAX),
            waits,
            before,
            asked: None,
            recent: [None; REMEMBERED],
            next: 0,
            is_rebalancing: false,
        }
    }

    /// The clock was read, and nothing was awaited since the last time. Returns a stall, if that is
    /// too long ago.
    #[inline]
    pub(super) fn beat(&mut self, clock: &impl Clock, now: Ticks, doing: Doing) -> Option<Stall> {
        let last = std::mem::replace(&mut self.last, now);
        if now.0.saturating_sub(last.0) <= self.limit_ticks {
            return None;
        }
        Some(self.stalled(clock, (last, now), doing))
    }

    /// The thread has slept: what lies before is no stall.
    #[inline]
    pub(super) fn rest(&mut self, now: Ticks) {
        self.last = now;
    }

    #[cold]
    fn stalled(&mut self, clock: &impl Clock, (from, to): (Ticks, Ticks), doing: Doing) -> Stall {
        self.asked = None;
        let taken = self.taken(clock);
        let is_rebalancing = self.is_rebalancing;
        let stall = Stall { from, to, doing, taken, is_rebalancing };
        self.recent[self.next] = Some(stall);
        self.next = (self.next + 1) % REMEMBERED;
        // What was taken during this one is not taken for another's.
        self.renew(clock);
        stall
    }

    /// What was taken from the thread since the last reading: a stall, a publication of figures, or
    /// a turn without work. Asked once a turn at most.
    #[cold]
    pub(super) fn taken(&mut self, clock: &impl Clock) -> Taken {
        if let Some((at, taken)) = self.asked
            && at == self.last
        {
            return taken;
        }
        let now = Reading::take(clock, &self.waits);
        let taken = now.since(&self.before, clock);
        self.asked = Some((self.last, taken));
        taken
    }

    /// In a turn without work there is time for it: what a stall is put down to was taken lately.
    #[inline]
    pub(super) fn freshen(&mut self, clock: &impl Clock, now: Ticks) {
        if now.0.saturating_sub(self.before.at.0) > self.reading_ticks_max {
            self.renew(clock);
        }
    }

    /// Begins a new stretch of time.
    pub(super) fn renew(&mut self, clock: &impl Clock) {
        self.before = Reading::take(clock, &self.waits);
        self.asked = None;
    }

    /// The stall that covers most of a stretch of time.
    pub(super) fn stall_within(&self, from: Ticks, to: Ticks) -> Option<Stall> {
        let common = |it: &Stall| it.to.min(to).0.saturating_sub(it.from.max(from).0);
        let longest = self.recent.iter().flatten().max_by_key(|it| common(it));
        longest.copied().filter(|it| common(it) > 0)
    }
}

impl Reading {
    fn take(clock: &impl Clock, waits: &Waits) -> Reading {
        let (usage, core) = (ThreadUsage::read(), current_core());
        Reading { at: clock.now(), usage, waited_ns: waits.nanos(), core }
    }

    fn since(&self, earlier: &Reading, clock: &impl Clock) -> Taken {
        let usage = self.usage.since(&earlier.usage);
        Taken {
            within_ns: clock.nanos(earlier.at, self.at),
            cpu_ns: usage.cpu.as_nanos() as u64,
            waited_ns: self.waited_ns.saturating_sub(earlier.waited_ns),
            involuntary_switches: usage.involuntary_switches,
            voluntary_switches: usage.voluntary_switches,
            minor_faults: usage.minor_faults,
            major_faults: usage.major_faults,
            has_migrated: self.core != earlier.core,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn only_what_lies_too_far_apart_is_a_stall_and_sleep_is_none() {
        let clock = ManualClock::default();
        let mut pulse = Pulse::new(&clock);
        let mut step = |nanos, has_slept: bool| {
            clock.advance(nanos);
            if has_slept {
                pulse.rest(clock.now());
            }
            let stall = pulse.beat(&clock, clock.now(), Doing::Sending);
            stall.map(|it| (it.to.0 - it.from.0, it.doing))
        };
        assert_eq!(step(STALL_NS_MIN, false), None);
        assert_eq!(step(10 * STALL_NS_MIN, true), None);
        assert_eq!(step(STALL_NS_MIN + 1, false), Some((STALL_NS_MIN + 1, Doing::Sending)));
        assert_eq!(step(1, false), None);
        clock.advance(READING_NS_MAX);
        pulse.rest(clock.now());
        pulse.freshen(&clock, clock.now());
        clock.advance(READING_NS_MAX + 1);
        pulse.rest(clock.now());
        pulse.freshen(&clock, clock.now());
        clock.advance(2 * STALL_NS_MIN);
        let stall = pulse.beat(&clock, clock.now(), Doing::Serving).unwrap();
        assert_eq!(stall.taken.within_ns, 2 * STALL_NS_MIN, "nothing from before counts");
        let within = |from, to| pulse.stall_within(Ticks(from), Ticks(to)).is_some();
        let (from, to) = (11 * STALL_NS_MIN, 12 * STALL_NS_MIN + 1);
        assert!(within(0, from + 1) && within(to - 1, to + 5));
        assert!(!within(0, from) && !within(to, to + 9));
    }
}
