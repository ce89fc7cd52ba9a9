//! What holds for every input of the codec, whatever it is: shared by the properties, the corpus
//! and the fuzz target, so that all three mean the same.
//!
//! The input is everything at once: the record's value, its key, a header's value, and what the
//! table holds. What must come out is said by `serde_json` and by `naive_event`, byte for byte.

use hotspur::{
    cache,
    clock::Ticks,
    config::settings::{HashAlgorithm, OnMiss, Operator},
    delivery::dead_letter::{Letter, write_headers},
    pipeline::{Found, Lookup, Pipeline, Results},
    record::{Headers, Output, PartitionId, Record},
    verdict::{RejectClass, Rejection, Verdict},
};
use serde_json::Value;

use crate::{
    naive_event::{
        self,
        Step::{self, Index, Name},
        Write,
    },
    pipeline_settings::settings,
};

/// Deep enough to be met, less than what `serde_json` stops at.
pub(crate) const DEPTH: usize = 100;

/// `limits.record` of the pipeline that touches nothing, and of the others.
const BYTES_MAX: usize = 1 << 20;
const SMALL_BYTES_MAX: usize = 1 << 11;

/// A name that is compared in its middle, too, and needs escapes.
const ODD: &str = "a \"name\" past sixteen bytes, é";

const NESTED: &str = "n\"\\\u{1}é\u{1F600}";

/// Read by a pipeline each.
const READ: [&[Step]; 4] =
    [&[Name("a")], &[Name("a"), Index(1)], &[Name("b"), Name("d")], &[Name(ODD)]];

/// Written by a pipeline each.
const WRITTEN: [&[&[Step]]; 3] = [
    &[&[Name("a"), Index(0)], &[Name("a"), Index(1), Name("c")]],
    &[&[Name("b"), Name("d"), Name("e")], &[Name("c")], &[Name("b"), Name("d"), Name(ODD)]],
    &[&[Name(ODD)], &[Name("b")], &[Name("hash")]],
];

/// A record with that value, and a key so that it is seen to travel.
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

/// Holds one value under all keys and says which one was asked for; a second table is empty.
struct Echo<'a> {
    value: &'a [u8],
    key: Vec<u8>,
}

impl Lookup for Echo<'_> {
    fn lookup(&mut self, table: usize, key: &[u8]) -> Found<'_> {
        if table > 0 {
            return Found::Miss;
        }
        self.key = key.to_vec();
        Found::Hit(cache::Value::text(self.value))
    }

    fn now_ns(&self) -> i64 {
        0
    }
}

/// Keeps its pipelines, so that one input meets what another left behind in the buffers.
pub(crate) struct Invariants {
    untouched: Pipeline,
    enriching: Pipeline,
    part: Pipeline,
    writing: Vec<(Pipeline, &'static [&'static [Step]])>,
    reading: Vec<(Pipeline, &'static [Step])>,
    results: Results,
    headers: Vec<u8>,
}

