//! The table against its naive twin, a `HashMap`: alone, and with a reader on another thread.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use hotspur::{
    cache::{
        Value, ValueKind,
        table::{Inserted, Reader, Writer, table},
    },
    limits,
};
use proptest::{collection::vec, prelude::*};

/// Miri takes a thousand times as long.
const SCALE: u64 = if cfg!(miri) { 100 } else { 1 };

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// A seed from `HOTSPUR_TEST_SEED`, else a new one; it is part of every failure's message.
fn seed() -> u64 {
    let chosen = std::env::var("HOTSPUR_TEST_SEED").ok();
    let seed = chosen.map(|it| it.parse().expect("HOTSPUR_TEST_SEED is a number"));
    seed.unwrap_or_else(|| {
        use std::hash::BuildHasher;
        std::hash::RandomState::new().hash_one("seed")
    })
}

#[derive(Clone, Debug)]
enum Operation {
    Insert(u8, ValueKind, Vec<u8>),
    Remove(u8),
    /// Enough to make the array grow.
    InsertMany(u8),
    /// Enough to make it shrink.
    RemoveMany(u8),
    NextGeneration,
    Sweep,
    /// So many keys in the place of all.
    Replace(u8, Vec<u8>),
    Publish,
    Quiesce,
}

fn operation() -> impl Strategy<Value = Operation> {
    use ValueKind::{Absent, Bytes, Json, Text};
    let kind = prop_oneof![Just(Text), Just(Json), Just(Bytes), Just(Absent)];
    let insert = (any::<u8>(), kind, vec(any::<u8>(), 0..40));
    prop_oneof![
        24 => insert.prop_map(|(key, kind, bytes)| Operation::Insert(key, kind, bytes)),
        12 => any::<u8>().prop_map(Operation::Remove),
        1 => any::<u8>().prop_map(Operation::InsertMany),
        1 => any::<u8>().prop_map(Operation::RemoveMany),
        2 => Just(Operation::NextGeneration),
        2 => Just(Operation::Sweep),
        1 => (any::<u8>(), vec(any::<u8>(), 0..4))
            .prop_map(|(keys, bytes)| Operation::Replace(keys, bytes)),
        4 => Just(Operation::Publish),
        4 => Just(Operation::Quiesce),
    ]
}

/// Keys of many lengths, the empty one among them.
fn key_of(number: u8) -> Vec<u8> {
    vec![number; usize::from(number % 40)].into_iter().chain(number.checked_sub(1)).collect()
}

/// How many keys an operation on many takes.
const MANY: u8 = if cfg!(miri) { 40 } else { 200 };

/// A table and what it should hold, each with the generation in which it was written.
struct Twins {
    writer: Writer,
    map: HashMap<Vec<u8>, (ValueKind, Vec<u8>, u32)>,
    generation: u32,
}

impl Twins {
    fn insert(&mut self, number: u8, kind: ValueKind, bytes: &[u8]) {
        let key = key_of(number);
        let bytes = if kind == ValueKind::Absent { &[][..] } else { bytes };
        let before = self.map.insert(key.clone(), (kind, bytes.to_vec(), self.generation));
        let expected = match before {
            None => Inserted::New,
            Some((old_kind, old, _)) if (old_kind, &old[..]) == (kind, bytes) => Inserted::Same,
            Some(_) => Inserted::Replaced,
        };
        let inserted = self.writer.insert(&key, Value { kind, bytes }, self.generation);
        assert_eq!(inserted, expected);
    }

    fn remove(&mut self, number: u8) {
        let key = key_of(number);
        assert_eq!(self.writer.remove(&key), self.map.remove(&key).is_some());
    }

