//! The table: strings of bytes to strings of bytes, one writer, one reader, reads without waiting.
//!
//! The writer puts entries into slots and unlinks them; what it unlinked, it frees once the reader
//! has echoed a later epoch (`epoch`). The writer also makes a new array when the old one is full;
//! the reader goes over to it at its next `quiesce`. So a read is a few plain loads, whatever the
//! writer does, and the reader never allocates, frees or copies. Left out: a second reader, and
//! knowledge of where entries come from.
//!
//! Memory over keys and values: 16 bytes an entry, and 8 a slot. A table that grows has between 3/8
//! and 3/4 of its slots in use, so 11 to 22 bytes of slots an entry: 27 to 38 together, 33 at a
//! million (33.8 as the kernel counts). One that shrinks gives slots back once 7 of 8 are free: 80
//! at the worst. The allocator rounds blocks up, mimalloc to a multiple of 8 bytes and above 64 by
//! an eighth at most.
//!
//! What the writer stalls for: a new array takes one pass over the old one and one look at every
//! entry's hash; entries are asked for some slots ahead, so that their misses overlap. Going on
//! from 786,432 entries took 17 ms and from twice as many 37 ms, the best of three on a busy
//! machine of two cores; the reader meanwhile goes on with the old array. `benches/table.rs` says
//! what it is elsewhere.
//!
//! Contract of the `unsafe` here:
//!
//! * only the one `Writer` changes slots, links arrays and frees; only the one `Reader` echoes;
//! * a reference that `Reader::get` returned borrows the reader, so none outlives `quiesce`;
//! * `quiesce` echoes an epoch only after it has read it, and takes the array only after that;
//! * an entry or array is retired after it was unlinked from all that a reader could reach after
//!   reading the epoch with which it is tagged, and freed only once that epoch was echoed;
//! * what is linked or retired is alive, so both sides may read whatever they find in a slot;
//! * what is left at the end is freed by `Shared`, when neither side exists any more.

use std::{
    collections::VecDeque,
    fmt, iter,
    sync::{PoisonError, atomic::Ordering},
};

use self::{
    recency::Hand,
    retired::{Garbage, Retired},
};
use super::{
    cells::HugePages,
    entry::Entry,
    epoch::Epoch,
    slots::{KeyHash, KeyHasher, Slots, Word},
    sync::{Arc, AtomicPtr, Mutex, discard},
    value::Value,
};
use crate::limits::TABLE_RETIRED_BYTES_MAX;

mod recency;
mod replace;
mod retired;

pub use self::recency::Walk;

const SLOTS_MIN: usize = 16;

/// Slots that `prefetch_entry` looks at; longer probes are rare and do without.
const PREFETCH_PROBES: usize = 8;

/// How far ahead of a pass over all slots entries are asked for: as many misses as a core has under
/// way at a time, at half load.
const SLOTS_AHEAD: usize = 32;

/// Makes an empty table with room for that many entries before it grows for the first time. The
/// seed decides how keys are spread; `random_seed` gives one that nobody can guess.
pub fn table(capacity: usize, seed: u64) -> (Writer, Reader) {
    let first = Slots::new(slots_for(capacity), &mut HugePages::NotAsked);
    let slots = Box::into_raw(Box::new(first));
    let shared = Arc::new(Shared {
        slots: AtomicPtr::new(slots),
        epoch: Epoch::default(),
        leftover: Mutex::default(),
    });
    let hasher = KeyHasher::new(seed);
    let reader = Reader { slots, echoed: 0, hasher: hasher.clone(), shared: shared.clone() };
    let writer = Writer {
        shared,
        hasher,
        len: 0,
        used: 0,
        entry_bytes: 0,
        hand: Hand::default(),
        retired: VecDeque::new(),
        retired_bytes: 0,
        huge_pages: HugePages::NotAsked,
    };
    (writer, reader)
}

/// Slots for that many entries: between a quarter and a half of them in use.
fn slots_for(entries: usize) -> usize {
    (entries * 2).next_power_of_two().max(SLOTS_MIN)
}

