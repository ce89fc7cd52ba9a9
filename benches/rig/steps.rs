//! Whole steps over seeded orders of 200 bytes: what a pipeline takes beyond one without steps,
//! which parses and passes on.

use std::{collections::BTreeMap, path::Path, time::Instant};

use hotspur::{
    cache::{Tables, Value, table},
    clock::Ticks,
    config::{self, Settings, Sources},
    loadgen::write_key,
    pipeline::{Found, Lookup, Pipeline, Results},
    record::{Headers, PartitionId, Record},
    verdict::Verdict,
};

/// Keys in the table, each of which some record has.
pub(crate) const KEYS: u64 = 512;

/// Settings of a file, of which `change` may change something.
pub(crate) fn settings(file: &str, change: impl FnOnce(&mut Settings)) -> Settings {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let sources = Sources {
        file: Some(file),
        profile: Some("balanced".to_owned()),
        set: Vec::new(),
        environment: BTreeMap::new(),
    };
    let mut settings =
        config::load(&sources).unwrap_or_else(|report| panic!("{report}")).settings;
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
pub(crate) struct Steps {
    pipeline: Pipeline,
    tables: Full,
    results: Results,
}

impl Steps {
    pub(crate) fn new(settings: &Settings) -> Steps {
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

    /// Nanoseconds a record, over all of them that many times.
    pub(crate) fn nanos(&mut self, values: &[Vec<u8>], repeats: usize) -> f64 {
        let start = Instant::now();
        for _ in 0..repeats {
            for value in values {
                self.results.clear();
                let record = record(value);
                let Steps { pipeline, tables, results } = self;
                let processed = pipeline.process(&record, tables, &mut |_| {}, results);
                assert_eq!(processed.verdict, Verdict::Emit);
            }
        }
        start.elapsed().as_nanos() as f64 / (repeats * values.len()) as f64
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
