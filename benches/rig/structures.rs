//! The table and what else a hot thread could look things up in, each behind the same two halves.
//!
//! The crates hold keys and values of fixed length inline, which suits them best; the table takes
//! strings of any length. All hash with foldhash, so that hashing is no difference. Each is filled
//! from empty, as from a Redis whose size is not known.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, PoisonError, RwLock},
};

use foldhash::quality::RandomState;
use hotspur::cache::{self, Value, table};
use left_right::{Absorb, ReadHandle, WriteHandle};

pub(crate) const KEY_BYTES: usize = 16;
pub(crate) const VALUE_BYTES: usize = 32;

pub(crate) type Key = [u8; KEY_BYTES];
type Content = [u8; VALUE_BYTES];
type Map = HashMap<Key, Content, RandomState>;

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    #[inline]
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

fn mixed(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The key of a number.
#[inline]
pub(crate) fn key_of(number: u64) -> Key {
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&mixed(number).to_le_bytes());
    key[8..].copy_from_slice(&number.to_le_bytes());
    key
}

fn content_of(number: u64, version: u64) -> Content {
    let mut content = [0; VALUE_BYTES];
    // One end is odd and the other even: together they are never zero, which means absent.
    content[..8].copy_from_slice(&(mixed(number ^ version) | 1).to_le_bytes());
    content[24..].copy_from_slice(&(version << 1).to_le_bytes());
    content
}

/// Both ends of a value, so that all of it was brought near.
#[inline]
fn ends(content: &[u8]) -> u64 {
    let word = |at: usize| u64::from_le_bytes(content[at..at + 8].try_into().expect("eight"));
    word(0) ^ word(VALUE_BYTES - 8)
}

/// The hot thread's half.
pub(crate) trait Reads: Send {
    /// One lookup in a turn of its own: entering and leaving count. Zero if the key is not there.
    fn look(&mut self, key: &Key) -> u64;

    /// Lookups in one turn.
    fn look_many(&mut self, keys: &[Key]) -> u64;
}

/// The side thread's half.
pub(crate) trait Structure: Send + Sized {
    const NAME: &'static str;
    type Reads: Reads;

    fn new() -> (Self, Self::Reads);

    fn put(&mut self, number: u64, version: u64);

    /// Ends a batch.
    fn publish(&mut self) {}

    /// Ends a reload: what was not written since goes, where the structure can tell.
    fn sweep(&mut self) {}

    /// That many entries.
    fn filled(keys: u64) -> (Self, Self::Reads) {
        let (mut writer, reader) = Self::new();
        for number in 0..keys {
            writer.put(number, 0);
            if number % 4096 == 0 {
                writer.publish();
            }
        }
        writer.publish();
        (writer, reader)
    }
}

/// Ours.
pub(crate) struct Ours {
    writer: table::Writer,
    generation: u32,
}

pub(crate) struct OursReads(pub(crate) table::Reader);

impl Reads for OursReads {
    #[inline]
    fn look(&mut self, key: &Key) -> u64 {
        self.0.quiesce();
        self.0.get(key).map_or(0, |value| ends(value.bytes))
    }

    fn look_many(&mut self, keys: &[Key]) -> u64 {
        self.0.quiesce();
        let values = keys.iter().filter_map(|key| self.0.get(key));
        values.fold(0, |sum, value| sum ^ ends(value.bytes))
    }
}

impl Structure for Ours {
    const NAME: &'static str = "hotspur";
    type Reads = OursReads;

    fn new() -> (Ours, OursReads) {
        let seed = RandomState::default().hash_one("seed");
        let (writer, reader) = cache::table(1024, seed);
        (Ours { writer, generation: 0 }, OursReads(reader))
    }

    fn put(&mut self, number: u64, version: u64) {
        let content = content_of(number, version);
        let value = Value { kind: cache::ValueKind::Text, bytes: &content };
        self.writer.insert(&key_of(number), value, self.generation);
    }

    fn publish(&mut self) {
        self.writer.publish();
    }

    fn sweep(&mut self) {
        self.writer.sweep(self.generation);
    }
}

/// `papaya`.
pub(crate) struct Papaya(Arc<papaya::HashMap<Key, Content, RandomState>>);

impl Reads for Papaya {
    #[inline]
    fn look(&mut self, key: &Key) -> u64 {
        self.0.pin().get(key).map_or(0, |content| ends(content))
    }

    fn look_many(&mut self, keys: &[Key]) -> u64 {
        let map = self.0.pin();
        keys.iter().filter_map(|key| map.get(key)).fold(0, |sum, content| sum ^ ends(content))
    }
}

impl Structure for Papaya {
    const NAME: &'static str = "papaya";
    type Reads = Papaya;

    fn new() -> (Papaya, Papaya) {
        let map = Arc::new(papaya::HashMap::with_hasher(RandomState::default()));
        (Papaya(map.clone()), Papaya(map))
    }

