//! Source and sinks of a run, in Kafka or in Redis each: the four pairs that there are.
//!
//! The engine is compiled for each pair by itself, so that nothing on the hot thread asks which one
//! it is.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{Destinations, StartError, broker_error};
use crate::{
    clock::{TscClock, WallOffset},
    config::{
        Settings,
        settings::{Guarantee, RedisSink as StreamSink, RedisSource as StreamSource},
    },
    engine::{
        Engine, Options, Process,
        breaker::Rule,
        control::Control,
        runner::{self, HotThread, Manner},
    },
    observe::HotSide,
    record::Destination,
    transport::{
        Sink, Source, Trouble,
        kafka::{KafkaSink, KafkaSource, LagBoard, TransactionalProducer},
        redis::{
            Extent, PlainSource, PlainSourcePlan, PositionFile, RedisSink, RedisSinkPlan,
            RedisSource, RedisSourcePlan, StagedSink, Staging, StreamWatch, Watched, Way,
        },
        restore::Restoration,
        split::Split,
    },
};

/// The field of a dead letter's payload.
const PAYLOAD: &str = "payload";

/// A source and where its results and dead letters go; the latter to the source's system.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in a run, and it is moved twice")]
pub(super) enum Peers {
    Kafka(KafkaSource, Split<KafkaSink>),
    KafkaToRedis(KafkaSource, Split<RedisSink, KafkaSink>),
    RedisToKafka(RedisSource, Split<KafkaSink, RedisSink>),
    Redis(RedisSource, Split<RedisSink>),
    /// Exactly once.
    RedisTogether(RedisSource, StagedSink),
    /// Without a group.
    PlainToKafka(PlainSource, Split<KafkaSink, RedisSink>),
    Plain(PlainSource, Split<RedisSink>),
}

/// What else an engine is made of.
pub(super) struct Parts<P> {
    pub(super) time: (TscClock, WallOffset),
    pub(super) process: P,
    pub(super) hot_side: HotSide,
    pub(super) control: Control,
    pub(super) options: Options,
    pub(super) breaker: Option<Rule>,
}

impl Peers {
    /// Connects to all of them.
    pub(super) fn open(
        settings: &Settings,
        destinations: &Destinations,
        positions: Option<PositionFile>,
        clock: &TscClock,
        stop: &AtomicBool,
    ) -> Result<Peers, StartError> {
        let results = &destinations.of_results()[..];
        let opening = Opening { settings, destinations, results, clock, stop };
        let streams = &settings.streams;
        Ok(match (&streams.source, &streams.sink) {
            (None, None) => {
                let (sinks, producer) = opening.kafka_sinks()?;
                Peers::Kafka(opening.kafka_source(producer)?, sinks)
            }
            (None, Some(sink)) => {
                let first = opening.stream_results(sink)?;
                let sinks = Split::two(first, opening.first_letter(), opening.kafka_letters()?);
                Peers::KafkaToRedis(opening.kafka_source(None)?, sinks)
            }
            (Some(source), None) => {
                let first = opening.kafka("sink", results)?;
                let letters = opening.stream_letters(source)?;
                let sinks = Split::two(first, opening.first_letter(), letters);
                match settings.read_plainly() {
                    Some(_) => Peers::PlainToKafka(opening.plain_source(source, positions)?, sinks),
                    None => {
                        Peers::RedisToKafka(opening.stream_source(source, opening.way())?, sinks)
                    }
                }
            }
            (Some(source), Some(sink)) if settings.read_plainly().is_some() => {
                let sinks = opening.stream_sinks(source, sink)?;
                Peers::Plain(opening.plain_source(source, positions)?, sinks)
            }
            (Some(source), Some(sink)) if opening.is_together() => {
                let (sink, staging) = opening.staged(sink);
                Peers::RedisTogether(opening.stream_source(source, Way::Together(staging))?, sink)
            }
            (Some(source), Some(sink)) => {
                let sinks = opening.stream_sinks(source, sink)?;
                Peers::Redis(opening.stream_source(source, opening.way())?, sinks)
            }
        })
    }

    /// Each partition waits from now on until its state was taken.
    ///
    /// # Panics
    ///
    /// Without Kafka on both sides: `config` refuses steps with state there.
    pub(super) fn restore_by(&mut self, restoration: Arc<Restoration>) {
        match self {
            Peers::Kafka(source, _) => source.restore_by(restoration),
            _ => unreachable!("the configuration was checked"),
        }
    }

