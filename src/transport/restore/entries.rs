//! The hot thread's end: what came back, taken a bounded number at a time.

use std::sync::{Arc, atomic::Ordering};

use super::{
    Restoration, StateKind,
    batch::{Batch, Item},
};
use crate::record::PartitionId;

/// What is handed over about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed<'a> {
    /// Its state begins to come: whatever was kept of that partition before is to be forgotten.
    Begin,
    /// An entry of a step; one without a value is deleted. A later one of that key replaces it.
    Entry {
        /// As `StatefulStep::number`.
        step: u16,
        /// The step's own key.
        key: &'a [u8],
        /// What was written under it.
        value: Option<&'a [u8]>,
    },
    /// What a step's keys are hashed with; without a value it is not known. It is written once: a
    /// later one replaces it.
    Seed {
        /// As `StatefulStep::number`.
        step: u16,
        /// What was written, 8 bytes.
        value: Option<&'a [u8]>,
    },
    /// That was all: its records may come.
    Complete,
    /// It was taken back before its records came: what came of it can be forgotten.
    Cancelled,
}

/// What came back.
#[derive(Debug)]
pub struct RestoredEntries {
    shared: Arc<Restoration>,
    /// Being taken, up to that byte.
    open: Option<(Batch, usize)>,
}

impl RestoredEntries {
    pub(super) fn new(shared: Arc<Restoration>) -> RestoredEntries {
        RestoredEntries { shared, open: None }
    }

    /// The part that source and side thread have, too.
    pub fn shared(&self) -> &Arc<Restoration> {
        &self.shared
    }

    /// Hands at most `items_max` items to `visit`, those of each partition in the order of the
    /// topic. Returns how many were taken, those that were passed over included. Never blocks.
    pub fn take(
        &mut self,
        items_max: usize,
        visit: &mut impl FnMut(PartitionId, Handed<'_>),
    ) -> usize {
        let mut taken = 0;
        while taken < items_max
            && let Some(partition) = self.shared.next_forgotten()
        {
            taken += 1;
            visit(partition, Handed::Cancelled);
        }
        while taken < items_max {
            let Some((batch, at)) = self.open.take().or_else(|| Some((self.shared.full.pop()?, 0)))
            else {
                break;
            };
            let (more, at) = self.take_from(&batch, at, items_max - taken, visit);
            taken += more;
            match batch.item_at(at) {
                Some(_) => self.open = Some((batch, at)),
                None => self.give_back(batch),
            }
        }
        taken
    }

    /// How many were taken, and where the next one begins.
    fn take_from(
        &self,
        batch: &Batch,
        mut at: usize,
        items_max: usize,
        visit: &mut impl FnMut(PartitionId, Handed<'_>),
    ) -> (usize, usize) {
        let mut taken = 0;
        while taken < items_max {
            let Some((label, item, next)) = batch.item_at(at) else { break };
            (taken, at) = (taken + 1, next);
            let generation = &self.shared.slot(label.partition).generation;
            if generation.load(Ordering::Relaxed) != label.generation {
                continue;
            }
            let handed = match item {
                Item::Begin => Handed::Begin,
                Item::Entry { kind: StateKind::Entry, step, key, value } => {
                    Handed::Entry { step, key, value }
                }
                Item::Entry { kind: StateKind::Seed, step, value, .. } => {
                    Handed::Seed { step, value }
                }
                Item::Complete => {
                    self.shared.end_of_wish(label.partition);
                    self.shared.board.completed();
                    Handed::Complete
                }
            };
            visit(label.partition, handed);
        }
        (taken, at)
    }

    fn give_back(&self, mut batch: Batch) {
        batch.forget();
        let is_taken = self.shared.empty.push(batch).is_ok();
        assert!(is_taken, "there are no more buffers than places for them");
    }
}
