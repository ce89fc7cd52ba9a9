//! Steps with state as an engine sees them: records in flight, what windows give off, commits.
//!
//! What a single record after the other comes to stands in pipeline cases.

#[path = "support/pipeline_settings.rs"]
mod pipeline_settings;

use std::time::Duration;

use hotspur::{
    clock::Ticks,
    config::settings::{Dedup, Operator, Window, WindowKind},
    pipeline::{Found, Lookup, Pipeline, Results, stores::StoreRules},
    record::{Headers, PartitionId, Record},
    verdict::{RejectClass, SkipClass, Step, Verdict},
};
use pipeline_settings::settings;

const PARTITION: PartitionId = PartitionId(5);

struct NoTables;

impl Lookup for NoTables {
    fn lookup(&mut self, _table: usize, _key: &[u8]) -> Found<'_> {
        Found::Miss
    }

    fn now_ns(&self) -> i64 {
        0
    }
}

fn dedup(key: &str) -> Operator {
    let within = Duration::from_secs(1);
    Operator::Dedup(Dedup { key: key.to_owned(), within, max_keys: 10 })
}

fn window(aggregates: &[(&str, &str)]) -> Operator {
    let pair = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    Operator::Window(Box::new(Window {
        kind: WindowKind::Tumbling { size: Duration::from_secs(10) },
        aggregates: aggregates.iter().map(pair).collect(),
        key: "record.key".to_owned(),
        time: "record.timestamp".to_owned(),
        lateness: Duration::ZERO,
        late: Some("late".to_owned()),
        idle: None,
        updates: false,
        max_keys: 10,
        max_age: None,
    }))
}

fn filter(text: &str) -> Operator {
    Operator::Filter(text.to_owned())
}

struct Run {
    pipeline: Pipeline,
    results: Results,
}

impl Run {
    fn new(operators: Vec<Operator>) -> Run {
        let mut pipeline = Pipeline::compile(&settings(operators, &[])).expect("it compiles");
        pipeline.stores_mut().begin_empty(PARTITION);
        Run { pipeline, results: Results::default() }
    }

    fn process(&mut self, offset: i64, timestamp_ms: i64, value: &str) -> Verdict {
        self.results.clear();
        let record = record(offset, timestamp_ms, value.as_bytes());
        self.pipeline.process(&record, &mut NoTables, &mut |_| {}, &mut self.results).verdict
    }

    fn settle(&mut self, offset: i64, is_kept: bool) {
        self.pipeline.stores_mut().settled(PARTITION, offset, is_kept);
    }
}

fn record(offset: i64, timestamp_ms: i64, value: &[u8]) -> Record<'_> {
    Record {
        partition: PARTITION,
        topic: "in",
        partition_number: 7,
        offset,
        timestamp_ms: Some(timestamp_ms),
        key: Some(b"k"),
        value: Some(value),
        headers: Headers::NONE,
        arrived: Ticks(0),
    }
}

fn skipped(verdict: Verdict) -> Option<SkipClass> {
    match verdict {
        Verdict::Skip(skip) => Some(skip.class),
        _ => None,
    }
}

