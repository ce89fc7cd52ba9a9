//! One topic from its beginning to its end as it is now: no group, nothing committed.
//!
//! For programs that look at what lies in a topic and then end. Only committed records are seen,
//! and the end is that of what is committed when it is opened; what comes later is left out. Here
//! waiting is allowed, so it is not for the hot thread.

use std::{
    ptr,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use rdkafka::bindings::{self as rd, rd_kafka_message_t, rd_kafka_resp_err_t as Code};

use super::{
    client::{Client, Plan, Role},
    faults, metadata,
    native::{Message, OK, Queue, Topic, c_name, millis},
    rights::Right,
};
use crate::{
    clock::Ticks,
    config::settings::KafkaClient,
    record::{Headers, PartitionId, Record},
    transport::Trouble,
    verdict::Sentence,
};

/// Messages taken from the client at once.
const BATCH_MAX: usize = 256;

/// How long to let the client work when nothing is there.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How long nothing may come before it is trouble.
const PATIENCE: Duration = Duration::from_secs(30);

const DEFAULTS: &[(&str, &str)] = &[
    ("queued.max.messages.kbytes", "8192"),
    ("fetch.queue.backoff.ms", "1"),
    ("fetch.error.backoff.ms", "10"),
    ("fetch.wait.max.ms", "100"),
    ("reconnect.backoff.max.ms", "1000"),
];

/// A partition that shrank since its beginning was asked for is read from its new beginning.
const OWNED: &[(&str, &str)] = &[
    ("isolation.level", "read_committed"),
    ("enable.partition.eof", "true"),
    ("enable.auto.commit", "false"),
    ("auto.offset.reset", "earliest"),
];

/// How a client is set up that reads for itself, without a group.
pub(super) fn plan<'a>(
    peer: &'static str,
    label: &'a str,
    defaults: &'a [(&'a str, &'a str)],
    owned: &'a [(&'a str, &'a str)],
) -> Plan<'a> {
    Plan { peer, label, role: Role::Consumer, defaults, owned, events: 0, watcher: None }
}

/// Starts such a client and finds the topic and how many partitions it has; `None` if there is no
/// such topic.
pub(super) fn reach(
    plan: &Plan<'_>,
    settings: &KafkaClient,
    topic: &str,
    (timeout, stop): (Duration, &AtomicBool),
) -> Result<Option<(Arc<Client>, Topic, i32)>, Trouble> {
    let client = Client::start(&settings.for_reading(), plan)?;
    metadata::reach_unless(&client, &settings.brokers, timeout, stop)?;
    let unavailable = |code| reading_trouble(&client, topic, code, faults::text_of(code));
    let handle = Topic::new(&client, &c_name(topic)).map_err(unavailable)?;
    match metadata::describe(&client, &handle, timeout) {
        Ok(partitions) => Ok(Some((client, handle, partitions))),
        Err(
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART | Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
        ) => Ok(None),
        Err(code) => Err(unavailable(code)),
    }
}

/// What one partition held when the reader was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The partition's number.
    pub partition: i32,
    /// The oldest offset that is there.
    pub low: i64,
    /// The offset behind the last committed record.
    pub high: i64,
}

/// Reads one topic to its end.
pub struct TopicReader {
    name: String,
    spans: Vec<Span>,
    /// Partitions that are not at their end, by index in `spans`.
    open: Vec<bool>,
    array: Box<[*mut rd_kafka_message_t]>,
    headers: Vec<u8>,
    /// Since when nothing came, while somebody looked.
    waiting_since: Option<Instant>,
    last_trouble: Option<Trouble>,
    errors: Queue,
    data: Queue,
    topic: Topic,
    client: Arc<Client>,
}

impl TopicReader {
    /// Reaches a broker within `timeout` and begins to read; `None` if there is no such topic.
    ///
    /// # Errors
    ///
    /// If no broker answers, or the topic may not be read.
    pub fn open(
        peer: &'static str,
        settings: &KafkaClient,
        topic: &str,
        (timeout, stop): (Duration, &AtomicBool),
    ) -> Result<Option<TopicReader>, Trouble> {
        let plan = plan(peer, "reader", DEFAULTS, OWNED);
        let Some((client, handle, partitions)) = reach(&plan, settings, topic, (timeout, stop))?
        else {
            return Ok(None);
        };
        let spans = (0..partitions).map(|it| span(&client, topic, it, timeout));
        let spans = spans.collect::<Result<Vec<_>, Trouble>>()?;
        let mut reader = TopicReader {
            name: topic.to_owned(),
            open: vec![false; spans.len()],
            spans,
            array: vec![ptr::null_mut(); BATCH_MAX].into_boxed_slice(),
            headers: Vec::new(),
            waiting_since: None,
            last_trouble: None,
            errors: Queue::main(&client),
            data: Queue::new(&client),
            topic: handle,
            client,
        };
        reader.begin()?;
        Ok(Some(reader))
    }

