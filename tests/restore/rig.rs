//! A restorer on a topic of its own, and what came of it.

use std::{collections::BTreeMap, sync::Arc};

use hotspur::{
    config::settings::KafkaClient,
    record::PartitionId,
    transport::{
        Trouble,
        kafka::{StatePlan, StateRestorer},
        restore::{
            Handed, Restoration, RestoredEntries, StateKey, StateKind, StatefulStep, restoration,
        },
    },
};

use crate::{
    log,
    support::{await_true, kafka::Kafka, message::Message, unique},
};

/// The source's topics.
pub(crate) const ORDERS: &str = "orders";
pub(crate) const RETURNS: &str = "returns";

pub(crate) const HASH: u64 = 0x0123_4567_89ab_cdef;

pub(crate) fn dedup() -> StatefulStep {
    StatefulStep { number: 1, name: "2".to_owned(), operator: "dedup", hash: HASH }
}

pub(crate) fn window() -> StatefulStep {
    StatefulStep { number: 4, name: "hourly".to_owned(), operator: "window", hash: HASH + 1 }
}

/// An entry of `dedup` for `ORDERS` in a partition of the state topic.
pub(crate) fn entry(partition: i32, key: &str, value: &str) -> Message {
    entry_of(ORDERS, &dedup(), partition, key, Some(value))
}

pub(crate) fn entry_of(
    topic: &str,
    step: &StatefulStep,
    partition: i32,
    key: &str,
    value: Option<&str>,
) -> Message {
    message(StateKind::Entry, (topic, step), partition, key, value)
}

pub(crate) fn seed(step: &StatefulStep, partition: i32, value: &str) -> Message {
    message(StateKind::Seed, (ORDERS, step), partition, "", Some(value))
}

fn message(
    kind: StateKind,
    (topic, step): (&str, &StatefulStep),
    partition: i32,
    key: &str,
    value: Option<&str>,
) -> Message {
    let mut bytes = Vec::new();
    let (name, hash, key) = (&step.name, step.hash, key.as_bytes());
    StateKey { kind, topic, step: name, hash, key }.write(&mut bytes);
    let message = value.map_or_else(Message::tombstone, Message::new);
    message.key(bytes).partition(partition)
}

/// What a partition keeps: step and key, and the value; a seed's key is `None`.
pub(crate) type Kept = BTreeMap<(u16, Option<String>), String>;

/// A restorer and both ends of what it serves.
pub(crate) struct Bed {
    pub(crate) topic: String,
    pub(crate) shared: Arc<Restoration>,
    pub(crate) kept: BTreeMap<u16, Kept>,
    /// Items taken in all, those of each partition in order.
    pub(crate) taken: usize,
    pub(crate) troubles: Vec<Trouble>,
    entries: RestoredEntries,
    restorer: Option<StateRestorer>,
}

impl Bed {
    /// On a new compacted topic of so many partitions.
    pub(crate) fn new(kafka: &Kafka, partitions: i32) -> Bed {
        let topic = unique("state");
        kafka.create_topic_with(&topic, partitions, &[("cleanup.policy", "compact")]);
        Bed::on(kafka, &topic, &[dedup(), window()], false)
    }

    /// On a topic that there is.
    pub(crate) fn on(kafka: &Kafka, topic: &str, steps: &[StatefulStep], resets: bool) -> Bed {
        let (shared, entries, filler) = restoration(steps);
        let brokers = kafka.brokers().to_owned();
        let client = KafkaClient { brokers, ..KafkaClient::default() };
        let plan = StatePlan {
            reading: client.clone(),
            writing: client,
            topic: topic.to_owned(),
            sources: vec![ORDERS.to_owned(), RETURNS.to_owned()],
            steps: steps.to_vec(),
            resets,
        };
        log::keep();
        let restorer = StateRestorer::start(plan, filler).expect("a thread");
        Bed {
            topic: topic.to_owned(),
            shared,
            kept: BTreeMap::new(),
            taken: 0,
            troubles: Vec::new(),
            entries,
            restorer: Some(restorer),
        }
    }

    /// The state of that partition of `ORDERS` is wanted.
    pub(crate) fn want(&self, partition: u16) {
        self.shared.want(PartitionId(partition), 0, i32::from(partition));
    }

    pub(crate) fn is_complete(&self, partition: u16) -> bool {
        self.shared.is_complete(PartitionId(partition))
    }

    /// Takes at most so many items.
    pub(crate) fn take(&mut self, items_max: usize) -> usize {
        let kept = &mut self.kept;
        let taken = self.entries.take(items_max, &mut |partition, handed| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
            let partition = partition.0;
            let of = |kept: &mut BTreeMap<u16, Kept>, key, value: Option<&[u8]>| {
                let kept = kept.get_mut(&partition).expect("it has begun");
                match value {
                    Some(value) => _ = kept.insert(key, text(value)),
                    None => _ = kept.remove(&key),
                }
            };
            match handed {
                Handed::Begin => _ = kept.insert(partition, Kept::new()),
                Handed::Entry { step, key, value } => of(kept, (step, Some(text(key))), value),
                Handed::Seed { step, value } => of(kept, (step, None), value),
                Handed::Complete => assert!(kept.contains_key(&partition), "it has begun"),
                Handed::Cancelled => _ = kept.remove(&partition),
            }
        });
        while let Some(trouble) = self.shared.next_trouble() {
            self.troubles.push(trouble);
        }
        self.taken += taken;
        taken
    }

    /// Takes until it is so.
    #[track_caller]
    pub(crate) fn take_until(&mut self, what: &str, mut is_so: impl FnMut(&Bed) -> bool) {
        await_true(what, || {
            while self.take(1_000) == 1_000 {}
            is_so(self)
        });
    }

    /// Takes the first few items: no more can follow before others are taken than the buffers hold.
    #[track_caller]
    pub(crate) fn take_first(&mut self) {
        await_true("the first entries", || self.take(10) > 0);
    }

    /// Wants a partition of `ORDERS` and takes its state; the keys and values of `dedup`.
    #[track_caller]
    pub(crate) fn restore(&mut self, partition: u16) -> Vec<(String, String)> {
        self.want(partition);
        self.take_until("its state", |it| it.is_complete(partition));
        self.entries_of(partition)
    }

    /// The keys and values of `dedup` that came so far.
    pub(crate) fn entries_of(&self, partition: u16) -> Vec<(String, String)> {
        let kept = self.kept.get(&partition).into_iter().flatten();
        let entry = |((step, key), value): (&(u16, Option<String>), &String)| {
            Some((key.clone().filter(|_| *step == dedup().number)?, value.clone()))
        };
        kept.filter_map(entry).collect()
    }

    /// Waits for trouble of that code.
    #[track_caller]
    pub(crate) fn await_trouble(&mut self, code: &str) -> Trouble {
        self.take_until(code, |it| it.troubles.iter().any(|it| it.code == code));
        *self.troubles.iter().find(|it| it.code == code).expect("it was just there")
    }

    /// Ends the side thread.
    pub(crate) fn end(&mut self) {
        self.restorer = None;
    }
}

pub(crate) fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
