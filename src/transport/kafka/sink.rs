//! Results to Kafka: an idempotent producer, stepped by the turn.
//!
//! librdkafka copies what it is given and sends from its own threads; a turn's results that are
//! handed over together share requests, because only so many requests are in flight. Delivery
//! reports come as events in batches, and are collected when the caller asks; their time was noted
//! when they arrived (`acknowledgements`). A lost connection is librdkafka's to mend: nothing times
//! out, nothing is produced twice, and a result that is refused is refused for good.

use std::{
    collections::VecDeque,
    ffi::c_void,
    ptr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::bindings::{
    self as rd, rd_kafka_message_t, rd_kafka_resp_err_t as Code, rd_kafka_vtype_t as Kind,
    rd_kafka_vu_s__bindgen_ty_1 as Field, rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 as Bytes,
    rd_kafka_vu_t as Named,
};

use super::{
    acknowledgements::AckTimes,
    client::{Client, Plan, Role, unavailable},
    faults, metadata,
    native::{ANY_PARTITION, OK, Queue, Topic, c_name, outcome, text_at},
    rights,
    wake::Wake,
};
use crate::{
    clock::{Ticks, TscClock},
    config::settings::KafkaClient,
    limits::DESTINATIONS_MAX,
    record::{Headers, Output},
    transport::{Ack, Refusal, SendError, Sink, Token, Trouble, WaitSet},
};

/// How long opening may wait for a broker, and for each topic's partitions.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before a topic that has no leader yet is asked for again.
const WARM_UP_PAUSE: Duration = Duration::from_millis(50);

/// Events that one turn serves at most; each holds the reports of one request.
const EVENTS_PER_TURN_MAX: usize = 64;

/// Delivery reports that are looked at together.
const REPORTS_MAX: usize = 1024;

/// Trouble that waits for `next_trouble`; past it none is told again.
const TROUBLES_MAX: usize = 64;

/// What suits this program; a user's properties go over these.
/// The broker says what is too large, not the client; a request still ends at `batch.size`.
const DEFAULTS: &[(&str, &str)] = &[
    ("linger.ms", "0"),
    ("message.max.bytes", "100000000"),
    ("partitioner", "murmur2_random"),
    ("reconnect.backoff.max.ms", "1000"),
];

/// What the promises on data rest on.
const OWNED: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("message.timeout.ms", "0"),
    ("delivery.report.only.error", "false"),
];

/// A sink that writes to topics, each of which is one destination.
pub struct KafkaSink {
    client: Arc<Client>,
    topics: Vec<Topic>,
    events: Queue,
    times: Arc<AckTimes>,
    reports: Box<[*const rd_kafka_message_t]>,
    troubles: VecDeque<Trouble>,
    in_flight: usize,
    wake: Wake,
    is_armed: bool,
    is_signalling: bool,
}

// SAFETY: the pointers in `reports` are spent as soon as `poll_acks` returns; the rest may move.
unsafe impl Send for KafkaSink {}

impl KafkaSink {
    /// Starts a producer and waits until it knows the topics' partitions. The place of a topic in
    /// `topics` is its `Destination`. Threads that this starts inherit the calling thread's
    /// affinity.
    pub fn open(
        settings: &KafkaClient,
        topics: &[String],
        clock: TscClock,
    ) -> Result<KafkaSink, Trouble> {
        KafkaSink::open_as("sink", settings, topics, clock)
    }

    /// The same under another peer's name: dead letters that go to a cluster of their own.
    pub fn open_as(
        peer: &'static str,
        settings: &KafkaClient,
        topics: &[String],
        clock: TscClock,
    ) -> Result<KafkaSink, Trouble> {
        assert!(topics.len() <= DESTINATIONS_MAX, "`assemble` numbers at most that many");
        let times = AckTimes::new(clock);
        let plan = Plan {
            peer,
            label: peer,
            role: Role::Producer,
            defaults: DEFAULTS,
            owned: OWNED,
            events: rd::RD_KAFKA_EVENT_DR,
            watcher: Some(Arc::clone(&times) as _),
        };
        let client = Client::start(settings, &plan)?;
        let wake = Wake::new().map_err(|it| {
            client.trouble(Code::RD_KAFKA_RESP_ERR__FAIL, &format!("a wake-up pipe: {it}"))
        })?;
        metadata::reach(&client, &settings.brokers, WARM_UP_TIMEOUT)?;
        let open = |name: &String| open_topic(&client, name);
        Ok(KafkaSink {
            topics: topics.iter().map(open).collect::<Result<_, _>>()?,
            events: Queue::main(&client),
            times,
            reports: vec![ptr::null(); REPORTS_MAX].into_boxed_slice(),
            troubles: VecDeque::with_capacity(TROUBLES_MAX),
            in_flight: 0,
            wake,
            is_armed: false,
            is_signalling: false,
            client,
        })
    }

