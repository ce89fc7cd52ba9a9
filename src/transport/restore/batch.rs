//! What the side thread hands to the hot thread at once: items, one behind the other in one buffer.
//!
//! Buffers go round: filled there, read here, given back empty. So the hot thread neither allocates
//! nor frees, and an item costs it a few loads.

use crate::{limits::RESTORE_BATCH_BYTES, record::PartitionId};

use super::StateKind;

/// What it says, the partition, its generation, the step, the lengths of key and value.
const HEAD: usize = 1 + 2 + 4 + 2 + 4 + 4;

/// The length of a value that is not there.
const NO_VALUE: u32 = u32::MAX;

/// A partition whose state is wanted, and by which of its wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) partition: PartitionId,
    pub(super) generation: u32,
}

/// What an item says of its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Begin,
    Entry { kind: StateKind, step: u16, key: &'a [u8], value: Option<&'a [u8]> },
    Complete,
}

const BEGIN: u8 = 0;
const ENTRY: u8 = 1;
const SEED: u8 = 2;
const COMPLETE: u8 = 3;

/// Items in one buffer.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
}

impl Batch {
    pub(super) fn new() -> Batch {
        Batch { bytes: Vec::with_capacity(RESTORE_BATCH_BYTES) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= RESTORE_BATCH_BYTES
    }

    /// Has been read; frees nothing.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
    }

    /// Gives back what a huge item made it grow by. Not for the hot thread.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to(4 * RESTORE_BATCH_BYTES);
    }

    /// Appends an item, however large. Not for the hot thread: it may allocate.
    pub(super) fn push(&mut self, label: Label, item: Item<'_>) {
        let (what, step, key, value) = match item {
            Item::Begin => (BEGIN, 0, &b""[..], None),
            Item::Entry { kind: StateKind::Entry, step, key, value } => (ENTRY, step, key, value),
            Item::Entry { kind: StateKind::Seed, step, key, value } => (SEED, step, key, value),
            Item::Complete => (COMPLETE, 0, &b""[..], None),
        };
        let value_len = value.map_or(NO_VALUE, |it| it.len() as u32);
        self.bytes.reserve(HEAD + key.len() + value.map_or(0, <[u8]>::len));
        self.bytes.push(what);
        self.bytes.extend(label.partition.0.to_ne_bytes());
        self.bytes.extend(label.generation.to_ne_bytes());
        self.bytes.extend(step.to_ne_bytes());
        self.bytes.extend((key.len() as u32).to_ne_bytes());
        self.bytes.extend(value_len.to_ne_bytes());
        self.bytes.extend(key);
        self.bytes.extend(value.unwrap_or_default());
    }

    /// The item that begins at that byte, and where the next one does; `None` behind the last.
    #[inline]
    pub(super) fn item_at(&self, at: usize) -> Option<(Label, Item<'_>, usize)> {
        let mut rest = Rest(self.bytes.get(at..).filter(|it| !it.is_empty())?);
        let [what] = rest.take();
        let partition = PartitionId(u16::from_ne_bytes(rest.take()));
        let label = Label { partition, generation: u32::from_ne_bytes(rest.take()) };
        let step = u16::from_ne_bytes(rest.take());
        let key_len = u32::from_ne_bytes(rest.take()) as usize;
        let value_len = u32::from_ne_bytes(rest.take());
        let (key, behind) = rest.0.split_at(key_len);
        let value = (value_len != NO_VALUE).then(|| &behind[..value_len as usize]);
        let next = at + HEAD + key_len + value.map_or(0, <[u8]>::len);
        let item = match what {
            BEGIN => Item::Begin,
            ENTRY => Item::Entry { kind: StateKind::Entry, step, key, value },
            SEED => Item::Entry { kind: StateKind::Seed, step, key, value },
            COMPLETE => Item::Complete,
            _ => unreachable!("nothing else is written"),
        };
        Some((label, item, next))
    }
}

/// Bytes that are still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    #[inline]
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_first_chunk().expect("a batch ends with a whole item");
        self.0 = rest;
        *taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Owned = (u16, u32, u8, u16, Vec<u8>, Option<Vec<u8>>);

    fn item(it: &Owned) -> (Label, Item<'_>) {
        let (partition, generation, what, step, key, value) = it;
        let label = Label { partition: PartitionId(*partition), generation: *generation };
        let entry = |kind| Item::Entry { kind, step: *step, key, value: value.as_deref() };
        let item = match what % 4 {
            0 => Item::Begin,
            1 => entry(StateKind::Entry),
            2 => entry(StateKind::Seed),
            _ => Item::Complete,
        };
        (label, item)
    }

    proptest! {
        #[test]
        fn items_come_back_in_their_order(items: Vec<Owned>) {
            let mut batch = Batch::new();
            for (label, item) in items.iter().map(item) {
                batch.push(label, item);
            }
            let (mut at, mut read) = (0, Vec::new());
            while let Some((label, item, next)) = batch.item_at(at) {
                read.push((label, item));
                at = next;
            }
            prop_assert_eq!(read, items.iter().map(item).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_huge_item_fits_and_leaves_no_huge_buffer() {
        let mut batch = Batch::new();
        let label = Label { partition: PartitionId(1), generation: 1 };
        let value = vec![7; 10 * RESTORE_BATCH_BYTES];
        let entry = Item::Entry { kind: StateKind::Entry, step: 0, key: b"k", value: Some(&value) };
        batch.push(label, entry);
        assert!(batch.is_full());
        assert_eq!(batch.item_at(0).map(|it| it.1), Some(entry));
        batch.forget();
        batch.shrink();
        assert!(batch.is_empty() && batch.bytes.capacity() <= 4 * RESTORE_BATCH_BYTES);
        assert!(batch.bytes.capacity() >= RESTORE_BATCH_BYTES);
    }
}
