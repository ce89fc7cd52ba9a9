//! Waits at the start until brokers answer and topics are there, and no longer than it may.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    StartError, broker_error,
    state::{self, Demand},
};
use crate::{
    config::{
        Settings,
        settings::{KafkaClient, RedisSink},
    },
    limits::RESULT_TOPICS_MAX,
    pipeline::Pipeline,
    transport::{
        Trouble,
        kafka::KafkaAdmin,
        redis::RedisAdmin,
        restore::{STATE_PEER, StatefulStep},
    },
};

/// Between two looks for a topic that is not there.
const TOPIC_PAUSE: Duration = Duration::from_millis(200);

/// How long one look may take before the request to stop is seen.
const LOOK: Duration = Duration::from_millis(200);

/// Waits until the brokers of source, sink and dead letters answer and their topics are there, at
/// most `engine.start_timeout` for all of it. Makes the state topic if it is not there and some of
/// `steps` are to keep state in it.
///
/// # Errors
///
/// If they are not in time, will never be (a wrong password), `stop` became true, or the state
/// topic will not do.
pub fn await_topics(
    settings: &Settings,
    steps: &[StatefulStep],
    stop: &AtomicBool,
) -> Result<(), StartError> {
    let (source, sink, dead) = (&settings.source, &settings.sink, &settings.dead_letters);
    let results: Vec<_> = settings.result_topics().into_iter().map(|(_, topic)| topic).collect();
    let mut wait = Wait::new(settings, stop);
    // Streams are made where they are missing, and their servers are waited for by who uses them.
    if settings.streams.source.is_none() {
        wait.for_topics("source", &source.client, &source.topics)?;
    }
    if settings.streams.sink.is_none() {
        wait.for_topics("sink", &sink.client, &results)?;
    }
    if settings.streams.source.is_none() {
        wait.for_topics("dead_letters", &dead.client, std::slice::from_ref(&dead.topic))?;
    }
    if steps.is_empty() { Ok(()) } else { wait.for_state(settings) }
}

/// Asks which topics or streams are there that a record may name by a prefix, and waits for one of
/// each. Those that are read and that of the dead letters are none of them.
///
/// # Errors
///
/// If there is none in time, or there are too many.
pub fn learn_topics(
    settings: &Settings,
    pipeline: &mut Pipeline,
    stop: &AtomicBool,
) -> Result<(), StartError> {
    let client = &settings.sink.client;
    let mut wait = Wait::new(settings, stop);
    for prefix in pipeline.prefixes().to_vec() {
        let (source, dead) = (&settings.source, &settings.dead_letters);
        let is_ours = |topic: &String| {
            topic.starts_with(&prefix)
                && !(source.client.brokers == client.brokers && source.topics.contains(topic))
                && !(dead.client.brokers == client.brokers && dead.topic == *topic)
        };
        let topics = match &settings.streams.sink {
            Some(sink) => wait.for_any_stream(sink, &prefix, is_ours)?,
            None => {
                let mut topics = wait.for_any(client, &prefix, is_ours)?;
                topics.sort();
                wait.for_topics("sink", client, &topics)?;
                topics
            }
        };
        for topic in topics {
            let is_new = !pipeline.topics().contains(&topic);
            if is_new && pipeline.topics().len() == RESULT_TOPICS_MAX {
                return Err(StartError::Refused(format!(
                    "more than {RESULT_TOPICS_MAX} topics to write to: a longer route.prefix than \
                     {prefix:?}, or route.among"
                )));
            }
            pipeline.learn_topic(&topic);
        }
    }
    Ok(())
}

struct Wait<'a> {
    timeout: Duration,
    deadline: Instant,
    stop: &'a AtomicBool,
    /// Clients that want the same of their brokers ask over the same connection.
    reached: Vec<(KafkaClient, KafkaAdmin)>,
}

