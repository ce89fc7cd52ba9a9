//! The test support itself: what it says about Kafka, Redis and processes has to be true.

use crate::support::{
    await_true, child::Process, kafka::Kafka, message::Message, redis::Redis, unique,
};

#[test]
fn a_message_is_read_as_it_was_written() {
    let kafka = Kafka::shared();
    let topic = unique("harness");
    kafka.create_topic(&topic, 2);
    let written = [
        Message::new([0, 159, 255])
            .key("k")
            .header("a", "1")
            .header("a", [0xff])
            .header("", "")
            .header_without_value("c")
            .timestamp(1_700_000_000_123)
            .partition(0),
        Message::new("").key("").timestamp(1).partition(1),
        Message::tombstone().timestamp(2).partition(1),
    ];
    kafka.produce(&topic, &written);
    let read = kafka.read(&topic);
    let places: Vec<_> = read.iter().map(|it| (it.partition, it.offset)).collect();
    assert_eq!(places, [(Some(0), 0), (Some(1), 0), (Some(1), 1)]);
    let contents = written.each_ref().map(Message::content);
    assert_eq!(read.iter().map(Message::content).collect::<Vec<_>>(), contents);
    assert_eq!(kafka.end_offsets(&topic), [1, 2]);
    assert_eq!(kafka.committed(&unique("nobody"), &topic), [None, None]);
    assert_eq!(kafka.partitions(&unique("missing")), 0);
}

#[test]
fn a_killed_kafka_comes_back_with_what_it_had() {
    let mut kafka = Kafka::start();
    kafka.create_topic("kept", 1);
    kafka.produce("kept", &[Message::new("before")]);
    let mut reader = kafka.reader("kept");
    reader.await_count(1);
    kafka.kill();
    kafka.restart();
    kafka.produce("kept", &[Message::new("after")]);
    let texts: Vec<_> = reader.await_count(2).iter().map(Message::text).collect();
    assert_eq!(texts, ["before", "after"]);
}

#[test]
fn a_restarted_redis_is_empty_and_has_its_port() {
    let mut redis = Redis::start();
    let url = redis.url();
    let get = |url: &str| -> Option<String> {
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        redis::cmd("GET").arg("key").query(&mut connection).unwrap()
    };
    redis.set("key", "value");
    assert_eq!(get(&url).as_deref(), Some("value"));
    redis.delete("key");
    assert_eq!(get(&url), None);
    redis.set("key", "value");
    redis.kill();
    assert!(redis::Client::open(&*url).unwrap().get_connection().is_err());
    redis.restart();
    assert_eq!(redis.url(), url);
    assert_eq!(get(&url), None);
}

#[test]
fn a_dropped_process_has_ended() {
    let mut process = Process::start("sleep", |command| {
        command.arg("600");
    });
    assert!(process.ended().is_none());
    process.signal("TERM");
    await_true("the end of sleep", || process.ended().is_some());
    assert_eq!(process.wait().code(), None);
}
