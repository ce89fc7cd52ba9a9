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
    config::{Settings, settings::KafkaClient},
    transport::{
        kafka::KafkaAdmin,
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
    let timeout = settings.engine.start_timeout;
    let mut wait = Wait { timeout, deadline: Instant::now() + timeout, stop, reached: Vec::new() };
    wait.for_topics("source", &source.client, &source.topics)?;
    wait.for_topics("sink", &sink.client, std::slice::from_ref(&sink.topic))?;
    wait.for_topics("dead_letters", &dead.client, std::slice::from_ref(&dead.topic))?;
    if steps.is_empty() { Ok(()) } else { wait.for_state(settings) }
}

struct Wait<'a> {
    timeout: Duration,
    deadline: Instant,
    stop: &'a AtomicBool,
    /// Clients that want the same of their brokers ask over the same connection.
    reached: Vec<(KafkaClient, KafkaAdmin)>,
}

impl Wait<'_> {
    fn for_topics(
        &mut self,
        peer: &'static str,
        client: &KafkaClient,
        topics: &[String],
    ) -> Result<(), StartError> {
        let index = self.reached(peer, client)?;
        let (client, admin) = &self.reached[index];
        topics.iter().try_for_each(|topic| self.for_topic(peer, client, admin, topic))
    }

    fn for_state(&mut self, settings: &Settings) -> Result<(), StartError> {
        let source = self.reached("source", &settings.source.client)?;
        let state = self.reached(STATE_PEER, &settings.state.client)?;
        let demand = Demand::of(settings, &self.reached[source].1, self.timeout);
        let demand = demand.map_err(broker_error)?;
        state::require_topic(&demand, &self.reached[state].1, self.timeout)?;
        self.unless_stopped()
    }

    /// The place in `reached` of a client like that.
    fn reached(&mut self, peer: &'static str, client: &KafkaClient) -> Result<usize, StartError> {
        let asking = client.for_asking();
        if let Some(index) = self.reached.iter().position(|(it, _)| *it == asking) {
            return Ok(index);
        }
        let admin = self.reach(peer, client)?;
        self.reached.push((asking, admin));
        Ok(self.reached.len() - 1)
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
