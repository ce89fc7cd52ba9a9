//! What the hot thread writes about itself: stages, histograms, counters, regimes. Plain memory.
//!
//! Everything is a local field of the hot thread until an `Interval` is handed over whole, by
//! swapping it against an empty one. So recording is an addition, never an atomic operation, and
//! who reads later reads numbers that belong together. All memory is taken and touched at start.
//!
//! This knows neither records nor verdicts: classes and steps are counted by their numbers.

use std::fmt;

pub mod counters;
pub mod exchange;
pub mod histograms;
pub mod interval;
pub mod own_line;
pub mod regime;
pub mod slow;
pub mod stamps;
mod tally;

pub use counters::{Counters, Grid};
pub use exchange::{Collector, Recorder, exchange};
pub use histograms::Histograms;
pub use interval::Interval;
pub use own_line::OwnLine;
pub use regime::{Regime, RegimeClock, RegimeTicks};
pub use slow::{SlowBook, SlowRecord};
pub use stamps::Stamps;

/// A part of a record's path. Stages are contiguous: the end of one is the start of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Stage {
    /// Origin time → its response arrived in this process.
    Source,
    /// Its response arrived → polled: waiting in the client while the hot thread was elsewhere.
    Queue,
    /// Polled → its turn: waiting behind others of the same poll.
    Batch,
    /// Reading the JSON.
    Parse,
    /// The steps.
    Operate,
    /// Waiting aside.
    Held,
    /// Writing the result.
    Encode,
    /// Result written → handed over to the producer.
    Send,
    /// Handed over → acknowledged.
    Ack,
    /// Acknowledged → transaction committed.
    Commit,
}

impl Stage {
    /// All stages, in the order of a record's path.
    pub const ALL: [Stage; 10] = [
        Stage::Source,
        Stage::Queue,
        Stage::Batch,
        Stage::Parse,
        Stage::Operate,
        Stage::Held,
        Stage::Encode,
        Stage::Send,
        Stage::Ack,
        Stage::Commit,
    ];

    /// The name in tables, metrics and file tags.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Source => "source",
            Stage::Queue => "queue",
            Stage::Batch => "batch",
            Stage::Parse => "parse",
            Stage::Operate => "operate",
            Stage::Held => "held",
            Stage::Encode => "encode",
            Stage::Send => "send",
            Stage::Ack => "ack",
            Stage::Commit => "commit",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a record was made while this run was there to take it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Age {
    /// It was, or nobody knows when it was made.
    #[default]
    Live,
    /// It is older than the run: how long it lay there is not latency.
    Backlog,
}

impl Age {
    /// How many there are.
    pub const COUNT: usize = 2;

    /// Both.
    pub const ALL: [Age; Age::COUNT] = [Age::Live, Age::Backlog];

    /// What stands before a span's name in tables and file tags.
    pub const fn prefix(self) -> &'static str {
        match self {
            Age::Live => "",
            Age::Backlog => "backlog.",
        }
    }
}

/// Of which records the stages are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stages {
    /// Of each: four readings of the clock.
    #[default]
    All,
    /// Of one in `limits::SAMPLED_ONE_IN`; of the others the totals, for one reading.
    Sampled,
    /// Of none, and no totals either: to find out what measuring costs.
    Off,
}

/// What has a histogram: a stage, one of the two totals, or a part of a transaction's cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// One stage.
    Stage(Stage),
    /// Queue to send: what this engine adds.
    Transit,
    /// Origin to the last stage: the sum.
    EndToEnd,
    /// Exactly once: a transaction closes → all of it is acknowledged. Nothing is processed.
    TransactionStall,
    /// Exactly once: its commit is asked for → answered. Records are processed meanwhile.
    TransactionCommit,
}

impl Span {
    /// How many there are.
    pub const COUNT: usize = Stage::ALL.len() + 4;

    /// All spans: the stages in the order of a record's path, then the others.
    pub const ALL: [Span; Span::COUNT] = {
        let mut all = [Span::Transit; Span::COUNT];
        let mut index = 0;
        while index < Stage::ALL.len() {
            all[index] = Span::Stage(Stage::ALL[index]);
            index += 1;
        }
        all[index + 1] = Span::EndToEnd;
        all[index + 2] = Span::TransactionStall;
        all[index + 3] = Span::TransactionCommit;
        all
    };

    /// Its place in `ALL`.
    #[inline]
    pub const fn index(self) -> usize {
        match self {
            Span::Stage(stage) => stage as usize,
            Span::Transit => Stage::ALL.len(),
            Span::EndToEnd => Stage::ALL.len() + 1,
            Span::TransactionStall => Stage::ALL.len() + 2,
            Span::TransactionCommit => Stage::ALL.len() + 3,
        }
    }

    /// The name in tables, metrics and file tags.
    pub const fn name(self) -> &'static str {
        match self {
            Span::Stage(stage) => stage.name(),
            Span::Transit => "transit",
            Span::EndToEnd => "end_to_end",
            Span::TransactionStall => "transaction_stall",
            Span::TransactionCommit => "transaction_commit",
        }
    }
}

impl From<Stage> for Span {
    #[inline]
    fn from(stage: Stage) -> Span {
        Span::Stage(stage)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_stands_at_its_index() {
        for (index, span) in Span::ALL.into_iter().enumerate() {
            assert_eq!(span.index(), index, "{span}");
        }
        let names: std::collections::HashSet<_> = Span::ALL.map(Span::name).into_iter().collect();
        assert_eq!(names.len(), Span::COUNT);
    }
}
