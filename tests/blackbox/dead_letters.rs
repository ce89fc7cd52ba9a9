//! A dead letter says everything that is needed to understand it, and to send it again.

use crate::support::{kafka::Kafka, message::Message, names::GROUP_ASSIGNED, pipeline::Pipeline};

const NAMES: [&str; 9] = [
    "hotspur.class",
    "hotspur.reason",
    "hotspur.step",
    "hotspur.topic",
    "hotspur.partition",
    "hotspur.offset",
    "hotspur.timestamp",
    "hotspur.pipeline",
    "hotspur.replays",
];

#[test]
fn a_dead_letter_carries_the_record_and_each_header_once() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).set("name", "dead-letter-test");
    pipeline.create_topics(kafka, 2);
    let good = Message::new("{}").partition(1);
    let bad = Message::new([b'{', 0xff, 0])
        .key([0, 0xfe])
        .header("trace", [0xff, 0])
        .header("trace", "again")
        .header_without_value("absent")
        .header("empty", "")
        .timestamp(1_700_000_000_123)
        .partition(1);
    kafka.produce(&pipeline.input, &[good.clone(), good, bad.clone()]);
    let hotspur = pipeline.run();
    let mut reader = kafka.reader(&pipeline.dead);
    let letter = reader.await_count(1)[0].clone();
    hotspur.stop();

    assert_eq!((&letter.key, &letter.value), (&bad.key, &bad.value));
    let (of_record, ours) = letter.headers.split_at(bad.headers.len());
    assert_eq!(of_record, bad.headers);
    let names: Vec<_> = ours.iter().map(|(name, _)| name.as_str()).collect();
    for name in NAMES {
        assert_eq!(names.iter().filter(|it| **it == name).count(), 1, "{name} in {names:?}");
    }
    assert_eq!(names.len(), NAMES.len(), "{names:?}");
    assert_eq!(letter.header_text("hotspur.class"), "not_json");
    assert_eq!(letter.header_text("hotspur.step"), "parse");
    assert_eq!(letter.header_text("hotspur.topic"), pipeline.input);
    assert_eq!(letter.header_text("hotspur.partition"), "1");
    assert_eq!(letter.header_text("hotspur.offset"), "2");
    assert_eq!(letter.header_text("hotspur.timestamp"), "1700000000123");
    assert_eq!(letter.header_text("hotspur.pipeline"), "dead-letter-test");
    assert_eq!(letter.header_text("hotspur.replays"), "0");
    let reason = letter.header_text("hotspur.reason");
    assert!(reason.split(' ').count() >= 3, "a reason is a sentence: {reason}");
}

#[test]
fn the_dead_letter_of_an_absent_key_has_none_and_that_of_a_tombstone_no_value() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).set("source.kafka.tombstones", "reject");
    pipeline.create_topics(kafka, 1);
    let inputs = [Message::new("no JSON"), Message::tombstone().key(""), Message::new("")];
    kafka.produce(&pipeline.input, &inputs);
    let hotspur = pipeline.run();
    let mut reader = kafka.reader(&pipeline.dead);
    let letters = reader.await_count(3);
    for (letter, input) in letters.iter().zip(&inputs) {
        assert_eq!((&letter.key, &letter.value), (&input.key, &input.value));
    }
    hotspur.stop();
}

#[test]
fn our_headers_on_a_record_are_not_carried_on() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    let dressed = |value: &str| {
        Message::new(value)
            .header("first", "1")
            .header("hotspur.class", "expression")
            .header("hotspur.offset", "99")
            .header("last", "2")
    };
    kafka.produce(&pipeline.input, &[dressed("{}"), dressed("nonsense")]);
    let hotspur = pipeline.run();
    hotspur.await_event(GROUP_ASSIGNED);
    let result = kafka.reader(&pipeline.output).await_count(1)[0].clone();
    let letter = kafka.reader(&pipeline.dead).await_count(1)[0].clone();
    hotspur.stop();
    let names: Vec<_> = result.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["first", "last"]);
    assert_eq!(letter.header_text("hotspur.class"), "not_json");
    assert_eq!(letter.header_text("hotspur.offset"), "1");
    assert_eq!((letter.header_text("first"), letter.header_text("last")), ("1", "2"));
}
