//! One engine on the embedded broker: records in, results out, and errors in between.

use std::{
    cell::Cell,
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use hotspur::{
    clock::{Clock, Ticks, TscClock, WallOffset},
    config::{
        range::Range,
        settings::{KafkaClient, KafkaSource as SourceSettings, OnGap, Start, Tombstones},
    },
    delivery::Order,
    engine::{Cause, Chance, Ending, Engine, Options, Phase, Process, Stores, control::Control},
    observe::HotSide,
    pipeline::{Mark, Processed, Results},
    record::{Destination, Headers, Output, Record},
    transport::{
        Sink, Token, WaitSet,
        kafka::{EmbeddedKafka, KafkaAdmin, KafkaSink, KafkaSource, TransactionalProducer},
    },
    verdict::{Step, Verdict},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};

use super::{Case, REQUESTS, RUN, Target, small_engine};

/// Records of one case.
pub(crate) const RECORDS: u64 = 40;

/// Those that are there before the errors.
const RECORDS_BEFORE: u64 = 20;

/// Processed when the errors come, where they are about records.
const PROCESSED_BEFORE: u64 = 5;

/// How long a case may take: a stall is longer.
const BOUND: Duration = Duration::from_secs(45);

/// Of those that need one.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a thread that has nothing to do looks away at most.
const LOOK: Duration = Duration::from_millis(20);

type Running = Engine<TscClock, KafkaSource, KafkaSink, Echo>;

/// How a case ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The sentence that ended the run, if it did.
    pub(crate) sentence: Option<String>,
    /// Results, and dead letters, by the record's number.
    pub(crate) results: Vec<u64>,
    pub(crate) letters: Vec<u64>,
    pub(crate) took: Duration,
}

/// Runs a case; if the errors end the run, another one without them has to finish.
pub(crate) fn run(case: &Case) -> Outcome {
    let world = World::new();
    let start = Instant::now();
    world.produce(0..RECORDS_BEFORE);
    let is_at_start = case.target.is_at_start();
    // The writer of these records is a producer as well.
    let is_of_writers = case.target == Target::InitProducerId;
    if is_of_writers {
        world.produce(RECORDS_BEFORE..RECORDS);
    }
    if is_at_start {
        case.push(&world.kafka);
    }
    let order = match case.target.is_of_transactions() {
        true => Order::Together,
        false => Order::ProcessThenCommit,
    };
    let mut engine = match world.engine(order) {
        Ok(engine) => engine,
        // Refused before it began: that is said, too.
        Err(sentence) if is_of_writers => return world.conclude(Some(sentence), start),
        Err(sentence) => panic!("the broker answers what opening asks: {sentence}"),
    };
    if is_at_start {
        if !is_of_writers {
            world.produce(RECORDS_BEFORE..RECORDS);
        }
    } else {
        turn_until(&mut engine, case, |it| it.process_mut().count.get() >= PROCESSED_BEFORE);
        // A writer's requests must not meet the errors that are meant for the engine's.
        let is_first = case.target == Target::Produce;
        if is_first {
            world.produce(RECORDS_BEFORE..RECORDS);
        }
        case.push(&world.kafka);
        if !is_first {
            world.produce(RECORDS_BEFORE..RECORDS);
        }
    }
    turn_until(&mut engine, case, |it| {
        it.process_mut().last.get() == RECORDS as i64 - 1 && it.is_settled()
    });
    engine.stop();
    turn_until(&mut engine, case, |_| false);
    let sentence = match engine.phase() {
        Phase::Ended(Ending { cause: Cause::Failed(trouble), .. }) => {
            Some(trouble.text.to_string())
        }
        Phase::Ended(Ending { cause: Cause::Asked, unfinished: 0 }) => None,
        other => panic!("{case}: {other:?}"),
    };
    drop(engine);
    world.conclude(sentence, start)
}

/// Turns until it is done or the run has ended.
#[track_caller]
fn turn_until(
    engine: &mut Running,
    what: impl std::fmt::Display,
    is_done: impl Fn(&mut Running) -> bool,
) {
    let deadline = Instant::now() + BOUND;
    while !matches!(engine.phase(), Phase::Ended(_)) && !is_done(engine) {
        assert!(Instant::now() < deadline, "{what}: nothing moves any more: {:?}", engine.phase());
        if engine.turn() == 0 {
            let mut set = WaitSet::new();
            engine.wait_on(&mut set);
            set.wait(LOOK);
            engine.after_wait();
        }
    }
}

struct World {
    kafka: EmbeddedKafka,
}

impl World {
    fn new() -> World {
        let kafka = EmbeddedKafka::new(1).expect("a port");
        for topic in ["in", "out", "dead"] {
            kafka.create_topic(topic, 1).expect("a topic");
        }
        World { kafka }
    }

    fn client(&self, properties: &[(&str, &str)]) -> KafkaClient {
        let properties = properties.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        KafkaClient { brokers: self.kafka.bootstrap_servers().to_owned(), properties }
    }

    fn source(
        &self,
        topic: &str,
        group: &str,
        producer: Option<TransactionalProducer>,
    ) -> Result<KafkaSource, String> {
        let settings = SourceSettings {
            client: self.client(&[
                ("fetch.wait.max.ms", "0"),
                ("session.timeout.ms", "3000"),
                ("heartbeat.interval.ms", "100"),
            ]),
            topics: vec![topic.to_owned()],
            group: group.to_owned(),
            start: Start::Earliest,
            on_gap: OnGap::Stop,
            tombstones: Tombstones::Pass,
            range: Range::default(),
        };
        KafkaSource::open(&settings, "test", TscClock::new(), producer)
            .map_err(|it| it.text.to_string())
    }

