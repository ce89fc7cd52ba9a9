//! The reader of a chaos run: turns and lookups all the time, and what each of them gave.
//!
//! It owns the tables as the hot thread does. Between two turns it hands out what it saw, and
//! compares the whole copy with what a server holds when it is asked to.

use std::{
    sync::mpsc::{Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use hotspur::{
    cache::{Sought, Tables},
    clock::{Clock, TscClock},
    host::ThreadUsage,
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::{
    history::{Nanos, Version},
    world::{Content, Kind, World, version_of},
};

/// Lookups of one turn, as a batch of records makes them.
const BATCH: usize = 64;

/// Between two turns others may work: the machine is small.
const PAUSE: Duration = Duration::from_micros(400);

/// One lookup's answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) table: usize,
    /// Which of the world's keys.
    pub(crate) key: usize,
    pub(crate) version: Version,
    /// The answer claims to have been true at that time or later.
    pub(crate) as_of: Nanos,
    /// When it was there.
    pub(crate) seen: Nanos,
}

/// A key of a table: which of the world's it is, and how it is looked up.
pub(crate) type Entry = (usize, Vec<u8>);

/// What the reader can be asked between two turns.
pub(crate) enum Request {
    /// Whether the table holds exactly these; the first difference in words if not.
    Compare(usize, Vec<Option<Content>>, Sender<Option<String>>),
    /// All answers since the last time.
    Take(Sender<Vec<Answer>>),
}

/// What the lookups cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) lookups: u64,
    pub(crate) hits: u64,
    /// Lookups that a table on demand could not answer at once.
    pub(crate) unknown: u64,
    /// Answers of which nobody knew how old they are.
    pub(crate) of_unknown_age: u64,
    /// How often a lookup gave its core up.
    pub(crate) waits: u64,
    pub(crate) longest_ns: u64,
}

/// The thread's state.
pub(crate) struct Lookups<'a> {
    world: &'a World,
    tables: Tables,
    /// The keys of each table.
    entries: &'a [Vec<Entry>],
    /// Whether a table has room for a few of them only.
    holds_few: Vec<bool>,
    requests: Receiver<Request>,
    random: SmallRng,
    clock: TscClock,
    answers: Vec<Answer>,
    cost: Cost,
}

impl<'a> Lookups<'a> {
    pub(crate) fn new(
        world: &'a World,
        tables: Tables,
        (entries, holds_few): (&'a [Vec<Entry>], Vec<bool>),
        requests: Receiver<Request>,
        seed: u64,
    ) -> Lookups<'a> {
        let random = SmallRng::seed_from_u64(seed);
        let (clock, answers, cost) = (TscClock::new(), Vec::new(), Cost::default());
        Lookups { world, tables, entries, holds_few, requests, random, clock, answers, cost }
    }

    /// Looks up until the run ends.
    pub(crate) fn run(mut self) -> Cost {
        while !self.world.is_stopped() {
            if let Ok(request) = self.requests.try_recv() {
                self.answer(request);
            }
            self.turn();
            thread::park_timeout(PAUSE);
        }
        self.cost
    }

    fn answer(&mut self, request: Request) {
        // Whoever asked may have given up; the run ends then.
        let _ = match request {
            Request::Take(to) => to.send(std::mem::take(&mut self.answers)).is_ok(),
            Request::Compare(table, content, to) => {
                to.send(self.difference(table, &content)).is_ok()
            }
        };
    }

    fn turn(&mut self) {
        let table = self.random.random_range(0..self.entries.len());
        let entries = &self.entries[table];
        let picked: [usize; BATCH] =
            std::array::from_fn(|_| self.random.random_range(0..entries.len()));
        let mut versions: [Option<Version>; BATCH] = [None; BATCH];
        let before = Instant::now();

        let usage = ThreadUsage::read();
        let now = self.clock.now();
        self.tables.begin_turn(now);
        for (version, index) in versions.iter_mut().zip(picked) {
            let begun = self.clock.now();
            let sought = self.tables.seek(table, &entries[index].1);
            let took = self.clock.nanos(begun, self.clock.now());
            self.cost.longest_ns = self.cost.longest_ns.max(took);
            *version = match sought {
                Sought::Found(value) => Some(Some(version_of(value.bytes))),
                Sought::Absent => Some(None),
                Sought::Unknown(_) => None,
            };
        }
        let used = ThreadUsage::read().since(&usage);
        // Who meets a page that the kernel is moving waits for it, once a fault, whatever it reads.
        let faults = used.minor_faults + used.major_faults;
        self.cost.waits += used.voluntary_switches.saturating_sub(faults);

        let age = self.tables.age_ns(table, now);
        let as_of = age.map_or(0, |age| self.world.nanos(before).saturating_sub(age + slack(age)));
        let seen = self.world.now();
        self.cost.lookups += BATCH as u64;
        self.cost.hits += versions.iter().flatten().flatten().count() as u64;
        self.cost.unknown += versions.iter().filter(|it| it.is_none()).count() as u64;
        self.cost.of_unknown_age += if age.is_none() { BATCH as u64 } else { 0 };
        let answer = |(version, index): (Option<Version>, usize)| {
            let key = entries[index].0;
            version.map(|version| Answer { table, key, version, as_of, seen })
        };
        self.answers.extend(versions.into_iter().zip(picked).filter_map(answer));
    }

    fn difference(&mut self, table: usize, content: &[Option<Content>]) -> Option<String> {
        self.tables.quiesce();
        let mut unknown = 0;
        for ((key, entry), expected) in self.entries[table].iter().zip(content) {
            let kind = self.world.keys[*key].kind;
            let found = match self.tables.seek(table, entry) {
                Sought::Found(value) => Some(Content::of(kind, value.bytes)),
                Sought::Absent => None,
                // It is asked for now, and will be there the next time, if there is room.
                Sought::Unknown(_) => {
                    unknown += 1;
                    continue;
                }
            };
            if found != *expected {
                let found = found.map(|it| shortened(kind, &it));
                let expected = expected.as_ref().map(|it| shortened(kind, it));
                let name = &self.world.keys[*key].name;
                return Some(format!("{name} is {found:?} in the copy, {expected:?} in Redis"));
            }
        }
        let is_complete = unknown == 0 || self.holds_few[table];
        (!is_complete).then(|| format!("{unknown} keys are not known yet"))
    }
}

fn shortened(kind: Kind, content: &Content) -> String {
    format!("{kind:?} {content:?}").chars().take(80).collect()
}

/// The two clocks that ages and histories are told by: reading them takes a moment, and one may be
/// calibrated to less than a part in ten thousand.
fn slack(age: Nanos) -> Nanos {
    50_000 + age / 10_000
}
