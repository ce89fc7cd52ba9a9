//! What the hot thread has to say in words, as values that are copied into a bounded queue.
//!
//! A notice is rare: a change of state, an error of a peer, a sample of what is rejected. It
//! becomes a line on the observer's thread, which also sees to it that a storm stays a few lines.

use crate::verdict::{RejectClass, Sentence, Step};

/// One thing to tell.
#[derive(Clone, Copy, Debug)]
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
    /// Nothing is taken or processed, for this cause and for others that may hold beside it.
    Paused {
        /// Why.
        cause: PauseCause,
        /// The same in words.
        text: Sentence,
    },
    /// That cause is over.
    Resumed {
        /// Which.
        cause: PauseCause,
        /// Another one that still holds.
        still: Option<PauseCause>,
    },
    /// Too many records are rejected. Samples of the class that most of them have follow.
    BreakerOpened(BreakerFacts),
    /// One of those records.
    BreakerSample(RejectSample),
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

/// Why nothing is taken or processed. Several causes can hold at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PauseCause {
    /// Somebody asked for it.
    Asked,
    /// A table is too old.
    Table,
    /// Too many records are rejected.
    Breaker,
}

impl PauseCause {
    /// All causes, in order.
    pub const ALL: [PauseCause; 3] = [PauseCause::Asked, PauseCause::Table, PauseCause::Breaker];

    /// The name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            PauseCause::Asked => "asked",
            PauseCause::Table => "table",
            PauseCause::Breaker => "breaker",
        }
    }

    /// In words, for those who need not know more.
    pub const fn text(self) -> &'static str {
        match self {
            PauseCause::Asked => "told to pause; `hotspur resume` goes on",
            PauseCause::Table => "a table is too old",
            PauseCause::Breaker => "the breaker is open; `hotspur resume` tries again",
        }
    }
}

/// What a breaker saw when it opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerFacts {
    /// The class that most of the rejected records have.
    pub class: RejectClass,
    /// How many have it.
    pub of_class: u32,
    /// How many were rejected.
    pub rejected: u32,
    /// Of so many that were settled.
    pub window: u32,
    /// The run ends; else it waits for somebody who lets it go on.
    pub stops: bool,
}

impl BreakerFacts {
    /// The share of rejected records, in percent.
    pub fn percent(&self) -> f64 {
        100.0 * f64::from(self.rejected) / f64::from(self.window)
    }
}

impl std::fmt::Display for BreakerFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let BreakerFacts { class, of_class, rejected, window, .. } = self;
        let percent = self.percent();
        write!(
            f,
            "{rejected} of the last {window} records were rejected ({percent:.1} %), {of_class} \
             of them as {class}"
        )
    }
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
