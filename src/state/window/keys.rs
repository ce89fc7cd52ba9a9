//! The entries: one for each key, a block of bytes that begins with the key.
//!
//! An entry without windows stays until its deletion is committed. One that is taken out keeps its
//! number and its key as long as a timer names it, because timers are in order by keys.

use std::{cmp::Ordering, collections::hash_map::RandomState, hash::BuildHasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    super::{
        blocks::{Block, Blocks},
        index::Index,
    },
    layout::{self, VALUE_HEAD},
};
use crate::prefetch::prefetch;

/// What is known of an entry beside its bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    block: Block,
    len: u32,
    key_len: u32,
    tag: u32,
    /// The commit for which its bytes from before the first change are kept.
    changed_in: u32,
    /// Timers that name it.
    timers: u32,
    is_listed: bool,
    is_gone: bool,
}

impl Entry {
    #[inline]
    fn head(&self) -> usize {
        self.key_len as usize + VALUE_HEAD
    }

    fn is_open(&self) -> bool {
        self.len as usize > self.head()
    }
}

/// All entries of a partition.
#[derive(Debug)]
pub(super) struct Keys {
    entries: Vec<Entry>,
    free: Vec<u32>,
    index: Index,
    blocks: Blocks,
    seed: u64,
    /// Entries that can be found.
    count: usize,
    count_max: usize,
    /// Those with windows.
    open: usize,
}

/// A block that is so many times too large is changed for a smaller one.
const SHRINK_FROM: usize = 4;

/// What a CPU takes from memory at a time, in bytes.
const CACHE_LINE: usize = 64;

/// So much of an entry is asked for: a window of some numbers.
const LINES_PREFETCHED: usize = 4;

/// No entry has that number.
pub(super) const NO_ENTRY: u32 = u32::MAX;

impl Keys {
    pub(super) fn new(count_max: usize) -> Keys {
        Keys {
            entries: Vec::with_capacity(count_max),
            free: Vec::with_capacity(count_max),
            index: Index::new(count_max),
            blocks: Blocks::new(),
            // Whoever chooses keys cannot know which of them share a probe.
            seed: RandomState::new().hash_one(0),
            count: 0,
            count_max,
            open: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let entries = self.entries.capacity() * size_of::<Entry>();
        let free = self.free.capacity() * size_of::<u32>();
        self.index.bytes() + self.blocks.bytes() + entries + free
    }

    pub(super) fn stock(&mut self) {
        self.blocks.stock();
    }

    /// Entries with windows.
    #[inline]
    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn has_room(&self) -> bool {
        self.has_room_for(1)
    }

    #[inline]
    pub(super) fn has_room_for(&self, entries: usize) -> bool {
        self.count + entries <= self.count_max
    }

    #[inline]
    pub(super) fn tag(&self, key: &[u8]) -> u32 {
        (xxh3_64_with_seed(key, self.seed) >> 32) as u32
    }

    #[inline]
    pub(super) fn find(&self, tag: u32, key: &[u8]) -> Option<u32> {
        self.index.find(tag, |id| self.key(id) == key)
    }

    /// Asks for where the probe of a key begins.
    #[inline]
    pub(super) fn prefetch_probe(&self, tag: u32) {
        self.index.prefetch(tag);
    }

    /// Which entry a key is likely to have, or any; where its probe begins is to be near. What is
    /// known of that one is asked for.
    #[inline]
    pub(super) fn prefetch_guess(&self, tag: u32) -> u32 {
        self.index.prefetch_next(tag);
        let id = self.index.guess(tag);
        if (id as usize) < self.entries.len() {
            self.prefetch_entry(id);
            return id;
        }
        NO_ENTRY
    }

    /// Whether it is that key's entry, and can be found; any number may be asked about.
    #[inline]
    pub(super) fn is_of(&self, id: u32, key: &[u8]) -> bool {
        let entry = self.entries.get(id as usize);
        entry.is_some_and(|it| !it.is_gone) && self.key(id) == key
    }

    /// Asks for what is known of an entry.
    #[inline]
    pub(super) fn prefetch_entry(&self, id: u32) {
        prefetch(&raw const self.entries[id as usize]);
    }

    /// Asks for the first bytes of its block, if there is such an entry; what is known of it is to
    /// be near.
    #[inline]
    pub(super) fn prefetch_block(&self, id: u32) {
        if id == NO_ENTRY {
            return;
        }
        let bytes = self.get(id);
        for line in bytes.chunks(CACHE_LINE).take(LINES_PREFETCHED) {
            prefetch(line.as_ptr());
        }
    }

    #[inline]
    fn at(&self, id: u32) -> &Entry {
        &self.entries[id as usize]
    }

    #[inline]
    pub(super) fn key(&self, id: u32) -> &[u8] {
        let entry = self.at(id);
        &self.blocks.get(entry.block)[..entry.key_len as usize]
    }

    /// Key and value.
    #[inline]
    pub(super) fn get(&self, id: u32) -> &[u8] {
        let entry = self.at(id);
        &self.blocks.get(entry.block)[..entry.len as usize]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u32) -> &mut [u8] {
        let entry = self.entries[id as usize];
        &mut self.blocks.get_mut(entry.block)[..entry.len as usize]
    }

    /// The same, marked as changed for that commit; whether it was not before.
    #[inline]
    pub(super) fn change(&mut self, id: u32, commit: u32) -> (bool, &mut [u8]) {
        let entry = &mut self.entries[id as usize];
        let is_first = std::mem::replace(&mut entry.changed_in, commit) != commit;
        (is_first, &mut self.blocks.get_mut(entry.block)[..entry.len as usize])
    }

    pub(super) fn value(&self, id: u32) -> &[u8] {
        &self.get(id)[self.at(id).key_len as usize..]
    }

    pub(super) fn value_mut(&mut self, id: u32) -> &mut [u8] {
        let start = self.at(id).key_len as usize;
        &mut self.get_mut(id)[start..]
    }

    /// Where its windows begin.
    #[inline]
    pub(super) fn head(&self, id: u32) -> usize {
        self.at(id).head()
    }

    #[inline]
    pub(super) fn is_open(&self, id: u32) -> bool {
        self.at(id).is_open()
    }

    #[inline]
    pub(super) fn is_gone(&self, id: u32) -> bool {
        self.at(id).is_gone
    }

    #[inline]
    pub(super) fn changed_in(&self, id: u32) -> u32 {
        self.at(id).changed_in
    }

    #[inline]
    pub(super) fn set_changed_in(&mut self, id: u32, commit: u32) {
        self.entries[id as usize].changed_in = commit;
    }

    /// Whether it is remembered as one without windows; what was remembered until now.
    pub(super) fn set_listed(&mut self, id: u32, is_listed: bool) -> bool {
        std::mem::replace(&mut self.entries[id as usize].is_listed, is_listed)
    }

    /// All that can be found.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        (0..self.entries.len() as u32).filter(|id| !self.is_gone(*id))
    }

