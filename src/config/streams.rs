//! `[source.redis]` and `[sink.redis]`: Redis Streams in the place of Kafka's topics.
//!
//! What both systems have stands where Kafka's does: the streams in `source.topics` and
//! `sink.topic`, the group in `source.group`, and the expressions of a result. Here is the rest,
//! and that it is there says which system is meant.

use std::{path::PathBuf, time::Duration};

use super::{
    build::Builder,
    hints,
    keys::streams::{CLAIM_IDLE, CLAIM_INTERVAL, FIELD, MAX_CLAIMS},
    range::{self, Range},
    settings::{
        Guarantee, KafkaClient, KafkaSink, KafkaSource, OnGap, Settings, SinkPartition, Start,
        Tombstones,
    },
    tree::{Node, Value},
    units::show_duration,
    values::{self, Typed, Wrong},
};
use crate::limits::STREAMS_MAX;

/// Where the streams are, where that is not in Kafka.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    /// `[source.redis]`.
    pub source: Option<RedisSource>,
    /// `[sink.redis]`.
    pub sink: Option<RedisSink>,
}

/// `[source.redis]`.
#[derive(Clone, Debug)]
pub struct RedisSource {
    /// `url`, with secrets resolved; never printed.
    pub url: String,
    /// The URL as it may be shown.
    pub shown: String,
    /// `consumer`.
    pub consumer: String,
    /// `start`.
    pub start: StreamStart,
    /// `field`: the one that holds the record. Without it all fields are an object.
    pub field: Option<String>,
    /// `infer`: values of such an object need not be text.
    pub infer: bool,
    /// `claim_idle`.
    pub claim_idle: Duration,
    /// `claim_interval`.
    pub claim_interval: Duration,
    /// `max_claims`.
    pub max_claims: u64,
    /// `delete_acked`.
    pub delete_acked: bool,
    /// `on_group_lost = "recreate"`.
    pub makes_group_anew: bool,
    /// `positions`: the streams are read without a group, and that file says how far.
    pub positions: Option<PathBuf>,
}

/// `[sink.redis]`.
#[derive(Clone, Debug)]
pub struct RedisSink {
    /// `url`, with secrets resolved; never printed.
    pub url: String,
    /// The URL as it may be shown.
    pub shown: String,
    /// `field`.
    pub field: String,
    /// `maxlen`: about so many entries stay in the stream.
    pub maxlen: Option<u64>,
}

/// Where a group that is not there yet begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamStart {
    /// At the oldest entry.
    Earliest,
    /// After the newest entry.
    Latest,
    /// At that entry or the first one behind it: its two numbers.
    Id(u64, u64),
    /// At the first entry of that time or later: milliseconds since the epoch.
    Time(i64),
    /// At the first entry not older than that.
    Age(Duration),
}

/// Keys of `[source.redis]` that only a consumer group has.
const GROUP_KEYS: [&str; 7] = [
    "group",
    "consumer",
    "claim_idle",
    "claim_interval",
    "max_claims",
    "delete_acked",
    "on_group_lost",
];

impl Settings {
    /// Whether source or sink is in Redis.
    pub fn uses_streams(&self) -> bool {
        self.streams.source.is_some() || self.streams.sink.is_some()
    }

    /// The streams of the source, if they are read without a group: positions stand in a file, or
    /// nowhere, because the run has a beginning or an end of its own.
    pub fn read_plainly(&self) -> Option<&RedisSource> {
        let has_range = self.source.range.is_given();
        self.streams.source.as_ref().filter(|it| has_range || it.positions.is_some())
    }
}

/// Names of streams; a key of a Redis may be any text.
pub(super) fn parse_streams(node: &Node) -> Result<Typed, Wrong> {
    let what = "a list of streams, such as [\"orders\"]";
    let Value::List(items) = &node.value else { return Err(values::expected(what, node)) };
    if items.is_empty() || items.len() > STREAMS_MAX {
        return Err(format!("there must be 1 to {STREAMS_MAX} streams").into());
    }
    values::different(items, |item| match values::text(item, "the name of a stream")? {
        "" => Err("a stream's name may not be empty".to_owned().into()),
        name => Ok(name.to_owned()),
    })
}

