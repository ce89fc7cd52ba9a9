//! A tail begins where a topic ends when it is opened, and misses nothing from then on.

use std::{sync::atomic::AtomicBool, time::Duration};

use hotspur::{
    clock::{Clock, EpochClock, Ticks},
    transport::kafka::TopicTail,
};

use crate::member::{PATIENCE, broker, client_with, produce, until};

const WAIT: Duration = Duration::from_millis(10);

#[test]
fn a_tail_sees_what_comes_after_it_was_opened_and_when() {
    let kafka = broker("in", 2);
    produce(&kafka, "in", 0, &["before", "too"]);
    // The mock cluster never cuts a fetch's wait short.
    let settings = client_with(&kafka, &[("fetch.wait.max.ms", "0")]);
    let open = |topic| {
        TopicTail::open("sink", &settings, topic, (PATIENCE, &AtomicBool::new(false))).unwrap()
    };
    let mut tail = open("in").expect("a topic");
    let clock = EpochClock::new();
    let opened = clock.now();
    produce(&kafka, "in", 0, &["a", "b"]);
    produce(&kafka, "in", 1, &["c"]);
    let mut seen: Vec<(i32, i64, Vec<u8>, Ticks)> = Vec::new();
    until("three records", || {
        tail.read(WAIT, &clock, |it| {
            let value = it.value.unwrap_or_default().to_vec();
            seen.push((it.partition_number, it.offset, value, it.arrived));
        })
        .unwrap();
        seen.len() >= 3
    });
    let now = clock.now();
    assert!(seen.iter().all(|it| (opened..=now).contains(&it.3)), "{seen:?}");
    seen.sort();
    let values: Vec<_> = seen.iter().map(|it| (it.0, it.1, it.2.as_slice())).collect();
    assert_eq!(values, [(0, 2, &b"a"[..]), (0, 3, &b"b"[..]), (1, 0, &b"c"[..])]);
    assert!(open("nowhere").is_none());
}
