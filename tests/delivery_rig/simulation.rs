//! One schedule: an engine on the memory transport, random events, and what must hold after each.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use hotspur::{
    clock::{ManualClock, WallOffset},
    delivery::Order,
    engine::{Cause, Ending, Engine, Options, Phase, Retry, breaker::Rule, control::Control},
    observe::{HotSide, Switch},
    record::PartitionId,
    transport::memory::{Broker, BrokerSource},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::delivery_rig::{
    DEAD, Id, PARTITIONS, SINK, Script, Scripted, Watch, Watched, id_of, log, reason_of, retry,
};

pub(crate) type Simulated = Engine<ManualClock, BrokerSource, Watched, Scripted>;

pub(crate) struct Simulation {
    order: Order,
    random: SmallRng,
    pub(crate) clock: ManualClock,
    pub(crate) broker: Broker,
    pub(crate) partitions: u16,
    /// The commits that were last checked.
    checked: Vec<Option<i64>>,
    /// Something happened that lets records be lost at most once: a crash, a lost partition.
    harmed: bool,
    /// Partitions may be lost, and the time for finishing them may run out.
    with_losses: bool,
    revoked: Vec<PartitionId>,
    /// Records may have to wait for lookups.
    on_demand: bool,
    /// How what fails over a stale table is tried again.
    retry: Retry,
    script: Rc<RefCell<Script>>,
    watch: Rc<RefCell<Watch>>,
    waiting_max: usize,
    /// The sink acknowledges what the broker does not have.
    pub(crate) is_hasty: bool,
    switch: Arc<Switch>,
}

impl Simulation {
    pub(crate) fn new(seed: u64) -> Simulation {
        let mut random = SmallRng::seed_from_u64(seed);
        let orders = [Order::ProcessThenCommit, Order::CommitThenProcess, Order::Together];
        let order = orders[(seed % 3) as usize];
        let partitions = random.random_range(1..=PARTITIONS);
        let with_losses = random.random_bool(0.5);
        let on_demand = random.random_bool(0.3);
        let retry = retry(&mut random);
        let logs = (0..partitions).map(|it| log(&mut random, it, on_demand)).collect();
        let broker = match order {
            Order::Together => Broker::with_transactions(logs),
            _ => Broker::new(logs),
        };
        Simulation {
            order,
            random,
            clock: ManualClock::default(),
            broker,
            partitions,
            checked: Vec::new(),
            harmed: false,
            with_losses,
            revoked: Vec::new(),
            on_demand,
            retry,
            script: Rc::default(),
            watch: Rc::default(),
            waiting_max: 0,
            is_hasty: false,
            switch: Arc::default(),
        }
    }

    /// A breaker that opens now and then.
    fn rule(&mut self) -> Option<Rule> {
        self.random.random_bool(0.3).then(|| Rule {
            share: self.random.random_range(0.0..0.3),
            window: self.random.random_range(1..=10),
            within_ns: self.random.random_range(1..=1_000),
            stops: self.random.random_bool(0.5),
        })
    }

