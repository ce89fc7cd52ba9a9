//! The side thread's end: which partitions are wanted, and what is handed over of them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Restoration, StateKind, StatefulStep,
    batch::{Batch, Item, Label},
};
use crate::{limits::PARTITIONS_MAX, record::PartitionId, transport::Trouble};

/// A partition whose state is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// The index of its topic among those of the source.
    pub topic: u16,
    /// Its number in the topic, and of the partition of the state topic in which its state is.
    pub number: i32,
    label: Label,
}

impl Want {
    /// What the source calls it.
    pub fn partition(&self) -> PartitionId {
        self.label.partition
    }
}

/// What hands entries over.
#[derive(Debug)]
pub struct Filler {
    shared: Arc<Restoration>,
    /// The generation of each partition that was seen last.
    known: Box<[u32]>,
    open: Option<Batch>,
}

impl Filler {
    pub(super) fn new(shared: Arc<Restoration>) -> Filler {
        Filler { shared, known: vec![0; PARTITIONS_MAX].into_boxed_slice(), open: None }
    }

    /// From now on the calling thread is unparked when partitions become wanted, or are not any
    /// more.
    pub fn serve_from_here(&self) {
        self.shared.serve_from_here();
    }

    /// Appends the partitions that became wanted since the last call and still are. True if some
    /// are wanted no more.
    pub fn hear(&mut self, wants: &mut Vec<Want>) -> bool {
        if !self.shared.is_changed.swap(false, Ordering::AcqRel) {
            return false;
        }
        let mut has_ended = false;
        for (number, (slot, known)) in (0..).zip(self.shared.slots.iter().zip(&mut self.known)) {
            let generation = slot.generation.load(Ordering::Acquire);
            if generation == *known {
                continue;
            }
            has_ended |= *known % 2 == 1;
            let place = slot.place.load(Ordering::Acquire);
            if slot.generation.load(Ordering::Acquire) != generation {
                // It changes right now, which is said, too.
                continue;
            }
            *known = generation;
            if generation % 2 == 1 {
                let label = Label { partition: PartitionId(number), generation };
                let (topic, number) = ((place >> 32) as u16, place as u32 as i32);
                wants.push(Want { topic, number, label });
            }
        }
        has_ended
    }

    /// Whether it still is.
    pub fn is_wanted(&self, want: &Want) -> bool {
        let slot = self.shared.slot(want.label.partition);
        slot.generation.load(Ordering::Acquire) == want.label.generation
    }

    /// Whether there is room for an item. If not, the hot thread has to take something first.
    pub fn has_room(&mut self) -> bool {
        if self.open.as_ref().is_some_and(Batch::is_full) {
            self.flush();
        }
        if self.open.is_none() {
            self.open = self.shared.empty.pop();
            self.open.iter_mut().for_each(Batch::shrink);
        }
        self.open.is_some()
    }

    /// The first of a partition. This and what follows ask for room.
    pub fn begin(&mut self, want: &Want) {
        self.push(want, Item::Begin);
    }

    /// An entry.
    pub fn entry(
        &mut self,
        want: &Want,
        (kind, step): (StateKind, &StatefulStep),
        key: &[u8],
        value: Option<&[u8]>,
    ) {
        self.push(want, Item::Entry { kind, step: step.number, key, value });
        let bytes = key.len() + value.map_or(0, <[u8]>::len);
        self.shared.board.handed_over(step.number, bytes as u64);
    }

    /// The last of a partition.
    pub fn complete(&mut self, want: &Want) {
        self.push(want, Item::Complete);
    }

    fn push(&mut self, want: &Want, item: Item<'_>) {
        let batch = self.open.as_mut().expect("whoever hands over has asked for room");
        batch.push(want.label, item);
    }

    /// Hands over what is there.
    pub fn flush(&mut self) {
        let Some(batch) = self.open.take_if(|it| !it.is_empty()) else { return };
        let is_taken = self.shared.full.push(batch).is_ok();
        assert!(is_taken, "there are no more buffers than places for them");
        self.shared.wake_hot();
    }

    /// So many entries are there at most, in a partition that is about to be read.
    pub fn expects(&self, entries: u64) {
        self.shared.board.expects(entries);
    }

    /// A partition was complete so long after it became wanted.
    pub fn took(&self, time: Duration) {
        self.shared.board.took(time);
    }

    /// Tells of something that went wrong.
    pub fn trouble(&self, trouble: Trouble) {
        // The oldest of many makes room: the newest is the one that still holds.
        self.shared.troubles.force_push(trouble);
        self.shared.wake_hot();
    }

    /// Tells that a broker has answered again.
    pub fn is_back(&self) {
        self.shared.is_back.store(true, Ordering::Relaxed);
        self.shared.wake_hot();
    }

    /// The part that the hot thread has, too.
    pub fn shared(&self) -> &Arc<Restoration> {
        &self.shared
    }
}
