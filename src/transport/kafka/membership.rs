//! What it takes to be a member of a group: the client's settings, the topics, the subscription.

use std::{
    ffi::CString,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::bindings as rd;

use super::{
    arrivals::Arrivals,
    assignment::Place,
    client::{Client, Plan, Role, unavailable},
    native::{self, Event, Message, OK, PartitionList, Queue, Topic},
};
use crate::{config::settings, transport::Trouble};

/// Who is in trouble when the source is.
pub(super) const PEER: &str = "source";

/// How long leaving the group may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What suits this program; a user's properties go over these. A short queue is used again while it
/// is near: with librdkafka's own 64 MiB and 100,000 records a tenth of the process's time in bulk
/// went into fresh memory. Filled again within a millisecond, a short one is never empty for long.
const DEFAULTS: &[(&str, &str)] = &[
    ("queued.max.messages.kbytes", "8192"),
    ("queued.min.messages", "16384"),
    ("fetch.queue.backoff.ms", "1"),
    ("fetch.error.backoff.ms", "10"),
    ("reconnect.backoff.max.ms", "1000"),
];

/// One of the topics that are read.
#[derive(Debug)]
pub(super) struct SourceTopic {
    pub(super) name: String,
    /// Held so that the topic stays at the address that its messages carry.
    _handle: Topic,
    address: *const rd::rd_kafka_topic_t,
}

pub(super) fn start_client(
    settings: &settings::KafkaSource,
    instance: &str,
    arrivals: &Arc<Arrivals>,
) -> Result<Arc<Client>, Trouble> {
    // Only a run with an end wants to know where a partition has none left.
    let tells_ends = if settings.range.until.is_some() { "true" } else { "false" };
    let owned = [
        ("group.id", settings.group.as_str()),
        ("group.protocol", "classic"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", tells_ends),
        // Whatever `on_gap` says: what is missing is ours to find out and to tell.
        ("auto.offset.reset", "error"),
        ("isolation.level", "read_committed"),
        // For the lag.
        ("statistics.interval.ms", "5000"),
    ];
    let plan = Plan {
        peer: PEER,
        label: &format!("{PEER} {instance}"),
        role: Role::Consumer,
        defaults: DEFAULTS,
        owned: &owned,
        events: rd::RD_KAFKA_EVENT_REBALANCE
            | rd::RD_KAFKA_EVENT_OFFSET_COMMIT
            | rd::RD_KAFKA_EVENT_STATS,
        watcher: Some(Arc::clone(arrivals) as _),
    };
    Client::start(&settings.client, &plan)
}

pub(super) fn open_topics(
    client: &Arc<Client>,
    settings: &settings::KafkaSource,
    names: &[CString],
) -> Result<Vec<SourceTopic>, Trouble> {
    let open = |(name, c_name): (&String, &CString)| {
        let handle = Topic::new(client, c_name)
            .map_err(|code| unavailable(client, code, format_args!("topic {name:?}")))?;
        Ok(SourceTopic { name: name.clone(), address: handle.handle(), _handle: handle })
    };
    settings.topics.iter().zip(names).map(open).collect()
}

pub(super) fn subscribe(client: &Client, names: &[CString]) -> Result<(), Trouble> {
    let mut list = PartitionList::new();
    for name in names {
        list.add(name, native::ANY_PARTITION, native::OFFSET_NONE);
    }
    // SAFETY: client and list are live; the list is copied.
    match unsafe { rd::rd_kafka_subscribe(client.handle(), list.handle()) } {
        OK => Ok(()),
        code => Err(unavailable(client, code, format_args!("subscribing"))),
    }
}

/// Gives everything back and waits for the group to let us go.
pub(super) fn leave(client: &Arc<Client>, events: &Queue, is_owed_an_answer: bool) {
    let deadline = Instant::now() + CLOSE_TIMEOUT;
    // SAFETY: the client is live.
    let has_left = || unsafe { rd::rd_kafka_consumer_closed(client.handle()) } != 0;
    if is_owed_an_answer {
        give_back(client);
    }
    while !has_left() && Instant::now() < deadline {
        let event = events.next_event(Duration::from_millis(50));
        if event.is_some_and(|it| it.kind() == rd::RD_KAFKA_EVENT_REBALANCE) && !has_left() {
            give_back(client);
        }
    }
}

/// While the consumer closes, any assignment is taken as giving everything back, and answers every
/// rebalance that is open. Where the group is gone, nobody answers the call, and the group may go
/// at any moment: so another thread makes it, and nobody waits for that one. It keeps the client;
/// if it never returns, both end with the process.
fn give_back(client: &Arc<Client>) {
    let client = Arc::clone(client);
    let call = move || {
        // SAFETY: the client is live; no list is passed. What it answers is of no more use.
        unsafe { rd::rd_kafka_assign(client.handle(), std::ptr::null()) };
    };
    // Without a thread, the group misses us after the session timeout.
    let _ = thread::Builder::new().name("kafka-leave".to_owned()).spawn(call);
}

/// Empty-handed where the message's partition is not one of ours.
pub(super) fn place_of(topics: &mut [SourceTopic], message: &Message) -> Option<Place> {
    let address = message.topic();
    let known = topics.iter().position(|it| it.address == address);
    let index = known.or_else(|| {
        let name = message.topic_name().to_str().ok()?;
        let index = topics.iter().position(|it| it.name == name)?;
        topics[index].address = address;
        Some(index)
    })?;
    Some((index as u16, message.partition()))
}

pub(super) fn places<'a>(
    topics: &'a [SourceTopic],
    event: &'a Event,
) -> impl Iterator<Item = Place> + 'a {
    event.partitions().iter().filter_map(|entry| {
        let name = entry.topic().to_str().ok()?;
        let index = topics.iter().position(|it| it.name == name)?;
        Some((index as u16, entry.partition()))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        clock::TscClock,
        config::settings::{KafkaClient, Start, Tombstones},
        transport::kafka::EmbeddedKafka,
    };

    fn member(kafka: &EmbeddedKafka) -> Arc<Client> {
        let brokers = kafka.bootstrap_servers().to_owned();
        let settings = settings::KafkaSource {
            client: KafkaClient { brokers, properties: BTreeMap::new() },
            topics: vec!["in".to_owned()],
            group: "test".to_owned(),
            start: Start::Earliest,
            on_gap: settings::OnGap::Stop,
            tombstones: Tombstones::Skip,
            range: crate::config::range::Range::default(),
        };
        let client = start_client(&settings, "test", &Arrivals::new(TscClock::new())).unwrap();
        subscribe(&client, &[c"in".to_owned()]).unwrap();
        client
    }

    fn close(client: &Arc<Client>) -> (Queue, bool) {
        let events = Queue::new(client);
        // SAFETY: client and queue are live; the error is ours.
        let closing = unsafe {
            native::outcome(rd::rd_kafka_consumer_close_queue(client.handle(), events.handle()))
        };
        (events, closing.is_ok())
    }

    #[test]
    fn a_group_that_goes_at_that_moment_keeps_nobody_who_answers_it() {
        let kafka = EmbeddedKafka::new(1).unwrap();
        kafka.create_topic("in", 1).unwrap();
        for _ in 0..50 {
            let client = member(&kafka);
            let (events, is_closing) = close(&client);
            assert!(is_closing);
            // SAFETY: the client is live.
            while unsafe { rd::rd_kafka_consumer_closed(client.handle()) } == 0 {
                give_back(&client);
            }
            leave(&client, &events, true);
        }
    }

    #[test]
    fn a_member_that_is_of_no_more_use_amid_a_rebalance_ends_all_the_same() {
        let kafka = EmbeddedKafka::new(1).unwrap();
        kafka.create_topic("in", 1).unwrap();
        let client = member(&kafka);
        let group = Queue::group(&client);
        let mut events = std::iter::repeat_with(|| group.next_event(Duration::from_secs(1)));
        let is_rebalance =
            |it: Option<Event>| it.is_some_and(|it| it.kind() == rd::RD_KAFKA_EVENT_REBALANCE);
        assert!(events.any(is_rebalance));
        let code = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
        // SAFETY: the client is live; the text is copied.
        unsafe { rd::rd_kafka_test_fatal_error(client.handle(), code, c"fenced".as_ptr()) };
        assert!(!close(&client).1);
    }
}
