//! The JSON Schema of the configuration file, made from the table of keys that the loader uses and
//! the sentences of the default file, so that it cannot disagree with either.
//!
//! Where a value is not text, text with `${…}` fits as well. That at least one source and one sink
//! are there is not said here: layers outside the file may bring them.

use serde_json::{Map, Value, json};

use super::{
    docs::{self, Doc},
    keys::{self, KEYS, Key, Kind},
    librdkafka::{PROPERTIES, Property, Scope, Takes},
    operators::{OwnOperator, OwnOperators, OwnValue},
    settings::JsonType,
};

const NAME: &str = "^[A-Za-z0-9._-]+$";
const DURATION: &str = r"^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h|d))+$";
const LISTEN: &str = r"^(off|.+:[0-9]+)$";
const REQUIREMENT: &str =
    r"^\s*([a-z_]+\.(p[0-9.]+|mean|max)\s*<=?.+|(loss|duplicates|reordered)\s*=\s*0|rate\s*>=.+)$";
const SIZE: &str = "^[0-9]+ ?(B|KiB|MiB|GiB)$";
const SUBSTITUTED: &str = r"\$\{";

/// The schema.
pub fn config() -> Value {
    config_with(&OwnOperators::default())
}

/// The schema where these operators are known, too.
pub fn config_with(operators: &OwnOperators) -> Value {
    let docs = docs::docs();
    let mut root = object();
    for key in KEYS {
        let doc = docs.iter().find(|doc| doc.pattern == key.pattern);
        let names: Vec<&str> = key.pattern.split('.').collect();
        insert(&mut root, &names, leaf(key, doc));
    }
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = "Hotspur's configuration".into();
    let built_in = keys::names_under(keys::STEPS).into_iter();
    let built_in = built_in.filter(|name| !matches!(*name, "name" | "when"));
    root["properties"]["steps"]["items"]["oneOf"] =
        built_in.chain(operators.names()).map(|name| json!({ "required": [name] })).collect();
    let breaker = &mut root["properties"]["delivery"]["properties"]["breaker"];
    breaker["type"] = json!(["object", "boolean"]);
    breaker["not"] = json!({ "const": true });
    let step = &mut root["properties"]["steps"]["items"]["properties"];
    for operator in operators.iter() {
        step[operator.name] = own(operator);
    }
    step["lookup"]["required"] = json!(["table", "key", "into"]);
    step["hash"]["required"] = json!(["algorithm", "of", "into"]);
    step["each"]["required"] = json!(["of", "into"]);
    step["sample"]["required"] = json!(["share"]);
    step["dedup"]["required"] = json!(["key", "within"]);
    step["window"]["required"] = json!(["kind", "aggregate"]);
    step["route"]["oneOf"] = json!([
        { "required": ["to"], "not": { "anyOf": [
            { "required": ["topic"] }, { "required": ["among"] }, { "required": ["prefix"] },
        ] } },
        { "required": ["topic", "among"], "not": { "anyOf": [
            { "required": ["prefix"] }, { "required": ["otherwise"] },
        ] } },
        { "required": ["topic", "prefix"], "not": { "anyOf": [
            { "required": ["among"] }, { "required": ["otherwise"] },
        ] } },
    ]);
    step["route"]["properties"]["to"]["minItems"] = 1.into();
    step["route"]["properties"]["to"]["items"]["required"] = json!(["when", "topic"]);
    root
}

/// What a step says to an operator that the program brought along.
fn own(operator: &OwnOperator) -> Value {
    let mut own = object();
    own["description"] = "An operator of this program's own.".into();
    own["required"] =
        operator.keys.iter().filter(|key| key.default.is_none()).map(|key| key.name).collect();
    for key in &operator.keys {
        let mut schema = kind(key.kind());
        match &key.default {
            Some(OwnValue::Text(text)) => schema["default"] = text.as_str().into(),
            Some(OwnValue::Number(number)) => schema["default"] = (*number).into(),
            Some(OwnValue::Flag(flag)) => schema["default"] = (*flag).into(),
            Some(OwnValue::Absent) | None => {}
        }
        own["properties"][key.name] = schema;
    }
    own
}

