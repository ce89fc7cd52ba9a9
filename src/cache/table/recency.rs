//! What a table on demand needs beside: which entries may go, and which have to be read again.
//!
//! The reader marks what it finds, and the writer goes round over the slots like the hand of a
//! clock: it takes a mark off where it finds one, and takes the entry out where it finds none. So
//! what was not looked up for a whole round goes first, and the reader pays for that with a store
//! the first time in each round, and with a load of a line that it has anyway otherwise. An entry
//! that a record waits for is passed over until the reader has seen it.

use super::{Entry, Reader, Value, Writer};
use crate::cache::{
    entry::{USED, WANTED},
    slots::KeyHash,
};

/// Bytes of slots that an entry takes at most: four, right after a growth.
const SLOT_BYTES: usize = 32;

/// Where the hand points to.
#[derive(Debug, Default)]
pub(super) struct Hand {
    index: usize,
    rebuilds: u64,
}

impl Hand {
    /// The slots were put in another order.
    pub(super) fn rebuilt(&mut self) {
        self.rebuilds += 1;
    }
}

/// A walk over all slots, some at a time.
#[derive(Debug, Default)]
pub struct Walk {
    index: usize,
    rebuilds: u64,
    has_found: bool,
}

impl Reader {
    /// The value of that key, whose hash is known; marks it as used.
    #[inline]
    pub fn get_marking(&self, hash: KeyHash, key: &[u8]) -> Option<Value<'_>> {
        // SAFETY: an entry found in a slot is not freed before the next `quiesce`, and the result
        // borrows `self`, which `quiesce` wants for itself.
        unsafe {
            let entry = self.find(hash, |entry| entry.key() == key)?;
            entry.look();
            Some(entry.value())
        }
    }

    /// True if there is an entry of that hash, very likely of the key that it was made of.
    #[inline]
    pub fn knows(&self, hash: KeyHash) -> bool {
        // SAFETY: an entry found in a slot is not freed before the next `quiesce`.
        self.find(hash, |entry| unsafe { entry.hash() } == hash.low()).is_some()
    }
}

impl Writer {
    /// True if that key has an entry, also one that says that it is absent.
    pub fn holds(&self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    /// What that key has, be it that it is absent.
    pub fn value(&self, key: &[u8]) -> Option<Value<'_>> {
        // SAFETY: a linked entry is alive, and unlinking wants the writer for itself.
        self.entry(key).map(|entry| unsafe { entry.value() })
    }

    /// Lets an entry stay until the reader has seen it. It counts as used.
    pub fn want(&mut self, key: &[u8]) {
        if let Some(entry) = self.entry(key) {
            // SAFETY: a linked entry is alive.
            unsafe { entry.mark(USED | WANTED) };
        }
    }

    /// Nobody waits for an entry any more, whether it was seen or not.
    pub fn unwant(&mut self, key: &[u8]) {
        if let Some(entry) = self.entry(key) {
            // SAFETY: a linked entry is alive.
            unsafe { entry.unmark(WANTED) };
        }
    }

    /// True if an entry waits to be seen.
    pub fn is_wanted(&self, key: &[u8]) -> bool {
        // SAFETY: a linked entry is alive.
        self.entry(key).is_some_and(|entry| unsafe { entry.marks() } & WANTED != 0)
    }

    /// Bytes of the entries with as many slots as they may take: what `max_bytes` bounds.
    pub fn bytes_at_most(&self) -> usize {
        self.entry_bytes + self.len * SLOT_BYTES
    }

    /// Takes out the next entry that was not used for a round of the hand, after telling its key.
    /// False if every entry waits to be seen.
    pub fn evict(&mut self, forget: impl FnOnce(&[u8])) -> bool {
        // A first round may find marks only, and takes them off.
        for _ in 0..2 * self.slots().count() {
            let index = self.hand.index;
            self.hand.index = index.wrapping_add(1);
            let Some(entry) = self.slots().load(index).entry() else { continue };
            // SAFETY: a linked entry is alive, until it is retired and its epoch echoed.
            unsafe {
                match entry.marks() {
                    0 => {
                        forget(entry.key());
                        self.unlink(index, entry);
                        return true;
                    }
                    marks if marks & WANTED == 0 => entry.unmark(USED),
                    _ => {}
                }
            }
        }
        false
    }

