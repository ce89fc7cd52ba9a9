//! What one rate came to, and all of them together.

use std::{path::PathBuf, time::Duration};

use hdrhistogram::Histogram;

use super::{books::Books, plan::records, ramp, stretch::Heard, verdict::Judged};
use crate::{
    loadgen::{Arrivals, LoadReport, Schedule},
    measure::{Interval, Span},
    observe::summary::grouped,
};

/// A rate is missed if more than one in this many records was handed over too late, …
const LATE_ONE_IN: u64 = 100;

/// … or if records came through at less than this part of it.
const KEPT_SHARE: f64 = 0.95;

/// One rate.
#[derive(Debug)]
pub(super) struct Level {
    /// Records per second that were asked for.
    pub(super) rate: u64,
    pub(super) length: Duration,
    /// Results come together, about so far apart: with transactions, at their commits. What a
    /// commit takes by itself is not forgiven.
    pub(super) apart: Duration,
    pub(super) hop: Heard,
    pub(super) hop_length: Duration,
    pub(super) heard: Heard,
    /// What the pipeline says, if it can be asked.
    pub(super) books: Option<Books>,
    /// The pipeline's own latencies, of one in this process.
    pub(super) spans: Vec<(Span, Histogram<u64>)>,
}

/// How it was measured.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) name: String,
    pub(super) instance: String,
    pub(super) profile: String,
    pub(super) guarantee: &'static str,
    /// The hot core of a pipeline in this process, or `none`.
    pub(super) core: Option<String>,
    pub(super) is_external: bool,
    pub(super) source: String,
    pub(super) sink: String,
    pub(super) warmup: Duration,
    pub(super) payload: String,
    pub(super) keys: u64,
}

/// All that was found.
#[derive(Debug)]
pub(super) struct Measurement {
    pub(super) about: About,
    pub(super) levels: Vec<Level>,
    pub(super) is_ramp: bool,
    /// Which level is the knee of a ramp.
    pub(super) knee: Option<usize>,
    pub(super) judged: Vec<Judged>,
    /// What limits the figures.
    pub(super) notes: Vec<String>,
    pub(super) files: Vec<PathBuf>,
}

/// Latencies between two snapshots of a pipeline's sums.
pub(super) fn between(before: &Interval, after: &Interval) -> Vec<(Span, Histogram<u64>)> {
    let added = |span: Span| {
        let mut histogram = after.histograms.of(span).clone();
        let earlier = before.histograms.of(span);
        histogram.subtract(earlier).expect("sums only grow");
        (span, histogram)
    };
    Span::ALL.map(added).to_vec()
}

impl Level {
    /// Records that were due.
    pub(super) fn count(&self) -> u64 {
        records(self.rate, self.length)
    }

    /// When the first and the last record were due, in nanoseconds since the epoch.
    pub(super) fn due(&self) -> (u64, u64) {
        let start = self.heard.start;
        (start.0, start.0 + Schedule::new(self.rate, start).due_nanos(self.count() - 1))
    }

    fn report(&self) -> &LoadReport {
        &self.heard.report
    }

    pub(super) fn arrivals(&self) -> &Arrivals {
        &self.heard.arrivals
    }

    /// Acknowledged records without a result.
    fn missing(&self) -> u64 {
        self.report().acknowledged.saturating_sub(self.arrivals().received)
    }

    /// Of these, those for which the pipeline's books give a reason.
    pub(super) fn passed_over(&self) -> u64 {
        let said = self.books.as_ref().map_or(0, Books::passed_over);
        said.min(self.missing())
    }

    pub(super) fn lost(&self) -> u64 {
        self.missing() - self.passed_over()
    }

    /// Records of others that the pipeline took meanwhile.
    pub(super) fn foreign(&self) -> u64 {
        let polled = self.books.as_ref().map_or(0, |it| it.polled);
        polled.saturating_sub(self.report().acknowledged)
    }

    /// Records per second that came through: from the first result to the last, or in the time in
    /// which they were due, whichever is longer. The first may come just before a commit and the
    /// last just after one, which makes no rate slower.
    pub(super) fn achieved(&self) -> f64 {
        let count = self.count();
        let through = (self.arrivals().received + self.passed_over()) as f64;
        let planned = count.saturating_sub(1) as f64 / self.rate as f64;
        let span = self.arrivals().span;
        let took = span.map_or(0.0, |(first, last)| (last.0 - first.0) as f64 / 1e9);
        let took = took - self.apart.as_secs_f64();
        let slower = if took > planned { planned / took } else { 1.0 };
        self.rate as f64 * through / count as f64 * if count > 1 { slower } else { 1.0 }
    }

    /// Why the rate counts as missed, if it does.
    pub(super) fn why_missed(&self) -> Option<String> {
        let (count, report) = (self.count(), self.report());
        let rate = grouped(self.rate);
        if report.sent < count {
            let (sent, all) = (grouped(report.sent), grouped(count));
            return Some(format!("{rate} a second: only {sent} of {all} could be handed over"));
        }
        if report.missed_slots * LATE_ONE_IN > count {
            let (late, all) = (grouped(report.missed_slots), grouped(count));
            return Some(format!("{rate} a second: {late} of {all} were handed over too late"));
        }
        if report.failed > 0 {
            let (failed, all) = (grouped(report.failed), grouped(count));
            return Some(format!("{rate} a second: the broker refused {failed} of {all}"));
        }
        let achieved = self.achieved();
        (achieved < KEPT_SHARE * self.rate as f64)
            .then(|| format!("{rate} a second: {} a second came through", grouped(achieved as u64)))
    }