impl Invariants {
    pub(crate) fn new() -> Invariants {
        let writing = |paths: &&'static [&'static [Step]]| (writing(paths), *paths);
        let reading = |path: &&'static [Step]| (reading(path), *path);
        Invariants {
            untouched: compile(vec![], BYTES_MAX, "record.key", "event"),
            enriching: enriching(),
            part: compile(
                vec![text(&[&[Name("b"), Name("c")]])],
                SMALL_BYTES_MAX,
                "record.key",
                "event.b",
            ),
            writing: WRITTEN.iter().map(writing).collect(),
            reading: READ.iter().map(reading).collect(),
            results: Results::default(),
            headers: Vec::new(),
        }
    }

    /// Panics if `input` breaks a promise.
    pub(crate) fn check(&mut self, input: &[u8]) {
        self.headers.clear();
        Headers::push(&mut self.headers, b"trace", Some(input));
        Headers::push(&mut self.headers, b"hotspur.class", Some(b"of an earlier letter"));
        Headers::push(&mut self.headers, b"trace", None);
        let headers = std::mem::take(&mut self.headers);
        let headers_of = Headers::from_bytes(&headers);
        let record = Record { key: Some(input), headers: headers_of, ..record_of(input) };
        if self.check_untouched(&record, input) {
            self.check_enriching(&record, input);
            self.check_part(&record, input);
            self.check_writing(&record, input);
            self.check_reading(&record, input);
        }
        self.headers = headers;
    }

    /// Accepted and refused as `serde_json` does, and out as it came. True if accepted.
    fn check_untouched(&mut self, record: &Record<'_>, input: &[u8]) -> bool {
        let theirs = serde_json::from_slice::<Value>(input);
        match process(&mut self.untouched, record, &mut self.results).0 {
            Ok(output) => {
                assert_eq!(output.value, Some(input), "what is not touched leaves as it came");
                assert_eq!(output.key, Some(input));
                assert!(theirs.expect("what is accepted here serde_json accepts").is_object());
                true
            }
            Err(class) => {
                match class {
                    RejectClass::NotJson => assert!(theirs.is_err(), "serde_json accepts it"),
                    RejectClass::NotObject => assert!(!theirs.is_ok_and(|it| it.is_object())),
                    RejectClass::TooDeep => assert!(theirs.is_err() || depth(&theirs) > DEPTH),
                    RejectClass::TooLarge => assert!(input.len() > BYTES_MAX),
                    class => panic!("a pipeline without steps came to {class}"),
                }
                false
            }
        }
    }

    /// A hash of the bytes that arrived, what the table holds, and the event in a text of itself.
    fn check_enriching(&mut self, record: &Record<'_>, input: &[u8]) {
        let text = std::str::from_utf8(input).expect("JSON is UTF-8");
        let mut writes = vec![
            write(&[Name("hash")], &md5_of(input)),
            write(&[Name("a")], text),
            Write { path: &[Name("n")], json: b"null".to_vec() },
            write(&[Name("b"), Name("c")], NESTED),
        ];
        let (result, key) = process(&mut self.enriching, record, &mut self.results);
        let expected = expected(input, || {
            let so_far = naive_event::splice(input, &writes)?;
            let so_far = std::str::from_utf8(so_far.trim_ascii()).expect("it is UTF-8");
            writes.push(write(&[Name("copy")], so_far));
            naive_event::splice(input, &writes)
        });
        check_value(result, &expected);
        assert!(input.len() > SMALL_BYTES_MAX || key == input);
    }

    /// A part of the event alone, after something was written into it.
    fn check_part(&mut self, record: &Record<'_>, input: &[u8]) {
        let (result, _) = process(&mut self.part, record, &mut self.results);
        let expected = expected(input, || {
            let whole = naive_event::splice(input, &[write(&[Name("b"), Name("c")], NESTED)])?;
            naive_event::read(&whole, &[Name("b")]).map(<[u8]>::to_vec)
        });
        check_value(result, &expected);
    }

    /// Into what is there, beside it, and where a parent is in the way.
    fn check_writing(&mut self, record: &Record<'_>, input: &[u8]) {
        for (pipeline, paths) in &mut self.writing {
            let (result, _) = process(pipeline, record, &mut self.results);
            let writes: Vec<_> = paths.iter().map(|path| write(path, NESTED)).collect();
            check_value(result, &expected(input, || naive_event::splice(input, &writes)));
        }
    }

    /// One value as a key to look up, to be hashed, in a template, as the key and the origin.
    fn check_reading(&mut self, record: &Record<'_>, input: &[u8]) {
        let held = std::str::from_utf8(input).expect("JSON is UTF-8");
        for (pipeline, path) in &mut self.reading {
            let found = expected(input, || {
                let found = naive_event::read(input, path)?;
                let is_key = !matches!(found[0], b'{' | b'[' | b'n');
                is_key.then(|| naive_event::as_text(found)).ok_or(RejectClass::WrongType)
            });
            let (result, asked) = process(pipeline, record, &mut self.results);
            let expected = found.as_ref().map_err(|class| *class).and_then(|text| {
                assert_eq!(asked, text.as_bytes(), "what the table was asked for");
                let template = format!("<{text}>{{}}");
                let writes = [
                    write(&[Name("cached")], held),
                    write(&[Name("hash")], &md5_of(text.as_bytes())),
                    write(&[Name("t")], &template),
                ];
                naive_event::splice(input, &writes)
            });
            if let (Ok(output), Ok(text)) = (&result, &found) {
                assert_eq!(output.key, Some(text.as_bytes()));
            }
            check_value(result, &expected);
        }
    }
}

/// What must come out of a pipeline that takes small records only.
fn expected<T>(
    input: &[u8],
    work: impl FnOnce() -> Result<T, RejectClass>,
) -> Result<T, RejectClass> {
    if input.len() > SMALL_BYTES_MAX { Err(RejectClass::TooLarge) } else { work() }
}

