//! The topic itself: made where it is missing, refused where it will not do.

use std::sync::atomic::AtomicBool;

use hotspur::{
    assemble::{self, Creation, StartError},
    config::{
        Settings,
        settings::{KafkaClient, State},
    },
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
};

use crate::{
    pipeline_settings,
    rig::{dedup, window},
    support::{cluster, kafka::Kafka, unique},
};

/// Settings with source topics of two and three partitions, and a state topic that is not there.
fn settings(kafka: &Kafka) -> Settings {
    let mut settings = pipeline_settings::settings(Vec::new(), &[]);
    let brokers = kafka.brokers().to_owned();
    let client = KafkaClient { brokers, ..KafkaClient::default() };
    let [narrow, wide, out, dead] = ["narrow", "wide", "out", "dead"].map(unique);
    for (topic, partitions) in [(&narrow, 2), (&wide, 3), (&out, 1), (&dead, 1)] {
        kafka.create_topic(topic, partitions);
    }
    settings.source.topics = vec![narrow, wide];
    (settings.sink.topic, settings.dead_letters.topic) = (out, dead);
    settings.source.client = client.clone();
    settings.sink.client = client.clone();
    settings.dead_letters.client = client.clone();
    settings.state = State { client, topic: unique("state"), resets: false };
    settings.engine.start_timeout = crate::support::PATIENCE;
    settings
}

fn cleanup_policy(kafka: &Kafka, topic: &str) -> String {
    let client: ClientConfig = cluster::config(kafka.brokers());
    let admin: AdminClient<DefaultClientContext> = client.create().expect("an admin client");
    let asked = [ResourceSpecifier::Topic(topic)];
    let answer = cluster::block_on(admin.describe_configs(&asked, &AdminOptions::new()));
    let answer = answer.expect("Kafka answers").remove(0).expect("the topic's settings");
    answer.get("cleanup.policy").and_then(|it| it.value.clone()).expect("a policy")
}

fn await_topics(settings: &Settings) -> Result<(), StartError> {
    assemble::await_topics(settings, &[dedup(), window()], &AtomicBool::new(false))
}

#[test]
fn a_missing_topic_is_made_compacted_and_as_wide_as_the_widest_source() {
    let kafka = Kafka::shared();
    let settings = settings(kafka);
    let topic = &settings.state.topic;
    await_topics(&settings).unwrap();
    assert_eq!(kafka.partitions(topic), 3);
    assert_eq!(cleanup_policy(kafka, topic), "compact");
    await_topics(&settings).expect("it fits from now on");
    let without = assemble::await_topics(
        &Settings {
            state: State { topic: unique("never made"), ..settings.state.clone() },
            ..settings
        },
        &[],
        &AtomicBool::new(false),
    );
    without.expect("nobody keeps state, so nobody asks for the topic");
}

#[test]
fn a_topic_that_will_not_do_stops_the_start_with_a_sentence() {
    let kafka = Kafka::shared();
    let cases: [(i32, &[_], _); 3] = [
        (3, &[("cleanup.policy", "delete")], "has cleanup.policy=delete, which forgets state"),
        (3, &[("cleanup.policy", "compact,delete")], "cleanup.policy=compact,delete"),
        (2, &[("cleanup.policy", "compact")], "give it 3 partitions"),
    ];
    for (partitions, policy, sentence) in cases {
        let settings = settings(kafka);
        kafka.create_topic_with(&settings.state.topic, partitions, policy);
        let Err(StartError::Refused(problem)) = await_topics(&settings) else {
            panic!("{sentence}");
        };
        assert!(problem.contains(sentence), "{problem}");
        let found = assemble::check_connections(&settings, &[dedup()], Creation::Yes);
        let [found] = &found.problems[..] else { panic!("{found:?}") };
        assert_eq!((found.key.as_str(), &found.message), ("state.topic", &problem));
    }
}

#[test]
fn check_says_what_it_found_and_makes_what_is_missing() {
    let kafka = Kafka::shared();
    let settings = settings(kafka);
    let topic = &settings.state.topic;
    let lines = |creation| {
        let report = assemble::check_connections(&settings, &[dedup()], creation);
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        report.lines
    };
    let says = |lines: Vec<String>, line: String| assert!(lines.contains(&line), "{lines:?}");
    says(lines(Creation::No), format!("state: topic {topic} is not there, a run will make it"));
    assert_eq!(kafka.partitions(topic), 0);
    says(lines(Creation::Yes), format!("state: topic {topic} made, partitions 3"));
    says(lines(Creation::No), format!("state: topic {topic} found, partitions 3"));
    let report = assemble::check_connections(&settings, &[], Creation::No);
    assert!(!report.lines.iter().any(|it| it.starts_with("state:")), "{:?}", report.lines);
}
