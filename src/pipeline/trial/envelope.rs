//! A record with all that travels beside its value, as one line of JSON.
//!
//! The names are those of the interface, `value`, `key`, `headers`, `timestamp`, and beside them
//! those that `kcat -J` prints: `payload`, `ts`. Bytes that are not UTF-8 come as `key_base64` and
//! `value_base64`, as the answers spell them. Other fields are passed over.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::Given;
use crate::record::Headers;

/// Reads one line.
pub(super) fn parse(line: &[u8]) -> Result<Given, String> {
    let fields: Map<String, Value> =
        serde_json::from_slice(line).map_err(|error| format!("{error}"))?;
    if !["value", "payload", "value_base64"].iter().any(|name| fields.contains_key(*name)) {
        return Err("it has no `value` (null is a tombstone)".to_owned());
    }
    let integer = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_i64().map(Some).ok_or_else(|| format!("`{name}` is no whole number"))
        }
    };
    let partition = integer("partition")?.map(i32::try_from).transpose();
    Ok(Given {
        topic: fields.get("topic").and_then(Value::as_str).map(str::to_owned),
        partition: partition.map_err(|_| "`partition` is no number of one".to_owned())?,
        offset: integer("offset")?,
        timestamp_ms: timestamp(&fields)?,
        key: bytes(&fields, &["key"], "key_base64")?,
        value: bytes(&fields, &["value", "payload"], "value_base64")?,
        headers: headers(fields.get("headers"))?,
    })
}

fn bytes(
    fields: &Map<String, Value>,
    names: &[&str],
    base64: &str,
) -> Result<Option<Vec<u8>>, String> {
    if let Some(encoded) = fields.get(base64).and_then(Value::as_str) {
        let decoded = STANDARD.decode(encoded);
        return decoded.map(Some).map_err(|error| format!("`{base64}`: {error}"));
    }
    for name in names {
        match fields.get(*name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => return Ok(Some(text.clone().into_bytes())),
            Some(_) => {
                return Err(format!("`{name}` must be text or null: as JSON its bytes are lost"));
            }
        }
    }
    Ok(None)
}

/// Milliseconds since the epoch, or RFC 3339.
fn timestamp(fields: &Map<String, Value>) -> Result<Option<i64>, String> {
    let value = match fields.get("timestamp").or_else(|| fields.get("ts")) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let at = match value {
        Value::String(text) => text.parse().ok().map(|at: jiff::Timestamp| at.as_millisecond()),
        _ => value.as_i64(),
    };
    let wrong = || format!("the timestamp {value} is neither milliseconds nor RFC 3339");
    at.map(Some).ok_or_else(wrong)
}

/// A flat list of names and values (as kcat has it), or a list of pairs.
fn headers(value: Option<&Value>) -> Result<Vec<u8>, String> {
    let wrong = || "`headers` is no list of names and values, such as [[\"k\",\"v\"]]".to_owned();
    let mut block = Vec::new();
    let mut push = |pair: &[Value]| {
        let [Value::String(name), value] = pair else { return Err(wrong()) };
        let decoded;
        let value = match value {
            Value::Null => None,
            Value::String(text) => Some(text.as_bytes()),
            Value::Object(fields) => {
                decoded = bytes(fields, &[], "base64")?.ok_or_else(wrong)?;
                Some(decoded.as_slice())
            }
            _ => return Err(wrong()),
        };
        Headers::push(&mut block, name.as_bytes(), value);
        Ok(())
    };
    match value {
        None | Some(Value::Null) => {}
        Some(Value::Array(pairs)) if pairs.iter().all(Value::is_array) => {
            pairs.iter().filter_map(Value::as_array).try_for_each(|pair| push(pair))?;
        }
        Some(Value::Array(flat)) => flat.chunks(2).try_for_each(push)?,
        Some(_) => return Err(wrong()),
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_names_and_those_of_kcat_are_read() {
        let kcat = br#"{"topic":"t","partition":2,"offset":7,"tstype":"create","ts":1500,
            "broker":1,"headers":["a","1","a",null],"key":"k","payload":"{}"}"#;
        let ours = br#"{"topic":"t","partition":2,"offset":7,"key_base64":"aw==","value":"{}",
            "timestamp":"1970-01-01T00:00:01.5Z","headers":[["a",{"base64":"MQ=="}],["a",null]]}"#;
        for line in [&kcat[..], &ours[..]] {
            let envelope = parse(line).unwrap();
            assert_eq!(envelope.topic.as_deref(), Some("t"));
            assert_eq!((envelope.partition, envelope.offset), (Some(2), Some(7)));
            assert_eq!(envelope.timestamp_ms, Some(1500));
            assert_eq!(envelope.key.as_deref(), Some(&b"k"[..]));
            assert_eq!(envelope.value.as_deref(), Some(&b"{}"[..]));
            let headers: Vec<_> = Headers::from_bytes(&envelope.headers).collect();
            assert_eq!(headers, [(&b"a"[..], Some(&b"1"[..])), (&b"a"[..], None)]);
        }
        let tombstone = parse(br#"{"payload":null}"#).unwrap();
        assert!(tombstone.value.is_none() && tombstone.key.is_none());
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (line, part) in [
            ("nonsense", "expected"),
            ("{}", "no `value`"),
            (r#"{"value":{}}"#, "must be text or null"),
            (r#"{"value":"","headers":{"a":"b"}}"#, "`headers`"),
            (r#"{"value":"","headers":["a"]}"#, "`headers`"),
            (r#"{"value":"","timestamp":"soon"}"#, "soon"),
            (r#"{"value":"","offset":"x"}"#, "`offset`"),
            (r#"{"value_base64":"?"}"#, "`value_base64`"),
        ] {
            let error = parse(line.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
