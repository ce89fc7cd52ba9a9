//! What the hot thread has to say in words, as values that are copied into a bounded queue.
//!
//! A notice is rare: a change of state, an error of a peer, a sample of what is rejected. It
//! becomes a line on the observer's thread, which also sees to it that a storm stays a few lines.

use crate::verdict::{RejectClass, Sentence, Step};

/// One thing to tell.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "the queue's slots are taken at start, by value")]
pub enum Notice {
    /// The run went over to another state.
    State(RunState),
    /// The group gave partitions.
    Assigned {
        /// How many more.
        partitions: usize,
        /// How many are owned now.
        owned: usize,
    },
    /// The group wanted partitions back, and has them.
    Revoked {
        /// How many.
        partitions: usize,
        /// How many are owned after it.
        owned: usize,
        /// Nanoseconds from when it wanted them until they were finished, committed and released.
        took_ns: u64,
    },
    /// Partitions are gone, with what was in flight for them.
    Lost {
        /// How many.
        partitions: usize,
        /// How many are owned after it.
        owned: usize,
    },
    /// A commit failed; a later one covers it.
    CommitFailed(PeerTrouble),
    /// Something is wrong with a peer.
    Trouble(PeerTrouble),
    /// A peer answers again, after trouble that is over with it.
    Recovered(&'static str),
    /// One of the records that are being rejected.
    Rejected(RejectSample),
    /// Anything else that changes the state of the run.
    Told {
        /// The event's name in the log, such as `breaker.opened`.
        event: &'static str,
        /// In words.
        text: Sentence,
        /// True for a warning.
        alarming: bool,
    },
}

/// What a run is doing, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Records are taken.
    Running,
    /// Told to take none.
    Paused,
    /// Told to end: finishing what is in flight.
    Draining,
    /// Nothing is in flight any more.
    Drained,
}

impl RunState {
    /// The name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Paused => "paused",
            RunState::Draining => "draining",
            RunState::Drained => "drained",
        }
    }
}

/// An error of a peer, as a transport tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerTrouble {
    /// Who: `source`, `sink`, `dead_letters`.
    pub peer: &'static str,
    /// The error's name.
    pub code: &'static str,
    /// In words.
    pub text: Sentence,
    /// False if waiting will not help.
    pub heals: bool,
}

/// One rejected record, as an example of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectSample {
    /// What kind of failure.
    pub class: RejectClass,
    /// Where.
    pub step: Step,
    /// In words.
    pub reason: Sentence,
    /// The topic it came from.
    pub topic: Sentence,
    /// The partition's number in it.
    pub partition_number: i32,
    /// Its offset.
    pub offset: i64,
}
