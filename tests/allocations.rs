//! The engine allocates nothing for a record once it is warm, whatever becomes of the record.
//!
//! On the memory transport, with a global allocator that counts: what is counted here is ours. So
//! it is for the loop of `jitter`, which would else measure itself.

#[path = "../benches/rig/allocations.rs"]
mod allocations;
#[path = "../benches/rig/memory.rs"]
mod memory;
#[path = "../benches/rig/records.rs"]
mod records;

use hotspur::{
    cache::{Value, ValueKind},
    clock::{Clock, Ticks, TscClock, WallOffset},
    delivery::Order,
    engine::{Chance, Engine, Options, Process, Retry, Stores, control::Control},
    host::jitter::{Detector, Second},
    measure::Counters,
    observe::HotSide,
    pipeline::{Found, Lookup, Mark, Pipeline, Processed, Results},
    record::{Destination, PartitionId, Record},
    transport::{
        memory::{Discard, Replay},
        restore::{Handed, StateKind, StatefulStep, restoration},
    },
    verdict::{RejectClass, Rejection, Skip, SkipClass, Step, Verdict},
};

use memory::{Case, MemoryEngine};
use records::KeyAndValue;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const WARM_UP: u64 = 20_000;
const RECORDS: u64 = 20_000;
const KEYS: u64 = 1_000;

/// Calls of the allocator over `RECORDS` records, and what became of all records.
fn calls(mut engine: MemoryEngine) -> (u64, Counters) {
    memory::run(&mut engine, WARM_UP);
    let before = allocations::calls();
    memory::run(&mut engine, RECORDS);
    let calls = allocations::calls() - before;
    let mut hot = engine.into_hot_side();
    (calls, hot.counters().clone())
}

fn with_values(mut records: Vec<KeyAndValue>, value: &[u8]) -> Vec<KeyAndValue> {
    records.iter_mut().for_each(|(_, it)| *it = value.to_vec());
    records
}

#[test]
fn the_allocator_counts() {
    let before = allocations::calls();
    drop(std::hint::black_box(vec![1u8; 100]));
    assert_eq!(allocations::calls() - before, 2);
}

#[test]
fn emitted_records_cost_no_allocation() {
    for case in [Case::names(), Case::orders_text(KEYS), Case::orders_spliced(KEYS)] {
        let (calls, counters) = calls(case.engine(case.records(5_000)));
        assert_eq!((calls, counters.emitted), (0, WARM_UP + RECORDS), "{}", case.name);
    }
}

#[test]
fn ten_steps_of_mixed_kinds_cost_no_allocation() {
    let file = "../../benches/rig/ten-steps.toml";
    let case = Case { name: "ten steps", file, ..Case::orders_spliced(KEYS) };
    let steps = case.settings().steps;
    let kinds: std::collections::BTreeSet<_> = steps.iter().map(|it| it.operator.name()).collect();
    assert_eq!((steps.len(), kinds.len()), (10, 10));
    let (calls, counters) = calls(case.engine(case.records(5_000)));
    assert_eq!((calls, counters.emitted), (0, WARM_UP + RECORDS));
}

#[test]
fn several_results_of_a_record_cost_no_allocation() {
    let file = "../../benches/rig/each-item.toml";
    let case = Case { name: "each item", file, ..Case::orders_spliced(KEYS) };
    let (calls, counters) = calls(case.engine(case.records(5_000)));
    assert_eq!((calls, counters.emitted + counters.skipped.total()), (0, WARM_UP + RECORDS));
    let results = counters.results.iter().sum::<u64>();
    assert!(results > 2 * (WARM_UP + RECORDS), "{results} results");
}

#[test]
fn skipped_records_cost_no_allocation() {
    let case = Case::orders_spliced(KEYS);
    let absent = br#"{"id":"1","key":"nobody","value":7,"timestamp_sent":1}"#;
    let (calls, counters) = calls(case.engine(with_values(case.records(5_000), absent)));
    assert_eq!((calls, counters.skipped.total()), (0, WARM_UP + RECORDS));
}

