//! A source that goes on behind a gap, or where its log was cut: the position goes with it.

use super::{Delivery, Order};
use crate::record::PartitionId;

impl Delivery {
    /// The partition's next record comes from `position` or after it, though what was admitted
    /// before says otherwise. Without it a group whose topic was emptied would meet the same gap at
    /// each start. The position moves there once all that was admitted before is settled; a record
    /// that is admitted first moves it by itself. What is being taken back is the next owner's.
    pub fn pass_over(&mut self, partition: PartitionId, position: i64) {
        let entry = self.ledger.partition_mut(partition);
        if !entry.owned || entry.revoking {
            return;
        }
        if self.order != Order::CommitThenProcess && entry.in_flight > 0 {
            entry.beyond = Some(position);
        } else {
            self.ledger.reach(partition, position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Ticks,
        delivery::Sequence,
        record::{Headers, Record},
    };

    const PARTITION: PartitionId = PartitionId(3);

    fn delivery(order: Order) -> Delivery {
        let mut delivery = Delivery::new(order, 16, 1 << 16);
        delivery.assign(PARTITION);
        delivery
    }

    fn admit(delivery: &mut Delivery, offset: i64) {
        let record = Record {
            partition: PARTITION,
            topic: "in",
            partition_number: 0,
            offset,
            timestamp_ms: None,
            key: None,
            value: Some(b"{}"),
            headers: Headers::NONE,
            arrived: Ticks(0),
        };
        delivery.admit(&record, Ticks(0));
    }

    fn committing(delivery: &mut Delivery) -> Option<i64> {
        let (ticket, positions) = delivery.begin_commit()?;
        let position = positions[0].1;
        delivery.end_commit(ticket, true);
        Some(position)
    }

    fn settle(delivery: &mut Delivery) -> Sequence {
        let sequence = delivery.next_ready().expect("a record");
        delivery.skip(sequence);
        sequence
    }

    #[test]
    fn with_nothing_in_flight_the_position_moves_at_once() {
        for order in [Order::ProcessThenCommit, Order::CommitThenProcess] {
            let mut delivery = delivery(order);
            delivery.pass_over(PARTITION, 500);
            assert_eq!(committing(&mut delivery), Some(500));
            delivery.pass_over(PARTITION, 90);
            assert_eq!(committing(&mut delivery), Some(90), "a log that was cut");
        }
    }

    #[test]
    fn what_came_before_the_gap_is_settled_first() {
        for resume_at in [500, 6] {
            let mut delivery = delivery(Order::ProcessThenCommit);
            admit(&mut delivery, 7);
            admit(&mut delivery, 8);
            delivery.pass_over(PARTITION, resume_at);
            assert_eq!(committing(&mut delivery), None);
            settle(&mut delivery);
            assert_eq!(committing(&mut delivery), Some(8));
            settle(&mut delivery);
            assert_eq!(committing(&mut delivery), Some(resume_at));
            assert!(delivery.is_drained(PARTITION));
        }
    }

    #[test]
    fn a_record_from_behind_it_says_where_it_is_itself() {
        for resume_at in [500, 6] {
            let mut delivery = delivery(Order::ProcessThenCommit);
            admit(&mut delivery, 7);
            delivery.pass_over(PARTITION, resume_at);
            admit(&mut delivery, resume_at + 2);
            settle(&mut delivery);
            assert_eq!(committing(&mut delivery), Some(8));
            settle(&mut delivery);
            assert_eq!(committing(&mut delivery), Some(resume_at + 3));
        }
    }

    #[test]
    fn what_is_taken_back_is_left_to_the_next_owner() {
        let mut delivery = delivery(Order::ProcessThenCommit);
        delivery.revoke(PARTITION);
        delivery.pass_over(PARTITION, 500);
        assert_eq!(committing(&mut delivery), None);
        delivery.disown(PARTITION);
        delivery.pass_over(PARTITION, 500);
        assert_eq!(committing(&mut delivery), None);
    }
}
