//! Whole pipelines with state, one record after the other: what a window costs with everything
//! around it, and what restoring one partition costs the turns of another.

use std::{fs, sync::Arc, thread, time::Instant};

use hotspur::{
    assemble::{Keeping, Steps},
    cache::Tables,
    clock::{Clock, Ticks, TscClock},
    config::{self, Settings, Sources},
    engine::{Process, Stores},
    measure::Stages,
    pipeline::{Found, Lookup, Pipeline, Results, stores::StoreRules},
    record::{Destination, Headers, PartitionId, Record},
    state::{Mark, dedup::Dedup},
    transport::restore::{Filler, Restoration, StateKind, StatefulStep, restoration},
    verdict::Verdict,
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{
    memory::{self, MemoryEngine},
    records::KeyAndValue,
};

/// Records of a turn.
const TURN: usize = 64;

/// Turns between two commits.
const COMMIT_EACH: u64 = 1_000;

/// Keys of the windows.
const KEYS: u64 = 100_000;

/// Different ids of the live partition.
const IDS: u64 = 400_000;

const LIVE: PartitionId = PartitionId(0);
const RESTORED: PartitionId = PartitionId(1);

const WINDOW: &str = r#"
[[steps]]
[steps.window]
kind = "tumbling"
size = "1m"
key = "record.key"
time = "event.t"
max_keys = 200000
[steps.window.aggregate]
n = "count()"
sum = "sum(event.amount)"
min = "min(event.amount)"
max = "max(event.amount)"
avg = "avg(event.amount)"
"#;

const DEDUP: &str = r#"
[[steps]]
dedup = { key = "event.id", within = "1h", max_keys = 1500000 }
"#;

struct NoTables;

impl Lookup for NoTables {
    fn lookup(&mut self, _table: usize, _key: &[u8]) -> Found<'_> {
        Found::Miss
    }

    fn now_ns(&self) -> i64 {
        0
    }
}

/// A pipeline and the records of its live partition.
struct Live {
    pipeline: Pipeline,
    results: Results,
    offset: i64,
    turns: u64,
}

impl Live {
    fn new(steps: &str) -> Live {
        let mut pipeline = Pipeline::compile(&settings(steps)).expect("a pipeline");
        pipeline.stores_mut().begin_empty(LIVE);
        Live { pipeline, results: Results::with_capacity(1 << 20, 1 << 12), offset: 0, turns: 0 }
    }

    /// A turn of records that `value` and `key` write; the pipeline's results are dropped.
    fn turn(&mut self, records: &[(Vec<u8>, Vec<u8>)]) {
        self.results.clear();
        self.turns += 1;
        let first = self.offset;
        for (offset, record) in (first..).zip(records) {
            self.pipeline.foresee_state(&of_live(offset, record));
        }
        self.pipeline.stores_mut().approach();
        for (offset, record) in (first..).zip(records) {
            let record = of_live(offset, record);
            let Live { pipeline, results, .. } = self;
            let verdict = pipeline.process(&record, &mut NoTables, &mut |_| {}, results).verdict;
            assert!(!matches!(verdict, Verdict::Reject(_)), "{verdict:?}");
            pipeline.stores_mut().settled(LIVE, offset, true);
        }
        self.offset += records.len() as i64;
        let stores = self.pipeline.stores_mut();
        while stores.give_off(LIVE, &mut |record, _| {
            std::hint::black_box(record.value);
            true
        }) {}
        if self.turns.is_multiple_of(COMMIT_EACH) {
            stores.stock();
            stores.commit_at_once(LIVE, self.offset, false);
        }
    }
}

fn settings(steps: &str) -> Settings {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("hotspur.toml");
    let head = "source.kafka.topics = [\"in\"]\nsink.kafka.topic = \"out\"\n";
    fs::write(&file, format!("{head}{steps}")).expect("a file can be written");
    let sources = Sources { file: Some(file), ..Sources::default() };
    config::load(&sources).unwrap_or_else(|report| panic!("{report}")).settings
}

