//! What a case says must come out, and what it cannot say.

use super::{
    Expectation, Expected, Payload,
    fields::{Children, Fields, child},
    json::Json,
};
use crate::{
    config::{
        hints,
        tree::{Node, Value, join_key},
    },
    pipeline::trial::Outcome,
    verdict::{RejectClass, SkipClass},
};

/// Keys that say an outcome; of these a case has one at most.
pub(super) const OUTCOME_KEYS: [&str; 4] = ["rejected", "skipped", "held", "outcomes"];

const RESULT_KEYS: [&str; 10] = [
    "value",
    "value_base64",
    "json",
    "tombstone",
    "key",
    "key_base64",
    "no_key",
    "headers",
    "topic",
    "timestamp",
];

/// Reads it, for a case with that many inputs.
pub(super) fn read(
    fields: &mut Fields<'_>,
    case: Children<'_>,
    key: &str,
    inputs: usize,
) -> Expected {
    let results = child(case, "output").and_then(|node| results(fields, node, key));
    let mut said = OUTCOME_KEYS.into_iter().filter_map(|name| Some((name, child(case, name)?)));
    let Some((name, node)) = said.next() else { return Expected { outcomes: None, results } };
    let at = join_key(key, name);
    if let Some((other, node)) = said.next() {
        let message = format!("`{name}` says the outcome as well: one of them");
        fields.wrong(node, &join_key(key, other), message, None);
    }
    if name == "outcomes" {
        let outcomes = outcomes(fields, node, &at, inputs);
        return Expected { outcomes, results };
    }
    if inputs > 1 {
        let message = format!("`{name}` is of a single record, and there are {inputs}");
        let hint = "write outcomes = [\"emitted\", \"skipped:duplicate\", …]".to_owned();
        fields.wrong(node, &at, message, Some(hint));
    }
    let ends = results.as_ref().is_some_and(|it| !it.is_empty()) && name != "held";
    if let (true, Some(output)) = (ends, child(case, "output")) {
        let message = format!("nothing comes out of a record that is {name}");
        fields.wrong(output, &join_key(key, "output"), message, Some("take one out".to_owned()));
    }
    let outcome = match name {
        "held" => fields.flag(case, key, "held").then(|| name.to_owned()),
        _ => fields.text(node, &at).and_then(|class| {
            let word = format!("{name}:{class}");
            check_outcome(fields, node, &at, &word).then_some(word)
        }),
    };
    Expected { outcomes: outcome.map(|outcome| vec![outcome]), results }
}

fn outcomes(fields: &mut Fields<'_>, node: &Node, key: &str, inputs: usize) -> Option<Vec<String>> {
    let Value::List(nodes) = &node.value else {
        let hint = "write [\"emitted\", \"skipped:duplicate\", …]".to_owned();
        fields.wrong(node, key, format!("must be a list, not {}", node.value.kind()), Some(hint));
        return None;
    };
    if nodes.len() != inputs {
        let message = format!("holds {}, and there are {inputs} records", nodes.len());
        fields.wrong(node, key, message, Some("an outcome a record".to_owned()));
    }
    let outcome = |(index, node): (usize, &Node)| {
        let key = format!("{key}[{index}]");
        let word = fields.text(node, &key)?;
        check_outcome(fields, node, &key, word).then(|| word.to_owned())
    };
    nodes.iter().enumerate().map(outcome).collect()
}

/// Whether there is such an outcome, with such a class.
fn check_outcome(fields: &mut Fields<'_>, node: &Node, key: &str, word: &str) -> bool {
    let (outcome, class) = match word.split_once(':') {
        Some((outcome, class)) => (outcome, Some(class)),
        None => (word, None),
    };
    let classes: Option<Vec<&str>> = match outcome.parse() {
        Ok(Outcome::Skipped) => Some(SkipClass::ALL.iter().map(|class| class.name()).collect()),
        Ok(Outcome::Rejected) => Some(RejectClass::ALL.iter().map(|class| class.name()).collect()),
        Ok(Outcome::Emitted | Outcome::Held) => None,
        Err(sentence) => {
            let hint = hints::did_you_mean(outcome, Outcome::ALL.map(Outcome::name));
            fields.wrong(node, key, sentence, hint);
            return false;
        }
    };
    let (message, hint) = match (classes, class) {
        (None, None) => return true,
        (Some(classes), Some(class)) if classes.contains(&class) => return true,
        (None, Some(_)) => (format!("{outcome} has no class"), Some(format!("write {outcome:?}"))),
        (Some(classes), class) => {
            let known = format!("there are {}", classes.join(", "));
            let message = match class {
                Some(class) => format!("{class:?} is no class of what is {outcome}"),
                None => format!("{outcome:?} needs a class"),
            };
            let near = hints::did_you_mean(class.unwrap_or_default(), classes);
            (message, near.or(Some(known)))
        }
    };
    fields.wrong(node, key, message, hint);
    false
}

