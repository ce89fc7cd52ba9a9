//! State, what commits say of it, and positions on a real Kafka: in one transaction, and what comes
//! of one of which nobody knows whether it was committed.

use std::{collections::BTreeMap, sync::atomic::AtomicBool, time::Duration};

use hotspur::{
    clock::{Clock, Ticks, TscClock},
    config::{
        range::Range,
        settings::{self, KafkaClient, OnGap, Start, Tombstones},
    },
    record::{Destination, Headers, Output, PartitionId},
    transport::{
        Begin, Note, Sink, Source, SourceEvent, Token,
        kafka::{KafkaSink, KafkaSource, StatePlan, StateRestorer},
        restore::{Handed, RestoredEntries, StateKey, StateKind, restoration},
    },
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, Producer},
};

use crate::{
    rig::{dedup, entry_of},
    support::{PATIENCE, await_true, kafka::Kafka, message::Message, unique},
};

const P0: PartitionId = PartitionId(0);

/// Topics of one partition, a group, and a producer's name.
struct Place {
    client: KafkaClient,
    input: String,
    state: String,
    group: String,
    id: String,
}

impl Place {
    fn new(kafka: &Kafka) -> Place {
        let client = KafkaClient { brokers: kafka.brokers().to_owned(), ..KafkaClient::default() };
        let [input, state, group, id] =
            ["together", "together-state", "together-group", "together-id"].map(unique);
        kafka.create_topic(&input, 1);
        kafka.create_topic_with(&state, 1, &[("cleanup.policy", "compact")]);
        Place { client, input, state, group, id }
    }

    /// What the group's commit says beside the offset.
    fn committed_words(&self) -> String {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition(&self.input, 0);
        let committed = self.of_group().committed_offsets(wanted, PATIENCE);
        committed.expect("Kafka answers").elements()[0].metadata().to_owned()
    }

    /// Another producer of the same name writes a change of state, and commits a position of the
    /// group with it.
    fn commit_from_outside(&self, change: &Message, offset: i64, words: &str) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.client.brokers).set("transactional.id", &self.id);
        let producer: BaseProducer = config.create().expect("a producer");
        producer.init_transactions(PATIENCE).expect("the name is free now");
        producer.begin_transaction().expect("a transaction begins");
        producer.send(change.to(&self.state)).map_err(|(error, _)| error).expect("room");
        producer.flush(PATIENCE).expect("it is acknowledged");
        let mut list = TopicPartitionList::new();
        let mut entry = list.add_partition(&self.input, 0);
        entry.set_offset(Offset::Offset(offset)).expect("an offset");
        entry.set_metadata(words);
        let group = self.of_group().group_metadata().expect("a consumer has a group");
        let sent = producer.send_offsets_to_transaction(&list, &group, PATIENCE);
        sent.expect("the position is taken");
        producer.commit_transaction(PATIENCE).expect("it is committed");
    }

    fn of_group(&self) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.client.brokers).set("group.id", &self.group);
        config.create().expect("a consumer")
    }

    /// A member of the group, which has the partition; in transactions, or at least once.
    fn join(&self, is_transactional: bool) -> Member {
        let settings = settings::KafkaSource {
            client: self.client.clone(),
            topics: vec![self.input.clone()],
            group: self.group.clone(),
            start: Start::Earliest,
            on_gap: OnGap::Stop,
            tombstones: Tombstones::Pass,
            range: Range::default(),
        };
        let (clock, topics) = (TscClock::new(), [self.state.clone()]);
        let (sink, producer) = if is_transactional {
            let named = (self.id.clone(), Duration::from_secs(10));
            let wait = (PATIENCE, &AtomicBool::new(false));
            let opened =
                KafkaSink::open_transactional(&self.client, &topics, clock.clone(), named, wait);
            let (sink, producer) = opened.expect("a producer of transactions");
            (sink, Some(producer))
        } else {
            (KafkaSink::open(&self.client, &topics, clock.clone()).expect("a producer"), None)
        };
        let mut source = KafkaSource::open(&settings, "test", clock, producer).expect("a member");
        let steps = vec![dedup()];
        let (shared, entries, filler) = restoration(&steps);
        let plan = StatePlan {
            reading: self.client.clone(),
            writing: self.client.clone(),
            topic: self.state.clone(),
            sources: settings.topics,
            steps,
            resets: false,
        };
        let restorer = StateRestorer::start(plan, filler).expect("a thread");
        source.restore_by(shared);
        let mut member = Member {
            input: self.input.clone(),
            source,
            sink,
            entries,
            kept: BTreeMap::new(),
            said: Vec::new(),
            offsets: Vec::new(),
            _restorer: restorer,
        };
        member.turn_until("the partition", |it| it.has_said("assigned"));
        member
    }
}

