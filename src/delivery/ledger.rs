//! Per partition: which records are in flight, in order, and up to where all are settled.
//!
//! A partition's records form a chain through the ring's slots. Settling one that is not the
//! oldest only marks it; settling the oldest moves the position past every settled one behind it.
//! The position is the offset of the first record that is not settled: what a commit may say.

use super::ring::NO_SLOT;
use crate::{limits::PARTITIONS_MAX, record::PartitionId};

/// What is known of one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Partition {
    pub(crate) owned: bool,
    /// The group wants it back: nothing is admitted, what is in flight is finished.
    pub(crate) revoking: bool,
    /// Counts ownerships, so that what is in flight from an earlier one is told apart.
    pub(crate) epoch: u32,
    /// Oldest and youngest record in flight.
    pub(crate) head: u32,
    pub(crate) tail: u32,
    pub(crate) in_flight: u32,
    /// Everything below is settled, or admitted where the guarantee commits ahead.
    pub(crate) position: Option<i64>,
    /// The offset of the first record of this ownership; kept where a position may go back.
    pub(crate) first: Option<i64>,
    /// Where the source goes on behind a gap, once all that came before it is settled.
    pub(crate) beyond: Option<i64>,
    /// The broker confirmed a commit up to here.
    pub(crate) committed: Option<i64>,
    /// From this offset on it was admitted and is not processed here.
    pub(crate) withheld: Option<i64>,
    /// It stands in the list of those to be committed.
    pub(crate) listed: bool,
    /// The commit under way speaks of this ownership.
    pub(crate) committing: bool,
    /// Settled records that no confirmed commit covers, and those that the one under way would.
    pub(crate) uncommitted: u64,
    pub(crate) covered: u64,
    /// The same of what state gave off, which moves no position.
    pub(crate) given_off: u64,
    pub(crate) given_off_covered: u64,
}

const UNKNOWN: Partition = Partition {
    owned: false,
    revoking: false,
    epoch: 0,
    head: NO_SLOT,
    tail: NO_SLOT,
    in_flight: 0,
    position: None,
    first: None,
    beyond: None,
    committed: None,
    withheld: None,
    listed: false,
    committing: false,
    uncommitted: 0,
    covered: 0,
    given_off: 0,
    given_off_covered: 0,
};

/// All partitions, and which of them have something to commit.
#[derive(Debug)]
pub(crate) struct Ledger {
    partitions: Box<[Partition]>,
    to_commit: Vec<PartitionId>,
}

impl Ledger {
    pub(crate) fn new() -> Ledger {
        Ledger {
            partitions: vec![UNKNOWN; PARTITIONS_MAX].into_boxed_slice(),
            to_commit: Vec::with_capacity(PARTITIONS_MAX),
        }
    }

    #[inline]
    pub(crate) fn partition(&self, id: PartitionId) -> &Partition {
        &self.partitions[usize::from(id.0)]
    }

    pub(crate) fn partition_mut(&mut self, id: PartitionId) -> &mut Partition {
        &mut self.partitions[usize::from(id.0)]
    }

    /// Begins an ownership: nothing in flight, nothing known.
    pub(crate) fn assign(&mut self, id: PartitionId) {
        let epoch = self.partition(id).epoch + 1;
        let listed = self.partition(id).listed;
        *self.partition_mut(id) = Partition { owned: true, epoch, listed, ..UNKNOWN };
    }

    /// Ends an ownership: what is still in flight belongs to nobody.
    pub(crate) fn disown(&mut self, id: PartitionId) {
        let epoch = self.partition(id).epoch + 1;
        let listed = self.partition(id).listed;
        *self.partition_mut(id) = Partition { epoch, listed, ..UNKNOWN };
    }

    /// Begins the ownership anew where nothing is committed yet: what was in flight is nobody's.
    /// Where that is; none if nothing was admitted since.
    pub(crate) fn go_back(&mut self, id: PartitionId) -> Option<i64> {
        let Partition { epoch, committed, first, position, in_flight, .. } = *self.partition(id);
        if in_flight == 0 && position == committed {
            return None;
        }
        self.assign(id);
        let start = committed.or(first);
        let partition = self.partition_mut(id);
        debug_assert_eq!(partition.epoch, epoch + 1);
        (partition.position, partition.committed) = (start, start);
        start
    }

    /// A record is admitted. If it came from behind a gap, its own end will say so.
    pub(crate) fn admit(&mut self, id: PartitionId) -> &mut Partition {
        let partition = self.partition_mut(id);
        partition.in_flight += 1;
        partition.beyond = None;
        partition
    }

    /// Notes a position to be committed.
    pub(crate) fn reach(&mut self, id: PartitionId, position: i64) {
        let partition = self.partition_mut(id);
        let beyond = if partition.in_flight == 0 { partition.beyond.take() } else { None };
        partition.position = Some(beyond.unwrap_or(position));
        if !partition.listed {
            partition.listed = true;
            self.to_commit.push(id);
        }
    }

    /// True if some position is ahead of its commit.
    pub(crate) fn has_uncommitted(&self) -> bool {
        self.to_commit.iter().any(|&id| {
            let partition = self.partition(id);
            partition.owned && partition.position != partition.committed
        })
    }

    /// Records of partitions that are ours which are not settled, or settled and not committed.
    pub(crate) fn unfinished(&self) -> u64 {
        let owned = self.partitions.iter().filter(|it| it.owned);
        owned.map(|it| u64::from(it.in_flight) + it.uncommitted).sum()
    }

    /// Moves what is to be committed into `positions`, which is cleared first.
    pub(crate) fn take_positions(&mut self, positions: &mut Vec<(PartitionId, i64)>) {
        positions.clear();
        while let Some(id) = self.to_commit.pop() {
            let partition = self.partition_mut(id);
            partition.listed = false;
            let ahead = partition.owned && partition.position != partition.committed;
            partition.committing = ahead;
            partition.covered = partition.uncommitted;
            positions.extend(partition.position.filter(|_| ahead).map(|it| (id, it)));
        }
    }
}