impl<'a> Wait<'a> {
    fn new(settings: &Settings, stop: &'a AtomicBool) -> Wait<'a> {
        let timeout = settings.engine.start_timeout;
        Wait { timeout, deadline: Instant::now() + timeout, stop, reached: Vec::new() }
    }

    /// The place in `reached` of who asks for that client.
    fn admin(&mut self, peer: &'static str, client: &KafkaClient) -> Result<usize, StartError> {
        let asking = client.for_asking();
        if let Some(index) = self.reached.iter().position(|(it, _)| *it == asking) {
            return Ok(index);
        }
        let admin = self.reach(peer, client)?;
        self.reached.push((asking, admin));
        Ok(self.reached.len() - 1)
    }

    /// Topics that are there of those that `is_ours` takes, at least one.
    fn for_any(
        &mut self,
        client: &KafkaClient,
        prefix: &str,
        is_ours: impl Fn(&String) -> bool,
    ) -> Result<Vec<String>, StartError> {
        let index = self.admin("sink", client)?;
        loop {
            let found: Result<Vec<_>, Trouble> = self.reached[index].1.topics(LOOK);
            self.unless_stopped()?;
            let is_late = Instant::now() >= self.deadline;
            match found.map(|it| it.into_iter().filter(&is_ours).collect::<Vec<_>>()) {
                Ok(topics) if !topics.is_empty() => return Ok(topics),
                Ok(_) if is_late => {
                    return Err(self.missing("sink", client, &format!("{prefix}…")));
                }
                Err(trouble) if is_late || !trouble.heals => return Err(broker_error(trouble)),
                Ok(_) | Err(_) => thread::park_timeout(TOPIC_PAUSE),
            }
        }
    }

    /// The same of streams, in order.
    fn for_any_stream(
        &self,
        sink: &RedisSink,
        prefix: &str,
        is_ours: impl Fn(&String) -> bool,
    ) -> Result<Vec<String>, StartError> {
        loop {
            let admin = RedisAdmin::connect("sink", &sink.url, &sink.shown);
            let found = admin.and_then(|mut it| it.streams(prefix));
            self.unless_stopped()?;
            let is_late = Instant::now() >= self.deadline;
            match found.map(|it| it.into_iter().filter(&is_ours).collect::<Vec<_>>()) {
                Ok(streams) if !streams.is_empty() => return Ok(streams),
                Ok(_) if is_late => {
                    let (shown, timeout) = (&sink.shown, self.timeout);
                    return Err(StartError::Broker(format!(
                        "sink: no stream on {shown} begins with {prefix:?} within \
                         engine.start_timeout of {timeout:?}; make those it is to name, by an \
                         entry or a group (XGROUP CREATE … MKSTREAM)"
                    )));
                }
                Err(trouble) if is_late || !trouble.heals => return Err(broker_error(trouble)),
                Ok(_) | Err(_) => thread::park_timeout(TOPIC_PAUSE),
            }
        }
    }

    fn for_topics(
        &mut self,
        peer: &'static str,
        client: &KafkaClient,
        topics: &[String],
    ) -> Result<(), StartError> {
        let index = self.admin(peer, client)?;
        let (client, admin) = &self.reached[index];
        topics.iter().try_for_each(|topic| self.for_topic(peer, client, admin, topic))
    }

    fn for_state(&mut self, settings: &Settings) -> Result<(), StartError> {
        let source = self.admin("source", &settings.source.client)?;
        let state = self.admin(STATE_PEER, &settings.state.client)?;
        let demand = Demand::of(settings, &self.reached[source].1, self.timeout);
        let demand = demand.map_err(broker_error)?;
        state::require_topic(&demand, &self.reached[state].1, self.timeout)?;
        self.unless_stopped()
    }

    fn reach(&self, peer: &'static str, client: &KafkaClient) -> Result<KafkaAdmin, StartError> {
        // In whole seconds, which stand in the sentence if the time is over.
        let left = self.deadline.saturating_duration_since(Instant::now());
        let left = Duration::from_secs(left.as_millis().div_ceil(1000) as u64);
        let admin = KafkaAdmin::connect_unless(peer, client, left, self.stop);
        self.unless_stopped()?;
        admin.map_err(broker_error)
    }

    fn for_topic(
        &self,
        peer: &'static str,
        client: &KafkaClient,
        admin: &KafkaAdmin,
        topic: &str,
    ) -> Result<(), StartError> {
        let mut told = false;
        loop {
            let found = admin.partitions_for(peer, topic, LOOK);
            self.unless_stopped()?;
            let is_late = Instant::now() >= self.deadline;
            match found {
                Ok(Some(_)) => return admin.require_right(peer, topic).map_err(broker_error),
                Ok(None) if is_late => return Err(self.missing(peer, client, topic)),
                Ok(None) if !std::mem::replace(&mut told, true) => {
                    tracing::warn!(event = "topic.missing", peer, topic, "waiting for it");
                }
                Err(trouble) if is_late || !trouble.heals => return Err(broker_error(trouble)),
                Ok(None) | Err(_) => {}
            }
            thread::park_timeout(TOPIC_PAUSE);
        }
    }

    fn missing(&self, peer: &'static str, client: &KafkaClient, topic: &str) -> StartError {
        let (brokers, timeout) = (&client.brokers, self.timeout);
        StartError::Broker(format!(
            "{peer}: topic {topic:?} is not on {brokers} within engine.start_timeout of \
             {timeout:?}; make it, or run `hotspur check --connect --create`"
        ))
    }

    fn unless_stopped(&self) -> Result<(), StartError> {
        if self.stop.load(Ordering::Acquire) { Err(StartError::Stopped) } else { Ok(()) }
    }
}