#[test]
fn dead_lettered_records_cost_no_allocation() {
    let case = Case::orders_spliced(KEYS);
    let cut_off = &br#"{"id":"1","key":"user1""#[..];
    let without_key = br#"{"id":"1","value":7,"timestamp_sent":1}"#;
    for value in [cut_off, b"nonsense", without_key] {
        let (calls, counters) = calls(case.engine(with_values(case.records(5_000), value)));
        assert_eq!((calls, counters.rejected.total()), (0, WARM_UP + RECORDS));
    }
}

/// Fails over a stale table, but for each seventh time.
struct Stale(u64);

impl Stores for Stale {}

impl Process for Stale {
    fn begin_turn(&mut self, _now: Ticks) {}

    fn process(
        &mut self,
        _record: &Record<'_>,
        _chance: Chance,
        _mark: &mut impl FnMut(Mark),
        _results: &mut Results,
    ) -> Processed {
        self.0 += 1;
        let (class, step) = (RejectClass::StaleTable, Step::Number(0));
        let verdict = match self.0.is_multiple_of(7) {
            true => Verdict::Skip(Skip { class: SkipClass::Filtered, step }),
            false => Verdict::Reject(Rejection::new(class, step, format_args!("it is stale"))),
        };
        Processed { verdict, origin_ns: None }
    }

    fn step_name(&self, _step: Step) -> &str {
        "stale"
    }
}

#[test]
fn records_that_are_tried_again_cost_no_allocation() {
    let record = |number: u64| (format!("{}", number % 97).into_bytes(), b"{}".to_vec());
    let records: Vec<KeyAndValue> = (0..5_000).map(record).collect();
    let options = Options {
        name: "test".to_owned(),
        order: Order::ProcessThenCommit,
        in_flight: 4096,
        in_flight_bytes: 1 << 20,
        batch: 64,
        waiting: 300,
        retry: Retry { attempts: 4, backoff_ns: 1_000, max_backoff_ns: 8_000 },
        dead_letters: Destination(1),
        streams_headers: false,
        commit_interval_ns: 1_000_000,
        transaction_timeout_ns: 1_000_000_000,
        stages: hotspur::measure::Stages::All,
        slow_ns: 1_000_000,
        publish_interval_ns: 1_000_000_000,
        drain_timeout_ns: 1_000_000_000,
    };
    let clock = TscClock::new();
    let hot = HotSide::detached(clock.now());
    let parts = (Replay::new(records, 0), Discard::new(1024));
    let time = (clock, WallOffset::fixed(0));
    let mut engine = Engine::new(time, parts, Stale(0), hot, Control::none(), options);
    let run = |engine: &mut Engine<_, Replay, _, _>| {
        engine.source_mut().extend(RECORDS);
        while engine.turn() > 0 || engine.in_flight() > 0 {}
        allocations::calls()
    };
    let before = run(&mut engine);
    assert_eq!(run(&mut engine) - before, 0);
    let counters = engine.into_hot_side().counters().clone();
    assert_eq!(counters.polled, 2 * RECORDS);
    assert_eq!(counters.rejected.total() + counters.skipped.total(), 2 * RECORDS);
    assert!(counters.rejected.total() > 0 && counters.skipped.total() > 0);
}

/// Holds every key.
struct Full;

impl Lookup for Full {
    fn lookup(&mut self, _table: usize, _key: &[u8]) -> Found<'_> {
        let bytes = br#"{"tier":"g\u00f6ld","limits":[1,2.50]}"#;
        Found::Hit(Value { kind: ValueKind::Json, bytes })
    }

    fn now_ns(&self) -> i64 {
        1_795_239_420_123_456_789
    }
}