/// What both sides hold.
struct Shared {
    /// The array that is in force. Written by the writer; always a live `Box`'s pointer.
    slots: AtomicPtr<Slots>,
    epoch: Epoch,
    /// What a writer had retired when it went away.
    leftover: Mutex<VecDeque<Retired>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let leftover = self.leftover.get_mut().unwrap_or_else(PoisonError::into_inner);
        for retired in leftover.drain(..) {
            // SAFETY: it was retired and not freed, and there is no reader any more.
            unsafe { retired.garbage.free() };
        }
        // SAFETY: the pointer is a live box's, and neither side is left to use it.
        let slots = unsafe { Box::from_raw(self.slots.load(Ordering::Relaxed)) };
        for entry in (0..slots.count()).filter_map(|index| slots.load(index).entry()) {
            // SAFETY: a linked entry is alive, and nobody is left to use it.
            unsafe { entry.free() };
        }
        discard(slots);
    }
}

/// The hot thread's side.
pub struct Reader {
    /// The array that was in force at the last `quiesce`; not freed before the next.
    slots: *const Slots,
    echoed: u64,
    hasher: KeyHasher,
    shared: Arc<Shared>,
}

// SAFETY: the array and its entries may be read from any thread; there is one reader, and it moves
// as a whole. It is not `Sync`, and needs not be.
unsafe impl Send for Reader {}

impl Reader {
    /// Once a turn: lets go of all that earlier turns saw, and takes what the writer has published.
    #[inline]
    pub fn quiesce(&mut self) {
        let epoch = self.shared.epoch.read();
        if epoch != self.echoed {
            self.echoed = epoch;
            self.slots = self.shared.slots.load(Ordering::Acquire);
            self.shared.epoch.echo(epoch);
        }
    }

    /// The value of that key.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<Value<'_>> {
        self.get_hashed(self.hash(key), key)
    }

    /// The hash of a key in this table, to prefetch with and to look up with.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        self.hasher.hash(key)
    }

    /// The value of that key, whose hash is known.
    #[inline]
    pub fn get_hashed(&self, hash: KeyHash, key: &[u8]) -> Option<Value<'_>> {
        // SAFETY: an entry found in a slot is not freed before the next `quiesce`, and the result
        // borrows `self`, which `quiesce` wants for itself.
        unsafe { self.find(hash, |entry| entry.key() == key).map(|entry| entry.value()) }
    }

    /// The entry of that hash which is the one that is looked for.
    #[inline]
    fn find(&self, hash: KeyHash, is_it: impl Fn(Entry) -> bool) -> Option<Entry> {
        let slots = self.slots();
        let mut index = hash.index();
        loop {
            let word = slots.load(index);
            if word.is_empty() {
                return None;
            }
            if let Some(entry) = word.entry_like(hash).filter(|entry| is_it(*entry)) {
                return Some(entry);
            }
            index = index.wrapping_add(1);
        }
    }

    /// First stage: brings the slot of a key near, while other work is done.
    #[inline]
    pub fn prefetch_slot(&self, hash: KeyHash) {
        self.slots().prefetch(hash.index());
    }

    /// Second stage, when the slot has arrived: brings the entry near.
    #[inline]
    pub fn prefetch_entry(&self, hash: KeyHash) {
        let slots = self.slots();
        for index in (0..PREFETCH_PROBES).map(|step| hash.index().wrapping_add(step)) {
            let word = slots.load(index);
            if word.is_empty() {
                return;
            }
            if let Some(entry) = word.entry_like(hash) {
                return entry.approach();
            }
        }
    }

    /// How many slots a lookup with that hash reads where no key agrees: how far its chain goes on.
    pub fn probes(&self, hash: KeyHash) -> usize {
        let slots = self.slots();
        let is_used = |step: &usize| !slots.load(hash.index().wrapping_add(*step)).is_empty();
        (0..).take_while(is_used).count() + 1
    }

    #[inline]
    fn slots(&self) -> &Slots {
        // SAFETY: the array was in force at the last `quiesce`, and is not freed before the next.
        unsafe { &*self.slots }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("echoed", &self.echoed).finish_non_exhaustive()
    }
}

