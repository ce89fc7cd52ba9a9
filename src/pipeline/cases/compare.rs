//! What came out beside what was expected, part by part, as texts to be shown one above the other.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Expectation, Expected, Payload, fields::Header, json::Json};
use crate::pipeline::trial::{Fate, Produced};

/// A part that is otherwise than expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which part, such as `result 2, value`.
    pub what: String,
    /// What was expected, over one or more lines; empty if it was nothing.
    pub expected: String,
    /// What there is.
    pub got: String,
}

/// All differences, outcomes first.
pub(super) fn compare(
    expected: &Expected,
    fates: &[Fate],
    results: &[Produced],
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let got: Vec<String> = fates.iter().map(Fate::to_string).collect();
    if let Some(outcomes) = expected.outcomes.as_ref().filter(|it| **it != got) {
        let what = if fates.len() == 1 { "outcome" } else { "outcomes" }.to_owned();
        let (expected, got) = (outcomes.join("\n"), got.join("\n"));
        differences.push(Difference { what, expected, got });
    }
    let Some(wanted) = &expected.results else { return differences };
    for index in 0..wanted.len().max(results.len()) {
        let what = format!("result {}", index + 1);
        match (wanted.get(index), results.get(index)) {
            (Some(wanted), Some(result)) => differences.extend(of_result(&what, wanted, result)),
            (wanted, result) => differences.push(Difference {
                what,
                expected: wanted.map(shown_expectation).unwrap_or_default(),
                got: result.map(shown_result).unwrap_or_default(),
            }),
        }
    }
    differences
}

/// Differences between one result and what it must be.
pub(super) fn of_result(what: &str, wanted: &Expectation, result: &Produced) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut differ = |part: &str, expected: String, got: String| {
        differences.push(Difference { what: format!("{what}, {part}"), expected, got });
    };
    let value = result.value.as_deref();
    match &wanted.value {
        Some(Payload::Json(json)) => {
            let parsed = value.and_then(|it| Json::parse(it).ok());
            if parsed.as_ref() != Some(json) {
                let got = parsed.map_or_else(|| shown_part(value), |it| it.to_lines());
                differ("value", json.to_lines(), got);
            }
        }
        Some(Payload::Bytes(bytes)) if value != Some(bytes) => {
            differ("value", shown(bytes), shown_part(value));
        }
        Some(Payload::Tombstone) if value.is_some() => {
            differ("value", shown_part(None), shown_part(value));
        }
        _ => {}
    }
    if let Some(key) = wanted.key.as_ref().filter(|key| **key != result.key) {
        differ("key", shown_part(key.as_deref()), shown_part(result.key.as_deref()));
    }
    if let Some(headers) = wanted.headers.as_ref().filter(|it| **it != result.headers) {
        differ("headers", shown_headers(headers), shown_headers(&result.headers));
    }
    if let Some(topic) = wanted.topic.as_ref().filter(|it| **it != result.topic) {
        differ("topic", topic.clone(), result.topic.clone());
    }
    if wanted.timestamp_ms.is_some_and(|it| Some(it) != result.timestamp_ms) {
        let [expected, got] = [wanted.timestamp_ms, result.timestamp_ms].map(shown_time);
        differ("timestamp", expected, got);
    }
    differences
}

fn shown_expectation(wanted: &Expectation) -> String {
    match &wanted.value {
        Some(Payload::Json(json)) => json.to_lines(),
        Some(Payload::Bytes(bytes)) => shown(bytes),
        Some(Payload::Tombstone) => shown_part(None),
        None => "(a result)".to_owned(),
    }
}

fn shown_result(result: &Produced) -> String {
    shown_part(result.value.as_deref())
}

fn shown_part(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "(none)".to_owned(), shown)
}

/// RFC 3339, where a calendar has that time.
pub(super) fn shown_time(millis: Option<i64>) -> String {
    let Some(millis) = millis else { return shown_part(None) };
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(time) => time.to_string(),
        Err(_) => millis.to_string(),
    }
}

