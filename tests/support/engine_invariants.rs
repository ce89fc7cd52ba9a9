//! What holds for every log of records that goes through the whole engine: shared by the
//! properties, the corpus and the fuzz target.
//!
//! The input is cut into records. What a record must become is said by a pipeline of its own, which
//! has processed the bytes that arrived one record at a time; the engine batches them, keeps copies
//! in a small ring and is refused some. Each record ends once: as that result, or as a dead letter
//! with its own bytes.

use std::{cell::RefCell, rc::Rc};

use hotspur::{
    cache::Value,
    clock::{Clock, ManualClock, Ticks, WallOffset},
    config::settings::{HashAlgorithm, OnMiss, Operator},
    delivery::Order,
    engine::{Chance, Engine, Options, Process, Retry, Stores, control::Control},
    observe::HotSide,
    pipeline::{Found, Lookup, Mark, Pipeline, Processed, Results},
    record::{Destination, Headers, Output, PartitionId, Record},
    transport::{
        Ack, Refusal, SendError, Sink, Token, Trouble, WaitSet,
        memory::{Broker, Stored},
    },
    verdict::{Step, Verdict},
};

use crate::pipeline_settings::settings;

/// Stands between two records of an input; no JSON holds it.
const SEPARATOR: u8 = 0x1e;

const PARTITIONS: usize = 2;
const RECORD_BYTES_MAX: usize = 256;
const IN_FLIGHT_BYTES: usize = 512;
const DEAD: Destination = Destination(1);

/// The table holds these keys, and under each what makes text in JSON longer.
struct Table;

impl Lookup for Table {
    fn lookup(&mut self, _table: usize, key: &[u8]) -> Found<'_> {
        if key.len().is_multiple_of(2) {
            Found::Hit(Value::text(b"\"\\\x01\xc3\xa9"))
        } else {
            Found::Miss
        }
    }

    fn now_ns(&self) -> i64 {
        0
    }
}

struct Steps<'a>(&'a mut Pipeline);

impl Stores for Steps<'_> {}

impl Process for Steps<'_> {
    fn begin_turn(&mut self, _now: Ticks) {}

    fn process(
        &mut self,
        record: &Record<'_>,
        _chance: Chance,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed {
        self.0.process(record, &mut Table, mark, results)
    }

    fn step_name(&self, step: Step) -> &str {
        self.0.step_name(step)
    }
}

type OwnedHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What a record became.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fate {
    destination: Destination,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: OwnedHeaders,
}

/// A sink that refuses some results for good, and answers the last one first.
#[derive(Clone, Default)]
struct Judge {
    fates: Rc<RefCell<Vec<Fate>>>,
    answers: Vec<(Token, Option<Refusal>)>,
}

/// True for a result that the judge refuses; a dead letter it always takes.
fn is_refused(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| value.len() % 5 == 4)
}

impl Sink for Judge {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        if self.answers.len() == 3 {
            return Err(SendError::Full);
        }
        if output.destination != DEAD && is_refused(output.value) {
            let refusal = Refusal {
                code: "INVALID_RECORD",
                too_large: false,
                fatal: false,
                aborts: false,
                is_about_content: true,
            };
            self.answers.push((token, Some(refusal)));
        } else {
            self.fates.borrow_mut().push(fate(output));
            self.answers.push((token, None));
        }
        Ok(())
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        let count = self.answers.len();
        for (token, refusal) in self.answers.drain(..).rev() {
            visit(Ack { token, at: now, result: refusal.map_or(Ok(()), Err) });
        }
        count
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        None
    }

    fn in_flight(&self) -> usize {
        self.answers.len()
    }

    fn wait_on(&mut self, _set: &mut WaitSet) {}
}

fn fate(output: &Output<'_>) -> Fate {
    Fate {
        destination: output.destination,
        key: output.key.map(<[u8]>::to_vec),
        value: output.value.map(<[u8]>::to_vec),
        headers: owned(output.headers),
    }
}

fn owned(headers: Headers<'_>) -> OwnedHeaders {
    headers.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect()
}

/// Keeps its pipelines and what figures are written to.
pub(crate) struct Invariants {
    alone: Pipeline,
    together: Pipeline,
    hot: Option<HotSide>,
}

impl Invariants {
    pub(crate) fn new() -> Invariants {
        Invariants { alone: compile(), together: compile(), hot: None }
    }

    /// Panics if a record of `input` does not end as it must, under a guarantee that its length
    /// decides.
    pub(crate) fn check(&mut self, input: &[u8]) {
        let is_even = input.len().is_multiple_of(2);
        let order = if is_even { Order::ProcessThenCommit } else { Order::CommitThenProcess };
        let logs = logs(input);
        let broker = Broker::new(logs.clone());
        let mut fates = self.run(&broker, order);
        for (partition, log) in logs.iter().enumerate() {
            assert_eq!(broker.committed()[partition].unwrap_or(0), log.len() as i64);
            for (offset, stored) in log.iter().enumerate() {
                let name = format!("{partition}:{offset}");
                let id = (b"id".to_vec(), Some(name.into_bytes()));
                let is_its_own = |fate: &mut Fate| fate.headers.first() == Some(&id);
                let its_own: Vec<_> = fates.extract_if(.., is_its_own).collect();
                self.check_fate(stored, (partition, offset), &its_own);
            }
        }
        assert!(fates.is_empty(), "results of no record: {fates:?}");
    }

