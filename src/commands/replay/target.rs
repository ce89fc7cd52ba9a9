//! Where letters go: the topics they came from, one topic, or through the steps to the sink.

use std::{collections::BTreeMap, sync::atomic::AtomicBool};

use super::{Arguments, Failure, PEER, failure};
use crate::{
    assemble::StepsAlone,
    commands::run,
    config::{
        Loaded, Settings,
        settings::{DeadLetters, KafkaClient, RedisSink},
    },
    delivery::dead_letter::{opened::OpenedLetter, replayed},
    transport::{
        Trouble,
        kafka::KafkaAdmin,
        redis::{Address, RedisAdmin},
    },
};

use super::fate::Fate;

/// What is done with a letter.
#[derive(Debug)]
pub(super) enum Place {
    /// Back into the topic that it came from.
    Source,
    /// Into that topic.
    Topic(String),
    /// Through the steps here.
    Pipeline(Box<StepsAlone>),
}

/// Who answers questions about topics, or streams.
#[derive(Debug)]
pub(super) enum Admin {
    Topics(KafkaAdmin),
    Streams(RedisAdmin),
}

impl Admin {
    /// How many partitions the topic has, if it is there; a stream has one.
    fn partitions(&mut self, name: &str) -> Result<Option<i32>, Trouble> {
        let is_no_name =
            |code: &str| matches!(code, "_INVALID_ARG" | "TOPIC_EXCEPTION" | "WRONGTYPE");
        let found = match self {
            Admin::Topics(admin) => admin.partitions(name).map(|it| it.map(|it| it as i32)),
            Admin::Streams(admin) => admin.entries(name).map(|it| it.map(|_| 1)),
        };
        match found {
            // A letter may say anything: there is no topic of such a name.
            Err(trouble) if is_no_name(trouble.code) => Ok(None),
            found => found,
        }
    }

    /// What it knows.
    fn what(&self) -> &'static str {
        match self {
            Admin::Topics(_) => "topic",
            Admin::Streams(_) => "stream",
        }
    }

    fn groups_reading(&mut self, name: &str) -> Result<Vec<String>, Trouble> {
        match self {
            Admin::Topics(admin) => admin.groups_reading(name),
            Admin::Streams(admin) => admin.groups(name),
        }
    }
}

/// Where letters go, and what is known of the topics there.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) place: Place,
    admin: Admin,
    /// Partitions of each topic that was asked for; `None` where there is no such topic.
    topics: BTreeMap<String, Option<i32>>,
}

impl Target {
    /// Checks that what is named is there, and can be written to in one transaction with the
    /// records of what was replayed.
    pub(super) fn open(
        loaded: &Loaded,
        arguments: &Arguments,
        admin: Admin,
        stop: &AtomicBool,
    ) -> Result<Target, Failure> {
        let settings = &loaded.settings;
        let place = match arguments.to.as_str() {
            "source" => {
                if let Admin::Topics(admin) = &admin {
                    let source = ("source", &settings.source.client);
                    require_one_cluster(settings, admin, source, stop)?;
                }
                Place::Source
            }
            "pipeline" => {
                require_one_place(settings, &admin, stop)?;
                let steps = StepsAlone::open(settings, stop);
                Place::Pipeline(Box::new(steps.map_err(|it| run::failure(it, Some(loaded)))?))
            }
            topic => Place::Topic(other_topic(settings, topic)?),
        };
        let mut target = Target { place, admin, topics: BTreeMap::new() };
        let must_be_there: Vec<String> = match &target.place {
            Place::Source => Vec::new(),
            Place::Topic(topic) => vec![topic.clone()],
            // Streams of results are made where they are missing, as by a run.
            Place::Pipeline(_) if matches!(target.admin, Admin::Streams(_)) => Vec::new(),
            Place::Pipeline(_) => {
                settings.result_topics().into_iter().map(|(_, topic)| topic).collect()
            }
        };
        for topic in must_be_there {
            if target.partitions(settings, &topic)?.is_none() {
                let brokers = &settings.dead_letters.client.brokers;
                let what = target.admin.what();
                return Err(Failure::unavailable(format!(
                    "{PEER}: there is no {what} {topic:?} on {brokers} to replay into"
                )));
            }
        }
        Ok(target)
    }

    /// Who answers questions about them.
    pub(super) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// How many partitions the topic has, if it is there. The first time, the groups that will see
    /// again what goes back into it are named.
    pub(super) fn partitions(
        &mut self,
        settings: &Settings,
        topic: &str,
    ) -> Result<Option<i32>, Failure> {
        if let Some(known) = self.topics.get(topic) {
            return Ok(*known);
        }
        let partitions = self.admin.partitions(topic).map_err(failure)?;
        self.topics.insert(topic.to_owned(), partitions);
        match (&self.place, partitions) {
            (Place::Source, Some(_)) => self.name_other_groups(settings, topic),
            (Place::Source, None) => {
                tracing::warn!(event = "replay.no_topic", topic, "letters came from it, and stay");
            }
            _ => {}
        }
        Ok(partitions)
    }

