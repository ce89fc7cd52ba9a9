//! The table under loom: every order of two threads that the memory model allows, within a bound.
#![cfg(loom)]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use hotspur::cache::{
    Value,
    table::{Reader, Writer, table},
};
use loom::thread;

/// A thread is interrupted so often at most where it could go on: what is found at all is found
/// with few, and the number of orders grows with a power of it.
const PREEMPTIONS: usize = 3;

/// Loom stops where a run has more steps.
const STEPS: usize = 20_000;

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.max_branches = STEPS;
    let orders = Arc::new(AtomicU64::new(0));
    let counted = orders.clone();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    let orders = orders.load(Ordering::Relaxed);
    println!("{orders} orders");
}

/// A table that shows these keys, each its own value, to a reader that has turned.
fn filled(keys: &[u8]) -> (Writer, Reader) {
    let (mut writer, mut reader) = table(0, 7);
    for key in keys {
        writer.insert(&[*key], Value::text(&[*key]), 0);
    }
    writer.publish();
    reader.quiesce();
    (writer, reader)
}

fn look(reader: &Reader, key: u8) -> Option<u8> {
    reader.get(&[key]).map(|value| value.bytes[0])
}

#[test]
fn a_replaced_entry_is_freed_only_when_no_reader_can_hold_it() {
    explore(|| {
        let (mut writer, mut reader) = filled(&[1]);
        let thread = thread::spawn(move || {
            for value in [2, 3] {
                writer.insert(&[1], Value::text(&[value]), 0);
                writer.publish();
            }
            writer.collect();
            writer
        });
        let mut newest = 1;
        for _ in 0..2 {
            let seen = look(&reader, 1).expect("the key is always there");
            assert!(seen >= newest, "{seen} after {newest}");
            newest = seen;
            reader.quiesce();
        }
        look(&reader, 1);
        let mut writer = thread.join().unwrap();
        reader.quiesce();
        writer.collect();
        assert_eq!((writer.retired_bytes(), look(&reader, 1)), (0, Some(3)));
    });
}

#[test]
fn a_removed_key_makes_room_for_another() {
    explore(|| {
        let (mut writer, mut reader) = filled(&[1, 2]);
        let thread = thread::spawn(move || {
            writer.remove(&[1]);
            writer.insert(&[3], Value::text(&[3]), 0);
            writer.publish();
            writer.collect();
            writer
        });
        for _ in 0..2 {
            assert!(matches!(look(&reader, 1), None | Some(1)));
            assert!(matches!(look(&reader, 3), None | Some(3)));
            assert_eq!(look(&reader, 2), Some(2));
            reader.quiesce();
        }
        let mut writer = thread.join().unwrap();
        reader.quiesce();
        writer.collect();
        let seen = [1, 2, 3].map(|key| look(&reader, key));
        assert_eq!((writer.retired_bytes(), seen), (0, [None, Some(2), Some(3)]));
    });
}

/// As many keys as the smallest array takes.
const FULL: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

#[test]
fn an_array_that_was_replaced_is_freed_only_when_no_reader_can_look_into_it() {
    explore(|| {
        let (mut writer, mut reader) = filled(&FULL);
        let before = writer.bytes();
        let thread = thread::spawn(move || {
            writer.insert(&[13], Value::text(&[13]), 0);
            writer.publish();
            writer.remove(&[1]);
            writer.publish();
            writer
        });
        for _ in 0..2 {
            assert!(matches!(look(&reader, 1), None | Some(1)));
            assert!(matches!(look(&reader, 13), None | Some(13)));
            reader.quiesce();
        }
        look(&reader, 12);
        let mut writer = thread.join().unwrap();
        reader.quiesce();
        writer.collect();
        assert!(writer.bytes() > before, "the array has grown");
        let seen = [1, 12, 13].map(|key| look(&reader, key));
        assert_eq!((writer.retired_bytes(), seen), (0, [None, Some(12), Some(13)]));
    });
}

#[test]
fn a_writer_that_goes_away_leaves_what_the_reader_holds() {
    explore(|| {
        let (mut writer, mut reader) = filled(&[1]);
        let thread = thread::spawn(move || {
            writer.insert(&[1], Value::text(&[2]), 0);
            writer.publish();
            writer.insert(&[1], Value::text(&[3]), 0);
        });
        look(&reader, 1);
        reader.quiesce();
        look(&reader, 1);
        thread.join().unwrap();
        assert_eq!(look(&reader, 1), Some(3));
    });
}

#[test]
fn a_content_is_replaced_as_a_whole() {
    explore(|| {
        let (mut writer, mut reader) = filled(&[1, 2]);
        let thread = thread::spawn(move || {
            let entries = [(&[1][..], Value::text(&[1])), (&[2], Value::text(&[9]))];
            writer.replace(entries.into_iter(), 1);
            writer.insert(&[1], Value::text(&[9]), 1);
            writer.publish();
            writer
        });
        for _ in 0..2 {
            let seen = [1, 2].map(|key| look(&reader, key));
            assert!([[Some(1), Some(2)], [Some(1), Some(9)], [Some(9), Some(9)]].contains(&seen));
            reader.quiesce();
        }
        let mut writer = thread.join().unwrap();
        reader.quiesce();
        writer.collect();
        let seen = [1, 2].map(|key| look(&reader, key));
        assert_eq!((writer.retired_bytes(), seen), (0, [Some(9), Some(9)]));
    });
}
