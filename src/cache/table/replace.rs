//! A whole new content at once, for sources that are read as a whole.
//!
//! The writer builds a new array beside the old one and puts it in its place. The reader goes over
//! to it with its next turn: it sees all of the old content, then all of the new, and never some of
//! both. Entries that stay as they are stand in both arrays. While both are there, the table takes
//! the room of both arrays and of all values that changed.

use super::{Entry, Garbage, Ordering, Slots, Value, Word, Writer, slots_for};

impl Writer {
    /// Puts these entries in the place of all, and publishes. No key stands twice; `generation` is
    /// one that no entry has.
    pub fn replace<'a>(
        &mut self,
        entries: impl ExactSizeIterator<Item = (&'a [u8], Value<'a>)>,
        generation: u32,
    ) {
        let new = Slots::new(slots_for(entries.len() + 1), &mut self.huge_pages);
        self.len = entries.len();
        for (key, value) in entries {
            let hash = self.hasher.hash(key);
            let known = self.find(hash, key).map(|(_, entry)| entry);
            // SAFETY: a linked entry is alive.
            let same = known.filter(|entry| unsafe { entry.value() } == value);
            let entry = same.unwrap_or_else(|| {
                let entry = Entry::allocate(hash.low(), generation, key, value);
                // SAFETY: it was just made.
                self.entry_bytes += unsafe { entry.bytes() };
                entry
            });
            // SAFETY: it is alive: linked, or just made.
            unsafe { entry.set_generation(generation) };
            let mut index = hash.index();
            while !new.load(index).is_empty() {
                index = index.wrapping_add(1);
            }
            new.store(index, Word::of(entry, hash));
        }
        let new = Box::into_raw(Box::new(new));
        let old = self.shared.slots.swap(new, Ordering::Release);
        self.used = self.len;
        self.hand.rebuilt();
        self.retire_replaced(old, generation);
        self.publish();
    }

    /// Retires an array that was unlinked, and those of its entries that stand in no other.
    fn retire_replaced(&mut self, old: *mut Slots, generation: u32) {
        // SAFETY: it was unlinked just now and is not retired yet, so it is alive.
        let slots = unsafe { &*old };
        for index in 0..slots.count() {
            let Some(entry) = slots.load(index).entry() else { continue };
            // SAFETY: what stands in that array is not retired yet.
            if !unsafe { entry.is_of(generation) } {
                self.retire_entry(entry);
            }
        }
        self.retire(slots.bytes(), Garbage::Slots(old));
    }
}