    /// Makes an entry; the caller knows that its key has none, and that there is room.
    pub(super) fn insert(&mut self, tag: u32, key_len: usize, bytes: &[u8]) -> u32 {
        let block = self.blocks.take(bytes.len());
        self.blocks.get_mut(block)[..bytes.len()].copy_from_slice(bytes);
        let entry = Entry {
            block,
            len: bytes.len() as u32,
            key_len: key_len as u32,
            tag,
            changed_in: 0,
            timers: 0,
            is_listed: false,
            is_gone: false,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id as usize] = entry;
                id
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        self.index.insert(tag, id, |_| false);
        self.count += 1;
        self.open += usize::from(entry.is_open());
        id
    }

    /// Gives an entry other bytes, which begin with the same key.
    pub(super) fn put(&mut self, id: u32, bytes: &[u8]) {
        let mut entry = *self.at(id);
        self.open -= usize::from(entry.is_open());
        let capacity = entry.block.capacity();
        if bytes.len() > capacity || bytes.len() * SHRINK_FROM < capacity {
            let block = self.blocks.take(bytes.len());
            self.blocks.give_back(entry.block);
            entry.block = block;
        }
        entry.len = bytes.len() as u32;
        self.blocks.get_mut(entry.block)[..bytes.len()].copy_from_slice(bytes);
        self.open += usize::from(entry.is_open());
        self.entries[id as usize] = entry;
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, id: u32) {
        let entry = *self.at(id);
        self.index.remove(entry.tag, id);
        self.open -= usize::from(entry.is_open());
        self.count -= 1;
        self.entries[id as usize].is_gone = true;
        self.free_if_unused(id);
    }

    fn free_if_unused(&mut self, id: u32) {
        let entry = *self.at(id);
        if entry.is_gone && entry.timers == 0 {
            self.blocks.give_back(entry.block);
            self.free.push(id);
        }
    }

    pub(super) fn add_timer(&mut self, id: u32) {
        self.entries[id as usize].timers += 1;
    }

    pub(super) fn drop_timer(&mut self, id: u32) {
        self.entries[id as usize].timers -= 1;
        self.free_if_unused(id);
    }

    /// The first sixteen bytes, as numbers in the order of keys.
    pub(super) fn prefix(&self, id: u32) -> [u64; 2] {
        let key = self.key(id);
        let mut prefix = [0; 16];
        let len = key.len().min(prefix.len());
        prefix[..len].copy_from_slice(&key[..len]);
        let prefix = u128::from_be_bytes(prefix);
        [(prefix >> 64) as u64, prefix as u64]
    }

    pub(super) fn order(&self, one: u32, other: u32) -> Ordering {
        self.key(one).cmp(self.key(other))
    }

    pub(super) fn offset(&self, id: u32) -> i64 {
        layout::offset(self.value(id))
    }
}
