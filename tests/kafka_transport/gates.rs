//! A partition's records wait until its state was taken; others do not wait with them.
//!
//! The test is the side thread that reads state, so that it says when state is complete.

use std::sync::Arc;

use hotspur::{
    config::{range::Point, settings::Start},
    record::{Output, PartitionId},
    transport::{
        Sink, Source, Token, Trouble, WaitSet,
        kafka::{EmbeddedKafka, StatePlan, StateRestorer},
        restore::{
            Filler, Handed, Restoration, RestoredEntries, STATE_PEER, StateKey, StateKind,
            StatefulStep, Want, restoration,
        },
    },
    verdict::Sentence,
};

use crate::member::{
    Member, PATIENCE, Said, broker, client_with, output, produce, settle, sink, source_settings,
    until,
};

/// A member whose partitions wait for their state.
pub(crate) struct Gated {
    pub(crate) member: Member,
    shared: Arc<Restoration>,
    entries: RestoredEntries,
    filler: Filler,
    pub(crate) wants: Vec<Want>,
    handed: Vec<(u16, String)>,
}

fn step() -> StatefulStep {
    StatefulStep { number: 0, name: "1".to_owned(), operator: "dedup", hash: 1 }
}

impl Gated {
    pub(crate) fn join(kafka: &EmbeddedKafka, start: Start) -> Gated {
        Gated::with(Member::join(kafka, start))
    }

    pub(crate) fn with(mut member: Member) -> Gated {
        let (shared, entries, filler) = restoration(&[step()]);
        member.source.restore_by(Arc::clone(&shared));
        Gated { member, shared, entries, filler, wants: Vec::new(), handed: Vec::new() }
    }

    pub(crate) fn turn(&mut self) {
        let handed = &mut self.handed;
        self.entries.take(10, &mut |partition, it| {
            handed.push((
                partition.0,
                match it {
                    Handed::Begin => "begin".to_owned(),
                    Handed::Entry { key, .. } => String::from_utf8(key.to_vec()).unwrap(),
                    Handed::Seed { .. } => "seed".to_owned(),
                    Handed::Complete => "complete".to_owned(),
                    Handed::Cancelled => "cancelled".to_owned(),
                },
            ));
        });
        self.member.turn();
        self.filler.hear(&mut self.wants);
        let filler = &self.filler;
        self.wants.retain(|it| filler.is_wanted(it));
    }

    pub(crate) fn turn_until(&mut self, what: &str, mut is_done: impl FnMut(&Gated) -> bool) {
        until(what, || {
            self.turn();
            is_done(self)
        });
    }

    /// One that has partition 0 of a topic with one partition, and no state.
    pub(crate) fn of_one(kafka: &EmbeddedKafka, start: Start) -> Gated {
        Gated::one_with(Member::join(kafka, start))
    }

    /// The same, of that member.
    pub(crate) fn one_with(member: Member) -> Gated {
        let mut it = Gated::with(member);
        it.await_wants(&[0]);
        it.hand_over(0, true);
        it.turn_until("the partition", |it| it.member.owned() == [0]);
        it
    }

    /// Waits until those numbers of partitions are wanted.
    pub(crate) fn await_wants(&mut self, numbers: &[i32]) {
        self.turn_until("wishes", |it| {
            let mut wanted: Vec<_> = it.wants.iter().map(|it| it.number).collect();
            wanted.sort_unstable();
            wanted == numbers
        });
    }

    /// Hands over an entry, and says whether that was all.
    pub(crate) fn hand_over(&mut self, number: i32, is_all: bool) {
        let want = *self.wants.iter().find(|it| it.number == number).expect("it is wanted");
        assert!(self.filler.has_room());
        self.filler.begin(&want);
        self.filler.entry(&want, (StateKind::Entry, &step()), b"entry", None);
        if is_all {
            self.filler.complete(&want);
        }
        self.filler.flush();
    }
}

