//! One round: what it asks, what its replies answer, and what it came to.

use std::{ops::Range, time::Instant};

/// What a reply answers.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// The values of these of the asked keys.
    Values(Range<usize>),
    /// `PTTL` of that one of the asked keys.
    TimeToLive(usize),
    /// `TYPE` of a key that a page named and `MGET` did not find.
    Kind,
    /// `SCAN`.
    Page,
    /// `DBSIZE`.
    Total,
    /// `PTTL` of the prefix: is it allowed to ask for it?
    Permission,
    /// `INFO keyspace`: are there keys that expire?
    Expiring,
    /// `HELLO` or `ROLE`: is it a replica?
    Role,
    /// `PING`.
    Alive,
}

/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// A load is still running, or changes wait to be read, or nobody tells of them.
    Behind,
    /// A pass that tells of changes ended in this round; the copy is true as of that time.
    Whole(Instant),
    /// The copy is true as of that time.
    Fresh(Instant),
}

/// What the round under way has asked.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) sent: Instant,
    pub(super) keys: Vec<Vec<u8>>,
    /// So many of the keys are of a page.
    pub(super) page_keys: usize,
    /// It asked for all that was known to have changed.
    pub(super) asks_dirty: bool,
    /// It asked for all that pages have named.
    pub(super) asks_page: bool,
    pub(super) was_settling: bool,
}

impl Round {
    pub(super) fn new(now: Instant) -> Round {
        Round {
            sent: now,
            keys: Vec::new(),
            page_keys: 0,
            asks_dirty: false,
            asks_page: false,
            was_settling: false,
        }
    }
}
