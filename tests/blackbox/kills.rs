//! kill -9 under load, more than once: what each guarantee still promises then.

use std::collections::BTreeMap;

use crate::{
    payload::{assert_each_once, assert_none_lost, fates, mixed_orders, numbers},
    support::{clients::Load, kafka::Kafka, message::Message, pipeline::Pipeline, redis::Redis},
};

const TOTAL: u64 = 20_000;

/// Kills the run twice while records come, and lets a third one finish; results and dead letters.
/// Exactly once the order is checked as well.
fn kill_twice(guarantee: &str) -> [Vec<Message>; 2] {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    let pipeline = Pipeline::orders(kafka, &redis)
        .set("delivery.guarantee", guarantee)
        .set("instance", "0")
        .set("limits.in_flight", 512)
        .set("limits.batch", 64)
        .missed_soon();
    pipeline.create_topics(kafka, 2);
    let mut reader = kafka.reader(&pipeline.output);
    let mut first = pipeline.run();
    first.await_assigned();
    let load = Load::start(kafka, &pipeline.input, mixed_orders(TOTAL));
    let mut seen = 0;
    for _ in 0..2 {
        seen = reader.await_count(seen + 1_000).len();
        first.kill();
        first = pipeline.run();
    }
    load.finish();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    first.stop().counts().assert_balanced();
    let results = kafka.read(&pipeline.output);
    assert!(results.len() > seen, "nothing was emitted after the last kill");
    let letters = kafka.read(&pipeline.dead);
    if guarantee == "exactly-once" {
        let input = kafka.read(&pipeline.input);
        [&results, &letters].iter().for_each(|messages| assert_in_order(&input, messages));
    }
    [results, letters]
}

fn number(message: &Message) -> u64 {
    let key = message.key.as_deref().expect("a key");
    std::str::from_utf8(key).expect("text").parse().expect("a number")
}

/// What came from one partition and went to one partition is in the order of the input, in which
/// numbers grow.
#[track_caller]
fn assert_in_order(input: &[Message], output: &[Message]) {
    let from: BTreeMap<u64, Option<i32>> =
        input.iter().map(|it| (number(it), it.partition)).collect();
    let mut last = BTreeMap::new();
    for message in output {
        let number = number(message);
        let before = last.insert((from[&number], message.partition), number);
        assert!(before.is_none_or(|it| it < number), "{number} came after {before:?}");
    }
}

#[test]
fn at_least_once_loses_nothing() {
    let [results, letters] = kill_twice("at-least-once");
    let [emitted, _, dead] = fates(TOTAL);
    assert_none_lost(&results, &emitted);
    assert_none_lost(&letters, &dead);
}

#[test]
fn at_most_once_doubles_nothing() {
    let [results, letters] = kill_twice("at-most-once");
    for messages in [results, letters] {
        let came: Vec<u64> = numbers(&messages).into_keys().collect();
        assert_each_once(&messages, &came);
    }
}

#[test]
fn exactly_once_loses_and_doubles_nothing_and_keeps_the_order() {
    let [results, letters] = kill_twice("exactly-once");
    let [emitted, _, dead] = fates(TOTAL);
    assert_each_once(&results, &emitted);
    assert_each_once(&letters, &dead);
}
