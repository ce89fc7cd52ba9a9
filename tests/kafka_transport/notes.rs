//! What commits say of state beside the position, and whether a partition is read to its end.

use std::time::Duration;

use hotspur::{
    config::{range::Point, settings::Start},
    record::PartitionId,
    transport::{Begin, Note, Source, kafka::Request},
};

use crate::{
    gates::Gated,
    member::{Member, Said, broker, produce, source_settings, until},
};

/// Kafka's numbers of these errors; after the first nobody knows whether the commit was made.
const REQUEST_TIMED_OUT: i16 = 7;
const REBALANCE_IN_PROGRESS: i16 = 27;

const P0: PartitionId = PartitionId(0);

fn note(numbers: &[i64]) -> Note {
    let mut note = Note::default();
    numbers.iter().for_each(|it| note.push(*it));
    note
}

fn begin(position: i64, numbers: &[i64]) -> Begin {
    Begin { position, note: note(numbers) }
}

#[test]
fn notes_travel_with_commits_and_come_back() {
    let kafka = broker("in", 1);
    produce(&kafka, "in", 0, &["a", "b", "c"]);
    let mut it = Gated::of_one(&kafka, Start::Earliest);
    assert_eq!(it.member.source.begin_of(P0), begin(0, &[]), "the resolved start");
    it.member.source.note(P0, note(&[12, -5]));
    assert_eq!(it.member.source.begin_of(P0), begin(0, &[]), "not committed yet");
    it.member.commit(1, &[(P0, 2)]).unwrap();
    assert_eq!(it.member.source.begin_of(P0), begin(2, &[12, -5]));
    it.member.source.close();

    let mut it = Gated::of_one(&kafka, Start::Latest);
    assert_eq!(it.member.source.begin_of(P0), begin(2, &[12, -5]));
    it.member.commit(1, &[(P0, 3)]).unwrap();
    assert_eq!(it.member.source.begin_of(P0), begin(3, &[12, -5]), "until another one comes");
    it.member.source.note(P0, note(&[i64::MIN; 8]));
    it.member.commit(2, &[(P0, 3)]).unwrap();
    it.member.source.close();

    let mut it = Gated::of_one(&kafka, Start::Latest);
    assert_eq!(it.member.source.begin_of(P0), begin(3, &[i64::MIN; 8]), "the longest there is");
    it.member.source.close();
}

#[test]
fn a_commit_that_failed_changes_nothing_and_its_repetition_says_the_same() {
    let kafka = broker("in", 1);
    produce(&kafka, "in", 0, &["a", "b", "c"]);
    let mut it = Gated::of_one(&kafka, Start::Earliest);
    it.member.source.note(P0, note(&[7]));
    it.member.commit(1, &[(P0, 1)]).unwrap();
    it.member.source.note(P0, note(&[8]));
    for (ticket, error) in [(2, REBALANCE_IN_PROGRESS), (3, REQUEST_TIMED_OUT)] {
        // The client tries some of them again by itself.
        kafka.push_error_number(Request::OffsetCommit, error, 99, Duration::ZERO);
        let trouble = it.member.commit(ticket, &[(P0, 2)]).unwrap_err();
        kafka.clear_request_errors(Request::OffsetCommit);
        assert!(trouble.heals, "{trouble:?}");
        assert_eq!(it.member.source.begin_of(P0), begin(1, &[7]), "{error}");
    }
    it.member.commit(4, &[(P0, 2)]).unwrap();
    assert_eq!(it.member.source.begin_of(P0), begin(2, &[8]));
    it.member.source.close();
    let mut it = Gated::of_one(&kafka, Start::Earliest);
    assert_eq!(it.member.source.begin_of(P0), begin(2, &[8]));
    it.member.source.close();
}

#[test]
fn a_commit_whose_answer_is_lost_is_made_again_as_it_was() {
    let kafka = broker("in", 1);
    produce(&kafka, "in", 0, &["a", "b"]);
    let mut it = Gated::of_one(&kafka, Start::Earliest);
    it.member.source.note(P0, note(&[8]));
    // The broker takes it, and the connection goes before it answers.
    kafka.set_round_trip(Duration::from_millis(500)).unwrap();
    it.member.source.commit(1, &[(P0, 2)]);
    (0..1_000).for_each(|_| it.turn());
    kafka.set_down().unwrap();
    kafka.set_round_trip(Duration::ZERO).unwrap();
    kafka.set_up().unwrap();
    let is_answer = |it: &Said| matches!(it, Said::Committed(..));
    it.turn_until("the answer", |it| it.member.said.iter().any(is_answer));
    until("a commit that is confirmed", || {
        it.member.said.retain(|it| !is_answer(it));
        let result = it.member.commit(1, &[(P0, 2)]);
        assert!(result.is_ok() || result.is_err_and(|it| it.heals), "{result:?}");
        result.is_ok()
    });
    assert_eq!(it.member.source.begin_of(P0), begin(2, &[8]));
    it.member.source.close();
    let mut it = Gated::of_one(&kafka, Start::Earliest);
    assert_eq!(it.member.source.begin_of(P0), begin(2, &[8]));
    it.member.source.close();
}