#[test]
fn live_partitions_go_on_while_another_waits_for_its_state() {
    let kafka = broker("in", 2);
    for number in [0, 1] {
        produce(&kafka, "in", number, &[&format!("first of {number}")]);
    }
    let mut it = Gated::join(&kafka, Start::Earliest);
    it.await_wants(&[0, 1]);
    assert!(it.shared.is_restoring());
    it.hand_over(0, true);
    it.turn_until("its record", |it| it.member.values() == ["first of 0"]);
    assert_eq!(it.member.owned(), [0]);

    it.hand_over(1, false);
    for count in 2..50 {
        produce(&kafka, "in", 0, &["more of 0"]);
        produce(&kafka, "in", 1, &["more of 1"]);
        it.turn_until("the live one's", |it| it.member.values().len() == count);
    }
    assert!(it.member.records.iter().all(|it| it.partition == 0));
    assert_eq!(it.member.owned(), [0]);

    it.hand_over(1, true);
    it.turn_until("the other's", |it| it.member.values().len() == 49 + 49);
    let other = it.member.records.iter().filter(|it| it.partition == 1);
    assert_eq!(other.map(|it| it.offset).collect::<Vec<_>>(), (0..49).collect::<Vec<_>>());
    assert_eq!(it.member.owned(), [0, 1]);
    assert!(!it.shared.is_restoring());
    let partition = it.member.number_of(1).0;
    let of_it: Vec<_> = it.handed.iter().filter(|it| it.0 == partition).map(|it| &it.1).collect();
    assert_eq!(of_it, ["begin", "entry", "begin", "entry", "complete"]);
    it.member.source.close();
}

#[test]
fn the_start_is_committed_before_state_is_there() {
    let kafka = broker("in", 1);
    produce(&kafka, "in", 0, &["old"]);
    let mut it = Gated::join(&kafka, Start::Latest);
    it.await_wants(&[0]);
    it.turn_until("the commit of the start", |_| {
        let lag = crate::lag(&kafka);
        lag[0].committed == Some(1)
    });
    produce(&kafka, "in", 0, &["came while state was read"]);
    it.hand_over(0, true);
    it.turn_until("the record", |it| !it.member.records.is_empty());
    assert_eq!(it.member.values(), ["came while state was read"]);
}

#[test]
fn a_partition_taken_back_amid_restoring_goes_to_another_and_comes_back() {
    let kafka = broker("in", 2);
    let mut first = Gated::join(&kafka, Start::Earliest);
    first.await_wants(&[0, 1]);
    let number_of = |first: &Gated, number: i32| {
        first.wants.iter().find(|it| it.number == number).expect("it is wanted").partition()
    };
    let partitions: [PartitionId; 2] = [0, 1].map(|it| number_of(&first, it));
    first.hand_over(0, false);
    first.hand_over(1, false);
    let mut second = Gated::join(&kafka, Start::Earliest);
    until("a hand-over", || {
        first.turn();
        second.turn();
        first.wants.len() == 1 && second.wants.len() == 1
    });
    let moved = second.wants[0].number;
    assert_ne!(first.wants[0].number, moved);
    assert!(first.member.revoked().is_empty(), "what was never announced is not revoked");
    first.turn();
    let lost = (partitions[moved as usize].0, "cancelled".to_owned());
    assert_eq!(first.handed.iter().filter(|it| **it == lost).count(), 1);

    produce(&kafka, "in", moved, &["x"]);
    second.hand_over(moved, true);
    until("its record", || {
        first.turn();
        second.turn();
        second.member.values() == ["x"]
    });
    second.member.source.close();
    first.await_wants(&[0, 1]);
    first.hand_over(moved, true);
    first.turn_until("its record again", |it| it.member.values() == ["x"]);
    assert_eq!(first.member.owned(), [moved]);
    first.member.source.close();
}

#[test]
fn a_run_with_an_end_is_not_done_before_state_is_there() {
    let kafka = broker("in", 1);
    produce(&kafka, "in", 0, &["x"]);
    let mut settings = source_settings(&kafka, Start::Earliest);
    settings.range.until = Point::parse(&["latest".to_owned()]).unwrap();
    let mut it = Gated::with(Member::with(&settings));
    it.await_wants(&[0]);
    for _ in 0..1_000 {
        it.turn();
        assert!(!it.member.source.is_done());
    }
    it.hand_over(0, true);
    it.turn_until("the end", |it| it.member.source.is_done());
    assert_eq!(it.member.values(), ["x"]);
}

