//! The Kafka source and sink against the embedded broker: what a group does, and what goes wrong.

#[path = "kafka_transport/gaps.rs"]
mod gaps;
#[path = "kafka_transport/gates.rs"]
mod gates;
#[path = "kafka_transport/member.rs"]
mod member;
#[path = "kafka_transport/notes.rs"]
mod notes;
#[path = "kafka_transport/rebalances.rs"]
mod rebalances;
#[path = "kafka_transport/tail.rs"]
mod tail;
#[path = "kafka_transport/trouble.rs"]
mod trouble;

use std::time::Duration;

use hotspur::{
    clock::{Clock, Ticks, TscClock},
    config::settings::{KafkaClient, Start},
    record::{Headers, Output, PartitionId},
    transport::{
        SendError, Sink, Source, Token, WaitSet,
        kafka::{
            EmbeddedKafka, KafkaAdmin, KafkaSink, NewTopic, PartitionLag, Request, RequestError,
        },
    },
};
use member::{
    Member, PATIENCE, Said, broker, client, client_with, output, produce, settle, sink,
    source_settings, until,
};

#[test]
fn a_record_comes_back_as_it_was_sent() {
    let kafka = broker("in", 1);
    let clock = TscClock::new();
    let before = clock.now();
    let mut headers = Vec::new();
    Headers::push(&mut headers, b"trace", Some(b"\x00\xff"));
    Headers::push(&mut headers, b"trace", Some(b""));
    Headers::push(&mut headers, "näme".as_bytes(), None);
    let headers = Headers::from_bytes(&headers);
    let mut sink = sink(&kafka, "in");
    let whole = Output { key: Some(b"k"), timestamp_ms: Some(1_234_567), headers, ..output(b"v") };
    let empty = Output { key: Some(b""), value: Some(b""), ..whole };
    let absent = Output { key: None, value: None, ..whole };
    let plain = Output { headers: Headers::NONE, timestamp_ms: None, ..whole };
    let plain_empty = Output { headers: Headers::NONE, timestamp_ms: None, ..empty };
    let plain_absent = Output { headers: Headers::NONE, timestamp_ms: None, ..absent };
    let all = [whole, empty, absent, plain, plain_empty, plain_absent];
    for (output, token) in all.iter().zip(0..) {
        sink.send(output, Token(token)).unwrap();
    }
    let mut acks = settle(&mut sink);
    acks.sort_by_key(|ack| ack.token.0);
    let sent = clock.now();
    for (ack, token) in acks.iter().zip(0..) {
        assert_eq!((ack.token, ack.result), (Token(token), Ok(())));
        assert!((before..=sent).contains(&ack.at), "the acknowledgement's own time");
    }
    assert_eq!(acks.len(), all.len());

    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("all records", |it| it.records.len() == all.len());
    let after = clock.now();
    for (record, (output, offset)) in member.records.iter().zip(all.iter().zip(0..)) {
        let place = (record.topic.as_str(), record.partition, record.offset);
        assert_eq!(place, ("in", 0, offset));
        assert_eq!(record.key.as_deref(), output.key);
        assert_eq!(record.value.as_deref(), output.value);
        let expected: Vec<_> =
            output.headers.map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec))).collect();
        assert_eq!(record.headers, expected);
        assert!((sent..=after).contains(&record.arrived), "when its fetch response arrived");
        match output.timestamp_ms {
            Some(at) => assert_eq!(record.timestamp_ms, Some(at)),
            None => assert!(record.timestamp_ms.unwrap() > 1_600_000_000_000),
        }
    }
    member.source.close();
}

