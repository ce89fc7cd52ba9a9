//! Typed values become `Settings`; what fits alone but not together is told here.
//!
//! A value that is missing because it was wrong has been told already: an empty one stands in for
//! it, and the settings are never handed out.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    keys::{LATENCY_UNITS, breaker},
    layers::Layer,
    librdkafka::{self, Scope},
    problem::Problem,
    properties,
    range::Range,
    requirement::Requirement,
    settings::{
        Breaker, DeadLetters, Delivery, Guarantee, KafkaClient, KafkaSink, KafkaSource, KeyDisplay,
        Latency, Limits, Log, Measure, Observe, OnGap, Settings, SinkPartition, Start, Streams,
        Tombstones,
    },
    values::{self, Typed},
    walk::{Effective, Walked},
};

/// Looks typed values up and collects what is wrong.
pub(crate) struct Builder<'a> {
    pub(crate) walked: &'a Walked,
    pub(crate) layers: &'a [Layer],
    pub(crate) problems: Vec<Problem>,
    /// Values that follow from others.
    pub(crate) derived: Vec<Effective>,
}

impl Builder<'_> {
    pub(crate) fn error(&mut self, key: &str, message: impl Into<String>, hint: &str) {
        self.problems.push(Problem::error(key, message).hint(hint));
    }

    pub(crate) fn warning(&mut self, key: &str, message: impl Into<String>, hint: &str) {
        self.problems.push(Problem::warning(key, message).hint(hint));
    }

    pub(crate) fn typed(&self, key: &str) -> Option<&Typed> {
        self.walked.values.get(key)
    }

    /// Whether something stands at that key, right or wrong.
    pub(crate) fn stands(&self, key: &str) -> bool {
        self.walked.places.contains_key(key)
    }

    pub(crate) fn text_at(&self, key: &str) -> Option<String> {
        match self.typed(key) {
            Some(Typed::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    pub(crate) fn text(&self, key: &str) -> String {
        self.text_at(key).unwrap_or_default()
    }

    /// Text that must be there.
    pub(crate) fn required(&mut self, key: &str, hint: &str) -> String {
        if !self.stands(key) {
            self.error(key, "this is missing", hint);
        }
        self.text(key)
    }

    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        match self.typed(key) {
            Some(Typed::Duration(duration)) => Some(*duration),
            _ => None,
        }
    }

    pub(crate) fn duration_or_zero(&self, key: &str) -> Duration {
        self.duration(key).unwrap_or_default()
    }

    pub(crate) fn integer(&self, key: &str) -> usize {
        match self.typed(key) {
            Some(Typed::Integer(number)) => usize::try_from(*number).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    pub(crate) fn boolean(&self, key: &str) -> bool {
        matches!(self.typed(key), Some(Typed::Boolean(true)))
    }

    /// A value of this program's own choosing, shown among the effective ones.
    pub(crate) fn derive(&mut self, key: &str, value: &str, from: &str) {
        let value = super::tree::Value::Text(value.to_owned()).to_toml();
        self.derived.push(Effective { key: key.to_owned(), value, layer: from.to_owned() });
    }

    /// A path of the file, relative to the folder of the layer that says it.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.folder(key).join(self.text(key))
    }

    /// Where the file is in which a key stands.
    pub(crate) fn folder(&self, key: &str) -> &Path {
        let place = self.walked.places.get(key);
        place.map_or(Path::new(""), |place| &self.layers[place.layer].folder)
    }

    /// All of it.
    pub(crate) fn settings(&mut self) -> Settings {
        let name = self.name();
        let instance = self.instance();
        let streams = self.streams(&instance);
        let source = self.source(&name, &streams);
        let sink = self.sink(&name, &streams);
        let dead_letters = self.dead_letters(&name, &source, &streams);
        let settings = Settings {
            profile: self.text("profile"),
            delivery: self.delivery(),
            tables: self.tables(),
            steps: self.steps(),
            state: self.state(&name),
            latency: self.latency(),
            engine: self.engine(),
            limits: self.limits(),
            observe: self.observe(),
            log: self.log(),
            measure: self.measure(),
            name,
            instance,
            source,
            sink,
            streams,
            dead_letters,
        };
        self.check_together(&settings);
        settings
    }

    fn name(&mut self) -> String {
        if self.stands("name") {
            return self.text("name");
        }
        self.derive("name", "hotspur", "no name given");
        if !self.stands("source.kafka.group") && !self.stands("source.redis.group") {
            let message =
                "without a name the group is \"hotspur\", which every such pipeline joins";
            self.warning("name", message, "name = \"orders\"");
        }
        "hotspur".to_owned()
    }

    fn instance(&mut self) -> String {
        if self.stands("instance") {
            return self.text("instance");
        }
        let instance = format!("{}-{}", super::host::name(), std::process::id());
        self.derive("instance", &instance, "host and process");
        instance
    }

    /// `[kafka]`, then the client's own section over it, key by key.
    pub(crate) fn client(&self, section: &str, scope: Scope, name: &str) -> KafkaClient {
        let own = self.text_at(&format!("{section}.brokers"));
        let brokers = own.unwrap_or_else(|| self.text("kafka.brokers"));
        let mut merged = BTreeMap::from([
            ("bootstrap.servers".to_owned(), brokers.clone()),
            ("client.id".to_owned(), name.to_owned()),
        ]);
        for key in ["kafka.properties".to_owned(), format!("{section}.properties")] {
            let Some(Typed::Pairs(pairs)) = self.typed(&key) else { continue };
            for (name, value) in pairs.iter().filter(|(name, _)| properties::concerns(name, scope))
            {
                merged.insert(librdkafka::canonical(name).to_owned(), value.clone());
            }
        }
        KafkaClient { brokers, properties: merged }
    }

    fn source(&mut self, name: &str, streams: &Streams) -> KafkaSource {
        if let Some(redis) = &streams.source {
            return self.redis_source(name, redis);
        }
        let topics = match self.typed("source.kafka.topics") {
            Some(Typed::Texts(topics)) => topics.clone(),
            _ => Vec::new(),
        };
        if !self.stands("source.kafka.topics") {
            let message = "a source is missing: at least one topic to read";
            self.error("source.kafka.topics", message, "topics = [\"orders\"] in [source.kafka]");
        }
        let group = self.text_at("source.kafka.group").unwrap_or_else(|| {
            self.derive("source.kafka.group", name, "name");
            name.to_owned()
        });
        KafkaSource {
            client: self.client("source.kafka", Scope::Consumer, name),
            topics,
            group,
            start: match self.typed("source.kafka.start") {
                Some(Typed::Start(start)) => *start,
                _ => Start::Latest,
            },
            on_gap: match self.text("source.kafka.on_gap").as_str() {
                "continue" => OnGap::Continue,
                _ => OnGap::Stop,
            },
            tombstones: match self.text("source.kafka.tombstones").as_str() {
                "pass" => Tombstones::Pass,
                "reject" => Tombstones::Reject,
                _ => Tombstones::Skip,
            },
            range: Range::default(),
        }
    }

    fn sink(&mut self, name: &str, streams: &Streams) -> KafkaSink {
        if let Some(redis) = &streams.sink {
            return self.redis_sink(redis);
        }
        if !self.stands("sink.kafka.topic") {
            let message = "a sink is missing: the topic to write to";
            self.error("sink.kafka.topic", message, "topic = \"processed\" in [sink.kafka]");
        }
        KafkaSink {
            client: self.client("sink.kafka", Scope::Producer, name),
            topic: self.text("sink.kafka.topic"),
            key: self.text("sink.kafka.key"),
            value: self.text("sink.kafka.value"),
            partition: match self.text("sink.kafka.partition").as_str() {
                "source" => SinkPartition::Source,
                _ => SinkPartition::Key,
            },
        }
    }

    fn dead_letters(&mut self, name: &str, source: &KafkaSource, streams: &Streams) -> DeadLetters {
        let section =
            if streams.source.is_some() { "source.redis.streams" } else { "source.kafka.topics" };
        let topic = self.text_at("dead_letters.topic").unwrap_or_else(|| {
            let first = source.topics.first().map_or("", String::as_str);
            let topic = format!("{first}.dead");
            self.derive("dead_letters.topic", &topic, section);
            topic
        });
        DeadLetters {
            client: match &streams.source {
                Some(redis) => self.stream_letters(redis),
                None => self.topic_letters(name, &topic),
            },
            topic,
            streams_headers: self.boolean("dead_letters.streams_headers"),
        }
    }

    fn topic_letters(&mut self, name: &str, topic: &str) -> KafkaClient {
        let key = "dead_letters.topic";
        if let Some(wrong) = values::topic(topic).err().filter(|_| self.stands(key)) {
            self.problems.push(Problem::error(key, wrong.message));
        }
        self.client("dead_letters", Scope::Producer, name)
    }

    fn delivery(&self) -> Delivery {
        Delivery {
            guarantee: match self.text("delivery.guarantee").as_str() {
                "at-most-once" => Guarantee::AtMostOnce,
                "exactly-once" => Guarantee::ExactlyOnce,
                _ => Guarantee::AtLeastOnce,
            },
            commit_interval: self.duration_or_zero("delivery.commit_interval"),
            transaction_timeout: self.duration_or_zero("delivery.transaction_timeout"),
            breaker: self.breaker(),
            retry: self.retry(),
        }
    }

    fn breaker(&self) -> Option<Breaker> {
        if let Some(Typed::Boolean(false)) = self.typed("delivery.breaker") {
            return None;
        }
        Some(Breaker {
            rejected: match self.typed("delivery.breaker.rejected") {
                Some(Typed::Share(share)) => *share,
                _ => breaker::REJECTED,
            },
            window: match self.integer("delivery.breaker.window") {
                0 => breaker::WINDOW,
                window => window,
            },
            within: self.duration("delivery.breaker.within").unwrap_or(breaker::WITHIN),
            stops: self.text("delivery.breaker.then") != "pause",
        })
    }

    fn latency(&self) -> Latency {
        let unit = self.text("latency.unit");
        let nanos = LATENCY_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, nanos)| *nanos);
        Latency {
            origin: self.text("latency.origin"),
            unit_nanos: nanos.unwrap_or(1),
            slow: self.duration("latency.slow").unwrap_or_default(),
            are_stages_sampled: self.text("latency.stages") == "sampled",
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            record: self.integer("limits.record"),
            depth: self.integer("limits.depth"),
            in_flight: self.integer("limits.in_flight"),
            in_flight_bytes: self.integer("limits.in_flight_bytes"),
            batch: self.integer("limits.batch"),
        }
    }

    fn observe(&self) -> Observe {
        Observe {
            out: self.text_at("observe.out").map(PathBuf::from),
            interval: self.duration_or_zero("observe.interval"),
            listen: match self.typed("observe.listen") {
                Some(Typed::Listen(listen)) => *listen,
                _ => None,
            },
            token: self.text_at("observe.token"),
            keys: match self.text("observe.keys").as_str() {
                "plain" => KeyDisplay::Plain,
                "off" => KeyDisplay::Off,
                _ => KeyDisplay::Hash,
            },
        }
    }

    fn measure(&self) -> Measure {
        let texts = match self.typed("measure.require") {
            Some(Typed::Texts(texts)) => texts.as_slice(),
            _ => &[],
        };
        let parsed = texts.iter().map(|text| Requirement::parse(text));
        Measure { require: parsed.filter_map(Result::ok).collect() }
    }

    fn log(&self) -> Log {
        Log {
            level: self.text("log.level"),
            json: match self.text("log.format").as_str() {
                "json" => Some(true),
                "text" => Some(false),
                _ => None,
            },
        }
    }
}
