//! Entries that were lent and are not acknowledged to the server: their ids, numbered by stream.
//!
//! Above, a position only grows within a partition, and a commit of a position is of all before it.
//! Entries are not like that: they are acknowledged one by one, and one that was claimed from a
//! worker that died is older than others that were lent long ago. So the source counts what it
//! lends, stream by stream, and that count is the offset; here stands which entry has which. A
//! commit of position p acknowledges the ids of the numbers below p, and a claimed entry is simply
//! a later one. Nothing above needs to know, and a restart begins to count anew: what was lent and
//! not acknowledged is on the server's list of this consumer, not in a number.

use super::entry_id::EntryId;

/// No slot.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Slot {
    id: EntryId,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Chain {
    head: u32,
    tail: u32,
    /// The number of the head, or of the next one if there is none.
    first: i64,
    /// The number of the next one.
    next: i64,
}

/// All of them, in memory that is taken at the start.
#[derive(Debug)]
pub(super) struct Unacked {
    slots: Vec<Slot>,
    free: u32,
    chains: Vec<Chain>,
    /// Ids of one stream as they were once, in order.
    snapshot: Vec<EntryId>,
}

impl Unacked {
    /// Room for that many of that many streams together.
    pub(super) fn new(streams: usize, entries_max: usize) -> Unacked {
        let next = |index: usize| if index + 1 == entries_max { NONE } else { index as u32 + 1 };
        let slot = |index| Slot { id: EntryId::ZERO, next: next(index) };
        Unacked {
            slots: (0..entries_max).map(slot).collect(),
            free: 0,
            chains: vec![Chain { head: NONE, tail: NONE, first: 0, next: 0 }; streams],
            snapshot: Vec::with_capacity(entries_max),
        }
    }

