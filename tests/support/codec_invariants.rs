//! What holds for every input of the codec, whatever it is: shared by the properties, the corpus
//! and the fuzz target, so that all three mean the same.

use hotspur::{
    clock::Ticks,
    config::settings::{HashAlgorithm, OnMiss, Operator},
    pipeline::{Found, Lookup, Pipeline, Processed, Results},
    record::{Headers, PartitionId, Record},
    verdict::{RejectClass, Verdict},
};
use serde_json::Value;

use crate::pipeline_settings::settings;

/// Deep enough to be met, less than what `serde_json` stops at.
pub(crate) const DEPTH: usize = 100;

const NESTED: &str = "n\"\\\u{1}é\u{1F600}";

/// Never finds anything.
pub(crate) struct NoTables;

impl Lookup for NoTables {
    fn lookup(&mut self, _table: usize, _key: &[u8]) -> Found<'_> {
        Found::Miss
    }
}

/// A record with that value, and a key and a header so that these are seen to travel.
pub(crate) fn record_of(value: &[u8]) -> Record<'_> {
    Record {
        partition: PartitionId(0),
        topic: "in",
        partition_number: 3,
        offset: 42,
        timestamp_ms: Some(1_732_168_000_123),
        key: Some(b"k"),
        value: Some(value),
        headers: Headers::NONE,
        arrived: Ticks::default(),
    }
}

/// Keeps its pipelines, so that one input meets what another left behind in the buffers.
pub(crate) struct Invariants {
    untouched: Pipeline,
    writing: Pipeline,
    results: Results,
}

impl Invariants {
    pub(crate) fn new() -> Invariants {
        let compile = |operators| {
            let mut settings = settings(operators, &["users"]);
            settings.limits.depth = DEPTH;
            Pipeline::compile(&settings).unwrap()
        };
        let text = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let writing = vec![
            Operator::Hash {
                algorithm: HashAlgorithm::Md5,
                of: "record.value".to_owned(),
                into: "hash".to_owned(),
            },
            Operator::Lookup {
                table: "users".to_owned(),
                key: "record.key".to_owned(),
                into: "a".to_owned(),
                on_miss: OnMiss::Null,
            },
            Operator::Text(vec![text("b.c", NESTED), text("copy", "{event}")]),
        ];
        let (untouched, writing) = (compile(vec![]), compile(writing));
        Invariants { untouched, writing, results: Results::default() }
    }

    /// Panics if `input` breaks a promise.
    pub(crate) fn check(&mut self, input: &[u8]) {
        let value = self.check_untouched(input);
        if let Some(before) = value {
            self.check_writing(input, before);
        }
    }

    /// Accepted and refused as `serde_json` does, and out as it came. Returns it if accepted.
    fn check_untouched(&mut self, input: &[u8]) -> Option<Value> {
        let theirs = serde_json::from_slice::<Value>(input);
        let record = record_of(input);
        self.results.clear();
        let processed = process(&mut self.untouched, &record, &mut self.results);
        match processed.verdict {
            Verdict::Emit => {
                let output = self.results.output(0, &record);
                assert_eq!(output.value, Some(input), "what is not touched leaves as it came");
                Some(theirs.expect("what is accepted here is accepted by serde_json"))
            }
            Verdict::Reject(rejection) => {
                assert!(self.results.is_empty());
                match rejection.class {
                    RejectClass::NotJson => assert!(theirs.is_err(), "{}", rejection.reason),
                    RejectClass::NotObject => assert!(!theirs.is_ok_and(|it| it.is_object())),
                    RejectClass::TooDeep => assert!(theirs.is_err() || depth(&theirs) > DEPTH),
                    class => assert_eq!(class, RejectClass::TooLarge),
                }
                None
            }
            other => panic!("a pipeline without steps came to {other:?}"),
        }
    }

    /// Hash of the bytes that arrived, what was written reads back, the rest is as it was.
    fn check_writing(&mut self, input: &[u8], mut before: Value) {
        let record = record_of(input);
        self.results.clear();
        let processed = process(&mut self.writing, &record, &mut self.results);
        let fields = before.as_object_mut().expect("only objects are accepted");
        if fields.get("b").is_some_and(|parent| !parent.is_object()) {
            let Verdict::Reject(rejection) = processed.verdict else { panic!("b is no object") };
            assert_eq!(rejection.class, RejectClass::WrongType);
            assert!(self.results.is_empty(), "a rejected record leaves no result");
            return;
        }
        assert_eq!(processed.verdict, Verdict::Emit);
        let output = self.results.output(0, &record).value.expect("a value was written");
        let mut after: Value = serde_json::from_slice(output).expect("the result is JSON");
        fields.insert("hash".to_owned(), md5_of(input).into());
        fields.insert("a".to_owned(), Value::Null);
        let parent = fields.entry("b").or_insert_with(|| Value::Object(serde_json::Map::new()));
        parent["c"] = NESTED.into();
        fields.remove("copy");
        let written = after.as_object_mut().expect("the result is an object");
        let copy = written.remove("copy").expect("the copy was written");
        let mut copied: Value = serde_json::from_str(copy.as_str().unwrap()).unwrap();
        copied.as_object_mut().unwrap().remove("copy");
        assert_eq!(after, before);
        assert_eq!(copied, before);
        check_frame(input, output);
    }
}

/// White space around the event is as it came.
fn check_frame(input: &[u8], output: &[u8]) {
    let lead = |bytes: &[u8]| bytes.len() - bytes.trim_ascii_start().len();
    let tail = |bytes: &[u8]| bytes[bytes.trim_ascii_end().len()..].to_vec();
    assert_eq!(input[..lead(input)], output[..lead(output)]);
    assert_eq!(tail(input), tail(output));
}

fn process(pipeline: &mut Pipeline, record: &Record<'_>, results: &mut Results) -> Processed {
    pipeline.process(record, &mut NoTables, &mut |_| {}, results)
}

fn depth(value: &Result<Value, serde_json::Error>) -> usize {
    fn below(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(below).max().unwrap_or(0),
            Value::Object(fields) => 1 + fields.values().map(below).max().unwrap_or(0),
            _ => 0,
        }
    }
    value.as_ref().map_or(0, below)
}

fn md5_of(bytes: &[u8]) -> String {
    use md5::{Digest, Md5};
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