/// One of each kind: conditions, loops, lists and maps that are made, text, time, digests, tables.
const EXPRESSIONS: [&str; 16] = [
    r#"event.value > 100 && event.key != "order""#,
    "event.value * 1.5 + 2",
    "event.key + '/' + event.id + '/' + string(event.value)",
    "[event.key, event.value, {'a': [event.id]}]",
    "event.map(k, k + '!').filter(k, k.size() > 3)",
    "event.exists(k, k == 'gone') || event.all(k, k != '')",
    "event.transformMap(k, v, type(v) == int, [v, v + 1])",
    "'%s has %d, %.2f'.format([event.key, event.value, double(event.value)])",
    "event.key.replace('user', '').split('').map(c, c.upperAscii()).join('-')",
    "event.key.matches('^user[0-9]+$') && event.key.startsWith('user')",
    "timestamp('2026-11-21T05:37:00Z') + duration('1s') < now()",
    "string(now().getHours('Europe/Vienna')) + string(now()) + string(now() - now())",
    "hash.md5(event.key) + hash.sha256(event.key) + base64.encode(record.value)",
    "lookup('users', event.key).tier + string(lookup('users', event.key).limits[1])",
    "event.?gone.?there.orValue(has(event.key) ? event.key : 'x')",
    "event.gone == 1 || event.value / 0 == 1",
];

#[test]
fn expressions_cost_no_allocation_whether_they_have_a_value_or_not() {
    let case = Case::orders_spliced(KEYS);
    let records = case.records(500);
    for expression in EXPRESSIONS {
        let mut settings = case.settings();
        settings.sink.value = expression.to_owned();
        let mut pipeline = Pipeline::compile(&settings).expect(expression);
        let mut results = Results::with_capacity(1 << 20, 1);
        let mut all = || {
            for (number, (key, value)) in records.iter().enumerate() {
                results.clear();
                let record = Record {
                    partition: hotspur::record::PartitionId(0),
                    topic: "in",
                    partition_number: 0,
                    offset: number as i64,
                    timestamp_ms: Some(0),
                    key: Some(key),
                    value: Some(value),
                    headers: hotspur::record::Headers::NONE,
                    arrived: Ticks(0),
                };
                let processed = pipeline.process(&record, &mut Full, &mut |_| {}, &mut results);
                let is_rejected = matches!(processed.verdict, Verdict::Reject(_));
                assert_eq!(is_rejected, expression.contains("gone == 1"), "{expression}");
            }
            allocations::calls()
        };
        let before = all();
        assert_eq!(all() - before, 0, "{expression}");
    }
}

/// Records of the pipeline with state, each settled and its results taken as an engine does, with a
/// commit now and then.
struct Stateful {
    pipeline: Pipeline,
    results: Results,
    records: Vec<KeyAndValue>,
    offset: i64,
    /// Emitted, duplicates, held, given off.
    counts: [u64; 4],
}

impl Stateful {
    const PARTITION: PartitionId = PartitionId(3);

    fn record<'r>(&self, (key, value): &'r KeyAndValue) -> Record<'r> {
        Record {
            partition: Stateful::PARTITION,
            topic: "in",
            partition_number: 0,
            offset: self.offset,
            // Each eighth is late.
            timestamp_ms: Some(self.offset - if self.offset % 8 == 7 { 1_000 } else { 0 }),
            key: Some(key),
            value: Some(value),
            headers: hotspur::record::Headers::NONE,
            arrived: Ticks(0),
        }
    }

    fn process(&mut self, at: usize) {
        let records = std::mem::take(&mut self.records);
        let record = self.record(&records[at]);
        if self.offset % 64 == 0 {
            let soon = records.iter().cycle().skip(at).take(64);
            soon.for_each(|it| self.pipeline.foresee_state(&self.record(it)));
            self.pipeline.stores_mut().approach();
        }
        self.results.clear();
        let Stateful { pipeline, results, counts, .. } = self;
        let verdict = pipeline.process(&record, &mut Full, &mut |_| {}, results).verdict;
        match verdict {
            Verdict::Emit => counts[0] += 1,
            Verdict::Skip(skip) => {
                assert_eq!(skip.class, SkipClass::Duplicate);
                counts[1] += 1;
            }
            Verdict::Hold(_) => counts[2] += 1,
            other => panic!("{other:?}"),
        }
        pipeline.stores_mut().settled(Stateful::PARTITION, record.offset, true);
        while let Some(()) = self.give_off() {}
        let stores = self.pipeline.stores_mut();
        if self.offset % 64 == 63 {
            stores.commit_at_once(Stateful::PARTITION, self.offset + 1, false);
            stores.stock();
        }
        self.records = records;
        self.offset += 1;
    }

    fn give_off(&mut self) -> Option<()> {
        let (mut value, mut key, mut step) = ([0; 4096], [0; 64], None);
        let (mut lengths, mut end) = ((0, 0), None);
        self.pipeline.stores_mut().give_off(Stateful::PARTITION, &mut |record, given| {
            let (key_bytes, bytes) = (record.key.unwrap(), record.value.unwrap());
            key[..key_bytes.len()].copy_from_slice(key_bytes);
            value[..bytes.len()].copy_from_slice(bytes);
            (lengths, end) = ((key_bytes.len(), bytes.len()), record.timestamp_ms);
            step = Some(given.step);
            true
        });
        let empty = (Vec::new(), Vec::new());
        let record = Record {
            key: Some(&key[..lengths.0]),
            value: Some(&value[..lengths.1]),
            timestamp_ms: end,
            ..self.record(&empty)
        };
        let Stateful { pipeline, results, counts, .. } = self;
        results.clear();
        let processed = pipeline.process_given_off(&record, step?, &mut Full, results);
        assert_eq!((processed.verdict, results.len()), (Verdict::Emit, 1));
        counts[3] += 1;
        Some(())
    }
}

