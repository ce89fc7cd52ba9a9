//! A run with an end: what lies in its range comes through once, and then it ends by itself.

use std::{thread, time::Duration};

use jiff::Timestamp;
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::{
    payload::{assert_each_once, assert_none_lost, name, numbers},
    support::{
        hotspur::{Ended, Hotspur},
        kafka::Kafka,
        message::Message,
        pipeline::Pipeline,
    },
};

fn named(numbers: impl Iterator<Item = u64>) -> Vec<Message> {
    numbers.map(|it| Message::new(name(it)).key(it.to_string())).collect()
}

/// The group of such runs: not the pipeline's own.
fn group(pipeline: &Pipeline) -> String {
    format!("{}-rerun", pipeline.group)
}

fn start(pipeline: &Pipeline, bounds: &[&str]) -> Hotspur {
    pipeline.start(&[&["run", "--group", &group(pipeline)], bounds].concat())
}

/// Runs it and expects that it ends by itself, as asked.
#[track_caller]
fn run(pipeline: &Pipeline, bounds: &[&str]) -> Ended {
    let ended = start(pipeline, bounds).wait();
    assert_eq!(ended.status, Some(0), "{}", ended.log);
    ended.counts().assert_balanced();
    ended
}

#[test]
fn from_the_earliest_until_the_latest_it_ends_by_itself_while_a_producer_goes_on() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).set("source.kafka.start", "latest");
    pipeline.create_topics(kafka, 3);
    kafka.produce(&pipeline.input, &named(0..3_000));
    let mut hotspur = start(&pipeline, &["--from", "earliest", "--until", "latest"]);
    let (writer, mut next) = (kafka.writer(), 3_000);
    while !hotspur.has_ended() {
        named(next..next + 10).iter().for_each(|it| writer.send(&pipeline.input, it));
        next += 10;
        thread::park_timeout(Duration::from_millis(2));
    }
    writer.finish();
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(0), "{}", ended.log);
    assert!(ended.log.contains("run.read_all"), "{}", ended.log);
    let (counts, results) = (ended.counts(), kafka.read(&pipeline.output));
    let committed = kafka.committed(&group(&pipeline), &pipeline.input);
    let in_range = |it: &Message| {
        committed[it.partition.unwrap_or_default() as usize].is_some_and(|end| it.offset < end)
    };
    let all = kafka.read(&pipeline.input);
    let expected: Vec<_> = all.into_iter().filter(in_range).collect();
    assert_each_once(&results, &numbers(&expected).into_keys().collect::<Vec<_>>());
    let polled = counts.polled as usize;
    assert_eq!((polled, counts.emitted as usize), (expected.len(), expected.len()));
    assert!((3_000..next as usize).contains(&polled), "{polled} of {next}");
    assert_eq!(kafka.committed(&pipeline.group, &pipeline.input), [None; 3]);
}

#[test]
fn it_begins_and_ends_by_time() {
    let kafka = Kafka::shared();
    // Nor does the end wait for the next commit.
    let pipeline = Pipeline::names(kafka).set("delivery.commit_interval", "1h");
    pipeline.create_topics(kafka, 1);
    let first_ms = 1_700_000_000_000;
    let at = |number: u64| first_ms + number as i64 * 1000;
    let message = |it| Message::new(name(it)).key(it.to_string()).timestamp(at(it));
    kafka.produce(&pipeline.input, &(0..100).map(message).collect::<Vec<_>>());
    let [from, until] =
        [20, 60].map(|it| Timestamp::from_millisecond(at(it)).expect("a time").to_string());
    let ended = run(&pipeline, &["--from", &from, "--until", &until]);
    assert_eq!(ended.counts().polled, 40);
    assert_each_once(&kafka.read(&pipeline.output), &(20..60).collect::<Vec<_>>());
}

#[test]
fn it_begins_and_ends_by_offset_and_takes_nothing_of_other_partitions() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 3);
    let message = |it: u64| Message::new(name(it)).key(it.to_string()).partition((it % 3) as i32);
    kafka.produce(&pipeline.input, &(0..90).map(message).collect::<Vec<_>>());
    let input = &pipeline.input;
    let [from, until, beyond] = ["0:10", "0:20", "2:99"].map(|it| format!("{input}:{it}"));
    let ended = run(&pipeline, &["--from", &from, "--until", &until, "--until", &beyond]);
    assert_eq!(ended.counts().polled, 10 + 30, "{}", ended.log);
    let first = (10..20).map(|it| it * 3);
    let third = (0..30).map(|it| it * 3 + 2);
    assert_each_once(&kafka.read(&pipeline.output), &first.chain(third).collect::<Vec<_>>());
}

#[test]
fn an_empty_topic_ends_at_once_and_so_does_a_partition_without_records() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 3);
    assert_eq!(run(&pipeline, &["--until", "latest"]).counts().polled, 0);
    let messages: Vec<_> = named(0..50).into_iter().map(|it| it.partition(1)).collect();
    kafka.produce(&pipeline.input, &messages);
    assert_eq!(run(&pipeline, &["--until", "latest"]).counts().polled, 50);
    assert_eq!(run(&pipeline, &["--until", "latest"]).counts().polled, 0, "it is where it was");
    assert_each_once(&kafka.read(&pipeline.output), &(0..50).collect::<Vec<_>>());
}

