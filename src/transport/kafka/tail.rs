//! One topic from its end as it is now, and whatever comes after: no group, nothing committed.
//!
//! For programs that listen while others write. Only committed records are seen. Where each
//! partition ended is settled when this is opened, so that nothing is missed that is written from
//! then on. Reading waits inside the client until something is there, and takes then all that is;
//! it may wait, so it is not for the hot thread.

use std::{
    ptr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use rdkafka::bindings::{self as rd, rd_kafka_message_t, rd_kafka_resp_err_t as Code};

use super::{
    client::Client,
    faults,
    native::{Message, OK, Queue, Topic},
    reader::{plan, reach, reading_trouble, span},
};
use crate::{
    clock::{Clock, Ticks},
    config::settings::KafkaClient,
    record::{Headers, PartitionId, Record},
    transport::Trouble,
};

/// Messages taken from the client at once.
const BATCH_MAX: usize = 256;

const DEFAULTS: &[(&str, &str)] = &[
    ("queued.max.messages.kbytes", "8192"),
    ("fetch.queue.backoff.ms", "1"),
    ("fetch.error.backoff.ms", "10"),
    ("fetch.wait.max.ms", "100"),
    ("reconnect.backoff.max.ms", "1000"),
];

const OWNED: &[(&str, &str)] = &[
    ("isolation.level", "read_committed"),
    ("enable.partition.eof", "false"),
    ("enable.auto.commit", "false"),
    ("auto.offset.reset", "latest"),
];

/// Reads one topic as it grows.
pub struct TopicTail {
    name: String,
    partitions: i32,
    array: Box<[*mut rd_kafka_message_t]>,
    headers: Vec<u8>,
    errors: Queue,
    data: Queue,
    topic: Topic,
    client: Arc<Client>,
}

// SAFETY: the pointers in `array` are spent as soon as `read` returns; the rest may move.
unsafe impl Send for TopicTail {}

impl TopicTail {
    /// Reaches a broker within `timeout` and begins at the ends; `None` if there is no such topic.
    ///
    /// # Errors
    ///
    /// If no broker answers, or the topic may not be read.
    pub fn open(
        peer: &'static str,
        settings: &KafkaClient,
        topic: &str,
        (timeout, stop): (Duration, &AtomicBool),
    ) -> Result<Option<TopicTail>, Trouble> {
        let plan = plan(peer, "listener", DEFAULTS, OWNED);
        let Some((client, handle, partitions)) = reach(&plan, settings, topic, (timeout, stop))?
        else {
            return Ok(None);
        };
        let mut tail = TopicTail {
            name: topic.to_owned(),
            partitions: 0,
            array: vec![ptr::null_mut(); BATCH_MAX].into_boxed_slice(),
            headers: Vec::new(),
            errors: Queue::main(&client),
            data: Queue::new(&client),
            topic: handle,
            client,
        };
        for partition in 0..partitions {
            let end = span(&tail.client, topic, partition, timeout)?.high;
            tail.begin(partition, end)?;
        }
        Ok(Some(tail))
    }

    fn begin(&mut self, partition: i32, offset: i64) -> Result<(), Trouble> {
        let (topic, queue) = (self.topic.handle(), self.data.handle());
        // SAFETY: topic and queue are live, and the partition is stopped before they go.
        let result = unsafe { rd::rd_kafka_consume_start_queue(topic, partition, offset, queue) };
        if result != 0 {
            // SAFETY: no preconditions; the last error of this thread.
            let code = unsafe { rd::rd_kafka_last_error() };
            return Err(self.trouble(code, faults::text_of(code)));
        }
        self.partitions = partition + 1;
        Ok(())
    }

    /// Waits at most `wait` for a record, and lends all that are there, in order of each
    /// partition. `arrived` is when they were taken, on that clock.
    ///
    /// # Errors
    ///
    /// If the topic cannot be read any more; what heals is the client's to mend.
    pub fn read(
        &mut self,
        wait: Duration,
        clock: &impl Clock,
        mut visit: impl FnMut(&Record<'_>),
    ) -> Result<(), Trouble> {
        let mut trouble = None;
        if let Some(first) = self.data.next_message(wait) {
            let taken = self.data.take_messages(&mut self.array);
            let now = clock.now();
            trouble = self.visit(&first, now, &mut visit);
            for index in 0..taken {
                // SAFETY: each was just taken and is wrapped once; `self` holds the client.
                let message = unsafe { Message::own(self.array[index]) };
                trouble = self.visit(&message, now, &mut visit).or(trouble);
            }
        }
        while let Some(event) = self.errors.next_event(Duration::ZERO) {
            if event.kind() == rd::RD_KAFKA_EVENT_ERROR {
                trouble = trouble.or_else(|| Some(self.client.trouble_of(&event)));
            }
        }
        trouble.filter(|it| !it.heals).map_or(Ok(()), Err)
    }

    fn visit(
        &mut self,
        message: &Message,
        arrived: Ticks,
        visit: &mut impl FnMut(&Record<'_>),
    ) -> Option<Trouble> {
        if message.code() != OK {
            return Some(self.trouble(message.code(), message.error_text()));
        }
        message.write_headers(&mut self.headers);
        visit(&Record {
            partition: PartitionId(0),
            topic: &self.name,
            partition_number: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp_ms(),
            key: message.key(),
            value: message.value(),
            headers: Headers::from_bytes(&self.headers),
            arrived,
        });
        None
    }

    fn trouble(&self, code: Code, text: &str) -> Trouble {
        reading_trouble(&self.client, &self.name, code, text)
    }
}

impl Drop for TopicTail {
    fn drop(&mut self) {
        for partition in 0..self.partitions {
            // SAFETY: the topic is live, and the partition was started.
            unsafe { rd::rd_kafka_consume_stop(self.topic.handle(), partition) };
        }
    }
}

impl std::fmt::Debug for TopicTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicTail").field("topic", &self.name).finish_non_exhaustive()
    }
}