#[test]
fn steps_with_state_and_their_results_cost_no_allocation() {
    let file = "../../benches/rig/stateful.toml";
    let case = Case { name: "stateful", file, ..Case::orders_spliced(KEYS) };
    let mut pipeline = Pipeline::compile(&case.settings()).expect("it compiles");
    pipeline.stores_mut().begin_empty(Stateful::PARTITION);
    let results = Results::with_capacity(1 << 20, 1);
    let (records, offset, counts) = (case.records(1_500), 0, [0; 4]);
    let mut stateful = Stateful { pipeline, results, records, offset, counts };
    let mut rounds = |rounds: usize| {
        let before = allocations::calls();
        (0..rounds * 1_500).for_each(|number| stateful.process(number % 1_500));
        (allocations::calls() - before, stateful.counts)
    };
    rounds(20);
    let (calls, counts) = rounds(20);
    assert!(counts.iter().all(|it| *it > 1_000), "{counts:?}");
    assert_eq!(calls, 0, "{counts:?}");
}

#[test]
fn state_that_comes_back_costs_no_allocation() {
    let (number, name, operator, hash) = (0, "1".to_owned(), "dedup", 1);
    let step = StatefulStep { number, name, operator, hash };
    let (shared, mut entries, mut filler) = restoration(std::slice::from_ref(&step));
    let (mut wants, mut taken, mut calls) = (Vec::new(), 0, 0);
    for number in 0..10 {
        let partition = PartitionId(number);
        let before = allocations::calls();
        shared.want(partition, 0, i32::from(number));
        calls += allocations::calls() - before;
        filler.hear(&mut wants);
        let want = wants.pop().expect("one is wanted");
        let large = vec![7; if number == 3 { 1 << 20 } else { 32 }];
        while filler.has_room() {
            filler.entry(&want, (StateKind::Entry, &step), b"a key of some length", Some(&large));
        }
        filler.flush();
        let before = allocations::calls();
        while entries.take(100, &mut |_, handed| taken += u64::from(handed != Handed::Begin)) > 0 {}
        shared.cancel(partition);
        assert_eq!(entries.take(1, &mut |_, handed| assert_eq!(handed, Handed::Cancelled)), 1);
        assert!(shared.is_complete(partition) && shared.next_trouble().is_none());
        calls += allocations::calls() - before;
    }
    assert!(taken > 100_000, "{taken}");
    assert_eq!(calls, 0);
}

#[test]
fn a_watched_core_costs_no_allocation() {
    // From the first nanosecond on: each turn is a stall as well.
    let detector = Detector::new(TscClock::new(), 1);
    let mut second = Second::new();
    let go_on = std::sync::atomic::AtomicBool::new(false);
    let before = allocations::calls();
    detector.watch(&mut second, 20_000_000, &go_on);
    second.clear();
    detector.watch(&mut second, 20_000_000, &go_on);
    assert_eq!(allocations::calls() - before, 0);
    assert!(second.stalls.count() > 1_000, "{}", second.stalls.count());
}
