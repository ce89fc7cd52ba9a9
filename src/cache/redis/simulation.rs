//! The protocol against a simulated Redis that changes between any two commands.
//!
//! The simulation is somewhat worse than the real one: a change is announced at the end of an
//! event-loop cycle, but only what was done before a PING is sure to be announced by the PONG of
//! the next round, and a scan misses what is made while it runs. Some changes are announced by
//! nobody. It remembers every key's past, so that each statement of the mirror about how fresh it
//! is can be checked against what was true. Each command takes a millisecond.

mod on_demand;

use std::{
    collections::BTreeMap,
    mem,
    time::{Duration, Instant},
};

use ::redis::{Arg, Cmd, Pipeline, Value};
use proptest::{collection::vec, prelude::*};

use super::{link::Push, mirror::Mirror, round::Progress};
use crate::{
    cache::table::{Reader, table},
    config::settings::{RedisTable, Refresh},
};

const KEYS: u8 = 12;
const PAGES: u8 = 3;
const PASS_EVERY: Duration = Duration::from_millis(200);

/// What happens on the server between two commands.
#[derive(Clone, Copy, Debug)]
enum Event {
    Nothing,
    /// A write of a new value, of which some expire after so many milliseconds, or a deletion.
    Write(u8, Option<Option<u64>>),
    /// The same, of which nobody is told.
    Swap(u8, Option<Option<u64>>),
    /// The time to live changes, or is taken away.
    Expire(u8, Option<u64>),
    /// Milliseconds pass.
    Later(u64),
    /// Expired keys are found, and announced as deleted.
    Reap,
    /// The cycle ends: what changed in it is announced.
    CycleEnds,
    FlushAll,
    /// The connection breaks before the next round.
    Break,
}

fn event() -> impl Strategy<Value = Event> {
    let time = || prop_oneof![3 => Just(None), 1 => (1_u64..150).prop_map(Some)];
    let value = move || prop_oneof![1 => Just(None), 2 => time().prop_map(Some)];
    prop_oneof![
        60 => Just(Event::Nothing),
        40 => ((0..KEYS), value()).prop_map(|(key, value)| Event::Write(key, value)),
        1 => ((0..KEYS), value()).prop_map(|(key, value)| Event::Swap(key, value)),
        5 => ((0..KEYS), time()).prop_map(|(key, time)| Event::Expire(key, time)),
        3 => (1_u64..100).prop_map(Event::Later),
        3 => Just(Event::Reap),
        30 => Just(Event::CycleEnds),
        1 => Just(Event::FlushAll),
        2 => Just(Event::Break),
    ]
}

/// What a key held from some time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    since: u64,
    value: Option<u64>,
    expires: Option<u64>,
}

impl State {
    fn value_at(&self, time: u64) -> Option<u64> {
        self.value.filter(|_| self.expires.is_none_or(|expires| expires > time))
    }
}

struct Server {
    start: Instant,
    now: u64,
    next_value: u64,
    /// Of each key, what it held when; never empty.
    past: Vec<Vec<State>>,
    /// Not announced yet, and since when.
    changed: BTreeMap<u8, u64>,
    flushed: Option<u64>,
    /// Keys that changed silently, and when, that no pass has caught up with.
    silent: Vec<(u8, u64)>,
    /// When the PING before the last, and the last, were executed.
    pings: [u64; 2],
    /// Announced, and on the way with the replies.
    pushes: Vec<Push>,
    is_broken: bool,
}

impl Server {
    fn new() -> Server {
        let absent = State { since: 0, value: None, expires: None };
        Server {
            start: Instant::now(),
            now: 1,
            next_value: 1,
            past: vec![vec![absent]; usize::from(KEYS)],
            changed: BTreeMap::new(),
            flushed: None,
            silent: Vec::new(),
            pings: [0; 2],
            pushes: Vec::new(),
            is_broken: false,
        }
    }

