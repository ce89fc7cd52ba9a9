//! Expressions through a whole pipeline: what each comes to, or why the record is rejected.
//!
//! The result's value is the expression, so what is compared is what a user gets: text and bytes
//! as they are, anything else as JSON.

#[path = "support/pipeline_settings.rs"]
mod pipeline_settings;

use hotspur::{
    cache::Value,
    clock::Ticks,
    config::settings::{HashAlgorithm, OnMiss, Operator},
    pipeline::{Found, Lookup, Pipeline, Results},
    record::{Headers, PartitionId, Record},
    verdict::{Awaited, Verdict},
};
use pipeline_settings::settings;

/// 2026-11-21T05:37:00.123456789Z.
const NOW_NS: i64 = 1_795_239_420_123_456_789;

/// Three tables: of JSON, an old one, and one on demand that has not answered.
struct Tables;

impl Lookup for Tables {
    fn lookup(&mut self, table: usize, key: &[u8]) -> Found<'_> {
        match (table, key) {
            (0, b"ann") => Found::Hit(Value::json(br#"{"tier":"gold","limit":12.50}"#)),
            (0, b"7") => Found::Hit(Value::text(b"seven")),
            (0, b"bad") => Found::Hit(Value::text(b"\xff")),
            (0, b"late") => Found::Late,
            (1, _) => Found::Stale,
            (2, _) => Found::Unknown(Awaited { table: 2, hash: 5 }),
            _ => Found::Miss,
        }
    }

    fn now_ns(&self) -> i64 {
        NOW_NS
    }
}

const EVENT: &str = r#"{"id":"1","n":7,"price":12.50,"big":18446744073709551615,"none":null,
"e":1e3,"t":"a\"é","when":"2026-11-21T05:37:00Z","user":"ann","o":{"a":{"b":2},"odd name":true},
"items":[{"price":3,"tags":["x","y"]},{"price":4.25,"tags":[]}],"d":1,"d":2}"#;

fn process(steps: Vec<Operator>, expression: &str) -> Result<String, String> {
    let mut settings = settings(steps, &["users", "old", "demanded"]);
    settings.sink.value = expression.to_owned();
    let mut pipeline = Pipeline::compile(&settings).map_err(|problems| problems[0].to_string())?;
    let mut headers = Vec::new();
    Headers::push(&mut headers, b"h", Some(b"one"));
    Headers::push(&mut headers, b"h", Some(b"two"));
    let record = Record {
        partition: PartitionId(0),
        topic: "in",
        partition_number: 3,
        offset: 42,
        timestamp_ms: Some(1_500),
        key: Some(b"k"),
        value: Some(EVENT.as_bytes()),
        headers: Headers::from_bytes(&headers),
        arrived: Ticks(0),
    };
    let mut results = Results::default();
    let processed = pipeline.process(&record, &mut Tables, &mut |_| {}, &mut results);
    match processed.verdict {
        Verdict::Emit => {
            let value = results.output(0, &record).value.unwrap_or_default();
            Ok(String::from_utf8_lossy(value).into_owned())
        }
        Verdict::Reject(rejection) => Err(format!("{}: {}", rejection.class, rejection.reason)),
        other => Err(format!("{other:?}")),
    }
}

#[track_caller]
fn gives(cases: &[(&str, &str)]) {
    for (expression, wanted) in cases {
        assert_eq!(process(vec![], expression).as_deref(), Ok(*wanted), "{expression}");
    }
}

#[track_caller]
fn fails(cases: &[(&str, &str)]) {
    for (expression, wanted) in cases {
        let error = process(vec![], expression).unwrap_err();
        assert!(error.contains(wanted), "{expression}: {error}");
    }
}

