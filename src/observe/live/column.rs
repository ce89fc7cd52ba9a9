//! About a second of a run, in little room: what the charts over time draw.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{Stretch, named};
use crate::{
    measure::{Interval, RegimeTicks},
    observe::{counts::Counts, curve},
};

/// One column of a chart over time.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Column {
    /// When it ended, in milliseconds since the epoch.
    at_ms: u64,
    seconds: f64,
    /// Records taken a second.
    rate: f64,
    emitted: u64,
    skipped: u64,
    rejected: u64,
    held: u64,
    saturation: f64,
    spans: BTreeMap<String, Figures>,
}

/// A span in it; times in nanoseconds.
#[derive(Clone, Debug, Serialize)]
struct Figures {
    count: u64,
    p50: u64,
    p99: u64,
    max: u64,
    /// Row and count of a heat map.
    heat: Vec<[u64; 2]>,
}

/// Intervals that are not a column yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    end: Duration,
    length: Duration,
    polled: u64,
    emitted: u64,
    skipped: u64,
    rejected: u64,
    held: u64,
    pub(super) regimes: RegimeTicks,
    pub(super) spans: BTreeMap<String, Counts>,
}

impl Pending {
    pub(super) fn length(&self) -> Duration {
        self.length
    }

    pub(super) fn add(&mut self, interval: &Interval, at: Stretch) {
        let counters = &interval.counters;
        self.end = at.end;
        self.length += at.length;
        self.polled += counters.polled;
        self.emitted += counters.emitted;
        self.skipped += counters.skipped.total();
        self.rejected += counters.rejected.total();
        self.held += counters.held.total();
        self.regimes.add(&interval.regimes);
        for (name, _, counts) in named(interval) {
            self.spans.entry(name).or_default().add(&counts);
        }
    }

    pub(super) fn column(&self) -> Column {
        let figures = |counts: &Counts| {
            let [p50, p99] = counts.quantiles([0.5, 0.99]);
            Figures { count: counts.len(), p50, p99, max: counts.max(), heat: curve::heat(counts) }
        };
        let seconds = self.length.as_secs_f64();
        Column {
            at_ms: self.end.as_millis() as u64,
            seconds,
            rate: self.polled as f64 / seconds,
            emitted: self.emitted,
            skipped: self.skipped,
            rejected: self.rejected,
            held: self.held,
            saturation: self.regimes.saturation(),
            spans: self.spans.iter().map(|(name, it)| (name.clone(), figures(it))).collect(),
        }
    }
}
