//! Which partitions are ours, and how far along: the book that a source keeps about its group.
//!
//! A topic's partition keeps its number for as long as there are numbers to spare, so that a
//! partition that leaves and comes back is the same one to whoever counts. Memory is taken at
//! start; a rebalance allocates nothing here.

use std::collections::HashMap;

use crate::{limits::PARTITIONS_MAX, record::PartitionId};

/// How far along a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not ours: its records are dropped.
    Free,
    /// Given to us, its first offset not settled yet, or its state not there: its records wait.
    Starting,
    /// Ours, and announced.
    Owned,
    /// As that, but the broker does not have its position: records wait until it has another.
    Stranded,
    /// The group wants it back, and it is being finished: its records are dropped.
    Revoked,
}

/// A topic by its index among the source's topics, and a partition of it.
pub(super) type Place = (u16, i32);

#[derive(Clone, Copy, Debug)]
struct Slot {
    place: Place,
    state: State,
    /// The offset after the last record that was lent, or where the partition begins.
    position: i64,
    /// Which entry of the list of commits is this partition's.
    commit_entry: Option<u32>,
}

/// All partitions that this source has had to do with.
#[derive(Debug)]
pub(super) struct Assignment {
    slots: Vec<Slot>,
    by_place: HashMap<Place, PartitionId, foldhash::fast::FixedState>,
}

impl Assignment {
    pub(super) fn new() -> Assignment {
        let hasher = foldhash::fast::FixedState::default();
        Assignment {
            slots: Vec::with_capacity(PARTITIONS_MAX),
            // Twice what can be in it: replaced places then never make it grow.
            by_place: HashMap::with_capacity_and_hasher(2 * PARTITIONS_MAX, hasher),
        }
    }

    /// The partition's number, if it has one.
    pub(super) fn find(&self, place: Place) -> Option<PartitionId> {
        self.by_place.get(&place).copied()
    }

    pub(super) fn state(&self, partition: PartitionId) -> State {
        self.slots[usize::from(partition.0)].state
    }