    fn time(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    fn millis(&self, time: Instant) -> u64 {
        time.saturating_duration_since(self.start).as_millis() as u64
    }

    fn state(&self, key: u8) -> State {
        *self.past[usize::from(key)].last().unwrap()
    }

    fn value(&self, key: u8) -> Option<u64> {
        self.state(key).value_at(self.now)
    }

    fn change(&mut self, key: u8, value: Option<u64>, time: Option<u64>) {
        self.now += 1;
        let (since, expires) = (self.now, time.map(|time| self.now + time));
        self.past[usize::from(key)].push(State { since, value, expires });
    }

    fn write(&mut self, key: u8, value: Option<Option<u64>>) {
        self.next_value += 1;
        self.change(key, value.map(|_| self.next_value), value.flatten());
    }

    fn tell(&mut self, key: u8) {
        self.changed.entry(key).or_insert(self.now);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Nothing => {}
            Event::Later(millis) => self.now += millis,
            Event::Write(key, value) => {
                self.write(key, value);
                self.tell(key);
            }
            Event::Swap(key, value) => {
                self.write(key, value);
                self.silent.push((key, self.now));
            }
            Event::Expire(key, time) => {
                if let Some(value) = self.value(key) {
                    self.change(key, Some(value), time);
                    self.tell(key);
                }
            }
            Event::Reap => {
                for key in 0..KEYS {
                    if self.state(key).value.is_some() && self.value(key).is_none() {
                        self.change(key, None, None);
                        self.tell(key);
                    }
                }
            }
            Event::FlushAll => {
                (0..KEYS).for_each(|key| self.change(key, None, None));
                self.flushed.get_or_insert(self.now);
            }
            Event::CycleEnds => self.announce(u64::MAX),
            Event::Break => self.is_broken = true,
        }
    }

    /// Tells of what was done before that time.
    fn announce(&mut self, before: u64) {
        if self.flushed.take_if(|time| *time < before).is_some() {
            self.pushes.push(Push::Everything);
        }
        let keys: Vec<u8> =
            self.changed.iter().filter(|it| *it.1 < before).map(|it| *it.0).collect();
        self.changed.retain(|_, time| *time >= before);
        if !keys.is_empty() {
            self.pushes.push(Push::Keys(keys.into_iter().map(|key| vec![b'k', key]).collect()));
        }
    }

    fn execute(&mut self, command: &Cmd) -> Value {
        self.now += 1;
        let words: Vec<&[u8]> = command
            .args_iter()
            .filter_map(|it| if let Arg::Simple(word) = it { Some(word) } else { None })
            .collect();
        match words[0] {
            b"MGET" => Value::Array(words[1..].iter().map(|key| self.answer(key[1])).collect()),
            b"PTTL" => words[1].get(1).map_or(Value::Int(-2), |key| self.time_to_live(*key)),
            b"SCAN" => self.page(std::str::from_utf8(words[1]).unwrap().parse().unwrap()),
            b"TYPE" => Value::SimpleString("none".to_owned()),
            b"DBSIZE" => Value::Int(self.past.len() as i64),
            b"INFO" => self.info(),
            b"HELLO" => Value::Map(Vec::new()),
            b"ROLE" => Value::Nil,
            _ => {
                self.pings = [self.pings[1], self.now];
                Value::SimpleString("PONG".to_owned())
            }
        }
    }

    fn answer(&self, key: u8) -> Value {
        let value = self.value(key);
        value.map_or(Value::Nil, |it| Value::BulkString(it.to_string().into_bytes()))
    }

    fn time_to_live(&self, key: u8) -> Value {
        let Some(_) = self.value(key) else { return Value::Int(-2) };
        let expires = self.state(key).expires;
        Value::Int(expires.map_or(-1, |expires| (expires - self.now) as i64))
    }

    fn info(&self) -> Value {
        let expires = (0..KEYS).filter(|key| self.state(*key).expires.is_some()).count();
        Value::BulkString(format!("# Keyspace\r\ndb0:keys=1,expires={expires}\r\n").into_bytes())
    }

    fn page(&self, cursor: u8) -> Value {
        let keys = (0..KEYS).filter(|key| key % PAGES == cursor && self.value(*key).is_some());
        let keys = keys.map(|key| Value::BulkString(vec![b'k', key])).collect();
        let next = ((cursor + 1) % PAGES).to_string().into_bytes();
        Value::Array(vec![Value::BulkString(next), Value::Array(keys)])
    }
}

struct Simulation {
    server: Server,
    mirror: Mirror,
    reader: Reader,
    is_tracked: bool,
    is_loaded: bool,
    /// The newest time as of which the mirror said to be true.
    as_of: u64,
    /// What an answer took at most: a key may go so much too early.
    round_took: u64,
    /// When the last pass began.
    pass_began: u64,
    /// When each round was sent.
    rounds: Vec<u64>,
}

impl Simulation {
    fn new(is_tracked: bool) -> Simulation {
        let (writer, reader) = table(0, 1);
        let mut settings = RedisTable::new("", "", "k");
        settings.verify_interval = PASS_EVERY;
        if !is_tracked {
            settings.refresh = Refresh::Poll(PASS_EVERY);
        }
        let mut mirror = Mirror::new(writer, &settings, 0);
        mirror.connected();
        let server = Server::new();
        let (is_loaded, as_of, round_took, pass_began) = (false, 0, 0, 0);
        Simulation {
            server,
            mirror,
            reader,
            is_tracked,
            is_loaded,
            as_of,
            round_took,
            pass_began,
            rounds: vec![0],
        }
    }

