//! `check --connect`: reaches every peer of a configuration and says what it found.
//!
//! It asks and, if told to, makes missing topics; it never joins the group or writes a record.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    LoadedTables, StartError,
    state::{Demand, Judgement},
};
use crate::{
    cache::TableStatus,
    config::{
        Problem, Settings,
        problem::ConnectionReport,
        settings::{self, KafkaClient, Operator, Route, TablePlace},
    },
    transport::{
        Trouble,
        kafka::{KafkaAdmin, NewTopic},
        restore::{STATE_PEER, StatefulStep},
    },
};

/// Partitions of a topic that is made, where nothing says how many.
const PARTITIONS: u32 = 1;

/// How long one question to a peer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether missing topics are made, and with how many partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// Nothing is made.
    No,
    /// With as many partitions as a source topic has, or 1.
    Yes,
    /// With that many.
    Partitions(u32),
}

/// Reaches brokers, topics, the group and tables; the state topic, too, if there are `steps` that
/// keep state in it.
pub fn check_connections(
    settings: &Settings,
    steps: &[StatefulStep],
    creation: Creation,
) -> ConnectionReport {
    let mut check = Check {
        report: ConnectionReport::default(),
        creation,
        source_partitions: 0,
        patience: settings.engine.start_timeout.min(PATIENCE),
        reached: Vec::new(),
    };
    let (source, sink) = (&settings.streams.source, &settings.streams.sink);
    let readable = match source {
        None => check.source(settings),
        Some(redis) => {
            check.stream_source(settings, redis);
            None
        }
    };
    match sink {
        None => check.sink(settings),
        Some(redis) => check.stream_sink(settings, redis),
    }
    if source.is_none() {
        check.letters(settings);
    }
    if !steps.is_empty() {
        check.state(settings);
    }
    if let Some(readable) = readable {
        check.group(&settings.source, &readable);
    }
    for table in &settings.tables {
        check.table(table);
    }
    check.report
}

pub(super) struct Check {
    pub(super) report: ConnectionReport,
    creation: Creation,
    source_partitions: u32,
    patience: Duration,
    /// One connection for clients that want the same of their brokers; none where it failed.
    reached: Vec<(KafkaClient, Option<KafkaAdmin>)>,
}

impl Check {
    pub(super) fn say(&mut self, line: String) {
        self.report.lines.push(line);
    }

    /// Once: what keeps one peer from being reached mostly keeps the others, too.
    pub(super) fn problem(&mut self, key: &str, trouble: &Trouble) {
        let problem = Problem::error(key, trouble.text.as_str());
        if !self.report.problems.contains(&problem) {
            self.report.problems.push(problem);
        }
    }

    pub(super) fn refuse(&mut self, key: &str, problem: &str) {
        self.report.problems.push(Problem::error(key, problem));
    }

    fn source(&mut self, settings: &Settings) -> Option<Vec<String>> {
        let source = &settings.source;
        self.topics("source", "source.kafka.topics", &source.client, &source.topics)
    }

    fn sink(&mut self, settings: &Settings) {
        let client = &settings.sink.client;
        for (key, topic) in settings.result_topics() {
            self.topics("sink", &key, client, &[topic]);
        }
        for step in &settings.steps {
            if let Operator::Route(Route::Prefix(_, prefix)) = &step.operator {
                self.prefix(&format!("{}.route.prefix", step.place), client, prefix);
            }
        }
    }

    fn letters(&mut self, settings: &Settings) {
        let dead = &settings.dead_letters;
        let topic = std::slice::from_ref(&dead.topic);
        self.topics("dead_letters", "dead_letters.topic", &dead.client, topic);
    }

    /// The topics that are there to be used; `None` if no broker answers.
    fn topics(
        &mut self,
        peer: &'static str,
        key: &str,
        client: &KafkaClient,
        topics: &[String],
    ) -> Option<Vec<String>> {
        let index = self.reach(peer, client);
        let mut usable = Vec::new();
        for topic in topics {
            let Some(admin) = &self.reached[index].1 else { return None };
            let found =
                admin.partitions_for(peer, topic, self.patience).and_then(|found| match found {
                    Some(partitions) => {
                        admin.require_right(peer, topic).map(|()| Some((partitions, "found")))
                    }
                    None => self.create(admin, topic),
                });
            match found {
                Ok(Some((partitions, how))) => {
                    if peer == "source" {
                        self.source_partitions = self.source_partitions.max(partitions);
                    }
                    self.say(format!("{peer}: topic {topic} {how}, partitions {partitions}"));
                    usable.push(topic.clone());
                }
                Ok(None) => self.report.problems.push(
                    Problem::error(key, format!("topic {topic:?} is not on {}", client.brokers))
                        .hint("make it, or `hotspur check --connect --create`"),
                ),
                Err(trouble) => self.problem(key, &trouble),
            }
        }
        Some(usable)
    }

    /// Topics that a record may name are there.
    fn prefix(&mut self, key: &str, client: &KafkaClient, prefix: &str) {
        let index = self.reach("sink", client);
        let Some(admin) = &self.reached[index].1 else { return };
        match admin.topics(self.patience) {
            Ok(topics) => match topics.iter().filter(|it| it.starts_with(prefix)).count() {
                0 => {
                    let message = format!("no topic on {} begins with {prefix:?}", client.brokers);
                    let problem = Problem::error(key, message).hint("make those it is to name");
                    self.report.problems.push(problem);
                }
                count => self.say(format!("sink: topics {prefix}… found, {count}")),
            },
            Err(trouble) => self.problem(key, &trouble),
        }
    }

