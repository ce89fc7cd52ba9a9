//! JSON that keeps how numbers are spelled, to be compared as JSON and shown line by line.
//!
//! Members of an object have no order, and of one that stands twice the last counts. Numbers are
//! the same if they are the same number: whole ones digit by digit, however large, others as the
//! nearest double. A library's value would round the large ones, and two would seem to be the same.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::value::RawValue;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Json {
    /// Null, true, false.
    Word(String),
    /// As it is spelled.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

impl Json {
    /// Reads one value.
    pub(super) fn parse(bytes: &[u8]) -> serde_json::Result<Json> {
        Json::of_raw(serde_json::from_slice(bytes)?)
    }

    fn of_raw(raw: &RawValue) -> serde_json::Result<Json> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
                let member = |(name, raw)| Ok((name, Json::of_raw(raw)?));
                Json::Object(members.into_iter().map(member).collect::<serde_json::Result<_>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                Json::List(items.into_iter().map(Json::of_raw).collect::<serde_json::Result<_>>()?)
            }
            Some(b'"') => Json::Text(serde_json::from_str(text)?),
            Some(b'n' | b't' | b'f') => Json::Word(text.to_owned()),
            _ => Json::Number(text.to_owned()),
        })
    }

    /// Over several lines, members in order of their names.
    pub(super) fn to_lines(&self) -> String {
        let mut lines = String::new();
        self.write(&mut lines, 0);
        lines
    }

    fn write(&self, out: &mut String, depth: usize) {
        let indent = |out: &mut String, depth| out.extend(std::iter::repeat_n("  ", depth));
        let separator = |index| if index == 0 { "\n" } else { ",\n" };
        match self {
            Json::Word(text) | Json::Number(text) => out.push_str(text),
            Json::Text(text) => _ = write!(out, "{}", serde_json::Value::from(text.as_str())),
            Json::List(items) if items.is_empty() => out.push_str("[]"),
            Json::Object(members) if members.is_empty() => out.push_str("{}"),
            Json::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(separator(index));
                    indent(out, depth + 1);
                    item.write(out, depth + 1);
                }
                out.push('\n');
                indent(out, depth);
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (index, (name, member)) in members.iter().enumerate() {
                    out.push_str(separator(index));
                    indent(out, depth + 1);
                    // Writing to a text cannot fail.
                    let _ = write!(out, "{}: ", serde_json::Value::from(name.as_str()));
                    member.write(out, depth + 1);
                }
                out.push('\n');
                indent(out, depth);
                out.push('}');
            }
        }
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Number(one), Json::Number(other)) => is_same_number(one, other),
            (Json::Word(one), Json::Word(other)) | (Json::Text(one), Json::Text(other)) => {
                one == other
            }
            (Json::List(one), Json::List(other)) => one == other,
            (Json::Object(one), Json::Object(other)) => one == other,
            _ => false,
        }
    }
}

fn is_same_number(one: &str, other: &str) -> bool {
    let is_whole = |text: &str| text.bytes().all(|it| it.is_ascii_digit() || it == b'-');
    let value = |text: &str| text.parse::<f64>().ok();
    one == other || (!(is_whole(one) && is_whole(other)) && value(one) == value(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        Json::parse(one.as_bytes()).unwrap() == Json::parse(other.as_bytes()).unwrap()
    }

    #[test]
    fn order_and_space_and_spelling_do_not_matter_and_values_do() {
        assert!(same(r#"{"a":1,"b":[true,null]}"#, r#" { "b" : [ true , null ], "a" : 1.0 } "#));
        assert!(same(r#""\u00e9""#, r#""é""#) && same("1e2", "100.0") && same("[]", "[ ]"));
        assert!(same(r#"{"a":1,"a":2}"#, r#"{"a":2}"#));
        for (one, other) in [
            ("123456789012345678901234567890", "123456789012345678901234567891"),
            ("9007199254740993", "9007199254740992"),
            ("[1,2]", "[2,1]"),
            ("\"1\"", "1"),
            ("null", "false"),
            (r#"{"a":null}"#, "{}"),
            ("0.1", "0.10000001"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn lines_keep_numbers_as_they_are_spelled() {
        let json = Json::parse(br#"{"b":[12.50,{}],"a":"q\"","c":[]}"#).unwrap();
        let lines = "{\n  \"a\": \"q\\\"\",\n  \"b\": [\n    12.50,\n    {}\n  ],\n  \"c\": []\n}";
        assert_eq!(json.to_lines(), lines);
        assert!(Json::parse(b"{").is_err() && Json::parse(b"\xff").is_err());
    }
}
