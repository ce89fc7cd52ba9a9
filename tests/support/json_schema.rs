//! Whether a value is what a JSON Schema says, for the few words that ours use; others are refused.

use serde_json::Value;

/// Words that say nothing about a value.
/// What a pattern says is not looked at.
const SILENT: [&str; 7] =
    ["description", "title", "$schema", "default", "examples", "additionalProperties", "pattern"];

/// Expects the value to fit.
#[track_caller]
pub(crate) fn assert_valid(value: &Value, schema: &Value) {
    if let Some(problem) = problem(value, schema, "$") {
        panic!("{problem}\nin {value:#}");
    }
}

/// The first thing that does not fit, and where.
pub(crate) fn problem(value: &Value, schema: &Value, place: &str) -> Option<String> {
    let words = schema.as_object().expect("a schema is an object");
    words
        .iter()
        .find_map(|(word, wanted)| {
            let fits = match word.as_str() {
                "type" => match wanted.as_array() {
                    Some(types) => types.iter().any(|it| is_a(value, it.as_str().expect("a type"))),
                    None => is_a(value, wanted.as_str().expect("one type")),
                },
                "const" => value == wanted,
                "enum" => wanted.as_array().expect("choices").contains(value),
                "minItems" => value.as_array().map(|it| it.len() as u64) >= wanted.as_u64(),
                "maxItems" => {
                    value.as_array().is_none_or(|it| Some(it.len() as u64) <= wanted.as_u64())
                }
                "minProperties" => value.as_object().map(|it| it.len() as u64) >= wanted.as_u64(),
                "minimum" => value.as_f64() >= wanted.as_f64(),
                "anyOf" => {
                    let choices = wanted.as_array().expect("choices");
                    choices.iter().any(|choice| problem(value, choice, place).is_none())
                }
                "required" => {
                    let names = wanted.as_array().expect("names");
                    names.iter().all(|it| value.get(it.as_str().expect("a name")).is_some())
                }
                "items" => {
                    let items = value.as_array().into_iter().flatten().enumerate();
                    return items.into_iter().find_map(|(index, item)| {
                        problem(item, wanted, &format!("{place}[{index}]"))
                    });
                }
                "prefixItems" => {
                    let schemas = wanted.as_array().expect("a schema for each place");
                    let items = value.as_array().into_iter().flatten().zip(schemas).enumerate();
                    return items.into_iter().find_map(|(index, (item, schema))| {
                        problem(item, schema, &format!("{place}[{index}]"))
                    });
                }
                "properties" => return properties(value, schema, place),
                word => {
                    assert!(SILENT.contains(&word), "what does {word} mean?");
                    true
                }
            };
            (!fits).then(|| format!("{place} is not as `{word}` says: {wanted}"))
        })
        .or_else(|| {
            words.contains_key("additionalProperties").then(|| others(value, schema, place))?
        })
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => panic!("there is no type {name}"),
    }
}

fn properties(value: &Value, schema: &Value, place: &str) -> Option<String> {
    let known = schema["properties"].as_object().expect("properties");
    known.iter().find_map(|(name, inner)| {
        value.get(name).and_then(|it| problem(it, inner, &format!("{place}.{name}")))
    })
}

/// What has no property of its own.
fn others(value: &Value, schema: &Value, place: &str) -> Option<String> {
    let rule = &schema["additionalProperties"];
    value.as_object()?.iter().find_map(|(name, inner)| {
        let is_known = schema["properties"].get(name).is_some();
        match rule {
            _ if is_known => None,
            Value::Bool(false) => Some(format!("{place}.{name} is not in the schema")),
            Value::Bool(true) => None,
            rule => problem(inner, rule, &format!("{place}.{name}")),
        }
    })
}
