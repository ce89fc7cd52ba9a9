//! A value inside of JSON that stands in a buffer, such as a looked-up one: found by passing over
//! everything before it, without a tape and without memory.
//!
//! The JSON was checked when it was made or loaded, so nothing here complains about it; what is
//! broken after all is taken for absent. Of a field that stands twice the last counts.

use std::ops::Range;

use crate::codec::path::Segment;

/// Where a way down ends early: how many steps of it lead to this value, which has no such part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Astray<'j> {
    /// Steps that were taken.
    pub steps: usize,
    /// Where they led.
    pub value: &'j [u8],
}

/// The value at the end of `way`, as it is spelled.
///
/// # Errors
///
/// If there is none.
pub fn find<'j>(json: &'j [u8], way: &[Segment]) -> Result<&'j [u8], Astray<'j>> {
    let mut value = json;
    for (steps, segment) in way.iter().enumerate() {
        let part = match segment {
            Segment::Name(name) => field(value, name),
            Segment::Index(index) => item(value, *index),
        };
        value = part.ok_or(Astray { steps, value })?;
    }
    Ok(value)
}

/// The value of an object's field, as it is spelled.
pub fn field<'j>(object: &'j [u8], name: &str) -> Option<&'j [u8]> {
    object.first().filter(|byte| **byte == b'{')?;
    Parts::of(object).filter(|part| part.is_named(object, name)).last().map(|it| &object[it.value])
}

/// The fields of an object: the name with its quotes, and the value, both as they are spelled.
pub fn fields(object: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let object = if object.first() == Some(&b'{') { object } else { b"" };
    Parts::of(object).map(move |part| {
        let name = part.name.start - 1..part.name.end + 1;
        (&object[name], &object[part.value])
    })
}

fn item(list: &[u8], index: usize) -> Option<&[u8]> {
    items(list).nth(index)
}

/// The items of a list, as they are spelled.
pub fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let list = if list.first() == Some(&b'[') { list } else { b"" };
    Parts::of(list).map(move |part| &list[part.value])
}

/// How many items a list has; none, if it is no list.
pub fn count_items(list: &[u8]) -> usize {
    if list.first() == Some(&b'[') { Parts::of(list).count() } else { 0 }
}

/// How many fields or items there are, doubles counted.
pub fn count_parts(container: &[u8]) -> usize {
    Parts::of(container).count()
}

/// Where the item of a list stands that begins behind `at`: 0, or the end of another item.
pub fn next_item(list: &[u8], at: usize) -> Option<Range<usize>> {
    let mut parts = Parts::of(list);
    parts.at = parts.at.max(at);
    parts.next().map(|part| part.value)
}

/// A field or an item, where it stands in its container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Where it begins, its name included.
    pub(super) start: usize,
    /// A field's name between its quotes, as it is spelled; empty for an item.
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

impl Part {
    /// True if that is its name; an item has none.
    pub(super) fn is_named(&self, container: &[u8], name: &str) -> bool {
        self.start != self.value.start && is_name(&container[self.name.clone()], name)
    }
}

/// Goes through an object or a list; nothing comes of anything else.
pub(super) struct Parts<'j> {
    json: &'j [u8],
    at: usize,
}

impl<'j> Parts<'j> {
    pub(super) fn of(json: &'j [u8]) -> Parts<'j> {
        let is_container = matches!(json.first(), Some(b'{' | b'['));
        Parts { json, at: if is_container { 1 } else { json.len() } }
    }

    /// Goes past white space and, if it is next, `token`.
    fn skip(&mut self, token: u8) {
        for _ in 0..2 {
            let rest = &self.json[self.at..];
            self.at += rest.len() - rest.trim_ascii_start().len();
            if self.json.get(self.at) != Some(&token) {
                return;
            }
            self.at += 1;
        }
    }
}

impl Iterator for Parts<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        self.skip(b',');
        let start = self.at;
        let mut name = start..start;
        if self.json.first() == Some(&b'{') {
            let len = string_end(self.json.get(start..)?)?;
            name = start + 1..start + len - 1;
            self.at += len;
            self.skip(b':');
        }
        let value = self.at..self.at + value_end(self.json.get(self.at..)?)?;
        self.at = value.end;
        Some(Part { start, name, value })
    }
}

/// The length of the value at the beginning; nothing if none begins there.
fn value_end(json: &[u8]) -> Option<usize> {
    match json.first()? {
        b'"' => string_end(json),
        b'{' | b'[' => {
            let (mut at, mut depth) = (0, 0_usize);
            loop {
                match json.get(at)? {
                    b'"' => at += string_end(&json[at..])? - 1,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        b'}' | b']' | b',' | b':' => None,
        _ => {
            let ends = |byte: &u8| b",]}".contains(byte) || byte.is_ascii_whitespace();
            Some(json.iter().position(ends).unwrap_or(json.len()))
        }
    }
}

/// The length of the string at the beginning, with its quotes.
fn string_end(json: &[u8]) -> Option<usize> {
    json.strip_prefix(b"\"")?;
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', json.get(at..)?)?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn is_name(raw: &[u8], name: &str) -> bool {
    let mut left = Some(name.as_bytes());
    unescape(raw, |part| left = left.and_then(|left| left.strip_prefix(part)));
    left.is_some_and(<[u8]>::is_empty)
}

/// Appends the text of a JSON string that stands there with its quotes.
pub fn push_unescaped(out: &mut Vec<u8>, string: &[u8]) {
    let raw = string.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\""));
    unescape(raw.unwrap_or(string), |part| out.extend_from_slice(part));
}

/// Gives the text of a string's inside piece by piece.
pub fn unescape(raw: &[u8], mut push: impl FnMut(&[u8])) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        push(&rest[..at]);
        let escape = rest.get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or_default();
        match escape {
            b'n' => push(b"\n"),
            b'r' => push(b"\r"),
            b't' => push(b"\t"),
            b'b' => push(b"\x08"),
            b'f' => push(b"\x0c"),
            b'u' => {
                let (character, length) = unicode(rest);
                push(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = rest.get(length..).unwrap_or_default();
            }
            other => push(&[other]),
        }
    }
    push(rest);
}

