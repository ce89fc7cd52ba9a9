//! How far each partition was read of a run that ends by itself: the hot thread's book.
//!
//! A partition has reached its end when a record at or behind it came, when the last one before it
//! was taken, or when librdkafka says that it has read so far: markers of transactions and records
//! that compaction took leave offsets at which nothing comes. Memory is taken at start.

use rdkafka::bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF as END;

use super::{
    assignment::{Assignment, State},
    native::Message,
};
use crate::{limits::PARTITIONS_MAX, record::PartitionId};

/// The ends of our partitions, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Empty where a run has no end. One that was reached is below every offset.
    ends: Vec<i64>,
    /// The same, reached or not.
    given: Vec<i64>,
    /// Something may have changed since `settle`.
    is_stirred: bool,
    is_done: bool,
}

const REACHED: i64 = i64::MIN;

impl Message {
    /// True for what stands in the place of a record where a partition has none left; its offset
    /// is that of the next one.
    #[inline]
    pub(super) fn is_end(&self) -> bool {
        self.code() == END
    }
}

impl Ends {
    pub(super) fn new(is_bounded: bool) -> Ends {
        let ends = if is_bounded { vec![REACHED; PARTITIONS_MAX] } else { Vec::new() };
        Ends { given: ends.clone(), ends, ..Ends::default() }
    }

    /// A partition is ours and will be read from `position` on.
    pub(super) fn begin(&mut self, partition: PartitionId, position: i64, end: Option<i64>) {
        let Some(place) = self.ends.get_mut(usize::from(partition.0)) else { return };
        *place = end.unwrap_or(i64::MAX);
        self.given[usize::from(partition.0)] = *place;
        self.pass(partition, position);
        self.stir();
    }

    /// What was read of a partition from `position` on comes again.
    pub(super) fn go_back(&mut self, partition: PartitionId, position: i64) {
        if let Some(end) = self.given.get(usize::from(partition.0)).copied() {
            self.begin(partition, position, Some(end));
            self.is_done = false;
        }
    }

    /// Which partitions are ours has changed.
    pub(super) fn stir(&mut self) {
        self.is_stirred = true;
    }

    /// Whether a record is still to be read; one that is not says that the end is reached. So does
    /// what stands where librdkafka has no more (`is_end`), if that is not before the end.
    #[inline]
    pub(super) fn admits(&mut self, partition: PartitionId, offset: i64, is_end: bool) -> bool {
        match self.ends.get(usize::from(partition.0)) {
            Some(end) if is_end || offset >= *end => {
                self.pass(partition, offset);
                false
            }
            _ => !is_end,
        }
    }

    /// A partition was read up to there.
    #[inline]
    pub(super) fn pass(&mut self, partition: PartitionId, position: i64) {
        if let Some(end) = self.ends.get_mut(usize::from(partition.0))
            && position >= *end
            && *end != REACHED
        {
            *end = REACHED;
            self.is_stirred = true;
        }
    }

    /// Finds out whether all is done, if that may have changed. A member without partitions is not:
    /// those that others leave behind come to it.
    pub(super) fn settle(&mut self, assignment: &Assignment) {
        if !std::mem::take(&mut self.is_stirred) || self.ends.is_empty() {
            return;
        }
        let (mut ours, mut open) = (0, 0);
        for (partition, state) in assignment.states() {
            let is_open = self.ends[usize::from(partition.0)] != REACHED;
            match state {
                State::Free | State::Revoked => continue,
                State::Starting => open += 1,
                State::Owned | State::Stranded => open += usize::from(is_open),
            }
            ours += 1;
        }
        self.is_done = ours > 0 && open == 0;
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two partitions that are ours, read from 3 on and to end at these offsets.
    fn ends(of: [i64; 2]) -> (Ends, Assignment) {
        let (mut ends, mut assignment) = (Ends::new(true), Assignment::new());
        for (number, end) in (0..).zip(of) {
            let partition = assignment.begin((0, number)).unwrap();
            assignment.start((0, number), 3);
            ends.begin(partition, 3, Some(end));
        }
        ends.settle(&assignment);
        (ends, assignment)
    }

    const FIRST: PartitionId = PartitionId(0);
    const SECOND: PartitionId = PartitionId(1);

    #[test]
    fn what_comes_again_is_not_done() {
        let (mut ends, assignment) = ends([5, 3]);
        ends.pass(FIRST, 5);
        ends.settle(&assignment);
        assert!(ends.is_done());
        ends.go_back(FIRST, 4);
        assert!(!ends.is_done());
        ends.settle(&assignment);
        assert!(!ends.is_done() && ends.admits(FIRST, 4, false));
        ends.pass(FIRST, 5);
        ends.settle(&assignment);
        assert!(ends.is_done());
    }

    #[test]
    fn all_is_done_when_every_partition_has_reached_its_end() {
        let (mut ends, assignment) = ends([5, 4]);
        assert!(!ends.is_done());
        assert!(
            ends.admits(FIRST, 3, false)
                && ends.admits(FIRST, 4, false)
                && ends.admits(SECOND, 3, false)
        );
        ends.pass(SECOND, 4);
        ends.pass(FIRST, 4);
        ends.settle(&assignment);
        assert!(!ends.is_done(), "offset 4 of the first was not taken");
        ends.pass(FIRST, 5);
        ends.settle(&assignment);
        assert!(ends.is_done());
    }

    #[test]
    fn a_record_behind_the_end_is_not_read_and_says_that_it_is_reached() {
        let (mut ends, assignment) = ends([5, 3]);
        assert!(!ends.admits(FIRST, 7, false), "5 and 6 are markers");
        assert!(!ends.admits(FIRST, 8, false) && !ends.admits(SECOND, 3, false));
        ends.settle(&assignment);
        assert!(ends.is_done());
    }

    #[test]
    fn where_no_record_is_left_the_end_is_reached_unless_that_is_before_it() {
        let (mut ends, assignment) = ends([5, 3]);
        assert!(!ends.admits(FIRST, 4, true));
        ends.settle(&assignment);
        assert!(!ends.is_done());
        assert!(ends.admits(FIRST, 4, false));
        assert!(!ends.admits(FIRST, 5, true));
        ends.settle(&assignment);
        assert!(ends.is_done());
    }

    #[test]
    fn an_empty_range_is_done_at_once() {
        let (ends, _) = ends([3, 0]);
        assert!(ends.is_done());
    }

    #[test]
    fn a_partition_that_comes_later_is_read_too_and_one_that_goes_is_not_waited_for() {
        let (mut ends, mut assignment) = ends([3, 3]);
        let third = assignment.begin((0, 2)).unwrap();
        ends.stir();
        ends.settle(&assignment);
        assert!(!ends.is_done());
        assignment.start((0, 2), 0);
        ends.begin(third, 0, Some(9));
        ends.settle(&assignment);
        assert!(!ends.is_done());
        assignment.revoke((0, 2), true);
        ends.stir();
        ends.settle(&assignment);
        assert!(ends.is_done());
        for place in [(0, 0), (0, 1)] {
            assignment.revoke(place, true);
        }
        ends.stir();
        ends.settle(&assignment);
        assert!(!ends.is_done(), "nothing is ours");
    }

    #[test]
    fn a_run_without_end_reads_everything() {
        let (mut ends, assignment) = (Ends::new(false), Assignment::new());
        ends.begin(FIRST, 0, None);
        assert!(ends.admits(FIRST, i64::MAX - 1, false));
        ends.pass(FIRST, i64::MAX);
        ends.settle(&assignment);
        assert!(!ends.is_done());
    }
}
