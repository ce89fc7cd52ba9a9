//! One schedule: workers on a server in memory, random events, and what must hold.

use std::{
    cell::RefCell,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use hotspur::{
    clock::{Clock, ManualClock, Ticks},
    delivery::Order,
    engine::{Cause, Ending, Phase},
    observe::HotSide,
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{
    books::Books,
    data::Id,
    server::{Health, Server},
    worker::{GROUP, Plan, STREAMS, Worker, start},
};

const WORKERS: usize = 3;

/// Lines of a trace that are printed.
const TRACE_LINES: usize = 80;

/// What is wrong on purpose, and must be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    Right,
    /// Results count as acknowledged before the server has them.
    Hasty,
    /// Exactly once is promised, but results and acknowledgements go apart.
    Apart,
    /// The script does not look whose entries are.
    Unchecked,
    /// What dead workers had is claimed by nobody.
    Unclaimed,
}

/// What may happen in a schedule.
#[derive(Clone, Copy, Debug)]
struct Dangers {
    kills: bool,
    freezes: bool,
    cuts: bool,
    ills: bool,
    restarts: bool,
    trims: bool,
}

pub(crate) struct Simulation {
    order: Order,
    random: SmallRng,
    clock: ManualClock,
    server: Server,
    plan: Plan,
    dangers: Dangers,
    workers: Vec<Option<(Worker, bool)>>,
    books: Books,
    missed: u64,
    /// Time went by in which the server said nothing.
    was_silent: bool,
    /// Workers that ended by themselves or were killed.
    ends: u64,
    trace: Option<VecDeque<String>>,
}

thread_local! {
    /// Memory for figures is dear.
    static HOT: RefCell<Vec<HotSide>> = const { RefCell::new(Vec::new()) };
}

fn hot_side() -> HotSide {
    let mut hot = HOT.with_borrow_mut(Vec::pop).unwrap_or_else(|| HotSide::detached(Ticks(0)));
    hot.counters().clear();
    hot
}

fn give_back(hot: HotSide) {
    HOT.with_borrow_mut(|it| it.push(hot));
}

/// Runs one; if it fails, once more with a trace, whose last lines are printed.
pub(crate) fn run(seed: u64, variant: Variant, is_told: bool) {
    let outcome = catch_unwind(AssertUnwindSafe(|| Simulation::new(seed, variant, false).run()));
    let Err(panic) = outcome else { return };
    if is_told {
        let mut simulation = Simulation::new(seed, variant, true);
        let _ = catch_unwind(AssertUnwindSafe(|| simulation.run()));
        let Simulation { plan, dangers, .. } = &simulation;
        eprintln!("{plan:?}\n{dangers:?}");
        simulation.trace.iter().flatten().for_each(|it| eprintln!("{it}"));
    }
    resume_unwind(panic);
}

impl Simulation {
    fn new(seed: u64, variant: Variant, is_traced: bool) -> Simulation {
        let mut random = SmallRng::seed_from_u64(seed);
        let orders = [Order::ProcessThenCommit, Order::Together, Order::CommitThenProcess];
        let order = match variant {
            Variant::Hasty => orders[0],
            Variant::Apart | Variant::Unchecked => orders[1],
            Variant::Right if seed % 5 == 4 => orders[2],
            Variant::Right | Variant::Unclaimed => orders[(seed % 2) as usize],
        };
        let is_wrong = variant != Variant::Right;
        let mut with = |share: f64| random.random_bool(share);
        let dangers = Dangers {
            kills: with(0.6) || is_wrong,
            freezes: with(0.6) || is_wrong,
            cuts: with(0.6),
            ills: with(0.5),
            restarts: with(0.2),
            trims: with(0.3),
        };
        let workers = random.random_range(1..=WORKERS);
        let claim_idle_ms = random.random_range(4..40);
        let plan = Plan {
            order: match variant {
                Variant::Apart => Order::ProcessThenCommit,
                _ => order,
            },
            streams: random.random_range(1..=STREAMS.len()),
            claim_idle_ms,
            claims: variant != Variant::Unclaimed,
            max_claims: random.random_range(1..=20),
            deletes: random.random_bool(0.3),
            makes_group_anew: random.random_bool(0.7),
            is_in_field: random.random_bool(0.5),
            batch: random.random_range(1..=8),
            in_flight: random.random_range(1..=32),
            entries: random.random_range(1..=64),
            input_bytes: random.random_range(64..=2048),
            commit_interval_ns: random.random_range(1..=20) * 100_000,
            is_hasty: variant == Variant::Hasty,
        };
        let trace = is_traced.then(VecDeque::new);
        let server = Server::default();
        server.state().data.is_unchecked = variant == Variant::Unchecked;
        server.state().data.now_ms = 1_000;
        Simulation {
            order,
            random,
            clock: ManualClock::default(),
            server,
            plan,
            dangers,
            workers: (0..workers).map(|_| None).collect(),
            books: Books::default(),
            missed: 0,
            was_silent: false,
            ends: 0,
            trace,
        }
    }

    fn run(&mut self) {
        for _ in 0..self.random.random_range(50..500) {
            self.step();
        }
        self.finish();
    }

    fn note(&mut self, text: impl FnOnce(&mut Self) -> String) {
        if self.trace.is_some() {
            let (text, now_us) = (text(self), self.clock.now().0 / 1000);
            let trace = self.trace.as_mut().expect("it was looked at");
            trace.push_back(format!("{now_us:>9} us  {text}"));
            if trace.len() > TRACE_LINES {
                trace.pop_front();
            }
        }
    }

    fn advance(&mut self, micros: u64) {
        self.clock.advance(micros * 1000);
        self.server.state().data.now_ms = 1_000 + self.clock.now().0 / 1_000_000;
    }

    fn step(&mut self) {
        let micros = self.random.random_range(10..400);
        self.advance(micros);
        let Dangers { kills, freezes, cuts, ills, restarts, trims } = self.dangers;
        let worker = self.random.random_range(0..self.workers.len());
        match self.random.random_range(0..1000) {
            0..400 => self.turn(worker),
            400..720 => self.execute(),
            720..780 => self.let_through(),
            780..850 => self.add(),
            850..865 => {
                let micros = self.random.random_range(5_000..600_000);
                self.advance(micros);
            }
            865..880 if cuts => self.cut(),
            880..887 if kills => self.kill(worker),
            887..895 if freezes => {
                if let Some((_, is_frozen)) = &mut self.workers[worker] {
                    *is_frozen ^= true;
                    let is_frozen = *is_frozen;
                    self.note(|_| format!("worker {worker} is frozen: {is_frozen}"));
                }
            }
            895..902 if ills => self.change_health(),
            902..905 if restarts => self.restart(),
            905..911 if trims => self.trim(),
            911..914 => self.stop(worker),
            914..916 => {
                self.was_silent = true;
                self.advance(6_000_000);
            }
            _ => self.start(worker),
        }
    }

    fn start(&mut self, worker: usize) {
        if self.workers[worker].is_some() {
            return self.turn(worker);
        }
        let place = (&self.server, &self.clock);
        let name = worker.to_string();
        match start(&self.plan, &name, place, hot_side, self.trace.is_some()) {
            Ok(it) => {
                self.workers[worker] = Some((it, false));
                self.note(|_| format!("worker {worker} starts"));
            }
            Err(trouble) => {
                assert!(trouble.heals, "worker {worker} does not start: {trouble:?}");
            }
        }
        self.watch();
    }

    fn turn(&mut self, worker: usize) {
        let Some((it, false)) = &mut self.workers[worker] else { return };
        it.turn();
        let phase = it.phase();
        for told in it.source_mut().take_told() {
            self.note(|_| format!("worker {worker}: {told}"));
        }
        if let Phase::Ended(ending) = phase {
            self.note(|_| format!("worker {worker} ended: {ending:?}"));
            self.check_ending(ending);
            self.end(worker);
        }
    }

    /// A worker ends because it was told to, or because the group is gone and that is to end it.
    fn check_ending(&self, ending: Ending) {
        if let Cause::Failed(trouble) = ending.cause {
            let is_group_lost = trouble.code == "NOGROUP" && !self.plan.makes_group_anew;
            assert!(is_group_lost, "it ended with {trouble:?}");
        }
    }

    fn end(&mut self, worker: usize) {
        let Some((it, _)) = self.workers[worker].take() else { return };
        let mut hot = it.into_hot_side();
        self.missed += hot.counters().missed;
        self.ends += 1;
        give_back(hot);
        self.watch();
    }

    fn kill(&mut self, worker: usize) {
        self.note(|_| format!("worker {worker} is killed"));
        self.end(worker);
    }

    fn stop(&mut self, worker: usize) {
        if let Some((it, _)) = &mut self.workers[worker] {
            it.stop();
            self.note(|_| format!("worker {worker} is told to stop"));
        }
    }

    fn execute(&mut self) {
        let connections = self.server.state().connections();
        if connections == 0 {
            return;
        }
        let index = self.random.random_range(0..connections);
        self.execute_one(index);
        if self.random.random_bool(0.8) {
            let mut state = self.server.state();
            if index < state.connections() {
                state.let_through(index, usize::MAX);
            }
        }
    }

    fn execute_one(&mut self, index: usize) -> bool {
        if index >= self.server.state().connections() {
            return false;
        }
        let words = match self.trace {
            Some(_) => self.server.state().next_words(index),
            None => String::new(),
        };
        let is_done = self.server.state().execute(index);
        if is_done {
            self.note(|_| format!("server: {words}"));
        }
        self.watch();
        is_done
    }

    /// Executes one command of whoever has some, and lets everything through.
    fn execute_any(&mut self) -> bool {
        let connections = self.server.state().connections();
        let is_done = (0..connections).any(|it| self.execute_one(it));
        let mut state = self.server.state();
        (0..state.connections()).for_each(|it| state.let_through(it, usize::MAX));
        is_done
    }

    /// Looks at what the server has now.
    fn watch(&mut self) {
        let Simulation { server, books, order, .. } = self;
        let mut state = server.state();
        if state.data.acknowledged.is_empty() {
            return;
        }
        books.read(&state.data);
        for (key, id) in state.data.acknowledged.drain(..) {
            books.acknowledged(&key, id, *order == Order::CommitThenProcess);
        }
    }

    fn let_through(&mut self) {
        let mut state = self.server.state();
        if state.connections() > 0 {
            let index = self.random.random_range(0..state.connections());
            state.let_through(index, self.random.random_range(1..200));
        }
    }

    fn add(&mut self) {
        for _ in 0..self.random.random_range(1..=5) {
            let stream = self.random.random_range(0..self.plan.streams);
            let number = self.books.next_number().to_string();
            let words = [STREAMS[stream], "*", "n", &number].map(str::as_bytes);
            let mut state = self.server.state();
            state.data.add(&words);
            let id = state.data.streams[STREAMS[stream].as_bytes()].last;
            drop(state);
            self.books.added(stream, STREAMS[stream], id);
            self.note(|_| format!("number {number} is {}-{} of {}", id.0, id.1, STREAMS[stream]));
        }
    }

    fn cut(&mut self) {
        let connections = self.server.state().connections();
        if connections > 0 {
            let index = self.random.random_range(0..connections);
            let is_forgotten = self.random.random_bool(0.5);
            self.server.state().cut(index, is_forgotten);
            self.note(|_| {
                format!("a connection is cut, what it asked is forgotten: {is_forgotten}")
            });
        }
    }

    fn change_health(&mut self) {
        let ills = [Health::Away, Health::ReadOnly, Health::Full, Health::Loading];
        let mut state = self.server.state();
        state.health = match state.health {
            Health::Well => ills[self.random.random_range(0..ills.len())],
            _ => Health::Well,
        };
        if matches!(state.health, Health::Away | Health::Loading) {
            state.cut_all();
        }
        let health = state.health;
        drop(state);
        self.note(|_| format!("the server is {health:?}"));
    }

    /// The server dies and comes back, with what it had or without.
    fn restart(&mut self) {
        let keeps = self.random.random_bool(0.5);
        self.advance(1_000);
        let mut state = self.server.state();
        state.cut_all();
        if !keeps {
            self.books.read(&state.data);
            self.books.forgotten();
            state.data.streams.clear();
        }
        drop(state);
        self.note(|_| format!("the server restarts and has what it had: {keeps}"));
    }

    fn trim(&mut self) {
        let stream = self.random.random_range(0..self.plan.streams);
        let key = STREAMS[stream];
        let mut state = self.server.state();
        let Some(it) = state.data.streams.get_mut(key.as_bytes()) else { return };
        for _ in 0..self.random.random_range(0..=it.entries.len().min(4)) {
            let Some((id, _)) = it.entries.pop_first() else { break };
            let pending = it.groups.get(GROUP.as_bytes());
            let is_pending = pending.is_some_and(|it| it.pending.contains_key(&id));
            self.books.trimmed(key, id, is_pending);
        }
        drop(state);
        self.note(|_| format!("{key} is trimmed"));
    }

    /// Everything works until nothing is left to do.
    fn finish(&mut self) {
        self.note(|_| "all is well from here on".to_owned());
        self.server.state().health = Health::Well;
        self.workers.iter_mut().flatten().for_each(|(_, is_frozen)| *is_frozen = false);
        let last = self.random.random_range(0..self.workers.len());
        // Others may never come back.
        for worker in (0..self.workers.len()).filter(|it| *it != last) {
            if self.dangers.kills && self.random.random_bool(0.5) {
                self.kill(worker);
            }
        }
        let mut quiet = 0;
        for _ in 0..10_000 {
            self.start(last);
            (0..self.workers.len()).for_each(|it| self.turn(it));
            let mut is_busy = false;
            while self.execute_any() {
                is_busy = true;
            }
            let micros = if is_busy { 100 } else { 20_000 };
            self.advance(micros);
            quiet = if self.is_settled() { quiet + 1 } else { 0 };
            if quiet > 3 {
                self.stop_all();
                return self.check();
            }
        }
        let data = &self.server.state().data.streams;
        panic!("something stays pending for ever: {data:?}");
    }

    fn stop_all(&mut self) {
        let ends = self.ends;
        for worker in 0..self.workers.len() {
            self.stop(worker);
            while self.workers[worker].is_some() {
                self.turn(worker);
                self.advance(100_000);
                while self.execute_any() {}
            }
        }
        self.ends = ends;
    }

    fn is_settled(&self) -> bool {
        let state = self.server.state();
        let is_read = STREAMS[..self.plan.streams].iter().all(|key| {
            let stream = state.data.streams.get(key.as_bytes());
            stream.is_some_and(|it| {
                let last: Id = it.entries.last_key_value().map_or((0, 0), |it| *it.0);
                let group = it.groups.get(GROUP.as_bytes());
                group.is_some_and(|it| it.delivered >= last && it.pending.is_empty())
            })
        });
        is_read && self.workers.iter().flatten().all(|(it, _)| it.is_settled())
    }

    fn check(&mut self) {
        self.books.read(&self.server.state().data);
        let is_ahead = self.order == Order::CommitThenProcess;
        if !is_ahead {
            self.books.check_nothing_lost();
        }
        if self.order != Order::ProcessThenCommit {
            self.books.check_nothing_doubled();
        }
        let Dangers { ills, cuts, restarts, .. } = self.dangers;
        let is_alone = self.workers.len() == 1 && self.ends == 0;
        let is_steady = !ills && !restarts && self.server.state().data.claimed == 0;
        if is_alone && is_steady && !is_ahead {
            self.books.check_order();
        }
        let is_calm = !ills && !cuts && !restarts && !self.was_silent && self.ends == 0;
        if is_calm && is_alone && is_steady {
            self.books.check_acknowledged_once();
        }
        // Where time leaps between asking and claiming, a few are claimed from oneself.
        if is_calm && is_alone && self.plan.max_claims > 4 {
            self.books.check_nothing_exhausted();
        }
        if is_calm && self.order == Order::ProcessThenCommit {
            let gone = self.books.gone_pending();
            assert!(self.missed >= gone, "{gone} entries were gone, {} were told", self.missed);
        }
    }
}
