//! State that comes back: from the state topic to the hot thread, before a partition's records do.
//!
//! Three parties share a `Restoration`. The source says which partitions were given to us and which
//! were taken back, and keeps a partition's records away until its state is complete. A side thread
//! (the `Filler`'s owner) reads the topic and hands entries over in buffers that go round. The
//! engine takes a bounded number of them each turn (`RestoredEntries`). Source and engine are on
//! the hot thread: nothing here makes it wait, allocate or free.
//!
//! Entries are handed over in the order of the topic, superseded ones and tombstones included: the
//! newest of a key is the last that comes. Folding them before would hold every partition's whole
//! state a second time, and nothing could be handed over before the last entry was read. What is
//! superseded is little in a compacted topic.
//!
//! A partition that is taken back and given again gets another generation: what was on its way for
//! the earlier one is passed over.
//!
//! What this does not do: read or write a topic (see `kafka`), or know what an entry says.

mod batch;
mod board;
mod entries;
mod envelope;
mod filler;

pub use board::{RESTORE_BOUNDS_MS, RestoreFigures, StepFigures};
pub use entries::{Handed, RestoredEntries};
pub use envelope::{StateKey, StateKind};
pub use filler::{Filler, Want};

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread::{self, Thread},
};

use crossbeam_queue::ArrayQueue;

use self::{batch::Batch, board::Board};
use crate::{
    limits::{PARTITIONS_MAX, RESTORE_BATCHES},
    record::PartitionId,
    transport::Trouble,
};

/// Who is in trouble when the state topic is.
pub const STATE_PEER: &str = "state";

/// The code of the trouble that a step was changed since its state was written.
pub const STATE_CHANGED: &str = "STATE_CHANGED";

/// Troubles that wait to be told; older ones make room.
const TROUBLES_MAX: usize = 16;

/// A step that keeps state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatefulStep {
    /// Its index among all steps, from 0.
    pub number: u16,
    /// Its name, else its number from 1: what its entries are known by.
    pub name: String,
    /// What it does: `dedup`, `window`.
    pub operator: &'static str,
    /// Of its configuration: state of another one is of no use to it.
    pub hash: u64,
}

/// What the three parties share.
pub struct Restoration {
    slots: Box<[Slot]>,
    /// Some slot was written to since the side thread looked.
    is_changed: AtomicBool,
    /// Cancelled, and nobody was told.
    forgotten: ArrayQueue<PartitionId>,
    full: ArrayQueue<Batch>,
    empty: ArrayQueue<Batch>,
    troubles: ArrayQueue<Trouble>,
    /// A broker has answered again.
    is_back: AtomicBool,
    board: Board,
    side: OnceLock<Thread>,
    wake_hot: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Of one partition.
#[derive(Debug, Default)]
struct Slot {
    /// Odd while its state is wanted and not complete.
    generation: AtomicU32,
    /// The topic's index and the partition's number; written before the generation.
    place: AtomicU64,
    /// It is in `forgotten`.
    is_forgotten: AtomicBool,
}

/// Everything that belongs together: the shared part, the hot thread's end and the side thread's.
pub fn restoration(steps: &[StatefulStep]) -> (Arc<Restoration>, RestoredEntries, Filler) {
    let empty = ArrayQueue::new(RESTORE_BATCHES);
    while empty.push(Batch::new()).is_ok() {}
    let shared = Arc::new(Restoration {
        slots: (0..PARTITIONS_MAX).map(|_| Slot::default()).collect(),
        is_changed: AtomicBool::new(false),
        forgotten: ArrayQueue::new(PARTITIONS_MAX),
        full: ArrayQueue::new(RESTORE_BATCHES),
        empty,
        troubles: ArrayQueue::new(TROUBLES_MAX),
        is_back: AtomicBool::new(false),
        board: Board::new(steps),
        side: OnceLock::new(),
        wake_hot: OnceLock::new(),
    });
    (Arc::clone(&shared), RestoredEntries::new(Arc::clone(&shared)), Filler::new(shared))
}

impl Restoration {
    /// Hot thread: this partition was given to us, the one of that number in the source's topic of
    /// that index; its state is wanted. Never blocks.
    pub fn want(&self, partition: PartitionId, topic: u16, number: i32) {
        let slot = self.slot(partition);
        let before = slot.generation.load(Ordering::Relaxed);
        assert!(before.is_multiple_of(2), "the state of partition {} is wanted", partition.0);
        let place = u64::from(topic) << 32 | u64::from(number as u32);
        slot.place.store(place, Ordering::Release);
        slot.generation.store(before.wrapping_add(1), Ordering::Release);
        self.board.wanted();
        self.tell_side();
    }