#[test]
fn a_partition_whose_last_offsets_hold_no_record_ends_all_the_same() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.brokers()).set("transactional.id", &pipeline.input);
    let producer: BaseProducer = config.create().expect("a producer");
    let patience = Duration::from_secs(60);
    producer.init_transactions(patience).expect("a broker with transactions");
    for (first, is_committed) in [(0, true), (10, false), (20, true), (30, false)] {
        producer.begin_transaction().expect("a transaction");
        for message in named(first..first + 10) {
            let Message { key, value, .. } = message;
            let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
            let record = BaseRecord::<[u8], [u8]>::to(&pipeline.input).key(&key).payload(&value);
            producer.send(record).expect("room");
        }
        producer.flush(patience).expect("acknowledged");
        let ended = match is_committed {
            true => producer.commit_transaction(patience),
            false => producer.abort_transaction(patience),
        };
        ended.expect("an end");
    }
    let committed: Vec<u64> = (0..10).chain(20..30).collect();
    assert_eq!(run(&pipeline, &["--until", "latest"]).counts().polled, 20);
    assert_eq!(run(&pipeline, &["--until", "latest"]).counts().polled, 0);
    assert_each_once(&kafka.read(&pipeline.output), &committed);
}

#[test]
fn killed_in_the_middle_and_started_again_it_goes_on_where_it_was() {
    let kafka = Kafka::shared();
    // So few in flight that the kill comes in time.
    let pipeline = Pipeline::names(kafka).set("limits.in_flight", 32).set("limits.batch", 8);
    let pipeline = pipeline.missed_soon();
    pipeline.create_topics(kafka, 2);
    let total = 30_000;
    kafka.produce(&pipeline.input, &named(0..total));
    let bounds = ["--from", "earliest", "--until", "latest"];
    let first = start(&pipeline, &bounds);
    kafka.reader(&pipeline.output).await_count(1_000);
    first.kill();
    let committed = kafka.committed(&group(&pipeline), &pipeline.input);
    let before = committed.into_iter().flatten().sum::<i64>() as u64;
    assert!(before < total, "it was over before it was killed");
    // The same words: they do not move the group back.
    let ended = run(&pipeline, &bounds);
    assert_eq!(ended.counts().polled, total - before);
    assert!(ended.log.contains("group.goes_on"), "{}", ended.log);
    assert_none_lost(&kafka.read(&pipeline.output), &(0..total).collect::<Vec<_>>());
    // Other words do.
    assert_eq!(run(&pipeline, &["--from", "1d", "--until", "latest"]).counts().polled, total);
}

#[test]
fn two_processes_of_one_such_group_share_the_range_and_both_end() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).set("limits.in_flight", 256).set("limits.batch", 32);
    pipeline.create_topics(kafka, 4);
    let total = 40_000;
    kafka.produce(&pipeline.input, &named(0..total));
    let bounds = ["--from", "earliest", "--until", "latest"];
    let both = [start(&pipeline, &bounds), start(&pipeline, &bounds)];
    let polled = both.map(|it| {
        let ended = it.wait();
        assert_eq!(ended.status, Some(0), "{}", ended.log);
        ended.counts().polled
    });
    assert_eq!(polled.iter().sum::<u64>(), total, "{polled:?}");
    assert_each_once(&kafka.read(&pipeline.output), &(0..total).collect::<Vec<_>>());
}

#[test]
fn what_is_not_there_or_would_move_the_pipelines_own_group_is_refused() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.input, &named(0..10));
    let input = &pipeline.input;
    let [beyond, absent] = ["0:11", "7:0"].map(|it| format!("{input}:{it}"));
    for (bounds, word) in [
        (["--from", &beyond], format!("{beyond} is not there")),
        (["--until", &absent], format!("{input} has no partition 7")),
    ] {
        let ended = start(&pipeline, &bounds).wait();
        assert_eq!(ended.status, Some(2), "{}", ended.log);
        assert!(ended.log.contains(&word), "{}", ended.log);
    }
    // A group without offsets may begin anywhere; started again in the same words, it goes on.
    let offset = format!("{input}:0:4");
    for polled in [6, 0] {
        let hotspur = pipeline.start(&["run", "--from", &offset]);
        kafka.await_committed_to_end(&pipeline.group, input);
        hotspur.await_assigned();
        assert_eq!(hotspur.stop().counts().polled, polled);
    }
    let ended = pipeline.start(&["run", "--from", "earliest"]).wait();
    assert_eq!(ended.status, Some(2), "{}", ended.log);
    assert!(ended.log.contains(&format!("--group {}", pipeline.group)), "{}", ended.log);
    assert_eq!(kafka.committed(&pipeline.group, input), [Some(10)]);
}
