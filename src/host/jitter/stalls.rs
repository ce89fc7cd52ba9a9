//! Stalls of a stretch of time: counted by size, summed, and in a histogram.
//!
//! The classes are counted by themselves and not taken from the histogram, whose cells do not end
//! at round numbers. All memory is taken at the start, so that the detector may add to it.

use hdrhistogram::Histogram;

use crate::limits::{LATENCY_DIGITS, LATENCY_NS_MAX, LATENCY_NS_MIN};

/// Where classes of stalls end, in nanoseconds; the last class has no end.
pub const CLASS_BOUNDS: [u64; 13] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000,
];

const CLASSES: usize = CLASS_BOUNDS.len() + 1;

/// Stalls, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Stalls {
    /// All of them.
    pub histogram: Histogram<u64>,
    counts: [u64; CLASSES],
    lost_ns: [u64; CLASSES],
    worst_ns: u64,
}

impl Stalls {
    /// None yet; the memory is there and has been written to.
    pub fn new() -> Stalls {
        let histogram = histogram(LATENCY_NS_MAX);
        Stalls { histogram, counts: [0; CLASSES], lost_ns: [0; CLASSES], worst_ns: 0 }
    }

    /// One more. Takes no memory.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        let class = CLASS_BOUNDS.partition_point(|bound| *bound <= nanos);
        self.counts[class] += 1;
        self.lost_ns[class] += nanos;
        self.worst_ns = self.worst_ns.max(nanos);
        self.histogram.saturating_record(nanos);
    }

    /// Those of another stretch as well.
    pub fn add(&mut self, other: &Stalls) {
        for class in 0..CLASSES {
            self.counts[class] += other.counts[class];
            self.lost_ns[class] += other.lost_ns[class];
        }
        self.worst_ns = self.worst_ns.max(other.worst_ns);
        self.histogram.add(&other.histogram).expect("histograms of the same bounds");
    }

    /// Forgets all of them and keeps the memory.
    pub fn clear(&mut self) {
        self.histogram.clear();
        (self.counts, self.lost_ns) = ([0; CLASSES], [0; CLASSES]);
        self.worst_ns = 0;
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Nanoseconds of all of them.
    pub fn lost_ns(&self) -> u64 {
        self.lost_ns.iter().sum()
    }

    /// Nanoseconds of those that took so long or longer; `from_ns` is one of the bounds.
    pub fn lost_in_longer_ns(&self, from_ns: u64) -> u64 {
        let class = CLASS_BOUNDS.partition_point(|bound| *bound <= from_ns);
        self.lost_ns[class..].iter().sum()
    }

    /// The longest, exactly.
    pub fn worst_ns(&self) -> u64 {
        self.worst_ns
    }

    /// Of each class, from the shortest: where it begins and ends, count, nanoseconds lost.
    pub fn classes(&self) -> impl Iterator<Item = (u64, Option<u64>, u64, u64)> {
        (0..CLASSES).map(|class| {
            let from = class.checked_sub(1).map_or(0, |before| CLASS_BOUNDS[before]);
            let below = CLASS_BOUNDS.get(class).copied();
            (from, below, self.counts[class], self.lost_ns[class])
        })
    }
}

impl Default for Stalls {
    fn default() -> Stalls {
        Stalls::new()
    }
}

/// A histogram that never grows. Its pages are written to, so that none is missing in the loop.
pub(super) fn histogram(max_ns: u64) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(LATENCY_NS_MIN, max_ns, LATENCY_DIGITS)
        .expect("the bounds are constants that fit");
    histogram.clear();
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_counted_in_the_class_that_begins_at_its_length() {
        let mut stalls = Stalls::new();
        for nanos in [999, 1_000, 1_999, 2_000, 9_999_999, 10_000_000, 3_000_000_000] {
            stalls.record(nanos);
        }
        let found: Vec<_> = stalls.classes().filter(|(_, _, count, _)| *count > 0).collect();
        let expected = [
            (0, Some(1_000), 1, 999),
            (1_000, Some(2_000), 2, 2_999),
            (2_000, Some(5_000), 1, 2_000),
            (5_000_000, Some(10_000_000), 1, 9_999_999),
            (10_000_000, None, 2, 3_010_000_000),
        ];
        assert_eq!(found, expected);
        assert_eq!((stalls.count(), stalls.worst_ns()), (7, 3_000_000_000));
        assert_eq!(stalls.lost_ns(), 3_020_005_997);
        assert_eq!(stalls.lost_in_longer_ns(5_000_000), 3_019_999_999);
    }

    #[test]
    fn stretches_add_up_and_are_forgotten() {
        let (mut sum, mut second) = (Stalls::new(), Stalls::new());
        second.record(7_000);
        sum.add(&second);
        sum.add(&second);
        second.clear();
        assert_eq!((sum.count(), sum.lost_ns(), sum.histogram.len()), (2, 14_000, 2));
        assert_eq!((second.count(), second.worst_ns(), second.histogram.len()), (0, 0, 0));
    }
}
