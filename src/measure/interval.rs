//! All that was measured between two points in time, handed over as one.

use crate::{
    clock::Ticks,
    measure::{Age, Counters, Histograms, RegimeTicks, SlowBook, Span, Stage},
};

/// Histograms, counters and regimes of a stretch of time.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Latencies by span.
    pub histograms: Histograms,
    /// The same of records that are older than the run.
    pub backlog: Histograms,
    /// Sums.
    pub counters: Counters,
    /// Time by regime.
    pub regimes: RegimeTicks,
    /// Slow records and stalls; of a single interval only, a sum of several keeps none.
    pub slow: SlowBook,
    /// When it began.
    pub start: Ticks,
    /// When it ended.
    pub end: Ticks,
}

impl Interval {
    /// An empty one; takes and touches all its memory.
    pub fn new() -> Interval {
        Interval {
            histograms: Histograms::new(),
            backlog: Histograms::new(),
            counters: Counters::ZERO,
            regimes: RegimeTicks::default(),
            slow: SlowBook::new(),
            start: Ticks(0),
            end: Ticks(0),
        }
    }

    /// Adds a later one, which makes this one longer.
    pub fn add(&mut self, later: &Interval) {
        self.histograms.add(&later.histograms);
        self.backlog.add(&later.backlog);
        self.counters.add(&later.counters);
        self.regimes.add(&later.regimes);
        self.end = self.end.max(later.end);
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.histograms.clear();
        self.backlog.clear();
        self.counters.clear();
        self.regimes = RegimeTicks::default();
        self.slow.clear();
        (self.start, self.end) = (Ticks(0), Ticks(0));
    }

    /// Latencies of an age.
    pub fn of(&self, age: Age) -> &Histograms {
        match age {
            Age::Live => &self.histograms,
            Age::Backlog => &self.backlog,
        }
    }

    /// Records whose origin time lay ahead of this machine's clock.
    pub fn skewed(&self) -> u64 {
        self.histograms.negative(Span::Stage(Stage::Source))
    }
}

impl Default for Interval {
    fn default() -> Interval {
        Interval::new()
    }
}
