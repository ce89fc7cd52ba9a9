//! `[state]`: where state of steps is kept.

use super::{
    build::Builder,
    librdkafka::Scope,
    settings::{KafkaClient, KafkaSink, Operator, Settings},
};

/// Its key.
const TOPIC: &str = "state.topic";

/// `[state]`.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// How the topic is read: on the brokers of the sink, whose producer writes it, too.
    pub client: KafkaClient,
    /// `topic`; the default is the name and ".state".
    pub topic: String,
    /// `run --reset-state`: state of steps that were changed is deleted; the file has no say in it.
    pub resets: bool,
}

impl Operator {
    /// Whether what it does with a record depends on earlier ones.
    pub fn keeps_state(&self) -> bool {
        match self {
            Operator::Dedup(_) | Operator::Window(_) => true,
            Operator::Lookup { .. }
            | Operator::Hash { .. }
            | Operator::Text(_)
            | Operator::Set(_)
            | Operator::Remove(_)
            | Operator::Keep(_)
            | Operator::Rename(_)
            | Operator::Alias(_)
            | Operator::Require(_)
            | Operator::Filter(_)
            | Operator::Each(_)
            | Operator::Route(_)
            | Operator::Key(_)
            | Operator::Headers(_)
            | Operator::Sample { .. }
            | Operator::Own(_) => false,
        }
    }
}

impl Settings {
    /// Whether any step does.
    pub fn keeps_state(&self) -> bool {
        self.steps.iter().any(|it| it.operator.keeps_state())
    }
}

impl Builder<'_> {
    pub(crate) fn state(&mut self, name: &str) -> State {
        State {
            client: self.client("sink.kafka", Scope::Consumer, name),
            topic: self.text_at(TOPIC).unwrap_or_else(|| format!("{name}.state")),
            resets: false,
        }
    }

    pub(crate) fn check_state(&mut self, settings: &Settings) {
        self.check_stateful(settings);
        if !settings.keeps_state() {
            if self.stands(TOPIC) {
                self.warning(TOPIC, "no step keeps state: this does nothing", "leave it out");
                self.check_state_topic(settings);
            }
            return;
        }
        if !self.stands(TOPIC) {
            self.derive(TOPIC, &settings.state.topic, "name");
        }
        self.check_state_topic(settings);
    }

    fn check_state_topic(&mut self, settings: &Settings) {
        if let Some(other) = same_topic(settings) {
            let message = format!(
                "\"{}\" is {other} as well: what is not state would be taken for it",
                settings.state.topic
            );
            self.error(TOPIC, message, "keep state in a topic of its own");
        }
    }
}

/// What else the state topic is.
fn same_topic(settings: &Settings) -> Option<&'static str> {
    let Settings { source, sink: KafkaSink { client, topic: sink, .. }, state, .. } = settings;
    let dead = &settings.dead_letters;
    let topic = &state.topic;
    if source.client.brokers == client.brokers && source.topics.contains(topic) {
        Some("a source topic")
    } else if sink == topic {
        Some("the sink")
    } else if dead.client.brokers == client.brokers && dead.topic == *topic {
        Some("the topic of the dead letters")
    } else {
        None
    }
}
