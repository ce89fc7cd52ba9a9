//! The checked configuration: plain structs, every value resolved, every default in place.
//!
//! Field names are the keys of the file (INTERFACE: configuration). Durations are `Duration`, sizes
//! are bytes, shares 0 to 1. Text that is an expression or a template stays text here: the pipeline
//! compiles it, and reports problems with the same key path.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

pub use super::{
    breaker::Breaker,
    delivery::{Delivery, Guarantee},
    engine::{Core, Engine, Idle, Scheduling},
    retry::Retry,
    state::State,
    steps::{
        Alias, Dedup, Each, HashAlgorithm, JsonType, OnMiss, Operator, Otherwise, Require, Route,
        Rules, Step, Window, WindowKind,
    },
    streams::{RedisSink, RedisSource, StreamStart, Streams},
};
use super::{
    keys::table,
    librdkafka::{self, Scope},
    range::Range,
    requirement::Requirement,
};
use crate::limits::RETRIED_WAITING_MAX;

/// Everything a run needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `name`.
    pub name: String,
    /// `instance`.
    pub instance: String,
    /// `profile`: the name or path that was chosen.
    pub profile: String,
    /// `[source.kafka]`, merged with `[kafka]`; of `[source.redis]` what both have.
    pub source: KafkaSource,
    /// `[sink.kafka]`, merged with `[kafka]`; of `[sink.redis]` what both have.
    pub sink: KafkaSink,
    /// The rest of `[source.redis]` and `[sink.redis]`.
    pub streams: Streams,
    /// `[dead_letters]`, merged with `[kafka]`.
    pub dead_letters: DeadLetters,
    /// `[delivery]`.
    pub delivery: Delivery,
    /// `[tables.*]`, in order of their names.
    pub tables: Vec<Table>,
    /// `[[steps]]`, in order.
    pub steps: Vec<Step>,
    /// `[state]`.
    pub state: State,
    /// `[latency]`.
    pub latency: Latency,
    /// `[engine]`.
    pub engine: Engine,
    /// `[limits]`.
    pub limits: Limits,
    /// `[observe]`.
    pub observe: Observe,
    /// `[log]`.
    pub log: Log,
    /// `[measure]`.
    pub measure: Measure,
}

/// How one Kafka client reaches its cluster: librdkafka properties, `bootstrap.servers` included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaClient {
    /// `brokers`.
    pub brokers: String,
    /// `properties`: profile, `[kafka]` and the client's own, merged key by key.
    pub properties: BTreeMap<String, String>,
}

impl KafkaClient {
    /// The same cluster for a client that writes: what only concerns one that reads is left out.
    pub fn for_writing(&self) -> KafkaClient {
        self.without(Scope::Consumer)
    }

    /// The same cluster for a client that reads or asks.
    pub fn for_reading(&self) -> KafkaClient {
        self.without(Scope::Producer)
    }

    /// The same cluster for a client that asks only: source and sink of one cluster ask alike.
    pub fn for_asking(&self) -> KafkaClient {
        self.for_reading().for_writing()
    }

    fn without(&self, scope: Scope) -> KafkaClient {
        let concerns_it = |name: &str| librdkafka::find(name).is_some_and(|it| it.scope == scope);
        let kept = self.properties.iter().filter(|(name, _)| !concerns_it(name));
        KafkaClient {
            brokers: self.brokers.clone(),
            properties: kept.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}

/// `[source.kafka]`.
#[derive(Clone, Debug)]
pub struct KafkaSource {
    /// How to reach it.
    pub client: KafkaClient,
    /// `topics`; at least one.
    pub topics: Vec<String>,
    /// `group`.
    pub group: String,
    /// `start`.
    pub start: Start,
    /// `on_gap`.
    pub on_gap: OnGap,
    /// `tombstones`.
    pub tombstones: Tombstones,
    /// `run --from` and `--until`; the file has no say in it.
    pub range: Range,
}

/// Where a group without offsets begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record.
    Earliest,
    /// After the newest record.
    Latest,
    /// At the first record of that time or later: milliseconds since the epoch.
    Time(i64),
    /// At the first record not older than that.
    Age(Duration),
}

/// What to do when offsets are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnGap {
    /// End the run.
    Stop,
    /// Go on behind the gap.
    Continue,
}

