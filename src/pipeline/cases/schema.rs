//! The JSON Schema of a case file, for editors.

use serde_json::{Value, json};

use crate::verdict::{RejectClass, SkipClass};

const DURATION: &str = r"^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h|d))+$";

/// The schema.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Hotspur's pipeline cases",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "configuration": {
                "type": "string",
                "description": "The configuration whose pipeline is tested, relative to this file. \
                    Without it that of -c, else NAME.toml beside NAME.cases.toml, else the one \
                    that `run` would take.",
            },
            "now": now(),
            "tables": tables("Entries of tables, for every case."),
            "cases": { "type": "array", "items": case() },
        },
    })
}

fn case() -> Value {
    let classes = |names: Vec<&str>, what: &str| json!({ "enum": names, "description": what });
    let record = json!({ "anyOf": [{ "type": "string" }, record()] });
    let result = json!({ "anyOf": [{ "type": "string" }, result()] });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["input"],
        "properties": {
            "name": { "type": "string", "description": "What is shown of it." },
            "input": {
                "description": "A record, or a list of them; text is a record's value.",
                "anyOf": [record, { "type": "array", "minItems": 1, "items": record }],
            },
            "output": {
                "description": "All that comes out, in order; text is compared byte for byte.",
                "anyOf": [result, { "type": "array", "items": result }],
            },
            "rejected": classes(
                RejectClass::ALL.iter().map(|class| class.name()).collect(),
                "The class of a single record that is dead-lettered.",
            ),
            "skipped": classes(
                SkipClass::ALL.iter().map(|class| class.name()).collect(),
                "The class of a single record that is skipped.",
            ),
            "held": { "const": true, "description": "A single record that lives on in state." },
            "outcomes": {
                "type": "array",
                "description": "An outcome a record: emitted, skipped:CLASS, rejected:CLASS, held.",
                "items": {
                    "type": "string",
                    "pattern": "^(emitted|held|skipped:[a-z_]+|rejected:[a-z_]+)$",
                },
            },
            "tables": tables("Entries of tables, each in the place of the file's."),
            "now": now(),
            "then_after": duration("Passes behind the last record, so that windows close."),
        },
    })
}

fn record() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "value": { "type": "string", "description": "Its value." },
            "value_base64": { "type": "string", "description": "The same, in base64." },
            "tombstone": { "const": true, "description": "It has no value." },
            "key": { "type": "string", "description": "Its key; without one it has none." },
            "key_base64": { "type": "string", "description": "The same, in base64." },
            "headers": headers(),
            "timestamp": {
                "type": ["string", "integer"],
                "description": "RFC 3339 or milliseconds; else the case's time.",
            },
            "after": duration("Passes before this record."),
            "topic": { "type": "string", "description": "Else the first of the source." },
            "partition": { "type": "integer", "minimum": 0, "description": "Else 0." },
            "offset": { "type": "integer", "minimum": 0, "description": "Else counted from 0." },
        },
    })
}

fn result() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "minProperties": 1,
        "properties": {
            "value": { "type": "string", "description": "The value, byte for byte." },
            "value_base64": { "type": "string", "description": "The same, in base64." },
            "json": { "type": "string", "description": "The value, compared as JSON." },
            "tombstone": { "const": true, "description": "It has no value." },
            "key": { "type": "string", "description": "The key." },
            "key_base64": { "type": "string", "description": "The same, in base64." },
            "no_key": { "const": true, "description": "It has no key." },
            "headers": headers(),
            "topic": { "type": "string", "description": "Where it goes." },
            "timestamp": {
                "type": ["string", "integer"],
                "description": "Its time: RFC 3339 or milliseconds.",
            },
        },
    })
}

fn headers() -> Value {
    let pair = json!({ "type": "array", "minItems": 1, "maxItems": 2,
        "items": { "type": "string" } });
    json!({
        "description": "Names and values; as pairs a name may stand twice, or without a value.",
        "anyOf": [
            { "type": "object", "additionalProperties": { "type": "string" } },
            { "type": "array", "items": pair },
        ],
    })
}

fn tables(what: &str) -> Value {
    json!({
        "type": "object",
        "description": format!("{what} A text is text, anything else JSON; {{ json = '…' }} is \
            JSON as it is spelled there."),
        "additionalProperties": { "type": "object" },
    })
}

fn now() -> Value {
    json!({
        "type": ["string", "integer"],
        "description": "When a case's time begins, RFC 3339 or milliseconds since the epoch.",
        "default": "2026-01-01T00:00:00Z",
    })
}

fn duration(what: &str) -> Value {
    json!({ "type": "string", "pattern": DURATION, "description": what })
}
