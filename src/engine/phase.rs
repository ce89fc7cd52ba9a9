//! Where a run stands, and how it ended.

use super::breaker::Opened;
use crate::{clock::Ticks, transport::Trouble};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Taking records.
    Running,
    /// Finishing what is in flight, until the deadline.
    Draining {
        /// When to give up.
        deadline: Ticks,
        /// Why.
        cause: Cause,
    },
    /// Nothing more will happen.
    Ended(Ending),
}

/// Why a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation on the hot thread")]
pub enum Cause {
    /// Somebody asked.
    Asked,
    /// Something that waiting does not heal.
    Failed(Trouble),
    /// Too many records were rejected.
    Breaker(Opened),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub cause: Cause,
    /// Records taken that were not settled, or not committed, in time: they will come again.
    pub unfinished: usize,
}