struct Member {
    input: String,
    source: KafkaSource,
    sink: KafkaSink,
    entries: RestoredEntries,
    kept: BTreeMap<String, String>,
    /// What it was told, by both ends, in order.
    said: Vec<&'static str>,
    /// Of the records that were lent.
    offsets: Vec<i64>,
    _restorer: StateRestorer,
}

impl Member {
    fn turn(&mut self) {
        let Member { kept, said, source, offsets, .. } = self;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        self.entries.take(1, &mut |_, handed| match handed {
            Handed::Begin => {
                kept.clear();
                said.push("begin");
            }
            Handed::Entry { key, value: Some(value), .. } => {
                _ = kept.insert(text(key), text(value));
            }
            Handed::Entry { key, .. } => _ = kept.remove(&text(key)),
            Handed::Complete => said.push("complete"),
            other => panic!("{other:?}"),
        });
        source.serve(Ticks(0));
        while let Some(event) = source.next_event() {
            said.push(match event {
                SourceEvent::Assigned(_) => "assigned",
                SourceEvent::Committed { result: Ok(()), .. } => "committed",
                SourceEvent::Committed { .. } => "not committed",
                SourceEvent::Aborted(Ok(())) => "aborted",
                other => panic!("{other:?}"),
            });
        }
        source.poll(TscClock::new().now(), 10, &mut |record| {
            offsets.push(record.offset);
            true
        });
    }

    #[track_caller]
    fn turn_until(&mut self, what: &str, mut is_so: impl FnMut(&Member) -> bool) {
        await_true(what, || {
            self.turn();
            is_so(self)
        });
    }

    fn has_said(&self, what: &str) -> bool {
        self.said.contains(&what)
    }

    /// Writes a change of state and waits for its acknowledgement; whether it was taken.
    #[track_caller]
    fn write(&mut self, key: &str, value: &str) -> bool {
        let (step, mut bytes) = (dedup(), Vec::new());
        let (name, hash, key) = (&step.name, step.hash, key.as_bytes());
        StateKey { kind: StateKind::Entry, topic: &self.input, step: name, hash, key }
            .write(&mut bytes);
        let output = Output {
            destination: Destination(0),
            partition_number: Some(0),
            timestamp_ms: None,
            key: Some(&bytes),
            value: Some(value.as_bytes()),
            headers: Headers::NONE,
        };
        self.sink.send(&output, Token(1 << 62)).expect("room");
        let mut is_taken = false;
        await_true("the acknowledgement", || {
            self.sink.poll_acks(Ticks(1), &mut |ack| is_taken = ack.result.is_ok());
            self.sink.in_flight() == 0
        });
        is_taken
    }

    /// Commits; what came of it.
    #[track_caller]
    fn commit(&mut self, position: i64, numbers: &[i64]) -> &'static str {
        self.said.clear();
        self.source.note(P0, note(numbers));
        self.source.commit(1, &[(P0, position)]);
        self.turn_until("the answer", |it| !it.said.is_empty());
        self.said[0]
    }
}

fn note(numbers: &[i64]) -> Note {
    let mut note = Note::default();
    numbers.iter().for_each(|it| note.push(*it));
    note
}

fn begin(position: i64, numbers: &[i64]) -> Begin {
    Begin { position, note: note(numbers) }
}

