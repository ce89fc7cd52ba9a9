//! Another configuration comes to a group one process after the other, while records flow.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{
    clients::Load,
    hotspur::{Ended, Hotspur},
    kafka::Kafka,
    message::Message,
    pipeline::Pipeline,
};

const PIPELINE: &str = r#"
hotspur = 1
name = "rolling"

[[steps]]
[steps.set]
version = "1"
partition = "record.partition"
offset = "record.offset"
"#;

const PLACES: usize = 3;
const PARTITIONS: i32 = 6;
const KEYS: u64 = 97;

/// Results that are to come between two restarts.
const BETWEEN: i64 = 2_000;

fn message(number: u64) -> Message {
    Message::new(format!(r#"{{"number":{number}}}"#)).key(format!("key {}", number % KEYS))
}

/// A process in its place of the group, with a static membership or without.
fn start(pipeline: &Pipeline, place: usize, is_static: bool) -> Hotspur {
    let instance = format!("instance={place}");
    let member = format!("source.kafka.properties.\"group.instance.id\"=place-{place}");
    let mut words = vec!["--set", &instance];
    if is_static {
        words.extend(["--set", &member]);
    }
    words.push("run");
    pipeline.start(&words)
}

/// Three processes take turns to stop and to come back changed. Every record has one result, in the
/// order of its key; by the partition that they came from, which configuration made them.
fn roll(guarantee: &str, is_static: bool) -> BTreeMap<u64, Vec<u64>> {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::of("rolling", PIPELINE, kafka).set("delivery.guarantee", guarantee);
    pipeline.create_topics(kafka, PARTITIONS);
    let mut members: Vec<_> = (0..PLACES).map(|it| start(&pipeline, it, is_static)).collect();
    members.iter().for_each(Hotspur::await_assigned);
    let load = Load::endless(kafka, &pipeline.input, message);
    kafka.await_written(&pipeline.output, BETWEEN, || false);
    let pipeline = pipeline.set_in_step(1, "set", "version", "2");
    let mut ended = Vec::new();
    for place in 0..PLACES {
        ended.push(members.remove(place).stop());
        members.insert(place, start(&pipeline, place, is_static));
        members[place].await_assigned();
        kafka.await_written(&pipeline.output, BETWEEN, || false);
    }
    let count = load.stop();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let again: Vec<_> = members.into_iter().map(Hotspur::stop).collect();
    if is_static {
        again.iter().for_each(assert_assigned_once);
    }
    ended.extend(again);
    let polled = ended.iter().map(|it| {
        it.counts().assert_balanced();
        it.counts().polled
    });
    assert_eq!(polled.sum::<u64>(), count, "{guarantee}");
    assert!(kafka.read(&pipeline.dead).is_empty());
    let results: Vec<_> = kafka.read(&pipeline.output).iter().map(Answer::read).collect();
    assert_each_once_in_order(&results, count);
    versions(&results)
}

/// What a result says.
struct Answer {
    number: u64,
    /// Where its record came from.
    partition: u64,
    offset: u64,
    version: u64,
}

impl Answer {
    fn read(result: &Message) -> Answer {
        let value: Value = serde_json::from_str(result.text()).expect("JSON");
        let field = |name: &str| value[name].as_u64().unwrap_or_else(|| panic!("{value}: {name}"));
        let number = field("number");
        assert_eq!(result.key, message(number).key);
        let [partition, offset, version] = ["partition", "offset", "version"].map(field);
        Answer { number, partition, offset, version }
    }
}

fn versions(results: &[Answer]) -> BTreeMap<u64, Vec<u64>> {
    let mut versions = BTreeMap::<u64, BTreeMap<u64, u64>>::new();
    for Answer { partition, offset, version, .. } in results {
        versions.entry(*partition).or_default().insert(*offset, *version);
    }
    versions.into_iter().map(|(it, by_offset)| (it, by_offset.into_values().collect())).collect()
}

/// Partitions stayed where they were while others were restarted.
#[track_caller]
fn assert_assigned_once(ended: &Ended) {
    // They may be announced one by one, but none of them twice.
    assert_eq!(ended.partitions_given(), PARTITIONS as u64 / PLACES as u64, "{}", ended.log);
}

/// A key's numbers grow, and each number came once.
#[track_caller]
fn assert_each_once_in_order(results: &[Answer], count: u64) {
    let mut last = BTreeMap::new();
    for Answer { number, .. } in results {
        let before = last.insert(number % KEYS, *number);
        assert!(before.is_none_or(|it| it < *number), "{number} came after {before:?}");
    }
    let mut all: Vec<u64> = results.iter().map(|it| it.number).collect();
    all.sort_unstable();
    assert_eq!(all.len() as u64, count, "lost or doubled");
    assert!(all.into_iter().eq(0..count));
}

/// Each partition goes from the old configuration to the new one, and never back.
#[track_caller]
fn assert_changed_once(versions: &BTreeMap<u64, Vec<u64>>) {
    assert_eq!(versions.len(), PARTITIONS as usize);
    for (partition, versions) in versions {
        assert!(versions.is_sorted(), "partition {partition} went back");
        assert_eq!([versions.first(), versions.last()], [Some(&1), Some(&2)], "{partition}");
    }
}

#[test]
fn at_least_once_loses_and_doubles_nothing() {
    assert_changed_once(&roll("at-least-once", true));
}

#[test]
fn exactly_once_loses_and_doubles_nothing() {
    assert_changed_once(&roll("exactly-once", true));
}

/// Partitions move at each stop and each start, also to a process that is not changed yet.
#[test]
fn members_without_a_place_of_their_own_lose_and_double_nothing() {
    for guarantee in ["at-least-once", "exactly-once"] {
        for (partition, versions) in roll(guarantee, false) {
            assert_eq!(versions.last(), Some(&2), "{guarantee}, {partition}");
        }
    }
}
