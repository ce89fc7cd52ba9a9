//! State of a partition: keys that were seen (`dedup`) and windows that are open (`window`).
//!
//! One store a step and partition, owned by one thread. It is pure: records and times go in, and
//! what is to be done, to be emitted and to be written comes out. It knows no topic, no clock and
//! no thread. Who uses it writes the changes, commits, and tells it so.
//!
//! # A commit
//!
//! 1. Every record before the commit's position is settled, and every result of them acknowledged
//!    (under exactly once: handed to the same transaction). `begin_commit(position)` takes place
//!    there, between two records, and gives the [`Mark`] for the commit's metadata.
//! 2. `next_change` gives what has changed, entry by entry, until there is no more. A change
//!    goes to the compacted topic of the state. Meanwhile no record is taken.
//! 3. At least once: when the changes are acknowledged the position is committed, with the mark.
//!    Exactly once: changes, position and mark are part of the transaction.
//! 4. Records are taken again from the end of step 2 on; `committed` says that step 3 succeeded.
//!    If it cannot, `roll_back` leads to the last commit that did, and its position comes next.
//!
//! A restart reads the topic into `restore`, then `start`s from the committed position and mark.
//!
//! # Why nothing counts twice, and nothing is lost
//!
//! Exactly once: entries, position, mark and results are one, so a restart goes on where the last
//! transaction ended, and what came after it never was.
//!
//! At least once a crash may fall between steps 2 and 3, and then any part of the changes is in the
//! topic while the position is an older one. Let an entry carry the offset *o* up to which it
//! counts, and be written by a commit whose position is after *o*.
//!
//! - A replayed record at or below *o* is not counted in that entry again: it was settled before
//!   the entry was written, and what it did is in it. This holds for each entry by itself, so it
//!   does not matter which of them were written. One key's windows are one entry, for that reason:
//!   a session that took in another is never read back beside it.
//! - A record that no entry covers is counted, now as then; its results may come again.
//! - What the position's commit knew and an entry does not is told by the mark: the watermark, or
//!   the time that periods count from. Both grow with the records that come, so a replay finds
//!   them again; an entry adds the watermark at which it was written, so that a window it had
//!   closed stays closed although a lookup or a filter before it may decide otherwise this time.
//! - What did not come from records, the watermark of an idle partition, is committed before it
//!   has an effect.
//! - A result that a closed window gave was acknowledged before the entry without that window was
//!   written (step 1).
//!
//! Where a bound refuses keys (`max_keys`), a replayed record that was refused may find room, and
//! one that found room be refused, because keys that come later have it already.
//!
//! A step whose records an earlier one with state lets through does not see the same ones again:
//! what that step knows may be written where this one's changes are not. So changes are written
//! from the last step to the first, in order, and each but the first ends with how far it is
//! complete (`complete_to`): what comes again from before that is in it, whatever it is.
//!
//! One thing is asked of the topic: that what an owner wrote arrives before the next owner reads.
//! Exactly once, its transaction is fenced. At least once, a process that is held still in the
//! middle of writing and goes on after another has read may leave an entry behind a younger one.
//! `restore` keeps the one that counts further as long as the topic has both.
//!
//! # When an entry may go
//!
//! A key without windows, or whose period is over, is not deleted at once: a tombstone that came
//! before the position would let the replay of older records make the key anew. It is written as
//! it is, empty or over, with its offset. Once a commit is confirmed from which a restart would
//! decide the same without the entry (its position is past the offset, and its mark says by itself
//! that the windows are closed, or the period over), the next commit writes the tombstone; and
//! memory lets go of it when that one is confirmed.

mod aggregate;
mod blocks;
pub mod dedup;
mod index;
mod input;
pub mod window;

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

pub use self::{aggregate::Aggregate, input::Input};

/// Of the entries' form: it goes up when that changes.
const FORM: u32 = 1;

/// How far a partition's time had come, for the metadata of a commit: milliseconds since the epoch.
/// As text it is a decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(i64);

impl Mark {
    /// Before the first record.
    pub const NONE: Mark = Mark(i64::MIN);

    /// From what `millis` gave.
    pub fn of(millis: i64) -> Mark {
        Mark(millis)
    }

    /// Milliseconds since the epoch.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Reads what `Display` wrote; `None` if it is something else.
    pub fn parse(text: &str) -> Option<Mark> {
        text.parse().ok().map(Mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An entry of a step's state to be written, lent until the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// What it is kept under, among the entries of that step.
    pub key: &'a [u8],
    /// What is to be written; `None` deletes it.
    pub value: Option<&'a [u8]>,
    /// The offset up to which it counts; past the commit's position only if it was restored so.
    pub counts_to: i64,
}

/// Why an entry could not be put back; worded to follow the entry's place and a colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Its key has another form.
    #[error("its key is not of the form that this step writes; --reset-state begins anew")]
    Key,
    /// Its value has another form.
    #[error("its value is not of the form that this step writes; --reset-state begins anew")]
    Value,
    /// There are more entries than the step can have.
    #[error("there are more than {0} keys, which is all that max_keys leaves room for; raise it")]
    TooMany(usize),
}

/// What a step's state depends on, as sixteen hexadecimal digits: state that was made under one
/// hash means nothing under another. The parts are its kind, sizes, the text of its expressions;
/// their order counts, and where one ends and the next begins.
pub fn configuration_hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> [u8; 16] {
    let mut text = Vec::new();
    text.extend_from_slice(&FORM.to_le_bytes());
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_le_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    let mut digits = [0; 16];
    let hash = format!("{:016x}", xxh3_64(&text));
    digits.copy_from_slice(hash.as_bytes());
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_as_it_was_written() {
        for mark in [Mark::NONE, Mark(0), Mark(-5), Mark(i64::MAX)] {
            assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
        assert_eq!(Mark::parse("12 "), None);
        assert_eq!(Mark::parse(""), None);
    }

    #[test]
    fn a_configuration_is_known_by_its_parts_and_their_borders() {
        let hash = |parts: &[&str]| configuration_hash(parts.iter().copied());
        let of = hash(&["tumbling", "1m", "event.key"]);
        assert!(of.iter().all(u8::is_ascii_hexdigit));
        assert_eq!(of, hash(&["tumbling", "1m", "event.key"]));
        for other in [&["tumbling", "1m", "event.id"][..], &["tumbling1m", "event.key"], &[]] {
            assert_ne!(of, hash(other));
        }
    }
}
