//! Commits: which keys are written and deleted, what a restart finds, and going back.
//!
//! A slot is its own undo: what came after the last confirmed commit stands behind a mark in the
//! ring, and what is over stays in front until its deletion is confirmed.

use std::hint::black_box;

use super::{
    super::{Change, Mark, RestoreError},
    Dedup, KeyHash,
    ring::Slot,
};
use crate::limits::STATE_DELETIONS_MAX;

/// Slots whose cells are brought near together.
const FORESEEN: u64 = 64;

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
            found.into_iter().for_each(|place| self.forget(place));
            return Ok(());
        };
        let (offset, time) = entry_of(value).ok_or(RestoreError::Value)?;
        let slot = Slot::new(hash, time, offset);
        if let Some(place) = found {
            if self.ring.in_place(place).offset() <= offset {
                *self.ring.in_place_mut(place) = slot;
            }
        } else if self.tail < self.ring.capacity() as u64 {
            self.index.insert(hash.0[0], self.ring.place(self.tail));
            *self.ring.at_mut(self.tail) = slot;
            self.tail += 1;
        } else {
            return Err(RestoreError::TooMany(self.ring.capacity()));
        }
        Ok(())
    }

    /// While entries are put back: the last takes its place.
    fn forget(&mut self, place: u32) {
        self.index.remove(self.ring.in_place(place).hash().0[0], place);
        self.tail -= 1;
        let last = *self.ring.at(self.tail);
        let from = self.ring.place(self.tail);
        if from != place {
            *self.ring.in_place_mut(place) = last;
            self.index.replace(last.hash().0[0], from, place);
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
        for place in 0..self.tail as u32 {
            self.index.insert(self.ring.in_place(place).hash().0[0], place);
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
        let mut draining = self.draining.filter(|it| !it.is_drained)?;
        let change = self.next_written(&mut draining).or_else(|| self.next_deleted(&mut draining));
        draining.is_drained = change.is_none();
        self.draining = Some(draining);
        let (slot, is_written) = change?;
        let (key, value, counts_to) = (key_of(slot.hash()), value_of(&slot), slot.offset());
        self.entry = Entry { key, value, is_written, counts_to };
        Some(self.last_change())
    }

    /// The change that `next_change` gave last, once more.
    pub fn last_change(&self) -> Change<'_> {
        let Entry { key, value, is_written, counts_to } = &self.entry;
        Change { key, value: is_written.then_some(value), counts_to: *counts_to }
    }

    fn next_written(&self, draining: &mut Draining) -> Option<(Slot, bool)> {
        while draining.written < draining.point.tail {
            let slot = self.ring.at(draining.written);
            draining.written += 1;
            if !slot.is_gone() && !slot.is_superseded() {
                return Some((*slot, true));
            }
        }
        None
    }

    fn next_deleted(&self, draining: &mut Draining) -> Option<(Slot, bool)> {
        let end = self.confirmed.expired.min(self.front + STATE_DELETIONS_MAX as u64);
        while draining.deleted < end {
            let slot = self.ring.at(draining.deleted);
            if slot.is_gone() || slot.is_superseded() {
                draining.deleted += 1;
                continue;
            }
            let is_passed = slot.offset() < self.confirmed.position;
            if !is_passed || self.is_within(slot, self.confirmed.clock) {
                return None;
            }
            draining.deleted += 1;
            return Some((*slot, false));
        }
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
        for number in self.front..draining.deleted {
            let slot = *self.ring.at(number);
            if (number - self.front).is_multiple_of(FORESEEN) {
                let behind = number..draining.deleted.min(number + FORESEEN);
                let tags = behind.map(|it| self.ring.at(it).hash().0[0]);
                black_box(tags.fold(0, |sum, tag| sum ^ self.index.peek(tag)));
            }
            if !slot.is_gone() && !slot.is_superseded() {
                self.index.remove(slot.hash().0[0], self.ring.place(number));
            }
        }
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
