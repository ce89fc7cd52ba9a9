//! As of when a table is true: one word from its side thread to the hot thread.
//!
//! The side thread writes it after all that was true at that time is in the table; the hot thread
//! reads it before it takes what was published. So whatever it looks up afterwards was true at that
//! time or later. The time is in ticks, because the hot thread reads no other clock.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use crate::clock::{Clock, Ticks, TscClock};

/// Apart from everything else, because one thread writes it all the time and another reads it.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Freshness {
    /// Zero if nobody knows.
    as_of: AtomicU64,
    clock: TscClock,
}

const _: () = assert!(align_of::<Freshness>() == 128 && size_of::<Freshness>() == 128);

impl Freshness {
    pub(super) fn new() -> Freshness {
        Freshness { as_of: AtomicU64::new(0), clock: TscClock::new() }
    }

    /// Side thread: the table shows all that its source held at that time.
    pub(super) fn set(&self, time: Instant) {
        // In this order: what goes by between the two, be it the turn of another thread, makes the
        // answer older and not younger. The distance is short, so that the clocks cannot drift
        // apart over it.
        let now = self.clock.now();
        let age_ns = time.elapsed().as_nanos() as u64;
        let as_of = now.0.saturating_sub(self.clock.ticks(age_ns)).max(1);
        self.as_of.fetch_max(as_of, Ordering::Release);
    }

    /// Side thread: nobody knows any more.
    pub(super) fn forget(&self) {
        self.as_of.store(0, Ordering::Release);
    }

    /// Hot thread.
    #[inline]
    pub(super) fn as_of(&self) -> Option<Ticks> {
        match self.as_of.load(Ordering::Acquire) {
            0 => None,
            ticks => Some(Ticks(ticks)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZero, thread, time::Duration};

    use super::*;

    /// More threads than cores, so that some are interrupted between any two instructions.
    #[test]
    fn an_interruption_makes_nothing_younger_than_it_is() {
        let threads = 4 * thread::available_parallelism().map_or(1, NonZero::get);
        let end = Instant::now() + Duration::from_millis(500);
        let claim = || {
            let clock = TscClock::new();
            while Instant::now() < end {
                let freshness = Freshness::new();
                let time = Instant::now();
                let after = clock.now();
                freshness.set(time);
                let (as_of, took) = (freshness.as_of().unwrap(), time.elapsed());
                // Its clock and ours may be calibrated a little differently.
                let slack = clock.ticks(1_000 + took.as_nanos() as u64 / 1_000);
                assert!(as_of.0 <= after.0 + slack, "younger by {}", as_of.0 - after.0);
            }
        };
        thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(claim)));
    }

    #[test]
    fn a_time_that_is_known_never_goes_back_but_may_be_forgotten() {
        let freshness = Freshness::new();
        assert_eq!(freshness.as_of(), None);
        let (start, clock) = (Instant::now(), TscClock::new());
        let before = clock.now();
        freshness.set(Instant::now());
        let after = clock.now();
        let as_of = freshness.as_of().unwrap();
        // Reading two clocks takes a while.
        let slack = Duration::from_micros(10) + start.elapsed();
        assert!(as_of.0 + clock.ticks(slack.as_nanos() as u64) >= before.0 && as_of <= after);
        freshness.set(start);
        assert_eq!(freshness.as_of(), Some(as_of));
        freshness.forget();
        assert_eq!(freshness.as_of(), None);
        freshness.set(start);
        assert!(freshness.as_of() < Some(as_of));
    }
}