fn object() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": {} })
}

/// Puts a key's schema where its names lead, making the objects on the way.
fn insert(node: &mut Value, names: &[&str], leaf: Value) {
    let Some((name, rest)) = names.split_first() else { return };
    if *name == "*" {
        if !node["additionalProperties"].is_object() {
            node["additionalProperties"] = object();
        }
        return insert(&mut node["additionalProperties"], rest, leaf);
    }
    let (name, is_list) = match name.strip_suffix("[]") {
        Some(name) => (name, true),
        None => (*name, false),
    };
    let slot = &mut node["properties"][name];
    if rest.is_empty() {
        *slot = leaf;
        return;
    }
    if slot.is_null() {
        *slot = if is_list { json!({ "type": "array", "items": object() }) } else { object() };
    }
    insert(if is_list { &mut slot["items"] } else { slot }, rest, leaf);
}

fn leaf(key: &Key, doc: Option<&Doc>) -> Value {
    let mut schema = kind(key.kind);
    if let Some(doc) = doc {
        schema["description"] = doc.text.clone().into();
        if doc.is_default {
            schema["default"] = doc.value.clone();
        } else if !doc.value.is_null() {
            schema["examples"] = json!([doc.value]);
        }
    }
    if key.kind.is_substituted() && !key.pattern.starts_with("steps[]") {
        return or_substituted(schema);
    }
    schema
}

/// Text that holds `${…}` fits wherever a value does.
fn or_substituted(mut schema: Value) -> Value {
    let takes_any_text = schema["type"] == "string"
        && ["pattern", "enum"].iter().all(|name| schema.get(*name).is_none());
    if takes_any_text || schema["type"] == "object" || schema["type"] == "array" {
        return schema;
    }
    let mut outer = Map::new();
    if let Value::Object(inner) = &mut schema {
        for name in ["description", "default", "examples"] {
            if let Some(value) = inner.remove(name) {
                outer.insert(name.to_owned(), value);
            }
        }
    }
    outer.insert("anyOf".to_owned(), json!([schema, text(SUBSTITUTED)]));
    Value::Object(outer)
}

fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Version => json!({ "type": "integer", "const": 1 }),
        Kind::Name => json!({ "type": "string", "pattern": NAME, "maxLength": 128 }),
        Kind::Text | Kind::File | Kind::Expression | Kind::Path | Kind::Secret => {
            json!({ "type": "string", "minLength": 1 })
        }
        Kind::AnyText => json!({ "type": "string" }),
        Kind::Templates | Kind::Assignments | Kind::Renames | Kind::Headers => {
            by_path(json!({ "type": ["string", "object"] }))
        }
        Kind::Aggregates => by_path(json!({ "type": "string", "minLength": 1 })),
        Kind::WindowSize(..) => json!({ "anyOf": [
            text(DURATION),
            { "type": "integer", "minimum": 1 },
        ] }),
        Kind::Aliases => by_path(json!({ "anyOf": [paths(), { "type": "object" }] })),
        Kind::Paths => paths(),
        Kind::Require => json!({ "anyOf": [
            { "type": "object", "additionalProperties": false, "required": ["schema"],
              "properties": { "schema": { "type": "string", "minLength": 1 } } },
            by_path(rules()),
        ] }),
        Kind::Topic => json!({ "type": "string", "pattern": NAME, "maxLength": 249 }),
        Kind::Topics => json!({
            "type": "array",
            "minItems": 1,
            "uniqueItems": true,
            "items": or_substituted(kind_of_topic()),
        }),
        Kind::Destinations | Kind::Fields | Kind::Streams => json!({
            "type": "array",
            "minItems": 1,
            "uniqueItems": true,
            "items": { "type": "string" },
        }),
        Kind::Properties(scope) => properties(scope),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Number => json!({ "type": "number" }),
        Kind::Share => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Integer(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Kind::Duration(..) => text(DURATION),
        Kind::Size(..) => text(SIZE),
        Kind::Choice(words) => json!({ "type": "string", "enum": words }),
        Kind::Start | Kind::StreamStart => json!({ "type": "string", "minLength": 1 }),
        Kind::Core => json!({ "anyOf": [
            { "enum": ["auto", "none"] },
            { "type": "integer", "minimum": 0, "maximum": 4095 },
        ] }),
        Kind::Cores => json!({ "anyOf": [
            { "const": "auto" },
            { "type": "integer", "minimum": 0, "maximum": 4095 },
            text("^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$"),
        ] }),
        Kind::Listen => json!({ "type": "string", "pattern": LISTEN }),
        Kind::Requirements => json!({
            "type": "array",
            "items": or_substituted(text(REQUIREMENT)),
        }),
        Kind::Requirement => text(REQUIREMENT),
        Kind::OnMiss => json!({ "anyOf": [
            { "enum": ["skip", "reject", "null"] },
            { "type": "object", "required": ["default"], "maxProperties": 1 },
        ] }),
    }
}

