//! What the simulation of delivery steps: a scripted pipeline with a table on demand, and a sink
//! that watches the order of what is handed to it.
//!
//! What becomes of a record is in its value: its fate first (that many results, `s` to skip, `r` to
//! reject, `h` for one result unless a table is stale), then up to two lookups, by number. Who it
//! is, stands in its headers: its key is shared by others, which must not pass each other.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use hotspur::{
    clock::{ManualClock, Ticks},
    engine::{Chance, Process, Retry, Stores},
    pipeline::{
        Mark, Processed, Results,
        results::{Entry, Part},
    },
    record::{Destination, Headers, Output, PartitionId, Record},
    transport::{
        Ack, SendError, Sink, Token, Trouble, WaitSet,
        memory::{BrokerSink, Stored, Written},
    },
    verdict::{Awaited, RejectClass, Rejection, Skip, SkipClass, Step, Verdict},
};
use rand::{RngExt, rngs::SmallRng};

pub(crate) const SINK: Destination = Destination(0);
pub(crate) const DEAD: Destination = Destination(1);

/// Partitions at most.
pub(crate) const PARTITIONS: u16 = 3;

/// Different keys, from 1; beside records without one.
pub(crate) const KEYS: u8 = 3;

/// Different lookups; 0 is none.
pub(crate) const LOOKUPS: u8 = 12;

/// Partition and offset.
pub(crate) type Id = (u16, u32);

/// A record of that fate and with these lookups.
pub(crate) fn stored(id: Id, key: Option<Vec<u8>>, value: Vec<u8>) -> Stored {
    let mut headers = Vec::new();
    let bytes = [&id.0.to_le_bytes()[..], &id.1.to_le_bytes()].concat();
    Headers::push(&mut headers, b"", Some(&bytes));
    Stored { key, value: Some(value), headers }
}

fn id_in(mut headers: Headers<'_>) -> Id {
    let (_, bytes) = headers.next().expect("a header");
    let bytes = bytes.expect("a header with a value");
    let offset = bytes[2..].try_into().expect("four bytes");
    (u16::from_le_bytes([bytes[0], bytes[1]]), u32::from_le_bytes(offset))
}

/// The reason in a dead letter.
pub(crate) fn reason_of(letter: &Written) -> String {
    let mut headers = Headers::from_bytes(&letter.headers);
    let reason = headers.find(|(name, _)| *name == b"hotspur.reason").and_then(|it| it.1);
    String::from_utf8_lossy(reason.unwrap_or_default()).into_owned()
}

/// Whose result or letter it is.
pub(crate) fn id_of(written: &Written) -> Id {
    id_in(Headers::from_bytes(&written.headers))
}

/// How a schedule tries records again, if it does.
pub(crate) fn retry(random: &mut SmallRng) -> Retry {
    match random.random_range(0..10) {
        0..4 => Retry {
            attempts: random.random_range(1..=4),
            backoff_ns: random.random_range(1..=50),
            max_backoff_ns: 100,
        },
        _ => Retry::NEVER,
    }
}

/// The log of a partition.
pub(crate) fn log(random: &mut SmallRng, partition: u16, on_demand: bool) -> Vec<Stored> {
    let count = random.random_range(0..=30u32);
    (0..count)
        .map(|offset| {
            let mut lookup = || match on_demand && random.random_bool(0.3) {
                true => random.random_range(1..=LOOKUPS),
                false => 0,
            };
            let lookups = [lookup(), lookup()];
            let fate = b"111111223srhh"[random.random_range(0..13)];
            let mut value = vec![fate, lookups[0], lookups[1]];
            value.resize(value.len() + random.random_range(0..20), b'.');
            let key = random.random_range(0..=KEYS);
            stored((partition, offset), (key > 0).then(|| vec![key]), value)
        })
        .collect()
}

/// What the table and the clock of waiting records are at, as the schedule wants it.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// Bits by number.
    pub(crate) known: u32,
    pub(crate) asked: u32,
    pub(crate) answers: u64,
    pub(crate) is_paused: bool,
    pub(crate) is_stale: bool,
    /// When records were tried, by the clock.
    pub(crate) tried: Vec<(Id, u64)>,
    pub(crate) wait: u64,
    /// When a record first had to wait, by the clock.
    pub(crate) first: HashMap<Id, u64>,
}

impl Script {
    /// The table has the answer to one of the lookups that it was asked for.
    pub(crate) fn answer(&mut self, random: u32) {
        let asked = self.asked & !self.known;
        if asked != 0 {
            let skipped = random % asked.count_ones();
            let lowest = (0..skipped).fold(asked, |left, _| left & (left - 1));
            self.known |= 1 << lowest.trailing_zeros();
            self.answers += 1;
        }
    }
}

/// The pipeline; the schedule holds the other end.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) script: Rc<RefCell<Script>>,
    pub(crate) clock: ManualClock,
}

