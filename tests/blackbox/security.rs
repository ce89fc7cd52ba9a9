//! Secure connections: with the right papers records pass, without them the program says what is
//! wrong, at once, and never a password.

use crate::{
    payload::{assert_each_once, name, with_hash},
    support::{
        await_true,
        hotspur::{Counts, Ended, Hotspur},
        message::Message,
        pipeline::Pipeline,
        rights::{Operation, Resource},
        secure_kafka::{
            ALLOWED, NO_GROUP, NO_READ, NO_WRITE, NOBODY, PASSWORD, SecureKafka as Kafka,
        },
    },
};

/// Longer than a test's patience: the program has to see by itself that waiting will not help.
const FOR_EVER: &str = "10m";

/// A password that opens nothing.
const WRONG_PASSWORD: &str = "open-barley-0815";

/// Expects a record to come out as a plain client reads it, and another as a dead letter.
#[track_caller]
fn assert_records_pass(kafka: &Kafka, pipeline: &Pipeline) {
    let kafka = kafka.plainly();
    pipeline.create_topics(kafka, 1);
    let dress = |value: &[u8]| {
        Message::new(value).key([1, 0, 0xff]).header("a", [0xff]).header("a", "2").timestamp(7)
    };
    let (input, nonsense) = (name(1), dress(b"nonsense"));
    kafka.produce(&pipeline.input, &[dress(input.as_bytes()), nonsense.clone()]);
    let counts = pipeline.run_to_end(kafka).stop().counts();
    let results: Vec<_> = kafka.read(&pipeline.output).iter().map(Message::content).collect();
    assert_eq!(results, [dress(&with_hash(input.as_bytes()))]);
    let letters = kafka.read(&pipeline.dead);
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].value, &letters[0].key), (&nonsense.value, &nonsense.key));
    assert_eq!(counts, Counts { polled: 2, emitted: 1, skipped: 0, rejected: 1, held: 0 });
}

/// Expects an end with status 3, a last sentence that has all these words, and no password.
#[track_caller]
fn assert_refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.status, Some(3), "{}{}", ended.output, ended.log);
    let sentence = ended.log.lines().last().unwrap_or_default();
    for word in words {
        assert!(sentence.contains(word), "no {word:?} in {sentence:?}");
    }
    assert_secret(ended);
}

#[track_caller]
fn assert_secret(ended: &Ended) {
    for password in [PASSWORD, WRONG_PASSWORD] {
        let said = [&ended.output, &ended.log];
        assert!(said.iter().all(|it| !it.contains(password)), "{}{}", ended.output, ended.log);
    }
}

/// Expects `check --connect` to end with status 3 and so many errors, each of which has its words.
#[track_caller]
fn assert_all_told(pipeline: &Pipeline, errors: &[&[&str]]) {
    let ended = pipeline.start(&["check", "--connect"]).wait();
    assert_eq!(ended.status, Some(3), "{}{}", ended.output, ended.log);
    let told: Vec<_> = ended.output.lines().filter(|line| line.contains(": error: ")).collect();
    assert_eq!(told.len(), errors.len(), "{}", ended.output);
    for words in errors {
        let is_it = |line: &&&str| words.iter().all(|word| line.contains(word));
        assert!(told.iter().any(|line| is_it(&line)), "no {words:?} in {}", ended.output);
    }
    assert_secret(&ended);
}

fn refused(pipeline: Pipeline) -> Ended {
    pipeline.set("engine.start_timeout", FOR_EVER).run().wait()
}

#[test]
fn records_pass_over_tls() {
    let kafka = Kafka::shared();
    assert_records_pass(kafka, &kafka.names_by_tls(kafka.tls()));
}

#[test]
fn records_pass_with_a_client_certificate() {
    let kafka = Kafka::shared();
    let certificates = kafka.certificates();
    let pipeline = kafka
        .names_by_tls(kafka.mutual())
        .property("ssl.certificate.location", &certificates.pem("client"))
        .property("ssl.key.location", &certificates.key("client"));
    assert_records_pass(kafka, &pipeline);
}

#[test]
fn a_client_certificate_that_is_missing_or_strange_ends_the_start() {
    let kafka = Kafka::shared();
    let words = [kafka.mutual(), "source: ", "ssl.certificate.location"];
    let without = kafka.names_by_tls(kafka.mutual());
    assert_refused(&refused(without), &words);
    let certificates = kafka.certificates();
    let strange = kafka
        .names_by_tls(kafka.mutual())
        .property("ssl.certificate.location", &certificates.pem("stranger"))
        .property("ssl.key.location", &certificates.key("stranger"));
    assert_refused(&refused(strange), &words);
}

