//! Commits: which keys are written and deleted, what a restart finds, and going back.
//!
//! A slot is its own undo: what came after the last confirmed commit stands behind a mark in the
//! ring, and what is over stays in front until its deletion is confirmed.

use super::{
    super::{Change, Mark, RestoreError},
    Dedup, KeyHash, is_within, place_of,
    ring::Slot,
};
use crate::limits::STATE_DELETIONS_MAX;

const KEY_BYTES: usize = 12;
const VALUE_BYTES: usize = 16;

/// A key and a value as they are written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    key: [u8; KEY_BYTES],
    value: [u8; VALUE_BYTES],
    is_written: bool,
    counts_to: i64,
}

impl Entry {
    #[inline]
    fn of(slot: &Slot, is_written: bool) -> Entry {
        let (key, value) = (key_of(slot.hash()), value_of(slot));
        Entry { key, value, is_written, counts_to: slot.offset() }
    }
}

/// A point to which everything can go back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    position: i64,
    clock: i64,
    tail: u64,
    expired: u64,
    live: usize,
}

impl Default for Point {
    fn default() -> Point {
        Point { position: 0, clock: Mark::NONE.0, tail: 0, expired: 0, live: 0 }
    }
}

/// A commit under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draining {
    point: Point,
    /// Slots before it are written.
    written: u64,
    /// Slots before it are deleted.
    deleted: u64,
    is_drained: bool,
}

