//! What a member does when the group gives and takes back partitions, also at once.

use hotspur::{
    config::settings::Start,
    record::PartitionId,
    transport::{
        Source,
        kafka::{EmbeddedKafka, RequestError},
    },
};

use crate::member::{Member, Said, broker, produce, source_settings, until};

#[test]
fn a_second_member_gets_its_share_only_after_the_first_let_go() {
    let kafka = broker("in", 2);
    let mut first = Member::join(&kafka, Start::Earliest);
    first.turn_until("both partitions", |it| it.owned() == [0, 1]);

    let mut second = Member::join(&kafka, Start::Earliest);
    let (given_up, numbers) = revoked(&mut first, &mut second);
    let [number] = numbers[..] else { panic!("one of two, not {numbers:?}") };
    assert_eq!(first.source.partition(given_up[0]).0, "in");

    // Not released yet, so nobody else has it; what comes for it is not lent to the one that had.
    produce(&kafka, "in", number, &["later"]);
    for _ in 0..1000 {
        first.turn();
        second.turn();
    }
    assert!(second.owned().is_empty() && first.records.is_empty());
    // The embedded broker may be at the next rebalance already, and then refuses for the moment.
    if let Err(trouble) = first.commit(5, &[(given_up[0], 0)]) {
        assert_eq!((trouble.code, trouble.heals), ("REBALANCE_IN_PROGRESS", true));
    }

    first.source.release(&given_up);
    until("the hand-over", || {
        first.turn();
        second.turn();
        second.owned() == [number] && second.values() == ["later"]
    });
    assert_eq!(first.owned(), [1 - number]);
    produce(&kafka, "in", 1 - number, &["kept"]);
    first.turn_until("records of what was kept", |it| it.values() == ["kept"]);

    // And back again, when the second leaves.
    second.commit(6, &[(partition_id(&second), 1)]).unwrap();
    second.source.close();
    first.turn_until("both partitions again", |it| it.owned() == [0, 1]);
    produce(&kafka, "in", number, &["last"]);
    first.turn_until("the last record", |it| it.values() == ["kept", "last"]);
    first.source.close();
}

fn partition_id(member: &Member) -> PartitionId {
    let mut ids = member.said.iter().filter_map(|it| match it {
        Said::Assigned(ids) => ids.first().copied(),
        _ => None,
    });
    ids.next().unwrap()
}

/// Waits for a revocation of some of topic `in`; which, and the numbers in the topic.
fn revoked(first: &mut Member, second: &mut Member) -> (Vec<PartitionId>, Vec<i32>) {
    let mut given_up = Vec::new();
    until("a revocation", || {
        first.turn();
        second.turn();
        given_up = first.revoked();
        !given_up.is_empty()
    });
    let numbers = given_up.iter().map(|it| first.source.partition(*it).1).collect();
    (given_up, numbers)
}

/// Two members, of which the first has topic `also` to itself, and is asked for a part of `in`.
fn members_of_two_topics(kafka: &EmbeddedKafka) -> (Member, Member) {
    kafka.create_topic("also", 1).unwrap();
    let mut settings = source_settings(kafka, Start::Earliest);
    let refresh = ("topic.metadata.refresh.interval.ms", "100");
    settings.client.properties.insert(refresh.0.to_owned(), refresh.1.to_owned());
    let second = settings.clone();
    settings.topics.push("also".to_owned());
    let mut first = Member::with(&settings);
    first.turn_until("all partitions", |it| it.owned().len() == 3);
    (first, Member::with(&second))
}

#[test]
fn a_topic_that_is_deleted_while_a_revocation_is_finished_leaves_both_answered() {
    let kafka = broker("in", 2);
    let (mut first, mut second) = members_of_two_topics(&kafka);
    let (given_up, numbers) = revoked(&mut first, &mut second);
    kafka.set_topic_error("also", Some(RequestError::UnknownTopic));
    until("the loss of the deleted topic", || {
        first.turn();
        second.turn();
        first.said.iter().any(|it| matches!(it, Said::Lost(_)))
    });
    for _ in 0..1000 {
        first.turn();
        second.turn();
    }
    assert!(second.owned().is_empty(), "not released yet");

    first.source.release(&given_up);
    until("the hand-over", || {
        first.turn();
        second.turn();
        second.owned() == numbers
    });
    assert_eq!(first.owned().len(), 1);
    // What was answered can be given again.
    second.source.close();
    first.turn_until("both partitions again", |it| it.owned() == [0, 1]);
    kafka.set_topic_error("also", None);
    first.turn_until("the topic again", |it| it.owned() == [0, 0, 1]);
    for (topic, number) in [("in", 0), ("in", 1), ("also", 0)] {
        let before = first.records.len();
        produce(&kafka, topic, number, &["x"]);
        first.turn_until("a record of it", |it| it.records.len() > before);
    }
    first.source.close();
}

#[test]
fn closing_answers_every_rebalance_that_is_open() {
    let kafka = broker("in", 2);
    let (mut first, mut second) = members_of_two_topics(&kafka);
    revoked(&mut first, &mut second);
    kafka.set_topic_error("also", Some(RequestError::UnknownTopic));
    until("the loss of the deleted topic", || {
        first.turn();
        second.turn();
        first.said.iter().any(|it| matches!(it, Said::Lost(_)))
    });
    first.source.close();
    second.turn_until("both partitions", |it| it.owned() == [0, 1]);
}

#[test]
fn a_member_without_a_share_is_told_that_the_group_answered() {
    let kafka = broker("in", 1);
    let mut first = Member::join(&kafka, Start::Latest);
    first.turn_until("the partition", |it| it.owned() == [0]);
    let mut second = Member::join(&kafka, Start::Latest);
    until("an empty assignment", || {
        first.turn();
        second.turn();
        second.said.iter().any(|it| matches!(it, Said::Assigned(ids) if ids.is_empty()))
    });
    first.source.close();
    second.turn_until("the partition", |it| it.owned() == [0]);
}

#[test]
fn a_source_that_goes_while_the_group_is_about_to_answer_does_not_wait_for_ever() {
    let kafka = broker("in", 1);
    for turns in 0..10 {
        let mut member = Member::join(&kafka, Start::Earliest);
        (0..turns * 100).for_each(|_| member.turn());
        let dropped = std::thread::spawn(move || drop(member));
        until("the end of the client", || dropped.is_finished());
    }
}