    /// One round, with an event before each command and one after it.
    fn round(&mut self, events: &mut impl Iterator<Item = Event>) {
        if mem::take(&mut self.server.is_broken) {
            self.server.pushes.clear();
            self.server.changed.clear();
            self.server.flushed = None;
            self.mirror.connected();
        }
        let sent = self.server.now;
        self.rounds.push(sent);
        let mut commands = Pipeline::new();
        let questions = self.mirror.ask(self.server.time(), &mut commands);
        assert_eq!(questions.len(), commands.len());
        for (question, command) in questions.iter().zip(commands.cmd_iter()) {
            events.next().into_iter().for_each(|event| self.server.happen(event));
            let reply = self.server.execute(command);
            self.round_took = self.round_took.max(self.server.now - sent);
            self.mirror.answer(question, reply, "SHOWN").unwrap();
            self.check_presence();
        }
        self.server.announce(self.server.pings[0]);
        let pushes = mem::take(&mut self.server.pushes);
        if self.is_tracked {
            self.mirror.note(pushes);
        }
        let passing = self.mirror.passing();
        let progress = self.mirror.finish_round();
        if let Progress::Whole(as_of) | Progress::Fresh(as_of) = progress {
            self.is_loaded = true;
            self.as_of = self.server.millis(as_of);
        }
        if self.mirror.take_finished().is_some() {
            let began = self.server.millis(passing.unwrap().1);
            self.server.silent.retain(|(_, since)| *since > began);
            self.pass_began = began;
        }
        self.check_presence();
        self.check_expiry();
        events.next().into_iter().for_each(|event| self.server.happen(event));
    }

    /// When the last round before then was sent: it may have read what was there before.
    fn round_before(&self, time: u64) -> u64 {
        self.rounds[self.rounds.partition_point(|sent| *sent < time) - 1]
    }

    fn answer(&self, key: u8) -> Option<u64> {
        let text = self.reader.get(&[key])?.bytes;
        Some(std::str::from_utf8(text).unwrap().parse().unwrap())
    }

    /// Once loaded, every answer is one that was true at `as_of` or after it, or would have been
    /// if keys had been left to expire; of a silent change a pass must have caught up with it.
    fn check_presence(&mut self) {
        self.reader.quiesce();
        if !self.is_loaded {
            return;
        }
        let now = self.server.now;
        for (key, past) in (0..KEYS).zip(&self.server.past) {
            let answer = self.answer(key);
            let silent = self.server.silent.iter().find(|it| it.0 == key);
            let as_of = self.as_of.min(silent.map_or(u64::MAX, |it| self.round_before(it.1)));
            let first = past.partition_point(|state| state.since <= as_of).saturating_sub(1);
            let was_true = past[first..].iter().any(|state| match answer {
                Some(_) => state.value_at(state.since.max(as_of)) == answer,
                None => state.value_at(now + self.round_took).is_none(),
            });
            assert!(was_true, "{key} is {answer:?} as of {as_of} at {now}, but was {past:?}");
        }
    }

    /// What the mirror knows to expire goes in time, whether it hears from the server or not.
    fn check_expiry(&mut self) {
        self.mirror.expire(self.server.time());
        self.reader.quiesce();
        for key in 0..KEYS {
            let state = self.server.state(key);
            let is_silent = self.server.silent.iter().any(|it| it.0 == key);
            let is_known = state.since <= self.as_of && !is_silent;
            if is_known && self.server.value(key).is_none() {
                assert_eq!(self.answer(key), None, "{key}, {state:?} at {}", self.server.now);
            }
        }
    }

    fn run(&mut self, events: Vec<Event>) {
        let mut events = events.into_iter();
        while events.len() > 0 {
            self.round(&mut events);
        }
        let quiet_since = self.server.now;
        let comes_to_rest = (0..400).any(|_| {
            self.round(&mut events);
            self.as_of >= quiet_since && self.pass_began >= quiet_since
        });
        assert!(comes_to_rest, "nothing happens any more, and the copy does not know it");
        // A pass may be under way when it gets quiet; the next is the bound.
        let (took, pass) = (self.server.now - quiet_since, 250);
        assert!(took <= PASS_EVERY.as_millis() as u64 + 2 * pass, "it took {took} ms");
        self.check_expiry();
        for key in 0..KEYS {
            let (answer, state) = (self.answer(key), self.server.state(key));
            let soon = state.value_at(self.server.now + self.round_took);
            assert!(answer == self.server.value(key) || answer == soon, "{key} is {answer:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_answer_is_as_fresh_as_the_mirror_says(events in vec(event(), 0..400)) {
        Simulation::new(true).run(events);
    }

    #[test]
    fn every_answer_is_as_fresh_as_a_polling_mirror_says(events in vec(event(), 0..400)) {
        Simulation::new(false).run(events);
    }
}
