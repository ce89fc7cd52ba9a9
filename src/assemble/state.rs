//! State of steps: the topic that it is kept in, and the side thread that reads it back.
//!
//! The topic is compacted, by that policy alone: another one would forget state after some time. It
//! has a partition for each of the source topic that has the most, because the state of a partition
//! lies in the one of the same number.

use std::{sync::Arc, time::Duration};

use super::{StartError, broker_error};
use crate::{
    config::Settings,
    pipeline::{
        Pipeline,
        stores::{StateStores, StoreRules},
    },
    transport::{
        Trouble,
        kafka::{KafkaAdmin, NewTopic, StatePlan, StateRestorer},
        restore::{Restoration, RestoredEntries, STATE_PEER, StatefulStep, restoration},
    },
};

/// What keeps old records by their keys, and for ever.
const COMPACT: &str = "compact";

/// The steps that keep state, each with the hash of its configuration. None if the pipeline does
/// not compile, for which there are other words.
pub fn stateful_steps(settings: &Settings) -> Vec<StatefulStep> {
    if !settings.keeps_state() {
        return Vec::new();
    }
    let pipeline = Pipeline::compile(settings);
    pipeline.map(|it| stateful_steps_of(it.stores())).unwrap_or_default()
}

/// The same of a pipeline that is compiled.
pub(super) fn stateful_steps_of(stores: &StateStores) -> Vec<StatefulStep> {
    let step = |it: &StoreRules| {
        let StoreRules { step: number, name, operator, hash, .. } = it.clone();
        StatefulStep { number, name, operator, hash }
    };
    stores.rules().iter().map(step).collect()
}

/// State that comes back during a run.
#[derive(Debug)]
pub struct Restoring {
    /// What source and observers need of it.
    pub shared: Arc<Restoration>,
    /// What the hot thread takes.
    pub entries: RestoredEntries,
    /// The side thread's owner.
    pub restorer: StateRestorer,
}

impl Restoring {
    /// Starts the side thread; `None` if no step keeps state. Threads that this starts inherit the
    /// calling thread's affinity.
    ///
    /// # Errors
    ///
    /// If there can be no thread.
    pub fn start(
        settings: &Settings,
        steps: &[StatefulStep],
    ) -> Result<Option<Restoring>, StartError> {
        if steps.is_empty() {
            return Ok(None);
        }
        let (shared, entries, filler) = restoration(steps);
        let plan = StatePlan {
            reading: settings.state.client.clone(),
            writing: settings.sink.client.clone(),
            topic: settings.state.topic.clone(),
            sources: settings.source.topics.clone(),
            steps: steps.to_vec(),
            resets: settings.state.resets,
        };
        let restorer = StateRestorer::start(plan, filler)?;
        Ok(Some(Restoring { shared, entries, restorer }))
    }
}

/// What the state topic has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    topic: String,
    partitions: u32,
    /// The source topic that has so many.
    widest: String,
    /// How many copies that one has, if both are on the same brokers.
    replication: Option<u16>,
}

/// What a topic comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Missing,
    /// It will do, and has so many partitions.
    Fits(u32),
    /// It will not, and why, with the way out.
    Unfit(String),
}

impl Demand {
    /// What the source's topics ask for, those that are there.
    pub(super) fn of(
        settings: &Settings,
        source: &KafkaAdmin,
        timeout: Duration,
    ) -> Result<Demand, Trouble> {
        let mut most = (0, String::new());
        for topic in &settings.source.topics {
            let partitions = source.partitions_for("source", topic, timeout)?.unwrap_or(0);
            if partitions > most.0 {
                most = (partitions, topic.clone());
            }
        }
        let (partitions, widest) = most;
        let is_same = settings.source.client.brokers == settings.state.client.brokers;
        let replication = is_same.then(|| source.replication(&widest)).flatten();
        let (topic, partitions) = (settings.state.topic.clone(), partitions.max(1));
        Ok(Demand { topic, partitions, widest, replication })
    }

    pub(super) fn judge(
        &self,
        admin: &KafkaAdmin,
        timeout: Duration,
    ) -> Result<Judgement, Trouble> {
        match admin.partitions_for(STATE_PEER, &self.topic, timeout)? {
            None => Ok(Judgement::Missing),
            Some(partitions) => {
                admin.require_right(STATE_PEER, &self.topic)?;
                let policy = admin.cleanup_policy(&self.topic);
                Ok(self.judge_topic(partitions, policy.as_deref()))
            }
        }
    }

    /// Where nobody says the policy, it is believed to be right.
    fn judge_topic(&self, partitions: u32, policy: Option<&str>) -> Judgement {
        let Demand { topic, partitions: wanted, widest, .. } = self;
        if let Some(policy) = policy.filter(|it| *it != COMPACT) {
            return Judgement::Unfit(format!(
                "the state topic {topic:?} has cleanup.policy={policy}, which forgets state: set \
                 it to {COMPACT}, or name another topic in [state]"
            ));
        }
        if partitions < *wanted {
            return Judgement::Unfit(format!(
                "the state topic {topic:?} has {partitions} partitions and {widest:?} has \
                 {wanted}: state lies in the partition of the same number; give it {wanted} \
                 partitions, or name another topic in [state]"
            ));
        }
        Judgement::Fits(partitions)
    }

    /// Makes the topic and waits until it is known; how many partitions it has.
    pub(super) fn make(&self, admin: &KafkaAdmin) -> Result<u32, Trouble> {
        let Demand { topic, partitions, replication, .. } = self;
        admin.create_topic(&NewTopic {
            name: topic.clone(),
            partitions: *partitions,
            replication: *replication,
            is_compacted: true,
        })?;
        admin.await_topic(topic)?;
        Ok(*partitions)
    }
}

/// Sees to it that the state topic is there and will do.
pub(super) fn require_topic(
    demand: &Demand,
    admin: &KafkaAdmin,
    timeout: Duration,
) -> Result<(), StartError> {
    match demand.judge(admin, timeout).map_err(broker_error)? {
        Judgement::Fits(_) => Ok(()),
        Judgement::Unfit(problem) => Err(StartError::Refused(problem)),
        Judgement::Missing => {
            let partitions = demand.make(admin).map_err(broker_error)?;
            let topic = &demand.topic;
            tracing::info!(
                event = "state.made",
                topic,
                partitions,
                "the state topic was not there"
            );
            // Somebody else may have made it first, otherwise.
            match demand.judge(admin, timeout).map_err(broker_error)? {
                Judgement::Unfit(problem) => Err(StartError::Refused(problem)),
                Judgement::Fits(_) | Judgement::Missing => Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_forgets_or_is_too_narrow_is_told_with_the_way_out() {
        let (topic, widest) = ("orders.state".to_owned(), "orders".to_owned());
        let demand = Demand { topic, partitions: 6, widest, replication: None };
        assert_eq!(demand.judge_topic(6, Some("compact")), Judgement::Fits(6));
        assert_eq!(demand.judge_topic(9, None), Judgement::Fits(9));
        let unfit = |partitions, policy| match demand.judge_topic(partitions, Some(policy)) {
            Judgement::Unfit(problem) => problem,
            other => panic!("{other:?}"),
        };
        for policy in ["delete", "compact,delete"] {
            let problem = unfit(6, policy);
            assert!(problem.contains(&format!("cleanup.policy={policy}, which forgets")));
            assert!(problem.contains("set it to compact"), "{problem}");
        }
        let narrow = unfit(4, "compact");
        assert!(narrow.contains("has 4 partitions and \"orders\" has 6"), "{narrow}");
        assert!(narrow.contains("give it 6 partitions"), "{narrow}");
    }
}