#[test]
fn what_was_not_taken_is_lent_again_first() {
    let kafka = broker("in", 1);
    produce(&kafka, "in", 0, &["x"; 30]);
    let mut member = Member::join(&kafka, Start::Earliest);
    let mut seen = Vec::new();
    until("all records", || {
        member.serve();
        let mut room = 1;
        member.source.poll(Ticks(0), 100, &mut |record| {
            seen.push((record.offset, room > 0));
            room -= 1;
            room >= 0
        });
        seen.iter().filter(|(_, is_taken)| *is_taken).count() == 30
    });
    let taken: Vec<_> = seen.iter().filter(|it| it.1).map(|it| it.0).collect();
    assert_eq!(taken, (0..30).collect::<Vec<_>>());
    // How many come with one fetch is the client's affair.
    let left = |pair: &&[(i64, bool)]| !pair[0].1;
    let lent_again: Vec<_> = seen.windows(2).filter(left).collect();
    assert!(!lent_again.is_empty(), "{seen:?}");
    assert!(lent_again.iter().all(|pair| pair[1] == (pair[0].0, true)), "{seen:?}");
}

#[test]
fn a_full_queue_is_full_until_acknowledgements_are_served() {
    let kafka = broker("out", 1);
    let settings = client_with(&kafka, &[("queue.buffering.max.messages", "10")]);
    let mut sink = KafkaSink::open(&settings, &["out".to_owned()], TscClock::new()).unwrap();
    kafka.set_round_trip(Duration::from_millis(100)).unwrap();
    let mut taken = 0;
    let full = loop {
        match sink.send(&output(b"x"), Token(taken)) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full, SendError::Full);
    assert_eq!((taken, sink.in_flight()), (10, 10));
    let headers = {
        let mut block = Vec::new();
        Headers::push(&mut block, b"h", Some(b"1"));
        block
    };
    let with_headers = Output { headers: Headers::from_bytes(&headers), ..output(b"x") };
    assert_eq!(sink.send(&with_headers, Token(taken)), Err(SendError::Full));
    let acks = settle(&mut sink);
    assert_eq!(acks.len(), 10);
    assert_eq!(sink.send(&with_headers, Token(0)), Ok(()));
    assert_eq!(settle(&mut sink)[0].token, Token(0));
}

#[test]
fn the_broker_and_the_client_refuse_by_name() {
    let kafka = broker("out", 1);
    let client = client_with(&kafka, &[("message.max.bytes", "1000000")]);
    let mut sink = KafkaSink::open(&client, &["out".to_owned()], TscClock::new()).unwrap();
    let Err(SendError::Refused(refusal)) = sink.send(&output(&[b'x'; 2_000_000]), Token(1)) else {
        panic!("larger than message.max.bytes");
    };
    assert_eq!((refusal.code, refusal.too_large), ("MSG_SIZE_TOO_LARGE", true));
    assert!(!refusal.fatal);
    let elsewhere = Output { partition_number: Some(7), ..output(b"x") };
    let Err(SendError::Refused(refusal)) = sink.send(&elsewhere, Token(1)) else {
        panic!("there is no partition 7");
    };
    assert_eq!((refusal.code, refusal.too_large), ("_UNKNOWN_PARTITION", false));

    kafka.push_request_errors(Request::Produce, &[RequestError::MessageTooLarge]);
    sink.send(&output(b"x"), Token(1 << 40 | 3)).unwrap();
    let acks = settle(&mut sink);
    let refusal = acks[0].result.unwrap_err();
    assert_eq!(acks[0].token, Token(1 << 40 | 3));
    assert_eq!((refusal.code, refusal.too_large), ("MSG_SIZE_TOO_LARGE", true));
    assert!(!refusal.fatal);

    sink.send(&output(b"x"), Token(4)).unwrap();
    assert!(settle(&mut sink)[0].result.is_ok(), "the next one is taken");
}

