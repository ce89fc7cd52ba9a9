//! Every key of the configuration file and what it takes: the one table that the loader, the schema
//! and the tests read. What a key means stands in `tuning/default.toml`, which `docs` reads.
//!
//! `*` stands for a name the user chose, `[]` for an entry of a list. What is planned but not built
//! is not here but in `unbuilt`.

use std::time::Duration;

use super::librdkafka::Scope;
use crate::limits;

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// The number of the file's language.
    Version,
    /// Letters, digits, `.`, `_` and `-`: goes into file names, group names and metrics.
    Name,
    /// Any text, not empty.
    Text,
    /// Any text.
    AnyText,
    /// A path of a file or folder.
    File,
    /// An expression; the pipeline compiles it.
    Expression,
    /// A path in the event; the pipeline compiles it.
    Path,
    /// Paths and templates, in order.
    Templates,
    /// Paths and expressions, in order.
    Assignments,
    /// Paths, at least one.
    Paths,
    /// New paths and old ones, in order.
    Renames,
    /// Paths and lists of spellings, in order.
    Aliases,
    /// A file of JSON Schema, or paths and rules.
    Require,
    /// Names of headers and expressions, in order.
    Headers,
    /// Names and aggregates, in order.
    Aggregates,
    /// How long a window is, from … to, or how many records it has.
    WindowSize(Duration, Duration),
    /// The name of a Kafka topic.
    Topic,
    /// Names of Kafka topics, at least one.
    Topics,
    /// Names of topics or streams, at least one; which ones fit says where they are.
    Destinations,
    /// Names of fields, at least one.
    Fields,
    /// librdkafka properties of that kind of client.
    Properties(Scope),
    /// True or false.
    Boolean,
    /// Text that is never shown: visible ASCII.
    Secret,
    /// A share, 0 to 1.
    Share,
    /// Any number.
    Number,
    /// A whole number from … to.
    Integer(u64, u64),
    /// A duration from … to.
    Duration(Duration, Duration),
    /// A size from … to, in bytes.
    Size(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `earliest`, `latest`, a time or an age.
    Start,
    /// Names of Redis Streams, at least one.
    Streams,
    /// As `Start`, or the id of an entry.
    StreamStart,
    /// `auto`, `none` or a core's number.
    Core,
    /// `auto` or a kernel's list of cores.
    Cores,
    /// An address to listen on, or `off`.
    Listen,
    /// `skip`, `reject`, `null` or `{ default = … }`.
    OnMiss,
    /// What `measure` is to find, any number of them.
    Requirements,
    /// One of these.
    Requirement,
}

impl Kind {
    /// Whether a bare value of an environment variable stands as it is.
    pub(crate) fn is_plain_text(self) -> bool {
        use Kind::{AnyText, Expression, File, Listen, Name, Path, Secret, Text, Topic};
        matches!(self, AnyText | Expression | File | Listen | Name | Path | Secret | Text | Topic)
    }

    /// Whether `${NAME}` is replaced in its text.
    pub(crate) fn is_substituted(self) -> bool {
        use Kind::{Aggregates, Aliases, Assignments, Expression, Headers, OnMiss, Path, Paths};
        use Kind::{Renames, Require, Templates};
        let is_written_so = matches!(self, Expression | Path | Templates | OnMiss | Assignments);
        !is_written_so
            && !matches!(self, Paths | Renames | Aliases | Require | Headers | Aggregates)
    }
}

/// One key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) pattern: &'static str,
    pub(crate) kind: Kind,
}

const fn key(pattern: &'static str, kind: Kind) -> Key {
    Key { pattern, kind }
}

const fn duration(from: Duration, to: Duration) -> Kind {
    Kind::Duration(from, to)
}