fn of_live(offset: i64, (key, value): &(Vec<u8>, Vec<u8>)) -> Record<'_> {
    Record {
        partition: LIVE,
        topic: "in",
        partition_number: 0,
        offset,
        timestamp_ms: Some(offset),
        key: Some(key),
        value: Some(value),
        headers: Headers::NONE,
        arrived: Ticks(0),
    }
}

/// Nanoseconds a record of 100,000 keys, 25 for each in a window of five aggregates: what the
/// engine takes from the memory transport, stages measured, commits included. `records` are one
/// window's; as many come before, so that one is closed meanwhile.
pub(crate) fn window_nanos(records: u64) -> f64 {
    let records_of_two = (0..2 * records).map(|it| order(it, records)).collect();
    let (mut engine, ..) = engine(&settings(WINDOW), records_of_two);
    memory::run(&mut engine, records);
    let start = Instant::now();
    memory::run(&mut engine, records);
    let nanos = start.elapsed().as_nanos() as f64 / records as f64;
    let mut hot = engine.into_hot_side();
    let results = hot.counters().given_off.iter().sum::<u64>();
    // Of a key that is drawn for none of the records there is no window.
    assert!(results > KEYS * 9 / 10, "{results} results: the windows of one minute were closed");
    nanos
}

/// A minute has as many as there are a window.
fn order(number: u64, a_window: u64) -> (Vec<u8>, Vec<u8>) {
    // Any key is as likely as any other, whichever came before.
    let key = SmallRng::seed_from_u64(number).random_range(0..KEYS);
    let (t, amount) = (number * 60_000 / a_window, number % 1_000);
    let value = format!(r#"{{"t":{t},"amount":{amount},"id":"{number:08}"}}"#);
    (format!("customer{key:06}").into_bytes(), value.into_bytes())
}

/// Restoring, as the engine's side and the other side see it.
type Restoring = (Arc<Restoration>, Filler, StatefulStep);

/// An engine whose only partition's stores are there, and empty.
fn engine(settings: &Settings, records: Vec<KeyAndValue>) -> (MemoryEngine, Restoring) {
    let pipeline = Pipeline::compile(settings).expect("a pipeline");
    let (step, clock) = (step_of(&pipeline), TscClock::new());
    let (shared, entries_back, filler) = restoration(std::slice::from_ref(&step));
    let at = (vec!["memory".to_owned()], Destination(2));
    let keeping = Keeping::start(entries_back, pipeline.stores(), at, || {}).expect("a thread");
    let wall = memory::since_start(&clock);
    let time = (clock.clone(), wall.clone());
    let steps = Steps::new(pipeline, Tables::new(Vec::new()), time);
    let mut steps = steps.keeping(Some(keeping));
    let filled_step = step.clone();
    let side = thread::spawn(move || fill(filler, &filled_step, &[]));
    shared.want(LIVE, 0, 1);
    while !shared.is_complete(LIVE) {
        steps.begin_turn(clock.now());
        steps.restore();
        thread::yield_now();
    }
    let filler = side.join().expect("the side thread ends");
    let engine = memory::engine(settings, (clock, wall), steps, (Stages::All, records));
    (engine, (shared, filler, step))
}

/// An engine for which so many keys of another partition have come, all of which are to be put back
/// yet; true once they are.
pub(crate) fn amid_restoring(entries: u64) -> (MemoryEngine, impl Fn() -> bool) {
    let records = vec![(b"k".to_vec(), br#"{"id":"payment"}"#.to_vec())];
    let (engine, (shared, filler, step)) = engine(&settings(DEDUP), records);
    shared.want(RESTORED, 0, 1);
    fill(filler, &step, &written(entries));
    (engine, move || shared.is_complete(RESTORED))
}

fn step_of(pipeline: &Pipeline) -> StatefulStep {
    let StoreRules { step, hash, operator, .. } = pipeline.stores().rules()[0];
    StatefulStep { number: step, name: "1".to_owned(), operator, hash }
}

/// Microseconds of a turn's 64 records: the median, 99 of 100, the longest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turns {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

fn turns_of(mut nanos: Vec<u64>) -> Turns {
    nanos.sort_unstable();
    let at = |share: f64| nanos[((nanos.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    Turns { p50: at(0.5), p99: at(0.99), max: at(1.0) }
}

/// Turns of a live partition before and while another one's million keys are restored by a side
/// thread, and how long that takes in seconds.
pub(crate) fn beside_restoring(entries: u64) -> (Turns, Turns, f64) {
    let mut live = Live::new(DEDUP);
    let step = step_of(&live.pipeline);
    let (shared, entries_back, filler) = restoration(std::slice::from_ref(&step));
    let at = (vec!["in".to_owned()], Destination(1));
    let keeping = Keeping::start(entries_back, live.pipeline.stores(), at, || {});
    let mut keeping = keeping.expect("a thread");
    let written = written(entries);
    let side = thread::spawn(move || fill(filler, &step, &written));
    let mut number = 0_u64;
    let mut one = |live: &mut Live, keeping: &mut Keeping| {
        // New ones at first, duplicates then.
        let value = |it: u64| format!(r#"{{"id":"payment-{:012}"}}"#, it % IDS).into_bytes();
        let turn: Vec<_> =
            (number..number + TURN as u64).map(|it| (b"k".to_vec(), value(it))).collect();
        number += TURN as u64;
        let start = Instant::now();
        let stores = live.pipeline.stores_mut();
        stores.begin_turn(0);
        keeping.restore(stores);
        live.turn(&turn);
        start.elapsed().as_nanos() as u64
    };
    let quiet = (0..8_000).map(|_| one(&mut live, &mut keeping)).collect();
    let start = Instant::now();
    shared.want(RESTORED, 0, 1);
    let mut busy = Vec::with_capacity(1 << 16);
    while !shared.is_complete(RESTORED) && busy.len() < 1 << 16 {
        busy.push(one(&mut live, &mut keeping));
    }
    let seconds = start.elapsed().as_secs_f64();
    assert!(shared.is_complete(RESTORED), "a million entries come back in 65,536 turns");
    side.join().expect("the side thread ends");
    (turns_of(quiet), turns_of(busy), seconds)
}

type Entry = (Vec<u8>, Vec<u8>);

/// Entries of a dedup step, as it writes them.
fn written(entries: u64) -> Vec<Entry> {
    let rules = hotspur::state::dedup::DedupRules {
        within_ms: 3_600_000,
        max_keys: entries as usize,
        in_flight: 64,
        seed: 7,
    };
    let mut dedup = Dedup::new(rules);
    dedup.start(0, Mark::NONE);
    for offset in 0..entries as i64 {
        let hash = dedup.hash(&offset.to_be_bytes());
        dedup.admit(hash, offset / 1_000, offset);
        dedup.settle(offset, hotspur::state::dedup::Settled::Kept, |_, _| {});
    }
    dedup.begin_commit(entries as i64);
    let mut written = Vec::new();
    while let Some(change) = dedup.next_change() {
        written.push((change.key.to_vec(), change.value.expect("none is deleted").to_vec()));
    }
    written
}

fn fill(mut filler: Filler, step: &StatefulStep, entries: &[Entry]) -> Filler {
    filler.serve_from_here();
    let mut wants = Vec::new();
    while wants.is_empty() {
        filler.hear(&mut wants);
        thread::park_timeout(std::time::Duration::from_micros(100));
    }
    let step = Arc::new(step.clone());
    let wait = |filler: &mut Filler| {
        while !filler.has_room() {
            thread::yield_now();
        }
    };
    wait(&mut filler);
    filler.begin(&wants[0]);
    for (key, value) in entries {
        wait(&mut filler);
        filler.entry(&wants[0], (StateKind::Entry, &step), key, Some(value));
    }
    wait(&mut filler);
    filler.complete(&wants[0]);
    filler.flush();
    filler
}