    pub(crate) fn connect(&mut self, hot: HotSide) -> Simulated {
        let (source, sink) = self.broker.connect(self.random.random_range(1..=20));
        let wall = WallOffset::fixed(0);
        let waits = self.on_demand || self.retry != Retry::NEVER;
        self.waiting_max = if waits { self.random.random_range(1..=16) } else { 0 };
        let wait = self.random.random_range(1..=150);
        self.script = Rc::new(RefCell::new(Script { wait, ..Script::default() }));
        self.watch = Rc::default();
        if self.order == Order::Together {
            // Handed over again after it was taken back; what is written is checked instead.
            (0..self.partitions).for_each(|it| self.watch.borrow_mut().lose(PartitionId(it)));
        }
        let options = Options {
            name: "simulation".into(),
            order: self.order,
            in_flight: self.random.random_range(1..=16),
            in_flight_bytes: self.random.random_range(64..=512),
            batch: self.random.random_range(1..=8),
            waiting: self.waiting_max,
            retry: self.retry,
            dead_letters: DEAD,
            streams_headers: false,
            commit_interval_ns: 10,
            transaction_timeout_ns: self.random.random_range(100..=2_000),
            stages: hotspur::measure::Stages::All,
            slow_ns: 1_000_000,
            publish_interval_ns: 1_000_000,
            drain_timeout_ns: if self.with_losses { 1_000 } else { 1_000_000_000 },
        };
        let clock = (self.clock.clone(), wall);
        let hasty = self.is_hasty.then(Vec::new);
        let parts = (source, Watched { sink, watch: Rc::clone(&self.watch), hasty });
        let process = Scripted { script: Rc::clone(&self.script), clock: self.clock.clone() };
        self.switch = Arc::default();
        let control = Control::none().with_switch(&self.switch);
        Engine::new(clock, parts, process, hot, control, options)
    }

    /// One session: random events until it ends by a stop or a crash.
    fn session(&mut self, hot: HotSide, steps: u32) -> HotSide {
        let rule = self.rule();
        let mut engine = self.connect(hot).with_breaker(rule);
        self.revoked.clear();
        for _ in 0..steps {
            self.step(&mut engine);
            self.check_commits();
        }
        if self.random.random_bool(0.3) {
            self.calm_down(&mut engine);
        }
        if self.random.random_bool(0.7) {
            engine.stop();
            for _ in 0..self.random.random_range(0..200) {
                self.step(&mut engine);
                self.check_commits();
            }
        }
        let is_clean = match engine.phase() {
            Phase::Ended(Ending { cause, unfinished: 0 }) => !matches!(cause, Cause::Failed(_)),
            _ => false,
        };
        self.harmed |= self.with_losses || !is_clean;
        engine.into_hot_side()
    }

    fn step(&mut self, engine: &mut Simulated) {
        self.clock.advance(self.random.random_range(1..=20));
        let partition = PartitionId(self.random.random_range(0..self.partitions));
        let owned = self.broker.owned();
        match self.random.random_range(0..100) {
            0..8 if !owned.contains(&partition) => self.broker.assign(partition),
            8..10 if owned.contains(&partition) && !self.revoked.contains(&partition) => {
                self.revoked.push(partition);
                self.watch.borrow_mut().lose(partition);
                self.broker.revoke(partition);
            }
            10..12 if owned.contains(&partition) && self.with_losses => {
                self.harmed = true;
                self.watch.borrow_mut().lose(partition);
                self.broker.lose(partition);
            }
            12..35 if self.broker.unanswered() > 0 => {
                let index = self.random.random_range(0..self.broker.unanswered());
                self.broker.accept(index);
            }
            35..38 if self.broker.unanswered() > 0 => {
                let index = self.random.random_range(0..self.broker.unanswered());
                self.broker.refuse(index, true);
            }
            38 if self.order == Order::Together => _ = self.broker.answer_commit_wrongly(),
            38..52 => _ = self.broker.answer_commit(self.random.random_bool(0.8)),
            52..55 => _ = self.broker.answer_abort(),
            55..58 => self.broker.set_room(self.random.random_range(0..=20)),
            58..66 if self.on_demand => self.script.borrow_mut().answer(self.random.random()),
            66 if self.on_demand => self.script.borrow_mut().known = 0,
            68 => self.script.borrow_mut().is_stale ^= true,
            67 if self.on_demand => self.script.borrow_mut().is_paused ^= true,
            69 => _ = self.switch.pause(),
            70..72 => _ = self.switch.resume(),
            _ => _ = engine.turn(),
        }
        assert!(engine.waiting() <= self.waiting_max.min(engine.in_flight()));
        self.revoked.retain(|it| self.broker.owned().contains(it));
    }