const NANOSECOND: Duration = Duration::from_nanos(1);
const MICROSECOND: Duration = Duration::from_micros(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const TEN_MILLISECONDS: Duration = Duration::from_millis(10);
const HUNDRED_MILLISECONDS: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// What brokers allow, unless they are told otherwise.
const QUARTER: Duration = Duration::from_secs(15 * 60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(366 * 86_400);
const MIB: u64 = 1 << 20;

/// What holds for a table that does not say it; the default file says the same.
pub(crate) mod table {
    use std::time::Duration;

    pub(crate) const LOAD_TIMEOUT: Duration = Duration::from_secs(60);
    pub(crate) const POLL_INTERVAL: Duration = Duration::from_secs(1);
    pub(crate) const VERIFY_INTERVAL: Duration = Duration::from_secs(300);
    pub(crate) const MAX_STALENESS: Duration = Duration::from_secs(5);
    /// A file's copy is that old at times, though nothing is wrong.
    pub(crate) const FILE_AGE: Duration = Duration::from_secs(1);
    pub(crate) const MAX_ENTRIES: usize = 1_000_000;
    pub(crate) const MAX_BYTES: usize = 256 << 20;
    pub(crate) const ABSENT_FOR: Duration = Duration::from_secs(10);
    pub(crate) const MAX_WAITING: usize = 10_000;
    pub(crate) const WAIT: Duration = Duration::from_millis(100);
}

/// What holds for Redis Streams where the file does not say it; the default file says the same.
pub(crate) mod streams {
    use std::time::Duration;

    pub(crate) const CLAIM_IDLE: Duration = Duration::from_secs(60);
    pub(crate) const CLAIM_INTERVAL: Duration = Duration::from_secs(10);
    pub(crate) const MAX_CLAIMS: u64 = 10;
    pub(crate) const FIELD: &str = "payload";
}

/// What holds where a table of the breaker does not say it, because it replaces a `false`; the
/// default file says the same.
pub(crate) mod breaker {
    use std::time::Duration;

    pub(crate) const REJECTED: f64 = 0.5;
    pub(crate) const WINDOW: usize = 1000;
    pub(crate) const WITHIN: Duration = Duration::from_secs(60);
}

/// What holds for a step with state that does not say it; the default file says the same.
pub(crate) mod state {
    use std::time::Duration;

    pub(crate) const MAX_KEYS: usize = 100_000;
    pub(crate) const KEY: &str = "record.key";
    pub(crate) const TIME: &str = "record.timestamp";
    pub(crate) const LATENESS: Duration = Duration::ZERO;
}

/// A table that may also be `false`: there is none then.
pub(crate) const BREAKER: &str = "delivery.breaker";

/// The list of steps.
pub(crate) const STEPS: &str = "steps[]";

/// A key of an operator that the program brought along.
pub(crate) const OWN_KEY: &str = "steps[].*.*";

/// The key of the endpoint's token, which is a secret.
pub(crate) const TOKEN: &str = "observe.token";

/// Units of `latency.unit`, with nanoseconds in one.
pub(crate) const LATENCY_UNITS: [(&str, u64); 4] =
    [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

/// All keys, in the order of the file.
pub(crate) const KEYS: &[Key] = &[
    key("hotspur", Kind::Version),
    key("name", Kind::Name),
    key("instance", Kind::Name),
    key("profile", Kind::Text),
    key("kafka.brokers", Kind::Text),
    key("kafka.properties", Kind::Properties(Scope::Both)),
    key("source.kafka.brokers", Kind::Text),
    key("source.kafka.properties", Kind::Properties(Scope::Consumer)),
    key("source.kafka.topics", Kind::Topics),
    key("source.kafka.group", Kind::Text),
    key("source.kafka.start", Kind::Start),
    key("source.kafka.on_gap", Kind::Choice(&["stop", "continue"])),
    key("source.kafka.tombstones", Kind::Choice(&["skip", "pass", "reject"])),
    key("source.redis.url", Kind::Text),
    key("source.redis.streams", Kind::Streams),
    key("source.redis.group", Kind::Text),
    key("source.redis.consumer", Kind::Text),
    key("source.redis.start", Kind::StreamStart),
    key("source.redis.field", Kind::Text),
    key("source.redis.fields", Kind::Choice(&["object"])),
    key("source.redis.infer", Kind::Boolean),
    key("source.redis.claim_idle", duration(MILLISECOND, DAY)),
    key("source.redis.claim_interval", duration(MILLISECOND, DAY)),
    key("source.redis.max_claims", Kind::Integer(1, 1_000_000)),
    key("source.redis.delete_acked", Kind::Boolean),
    key("source.redis.on_group_lost", Kind::Choice(&["stop", "recreate"])),
    key("source.redis.positions", Kind::File),
    key("sink.kafka.brokers", Kind::Text),
    key("sink.kafka.properties", Kind::Properties(Scope::Producer)),
    key("sink.kafka.topic", Kind::Topic),
    key("sink.kafka.key", Kind::Expression),
    key("sink.kafka.value", Kind::Expression),
    key("sink.kafka.partition", Kind::Choice(&["key", "source"])),
    key("sink.redis.url", Kind::Text),
    key("sink.redis.stream", Kind::Text),
    key("sink.redis.field", Kind::Text),
    key("sink.redis.maxlen", Kind::Integer(1, 1 << 40)),
    key("sink.redis.key", Kind::Expression),
    key("sink.redis.value", Kind::Expression),
    key("dead_letters.brokers", Kind::Text),
    key("dead_letters.properties", Kind::Properties(Scope::Producer)),
    key("dead_letters.topic", Kind::Text),
    key("dead_letters.streams_headers", Kind::Boolean),
    key("delivery.guarantee", Kind::Choice(&["at-most-once", "at-least-once", "exactly-once"])),
    key("delivery.commit_interval", duration(MILLISECOND, HOUR)),
    key("delivery.transaction_timeout", duration(SECOND, QUARTER)),
    key("delivery.breaker.rejected", Kind::Share),
    key("delivery.breaker.window", Kind::Integer(1, limits::BREAKER_WINDOW_MAX as u64)),
    key("delivery.breaker.within", duration(MILLISECOND, DAY)),
    key("delivery.breaker.then", Kind::Choice(&["stop", "pause"])),
    key("delivery.retry.attempts", Kind::Integer(0, 1000)),
    key("delivery.retry.backoff", duration(MILLISECOND, HOUR)),
    key("delivery.retry.max_backoff", duration(MILLISECOND, HOUR)),
    key("tables.*.redis", Kind::Text),
    key("tables.*.prefix", Kind::AnyText),
    key("tables.*.kind", Kind::Choice(&["string", "json", "hash"])),
    key("tables.*.fields", Kind::Fields),
    key("tables.*.load", Kind::Choice(&["all", "on-demand"])),
    key("tables.*.max_entries", Kind::Integer(1, 1 << 31)),
    key("tables.*.max_bytes", Kind::Size(64 << 10, 1 << 40)),
    key("tables.*.absent_for", duration(MILLISECOND, DAY)),
    key("tables.*.max_waiting", Kind::Integer(1, limits::IN_FLIGHT_MAX as u64)),
    key("tables.*.wait", duration(MILLISECOND, MINUTE)),
    key("tables.*.refresh", Kind::Choice(&["tracking", "poll"])),
    key("tables.*.poll_interval", duration(MILLISECOND, DAY)),
    key("tables.*.verify_interval", duration(HUNDRED_MILLISECONDS, DAY)),
    key("tables.*.max_staleness", duration(TEN_MILLISECONDS, DAY)),
    key("tables.*.on_stale", Kind::Choice(&["serve", "pause", "reject"])),
    key("tables.*.on_empty", Kind::Choice(&["fail", "allow"])),
    key("tables.*.load_timeout", duration(HUNDRED_MILLISECONDS, DAY)),
    key("tables.*.huge_pages", Kind::Boolean),
    key("tables.*.file", Kind::File),
    key("steps[].name", Kind::Text),
    key("steps[].when", Kind::Expression),
    key("steps[].lookup.table", Kind::Text),
    key("steps[].lookup.key", Kind::Expression),
    key("steps[].lookup.into", Kind::Path),
    key("steps[].lookup.on_miss", Kind::OnMiss),
    key("steps[].lookup.into_age", Kind::Path),
    key("steps[].hash.algorithm", Kind::Choice(&["md5", "sha256", "xxh3"])),
    key("steps[].hash.of", Kind::Expression),
    key("steps[].hash.into", Kind::Path),
    key("steps[].text", Kind::Templates),
    key("steps[].set", Kind::Assignments),
    key("steps[].remove", Kind::Paths),
    key("steps[].keep", Kind::Paths),
    key("steps[].rename", Kind::Renames),
    key("steps[].alias", Kind::Aliases),
    key("steps[].require", Kind::Require),
    key("steps[].filter", Kind::Expression),
    key("steps[].each.of", Kind::Expression),
    key("steps[].each.into", Kind::Path),
    key("steps[].each.at", Kind::Path),
    key("steps[].route.to[].when", Kind::Expression),
    key("steps[].route.to[].topic", Kind::Text),
    key("steps[].route.otherwise", Kind::Text),
    key("steps[].route.topic", Kind::Expression),
    key("steps[].route.among", Kind::Destinations),
    key("steps[].route.prefix", Kind::Text),
    key("steps[].key", Kind::Expression),
    key("steps[].headers", Kind::Headers),
    key("steps[].sample.share", Kind::Share),
    key("steps[].sample.by", Kind::Expression),
    key("steps[].dedup.key", Kind::Expression),
    key("steps[].dedup.within", duration(MILLISECOND, YEAR)),
    key("steps[].dedup.max_keys", Kind::Integer(1, limits::STATE_KEYS_MAX)),
    key("steps[].window.kind", Kind::Choice(&["tumbling", "hopping", "session", "count"])),
    key("steps[].window.size", Kind::WindowSize(MILLISECOND, YEAR)),
    key("steps[].window.advance", duration(MILLISECOND, YEAR)),
    key("steps[].window.gap", duration(MILLISECOND, YEAR)),
    key("steps[].window.aggregate", Kind::Aggregates),
    key("steps[].window.key", Kind::Expression),
    key("steps[].window.time", Kind::Expression),
    key("steps[].window.lateness", duration(Duration::ZERO, YEAR)),
    key("steps[].window.late", Kind::Topic),
    key("steps[].window.idle", duration(MILLISECOND, YEAR)),
    key("steps[].window.emit", Kind::Choice(&["final", "updates"])),
    key("steps[].window.max_keys", Kind::Integer(1, limits::STATE_KEYS_MAX)),
    key("steps[].window.max_age", duration(MILLISECOND, YEAR)),
    key("state.topic", Kind::Topic),
    key("latency.origin", Kind::Expression),
    key("latency.unit", Kind::Choice(&["s", "ms", "us", "ns"])),
    key("latency.slow", duration(MICROSECOND, HOUR)),
    key("latency.stages", Kind::Choice(&["all", "sampled"])),
    key("engine.core", Kind::Core),
    key("engine.idle", Kind::Choice(&["auto", "spin", "pause", "yield", "park"])),
    key("engine.housekeeping_cores", Kind::Cores),
    key("engine.scheduling", Kind::Choice(&["normal", "fifo"])),
    key("engine.lock_memory", Kind::Boolean),
    key("engine.prefault", Kind::Size(0, 1 << 40)),
    key("engine.huge_pages", Kind::Boolean),
    key("engine.timer_slack", duration(NANOSECOND, SECOND)),
    key("engine.spin_clients", Kind::Boolean),
    key("engine.client_cores", Kind::Cores),
    key("engine.start_timeout", duration(HUNDRED_MILLISECONDS, DAY)),
    key("engine.drain_timeout", duration(HUNDRED_MILLISECONDS, DAY)),
    key("limits.record", Kind::Size(1 << 10, 256 * MIB)),
    key("limits.depth", Kind::Integer(1, 1024)),
    key("limits.in_flight", Kind::Integer(1, limits::IN_FLIGHT_MAX as u64)),
    key("limits.in_flight_bytes", Kind::Size(64 << 10, 64 << 30)),
    key("limits.batch", Kind::Integer(1, 65_536)),
    key("observe.listen", Kind::Listen),
    key("observe.out", Kind::File),
    key("observe.interval", duration(HUNDRED_MILLISECONDS, MINUTE)),
    key("observe.token", Kind::Secret),
    key("observe.keys", Kind::Choice(&["plain", "hash", "off"])),
    key("measure.require", Kind::Requirements),
    key("log.level", Kind::Choice(&["error", "warn", "info", "debug", "trace"])),
    key("log.format", Kind::Choice(&["auto", "text", "json"])),
];

/// The key of that pattern.
pub(crate) fn find(pattern: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.pattern == pattern)
}

/// Names that may stand right under that pattern, in order; `*` for any.
pub(crate) fn names_under(pattern: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for key in KEYS {
        let rest = match pattern {
            "" => Some(key.pattern),
            _ => key.pattern.strip_prefix(pattern).and_then(|rest| rest.strip_prefix('.')),
        };
        let name = rest.and_then(|rest| rest.split('.').next());
        if let Some(name) = name.filter(|name| !names.contains(name)) {
            names.push(name);
        }
    }
    names
}

/// What stands under a pattern and a name that the user wrote.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    /// A value.
    Leaf(&'static Key),
    /// A table with keys of its own.
    Table(String),
    /// A list of tables.
    List(String),
    /// Nothing that is known.
    Unknown,
}

/// Looks a name up under a pattern.
pub(crate) fn look_up(pattern: &str, name: &str) -> Found {
    let names = names_under(pattern);
    let dot = if pattern.is_empty() { "" } else { "." };
    let list = format!("{name}[]");
    if names.iter().any(|known| *known == list) {
        return Found::List(format!("{pattern}{dot}{list}"));
    }
    let name = if names.contains(&name) { name } else { "*" };
    if !names.contains(&name) {
        return Found::Unknown;
    }
    let pattern = format!("{pattern}{dot}{name}");
    find(&pattern).map_or(Found::Table(pattern), Found::Leaf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_keys_tables_and_lists() {
        assert!(matches!(look_up("", "name"), Found::Leaf(key) if key.kind == Kind::Name));
        assert_eq!(look_up("", "source"), Found::Table("source".into()));
        assert_eq!(look_up("tables", "users"), Found::Table("tables.*".into()));
        assert_eq!(look_up("", "steps"), Found::List("steps[]".into()));
        assert!(matches!(look_up("steps[]", "text"), Found::Leaf(_)));
        assert_eq!(look_up("steps[]", "txt"), Found::Unknown);
    }

    #[test]
    fn patterns_are_unique() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(KEYS[..index].iter().all(|other| other.pattern != key.pattern));
        }
    }
}
