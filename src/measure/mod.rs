//! What the hot thread writes about itself: stages, histograms, counters, regimes. Plain memory.

use std::fmt;

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
