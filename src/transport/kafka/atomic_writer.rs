//! Results and a group's offsets written as a whole, in one Kafka transaction at a time.
//!
//! For programs that copy records and may be killed at any moment: either all of a transaction is
//! there for a reader of committed records, or nothing. Opening it ends whatever an earlier process
//! of the same id left open, and shuts out one that still runs. Here waiting is allowed, so it is
//! not for the hot thread.

use std::{
    ffi::CString,
    ptr,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use rdkafka::bindings::{self as rd, rd_kafka_message_t, rd_kafka_resp_err_t as Code};

use super::{
    client::{Client, Plan, Role, unavailable},
    faults,
    fields::{Fields, OwnHeaders},
    metadata,
    native::{
        ANY_PARTITION, Event, GroupMetadata, OK, PartitionList, Queue, Topic, c_name, failure,
        millis,
    },
    rights,
};
use crate::{
    config::settings::KafkaClient,
    record::{Destination, Output},
    transport::{Refusal, Token, Trouble},
    verdict::Sentence,
};

/// How long one step of a transaction may take, with all its repetitions.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one call may take before it is repeated.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for delivery reports at once.
const LOOK: Duration = Duration::from_millis(100);

/// Delivery reports that are looked at together.
const REPORTS_MAX: usize = 256;

/// After a process was killed, readers of committed records wait that long for what it left open.
const TRANSACTION_TIMEOUT_MS: &str = "10000";

const DEFAULTS: &[(&str, &str)] = &[
    ("linger.ms", "1"),
    ("message.max.bytes", "100000000"),
    ("partitioner", "murmur2_random"),
    ("reconnect.backoff.max.ms", "1000"),
];

/// Why a transaction was not committed.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "trouble carries its sentence by value")]
pub enum NotWritten {
    /// A result was refused for good; nothing of the transaction is there.
    Refused(Refusal),
    /// Another process with the same id has begun, or the broker gave this one up.
    Fenced,
    /// Nothing of the transaction is there, unless the trouble does not heal: then the brokers
    /// know, and whoever opens the id next finds it decided.
    Trouble(Trouble),
}

/// Writes results together, or none of them.
pub struct AtomicWriter {
    topics: Vec<Topic>,
    names: Vec<String>,
    /// Whose the positions are: a group without members.
    group: GroupMetadata,
    reports: Box<[*const rd_kafka_message_t]>,
    in_flight: usize,
    refused: Option<Code>,
    id: String,
    events: Queue,
    client: Arc<Client>,
}

impl AtomicWriter {
    /// Starts a producer, waits for a broker, and becomes the one that writes under `id`.
    ///
    /// # Errors
    ///
    /// If no broker answers in time, or the user may not do that.
    pub fn open(
        peer: &'static str,
        settings: &KafkaClient,
        (id, group): (&str, &str),
        (timeout, stop): (Duration, &AtomicBool),
    ) -> Result<AtomicWriter, NotWritten> {
        let owned = [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("delivery.report.only.error", "false"),
            ("transactional.id", id),
            ("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS),
            ("message.timeout.ms", TRANSACTION_TIMEOUT_MS),
        ];
        let plan = Plan {
            peer,
            label: "replay",
            role: Role::Producer,
            defaults: DEFAULTS,
            owned: &owned,
            events: rd::RD_KAFKA_EVENT_DR,
            watcher: None,
        };
        let client = Client::start(&settings.for_writing(), &plan).map_err(NotWritten::Trouble)?;
        metadata::reach_unless(&client, &settings.brokers, timeout, stop)
            .map_err(NotWritten::Trouble)?;
        let writer = AtomicWriter {
            topics: Vec::new(),
            names: Vec::new(),
            group: GroupMetadata::named(group),
            reports: vec![ptr::null(); REPORTS_MAX].into_boxed_slice(),
            in_flight: 0,
            refused: None,
            id: id.to_owned(),
            events: Queue::main(&client),
            client,
        };
        writer.step("beginning to write in transactions", |client| {
            // SAFETY: the client is live.
            unsafe { rd::rd_kafka_init_transactions(client, millis(CALL_TIMEOUT)) }
        })?;
        Ok(writer)
    }

    /// The number of a topic that is to be written to.
    ///
    /// # Errors
    ///
    /// If librdkafka does not take the name, or the user may not write there.
    pub fn destination(&mut self, topic: &str) -> Result<Destination, Trouble> {
        if let Some(known) = self.names.iter().position(|it| it == topic) {
            return Ok(Destination(known as u8));
        }
        rights::require_topic(&self.client, self.client.peer(), topic)?;
        let what = |code| unavailable(&self.client, code, format_args!("topic {topic:?}"));
        let number = u8::try_from(self.names.len());
        let number = number.map_err(|_| what(Code::RD_KAFKA_RESP_ERR__INVALID_ARG))?;
        self.topics.push(Topic::new(&self.client, &c_name(topic)).map_err(what)?);
        self.names.push(topic.to_owned());
        Ok(Destination(number))
    }

    /// Writes all of `outputs`, and `positions` in `topic` as the group's, in one transaction.
    ///
    /// # Errors
    ///
    /// Nothing of it is there then, except as `NotWritten::Trouble` says.
    pub fn commit<'a>(
        &mut self,
        outputs: impl Iterator<Item = Output<'a>>,
        topic: &str,
        positions: &[(i32, i64)],
    ) -> Result<(), NotWritten> {
        self.step("beginning a transaction", |client| {
            // SAFETY: the client is live.
            unsafe { rd::rd_kafka_begin_transaction(client) }
        })?;
        let written = self.fill(outputs, topic, positions);
        if let Err(failed) = written {
            return Err(self.abort(failed));
        }
        self.step("committing a transaction", |client| {
            // SAFETY: the client is live.
            unsafe { rd::rd_kafka_commit_transaction(client, millis(CALL_TIMEOUT)) }
        })
        .map_err(|failed| self.abort(failed))
    }

    fn fill<'a>(
        &mut self,
        outputs: impl Iterator<Item = Output<'a>>,
        topic: &str,
        positions: &[(i32, i64)],
    ) -> Result<(), NotWritten> {
        self.refused = None;
        for output in outputs {
            // Once one result has failed, no further one is taken: its reason is the one to tell.
            self.produce(&output).map_err(|failed| self.drain().err().unwrap_or(failed))?;
        }
        self.drain()?;
        if positions.is_empty() {
            return Ok(());
        }
        let (name, mut list): (CString, _) = (c_name(topic), PartitionList::new());
        for (partition, offset) in positions {
            list.add(&name, *partition, *offset);
        }
        let (list, group) = (list.handle(), self.group.handle());
        self.step("handing a group's offsets to a transaction", |client| {
            let wait = millis(CALL_TIMEOUT);
            // SAFETY: client, list and group are live, and are read during the call only.
            unsafe { rd::rd_kafka_send_offsets_to_transaction(client, list, group, wait) }
        })
    }

    fn produce(&mut self, output: &Output<'_>) -> Result<(), NotWritten> {
        let fields = Fields {
            topic: self.topics[usize::from(output.destination.0)].handle(),
            partition: output.partition_number.unwrap_or(ANY_PARTITION),
            value: output.value,
            key: output.key,
            token: Token(0),
            timestamp_ms: output.timestamp_ms.unwrap_or(0),
        };
        let deadline = Instant::now() + STEP_TIMEOUT;
        let mut headers = OwnHeaders::copy(output.headers);
        loop {
            // SAFETY: the topic is live and of this client.
            match unsafe { fields.produce(&self.client, &mut headers) } {
                Ok(()) => {
                    self.in_flight += 1;
                    return Ok(());
                }
                Err(Code::RD_KAFKA_RESP_ERR__QUEUE_FULL) if Instant::now() < deadline => {
                    self.serve();
                }
                Err(code) => return Err(self.failed(code)),
            }
        }
    }

    /// Waits until the fate of every result is known.
    fn drain(&mut self) -> Result<(), NotWritten> {
        let deadline = Instant::now() + STEP_TIMEOUT;
        while self.in_flight > 0 {
            if Instant::now() >= deadline {
                return Err(self.failed(Code::RD_KAFKA_RESP_ERR__TIMED_OUT));
            }
            self.serve();
        }
        self.refused.take().map_or(Ok(()), |code| Err(self.failed(code)))
    }

    /// Collects what came; the first reason against a result is kept, but not that of its
    /// neighbours, which only fail because it did.
    fn serve(&mut self) {
        let Some(mut event) = self.events.next_event(LOOK) else { return };
        if event.kind() != rd::RD_KAFKA_EVENT_DR {
            return self.hear(&event);
        }
        loop {
            let len = event.messages(&mut self.reports);
            for index in 0..len {
                // SAFETY: the message lives as long as the event.
                let code = unsafe { (*self.reports[index]).err };
                if code != OK && self.refused.is_none_or(is_consequence) {
                    self.refused = Some(code);
                }
            }
            self.in_flight -= len.min(self.in_flight);
            if len < self.reports.len() {
                return;
            }
        }
    }

    fn hear(&self, event: &Event) {
        if event.kind() == rd::RD_KAFKA_EVENT_ERROR {
            let trouble = self.client.trouble_of(event);
            let code = trouble.code;
            tracing::debug!(event = "peer.trouble", peer = trouble.peer, code, "{}", trouble.text);
        }
    }

    /// Ends the transaction without its results; why it had to be is told, unless that fails, too.
    fn abort(&mut self, failed: NotWritten) -> NotWritten {
        if matches!(failed, NotWritten::Fenced) {
            return failed;
        }
        // What was not sent never will be. What was sent has to be answered first: the client waits
        // for that while it aborts, but reports are ours to collect.
        // SAFETY: the client is live.
        unsafe { rd::rd_kafka_purge(self.client.handle(), rd::RD_KAFKA_PURGE_F_QUEUE) };
        let deadline = Instant::now() + STEP_TIMEOUT;
        while self.in_flight > 0 && Instant::now() < deadline {
            self.serve();
        }
        let aborted = self.step("aborting a transaction", |client| {
            // SAFETY: the client is live.
            unsafe { rd::rd_kafka_abort_transaction(client, millis(CALL_TIMEOUT)) }
        });
        self.in_flight = 0;
        match aborted {
            Ok(()) => failed,
            Err(NotWritten::Trouble(trouble)) => {
                NotWritten::Trouble(Trouble { heals: false, ..trouble })
            }
            Err(other) => other,
        }
    }

    /// Calls until it succeeds, fails for good, or takes too long.
    fn step(
        &self,
        what: &str,
        call: impl Fn(*mut rd::rd_kafka_t) -> *mut rd::rd_kafka_error_t,
    ) -> Result<(), NotWritten> {
        let deadline = Instant::now() + STEP_TIMEOUT;
        loop {
            // SAFETY: the error, if there is one, is live, ours, and used by nobody else.
            let outcome = unsafe { failure(call(self.client.handle())) };
            let Err(failure) = outcome else { return Ok(()) };
            if !failure.is_retriable || Instant::now() >= deadline {
                let (code, text) = (failure.code, failure.text);
                return Err(match self.is_fenced(code) {
                    true => NotWritten::Fenced,
                    false => NotWritten::Trouble(self.trouble(what, code, text.as_str())),
                });
            }
            if let Some(event) = self.events.next_event(LOOK) {
                self.hear(&event);
            }
        }
    }

    /// Trouble in one step. Of a right that is missing librdkafka says a lot, and not on what.
    fn trouble(&self, what: &str, code: Code, text: &str) -> Trouble {
        let text = match code {
            Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED => {
                Sentence::format(format_args!("{what} as {:?}: not allowed", self.id))
            }
            _ => Sentence::format(format_args!("{what}: {text}")),
        };
        self.client.trouble(code, text.as_str())
    }

    /// What a code against one result means for the transaction.
    fn failed(&self, code: Code) -> NotWritten {
        let refusal = faults::refusal(code);
        let is_of_result =
            refusal.is_about_content || code == Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
        if self.is_fenced(code) {
            NotWritten::Fenced
        } else if is_of_result {
            NotWritten::Refused(Refusal { fatal: false, ..refusal })
        } else {
            NotWritten::Trouble(unavailable(&self.client, code, format_args!("writing")))
        }
    }

    fn is_fenced(&self, code: Code) -> bool {
        let is_fencing = |code: Code| {
            matches!(
                code,
                Code::RD_KAFKA_RESP_ERR__FENCED
                    | Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED
                    | Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH
                    | Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING
            )
        };
        is_fencing(code) || is_fencing(self.client.fatal_code())
    }
}

/// Messages that were thrown away because another one failed.
fn is_consequence(code: Code) -> bool {
    matches!(
        code,
        Code::RD_KAFKA_RESP_ERR__PURGE_QUEUE
            | Code::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT
            | Code::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER
    )
}

impl std::fmt::Debug for AtomicWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AtomicWriter").field("client", &self.client).finish_non_exhaustive()
    }
}