/// What `Writer::insert` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The key is new.
    New,
    /// The key had another value.
    Replaced,
    /// The key had this value already; only its generation was set.
    Same,
}

/// The side thread's side.
pub struct Writer {
    shared: Arc<Shared>,
    hasher: KeyHasher,
    /// Entries.
    len: usize,
    /// Slots that are not empty: entries and tombstones.
    used: usize,
    entry_bytes: usize,
    hand: Hand,
    retired: VecDeque<Retired>,
    retired_bytes: usize,
    huge_pages: HugePages,
}

impl Writer {
    /// Has every large array made from now on ask for huge pages. It works without them as well.
    pub fn ask_for_huge_pages(&mut self) {
        self.huge_pages = HugePages::ask();
    }

    /// Why huge pages that were asked for could not be had.
    pub fn huge_pages_refusal(&self) -> Option<&str> {
        match &self.huge_pages {
            HugePages::Refused(reason) => Some(reason),
            HugePages::NotAsked | HugePages::Asked => None,
        }
    }

    /// Puts a value under a key and notes the generation in which that was so. The reader may see
    /// it at once.
    pub fn insert(&mut self, key: &[u8], value: Value<'_>, generation: u32) -> Inserted {
        let hash = self.hasher.hash(key);
        let found = self.find(hash, key);
        if let Some((_, old)) = found {
            // SAFETY: a linked entry is alive.
            unsafe {
                if old.value() == value {
                    old.set_generation(generation);
                    return Inserted::Same;
                }
            }
        } else if (self.used + 1) * 4 > self.slots().count() * 3 {
            self.rebuild();
        }
        let entry = Entry::allocate(hash.low(), generation, key, value);
        // SAFETY: it was just made.
        self.entry_bytes += unsafe { entry.bytes() };
        let Some((index, old)) = found else {
            let index = self.vacancy(hash);
            self.used += usize::from(self.slots().load(index).is_empty());
            self.len += 1;
            self.slots().store(index, Word::of(entry, hash));
            return Inserted::New;
        };
        // SAFETY: both are alive. Another value does not make it longer ago that it was used.
        unsafe { entry.mark(old.marks()) };
        self.slots().store(index, Word::of(entry, hash));
        self.retire_entry(old);
        Inserted::Replaced
    }

