//! The protocol against a simulated Redis that changes between any two commands.
//!
//! The simulation is somewhat worse than the real one: a change is announced at the end of an
//! event-loop cycle, but only what was done before a PING is sure to be announced by the PONG of
//! the next round, and a scan misses what is made while it runs. It remembers every key's past, so
//! that each statement of the mirror about how fresh it is can be checked against what was true.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    time::{Duration, Instant},
};

use ::redis::{Arg, Cmd, Pipeline, Value};
use proptest::{collection::vec, prelude::*};

use super::{
    link::Push,
    mirror::{Mirror, Progress},
    prefix::Prefix,
};
use crate::cache::table::{Reader, table};

const KEYS: u8 = 12;
const PAGES: u8 = 3;

/// What happens on the server between two commands.
#[derive(Clone, Copy, Debug)]
enum Event {
    Nothing,
    /// A write of a new value, or a deletion.
    Write(u8, bool),
    /// The cycle ends: what changed in it is announced.
    CycleEnds,
    FlushAll,
    /// The connection breaks before the next round.
    Break,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        60 => Just(Event::Nothing),
        40 => (0..KEYS, any::<bool>()).prop_map(|(key, is_set)| Event::Write(key, is_set)),
        30 => Just(Event::CycleEnds),
        1 => Just(Event::FlushAll),
        2 => Just(Event::Break),
    ]
}

struct Server {
    start: Instant,
    now: u64,
    next_value: u64,
    content: HashMap<u8, u64>,
    /// When which value began; `None` is absence.
    past: HashMap<u8, Vec<(u64, Option<u64>)>>,
    /// Not announced yet, and since when.
    changed: BTreeMap<u8, u64>,
    flushed: Option<u64>,
    /// When the PING before the last, and the last, were executed.
    pings: [u64; 2],
    /// Announced, and on the way with the replies.
    pushes: Vec<Push>,
    is_broken: bool,
}

impl Server {
    fn new() -> Server {
        let past = (0..KEYS).map(|key| (key, vec![(0, None)])).collect();
        Server {
            start: Instant::now(),
            now: 1,
            next_value: 1,
            content: HashMap::new(),
            past,
            changed: BTreeMap::new(),
            flushed: None,
            pings: [0; 2],
            pushes: Vec::new(),
            is_broken: false,
        }
    }

    fn time(&self) -> Instant {
        self.start + Duration::from_nanos(self.now)
    }

    fn change(&mut self, key: u8, value: Option<u64>) {
        self.now += 1;
        match value {
            Some(value) => self.content.insert(key, value),
            None => self.content.remove(&key),
        };
        self.past.get_mut(&key).unwrap().push((self.now, value));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Nothing => {}
            Event::Write(key, is_set) => {
                self.next_value += 1;
                self.change(key, is_set.then_some(self.next_value));
                self.changed.entry(key).or_insert(self.now);
            }
            Event::FlushAll => {
                (0..KEYS).for_each(|key| self.change(key, None));
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
            b"MGET" => Value::Array(words[1..].iter().map(|key| self.value(key)).collect()),
            b"SCAN" => self.page(std::str::from_utf8(words[1]).unwrap().parse().unwrap()),
            b"TYPE" => Value::SimpleString("none".to_owned()),
            b"DBSIZE" => Value::Int(self.content.len() as i64),
            _ => {
                self.pings = [self.pings[1], self.now];
                Value::SimpleString("PONG".to_owned())
            }
        }
    }

    fn value(&self, key: &[u8]) -> Value {
        let value = self.content.get(&key[1]);
        value.map_or(Value::Nil, |it| Value::BulkString(it.to_le_bytes().to_vec()))
    }

    fn page(&self, cursor: u8) -> Value {
        let keys = (0..KEYS).filter(|key| key % PAGES == cursor && self.content.contains_key(key));
        let keys = keys.map(|key| Value::BulkString(vec![b'k', key])).collect();
        let next = ((cursor + 1) % PAGES).to_string().into_bytes();
        Value::Array(vec![Value::BulkString(next), Value::Array(keys)])
    }
}

struct Simulation {
    server: Server,
    mirror: Mirror,
    reader: Reader,
    is_loaded: bool,
    /// The newest time as of which the mirror said to be true.
    as_of: u64,
}

impl Simulation {
    fn new() -> Simulation {
        let (writer, reader) = table(0, 1);
        let mut mirror = Mirror::new(writer, Prefix::new("k"));
        mirror.restart();
        Simulation { server: Server::new(), mirror, reader, is_loaded: false, as_of: 0 }
    }

    /// One round, with an event before each command and one after it.
    fn round(&mut self, events: &mut impl Iterator<Item = Event>) {
        if mem::take(&mut self.server.is_broken) {
            self.server.pushes.clear();
            self.server.changed.clear();
            self.server.flushed = None;
            self.mirror.restart();
        }
        let mut commands = Pipeline::new();
        let questions = self.mirror.ask(self.server.time(), &mut commands);
        assert_eq!(questions.len(), commands.len());
        for (question, command) in questions.iter().zip(commands.cmd_iter()) {
            events.next().into_iter().for_each(|event| self.server.happen(event));
            let reply = self.server.execute(command);
            self.mirror.answer(question, reply, "SHOWN").unwrap();
            self.check_presence();
        }
        self.server.announce(self.server.pings[0]);
        let pushes = mem::take(&mut self.server.pushes);
        self.mirror.note(pushes);
        let progress = self.mirror.finish_round();
        if let Progress::Whole(as_of) | Progress::Fresh(as_of) = progress {
            self.is_loaded = true;
            self.as_of = as_of.saturating_duration_since(self.server.start).as_nanos() as u64;
        }
        self.check_presence();
        events.next().into_iter().for_each(|event| self.server.happen(event));
    }

    /// Once loaded, every answer is one that was true at `as_of` or after it.
    fn check_presence(&mut self) {
        self.reader.quiesce();
        if !self.is_loaded {
            return;
        }
        for (key, past) in &self.server.past {
            let bytes = self.reader.get(&[*key]).map(|it| it.bytes.try_into().unwrap());
            let answer = bytes.map(u64::from_le_bytes);
            let since = past.partition_point(|(time, _)| *time <= self.as_of).saturating_sub(1);
            let was_true = past[since..].iter().any(|(_, value)| *value == answer);
            assert!(was_true, "{key} is {answer:?} as of {}, but was {past:?}", self.as_of);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_answer_is_as_fresh_as_the_mirror_says(events in vec(event(), 0..400)) {
        let mut simulation = Simulation::new();
        let mut events = events.into_iter();
        while events.len() > 0 {
            simulation.round(&mut events);
        }
        let quiet_since = simulation.server.now;
        let comes_to_rest = (0..40).any(|_| {
            simulation.round(&mut events);
            simulation.as_of >= quiet_since
        });
        prop_assert!(comes_to_rest, "nothing happens any more, and the copy does not know it");
        for key in 0..KEYS {
            let value = simulation.server.content.get(&key).map(|it| it.to_le_bytes());
            let found = simulation.reader.get(&[key]).map(|it| it.bytes);
            prop_assert_eq!(found, value.as_ref().map(|it| &it[..]));
        }
    }
}