    /// The short way: no headers, and the broker's or client's clock.
    fn produce(&self, topic: &Topic, output: &Output<'_>, token: Token) -> Result<(), Code> {
        let (value, value_len) = parts(output.value);
        let (key, key_len) = parts(output.key);
        // SAFETY: the topic is live; with F_COPY the bytes are read before the call returns.
        unsafe {
            let result = rd::rd_kafka_produce(
                topic.handle(),
                output.partition_number.unwrap_or(ANY_PARTITION),
                rd::RD_KAFKA_MSG_F_COPY,
                value,
                value_len,
                key,
                key_len,
                token.0 as *mut c_void,
            );
            if result == 0 { Ok(()) } else { Err(rd::rd_kafka_last_error()) }
        }
    }

    /// The whole way, with headers and a timestamp.
    fn produce_with(&self, topic: &Topic, output: &Output<'_>, token: Token) -> Result<(), Code> {
        let headers = copy_headers(output.headers);
        let mut fields = [
            Named { vtype: Kind::RD_KAFKA_VTYPE_RKT, u: Field { rkt: topic.handle() } },
            Named {
                vtype: Kind::RD_KAFKA_VTYPE_PARTITION,
                u: Field { i32_: output.partition_number.unwrap_or(ANY_PARTITION) },
            },
            Named { vtype: Kind::RD_KAFKA_VTYPE_MSGFLAGS, u: Field { i: rd::RD_KAFKA_MSG_F_COPY } },
            memory(Kind::RD_KAFKA_VTYPE_VALUE, output.value),
            memory(Kind::RD_KAFKA_VTYPE_KEY, output.key),
            Named { vtype: Kind::RD_KAFKA_VTYPE_OPAQUE, u: Field { ptr: token.0 as *mut c_void } },
            // 0 is the client's own clock.
            Named {
                vtype: Kind::RD_KAFKA_VTYPE_TIMESTAMP,
                u: Field { i64_: output.timestamp_ms.unwrap_or(0) },
            },
            Named { vtype: Kind::RD_KAFKA_VTYPE_HEADERS, u: Field { headers } },
        ];
        let len = fields.len() - usize::from(headers.is_null());
        // SAFETY: the fields are initialised and live during the call; with F_COPY the bytes are
        // read before it returns; the error is ours. Headers become the message's on success and
        // stay ours otherwise.
        unsafe {
            let client = self.client.handle();
            let result = outcome(rd::rd_kafka_produceva(client, fields.as_mut_ptr(), len));
            if result.is_err() && !headers.is_null() {
                rd::rd_kafka_headers_destroy(headers);
            }
            result.map_err(|(code, _)| code)
        }
    }

    fn tell(&mut self, trouble: Trouble) {
        if self.troubles.len() < TROUBLES_MAX {
            self.troubles.push_back(trouble);
        }
    }

    /// A result's refusal. One that ends the run is told as trouble, too, which can say more.
    fn refusal(&mut self, code: Code, topic: *mut rd::rd_kafka_topic_t) -> Refusal {
        let refusal = faults::refusal(code);
        if refusal.fatal {
            // SAFETY: the topic is live, and its name lives as long.
            let topic = unsafe { text_at(rd::rd_kafka_topic_name(topic)) };
            let trouble = match code {
                Code::RD_KAFKA_RESP_ERR__FATAL => self.client.fatal_trouble(),
                code => unavailable(&self.client, code, format_args!("topic {topic:?}")),
            };
            let trouble = Trouble { heals: false, ..trouble };
            if self.troubles.back() != Some(&trouble) {
                self.tell(trouble);
            }
        }
        refusal
    }

