//! The engine with a table on demand in a real redis-server: the hot thread neither allocates nor
//! sleeps over an answer.

#[path = "../benches/rig/allocations.rs"]
mod allocations;
#[expect(dead_code, reason = "not every test program uses all of it")]
mod cache_rig;
#[path = "support/pipeline_settings.rs"]
mod pipeline_settings;
#[path = "cache_rig/server.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod server;

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use cache_rig::{DEADLINE, Opened};
use hotspur::{
    assemble::Steps,
    cache::Tables,
    clock::{Clock, TscClock, WallOffset},
    config::{
        operators::{Own, OwnValue},
        settings::{OnDemand, OnMiss, Operator, RedisTable, TablePlace},
    },
    delivery::Order,
    engine::{
        Engine, Options, Phase, Retry,
        control::{self, Control},
        idle::IdleStrategy,
    },
    observe::HotSide,
    operator::{self, Answer, Call, Expression, Path, Registry, SkipClass, Table, Value},
    pipeline::Pipeline,
    record::Destination,
    transport::memory::{Discard, Replay},
};
use redis::pipe;
use server::Server;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const USERS: u64 = 1_000;
const HOUR: Duration = Duration::from_secs(3600);

type Simple = Engine<TscClock, Replay, Discard, Steps>;

/// Records of all users, of whom each third is unknown, in lanes of several records.
fn records() -> Vec<(Vec<u8>, Vec<u8>)> {
    let record = |number: u64| {
        let (key, user) = (number % 97, number * 7 % USERS);
        (format!("{key}").into_bytes(), format!(r#"{{"user":"u{user}"}}"#).into_bytes())
    };
    (0..5_000).map(record).collect()
}

/// A table that holds a few of them at a time.
fn open(server: &Server) -> Opened {
    let mut batch = pipe();
    for user in (0..USERS).filter(|user| !user.is_multiple_of(3)) {
        batch.cmd("SET").arg(format!("user:u{user}")).arg("gold").ignore();
    }
    batch.exec(&mut server.connect()).unwrap();
    let TablePlace::Redis(redis) = server.place("user:") else { unreachable!() };
    let bounds = OnDemand {
        max_entries: 50,
        max_bytes: 1 << 30,
        absent_for: HOUR,
        max_waiting: 300,
        wait: HOUR,
    };
    let place = TablePlace::Redis(RedisTable { on_demand: Some(bounds), ..redis });
    cache_rig::open(&cache_rig::settings(place)).unwrap()
}

/// The same as the step `lookup`, in Rust.
struct Tier {
    table: Table,
    key: Expression,
    into: Path,
}

impl operator::Operator for Tier {
    fn apply(&mut self, call: &mut Call<'_>) -> Answer {
        let key = call.key(self.key)?;
        match call.lookup(self.table, key)? {
            Some(Value::Text(tier)) => call.write(self.into, tier),
            _ => Err(call.skip(SkipClass::TableMiss)),
        }
    }
}

fn own_lookup() -> Operator {
    let mut steps = Registry::new();
    steps.register("tier", |keys| {
        let (table, key) = (keys.table("table"), keys.expression("key"));
        let into = keys.path("into");
        move |_| Ok(Tier { table, key, into })
    });
    let operator = Arc::new(steps.operators().iter().next().unwrap().clone());
    let values = ["users", "event.user", "tier"].map(|it| OwnValue::Text(it.to_owned()));
    Operator::Own(Own { operator, values: values.into() })
}

fn lookup() -> Operator {
    Operator::Lookup {
        table: "users".to_owned(),
        key: "event.user".to_owned(),
        into: "tier".to_owned(),
        on_miss: OnMiss::Skip,
        into_age: None,
    }
}

fn engine(
    operator: Operator,
    tables: Tables,
    records: Vec<(Vec<u8>, Vec<u8>)>,
    control: Control,
) -> Simple {
    let settings = pipeline_settings::settings(vec![operator], &["users"]);
    let clock = TscClock::new();
    let hour_ns = HOUR.as_nanos() as u64;
    let options = Options {
        name: "test".to_owned(),
        order: Order::ProcessThenCommit,
        in_flight: 4096,
        in_flight_bytes: 1 << 20,
        batch: 64,
        waiting: 300,
        retry: Retry::NEVER,
        dead_letters: Destination(1),
        streams_headers: false,
        commit_interval_ns: hour_ns,
        transaction_timeout_ns: 1_000_000_000,
        stages: hotspur::measure::Stages::All,
        slow_ns: 1_000_000,
        publish_interval_ns: hour_ns,
        drain_timeout_ns: hour_ns,
    };
    let hot = HotSide::detached(clock.now());
    let wall = WallOffset::fixed(0);
    let time = (clock.clone(), wall.clone());
    let steps = Steps::new(Pipeline::compile(&settings).unwrap(), tables, time);
    let parts = (Replay::new(records, 0), Discard::new(1024));
    Engine::new((clock, wall), parts, steps, hot, control, options)
}

fn run(engine: &mut Simple, more: u64, idle: IdleStrategy) {
    engine.source_mut().extend(more);
    let mut work = 1;
    while work > 0 || engine.in_flight() > 0 {
        work = engine.turn();
        if engine.in_flight() > 0 {
            idle.idle(work, engine);
        }
    }
}

#[test]
fn records_that_wait_cost_the_hot_thread_no_allocation() {
    let server = Server::start();
    let Opened { tables, handle: _side_thread } = open(&server);
    assert_waiting_is_free(engine(lookup(), tables, records(), Control::none()));
}

#[test]
fn an_operator_of_ones_own_waits_as_a_lookup_does() {
    let server = Server::start();
    let Opened { tables, handle: _side_thread } = open(&server);
    assert_waiting_is_free(engine(own_lookup(), tables, records(), Control::none()));
}

fn assert_waiting_is_free(mut engine: Simple) {
    run(&mut engine, 5_000, IdleStrategy::Yield);
    let before = allocations::calls();
    run(&mut engine, 5_000, IdleStrategy::Yield);
    assert_eq!(allocations::calls() - before, 0);
    let counters = engine.into_hot_side().counters().clone();
    assert_eq!((counters.polled, counters.emitted + counters.skipped.total()), (10_000, 10_000));
    assert!(counters.skipped.total() > 3_000 && counters.emitted > 6_000);
}

#[test]
fn an_answer_wakes_a_hot_thread_that_sleeps_for_an_hour() {
    let server = Server::start();
    let Opened { tables, handle: _side_thread } = open(&server);
    let (stopper, control) = control::control().unwrap();
    let stopper = Arc::new(stopper);
    let waker = stopper.clone();
    tables.wake_with(move || waker.wake());
    let mut engine = engine(lookup(), tables, records(), control);
    let (done, is_done) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        // Ends the sleep, so that the test can fail.
        if is_done.recv_timeout(DEADLINE).is_err() {
            stopper.stop();
        }
    });
    for _ in 0..50 {
        run(&mut engine, 1, IdleStrategy::Park);
    }
    run(&mut engine, 500, IdleStrategy::Park);
    done.send(()).unwrap();
    watchdog.join().unwrap();
    assert_eq!(engine.phase(), Phase::Running, "nobody woke it");
    assert_eq!(engine.into_hot_side().counters().polled, 550);
}
