//! Commits: which positions one names, and what its answer changes.
//!
//! Pipelines with state commit all positions at once, and the same ones until they are taken. State
//! is written for exactly the records below the positions that a commit names, so a commit that
//! fails is not followed by another one but repeated. And state changes where no position moves,
//! when a window closes because time passes: so each commit names all partitions.

use super::Delivery;
use crate::record::PartitionId;

impl Delivery {
    /// True if a position is ahead of its commit and no commit is under way.
    pub fn wants_commit(&self) -> bool {
        !self.commit_under_way && self.ledger.has_uncommitted()
    }

    /// True while an answer to a commit is awaited.
    pub fn commit_under_way(&self) -> bool {
        self.commit_under_way
    }

    /// Begins a commit: its ticket and positions, if there is anything to commit.
    pub fn begin_commit(&mut self) -> Option<(u64, &[(PartitionId, i64)])> {
        if self.commit_under_way {
            return None;
        }
        self.ledger.take_positions(&mut self.committing);
        if self.committing.is_empty() {
            return None;
        }
        let ledger = &self.ledger;
        let epochs = self.committing.iter().map(|(id, _)| ledger.partition(*id).epoch);
        self.committing_epochs.clear();
        self.committing_epochs.extend(epochs);
        self.commit_under_way = true;
        self.ticket += 1;
        Some((self.ticket, &self.committing))
    }

    /// The answer to a commit. A failed one is tried again with the next.
    pub fn end_commit(&mut self, ticket: u64, confirmed: bool) {
        if ticket != self.ticket || !self.commit_under_way {
            return;
        }
        self.commit_under_way = false;
        for at in 0..self.committing.len() {
            let (id, position) = self.committing[at];
            let partition = self.ledger.partition_mut(id);
            if !partition.owned || partition.epoch != self.committing_epochs[at] {
                continue;
            }
            partition.committing = false;
            if confirmed {
                partition.committed = Some(position);
                partition.uncommitted -= partition.covered;
                partition.given_off -= partition.given_off_covered;
            } else if let Some(position) = partition.position {
                self.ledger.reach(id, position);
            }
            self.withdraw(id);
        }
    }

    /// Where a partition begins; that is committed already.
    pub fn begin_at(&mut self, id: PartitionId, position: i64) {
        let partition = self.ledger.partition_mut(id);
        debug_assert_eq!(partition.in_flight, 0);
        (partition.position, partition.committed) = (Some(position), Some(position));
    }

    /// True if everything that was handed out is settled. What state gave off, and the sink has,
    /// is not seen here.
    pub fn is_at_rest(&self) -> bool {
        self.ring.len() as u64 <= self.unprocessed()
    }

    /// As `begin_commit`, of all these partitions.
    pub fn begin_commit_of(&mut self, owned: &[PartitionId]) -> Option<&[(PartitionId, i64)]> {
        if self.commit_under_way {
            return None;
        }
        self.ledger.take_positions(&mut self.committing);
        self.committing.clear();
        self.committing_epochs.clear();
        for &id in owned {
            let partition = self.ledger.partition_mut(id);
            let Some(position) = partition.position.filter(|_| partition.owned) else { continue };
            partition.committing = true;
            partition.covered = partition.uncommitted;
            partition.given_off_covered = partition.given_off;
            self.committing.push((id, position));
            self.committing_epochs.push(partition.epoch);
        }
        self.commit_under_way = !self.committing.is_empty();
        self.commit_under_way.then_some(&self.committing)
    }

    /// What the commit under way says of the partitions that are still ours, and its ticket, which
    /// is another each time. Nothing if none of them is.
    pub fn commit_again(&mut self) -> Option<(u64, &[(PartitionId, i64)])> {
        let Delivery { committing, committing_epochs, ledger, .. } = self;
        let mut at = 0;
        while at < committing.len() {
            let partition = ledger.partition_mut(committing[at].0);
            if partition.owned && partition.epoch == committing_epochs[at] {
                partition.committing = true;
                at += 1;
            } else {
                committing.remove(at);
                committing_epochs.remove(at);
            }
        }
        self.commit_under_way = !self.committing.is_empty();
        self.ticket += 1;
        self.commit_under_way.then_some((self.ticket, &self.committing))
    }

    /// The partitions of the last commit that are still ours.
    pub fn in_last_commit(&self) -> impl Iterator<Item = PartitionId> + '_ {
        let of_epoch = self.committing.iter().zip(&self.committing_epochs);
        of_epoch.filter_map(|((id, _), epoch)| {
            let partition = self.ledger.partition(*id);
            (partition.owned && partition.epoch == *epoch).then_some(*id)
        })
    }

    /// The commit that was begun is not made after all.
    pub fn drop_commit(&mut self) {
        let ticket = self.ticket;
        self.end_commit(ticket, false);
    }
}
