//! Latencies as Prometheus histograms: fixed buckets from 100 ns to 10 s, and the largest values of
//! the last minute, which no bucket can say.
//!
//! Bounds go 1, 2, 5 a decade. A bucket counts what a histogram's cell holds by the cell's greatest
//! value, so that nothing is told faster than it was; cells are narrower than a thousandth.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::exposition::{Exposition, Kind};
use crate::measure::{Histograms, Span, Stage};

/// How far back the largest values reach, whoever asks and how often.
const MAX_OVER: Duration = Duration::from_secs(60);

const DECADES: usize = 8;

/// Bucket bounds in nanoseconds.
const BOUNDS: [u64; 3 * DECADES + 1] = bounds();

const fn bounds() -> [u64; 3 * DECADES + 1] {
    let mut all = [0; 3 * DECADES + 1];
    let (mut index, mut unit) = (0, 100);
    while index < all.len() {
        all[index] = unit * [1, 2, 5][index % 3];
        if index % 3 == 2 {
            unit *= 10;
        }
        index += 1;
    }
    all
}

/// Of one span.
#[derive(Clone, Debug, Default)]
struct Row {
    /// Not cumulative; the last one holds what is above all bounds.
    buckets: [u64; BOUNDS.len() + 1],
    sum_ns: f64,
    /// The largest of an interval, and when that was taken in.
    maxima: VecDeque<(Instant, u64)>,
}

impl Row {
    fn add(&mut self, histogram: &hdrhistogram::Histogram<u64>, above: u64, now: Instant) {
        for cell in histogram.iter_recorded() {
            let greatest = cell.value_iterated_to();
            let bucket = BOUNDS.partition_point(|bound| *bound < greatest);
            self.buckets[bucket] += cell.count_at_value();
        }
        self.buckets[BOUNDS.len()] += above;
        self.sum_ns += histogram.mean() * histogram.len() as f64;
        self.maxima.retain(|(at, _)| now.duration_since(*at) < MAX_OVER);
        if !histogram.is_empty() {
            self.maxima.push_back((now, histogram.max()));
        }
    }

    fn max_seconds(&self, now: Instant) -> f64 {
        let recent = self.maxima.iter().filter(|(at, _)| now.duration_since(*at) < MAX_OVER);
        recent.map(|(_, nanos)| *nanos).max().unwrap_or(0) as f64 / 1e9
    }

    fn write(&self, text: &mut Exposition, labels: &[(&str, &str)]) {
        let mut count = 0;
        for (bucket, more) in self.buckets.iter().enumerate() {
            count += more;
            let bound = BOUNDS.get(bucket).map(|bound| (*bound as f64 / 1e9).to_string());
            let mut labels = labels.to_vec();
            labels.push(("le", bound.as_deref().unwrap_or("+Inf")));
            text.sample_of("_bucket", &labels, count);
        }
        text.sample_of("_sum", labels, self.sum_ns / 1e9).sample_of("_count", labels, count);
    }
}

/// Of all spans, of live records.
#[derive(Clone, Debug)]
pub(super) struct LatencyMetrics {
    rows: Vec<Row>,
}

impl Default for LatencyMetrics {
    fn default() -> LatencyMetrics {
        LatencyMetrics { rows: vec![Row::default(); Span::COUNT] }
    }
}

impl LatencyMetrics {
    /// Takes an interval in.
    pub(super) fn add(&mut self, histograms: &Histograms, now: Instant) {
        for (row, span) in self.rows.iter_mut().zip(Span::ALL) {
            row.add(histograms.of(span), histograms.above(span), now);
        }
    }

    /// All families.
    pub(super) fn write(&self, text: &mut Exposition, now: Instant) {
        let row = |span: Span| &self.rows[span.index()];
        let help = "Time of records by stage; the stages follow one another without a gap.";
        text.family(Kind::Histogram, "hotspur_stage_seconds", help);
        for stage in Stage::ALL {
            row(stage.into()).write(text, &[("stage", stage.name())]);
        }
        let totals = [
            (Span::Transit, "hotspur_transit_seconds", "From arrival to hand-over: our part."),
            (Span::EndToEnd, "hotspur_end_to_end_seconds", "From the origin to the last stage."),
            (
                Span::TransactionStall,
                "hotspur_transaction_stall_seconds",
                "Times that nothing was processed, because a transaction closed.",
            ),
            (
                Span::TransactionCommit,
                "hotspur_transaction_commit_seconds",
                "Commits of transactions.",
            ),
        ];
        for (span, name, help) in totals {
            text.family(Kind::Histogram, name, help);
            row(span).write(text, &[]);
        }
        let help = "The largest of the last 60 s.";
        let family = text.family(Kind::Gauge, "hotspur_stage_max_seconds", help);
        for stage in Stage::ALL {
            family.sample(&[("stage", stage.name())], row(stage.into()).max_seconds(now));
        }
        for (span, name) in [
            (Span::Transit, "hotspur_transit_max_seconds"),
            (Span::EndToEnd, "hotspur_end_to_end_max_seconds"),
        ] {
            text.family(Kind::Gauge, name, help).sample(&[], row(span).max_seconds(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::exposition::Format;

    fn value(text: &str, sample: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {sample} in\n{text}")).parse().unwrap()
    }

    #[test]
    fn bounds_go_one_two_five_from_100_ns_to_10_s() {
        assert_eq!(BOUNDS[..4], [100, 200, 500, 1_000]);
        assert_eq!(BOUNDS[BOUNDS.len() - 1], 10_000_000_000);
    }

    #[test]
    fn buckets_are_cumulative_and_the_largest_is_forgotten_after_a_minute() {
        let (mut metrics, start) = (LatencyMetrics::default(), Instant::now());
        let mut histograms = Histograms::new();
        for nanos in [0, 100, 101, 300, 2_000_000, 20_000_000_000, u64::MAX] {
            histograms.record(Span::Transit, nanos);
        }
        metrics.add(&histograms, start);
        let written = |now| {
            let mut text = Exposition::new(Format::Text);
            metrics.write(&mut text, now);
            text.finish()
        };
        let text = written(start);
        let bucket =
            |le: &str| value(&text, &format!("hotspur_transit_seconds_bucket{{le=\"{le}\"}}"));
        let counts = ["0.0000001", "0.0000002", "0.0000005", "0.001", "0.005", "10", "+Inf"];
        assert_eq!(counts.map(bucket), [2.0, 3.0, 4.0, 4.0, 5.0, 5.0, 7.0]);
        assert_eq!(value(&text, "hotspur_transit_seconds_count"), 7.0);
        assert!((value(&text, "hotspur_transit_seconds_sum") - 20.002).abs() < 0.02);
        let max = value(&text, "hotspur_transit_max_seconds");
        assert!((max - 20.0).abs() < 0.02, "{max}");
        assert_eq!(value(&text, "hotspur_stage_max_seconds{stage=\"parse\"}"), 0.0);
        let later = written(start + MAX_OVER);
        assert_eq!(value(&later, "hotspur_transit_max_seconds"), 0.0);
        assert_eq!(value(&later, "hotspur_transit_seconds_count"), 7.0);
    }
}
