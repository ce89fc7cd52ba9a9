//! Which keys were seen within a period: exact, in bounded memory taken at start.
//!
//! **What a period counts from.** The partition's own time is the largest record time that came so
//! far; it never goes back, and a replay leads to the same. A record is a duplicate of the last
//! kept record with its key if the partition's time has gone on by at most `within` since that
//! one was admitted. Duplicates do not prolong a period. Arrival plays no part, so that the result
//! does not depend on when a record is read, or how often. A record from far in the future ends
//! all periods before it.
//!
//! **Pending and seen.** The first record of a key makes it pending; it is seen once that record
//! was kept. Duplicates of a pending key wait. If the first is kept they are skipped; if it is
//! refused the oldest of them becomes the first, and is to be processed.
//!
//! **Memory.** A slot of 28 bytes a key, an index of 14 (`index`), a sixteenth more of both for
//! keys whose period is over and whose deletion is not committed, and 48 bytes a record in flight:
//! 46 bytes a key at a million. All of it is taken by `new`; nothing grows. Where `max_keys` are
//! remembered a record with another key is refused (`state_full`): forgetting one early would let a
//! duplicate pass in silence.
//!
//! **Hashes.** A key is known by 96 bits of XXH3 under a seed. That another key has the same has a
//! chance of 2^-96 a pair: with a million keys remembered 2^-76 a record, with 2^30 keys 2^-66.
//! XXH3 is no cryptographic function: the seed, which the caller keeps with the state and out of
//! sight, is what keeps others from making two keys that collide.
//!
//! **Commits.** See the head of `state`. A key that was kept is written with its offset and time; a
//! replayed record at or below that offset is skipped, because every record before that entry was
//! settled before it was written. It is deleted once a confirmed commit's position lies past its
//! offset, and its period was over by that commit's time: a restart from there decides the same
//! without it.

mod committing;
mod ring;
mod waiting;

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use self::{
    committing::{Draining, Entry, Point},
    ring::{Ring, Slot},
    waiting::InFlight,
};
use super::{
    Mark,
    index::{Index, PLACE_MASK},
};
use crate::limits::STATE_KEYS_FORESEEN_MAX;

/// Slots beyond `max_keys`, for each so many; and at least.
const SPARE_ONE_IN: usize = 16;
const SPARE_MIN: usize = 64;

/// Periods that are found to be over with one record.
const EXPIRED_AT_ONCE: usize = 8;

/// What is remembered of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash([u32; 3]);

/// How a step removes duplicates.
#[derive(Clone, Copy, Debug)]
pub struct DedupRules {
    /// For how long a key is remembered, in milliseconds of the partition's time.
    pub within_ms: i64,
    /// So many keys at once.
    pub max_keys: usize,
    /// So many records are admitted from the oldest on that is not settled, at most.
    pub in_flight: usize,
    /// Spreads keys; the same as long as the state is kept.
    pub seed: u64,
}

/// What becomes of a record that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The first of its key: process it, then `settle`.
    Fresh,
    /// A duplicate: skip it.
    Seen,
    /// A duplicate of a record that is in flight: `settle` of that one will release it.
    Pending {
        /// That record's offset.
        of: i64,
    },
    /// As many keys are remembered as may be: refuse it (`state_full`).
    Full,
    /// Offer it again once changes are drained, records are settled, or a commit is confirmed.
    NotYet,
}

/// What became of a record that was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was emitted, held or skipped: its key is seen.
    Kept,
    /// It was rejected: its key is not seen.
    Refused,
}

/// What is to be done with a duplicate that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// Skip it: the first was kept.
    Skip,
    /// Process it as the first, then `settle` it.
    Process,
}

/// What is to be done with a record that was offered before and comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It is the first of its key: process it, then `settle`.
    Process,
    /// It waits for the first of its key.
    Wait,
    /// It was released, or known as a duplicate at once: skip it.
    Skip,
}