/// Text as it is, unless it is none.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("(base64) {}", STANDARD.encode(bytes)),
    }
}

/// A header a line.
fn shown_headers(headers: &[Header]) -> String {
    let line = |(name, value): &Header| match value {
        Some(value) => format!("{}: {}", shown(name), shown(value)),
        None => shown(name),
    };
    headers.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::trial::Outcome;

    fn produced(value: &[u8]) -> Produced {
        let header = (b"a".to_vec(), Some(b"1".to_vec()));
        let (key, value) = (Some(b"k".to_vec()), Some(value.to_vec()));
        let (topic, headers, timestamp_ms) = ("out".to_owned(), vec![header], Some(1_000));
        Produced { topic, key, value, headers, timestamp_ms }
    }

    fn of_text(text: &str) -> Expectation {
        Expectation { value: Some(Payload::Bytes(text.into())), ..Expectation::default() }
    }

    fn what(differences: &[Difference]) -> Vec<&str> {
        differences.iter().map(|it| it.what.as_str()).collect()
    }

    #[test]
    fn each_part_that_was_said_is_compared_and_no_other() {
        let result = produced(br#"{"a": 1}"#);
        let json = |text: &str| Some(Payload::Json(Json::parse(text.as_bytes()).unwrap()));
        let same = Expectation {
            value: json(r#"{"a":1.0}"#),
            key: Some(Some(b"k".to_vec())),
            headers: Some(result.headers.clone()),
            topic: Some("out".to_owned()),
            timestamp_ms: Some(1_000),
        };
        assert_eq!(of_result("r", &same, &result), []);
        assert_eq!(of_result("r", &Expectation::default(), &result), []);
        let other = Expectation {
            value: json(r#"{"a":2}"#),
            key: Some(None),
            headers: Some(Vec::new()),
            topic: Some("elsewhere".to_owned()),
            timestamp_ms: Some(2_000),
        };
        let found = of_result("r", &other, &result);
        let parts = ["r, value", "r, key", "r, headers", "r, topic", "r, timestamp"];
        assert_eq!(what(&found), parts);
        assert_eq!(found[4].got, "1970-01-01T00:00:01Z");
        assert_eq!(found[0].got, "{\n  \"a\": 1\n}");
        assert_eq!((found[1].expected.as_str(), found[1].got.as_str()), ("(none)", "k"));
        assert_eq!((found[2].expected.as_str(), found[2].got.as_str()), ("", "a: 1"));
        assert_eq!(what(&of_result("r", &of_text(r#"{"a":1}"#), &result)), ["r, value"]);
        let tombstone = Expectation { value: Some(Payload::Tombstone), ..Expectation::default() };
        assert_eq!(of_result("r", &tombstone, &result)[0].expected, "(none)");
        assert_eq!(of_result("r", &of_text("x"), &produced(b"\xff"))[0].got, "(base64) /w==");
    }

    #[test]
    fn results_that_are_missing_or_too_many_are_told() {
        let fate = |class| Fate {
            outcome: Outcome::Skipped,
            class: Some(class),
            step: None,
            reason: None,
            results: Vec::new(),
        };
        let results = Some(vec![of_text("x"), of_text("y")]);
        let expected = Expected { outcomes: Some(vec!["emitted".to_owned()]), results };
        let found = compare(&expected, &[fate("late")], &[produced(b"x")]);
        assert_eq!(what(&found), ["outcome", "result 2"]);
        assert_eq!(found[0].got, "skipped:late");
        assert_eq!((found[1].expected.as_str(), found[1].got.as_str()), ("y", ""));
        let none = Expected { outcomes: None, results: Some(Vec::new()) };
        let found = compare(&none, &[fate("late")], &[produced(b"x")]);
        assert_eq!((what(&found), found[0].got.as_str()), (vec!["result 1"], "x"));
    }
}
