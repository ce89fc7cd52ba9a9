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
        Value,
        table::{Inserted, Writer, table},
    },
    limits::TABLE_RETIRED_BYTES_MAX,
};
use proptest::{collection::vec, prelude::*};

/// Miri takes a thousand times as long.
const SCALE: u64 = if cfg!(miri) { 200 } else { 1 };

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
    Insert(u8, Vec<u8>),
    Remove(u8),
    NextGeneration,
    Sweep,
    Publish,
    Quiesce,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        12 => (any::<u8>(), vec(any::<u8>(), 0..40)).prop_map(|(k, v)| Operation::Insert(k, v)),
        6 => any::<u8>().prop_map(Operation::Remove),
        1 => Just(Operation::NextGeneration),
        1 => Just(Operation::Sweep),
        2 => Just(Operation::Publish),
        2 => Just(Operation::Quiesce),
    ]
}

/// Keys of many lengths, the empty one among them.
fn key_of(number: u8) -> Vec<u8> {
    vec![number; usize::from(number % 40)].into_iter().chain(number.checked_sub(1)).collect()
}

fn twins_agree(seed: u64, operations: &[Operation]) {
    let (mut writer, mut reader) = table(0, seed);
    let mut twin: HashMap<Vec<u8>, (Vec<u8>, u32)> = HashMap::new();
    let mut generation = 0;
    for operation in operations {
        match operation {
            Operation::Insert(number, value) => {
                let key = key_of(*number);
                let before = twin.insert(key.clone(), (value.clone(), generation));
                let expected = match before {
                    None => Inserted::New,
                    Some((old, _)) if old == *value => Inserted::Same,
                    Some(_) => Inserted::Replaced,
                };
                assert_eq!(writer.insert(&key, Value::text(value), generation), expected);
            }
            Operation::Remove(number) => {
                let key = key_of(*number);
                assert_eq!(writer.remove(&key), twin.remove(&key).is_some());
            }
            Operation::NextGeneration => generation += 1,
            Operation::Sweep => {
                let before = twin.len();
                twin.retain(|_, (_, it)| *it == generation);
                assert_eq!(writer.sweep(generation), before - twin.len());
            }
            Operation::Publish => writer.publish(),
            Operation::Quiesce => reader.quiesce(),
        }
        assert_eq!(writer.len(), twin.len());
    }
    writer.publish();
    reader.quiesce();
    writer.collect();
    assert_eq!(writer.retired_bytes(), 0, "the reader has echoed the last epoch");
    for key in (0..=u8::MAX).map(key_of) {
        let hash = reader.hash(&key);
        reader.prefetch_slot(hash);
        reader.prefetch_entry(hash);
        assert_eq!(
            reader.get_hashed(hash, &key),
            twin.get(&key).map(|(value, _)| Value::text(value))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 400 }))]

    #[test]
    fn a_table_and_a_map_agree_through_random_operations(
        seed in any::<u64>(),
        operations in vec(operation(), 0..OPERATIONS),
    ) {
        twins_agree(seed, &operations);
    }
}

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

/// Operations of one case of the property.
const OPERATIONS: usize = if cfg!(miri) { 60 } else { 600 };

const KEYS: u64 = 5_000 / SCALE;

/// Writes until the rounds are done: growth, removal, generations and sweeps.
fn churn(writer: &mut Writer, twin: &mut HashMap<u64, u64>, numbers: &mut Numbers) {
    for version in 1..=600_000 / SCALE {
        let key = numbers.below(KEYS);
        match numbers.below(10) {
            0..=2 => {
                let removed = writer.remove(&key.to_le_bytes());
                assert_eq!(removed, twin.remove(&key).is_some());
            }
            _ => {
                writer.insert(&key.to_le_bytes(), Value::text(&value_of(key, version)), 0);
                twin.insert(key, version);
            }
        }
        if numbers.below(20) == 0 {
            writer.publish();
        }
        if numbers.below(20_000 / SCALE) == 0 {
            for (key, version) in twin.extract_if(|key, _| key % 8 != 0) {
                assert!(writer.remove(&key.to_le_bytes()), "{key} of version {version}");
            }
            twin.clear();
            writer.sweep(1);
        }
    }
    writer.publish();
}

#[test]
fn a_concurrent_reader_sees_whole_values_and_never_goes_back() {
    let seed = seed();
    println!("HOTSPUR_TEST_SEED={seed}");
    let (mut writer, mut reader) = table(0, seed);
    let done = Arc::new(AtomicBool::new(false));
    let hits = Arc::new(AtomicU64::new(0));
    let (reader_done, reader_hits) = (done.clone(), hits.clone());
    let thread = thread::spawn(move || {
        let mut numbers = Numbers(seed ^ 1);
        let mut newest = vec![0; KEYS as usize];
        while !reader_done.load(Ordering::Acquire) {
            reader.quiesce();
            for _ in 0..8 {
                let key = numbers.below(KEYS);
                let Some(value) = reader.get(&key.to_le_bytes()) else { continue };
                let version = version_of(key, value.bytes);
                let newest = &mut newest[key as usize];
                assert!(version >= *newest, "seed {seed}: {key} went back to {version}");
                *newest = version;
                reader_hits.fetch_add(1, Ordering::Relaxed);
            }
        }
        reader
    });
    let mut twin = HashMap::new();
    churn(&mut writer, &mut twin, &mut Numbers(seed));
    while hits.load(Ordering::Relaxed) < 100 && !thread.is_finished() {
        thread::yield_now();
    }
    done.store(true, Ordering::Release);
    let mut reader = thread.join().unwrap_or_else(|_| panic!("the reader failed, seed {seed}"));
    reader.quiesce();
    writer.collect();
    assert_eq!(writer.retired_bytes(), 0, "seed {seed}");
    assert_eq!(writer.len(), twin.len(), "seed {seed}");
    for key in 0..KEYS {
        let version = reader.get(&key.to_le_bytes()).map(|value| version_of(key, value.bytes));
        assert_eq!(version, twin.get(&key).copied(), "seed {seed}, key {key}");
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
    assert!(writer.retired_bytes() < TABLE_RETIRED_BYTES_MAX + (2 << 20));
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
