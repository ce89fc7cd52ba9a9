//! Results to Kafka: an idempotent producer, stepped by the turn.
//!
//! librdkafka copies what it is given and sends from its own threads; a turn's results that are
//! handed over together share requests, because only so many requests are in flight. Delivery
//! reports come as events in batches, and are collected when the caller asks; their time was noted
//! when they arrived (`acknowledgements`). A lost connection is librdkafka's to mend: nothing times
//! out, and nothing is written twice. A batch that is refused is divided (`resend`); a result that
//! is refused by itself is refused for good.

use std::{
    collections::VecDeque,
    ffi::c_void,
    ptr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use rdkafka::bindings::{self as rd, rd_kafka_message_t, rd_kafka_resp_err_t as Code};

use super::{
    acknowledgements::AckTimes,
    batch_limit,
    client::{Client, unavailable},
    faults,
    fields::{Fields, OwnHeaders, parts},
    metadata,
    native::{ANY_PARTITION, Event, OK, Queue, Topic, text_at},
    outage::Outage,
    producer::{self, Named, Producer},
    resend::{Resend, is_divisible},
    transactional::{Exchange, Recipe, TransactionalProducer},
    wake::Wake,
};
use crate::{
    clock::{Clock, Ticks, TscClock},
    config::settings::KafkaClient,
    limits::DESTINATIONS_MAX,
    record::Output,
    transport::{Ack, Refusal, SendError, Sink, Token, Trouble, WaitSet},
    verdict::Sentence,
};

/// How long opening waits for a broker, and for each topic's partitions, if nobody says.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Events that one turn serves at most; each holds the reports of one request.
const EVENTS_PER_TURN_MAX: usize = 64;

/// Delivery reports that are looked at together.
const REPORTS_MAX: usize = 1024;

/// How often a broker is asked something in an outage while nothing is to be sent.
const KNOCK_EVERY_NS: u64 = 1_000_000_000;

/// Trouble that waits for `next_trouble`; past it none is told again.
const TROUBLES_MAX: usize = 64;

/// A sink that writes to topics, each of which is one destination.
pub struct KafkaSink {
    client: Arc<Client>,
    topics: Vec<Topic>,
    limits: Vec<usize>,
    events: Queue,
    times: Arc<AckTimes>,
    reports: Box<[*const rd_kafka_message_t]>,
    troubles: VecDeque<Trouble>,
    in_flight: usize,
    resend: Resend,
    /// It was said that a batch was refused.
    has_held: bool,
    outage: Outage,
    /// In an outage: when brokers are sought next, though nothing is to be sent.
    knock_due: Ticks,
    knock_ticks: u64,
    wake: Wake,
    is_armed: bool,
    is_signalling: bool,
    /// Where it writes in transactions: new producers come here.
    exchange: Option<Arc<Exchange>>,
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
        let wait = (OPEN_TIMEOUT, &AtomicBool::new(false));
        KafkaSink::open_unless(peer, settings, topics, clock, wait)
    }

    /// The same; a broker, and each topic's partitions, are waited for at most so long, and once
    /// the flag is true not any more.
    pub fn open_unless(
        peer: &'static str,
        settings: &KafkaClient,
        topics: &[String],
        clock: TscClock,
        wait: (Duration, &AtomicBool),
    ) -> Result<KafkaSink, Trouble> {
        let times = AckTimes::new(clock);
        let producer = producer::start(peer, settings, topics, &times, None, wait)?;
        KafkaSink::with(producer, times, None)
    }

    /// The same, writing in transactions of that name and timeout, the first of which is begun.
    /// What comes with it belongs to the source that commits them; see `KafkaSource::open`.
    pub fn open_transactional(
        settings: &KafkaClient,
        topics: &[String],
        clock: TscClock,
        (transactional_id, timeout): (String, Duration),
        wait: (Duration, &AtomicBool),
    ) -> Result<(KafkaSink, TransactionalProducer), Trouble> {
        let times = AckTimes::new(clock);
        let recipe = Recipe {
            peer: "sink",
            settings: settings.clone(),
            topics: topics.to_vec(),
            times: Arc::clone(&times),
            named: Named { transactional_id, timeout },
        };
        let producer = recipe.make(wait)?;
        let other = TransactionalProducer::new(recipe, Arc::clone(&producer.client));
        let exchange = Some(Arc::clone(&other.exchange));
        Ok((KafkaSink::with(producer, times, exchange)?, other))
    }

    fn with(
        producer: Producer,
        times: Arc<AckTimes>,
        exchange: Option<Arc<Exchange>>,
    ) -> Result<KafkaSink, Trouble> {
        let Producer { client, topics, limits, events } = producer;
        let knock_ticks = times.clock().ticks(KNOCK_EVERY_NS);
        assert!(topics.len() <= DESTINATIONS_MAX, "`assemble` numbers at most that many");
        let wake = Wake::new().map_err(|it| {
            client.trouble(Code::RD_KAFKA_RESP_ERR__FAIL, &format!("a wake-up pipe: {it}"))
        })?;
        Ok(KafkaSink {
            topics,
            limits,
            events,
            times,
            exchange,
            reports: vec![ptr::null(); REPORTS_MAX].into_boxed_slice(),
            troubles: VecDeque::with_capacity(TROUBLES_MAX),
            in_flight: 0,
            resend: Resend::new(),
            has_held: false,
            outage: Outage::default(),
            knock_due: Ticks(0),
            knock_ticks,
            wake,
            is_armed: false,
            is_signalling: false,
            client,
        })
    }

    /// Goes on with another producer, once all of the last one's results are answered.
    #[inline]
    fn renew(&mut self) {
        if self.in_flight > 0 {
            return;
        }
        let next = self.exchange.as_ref().and_then(|it| it.take());
        if let Some(producer) = next {
            self.replace(producer);
        }
    }

    #[cold]
    fn replace(&mut self, producer: Producer) {
        self.events.signal_to_none();
        (self.is_signalling, self.is_armed) = (false, false);
        let old = Producer {
            client: std::mem::replace(&mut self.client, producer.client),
            topics: std::mem::replace(&mut self.topics, producer.topics),
            limits: std::mem::replace(&mut self.limits, producer.limits),
            events: std::mem::replace(&mut self.events, producer.events),
        };
        if let Some(exchange) = &self.exchange {
            exchange.give_back(old);
        }
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
        let fields = Fields {
            topic: topic.handle(),
            partition: output.partition_number.unwrap_or(ANY_PARTITION),
            value: output.value,
            key: output.key,
            token,
            timestamp_ms: output.timestamp_ms.unwrap_or(0),
        };
        // SAFETY: the topic is live and of this client.
        unsafe { fields.produce(&self.client, &mut OwnHeaders::copy(output.headers)) }
    }

    /// Keeps a refused batch for another try, and says so the first time.
    fn hold(&mut self, report: Event) {
        if !std::mem::replace(&mut self.has_held, true) {
            let (results, code) = (report.message_count(), faults::refusal(report.code()).code);
            let text = Sentence::format(format_args!(
                "the broker refused a batch of {results} results ({code}); they are sent again in \
                 smaller batches, so that only those at fault become dead letters. If the topic's \
                 limit was lowered, a restart goes by the new one"
            ));
            let peer = self.client.peer();
            self.tell(Trouble { peer, code, text, heals: true });
        }
        self.resend.hold(report);
    }

    /// Goes on with refused batches once nothing else is on its way. Returns how many results got
    /// an answer by that.
    fn send_again(&mut self, unanswered: usize, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        if unanswered > self.resend.len() {
            return 0;
        }
        let (mut refused, KafkaSink { client, resend, .. }) = (0, self);
        resend.hand_over(|again| match again.produce(client) {
            Ok(()) => true,
            Err(Code::RD_KAFKA_RESP_ERR__QUEUE_FULL) => false,
            Err(code) => {
                visit(Ack { token: again.token, at: now, result: Err(faults::refusal(code)) });
                refused += 1;
                true
            }
        });
        refused
    }

    fn tell(&mut self, trouble: Trouble) {
        if self.troubles.len() < TROUBLES_MAX {
            self.troubles.push_back(trouble);
        }
    }

    /// A result's refusal. One that ends the run is told as trouble, too, which can say more.
    fn refusal(&mut self, code: Code, topic: *mut rd::rd_kafka_topic_t) -> Refusal {
        let refusal = faults::refusal(code);
        // A transaction is taken back, and a producer of no more use replaced: see `transactions`.
        let is_mended = self.exchange.is_some() && faults::is_mended_by_abort(code);
        if refusal.fatal && is_mended {
            return Refusal { fatal: false, ..refusal };
        }
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

    /// In a transaction one refusal spoils all of it.
    fn of_transaction(&self, refusal: Refusal) -> Refusal {
        let Some(exchange) = &self.exchange else { return refusal };
        if refusal.too_large {
            exchange.limits_changed();
        }
        Refusal { aborts: true, ..refusal }
    }

    /// The fate that a delivery report tells of.
    #[inline]
    fn ack(&mut self, report: &rd_kafka_message_t, now: Ticks) -> Ack {
        let token = Token(report._private as u64);
        let at = self.times.at(token, now);
        let result = match report.err {
            OK => Ok(()),
            // It was there when the result was taken: the topic has been deleted.
            Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION => {
                Err(self.refusal(Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, report.rkt))
            }
            code => Err(self.refusal(code, report.rkt)),
        };
        let result = result.map_err(|refusal| self.of_transaction(refusal));
        Ack { token, at, result }
    }
}

impl Sink for KafkaSink {
    #[inline]
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        if self.resend.is_active() {
            return Err(SendError::Full);
        }
        self.renew();
        let at = usize::from(output.destination.0);
        if self.exchange.is_some() && batch_limit::is_too_large(output, self.limits[at]) {
            // One that the broker refused would cost the transaction.
            let code = Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
            return Err(SendError::Refused(faults::refusal(code)));
        }
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
            Err(code) => {
                // What the client itself refuses leaves the transaction unharmed.
                let aborts = self.exchange.is_some() && !faults::is_of_the_call(code);
                let refusal = self.refusal(code, topic_handle);
                Err(SendError::Refused(Refusal { aborts, ..refusal }))
            }
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
                rd::RD_KAFKA_EVENT_DR if self.exchange.is_none() && is_divisible(&event) => {
                    self.hold(event);
                }
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
                    self.outage.hear(event.code(), self.times.answers());
                    let mut trouble = self.client.trouble_of(&event);
                    if self.exchange.is_some() && event.is_fatal() {
                        trouble.heals = faults::is_mended_by_abort(self.client.fatal_code());
                    }
                    self.tell(trouble);
                }
                _ => {}
            }
        }
        if self.resend.is_active() {
            acks += self.send_again(self.in_flight - acks, now, visit);
        }
        self.in_flight -= acks;
        if self.outage.is_on() && self.in_flight == 0 && now >= self.knock_due {
            self.knock_due = Ticks(now.0 + self.knock_ticks);
            metadata::knock(&self.client);
        }
        acks
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        self.troubles.pop_front()
    }

    fn next_recovery(&mut self) -> Option<&'static str> {
        self.outage.is_over(self.times.answers()).then_some(self.client.peer())
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
