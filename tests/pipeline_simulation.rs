//! Seeded random schedules of the engine with a pipeline that removes duplicates, adds up windows,
//! or both: what comes out is what the log of each partition says, at least once or exactly once,
//! wherever the run crashes, with records that wait for a table in between.
//!
//! A schedule is a seed. A failing one prints it; `HOTSPUR_SIMULATION_SEED=N` runs that one alone.

mod pipeline_rig;
#[path = "support/pipeline_settings.rs"]
mod pipeline_settings;
mod schedules;
#[path = "pipeline_rig/twin.rs"]
mod twin;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use hotspur::{
    clock::{ManualClock, Ticks, WallOffset},
    config::settings::{Dedup, OnMiss, Operator, Window, WindowKind},
    delivery::Order,
    engine::{Engine, Options, Phase, Retry, control::Control},
    observe::HotSide,
    pipeline::Pipeline,
    record::PartitionId,
    transport::memory::{Broker, BrokerSink, BrokerSource, Stored},
};
use pipeline_rig::{Broken, DEAD, Piped, SINK};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use twin::{Out, PASSED_OVER, REJECTED, Shape, Told};

const PARTITIONS: u16 = 3;

const IN_FLIGHT_MAX: usize = 16;

/// Different values of what records are told apart by.
const IDS: u8 = 5;

type Simulated = Engine<ManualClock, BrokerSource, BrokerSink, Piped>;

struct Simulation {
    order: Order,
    random: SmallRng,
    clock: ManualClock,
    broker: Broker,
    shape: Shape,
    operators: Vec<Operator>,
    /// How many records wait for the table, of those that ask it.
    waiting: f64,
    logs: Vec<Vec<Told>>,
    broken: Broken,
    revoked: Vec<PartitionId>,
}

impl Simulation {
    fn new(seed: u64, broken: Broken) -> Simulation {
        let mut random = SmallRng::seed_from_u64(seed);
        let order = [Order::ProcessThenCommit, Order::Together][(seed % 2) as usize];
        let within = [2, 9, 29][random.random_range(0..3)];
        let window = [(3, 0), (7, 5), (19, 9)][random.random_range(0..3)];
        let shape = match random.random_range(0..3) {
            0 => Shape { within: Some(within), window: None },
            1 => Shape { within: None, window: Some(window) },
            _ => Shape { within: Some(within), window: Some(window) },
        };
        let waiting = if random.random_bool(0.5) { 0.4 } else { 0.0 };
        let operators = operators(&mut random, shape, waiting > 0.0);
        let partitions = random.random_range(1..=PARTITIONS);
        let logs: Vec<Vec<_>> = (0..partitions).map(|_| log(&mut random)).collect();
        let of_log = |(partition, log): (usize, &Vec<Told>)| {
            (0..).zip(log).map(|it| stored(partition, it)).collect()
        };
        let stored = logs.iter().enumerate().map(of_log).collect();
        let broker = match order {
            Order::Together => Broker::with_transactions(stored),
            _ => Broker::new(stored),
        };
        let (clock, revoked) = (ManualClock::default(), Vec::new());
        Simulation {
            order,
            random,
            clock,
            broker,
            shape,
            operators,
            waiting,
            logs,
            broken,
            revoked,
        }
    }

    fn partitions(&self) -> u16 {
        self.logs.len() as u16
    }

    fn connect(&mut self, hot: HotSide) -> Simulated {
        let parts = self.broker.connect(self.random.random_range(1..=20));
        let options = Options {
            name: "simulation".into(),
            order: self.order,
            in_flight: self.random.random_range(2..=IN_FLIGHT_MAX),
            in_flight_bytes: 1 << 12,
            batch: self.random.random_range(1..=8),
            waiting: 64,
            retry: Retry::NEVER,
            dead_letters: DEAD,
            streams_headers: false,
            commit_interval_ns: 10,
            transaction_timeout_ns: self.random.random_range(500..=5_000),
            stages: hotspur::measure::Stages::All,
            slow_ns: 1_000_000,
            publish_interval_ns: 1_000_000,
            drain_timeout_ns: 1_000,
        };
        let pipeline = compiled(&self.operators);
        let answers = (SmallRng::seed_from_u64(self.random.random()), self.waiting);
        let piped = Piped::new(pipeline, self.broker.clone(), answers, self.broken);
        let clock = (self.clock.clone(), WallOffset::fixed(0));
        self.revoked.clear();
        Engine::new(clock, parts, piped, hot, Control::none(), options)
    }

    /// Random events, then a crash.
    fn session(&mut self, hot: HotSide) -> HotSide {
        let mut engine = self.connect(hot);
        for _ in 0..self.random.random_range(1..=250) {
            self.step(&mut engine);
        }
        self.crash(engine)
    }