/// Where a group begins.
pub(super) fn parse_start(node: &Node) -> Result<StreamStart, Wrong> {
    const WHAT: &str = "\"earliest\", \"latest\", an id such as \"1732160220000-0\", a time such \
                        as \"2026-11-21T05:37:00Z\" or an age such as \"1h\"";
    let text = match &node.value {
        Value::Text(text) | Value::Time(text) => text.as_str(),
        _ => return Err(values::expected(WHAT, node)),
    };
    if let Some((ms, number)) = text.split_once('-')
        && let (Ok(ms), Ok(number)) = (ms.parse(), number.parse())
    {
        return Ok(StreamStart::Id(ms, number));
    }
    match range::parse_start(text) {
        Some(Start::Earliest) => Ok(StreamStart::Earliest),
        Some(Start::Latest) => Ok(StreamStart::Latest),
        Some(Start::Time(ms)) => Ok(StreamStart::Time(ms)),
        Some(Start::Age(age)) => Ok(StreamStart::Age(age)),
        None => {
            let hint = hints::did_you_mean(text, ["earliest", "latest"]);
            Err(Wrong { hint, ..values::expected(WHAT, node) })
        }
    }
}

impl Builder<'_> {
    /// What of the two sections Kafka has nothing like.
    pub(crate) fn streams(&mut self, instance: &str) -> Streams {
        let source = self.stands("source.redis").then(|| self.stream_source(instance));
        let sink = self.stands("sink.redis").then(|| self.stream_sink(source.as_ref()));
        for (redis, kafka) in
            [("source.redis", "source.kafka.topics"), ("sink.redis", "sink.kafka.topic")]
        {
            if self.stands(redis) && self.stands(kafka) {
                let what = redis.split('.').next().unwrap_or_default();
                let message = format!("there is one {what}, in Kafka or in Redis, not in both");
                self.error(redis, message, &format!("take it or {kafka} out"));
            }
        }
        Streams { source, sink }
    }

    fn stream_source(&mut self, instance: &str) -> RedisSource {
        let key = |name: &str| format!("source.redis.{name}");
        self.required(&key("url"), "url = \"redis://localhost:6379/0\"");
        let (url, shown) = self.redis_url(&key("url"));
        let field = self.text_at(&key("field"));
        if field.is_some() {
            for name in ["fields", "infer"] {
                if self.stands(&key(name)) {
                    let message = "this concerns entries whose fields are an object, not one field";
                    self.error(&key(name), message, "take it or source.redis.field out");
                }
            }
        }
        let positions = self.text_at(&key("positions")).map(|_| self.path(&key("positions")));
        if positions.is_some() {
            self.refuse_group_keys();
        }
        let consumer = self.text_at(&key("consumer")).unwrap_or_else(|| {
            if positions.is_none() {
                self.derive(&key("consumer"), instance, "instance");
            }
            instance.to_owned()
        });
        RedisSource {
            url,
            shown,
            consumer,
            start: match self.typed(&key("start")) {
                Some(Typed::StreamStart(start)) => *start,
                _ => StreamStart::Latest,
            },
            field,
            infer: self.boolean(&key("infer")),
            claim_idle: self.duration(&key("claim_idle")).unwrap_or(CLAIM_IDLE),
            claim_interval: self.duration(&key("claim_interval")).unwrap_or(CLAIM_INTERVAL),
            max_claims: match self.typed(&key("max_claims")) {
                Some(Typed::Integer(claims)) => *claims,
                _ => MAX_CLAIMS,
            },
            delete_acked: self.boolean(&key("delete_acked")),
            makes_group_anew: self.text(&key("on_group_lost")) == "recreate",
            positions,
        }
    }

    /// What a group has, and a reader without one has not.
    fn refuse_group_keys(&mut self) {
        for name in GROUP_KEYS {
            let key = format!("source.redis.{name}");
            if self.stands(&key) {
                let message = "this concerns a consumer group, and with source.redis.positions \
                               the streams are read without one";
                self.error(&key, message, "take it or source.redis.positions out");
            }
        }
    }

    fn stream_sink(&mut self, source: Option<&RedisSource>) -> RedisSink {
        let key = |name: &str| format!("sink.redis.{name}");
        let (url, shown) = match source.filter(|_| !self.stands(&key("url"))) {
            Some(source) => {
                self.derive(&key("url"), &source.shown, "source.redis.url");
                (source.url.clone(), source.shown.clone())
            }
            None => {
                self.required(&key("url"), "url = \"redis://localhost:6379/0\"");
                self.redis_url(&key("url"))
            }
        };
        RedisSink {
            url,
            shown,
            field: self.text_at(&key("field")).unwrap_or_else(|| FIELD.to_owned()),
            maxlen: match self.typed(&key("maxlen")) {
                Some(Typed::Integer(entries)) => Some(*entries),
                _ => None,
            },
        }
    }

    /// What a source in Redis has of a Kafka source.
    pub(crate) fn redis_source(&mut self, name: &str, redis: &RedisSource) -> KafkaSource {
        let streams = match self.typed("source.redis.streams") {
            Some(Typed::Texts(streams)) => streams.clone(),
            _ => Vec::new(),
        };
        if !self.stands("source.redis.streams") {
            let message = "a source is missing: at least one stream to read";
            self.error("source.redis.streams", message, "streams = [\"orders\"] in [source.redis]");
        }
        let group = self.text_at("source.redis.group").unwrap_or_else(|| {
            if redis.positions.is_none() {
                self.derive("source.redis.group", name, "name");
            }
            name.to_owned()
        });
        KafkaSource {
            client: client(&redis.shown),
            topics: streams,
            group,
            start: Start::Latest,
            on_gap: OnGap::Continue,
            // An entry without the field of the record is none to be passed over.
            tombstones: Tombstones::Reject,
            range: Range::default(),
        }
    }

    /// What a sink in Redis has of a Kafka sink.
    pub(crate) fn redis_sink(&mut self, redis: &RedisSink) -> KafkaSink {
        let topic = self.required("sink.redis.stream", "stream = \"processed\" in [sink.redis]");
        let expression =
            |key: &str, default: &str| self.text_at(key).unwrap_or_else(|| default.to_owned());
        KafkaSink {
            key: expression("sink.redis.key", "record.key"),
            value: expression("sink.redis.value", "event"),
            client: client(&redis.shown),
            topic,
            partition: SinkPartition::Key,
        }
    }

    /// Dead letters go to the source's system.
    pub(crate) fn stream_letters(&mut self, redis: &RedisSource) -> KafkaClient {
        for key in ["dead_letters.brokers", "dead_letters.properties"] {
            if self.stands(key) {
                let message = "dead letters of Redis Streams go to a stream of the same Redis";
                self.error(key, message, "take it out");
            }
        }
        client(&redis.shown)
    }

    pub(crate) fn check_streams(&mut self, settings: &Settings) {
        if !settings.uses_streams() {
            return;
        }
        let Streams { source, sink } = &settings.streams;
        let has_positions = source.as_ref().is_some_and(|it| it.positions.is_some());
        if settings.delivery.guarantee == Guarantee::ExactlyOnce && has_positions {
            let message = "exactly-once ties results to acknowledgements in a consumer group, and \
                           with source.redis.positions there is none";
            let hint = "at-least-once, or take source.redis.positions out";
            self.error("delivery.guarantee", message, hint);
        } else if settings.delivery.guarantee == Guarantee::ExactlyOnce {
            let place = |url: &str| place_of(url).to_owned();
            let source = source.as_ref().map(|it| place(&it.url));
            let sink = sink.as_ref().map(|it| place(&it.url));
            if source.is_none() || source != sink {
                let message = "exactly-once acknowledges and writes in one step, which only one \
                               server can: source and sink are not the same Redis";
                let hint = "at-least-once, or sink and source on the same server";
                self.error("delivery.guarantee", message, hint);
            }
        }
        let interval = settings.delivery.commit_interval;
        let waits = source.as_ref().filter(|_| !has_positions);
        if waits.is_some_and(|it| it.claim_idle <= interval) {
            let message = format!(
                "entries are acknowledged every {}: others take them before that",
                show_duration(interval)
            );
            let hint = "a multiple of delivery.commit_interval";
            let key = ["source.redis.claim_idle", "delivery.commit_interval"];
            let key = key.into_iter().find(|it| self.stands(it)).unwrap_or(key[0]);
            self.warning(key, message, hint);
        }
        if settings.keeps_state() {
            let message = "steps that keep state need Kafka as source and sink: their state lies \
                           in a topic beside the results";
            self.error(settings.source_section(), message, "take those steps out");
        }
    }
}