    /// With one request at a time: this broker takes what comes behind a request that failed, which
    /// a real one refuses, and librdkafka then takes the failed one for written.
    fn sink(&self, topics: &[&str]) -> Result<KafkaSink, String> {
        let topics: Vec<_> = topics.iter().map(|it| (*it).to_owned()).collect();
        let client = self.client(&[("max.in.flight.requests.per.connection", "1")]);
        let sink = KafkaSink::open(&client, &topics, TscClock::new());
        sink.map_err(|it| it.text.to_string())
    }

    fn transactional_sink(&self) -> Result<(KafkaSink, TransactionalProducer), String> {
        let topics = ["out", "dead"].map(str::to_owned);
        let named = ("errors".to_owned(), TRANSACTION_TIMEOUT);
        let wait = (BOUND, &AtomicBool::new(false));
        let client = self.client(&[]);
        let opened = KafkaSink::open_transactional(&client, &topics, TscClock::new(), named, wait);
        opened.map_err(|it| it.text.to_string())
    }

    fn engine(&self, order: Order) -> Result<Running, String> {
        let clock = TscClock::new();
        let wall = WallOffset::new(&clock);
        let (sink, producer) = match order {
            Order::Together => self.transactional_sink().map(|(sink, it)| (sink, Some(it)))?,
            _ => (self.sink(&["out", "dead"])?, None),
        };
        let source = self.source("in", "group", producer)?;
        let hot = HotSide::detached(clock.now());
        let echo = Echo { count: Cell::new(0), last: Cell::new(-1) };
        let control = Control::none();
        Ok(Engine::new((clock, wall), (source, sink), echo, hot, control, options(order)))
    }

    fn produce(&self, numbers: std::ops::Range<u64>) {
        let mut sink = self.sink(&["in"]).expect("the broker answers");
        for number in numbers {
            let key = number.to_string();
            let output = Output {
                destination: Destination(0),
                partition_number: Some(0),
                timestamp_ms: None,
                key: Some(key.as_bytes()),
                value: Some(b"{}"),
                headers: Headers::NONE,
            };
            sink.send(&output, Token(number)).expect("there is room");
        }
        let deadline = Instant::now() + BOUND;
        while sink.in_flight() > 0 {
            sink.poll_acks(Ticks(1), &mut |ack| assert_eq!(ack.result, Ok(())));
            assert!(Instant::now() < deadline, "records were not taken");
            std::thread::yield_now();
        }
    }

    fn conclude(&self, sentence: Option<String>, start: Instant) -> Outcome {
        let took = start.elapsed();
        for target in REQUESTS {
            self.kafka.clear_request_errors(target.request());
        }
        if sentence.is_some() {
            self.finish();
        }
        Outcome { sentence, results: self.read("out"), letters: self.read("dead"), took }
    }

    /// Runs do what is left, one after the other while errors come that were not met yet: those
    /// that take their time cannot be taken back.
    fn finish(&self) {
        for _ in 0..2 * RUN {
            // This broker keeps no positions that come in transactions.
            let order = Order::ProcessThenCommit;
            let mut engine = self.engine(order).expect("the broker answers what opening asks");
            let looked_at = Cell::new(Instant::now());
            turn_until(&mut engine, "a run after the errors", |_| {
                let is_due = looked_at.get().elapsed() > LOOK;
                is_due && {
                    looked_at.set(Instant::now());
                    self.committed() == Some(RECORDS as i64)
                }
            });
            if !matches!(engine.phase(), Phase::Ended(_)) {
                return;
            }
        }
    }

    fn committed(&self) -> Option<i64> {
        let topics = ["in".to_owned()];
        let lag = KafkaAdmin::group_lag(&self.client(&[]), "group", &topics, BOUND);
        // An error that was not met yet may meet this question.
        lag.ok()?.first()?.committed
    }

    /// The numbers of all records in a topic; a reader that meets an error gives way to another.
    fn read(&self, topic: &str) -> Vec<u64> {
        let read = (0..2 * RUN).find_map(|_| self.try_to_read(topic));
        read.unwrap_or_else(|| panic!("{topic} cannot be read"))
    }

    fn try_to_read(&self, topic: &str) -> Option<Vec<u64>> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.kafka.bootstrap_servers())
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "0");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning).expect("an offset");
        consumer.assign(&list).expect("a partition");
        let mut numbers = Vec::new();
        let deadline = Instant::now() + BOUND;
        while Instant::now() < deadline {
            match consumer.poll(LOOK) {
                Some(Ok(message)) => {
                    let key = message.key().and_then(|it| std::str::from_utf8(it).ok());
                    numbers.push(key.and_then(|it| it.parse().ok()).expect("a number"));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Some(numbers),
                Some(Err(_)) => return None,
                None => {}
            }
        }
        None
    }
}

/// Every record is its own result.
struct Echo {
    /// Records processed.
    count: Cell<u64>,
    /// The offset of the last of them; what is taken back comes again.
    last: Cell<i64>,
}

impl Stores for Echo {}

impl Process for Echo {
    fn begin_turn(&mut self, _now: Ticks) {}

    fn process(
        &mut self,
        record: &Record<'_>,
        _chance: Chance,
        _mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed {
        self.count.set(self.count.get() + 1);
        self.last.set(record.offset);
        small_engine::echo(results);
        Processed { verdict: Verdict::Emit, origin_ns: None }
    }

    fn step_name(&self, _step: Step) -> &str {
        "echo"
    }
}

fn options(order: Order) -> Options {
    Options {
        order,
        in_flight: 8,
        in_flight_bytes: 64 << 10,
        batch: 4,
        transaction_timeout_ns: TRANSACTION_TIMEOUT.as_nanos() as u64,
        publish_interval_ns: 1_000_000_000,
        drain_timeout_ns: 20_000_000_000,
        ..small_engine::options()
    }
}
