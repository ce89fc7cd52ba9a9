//! Whole steps over seeded orders of 200 bytes: what a pipeline takes beyond one without steps,
//! which parses and passes on.

use std::{fs, path::Path, time::Instant};

use hotspur::{
    cache::{Tables, Value, table},
    clock::{Ticks, WallOffset},
    config::{self, Settings, Sources, settings::Operator},
    loadgen::{Payload, write_key},
    operator::{Answer, Call, Expression, Operator as OwnOperator, Registry},
    pipeline::{Found, Lookup, Pipeline, Results},
    record::{Headers, PartitionId, Record},
    verdict::Verdict,
};

use crate::{records, statistics::median};

/// Keys in the table, each of which some record has.
const KEYS: u64 = 512;

/// Different records, and the bytes of each.
const RECORDS: u64 = 512;
const RECORD_BYTES: usize = 200;

/// Of the ten steps only the one that fills in a text of three holes; nothing is spliced, because
/// the result is the record as it came. Nanoseconds a record.
pub(crate) fn text_nanos(rounds: usize, repeats: usize) -> f64 {
    let alone = |settings: &mut Settings| settings.sink.value = "record.value".to_owned();
    let only_text = |settings: &mut Settings| {
        alone(settings);
        settings.steps.retain(|step| matches!(step.operator, Operator::Text(_)));
        let Operator::Text(texts) = &mut settings.steps[0].operator else { unreachable!() };
        // Nobody looks a tier up here.
        texts[0].1 = texts[0].1.replace("event.tier", "event.id");
    };
    let none = |settings: &mut Settings| {
        alone(settings);
        settings.steps.clear();
    };
    beyond_parse((rounds, repeats), none, only_text)
}

/// One step, spliced, beyond a pipeline that does nothing. Nanoseconds a record.
pub(crate) fn one_nanos(step: &str, rounds: usize, repeats: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("hotspur.toml");
    let head = "source.kafka.topics = [\"orders\"]\nsink.kafka.topic = \"processed\"\n";
    fs::write(&file, format!("{head}[[steps]]\n{step}\n")).expect("a file can be written");
    let mut steps = Registry::new();
    steps.register("double", |keys| {
        let (of, into) = (keys.expression("of"), keys.path("into"));
        move |_| Ok(Double { of, into })
    });
    let operators = steps.operators();
    let sources = Sources { file: Some(file), operators, ..Sources::default() };
    let one = config::load(&sources).unwrap_or_else(|report| panic!("{report}")).settings;
    beyond_parse((rounds, repeats), |settings| settings.steps.clear(), |settings| *settings = one)
}

/// Twice a number, in Rust.
struct Double {
    of: Expression,
    into: hotspur::operator::Path,
}

impl OwnOperator for Double {
    fn apply(&mut self, call: &mut Call<'_>) -> Answer {
        let twice = call.integer(self.of)? * 2;
        call.write(self.into, &twice)
    }
}

/// All ten, the result spliced. Nanoseconds a record.
pub(crate) fn ten_steps_nanos(rounds: usize, repeats: usize) -> f64 {
    beyond_parse((rounds, repeats), |settings| settings.steps.clear(), |_| {})
}

/// What a pipeline takes beyond one that parses the same records and passes them on: a median over
/// rounds that many times.
fn beyond_parse(
    (rounds, repeats): (usize, usize),
    without: impl FnOnce(&mut Settings),
    with: impl FnOnce(&mut Settings),
) -> f64 {
    let (mut without, mut with) = (Steps::new(&settings(without)), Steps::new(&settings(with)));
    let payload = Payload::Orders { bytes: RECORD_BYTES };
    let prepared = records::prepared(&payload, KEYS, RECORDS, WallOffset::fixed(0));
    let values: Vec<_> = prepared.into_iter().map(|(_, value)| value).collect();
    // Pass by pass in turn: whoever takes the core away for a while meets few of them.
    let difference = |_| with.nanos(&values) - without.nanos(&values);
    median((0..rounds * repeats).map(difference))
}

/// The ten steps, of which `change` may change something.
fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rig/ten-steps.toml");
    let sources =
        Sources { file: Some(file), profile: Some("balanced".to_owned()), ..Sources::default() };
    let mut settings = config::load(&sources).unwrap_or_else(|report| panic!("{report}")).settings;
    change(&mut settings);
    settings
}

/// One full table, and a time that stands still.
struct Full(Tables);

impl Lookup for Full {
    fn lookup(&mut self, table: usize, key: &[u8]) -> Found<'_> {
        self.0.get(table, key).map_or(Found::Miss, Found::Hit)
    }

    fn now_ns(&self) -> i64 {
        0
    }
}

/// A pipeline that is warm, with its table.
struct Steps {
    pipeline: Pipeline,
    tables: Full,
    results: Results,
}

impl Steps {
    fn new(settings: &Settings) -> Steps {
        let (mut writer, reader) = table(KEYS as usize, 7);
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for number in 1..=KEYS {
            key.clear();
            write_key(&mut key, number);
            value.clear();
            value.extend_from_slice(b"tier-");
            value.extend_from_slice(&key);
            writer.insert(&key, Value::text(&value), 0);
        }
        writer.publish();
        Steps {
            pipeline: Pipeline::compile(settings).expect("the file's steps compile"),
            tables: Full(Tables::new(vec![reader])),
            results: Results::with_capacity(1 << 16, 64),
        }
    }

    /// Nanoseconds a record, over all of them.
    fn nanos(&mut self, values: &[Vec<u8>]) -> f64 {
        let start = Instant::now();
        for value in values {
            self.results.clear();
            let record = record(value);
            let Steps { pipeline, tables, results } = self;
            let processed = pipeline.process(&record, tables, &mut |_| {}, results);
            assert_eq!(processed.verdict, Verdict::Emit);
        }
        start.elapsed().as_nanos() as f64 / values.len() as f64
    }
}

fn record(value: &[u8]) -> Record<'_> {
    Record {
        partition: PartitionId(0),
        topic: "orders",
        partition_number: 0,
        offset: 0,
        timestamp_ms: Some(0),
        key: Some(b"key"),
        value: Some(value),
        headers: Headers::NONE,
        arrived: Ticks(0),
    }
}
