//! The real Kafka that is measured against, and plain clients to prepare and observe topics.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, Producer},
    types::RDKafkaErrorCode,
};

use super::{cluster, records::KeyAndValue};

/// Longer than anything takes on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A Kafka that answers.
pub(crate) struct Broker {
    pub(crate) address: String,
    is_ours: bool,
    admin: AdminClient<DefaultClientContext>,
    observer: BaseConsumer,
}

impl Broker {
    /// The one that the environment names, or the one of `scripts/kafka`, started if need be.
    pub(crate) fn find() -> Broker {
        let named = cluster::named().and_then(|it| it.into_iter().next());
        let (address, is_ours) = named.map_or_else(start, |address| (address, false));
        let client = cluster::config(&address);
        Broker {
            admin: client.create().expect("an admin client"),
            observer: client.clone().set("group.id", "bench").create().expect("a consumer"),
            address,
            is_ours,
        }
    }

    /// Makes a topic of one partition that nobody else uses, and waits until it can be used.
    pub(crate) fn create_topic(&self, what: &str) -> String {
        self.create_topic_of(what, 1)
    }

    /// The same with more partitions.
    pub(crate) fn create_topic_of(&self, what: &str, partitions: i32) -> String {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = since_epoch.expect("a clock after 1970").as_nanos();
        let name = format!("bench-{what}-{nanos}");
        cluster::make_topic(&self.admin, &name, partitions, &[], PATIENCE);
        let deadline = Instant::now() + PATIENCE;
        while !self.has_leaders(&name) {
            assert!(Instant::now() < deadline, "topic {name} has no leader");
            thread::sleep(Duration::from_millis(20));
        }
        name
    }

    /// Asks for the topic by name, so that the client learns of it.
    fn has_leaders(&self, topic: &str) -> bool {
        let metadata = self.observer.fetch_metadata(Some(topic), PATIENCE).expect("Kafka answers");
        let mut partitions = metadata.topics().iter().flat_map(|it| it.partitions()).peekable();
        partitions.peek().is_some() && partitions.all(|it| it.error().is_none() && it.leader() >= 0)
    }

    /// Gives the disk back.
    pub(crate) fn delete_topic(&self, name: &str) {
        // A topic that stays does no harm to a measurement.
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let _ = cluster::block_on(self.admin.delete_topics(&[name], &options));
    }

    /// The offset after a topic's last record that readers of committed ones see.
    pub(crate) fn end_offset(&self, topic: &str) -> i64 {
        self.end_offset_of(topic, 0)
    }

    /// The same of one of its partitions.
    pub(crate) fn end_offset_of(&self, topic: &str, partition: i32) -> i64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.observer.fetch_watermarks(topic, partition, PATIENCE) {
                Ok((_, end)) => return end,
                // On a busy machine a broker may lose its leadership for a moment, to itself.
                Err(error) => assert!(Instant::now() < deadline, "Kafka does not answer: {error}"),
            }
        }
    }

    /// Writes `count` records, in large batches, and waits until all are acknowledged.
    pub(crate) fn preload(&self, topic: &str, records: &[KeyAndValue], count: usize) {
        let producer: BaseProducer = cluster::config(&self.address)
            .set("linger.ms", "20")
            .set("acks", "all")
            .create()
            .expect("a producer");
        for (key, value) in records.iter().cycle().take(count) {
            loop {
                match producer.send(BaseRecord::to(topic).key(key).payload(value)) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                        producer.poll(Duration::from_millis(1));
                    }
                    Err((error, _)) => panic!("a record was not taken: {error}"),
                }
            }
        }
        producer.flush(PATIENCE).expect("all records are acknowledged");
        assert_eq!(self.end_offset(topic), count as i64, "records in {topic}");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.is_ours {
            // What does not end now ends with the machine.
            let _ = script("stop");
        }
    }
}

/// The address of `scripts/kafka`'s node, and whether it was started here.
fn start() -> (String, bool) {
    let running = script("status").and_then(|it| address_in(&it));
    let is_ours = running.is_none();
    let address = running.or_else(|| script("start").and_then(|it| address_in(&it)));
    (address.expect("scripts/kafka start says where it runs"), is_ours)
}

fn script(action: &str) -> Option<String> {
    let program = format!("{}/scripts/kafka", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(program).arg(action).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn address_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("Kafka runs at ")?;
    rest.split_whitespace().next().map(str::to_owned)
}
