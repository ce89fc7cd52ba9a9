//! Seeded random schedules of an engine whose pipeline keeps state: what it gives off is what the
//! log of each partition says, at least once or exactly once, wherever the run crashes.
//!
//! A schedule is a seed. A failing one prints it; `HOTSPUR_SIMULATION_SEED=N` runs that one alone.

mod schedules;
mod stores_rig;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use hotspur::{
    clock::{ManualClock, Ticks, WallOffset},
    delivery::Order,
    engine::{Engine, Options, Phase, Retry, control::Control},
    observe::HotSide,
    record::PartitionId,
    transport::memory::{Broker, BrokerSink, BrokerSource, Stored},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use stores_rig::{DEAD, Gathering, KEYS, SINK, lists, stored};

const PARTITIONS: u16 = 3;

type Simulated = Engine<ManualClock, BrokerSource, BrokerSink, Gathering>;

struct Simulation {
    order: Order,
    random: SmallRng,
    clock: ManualClock,
    broker: Broker,
    logs: Vec<Vec<Stored>>,
    is_forgetful: bool,
    revoked: Vec<PartitionId>,
}

impl Simulation {
    fn new(seed: u64, is_forgetful: bool) -> Simulation {
        let mut random = SmallRng::seed_from_u64(seed);
        let order = [Order::ProcessThenCommit, Order::Together][(seed % 2) as usize];
        let partitions = random.random_range(1..=PARTITIONS);
        let logs: Vec<Vec<_>> = (0..partitions).map(|_| log(&mut random)).collect();
        let broker = match order {
            Order::Together => Broker::with_transactions(logs.clone()),
            _ => Broker::new(logs.clone()),
        };
        let (clock, revoked) = (ManualClock::default(), Vec::new());
        Simulation { order, random, clock, broker, logs, is_forgetful, revoked }
    }

    fn partitions(&self) -> u16 {
        self.logs.len() as u16
    }

    fn connect(&mut self, hot: HotSide) -> Simulated {
        let parts = self.broker.connect(self.random.random_range(1..=20));
        let options = Options {
            name: "simulation".into(),
            order: self.order,
            in_flight: self.random.random_range(1..=16),
            in_flight_bytes: self.random.random_range(64..=512),
            batch: self.random.random_range(1..=8),
            waiting: 0,
            retry: Retry::NEVER,
            dead_letters: DEAD,
            streams_headers: false,
            commit_interval_ns: 10,
            transaction_timeout_ns: self.random.random_range(100..=2_000),
            stages: hotspur::measure::Stages::All,
            slow_ns: 1_000_000,
            publish_interval_ns: 1_000_000,
            drain_timeout_ns: 1_000,
        };
        let clock = (self.clock.clone(), WallOffset::fixed(0));
        let gathering = Gathering::new(self.broker.clone(), self.is_forgetful);
        let control = Control::none();
        self.revoked.clear();
        Engine::new(clock, parts, gathering, hot, control, options)
    }

    /// Random events, then a crash.
    fn session(&mut self, hot: HotSide) -> HotSide {
        let mut engine = self.connect(hot);
        for _ in 0..self.random.random_range(1..=200) {
            self.step(&mut engine);
        }
        engine.into_hot_side()
    }

    fn step(&mut self, engine: &mut Simulated) {
        self.clock.advance(self.random.random_range(1..=20));
        let partition = PartitionId(self.random.random_range(0..self.partitions()));
        let owned = self.broker.owned();
        match self.random.random_range(0..100) {
            0..8 if !owned.contains(&partition) => self.broker.assign(partition),
            8..10 if owned.contains(&partition) && !self.revoked.contains(&partition) => {
                self.revoked.push(partition);
                self.broker.revoke(partition);
            }
            10..12 if owned.contains(&partition) => self.broker.lose(partition),
            12..35 if self.broker.unanswered() > 0 => {
                let index = self.random.random_range(0..self.broker.unanswered());
                self.broker.accept(index);
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
        let mut quiet = 0;
        while quiet < 10 {
            self.clock.advance(20);
            let answered = self.broker.answer_commit(true) | self.broker.answer_abort();
            while self.broker.unanswered() > 0 {
                self.broker.accept(0);
            }
            quiet = if engine.turn() == 0 && !answered { quiet + 1 } else { 0 };
        }
        assert_eq!(engine.in_flight(), 0, "something is stuck in flight");
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
        engine.into_hot_side()
    }

    /// The lists that were given off are those of the twin.
    fn check(&self) {
        let mut given = BTreeMap::<(u16, Vec<u32>), (u32, u32)>::new();
        self.broker.for_each_written(|it| {
            let key = it.key.as_ref().unwrap();
            let [partition, _] = key[..] else { return };
            if it.destination != SINK && it.destination != DEAD {
                return;
            }
            let list = it.value.as_ref().unwrap().chunks(4);
            let list = list.map(|it| u32::from_le_bytes(it.try_into().unwrap())).collect();
            let counts = given.entry((u16::from(partition), list)).or_default();
            counts.0 += u32::from(it.destination == SINK);
            counts.1 += u32::from(it.destination == DEAD);
        });
        for (partition, log) in (0..).zip(&self.logs) {
            for list in lists(log) {
                let (results, letters) = given.remove(&(partition, list.clone())).unwrap_or((0, 0));
                let right = match (list[0] % 5, list[0] % 7) {
                    (0, _) => (0, 0),
                    (_, 0) => (0, 1),
                    _ => (1, 0),
                };
                let is_right = match self.order {
                    Order::Together => (results, letters) == right,
                    _ => results.min(1) == right.0 && letters.min(1) == right.1,
                };
                assert!(is_right, "{partition}: {list:?} has {results} results, {letters} letters");
            }
        }
        assert!(given.is_empty(), "nobody gathered {given:?}");
    }
}

fn log(random: &mut SmallRng) -> Vec<Stored> {
    let count = random.random_range(0..=40);
    let fate = |random: &mut SmallRng| b"kkkkkkkkksre"[random.random_range(0..12)];
    (0..count).map(|_| stored(fate(random), random.random_range(0..KEYS))).collect()
}

fn run(seed: u64, is_forgetful: bool, mut hot: HotSide) -> HotSide {
    let mut simulation = Simulation::new(seed, is_forgetful);
    hot.counters().clear();
    for _ in 0..simulation.random.random_range(1..=4) {
        hot = simulation.session(hot);
    }
    hot = simulation.finish(hot);
    simulation.check();
    hot
}

#[test]
fn state_is_exact_under_random_schedules() {
    schedules::run_all(|seed, hot| run(seed, false, hot));
}

/// What a check is worth that never fails.
#[test]
fn a_variant_that_does_not_write_its_state_is_caught() {
    let is_caught = |seed: &u64| {
        let hot = HotSide::detached(Ticks(0));
        catch_unwind(AssertUnwindSafe(|| drop(run(*seed, true, hot)))).is_err()
    };
    let caught = (0..100).filter(is_caught).count();
    assert!(caught >= 50, "{caught} of 100 schedules find it out");
}
