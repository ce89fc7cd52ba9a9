//! A pipeline of a configuration in a text, with the operators that tests bring along.

use std::{cell::Cell, fs, path::Path};

use hotspur::{
    assemble,
    cache::Value,
    clock::Ticks,
    config::{self, Loaded, OwnOperators, Report, Sources},
    operator::Registry,
    pipeline::{Found, Lookup, Pipeline, Results},
    record::{Headers, PartitionId, Record},
    verdict::Verdict,
};

use super::brought;

const HEAD: &str = "name = \"test\"\nsource.kafka.topics = [\"in\"]\nsink.kafka.topic = \"out\"\n";

/// The configuration with these tables and steps, in a folder.
pub(crate) fn sources(text: &str, folder: &Path) -> Sources {
    let file = folder.join("hotspur.toml");
    fs::write(&file, format!("{HEAD}{text}")).expect("a file can be written");
    Sources { file: Some(file), operators: operators(), ..Sources::default() }
}

/// The same, read.
pub(crate) fn load(text: &str) -> Result<Loaded, Report> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    config::load_and(&sources(text, folder.path()), &assemble::problems)
}

/// The operators that tests bring along.
pub(crate) fn operators() -> OwnOperators {
    let mut steps = Registry::new();
    brought::register(&mut steps);
    steps.operators()
}

/// All that is wrong with it, as `check` tells it, without the name of the file.
pub(crate) fn problems(text: &str) -> String {
    let report = load(text).expect_err("something is wrong with it").to_string();
    let line = |line: &str| match line.split_once("hotspur.toml:") {
        Some((_, rest)) => format!("{rest}\n"),
        None => format!("{line}\n"),
    };
    report.lines().map(line).collect()
}

/// What a table is to say, and how often it was asked.
pub(crate) struct Table {
    pub(crate) says: Found<'static>,
    pub(crate) asked: Cell<usize>,
}

impl Lookup for Table {
    fn lookup(&mut self, _: usize, key: &[u8]) -> Found<'_> {
        assert!(key.starts_with(b"t:"), "{key:?}");
        self.asked.set(self.asked.get() + 1);
        self.says
    }

    fn now_ns(&self) -> i64 {
        1_700_000_000_000_000_000
    }

    fn age_ns(&self, _: usize) -> Option<u64> {
        Some(3_000_000)
    }
}

/// A pipeline and the table that it asks.
pub(crate) struct Rig {
    pub(crate) pipeline: Pipeline,
    pub(crate) table: Table,
    pub(crate) results: Results,
    offset: i64,
}

impl Rig {
    #[track_caller]
    pub(crate) fn new(text: &str) -> Rig {
        let loaded = load(text).unwrap_or_else(|report| panic!("{report}"));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        Rig {
            pipeline: Pipeline::compile(&loaded.settings).expect("it compiled before"),
            table: Table { says: Found::Miss, asked: Cell::new(0) },
            results: Results::with_capacity(1 << 16, 64),
            offset: 0,
        }
    }

    pub(crate) fn process(&mut self, value: &str) -> Verdict {
        let Rig { pipeline, table, results, offset } = self;
        results.clear();
        *offset += 1;
        let record = record(value, *offset - 1);
        pipeline.process(&record, table, &mut |_| {}, results).verdict
    }

    /// What comes out: values of results, joined; or the class and reason of another end.
    pub(crate) fn run(&mut self, value: &str) -> String {
        let verdict = self.process(value);
        match verdict {
            Verdict::Emit => {
                let record = record(value, 0);
                let outputs = (0..self.results.len()).map(|it| self.results.output(it, &record));
                let text = |value: Option<&[u8]>| {
                    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
                };
                outputs.map(|output| text(output.value)).collect::<Vec<_>>().join("|")
            }
            Verdict::Skip(skip) => format!("skipped: {}", skip.class),
            Verdict::Reject(it) => {
                format!("{} at {}: {}", it.class, self.pipeline.step_name(it.step), it.reason)
            }
            Verdict::Wait(awaited) => format!("waits for {}", awaited.hash),
            Verdict::Hold(_) => "held".to_owned(),
            Verdict::Behind { .. } => "waits for another".to_owned(),
        }
    }

    /// The same where the table says that.
    pub(crate) fn run_where(&mut self, says: Found<'static>, value: &str) -> String {
        self.table.says = says;
        self.run(value)
    }
}

pub(crate) fn text(text: &'static str) -> Found<'static> {
    Found::Hit(Value::text(text.as_bytes()))
}

fn record(value: &str, offset: i64) -> Record<'_> {
    Record {
        partition: PartitionId(0),
        topic: "in",
        partition_number: 0,
        offset,
        timestamp_ms: Some(0),
        key: Some(b"\xff"),
        value: Some(value.as_bytes()),
        headers: Headers::NONE,
        arrived: Ticks(0),
    }
}