    /// What the process knew is gone.
    fn crash(&self, engine: Simulated) -> HotSide {
        let (hot, Piped { mut pipeline, .. }) = engine.into_parts();
        for partition in 0..self.partitions() {
            pipeline.stores_mut().end(PartitionId(partition));
        }
        let key = format!("{:?}", self.operators);
        POOL.with_borrow_mut(|pool| pool.entry(key).or_default().push(pipeline));
        hot
    }

    fn step(&mut self, engine: &mut Simulated) {
        self.clock.advance(self.random.random_range(1..=20));
        let partition = PartitionId(self.random.random_range(0..self.partitions()));
        let owned = self.broker.owned();
        match self.random.random_range(0..100) {
            0..8 if !owned.contains(&partition) => {
                // What was on its way arrives before the state is read again.
                self.broker.accept_all_of(i32::from(partition.0));
                self.broker.assign(partition);
            }
            8..10 if owned.contains(&partition) && !self.revoked.contains(&partition) => {
                self.revoked.push(partition);
                self.broker.revoke(partition);
            }
            10..12 if owned.contains(&partition) => self.broker.lose(partition),
            12..35 if self.broker.unanswered() > 0 => {
                let index = self.random.random_range(0..self.broker.unanswered());
                self.broker.accept_in_order(index);
            }
            38 if self.order == Order::Together => _ = self.broker.answer_commit_wrongly(),
            38..52 => _ = self.broker.answer_commit(self.random.random_bool(0.8)),
            52..55 => _ = self.broker.answer_abort(),
            55..58 => self.broker.set_room(self.random.random_range(0..=20)),
            _ => _ = engine.turn(),
        }
        self.revoked.retain(|it| self.broker.owned().contains(it));
    }

    /// A last session in which everything works.
    fn finish(&mut self, hot: HotSide) -> HotSide {
        let mut engine = self.connect(hot);
        self.broker.set_room(100);
        (0..self.partitions()).for_each(|it| self.broker.assign(PartitionId(it)));
        let (mut quiet, mut turns) = (0, 0);
        while quiet < 30 {
            self.clock.advance(20);
            let answered = self.broker.answer_commit(true) | self.broker.answer_abort();
            while self.broker.unanswered() > 0 {
                self.broker.accept_in_order(0);
            }
            quiet = if engine.turn() == 0 && !answered { quiet + 1 } else { 0 };
            turns += 1;
            let in_flight = engine.in_flight();
            assert!(turns < 5_000, "it never comes to rest: {in_flight}, {:?}", self.shape);
        }
        let (waiting, shape) = (engine.waiting(), self.shape);
        let steps: Vec<_> = self.operators.iter().map(Operator::name).collect();
        assert_eq!(engine.in_flight(), 0, "stuck: {waiting} wait aside, {shape:?}, {steps:?}");
        engine.stop();
        for _ in 0..100 {
            engine.turn();
            self.clock.advance(20);
            self.broker.answer_commit(true);
        }
        assert!(matches!(engine.phase(), Phase::Ended(_)), "{:?}", engine.phase());
        for (log, committed) in self.logs.iter().zip(self.broker.committed()) {
            assert_eq!(committed.unwrap_or(0), log.len() as i64);
        }
        self.crash(engine)
    }