    /// The place in `reached` of a client like that. Its trouble is told once.
    fn reach(&mut self, peer: &'static str, client: &KafkaClient) -> usize {
        let asking = client.for_asking();
        if let Some(index) = self.reached.iter().position(|(it, _)| *it == asking) {
            return index;
        }
        let admin = match KafkaAdmin::connect(peer, client, self.patience) {
            Ok(admin) => Some(admin),
            Err(trouble) => {
                self.problem("kafka.brokers", &trouble);
                None
            }
        };
        self.reached.push((asking, admin));
        self.reached.len() - 1
    }

    fn create(
        &self,
        admin: &KafkaAdmin,
        topic: &str,
    ) -> Result<Option<(u32, &'static str)>, Trouble> {
        let partitions = match self.creation {
            Creation::No => return Ok(None),
            Creation::Yes => self.source_partitions.max(PARTITIONS),
            Creation::Partitions(partitions) => partitions,
        };
        let name = topic.to_owned();
        admin.create_topic(&NewTopic {
            name,
            partitions,
            replication: None,
            is_compacted: false,
        })?;
        Ok(Some((partitions, "made")))
    }

    fn state(&mut self, settings: &Settings) {
        let source = self.reach("source", &settings.source.client);
        let state = self.reach(STATE_PEER, &settings.state.client);
        let (Some(source), Some(admin)) = (&self.reached[source].1, &self.reached[state].1) else {
            return;
        };
        let found = Demand::of(settings, source, self.patience).and_then(|demand| {
            Ok(match demand.judge(admin, self.patience)? {
                Judgement::Missing if self.creation != Creation::No => {
                    (Judgement::Fits(demand.make(admin)?), "made")
                }
                judgement => (judgement, "found"),
            })
        });
        let (key, topic) = ("state.topic", &settings.state.topic);
        match found {
            Err(trouble) => self.problem(key, &trouble),
            Ok((Judgement::Fits(partitions), how)) => {
                self.say(format!("{STATE_PEER}: topic {topic} {how}, partitions {partitions}"));
            }
            Ok((Judgement::Unfit(problem), _)) => {
                self.report.problems.push(Problem::error(key, problem));
            }
            // A run makes it.
            Ok((Judgement::Missing, _)) => {
                self.say(format!("{STATE_PEER}: topic {topic} is not there, a run will make it"));
            }
        }
    }

    fn group(&mut self, source: &settings::KafkaSource, topics: &[String]) {
        let group = &source.group;
        let lags = KafkaAdmin::group_lag(&source.client, group, topics, self.patience);
        let lags = match lags {
            Ok(lags) => lags,
            Err(trouble) => return self.problem("source.kafka.group", &trouble),
        };
        if topics.len() < source.topics.len() {
            return;
        }
        let known: Vec<i64> = lags.iter().filter_map(|it| it.lag()).collect();
        let line = if known.is_empty() {
            let start = start_name(source.start);
            format!("source: group {group} has no offsets yet, it will start at {start}")
        } else {
            let behind: i64 = known.iter().sum();
            let (with, all) = (known.len(), lags.len());
            format!("source: group {group} is {behind} records behind ({with} of {all} partitions)")
        };
        self.say(line);
    }

    fn table(&mut self, table: &settings::Table) {
        let name = &table.name;
        let (key, place) = match &table.place {
            TablePlace::Redis(redis) => ("redis", format!("{}, {}*", redis.shown, redis.prefix)),
            TablePlace::File(path) => ("file", path.display().to_string()),
        };
        let (stop, started) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let mut trouble = String::new();
        // A copy may take its time, but one that does not begin is not waited for that long.
        let give_up = |status: &TableStatus| {
            let has_begun = status.entries() + status.expected_entries() > 0;
            if started.elapsed() >= self.patience && !has_begun {
                trouble = match status.last_error() {
                    silence if silence.is_empty() => "it does not answer".to_owned(),
                    error => error,
                };
                stop.store(true, Ordering::Release);
            }
        };
        match LoadedTables::open(std::slice::from_ref(table), &stop, give_up) {
            Ok(loaded) => {
                let entries: u64 = loaded.statuses().map(|it| it.entries()).sum();
                let held = match table.on_demand() {
                    Some(_) => "fetched on demand".to_owned(),
                    None => format!("entries {entries}"),
                };
                self.say(format!("table {name}: {place}, {held}"));
            }
            Err(StartError::Stopped) => {
                self.report.problems.push(Problem::error(format!("tables.{name}.{key}"), trouble));
            }
            Err(StartError::Table(error)) => self
                .report
                .problems
                .push(Problem::error(format!("tables.{name}.{key}"), error.to_string())),
            Err(error) => {
                self.report
                    .problems
                    .push(Problem::error(format!("tables.{name}"), error.to_string()));
            }
        }
    }
}

fn start_name(start: settings::Start) -> &'static str {
    match start {
        settings::Start::Earliest => "the earliest record",
        settings::Start::Latest => "the latest record",
        settings::Start::Time(_) => "the configured time",
        settings::Start::Age(_) => "the configured age",
    }
}
