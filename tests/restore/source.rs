//! A source of a real Kafka whose partitions wait for state of a real state topic.

use std::collections::BTreeMap;

use hotspur::{
    clock::{Clock, Ticks, TscClock},
    config::{
        range::Range,
        settings::{self, KafkaClient, OnGap, Start, Tombstones},
    },
    record::PartitionId,
    transport::{
        Source, SourceEvent,
        kafka::{KafkaSource, StatePlan, StateRestorer},
        restore::{Handed, RestoredEntries, restoration},
    },
};

use crate::{
    rig::{dedup, entry_of},
    support::{await_true, kafka::Kafka, message::Message, unique},
};

const ENTRIES: usize = 100_000;
const RECORDS: usize = 100;

/// A member of the group with all that it was given.
struct Member {
    source: KafkaSource,
    entries: RestoredEntries,
    /// Entries of each partition that came, by its number in the topic; whether that was all.
    state: BTreeMap<PartitionId, (usize, bool)>,
    assigned: Vec<i32>,
    /// Offsets by partition.
    records: BTreeMap<i32, Vec<i64>>,
    _restorer: StateRestorer,
}

/// Topics, and a group.
struct Place {
    client: KafkaClient,
    input: String,
    state: String,
    group: String,
}

impl Place {
    /// Two partitions with records; much state of the first, none of the second.
    fn new(kafka: &Kafka) -> Place {
        let client = KafkaClient { brokers: kafka.brokers().to_owned(), ..KafkaClient::default() };
        let [input, state, group] = ["gated", "gated-state", "gated-group"].map(unique);
        kafka.create_topic(&input, 2);
        kafka.create_topic_with(&state, 2, &[("cleanup.policy", "compact")]);
        let record = |it: usize| Message::new("{}").partition((it % 2) as i32);
        kafka.produce(&input, &(0..2 * RECORDS).map(record).collect::<Vec<_>>());
        let entry = |it: usize| entry_of(&input, &dedup(), 0, &it.to_string(), Some("x"));
        kafka.produce(&state, &(0..ENTRIES).map(entry).collect::<Vec<_>>());
        Place { client, input, state, group }
    }

    fn join(&self) -> Member {
        let settings = settings::KafkaSource {
            client: self.client.clone(),
            topics: vec![self.input.clone()],
            group: self.group.clone(),
            start: Start::Earliest,
            on_gap: OnGap::Stop,
            tombstones: Tombstones::Pass,
            range: Range::default(),
        };
        let mut source = KafkaSource::open(&settings, "test", TscClock::new(), None).unwrap();
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
        Member {
            source,
            entries,
            state: BTreeMap::new(),
            assigned: Vec::new(),
            records: BTreeMap::new(),
            _restorer: restorer,
        }
    }
}

impl Member {
    /// One turn, which takes at most so many items of state.
    fn turn(&mut self, items_max: usize) {
        let state = &mut self.state;
        self.entries.take(items_max, &mut |partition, handed| match handed {
            Handed::Begin => _ = state.insert(partition, (0, false)),
            Handed::Complete => state.get_mut(&partition).expect("it has begun").1 = true,
            Handed::Cancelled => _ = state.remove(&partition),
            _ => state.get_mut(&partition).expect("it has begun").0 += 1,
        });
        self.source.serve(Ticks(0));
        let mut assigned = Vec::new();
        while let Some(event) = self.source.next_event() {
            match event {
                SourceEvent::Assigned(partitions) => assigned.extend_from_slice(partitions),
                SourceEvent::Revoked(_) | SourceEvent::Lost(_) => panic!("it keeps what it has"),
                SourceEvent::Trouble(trouble) => panic!("{trouble:?}"),
                _ => {}
            }
        }
        for partition in assigned {
            assert!(self.state[&partition].1, "its state is complete");
            self.assigned.push(self.source.partition(partition).1);
        }
        let records = &mut self.records;
        self.source.poll(TscClock::new().now(), 10, &mut |record| {
            records.entry(record.partition_number).or_default().push(record.offset);
            true
        });
    }

    fn records_of(&self, number: i32) -> usize {
        self.records.get(&number).map_or(0, Vec::len)
    }

    /// Entries of the partition with state that came so far.
    fn restored(&self) -> usize {
        self.state.values().map(|it| it.0).max().unwrap_or(0)
    }
}

#[test]
fn records_of_live_partitions_flow_while_another_restores() {
    let place = Place::new(Kafka::shared());
    let mut member = place.join();
    await_true("the records of the partition without state", || {
        member.turn(1);
        member.records_of(1) == RECORDS
    });
    assert_eq!((member.records_of(0), &member.assigned[..]), (0, &[1][..]));
    assert!(member.restored() < ENTRIES);
    Kafka::shared().produce(&place.input, &[Message::new("{}").partition(1)]);
    await_true("one more", || {
        member.turn(1);
        member.records_of(1) == RECORDS + 1
    });
    assert!(member.records_of(0) == 0 && member.restored() < ENTRIES);
    await_true("the records of the other", || {
        member.turn(1_000);
        member.records_of(0) == RECORDS
    });
    assert_eq!(member.restored(), ENTRIES);
    assert_eq!(member.records[&0], (0..RECORDS as i64).collect::<Vec<_>>());
    member.source.close();
}

#[test]
fn a_partition_that_goes_to_another_member_amid_restoring_is_restored_there() {
    let place = Place::new(Kafka::shared());
    let mut first = place.join();
    await_true("some state", || {
        first.turn(1);
        first.restored() > 0 && first.assigned == [1]
    });
    let mut second = place.join();
    drop(first);
    await_true("all of it at the other", || {
        second.turn(1_000);
        second.records_of(0) == RECORDS && second.records_of(1) == RECORDS
    });
    assert_eq!(second.restored(), ENTRIES);
    second.source.close();
}