/// The character behind `\u`, and how many bytes spell it.
fn unicode(rest: &[u8]) -> (char, usize) {
    let digits = |at: usize| {
        let digits = std::str::from_utf8(rest.get(at..at + 4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let first = digits(0).unwrap_or(u32::from(char::REPLACEMENT_CHARACTER));
    if let 0xd800..0xdc00 = first
        && rest.get(4..6) == Some(b"\\u")
        && let Some(second @ 0xdc00..0xe000) = digits(6)
    {
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 10);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;
    use crate::codec::Path;

    fn find_text<'j>(json: &'j str, path: &str) -> Result<&'j str, (usize, &'j str)> {
        let text = |bytes: &'j [u8]| std::str::from_utf8(bytes).unwrap();
        let way = Path::parse(path).unwrap().segments;
        let found = find(json.as_bytes(), &way);
        found.map(text).map_err(|astray| (astray.steps, text(astray.value)))
    }

    #[test]
    fn values_are_found_as_they_are_spelled() {
        let json = r#"{ "a" : [1, {"b\"c":"x\\\"y"} ,[ ]], "n":12.50 , "o":{}, "n": null}"#;
        assert_eq!(find_text(json, "n"), Ok("null"));
        assert_eq!(find_text(json, "a[0]"), Ok("1"));
        assert_eq!(find_text(json, r#"a[1]["b\"c"]"#), Ok(r#""x\\\"y""#));
        assert_eq!(find_text(json, "a[2]"), Ok("[ ]"));
        assert_eq!(find_text(json, "o"), Ok("{}"));
        assert_eq!(find_text(json, "a[3]"), Err((1, r#"[1, {"b\"c":"x\\\"y"} ,[ ]]"#)));
        assert_eq!(find_text(json, "o.x"), Err((1, "{}")));
        assert_eq!(find_text(json, "a.x").unwrap_err().0, 1);
        assert_eq!(find_text("7", "a"), Err((0, "7")));
        assert_eq!(find_text(r#"{"\u0061\n":1}"#, r#"["a\n"]"#), Ok("1"));
    }

    #[test]
    fn text_is_unescaped() {
        let mut out = Vec::new();
        push_unescaped(&mut out, r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é""#.as_bytes());
        assert_eq!(std::str::from_utf8(&out).unwrap(), "a\"\\/\u{8}\u{c}\n\r\té😀é");
    }

    #[test]
    fn what_is_broken_is_absent() {
        for json in ["", "{", "{\"a", "{\"a\":", "{\"a\"}", "[", "[1", "{\"b\":\"\\", "{,"] {
            for path in ["a", "b", "[0]", "[1]"] {
                let _ = find_text(json, path);
            }
            let mut out = Vec::new();
            push_unescaped(&mut out, json.as_bytes());
        }
        let mut out = Vec::new();
        push_unescaped(&mut out, b"\"\\u12\\ud800\\u0061\\\"");
    }

    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\\n\u{1}é😀]{0,5}".prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 40, 5, |inner| {
            let object = proptest::collection::vec(("[a-c\"\\\\é]{0,2}", inner.clone()), 0..5);
            prop_oneof![
                proptest::collection::vec(inner, 0..5).prop_map(Value::from),
                object.prop_map(|fields| Value::Object(Map::from_iter(fields))),
            ]
        })
    }

    fn check(json: &str, value: &Value, way: &mut Vec<Segment>) {
        let found = find(json.as_bytes(), way).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(found).unwrap(), *value, "{json} at {way:?}");
        if let Value::String(text) = value {
            let mut out = Vec::new();
            push_unescaped(&mut out, found);
            assert_eq!(std::str::from_utf8(&out).unwrap(), text);
        }
        let parts: Vec<(Segment, &Value)> = match value {
            Value::Object(fields) => {
                fields.iter().map(|(name, it)| (Segment::Name(name.clone()), it)).collect()
            }
            Value::Array(items) => {
                items.iter().enumerate().map(|(index, it)| (Segment::Index(index), it)).collect()
            }
            _ => Vec::new(),
        };
        for absent in [Segment::Name("z".to_owned()), Segment::Index(9)] {
            way.push(absent);
            assert_eq!(find(json.as_bytes(), way).unwrap_err().steps, way.len() - 1);
            way.pop();
        }
        for (segment, part) in parts {
            way.push(segment);
            check(json, part, way);
            way.pop();
        }
    }

    proptest! {
        #[test]
        fn every_value_is_found_in_both_spellings(root in value()) {
            for json in [root.to_string(), serde_json::to_string_pretty(&root).unwrap()] {
                check(&json, &root, &mut Vec::new());
            }
        }
    }
}
