//! Exactly once: results are taken back, and positions go back with them.

use super::{Delivery, Sequence, tokens};
use crate::{record::PartitionId, transport::Token};

impl Delivery {
    /// Results since the last confirmed commit were taken back: every partition goes back to where
    /// that was, and what is in flight is nobody's. Those that the group wants back, or all if the
    /// run ends, are given up instead. What there is to go back to is added to `positions`.
    pub fn go_back(
        &mut self,
        owned: &[PartitionId],
        is_ending: bool,
        positions: &mut Vec<(PartitionId, i64)>,
    ) {
        for &id in owned {
            let partition = self.ledger.partition(id);
            let unfinished = partition.in_flight as usize + partition.uncommitted as usize;
            self.free_settled(id);
            if self.ledger.partition(id).revoking {
                self.ledger.disown(id);
                self.forsaken += if is_ending { unfinished } else { 0 };
            } else {
                positions.extend(self.ledger.go_back(id).map(|offset| (id, offset)));
            }
        }
    }

    /// True if the record at that offset is covered by a confirmed commit.
    pub fn is_committed(&self, partition: PartitionId, offset: i64) -> bool {
        self.ledger.partition(partition).committed.is_some_and(|committed| offset < committed)
    }

    /// The partition and offset of a record in flight.
    pub fn place(&self, sequence: Sequence) -> (PartitionId, i64) {
        let slot = self.ring.slot(self.ring.index(sequence));
        (slot.partition, slot.offset)
    }

    /// The partition and offset of the record that a token is of.
    pub fn place_of(&self, token: Token) -> (PartitionId, i64) {
        let slot = self.ring.slot(tokens::index(token));
        (slot.partition, slot.offset)
    }
}
