//! What the codec promises, for inputs of every kind: random bytes, random JSON in odd spellings,
//! JSON with bytes changed, and the corpus of the fuzz target.

#[path = "support/codec_invariants.rs"]
mod codec_invariants;
#[path = "support/naive_event.rs"]
mod naive_event;
#[path = "support/pipeline_settings.rs"]
mod pipeline_settings;

use std::{cell::RefCell, fs};

use codec_invariants::{Invariants, record_of};
use hotspur::{
    codec::{Event, Node, Parser, push_text},
    config::settings::{OnMiss, Operator},
    pipeline::{Found, Lookup, Pipeline, Results},
    verdict::Verdict,
};
use pipeline_settings::settings;
use proptest::{collection::vec, prelude::*};

thread_local! {
    static INVARIANTS: RefCell<Invariants> = RefCell::new(Invariants::new());
}

fn check(input: &[u8]) {
    INVARIANTS.with_borrow_mut(|invariants| invariants.check(input));
}

/// A number in one of its many spellings; not all of them are JSON.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        "-?[0-9]{1,40}",
        "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?",
    ]
}

/// Text in quotes, with escapes of every kind; not all of them are JSON.
fn quoted() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[ -!#-\\[\\]-~]{0,12}",
        2 => "\\PC{0,4}".prop_map(|text| text.replace(['"', '\\'], "_")),
        2 => "\\\\[\"\\\\/bfnrt]",
        2 => "\\\\u[0-9a-fA-F]{4}",
        1 => "\\\\ud83d\\\\ude00",
    ];
    vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\n\t"), 1 => Just("\r\n  ")]
}

/// Names that the pipeline under test writes come often, and twice.
fn name() -> impl Strategy<Value = String> {
    let known =
        prop_oneof!["a", "b", "c", "d", "hash", "copy"].prop_map(|name| format!("\"{name}\""));
    prop_oneof![3 => known, 2 => quoted()]
}

fn json() -> impl Strategy<Value = String> {
    let word = prop_oneof![Just("true"), Just("false"), Just("null")].prop_map(str::to_owned);
    let leaf = prop_oneof![2 => number(), 2 => quoted(), 1 => word];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let item = (space(), inner.clone(), space()).prop_map(|(a, it, b)| format!("{a}{it}{b}"));
        let list = vec(item, 0..6).prop_map(|items| format!("[{}]", items.join(",")));
        prop_oneof![list, object_of(inner)]
    })
}

fn object_of(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let field = (space(), name(), space(), space(), inner, space());
    let field = field.prop_map(|(a, name, b, c, value, d)| format!("{a}{name}{b}:{c}{value}{d}"));
    (vec(field, 0..7), space()).prop_map(|(fields, empty)| match fields.is_empty() {
        true => format!("{{{empty}}}"),
        false => format!("{{{}}}", fields.join(",")),
    })
}

fn object() -> impl Strategy<Value = String> {
    (space(), object_of(json()), space()).prop_map(|(a, object, b)| format!("{a}{object}{b}"))
}

/// A failing input is printed whole; it becomes a file in the corpus, not a line beside this one.
fn config() -> ProptestConfig {
    ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_have_a_defined_result(input in vec(any::<u8>(), 0..200)) {
        check(&input);
    }

    #[test]
    fn any_json_text_keeps_the_promises(input in object()) {
        check(input.as_bytes());
    }

    #[test]
    fn changed_bytes_have_a_defined_result(
        input in object(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = input.into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        check(&bytes);
    }

    #[test]
    fn any_text_is_escaped_so_that_it_reads_back(text in any::<String>()) {
        let mut json = Vec::new();
        push_text(&mut json, text.as_bytes());
        prop_assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text);
    }

    #[test]
    fn every_field_spans_what_serde_json_reads_there(input in object()) {
        let mut parser = Parser::new(1 << 10, 128);
        if let Ok(event) = parser.parse(input.as_bytes()) {
            for (_, node) in event.fields(Node::ROOT) {
                check_span(&event, node);
            }
        }
    }

    #[test]
    fn fields_that_nobody_touches_leave_byte_for_byte(input in object()) {
        let untouched = |name: &str| !["hash", "a", "b", "copy"].contains(&name);
        let value = written(&input);
        let mut parsers = [Parser::new(1 << 10, 128), Parser::new(1 << 10, 128)];
        if let (Some(value), [before, after]) = (value, &mut parsers) {
            let before = before.parse(input.as_bytes()).unwrap();
            let after = after.parse(&value).unwrap();
            let fields = |event: &Event<'_>| -> Vec<(String, Vec<u8>)> {
                let fields = event.fields(Node::ROOT).filter(|(name, _)| untouched(name));
                let bytes = |node| event.input()[event.span(node)].to_vec();
                fields.map(|(name, node)| (name.to_owned(), bytes(node))).collect()
            };
            prop_assert_eq!(fields(&before), fields(&after));
            let twice = |name| after.fields(Node::ROOT).filter(|(it, _)| *it == name).count();
            prop_assert_eq!([twice("hash"), twice("a")], [1, 1]);
        }
    }
}