    /// How far behind a Kafka source is.
    pub(super) fn lag(&self) -> Option<&Arc<LagBoard>> {
        match self {
            Peers::Kafka(source, _) | Peers::KafkaToRedis(source, _) => Some(source.lag()),
            Peers::RedisToKafka(..) | Peers::Redis(..) | Peers::RedisTogether(..) => None,
            Peers::PlainToKafka(..) | Peers::Plain(..) => None,
        }
    }

    /// What asks how the streams of a source stand, if there are any, their place is known, and
    /// somebody is to be told.
    pub(super) fn watch(&self, settings: &Settings) -> io::Result<Option<StreamWatch>> {
        let Settings { source, streams, .. } = settings;
        let who = match self {
            Peers::Kafka(..) | Peers::KafkaToRedis(..) => None,
            Peers::RedisToKafka(..) | Peers::Redis(..) | Peers::RedisTogether(..) => {
                Some(Watched::Group(source.group.clone()))
            }
            Peers::PlainToKafka(source, _) | Peers::Plain(source, _) => {
                source.kept().cloned().map(Watched::Plain)
            }
        };
        let redis = streams.source.as_ref().filter(|_| settings.observe.listen.is_some());
        let start = |(it, who): (&StreamSource, _)| {
            StreamWatch::start(&it.url, &it.shown, &source.topics, who)
        };
        redis.zip(who).map(start).transpose()
    }

    /// Starts the hot thread with them.
    pub(super) fn run<P: Process + Send + 'static>(
        self,
        manner: Manner,
        parts: Parts<P>,
    ) -> io::Result<HotThread> {
        match self {
            Peers::Kafka(source, sinks) => parts.run(manner, source, sinks),
            Peers::KafkaToRedis(source, sinks) => parts.run(manner, source, sinks),
            Peers::RedisToKafka(source, sinks) => parts.run(manner, source, sinks),
            Peers::Redis(source, sinks) => parts.run(manner, source, sinks),
            Peers::RedisTogether(source, sink) => parts.run(manner, source, sink),
            Peers::PlainToKafka(source, sinks) => parts.run(manner, source, sinks),
            Peers::Plain(source, sinks) => parts.run(manner, source, sinks),
        }
    }
}

impl<P: Process + Send + 'static> Parts<P> {
    fn run<S, K>(self, manner: Manner, source: S, sinks: K) -> io::Result<HotThread>
    where
        S: Source + Send + 'static,
        K: Sink + Send + 'static,
    {
        let Parts { time, process, hot_side, control, options, breaker } = self;
        runner::start(manner, move || {
            Engine::new(time, (source, sinks), process, hot_side, control, options)
                .with_breaker(breaker)
        })
    }
}

/// What is asked for all along.
struct Opening<'a> {
    settings: &'a Settings,
    /// Topics or streams of results, and the topic of state.
    results: &'a [String],
    destinations: &'a Destinations,
    clock: &'a TscClock,
    stop: &'a AtomicBool,
}

