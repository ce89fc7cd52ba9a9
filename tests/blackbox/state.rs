//! State on a real Kafka: duplicates and windows are exact through kill -9 and rebalances, under
//! both guarantees.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{
    await_true, clients::Load, hotspur::Hotspur, kafka::Kafka, message::Message, pipeline::Pipeline,
};

const PARTITIONS: i32 = 4;
const PAYMENTS: u64 = 20_000;
const ACCOUNTS: u64 = 12;

/// Event time between two payments, and the size of a window.
const STEP_MS: u64 = 2;
const WINDOW_MS: u64 = 1_000;

const DEDUP: &str = r#"
[[steps]]
name = "once"
dedup = { key = "event.id", within = "1h", max_keys = 50000 }
"#;

const WINDOW: &str = r#"
[[steps]]
name = "by second"
[steps.window]
kind = "tumbling"
size = "1s"
key = "record.key"
time = "event.t"
[steps.window.aggregate]
n = "count()"
sum = "sum(event.amount)"
numbers = "collect(event.number, 1000)"
"#;

fn pipeline(kafka: &Kafka, steps: &str, guarantee: &str) -> Pipeline {
    let pipeline = Pipeline::of("payments", steps, kafka)
        .set("delivery.guarantee", guarantee)
        .set("limits.in_flight", 1_024)
        .set("limits.batch", 128)
        .missed_soon();
    pipeline.create_topics(kafka, PARTITIONS);
    let topic = format!("{}.state", pipeline.group);
    pipeline.set("state.topic", topic)
}

fn account(number: u64) -> String {
    format!("account-{}", number % ACCOUNTS)
}

/// A payment; of some there is a second copy.
fn payment(number: u64, copy: u64) -> Message {
    let (t, amount) = (number * STEP_MS, number % 97);
    let value = format!(
        r#"{{"id":"payment-{number}","number":{number},"copy":{copy},"t":{t},"amount":{amount}}}"#
    );
    Message::new(value).key(account(number))
}

/// All payments in order; each third comes again at once, each seventh some time later.
fn payments() -> Vec<Message> {
    let mut messages = Vec::new();
    for number in 0..PAYMENTS {
        messages.push(payment(number, 0));
        if number % 3 == 0 {
            messages.push(payment(number, 1));
        }
        if let Some(before) = number.checked_sub(40).filter(|it| it % 7 == 0) {
            messages.push(payment(before, 2));
        }
    }
    messages
}

