//! The straightforward program that hotspur is measured against: poll, `serde_json`, send.
//!
//! What a careful person writes in an afternoon with the safe API of the `rdkafka` crate: no
//! thread, no batching of its own, offsets committed by the client. It runs as a process of its
//! own, by starting the bench again with `--peer`, so that its CPU time and memory are its own.

use std::{collections::HashMap, fmt::Write, fs, time::Duration};

use md5::{Digest, Md5};
use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Message,
    producer::{BaseProducer, BaseRecord},
    types::RDKafkaErrorCode,
};
use serde_json::Value;

use super::{
    cluster,
    system::{ClientSettings, Places, Steps},
};

/// The hidden argument that makes a process the peer.
pub(crate) const ARGUMENT: &str = "--peer";

/// A blocking poll: the thread sleeps until a record comes.
const POLL: Duration = Duration::from_millis(100);

/// Our client settings, as far as they concern a plain loop. It also commits as often as we do: a
/// commit is a request to the broker, and now and then a record has to wait for one.
const OURS_CONSUMER: [(&str, &str); 5] = [
    ("auto.commit.interval.ms", "100"),
    ("fetch.queue.backoff.ms", "1"),
    ("fetch.error.backoff.ms", "10"),
    ("fetch.wait.max.ms", "500"),
    ("isolation.level", "read_committed"),
];
const OURS_PRODUCER: [(&str, &str); 4] = [
    ("linger.ms", "0"),
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("partitioner", "murmur2_random"),
];

/// Arguments for another process; `run` reads them.
pub(crate) fn arguments(steps: Steps, settings: ClientSettings, places: &Places) -> Vec<String> {
    let Places { brokers, input, output, table } = places;
    let table = table.display().to_string();
    let words = [ARGUMENT, steps.word(), settings.word(), brokers, input, output, &table];
    words.map(str::to_owned).to_vec()
}

/// The peer's whole life.
pub(crate) fn run(arguments: &[String]) -> ! {
    let [steps, settings, brokers, input, output, table] = arguments else {
        panic!("--peer STEPS SETTINGS BROKERS INPUT OUTPUT TABLE");
    };
    let is_ours = settings == ClientSettings::Ours.word();
    let mut client = cluster::config(brokers);
    let mut consumer = client.clone();
    if is_ours {
        OURS_CONSUMER.iter().for_each(|(name, value)| _ = consumer.set(*name, *value));
        OURS_PRODUCER.iter().for_each(|(name, value)| _ = client.set(*name, *value));
    }
    let consumer: BaseConsumer = consumer
        .set("group.id", format!("{output}-plain"))
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer");
    let producer: BaseProducer = client.create().expect("a producer");
    consumer.subscribe(&[input]).expect("a subscription");
    let table = read_table(table);
    loop {
        let Some(message) = consumer.poll(POLL) else {
            producer.poll(Duration::ZERO);
            continue;
        };
        let Ok(message) = message else { continue };
        let Some(payload) = message.payload() else { continue };
        let result = match steps == Steps::Names.word() {
            true => names(payload),
            false => orders(payload, &table),
        };
        let Some(result) = result else { continue };
        send(&producer, BaseRecord::to(output).payload(&result).key(message.key().unwrap_or(b"")));
        producer.poll(Duration::ZERO);
    }
}

fn names(payload: &[u8]) -> Option<Vec<u8>> {
    let mut event: Value = serde_json::from_slice(payload).ok()?;
    let mut hash = String::with_capacity(32);
    for byte in Md5::digest(payload) {
        write!(hash, "{byte:02x}").ok()?;
    }
    event.as_object_mut()?.insert("hash".to_owned(), hash.into());
    serde_json::to_vec(&event).ok()
}

fn orders(payload: &[u8], table: &HashMap<String, String>) -> Option<Vec<u8>> {
    let mut event: Value = serde_json::from_slice(payload).ok()?;
    let key = event.get("key")?.as_str()?;
    let cached = table.get(key)?;
    let result = format!("processed_{key}_{}_{cached}", event.get("value")?);
    let fields = event.as_object_mut()?;
    fields.insert("cached".to_owned(), cached.as_str().into());
    fields.insert("result".to_owned(), result.into());
    serde_json::to_vec(&event).ok()
}

fn send(producer: &BaseProducer, record: BaseRecord<'_, [u8], Vec<u8>>) {
    let mut record = record;
    loop {
        match producer.send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(1));
                record = back;
            }
            Err((error, _)) => panic!("a record was not taken: {error}"),
        }
    }
}

fn read_table(path: &str) -> HashMap<String, String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let entry = |line: &str| {
        let entry: Value = serde_json::from_str(line).ok()?;
        Some((entry["key"].as_str()?.to_owned(), entry["value"].as_str()?.to_owned()))
    };
    text.lines().filter_map(entry).collect()
}
