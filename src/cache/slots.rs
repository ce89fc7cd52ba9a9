//! The array of a table: one word a slot, open addressing, linear probing. No `unsafe` here.
//!
//! A word is an entry's address with fifteen bits of its hash in the sixteen that addresses leave
//! free, so that a probe compares keys only where the hashes agree. The lowest of the sixteen is
//! always set in an entry's word: empty slots and tombstones, which have none, never match. The
//! address is tagged with `map_addr`, which keeps its provenance. Array and entries are owned by
//! `table`; this file neither allocates entries nor frees them.

use std::{
    hash::Hasher,
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, Ordering},
};

use foldhash::{SharedSeed, fast::FoldHasher};

use super::entry::{Entry, Header, prefetch};

const ADDRESS_BITS: u32 = 48;
const ADDRESS_MASK: usize = (1 << ADDRESS_BITS) - 1;
const TOMBSTONE_ADDRESS: usize = 1;
const SLOTS_MAX: usize = 1 << 32;

const _: () = assert!(usize::BITS == 64, "a word holds an address and a tag");
const _: () = assert!(align_of::<Header>() > TOMBSTONE_ADDRESS, "no entry is at that address");

/// A key's hash in one table; another table has another seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash(u64);

impl KeyHash {
    /// As a number, to be kept by who knows no tables.
    #[inline]
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The hash of that number.
    #[inline]
    pub fn from_bits(bits: u64) -> KeyHash {
        KeyHash(bits)
    }

    /// Where its probe begins.
    #[inline]
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    /// What an entry keeps of it: enough to place it in an array of any size.
    pub(super) fn low(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    fn tag(self) -> usize {
        ((self.0 >> ADDRESS_BITS) as usize | 1) << ADDRESS_BITS
    }
}

/// Hashes keys under a seed. The seed is random in each process: whoever chooses keys cannot know
/// which of them share a probe chain.
#[derive(Clone, Debug)]
pub(super) struct KeyHasher {
    start: u64,
    shared: SharedSeed,
}

impl KeyHasher {
    pub(super) fn new(seed: u64) -> KeyHasher {
        KeyHasher { start: seed, shared: SharedSeed::from_u64(seed) }
    }

    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> KeyHash {
        let mut hasher = FoldHasher::with_seed(self.start, &self.shared);
        hasher.write(key);
        KeyHash(hasher.finish())
    }
}

/// What a slot holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word(*mut Header);

impl Word {
    /// The end of every probe that comes by.
    pub(super) const EMPTY: Word = Word(ptr::null_mut());

    /// An entry was here, and probes go on behind it.
    pub(super) const TOMBSTONE: Word = Word(ptr::without_provenance_mut(TOMBSTONE_ADDRESS));

    /// # Panics
    ///
    /// If the system hands out addresses above 48 bits, which Linux does only when asked to.
    pub(super) fn of(entry: Entry, hash: KeyHash) -> Word {
        let address = entry.address().as_ptr();
        assert!(address.addr() <= ADDRESS_MASK, "addresses in user space have 48 bits");
        Word(address.map_addr(|it| it | hash.tag()))
    }

    /// The same word may stand in another array: the tag does not depend on the size.
    #[inline]
    pub(super) fn entry(self) -> Option<Entry> {
        let is_entry = self.0.addr() > ADDRESS_MASK;
        let address = self.0.map_addr(|it| it & ADDRESS_MASK);
        NonNull::new(address).filter(|_| is_entry).map(Entry::at)
    }

    /// The entry, if its hash may be this one.
    #[inline]
    pub(super) fn entry_like(self, hash: KeyHash) -> Option<Entry> {
        if self.0.addr() & !ADDRESS_MASK != hash.tag() {
            return None;
        }
        NonNull::new(self.0.map_addr(|it| it & ADDRESS_MASK)).map(Entry::at)
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0.is_null()
    }

    pub(super) fn is_tombstone(self) -> bool {
        self.0.addr() == TOMBSTONE_ADDRESS
    }
}

/// The array. Its length is a power of two, and it is never full: a probe always ends.
#[derive(Debug)]
pub(super) struct Slots {
    mask: usize,
    cells: Box<[AtomicPtr<Header>]>,
}

impl Slots {
    /// # Panics
    ///
    /// Past 2^32 slots: entries keep 32 bits of their hash.
    pub(super) fn new(count: usize) -> Slots {
        assert!(count.is_power_of_two() && count <= SLOTS_MAX, "a table has at most 2^32 slots");
        Slots { mask: count - 1, cells: (0..count).map(|_| AtomicPtr::default()).collect() }
    }

    pub(super) fn count(&self) -> usize {
        self.cells.len()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.cells) + size_of::<Slots>()
    }

    /// The word there; indices wrap around. Who gets an entry also sees what was written into it.
    #[inline]
    pub(super) fn load(&self, index: usize) -> Word {
        Word(self.cells[index & self.mask].load(Ordering::Acquire))
    }

    /// Puts a word there, with all that was written before it.
    pub(super) fn store(&self, index: usize, word: Word) {
        self.cells[index & self.mask].store(word.0, Ordering::Release);
    }

    /// Asks the CPU to bring a slot near. It may do nothing.
    #[inline]
    pub(super) fn prefetch(&self, index: usize) {
        prefetch(&raw const self.cells[index & self.mask]);
    }
}
