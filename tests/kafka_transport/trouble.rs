//! Brokers that change places, or cannot write for a while: asked again, by themselves, in order.

use std::time::Instant;

use hotspur::{
    clock::TscClock,
    config::settings::Start,
    record::PartitionId,
    transport::{
        Sink, Source, Token,
        kafka::{EmbeddedKafka, KafkaSink, Request, RequestError},
    },
};

use super::member::{Member, client_with, output, produce, settle};

/// Three brokers and a topic `in` that the first of them leads.
fn three_brokers() -> EmbeddedKafka {
    let kafka = EmbeddedKafka::new(3).unwrap();
    kafka.create_topic("in", 1).unwrap();
    kafka.set_leader("in", 0, 1).unwrap();
    kafka.set_coordinator("group", 1).unwrap();
    kafka
}

/// One request at a time: the embedded broker would take what comes behind one that failed.
fn careful_sink(kafka: &EmbeddedKafka) -> KafkaSink {
    let client = client_with(kafka, &[("max.in.flight.requests.per.connection", "1")]);
    KafkaSink::open(&client, &["in".to_owned()], TscClock::new()).unwrap()
}

/// Sends these, and expects that all are taken.
fn send(sink: &mut KafkaSink, numbers: std::ops::Range<u64>) {
    let count = numbers.end - numbers.start;
    for number in numbers {
        sink.send(&output(number.to_string().as_bytes()), Token(number)).unwrap();
    }
    let acks = settle(sink);
    assert_eq!(acks.len() as u64, count);
    assert!(acks.iter().all(|it| it.result.is_ok()), "{acks:?}");
}

fn texts(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|it| it.to_string()).collect()
}

#[test]
fn a_leader_that_moves_is_followed_by_reader_and_writer() {
    let kafka = three_brokers();
    let mut member = Member::join(&kafka, Start::Earliest);
    let mut sink = careful_sink(&kafka);
    send(&mut sink, 0..20);
    member.turn_until("the first records", |it| it.records.len() == 20);
    for (leader, end) in [(2, 40), (3, 60), (1, 80)] {
        kafka.set_leader("in", 0, leader).unwrap();
        let since = Instant::now();
        send(&mut sink, end - 20..end);
        member.turn_until("the next records", |it| it.records.len() as u64 == end);
        println!("leader {leader}: read and written {:?} after the move", since.elapsed());
    }
    assert_eq!(member.values(), texts(0..80));
    assert!(member.troubles().all(|it| it.heals), "{:?}", member.said);
}

#[test]
fn a_coordinator_that_moves_is_found_and_commits_go_on() {
    let kafka = three_brokers();
    let mut member = Member::join(&kafka, Start::Earliest);
    produce(&kafka, "in", 0, &["a", "b", "c"]);
    member.turn_until("the records", |it| it.records.len() == 3);
    assert_eq!(member.commit(1, &[(PartitionId(0), 1)]), Ok(()));
    for (ticket, coordinator) in [(10, 2), (20, 3)] {
        kafka.set_coordinator("group", coordinator).unwrap();
        let since = Instant::now();
        // A commit that fails is the engine's to repeat.
        let attempt = (ticket..ticket + 10).find(|ticket| {
            let result = member.commit(*ticket, &[(PartitionId(0), 3)]);
            assert!(result.is_ok() || result.is_err_and(|it| it.heals), "{result:?}");
            result.is_ok()
        });
        println!("coordinator {coordinator}: committed {:?} after the move", since.elapsed());
        assert!(attempt.is_some(), "{:?}", member.said);
    }
    produce(&kafka, "in", 0, &["d"]);
    member.turn_until("the next record", |it| it.records.len() == 4);
    member.source.close();
    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("what is behind the commit", |it| !it.records.is_empty());
    assert_eq!(member.values(), ["d"]);
}

#[test]
fn a_broker_that_cannot_write_for_a_while_is_asked_again() {
    let kafka = three_brokers();
    for error in [RequestError::Storage, RequestError::NotEnoughReplicas] {
        let mut sink = careful_sink(&kafka);
        kafka.push_request_errors(Request::Produce, &[error; 12]);
        let since = Instant::now();
        send(&mut sink, 0..20);
        println!("{error:?}, twelve times: written after {:?}", since.elapsed());
        assert!(sink.next_trouble().is_none_or(|it| it.heals));
    }
    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("all of both", |it| it.records.len() == 40);
    let twice: Vec<_> = texts(0..20).into_iter().chain(texts(0..20)).collect();
    assert_eq!(member.values(), twice);
    kafka.push_request_errors(Request::Fetch, &[RequestError::Storage; 12]);
    produce(&kafka, "in", 0, &["x"]);
    member.turn_until("the record", |it| it.records.len() == 41);
    assert!(member.troubles().all(|it| it.heals), "{:?}", member.said);
}