/// Paths with what goes there; also as tables, which dotted keys are.
fn by_path(value: Value) -> Value {
    json!({ "type": "object", "minProperties": 1, "additionalProperties": value })
}

fn paths() -> Value {
    json!({
        "type": "array",
        "minItems": 1,
        "uniqueItems": true,
        "items": { "type": "string", "minLength": 1 },
    })
}

/// What `require` may say of a path. A table in it is about what is below.
fn rules() -> Value {
    let types = json!({ "enum": JsonType::ALL.map(JsonType::name) });
    let count = json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "object" }] });
    let number = json!({ "type": ["number", "object"] });
    json!({
        "type": "object",
        "properties": {
            "type": { "anyOf": [
                types,
                { "type": "array", "minItems": 1, "items": types },
                { "type": "object" },
            ] },
            "optional": { "type": ["boolean", "object"] },
            "min": number,
            "max": number,
            "min_length": count,
            "max_length": count,
            "pattern": { "type": ["string", "object"] },
            "one_of": { "type": ["array", "object"], "minItems": 1 },
        },
        "additionalProperties": { "type": "object" },
    })
}

fn kind_of_topic() -> Value {
    kind(Kind::Topic)
}

/// Names for editors to offer; which values Hotspur refuses is the loader's to say.
fn properties(scope: Scope) -> Value {
    let fits =
        |it: &&Property| scope == Scope::Both || it.scope == Scope::Both || it.scope == scope;
    let schema = |property: &Property| match property.takes {
        Takes::Boolean => json!({ "type": ["boolean", "string"] }),
        Takes::Integer(..) => json!({ "type": ["integer", "string"] }),
        Takes::Words(_) | Takes::Text => json!({ "type": ["string", "number", "boolean"] }),
    };
    let named: Map<String, Value> = PROPERTIES
        .iter()
        .filter(fits)
        .map(|property| (property.name.to_owned(), schema(property)))
        .collect();
    json!({
        "type": "object",
        "properties": named,
        "additionalProperties": { "type": ["string", "number", "boolean", "object"] },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_in_the_schema_with_its_sentence() {
        let schema = config();
        for key in KEYS {
            let mut node = &schema;
            for name in key.pattern.split('.') {
                node = match (name, name.strip_suffix("[]")) {
                    ("*", _) => &node["additionalProperties"],
                    (_, Some(list)) => &node["properties"][list]["items"],
                    _ => &node["properties"][name],
                };
            }
            assert!(node["description"].is_string(), "{}: {node}", key.pattern);
        }
        assert_eq!(schema["properties"]["limits"]["properties"]["depth"]["default"], 128);
        assert_eq!(schema["additionalProperties"], false);
    }
}
