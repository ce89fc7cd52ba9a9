//! Plain Kafka clients: a reader that keeps what it read, a writer that waits, a load that goes on.

use std::{
    cell::Cell,
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, Producer},
};

use super::{PATIENCE, await_true, kafka::Kafka, message::Message};

/// A plain consumer of one topic that keeps what it read.
pub(crate) struct Reader {
    consumer: BaseConsumer,
    topic: String,
    partitions: i32,
    messages: Vec<Message>,
}

impl Reader {
    /// A reader of `partitions` partitions, from their beginnings.
    pub(super) fn open(brokers: &str, topic: &str, partitions: i32) -> Reader {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "50");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            let added = assignment.add_partition_offset(topic, partition, Offset::Beginning);
            added.expect("an offset that can be assigned");
        }
        consumer.assign(&assignment).expect("partitions can be assigned");
        Reader { consumer, topic: topic.to_owned(), partitions, messages: Vec::new() }
    }

    /// Reads until there are that many, and returns all of them in the order of arrival.
    #[track_caller]
    pub(crate) fn await_count(&mut self, count: usize) -> &[Message] {
        let what = format!("{count} messages in {}", self.topic);
        await_true(what, || {
            self.step();
            self.messages.len() >= count
        });
        &self.messages
    }

    /// What it has read.
    pub(crate) fn into_messages(self) -> Vec<Message> {
        self.messages
    }

    /// Reads what comes soon, and returns only that.
    pub(crate) fn read_more(&mut self) -> &[Message] {
        let before = self.messages.len();
        self.step();
        &self.messages[before..]
    }

    #[track_caller]
    pub(super) fn read_to_end(&mut self) {
        let mut ended = BTreeSet::new();
        let what = format!("the end of {}", self.topic);
        await_true(what, || {
            ended.extend(self.step());
            ended.len() == usize::try_from(self.partitions).expect("a number of partitions")
        });
    }

    /// Takes what is there; the partition, if its end was reached.
    fn step(&mut self) -> Option<i32> {
        while let Some(polled) = self.consumer.poll(Duration::from_millis(10)) {
            match polled {
                Ok(message) => self.messages.push(Message::read(&message)),
                Err(KafkaError::PartitionEOF(partition)) => return Some(partition),
                Err(KafkaError::MessageConsumption(code)) if heals(code) => {}
                Err(error) => panic!("{} cannot be read: {error}", self.topic),
            }
        }
        None
    }
}

/// What a consumer says while its broker is away, or while a topic is new.
fn heals(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::AllBrokersDown | Code::BrokerTransportFailure | Code::UnknownTopicOrPartition
    )
}

/// A plain producer.
pub(crate) struct Writer {
    producer: BaseProducer,
    is_transactional: Cell<bool>,
}

impl Writer {
    pub(super) fn open(brokers: &str, properties: &[(&str, &str)]) -> Writer {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "4194304")
            .set("linger.ms", "1");
        for (key, value) in properties {
            config.set(*key, *value);
        }
        Writer {
            producer: config.create().expect("a producer"),
            is_transactional: Cell::new(false),
        }
    }

    /// Hands a message over, waiting for room.
    #[track_caller]
    pub(crate) fn send(&self, topic: &str, message: &Message) {
        let mut record = message.to(topic);
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    self.producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => panic!("a message for {topic} was not taken: {error}"),
            }
        }
    }

    /// Writes these in one transaction, which is then committed, or aborted. The writer needs a
    /// `transactional.id`.
    #[track_caller]
    pub(crate) fn in_transaction(&self, topic: &str, messages: &[Message], is_kept: bool) {
        self.begin(topic, messages).end(is_kept);
    }

    /// Writes these in a transaction that stays open. The writer needs a `transactional.id`.
    #[track_caller]
    pub(crate) fn begin(&self, topic: &str, messages: &[Message]) -> OpenTransaction<'_> {
        if !self.is_transactional.replace(true) {
            self.producer.init_transactions(PATIENCE).expect("a producer of transactions");
        }
        self.producer.begin_transaction().expect("a transaction begins");
        messages.iter().for_each(|message| self.send(topic, message));
        self.producer.flush(PATIENCE).expect("all messages are acknowledged");
        OpenTransaction(&self.producer)
    }

    /// Waits until all messages are acknowledged.
    #[track_caller]
    pub(crate) fn finish(self) {
        self.producer.flush(PATIENCE).expect("all messages are acknowledged");
    }
}

/// A transaction that is to be ended.
pub(crate) struct OpenTransaction<'a>(&'a BaseProducer);

impl OpenTransaction<'_> {
    /// Commits it, or aborts it.
    #[track_caller]
    pub(crate) fn end(self, is_kept: bool) {
        let ended = match is_kept {
            true => self.0.commit_transaction(PATIENCE),
            false => self.0.abort_transaction(PATIENCE),
        };
        ended.expect("the transaction ends");
    }
}

/// Messages that go on coming while a test does something to their reader: 5,000 a second.
#[derive(Debug)]
pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

const LOAD_BATCH: u64 = 50;
const LOAD_PERIOD: Duration = Duration::from_millis(10);

impl Load {
    /// Starts to produce these.
    pub(crate) fn start(kafka: &Kafka, topic: &str, messages: Vec<Message>) -> Load {
        let mut messages = messages.into_iter();
        Load::of(kafka, topic, move |_| messages.next())
    }

    /// Starts to produce what `message` makes of the numbers from 0, until it is stopped.
    pub(crate) fn endless(kafka: &Kafka, topic: &str, message: fn(u64) -> Message) -> Load {
        Load::of(kafka, topic, move |number| Some(message(number)))
    }

    fn of(
        kafka: &Kafka,
        topic: &str,
        mut next: impl FnMut(u64) -> Option<Message> + Send + 'static,
    ) -> Load {
        let writer = Writer::open(kafka.brokers(), &[]);
        let topic = topic.to_owned();
        let is_over = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let (mut due, mut sent) = (Instant::now(), 0);
            while let Some(message) = next(sent).filter(|_| !is_stopped.load(Ordering::Relaxed)) {
                writer.send(&topic, &message);
                sent += 1;
                if sent % LOAD_BATCH > 0 {
                    continue;
                }
                due += LOAD_PERIOD;
                while let Some(left) = due.checked_duration_since(Instant::now()) {
                    thread::park_timeout(left);
                }
            }
            writer.finish();
            sent
        });
        Load { is_over, thread }
    }

    /// Waits until all of them are acknowledged.
    #[track_caller]
    pub(crate) fn finish(self) {
        self.thread.join().expect("the load was produced");
    }

    /// Ends it, waits until all are acknowledged, and returns how many there were.
    #[track_caller]
    pub(crate) fn stop(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the load was produced")
    }
}