    /// Exactly once: below a committed offset all is written, once and in order, and else nothing.
    fn check_exactly_once(&mut self) {
        let committed = self.broker.committed();
        if self.order != Order::Together || committed == self.checked {
            return;
        }
        self.checked.clone_from(&committed);
        let mut last = [0; PARTITIONS as usize];
        self.broker.for_each_written(|written| {
            let (partition, offset) = id_of(written);
            let last = &mut last[usize::from(partition)];
            assert!(offset >= *last, "{partition}:{offset} is written after {last}");
            *last = offset;
        });
        let written = written(&self.broker);
        for partition in 0..self.partitions {
            for offset in 0..self.broker.log_len(PartitionId(partition)) {
                let id = (partition, offset as u32);
                let fate = written.get(&id).copied().unwrap_or_default();
                let fate = (fate.results, fate.letters);
                let is_committed = offset < committed[usize::from(partition)].unwrap_or(0);
                let is_right = match is_committed {
                    true => fate == (0, 1) || fate == self.expected(id),
                    false => fate == (0, 0),
                };
                assert!(is_right, "{id:?}, committed: {is_committed}, has {fate:?}");
            }
        }
    }

    /// At least once: below a committed offset everything is written, or was to be skipped.
    fn check_commits(&mut self) {
        self.check_exactly_once();
        let committed = self.broker.committed();
        if self.order != Order::ProcessThenCommit || committed == self.checked {
            return;
        }
        self.checked.clone_from(&committed);
        let written = written(&self.broker);
        for (partition, committed) in committed.iter().enumerate() {
            for offset in 0..committed.unwrap_or(0) {
                let id = (partition as u16, offset as u32);
                let fate = written.get(&id).copied().unwrap_or_default();
                let (results, letters) = self.expected(id);
                assert!(
                    fate.letters > 0 || (fate.results >= results && letters == 0),
                    "{id:?} is committed, but only {fate:?} was written"
                );
            }
        }
    }

    /// Everything works until nothing happens any more: then nothing is in flight, whatever was
    /// lost or given back before.
    fn calm_down(&mut self, engine: &mut Simulated) {
        self.broker.set_room(100);
        self.script.borrow_mut().is_paused = false;
        self.script.borrow_mut().is_stale = false;
        let mut quiet = 0;
        while quiet < 10 {
            self.clock.advance(20);
            self.switch.resume();
            let answered = self.broker.answer_commit(true) | self.broker.answer_abort();
            if self.on_demand && self.random.random_bool(0.5) {
                self.script.borrow_mut().answer(self.random.random());
            }
            while self.broker.unanswered() > 0 {
                self.broker.accept(0);
            }
            let work = engine.turn();
            self.check_commits();
            quiet = if work == 0 && !answered { quiet + 1 } else { 0 };
        }
        // A run that failed over a refused letter keeps that record.
        if engine.phase() == Phase::Running {
            assert_eq!(engine.in_flight(), 0, "records are stuck in flight");
        }
    }

    /// A last session in which everything works: all records must come to their end. It is told to
    /// end, or ends by itself where the source does.
    fn finish(&mut self, hot: HotSide) -> HotSide {
        let mut engine = self.connect(hot);
        for partition in 0..self.partitions {
            self.broker.assign(PartitionId(partition));
        }
        let log_len = |it| self.broker.log_len(PartitionId(it));
        let ends_by_itself = self.random.random_bool(0.5);
        if ends_by_itself {
            self.broker.end_at((0..self.partitions).map(log_len).collect());
        }
        self.calm_down(&mut engine);
        if !ends_by_itself {
            assert_eq!(engine.phase(), Phase::Running);
            engine.stop();
        }
        for _ in 0..1_000 {
            engine.turn();
            self.clock.advance(20);
            self.broker.answer_commit(true);
            self.broker.answer_abort();
            while self.broker.unanswered() > 0 {
                self.broker.accept(0);
            }
        }
        assert!(matches!(engine.phase(), Phase::Ended(_)), "{:?}", engine.phase());
        self.check_commits();
        for (partition, committed) in self.broker.committed().iter().enumerate() {
            let log_len = self.broker.log_len(PartitionId(partition as u16));
            assert_eq!(committed.unwrap_or(0), log_len, "partition {partition} is not committed");
        }
        engine.into_hot_side()
    }

