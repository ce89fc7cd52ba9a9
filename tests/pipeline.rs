//! Pipelines from data files: record in, verdict, results and origin out, byte for byte.

#[path = "support/pipeline_settings.rs"]
mod pipeline_settings;

use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD};
use hotspur::{
    cache::{Entries, OwnedValue, Value},
    clock::Ticks,
    config::{
        Settings,
        settings::{
            HashAlgorithm, OnMiss, Operator, Otherwise, Require, Route, Rules, SinkPartition,
            Tombstones,
        },
    },
    pipeline::{Found, Lookup, Mark, Pipeline, Results},
    record::{Headers, PartitionId, Record},
    verdict::{Step, Verdict},
};
use md5::{Digest, Md5};
use pipeline_settings::settings;
use toml_edit::{DocumentMut, Item, TableLike};
use xxhash_rust::xxh3::xxh3_64;

type Header = (Vec<u8>, Option<Vec<u8>>);

#[test]
fn golden_orders() {
    run_file("orders");
}

#[test]
fn golden_names() {
    run_file("names");
}

#[test]
fn golden_nested() {
    run_file("nested");
}

#[test]
fn golden_record() {
    run_file("record");
}

#[test]
fn golden_tables() {
    run_file("tables");
}

#[test]
fn golden_untouched() {
    run_file("untouched");
}