/// The keys of one partition.
#[derive(Debug)]
pub struct Dedup {
    rules: DedupRules,
    /// Slots that are kept for records that must not wait.
    reserve: u64,
    ring: Ring,
    index: Index,
    in_flight: InFlight,
    /// Slots that are over and lie in the ring, with the later slot of their key.
    superseded: VecDeque<(u64, u64)>,
    /// The partition's time.
    clock: i64,
    /// The offset of the last record offered.
    last_offset: i64,
    /// The oldest slot kept.
    front: u64,
    /// The oldest slot whose period is not known to be over.
    expired: u64,
    /// Where the next slot goes.
    tail: u64,
    /// Slots from `expired` that remember a key.
    live: usize,
    /// Records below that offset were settled, and the clock had come that far.
    complete: (i64, Mark),
    confirmed: Point,
    /// None of the periods that are over can be deleted before another record comes.
    is_stalled: bool,
    draining: Option<Draining>,
    /// The entry that is lent.
    entry: Entry,
    /// The tags of keys that are foreseen.
    foreseen: Vec<u32>,
}

impl Dedup {
    /// Takes all memory. Then comes `restore` for each entry, if there are any, and `start`.
    ///
    /// # Panics
    ///
    /// Without a key to remember or a record in flight, or past 2^32 of either.
    pub fn new(rules: DedupRules) -> Dedup {
        Dedup::with_reserve(rules, 0)
    }

    /// The same; `has_room` keeps room for that many keys more, for records that must not wait.
    ///
    /// # Panics
    ///
    /// As `new`.
    pub fn with_reserve(rules: DedupRules, reserve: usize) -> Dedup {
        assert!(rules.max_keys > 0 && rules.in_flight > 0, "room for a key and a record");
        let spare = (rules.max_keys / SPARE_ONE_IN).max(SPARE_MIN);
        let slots = rules.max_keys + spare + reserve;
        Dedup {
            rules,
            reserve: reserve as u64,
            ring: Ring::new(slots),
            index: Index::new(slots),
            in_flight: InFlight::new(rules.in_flight),
            superseded: VecDeque::with_capacity(spare + reserve),
            clock: Mark::NONE.0,
            last_offset: -1,
            front: 0,
            expired: 0,
            tail: 0,
            live: 0,
            complete: (0, Mark::NONE),
            confirmed: Point::default(),
            is_stalled: false,
            draining: None,
            entry: Entry::default(),
            foreseen: Vec::with_capacity(STATE_KEYS_FORESEEN_MAX),
        }
    }