#[track_caller]
fn check_value(result: Result<Output<'_>, RejectClass>, expected: &Result<Vec<u8>, RejectClass>) {
    let value = result.map(|output| output.value.expect("a value was written"));
    let shown = |value: Result<&[u8], RejectClass>| {
        value.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    assert_eq!(shown(value), shown(expected.as_deref().map_err(|class| *class)));
    if let Ok(value) = value {
        serde_json::from_slice::<&serde_json::value::RawValue>(value).expect("it is JSON");
    }
}

/// The result, or the class of a rejection whose letter was looked at; and the last key asked for.
fn process<'a>(
    pipeline: &mut Pipeline,
    record: &Record<'a>,
    results: &'a mut Results,
) -> (Result<Output<'a>, RejectClass>, Vec<u8>) {
    let mut table = Echo { value: record.value.expect("a value"), key: Vec::new() };
    let _ = pipeline.foresee(record);
    results.clear();
    let verdict = pipeline.process(record, &mut table, &mut |_| {}, results).verdict;
    let result = match verdict {
        Verdict::Emit => {
            assert_eq!(results.len(), 1);
            let output = results.output(0, record);
            check_headers(output.headers, record, 2);
            Ok(output)
        }
        Verdict::Reject(rejection) => {
            assert!(results.is_empty(), "a rejected record leaves no result");
            check_letter(&rejection, pipeline.step_name(rejection.step), record);
            Err(rejection.class)
        }
        other => panic!("no step here comes to {other:?}"),
    };
    (result, table.key)
}

/// The record's own headers in their order, doubles kept, without any of Hotspur's.
fn check_headers(headers: Headers<'_>, record: &Record<'_>, count: usize) {
    let travelling: Vec<_> = headers.take(2).collect();
    assert_eq!(travelling, [(&b"trace"[..], record.value), (&b"trace"[..], None)]);
    assert_eq!(headers.count(), count);
}

fn check_letter(rejection: &Rejection, step: &str, record: &Record<'_>) {
    let Rejection { class, reason, .. } = *rejection;
    let letter =
        Letter { class, reason, step, pipeline: "test", streams_headers: false, cut: None };
    let mut block = Vec::new();
    write_headers(&letter, record, &mut block);
    let headers = Headers::from_bytes(&block);
    check_headers(headers, record, 2 + 9);
    assert_eq!(headers.value_of(b"hotspur.class"), Some(Some(class.name().as_bytes())));
    assert!(!reason.as_str().is_empty(), "{class} has no reason");
}

fn compile(operators: Vec<Operator>, bytes_max: usize, key: &str, value: &str) -> Pipeline {
    let mut settings = settings(operators, &["full", "empty"]);
    settings.limits.depth = DEPTH;
    settings.limits.record = bytes_max;
    settings.sink.key = key.to_owned();
    settings.sink.value = value.to_owned();
    if key != "record.key" {
        settings.latency.origin = key.to_owned();
    }
    Pipeline::compile(&settings).unwrap()
}

fn enriching() -> Pipeline {
    let copy = ("copy".to_owned(), "{event}".to_owned());
    let operators = vec![
        hash("record.value"),
        lookup("full", "record.key", "a"),
        lookup("empty", "record.topic", "n"),
        text(&[&[Name("b"), Name("c")]]),
        Operator::Text(vec![copy]),
    ];
    compile(operators, SMALL_BYTES_MAX, "record.key", "event")
}

fn writing(paths: &[&[Step]]) -> Pipeline {
    compile(vec![text(paths)], SMALL_BYTES_MAX, "record.key", "event")
}

fn reading(path: &[Step]) -> Pipeline {
    let value = format!("event{}", brackets(path));
    let template = ("t".to_owned(), format!("<{{{value}}}>{{{{}}}}"));
    let operators =
        vec![lookup("full", &value, "cached"), hash(&value), Operator::Text(vec![template])];
    compile(operators, SMALL_BYTES_MAX, &value, "event")
}

fn lookup(table: &str, key: &str, into: &str) -> Operator {
    let [table, key, into] = [table, key, into].map(str::to_owned);
    Operator::Lookup { table, key, into, on_miss: OnMiss::Null, into_age: None }
}

fn hash(of: &str) -> Operator {
    Operator::Hash { algorithm: HashAlgorithm::Md5, of: of.to_owned(), into: "hash".to_owned() }
}

fn text(paths: &[&[Step]]) -> Operator {
    Operator::Text(paths.iter().map(|path| (brackets(path), NESTED.to_owned())).collect())
}

/// A path as a configuration spells it.
fn brackets(path: &[Step]) -> String {
    let step = |step: &Step| match step {
        Name(name) => format!("[{name:?}]"),
        Index(index) => format!("[{index}]"),
    };
    path.iter().map(step).collect()
}

fn write(path: &'static [Step], text: &str) -> Write {
    Write { path, json: serde_json::to_vec(text).unwrap() }
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
