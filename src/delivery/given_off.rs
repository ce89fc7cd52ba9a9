//! What the state of a step gives off, such as a closed window's result: in flight like a record.
//!
//! It is kept until its results are acknowledged, so that a refused one can be dead-lettered as
//! itself. It stands in its partition's chain behind what was admitted before: positions wait for
//! it, and a partition that goes back or away takes it along. It moves no position itself, for it
//! has none; its number tells the state which one it was. It is processed when it is taken in,
//! before records that came earlier: the state is without it already, and a commit of that state
//! must not come before its results are acknowledged.

use super::{
    Delivery, Sequence,
    ring::{GivenOff, NO_SLOT},
};
use crate::{
    clock::Ticks,
    record::{PartitionId, Record},
};

impl Delivery {
    /// Takes in what a partition's state gave off, if there is room. Whoever does so processes it
    /// then; it is never handed out.
    pub fn admit_given_off(
        &mut self,
        record: &Record<'_>,
        given_off: GivenOff,
        now: Ticks,
    ) -> Option<Sequence> {
        let partition = self.ledger.partition(record.partition);
        if !partition.owned || !self.has_room() {
            return None;
        }
        let (epoch, beyond) = (partition.epoch, partition.beyond);
        let index = self.ring.admit(record, epoch, now)?;
        self.ring.slot_mut(index).given_off = Some(given_off);
        self.append(record.partition, index);
        // It comes from no place in the log, so that where that goes on is still to be said.
        self.ledger.partition_mut(record.partition).beyond = beyond;
        Some(self.ring.sequence(index))
    }

    /// Which of the state's that is; none for a record that came from the source.
    #[inline]
    pub fn given_off(&self, sequence: Sequence) -> Option<GivenOff> {
        self.ring.slot(self.ring.index(sequence)).given_off
    }

    /// Everything of the partition below that offset is settled; `None` if nothing was admitted.
    pub fn position(&self, id: PartitionId) -> Option<i64> {
        self.ledger.partition(id).position
    }

    /// Where a partition was last: the offset of the youngest record in flight, else the last that
    /// was settled.
    pub fn offset_of_last(&self, id: PartitionId) -> Option<i64> {
        let partition = self.ledger.partition(id);
        match partition.tail {
            NO_SLOT => partition.position.map(|position| position - 1),
            tail => Some(self.ring.slot(tail).offset),
        }
    }

    /// Moves the position behind freed records; without any, only where the log goes on.
    pub(super) fn move_position(&mut self, id: PartitionId, position: Option<i64>) {
        let partition = self.ledger.partition(id);
        let beyond = partition.beyond.filter(|_| partition.in_flight == 0);
        if let Some(position) = position.or(beyond) {
            self.ledger.reach(id, position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        delivery::{Acknowledged, Admission, Order},
        record::Headers,
    };

    const PARTITION: PartitionId = PartitionId(1);
    const WINDOW: GivenOff = GivenOff { step: 2, number: 77 };

    fn record(offset: i64) -> Record<'static> {
        Record {
            partition: PARTITION,
            topic: "t",
            partition_number: 1,
            offset,
            timestamp_ms: None,
            key: Some(b"k"),
            value: Some(b"v"),
            headers: Headers::NONE,
            arrived: Ticks(0),
        }
    }

    /// Ours, with records of these offsets handed out.
    fn delivery(offsets: &[i64]) -> (Delivery, Vec<Sequence>) {
        let mut delivery = Delivery::new(Order::ProcessThenCommit, 16, 1 << 12);
        delivery.assign(PARTITION);
        for offset in offsets {
            assert_eq!(delivery.admit(&record(*offset), Ticks(0)), Admission::Admitted);
        }
        let sequences = offsets.iter().map(|_| delivery.next_ready().unwrap()).collect();
        (delivery, sequences)
    }

    fn position(delivery: &mut Delivery) -> Option<i64> {
        let positions = delivery.begin_commit().map(|(ticket, it)| (ticket, it.to_vec()));
        positions.map(|(ticket, positions)| {
            delivery.end_commit(ticket, true);
            positions[0].1
        })
    }

    fn give_off(delivery: &mut Delivery) -> Sequence {
        let at = delivery.offset_of_last(PARTITION).unwrap_or(-1);
        let given = delivery.admit_given_off(&record(at), WINDOW, Ticks(1)).expect("there is room");
        assert_eq!(delivery.next_ready(), Some(given));
        assert_eq!(delivery.given_off(given), Some(WINDOW));
        given
    }

    #[test]
    fn positions_wait_for_what_was_given_off_and_are_not_moved_by_it() {
        let (mut delivery, records) = delivery(&[5, 6]);
        let given = give_off(&mut delivery);
        assert_eq!(delivery.record(given, "t", 1).offset, 6, "where the partition was");
        delivery.expect_results(given, 1);
        assert_eq!(delivery.admit(&record(7), Ticks(2)), Admission::Admitted);
        let last = delivery.next_ready().unwrap();
        for sequence in [records[0], records[1], last] {
            delivery.skip(sequence);
        }
        assert_eq!(position(&mut delivery), Some(7), "the record behind it waits");
        assert_eq!(delivery.unfinished(), 2, "it and that record");
        let token = delivery.token(given);
        assert!(
            matches!(delivery.answer(token, true), Acknowledged::Emitted(it, _) if it == given)
        );
        assert_eq!(position(&mut delivery), Some(8));
        assert_eq!((delivery.unfinished(), delivery.in_flight()), (0, 0));
        assert!(!delivery.is_drained(PARTITION), "that it came to an end is to be kept");
        assert!(delivery.begin_commit_of(&[PARTITION]).is_some());
        let (ticket, _) = delivery.commit_again().unwrap();
        delivery.end_commit(ticket, true);
        assert!(delivery.is_drained(PARTITION));
    }

    #[test]
    fn alone_it_commits_nothing_and_where_the_log_goes_on_is_not_forgotten() {
        let (mut delivery, _) = delivery(&[]);
        let given = give_off(&mut delivery);
        delivery.skip(given);
        assert_eq!(position(&mut delivery), None);
        let given = give_off(&mut delivery);
        delivery.pass_over(PARTITION, 40);
        let later = give_off(&mut delivery);
        delivery.skip(given);
        assert_eq!(position(&mut delivery), None);
        delivery.skip(later);
        assert_eq!(position(&mut delivery), Some(40));
    }

    #[test]
    fn a_partition_that_is_lost_takes_it_along() {
        let (mut delivery, _) = delivery(&[5]);
        let given = give_off(&mut delivery);
        delivery.expect_results(given, 1);
        let token = delivery.token(given);
        delivery.disown(PARTITION);
        assert!(delivery.admit_given_off(&record(5), WINDOW, Ticks(1)).is_none());
        assert!(matches!(delivery.answer(token, false), Acknowledged::Abandoned));
    }
}