    /// The latencies of that name.
    pub(super) fn figure(&self, name: &str, is_external: bool) -> Option<&Histogram<u64>> {
        match name {
            "received" => Some(&self.arrivals().latency),
            "end_to_end" if is_external => Some(&self.arrivals().latency),
            "hop" => Some(&self.hop.arrivals.latency),
            _ => self.spans.iter().find(|(span, _)| span.name() == name).map(|(_, it)| it),
        }
    }

    /// Nanoseconds within which 99 of 100 results were received.
    pub(super) fn p99(&self) -> u64 {
        self.arrivals().latency.value_at_quantile(0.99)
    }
}

impl Measurement {
    /// The levels for which requirements hold: up to the knee; without one the lowest.
    pub(super) fn required_levels(&self) -> &[Level] {
        match (self.is_ramp, self.knee) {
            (true, knee) => &self.levels[..knee.map_or(1, |it| it + 1)],
            (false, _) => &self.levels,
        }
    }

    /// What is not as it was asked for, a sentence each.
    pub(super) fn shortfalls(&self) -> Vec<String> {
        let missed = |level: &Level| level.why_missed().map(|it| format!("rate missed: {it}"));
        let mut sentences: Vec<String> = match (self.is_ramp, self.knee) {
            (true, Some(_)) => Vec::new(),
            (true, None) => {
                let why = ramp::why_failed(&self.levels[0], &self.levels[0]);
                let why = why.unwrap_or_default();
                vec![format!("the ramp has no knee, its lowest rate is too much: {why}")]
            }
            (false, _) => self.levels.iter().filter_map(missed).collect(),
        };
        let failed = self.judged.iter().filter(|it| !it.holds);
        sentences.extend(failed.map(|it| format!("requirement failed: {}", it.sentence())));
        sentences
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::Ticks;

    const START: u64 = 1_000_000_000;

    /// A level of a second whose records took `nanos` each; change it as needed.
    pub(in super::super) fn level(rate: u64, nanos: u64) -> Level {
        let heard = || {
            let mut arrivals = Arrivals::new();
            arrivals.latency.record_n(nanos, rate).unwrap();
            arrivals.received = rate;
            let last = (rate - 1) * 1_000_000_000 / rate;
            arrivals.span = Some((Ticks(START + nanos), Ticks(START + last + nanos)));
            let report = LoadReport { sent: rate, acknowledged: rate, ..LoadReport::default() };
            Heard { start: Ticks(START), report, arrivals }
        };
        let second = Duration::from_secs(1);
        let (hop, heard) = (heard(), heard());
        let (books, spans, apart) = (None, Vec::new(), Duration::ZERO);
        Level { rate, length: second, apart, hop, hop_length: second, heard, books, spans }
    }

    #[test]
    fn a_rate_is_kept_if_all_came_through_in_time() {
        let kept = level(1_000, 5_000);
        assert_eq!((kept.why_missed(), kept.lost()), (None, 0));
        assert!((kept.achieved() - 1_000.0).abs() < 0.001, "{}", kept.achieved());
        let mut slow = level(1_000, 5_000);
        slow.heard.arrivals.span = Some((Ticks(START), Ticks(START + 1_998_000_000)));
        assert!((slow.achieved() - 500.0).abs() < 0.001, "{}", slow.achieved());
        assert!(slow.why_missed().unwrap().contains("500 a second came through"));
        let mut grid = level(1_000, 5_000);
        grid.heard.arrivals.span = Some((Ticks(START), Ticks(START + 1_900_000_000)));
        assert!(grid.why_missed().is_some());
        grid.apart = Duration::from_secs(1);
        assert_eq!(grid.why_missed(), None);
    }

    #[test]
    fn a_rate_is_missed_if_the_generator_could_not_keep_it() {
        let mut late = level(1_000, 5_000);
        late.heard.report.missed_slots = 10;
        assert_eq!(late.why_missed(), None, "one in a hundred is allowed");
        late.heard.report.missed_slots = 11;
        assert!(late.why_missed().unwrap().contains("11 of 1,000 were handed over too late"));
        late.heard.report.sent = 999;
        assert!(late.why_missed().unwrap().contains("only 999 of 1,000"));
    }

    #[test]
    fn lost_is_what_neither_came_nor_was_passed_over() {
        let mut level = level(1_000, 5_000);
        level.heard.arrivals.received = 900;
        assert_eq!((level.lost(), level.passed_over()), (100, 0));
        let skipped = [("table_miss".to_owned(), 60)].into();
        let rejected = [("not_json".to_owned(), 20)].into();
        level.books = Some(Books { polled: 1_005, emitted: 900, skipped, rejected, held: 0 });
        assert_eq!((level.lost(), level.passed_over(), level.foreign()), (20, 80, 5));
        level.heard.arrivals.received = 1_000;
        assert_eq!((level.lost(), level.passed_over()), (0, 0));
    }

    #[test]
    fn latencies_between_two_snapshots_are_the_difference() {
        let mut before = Interval::new();
        before.histograms.record(Span::Transit, 900_000);
        let mut after = before.clone();
        (1..=100).for_each(|it| after.histograms.record(Span::Transit, it * 1_000));
        let spans = between(&before, &after);
        let (_, transit) = spans.iter().find(|(span, _)| *span == Span::Transit).unwrap();
        assert_eq!(transit.len(), 100);
        assert!(transit.max().abs_diff(100_000) < 100, "{}", transit.max());
    }
}
