//! The duty cycle: one bounded turn after another on one thread, each returning its work count.
//!
//! A turn serves the source's group and the sink's acknowledgements, takes a batch, processes what
//! delivery hands out, and hands the results over together. Rare work (commits, publishing figures)
//! is housekeeping on a schedule of its own. Nothing here knows what a source or sink is made of.
//!
//! What this does not do: sleep (see `idle`), own a thread (see `runner`), form results.

mod aside;
mod books;
pub mod breaker;
mod checkpoint;
pub mod control;
mod duties;
pub mod idle;
mod letters;
mod meter;
mod outbox;
mod pausing;
mod phase;
mod pulse;
mod rest;
mod retry;
pub mod runner;
mod stores;
mod transaction;
mod turn;
mod waiting;

pub use self::{
    phase::{Cause, Ending, Phase},
    retry::Retry,
    stores::{Fate, Stores},
    turn::{Engine, Options},
};
use crate::{
    clock::Ticks,
    measure::Counters,
    pipeline::{Mark, Processed, Results},
    record::Record,
    verdict::{Awaited, Sentence, Step},
};

/// When a record is processed, and whether that is its last chance.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    /// The present.
    pub now: Ticks,
    /// It may wait no longer: a lookup without an answer is a miss.
    pub is_last: bool,
    /// It is only to ask for what it will need: it is processed for good later, and no state may
    /// hear of it before.
    pub is_rehearsal: bool,
}

/// What the engine does with a record: the pipeline and its tables, put together by `assemble`.
pub trait Process: Stores {
    /// Called once a turn before anything is processed.
    fn begin_turn(&mut self, now: Ticks);

    /// True while nothing may be taken or processed, because a table is too old.
    fn is_paused(&self) -> bool {
        false
    }

    /// Why, for the log.
    fn why_paused(&self) -> Sentence {
        Sentence::from("nothing is processed for now")
    }

    /// A record was taken and will be processed a little later: what that will need may be brought
    /// near meanwhile. It may be processed never, or by other bytes; so nothing is decided here.
    fn foresee(&mut self, _record: &Record<'_>) {}

    /// No more records will be foreseen before the next are processed.
    fn approach(&mut self) {}

    /// Processes one record; see `pipeline::Pipeline::process`.
    fn process(
        &mut self,
        record: &Record<'_>,
        chance: Chance,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed;

    /// Results that one record may come to.
    fn results_max(&self) -> usize {
        1
    }

    /// Adds what was counted since the last call.
    fn count(&mut self, _counters: &mut Counters) {}

    /// Changes when lookups that records wait for may have answers; constant within a turn.
    fn answered(&self) -> u64 {
        0
    }

    /// True if the lookup that a record waits for has an answer.
    fn is_answered(&self, _awaited: Awaited) -> bool {
        true
    }

    /// How long a record waits at most that first waits for that table.
    fn wait_ns(&self, _table: u16) -> u64 {
        0
    }

    /// The thread will sleep while records wait, and is to be woken by answers. True if there are
    /// some already.
    fn expect_answers(&mut self) -> bool {
        false
    }

    /// How old the answers of the oldest table may be; `None` without tables, or if nobody knows.
    fn table_age_ns(&self, _now: Ticks) -> Option<u64> {
        None
    }

    /// What a step is called in dead letters and figures.
    fn step_name(&self, step: Step) -> &str;
}