fn results(fields: &mut Fields<'_>, node: &Node, key: &str) -> Option<Vec<Expectation>> {
    let key = join_key(key, "output");
    match &node.value {
        Value::List(nodes) => {
            let nodes = nodes.iter().enumerate();
            nodes.map(|(at, node)| result(fields, node, &format!("{key}[{at}]"))).collect()
        }
        _ => Some(vec![result(fields, node, &key)?]),
    }
}

fn result(fields: &mut Fields<'_>, node: &Node, key: &str) -> Option<Expectation> {
    if let Some(text) = node.text() {
        let value = Some(Payload::Bytes(text.as_bytes().to_vec()));
        return Some(Expectation { value, ..Expectation::default() });
    }
    let children = fields.table(node, key, &RESULT_KEYS, "a result")?;
    if children.is_empty() {
        fields.wrong(node, key, "says nothing of the result".to_owned(), None);
    }
    let bytes = fields.bytes(children, key, ("value", "value_base64")).map(Payload::Bytes);
    let json = child(children, "json").and_then(|node| json(fields, node, &join_key(key, "json")));
    let tombstone = fields.flag(children, key, "tombstone").then_some(Payload::Tombstone);
    let mut payloads = [bytes, json.map(Payload::Json), tombstone].into_iter().flatten();
    let value = payloads.next();
    let own_key = fields.bytes(children, key, ("key", "key_base64"));
    let no_key = fields.flag(children, key, "no_key");
    if payloads.next().is_some() || (own_key.is_some() && no_key) {
        let hint = "one of value, json and tombstone; one of key and no_key".to_owned();
        fields.wrong(node, key, "says two things of one".to_owned(), Some(hint));
    }
    let topic = child(children, "topic")
        .and_then(|node| fields.text(node, &join_key(key, "topic")))
        .map(str::to_owned);
    let key_said = if no_key { Some(None) } else { own_key.map(Some) };
    let headers = fields.headers(children, key);
    let timestamp_ms = fields.time(children, key, "timestamp");
    Some(Expectation { value, key: key_said, headers, topic, timestamp_ms })
}

fn json(fields: &mut Fields<'_>, node: &Node, key: &str) -> Option<Json> {
    match Json::parse(fields.text(node, key)?.as_bytes()) {
        Ok(json) => Some(json),
        Err(error) => {
            fields.wrong(node, key, format!("is no JSON: {error}"), None);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::CaseFile;
    use crate::config::document::Document;

    #[test]
    fn what_a_case_cannot_say_is_told_with_the_way_out() {
        for (lines, place, sentence) in [
            ("input = ''\nrejected = 'not_josn'", ":3:12:", "did you mean \"not_json\"?"),
            ("input = ''\nskipped = 'not_json'", ":3:11:", "is no class of what is skipped"),
            ("input = ''\nskipped = 'not_json'", "", "there are filtered, table_miss"),
            ("input = ''\nheld = false", ":3:8:", "can only be true"),
            ("input = ''\nrejected = 'not_json'\noutput = 'x'", ":4:10:", "nothing comes out"),
            ("input = ''\nrejected = 'schema'\nskipped = 'late'", ":4:11:", "`rejected` says"),
            ("input = ['', '']\nrejected = 'schema'", ":3:12:", "is of a single record"),
            ("input = ['', '']\noutcomes = ['emitted']", ":3:12:", "there are 2 records"),
            ("input = ''\noutcomes = 'emitted'", ":3:12:", "must be a list"),
            ("input = ''\noutcomes = ['emited']", ":3:13:", "did you mean \"emitted\"?"),
            ("input = ''\noutcomes = ['skipped']", ":3:13:", "\"skipped\" needs a class"),
            ("input = ''\noutcomes = ['held:x']", ":3:13:", "held has no class"),
            ("input = ''\noutput = { jsn = '1' }", ":3:12:", "did you mean \"json\"?"),
            ("input = ''\noutput = { json = '{' }", ":3:19:", "is no JSON"),
            ("input = ''\noutput = {}", ":3:10:", "says nothing of the result"),
            ("input = ''\noutput = { json = '1', value = '1' }", ":3:10:", "two things of one"),
            ("input = ''\noutput = { key = 'k', no_key = true }", ":3:10:", "two things of one"),
            ("input = ''\noutput = 7", ":3:10:", "a result is written as a table"),
        ] {
            let text = format!("[[cases]]\n{lines}\n");
            let document = Document::of_text("x.cases.toml", text).unwrap();
            let report = CaseFile::of(document, false).unwrap_err().to_string();
            let found = report.contains(&format!("x.cases.toml{place}"));
            assert!(found && report.contains(sentence), "{lines}: {report}");
        }
    }

    #[test]
    fn results_may_follow_from_state_that_holds_a_record() {
        let text = "[[cases]]\ninput = ''\nheld = true\nthen_after = '1m'\noutput = 'x'\n";
        let document = Document::of_text("x.cases.toml", text.to_owned()).unwrap();
        let file = CaseFile::of(document, false).unwrap();
        let expected = &file.cases[0].expected;
        assert_eq!(expected.outcomes.as_deref(), Some(&["held".to_owned()][..]));
        assert_eq!(expected.results.as_ref().map(Vec::len), Some(1));
    }
}
