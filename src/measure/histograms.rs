//! One HDR histogram a span, of fixed bounds, so that recording never allocates.
//!
//! A value that does not fit is counted apart, never clamped: one past an hour stands in no
//! histogram, one below a nanosecond (two stamps of one tick) stands at the histogram's exact zero
//! and is counted as well, and a negative one (a clock elsewhere runs ahead) only as negative.

use hdrhistogram::Histogram;

use crate::{
    limits::{LATENCY_DIGITS, LATENCY_NS_MAX, LATENCY_NS_MIN},
    measure::Span,
};

/// Values in nanoseconds, by span.
#[derive(Clone, Debug)]
pub struct Histograms {
    spans: [Histogram<u64>; Span::COUNT],
    below: [u64; Span::COUNT],
    above: [u64; Span::COUNT],
    negative: [u64; Span::COUNT],
}

impl Histograms {
    /// Takes all memory and touches it, so that no page is missing when the first value comes.
    ///
    /// # Panics
    ///
    /// If the bounds in `limits` are none that a histogram can have.
    pub fn new() -> Histograms {
        let empty = |_| {
            Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, LATENCY_DIGITS)
                .expect("the bounds of a latency in limits.rs must fit a histogram")
        };
        let mut histograms = Histograms {
            spans: std::array::from_fn(empty),
            below: [0; Span::COUNT],
            above: [0; Span::COUNT],
            negative: [0; Span::COUNT],
        };
        // Fresh zeroed memory is not there before it is written, and a compiler that sees through
        // this would leave the second zeroing out.
        std::hint::black_box(&mut histograms).clear();
        histograms
    }

    /// Adds one value.
    pub fn record(&mut self, span: Span, nanos: u64) {
        self.record_n(span, nanos, 1);
    }

    /// Adds the same value that many times.
    pub fn record_n(&mut self, span: Span, nanos: u64, count: u64) {
        let index = span.index();
        if nanos > LATENCY_NS_MAX || self.spans[index].record_n(nanos, count).is_err() {
            self.above[index] += count;
        } else if nanos < LATENCY_NS_MIN {
            self.below[index] += count;
        }
    }

    /// Counts values that stand in no histogram: past an hour, and negative ones.
    pub fn count_outside(&mut self, span: Span, above: u64, negative: u64) {
        self.above[span.index()] += above;
        self.negative[span.index()] += negative;
    }

    /// Adds one value that another machine's clock can have made negative.
    pub fn record_signed(&mut self, span: Span, nanos: i64) {
        match u64::try_from(nanos) {
            Ok(nanos) => self.record(span, nanos),
            Err(_) => self.negative[span.index()] += 1,
        }
    }

    /// The histogram of a span, in nanoseconds.
    pub fn of(&self, span: Span) -> &Histogram<u64> {
        &self.spans[span.index()]
    }

    /// Values below one nanosecond; they stand in the histogram as 0.
    pub fn below(&self, span: Span) -> u64 {
        self.below[span.index()]
    }

    /// Values above one hour; they stand in no histogram.
    pub fn above(&self, span: Span) -> u64 {
        self.above[span.index()]
    }

    /// Negative values; they stand in no histogram.
    pub fn negative(&self, span: Span) -> u64 {
        self.negative[span.index()]
    }

    /// Adds all that another set counted.
    pub fn add(&mut self, other: &Histograms) {
        for (mine, theirs) in self.spans.iter_mut().zip(&other.spans) {
            mine.add(theirs).expect("histograms of one process must have the same bounds");
        }
        let pairs = [
            (&mut self.below, &other.below),
            (&mut self.above, &other.above),
            (&mut self.negative, &other.negative),
        ];
        for (mine, theirs) in pairs {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
    }

    /// Forgets all values, keeps the memory.
    pub fn clear(&mut self) {
        self.spans.iter_mut().for_each(Histogram::reset);
        self.below.fill(0);
        self.above.fill(0);
        self.negative.fill(0);
    }
}

impl Default for Histograms {
    fn default() -> Histograms {
        Histograms::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Stage;

    const PARSE: Span = Span::Stage(Stage::Parse);

    #[test]
    fn values_outside_are_counted_apart_and_never_clamped() {
        let mut histograms = Histograms::new();
        for nanos in [0, 1, LATENCY_NS_MAX, LATENCY_NS_MAX + 1, u64::MAX] {
            histograms.record(PARSE, nanos);
        }
        assert_eq!(histograms.of(PARSE).len(), 3);
        assert_eq!(histograms.of(PARSE).count_at(0), 1);
        assert_eq!((histograms.below(PARSE), histograms.above(PARSE)), (1, 2));
        assert!(histograms.of(PARSE).max() >= LATENCY_NS_MAX);
        assert_eq!(histograms.of(Span::Transit).len(), 0);
    }

    #[test]
    fn a_negative_value_is_skew_and_nothing_else() {
        let mut histograms = Histograms::new();
        histograms.record_signed(Span::EndToEnd, -1);
        histograms.record_signed(Span::EndToEnd, i64::MIN);
        histograms.record_signed(Span::EndToEnd, 1_500);
        assert_eq!(histograms.negative(Span::EndToEnd), 2);
        assert_eq!(histograms.of(Span::EndToEnd).len(), 1);
        assert_eq!(histograms.below(Span::EndToEnd), 0);
    }

    #[test]
    fn added_sets_are_as_if_recorded_in_one() {
        let (mut left, mut right, mut whole) =
            (Histograms::new(), Histograms::new(), Histograms::new());
        for value in (0..5_000_u64).map(|it| it * it * 31) {
            let half = if value % 2 == 0 { &mut left } else { &mut right };
            half.record(Span::Transit, value);
            whole.record(Span::Transit, value);
        }
        left.record(PARSE, u64::MAX);
        whole.record(PARSE, u64::MAX);
        let mut sum = Histograms::new();
        sum.add(&left);
        sum.add(&right);
        assert_eq!(sum.of(Span::Transit), whole.of(Span::Transit));
        assert_eq!(sum.above(PARSE), 1);
        assert_eq!(sum.below(Span::Transit), whole.below(Span::Transit));
        sum.clear();
        assert!(sum.of(Span::Transit).is_empty() && sum.above(PARSE) == 0);
        assert_eq!(sum.of(Span::Transit).max(), 0);
    }
}