fn map(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn state_its_note_and_the_position_are_of_one_transaction() {
    let kafka = Kafka::shared();
    let place = Place::new(kafka);
    kafka.produce(&place.input, &vec![Message::new("{}"); 10]);
    let mut member = place.join(true);
    member.turn_until("the records", |it| it.offsets.len() == 10);
    assert!(member.write("a", "1"));
    assert_eq!(kafka.read(&place.state).len(), 0, "not committed yet");
    assert_eq!(member.commit(3, &[12, -5]), "committed");
    assert_eq!(member.source.begin_of(P0), begin(3, &[12, -5]));
    assert_eq!(place.committed_words(), "hotspur/1 partitions=1 state=12,-5");

    // One that is taken back for another reason than its commit leaves nothing in doubt.
    assert!(member.write("b", "1"));
    member.said.clear();
    member.offsets.clear();
    member.source.abort(&[(P0, 3)]);
    member.turn_until("the records again", |it| it.offsets.len() == 7);
    assert_eq!((&member.said[..], member.offsets[0]), (&["aborted"][..], 3));
    assert_eq!(member.source.begin_of(P0), begin(3, &[12, -5]));
    assert!(member.write("c", "1"));
    assert_eq!(member.commit(4, &[13, -5]), "committed");
    member.source.close();

    let mut member = place.join(true);
    assert_eq!(member.kept, map(&[("a", "1"), ("c", "1")]));
    assert_eq!(member.source.begin_of(P0), begin(4, &[13, -5]));
    member.turn_until("the rest", |it| it.offsets.len() == 6);
    assert_eq!(member.offsets[0], 4);
    member.source.close();
}

#[test]
fn after_a_commit_that_nobody_knows_of_state_is_restored_as_the_broker_has_it() {
    let kafka = Kafka::shared();
    let place = Place::new(kafka);
    kafka.produce(&place.input, &vec![Message::new("{}"); 10]);
    let mut member = place.join(true);
    member.turn_until("the records", |it| it.offsets.len() == 10);
    assert!(member.write("a", "1"));
    assert_eq!(member.commit(3, &[5]), "committed");

    // Another one of its name commits instead: what the member is about to be told is not what is
    // so, as with an answer that was lost.
    assert!(member.write("lost", "1"));
    let change = entry_of(&place.input, &dedup(), 0, "b", Some("2"));
    place.commit_from_outside(&change, 6, "hotspur/1 partitions=1 state=77");
    assert_eq!(member.commit(5, &[6]), "not committed");
    assert_eq!(member.source.begin_of(P0), begin(3, &[5]), "the last that it knows");

    member.said.clear();
    member.offsets.clear();
    member.source.abort(&[(P0, 3)]);
    member.turn_until("the rest", |it| it.offsets.len() == 4);
    assert_eq!(member.said, ["begin", "complete", "aborted"]);
    assert_eq!(member.kept, map(&[("a", "1"), ("b", "2")]));
    assert_eq!(member.source.begin_of(P0), begin(6, &[77]));
    assert_eq!(member.offsets, [6, 7, 8, 9]);

    // It goes on with another producer.
    assert!(member.write("c", "3"));
    assert_eq!(member.commit(10, &[78]), "committed");
    assert_eq!(member.source.begin_of(P0), begin(10, &[78]));
    member.source.close();
    let mut member = place.join(true);
    assert_eq!(member.kept, map(&[("a", "1"), ("b", "2"), ("c", "3")]));
    assert_eq!(member.source.begin_of(P0), begin(10, &[78]));
    member.source.close();
}

#[test]
fn at_least_once_notes_travel_with_the_consumers_own_commits() {
    let kafka = Kafka::shared();
    let place = Place::new(kafka);
    kafka.produce(&place.input, &vec![Message::new("{}"); 4]);
    let mut member = place.join(false);
    assert_eq!(member.source.begin_of(P0), begin(0, &[]));
    member.turn_until("the records", |it| it.offsets.len() == 4);
    assert!(member.write("a", "1"));
    assert_eq!(member.commit(2, &[1, 2, 3]), "committed");
    assert_eq!(place.committed_words(), "hotspur/1 partitions=1 state=1,2,3");
    assert_eq!(member.commit(3, &[i64::MIN; 8]), "committed");
    member.source.close();
    let mut member = place.join(false);
    assert_eq!(member.kept, map(&[("a", "1")]));
    assert_eq!(member.source.begin_of(P0), begin(3, &[i64::MIN; 8]));
    member.source.close();
}

#[test]
fn marks_of_transactions_are_no_records_and_what_is_open_may_still_come() {
    let kafka = Kafka::shared();
    let place = Place::new(kafka);
    let writer = kafka.writer_with(&[("transactional.id", &unique("writes"))]);
    let records = vec![Message::new("{}"); 3];
    writer.in_transaction(&place.input, &records, true);
    let mut member = place.join(false);
    assert!(!member.source.is_at_end(P0, 0));
    member.turn_until("the records", |it| it.offsets.len() == 3);
    // Behind them is a mark, and nothing else.
    member.turn_until("the end", |it| it.source.is_at_end(P0, 3));
    assert!(!member.source.is_at_end(P0, 2));

    let open = writer.begin(&place.input, &records);
    member.turn_until("word of them", |it| !it.source.is_at_end(P0, 3));
    open.end(false);
    member.turn_until("the end", |it| it.source.is_at_end(P0, 3));
    assert_eq!(member.offsets.len(), 3);

    kafka.produce(&place.input, &records);
    member.turn_until("the others", |it| it.offsets.len() == 6);
    let position = member.offsets[5] + 1;
    member.turn_until("the end", |it| it.source.is_at_end(P0, position));
    assert!(!member.source.is_at_end(P0, 3));
    member.source.close();
}
