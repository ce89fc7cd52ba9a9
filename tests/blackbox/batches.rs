//! A batch that the broker refuses: only the results that are at fault become dead letters.

use crate::{
    payload::{assert_each_once, name, numbers},
    support::{kafka::Kafka, message::Message, pipeline::Pipeline},
};

/// A pipeline whose sink topic has one partition and this setting.
fn with_sink_topic(kafka: &Kafka, setting: (&str, &str)) -> Pipeline {
    let pipeline = Pipeline::names(kafka);
    kafka.create_topic(&pipeline.input, 1);
    kafka.create_topic(&pipeline.dead, 1);
    kafka.create_topic_with(&pipeline.output, 1, &[setting]);
    pipeline
}

/// Names, numbered by their keys; those of `large` have a value of 3,000 bytes and more.
fn names(count: u64, large: &[u64]) -> Vec<Message> {
    let value = |number: u64| match large.contains(&number) {
        true => format!(r#"{{"first_name":"{}"}}"#, "Ada ".repeat(750)),
        false => name(number),
    };
    (0..count).map(|it| Message::new(value(it)).key(it.to_string())).collect()
}

/// Exactly those of `dead` are dead letters, refused by the broker; the others are results.
#[track_caller]
fn assert_only_dead(kafka: &Kafka, pipeline: &Pipeline, count: u64, dead: &[u64]) {
    let letters = kafka.read(&pipeline.dead);
    for letter in &letters {
        assert_eq!(letter.header_text("hotspur.class"), "refused_by_broker");
    }
    assert_eq!(numbers(&letters).into_keys().collect::<Vec<_>>(), dead);
    let emitted: Vec<u64> = (0..count).filter(|it| !dead.contains(it)).collect();
    assert_each_once(&kafka.read(&pipeline.output), &emitted);
}

#[test]
fn batches_keep_to_what_the_topic_takes_and_so_does_the_order() {
    let kafka = Kafka::shared();
    let pipeline = with_sink_topic(kafka, ("max.message.bytes", "2000"));
    kafka.produce(&pipeline.input, &names(5_000, &[2_500]));
    let counts = pipeline.run_to_end(kafka).stop().counts();
    assert_eq!((counts.emitted, counts.rejected), (4_999, 1));
    assert_only_dead(kafka, &pipeline, 5_000, &[2_500]);
    let keys: Vec<_> = kafka.read(&pipeline.output).into_iter().map(|it| it.key).collect();
    assert!(keys.is_sorted_by_key(|key| {
        let key = String::from_utf8(key.clone().expect("a key")).expect("a number");
        key.parse::<u64>().expect("a number")
    }));
}

#[test]
fn a_limit_that_is_lowered_during_the_run_costs_only_what_is_too_large() {
    let kafka = Kafka::shared();
    let pipeline = with_sink_topic(kafka, ("max.message.bytes", "1000000"));
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    kafka.set_topic(&pipeline.output, "max.message.bytes", "2000");
    kafka.produce(&pipeline.input, &names(20_000, &[3, 10_000, 19_999]));
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let ended = hotspur.stop();
    let counts = ended.counts();
    assert_eq!((counts.emitted, counts.rejected), (19_997, 3));
    assert_only_dead(kafka, &pipeline, 20_000, &[3, 10_000, 19_999]);
    let told = ended.log.lines().filter(|line| line.contains("smaller batches")).count();
    assert_eq!(told, 1, "{}", ended.log);
}

#[test]
fn a_result_that_the_topic_does_not_take_leaves_the_others_of_its_batch_alone() {
    let kafka = Kafka::shared();
    let pipeline = with_sink_topic(kafka, ("cleanup.policy", "compact"));
    let mut messages = names(2_000, &[]);
    [7, 1_500].into_iter().for_each(|it| messages[it].key = None);
    kafka.produce(&pipeline.input, &messages);
    let counts = pipeline.run_to_end(kafka).stop().counts();
    assert_eq!((counts.emitted, counts.rejected), (1_998, 2));
    let letters = kafka.read(&pipeline.dead);
    assert!(letters.iter().all(|it| it.key.is_none()));
    for letter in &letters {
        assert_eq!(letter.header_text("hotspur.class"), "refused_by_broker");
    }
    let emitted: Vec<u64> = (0..2_000).filter(|it| ![7, 1_500].contains(it)).collect();
    assert_each_once(&kafka.read(&pipeline.output), &emitted);
}