    fn apply(&mut self, operation: &Operation, reader: &mut Reader) {
        match operation {
            Operation::Insert(number, kind, bytes) => self.insert(*number, *kind, bytes),
            Operation::Remove(number) => self.remove(*number),
            Operation::InsertMany(first) => {
                let keys = (0..MANY).map(|it| first.wrapping_add(it));
                keys.for_each(|number| self.insert(number, ValueKind::Text, b"many"));
            }
            Operation::RemoveMany(first) => {
                (0..MANY).for_each(|it| self.remove(first.wrapping_add(it)));
            }
            Operation::NextGeneration => self.generation += 1,
            Operation::Sweep => {
                let before = self.map.len();
                self.map.retain(|_, (_, _, it)| *it == self.generation);
                assert_eq!(self.writer.sweep(self.generation), before - self.map.len());
            }
            Operation::Replace(keys, bytes) => {
                self.generation += 1;
                let entry =
                    |number| (key_of(number), (ValueKind::Text, bytes.clone(), self.generation));
                self.map = (0..*keys).map(entry).collect();
                let value = Value { kind: ValueKind::Text, bytes };
                let entries = self.map.keys().map(|key| (key.as_slice(), value));
                self.writer.replace(entries, self.generation);
            }
            Operation::Publish => self.writer.publish(),
            Operation::Quiesce => reader.quiesce(),
        }
        assert_eq!(self.writer.len(), self.map.len());
    }
}

fn twins_agree(seed: u64, operations: &[Operation]) {
    let (writer, mut reader) = table(0, seed);
    let smallest = writer.bytes();
    let mut twins = Twins { writer, map: HashMap::new(), generation: 0 };
    for operation in operations {
        twins.apply(operation, &mut reader);
    }
    let Twins { mut writer, map, .. } = twins;
    writer.publish();
    reader.quiesce();
    writer.collect();
    assert_eq!(writer.retired_bytes(), 0, "the reader has echoed the last epoch");
    let entries: usize = map.iter().map(|(key, (_, it, _))| 16 + key.len() + it.len()).sum();
    let slots = (writer.bytes() - entries - smallest) / 8 + 16;
    let at_most = 2 * (2 * map.len()).next_power_of_two().max(16);
    assert!(slots <= at_most, "{slots} slots for {} entries", map.len());
    for key in (0..=u8::MAX).map(key_of) {
        let hash = reader.hash(&key);
        reader.prefetch_slot(hash);
        reader.prefetch_entry(hash);
        let expected = map.get(&key).map(|(kind, bytes, _)| Value { kind: *kind, bytes });
        assert_eq!(reader.get_hashed(hash, &key), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 400 }))]

    #[test]
    fn a_table_and_a_map_agree_through_random_operations(
        seed in any::<u64>(),
        operations in vec(operation(), 0..OPERATIONS),
    ) {
        twins_agree(seed, &operations);
    }
}

/// Operations of one case of the property.
const OPERATIONS: usize = if cfg!(miri) { 60 } else { 600 };

/// A value that says whose it is and when it was written; its length varies.
fn value_of(key: u64, version: u64) -> Vec<u8> {
    let check = key.wrapping_mul(31) ^ version;
    let length = 3 + (version % 7) as usize;
    [key, version, check]
        .into_iter()
        .chain([check; 7])
        .take(length)
        .flat_map(u64::to_le_bytes)
        .collect()
}

/// Checks a value and gives its version.
fn version_of(key: u64, value: &[u8]) -> u64 {
    let words: Vec<u64> =
        value.chunks(8).map(|it| u64::from_le_bytes(it.try_into().unwrap())).collect();
    assert_eq!(value, value_of(key, words[1]), "a torn, foreign or freed value");
    words[1]
}

const KEYS: u64 = if cfg!(miri) { 24 } else { 5_000 };
const WRITES: u64 = if cfg!(miri) { 300 } else { 600_000 };

/// Lookups that are kept to be judged when the history is whole.
const JUDGED_MAX: usize = if cfg!(miri) { 1_000 } else { 300_000 };

/// How far the writer is, in numbers of writes, for the reader to say when it looked.
#[derive(Default)]
struct Progress {
    begun: AtomicU64,
    published: AtomicU64,
    is_done: AtomicBool,
    looked: AtomicU64,
}

/// What each key held, from which write on; ascending, the first from 0.
type History = Vec<Vec<(u64, Option<u64>)>>;

/// One answer. It must have been true at some time between the two writes.
struct Seen {
    key: u64,
    version: Option<u64>,
    published: u64,
    begun: u64,
}