    fn begin(&mut self) -> Result<(), Trouble> {
        for (index, span) in self.spans.iter().enumerate().filter(|(_, it)| it.low < it.high) {
            let (topic, queue) = (self.topic.handle(), self.data.handle());
            // SAFETY: topic and queue are live, and the partition is stopped before they go.
            let result =
                unsafe { rd::rd_kafka_consume_start_queue(topic, span.partition, span.low, queue) };
            if result != 0 {
                // SAFETY: no preconditions; the last error of this thread.
                let code = unsafe { rd::rd_kafka_last_error() };
                return Err(self.trouble(code, faults::text_of(code)));
            }
            self.open[index] = true;
        }
        Ok(())
    }

    /// What each partition held when this was opened, in order of their numbers.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// True once everything has been read.
    pub fn is_at_end(&self) -> bool {
        !self.open.contains(&true)
    }

    /// Lends the records that are there, in order of each partition; if none are, lets a moment
    /// pass.
    ///
    /// # Errors
    ///
    /// If the topic cannot be read any more, or nothing came for half a minute.
    pub fn read(&mut self, mut visit: impl FnMut(&Record<'_>)) -> Result<(), Trouble> {
        let taken = self.data.take_messages(&mut self.array);
        let mut failed = None;
        for index in 0..taken {
            // SAFETY: each was just taken and is wrapped once; the reader holds the client.
            let message = unsafe { Message::own(self.array[index]) };
            match message.code() {
                OK => self.visit(&message, &mut visit),
                Code::RD_KAFKA_RESP_ERR__PARTITION_EOF => self.close(message.partition()),
                code => failed = Some(self.trouble(code, message.error_text())),
            }
        }
        if taken > 0 {
            self.waiting_since = None;
            self.last_trouble = None;
        }
        self.hear_errors();
        self.last_trouble = failed.or(self.last_trouble);
        if taken > 0 && failed.is_none() || self.is_at_end() {
            return Ok(());
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let is_late = since.elapsed() > PATIENCE;
        let silence = || {
            let code = Code::RD_KAFKA_RESP_ERR__TIMED_OUT;
            self.trouble(code, faults::text_of(code))
        };
        match self.last_trouble {
            Some(trouble) if !trouble.heals || is_late => Err(trouble),
            None if is_late => Err(silence()),
            _ => {
                thread::park_timeout(LOOK_AGAIN);
                Ok(())
            }
        }
    }

    fn visit(&mut self, message: &Message, visit: &mut impl FnMut(&Record<'_>)) {
        let (number, offset) = (message.partition(), message.offset());
        let Some(span) = self.spans.get(number as usize).copied() else { return };
        if !self.open[number as usize] {
            return;
        }
        if offset < span.high {
            message.write_headers(&mut self.headers);
            visit(&Record {
                partition: PartitionId(0),
                topic: &self.name,
                partition_number: number,
                offset,
                timestamp_ms: message.timestamp_ms(),
                key: message.key(),
                value: message.value(),
                headers: Headers::from_bytes(&self.headers),
                arrived: Ticks::default(),
            });
        }
        if offset + 1 >= span.high {
            self.close(number);
        }
    }

    /// What is still on its way from that partition comes after the end.
    fn close(&mut self, number: i32) {
        if let Some(open) = self.open.get_mut(number as usize)
            && std::mem::replace(open, false)
        {
            // SAFETY: the topic is live, and the partition was started.
            unsafe { rd::rd_kafka_consume_stop(self.topic.handle(), number) };
        }
    }

    fn hear_errors(&mut self) {
        while let Some(event) = self.errors.next_event(Duration::ZERO) {
            if event.kind() == rd::RD_KAFKA_EVENT_ERROR {
                self.last_trouble = Some(self.client.trouble_of(&event));
            }
        }
    }

    fn trouble(&self, code: Code, text: &str) -> Trouble {
        reading_trouble(&self.client, &self.name, code, text)
    }
}

pub(super) fn reading_trouble(client: &Client, topic: &str, code: Code, text: &str) -> Trouble {
    let text = Sentence::format(format_args!("reading topic {topic:?}: {text}"));
    faults::trouble_with(client.peer(), Right::Read, code, text.as_str())
}

pub(super) fn span(
    client: &Arc<Client>,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> Result<Span, Trouble> {
    let (name, mut low, mut high) = (c_name(topic), 0, 0);
    // SAFETY: the client is live; the two places are written to.
    let code = unsafe {
        let (client, name, wait) = (client.handle(), name.as_ptr(), millis(timeout));
        rd::rd_kafka_query_watermark_offsets(client, name, partition, &mut low, &mut high, wait)
    };
    match code {
        OK => Ok(Span { partition, low, high }),
        code => Err(reading_trouble(client, topic, code, faults::text_of(code))),
    }
}

impl Drop for TopicReader {
    fn drop(&mut self) {
        (0..self.open.len() as i32).for_each(|it| self.close(it));
    }
}

impl std::fmt::Debug for TopicReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicReader").field("topic", &self.name).finish_non_exhaustive()
    }
}