    /// What came out is what the twin says, and exactly once nothing of it twice.
    fn check(&self) {
        let mut outs = vec![Out::default(); self.logs.len()];
        let mut times = BTreeMap::<String, u32>::new();
        self.broker.for_each_written(|it| {
            if it.destination != SINK && it.destination != DEAD {
                return;
            }
            let text = std::str::from_utf8(it.value.as_ref().unwrap()).unwrap();
            *times.entry(format!("{:?} {text}", it.destination)).or_default() += 1;
            let json: serde_json::Value = serde_json::from_str(text).unwrap();
            let number = |name: &str| json[name].as_i64().unwrap();
            let is_letter = it.destination == DEAD;
            if json.get("n").is_some() {
                let out = &mut outs[number("p") as usize];
                let offsets = if is_letter { &mut out.rejected } else { &mut out.emitted };
                offsets.insert(number("n"));
                return;
            }
            let out = &mut outs[number("in") as usize];
            let start = json["start"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
            let (key, start) = (number("key") as u8, start.as_millisecond());
            let all = json["all"].as_array().unwrap();
            let all: Vec<_> = all.iter().map(|it| it.as_i64().unwrap()).collect();
            assert_eq!(number("count"), all.len() as i64, "{text}");
            assert_eq!(number("sum"), all.iter().sum::<i64>(), "{text}");
            match is_letter {
                true => _ = out.rejected_windows.insert((key, start)),
                false => _ = out.windows.insert((key, start, all)),
            }
        });
        for (partition, (log, out)) in self.logs.iter().zip(&outs).enumerate() {
            let wanted = twin::out(log, self.shape);
            assert_eq!(out, &wanted, "partition {partition} of {:?}: {log:?}", self.shape);
        }
        if self.order == Order::Together {
            let doubled: Vec<_> = times.iter().filter(|(_, count)| **count > 1).collect();
            assert!(doubled.is_empty(), "exactly once: {doubled:?}");
        }
    }
}

thread_local! {
    /// Pipelines that were compiled and are not in use, by what they do: to compile one takes
    /// longer than a schedule.
    static POOL: RefCell<HashMap<String, Vec<Pipeline>>> = RefCell::default();
}

fn compiled(operators: &[Operator]) -> Pipeline {
    let key = format!("{operators:?}");
    let known = POOL.with_borrow_mut(|pool| pool.get_mut(&key).and_then(Vec::pop));
    known.unwrap_or_else(|| {
        let mut settings = pipeline_settings::settings(operators.to_vec(), &["t"]);
        settings.limits.in_flight = IN_FLIGHT_MAX;
        Pipeline::compile(&settings).expect("a pipeline")
    })
}

fn operators(random: &mut SmallRng, shape: Shape, has_table: bool) -> Vec<Operator> {
    let text = str::to_owned;
    let millis = |it: i64| Duration::from_millis(it as u64);
    let lookup = || Operator::Lookup {
        table: text("t"),
        key: text("event.id"),
        into: text("found"),
        on_miss: OnMiss::Null,
        into_age: None,
    };
    let mut operators = Vec::new();
    let ask = |random: &mut SmallRng, operators: &mut Vec<Operator>| {
        if has_table && random.random_bool(0.5) {
            operators.push(lookup());
        }
    };
    ask(random, &mut operators);
    if let Some(within) = shape.within {
        let (key, within) = (text("event.id"), millis(within));
        operators.push(Operator::Dedup(Dedup { key, within, max_keys: 64 }));
    }
    ask(random, &mut operators);
    // A fate of its own: on with it, skipped, or a division by zero.
    let fate = "event.f == 'e' || (event.f != 's' && 1 / event.zero > 0)";
    operators.push(Operator::Filter(text(fate)));
    if let Some((size, lateness)) = shape.window {
        ask(random, &mut operators);
        let aggregates = [
            ("count", "count()"),
            ("sum", "sum(event.n)"),
            ("all", "collect(event.n, 50)"),
            ("in", "max(event.p)"),
        ];
        let aggregates = aggregates.map(|(name, it)| (text(name), text(it))).to_vec();
        operators.push(Operator::Window(Box::new(Window {
            kind: WindowKind::Tumbling { size: millis(size) },
            aggregates,
            key: text("event.id"),
            time: text("event.t"),
            lateness: millis(lateness),
            late: None,
            idle: None,
            updates: false,
            max_keys: 64,
            max_age: None,
        })));
        let fate = format!(
            "event.count != {PASSED_OVER} && 1 / (event.count - {REJECTED}) > -{}",
            u32::MAX
        );
        operators.push(Operator::Filter(fate));
    }
    operators
}

fn log(random: &mut SmallRng) -> Vec<Told> {
    let count = random.random_range(0..=60);
    let told = |offset: i64| Told {
        id: random.random_range(0..IDS),
        // Somewhat out of order.
        time: offset + random.random_range(-8..=4),
        fate: b"eeeeeesrr"[random.random_range(0..9)],
    };
    (0..count).map(told).collect()
}

/// What identifies it stands in it.
fn stored(partition: usize, (offset, told): (i64, &Told)) -> Stored {
    let Told { id, time, fate } = told;
    let fate = char::from(*fate);
    let value =
        format!(r#"{{"id":{id},"t":{time},"f":"{fate}","n":{offset},"p":{partition},"zero":0}}"#);
    Stored { key: Some(vec![*id]), value: Some(value.into_bytes()), headers: Vec::new() }
}

fn run(seed: u64, broken: Broken, mut hot: HotSide) -> HotSide {
    let mut simulation = Simulation::new(seed, broken);
    hot.counters().clear();
    for _ in 0..simulation.random.random_range(1..=4) {
        hot = simulation.session(hot);
    }
    hot = simulation.finish(hot);
    simulation.check();
    hot
}

#[test]
fn what_comes_out_is_what_the_logs_say_under_random_schedules() {
    schedules::run_all(|seed, hot| run(seed, Broken::No, hot));
}

/// What a check is worth that never fails.
#[test]
fn variants_that_do_something_wrong_are_caught() {
    for broken in [Broken::ForgetsToWrite, Broken::ForgetsToSettle, Broken::ForgetsMarks] {
        let is_caught = |seed: &u64| {
            let hot = HotSide::detached(Ticks(0));
            catch_unwind(AssertUnwindSafe(|| drop(run(*seed, broken, hot)))).is_err()
        };
        let caught = (0..200).filter(is_caught).count();
        assert!(caught >= 5, "{broken:?}: {caught} of 200 schedules find it out");
    }
}
