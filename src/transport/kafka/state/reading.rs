//! The client that reads the state topic: partitions started and stopped, messages taken.

use std::{
    ptr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use rdkafka::bindings::{self as rd, rd_kafka_message_t, rd_kafka_resp_err_t as Code};

use super::ends;
use crate::{
    config::settings::KafkaClient,
    transport::{
        Trouble,
        kafka::{
            client::Client,
            faults,
            lookup::CALL_TIMEOUT,
            metadata,
            native::{Message, Queue, Topic},
            reader::{plan, reach, reading_trouble},
        },
        restore::STATE_PEER,
    },
    verdict::Sentence,
};

/// Messages taken from the client at once.
const BATCH_MAX: usize = 1024;

/// How long to let the client work when nothing is there.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Much is read in little time, then nothing for long.
const DEFAULTS: &[(&str, &str)] = &[
    ("queued.min.messages", "100000"),
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.queue.backoff.ms", "1"),
    ("fetch.error.backoff.ms", "10"),
    ("fetch.wait.max.ms", "100"),
    ("reconnect.backoff.max.ms", "1000"),
];

const OWNED: &[(&str, &str)] = &[
    ("isolation.level", "read_committed"),
    ("enable.partition.eof", "true"),
    ("enable.auto.commit", "false"),
    ("auto.offset.reset", "earliest"),
];

/// A client on the state topic.
pub(super) struct Reading {
    name: String,
    partitions: i32,
    array: Box<[*mut rd_kafka_message_t]>,
    errors: Queue,
    data: Queue,
    topic: Topic,
    client: Arc<Client>,
}

impl Reading {
    pub(super) fn open(
        settings: &KafkaClient,
        topic: &str,
        end: &AtomicBool,
    ) -> Result<Reading, Trouble> {
        let plan = plan(STATE_PEER, STATE_PEER, DEFAULTS, OWNED);
        let Some((client, handle, partitions)) =
            reach(&plan, settings, topic, (CALL_TIMEOUT, end))?
        else {
            return Err(missing(topic));
        };
        Ok(Reading {
            name: topic.to_owned(),
            partitions,
            array: vec![ptr::null_mut(); BATCH_MAX].into_boxed_slice(),
            errors: Queue::main(&client),
            data: Queue::new(&client),
            topic: handle,
            client,
        })
    }

    /// The first offset of a partition, and the one behind its last record, committed or not.
    pub(super) fn bounds(&mut self, partition: i32) -> Result<(i64, i64), Trouble> {
        if partition >= self.partitions {
            self.partitions = metadata::describe(&self.client, &self.topic, CALL_TIMEOUT)
                .map_err(|code| self.trouble(code, faults::text_of(code)))?;
        }
        if partition >= self.partitions {
            return Err(too_few(&self.name, self.partitions, partition));
        }
        ends::bounds(&self.client, &self.name, partition)
    }

    pub(super) fn start(&self, partition: i32, offset: i64) -> Result<(), Trouble> {
        let (topic, queue) = (self.topic.handle(), self.data.handle());
        // SAFETY: topic and queue are live, and the partition is stopped before they go.
        if unsafe { rd::rd_kafka_consume_start_queue(topic, partition, offset, queue) } != 0 {
            // SAFETY: no preconditions; the last error of this thread.
            let code = unsafe { rd::rd_kafka_last_error() };
            return Err(self.trouble(code, faults::text_of(code)));
        }
        Ok(())
    }

    /// What is still on its way from that partition is passed over by the client.
    pub(super) fn stop(&self, partition: i32) {
        // SAFETY: the topic is live, and the partition was started.
        unsafe { rd::rd_kafka_consume_stop(self.topic.handle(), partition) };
    }

    /// Appends the messages that are there. Never waits.
    pub(super) fn take(&mut self, messages: &mut Vec<Message>) {
        let taken = self.data.take_messages(&mut self.array);
        // SAFETY: each was just taken and is wrapped once; whoever has them has this, too.
        messages.extend(self.array[..taken].iter().map(|it| unsafe { Message::own(*it) }));
    }

    /// Appends a message, if one comes within a moment.
    pub(super) fn await_one(&self, messages: &mut Vec<Message>) {
        messages.extend(self.data.next_message(LOOK_AGAIN));
    }

    /// The next error of the client itself.
    pub(super) fn next_error(&self) -> Option<Trouble> {
        let event = self.errors.next_event(Duration::ZERO)?;
        (event.kind() == rd::RD_KAFKA_EVENT_ERROR).then(|| self.client.trouble_of(&event))
    }

    pub(super) fn trouble(&self, code: Code, text: &str) -> Trouble {
        reading_trouble(&self.client, &self.name, code, text)
    }
}

fn missing(topic: &str) -> Trouble {
    let text = Sentence::format(format_args!(
        "the state topic {topic:?} is not there; `hotspur check --connect --create` makes it"
    ));
    Trouble { peer: STATE_PEER, code: "UNKNOWN_TOPIC_OR_PART", text, heals: true }
}

fn too_few(topic: &str, partitions: i32, wanted: i32) -> Trouble {
    let text = Sentence::format(format_args!(
        "the state topic {topic:?} has {partitions} partitions, and state of a source's partition \
         {wanted} lies in its partition {wanted}: give it {} partitions",
        wanted + 1
    ));
    Trouble { peer: STATE_PEER, code: "TOO_FEW_PARTITIONS", text, heals: true }
}