#[test]
fn an_untouched_value_keeps_its_spelling() {
    gives(&[
        ("event.price", "12.50"),
        ("[event.price, event.e, event.big]", "[12.50,1e3,18446744073709551615]"),
        ("{'p': event.price, 'o': event.o.a}", r#"{"p":12.50,"o":{"b":2}}"#),
        ("string(event.price) + '!'", "12.50!"),
        ("event.items[1]", r#"{"price":4.25,"tags":[]}"#),
        ("event.items.map(i, i.price)", "[3,4.25]"),
        ("event['t'] + event.t", "a\"éa\"é"),
        ("[event.t]", r#"["a\"é"]"#),
        ("event.d", "2"),
        ("event.o['odd name']", "true"),
        ("event.o.`odd name`", "true"),
    ]);
}

#[test]
fn numbers_of_the_record_mix_and_others_do_not() {
    gives(&[
        ("event.n + 1", "8"),
        ("event.n * 1.5", "10.5"),
        ("event.price * 2", "25.0"),
        ("(event.n * 2) + 0.5", "14.5"),
        ("event.n + event.price", "19.5"),
        ("event.big + 1", "18446744073709552000.0"),
        ("event.n + 1u", "8.0"),
        ("event.n > 6.5 && event.price < 13 && event.big > event.n", "true"),
        ("event.n == 7.0 && event.n == 7u && event.price == 12.5", "true"),
        ("record.offset / 4.0", "10.5"),
        ("-event.price", "-12.5"),
        ("7 / 2", "3"),
        ("7.0 / 2.0", "3.5"),
    ]);
    fails(&[
        ("1 + 1.5", "`+` does not take an int and a double; make one the other's type"),
        ("size(event.items) * 1.5", "`*` does not take an int and a double"),
        ("dyn(1) + 1.5", "expression: `+` does not take an int and a double"),
    ]);
}

/// A comparison with a constant is decided on the tape, one with what is computed is not.
#[test]
fn a_constant_compares_as_the_same_value_that_is_computed() {
    let constants = ["7", "8", "7.0", "12.5", "9223372036854775807", "null", "'a\"é'", "'b'"];
    for field in ["n", "price", "big", "t", "none", "gone"] {
        for constant in constants {
            for operator in ["!=", "<="] {
                let decide = |right: &str| {
                    let decided = process(vec![], &format!("event.{field} {operator} {right}"));
                    decided.map_err(|error| error.split(':').next().map(str::to_owned))
                };
                let computed = format!("(event.d == 2 ? {constant} : {constant})");
                assert_eq!(decide(constant), decide(&computed), "{field} {operator} {constant}");
            }
        }
    }
}

#[test]
fn absent_and_null_are_told_apart() {
    gives(&[
        ("event.none", "null"),
        ("event.none == null", "true"),
        ("has(event.none) && !has(event.gone) && has(event.o.a.b)", "true"),
        ("has(event.o.gone)", "false"),
        ("event.?gone.orValue('x')", "x"),
        ("event.?o.?a.?b.orValue(0)", "2"),
        ("event.o[?'gone'].hasValue()", "false"),
        ("has(event.gone) ? event.gone : 'none'", "none"),
        ("event.gone == 1 || event.n == 7", "true"),
        ("event.n == 7 || event.gone == 1", "true"),
        ("event.gone == 1 && event.n == 0", "false"),
        ("event.items.exists(i, i.gone == 1 || i.price > 4)", "true"),
        ("event.items.all(i, i.gone == 1 && i.price > 4)", "false"),
    ]);
    fails(&[
        ("event.gone", "missing_field: `event.gone` is absent"),
        ("event.gone + 1", "missing_field: `event.gone` is absent (at character 1 of"),
        ("1 + event.o.gone", "missing_field: `event.o.gone` is absent (at character 5 of"),
        ("[event.n.x]", "wrong_type: `event.n.x` cannot be: `event.n` is "),
        ("has(event.gone.x)", "missing_field: `event.gone` is absent"),
        ("event.items[2] == 1", "missing_field: `event.items[2]` is absent"),
        ("event.items[event.n]", "missing_field: `[]` is absent: there is no item 7"),
        ("event.items[0 - 1]", "missing_field: `[]` is absent: there is no item -1"),
        ("event.items.map(i, i.gone)", "missing_field: `gone` is absent (at character 21"),
        ("event.items.map(i, i.price.x)", "wrong_type: `x` cannot be: an int has no such part"),
        ("event.gone == 1 || event.n == 0", "missing_field"),
    ]);
}

#[test]
fn faults_have_a_class_and_a_place() {
    fails(&[
        ("event.n / 0", "expression: `/` divides by zero (at character 9 of `event.n / 0`)"),
        ("event.n % 0", "expression: `%` divides by zero"),
        ("event.n + 9223372036854775807", "expression: `+` is past the range of an int"),
        ("int(event.user)", "expression: `int` cannot make an int of this text (at character 1"),
        ("'é' + string(event.o)", "expression: `string` does not take an object (at character 7"),
        ("event.user < 1", "expression: `<` does not take text and an int"),
        ("event.user ? 1 : 2", "expression: `event.user` wants a boolean, not text"),
        ("event.user.substring(9)", "expression: `substring` asks for character 9"),
        ("timestamp(event.user)", "cannot make a timestamp of this text"),
        ("timestamp(event.when).getHours(event.user)", "names no time zone that is known"),
        ("{event.user: 1, 'ann': 2}", "expression: `{}` has one key twice"),
        ("[0.0 / (event.n - 7.0)]", "wrong_type: `[0.0 / (event.n - 7.0)]` has no form in JSON"),
        ("event.t.replace('', event.t).size() > 0 && event.user", "wants a boolean"),
    ]);
}

#[test]
fn work_and_memory_of_a_record_are_bounded() {
    let deep = |loops: usize| {
        let list = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]";
        let open: String = (0..loops).map(|it| format!("{list}.all(v{it}, ")).collect();
        format!("{open}event.n > 0{}", ")".repeat(loops))
    };
    gives(&[(deep(3).as_str(), "true")]);
    fails(&[(deep(5).as_str(), "expression: `all` takes more turns of its loops than one record")]);
    let mut doubled = "size(v30)".to_owned();
    for it in (1..=30).rev() {
        let before = if it == 1 { "event.t".to_owned() } else { format!("v{}", it - 1) };
        doubled = format!("cel.bind(v{it}, {before} + {before}, {doubled})");
    }
    fails(&[(doubled.as_str(), "expression: `+` makes more bytes than one record may")]);
}

#[test]
fn the_record_the_time_hashes_and_tables_are_there() {
    gives(&[
        ("record.key", "k"),
        ("record.topic + '/' + record.id", "in/3:42"),
        ("record.offset + record.partition", "45"),
        ("record.headers['h']", "two"),
        ("record.headers.map(k, k)", r#"["h"]"#),
        ("has(record.headers.h) && !has(record.headers.g)", "true"),
        ("record.timestamp + duration('1s')", r#""1970-01-01T00:00:02.5Z""#),
        ("size(record.value) > 200", "true"),
        ("now()", r#""2026-11-21T05:37:00.123456789Z""#),
        ("now() - timestamp(event.when)", r#""0.123456789s""#),
        ("now().getHours('Europe/Vienna')", "6"),
        ("hash.md5('abc')", "900150983cd24fb0d6963f7d28e17f72"),
        ("hash.xxh3(b'')", "2d06800538d394c2"),
        ("hash.sha256(record.key).size()", "64"),
        ("lookup('users', event.user).tier", "gold"),
        ("lookup('users', event.user)", r#"{"tier":"gold","limit":12.50}"#),
        ("lookup('users', event.user).limit * 2", "25.0"),
        ("lookup('users', event.n)", "seven"),
        ("lookup('users', 'gone') == null", "true"),
        ("lookup('demanded', 'a') == null || event.n == 7", "true"),
    ]);
    fails(&[
        ("lookup('user', 'a')", "there is no table named \"user\"; did you mean \"users\"?"),
        ("lookup('old', 'a') == null", "stale_table: the table `old` is too old"),
        ("lookup('users', 'late') == 1", "lookup_timeout: the table `users` had no answer in time"),
        ("lookup('users', 'bad') == 1", "wrong_type: `lookup` leads to a value that is not of its"),
        (
            "lookup('users', event.o)",
            "wrong_type: `event.o` is an object, which cannot be a key (at",
        ),
        ("event.gone == 1 || lookup('demanded', 'a') == 1", "Wait(Awaited { table: 2, hash: 5 })"),
        ("lookup('demanded', 'a') == 1 && event.gone == 1", "Wait(Awaited { table: 2, hash: 5 })"),
        ("lookup('demanded', 'a')", "Wait(Awaited { table: 2, hash: 5 })"),
    ]);
}

#[test]
fn what_earlier_steps_wrote_is_read() {
    let steps = || {
        vec![
            Operator::Lookup {
                table: "users".to_owned(),
                key: "event.user".to_owned(),
                into: "o.found".to_owned(),
                on_miss: OnMiss::Reject,
                into_age: None,
            },
            Operator::Text(vec![("greeting".to_owned(), "é{event.n + 1}".to_owned())]),
            Operator::Hash {
                algorithm: HashAlgorithm::Xxh3,
                of: "string(event.n) + record.topic".to_owned(),
                into: "items[0].hash".to_owned(),
            },
        ]
    };
    for (expression, wanted) in [
        ("event.o.found.limit + 1", "13.5"),
        ("event.o.found.tier == 'gold' && has(event.o.found.tier)", "true"),
        ("has(event.o.found.gone)", "false"),
        ("event.o.map(k, k)", r#"["a","odd name","found"]"#),
        ("size(event.greeting)", "2"),
        ("event.greeting.substring(1)", "8"),
        ("size(event.items[0].hash)", "16"),
        ("event.items.map(i, has(i.hash))", "[true,false]"),
        ("size(event) == 13 && has(event.greeting)", "true"),
        ("event.items[1].price", "4.25"),
    ] {
        assert_eq!(process(steps(), expression).as_deref(), Ok(wanted), "{expression}");
    }
    for (expression, wanted) in [
        ("event.o.found.gone == 1", "missing_field: `event.o.found.gone` is absent"),
        ("event.o.found.tier.x == 1", "wrong_type: `event.o.found.tier.x` cannot be: `event.o"),
        ("event.greeting.x == 1", "steps[1] makes `greeting` a text, which has no fields"),
    ] {
        let error = process(steps(), expression).unwrap_err();
        assert!(error.contains(wanted), "{expression}: {error}");
    }
}

#[test]
fn what_can_be_known_is_told_at_start() {
    fails(&[
        ("evnt.a", "character 1: there is no `evnt`; did you mean `event`?"),
        ("key == 'a'", "character 1: there is no `key`; did you mean `event.key`?"),
        ("1 + size(event.a, 2)", "character 5: `size` takes 1 argument, not 2"),
        ("event.a.sice()", "character 9: there is no function `sice`; did you mean `size`?"),
        ("event.a.lowerAscii(1)", "`lowerAscii` takes 0 arguments, not 1"),
        ("lowerAscii(event.a)", "`lowerAscii` is called as `x.lowerAscii(…)`"),
        ("event.a.int()", "`int` is called as `int(…)`"),
        ("math.cell(1.0)", "there is no function `math.cell`; did you mean `math.ceil`?"),
        ("'a' + 1", "character 5: `+` does not take text and an int"),
        ("'a' < 1", "`<` does not take text and an int"),
        ("'a' == 1", "`==` does not take text and an int"),
        ("record.topic && true", "character 1: `&&` wants a boolean, and this is text"),
        ("size(1)", "`size` does not take an int"),
        ("record.key + 'a'", "`+` does not take bytes and text"),
        ("event.a.matches(event.b)", "the pattern of `matches` must be a literal"),
        ("event.a.matches('(')", "no pattern: error: unclosed group"),
        ("now().getHours('Mars')", "there is no time zone named \"Mars\""),
        ("5.all(x, true)", "`all` goes through a list or an object, not an int"),
        ("event.a.all(1, true)", "the name of a variable is expected here"),
        ("has(event)", "`has` wants a field"),
        ("Order{a: 1}", "there is no message `Order`"),
        ("event.a +", "character 10: it ends where something is expected"),
        ("event.a b", "character 9: \"b\" is not expected here"),
        ("é", "character 1: \"é\" is not understood"),
        ("'é' + 1 +* 2", "character 10: \"* 2\" is not expected here"),
        ("", "it is empty"),
        ("record", "stands for no value by itself"),
        ("record.kex", "did you mean `record.key`?"),
        ("1 + 99999999999999999999", "invalid int literal"),
    ]);
}

#[test]
fn templates_take_any_expression() {
    let text = |template: &str| {
        let text = Operator::Text(vec![("x".to_owned(), template.to_owned())]);
        process(vec![text], "event.x")
    };
    for (template, wanted) in [
        ("{event.price}/{event.price * 2}/{event.none}", "12.50/25/null"),
        ("{event.items.map(i, i.price)}", "[3,4.25]"),
        ("{ {'a': '}'}['a'] }{{}}", "}{}"),
        (r#"{event.user + "{" + '}'}"#, "ann{}"),
        (
            "{event.n > 6 ? 'much' : 'little'} of {event.o}",
            r#"much of {"a":{"b":2},"odd name":true}"#,
        ),
        ("{record.timestamp} {duration('90s')} {record.key}", "1970-01-01T00:00:01.5Z 90s k"),
    ] {
        assert_eq!(text(template).as_deref(), Ok(wanted), "{template}");
    }
    let error = text("a {event.n / 0}").unwrap_err();
    assert_eq!(error, "expression: `/` divides by zero (at character 9 of `event.n / 0`)");
}

#[test]
fn an_origin_may_be_computed() {
    let origin = |expression: &str| {
        let mut settings = settings(vec![], &[]);
        settings.latency.origin = expression.to_owned();
        let mut pipeline = Pipeline::compile(&settings).map_err(|it| it[0].to_string())?;
        let record = Record {
            partition: PartitionId(0),
            topic: "in",
            partition_number: 0,
            offset: 0,
            timestamp_ms: None,
            key: None,
            value: Some(EVENT.as_bytes()),
            headers: Headers::NONE,
            arrived: Ticks(0),
        };
        let mut results = Results::default();
        Ok(pipeline.process(&record, &mut Tables, &mut |_| {}, &mut results).origin_ns)
    };
    let whole = 1_795_239_420_000_000_000;
    assert_eq!(origin("timestamp(event.when)"), Ok(Some(whole)));
    assert_eq!(origin("event.n * 1000 + event.n"), Ok(Some(7_007_000_000)));
    assert_eq!(origin("has(event.ms) ? event.ms : event.price"), Ok(Some(12_500_000)));
    assert_eq!(origin("timestamp(event.gone)"), Ok(None));
    let refused: Result<Option<i64>, String> = origin("event.a == 1");
    assert!(refused.unwrap_err().contains("neither a timestamp nor a number"));
    assert!(origin("lookup('users', event.a)").unwrap_err().contains("no table can be asked here"));
}
