//! Values as the cases write them, and whether ours are the same.

use base64::{Engine, engine::general_purpose::STANDARD};
use hotspur::pipeline::cel::{Arena, Constant, Kind, Map, Time, Value};
use serde_json::Value as Json;

/// A value that is bound to a name.
pub(crate) fn constant(json: &Json) -> Constant {
    let (kind, value) =
        json.as_object().and_then(|it| it.iter().next()).expect("one kind of value");
    let text = || value.as_str().unwrap_or_default();
    match kind.as_str() {
        "nullValue" => Constant::Null,
        "boolValue" => Constant::Bool(value == true),
        "int64Value" => Constant::Int(text().parse().expect("an int")),
        "uint64Value" => Constant::Uint(text().parse().expect("a uint")),
        "doubleValue" => Constant::Double(double(value)),
        "stringValue" => Constant::Text(text().into()),
        "bytesValue" => Constant::Bytes(STANDARD.decode(text()).expect("base64").into()),
        "typeValue" => Constant::Type(kind_named(text())),
        "listValue" => {
            let items = value["values"].as_array().into_iter().flatten();
            Constant::List(items.map(constant).collect())
        }
        "mapValue" => {
            let entries = value["entries"].as_array().into_iter().flatten();
            let entries = entries.map(|it| (constant(&it["key"]), constant(&it["value"])));
            Constant::Map(entries.collect())
        }
        "objectValue" if value["@type"].as_str().is_some_and(|it| it.ends_with("Duration")) => {
            let seconds = value["value"].as_str().and_then(|it| it.strip_suffix('s'));
            let (whole, part) =
                seconds.expect("seconds").split_once('.').unwrap_or((seconds.unwrap(), "0"));
            let nanos: i64 = format!("{part:0<9}").parse().expect("digits");
            Constant::Duration(whole.parse::<i64>().expect("digits") * 1_000_000_000 + nanos)
        }
        "objectValue" => {
            let at = value["value"].as_str().and_then(Time::parse);
            Constant::Timestamp(at.expect("a time"))
        }
        other => panic!("a value of the kind {other}"),
    }
}

fn kind_named(name: &str) -> Kind {
    Kind::ALL.into_iter().find(|it| it.cel_name() == name).unwrap_or(Kind::Optional)
}

fn double(value: &Json) -> f64 {
    match value {
        Json::String(text) => text.parse().expect("a double"),
        other => other.as_f64().expect("a double"),
    }
}

/// True if the value is the expected one, its type included.
pub(crate) fn is_same<'a>(value: Value<'a>, wanted: &Json, arena: &'a Arena) -> bool {
    same(value, &constant(wanted), arena)
}

fn same<'a>(value: Value<'a>, wanted: &Constant, arena: &'a Arena) -> bool {
    match (value, wanted) {
        (Value::Null, Constant::Null) => true,
        (Value::Bool(value), Constant::Bool(wanted)) => value == *wanted,
        (Value::Int(value, _), Constant::Int(wanted)) => value == *wanted,
        (Value::Uint(value, _), Constant::Uint(wanted)) => value == *wanted,
        (Value::Double(value, _), Constant::Double(wanted)) => {
            value == *wanted || value.is_nan() && wanted.is_nan()
        }
        (Value::Text(value), Constant::Text(wanted)) => *value == **wanted,
        (Value::Bytes(value), Constant::Bytes(wanted)) => *value == **wanted,
        (Value::Timestamp(value), Constant::Timestamp(wanted)) => value == *wanted,
        (Value::Duration(value), Constant::Duration(wanted)) => value == *wanted,
        (Value::Type(value), Constant::Type(wanted)) => value == *wanted,
        (Value::List(value), Constant::List(wanted)) => {
            let items = value.items(arena).expect("items");
            items.len() == wanted.len()
                && items.iter().zip(wanted).all(|(value, wanted)| same(*value, wanted, arena))
        }
        (Value::Map(value), Constant::Map(wanted)) => same_map(value, wanted, arena),
        _ => false,
    }
}

fn same_map<'a>(value: Map<'a>, wanted: &[(Constant, Constant)], arena: &'a Arena) -> bool {
    let entries = value.entries(arena).expect("entries");
    let is_in = |(key, value): &(Value<'a>, Value<'a>)| {
        let mut wanted = wanted.iter();
        wanted.any(|(name, it)| same(*key, name, arena) && same(*value, it, arena))
    };
    entries.len() == wanted.len() && entries.iter().all(is_in)
}

/// A value for a person.
pub(crate) fn show<'a>(value: Value<'a>, arena: &'a Arena) -> String {
    let mut out = Vec::new();
    match value.push_json(&mut out, arena) {
        Ok(()) => format!("{} {}", value.kind().cel_name(), String::from_utf8_lossy(&out)),
        Err(why) => format!("{} which {why}", value.kind().cel_name()),
    }
}
