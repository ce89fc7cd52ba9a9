//! One reading of everything under the prefix: where it is, and what it has found.
//!
//! A pass is a load, as long as the copy is not whole; or it compares a whole copy with its source,
//! in the background and page by page, or as fast as it can where only passes tell of changes.

use std::{
    mem,
    time::{Duration, Instant},
};

use ::redis::Value;

use super::{link::bytes, prefix::Prefix};

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The copy is not whole.
    Load,
    /// Changes are learned by passes.
    Poll,
    /// Changes are told; it finds what was not.
    Verify,
}

/// Where a pass is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Pages are being read; the cursor of the next.
    Scanning(Vec<u8>),
    /// All pages are known, and the last is yet to be read.
    Settling,
}

/// One pass.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) purpose: Purpose,
    stage: Stage,
    /// When its first command was sent.
    pub(super) began: Option<Instant>,
    /// No page before that time.
    pub(super) next_page: Option<Instant>,
    /// Keys of the last page, not yet read.
    page: Vec<Vec<u8>>,
    /// Keys of a page that were not found: gone since, or of another type.
    suspects: Vec<Vec<u8>>,
    /// The database has keys that expire, or may have.
    pub(super) asks_time_to_live: bool,
    /// Keys in the whole database, once known.
    pub(super) total: Option<u64>,
    pub(super) found: Found,
}

/// What a pass has found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Keys read.
    pub(super) keys: u64,
    /// Keys of other types.
    pub(super) foreign: u64,
    /// Values that are not what they should be.
    pub(super) malformed: u64,
    /// The key of one of them.
    pub(super) example: Option<Vec<u8>>,
}

/// A pass that has ended.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    pub(super) purpose: Purpose,
    pub(super) took: Duration,
    pub(super) found: Found,
}

impl Pass {
    pub(super) fn new(purpose: Purpose) -> Pass {
        Pass {
            purpose,
            stage: Stage::Scanning(b"0".to_vec()),
            began: None,
            next_page: None,
            page: Vec::new(),
            suspects: Vec::new(),
            asks_time_to_live: true,
            total: None,
            found: Found::default(),
        }
    }

    /// The cursor of the page to ask for now, if it is time for one.
    pub(super) fn cursor(&self, now: Instant) -> Option<&[u8]> {
        match &self.stage {
            Stage::Scanning(cursor) if self.page.is_empty() => {
                Some(cursor.as_slice()).filter(|_| self.next_page.is_none_or(|time| time <= now))
            }
            _ => None,
        }
    }

    /// Moves keys of the page to the keys to be read, at most so many.
    pub(super) fn take_keys(&mut self, room: usize, keys: &mut Vec<Vec<u8>>) {
        let rest = self.page.len().saturating_sub(room);
        keys.extend(self.page.drain(rest..));
    }

    /// Notes a page; `None` if it makes no sense.
    pub(super) fn note_page(&mut self, reply: Value, prefix: &Prefix) -> Option<()> {
        let Value::Array(parts) = reply else { return None };
        let [cursor, Value::Array(keys)] = <[Value; 2]>::try_from(parts).ok()? else { return None };
        let cursor = bytes(cursor)?;
        let under_prefix = |key: &Vec<u8>| prefix.strip(key).is_some();
        self.page.extend(keys.into_iter().filter_map(bytes).filter(under_prefix));
        self.stage = match &*cursor {
            b"0" => Stage::Settling,
            _ => Stage::Scanning(cursor),
        };
        Some(())
    }

    /// A key of a page was not found, but may be of another type.
    pub(super) fn suspect(&mut self, key: &[u8]) {
        self.suspects.push(key.to_vec());
    }

    pub(super) fn take_suspects(&mut self) -> Vec<Vec<u8>> {
        mem::take(&mut self.suspects)
    }

    /// A value is not what it should be.
    pub(super) fn note_malformed(&mut self, key: &[u8]) {
        self.found.malformed += 1;
        self.found.example.get_or_insert_with(|| key.to_vec());
    }

    /// All pages are known.
    pub(super) fn is_settling(&self) -> bool {
        self.stage == Stage::Settling
    }

    /// Keys of a page wait to be read.
    pub(super) fn has_keys(&self) -> bool {
        !self.page.is_empty()
    }

    pub(super) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }
}