#[test]
fn a_stale_table_and_a_miss_are_rejected_and_a_value_must_be_text() {
    let lookup = Operator::Lookup {
        table: "users".to_owned(),
        key: "event.key".to_owned(),
        into: "cached".to_owned(),
        on_miss: OnMiss::Reject,
        into_age: None,
    };
    let settings = settings(vec![lookup], &["users"]);
    for (found, class, reason) in [
        (Found::Stale, "stale_table", "the table `users` is too old"),
        (Found::Late, "lookup_timeout", "the table `users` had no answer in time for `event.key`"),
        (Found::Miss, "table_miss", "the table `users` does not hold the key in `event.key`"),
        (
            Found::Hit(Value::text(b"\xff")),
            "wrong_type",
            "`event.key` leads to a value that is not of its table's kind (no UTF-8, or no JSON)",
        ),
    ] {
        let mut pipeline = Pipeline::compile(&settings).unwrap();
        let mut results = Results::default();
        let given = Given::default();
        let record = given.record();
        let record = Record { value: Some(br#"{"key":"a"}"#), ..record };
        let mut marks = Vec::new();
        let processed = pipeline.process(
            &record,
            &mut Always(found),
            &mut |mark| marks.push(mark),
            &mut results,
        );
        let Verdict::Reject(rejection) = processed.verdict else { panic!("{found:?}") };
        assert_eq!((rejection.class.name(), rejection.reason.as_str()), (class, reason));
        assert_eq!(rejection.step, Step::Number(0));
        assert_eq!(marks, [Mark::Parsed]);
        assert!(results.is_empty());
    }
}

#[test]
fn all_problems_are_told_with_their_keys() {
    let text = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let lookup = |table: &str, key: &str, into: &str| Operator::Lookup {
        table: table.to_owned(),
        key: key.to_owned(),
        into: into.to_owned(),
        on_miss: OnMiss::Default("{".to_owned()),
        into_age: None,
    };
    let mut settings = settings(
        vec![
            lookup("user", "event.a + size(1)", "1x"),
            Operator::Text(vec![text("x", "{event.a"), text("y", "ok"), text("a.b", "{key}")]),
            Operator::Hash {
                algorithm: HashAlgorithm::Md5,
                of: "event.y.z".to_owned(),
                into: "y.w".to_owned(),
            },
        ],
        &["users"],
    );
    settings.sink.key = "record".to_owned();
    settings.sink.value = "sice(event)".to_owned();
    settings.latency.origin = "'now'".to_owned();
    let problems = Pipeline::compile(&settings).unwrap_err();
    let shown: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        ("latency.origin", "neither a timestamp nor a number"),
        ("steps[0].lookup.table", "no table named \"user\" (did you mean \"users\"?)"),
        ("steps[0].lookup.key", "character 11: `size` does not take an int"),
        ("steps[0].lookup.on_miss", "is no JSON"),
        ("steps[0].lookup.into", "is no path"),
        ("steps[1].text.x", "this hole does not end"),
        ("steps[1].text.\"a.b\"", "did you mean `event.key`?"),
        ("steps[2].hash.of", "steps[1] makes `y` a text"),
        ("steps[2].hash.into", "steps[1] makes `y` a text"),
        ("sink.kafka.key", "no value by itself"),
        ("sink.kafka.value", "there is no function `sice`; did you mean `size`?"),
    ];
    assert_eq!(problems.len(), expected.len(), "{shown:#?}");
    for ((problem, shown), (key, part)) in problems.iter().zip(&shown).zip(expected) {
        assert_eq!(problem.key, key, "{shown}");
        assert!(shown.contains(part), "{shown}");
    }
}

#[test]
fn steps_that_no_record_could_pass_are_refused() {
    let pairs = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
    let rules = Rules { pattern: Some("(".to_owned()), ..Rules::default() };
    let many = (0..70).map(|it| ("event.a".to_owned(), format!("t{it}"))).collect();
    let mut settings = settings(
        vec![
            Operator::Text(pairs("text", "x")),
            Operator::Set(pairs("text.a", "1")),
            Operator::Filter("size(event.a)".to_owned()),
            Operator::Remove(vec!["a..b".to_owned()]),
            Operator::Headers(pairs("hotspur.class", "'x'")),
            Operator::Require(Require::Fields(vec![("a".to_owned(), rules)])),
            Operator::Require(Require::Schema("absent.json".into())),
            Operator::Set(pairs("b", "event.a")),
            Operator::Route(Route::To(many, Otherwise::Skip)),
        ],
        &[],
    );
    settings.steps[7].when = Some("size(event.b)".to_owned());
    let problems = Pipeline::compile(&settings).unwrap_err();
    let expected = [
        ("steps[1].set.\"text.a\"", "steps[0] makes `text` a text"),
        ("steps[2].filter", "true or false is wanted"),
        ("steps[3].remove", "is no path"),
        ("steps[4].headers.\"hotspur.class\"", "are Hotspur's own"),
        ("steps[5].require", "the pattern \"(\" is none"),
        ("steps[6].require", "absent.json cannot be read"),
        ("steps[7].when", "true or false is wanted"),
        ("steps[8].route.to[62]", "more topics than 63"),
    ];
    for (problem, (key, part)) in problems.iter().zip(expected) {
        assert_eq!(problem.key, key, "{problem}");
        assert!(problem.to_string().contains(part), "{problem}");
    }
    assert!(problems.len() > expected.len(), "each topic past the bound is told");
}

#[test]
fn results_of_a_turn_stand_one_after_another() {
    let hash = Operator::Hash {
        algorithm: HashAlgorithm::Sha256,
        of: "'abc'".to_owned(),
        into: "h".to_owned(),
    };
    let mut pipeline = Pipeline::compile(&settings(vec![hash], &[])).unwrap();
    let mut results = Results::default();
    let given = Given::default();
    let record = given.record();
    for value in [&b"{\"a\":1}"[..], b"nonsense", b"{\"a\":2}"] {
        let record = Record { value: Some(value), ..record };
        pipeline.process(&record, &mut Always(Found::Miss), &mut |_| {}, &mut results);
    }
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let value = |index| results.output(index, &record).value.unwrap().to_vec();
    assert_eq!(results.len(), 2);
    for (index, number) in [(0, 1), (1, 2)] {
        let expected = format!("{{\"a\":{number},\"h\":\"{digest}\"}}");
        assert_eq!(String::from_utf8(value(index)).unwrap(), expected);
    }
}

/// Says the same of every key.
struct Always<'a>(Found<'a>);

impl Lookup for Always<'_> {
    fn lookup(&mut self, _table: usize, _key: &[u8]) -> Found<'_> {
        self.0
    }

    fn now_ns(&self) -> i64 {
        0
    }
}

/// Tables of a data file, in order of their names.
struct Tables(Vec<Entries>);

impl Lookup for Tables {
    fn lookup(&mut self, table: usize, key: &[u8]) -> Found<'_> {
        self.0[table].get(key).map(OwnedValue::as_value).map_or(Found::Miss, Found::Hit)
    }

    fn now_ns(&self) -> i64 {
        0
    }

    fn age_ns(&self, table: usize) -> Option<u64> {
        (table == 0).then_some(1_234_001)
    }
}

/// A record that owns what it is made of.
#[derive(Default)]
struct Given {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<u8>,
}

impl Given {
    fn of_case(case: &dyn TableLike) -> Given {
        let decode = |name| text(case, name).map(|text| STANDARD.decode(text).unwrap());
        let is = |name| case.get(name).is_some();
        let key = decode("key_base64").unwrap_or_else(|| b"k".to_vec());
        let value = text(case, "input").map(String::into_bytes).or(decode("input_base64"));
        assert!(value.is_some() != is("tombstone"), "a case has an input or is a tombstone");
        let mut headers = Vec::new();
        for (name, value) in pairs(case, "headers").unwrap_or_default() {
            Headers::push(&mut headers, &name, value.as_deref());
        }
        Given { key: (!is("key_absent")).then_some(key), value, headers }
    }