impl Dedup {
    /// Puts back an entry as `next_change` gave it; before `start`, in any order, each key's last
    /// one last. An entry that counts further than a later one stays: that one is of an owner that
    /// had lost the partition.
    ///
    /// # Errors
    ///
    /// If it is none of these, or there are too many.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RestoreError> {
        let hash = hash_of(key).ok_or(RestoreError::Key)?;
        let found = self.find(hash);
        let Some(value) = value else {
            found.into_iter().for_each(|number| self.forget(number));
            return Ok(());
        };
        let (offset, time) = entry_of(value).ok_or(RestoreError::Value)?;
        let slot = Slot::new(hash, time, offset);
        if let Some(number) = found {
            if self.ring.at(number).offset() <= offset {
                *self.ring.at_mut(number) = slot;
            }
        } else if self.tail < self.ring.capacity() as u64 {
            self.enter(hash.0[0], self.tail);
            *self.ring.at_mut(self.tail) = slot;
            self.tail += 1;
        } else {
            return Err(RestoreError::TooMany(self.ring.capacity()));
        }
        Ok(())
    }

    /// While entries are put back: the last takes its place.
    fn forget(&mut self, number: u64) {
        self.index.remove(self.ring.at(number).hash().0[0], place_of(number));
        self.tail -= 1;
        let last = *self.ring.at(self.tail);
        if self.tail != number {
            *self.ring.at_mut(number) = last;
            self.index.replace(last.hash().0[0], place_of(self.tail), place_of(number));
        }
    }

    /// Says, before `start`, that all entries are there of a commit of that position and mark,
    /// whether or not it was made: every record below is a duplicate, if it comes again.
    pub fn complete_to(&mut self, position: i64, mark: Mark) {
        if position >= self.complete.0 {
            self.complete = (position, mark);
        }
    }

    /// What a commit of that position and mark says for `complete_to`: it may be further already.
    pub fn completion(&self, position: i64, mark: Mark) -> (i64, Mark) {
        if position >= self.complete.0 { (position, mark) } else { self.complete }
    }

    /// From that position on records are offered; `mark` is the last confirmed commit's.
    pub fn start(&mut self, position: i64, mark: Mark) {
        self.index.clear();
        let slots = self.ring.first_mut(self.tail as usize);
        slots.sort_unstable_by_key(|slot| (slot.time(), slot.offset()));
        for number in 0..self.tail {
            self.enter(self.ring.at(number).hash().0[0], number);
        }
        self.live = self.tail as usize;
        (self.clock, self.last_offset) = (mark.0, position - 1);
        self.confirmed = self.point(position);
        if self.complete.0 > position {
            self.clock = self.clock.max(self.complete.1.0);
        }
    }

    fn point(&self, position: i64) -> Point {
        let (tail, expired, live) = (self.tail, self.expired, self.live);
        Point { position, clock: self.clock, tail, expired, live }
    }

    /// Room for further keys runs short until a commit is confirmed.
    pub fn wants_commit(&self) -> bool {
        let spare = (self.ring.capacity() - self.rules.max_keys) as u64;
        let is_short =
            self.expired - self.front > spare / 2 || self.superseded.len() as u64 > spare / 2;
        is_short && !self.is_stalled
    }

    /// Begins a commit of all records before that position.
    ///
    /// # Panics
    ///
    /// If a record is not settled, or another commit is under way.
    pub fn begin_commit(&mut self, position: i64) -> Mark {
        assert!(self.in_flight.is_empty(), "a commit begins when every record is settled");
        assert!(self.draining.is_none(), "one commit at a time");
        assert!(position > self.last_offset, "position {position} leaves out a record");
        let point = self.point(position);
        let written = self.confirmed.tail;
        let draining = Draining { point, written, deleted: self.front, is_drained: false };
        self.draining = Some(draining);
        Mark(self.clock)
    }

    pub(super) fn has_changes(&self) -> bool {
        self.draining.is_some_and(|it| !it.is_drained)
    }

    /// The next entry that the commit writes; `None` once there are no more. Records are offered
    /// again only then.
    pub fn next_change(&mut self) -> Option<Change<'_>> {
        let draining = self.draining.as_mut().filter(|it| !it.is_drained)?;
        while draining.written < draining.point.tail {
            let slot = self.ring.at(draining.written);
            draining.written += 1;
            if !slot.is_gone() && !slot.is_superseded() {
                self.entry = Entry::of(slot, true);
                return Some(self.last_change());
            }
        }
        self.next_deleted()
    }

    /// The change that `next_change` gave last, once more.
    pub fn last_change(&self) -> Change<'_> {
        let Entry { key, value, is_written, counts_to } = &self.entry;
        Change { key, value: is_written.then_some(value), counts_to: *counts_to }
    }

    /// The same, once all that is new is written.
    fn next_deleted(&mut self) -> Option<Change<'_>> {
        let Point { expired, position, clock, .. } = self.confirmed;
        let end = expired.min(self.front + STATE_DELETIONS_MAX as u64);
        let draining = self.draining.as_mut()?;
        while draining.deleted < end {
            let slot = self.ring.at(draining.deleted);
            let has_entry = !slot.is_gone() && !slot.is_superseded();
            let is_passed = slot.offset() < position;
            if has_entry && (!is_passed || is_within(slot, clock, self.rules.within_ms)) {
                break;
            }
            draining.deleted += 1;
            if has_entry {
                self.entry = Entry::of(slot, false);
                return Some(self.last_change());
            }
        }
        draining.is_drained = true;
        None
    }

    /// The commit is confirmed: entries, position and mark are safe.
    ///
    /// # Panics
    ///
    /// If none was begun and drained.
    pub fn committed(&mut self) {
        let draining = self.draining.take().filter(|it| it.is_drained);
        let draining = draining.expect("a commit was begun and drained before it is confirmed");
        let is_further = draining.point.position != self.confirmed.position
            || draining.point.clock != self.confirmed.clock;
        // From the same point the same are kept.
        self.is_stalled = self.front == draining.deleted && !is_further;
        self.front = draining.deleted;
        self.confirmed = draining.point;
        let (front, tail) = (self.front, self.confirmed.tail);
        self.superseded.retain(|(before, by)| *before >= front && *by >= tail);
    }

    /// Everything is as the last confirmed commit left it, and its position's record comes next.
    pub fn roll_back(&mut self) {
        (self.draining, self.is_stalled) = (None, false);
        self.in_flight.clear();
        for number in (self.confirmed.tail..self.tail).rev() {
            if !self.ring.at(number).is_gone() {
                self.take_out(number);
            }
        }
        let Point { position, clock, tail, expired, live } = self.confirmed;
        (self.clock, self.tail, self.expired, self.live) = (clock, tail, expired, live);
        self.last_offset = position - 1;
    }
}

fn hash_of(key: &[u8]) -> Option<KeyHash> {
    let key: &[u8; KEY_BYTES] = key.try_into().ok()?;
    let part = |at| u32::from_be_bytes([key[at], key[at + 1], key[at + 2], key[at + 3]]);
    Some(KeyHash([part(0), part(4), part(8)]))
}

fn key_of(hash: KeyHash) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    for (bytes, part) in key.chunks_exact_mut(4).zip(hash.0) {
        bytes.copy_from_slice(&part.to_be_bytes());
    }
    key
}

/// Offset and time, both big-endian.
fn entry_of(value: &[u8]) -> Option<(i64, i64)> {
    let (offset, time) = value.split_first_chunk()?;
    let (offset, time) = (i64::from_be_bytes(*offset), i64::from_be_bytes(time.try_into().ok()?));
    Some((offset, time)).filter(|_| (0..1 << 61).contains(&offset))
}

fn value_of(slot: &Slot) -> [u8; VALUE_BYTES] {
    let mut value = [0; VALUE_BYTES];
    value[..8].copy_from_slice(&slot.offset().to_be_bytes());
    value[8..].copy_from_slice(&slot.time().to_be_bytes());
    value
}