    fn name_other_groups(&mut self, settings: &Settings, topic: &str) {
        let own = &settings.source.group;
        let others = self.admin.groups_reading(topic).map(|mut groups| {
            groups.retain(|it| it != own);
            groups.join(" ")
        });
        match others.as_deref() {
            Ok("") => {
                let event = "replay.no_other_groups";
                tracing::info!(event, topic, own, "as far as this user may see, no other reads it");
            }
            Ok(groups) => tracing::warn!(
                event = "replay.other_groups",
                topic,
                groups,
                "these consumer groups read it too, and will see the records again"
            ),
            Err(trouble) => tracing::warn!(
                event = "replay.groups_unknown",
                topic,
                code = trouble.code,
                "which other groups will see the records again is not known: {}",
                trouble.text
            ),
        }
    }

    /// Why that letter cannot go there, if so.
    pub(super) fn refuses(
        &mut self,
        settings: &Settings,
        letter: &OpenedLetter<'_>,
    ) -> Result<Option<Fate>, Failure> {
        let topic = letter.source.map(|(topic, _, _)| topic);
        Ok(match (&self.place, topic) {
            (Place::Topic(_), _) => None,
            (_, None) => Some(Fate::Foreign),
            (Place::Pipeline(_), Some(topic)) => {
                let is_ours = settings.source.topics.iter().any(|it| it == topic);
                (!is_ours).then_some(Fate::OfOthers)
            }
            (Place::Source, Some(topic)) => {
                let is_there = self.partitions(settings, topic)?.is_some();
                (!is_there).then_some(Fate::NoTopic)
            }
        })
    }
}

/// A topic that is not one of the dead letters' own.
fn other_topic(settings: &Settings, topic: &str) -> Result<String, Failure> {
    let dead = &settings.dead_letters.topic;
    match topic == dead || topic == replayed::topic_of(dead) {
        true => Err(Failure::usage(format!(
            "--to {topic}: that is where the dead letters lie; letters come back there by \
             themselves if they are rejected again"
        ))),
        false => Ok(topic.to_owned()),
    }
}

/// One transaction, or one script, can write to one place.
fn require_one_place(settings: &Settings, admin: &Admin, stop: &AtomicBool) -> Result<(), Failure> {
    let (admin, sink) = match (admin, &settings.streams.sink) {
        (Admin::Topics(admin), None) => (admin, ("sink", &settings.sink.client)),
        (Admin::Streams(_), Some(sink)) if is_of_source(settings, sink) => return Ok(()),
        (admin, _) => {
            let DeadLetters { client: dead, topic, .. } = &settings.dead_letters;
            let (what, to) = (admin.what(), admin.what().to_uppercase());
            return Err(Failure::usage(format!(
                "the sink is elsewhere ({}) than the dead letters of {topic} ({}): results and \
                 what is recorded of them could not be written as one. `--to source` or `--to \
                 {to}` copies them to a {what} where they are",
                settings.sink.client.brokers, dead.brokers
            )));
        }
    };
    require_one_cluster(settings, admin, sink, stop)
}

/// Whether a sink is in the database that the source is in.
fn is_of_source(settings: &Settings, sink: &RedisSink) -> bool {
    let address = |url: &str, shown: &str| Address::parse(url, shown).ok();
    let source = settings.streams.source.as_ref();
    let source = source.and_then(|it| address(&it.url, &it.shown));
    let sink = address(&sink.url, &sink.shown);
    source.zip(sink).is_some_and(|(source, sink)| source.is_same_server(&sink))
}

/// One transaction can write to one cluster.
fn require_one_cluster(
    settings: &Settings,
    admin: &KafkaAdmin,
    (whose, client): (&'static str, &KafkaClient),
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let DeadLetters { client: dead, topic, .. } = &settings.dead_letters;
    if client.brokers == dead.brokers {
        return Ok(());
    }
    let timeout = settings.engine.start_timeout;
    let other = KafkaAdmin::connect_unless(whose, client, timeout, stop).map_err(failure)?;
    match (admin.cluster_id(), other.cluster_id()) {
        (Some(one), Some(other)) if one == other => Ok(()),
        _ => Err(Failure::usage(format!(
            "the {whose} is on another cluster ({}) than the dead letters of {topic} ({}): one \
             transaction cannot write to both. `--to TOPIC` copies them within theirs",
            client.brokers, dead.brokers
        ))),
    }
}