    /// All that came out of an engine that had time to finish.
    fn run(&mut self, broker: &Broker, order: Order) -> Vec<Fate> {
        let clock = ManualClock::default();
        let hot = self.hot.take().unwrap_or_else(|| HotSide::detached(clock.now()));
        let (source, _) = broker.connect(0);
        let judge = Judge::default();
        let fates = Rc::clone(&judge.fates);
        let time = (clock.clone(), WallOffset::fixed(0));
        let steps = Steps(&mut self.together);
        let control = Control::none();
        let mut engine = Engine::new(time, (source, judge), steps, hot, control, options(order));
        for partition in 0..PARTITIONS {
            broker.assign(PartitionId(partition as u16));
        }
        let mut quiet = 0;
        while quiet < 4 {
            clock.advance(20);
            let is_answered = broker.answer_commit(true);
            let is_idle = engine.turn() == 0 && !is_answered;
            quiet = if is_idle { quiet + 1 } else { 0 };
        }
        assert_eq!(engine.in_flight(), 0, "records are stuck in flight");
        self.hot = Some(engine.into_hot_side());
        fates.take()
    }

    fn check_fate(&mut self, stored: &Stored, place: (usize, usize), fates: &[Fate]) {
        let record = record(stored, place);
        let mut results = Results::default();
        let verdict = self.alone.process(&record, &mut Table, &mut |_| {}, &mut results).verdict;
        let class = match verdict {
            Verdict::Skip(_) => return assert_eq!(fates, [], "a skipped record leaves nothing"),
            Verdict::Reject(rejection) => rejection.class.name(),
            Verdict::Emit => {
                let expected = fate(&results.output(0, &record));
                if !is_refused(expected.value.as_deref()) {
                    return assert_eq!(fates, [expected]);
                }
                "refused_by_broker"
            }
            other => panic!("no step here comes to {other:?}"),
        };
        let [letter] = fates else { panic!("one dead letter was due, not {fates:?}") };
        assert_eq!(letter.destination, DEAD);
        assert_eq!(letter.key, stored.key);
        check_payload(&record, letter);
        let mut headers = owned(record.headers);
        headers.push((b"hotspur.class".to_vec(), Some(class.as_bytes().to_vec())));
        assert_eq!(letter.headers[..headers.len()], headers);
    }
}

/// Whole, unless the record is larger than all the memory in flight; then as much as fits.
fn check_payload(record: &Record<'_>, letter: &Fate) {
    let value = record.value.expect("a record without a value is skipped");
    let excess = record.bytes_len().saturating_sub(IN_FLIGHT_BYTES);
    assert_eq!(letter.value.as_deref(), Some(&value[..value.len() - excess]));
    let cut = letter.headers.iter().find(|(name, _)| name == b"hotspur.truncated");
    assert_eq!(cut.is_some(), excess > 0);
    if let Some((_, said)) = cut {
        let length = format!("length={}, ", value.len());
        assert!(said.as_ref().unwrap().starts_with(length.as_bytes()));
    }
}

/// Records in turn to each partition; the header says which one it is.
fn logs(input: &[u8]) -> Vec<Vec<Stored>> {
    let mut logs = vec![Vec::new(); PARTITIONS];
    for (number, value) in input.split(|byte| *byte == SEPARATOR).enumerate() {
        let (partition, log) = (number % PARTITIONS, number / PARTITIONS);
        let mut headers = Vec::new();
        Headers::push(&mut headers, b"id", Some(format!("{partition}:{log}").as_bytes()));
        Headers::push(&mut headers, b"", value.first_chunk::<3>().map(|bytes| &bytes[..]));
        let key = value.first_chunk::<8>().map(|bytes| bytes.to_vec());
        // Nothing between two separators is a record without a value.
        let value = (!value.is_empty()).then(|| value.to_vec());
        logs[partition].push(Stored { key, value, headers });
    }
    logs
}

fn record(stored: &Stored, (partition, offset): (usize, usize)) -> Record<'_> {
    Record {
        partition: PartitionId(partition as u16),
        topic: "memory",
        partition_number: partition as i32,
        offset: offset as i64,
        timestamp_ms: Some(offset as i64),
        key: stored.key.as_deref(),
        value: stored.value.as_deref(),
        headers: Headers::from_bytes(&stored.headers),
        arrived: Ticks::default(),
    }
}

fn compile() -> Pipeline {
    let text = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let operators = vec![
        Operator::Lookup {
            table: "users".to_owned(),
            key: "event.a".to_owned(),
            into: "cached".to_owned(),
            on_miss: OnMiss::Skip,
            into_age: None,
        },
        Operator::Hash {
            algorithm: HashAlgorithm::Xxh3,
            of: "record.value".to_owned(),
            into: "hash".to_owned(),
        },
        Operator::Text(vec![text("t", "{event.a}_{event.cached}")]),
    ];
    let mut settings = settings(operators, &["users"]);
    settings.limits.record = RECORD_BYTES_MAX;
    Pipeline::compile(&settings).unwrap()
}

/// Little of everything, so that rings wrap and fill.
fn options(order: Order) -> Options {
    Options {
        name: "test".to_owned(),
        order,
        in_flight: 5,
        in_flight_bytes: IN_FLIGHT_BYTES,
        batch: 3,
        waiting: 0,
        retry: Retry::NEVER,
        dead_letters: DEAD,
        streams_headers: false,
        commit_interval_ns: 10,
        transaction_timeout_ns: 1_000_000_000,
        stages: hotspur::measure::Stages::All,
        slow_ns: 1_000_000,
        publish_interval_ns: 1_000_000,
        drain_timeout_ns: 1_000_000_000,
    }
}