impl Scripted {
    fn run(&self, record: &Record<'_>, is_late: bool, results: &mut Results) -> Verdict {
        let value = record.value.expect("every record has a value");
        let script = &mut *self.script.borrow_mut();
        for lookup in value.iter().skip(1).take(2).filter(|it| **it <= LOOKUPS && **it > 0) {
            if script.known & 1 << lookup != 0 {
                continue;
            }
            let id = id_in(record.headers);
            let now = hotspur::clock::Clock::now(&self.clock).0;
            if is_late {
                let first = script.first[&id];
                assert!(now - first >= script.wait, "{id:?} was given up after {}", now - first);
                let reason = format_args!("nobody knew in time");
                let class = RejectClass::LookupTimeout;
                return Verdict::Reject(Rejection::new(class, Step::Number(0), reason));
            }
            script.first.entry(id).or_insert(now);
            script.asked |= 1 << lookup;
            return Verdict::Wait(Awaited { table: 0, hash: u64::from(*lookup) });
        }
        if value[0] == b'h' {
            script.tried.push((id_in(record.headers), hotspur::clock::Clock::now(&self.clock).0));
        }
        match value[0] {
            b'h' if script.is_stale => Verdict::Reject(Rejection::new(
                RejectClass::StaleTable,
                Step::Number(0),
                format_args!("it is stale"),
            )),
            b'h' => verdict(b'1', results),
            fate => verdict(fate, results),
        }
    }
}

fn verdict(fate: u8, results: &mut Results) -> Verdict {
    match fate {
        b's' => Verdict::Skip(Skip { class: SkipClass::Filtered, step: Step::Number(0) }),
        b'r' => Verdict::Reject(Rejection::new(
            RejectClass::Expression,
            Step::Number(0),
            format_args!("the script says so"),
        )),
        count => {
            for _ in b'0'..count {
                results.push(Entry {
                    destination: SINK,
                    partition_number: None,
                    timestamp_ms: None,
                    key: Part::OfRecord,
                    value: Part::OfRecord,
                    headers: Part::OfRecord,
                });
            }
            Verdict::Emit
        }
    }
}

impl Stores for Scripted {}

impl Process for Scripted {
    fn begin_turn(&mut self, _now: Ticks) {}

    fn is_paused(&self) -> bool {
        self.script.borrow().is_paused
    }

    fn process(
        &mut self,
        record: &Record<'_>,
        chance: Chance,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed {
        mark(Mark::Parsed);
        if !chance.is_last {
            mark(Mark::Operated);
        }
        Processed { verdict: self.run(record, chance.is_last, results), origin_ns: Some(0) }
    }

    fn answered(&self) -> u64 {
        self.script.borrow().answers
    }

    fn is_answered(&self, awaited: Awaited) -> bool {
        self.script.borrow().known & 1 << awaited.hash != 0
    }

    fn wait_ns(&self, _table: u16) -> u64 {
        self.script.borrow().wait
    }

    fn step_name(&self, _step: Step) -> &str {
        "script"
    }
}

/// What one session handed to the sink: results of one key and partition must not change places.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// By partition and key.
    last: [[u32; KEYS as usize + 1]; PARTITIONS as usize],
    /// Owned more than once: their records may come again.
    again: [bool; PARTITIONS as usize],
}

impl Watch {
    /// From here on records of that partition may come again.
    pub(crate) fn lose(&mut self, partition: PartitionId) {
        self.again[usize::from(partition.0)] = true;
    }

    fn see(&mut self, output: &Output<'_>) {
        let (partition, offset) = id_in(output.headers);
        let at = usize::from(partition);
        if output.destination != SINK || self.again[at] {
            return;
        }
        let last = &mut self.last[at][output.key.map_or(0, |key| usize::from(key[0]))];
        assert!(offset >= *last, "{partition}:{offset} was passed by {last}, of the same key");
        *last = offset;
    }
}

/// A sink that is watched.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) sink: BrokerSink,
    pub(crate) watch: Rc<RefCell<Watch>>,
    /// The broken variant: it acknowledges whatever it is given, at once.
    pub(crate) hasty: Option<Vec<Token>>,
}

impl Sink for Watched {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        let sent = self.sink.send(output, token);
        if sent.is_ok() {
            self.watch.borrow_mut().see(output);
            self.hasty.iter_mut().for_each(|it| it.push(token));
        }
        sent
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        let Some(tokens) = &mut self.hasty else { return self.sink.poll_acks(now, visit) };
        self.sink.poll_acks(now, &mut |_| {});
        let count = tokens.len();
        for token in tokens.drain(..) {
            visit(Ack { token, at: now, result: Ok(()) });
        }
        count
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        self.sink.next_trouble()
    }

    fn in_flight(&self) -> usize {
        self.hasty.as_ref().map_or_else(|| self.sink.in_flight(), Vec::len)
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        self.sink.wait_on(set);
    }
}