impl Seen {
    fn is_true(&self, history: &History) -> bool {
        let states = &history[self.key as usize];
        let since = states.partition_point(|(write, _)| *write <= self.published).max(1) - 1;
        let until = states.partition_point(|(write, _)| *write <= self.begun);
        states[since..until].iter().any(|(_, version)| *version == self.version)
    }
}

/// Writes at random: growth and shrinking, removal, generations and sweeps. The number of a write
/// is the version that it leaves.
fn churn(writer: &mut Writer, progress: &Progress, numbers: &mut Numbers) -> History {
    let mut history: History = (0..KEYS).map(|_| vec![(0, None)]).collect();
    // Phases in which much is removed empty the table, so that it shrinks.
    let phase = WRITES / 8;
    for write in 1..=WRITES {
        progress.begun.store(write, Ordering::Release);
        let key = numbers.below(KEYS);
        let states = &mut history[key as usize];
        let removes = if (write / phase).is_multiple_of(2) { 2 } else { 9 };
        if numbers.below(10) < removes {
            let was_there = states.last().is_some_and(|(_, version)| version.is_some());
            assert_eq!(writer.remove(&key.to_le_bytes()), was_there);
            states.push((write, None));
        } else {
            writer.insert(&key.to_le_bytes(), Value::text(&value_of(key, write)), 0);
            states.push((write, Some(write)));
        }
        if numbers.below(WRITES / 30) == 0 {
            writer.sweep(1);
            history.iter_mut().for_each(|states| states.push((write, None)));
        }
        if numbers.below(20) == 0 {
            writer.publish();
            progress.published.store(write, Ordering::Release);
        }
    }
    writer.publish();
    history
}

/// Looks keys up at random until the writer is done.
fn look(reader: &mut Reader, progress: &Progress, numbers: &mut Numbers) -> Vec<Seen> {
    let mut judged = Vec::new();
    while !progress.is_done.load(Ordering::Acquire) {
        let published = progress.published.load(Ordering::Acquire);
        reader.quiesce();
        for _ in 0..8 {
            let key = numbers.below(KEYS);
            let value = reader.get(&key.to_le_bytes());
            let version = value.map(|value| version_of(key, value.bytes));
            let begun = progress.begun.load(Ordering::Acquire);
            if judged.len() < JUDGED_MAX {
                judged.push(Seen { key, version, published, begun });
            }
        }
        progress.looked.fetch_add(8, Ordering::Relaxed);
        if cfg!(miri) {
            thread::yield_now();
        }
    }
    judged
}

#[test]
fn what_a_concurrent_reader_sees_was_true_since_it_turned() {
    let seed = seed();
    println!("HOTSPUR_TEST_SEED={seed}");
    let (mut writer, mut reader) = table(0, seed);
    let progress = Arc::new(Progress::default());
    let shared = progress.clone();
    let thread = thread::spawn(move || {
        let judged = look(&mut reader, &shared, &mut Numbers(seed ^ 1));
        (reader, judged)
    });
    let history = churn(&mut writer, &progress, &mut Numbers(seed));
    while progress.looked.load(Ordering::Relaxed) < 100 && !thread.is_finished() {
        thread::yield_now();
    }
    progress.is_done.store(true, Ordering::Release);
    let joined = thread.join();
    let (mut reader, judged) = joined.unwrap_or_else(|_| panic!("the reader failed, seed {seed}"));
    for seen in &judged {
        let Seen { key, version, published, begun } = seen;
        assert!(
            seen.is_true(&history),
            "seed {seed}: {key} had version {version:?} between writes {published} and {begun}"
        );
    }
    reader.quiesce();
    writer.collect();
    assert_eq!(writer.retired_bytes(), 0, "seed {seed}");
    for (key, states) in (0..).zip(&history) {
        let value = reader.get(&u64::to_le_bytes(key));
        let version = value.map(|value| version_of(key, value.bytes));
        assert_eq!(Some(version), states.last().map(|it| it.1), "seed {seed}, key {key}");
    }
}