    /// Results and letters that a record should lead to.
    fn expected(&self, (partition, offset): Id) -> (u32, u32) {
        let stored = self.broker.stored(PartitionId(partition), i64::from(offset));
        match stored.value.unwrap()[0] {
            b's' => (0, 0),
            b'r' => (0, 1),
            b'h' => (1, 0),
            count => (u32::from(count - b'0'), 0),
        }
    }

    /// A letter over a stale table came after all attempts, or, at most once, at an end.
    fn check_letters(&self) {
        let all = match self.retry.attempts {
            0 => "it is stale".to_owned(),
            attempts => format!("tried {} times: it is stale", attempts + 1),
        };
        self.broker.for_each_written(|it| {
            let (partition, offset) = id_of(it);
            let stored = self.broker.stored(PartitionId(partition), i64::from(offset));
            let is_letter = it.destination == DEAD && stored.value.unwrap()[0] == b'h';
            let reason = if is_letter { reason_of(it) } else { String::new() };
            let is_early = self.order == Order::CommitThenProcess || !reason.ends_with("stale");
            assert!(!is_letter || is_early || reason == all, "{partition}:{offset}: {reason}");
        });
    }

    /// At most once: nothing is written more often than it should be, and where nothing crashed and
    /// no partition was lost, nothing less often.
    fn check_at_most_once(&self) {
        if self.order != Order::CommitThenProcess {
            return;
        }
        let written = written(&self.broker);
        for (id, fate) in &written {
            let (results, _) = self.expected(*id);
            assert!(fate.results <= results && fate.letters <= 1, "{id:?} is doubled: {fate:?}");
        }
        for partition in 0..self.partitions {
            for offset in 0..self.broker.log_len(PartitionId(partition)) {
                let id = (partition, offset as u32);
                let fate = written.get(&id).copied().unwrap_or_default();
                let (results, letters) = self.expected(id);
                let whole = fate.letters > 0 || (fate.results == results && letters == 0);
                assert!(whole || self.harmed, "{id:?} is lost without need: {fate:?}");
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    results: u32,
    letters: u32,
}

fn written(broker: &Broker) -> HashMap<Id, Fate> {
    let mut fates: HashMap<_, Fate> = HashMap::new();
    broker.for_each_written(|written| {
        let fate = fates.entry(id_of(written)).or_default();
        match written.destination {
            SINK => fate.results += 1,
            _ => fate.letters += 1,
        }
    });
    fates
}

/// Exactly once each record is counted in the transaction that commits it, whatever was taken back.
fn check_books(hot: &mut HotSide) {
    let counters = hot.counters();
    let (emitted, skipped) = (counters.emitted, counters.skipped.total());
    let rejected = counters.rejected.total();
    let books = format!("{} polled: {emitted}, {skipped}, {rejected}", counters.polled);
    assert_eq!(counters.polled, emitted + skipped + rejected, "{books}");
}

pub(crate) fn run(seed: u64, is_hasty: bool, mut hot: HotSide) -> HotSide {
    let mut simulation = Simulation::new(seed);
    simulation.is_hasty = is_hasty;
    // Of this schedule only.
    hot.counters().clear();
    for _ in 0..simulation.random.random_range(1..=3) {
        let steps = simulation.random.random_range(1..=150);
        hot = simulation.session(hot, steps);
    }
    hot = simulation.finish(hot);
    simulation.check_at_most_once();
    if simulation.order == Order::Together {
        check_books(&mut hot);
    }
    simulation.check_letters();
    hot
}
