//! What holds for every text that a user may write as a path, a template or an expression: shared
//! by the properties, the corpus and the fuzz target.
//!
//! The input is cut into a key to look up, where that goes, where a template goes, the template,
//! the result's key, and the record. The texts are refused in sentences, or make steps whose result
//! is JSON.

use hotspur::{
    cache::Value,
    clock::Ticks,
    config::settings::{OnMiss, Operator},
    pipeline::{Found, Lookup, Pipeline, Results},
    record::{Headers, PartitionId, Record},
    verdict::Verdict,
};
use serde_json::value::RawValue;

use crate::pipeline_settings::settings;

/// Stands between two parts of an input.
const SEPARATOR: u8 = 0x1e;

/// Holds every key that has an even length, and under it the key.
struct Mirror(Vec<u8>);

impl Lookup for Mirror {
    fn lookup(&mut self, _table: usize, key: &[u8]) -> Found<'_> {
        self.0 = key.to_vec();
        if key.len().is_multiple_of(2) { Found::Hit(Value::text(&self.0)) } else { Found::Miss }
    }

    fn now_ns(&self) -> i64 {
        0
    }
}

/// Panics if `input` breaks a promise. True if its texts were steps.
pub(crate) fn check(input: &[u8]) -> bool {
    let mut parts = input.splitn(6, |byte| *byte == SEPARATOR);
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let lookup = Operator::Lookup {
        table: "users".to_owned(),
        key: text(),
        into: text(),
        on_miss: OnMiss::Default("[1]".to_owned()),
        into_age: None,
    };
    let texts = Operator::Text(vec![(text(), text())]);
    let mut settings = settings(vec![lookup, texts], &["users"]);
    settings.limits.record = 512;
    settings.sink.key = text();
    match Pipeline::compile(&settings) {
        Ok(mut pipeline) => {
            check_record(&mut pipeline, parts.next().unwrap_or_default());
            true
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            false
        }
    }
}

fn check_record(pipeline: &mut Pipeline, value: &[u8]) {
    let record = Record {
        partition: PartitionId(0),
        topic: "in",
        partition_number: i32::MIN,
        offset: i64::MAX,
        timestamp_ms: Some(i64::MAX),
        key: Some(value),
        value: Some(value),
        headers: Headers::NONE,
        arrived: Ticks::default(),
    };
    let mut results = Results::default();
    let _ = pipeline.foresee(&record);
    let mut table = Mirror(Vec::new());
    match pipeline.process(&record, &mut table, &mut |_| {}, &mut results).verdict {
        Verdict::Emit => {
            let output = results.output(0, &record).value.expect("a value was written");
            serde_json::from_slice::<&RawValue>(output).expect("what comes out is JSON");
        }
        Verdict::Reject(rejection) => {
            assert!(results.is_empty(), "a rejected record leaves no result");
            assert!(!rejection.reason.as_str().is_empty());
        }
        other => panic!("no step here comes to {other:?}"),
    }
}
