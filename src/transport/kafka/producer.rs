//! Starts a producer: what it is told, and what it must know before the first result.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::bindings::{self as rd, rd_kafka_resp_err_t as Code};

use super::{
    acknowledgements::AckTimes,
    batch_limit,
    client::{Client, Plan, Role, unavailable},
    metadata,
    native::{Queue, Topic, c_name},
    rights,
};
use crate::{config::settings::KafkaClient, transport::Trouble};

/// How long one question about a topic may take before the request to stop is looked at.
const WARM_UP_LOOK: Duration = Duration::from_millis(200);

/// How long to wait before a topic that has no leader yet is asked for again.
const WARM_UP_PAUSE: Duration = Duration::from_millis(50);

/// How long the topics' limits are waited for; without them batches are as large as usual.
const LIMITS_TIMEOUT: Duration = Duration::from_secs(2);

/// librdkafka's name for the largest batch in bytes, and what it is if nobody says.
const BATCH: &str = "batch.size";
const BATCH_BYTES: u64 = 1_000_000;

/// What suits this program; a user's properties go over these.
/// The broker says what is too large, not the client; a request still ends at `batch.size`.
const DEFAULTS: &[(&str, &str)] = &[
    ("linger.ms", "0"),
    ("message.max.bytes", "100000000"),
    ("partitioner", "murmur2_random"),
    ("reconnect.backoff.max.ms", "1000"),
];

/// What the promises on data rest on.
const OWNED: [(&str, &str); 4] = [
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("message.timeout.ms", "0"),
    ("delivery.report.only.error", "false"),
];

/// A producer with what belongs to it; a topic's place is its destination's number.
pub(super) struct Producer {
    pub(super) client: Arc<Client>,
    pub(super) topics: Vec<Topic>,
    /// Bytes of a batch that each topic takes, as far as that says what a result may have.
    pub(super) limits: Vec<usize>,
    pub(super) events: Queue,
}

impl Producer {
    fn new(
        client: Arc<Client>,
        topics: Vec<Topic>,
        limits: &[Option<u64>],
        settings: &KafkaClient,
    ) -> Producer {
        let codec = COMPRESSION.iter().find_map(|it| settings.properties.get(*it));
        // What a compressed batch comes to nobody knows before.
        let is_known = codec.is_none_or(|it| it == "none");
        let limit = |it: &Option<u64>| it.filter(|_| is_known).map_or(usize::MAX, |it| it as usize);
        let (limits, events) = (limits.iter().map(limit).collect(), Queue::main(&client));
        Producer { client, topics, limits, events }
    }
}

/// librdkafka's names for how batches are compressed.
const COMPRESSION: [&str; 2] = ["compression.type", "compression.codec"];

/// What a producer with transactions is told beside.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// The same after a restart of the process, and no other process's.
    pub(super) transactional_id: String,
    /// How long the brokers leave a transaction open.
    pub(super) timeout: Duration,
}

/// How long to wait for a broker, and for each topic's partitions, and when not any more.
type Wait<'a> = (Duration, &'a AtomicBool);

/// A producer that has reached its brokers, with its topics' handles. Its batches are not larger
/// than the smallest limit of these topics, which is read once: a broker that refuses a batch for
/// its size refuses all of it.
pub(super) fn start(
    peer: &'static str,
    settings: &KafkaClient,
    topics: &[String],
    times: &Arc<AckTimes>,
    named: Option<&Named>,
    wait: Wait<'_>,
) -> Result<Producer, Trouble> {
    let timeout = named.map(|it| it.timeout.as_millis().to_string()).unwrap_or_default();
    let mut owned = OWNED.to_vec();
    if let Some(named) = named {
        owned.push(("transactional.id", named.transactional_id.as_str()));
        owned.push(("transaction.timeout.ms", timeout.as_str()));
        // What is not taken by then is taken back with the whole transaction.
        owned.retain(|(name, _)| *name != "message.timeout.ms");
        owned.push(("message.timeout.ms", timeout.as_str()));
    }
    let client = start_client(peer, settings, &owned, times, wait)?;
    let handles = open_topics(&client, topics, wait)?;
    let limits = batch_limit::of_topics(&client, topics, LIMITS_TIMEOUT);
    let limit = limits.iter().flatten().min().filter(|it| **it < batch_bytes(settings));
    let Some(limit) = limit else {
        return Ok(Producer::new(client, handles, &limits, settings));
    };
    // It is set before a client starts, so this one goes; it has written nothing.
    drop((handles, client));
    let limit = limit.max(&1).to_string();
    owned.push((BATCH, limit.as_str()));
    let client = start_client(peer, settings, &owned, times, wait)?;
    let handles = open_topics(&client, topics, wait)?;
    Ok(Producer::new(client, handles, &limits, settings))
}

fn batch_bytes(settings: &KafkaClient) -> u64 {
    let set = settings.properties.get(BATCH).and_then(|it| it.trim().parse().ok());
    set.unwrap_or(BATCH_BYTES)
}

fn start_client(
    peer: &'static str,
    settings: &KafkaClient,
    owned: &[(&str, &str)],
    times: &Arc<AckTimes>,
    wait: Wait<'_>,
) -> Result<Arc<Client>, Trouble> {
    let plan = Plan {
        peer,
        label: peer,
        role: Role::Producer,
        defaults: DEFAULTS,
        owned,
        events: rd::RD_KAFKA_EVENT_DR,
        watcher: Some(Arc::clone(times) as _),
    };
    let client = Client::start(settings, &plan)?;
    let (timeout, stop) = wait;
    metadata::reach_unless(&client, &settings.brokers, timeout, stop)?;
    Ok(client)
}

fn open_topics(
    client: &Arc<Client>,
    topics: &[String],
    wait: Wait<'_>,
) -> Result<Vec<Topic>, Trouble> {
    topics.iter().map(|name| open_topic(client, name, wait)).collect()
}

/// The topic's handle, once its partitions are known: the first result must not wait for them. A
/// topic that may not be written to is refused before a record is consumed.
fn open_topic(
    client: &Arc<Client>,
    name: &str,
    (timeout, stop): Wait<'_>,
) -> Result<Topic, Trouble> {
    let unavailable = |code| unavailable(client, code, format_args!("topic {name:?}"));
    let topic = Topic::new(client, &c_name(name)).map_err(unavailable)?;
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let code = match metadata::describe(client, &topic, left.min(WARM_UP_LOOK)) {
            Ok(_) => {
                rights::require_topic(client, client.peer(), name)?;
                return Ok(topic);
            }
            Err(code) => code,
        };
        if !may_come(code) || left.is_zero() || stop.load(Ordering::Acquire) {
            return Err(unavailable(code));
        }
        thread::park_timeout(WARM_UP_PAUSE);
    }
}

/// Auto-created a moment ago, or the broker that answered before is slow or away.
fn may_come(code: Code) -> bool {
    use Code::*;
    matches!(
        code,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE
            | RD_KAFKA_RESP_ERR__TIMED_OUT
            | RD_KAFKA_RESP_ERR__TRANSPORT
    )
}
