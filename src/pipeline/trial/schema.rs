//! JSON Schema of a line that `try` prints, for programs that read it.

use serde_json::{Value, json};

use super::{Outcome, explanation};
use crate::verdict::{RejectClass, SkipClass};

/// Of one line.
pub fn schema() -> Value {
    let skipped = SkipClass::ALL.iter().map(|class| class.name());
    let classes: Vec<_> = skipped.chain(RejectClass::ALL.iter().map(|it| it.name())).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of hotspur try",
        "type": "object",
        "additionalProperties": false,
        "required": ["v", "line", "outcome"],
        "properties": {
            "v": { "const": 1, "description": "The version of these lines." },
            "line": { "type": "integer", "minimum": 1, "description": "The line that was read." },
            "outcome": {
                "enum": Outcome::ALL.map(Outcome::name),
                "description": "What became of the record.",
            },
            "class": {
                "enum": classes,
                "description": "Of what kind that is, if it was skipped or rejected.",
            },
            "step": text("Who decided that: a step's name, else its number, or parse or encode."),
            "reason": text("Why it was rejected, in words."),
            "results": {
                "type": "array",
                "items": result(),
                "description": "What it became, in order; always there if it was emitted.",
            },
            "steps": {
                "type": "array",
                "items": step(),
                "description": "What each step saw and did; with --explain.",
            },
            "window_results": {
                "type": "array",
                "items": window_result(&classes),
                "description": "What windows gave off behind the record, in order.",
            },
        },
    })
}

fn window_result(classes: &[&str]) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["window", "outcome", "results"],
        "properties": {
            "window": text("The window's step: its name, else its number from 1."),
            "outcome": {
                "enum": Outcome::ALL.map(Outcome::name),
                "description": "What became of it in the steps behind that.",
            },
            "class": {
                "enum": classes,
                "description": "Of what kind that is, if it was skipped or rejected.",
            },
            "step": text("Who decided that: a step's name, else its number, or encode."),
            "reason": text("Why it was rejected, in words."),
            "results": {
                "type": "array",
                "items": result(),
                "description": "What it became, in order.",
            },
            "steps": {
                "type": "array",
                "items": step(),
                "description": "What each step behind the window saw and did; with --explain.",
            },
        },
    })
}

fn result() -> Value {
    let bytes = |what: &str| json!({ "type": ["string", "null"], "description": what });
    let encoded = |name: &str| text(&format!("{name}, where it is no UTF-8, in base64."));
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["topic", "headers"],
        "properties": {
            "topic": text("Where it goes."),
            "key": bytes("The key; null: it has none."),
            "key_base64": encoded("The key"),
            "value": bytes("The value; null: it has none, a tombstone."),
            "value_base64": encoded("The value"),
            "headers": {
                "type": "array",
                "description": "Names and values, in order; a name may stand twice.",
                "items": {
                    "type": "array",
                    "minItems": 2,
                    "maxItems": 2,
                    "prefixItems": [
                        { "type": "string" },
                        { "anyOf": [bytes_or_base64(), { "type": "null" }] },
                    ],
                },
            },
        },
    })
}

fn step() -> Value {
    let lookup = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["table", "key", "found"],
        "properties": {
            "table": text("Which table."),
            "key": bytes_or_base64(),
            "found": { "enum": explanation::FOUND, "description": "Its answer." },
        },
    });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["step", "operator", "did"],
        "properties": {
            "step": text("Its name, else its number from 1."),
            "operator": text("What it does, as the configuration calls it."),
            "did": {
                "enum": explanation::DID,
                "description": "How it ended; an outcome, if the record ended here.",
            },
            "read": named(bytes_or_base64(), "Values of expressions, as text."),
            "lookups": { "type": "array", "items": lookup, "description": "Keys it looked up." },
            "decided": {
                "type": "array",
                "items": { "type": "string" },
                "description": "Which way it chose, in words.",
            },
            "wrote": named(json!(true), "Values by path."),
        },
    })
}

/// Values by names that are not known before.
fn named(values: Value, what: &str) -> Value {
    json!({ "type": "object", "additionalProperties": values, "description": what })
}

/// As bytes stand where no name can say how they are spelled.
fn bytes_or_base64() -> Value {
    json!({
        "anyOf": [
            { "type": "string" },
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["base64"],
                "properties": { "base64": text("Bytes that are no UTF-8.") },
            },
        ],
    })
}

fn text(what: &str) -> Value {
    json!({ "type": "string", "description": what })
}