/// One for each partition that comes long after all of them.
fn closing() -> impl Iterator<Item = Message> {
    (0..PARTITIONS).map(|partition| {
        let t = PAYMENTS * STEP_MS + 3_600_000;
        let value = format!(r#"{{"id":"end-{partition}","number":0,"t":{t},"amount":0}}"#);
        Message::new(value).key(format!("end-{partition}")).partition(partition)
    })
}

/// Members of a group that come, go and are killed while payments come.
fn torment(kafka: &Kafka, pipeline: Pipeline, awaited: [usize; 4]) -> Vec<Hotspur> {
    let member = |instance: &str, pipeline: Pipeline| {
        let pipeline = pipeline.set("instance", instance);
        (pipeline.run(), pipeline)
    };
    let mut reader = kafka.reader(&pipeline.output);
    let (first, pipeline) = member("0", pipeline);
    first.await_assigned();
    let load = Load::start(kafka, &pipeline.input, payments());
    reader.await_count(awaited[0]);
    // Some of the partitions go over to another, state and all.
    let (second, pipeline) = member("1", pipeline);
    second.await_assigned();
    reader.await_count(awaited[1]);
    first.kill();
    reader.await_count(awaited[2]);
    let (third, pipeline) = member("0", pipeline);
    third.await_assigned();
    reader.await_count(awaited[3]);
    second.kill();
    let (fourth, pipeline) = member("1", pipeline);
    load.finish();
    kafka.produce(&pipeline.input, &closing().collect::<Vec<_>>());
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    vec![third, fourth]
}

/// Accounts and windows, with the payments that count there.
fn windows() -> BTreeMap<(String, u64), Vec<u64>> {
    let mut windows = BTreeMap::<_, Vec<u64>>::new();
    for number in 0..PAYMENTS {
        let start = number * STEP_MS / WINDOW_MS * WINDOW_MS;
        windows.entry((account(number), start)).or_default().push(number);
    }
    windows
}

fn windows_through_kills(guarantee: &str) {
    let kafka = Kafka::shared();
    let pipeline = pipeline(kafka, &[DEDUP, WINDOW].concat(), guarantee);
    let output = pipeline.output.clone();
    let dead = pipeline.dead.clone();
    let members = torment(kafka, pipeline, [40, 120, 200, 280]);
    let wanted = windows();
    let mut reader = kafka.reader(&output);
    // What is due when positions reach the end comes with the turns that follow.
    let mut came = BTreeSet::new();
    await_true("all windows are closed", || {
        came.extend(seen(reader.read_more()).into_keys());
        came.len() >= wanted.len()
    });
    members.into_iter().for_each(|it| it.stop().counts().assert_balanced());
    assert!(kafka.read(&dead).is_empty());
    let results = kafka.read(&output);
    let found = seen(&results);
    for (window, numbers) in &wanted {
        let results = found.get(window).unwrap_or_else(|| panic!("{window:?} has no result"));
        for result in results {
            let (n, sum) = (numbers.len() as u64, numbers.iter().map(|it| it % 97).sum::<u64>());
            assert_eq!(result["n"], n, "{result}");
            assert_eq!(result["sum"], sum, "{result}");
            assert_eq!(result["numbers"], Value::from(numbers.clone()), "{result}");
        }
    }
    assert_eq!(found.len(), wanted.len(), "windows that nobody paid into");
    if guarantee == "exactly-once" {
        assert_eq!(results.len(), wanted.len());
    }
}

/// Results of windows, by account and start.
fn seen(results: &[Message]) -> BTreeMap<(String, u64), Vec<Value>> {
    let mut seen = BTreeMap::<_, Vec<Value>>::new();
    for message in results {
        let result: Value = serde_json::from_str(message.text()).expect("JSON");
        let key = String::from_utf8(message.key.clone().expect("a key")).expect("text");
        assert_eq!(result["key"], key.as_str());
        let time = |name: &str| {
            let time: jiff::Timestamp = result[name].as_str().expect("a time").parse().expect("it");
            time.as_millisecond()
        };
        assert_eq!(message.timestamp_ms, Some(time("end")));
        assert_eq!(time("end") - time("start"), WINDOW_MS as i64);
        seen.entry((key, time("start") as u64)).or_default().push(result);
    }
    seen
}

#[test]
fn windows_are_exact_through_kill_9_and_rebalances_at_least_once() {
    windows_through_kills("at-least-once");
}

#[test]
fn windows_are_exact_and_come_once_through_kill_9_and_rebalances_exactly_once() {
    windows_through_kills("exactly-once");
}

fn duplicates_through_kills(guarantee: &str) {
    let kafka = Kafka::shared();
    let pipeline = pipeline(kafka, DEDUP, guarantee);
    let (output, input) = (pipeline.output.clone(), pipeline.input.clone());
    let members = torment(kafka, pipeline, [500, 3_000, 6_000, 9_000]);
    members.into_iter().for_each(|it| it.stop().counts().assert_balanced());
    // The first of each in the log is the one that comes out, whoever reads it, however often.
    let mut firsts = BTreeMap::new();
    for message in kafka.read(&input) {
        let place = (message.partition, message.offset);
        let id = field(&message, "id");
        let first = firsts.entry(id).or_insert((place, message.text().to_owned()));
        if place < first.0 {
            *first = (place, message.text().to_owned());
        }
    }
    let results = kafka.read(&output);
    let mut found = BTreeSet::new();
    for result in &results {
        let id = field(result, "id");
        assert_eq!(result.text(), firsts[&id].1, "another copy of {id} came out");
        found.insert(id);
    }
    assert_eq!(found.len(), firsts.len(), "some never came out");
    if guarantee == "exactly-once" {
        assert_eq!(results.len(), firsts.len(), "some came out twice");
    }
}

fn field(message: &Message, name: &str) -> String {
    let value: Value = serde_json::from_str(message.text()).expect("JSON");
    value[name].as_str().expect("text").to_owned()
}

#[test]
fn duplicates_are_known_through_kill_9_and_rebalances_at_least_once() {
    duplicates_through_kills("at-least-once");
}

#[test]
fn duplicates_are_known_through_kill_9_and_rebalances_exactly_once() {
    duplicates_through_kills("exactly-once");
}