    /// True if nothing more can be lent before something is acknowledged.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.free == NONE
    }

    /// The number that the next entry of a stream gets.
    pub(super) fn next_number(&self, stream: usize) -> i64 {
        self.chains[stream].next
    }

    /// The number of the first that is not acknowledged, or of the next one.
    pub(super) fn first_number(&self, stream: usize) -> i64 {
        self.chains[stream].first
    }

    /// An entry was lent.
    ///
    /// # Panics
    ///
    /// If it is full.
    #[inline]
    pub(super) fn push(&mut self, stream: usize, id: EntryId) {
        let index = self.free;
        let slot = &mut self.slots[index as usize];
        self.free = slot.next;
        *slot = Slot { id, next: NONE };
        let chain = &mut self.chains[stream];
        chain.next += 1;
        match std::mem::replace(&mut chain.tail, index) {
            NONE => chain.head = index,
            tail => self.slots[tail as usize].next = index,
        }
    }

    /// The ids of a stream's numbers below `position`, in order.
    pub(super) fn below(&self, stream: usize, position: i64) -> impl Iterator<Item = EntryId> {
        let chain = self.chains[stream];
        let count = usize::try_from(position - chain.first).unwrap_or(0);
        let slot = |index: u32| (index != NONE).then(|| &self.slots[index as usize]);
        let chained = std::iter::successors(slot(chain.head), move |it| slot(it.next));
        chained.take(count).map(|it| it.id)
    }

    /// How many those are.
    pub(super) fn count_below(&self, stream: usize, position: i64) -> usize {
        let Chain { first, next, .. } = self.chains[stream];
        usize::try_from(position.min(next) - first).unwrap_or(0)
    }

    /// Those are acknowledged.
    pub(super) fn forget_below(&mut self, stream: usize, position: i64) {
        while self.chains[stream].first < position && self.chains[stream].head != NONE {
            let chain = &mut self.chains[stream];
            let index = chain.head;
            let slot = &mut self.slots[index as usize];
            (chain.head, chain.first) = (slot.next, chain.first + 1);
            if chain.head == NONE {
                chain.tail = NONE;
            }
            slot.next = self.free;
            self.free = index;
        }
    }

    /// The numbers from `position` on are given to others.
    pub(super) fn go_back(&mut self, stream: usize, position: i64) {
        let Chain { head, first, next, .. } = self.chains[stream];
        let (mut kept, mut last, mut index) = (position - first, NONE, head);
        while kept > 0 && index != NONE {
            (last, index, kept) = (index, self.slots[index as usize].next, kept - 1);
        }
        match last {
            NONE => self.chains[stream].head = NONE,
            last => self.slots[last as usize].next = NONE,
        }
        let chain = &mut self.chains[stream];
        chain.tail = last;
        chain.next = position.min(next);
        if last == NONE {
            chain.first = chain.next;
        }
        while index != NONE {
            let slot = &mut self.slots[index as usize];
            let behind = std::mem::replace(&mut slot.next, self.free);
            (self.free, index) = (index, behind);
        }
    }

    /// Remembers which ids of a stream are lent now, for `was_lent`.
    #[cold]
    pub(super) fn take_snapshot(&mut self, stream: usize) {
        self.snapshot.clear();
        let mut index = self.chains[stream].head;
        while index != NONE {
            let slot = self.slots[index as usize];
            self.snapshot.push(slot.id);
            index = slot.next;
        }
        self.snapshot.sort_unstable();
    }

    /// True if that entry was lent when the snapshot was taken.
    pub(super) fn was_lent(&self, id: EntryId) -> bool {
        self.snapshot.binary_search(&id).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, number: 0 }
    }

    fn below(unacked: &Unacked, stream: usize, position: i64) -> Vec<u64> {
        unacked.below(stream, position).map(|it| it.ms).collect()
    }

    #[test]
    fn a_commit_is_of_what_was_lent_before_whatever_its_id() {
        let mut unacked = Unacked::new(2, 5);
        for (stream, ms) in [(0, 10), (1, 20), (0, 11), (0, 3)] {
            unacked.push(stream, id(ms));
        }
        assert_eq!((unacked.next_number(0), unacked.next_number(1)), (3, 1));
        assert_eq!(below(&unacked, 0, 3), [10, 11, 3], "the claimed one is the last");
        assert_eq!(below(&unacked, 1, 0), [0; 0]);
        unacked.forget_below(0, 2);
        assert_eq!(below(&unacked, 0, 3), [3]);
        assert_eq!((unacked.first_number(0), unacked.first_number(1)), (2, 0));
        unacked.push(1, id(21));
        unacked.push(1, id(22));
        assert!(!unacked.is_full());
        unacked.push(0, id(12));
        assert!(unacked.is_full());
        unacked.forget_below(1, 9);
        assert_eq!((below(&unacked, 1, 9), unacked.next_number(1)), (vec![], 3));
        unacked.push(1, id(23));
        assert_eq!(below(&unacked, 1, 4), [23]);
        assert_eq!(below(&unacked, 0, 4), [3, 12]);
    }

    #[test]
    fn numbers_from_a_position_on_are_given_again() {
        let mut unacked = Unacked::new(1, 4);
        (1..=4).for_each(|ms| unacked.push(0, id(ms)));
        unacked.forget_below(0, 1);
        unacked.go_back(0, 2);
        assert_eq!((below(&unacked, 0, 9), unacked.next_number(0)), (vec![2], 2));
        unacked.push(0, id(9));
        assert_eq!(below(&unacked, 0, 3), [2, 9]);
        unacked.go_back(0, 1);
        assert_eq!((below(&unacked, 0, 9), unacked.next_number(0)), (vec![], 1));
        (1..=4).for_each(|ms| unacked.push(0, id(ms)));
        assert!(unacked.is_full());
        assert_eq!(below(&unacked, 0, 3), [1, 2]);
    }

    #[test]
    fn what_is_lent_is_known_as_of_the_snapshot() {
        let mut unacked = Unacked::new(2, 4);
        unacked.push(0, id(5));
        unacked.push(0, id(2));
        unacked.push(1, id(7));
        unacked.take_snapshot(0);
        assert!([2, 5].iter().all(|ms| unacked.was_lent(id(*ms))));
        assert!(!unacked.was_lent(id(7)));
    }
}