#[test]
fn a_refused_batch_is_divided_until_only_what_is_at_fault_is_refused() {
    let kafka = broker("in", 1);
    // All results in one batch, and a queue that a report of them would fill.
    let settings =
        client_with(&kafka, &[("linger.ms", "50"), ("queue.buffering.max.messages", "10")]);
    let mut sink = KafkaSink::open(&settings, &["in".to_owned()], TscClock::new()).unwrap();
    // Ten together, five, two, and the first by itself.
    kafka.push_request_errors(Request::Produce, &[RequestError::MessageTooLarge; 4]);
    let mut headers = Vec::new();
    Headers::push(&mut headers, b"h", Some(b"1"));
    let headers = Headers::from_bytes(&headers);
    for number in 0..10u64 {
        let value = number.to_string();
        let output = Output { key: Some(b""), headers, ..output(value.as_bytes()) };
        let timestamp_ms = Some(1_000 + number as i64);
        sink.send(&Output { timestamp_ms, ..output }, Token(number)).unwrap();
    }
    let mut acks = Vec::new();
    until("the first trouble", || {
        sink.poll_acks(Ticks(1), &mut |ack| acks.push(ack));
        sink.next_trouble().is_some()
    });
    assert_eq!(sink.send(&output(b"x"), Token(99)), Err(SendError::Full), "not between them");
    acks.extend(settle(&mut sink));
    assert_eq!(sink.next_trouble(), None, "said once");
    let refused = acks.iter().filter(|it| it.result.is_err()).map(|it| it.token);
    assert_eq!(refused.collect::<Vec<_>>(), [Token(0)]);
    assert_eq!(acks.len(), 10);

    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("the others", |it| it.records.len() == 9);
    for (record, number) in member.records.iter().zip(1..) {
        assert_eq!(record.value, Some(format!("{number}").into_bytes()));
        assert_eq!(
            (record.key.as_deref(), record.timestamp_ms),
            (Some(&b""[..]), Some(1_000 + number))
        );
        assert_eq!(record.headers, [(b"h".to_vec(), Some(b"1".to_vec()))]);
    }
    member.source.close();
}

#[test]
fn a_lost_connection_is_not_the_results_fault() {
    let kafka = broker("out", 1);
    let mut sink = sink(&kafka, "out");
    kafka.set_down().unwrap();
    sink.send(&output(b"x"), Token(0)).unwrap();
    until("trouble", || {
        sink.poll_acks(Ticks(0), &mut |_| panic!("nobody can have acknowledged it"));
        sink.next_trouble().is_some_and(|trouble| {
            assert_eq!((trouble.peer, trouble.heals), ("sink", true), "{trouble:?}");
            trouble.code == "_ALL_BROKERS_DOWN"
        })
    });
    assert_eq!(sink.next_recovery(), None);
    kafka.set_up().unwrap();
    assert!(settle(&mut sink)[0].result.is_ok());
    assert_eq!((sink.next_recovery(), sink.next_recovery()), (Some("sink"), None));
}

#[test]
fn commits_are_answered_and_a_restart_goes_on_behind_them() {
    let kafka = broker("in", 1);
    produce(&kafka, "in", 0, &["a", "b", "c"]);
    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("all records", |it| it.records.len() == 3);
    assert_eq!(member.commit(41, &[(PartitionId(0), 1)]), Ok(()));
    assert_eq!(member.commit(42, &[(PartitionId(0), 2)]), Ok(()));
    member.source.close();

    let mut member = Member::join(&kafka, Start::Latest);
    member.turn_until("the rest", |it| !it.records.is_empty());
    assert_eq!(member.values(), ["c"]);
    let lag = lag(&kafka);
    assert_eq!((lag[0].committed, lag[0].high, lag[0].lag()), (Some(2), 3, Some(1)));
}

fn lag(kafka: &EmbeddedKafka) -> Vec<PartitionLag> {
    let topics = ["in".to_owned()];
    KafkaAdmin::group_lag(&client(kafka), "group", &topics, PATIENCE).unwrap()
}

#[test]
fn the_resolved_start_of_a_new_group_is_committed_before_it_is_assigned() {
    let kafka = broker("in", 2);
    produce(&kafka, "in", 0, &["old", "old"]);
    let mut member = Member::join(&kafka, Start::Latest);
    member.turn_until("both partitions", |it| it.owned() == [0, 1]);
    let committed: Vec<_> = lag(&kafka).iter().map(|it| it.committed).collect();
    assert_eq!(committed, [Some(2), Some(0)]);
    // It goes without a commit of its own; what came before it came back is still read.
    drop(member);
    produce(&kafka, "in", 0, &["new"]);
    let mut member = Member::join(&kafka, Start::Latest);
    member.turn_until("the record", |it| !it.records.is_empty());
    assert_eq!(member.values(), ["new"]);
}

