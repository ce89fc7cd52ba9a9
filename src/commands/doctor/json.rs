//! What was found, for programs; and the schema of that.

use serde_json::{Value, json};

use super::Visit;
use crate::host::checks::{Check, Finding, Outcome};

/// All of it.
pub(super) fn object(visit: &Visit) -> Value {
    let checks: Vec<Value> = visit.findings.iter().map(|(it, found)| check(it, found)).collect();
    json!({
        "v": 1,
        "profile": visit.tuning.profile,
        "core": visit.wish.core,
        "why": visit.wish.why,
        "pid": visit.wish.pid,
        "checks": checks,
        "fit": visit.count(Outcome::Fit),
        "unfit": visit.count(Outcome::Unfit),
        "unknown": visit.count(Outcome::Unknown),
    })
}

fn check(check: &Check, finding: &Finding) -> Value {
    json!({
        "name": check.name,
        "outcome": finding.outcome.name(),
        "found": finding.found,
        "cost": check.cost,
        "mend": finding.mend.as_ref().map(|it| &it.how),
        "lasts": finding.mend.as_ref().map(|it| &it.lasts),
    })
}

/// Of `doctor --json`.
pub fn schema() -> Value {
    let text = |what: &str| json!({ "type": "string", "description": what });
    let count = |what: &str| json!({ "type": "integer", "minimum": 0, "description": what });
    let or_null = |schema: Value| json!({ "anyOf": [schema, { "type": "null" }] });
    let outcomes: Vec<Value> = [Outcome::Fit, Outcome::Unfit, Outcome::Unknown]
        .iter()
        .map(|it| json!({ "const": it.name() }))
        .collect();
    let check = json!({
        "name": text("which check"),
        "outcome": { "anyOf": outcomes },
        "found": text("the values and where they were read, or why it cannot be told"),
        "cost": text("what a fault costs in latency"),
        "mend": or_null(text("the command, kernel parameter or setting; of what is unfit")),
        "lasts": or_null(text("whether that outlasts a reboot: begins with yes or no")),
    });
    let required = |of: &Value| -> Vec<String> {
        of.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let checks = json!({ "type": "object", "required": required(&check), "properties": check });
    let all = json!({
        "v": { "const": 1 },
        "profile": text("the profile in force"),
        "core": or_null(count("the core that is judged")),
        "why": text("why that core, or none"),
        "pid": or_null(count("the process that was asked about")),
        "checks": { "type": "array", "items": checks },
        "fit": count("checks that found nothing to do"),
        "unfit": count("checks that found a fault"),
        "unknown": count("checks that could not tell"),
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What `hotspur doctor --json` prints",
        "type": "object",
        "required": required(&all),
        "properties": all,
    })
}