/// What to do with records without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tombstones {
    /// Count and pass over.
    Skip,
    /// Write them to the sink as they are.
    Pass,
    /// Dead-letter them.
    Reject,
}

/// `[sink.kafka]`.
#[derive(Clone, Debug)]
pub struct KafkaSink {
    /// How to reach it.
    pub client: KafkaClient,
    /// `topic`.
    pub topic: String,
    /// `key`: an expression.
    pub key: String,
    /// `value`: an expression.
    pub value: String,
    /// `partition`.
    pub partition: SinkPartition,
}

/// Which partition a result goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkPartition {
    /// The partitioner decides by the key.
    Key,
    /// The same number as the record's.
    Source,
}

/// `[dead_letters]`.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    /// How to reach it.
    pub client: KafkaClient,
    /// `topic`; the default is the first source topic and ".dead".
    pub topic: String,
    /// `streams_headers`.
    pub streams_headers: bool,
}

impl Settings {
    /// Records that may wait aside: for all tables on demand together, to be tried again and, where
    /// steps keep state, as duplicates of others in flight.
    pub fn records_waiting(&self) -> usize {
        let duplicates = if self.keeps_state() { self.limits.in_flight } else { 0 };
        self.records_waiting_for_others() + duplicates
    }

    /// Those of them that wait for a table, or to be tried again.
    pub fn records_waiting_for_others(&self) -> usize {
        let on_demand = self.tables.iter().filter_map(Table::on_demand);
        let retried = if self.delivery.retry.attempts > 0 { RETRIED_WAITING_MAX } else { 0 };
        on_demand.map(|it| it.max_waiting).sum::<usize>() + retried
    }

    /// Topics that results may go to by name, the sink's first, each with the key that names it.
    /// Their places are the numbers of their destinations.
    pub fn result_topics(&self) -> Vec<(String, String)> {
        let key =
            if self.streams.sink.is_some() { "sink.redis.stream" } else { "sink.kafka.topic" };
        let mut topics = vec![(key.to_owned(), self.sink.topic.clone())];
        for step in &self.steps {
            let named = match &step.operator {
                Operator::Route(route) => route.topics(),
                Operator::Window(window) => window.late.as_deref().into_iter().collect(),
                _ => continue,
            };
            for topic in named {
                if !topics.iter().any(|(_, known)| known == topic) {
                    let key = format!("{}.{}", step.place, step.operator.name());
                    topics.push((key, topic.to_owned()));
                }
            }
        }
        topics
    }

    /// The section of the source in the file.
    pub fn source_section(&self) -> &'static str {
        if self.streams.source.is_some() { "source.redis" } else { "source.kafka" }
    }

    /// The section of the sink in the file.
    pub fn sink_section(&self) -> &'static str {
        if self.streams.sink.is_some() { "sink.redis" } else { "sink.kafka" }
    }

    /// What names this process's transactions to the brokers: the same after a restart.
    pub fn transactional_id(&self) -> String {
        format!("{}-{}", self.source.group, self.instance)
    }
}

/// `[tables.NAME]`.
#[derive(Clone, Debug)]
pub struct Table {
    /// The key in `[tables]`.
    pub name: String,
    /// Where its entries are.
    pub place: TablePlace,
    /// `max_staleness`.
    pub max_staleness: Duration,
    /// `on_stale`.
    pub on_stale: OnStale,
    /// `on_empty = "fail"`: an empty table at start is an error.
    pub fail_on_empty: bool,
    /// `load_timeout`.
    pub load_timeout: Duration,
    /// `huge_pages`.
    pub huge_pages: bool,
}

impl Table {
    /// A table that says nothing but where its entries are.
    pub fn new(name: &str, place: TablePlace) -> Table {
        Table {
            name: name.to_owned(),
            place,
            max_staleness: table::MAX_STALENESS,
            on_stale: OnStale::Serve,
            fail_on_empty: true,
            load_timeout: table::LOAD_TIMEOUT,
            huge_pages: false,
        }
    }

    /// What concerns a table on demand.
    pub fn on_demand(&self) -> Option<&OnDemand> {
        match &self.place {
            TablePlace::Redis(redis) => redis.on_demand.as_ref(),
            TablePlace::File(_) => None,
        }
    }
}