#[test]
fn a_topic_that_the_group_comes_to_later_begins_at_the_configured_start() {
    let kafka = broker("in", 1);
    kafka.create_topic("also", 1).unwrap();
    produce(&kafka, "in", 0, &["a"]);
    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("the first topic's", |it| it.records.len() == 1);
    member.commit(1, &[(PartitionId(0), 1)]).unwrap();
    member.source.close();

    produce(&kafka, "also", 0, &["before"]);
    let mut settings = source_settings(&kafka, Start::Latest);
    settings.topics.push("also".to_owned());
    let mut member = Member::with(&settings);
    member.turn_until("both topics", |it| it.owned() == [0, 0]);
    produce(&kafka, "also", 0, &["after"]);
    member.turn_until("the record", |it| !it.records.is_empty());
    assert_eq!(member.values(), ["after"]);
    assert_eq!(member.records[0].topic, "also");
}

#[test]
fn a_member_that_the_group_forgot_is_told_that_its_partitions_are_lost() {
    let kafka = broker("in", 1);
    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("the partition", |it| it.owned() == [0]);
    kafka.push_request_errors(Request::Heartbeat, &[RequestError::UnknownMember]);
    member.turn_until("the loss", |it| it.said.iter().any(|it| matches!(it, Said::Lost(_))));
    member.turn_until("the partition again", |it| it.owned() == [0]);
    produce(&kafka, "in", 0, &["x"]);
    member.turn_until("its record", |it| it.values() == ["x"]);
}

#[test]
fn a_forgotten_member_that_commits_is_refused_and_comes_back() {
    let kafka = broker("in", 1);
    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("the partition", |it| it.owned() == [0]);
    kafka.push_request_errors(Request::OffsetCommit, &[RequestError::UnknownMember]);
    let refused = member.commit(9, &[(PartitionId(0), 0)]).unwrap_err();
    assert_eq!(refused.code, "UNKNOWN_MEMBER_ID");
    member.turn_until("the loss", |it| it.said.iter().any(|it| matches!(it, Said::Lost(_))));
    member.turn_until("the partition again", |it| it.owned() == [0]);
    assert_eq!(member.commit(10, &[(PartitionId(0), 0)]), Ok(()));
}

#[test]
fn a_topic_that_may_not_be_read_does_not_heal() {
    let kafka = broker("in", 1);
    kafka.set_topic_error("in", Some(RequestError::TopicAuthorization));
    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("trouble", |it| it.troubles().any(|it| !it.heals));
    let trouble = member.troubles().find(|it| !it.heals).unwrap();
    assert_eq!(trouble.code, "TOPIC_AUTHORIZATION_FAILED");
}

#[test]
fn a_missing_topic_does_not_heal() {
    let kafka = EmbeddedKafka::new(1).unwrap();
    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("trouble", |it| it.troubles().any(|it| !it.heals));
    let trouble = member.troubles().find(|it| !it.heals).unwrap();
    assert_eq!(trouble.code, "UNKNOWN_TOPIC_OR_PART");
    assert!(trouble.text.as_str().contains("in"), "{trouble:?}");
}

#[test]
fn brokers_that_go_away_and_come_back_are_trouble_that_heals() {
    let kafka = broker("in", 1);
    let mut member = Member::join(&kafka, Start::Earliest);
    member.turn_until("the partition", |it| it.owned() == [0]);
    kafka.set_down().unwrap();
    member.turn_until("trouble", |it| it.troubles().any(|it| it.code == "_ALL_BROKERS_DOWN"));
    assert_eq!(member.source.next_recovery(), None);
    kafka.set_up().unwrap();
    until("an answer", || {
        member.turn();
        member.source.next_recovery() == Some("source")
    });
    assert_eq!(member.source.next_recovery(), None, "told once");
    produce(&kafka, "in", 0, &["x"]);
    member.turn_until("the record", |it| it.values() == ["x"]);
    assert!(member.troubles().all(|it| it.heals), "{:?}", member.said);
}