    /// What a key is known by.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        let hash = xxh3_128_with_seed(key, self.rules.seed);
        KeyHash([(hash >> 96) as u32, (hash >> 64) as u32, hash as u32])
    }

    /// Keys that are remembered, those included whose period ended with the last records.
    pub fn keys(&self) -> usize {
        self.live
    }

    /// Memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let superseded = self.superseded.capacity() * size_of::<(u64, u64)>();
        let parts = self.ring.bytes() + self.index.bytes() + self.in_flight.bytes() + superseded;
        parts + self.foreseen.capacity() * size_of::<u32>() + size_of::<Dedup>()
    }

    /// A record with that key is to come: what it will look at first is asked for. Worth its while
    /// for the records of a turn: each of them would wait for memory by itself.
    #[inline]
    pub fn foresee(&mut self, hash: KeyHash) {
        if self.foreseen.len() < STATE_KEYS_FORESEEN_MAX {
            self.index.prefetch(hash.0[0]);
            self.foreseen.push(hash.0[0]);
        }
    }

    /// No more keys are foreseen before the next record is offered: all else is asked for.
    #[inline]
    pub fn approach(&mut self) {
        if let Some(last) = (self.tail - self.front).checked_sub(1) {
            for tag in &self.foreseen {
                self.index.prefetch_next(*tag);
                // A guess that is wrong leads to any slot.
                let slot = self.front + last.min(self.ahead(self.index.guess(*tag)));
                self.ring.at(slot).prefetch();
            }
        }
        self.foreseen.clear();
    }

    /// Offers the record of that offset; `time_ms` is its own, in milliseconds since the epoch.
    ///
    /// # Panics
    ///
    /// If offsets do not grow.
    #[inline]
    pub fn admit(&mut self, hash: KeyHash, time_ms: i64, offset: i64) -> Admission {
        assert!(offset > self.last_offset, "offset {offset} came after {}", self.last_offset);
        if self.has_changes() || !self.in_flight.has_room() {
            return Admission::NotYet;
        }
        self.clock = self.clock.max(time_ms);
        self.expire(EXPIRED_AT_ONCE);
        let found = self.find(hash);
        let admission = match found.map(|number| (number, *self.ring.at(number))) {
            Some((number, slot)) if slot.is_pending() => {
                self.in_flight.push_behind(slot.offset(), offset, self.clock, number);
                Admission::Pending { of: slot.offset() }
            }
            _ if offset < self.complete.0 => Admission::Seen,
            Some((_, slot)) if offset <= slot.offset() || self.is_within(&slot, self.clock) => {
                Admission::Seen
            }
            _ => self.remember(hash, offset, found),
        };
        if admission != Admission::NotYet {
            (self.last_offset, self.is_stalled) = (offset, false);
        }
        admission
    }

    /// A record of that offset was admitted and is not settled; it may wait for another.
    pub fn is_in_flight(&self, offset: i64) -> bool {
        self.in_flight.has(offset)
    }

    /// What a record is that comes once more, because it waited after it was admitted. `None` if it
    /// was not offered before.
    #[inline]
    pub fn again(&self, offset: i64) -> Option<Again> {
        if offset > self.last_offset {
            return None;
        }
        Some(match self.in_flight.is_first(offset) {
            Some(true) => Again::Process,
            Some(false) => Again::Wait,
            None => Again::Skip,
        })
    }

    /// A record with whatever key can be admitted now; else `admit` may say `NotYet`.
    #[inline]
    pub fn has_room(&self) -> bool {
        let is_full = self.tail - self.front + self.reserve >= self.ring.capacity() as u64;
        let superseded = self.superseded.len() as u64 + self.reserve;
        let is_superseded = superseded >= self.superseded.capacity() as u64;
        !is_full && !is_superseded && self.in_flight.has_room() && !self.has_changes()
    }

    /// What keys are hashed with from now on; before the first is.
    pub fn set_seed(&mut self, seed: u64) {
        self.rules.seed = seed;
    }

    /// Says what became of a record that was to be processed. `released` is told the offset of each
    /// duplicate that waited for it and is released by that.
    ///
    /// # Panics
    ///
    /// If that record is not in flight.
    pub fn settle(
        &mut self,
        offset: i64,
        outcome: Settled,
        mut released: impl FnMut(i64, Released),
    ) {
        let (first, mut next) = self.in_flight.settle(offset);
        let slot = *self.ring.at(first.slot);
        debug_assert_eq!(slot.offset(), offset);
        if outcome == Settled::Kept {
            while let Some(number) = next {
                let duplicate = self.in_flight.get(number);
                if !self.is_within(&slot, duplicate.time) {
                    break;
                }
                released(duplicate.offset, Released::Skip);
                next = self.in_flight.skip(number);
            }
        }
        match next {
            // The slot was made after the last commit: what it said is in nobody's memory.
            Some(number) => {
                let heir = self.in_flight.get(number);
                let slot = Slot::new(slot.hash(), heir.time, heir.offset).pending();
                *self.ring.at_mut(first.slot) = slot;
                self.in_flight.promote(number, first.last(), first.slot);
                released(heir.offset, Released::Process);
            }
            None if outcome == Settled::Kept => self.ring.at_mut(first.slot).settle(),
            None => self.give_up(first.slot),
        }
        self.in_flight.tidy();
    }

    #[inline]
    fn find(&self, hash: KeyHash) -> Option<u64> {
        let is_it =
            |it| self.number_of(it).is_some_and(|number| self.ring.at(number).hash() == hash);
        self.index.find(hash.0[0], is_it).and_then(|it| self.number_of(it))
    }

    /// How far behind the oldest slot the one is that the index knows by these 31 bits of its
    /// number; past all of them if it is over.
    #[inline]
    fn ahead(&self, of: u32) -> u64 {
        u64::from(of.wrapping_sub(self.front as u32) & PLACE_MASK)
    }

    #[inline]
    fn number_of(&self, of: u32) -> Option<u64> {
        let ahead = self.ahead(of);
        (ahead < self.tail - self.front).then_some(self.front + ahead)
    }

    /// Tells the index of a slot; what is over by now makes room.
    #[inline]
    pub(super) fn enter(&mut self, tag: u32, number: u64) {
        let (front, kept) = (self.front as u32, (self.tail - self.front) as u32);
        let is_over = |it: u32| it.wrapping_sub(front) & PLACE_MASK >= kept;
        self.index.insert(tag, place_of(number), is_over);
    }

    #[inline]
    fn is_within(&self, slot: &Slot, time: i64) -> bool {
        is_within(slot, time, self.rules.within_ms)
    }

    /// Makes a slot for the first record of a key; `over` is one whose period is over.
    fn remember(&mut self, hash: KeyHash, offset: i64, over: Option<u64>) -> Admission {
        if self.live >= self.rules.max_keys {
            self.expire(usize::MAX);
            if self.live >= self.rules.max_keys {
                return Admission::Full;
            }
        }
        let number = self.tail;
        let is_full = number - self.front == self.ring.capacity() as u64;
        if is_full || self.superseded.len() == self.superseded.capacity() {
            return Admission::NotYet;
        }
        self.ring.enter(number);
        match over {
            Some(over) => {
                self.index.replace(hash.0[0], place_of(over), place_of(number));
                self.ring.at_mut(over).set_superseded(true);
                self.superseded.push_back((over, number));
            }
            None => self.enter(hash.0[0], number),
        }
        *self.ring.at_mut(number) = Slot::new(hash, self.clock, offset).pending();
        self.tail += 1;
        self.live += 1;
        self.in_flight.push(offset, self.clock, number);
        Admission::Fresh
    }

    /// Its record was refused and nothing waits: the key is as before.
    fn give_up(&mut self, number: u64) {
        self.take_out(number);
        self.ring.at_mut(number).give_up();
        self.live -= 1;
    }

    /// The key of a slot that is not superseded has the slot again that it had before it.
    fn take_out(&mut self, number: u64) {
        let tag = self.ring.at(number).hash().0[0];
        match self.superseded.iter().rposition(|(_, by)| *by == number) {
            Some(at) => {
                let (before, _) = self.superseded.remove(at).expect("found there");
                self.index.replace(tag, place_of(number), place_of(before));
                self.ring.at_mut(before).set_superseded(false);
            }
            None => self.index.remove(tag, place_of(number)),
        }
    }

    /// Finds that periods are over, of so many slots at most.
    #[inline]
    fn expire(&mut self, at_most: usize) {
        for _ in 0..at_most {
            if self.expired == self.tail {
                return;
            }
            let slot = self.ring.at(self.expired);
            if !slot.is_gone() {
                if slot.is_pending() || self.is_within(slot, self.clock) {
                    return;
                }
                self.live -= 1;
            }
            self.expired += 1;
        }
    }
}

/// What the index knows a slot by.
#[inline]
fn place_of(number: u64) -> u32 {
    number as u32 & PLACE_MASK
}

#[inline]
fn is_within(slot: &Slot, time: i64, within_ms: i64) -> bool {
    time.saturating_sub(slot.time()) <= within_ms
}