    /// Hot thread: it was taken back before its records came. What comes for it is passed over from
    /// here on, and whoever took some of it is told to forget that. Never blocks.
    pub fn cancel(&self, partition: PartitionId) {
        if self.end_of_wish(partition) {
            self.board.cancelled();
            self.tell_side();
        }
        if !self.slot(partition).is_forgotten.swap(true, Ordering::Relaxed) {
            let is_taken = self.forgotten.push(partition).is_ok();
            assert!(is_taken, "there is a place for every partition");
        }
    }

    fn next_forgotten(&self) -> Option<PartitionId> {
        let partition = self.forgotten.pop()?;
        self.slot(partition).is_forgotten.store(false, Ordering::Relaxed);
        Some(partition)
    }

    /// Hot thread: where a partition is that was wanted: the index of the source's topic, and its
    /// number there.
    pub fn place(&self, partition: PartitionId) -> (u16, i32) {
        let place = self.slot(partition).place.load(Ordering::Relaxed);
        ((place >> 32) as u16, place as u32 as i32)
    }

    /// Hot thread: whether all of its state was taken from `RestoredEntries`, or none is wanted.
    pub fn is_complete(&self, partition: PartitionId) -> bool {
        self.slot(partition).generation.load(Ordering::Relaxed).is_multiple_of(2)
    }

    /// Whether any partition's state is wanted and not complete.
    pub fn is_restoring(&self) -> bool {
        self.board.is_restoring()
    }

    /// Hot thread: the next thing that went wrong. Never blocks.
    pub fn next_trouble(&self) -> Option<Trouble> {
        self.troubles.pop()
    }

    /// Hot thread: true once after an outage, when a broker has answered again.
    pub fn next_recovery(&self) -> bool {
        self.is_back.load(Ordering::Relaxed) && self.is_back.swap(false, Ordering::Relaxed)
    }

    /// How far it is, for whoever looks from outside.
    pub fn figures(&self) -> RestoreFigures {
        self.board.figures()
    }

    /// Hot thread: what that step keeps now, over all partitions; `number` as in `StatefulStep`.
    pub fn tell_kept(&self, number: u16, entries: u64, bytes: u64) {
        self.board.tell_kept(number, entries, bytes);
    }

    /// Called by the side thread from now on when it has handed something over: whoever sleeps
    /// until then is to be woken. The first one stays.
    pub fn wake_with(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.wake_hot.set(Box::new(wake));
    }

    /// True if the wish had not ended.
    fn end_of_wish(&self, partition: PartitionId) -> bool {
        let slot = self.slot(partition);
        let before = slot.generation.load(Ordering::Relaxed);
        let is_wanted = !before.is_multiple_of(2);
        if is_wanted {
            slot.generation.store(before.wrapping_add(1), Ordering::Release);
        }
        is_wanted
    }

    fn slot(&self, partition: PartitionId) -> &Slot {
        &self.slots[usize::from(partition.0)]
    }

    fn tell_side(&self) {
        self.is_changed.store(true, Ordering::Release);
        if let Some(side) = self.side.get() {
            side.unpark();
        }
    }

    /// Side thread: it is the one to be woken.
    fn serve_from_here(&self) {
        let _ = self.side.set(thread::current());
    }

    fn wake_hot(&self) {
        if let Some(wake) = self.wake_hot.get() {
            wake();
        }
    }
}

impl fmt::Debug for Restoration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restoration").field("board", &self.board).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