/// Never finds anything.
struct NoTables;

impl Lookup for NoTables {
    fn lookup(&mut self, _table: usize, _key: &[u8]) -> Found<'_> {
        Found::Miss
    }

    fn now_ns(&self) -> i64 {
        0
    }
}

/// The input with `hash` and `a` written, if it was accepted.
fn written(input: &str) -> Option<Vec<u8>> {
    let text = |path: &str| (path.to_owned(), "x".to_owned());
    let steps = vec![
        Operator::Text(vec![text("hash")]),
        Operator::Lookup {
            table: "users".to_owned(),
            key: "record.key".to_owned(),
            into: "a".to_owned(),
            on_miss: OnMiss::Default("12.50".to_owned()),
            into_age: None,
        },
    ];
    let mut settings = settings(steps, &["users"]);
    settings.limits.record = 1 << 14;
    let mut pipeline = Pipeline::compile(&settings).unwrap();
    let mut results = Results::default();
    let record = record_of(input.as_bytes());
    let processed = pipeline.process(&record, &mut NoTables, &mut |_| {}, &mut results);
    let emitted = processed.verdict == Verdict::Emit;
    emitted.then(|| results.output(0, &record).value.unwrap().to_vec())
}

fn check_span(event: &Event<'_>, node: Node) {
    use hotspur::codec::Value;
    let bytes = &event.input()[event.span(node)];
    let theirs: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    match event.value(node) {
        Value::Text(text) => assert_eq!(theirs, text),
        // `-0` is an integer here and a double there; it leaves as it was spelled anyway.
        Value::Signed(0) => assert_eq!(theirs.as_f64(), Some(0.0)),
        Value::Signed(number) => assert_eq!(theirs.as_i64(), Some(number)),
        Value::Unsigned(number) => assert_eq!(theirs.as_u64(), Some(number)),
        Value::Float(_) => assert!(theirs.is_f64()),
        Value::Bool(truth) => assert_eq!(theirs, truth),
        Value::Null => assert!(theirs.is_null()),
        Value::Object(_) => {
            assert!(theirs.is_object());
            event.fields(node).for_each(|(_, value)| check_span(event, value));
        }
        Value::List(len) => {
            assert_eq!(theirs.as_array().unwrap().len(), len);
            event.items(node).for_each(|item| check_span(event, item));
        }
    }
}

#[test]
fn the_corpus_keeps_the_promises() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/codec");
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        check(&fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 20, "only {files} files in {folder}");
}

#[test]
fn large_and_deep_inputs_keep_the_promises() {
    let long = "x".repeat((1 << 20) - 16);
    check(format!("{{\"a\":\"{long}\"}}").as_bytes());
    check(format!("{{\"b\":{{\"z\":\"{}\\n\"}}}}", &long[..1 << 19]).as_bytes());
    check(format!("{{\"a\":\"{long}{long}\"}}").as_bytes());
    check(format!("{{\"z\":[{}1]}}", "1,".repeat(1 << 18)).as_bytes());
    let digits = "9".repeat(400);
    check(format!("{{\"z\":{digits}}}").as_bytes());
    check(format!("{{\"z\":0.{digits}}}").as_bytes());
    for depth in [1, 98, 99, 100, 101, 127, 5_000, 400_000] {
        check(format!("{{\"z\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).as_bytes());
        check("[".repeat(depth).as_bytes());
        check("{\"a\":".repeat(depth).as_bytes());
        check(format!("{}1{}", "{\"b\":".repeat(depth), "}".repeat(depth)).as_bytes());
    }
}