    fn record(&self) -> Record<'_> {
        Record {
            partition: PartitionId(0),
            topic: "in",
            partition_number: 3,
            offset: 42,
            timestamp_ms: Some(1_732_168_000_123),
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: Headers::from_bytes(&self.headers),
            arrived: Ticks::default(),
        }
    }
}

fn run_file(name: &str) {
    let path = format!("{}/tests/golden/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let file: DocumentMut = fs::read_to_string(path).unwrap().parse().unwrap();
    let (settings, mut tables) = read_pipeline(&file);
    let mut pipeline = Pipeline::compile(&settings).unwrap();
    let cases = file["cases"].as_array_of_tables().unwrap();
    for case in cases {
        run_case(&mut pipeline, &mut tables, case);
    }
}

fn run_case(pipeline: &mut Pipeline, tables: &mut Tables, case: &dyn TableLike) {
    let name = text(case, "name").unwrap();
    let given = Given::of_case(case);
    let record = given.record();
    let mut results = Results::default();
    let processed = pipeline.process(&record, tables, &mut |_| {}, &mut results);
    let (outcome, step, reason) = match processed.verdict {
        Verdict::Emit => ("emitted".to_owned(), None, None),
        Verdict::Skip(it) => (format!("skipped:{}", it.class), Some(it.step), None),
        Verdict::Reject(it) => {
            (format!("rejected:{}", it.class), Some(it.step), Some(it.reason.to_string()))
        }
        Verdict::Hold(_) => ("held".to_owned(), None, None),
        Verdict::Wait(_) => panic!("{name}: no table here is on demand"),
        Verdict::Behind { .. } => panic!("{name}: nothing else is in flight"),
    };
    let wanted = |kind: &str| text(case, kind).map(|class| format!("{kind}:{class}"));
    let wanted = wanted("rejected").or(wanted("skipped")).unwrap_or("emitted".to_owned());
    assert_eq!(outcome, wanted, "{name}: {reason:?}");
    if let Some(wanted) = text(case, "step") {
        assert_eq!(step.map(|step| pipeline.step_name(step)), Some(wanted.as_str()), "{name}");
    }
    if let Some(wanted) = text(case, "reason") {
        assert_eq!(reason, Some(wanted), "{name}");
    }
    if let Some(Item::Value(wanted)) = case.get("origin_ns") {
        assert_eq!(processed.origin_ns, wanted.as_integer(), "{name}");
    }
    if outcome == "emitted" {
        check_result(&name, case, &results, &record);
    } else {
        assert!(results.is_empty(), "{name}");
    }
}

fn check_result(name: &str, case: &dyn TableLike, results: &Results, record: &Record<'_>) {
    assert_eq!(results.len(), 1, "{name}");
    let output = results.output(0, record);
    let show = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let wanted = text(case, "output").map(|output| fill_digests(&output, record));
    assert!(wanted.is_some() || case.get("output_absent").is_some(), "{name}: no output given");
    assert_eq!(output.value.map(show), wanted, "{name}");
    if let Some(wanted) = text(case, "output_key") {
        assert_eq!(output.key.map(show), Some(wanted), "{name}");
    } else if case.get("key_absent").is_some() {
        assert_eq!(output.key, None, "{name}");
    }
    if let Some(wanted) = pairs(case, "output_headers") {
        let owned = |(name, value): (&[u8], Option<&[u8]>)| (name.to_vec(), value.map(Vec::from));
        assert_eq!(output.headers.map(owned).collect::<Vec<_>>(), wanted, "{name}");
    }
    let integer = |name| case.get(name).and_then(Item::as_integer);
    assert_eq!(output.partition_number.map(i64::from), integer("output_partition"), "{name}");
    assert_eq!(output.timestamp_ms, record.timestamp_ms, "{name}");
}

/// `MD5` stands for the md5 of the record, `XXH3 {…}"` for the xxh3 of that text.
fn fill_digests(output: &str, record: &Record<'_>) -> String {
    let md5 = Md5::digest(record.value.unwrap_or_default());
    let md5: String = md5.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut filled = output.replace("MD5", &md5);
    while let Some((before, rest)) = filled.split_once("XXH3 ") {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<serde_json::Value>();
        values.next().unwrap().unwrap();
        let (hashed, behind) = rest.split_at(values.byte_offset());
        filled = format!("{before}{:016x}{behind}", xxh3_64(hashed.as_bytes()));
    }
    filled
}

fn read_pipeline(file: &DocumentMut) -> (Settings, Tables) {
    let tables: Vec<_> =
        file.get("tables").and_then(Item::as_table_like).map_or(vec![], |tables| {
            tables.iter().map(|(name, table)| (name.to_owned(), entries(table))).collect()
        });
    let names: Vec<_> = tables.iter().map(|(name, _)| name.as_str()).collect();
    let empty = toml_edit::ArrayOfTables::new();
    let steps = file.get("steps").and_then(Item::as_array_of_tables).unwrap_or(&empty);
    let mut settings = settings(steps.iter().map(|step| operator(step)).collect(), &names);
    for (place, step) in settings.steps.iter_mut().zip(steps) {
        place.name = text(step, "name");
    }
    settings.limits.depth = 8;
    let integer = |name| file.get(name).and_then(Item::as_integer);
    settings.limits.depth = integer("depth").map_or(8, |depth| depth as usize);
    settings.limits.record = integer("record_limit").map_or(1 << 20, |bytes| bytes as usize);
    settings.latency.unit_nanos = integer("unit_nanos").map_or(1_000_000, |nanos| nanos as u64);
    for (name, target) in [
        ("key", &mut settings.sink.key),
        ("value", &mut settings.sink.value),
        ("origin", &mut settings.latency.origin),
    ] {
        *target = text(file.as_table(), name).unwrap_or(target.clone());
    }
    settings.source.tombstones = match text(file.as_table(), "tombstones").as_deref() {
        Some("pass") => Tombstones::Pass,
        Some("reject") => Tombstones::Reject,
        _ => Tombstones::Skip,
    };
    if file.get("partition").is_some() {
        settings.sink.partition = SinkPartition::Source;
    }
    (settings, Tables(tables.into_iter().map(|(_, table)| table).collect()))
}

/// Text stands as it is, JSON as `{ json = … }`.
fn entries(table: &Item) -> Entries {
    let value = |item: &Item| {
        let json = item.get("json").and_then(Item::as_str);
        let value = json.map_or_else(
            || Value::text(item.as_str().unwrap().as_bytes()),
            |json| Value::json(json.as_bytes()),
        );
        OwnedValue { kind: value.kind, bytes: value.bytes.to_vec() }
    };
    let entries = table.as_table_like().unwrap().iter();
    entries.map(|(key, item)| (key.as_bytes().to_vec(), value(item))).collect()
}

fn operator(step: &dyn TableLike) -> Operator {
    let part = |name| step.get(name).and_then(Item::as_table_like);
    let of = |table: &dyn TableLike, name| text(table, name).unwrap();
    if let Some(lookup) = part("lookup") {
        let on_miss = match (text(lookup, "on_miss").as_deref(), lookup.get("on_miss")) {
            (Some("skip"), _) => OnMiss::Skip,
            (Some("null"), _) => OnMiss::Null,
            (None, Some(default)) => OnMiss::Default(default["default"].as_str().unwrap().into()),
            _ => OnMiss::Reject,
        };
        let (table, key, into) = (of(lookup, "table"), of(lookup, "key"), of(lookup, "into"));
        let into_age = text(lookup, "into_age");
        Operator::Lookup { table, key, into, on_miss, into_age }
    } else if let Some(hash) = part("hash") {
        let algorithm = match of(hash, "algorithm").as_str() {
            "md5" => HashAlgorithm::Md5,
            "sha256" => HashAlgorithm::Sha256,
            _ => HashAlgorithm::Xxh3,
        };
        Operator::Hash { algorithm, of: of(hash, "of"), into: of(hash, "into") }
    } else {
        let texts = part("text").expect("a step is a lookup, a hash or a text").iter();
        let owned = |(path, text): (&str, &Item)| (path.into(), text.as_str().unwrap().into());
        Operator::Text(texts.map(owned).collect())
    }
}

fn text(table: &dyn TableLike, name: &str) -> Option<String> {
    table.get(name).and_then(Item::as_str).map(str::to_owned)
}

fn pairs(case: &dyn TableLike, name: &str) -> Option<Vec<Header>> {
    let bytes = |value: &toml_edit::Value| value.as_str().unwrap().as_bytes().to_vec();
    let pair = |pair: &toml_edit::Value| {
        let pair = pair.as_array().unwrap();
        (bytes(pair.get(0).unwrap()), pair.get(1).map(bytes))
    };
    Some(case.get(name)?.as_array().unwrap().iter().map(pair).collect())
}
