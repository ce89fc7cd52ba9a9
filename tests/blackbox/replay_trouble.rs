//! A replay whose brokers are away for a while, or do not let it do everything.

use crate::{
    letters::{letters, numbers_in, recorded_in, replay, replayed},
    support::{
        kafka::Kafka,
        names::{SASL_PASSWORD, SASL_USER},
        pipeline::Pipeline,
        secure_kafka::{ALLOWED, SecureKafka},
    },
};

#[test]
fn a_broker_that_goes_and_comes_back_costs_nothing_and_doubles_nothing() {
    let mut kafka = Kafka::start();
    let pipeline = Pipeline::names(&kafka);
    pipeline.create_topics(&kafka, 2);
    kafka.produce(&pipeline.dead, &letters(&pipeline, 0..3_000, "not_json", 2));
    let running = pipeline.start(&["replay", "--rate", "500"]);
    kafka.reader(&pipeline.input).await_count(200);
    kafka.kill();
    kafka.restart();
    let ended = running.wait();
    // One that was given up over it says so, and the next goes on.
    assert!(matches!(ended.status, Some(0 | 3)), "{}\n{}", ended.output, ended.log);
    replayed(&pipeline, &[]);
    assert_eq!(numbers_in(&kafka, &pipeline.input), (0..3_000).collect::<Vec<_>>());
    assert_eq!(kafka.read(&recorded_in(&pipeline)).len(), 3_000);
}

#[test]
fn a_topic_that_would_forget_what_was_replayed_is_not_written_to() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.dead, &letters(&pipeline, 0..5, "not_json", 1));
    kafka.create_topic(&recorded_in(&pipeline), 1);
    let ended = replay(&pipeline, &[]);
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("give it cleanup.policy=compact"), "{}", ended.log);
    assert_eq!(kafka.end_offsets(&pipeline.input), [0]);
    kafka.set_topic(&recorded_in(&pipeline), "cleanup.policy", "compact");
    assert_eq!(replayed(&pipeline, &[]).of("copied"), 5);
}

#[test]
fn a_login_is_that_of_the_configuration() {
    let kafka = Kafka::shared();
    let login = |pipeline: Pipeline| {
        pipeline
            .set("kafka.brokers", kafka.brokers_with_sasl())
            .property("security.protocol", "SASL_PLAINTEXT")
            .property("sasl.mechanisms", "SCRAM-SHA-256")
            .property("sasl.username", SASL_USER)
            .property("sasl.password", SASL_PASSWORD)
    };
    let pipeline = login(Pipeline::names(kafka));
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.dead, &letters(&pipeline, 0..5, "not_json", 1));
    assert_eq!(replayed(&pipeline, &[]).of("copied"), 5);
    let other = pipeline.property("sasl.password", "open-barley-0815");
    for command in ["dead", "replay"] {
        let ended = other.start(&[command]).wait();
        assert_eq!(ended.status, Some(3), "{}", ended.log);
        assert!(ended.log.contains("sasl.password"), "{}", ended.log);
        assert!(!ended.log.contains("open-barley"), "{}", ended.log);
    }
}

#[test]
fn rights_that_a_replay_needs_are_named() {
    let kafka = SecureKafka::shared();
    let pipeline = kafka.names_as(ALLOWED);
    pipeline.create_topics(kafka.plainly(), 1);
    kafka.plainly().produce(&pipeline.dead, &letters(&pipeline, 0..5, "not_json", 1));
    assert_eq!(replayed(&pipeline, &["--dry-run"]).of("copied"), 5);
    let is_told = |words: &str| {
        let ended = replay(&pipeline, &[]);
        assert_eq!(ended.status, Some(3), "{}", ended.log);
        assert!(ended.log.contains(words), "no {words:?} in {}", ended.log);
    };
    is_told("grant this user CREATE on the topic");
    kafka.plainly().create_topic(&recorded_in(&pipeline), 1);
    let id = format!("{}.replay", pipeline.dead);
    is_told(&format!("as \"{id}\": not allowed (grant this user WRITE on the transactional id)"));
    assert_eq!(kafka.plainly().end_offsets(&pipeline.input), [0]);
}