/// What lookups do in a table that is older than `max_staleness`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStale {
    /// Answer from it.
    Serve,
    /// Nothing is taken from the source until it is fresh again.
    Pause,
    /// Records are dead-lettered, class `stale_table`.
    Reject,
}

/// Where a table's entries are.
#[derive(Clone, Debug)]
pub enum TablePlace {
    /// `redis` and what belongs to it.
    Redis(RedisTable),
    /// `file`: JSON lines of `{"key": …, "value": …}`, or CSV.
    File(PathBuf),
}

/// A table whose entries are in a Redis.
#[derive(Clone, Debug)]
pub struct RedisTable {
    /// URL with database and secrets resolved; never printed.
    pub url: String,
    /// The URL as it may be shown.
    pub shown: String,
    /// Keys are the prefix and the lookup key.
    pub prefix: String,
    /// `kind` and `fields`.
    pub kind: RedisKind,
    /// `refresh` and `poll_interval`.
    pub refresh: Refresh,
    /// `verify_interval`.
    pub verify_interval: Duration,
    /// `load = "on-demand"`, and what belongs to it.
    pub on_demand: Option<OnDemand>,
}

impl RedisTable {
    /// Strings under a prefix, all of them, and nothing else said.
    pub fn new(url: &str, shown: &str, prefix: &str) -> RedisTable {
        RedisTable {
            url: url.to_owned(),
            shown: shown.to_owned(),
            prefix: prefix.to_owned(),
            kind: RedisKind::String,
            refresh: Refresh::Tracking,
            verify_interval: table::VERIFY_INTERVAL,
            on_demand: None,
        }
    }
}

/// What the keys of a table hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisKind {
    /// Strings, taken as text.
    String,
    /// Strings that hold JSON.
    Json,
    /// Hashes: an object of these fields, or of all.
    Hash(Option<Vec<String>>),
}

/// How changes are learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// The server tells them.
    Tracking,
    /// Everything is read again, that long after it was read.
    Poll(Duration),
}

/// A table that holds what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnDemand {
    /// Entries at most; those longest not looked up go first.
    pub max_entries: usize,
    /// Bytes at most.
    pub max_bytes: usize,
    /// How long an absent key is remembered.
    pub absent_for: Duration,
    /// Records that wait at most.
    pub max_waiting: usize,
    /// How long a record waits at most; then `on_miss` says what becomes of it.
    pub wait: Duration,
}

/// `[latency]`.
#[derive(Clone, Debug)]
pub struct Latency {
    /// `origin`: an expression; `record.timestamp` by default.
    pub origin: String,
    /// `unit` of a number, in nanoseconds.
    pub unit_nanos: u64,
    /// `slow`: a record that is as long in transit leaves a line.
    pub slow: Duration,
    /// `stages`: only some records have them measured.
    pub are_stages_sampled: bool,
}

/// `[limits]`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `record`, bytes.
    pub record: usize,
    /// `depth`.
    pub depth: usize,
    /// `in_flight`, records.
    pub in_flight: usize,
    /// `in_flight_bytes`.
    pub in_flight_bytes: usize,
    /// `batch`, records.
    pub batch: usize,
}

/// `[observe]`.
#[derive(Clone, Debug)]
pub struct Observe {
    /// `out`.
    pub out: Option<PathBuf>,
    /// `interval`.
    pub interval: Duration,
    /// `listen`; `None` is `off`.
    pub listen: Option<SocketAddr>,
    /// `token`, resolved; never printed.
    pub token: Option<String>,
    /// `keys`.
    pub keys: KeyDisplay,
}

/// How record keys stand in slow records and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDisplay {
    /// As they are.
    Plain,
    /// Their hash.
    Hash,
    /// Not at all.
    Off,
}

/// `[measure]`.
#[derive(Clone, Debug, Default)]
pub struct Measure {
    /// `require`.
    pub require: Vec<Requirement>,
}

/// `[log]`.
#[derive(Clone, Debug)]
pub struct Log {
    /// `level`: error, warn, info, debug, trace.
    pub level: String,
    /// `format`: true for JSON, false for text; `None` is `auto`.
    pub json: Option<bool>,
}