#[test]
fn a_parked_thread_is_woken_by_an_assignment_by_data_and_by_acknowledgements() {
    let kafka = broker("in", 1);
    let mut member = Member::join(&kafka, Start::Earliest);
    let parked = |member: &mut Member, is_done: &dyn Fn(&Member) -> bool| {
        while !is_done(member) {
            member.turn();
            if !is_done(member) {
                let mut set = WaitSet::new();
                member.source.wait_on(&mut set);
                assert!(set.wait(PATIENCE), "nothing woke the thread");
            }
        }
    };
    parked(&mut member, &|it| it.owned() == [0]);
    let mut sink = sink(&kafka, "in");
    sink.send(&output(b"x"), Token(0)).unwrap();
    while sink.in_flight() > 0 {
        let mut set = WaitSet::new();
        sink.wait_on(&mut set);
        assert!(set.wait(PATIENCE), "nothing woke the thread");
        sink.poll_acks(Ticks(0), &mut |ack| assert!(ack.result.is_ok()));
    }
    parked(&mut member, &|it| it.values() == ["x"]);
}

#[test]
fn closing_is_bounded_whatever_is_open() {
    let kafka = broker("in", 2);
    produce(&kafka, "in", 0, &["a"]);
    // Before the group has answered.
    Member::join(&kafka, Start::Earliest).source.close();
    // With a revocation that nobody finished.
    let mut first = Member::join(&kafka, Start::Earliest);
    first.turn_until("both partitions", |it| it.owned() == [0, 1]);
    let mut second = Member::join(&kafka, Start::Earliest);
    until("a revocation", || {
        first.turn();
        second.turn();
        first.owned().len() == 1
    });
    first.source.close();
    second.turn_until("both partitions", |it| it.owned() == [0, 1]);
    // Without a broker.
    kafka.set_down().unwrap();
    second.source.close();
    assert_eq!(second.source.poll(Ticks(0), 1, &mut |_| true), 0);
    assert_eq!(second.source.serve(Ticks(0)), 0);
}

#[test]
fn the_admin_describes_creates_and_says_why_it_cannot() {
    let kafka = broker("in", 3);
    let admin = KafkaAdmin::connect("source", &client(&kafka), PATIENCE).unwrap();
    assert_eq!(admin.partitions("in").unwrap(), Some(3));

    // A port that was free a moment ago: nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let nobody = KafkaClient { brokers: address.clone(), ..KafkaClient::default() };
    let wait = Duration::from_millis(500);
    let trouble = KafkaAdmin::connect("sink", &nobody, wait).unwrap_err();
    assert_eq!((trouble.peer, trouble.heals), ("sink", true));
    let text = trouble.text.as_str();
    assert!(text.contains(&address) && text.contains("refused"), "{text}");

    let wrong = client_with(&kafka, &[("no.such.property", "1")]);
    let trouble = KafkaAdmin::connect("sink", &wrong, PATIENCE).unwrap_err();
    assert!(!trouble.heals && trouble.text.as_str().contains("no.such.property"), "{trouble:?}");

    // The embedded broker makes no topics on request: the reason must come through.
    let topic = NewTopic {
        name: "new".to_owned(),
        partitions: 2,
        replication: Some(1),
        is_compacted: true,
    };
    let hasty = KafkaAdmin::connect("sink", &client(&kafka), Duration::from_secs(2)).unwrap();
    let trouble = hasty.create_topic(&topic).unwrap_err();
    assert!(trouble.text.as_str().contains("new"), "{trouble:?}");
}

#[test]
fn a_sink_opens_only_when_its_topics_are_known() {
    let kafka = broker("out", 1);
    let topics = ["out".to_owned()];
    kafka.set_topic_error("out", Some(RequestError::TopicAuthorization));
    let open = KafkaSink::open_as("dead_letters", &client(&kafka), &topics, TscClock::new());
    let trouble = open.unwrap_err();
    assert_eq!((trouble.peer, trouble.code), ("dead_letters", "TOPIC_AUTHORIZATION_FAILED"));
    assert!(!trouble.heals && trouble.text.as_str().contains("out"), "{trouble:?}");
}
