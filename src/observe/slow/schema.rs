//! JSON Schema of a line about a slow record.

use serde_json::{Map, Value, json};

use super::cause::Cause;
use crate::measure::{Regime, Stage};

/// Stages of a record's way through this process.
const STAGES: [Stage; 8] = [
    Stage::Queue,
    Stage::Batch,
    Stage::Held,
    Stage::Parse,
    Stage::Operate,
    Stage::Encode,
    Stage::Send,
    Stage::Ack,
];

/// Of a line of `<stem>.slow.jsonl`.
pub fn schema() -> Value {
    let record = json!({
        "ts": text("when its result was acknowledged, RFC 3339"),
        "transit_ns": number("from arrival to hand-over"),
        "source_ns": integer("from its origin to its arrival; negative: that clock is ahead"),
        "end_to_end_ns": integer("from its origin to the acknowledgement; with source_ns"),
        "stages": object(STAGES.map(|it| (it.name(), number("how long it took"))).into(), true),
        "slowest_stage": text("the stage that took most"),
        "topic": text("where it came from"),
        "partition": integer("the partition's number"),
        "offset": integer("its offset"),
        "key": text("as observe.keys says: not there with off, or without a key"),
        "cause": text(&format!("one of {}", Cause::ALL.map(Cause::name).join(", "))),
        "verdict": text("the cause in words, with its figure"),
        "regimes": object(
            Regime::ALL.map(|it| (it.name(), json!({ "type": "number", "minimum": 0 }))).into(),
            false,
        ),
        "stall": stall(),
        "lately": taken(),
        "table_age_ns": { "anyOf": [number("the oldest table's answers"), { "type": "null" }] },
        "in_flight": number("results handed over and not acknowledged"),
        "committing": { "type": "boolean", "description": "a commit was under way" },
        "rebalancing": { "type": "boolean", "description": "the group was changing" },
    });
    let optional = ["source_ns", "end_to_end_ns", "key", "stall"];
    let names = record.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let required: Vec<&str> = names.filter(|name| !optional.contains(name)).collect();
    let left_out = number("records past latency.slow for which an interval had no room");
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of slow records",
        "anyOf": [
            { "type": "object", "properties": record, "required": required },
            {
                "type": "object",
                "properties": { "left_out": left_out },
                "required": ["left_out"],
            },
        ],
    })
}

fn stall() -> Value {
    let mut stall = taken();
    let more = [
        ("from", text("when it began, RFC 3339")),
        ("took_ns", number("how long the hot thread stood still")),
        ("doing", text("chores, serving, taking, processing or sending")),
        ("cause", text("as of the record")),
    ];
    for (name, schema) in more {
        stall["properties"][name] = schema;
        if let Some(required) = stall["required"].as_array_mut() {
            required.push(name.into());
        }
    }
    stall
}

fn taken() -> Value {
    let fields = [
        ("within_ns", number("the stretch of time that the rest is about")),
        ("cpu_ns", number("time on a core")),
        ("waited_ns", number("time that it was ready and had no core")),
        ("involuntary_switches", number("the core was taken away")),
        ("voluntary_switches", number("it gave the core up, or was stopped")),
        ("minor_faults", number("pages given without reading a disk")),
        ("major_faults", number("pages that had to be read")),
        ("migrated", json!({ "type": "boolean", "description": "it changed its core" })),
    ];
    object(fields.into(), true)
}

fn object(fields: Vec<(&str, Value)>, is_whole: bool) -> Value {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let fields: Map<_, _> =
        fields.iter().map(|(name, it)| ((*name).to_owned(), it.clone())).collect();
    let required = if is_whole { names } else { Vec::new() };
    json!({ "type": "object", "properties": fields, "required": required })
}

fn text(what: &str) -> Value {
    json!({ "type": "string", "description": what })
}

fn integer(what: &str) -> Value {
    json!({ "type": "integer", "description": what })
}

fn number(what: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": what })
}