    /// Goes on with a walk over `slots` more slots: keys of entries of another generation. True if
    /// it came to the end and there is none any more.
    pub fn find_stale(
        &self,
        walk: &mut Walk,
        generation: u32,
        slots: usize,
        mut see: impl FnMut(&[u8]),
    ) -> bool {
        if walk.rebuilds != self.hand.rebuilds {
            *walk = Walk { rebuilds: self.hand.rebuilds, ..Walk::default() };
        }
        let end = self.slots().count().min(walk.index + slots);
        for entry in (walk.index..end).filter_map(|index| self.slots().load(index).entry()) {
            // SAFETY: a linked entry is alive.
            unsafe {
                if !entry.is_of(generation) {
                    walk.has_found = true;
                    see(entry.key());
                }
            }
        }
        walk.index = end;
        if end < self.slots().count() {
            return false;
        }
        !std::mem::take(walk).has_found
    }

    fn entry(&self, key: &[u8]) -> Option<Entry> {
        self.find(self.hasher.hash(key), key).map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::cache::table::table;

    fn filled(keys: u32) -> (Writer, Reader) {
        let (mut writer, mut reader) = table(4, 1);
        for key in 0..keys {
            writer.insert(&key.to_le_bytes(), Value::text(b"value"), 1);
        }
        writer.publish();
        reader.quiesce();
        (writer, reader)
    }

    fn get(reader: &Reader, key: u32) -> bool {
        let key = key.to_le_bytes();
        reader.get_marking(reader.hash(&key), &key).is_some()
    }

    #[test]
    fn what_was_looked_up_stays_and_the_rest_goes() {
        let (mut writer, mut reader) = filled(100);
        assert!((0..100).step_by(10).all(|key| get(&reader, key)));
        let mut gone = HashSet::new();
        for _ in 0..90 {
            assert!(writer.evict(|key| assert!(gone.insert(key.to_vec()))));
        }
        writer.publish();
        reader.quiesce();
        assert_eq!((writer.len(), gone.len()), (10, 90));
        assert!((0..100).all(|key| get(&reader, key) == key.is_multiple_of(10)));
        // All are used: the hand goes round once and takes one all the same.
        assert!(writer.evict(|_| {}));
        assert_eq!(writer.len(), 9);
    }

    #[test]
    fn what_a_record_waits_for_stays_until_it_was_seen_or_given_up() {
        let (mut writer, reader) = filled(3);
        (0..3u32).for_each(|key| writer.want(&key.to_le_bytes()));
        assert!(!writer.evict(|_| {}), "all are waited for");
        assert!(get(&reader, 1));
        assert!(!writer.is_wanted(&1u32.to_le_bytes()) && writer.is_wanted(&0u32.to_le_bytes()));
        assert!(writer.evict(|key| assert_eq!(key, 1u32.to_le_bytes())));
        assert!(!writer.evict(|_| {}));
        writer.unwant(&0u32.to_le_bytes());
        assert!(writer.evict(|key| assert_eq!(key, 0u32.to_le_bytes())));
        assert!(writer.holds(&2u32.to_le_bytes()));
    }

    #[test]
    fn marks_outlive_a_new_value_and_a_new_generation() {
        let (mut writer, reader) = filled(1);
        let key = 0u32.to_le_bytes();
        writer.want(&key);
        writer.insert(&key, Value::text(b"value"), 2);
        assert!(writer.is_wanted(&key));
        writer.insert(&key, Value::text(b"another"), 3);
        assert!(writer.is_wanted(&key));
        assert!(reader.knows(reader.hash(&key)) && !reader.knows(reader.hash(b"else")));
    }

    #[test]
    fn a_walk_ends_when_nothing_is_stale_also_over_growth() {
        let (mut writer, _reader) = filled(50);
        let mut walk = Walk::default();
        let mut seen = HashSet::new();
        let mut next = 50u32;
        let mut steps = 0;
        loop {
            let mut keys = Vec::new();
            let is_done = writer.find_stale(&mut walk, 2, 16, |key| keys.push(key.to_vec()));
            assert!(!is_done || keys.is_empty());
            for key in keys {
                writer.insert(&key, Value::text(b"value"), 2);
                seen.insert(key);
            }
            if is_done {
                break;
            }
            if steps < 20 {
                for _ in 0..10 {
                    writer.insert(&next.to_le_bytes(), Value::text(b"new"), 2);
                    next += 1;
                }
            }
            steps += 1;
        }
        assert_eq!(seen.len(), 50);
    }
}
