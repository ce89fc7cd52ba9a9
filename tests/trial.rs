//! `try` without its command line: lines in, lines out, notes and denials.

#[path = "support/json_schema.rs"]
mod json_schema;
#[path = "support/pipeline_settings.rs"]
mod pipeline_settings;

use std::{fs, io::Write};

use hotspur::{
    config::{
        Settings,
        settings::{
            Alias, Each, HashAlgorithm, JsonType, OnMiss, Operator, Otherwise, Require, Route,
            Rules,
        },
    },
    pipeline::trial::{Outcome, TrialError, TrialOptions, TrialSummary, run, schema::schema},
};
use pipeline_settings::settings;

fn orders() -> Settings {
    let lookup = Operator::Lookup {
        table: "users".to_owned(),
        key: "event.key".to_owned(),
        into: "cached".to_owned(),
        on_miss: OnMiss::Skip,
        into_age: None,
    };
    let text = ("result".to_owned(), "{event.key}_{event.cached}".to_owned());
    let mut settings = settings(vec![lookup, Operator::Text(vec![text])], &["users", "unused"]);
    settings.steps[0].name = Some("find".to_owned());
    settings
}

/// Answers and notes as lines; the answers are as their schema says.
fn try_lines(
    settings: &Settings,
    input: &[u8],
    options: &TrialOptions,
) -> (Result<TrialSummary, TrialError>, Vec<String>, Vec<String>) {
    let (mut output, mut notes) = (Vec::new(), Vec::new());
    let summary = run(settings, input, &mut output, &mut notes, options);
    let lines = |bytes| -> Vec<String> {
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    };
    let answers = lines(output);
    for answer in &answers {
        json_schema::assert_valid(&serde_json::from_str(answer).unwrap(), &schema());
    }
    (summary, answers, lines(notes))
}

fn table(lines: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    file
}

