//! Intervals of the files, whoever looks meanwhile: what is handed over early waits for the rest.

use crate::measure::Interval;

/// What was handed over before an interval of the files was complete, because somebody looked.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Its memory stays: given back, it would disturb the hot thread.
    interval: Option<Box<Interval>>,
    is_begun: bool,
}

impl Part {
    /// The interval for the files, if this one completes it.
    pub(super) fn complete<'a>(
        &'a mut self,
        last: &'a Interval,
        is_due: bool,
    ) -> Option<&'a Interval> {
        if is_due && !self.is_begun {
            return Some(last);
        }
        let part = self.interval.get_or_insert_default();
        if !self.is_begun {
            part.clear();
            part.start = last.start;
        }
        part.add(last);
        part.slow.add_all(&last.slow);
        self.is_begun = !is_due;
        is_due.then_some(&**part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Ticks,
        measure::{Span, slow::tests::record},
    };

    fn interval(from: u64, to: u64) -> Interval {
        let mut interval = Interval::new();
        (interval.start, interval.end) = (Ticks(from), Ticks(to));
        interval.histograms.record(Span::EndToEnd, to);
        interval.slow.add(record(to, to));
        interval
    }

    #[test]
    fn what_comes_early_waits_and_is_whole_with_the_rest() {
        let mut part = Part::default();
        let seen = |it: Option<&Interval>| {
            it.map(|it| (it.start.0, it.end.0, it.histograms.of(Span::EndToEnd).len()))
        };
        assert_eq!(seen(part.complete(&interval(0, 10), true)), Some((0, 10, 1)));
        for _ in 0..2 {
            assert_eq!(seen(part.complete(&interval(10, 13), false)), None);
            assert_eq!(seen(part.complete(&interval(13, 16), false)), None);
            let last = interval(16, 20);
            let whole = part.complete(&last, true);
            assert_eq!(whole.map(|it| it.slow.records().count()), Some(3));
            assert_eq!(seen(whole), Some((10, 20, 3)));
        }
        assert_eq!(seen(part.complete(&interval(20, 30), true)), Some((20, 30, 1)));
    }
}