#[test]
fn a_parked_thread_is_woken_when_state_comes_and_when_it_is_there() {
    let kafka = broker("in", 1);
    produce(&kafka, "in", 0, &["x"]);
    let mut it = Gated::join(&kafka, Start::Earliest);
    it.await_wants(&[0]);
    let mut has_come = false;
    while it.member.records.is_empty() {
        it.turn();
        if !std::mem::replace(&mut has_come, true) {
            it.hand_over(0, true);
        }
        let mut set = WaitSet::new();
        it.member.source.wait_on(&mut set);
        assert!(!it.member.records.is_empty() || set.wait(PATIENCE), "nothing woke the thread");
    }
    assert_eq!(it.member.values(), ["x"]);
}

#[test]
fn state_in_the_embedded_broker_is_read_back() {
    let kafka = broker("in", 1);
    kafka.create_topic("state", 1).unwrap();
    produce(&kafka, "in", 0, &["x"]);
    let mut sink = sink(&kafka, "state");
    for (key, value) in [("a", Some(&b"1"[..])), ("b", Some(b"1")), ("a", None)] {
        let (step, mut bytes) = (step(), Vec::new());
        let (kind, key) = (StateKind::Entry, key.as_bytes());
        let (topic, hash) = ("in", step.hash);
        StateKey { kind, topic, step: &step.name, hash, key }.write(&mut bytes);
        let output = Output { key: Some(&bytes), value, ..output(b"") };
        sink.send(&output, Token(0)).unwrap();
    }
    assert!(settle(&mut sink).iter().all(|ack| ack.result.is_ok()));
    let mut member = Member::join(&kafka, Start::Earliest);
    let (shared, mut entries, filler) = restoration(&[step()]);
    let reading = client_with(&kafka, &[("fetch.wait.max.ms", "0")]);
    let plan = StatePlan {
        writing: reading.clone(),
        reading,
        topic: "state".to_owned(),
        sources: vec!["in".to_owned()],
        steps: vec![step()],
        resets: false,
    };
    let _restorer = StateRestorer::start(plan, filler).unwrap();
    member.source.restore_by(shared);
    let mut handed = Vec::new();
    until("the record", || {
        entries.take(1, &mut |_, it| {
            handed.push(match it {
                Handed::Entry { key, value, .. } => (key.to_vec(), value.is_some()),
                other => (format!("{other:?}").into_bytes(), false),
            });
        });
        member.turn();
        member.values() == ["x"]
    });
    let expected = [("Begin", false), ("a", true), ("b", true), ("a", false), ("Complete", false)];
    assert_eq!(handed, expected.map(|(text, has)| (text.as_bytes().to_vec(), has)));
    assert_eq!(member.troubles().count(), 0, "{:?}", member.said);
}

#[test]
fn trouble_with_state_is_the_sources_to_tell() {
    let kafka = broker("in", 1);
    let mut it = Gated::join(&kafka, Start::Earliest);
    it.await_wants(&[0]);
    let text = Sentence::from("no broker");
    let trouble = Trouble { peer: STATE_PEER, code: "_ALL_BROKERS_DOWN", text, heals: true };
    it.filler.trouble(trouble);
    it.turn_until("the trouble", |it| it.member.troubles().any(|it| *it == trouble));
    assert_eq!(it.member.source.next_recovery(), None);
    it.filler.is_back();
    assert_eq!(it.member.source.next_recovery(), Some(STATE_PEER));
    assert_eq!(it.member.source.next_recovery(), None, "told once");
}

#[test]
fn a_source_that_closes_amid_restoring_ends() {
    let kafka = broker("in", 2);
    let mut it = Gated::join(&kafka, Start::Earliest);
    it.await_wants(&[0, 1]);
    it.hand_over(0, false);
    it.turn();
    it.member.source.close();
    assert!(!it.member.said.iter().any(|it| matches!(it, Said::Assigned(_))));
    let mut other = Member::join(&kafka, Start::Earliest);
    other.turn_until("all partitions", |it| it.owned() == [0, 1]);
}