    fn put(&mut self, number: u64, version: u64) {
        self.0.pin().insert(key_of(number), content_of(number, version));
    }
}

/// `dashmap`.
pub(crate) struct DashMap(Arc<dashmap::DashMap<Key, Content, RandomState>>);

impl Reads for DashMap {
    #[inline]
    fn look(&mut self, key: &Key) -> u64 {
        self.0.get(key).map_or(0, |content| ends(&*content))
    }

    fn look_many(&mut self, keys: &[Key]) -> u64 {
        keys.iter().fold(0, |sum, key| sum ^ self.look(key))
    }
}

impl Structure for DashMap {
    const NAME: &'static str = "dashmap";
    type Reads = DashMap;

    fn new() -> (DashMap, DashMap) {
        let map = Arc::new(dashmap::DashMap::with_hasher(RandomState::default()));
        (DashMap(map.clone()), DashMap(map))
    }

    fn put(&mut self, number: u64, version: u64) {
        self.0.insert(key_of(number), content_of(number, version));
    }
}

/// A write to both copies of `left-right`.
pub(crate) struct Put(Key, Content);

/// One of the copies.
#[derive(Clone, Default)]
pub(crate) struct Copied(Map);

impl Absorb<Put> for Copied {
    fn absorb_first(&mut self, put: &mut Put, _: &Copied) {
        self.0.insert(put.0, put.1);
    }

    fn sync_with(&mut self, first: &Copied) {
        self.0.clone_from(&first.0);
    }
}

/// `left-right`.
pub(crate) struct LeftRight(WriteHandle<Copied, Put>);

impl Reads for ReadHandle<Copied> {
    #[inline]
    fn look(&mut self, key: &Key) -> u64 {
        let map = self.enter().expect("the writer is there");
        map.0.get(key).map_or(0, |content| ends(content))
    }

    fn look_many(&mut self, keys: &[Key]) -> u64 {
        let map = self.enter().expect("the writer is there");
        keys.iter().filter_map(|key| map.0.get(key)).fold(0, |sum, content| sum ^ ends(content))
    }
}

impl Structure for LeftRight {
    const NAME: &'static str = "left-right";
    type Reads = ReadHandle<Copied>;

    fn new() -> (LeftRight, ReadHandle<Copied>) {
        // From an empty one, so that both copies have the same seed.
        let (writer, reader) = left_right::new_from_empty(Copied::default());
        (LeftRight(writer), reader)
    }

    fn put(&mut self, number: u64, version: u64) {
        self.0.append(Put(key_of(number), content_of(number, version)));
    }

    fn publish(&mut self) {
        self.0.publish();
    }
}

/// The standard library's.
pub(crate) struct Locked(Arc<RwLock<Map>>);

impl Reads for Locked {
    #[inline]
    fn look(&mut self, key: &Key) -> u64 {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        map.get(key).map_or(0, |content| ends(content))
    }

    fn look_many(&mut self, keys: &[Key]) -> u64 {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().filter_map(|key| map.get(key)).fold(0, |sum, content| sum ^ ends(content))
    }
}

impl Structure for Locked {
    const NAME: &'static str = "RwLock<HashMap>";
    type Reads = Locked;

    fn new() -> (Locked, Locked) {
        let map = Arc::new(RwLock::new(Map::default()));
        (Locked(map.clone()), Locked(map))
    }

    fn put(&mut self, number: u64, version: u64) {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        map.insert(key_of(number), content_of(number, version));
    }
}

/// No table: one dependent cache miss a look, in as much memory.
pub(crate) struct Chase {
    lines: Vec<[u64; 8]>,
    at: usize,
}

impl Chase {
    /// Every line leads to another, all in one circle (Sattolo's).
    pub(crate) fn over(bytes: usize) -> Chase {
        let mut lines = vec![[0; 8]; bytes / 64];
        let mut order: Vec<u32> = (0..lines.len() as u32).collect();
        let mut numbers = Numbers(1);
        for last in (1..order.len()).rev() {
            order.swap(last, numbers.below(last as u64) as usize);
        }
        for (from, to) in order.iter().zip(order.iter().cycle().skip(1)) {
            lines[*from as usize][0] = u64::from(*to);
        }
        Chase { lines, at: 0 }
    }
}

impl Reads for Chase {
    #[inline]
    fn look(&mut self, _: &Key) -> u64 {
        self.at = self.lines[self.at][0] as usize;
        self.at as u64 + 1
    }

    fn look_many(&mut self, keys: &[Key]) -> u64 {
        keys.iter().fold(0, |sum, key| sum ^ self.look(key))
    }
}

/// Nothing: what the clock itself takes.
pub(crate) struct Nothing;

impl Reads for Nothing {
    #[inline]
    fn look(&mut self, _: &Key) -> u64 {
        1
    }

    fn look_many(&mut self, _: &[Key]) -> u64 {
        1
    }
}