impl Opening<'_> {
    fn first_letter(&self) -> Destination {
        self.destinations.letters()
    }

    fn letters(&self) -> &[String] {
        self.destinations.of_letters()
    }

    fn unless_stopped<T>(&self, opened: Result<T, Trouble>) -> Result<T, StartError> {
        match self.stop.load(Ordering::Acquire) {
            true => Err(StartError::Stopped),
            false => opened.map_err(broker_error),
        }
    }

    fn kafka_source(
        &self,
        producer: Option<TransactionalProducer>,
    ) -> Result<KafkaSource, StartError> {
        let Settings { source, instance, .. } = self.settings;
        KafkaSource::open(source, instance, self.clock.clone(), producer).map_err(broker_error)
    }

    fn kafka(&self, peer: &'static str, topics: &[String]) -> Result<KafkaSink, StartError> {
        let Settings { sink, dead_letters, engine, .. } = self.settings;
        let client = if peer == "sink" { &sink.client } else { &dead_letters.client };
        let wait = (engine.start_timeout, self.stop);
        self.unless_stopped(KafkaSink::open_unless(peer, client, topics, self.clock.clone(), wait))
    }

    fn kafka_letters(&self) -> Result<KafkaSink, StartError> {
        self.kafka("dead_letters", self.letters())
    }

    /// One producer for results and dead letters, or two where their clusters or settings differ.
    fn kafka_sinks(&self) -> Result<(Split<KafkaSink>, Option<TransactionalProducer>), StartError> {
        let Settings { sink, dead_letters: dead, delivery, engine, .. } = self.settings;
        let both = self.destinations.all();
        if delivery.guarantee == Guarantee::ExactlyOnce {
            let named = (self.settings.transactional_id(), delivery.transaction_timeout);
            let (clock, wait) = (self.clock.clone(), (engine.start_timeout, self.stop));
            let opened = KafkaSink::open_transactional(&sink.client, &both, clock, named, wait);
            let (sink, other) = self.unless_stopped(opened)?;
            return Ok((Split::one(sink), Some(other)));
        }
        if sink.client == dead.client {
            return self.kafka("sink", &both).map(|it| (Split::one(it), None));
        }
        let results = self.kafka("sink", self.results)?;
        Ok((Split::two(results, self.first_letter(), self.kafka_letters()?), None))
    }

    fn is_together(&self) -> bool {
        self.settings.delivery.guarantee == Guarantee::ExactlyOnce
    }

    fn way(&self) -> Way {
        match self.settings.delivery.guarantee {
            Guarantee::AtMostOnce => Way::Ahead,
            Guarantee::AtLeastOnce | Guarantee::ExactlyOnce => Way::Behind,
        }
    }

    /// Results and dead letters that the source writes.
    fn staged(&self, sink: &StreamSink) -> (StagedSink, Arc<Staging>) {
        let both = self.destinations.all();
        StagedSink::new(&self.plan("sink", sink, &both, self.first_letter()))
    }

    fn stream_source(&self, source: &StreamSource, way: Way) -> Result<RedisSource, StartError> {
        let plan = RedisSourcePlan {
            settings: source,
            streams: &self.settings.source.topics,
            group: &self.settings.source.group,
            batch: self.settings.limits.batch,
            way,
        };
        let wait = (self.settings.engine.start_timeout, self.stop);
        let opened = RedisSource::open(&plan, self.clock.clone(), wait);
        self.unless_stopped(opened)?.ok_or(StartError::Stopped)
    }

    /// A source without a group.
    fn plain_source(
        &self,
        source: &StreamSource,
        positions: Option<PositionFile>,
    ) -> Result<PlainSource, StartError> {
        let plan = PlainSourcePlan {
            settings: source,
            streams: &self.settings.source.topics,
            batch: self.settings.limits.batch,
            extent: match positions {
                Some(file) => Extent::Kept(file),
                None => Extent::Range(&self.settings.source.range),
            },
        };
        let wait = (self.settings.engine.start_timeout, self.stop);
        let opened = PlainSource::open(plan, self.clock.clone(), wait);
        self.unless_stopped(opened)?.ok_or(StartError::Stopped)
    }

    fn stream_results(&self, sink: &StreamSink) -> Result<RedisSink, StartError> {
        self.redis("sink", sink, self.results, self.first_letter())
    }

    fn stream_letters(&self, source: &StreamSource) -> Result<RedisSink, StartError> {
        let StreamSource { url, shown, .. } = source;
        let (url, shown, field) = (url.clone(), shown.clone(), PAYLOAD.to_owned());
        let sink = StreamSink { url, shown, field, maxlen: None };
        self.redis("dead_letters", &sink, self.letters(), Destination(0))
    }

    /// One connection for results and dead letters of one server.
    fn stream_sinks(
        &self,
        source: &StreamSource,
        sink: &StreamSink,
    ) -> Result<Split<RedisSink>, StartError> {
        if source.url == sink.url {
            let both = self.destinations.all();
            return self.redis("sink", sink, &both, self.first_letter()).map(Split::one);
        }
        let results = self.stream_results(sink)?;
        Ok(Split::two(results, self.first_letter(), self.stream_letters(source)?))
    }

    fn plan<'p>(
        &self,
        peer: &'static str,
        settings: &'p StreamSink,
        streams: &'p [String],
        letters_from: Destination,
    ) -> RedisSinkPlan<'p> {
        RedisSinkPlan {
            peer,
            settings,
            streams,
            letters_from,
            bytes: self.settings.limits.in_flight_bytes,
            is_repeated: self.settings.delivery.guarantee != Guarantee::AtMostOnce,
        }
    }

    fn redis(
        &self,
        peer: &'static str,
        settings: &StreamSink,
        streams: &[String],
        letters_from: Destination,
    ) -> Result<RedisSink, StartError> {
        let plan = self.plan(peer, settings, streams, letters_from);
        let wait = (self.settings.engine.start_timeout, self.stop);
        let opened = RedisSink::open(&plan, self.clock.clone(), wait);
        self.unless_stopped(opened)?.ok_or(StartError::Stopped)
    }
}
