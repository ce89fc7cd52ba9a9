//! A topic in trouble: it takes no such timestamp, it is deleted and made again.

use std::ops::Range;

use crate::{
    payload::{assert_each_once, assert_none_lost, name, numbers},
    support::{kafka::Kafka, message::Message, pipeline::Pipeline},
};

fn names(numbers: Range<u64>) -> Vec<Message> {
    numbers.map(|it| Message::new(name(it)).key(it.to_string())).collect()
}

#[test]
fn a_timestamp_that_the_topic_does_not_take_costs_that_record_only() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    kafka.create_topic(&pipeline.input, 1);
    kafka.create_topic(&pipeline.dead, 1);
    let settings =
        [("message.timestamp.type", "CreateTime"), ("message.timestamp.before.max.ms", "3600000")];
    kafka.create_topic_with(&pipeline.output, 1, &settings);
    let mut messages = names(0..500);
    messages[17] = messages[17].clone().timestamp(1_000);
    messages[333] = messages[333].clone().timestamp(1_000);
    kafka.produce(&pipeline.input, &messages);
    let counts = pipeline.run_to_end(kafka).stop().counts();
    assert_eq!((counts.emitted, counts.rejected), (498, 2));
    let letters = kafka.read(&pipeline.dead);
    assert_eq!(numbers(&letters).into_keys().collect::<Vec<_>>(), [17, 333]);
    for letter in &letters {
        assert_eq!(letter.header_text("hotspur.class"), "refused_by_broker");
        assert!(letter.header_text("hotspur.reason").contains("TIMESTAMP"));
        assert_eq!(letter.header_text("hotspur.timestamp"), "1000");
        let number = numbers(std::slice::from_ref(letter)).into_keys().next();
        assert_eq!(letter.value, messages[number.expect("one") as usize].value, "the raw input");
    }
    let emitted: Vec<_> = (0..500).filter(|it| ![17, 333].contains(it)).collect();
    assert_each_once(&kafka.read(&pipeline.output), &emitted);
}

#[test]
fn a_sink_topic_that_is_deleted_ends_the_run_or_is_written_again() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka)
        .set("observe.listen", "127.0.0.1:0")
        .sink_property("debug", "topic,metadata")
        .set("log.level", "trace");
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.input, &names(0..100));
    let hotspur = pipeline.run_to_end(kafka);
    kafka.delete_topic(&pipeline.output);
    kafka.produce(&pipeline.input, &names(100..200));
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(
        ended.log.contains(&pipeline.output) && ended.log.contains("--create"),
        "{}",
        ended.log
    );
    kafka.create_topic(&pipeline.output, 1);
    pipeline.run_to_end(kafka).stop();
    assert_none_lost(&kafka.read(&pipeline.output), &(100..200).collect::<Vec<_>>());
    assert!(kafka.read(&pipeline.dead).is_empty());

    // Frozen meanwhile, it does not see that the topic was away.
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    hotspur.signal("STOP");
    kafka.delete_topic(&pipeline.output);
    kafka.create_topic(&pipeline.output, 1);
    kafka.produce(&pipeline.input, &names(200..300));
    hotspur.signal("CONT");
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    hotspur.stop();
    assert_each_once(&kafka.read(&pipeline.output), &(200..300).collect::<Vec<_>>());
}

#[test]
fn a_source_topic_that_is_deleted_ends_the_run_and_is_read_again_when_it_is_there() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 2);
    kafka.produce(&pipeline.input, &names(0..100));
    let hotspur = pipeline.run_to_end(kafka);
    kafka.delete_topic(&pipeline.input);
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains(&pipeline.input) && ended.log.contains("--create"), "{}", ended.log);
    kafka.create_topic(&pipeline.input, 2);
    kafka.produce(&pipeline.input, &names(100..200));
    pipeline.run_to_end(kafka).stop();
    assert_each_once(&kafka.read(&pipeline.output), &(0..200).collect::<Vec<_>>());
}
