//! Where a group starts, where it goes on, and what happens when members come and go.

use crate::{
    payload::{assert_each_once, name},
    support::{clients::Load, kafka::Kafka, message::Message, pipeline::Pipeline},
};

fn named(numbers: impl Iterator<Item = u64>) -> Vec<Message> {
    numbers.map(|it| Message::new(name(it)).key(it.to_string())).collect()
}

#[test]
fn a_new_group_starts_at_the_latest_and_goes_on_where_it_was() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).set("source.kafka.start", "latest");
    pipeline.create_topics(kafka, 3);
    kafka.produce(&pipeline.input, &named(0..90));
    let before = kafka.end_offsets(&pipeline.input).into_iter().map(Some).collect::<Vec<_>>();

    let first = pipeline.run();
    first.await_assigned();
    assert_eq!(kafka.committed(&pipeline.group, &pipeline.input), before);
    kafka.produce(&pipeline.input, &named(90..120));
    let mut reader = kafka.reader(&pipeline.output);
    reader.await_count(30);
    assert_eq!(first.stop().counts().polled, 30);

    // What comes while nobody runs is not new to the group any more.
    kafka.produce(&pipeline.input, &named(120..150));
    let second = pipeline.run();
    reader.await_count(60);
    assert_eq!(second.stop().counts().polled, 30);
    assert_each_once(&kafka.read(&pipeline.output), &(90..150).collect::<Vec<_>>());
}

#[test]
fn a_group_killed_before_its_first_record_has_its_start_all_the_same() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).set("source.kafka.start", "latest").missed_soon();
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.input, &named(0..10));
    let first = pipeline.run();
    first.await_assigned();
    first.kill();
    kafka.produce(&pipeline.input, &named(10..20));
    let second = pipeline.run();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    second.stop();
    assert_each_once(&kafka.read(&pipeline.output), &(10..20).collect::<Vec<_>>());
}

#[test]
fn members_that_come_and_go_under_load_lose_and_double_nothing() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 4);
    let all: Vec<u64> = (0..20_000).collect();
    let first = pipeline.run();
    first.await_assigned();
    let (before, after) = all.split_at(all.len() / 2);
    let load = Load::start(kafka, &pipeline.input, named(before.iter().copied()));
    let mut reader = kafka.reader(&pipeline.output);
    reader.await_count(1_000);
    let second = pipeline.run();
    second.await_assigned();
    load.finish();
    let so_far = reader.await_count(before.len()).len();
    let load = Load::start(kafka, &pipeline.input, named(after.iter().copied()));
    reader.await_count(so_far + 2_000);
    let first = first.stop().counts();
    first.assert_balanced();
    load.finish();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let second = second.stop().counts();
    second.assert_balanced();
    assert!(first.polled > 0 && second.polled > 0, "{first:?} {second:?}");
    assert_each_once(&kafka.read(&pipeline.output), &all);
}
