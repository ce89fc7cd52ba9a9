//! What is known of each partition that has begun: what its commits say, and where it ended then.
//!
//! What a commit says beside the position is written once, into the list that commits are made
//! from, and stays there: a commit that is repeated says the same. Memory is taken at start.

use crate::{
    limits::PARTITIONS_MAX,
    record::PartitionId,
    transport::{Begin, Note, kafka::start::Mark},
};

#[derive(Clone, Copy, Debug)]
struct OfPartition {
    mark: Mark,
    /// What is committed.
    confirmed: Begin,
    /// What the next commit says, or the one under way.
    asked: Begin,
    /// Where the partition ended when it began, if that was asked.
    first_end: Option<i64>,
}

const UNKNOWN: OfPartition = {
    let begin = Begin { position: 0, note: Note::EMPTY };
    let mark = Mark { first_count: 0, from: None };
    OfPartition { mark, confirmed: begin, asked: begin, first_end: None }
};

/// All of it, by the partitions' numbers.
#[derive(Debug)]
pub(super) struct Known(Vec<OfPartition>);

impl Known {
    pub(super) fn new() -> Known {
        Known(Vec::with_capacity(PARTITIONS_MAX))
    }

    /// A partition is read from there on.
    pub(super) fn begin(
        &mut self,
        partition: PartitionId,
        mark: Mark,
        begin: Begin,
        first_end: Option<i64>,
    ) {
        let at = usize::from(partition.0);
        if at >= self.0.len() {
            self.0.resize(at + 1, UNKNOWN);
        }
        self.0[at] = OfPartition { mark, confirmed: begin, asked: begin, first_end };
    }

    /// It was found out what is committed.
    pub(super) fn learn(&mut self, partition: PartitionId, begin: Begin) {
        let it = self.of_mut(partition);
        (it.confirmed, it.asked) = (begin, begin);
    }

    /// It goes on elsewhere, where the log does.
    pub(super) fn resume(&mut self, partition: PartitionId, position: i64) {
        let it = self.of_mut(partition);
        it.first_end = it.first_end.map(|_| position);
    }

    /// What its commits say beside the position, from now on. True if that is something else.
    pub(super) fn note(&mut self, partition: PartitionId, note: Note) -> bool {
        std::mem::replace(&mut self.of_mut(partition).asked.note, note) != note
    }

    /// A commit says so.
    pub(super) fn ask(&mut self, partition: PartitionId, position: i64) {
        self.of_mut(partition).asked.position = position;
    }

    /// It is confirmed.
    pub(super) fn confirm(&mut self, partition: PartitionId) {
        let it = self.of_mut(partition);
        it.confirmed = it.asked;
    }

    pub(super) fn confirmed(&self, partition: PartitionId) -> Begin {
        self.of(partition).confirmed
    }

    /// The words of its next commit.
    pub(super) fn words(&self, partition: PartitionId) -> (Mark, Note) {
        let it = self.of(partition);
        (it.mark, it.asked.note)
    }

    pub(super) fn first_end(&self, partition: PartitionId) -> Option<i64> {
        self.of(partition).first_end
    }

    fn of(&self, partition: PartitionId) -> &OfPartition {
        &self.0[usize::from(partition.0)]
    }

    fn of_mut(&mut self, partition: PartitionId) -> &mut OfPartition {
        &mut self.0[usize::from(partition.0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P3: PartitionId = PartitionId(3);

    fn begin(position: i64, number: i64) -> Begin {
        let mut note = Note::default();
        note.push(number);
        Begin { position, note }
    }

    #[test]
    fn what_is_asked_for_counts_once_it_is_confirmed() {
        let mark = Mark { first_count: 4, from: Some(1) };
        let mut known = Known::new();
        known.begin(P3, mark, begin(5, 50), None);
        assert_eq!(
            (known.confirmed(P3), known.words(P3)),
            (begin(5, 50), (mark, begin(5, 50).note))
        );
        assert!(known.note(P3, begin(0, 70).note));
        assert!(!known.note(P3, begin(0, 70).note), "the same once more");
        known.ask(P3, 7);
        assert_eq!(known.confirmed(P3), begin(5, 50));
        assert_eq!(known.words(P3).1, begin(0, 70).note);
        known.confirm(P3);
        assert_eq!(known.confirmed(P3), begin(7, 70));
    }

    #[test]
    fn the_answer_to_a_commit_of_an_earlier_ownership_changes_nothing() {
        let mark = Mark { first_count: 4, from: None };
        let mut known = Known::new();
        known.begin(P3, mark, begin(5, 50), Some(9));
        known.note(P3, begin(0, 70).note);
        known.ask(P3, 7);
        known.begin(P3, mark, begin(20, 200), Some(30));
        known.confirm(P3);
        assert_eq!((known.confirmed(P3), known.first_end(P3)), (begin(20, 200), Some(30)));
        known.resume(P3, 2);
        assert_eq!(known.first_end(P3), Some(2));
    }
}