#[test]
fn nothing_is_freed_before_the_reader_turns_and_all_is_after() {
    let (mut writer, mut reader) = table(4, 7);
    writer.insert(b"key", Value::text(b"old"), 0);
    writer.publish();
    reader.quiesce();
    let seen = reader.get(b"key").unwrap();
    writer.insert(b"key", Value::text(b"new"), 0);
    writer.publish();
    writer.collect();
    assert!(writer.retired_bytes() > 0);
    assert_eq!(seen.bytes, b"old", "what was handed out stays as it was");
    assert_eq!(reader.get(b"key"), Some(Value::text(b"new")), "a new lookup sees the new value");
    reader.quiesce();
    writer.collect();
    assert_eq!(writer.retired_bytes(), 0);
}

#[test]
fn bytes_come_back_when_entries_go() {
    let (mut writer, mut reader) = table(0, 7);
    let empty = writer.bytes();
    for number in 0..10_000 / SCALE {
        writer.insert(&number.to_le_bytes(), Value::text(&[0; 100]), 0);
    }
    writer.publish();
    reader.quiesce();
    assert!(writer.bytes() > 10_000 / SCALE as usize * 124, "{}", writer.bytes());
    assert_eq!(writer.sweep(1), 10_000 / SCALE as usize);
    reader.quiesce();
    writer.collect();
    assert!(writer.is_empty());
    assert_eq!((writer.bytes(), writer.retired_bytes()), (empty, 0));
}

#[test]
#[cfg(not(miri))]
fn a_writer_is_held_back_while_the_reader_does_not_turn() {
    let (mut writer, mut reader) = table(4, 7);
    let mut version = 0_u64;
    while !writer.is_held_back() {
        let mut value = vec![0; 1 << 20];
        value[..8].copy_from_slice(&version.to_le_bytes());
        writer.insert(b"key", Value::text(&value), 0);
        version += 1;
    }
    assert!(writer.retired_bytes() < limits::TABLE_RETIRED_BYTES_MAX + (2 << 20));
    reader.quiesce();
    assert!(!writer.is_held_back(), "one turn of the reader is enough");
    assert_eq!(writer.retired_bytes(), 0);
}

#[test]
fn either_side_may_go_first() {
    let (mut writer, mut reader) = table(4, 7);
    writer.insert(b"key", Value::text(b"old"), 0);
    writer.publish();
    reader.quiesce();
    writer.insert(b"key", Value::text(b"new"), 0);
    drop(writer);
    assert_eq!(reader.get(b"key"), Some(Value::text(b"new")));
    let (mut writer, reader) = table(4, 7);
    drop(reader);
    writer.insert(b"key", Value::text(b"value"), 0);
    writer.remove(b"key");
    writer.publish();
}

#[test]
fn a_reader_sees_one_content_or_the_other_and_never_some_of_both() {
    const KEYS: u8 = 20;
    let (mut writer, mut reader) = table(0, 7);
    let versions = 1 + 2_000 / SCALE as u32;
    let put = |writer: &mut Writer, version: u32| {
        let bytes = version.to_le_bytes();
        // Every other key stays as it is.
        let value = |key: u8| if key.is_multiple_of(2) { &b"same"[..] } else { &bytes };
        let entries: Vec<_> = (0..KEYS).map(|key| ([key], Value::text(value(key)))).collect();
        writer.replace(entries.iter().map(|(key, value)| (&key[..], *value)), version);
    };
    put(&mut writer, 1);
    let writing = thread::spawn(move || {
        (2..=versions).for_each(|version| put(&mut writer, version));
        writer
    });
    let mut newest = 1;
    while newest < versions {
        reader.quiesce();
        let seen = |key: u8| reader.get(&[key]).expect("every version has every key").bytes;
        let version = u32::from_le_bytes(seen(1).try_into().unwrap());
        assert!(version >= newest, "{version} after {newest}");
        newest = version;
        for key in 0..KEYS {
            let expected = if key.is_multiple_of(2) { b"same" } else { &version.to_le_bytes()[..] };
            assert_eq!(seen(key), expected, "in version {version}");
        }
    }
    let mut writer = writing.join().unwrap();
    reader.quiesce();
    writer.collect();
    assert_eq!((writer.len(), writer.retired_bytes()), (usize::from(KEYS), 0));
}