#[test]
fn each_line_gets_an_answer() {
    let users = table("{\"key\":\"a\",\"value\":\"gold\"}\n\n{\"key\":\"b\",\"value\":[1]}\n");
    let options = TrialOptions {
        tables: vec![("users".to_owned(), users.path().to_owned())],
        deny: Some(Outcome::Rejected),
        ..TrialOptions::default()
    };
    let input = b"{\"key\":\"a\"}\n{\"key\":\"b\"}\n{\"key\":\"c\"}\nnonsense\n\n{}";
    let (summary, answers, notes) = try_lines(&orders(), input, &options);
    assert_eq!(summary.unwrap(), TrialSummary { records: 6, denied: 3 });
    let value = |cached: &str, key: &str| {
        format!(r#"{{\"key\":\"{key}\",\"cached\":\"{cached}\",\"result\":\"{key}_{cached}\"}}"#)
    };
    let emitted = |line, value: String| {
        format!(
            concat!(
                r#"{{"v":1,"line":{},"outcome":"emitted","results":[{{"topic":"out","#,
                r#""key":null,"value":"{}","headers":[]}}]}}"#
            ),
            line, value
        )
    };
    assert_eq!(answers[0], emitted(1, value("gold", "a")));
    // A file's value that is no text is JSON.
    let spliced = r#"{\"key\":\"b\",\"cached\":[1],\"result\":\"b_[1]\"}"#;
    assert_eq!(answers[1], emitted(2, spliced.to_owned()));
    let skipped = r#"{"v":1,"line":3,"outcome":"skipped","class":"table_miss","step":"find"}"#;
    assert_eq!(answers[2], skipped);
    for (answer, start) in [
        (&answers[3], r#"{"v":1,"line":4,"outcome":"rejected","class":"not_json","step":"parse","#),
        (&answers[4], r#"{"v":1,"line":5,"outcome":"rejected","class":"not_json","step":"parse","#),
        (
            &answers[5],
            concat!(
                r#"{"v":1,"line":6,"outcome":"rejected","class":"missing_field","#,
                r#""step":"find","reason":"`event.key` is absent"}"#
            ),
        ),
    ] {
        assert!(answer.starts_with(start), "{answer}");
    }
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn tables_that_are_not_given_miss_and_a_note_says_so() {
    let (summary, answers, notes) =
        try_lines(&orders(), b"{\"key\":\"a\"}\n", &TrialOptions::default());
    assert_eq!(summary.unwrap(), TrialSummary { records: 1, denied: 0 });
    assert!(answers[0].contains(r#""outcome":"skipped","class":"table_miss""#));
    assert_eq!(notes, ["table users is not given: its lookups miss (--table users=FILE)"]);
}

#[test]
fn steps_are_explained() {
    let users = table("{\"key\":\"a\",\"value\":\"gold\"}\n");
    let options = TrialOptions {
        tables: vec![("users".to_owned(), users.path().to_owned())],
        explain: true,
        ..TrialOptions::default()
    };
    let (_, answers, _) = try_lines(&orders(), b"{\"key\":\"a\"}\n{\"key\":\"c\"}\n", &options);
    let answer: serde_json::Value = serde_json::from_str(&answers[0]).unwrap();
    let steps = serde_json::json!([
        {
            "step": "find", "operator": "lookup", "did": "ran", "read": {"event.key": "a"},
            "lookups": [{"table": "users", "key": "a", "found": "hit"}],
            "wrote": {"cached": "gold"},
        },
        {
            "step": "2", "operator": "text", "did": "ran",
            "read": {"event.key": "a", "event.cached": "gold"}, "wrote": {"result": "a_gold"},
        },
    ]);
    assert_eq!(answer["steps"], steps);
    let answer: serde_json::Value = serde_json::from_str(&answers[1]).unwrap();
    let steps = serde_json::json!([
        {
            "step": "find", "operator": "lookup", "did": "skipped", "read": {"event.key": "c"},
            "lookups": [{"table": "users", "key": "c", "found": "miss"}],
        },
        {"step": "2", "operator": "text", "did": "not_reached"},
    ]);
    assert_eq!(answer["steps"], steps);
}

#[test]
fn each_step_says_what_it_did() {
    let text = str::to_owned;
    let pairs = |name: &str, it: &str| vec![(text(name), text(it))];
    let rules = Rules { types: vec![JsonType::Array], ..Rules::default() };
    let operators = vec![
        Operator::Require(Require::Fields(vec![(text("items"), rules)])),
        Operator::Set(pairs("a", "{'b': 1}")),
        Operator::Set(pairs("a.c", "'x'")),
        Operator::Alias(vec![Alias { path: text("id"), spellings: vec![text("ID")] }]),
        Operator::Rename(pairs("number", "id")),
        Operator::Remove(vec![text("number"), text("absent")]),
        Operator::Keep(vec![text("items")]),
        Operator::Each(Each { of: text("event.items"), into: text("item"), at: None }),
        Operator::Filter(text("event.item > 1")),
        Operator::Route(Route::To(vec![(text("event.item > 2"), text("large"))], Otherwise::Sink)),
        Operator::Key(text("event.item")),
        Operator::Headers(pairs("h", "event.item + 1")),
        Operator::Sample { share: 1.0, by: None },
    ];
    let mut settings = settings(operators, &[]);
    settings.steps[4].when = Some(text("event.id == 8"));
    let options = TrialOptions { explain: true, ..TrialOptions::default() };
    let (_, answers, _) = try_lines(&settings, b"{\"ID\":7,\"items\":[1,3]}\n", &options);
    let answer: serde_json::Value = serde_json::from_str(&answers[0]).unwrap();
    let steps = answer["steps"].as_array().unwrap();
    let of = |step: &str, part: &str| -> Vec<&serde_json::Value> {
        let of_step = steps.iter().filter(|it| it["step"] == step);
        of_step.map(|it| &it[part]).filter(|it| !it.is_null()).collect()
    };
    use serde_json::json;
    assert_eq!(of("1", "decided"), [&json!(["all rules hold"])]);
    assert_eq!(of("2", "wrote"), [&json!({"a": {"b": 1}})]);
    assert_eq!(of("3", "wrote"), [&json!({"a.c": "x"})]);
    assert_eq!(of("4", "decided"), [&json!(["`ID` wins"])]);
    assert_eq!(of("4", "wrote"), [&json!({"id": 7})]);
    assert_eq!(of("5", "did"), [&json!("passed_over")]);
    assert_eq!(of("5", "read"), [&json!({"event.id == 8": "false"})]);
    assert_eq!(of("7", "decided"), [&json!(["everything that is not named goes"])]);
    assert_eq!(of("8", "decided"), [&json!(["the list has 2 elements"])]);
    assert_eq!(of("9", "read").len(), 2, "once an element");
    assert_eq!(of("9", "decided"), [&json!(["the condition is not true"])]);
    assert_eq!(of("10", "decided"), [&json!(["it goes to large"])]);
    assert_eq!(of("11", "read"), [&json!({"event.item": "3"})]);
    assert_eq!(of("12", "read"), [&json!({"event.item + 1": "4"})]);
    assert_eq!(of("13", "decided"), [&json!(["it is in the sample"])]);
    let result = json!({"topic": "large", "key": "3", "headers": [["h", "4"]],
                        "value": "{\"items\":[1,3],\"item\":3}"});
    assert_eq!(answer["results"], json!([result]));
}

#[test]
fn envelopes_carry_what_travels_beside_the_value() {
    let hash = Operator::Hash {
        algorithm: HashAlgorithm::Xxh3,
        of: "record.value".to_owned(),
        into: "hash".to_owned(),
    };
    let mut settings = settings(vec![hash], &[]);
    settings.sink.value = "record.key".to_owned();
    let line = br#"{"payload":"{}","key_base64":"/w==","headers":["a","1","b",null],"ts":5}
{"value":null}
"#;
    let options = TrialOptions { envelope: true, ..TrialOptions::default() };
    let (summary, answers, _) = try_lines(&settings, line, &options);
    assert_eq!(summary.unwrap().records, 2);
    assert_eq!(
        answers[0],
        concat!(
            r#"{"v":1,"line":1,"outcome":"emitted","results":[{"topic":"out","#,
            r#""key_base64":"/w==","value_base64":"/w==","headers":[["a","1"],["b",null]]}]}"#
        )
    );
    let skipped = r#"{"v":1,"line":2,"outcome":"skipped","class":"tombstone","step":"parse"}"#;
    assert_eq!(answers[1], skipped);
}

#[test]
fn what_is_no_answer_does_not_fit_the_schema() {
    use serde_json::json;
    let result = json!({"topic": "out", "key": null, "value": "{}", "headers": [["a", "1"]]});
    let step = json!({"step": "1", "operator": "lookup", "did": "ran", "wrote": {"a": [1]}});
    let right = json!({"v": 1, "line": 1, "outcome": "emitted", "results": [result],
                       "steps": [step]});
    json_schema::assert_valid(&right, &schema());
    for (place, wrong) in [
        ("/v", json!(2)),
        ("/line", json!(0)),
        ("/outcome", json!("dropped")),
        ("/results", json!({})),
        ("/results/0/topic", json!(null)),
        ("/results/0/value", json!({})),
        ("/results/0/headers/0", json!(["a"])),
        ("/results/0/headers/0/0", json!(null)),
        ("/results/0/headers/0/1", json!({"base65": ""})),
        ("/steps/0/did", json!("walked")),
        ("/steps/0", json!({"step": "1", "operator": "lookup", "did": "ran", "lookups": [{}]})),
        ("/steps/0", json!({"step": "1", "operator": "lookup", "did": "ran", "read": {"a": 1}})),
        ("", json!({"v": 1, "line": 1, "outcome": "rejected", "class": "bad"})),
        ("", json!({"v": 1, "line": 1, "outcome": "skipped", "why": ""})),
    ] {
        let mut answer = right.clone();
        *answer.pointer_mut(place).unwrap() = wrong;
        assert!(json_schema::problem(&answer, &schema(), "$").is_some(), "{answer}");
    }
}

#[test]
fn a_table_that_an_expression_asks_is_missed_as_well() {
    let mut settings = settings(vec![], &["users", "unused"]);
    settings.sink.value = "lookup('users', 'a') == null".to_owned();
    let (_, answers, notes) = try_lines(&settings, b"{}\n", &TrialOptions::default());
    assert!(answers[0].contains(r#""value":"true""#), "{answers:?}");
    assert_eq!(notes, ["table users is not given: its lookups miss (--table users=FILE)"]);
}

#[test]
fn wrong_use_is_told_in_sentences() {
    let options = |name: &str, path: &std::path::Path| TrialOptions {
        tables: vec![(name.to_owned(), path.to_owned())],
        envelope: true,
        ..TrialOptions::default()
    };
    let broken = table("{\"key\":\"a\",\"value\":1}\n{\"key\":{},\"value\":1}\n");
    let gone = broken.path().with_extension("gone");
    assert!(fs::metadata(&gone).is_err());
    for (name, path, part) in [
        ("user", broken.path(), "there is no table named \"user\"; known are: users, unused"),
        ("users", broken.path(), ":2: the key must be text, a number or a truth value: {}"),
        ("users", &gone, ".gone could not be read: "),
    ] {
        let error = try_lines(&orders(), b"", &options(name, path)).0.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let fine = table("");
    let (error, answers, _) =
        try_lines(&orders(), b"{\"value\":\"{}\"}\n{}\n", &options("users", fine.path()));
    assert_eq!(
        error.unwrap_err().to_string(),
        "line 2 is no envelope: it has no `value` (null is a tombstone)"
    );
    assert_eq!(answers.len(), 1);
    let mut settings = orders();
    settings.sink.key = "1 + 'a'".to_owned();
    let (error, ..) = try_lines(&settings, b"", &TrialOptions::default());
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("the pipeline has 1 problem(s), the first: sink.kafka.key"));
    assert_eq!("held".parse(), Ok(Outcome::Held));
    assert!("lost".parse::<Outcome>().unwrap_err().contains("\"lost\" is no outcome"));
}
