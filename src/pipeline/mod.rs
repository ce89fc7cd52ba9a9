//! Steps over a record: pure, record and time in, verdict and results out.
//!
//! A record is parsed, the steps note what they add beside it, and the result's key and value are
//! written straight into the turn's arena. `Pipeline` is compiled from settings at start; nothing
//! of it allocates, locks or reads a clock once its buffers have met the largest record.
//!
//! What this does not do: know where tables come from (`Lookup` is all it sees), send anything, or
//! remember a record.

pub mod cases;
pub mod cel;
pub mod operator;
pub mod results;
pub mod stores;
pub mod trial;

mod compile;
mod compile_own;
mod compile_stateful;
mod compile_steps;
mod encode;
mod evaluate;
mod expression;
mod failure;
mod foresight;
mod hash;
mod names;
mod origin;
mod process;
mod sight;
mod stateful;
mod steps;
mod stop;
mod template;
mod work;

pub use process::{Pipeline, SINK};
pub use results::Results;

use crate::{
    cache::Value,
    verdict::{Awaited, Verdict},
};

/// The end of a stage, told to whoever takes the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The value is on the tape and every path is found.
    Parsed,
    /// All steps are done.
    Operated,
}

/// What became of a record, and when it says that it began.
#[derive(Clone, Copy, Debug)]
pub struct Processed {
    /// What was decided.
    pub verdict: Verdict,
    /// Its origin in nanoseconds since the epoch; `None` if it is absent or unusable.
    pub origin_ns: Option<i64>,
}

/// The tables, as the steps see them.
pub trait Lookup {
    /// Looks a key up in the table of that index in `Settings::tables`.
    fn lookup(&mut self, table: usize, key: &[u8]) -> Found<'_>;

    /// The turn's time, in nanoseconds since the epoch.
    fn now_ns(&self) -> i64;

    /// How old an answer of that table may be by now, in nanoseconds; `None` if nobody knows.
    fn age_ns(&self, _table: usize) -> Option<u64> {
        None
    }
}

/// What a table said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// The value.
    Hit(Value<'a>),
    /// There is no such key.
    Miss,
    /// The table is older than allowed, and the record must not be answered from it.
    Stale,
    /// Nobody knows yet: the key was asked for, and the record is to be processed again.
    Unknown(Awaited),
    /// Nobody knew in time: as a miss, but rejected records say what happened.
    Late,
}