#[test]
fn a_broker_that_no_known_authority_vouches_for_ends_the_start() {
    let kafka = Kafka::shared();
    let words = ["source: ", "certificate verify failed", "ssl.ca.location"];
    let stranger = kafka.certificates().pem("stranger-authority");
    let pipeline = kafka.names_by_tls(kafka.tls()).property("ssl.ca.location", &stranger);
    assert_all_told(&pipeline, &[&words[1..]]);
    assert_refused(&refused(pipeline), &[&words[..], &[kafka.tls()]].concat());
    let elsewhere = kafka.tls().replace("127.0.0.1", "localhost");
    assert_refused(&refused(kafka.names_by_tls(&elsewhere)), &words);
}

#[test]
fn an_authority_that_is_not_there_ends_the_start() {
    let kafka = Kafka::shared();
    let absent = kafka.certificates().pem("absent");
    let pipeline = kafka.names_by_tls(kafka.tls()).property("ssl.ca.location", &absent);
    assert_refused(&refused(pipeline), &["source: ", "ssl.ca.location", "cannot read", &absent]);
}

#[test]
fn the_wrong_protocol_is_hinted_at() {
    let kafka = Kafka::shared();
    for (address, protocol) in [(kafka.tls(), "PLAINTEXT"), (kafka.sasl(), "SSL")] {
        let pipeline = kafka.names_by_tls(address).property("security.protocol", protocol);
        let ended = pipeline.set("engine.start_timeout", "2s").run().wait();
        assert_refused(&ended, &["source: ", address, "security.protocol"]);
    }
}

