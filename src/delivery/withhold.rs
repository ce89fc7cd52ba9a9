//! Records that were admitted and are not processed here after all: as if they had not been taken.
//!
//! A run that ends while it is paused, or because of its breaker, keeps its hands off what it has
//! not begun: the next owner gets it. At least once that is simply not committed. At most once it
//! may be committed already; nothing of it was processed, so the position goes back to where it
//! begins, and whoever reads on commits it again before it is processed.

use super::{
    Delivery, Order,
    ring::{NO_SLOT, SlotStage},
};
use crate::record::PartitionId;

impl Delivery {
    /// What of a partition was admitted and not handed out will not be. Nothing more may be
    /// admitted of it: it has been revoked.
    pub fn withhold(&mut self, id: PartitionId) {
        let first = self.cut_chain(id);
        if first.is_some() {
            let partition = self.ledger.partition_mut(id);
            partition.withheld = partition.withheld.min(first).or(first);
        }
        self.withdraw(id);
    }

    /// Takes what was not handed out off the end of the partition's chain; its first offset. The
    /// slots no longer belong to an ownership, and are dropped where they would be handed out.
    fn cut_chain(&mut self, id: PartitionId) -> Option<i64> {
        let (mut last, mut index) = (NO_SLOT, self.ledger.partition(id).head);
        while index != NO_SLOT && self.ring.sequence(index) < self.cursor {
            last = index;
            index = self.ring.slot(index).next;
        }
        if index == NO_SLOT {
            return None;
        }
        let first = self.ring.slot(index).offset;
        let mut count = 0;
        while index != NO_SLOT {
            let slot = self.ring.slot_mut(index);
            debug_assert_eq!(slot.stage, SlotStage::Admitted);
            slot.epoch = slot.epoch.wrapping_sub(1);
            count += 1;
            index = slot.next;
        }
        if last != NO_SLOT {
            self.ring.slot_mut(last).next = NO_SLOT;
        }
        let partition = self.ledger.partition_mut(id);
        partition.in_flight -= count;
        partition.tail = last;
        if last == NO_SLOT {
            partition.head = NO_SLOT;
        }
        Some(first)
    }

    /// Under `CommitThenProcess` a position that will not be processed here must not be committed;
    /// a commit that is under way decides first.
    pub(super) fn withdraw(&mut self, id: PartitionId) {
        let ahead = self.order == Order::CommitThenProcess;
        let partition = self.ledger.partition_mut(id);
        if !ahead || !partition.owned || !partition.revoking || partition.committing {
            return;
        }
        partition.position = partition.committed;
        let before = partition.withheld.filter(|it| partition.committed.is_some_and(|to| *it < to));
        if let Some(position) = before {
            self.ledger.reach(id, position);
        }
    }
}
