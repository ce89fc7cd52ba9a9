//! The array of a table: one word a slot, open addressing, linear probing. No `unsafe` here.
//!
//! A word is an entry's address with fifteen bits of its hash in the sixteen that addresses leave
//! free, so that a probe compares keys only where the hashes agree. The lowest of the sixteen is
//! always set in an entry's word: empty slots and tombstones, which have none, never match. The
//! address is tagged with `map_addr`, which keeps its provenance. Array and entries are owned by
//! `table`; this file neither allocates entries nor frees them.
//!
//! Keys are hashed with foldhash, because keys are short and each record pays for one: 2 ns for 16
//! bytes. Its fast variant would save half of that, but under one seed in fifty it lays keys that
//! count, such as numbers with zeroes before, in chains of hundreds. Each table has a seed of its
//! own, 64 random bits that never leave the process. So no list of keys made beforehand shares a
//! probe chain, however well its author knows this program: `tests/cache_table.rs` holds that for
//! keys that count, that differ in one bit, and that collide under other seeds. It is no protection
//! against an author who can measure single lookups and adapt: foldhash is not a keyed
//! cryptographic function. What is at stake is time and never an answer: a probe ends at the first
//! empty slot, and at the worst, with every key in one chain, a lookup reads as many words as there
//! are entries. Keys that miss cost nothing more than the chain they meet, so whoever only sends
//! records cannot lengthen one: chains are made by those who write the source.

use std::{
    hash::Hasher,
    ptr::{self, NonNull},
    sync::atomic::Ordering,
};

use foldhash::{SharedSeed, quality::FoldHasher};

use super::{
    cells::{Cells, HugePages},
    entry::{Entry, Header},
};
use crate::prefetch::prefetch;

const ADDRESS_BITS: u32 = 48;
const ADDRESS_MASK: usize = (1 << ADDRESS_BITS) - 1;
const TOMBSTONE_ADDRESS: usize = 1;
const SLOTS_MAX: usize = 1 << 32;
const SLOT_BYTES: usize = size_of::<*mut Header>();

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

    /// In which of so many slots, a power of two, its probe begins.
    pub fn starts_at(self, slots: usize) -> usize {
        self.index() & (slots - 1)
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
    /// Keys up to sixteen bytes are spread by one multiplication, of which the start is a factor: a
    /// start with few bits set, as a plain number has, would spread numbers in text badly.
    pub(super) fn new(seed: u64) -> KeyHasher {
        let start = mixed(seed.wrapping_add(0x9e37_79b9_7f4a_7c15));
        KeyHasher { start, shared: SharedSeed::from_u64(seed) }
    }

    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> KeyHash {
        let mut hasher = FoldHasher::with_seed(self.start, &self.shared);
        hasher.write(key);
        KeyHash(hasher.finish())
    }
}

/// Every bit of the number in every bit of the result (the last step of SplitMix64).
fn mixed(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
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
pub(super) struct Slots(Cells);

impl Slots {
    /// # Panics
    ///
    /// Past 2^32 slots: entries keep 32 bits of their hash.
    pub(super) fn new(count: usize, huge_pages: &mut HugePages) -> Slots {
        assert!(count <= SLOTS_MAX, "a table has at most 2^32 slots");
        Slots(Cells::new(count, huge_pages))
    }

    pub(super) fn count(&self) -> usize {
        self.0.count()
    }

    pub(super) fn bytes(&self) -> usize {
        self.count() * SLOT_BYTES + size_of::<Slots>()
    }

    /// The word there; indices wrap around. Who gets an entry also sees what was written into it.
    #[inline]
    pub(super) fn load(&self, index: usize) -> Word {
        Word(self.0.at(index).load(Ordering::Acquire))
    }

    /// Puts a word there, with all that was written before it.
    pub(super) fn store(&self, index: usize, word: Word) {
        self.0.at(index).store(word.0, Ordering::Release);
    }

    /// Asks the CPU to bring a slot near. It may do nothing.
    #[inline]
    pub(super) fn prefetch(&self, index: usize) {
        prefetch(self.0.at(index));
    }

    /// Asks the CPU to bring the entry near that is linked there, if one is.
    pub(super) fn prefetch_entry(&self, index: usize) {
        if let Some(entry) = self.load(index).entry() {
            prefetch(entry.address().as_ptr());
        }
    }
}