    /// All partitions that have a number.
    pub(super) fn states(&self) -> impl Iterator<Item = (PartitionId, State)> + '_ {
        (0..).zip(&self.slots).map(|(number, slot)| (PartitionId(number), slot.state))
    }

    pub(super) fn place(&self, partition: PartitionId) -> Place {
        self.slots[usize::from(partition.0)].place
    }

    /// The partition was given to us. `None` if there are more than this program can hold.
    pub(super) fn begin(&mut self, place: Place) -> Option<PartitionId> {
        let partition = match self.find(place) {
            Some(partition) => partition,
            None => self.new_number(place)?,
        };
        let slot = self.slot(partition);
        if slot.state == State::Free {
            slot.state = State::Starting;
        }
        Some(partition)
    }

    fn new_number(&mut self, place: Place) -> Option<PartitionId> {
        let slot = Slot { place, state: State::Free, position: 0, commit_entry: None };
        let partition = if self.slots.len() < PARTITIONS_MAX {
            self.slots.push(slot);
            PartitionId(self.slots.len() as u16 - 1)
        } else {
            let free = self.slots.iter().position(|it| it.state == State::Free)?;
            self.by_place.remove(&self.slots[free].place);
            self.slots[free] = slot;
            PartitionId(free as u16)
        };
        self.by_place.insert(place, partition);
        Some(partition)
    }

    /// Its first offset is settled. Returns its number if it is still ours to announce.
    pub(super) fn start(&mut self, place: Place, position: i64) -> Option<PartitionId> {
        self.change(place, State::Starting, State::Owned, Some(position))
    }

    /// The broker does not have its position. Returns that, if the partition is ours to be read.
    pub(super) fn strand(&mut self, place: Place) -> Option<i64> {
        let partition = self.change(place, State::Owned, State::Stranded, None)?;
        Some(self.position(partition))
    }

    /// It has a position that the broker has. Returns its number if it is still ours.
    pub(super) fn resume(&mut self, place: Place, position: i64) -> Option<PartitionId> {
        self.change(place, State::Stranded, State::Owned, Some(position))
    }

    fn change(
        &mut self,
        place: Place,
        from: State,
        to: State,
        position: Option<i64>,
    ) -> Option<PartitionId> {
        let partition = self.find(place)?;
        let slot = self.slot(partition);
        (slot.state == from).then(|| {
            slot.state = to;
            slot.position = position.unwrap_or(slot.position);
            partition
        })
    }

    /// The offset after the last record that was lent.
    #[inline]
    pub(super) fn position(&self, partition: PartitionId) -> i64 {
        self.slots[usize::from(partition.0)].position
    }

    /// A record was lent.
    #[inline]
    pub(super) fn pass(&mut self, partition: PartitionId, offset: i64) {
        self.slot(partition).position = offset + 1;
    }

    /// What was lent of it from that offset on comes again.
    pub(super) fn go_back(&mut self, partition: PartitionId, position: i64) {
        self.slot(partition).position = position;
    }

    /// True if it was announced, and neither given back nor lost.
    pub(super) fn is_announced(&self, partition: PartitionId) -> bool {
        matches!(self.state(partition), State::Owned | State::Stranded | State::Revoked)
    }

    /// The group takes it back. Returns its number if whoever was told of it must be told now; one
    /// that is lost while it is being finished needs finishing no more.
    pub(super) fn revoke(&mut self, place: Place, is_lost: bool) -> Option<PartitionId> {
        let partition = self.find(place)?;
        let before = self.state(partition);
        let (after, is_news) = match before {
            State::Owned | State::Stranded if !is_lost => (State::Revoked, true),
            State::Revoked if !is_lost => (State::Revoked, false),
            State::Owned | State::Stranded | State::Revoked => (State::Free, true),
            State::Starting | State::Free => (State::Free, false),
        };
        self.slot(partition).state = after;
        is_news.then_some(partition)
    }

    /// True if it was given to us and not taken back.
    pub(super) fn is_ours(&self, place: Place) -> bool {
        self.find(place).is_some_and(|it| self.state(it) != State::Free)
    }

    /// True while it is being finished.
    pub(super) fn is_revoked(&self, place: Place) -> bool {
        self.find(place).is_some_and(|it| self.state(it) == State::Revoked)
    }

    /// It has been finished.
    pub(super) fn release(&mut self, partition: PartitionId) {
        let slot = self.slot(partition);
        if slot.state == State::Revoked {
            slot.state = State::Free;
        }
    }

    pub(super) fn commit_entry(&self, partition: PartitionId) -> Option<u32> {
        self.slots[usize::from(partition.0)].commit_entry
    }

    pub(super) fn set_commit_entry(&mut self, partition: PartitionId, entry: u32) {
        self.slot(partition).commit_entry = Some(entry);
    }

    fn slot(&mut self, partition: PartitionId) -> &mut Slot {
        &mut self.slots[usize::from(partition.0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_goes_through_its_states_and_keeps_its_number() {
        let mut book = Assignment::new();
        let first = book.begin((0, 3)).unwrap();
        assert_eq!((first, book.state(first)), (PartitionId(0), State::Starting));
        assert!(book.is_ours((0, 3)) && !book.is_ours((1, 3)));
        assert_eq!(book.start((0, 3), 0), Some(first));
        assert_eq!(book.start((0, 3), 0), None, "announced once");
        assert_eq!(book.revoke((0, 3), false), Some(first));
        assert_eq!(book.state(first), State::Revoked);
        book.release(first);
        assert_eq!(book.state(first), State::Free);
        assert_eq!(book.begin((1, 3)), Some(PartitionId(1)));
        assert_eq!(book.begin((0, 3)), Some(first));
        assert_eq!(book.place(first), (0, 3));
    }

    #[test]
    fn one_that_was_never_announced_is_taken_back_in_silence() {
        let mut book = Assignment::new();
        let partition = book.begin((0, 0)).unwrap();
        assert_eq!(book.revoke((0, 0), false), None);
        assert_eq!(book.state(partition), State::Free);
        assert_eq!(book.start((0, 0), 0), None, "the late answer starts nothing");
    }

    #[test]
    fn a_lost_one_needs_no_release() {
        let mut book = Assignment::new();
        let partition = book.begin((0, 0)).unwrap();
        book.start((0, 0), 0);
        assert_eq!(book.revoke((0, 0), true), Some(partition));
        assert_eq!(book.state(partition), State::Free);
        assert_eq!(book.revoke((0, 0), true), None, "told once");
    }

    #[test]
    fn one_that_is_lost_while_it_is_finished_is_told_of_and_needs_no_release() {
        let mut book = Assignment::new();
        let partition = book.begin((0, 0)).unwrap();
        book.start((0, 0), 0);
        assert_eq!(book.revoke((0, 0), false), Some(partition));
        assert_eq!(book.revoke((0, 0), false), None, "told once");
        assert!(book.is_revoked((0, 0)));
        assert_eq!(book.revoke((0, 0), true), Some(partition));
        assert!(!book.is_revoked((0, 0)));
    }

    #[test]
    fn a_release_is_of_what_is_being_finished_only() {
        let mut book = Assignment::new();
        let partition = book.begin((0, 0)).unwrap();
        book.start((0, 0), 0);
        book.release(partition);
        assert_eq!(book.state(partition), State::Owned);
    }

    #[test]
    fn a_stranded_one_keeps_its_position_and_is_taken_back_like_any_other() {
        let mut book = Assignment::new();
        let partition = book.begin((0, 0)).unwrap();
        assert_eq!(book.strand((0, 0)), None, "it has not begun");
        book.start((0, 0), 5);
        book.pass(partition, 7);
        assert_eq!(book.strand((0, 0)), Some(8));
        assert_eq!(book.strand((0, 0)), None, "told once");
        assert_eq!(book.resume((0, 0), 20), Some(partition));
        assert_eq!((book.state(partition), book.position(partition)), (State::Owned, 20));
        book.strand((0, 0));
        assert_eq!(book.revoke((0, 0), false), Some(partition));
        assert_eq!(book.resume((0, 0), 30), None, "the late answer resumes nothing");
    }

    #[test]
    fn numbers_are_reused_only_when_none_is_left() {
        let mut book = Assignment::new();
        let all: Vec<_> = (0..PARTITIONS_MAX as i32).map(|it| book.begin((0, it))).collect();
        assert!(all.iter().all(Option::is_some));
        assert_eq!(book.begin((1, 0)), None);
        book.revoke((0, 7), false);
        assert_eq!(book.begin((1, 0)), Some(PartitionId(7)));
        assert_eq!(book.find((0, 7)), None);
    }
}
