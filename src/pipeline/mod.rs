//! Steps over a record: pure, record and time in, verdict and results out.

pub mod results;

pub use results::Results;

use crate::verdict::Verdict;

/// A point in the processing of a record at which a stage ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The JSON is read.
    Parsed,
    /// All steps are done.
    Operated,
}

/// What became of a record, and when it came into being.
#[derive(Clone, Copy, Debug)]
pub struct Processed {
    /// The outcome.
    pub verdict: Verdict,
    /// Nanoseconds since the epoch; `None` if the origin is absent or of no use.
    pub origin_ns: Option<i64>,
}
