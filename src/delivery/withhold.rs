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

    /// Takes what was not handed out out of the partition's chain; its first offset. The slots no
    /// longer belong to an ownership, and are dropped where they would be handed out. What state
    /// gave off stands among them, and stays.
    fn cut_chain(&mut self, id: PartitionId) -> Option<i64> {
        let (mut head, mut last, mut index) = (NO_SLOT, NO_SLOT, self.ledger.partition(id).head);
        let (mut first, mut count) = (None, 0);
        while index != NO_SLOT {
            let is_handed_out = self.ring.sequence(index) < self.cursor;
            let slot = self.ring.slot_mut(index);
            let next = std::mem::replace(&mut slot.next, NO_SLOT);
            if is_handed_out || slot.stage != SlotStage::Admitted {
                match last {
                    NO_SLOT => head = index,
                    last => self.ring.slot_mut(last).next = index,
                }
                last = index;
            } else {
                first.get_or_insert(slot.offset);
                slot.epoch = slot.epoch.wrapping_sub(1);
                count += 1;
            }
            index = next;
        }
        let partition = self.ledger.partition_mut(id);
        partition.in_flight -= count;
        (partition.head, partition.tail) = (head, last);
        self.advance(id);
        self.reclaim();
        first
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