/// So that the two systems, or two servers of one, are told apart where topics are compared.
fn client(shown: &str) -> KafkaClient {
    KafkaClient { brokers: shown.to_owned(), ..KafkaClient::default() }
}

/// Host, port and database of a URL.
fn place_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    rest.trim_end_matches("/0").trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::*, *};

    fn load_text(text: &str) -> Result<Loaded, Report> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hotspur.toml");
        fs::write(&file, text).unwrap();
        load(&Sources { file: Some(file), ..Sources::default() })
    }

    const SOURCE: &str = "name = \"orders\"\ninstance = \"7\"\n[source.redis]\n\
        url = \"redis://me:hush@host/1\"\nstreams = [\"orders:in\", \"more\"]\n";
    const SINK: &str = "[sink.redis]\nstream = \"orders:out\"\n";

    #[test]
    fn what_the_file_does_not_say_follows_from_the_rest() {
        let loaded = load_text(&format!("{SOURCE}{SINK}")).unwrap();
        let settings = &loaded.settings;
        let source = settings.streams.source.as_ref().unwrap();
        assert_eq!((source.consumer.as_str(), settings.source.group.as_str()), ("7", "orders"));
        assert_eq!(source.shown, "redis://me:***@host/1");
        assert_eq!((source.start, source.max_claims), (StreamStart::Latest, MAX_CLAIMS));
        assert_eq!((source.claim_idle, source.claim_interval), (CLAIM_IDLE, CLAIM_INTERVAL));
        assert!(source.field.is_none() && !source.infer && !source.makes_group_anew);
        assert_eq!(settings.source.topics, ["orders:in", "more"]);
        assert_eq!(settings.dead_letters.topic, "orders:in.dead");
        let sink = settings.streams.sink.as_ref().unwrap();
        assert_eq!((&sink.url, sink.field.as_str(), sink.maxlen), (&source.url, FIELD, None));
        assert_eq!(settings.sink.value, "event");
        assert_eq!(settings.result_topics()[0].0, "sink.redis.stream");
        let derived = |key: &str| {
            let found = loaded.effective.iter().find(|it| it.key == key).unwrap();
            (found.value.clone(), found.layer.clone())
        };
        let expected = ("\"redis://me:***@host/1\"".to_owned(), "source.redis.url".to_owned());
        assert_eq!(derived("sink.redis.url"), expected);
        assert_eq!(derived("source.redis.consumer").1, "instance");
    }

    #[test]
    fn with_positions_there_is_no_group_and_the_file_is_beside_this_one() {
        let text = format!("{SOURCE}positions = \"at/positions.json\"\n{SINK}");
        let slow_commits = "[delivery]\ncommit_interval = \"10m\"\n";
        let loaded = load_text(&format!("{text}{slow_commits}")).unwrap();
        let path = loaded.settings.streams.source.as_ref().unwrap().positions.clone().unwrap();
        assert!(path.is_absolute() && path.ends_with("at/positions.json"), "{path:?}");
        assert!(loaded.settings.read_plainly().is_some());
        assert!(loaded.warnings.problems.is_empty(), "{}", loaded.warnings);
        let has = |key: &str| loaded.effective.iter().any(|it| it.key == key);
        assert!(has("source.redis.positions"));
        assert!(!has("source.redis.group") && !has("source.redis.consumer"));
        let exactly = "[delivery]\nguarantee = \"exactly-once\"\n";
        let report = load_text(&format!("{text}{exactly}")).unwrap_err().to_string();
        assert!(report.contains("ties results to acknowledgements"), "{report}");
        assert!(load_text(&format!("{SOURCE}{SINK}")).unwrap().settings.read_plainly().is_none());
    }

    #[test]
    fn a_group_begins_at_a_word_an_id_a_time_or_an_age() {
        for (word, start) in [
            ("earliest", StreamStart::Earliest),
            ("1732160220000-3", StreamStart::Id(1_732_160_220_000, 3)),
            ("1970-01-01T00:00:01Z", StreamStart::Time(1000)),
            ("1h", StreamStart::Age(Duration::from_secs(3600))),
        ] {
            let text = format!("{SOURCE}start = \"{word}\"\n{SINK}");
            let settings = load_text(&text).unwrap().settings;
            assert_eq!(settings.streams.source.unwrap().start, start, "{word}");
        }
        let report = load_text(&format!("{SOURCE}start = \"earlyest\"\n{SINK}")).unwrap_err();
        let report = report.to_string();
        assert!(report.contains("expected \"earliest\", \"latest\", an id"), "{report}");
        assert!(report.contains("did you mean \"earliest\"?"), "{report}");
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let exactly = "[delivery]\nguarantee = \"exactly-once\"\n";
        let kafka_sink = "[sink.kafka]\ntopic = \"t\"\n";
        let cases = [
            (SOURCE.to_owned(), "sink.kafka.topic: a sink is missing"),
            ("[source.redis]\n[sink.redis]\n".to_owned(), "source.redis.url: this is missing"),
            ("[source.redis]\n[sink.redis]\n".to_owned(), "source.redis.streams: a source is"),
            (format!("{SOURCE}field = \"f\"\ninfer = true\n{SINK}"), "source.redis.infer: this"),
            (format!("{SOURCE}{SINK}{kafka_sink}"), "there is one sink, in Kafka or in Redis"),
            (format!("{SOURCE}{kafka_sink}{exactly}"), "which only one server can"),
            (format!("{SOURCE}{SINK}url = \"redis://other\"\n{exactly}"), "only one server can"),
            (SOURCE.to_owned() + "[sink.redis]\nstream = \"more\"\n", "results would come again"),
            (format!("{SOURCE}{SINK}[dead_letters]\nbrokers = \"b:1\"\n"), "of the same Redis"),
            (format!("{SOURCE}{SINK}url = \"rediss://other\"\n"), "TLS to Redis is not built"),
        ];
        for (text, expected) in cases {
            let report = load_text(&text).err().unwrap_or_else(|| panic!("{text}")).to_string();
            assert!(report.contains(expected), "{expected} in\n{report}");
            assert!(!report.contains("hush"), "{report}");
        }
        for key in GROUP_KEYS {
            let value = match key {
                "group" | "consumer" => "\"a\"",
                "claim_idle" | "claim_interval" => "\"1m\"",
                "max_claims" => "3",
                "delete_acked" => "false",
                _ => "\"stop\"",
            };
            let text = format!("{SOURCE}positions = \"p\"\n{key} = {value}\n{SINK}");
            let report = load_text(&text).unwrap_err().to_string();
            let expected = format!("source.redis.{key}: this concerns a consumer group");
            assert!(report.contains(&expected) && report.contains(value), "{report}");
        }
        let slow = format!("{SOURCE}claim_idle = \"100ms\"\n{SINK}");
        let warnings = load_text(&slow).unwrap().warnings.to_string();
        assert!(warnings.contains("others take them before that"), "{warnings}");
    }
}