#[test]
fn a_duplicate_of_a_record_in_flight_waits_and_takes_its_place_if_that_is_rejected() {
    let mut run = Run::new(vec![dedup("event.id")]);
    assert_eq!(run.process(0, 0, r#"{"id":1}"#), Verdict::Emit);
    let behind = Verdict::Behind { holds: false };
    assert_eq!(run.process(1, 0, r#"{"id":1}"#), behind);
    assert_eq!(run.process(2, 0, r#"{"id":1}"#), behind);
    assert_eq!(run.process(3, 0, r#"{"id":2}"#), Verdict::Emit);
    assert!(run.pipeline.stores_mut().is_behind(PARTITION, 1));
    run.settle(0, false);
    assert!(!run.pipeline.stores_mut().is_behind(PARTITION, 1));
    assert_eq!(run.process(1, 0, r#"{"id":1}"#), Verdict::Emit);
    assert_eq!(run.process(2, 0, r#"{"id":1}"#), behind);
    run.settle(1, true);
    assert_eq!(skipped(run.process(2, 0, r#"{"id":1}"#)), Some(SkipClass::Duplicate));
    assert_eq!(skipped(run.process(4, 1_000, r#"{"id":1}"#)), Some(SkipClass::Duplicate));
    assert_eq!(run.process(5, 1_001, r#"{"id":1}"#), Verdict::Emit);
}

#[test]
fn where_a_step_with_state_stands_behind_the_records_behind_a_duplicate_wait_too() {
    let mut run = Run::new(vec![dedup("event.id"), dedup("event.other")]);
    assert_eq!(run.process(0, 0, r#"{"id":1,"other":1}"#), Verdict::Emit);
    let verdict = run.process(1, 0, r#"{"id":1,"other":2}"#);
    assert_eq!(verdict, Verdict::Behind { holds: true });
    let verdict = run.process(2, 0, r#"{"id":2,"other":1}"#);
    assert_eq!(verdict, Verdict::Behind { holds: false });
}

#[test]
fn a_window_holds_its_records_and_gives_a_record_of_its_own_off() {
    let aggregates = [("total", "sum(event.amount)"), ("n", "count()")];
    let mut run = Run::new(vec![
        Operator::Set(vec![("amount".to_owned(), "event.price * 2".to_owned())]),
        window(&aggregates),
        Operator::Text(vec![("line".to_owned(), "{event.key} {event.total}".to_owned())]),
        filter("event.total < 100"),
    ]);
    for (offset, price) in [(0, 3), (1, 4)] {
        let verdict = run.process(offset, 1_000, &format!("{{\"price\":{price}}}"));
        assert_eq!(verdict, Verdict::Hold(Step::Number(1)));
        assert!(run.results.is_empty());
    }
    assert!(!run.pipeline.stores_mut().give_off(PARTITION, &mut |_, _| panic!("nothing is due")));
    assert_eq!(run.process(2, 10_000, r#"{"price":500}"#), Verdict::Hold(Step::Number(1)));
    let (mut value, mut offers) = (Vec::new(), 0);
    let expected = "{\"key\":\"k\",\"start\":\"1970-01-01T00:00:00Z\",\
                    \"end\":\"1970-01-01T00:00:10Z\",\"total\":14,\"n\":2}";
    // What is not taken is offered again.
    for is_taken in [false, true] {
        assert!(run.pipeline.stores_mut().give_off(PARTITION, &mut |record, given| {
            assert_eq!((record.key, record.timestamp_ms), (Some(&b"k"[..]), Some(10_000)));
            assert_eq!((given.step, record.headers.is_empty()), (1, true));
            value = record.value.expect("a result has a value").to_vec();
            offers += 1;
            is_taken
        }));
        assert_eq!(String::from_utf8_lossy(&value), expected);
    }
    assert!(!run.pipeline.stores_mut().give_off(PARTITION, &mut |_, _| true));
    assert_eq!(offers, 2);
    let given = record(2, 10_000, &value);
    run.results.clear();
    let Run { pipeline, results } = &mut run;
    let processed = pipeline.process_given_off(&given, 1, &mut NoTables, results);
    assert_eq!((processed.verdict, processed.origin_ns), (Verdict::Emit, Some(10_000_000_000)));
    let output = results.output(0, &given);
    assert_eq!((output.timestamp_ms, output.key), (Some(10_000), Some(&b"k"[..])));
    let line = format!("{},\"line\":\"k 14\"}}", &expected[..expected.len() - 1]);
    assert_eq!(String::from_utf8_lossy(output.value.expect("a value")), line);
}

#[test]
fn a_late_record_goes_as_it_is_to_its_topic_with_what_steps_said_of_it() {
    let mut run = Run::new(vec![
        Operator::Key("event.shop".to_owned()),
        Operator::Headers(vec![("of".to_owned(), "event.shop".to_owned())]),
        window(&[("n", "count()")]),
        filter("false"),
    ]);
    assert_eq!(run.process(0, 30_000, r#"{"shop":"a"}"#), Verdict::Hold(Step::Number(2)));
    assert_eq!(run.process(1, 1_000, r#"{"shop":"b", "x" : 1.0}"#), Verdict::Emit);
    let value = br#"{"shop":"b", "x" : 1.0}"#;
    let late = record(1, 1_000, value);
    let output = run.results.output(0, &late);
    assert_eq!(run.pipeline.topics()[usize::from(output.destination.0)], "late");
    assert_eq!((output.key, output.value), (Some(&b"b"[..]), Some(&value[..])));
    assert_eq!(output.headers.collect::<Vec<_>>(), [(&b"of"[..], Some(&b"b"[..]))]);
    assert_eq!(output.timestamp_ms, Some(1_000));
}

#[test]
fn what_a_window_cannot_count_is_told_with_its_aggregate_and_value() {
    let mut run = Run::new(vec![window(&[("total", "sum(event.amount)")])]);
    for (offset, (value, class, reason)) in [
        (
            r#"{"amount":"12"}"#,
            "wrong_type",
            "`total` = `sum(event.amount)` wants a number, not \"12\"",
        ),
        (
            r#"{"amount":[1]}"#,
            "wrong_type",
            "`total` = `sum(event.amount)` wants a number, not [1]",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let Verdict::Reject(rejection) = run.process(offset as i64, 0, value) else {
            panic!("{value} is rejected")
        };
        assert_eq!((rejection.class.name(), rejection.reason.as_str()), (class, reason));
        assert_eq!(rejection.step, Step::Number(0));
    }
    let mut run = Run::new(vec![window(&[("total", "sum(event.a / event.b)")])]);
    let Verdict::Reject(rejection) = run.process(0, 0, r#"{"a":1,"b":0}"#) else {
        panic!("it divides by zero")
    };
    assert_eq!(rejection.class, RejectClass::Expression);
    let reason = "`/` divides by zero (at character 13 of `sum(event.a / event.b)`)";
    assert_eq!(rejection.reason.as_str(), reason);
}

/// The hash of a pipeline's steps with state.
fn hashes(operators: Vec<Operator>) -> Vec<u64> {
    let pipeline = Pipeline::compile(&settings(operators, &[])).expect("it compiles");
    pipeline.stores().rules().iter().map(|it: &StoreRules| it.hash).collect()
}

#[test]
fn state_is_known_by_what_its_entries_mean_and_not_by_bounds() {
    let of = |change: &dyn Fn(&mut Window)| {
        let Operator::Window(mut window) = window(&[("n", "count()")]) else { unreachable!() };
        change(&mut window);
        hashes(vec![Operator::Window(window)])[0]
    };
    let plain = of(&|_| {});
    let second = Duration::from_secs(1);
    let pair = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
    type Change<'a> = &'a dyn Fn(&mut Window);
    let same: [Change<'_>; 5] = [
        &|it| it.max_keys = 7,
        &|it| (it.lateness, it.idle) = (second, Some(second)),
        &|it| it.late = None,
        &|it| it.updates = true,
        &|it| it.aggregates = pair("count", "count()"),
    ];
    let different: [Change<'_>; 5] = [
        &|it| it.kind = WindowKind::Tumbling { size: second },
        &|it| it.kind = WindowKind::Session { gap: 10 * second },
        &|it| it.key = "event.id".to_owned(),
        &|it| it.time = "event.at".to_owned(),
        &|it| it.aggregates = pair("n", "count(event.id)"),
    ];
    assert!(same.iter().all(|it| of(it) == plain));
    assert!(different.iter().all(|it| of(it) != plain));
    let both = hashes(vec![dedup("event.id"), dedup("event.other"), filter("true")]);
    assert_eq!(both.len(), 2);
    assert_ne!(both[0], both[1]);
}

#[test]
fn what_is_foreseen_changes_nothing_whether_the_guess_is_right_or_not() {
    let steps = || vec![dedup("event.id"), window(&[("n", "count()")])];
    let (mut plain, mut foreseeing) = (Run::new(steps()), Run::new(steps()));
    let ids = ["\"a\"", "\"b\"", "7", "{\"id\":\"deep\"}", "\"\\u0061\"", "\"a\"", "\"b\""];
    for (offset, id) in (0..).zip(ids) {
        let value = format!("{{\"id\":{id},\"other\":\"id\"}}");
        for partition in [PARTITION, PartitionId(6)] {
            let record = Record { partition, ..record(offset, 0, value.as_bytes()) };
            foreseeing.pipeline.foresee_state(&record);
        }
        foreseeing.pipeline.stores_mut().approach();
        let verdict = plain.process(offset, 0, &value);
        assert_eq!(foreseeing.process(offset, 0, &value), verdict, "{value}");
        let is_kept = !matches!(verdict, Verdict::Reject(_));
        plain.settle(offset, is_kept);
        foreseeing.settle(offset, is_kept);
    }
}
