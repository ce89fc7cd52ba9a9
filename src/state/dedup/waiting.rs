//! Records that were admitted and are not settled: firsts, and duplicates that wait for one.
//!
//! They are kept in order of their offsets. A duplicate hangs on a chain behind the first of its
//! key, so that what becomes of the first finds them without a search.

use std::collections::VecDeque;

const NONE: u64 = u64::MAX;

/// A record in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) offset: i64,
    /// The partition's time when it was admitted.
    pub(super) time: i64,
    /// Its key's slot; good for a first alone.
    pub(super) slot: u64,
    is_settled: bool,
    /// It waits for nobody.
    is_first: bool,
    /// The next duplicate of the same key.
    next: u64,
    /// The last duplicate, known to the first.
    last: u64,
}

/// All of them.
#[derive(Debug)]
pub(super) struct InFlight {
    all: VecDeque<Waiting>,
    /// The number of the one in front.
    front: u64,
    unsettled: usize,
}

impl InFlight {
    pub(super) fn new(capacity: usize) -> InFlight {
        InFlight { all: VecDeque::with_capacity(capacity), front: 0, unsettled: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.all.capacity() * size_of::<Waiting>()
    }

    pub(super) fn has_room(&self) -> bool {
        self.all.len() < self.all.capacity()
    }

    /// Nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.unsettled == 0
    }

    pub(super) fn clear(&mut self) {
        self.front += self.all.len() as u64;
        self.all.clear();
        self.unsettled = 0;
    }

    fn at(&mut self, number: u64) -> &mut Waiting {
        &mut self.all[(number - self.front) as usize]
    }

    /// A record that is the first of its key.
    pub(super) fn push(&mut self, offset: i64, time: i64, slot: u64) -> u64 {
        let number = self.front + self.all.len() as u64;
        let (is_settled, is_first, next, last) = (false, true, NONE, NONE);
        let waiting = Waiting { offset, time, slot, is_settled, is_first, next, last };
        self.all.push_back(waiting);
        self.unsettled += 1;
        number
    }

    /// A duplicate of the record of that offset.
    pub(super) fn push_behind(&mut self, first: i64, offset: i64, time: i64, slot: u64) {
        let number = self.push(offset, time, slot);
        self.at(number).is_first = false;
        let first = self.number_of(first).expect("a pending key's record is in flight");
        let last = std::mem::replace(&mut self.at(first).last, number);
        let before = if last == NONE { first } else { last };
        self.at(before).next = number;
    }

    /// Takes the record out, and tells the first duplicate that waits for it.
    ///
    /// # Panics
    ///
    /// If no record of that offset is in flight.
    pub(super) fn settle(&mut self, offset: i64) -> (Waiting, Option<u64>) {
        let number = self.number_of(offset);
        let number = number.unwrap_or_else(|| panic!("offset {offset} was admitted, then settled"));
        let settled = *self.at(number);
        self.settle_number(number);
        (settled, Some(settled.next).filter(|it| *it != NONE))
    }

    /// Takes a duplicate out of its chain; the one behind it.
    pub(super) fn skip(&mut self, number: u64) -> Option<u64> {
        let next = self.at(number).next;
        self.settle_number(number);
        Some(next).filter(|it| *it != NONE)
    }

    pub(super) fn get(&mut self, number: u64) -> Waiting {
        *self.at(number)
    }

    /// The duplicate is the first of the chain behind it from now on; `last` ends that chain.
    pub(super) fn promote(&mut self, number: u64, last: u64, slot: u64) {
        let first = self.at(number);
        (first.slot, first.is_first) = (slot, true);
        first.last = if last == number { NONE } else { last };
    }

    fn settle_number(&mut self, number: u64) {
        self.at(number).is_settled = true;
        self.unsettled -= 1;
    }

    /// Room is made only here, so that numbers are good until everything about one is done.
    pub(super) fn tidy(&mut self) {
        while self.all.front().is_some_and(|it| it.is_settled) {
            self.all.pop_front();
            self.front += 1;
        }
    }

    pub(super) fn has(&self, offset: i64) -> bool {
        self.number_of(offset).is_some()
    }

    /// Whether the record of that offset is the first of its key; `None` if it is not in flight.
    pub(super) fn is_first(&self, offset: i64) -> Option<bool> {
        let number = self.number_of(offset)?;
        Some(self.all[(number - self.front) as usize].is_first)
    }

    fn number_of(&self, offset: i64) -> Option<u64> {
        let found = self.all.binary_search_by_key(&offset, |it| it.offset).ok()?;
        Some(self.front + found as u64).filter(|_| !self.all[found].is_settled)
    }
}

impl Waiting {
    /// The last duplicate behind this first.
    pub(super) fn last(&self) -> u64 {
        self.last
    }
}
