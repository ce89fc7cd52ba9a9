//! All that was measured between two points in time, handed over as one.

use crate::{
    clock::Ticks,
    measure::{Counters, Histograms, RegimeTicks, Span, Stage},
};

/// Histograms, counters and regimes of a stretch of time.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Latencies by span.
    pub histograms: Histograms,
    /// Sums.
    pub counters: Counters,
    /// Time by regime.
    pub regimes: RegimeTicks,
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
            counters: Counters::ZERO,
            regimes: RegimeTicks::default(),
            start: Ticks(0),
            end: Ticks(0),
        }
    }

    /// Adds a later one, which makes this one longer.
    pub fn add(&mut self, later: &Interval) {
        self.histograms.add(&later.histograms);
        self.counters.add(&later.counters);
        self.regimes.add(&later.regimes);
        self.end = self.end.max(later.end);
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.histograms.clear();
        self.counters.clear();
        self.regimes = RegimeTicks::default();
        (self.start, self.end) = (Ticks(0), Ticks(0));
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
