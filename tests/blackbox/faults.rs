//! What is missing at start ends the run with a sentence; what goes away later does not end it.

use crate::{
    payload::{assert_each_once, name},
    support::{
        free_port,
        hotspur::Ended,
        kafka::Kafka,
        message::Message,
        names::{SASL_PASSWORD, SASL_USER},
        pipeline::Pipeline,
        redis::Redis,
    },
};

/// Expects an end with status 3 and a sentence that has all these words, in any case.
#[track_caller]
fn assert_missing(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    let log = ended.log.to_lowercase();
    for word in words {
        assert!(log.contains(&word.to_lowercase()), "no {word} in:\n{}", ended.log);
    }
}

#[test]
fn a_missing_broker_ends_the_start() {
    let kafka = Kafka::shared();
    let nobody = format!("127.0.0.1:{}", free_port());
    let pipeline =
        Pipeline::names(kafka).set("kafka.brokers", &nobody).set("engine.start_timeout", "2s");
    assert_missing(&pipeline.run().wait(), &[&nobody]);
}

#[test]
fn a_missing_topic_ends_the_start() {
    let kafka = Kafka::shared();
    for missing in 0..3 {
        let pipeline = Pipeline::names(kafka).set("engine.start_timeout", "5s");
        let topics = [&pipeline.input, &pipeline.output, &pipeline.dead];
        for (index, topic) in topics.iter().enumerate() {
            if index != missing {
                kafka.create_topic(topic, 1);
            }
        }
        assert_missing(&pipeline.run().wait(), &[topics[missing]]);
        assert_eq!(kafka.partitions(topics[missing]), 0, "nobody asked for the topic");
    }
}

#[test]
fn brokers_and_topics_of_the_sink_have_as_long_as_those_of_the_source() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    kafka.create_topic(&pipeline.input, 1);
    kafka.create_topic(&pipeline.dead, 1);
    let nobody = format!("127.0.0.1:{}", free_port());
    let elsewhere =
        Pipeline::names(kafka).set("sink.kafka.brokers", &nobody).set("engine.start_timeout", "2s");
    kafka.create_topic(&elsewhere.input, 1);
    assert_missing(&elsewhere.run().wait(), &[&nobody, "within 2s"]);

    let hotspur = pipeline.run();
    assert_eq!(hotspur.await_event("topic.missing").text("topic"), pipeline.output);
    kafka.create_topic(&pipeline.output, 1);
    hotspur.await_assigned();
    hotspur.stop();
}

#[test]
fn an_absent_redis_ends_the_start_before_anything_is_consumed() {
    let (kafka, mut redis) = (Kafka::shared(), Redis::start());
    let pipeline = Pipeline::orders(kafka, &redis).set("tables.users.load_timeout", "2s");
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.input, &[Message::new("nonsense")]);
    redis.kill();
    assert_missing(&pipeline.run().wait(), &["users", "load_timeout"]);
    assert!(kafka.read(&pipeline.dead).is_empty());
}

#[test]
fn an_empty_table_ends_the_start_unless_it_is_allowed() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    let pipeline = Pipeline::orders(kafka, &redis);
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.input, &[Message::new(crate::payload::order(1, "user1", 1))]);
    assert_missing(&pipeline.run().wait(), &["users", "empty"]);
    let pipeline = pipeline.set("tables.users.on_empty", "allow");
    let counts = pipeline.run_to_end(kafka).stop().counts();
    assert_eq!((counts.polled, counts.skipped), (1, 1));
}

fn with_password(kafka: &Kafka, password: &str) -> Pipeline {
    Pipeline::names(kafka)
        .set("kafka.brokers", kafka.brokers_with_sasl())
        .property("security.protocol", "SASL_PLAINTEXT")
        .property("sasl.mechanism", "SCRAM-SHA-256")
        .property("sasl.username", SASL_USER)
        .property("sasl.password", password)
}

#[test]
fn a_wrong_password_ends_the_start_at_once_and_is_not_shown() {
    let kafka = Kafka::shared();
    // Longer than the test's patience: the program has to see by itself that waiting will not help.
    let pipeline = with_password(kafka, "open-sesame").set("engine.start_timeout", "10m");
    pipeline.create_topics(kafka, 1);
    let ended = pipeline.run().wait();
    assert_missing(&ended, &["authentication"]);
    assert!(!ended.log.contains("open-sesame") && !ended.output.contains("open-sesame"));
}

#[test]
fn the_right_password_opens() {
    let kafka = Kafka::shared();
    let pipeline = with_password(kafka, SASL_PASSWORD);
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.input, &[Message::new(name(0)).key("0")]);
    pipeline.run_to_end(kafka).stop();
    assert_each_once(&kafka.read(&pipeline.output), &[0]);
}

#[test]
fn a_broker_that_is_killed_and_comes_back_does_not_end_the_run() {
    let mut kafka = Kafka::start();
    let pipeline = Pipeline::names(&kafka);
    pipeline.create_topics(&kafka, 1);
    let named = |numbers: std::ops::Range<u64>| -> Vec<Message> {
        numbers.map(|it| Message::new(name(it)).key(it.to_string())).collect()
    };
    kafka.produce(&pipeline.input, &named(0..100));
    let hotspur = pipeline.run();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    kafka.kill();
    kafka.restart();
    kafka.produce(&pipeline.input, &named(100..200));
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let ended = hotspur.stop();
    for peer in ["source", "sink"] {
        let is_told = |event: &str| {
            let (event, peer) = (format!("\"event\":\"{event}\""), format!("\"peer\":\"{peer}\""));
            ended.log.lines().any(|line| line.contains(&event) && line.contains(&peer))
        };
        assert!(is_told("peer.trouble") && is_told("peer.back"), "{peer}:\n{}", ended.log);
    }
    let counts = ended.counts();
    assert_eq!((counts.polled, counts.emitted), (200, 200));
    assert_each_once(&kafka.read(&pipeline.output), &(0..200).collect::<Vec<_>>());
}

#[test]
fn check_connect_says_what_is_missing_and_makes_it_if_asked_to() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    let topics = [&pipeline.input, &pipeline.output, &pipeline.dead];
    let ended = pipeline.start(&["check", "--connect"]).wait();
    assert_ne!(ended.status, Some(0));
    for topic in topics {
        assert!(format!("{}{}", ended.output, ended.log).contains(topic.as_str()), "{topic}");
    }
    let ended = pipeline.start(&["check", "--connect", "--create"]).wait();
    assert_eq!(ended.status, Some(0), "{}{}", ended.output, ended.log);
    for topic in topics {
        assert!(kafka.partitions(topic) > 0, "{topic}");
    }
    let ended = pipeline.start(&["check", "--connect"]).wait();
    assert_eq!(ended.status, Some(0), "{}{}", ended.output, ended.log);
}
