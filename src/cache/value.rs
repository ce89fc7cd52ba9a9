//! A table's value: bytes, and what is known of them since they were loaded.
//!
//! What a lookup would have to check of every answer is checked once, by the side thread, when the
//! value comes in: that text is UTF-8 and that JSON is JSON. What fails is kept as plain bytes, so
//! that a lookup can say what is wrong with it. A key can also be known to be absent.

use serde::de::IgnoredAny;

/// What the bytes of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Text in UTF-8.
    Text,
    /// One JSON value.
    Json,
    /// Neither, though it should be one.
    Bytes,
    /// None: the source was asked for the key and does not have it.
    Absent,
}

/// A value as it is put in and looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// What the bytes are.
    pub kind: ValueKind,
    /// The value; empty if it is absent.
    pub bytes: &'a [u8],
}

impl<'a> Value<'a> {
    /// Nothing.
    pub const ABSENT: Value<'static> = Value { kind: ValueKind::Absent, bytes: &[] };

    /// Text, or plain bytes if they are not UTF-8.
    pub fn text(bytes: &'a [u8]) -> Value<'a> {
        let is_text = std::str::from_utf8(bytes).is_ok();
        Value { kind: if is_text { ValueKind::Text } else { ValueKind::Bytes }, bytes }
    }

    /// JSON without white space around it, or plain bytes if they are no JSON.
    pub fn json(bytes: &'a [u8]) -> Value<'a> {
        let trimmed = bytes.trim_ascii();
        match std::str::from_utf8(trimmed) {
            Ok(text) if is_json(text) => Value { kind: ValueKind::Json, bytes: trimmed },
            _ => Value { kind: ValueKind::Bytes, bytes },
        }
    }
}

/// As strict as with records. Passing over a value does not look at surrogates, so where there may
/// be one, the value is built.
fn is_json(text: &str) -> bool {
    match memchr::memmem::find(text.as_bytes(), b"\\u") {
        Some(_) => serde_json::from_str::<serde_json::Value>(text).is_ok(),
        None => serde_json::from_str::<IgnoredAny>(text).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_or_no_json_is_plain_bytes() {
        use ValueKind::{Bytes, Json, Text};
        assert_eq!(Value::text("é".as_bytes()).kind, Text);
        assert_eq!(Value::text(b"").kind, Text);
        assert_eq!(Value::text(b"\xff").kind, Bytes);
        for (bytes, kind) in [
            (&b"{\"a\":[1,null]}"[..], Json),
            (b" 7 ", Json),
            (b"\"text\"", Json),
            (b"", Bytes),
            (b"{\"a\":}", Bytes),
            (b"7 8", Bytes),
            (br#""\ud83d\ude00""#, Json),
            (br#""\ud800""#, Bytes),
            (b"\"\xff\"", Bytes),
        ] {
            assert_eq!(Value::json(bytes).kind, kind, "{}", bytes.escape_ascii());
        }
        assert_eq!(Value::json(b" 7\n").bytes, b"7");
        assert_eq!(Value::json(b" x ").bytes, b" x ");
    }
}
