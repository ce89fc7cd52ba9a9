//! Entries that no step of this configuration can use: what to say of them, and how they go.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::StatePlan;
use crate::{
    clock::{Clock, TscClock},
    record::{Destination, Headers, Output},
    transport::{
        Refusal, SendError, Sink, Token, Trouble,
        kafka::KafkaSink,
        restore::{STATE_CHANGED, STATE_PEER, StateKey},
    },
    verdict::Sentence,
};

/// How long a broker may take to be there for deleting.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to let brokers work between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Entries of other configurations in one partition, by their keys in the topic.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    keys: BTreeSet<Vec<u8>>,
}

impl Foreign {
    /// Such an entry was read; without a value it is gone.
    pub(super) fn note(&mut self, key: &[u8], is_there: bool) {
        match is_there {
            true => _ = self.keys.insert(key.to_vec()),
            false => _ = self.keys.remove(key),
        }
    }

    /// Those of one source topic that are left.
    pub(super) fn of_topic(&self, topic: &str) -> impl Iterator<Item = &[u8]> {
        let is_of = move |key: &&[u8]| StateKey::read(key).is_some_and(|it| it.topic == topic);
        self.keys.iter().map(Vec::as_slice).filter(is_of)
    }
}

/// What keeps a partition from being restored.
pub(super) fn changed(plan: &StatePlan, key: &[u8]) -> Trouble {
    let (topic, name) = (&plan.topic, StateKey::read(key).map_or("", |it| it.step));
    let text = match plan.steps.iter().find(|it| it.name == name) {
        Some(step) => Sentence::format(format_args!(
            "step {name} ({}) was changed since its state was written: \
             `hotspur run --reset-state` forgets that state; another name of the step or another \
             [state] topic leaves it in {topic}",
            step.operator
        )),
        None => Sentence::format(format_args!(
            "step {name} has state and is not there any more, or keeps none: \
             `hotspur run --reset-state` forgets that state; another [state] topic leaves it in \
             {topic}"
        )),
    };
    Trouble { peer: STATE_PEER, code: STATE_CHANGED, text, heals: false }
}

/// Deletes entries of a partition of the state topic, and waits until that is acknowledged, or
/// `end` is true: then it is not known which are gone.
pub(super) fn delete<'a>(
    plan: &StatePlan,
    partition: i32,
    keys: impl Iterator<Item = &'a [u8]>,
    end: &AtomicBool,
) -> Result<u64, Trouble> {
    let (topics, clock) = ([plan.topic.clone()], TscClock::new());
    let wait = (OPEN_TIMEOUT, end);
    let mut sink = KafkaSink::open_unless(STATE_PEER, &plan.writing, &topics, clock.clone(), wait)?;
    let (mut deleted, mut refused) = (0, None);
    for key in keys {
        let output = Output {
            destination: Destination(0),
            partition_number: Some(partition),
            timestamp_ms: None,
            key: Some(key),
            value: None,
            headers: Headers::NONE,
        };
        while let Err(error) = sink.send(&output, Token(0)) {
            match error {
                SendError::Refused(refusal) => return Err(not_deleted(plan, &refusal)),
                SendError::Full => serve(&mut sink, &clock, &mut refused)?,
            }
            if end.load(Ordering::Acquire) {
                return Ok(deleted);
            }
        }
        deleted += 1;
    }
    while sink.in_flight() > 0 && !end.load(Ordering::Acquire) {
        serve(&mut sink, &clock, &mut refused)?;
    }
    refused.map_or(Ok(deleted), |refusal| Err(not_deleted(plan, &refusal)))
}

fn serve(
    sink: &mut KafkaSink,
    clock: &TscClock,
    refused: &mut Option<Refusal>,
) -> Result<(), Trouble> {
    let served = sink.poll_acks(clock.now(), &mut |ack| {
        *refused = ack.result.err().or(*refused);
    });
    while let Some(trouble) = sink.next_trouble() {
        if !trouble.heals {
            return Err(trouble);
        }
    }
    if served == 0 {
        thread::park_timeout(LOOK_AGAIN);
    }
    Ok(())
}

fn not_deleted(plan: &StatePlan, refusal: &Refusal) -> Trouble {
    let (topic, code) = (&plan.topic, refusal.code);
    let text = Sentence::format(format_args!(
        "--reset-state: an entry of {topic} was not deleted: the broker refused it ({code})"
    ));
    Trouble { peer: STATE_PEER, code, text, heals: !refusal.fatal }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::settings::KafkaClient,
        transport::restore::{StateKind, StatefulStep},
    };

    fn key(topic: &str, step: &str, key: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        StateKey { kind: StateKind::Entry, topic, step, hash: 1, key }.write(&mut bytes);
        bytes
    }

    #[test]
    fn what_was_deleted_since_is_not_left_and_topics_are_told_apart() {
        let mut foreign = Foreign::default();
        let [a, b, c] = [key("in", "1", b"a"), key("in", "1", b"b"), key("also", "1", b"c")];
        [&a, &b, &c].iter().for_each(|it| foreign.note(it, true));
        foreign.note(&a, false);
        foreign.note(&key("in", "1", b"never"), false);
        assert_eq!(foreign.of_topic("in").collect::<Vec<_>>(), [&b]);
        assert_eq!(foreign.of_topic("also").collect::<Vec<_>>(), [&c]);
        assert_eq!(foreign.of_topic("other").count(), 0);
    }

    #[test]
    fn the_sentence_names_the_step_and_the_way_out() {
        let operator = "dedup";
        let step = StatefulStep { number: 1, name: "2".to_owned(), operator, hash: 2 };
        let client = KafkaClient::default();
        let plan = StatePlan {
            reading: client.clone(),
            writing: client,
            topic: "orders.state".to_owned(),
            sources: vec!["orders".to_owned()],
            steps: vec![step],
            resets: false,
        };
        let text = |step| changed(&plan, &key("orders", step, b"k")).text.to_string();
        let changed = text("2");
        assert!(changed.starts_with("step 2 (dedup) was changed since its state was written"));
        assert!(changed.ends_with("another [state] topic leaves it in orders.state"), "{changed}");
        let gone = text("hourly");
        assert!(gone.starts_with("step hourly has state and is not there any more"), "{gone}");
        for text in [changed, gone] {
            assert!(text.contains("`hotspur run --reset-state` forgets"), "{text}");
        }
    }
}