    /// Takes a key out; true if it was there. The reader may miss it at once.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let found = self.find(self.hasher.hash(key), key);
        if let Some((index, entry)) = found {
            self.unlink(index, entry);
            self.shrink();
        }
        found.is_some()
    }

    /// Takes out every entry that was last written or confirmed in another generation; says how
    /// many. Publishes.
    pub fn sweep(&mut self, generation: u32) -> usize {
        let before = self.len;
        for index in 0..self.slots().count() {
            self.slots().prefetch_entry(index + SLOTS_AHEAD);
            let Some(entry) = self.slots().load(index).entry() else { continue };
            // SAFETY: a linked entry is alive.
            if !unsafe { entry.is_of(generation) } {
                self.unlink(index, entry);
            }
        }
        self.shrink();
        self.publish();
        before - self.len
    }

    /// Ends a batch: lets the reader know that memory waits for its echo, frees what it has passed.
    pub fn publish(&mut self) {
        let epoch = self.shared.epoch.current();
        if self.retired.back().is_some_and(|it| it.epoch > epoch) {
            self.shared.epoch.advance();
        }
        self.collect();
    }

    /// Frees what the reader has passed.
    pub fn collect(&mut self) {
        let echoed = self.shared.epoch.echoed();
        while self.retired.front().is_some_and(|it| it.epoch <= echoed) {
            let Some(retired) = self.retired.pop_front() else { break };
            self.retired_bytes -= retired.bytes;
            // SAFETY: it was unlinked before its epoch was published, and the reader has echoed
            // that epoch or a later one: it cannot reach it, and holds no reference to it.
            unsafe { retired.garbage.free() };
        }
    }

    /// True while too much waits for a reader that does not turn. The owner then stops writing and
    /// lets the table grow stale, rather than the process without bound.
    pub fn is_held_back(&mut self) -> bool {
        if self.retired_bytes > TABLE_RETIRED_BYTES_MAX {
            self.publish();
        }
        self.retired_bytes > TABLE_RETIRED_BYTES_MAX
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the array and the entries, without what is retired.
    pub fn bytes(&self) -> usize {
        self.slots().bytes() + self.entry_bytes
    }

    /// Bytes that are unlinked and wait for the reader's echo.
    pub fn retired_bytes(&self) -> usize {
        self.retired_bytes
    }

    fn slots(&self) -> &Slots {
        let slots = self.shared.slots.load(Ordering::Relaxed);
        // SAFETY: the array in force is alive, and only this writer, by `&mut self`, replaces it.
        unsafe { &*slots }
    }

    fn find(&self, hash: KeyHash, key: &[u8]) -> Option<(usize, Entry)> {
        let slots = self.slots();
        for index in iter::successors(Some(hash.index()), |it| Some(it.wrapping_add(1))) {
            let word = slots.load(index);
            if word.is_empty() {
                break;
            }
            // SAFETY: a linked entry is alive.
            if let Some(entry) = word.entry_like(hash).filter(|it| unsafe { it.key() } == key) {
                return Some((index, entry));
            }
        }
        None
    }

    /// The first slot of the key's probe that holds no entry.
    fn vacancy(&self, hash: KeyHash) -> usize {
        let mut index = hash.index();
        while self.slots().load(index).entry().is_some() {
            index = index.wrapping_add(1);
        }
        index
    }

    /// Takes an entry out of its slot. Where the next slot is empty no probe needs to pass, so that
    /// the slot, and the tombstones right before it, become empty instead of tombstones.
    fn unlink(&mut self, index: usize, entry: Entry) {
        self.len -= 1;
        let mut index = index;
        self.slots().store(index, Word::TOMBSTONE);
        if self.slots().load(index.wrapping_add(1)).is_empty() {
            while self.slots().load(index).is_tombstone() {
                self.slots().store(index, Word::EMPTY);
                self.used -= 1;
                index = index.wrapping_sub(1);
            }
        }
        self.retire_entry(entry);
    }

    /// Moves to a smaller array once seven of eight slots are free. It is left half as full as it
    /// may become, so that entries that come and go do not have it made again and again.
    fn shrink(&mut self) {
        if self.slots().count() > slots_for(self.len) * 2 {
            self.rebuild();
        }
    }

    /// Moves to a new array that fits the entries: larger, equal without tombstones, or smaller.
    fn rebuild(&mut self) {
        let new = Slots::new(slots_for(self.len + 1), &mut self.huge_pages);
        let old = self.slots();
        for index in 0..old.count() {
            old.prefetch_entry(index + SLOTS_AHEAD);
            let word = old.load(index);
            let Some(entry) = word.entry() else { continue };
            // SAFETY: a linked entry is alive.
            let mut index = unsafe { entry.hash() } as usize;
            while !new.load(index).is_empty() {
                index = index.wrapping_add(1);
            }
            new.store(index, word);
        }
        let bytes = old.bytes();
        let new = Box::into_raw(Box::new(new));
        let old = self.shared.slots.swap(new, Ordering::Release);
        self.used = self.len;
        self.hand.rebuilt();
        self.retire(bytes, Garbage::Slots(old));
    }

    fn retire_entry(&mut self, entry: Entry) {
        // SAFETY: a retired entry is alive until its epoch is echoed.
        let bytes = unsafe { entry.bytes() };
        self.entry_bytes -= bytes;
        self.retire(bytes, Garbage::Entry(entry));
    }

    /// Tags garbage, already unlinked, with the epoch that the next `publish` begins.
    fn retire(&mut self, bytes: usize, garbage: Garbage) {
        let epoch = self.shared.epoch.current() + 1;
        self.retired_bytes += bytes;
        self.retired.push_back(Retired { epoch, bytes, garbage });
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.publish();
        let mut leftover = self.shared.leftover.lock().unwrap_or_else(PoisonError::into_inner);
        leftover.append(&mut self.retired);
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Writer");
        debug.field("len", &self.len).field("retired_bytes", &self.retired_bytes);
        debug.finish_non_exhaustive()
    }
}