#[test]
fn from_goes_over_a_commit_and_its_note_and_its_own_commits_keep_theirs() {
    let kafka = broker("in", 1);
    produce(&kafka, "in", 0, &["a", "b", "c"]);
    let mut it = Gated::of_one(&kafka, Start::Earliest);
    it.member.source.note(P0, note(&[7]));
    it.member.commit(1, &[(P0, 3)]).unwrap();
    it.member.source.close();

    let mut settings = source_settings(&kafka, Start::Latest);
    settings.range.from = Point::parse(&["in:0:1".to_owned()]).unwrap();
    let again = || Gated::one_with(Member::with(&settings));
    let mut it = again();
    assert_eq!(it.member.source.begin_of(P0), begin(1, &[]));
    it.member.source.note(P0, note(&[9, 10]));
    it.member.commit(1, &[(P0, 2)]).unwrap();
    it.member.source.close();
    let mut it = again();
    assert_eq!(it.member.source.begin_of(P0), begin(2, &[9, 10]));
    it.member.source.close();
}

#[test]
fn a_partition_that_comes_back_begins_with_what_another_member_committed() {
    let kafka = broker("in", 2);
    let mut first = Gated::join(&kafka, Start::Earliest);
    first.await_wants(&[0, 1]);
    (0..2).for_each(|it| first.hand_over(it, true));
    first.turn_until("both partitions", |it| it.member.owned() == [0, 1]);
    let both = [0, 1].map(|it| first.member.number_of(it));
    both.iter().for_each(|it| first.member.source.note(*it, note(&[1])));
    first.member.commit(1, &both.map(|it| (it, 1))).unwrap();
    let mut second = Gated::join(&kafka, Start::Earliest);
    until("a hand-over", || {
        first.turn();
        second.turn();
        let revoked = first.member.revoked();
        first.member.source.release(&revoked);
        !second.wants.is_empty()
    });
    let moved = second.wants[0].number;
    second.hand_over(moved, true);
    until("the partition", || {
        first.turn();
        second.turn();
        second.member.owned() == [moved]
    });
    let theirs = second.member.number_of(moved);
    assert_eq!(second.member.source.begin_of(theirs), begin(1, &[1]));
    second.member.source.note(theirs, note(&[2]));
    second.member.commit(1, &[(theirs, 2)]).unwrap();
    second.member.source.close();
    first.await_wants(&[moved]);
    first.hand_over(moved, true);
    first.turn_until("both partitions again", |it| it.member.owned() == [0, 1]);
    let ours = both[moved as usize];
    assert_eq!(first.member.source.begin_of(ours), begin(2, &[2]));
    // It is what the next commit says, too.
    first.member.commit(2, &[(ours, 2)]).unwrap();
    assert_eq!(first.member.source.begin_of(ours), begin(2, &[2]));
    assert_eq!(first.member.source.begin_of(both[1 - moved as usize]), begin(1, &[1]));
    first.member.source.close();
}

#[test]
fn the_end_is_known_once_all_is_read_and_nothing_behind_it_was_told() {
    let kafka = broker("in", 1);
    produce(&kafka, "in", 0, &["a", "b"]);
    let mut it = Gated::of_one(&kafka, Start::Earliest);
    assert!(!it.member.source.is_at_end(P0, 0));
    it.turn_until("both records", |it| it.member.records.len() == 2);
    it.turn_until("the end", |it| it.member.source.is_at_end(P0, 2));
    assert!(!it.member.source.is_at_end(P0, 1), "the last one is not done");
    produce(&kafka, "in", 0, &["c"]);
    // What nobody takes is there nevertheless.
    until("word of the third", || !it.member.source.is_at_end(P0, 2));
    it.turn_until("the third record", |it| it.member.records.len() == 3);
    assert!(it.member.source.is_at_end(P0, 3) && !it.member.source.is_at_end(P0, 2));
    it.member.source.close();
    let mut plain = Member::join(&kafka, Start::Earliest);
    plain.turn_until("the partition", |it| it.owned() == [0]);
    assert!(!plain.source.is_at_end(P0, 99), "nobody asked for where it ended");
}