#[test]
fn each_way_to_log_in_lets_records_pass() {
    let kafka = Kafka::shared();
    let mut pipeline = kafka.names_as(ALLOWED);
    pipeline.create_topics(kafka.plainly(), 1);
    for (number, mechanism) in (0..).zip(["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]) {
        pipeline = pipeline.property("sasl.mechanisms", mechanism);
        let message = Message::new(name(number)).key(number.to_string());
        kafka.plainly().produce(&pipeline.input, &[message]);
        pipeline.run_to_end(kafka.plainly()).stop();
    }
    assert_each_once(&kafka.plainly().read(&pipeline.output), &[0, 1, 2]);
}

#[test]
fn transactions_pass_over_tls_and_behind_a_login() {
    let kafka = Kafka::shared();
    for pipeline in [kafka.names_by_tls(kafka.tls()), kafka.names_as(ALLOWED)] {
        assert_records_pass(kafka, &pipeline.set("delivery.guarantee", "exactly-once"));
    }
}

#[test]
fn a_transactional_id_that_may_not_be_used_ends_the_start() {
    let kafka = Kafka::shared();
    let pipeline = kafka
        .names_as(ALLOWED)
        .set("source.kafka.group", "names-without")
        .set("instance", "one")
        .set("delivery.guarantee", "exactly-once");
    pipeline.create_topics(kafka.plainly(), 1);
    let words = ["sink: ", "\"names-without-one\"", "WRITE on the transactional id"];
    assert_refused(&refused(pipeline), &words);
}

#[test]
fn a_wrong_password_ends_every_command_and_is_shown_by_none() {
    let kafka = Kafka::shared();
    let in_a_file = kafka.names_as(ALLOWED).file("password", WRONG_PASSWORD);
    let in_plain = kafka.names_as(ALLOWED).property("sasl.password", WRONG_PASSWORD);
    let words = [kafka.sasl(), "invalid credentials", "sasl.password"];
    for (pipeline, shown) in [(in_a_file, r#""${file:password}""#), (in_plain, r#""***""#)] {
        let pipeline = pipeline.set("engine.start_timeout", FOR_EVER);
        for command in [&["run", "-vv"][..], &["load", "--count", "1"]] {
            assert_refused(&pipeline.start(command).wait(), &words);
        }
        assert_all_told(&pipeline, &[&words]);
        let ended = pipeline.start(&["check", "--effective"]).wait();
        assert_eq!(ended.status, Some(0), "{}{}", ended.output, ended.log);
        let password = ended.output.lines().find(|line| line.contains("sasl.password"));
        assert!(password.is_some_and(|line| line.contains(shown)), "{}", ended.output);
        assert_secret(&ended);
    }
}

/// A pipeline with its topics, on which one user after another tries.
fn with_topics(kafka: &Kafka) -> Pipeline {
    let pipeline = kafka.names_as(ALLOWED).set("engine.start_timeout", FOR_EVER);
    pipeline.create_topics(kafka.plainly(), 1);
    pipeline
}

#[test]
fn a_right_that_is_missing_ends_the_start() {
    let kafka = Kafka::shared();
    let mut pipeline = with_topics(kafka);
    kafka.plainly().produce(&pipeline.input, &[Message::new(name(0))]);
    for user in [NO_GROUP, NO_READ, NO_WRITE, NOBODY] {
        pipeline = pipeline.property("sasl.username", user);
        let words = match user {
            NO_GROUP => [&pipeline.group, "source: ", "READ on the group"],
            NO_WRITE => [&pipeline.output, "sink: ", "WRITE on the topic"],
            _ => [&pipeline.input, "source: ", "READ on the topic"],
        };
        assert_refused(&pipeline.run().wait(), &words);
    }
    assert!(kafka.plainly().read(&pipeline.output).is_empty());
    assert_eq!(kafka.plainly().committed(&pipeline.group, &pipeline.input), [None]);
}

#[test]
fn check_connect_tells_every_missing_right_at_once() {
    let kafka = Kafka::shared();
    let mut pipeline = with_topics(kafka);
    for user in [NO_GROUP, NO_READ, NO_WRITE, NOBODY] {
        pipeline = pipeline.property("sasl.username", user);
        let source = ["source.kafka.topics: ", &pipeline.input, "READ on the topic"];
        let group = ["source.kafka.group: ", &pipeline.group, "READ on the group"];
        let sink = ["sink.kafka.topic: ", &pipeline.output, "WRITE on the topic"];
        let dead = ["dead_letters.topic: ", &pipeline.dead, "WRITE on the topic"];
        match user {
            NO_GROUP => assert_all_told(&pipeline, &[&group]),
            NO_READ => assert_all_told(&pipeline, &[&source]),
            NO_WRITE => assert_all_told(&pipeline, &[&sink, &dead]),
            _ => assert_all_told(&pipeline, &[&source, &group, &sink, &dead]),
        }
    }
    let pipeline = pipeline.property("sasl.username", ALLOWED);
    let ended = pipeline.start(&["check", "--connect"]).wait();
    assert_eq!(ended.status, Some(0), "{}{}", ended.output, ended.log);
}

#[test]
fn a_topic_that_may_not_be_made_is_told() {
    let kafka = Kafka::shared();
    let pipeline = kafka.names_as(ALLOWED);
    let ended = pipeline.start(&["check", "--connect", "--create"]).wait();
    assert_eq!(ended.status, Some(3), "{}{}", ended.output, ended.log);
    assert_eq!(ended.output.matches("CREATE on the topic").count(), 3, "{}", ended.output);
}

/// A run as `ALLOWED` that has its partition.
fn running(kafka: &Kafka) -> (Pipeline, Hotspur) {
    let pipeline = kafka.names_as(ALLOWED).set("engine.drain_timeout", "1s");
    pipeline.create_topics(kafka.plainly(), 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    (pipeline, hotspur)
}

#[test]
fn a_right_that_is_taken_away_ends_the_run() {
    use {Operation::*, Resource::*};
    let kafka = Kafka::shared();
    for (operation, resource, place) in
        [(Write, Topic, "sink"), (Write, Topic, "dead"), (Read, Topic, "source"), (Read, Group, "")]
    {
        let (pipeline, mut hotspur) = running(kafka);
        let (name_of_it, words) = match place {
            "sink" => (&pipeline.output, ["sink: ", "WRITE on the topic"]),
            "dead" => (&pipeline.dead, ["sink: ", "WRITE on the topic"]),
            "source" => (&pipeline.input, ["source: ", "READ on the topic"]),
            _ => (&pipeline.group, ["source: ", "READ on the group"]),
        };
        kafka.deny(operation, resource, name_of_it);
        // The node acts on it a moment later: records keep coming until they are refused.
        await_true(format_args!("the end, without {operation:?} on {name_of_it}"), || {
            let messages = [Message::new(name(0)), Message::new("nonsense")];
            kafka.plainly().produce(&pipeline.input, &messages);
            hotspur.has_ended()
        });
        assert_refused(&hotspur.wait(), &[words[0], words[1], name_of_it]);
    }
}