    /// The fate that a delivery report tells of.
    #[inline]
    fn ack(&mut self, report: &rd_kafka_message_t, now: Ticks) -> Ack {
        let token = Token(report._private as u64);
        let at = self.times.at(token, now);
        let result = match report.err {
            OK => Ok(()),
            code => Err(self.refusal(code, report.rkt)),
        };
        Ack { token, at, result }
    }
}

impl Sink for KafkaSink {
    #[inline]
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        let topic = &self.topics[usize::from(output.destination.0)];
        let topic_handle = topic.handle();
        let is_plain = output.headers.is_empty() && output.timestamp_ms.is_none();
        let result = match is_plain {
            true => self.produce(topic, output, token),
            false => self.produce_with(topic, output, token),
        };
        match result {
            Ok(()) => {
                self.in_flight += 1;
                Ok(())
            }
            Err(Code::RD_KAFKA_RESP_ERR__QUEUE_FULL) => Err(SendError::Full),
            Err(code) => Err(SendError::Refused(self.refusal(code, topic_handle))),
        }
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        if self.is_armed {
            // Before the queue is looked at: what comes after that signals anew.
            self.is_armed = false;
            self.wake.drain();
        }
        let mut acks = 0;
        for _ in 0..EVENTS_PER_TURN_MAX {
            let Some(mut event) = self.events.next_event(Duration::ZERO) else { break };
            match event.kind() {
                rd::RD_KAFKA_EVENT_DR => loop {
                    let len = event.messages(&mut self.reports);
                    for index in 0..len {
                        // SAFETY: the message lives as long as the event.
                        let report = unsafe { &*self.reports[index] };
                        visit(self.ack(report, now));
                    }
                    acks += len;
                    if len < self.reports.len() {
                        break;
                    }
                },
                rd::RD_KAFKA_EVENT_ERROR => {
                    self.tell(self.client.trouble_of(&event));
                }
                _ => {}
            }
        }
        self.in_flight -= acks;
        acks
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        self.troubles.pop_front()
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        if !self.is_signalling {
            self.is_signalling = true;
            self.events.signal_to(self.wake.writable());
            // What came before the queue could signal.
            self.wake.signal();
        }
        self.is_armed = true;
        set.add(self.wake.readable());
    }
}

impl Drop for KafkaSink {
    fn drop(&mut self) {
        // Before the descriptor goes.
        self.events.signal_to_none();
    }
}

impl std::fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSink")
            .field("client", &self.client)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

/// The topic's handle, once its partitions are known: the first result must not wait for them. A
/// topic that may not be written to is refused before a record is consumed.
fn open_topic(client: &Arc<Client>, name: &str) -> Result<Topic, Trouble> {
    let unavailable = |code| unavailable(client, code, format_args!("topic {name:?}"));
    let topic = Topic::new(client, &c_name(name)).map_err(unavailable)?;
    let deadline = Instant::now() + WARM_UP_TIMEOUT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match metadata::describe(client, &topic, left) {
            Ok(_) => {
                rights::require_topic(client, name)?;
                return Ok(topic);
            }
            // Auto-created a moment ago.
            Err(Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) if !left.is_zero() => {
                thread::sleep(WARM_UP_PAUSE);
            }
            Err(code) => return Err(unavailable(code)),
        }
    }
}

/// Start and length; null is absent, and an empty slice's start is not null.
fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |it| (it.as_ptr().cast_mut().cast(), it.len()))
}

fn memory(vtype: Kind, bytes: Option<&[u8]>) -> Named {
    let (ptr, size) = parts(bytes);
    Named { vtype, u: Field { mem: Bytes { ptr, size } } }
}

/// librdkafka's own copy; null if there are none. Its other way wants names that end in NUL.
fn copy_headers(headers: Headers<'_>) -> *mut rd::rd_kafka_headers_t {
    if headers.is_empty() {
        return ptr::null_mut();
    }
    // SAFETY: the list is new; names and values are copied with their lengths.
    unsafe {
        let list = rd::rd_kafka_headers_new(8);
        for (name, value) in headers {
            let (value, value_len) = parts(value);
            let name_len = name.len() as isize;
            let name = name.as_ptr().cast();
            rd::rd_kafka_header_add(list, name, name_len, value, value_len as isize);
        }
        list
    }
}
