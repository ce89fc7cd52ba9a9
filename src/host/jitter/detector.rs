//! The loop that notices gaps: reads the counter, compares, counts, and nothing else.
//!
//! It makes no system call, takes no memory and no lock. Every distance between two readings goes
//! into a histogram, so that the resolution of what is found is known: a loop that itself takes a
//! microsecond finds nothing shorter. Short of a threshold a distance is a turn of the loop, from
//! there on it is a stall. Between two stretches the loop pauses to hand over what it counted; what
//! happens in those few microseconds is not seen.

use std::sync::atomic::{AtomicBool, Ordering};

use hdrhistogram::Histogram;

use crate::{
    clock::{Clock, Ticks},
    host::jitter::stalls::{Stalls, histogram},
};

/// Turns that took longer than this are counted as this: they are stalls, which are kept exactly.
const TURN_NS_MAX: u64 = 1_000_000;

/// What a detector counted in a stretch of time, usually a second.
#[derive(Clone, Debug)]
pub struct Second {
    /// When it began.
    pub began: Ticks,
    /// Nanoseconds that it took.
    pub length_ns: u64,
    /// Gaps from the threshold on.
    pub stalls: Stalls,
    /// All gaps in nanoseconds, those of the loop itself.
    pub turns: Histogram<u64>,
}

impl Second {
    /// Room for one.
    pub fn new() -> Second {
        let turns = histogram(TURN_NS_MAX);
        Second { began: Ticks(0), length_ns: 0, stalls: Stalls::new(), turns }
    }

    /// Forgets what was counted and keeps the memory.
    pub fn clear(&mut self) {
        self.stalls.clear();
        self.turns.clear();
        self.length_ns = 0;
    }
}

impl Default for Second {
    fn default() -> Second {
        Second::new()
    }
}

/// Looks for gaps on the thread that calls it.
#[derive(Debug)]
pub struct Detector<C> {
    clock: C,
    threshold_ns: u64,
}

impl<C: Clock> Detector<C> {
    /// Gaps of `threshold_ns` and more are stalls.
    pub fn new(clock: C, threshold_ns: u64) -> Detector<C> {
        Detector { clock, threshold_ns }
    }

    /// Watches for `length_ns`, or until `stop`, and adds what it finds to `second`.
    pub fn watch(&self, second: &mut Second, length_ns: u64, stop: &AtomicBool) {
        let began = self.clock.now();
        let end = Ticks(began.0 + self.clock.ticks(length_ns));
        let mut last = began;
        while last < end && !stop.load(Ordering::Relaxed) {
            let now = self.clock.now();
            let gap_ns = self.clock.nanos(last, now);
            second.turns.saturating_record(gap_ns);
            if gap_ns >= self.threshold_ns {
                second.stalls.record(gap_ns);
            }
            last = now;
        }
        second.began = began;
        second.length_ns = self.clock.nanos(began, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// Time goes by 20 ns with each look, and by the next of some gaps at each hundredth one.
    struct Script {
        now: Cell<u64>,
        looks: Cell<u64>,
        gaps: RefCell<Vec<u64>>,
    }

    impl Script {
        fn new(gaps: &[u64]) -> Script {
            let gaps = gaps.iter().rev().copied().collect();
            Script { now: Cell::new(0), looks: Cell::new(0), gaps: RefCell::new(gaps) }
        }
    }

    impl Clock for &Script {
        fn now(&self) -> Ticks {
            self.looks.set(self.looks.get() + 1);
            let is_gap = self.looks.get().is_multiple_of(100);
            let gap = if is_gap { self.gaps.borrow_mut().pop() } else { None };
            self.now.set(self.now.get() + gap.unwrap_or(20));
            Ticks(self.now.get())
        }

        fn nanos(&self, from: Ticks, to: Ticks) -> u64 {
            to.0 - from.0
        }

        fn ticks(&self, nanos: u64) -> u64 {
            nanos
        }
    }

    static GO_ON: AtomicBool = AtomicBool::new(false);

    #[test]
    fn gaps_of_known_sizes_are_found_and_turns_are_not() {
        let script = Script::new(&[999, 1_000, 4_000, 4_999, 250_000, 12_000_000]);
        let detector = Detector::new(&script, 1_000);
        let mut second = Second::new();
        detector.watch(&mut second, 20_000_000, &GO_ON);
        let found: Vec<_> = second
            .stalls
            .classes()
            .filter(|(_, _, count, _)| *count > 0)
            .map(|(from, _, count, lost)| (from, count, lost))
            .collect();
        let expected = [
            (1_000, 1, 1_000),
            (2_000, 2, 8_999),
            (200_000, 1, 250_000),
            (10_000_000, 1, 12_000_000),
        ];
        assert_eq!(found, expected);
        assert_eq!(second.turns.len(), script.looks.get() - 1, "each look but the first is one");
        assert_eq!(second.turns.value_at_quantile(0.5), 20);
        assert!((20_000_000..20_000_020).contains(&second.length_ns), "{}", second.length_ns);
    }

    #[test]
    fn each_second_has_its_own_stalls() {
        let script = Script::new(&[3_000; 4]);
        let detector = Detector::new(&script, 1_000);
        let mut second = Second::new();
        let mut total = Stalls::new();
        let mut counts = Vec::new();
        for _ in 0..3 {
            second.clear();
            // 200 turns and their two gaps.
            detector.watch(&mut second, 9_900, &GO_ON);
            counts.push(second.stalls.count());
            total.add(&second.stalls);
        }
        assert_eq!(counts, [2, 2, 0]);
        assert_eq!((total.count(), total.lost_ns()), (4, 12_000));
    }

    #[test]
    fn a_stall_across_the_end_belongs_to_the_second_and_a_stop_ends_it() {
        let script = Script::new(&[5_000_000_000]);
        let detector = Detector::new(&script, 1_000);
        let mut second = Second::new();
        detector.watch(&mut second, 1_000_000_000, &GO_ON);
        assert_eq!(second.stalls.worst_ns(), 5_000_000_000);
        assert!(second.length_ns > 5_000_000_000);
        second.clear();
        detector.watch(&mut second, 1_000_000_000, &AtomicBool::new(true));
        assert_eq!((second.length_ns, second.turns.len()), (0, 0));
    }
}
