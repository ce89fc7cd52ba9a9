//! The fields of an entry as a JSON object, in their order, doubles kept, and back.
//!
//! A value is text unless it is to be inferred: then one that is spelled like a number, `true`,
//! `false` or `null` in JSON is that. Bytes that are not UTF-8 cannot stand in JSON: such a value
//! stands in base64 under its name and `_base64`, and of such a name the bad bytes are replaced.
//! What `measure` and `replay` write beside an entry's own fields is no part of the object, but a
//! header, as it is in Kafka.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::resp::Items;
use crate::record::{DUE_HEADER, Headers, OWN_HEADERS, REPLAYS_HEADER};

/// Ends the name of a value in base64.
const IN_BASE64: &str = "_base64";

/// Writes the object into `out`, and appends what are headers to `headers`; `fields` are names and
/// values in turn.
pub(super) fn write(
    mut fields: Items<'_>,
    count: usize,
    infers: bool,
    (out, headers): (&mut Vec<u8>, &mut Vec<u8>),
) {
    out.clear();
    out.push(b'{');
    for _ in 0..count / 2 {
        let (Some(name), Some(value)) = (fields.bytes(), fields.bytes()) else { break };
        if name.starts_with(OWN_HEADERS) && (name == DUE_HEADER || name == REPLAYS_HEADER) {
            Headers::push(headers, name, Some(value));
            continue;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        let text = std::str::from_utf8(value);
        write_text(&String::from_utf8_lossy(name), out);
        if text.is_err() {
            out.pop();
            out.extend_from_slice(IN_BASE64.as_bytes());
            out.push(b'"');
        }
        out.push(b':');
        match text {
            Ok(text) if infers && is_literal(value) => out.extend_from_slice(text.as_bytes()),
            Ok(text) => write_text(text, out),
            Err(_) => write_base64(value, out),
        }
    }
    out.push(b'}');
}

/// Appends the fields that an object was to `fields`, as headers are: text as it is, and all else
/// as it is spelled. `None` if it is no object, or has no fields.
pub fn fields_of(object: &[u8], fields: &mut Vec<u8>) -> Option<()> {
    let before = fields.len();
    let mut reader = serde_json::Deserializer::from_slice(object);
    let read = reader.deserialize_map(Members { fields }).and_then(|()| reader.end());
    (read.is_ok() && fields.len() > before).then_some(())
}

/// Members of an object, in their order, doubles kept.
struct Members<'a> {
    fields: &'a mut Vec<u8>,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            let text = text_of(value.get());
            let encoded = name.strip_suffix(IN_BASE64);
            match encoded.and_then(|name| Some((name, bytes_of(&text)?))) {
                Some((name, bytes)) => Headers::push(self.fields, name.as_bytes(), Some(&bytes)),
                None => Headers::push(self.fields, name.as_bytes(), Some(text.as_bytes())),
            }
        }
        Ok(())
    }
}

/// Text without its quotes; anything else as it is spelled.
fn text_of(spelled: &str) -> Cow<'_, str> {
    let quoted = spelled.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    match quoted {
        None => spelled.into(),
        Some(text) if !text.contains('\\') => text.into(),
        Some(_) => serde_json::from_str(spelled).unwrap_or_else(|_| spelled.into()),
    }
}

/// What was written in base64 because it is no text.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(text).ok()?;
    std::str::from_utf8(&bytes).is_err().then_some(bytes)
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    let result = serde_json::to_writer(out, text);
    debug_assert!(result.is_ok(), "a vector takes everything");
}

fn write_base64(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + value.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(value, &mut out[start..]);
    debug_assert!(written.is_ok(), "there is room");
    out.push(b'"');
}

/// Whether JSON has a value other than text that is spelled like this.
fn is_literal(value: &[u8]) -> bool {
    matches!(value, b"true" | b"false" | b"null") || is_number(value)
}

fn is_number(value: &[u8]) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().take_while(|it| it.is_ascii_digit()).count();
    let rest = value.strip_prefix(b"-").unwrap_or(value);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let len = digits(fraction);
        if len == 0 {
            return false;
        }
        rest = &fraction[len..];
    }
    if let Some((b'e' | b'E', exponent)) = rest.split_first() {
        let exponent = match exponent.split_first() {
            Some((b'+' | b'-', digits)) => digits,
            _ => exponent,
        };
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::{super::resp, *};

    fn object(fields: &[&[u8]], infers: bool) -> String {
        with_headers(fields, infers).0
    }

    fn with_headers(fields: &[&[u8]], infers: bool) -> (String, Vec<u8>) {
        let (mut reply, mut headers) = (Vec::new(), Vec::new());
        let mut out = b"of the last one".to_vec();
        fields.iter().for_each(|it| resp::word(&mut reply, it));
        write(Items::of(&reply), fields.len(), infers, (&mut out, &mut headers));
        (String::from_utf8(out).unwrap(), headers)
    }

    fn read_back(object: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut fields = Vec::new();
        fields_of(object, &mut fields)?;
        let pair = |(name, value): (&[u8], Option<&[u8]>)| (name.to_vec(), value.unwrap().to_vec());
        Some(Headers::from_bytes(&fields).map(pair).collect())
    }

    #[test]
    fn fields_are_text_in_their_order() {
        let fields: [&[u8]; 8] = [b"b", b"1", b"a", b"say \"x\"\n", b"b", b"", b"", b"\xc3\xa9"];
        let expected = r#"{"b":"1","a":"say \"x\"\n","b":"","":"é"}"#;
        assert_eq!(object(&fields, false), expected);
        assert_eq!(object(&[], false), "{}");
    }

    #[test]
    fn what_json_would_spell_so_can_be_inferred() {
        for literal in ["0", "-0", "12.50", "-3e+7", "1E5", "true", "false", "null", "10"] {
            let expected = format!("{{\"a\":{literal}}}");
            assert_eq!(object(&[b"a", literal.as_bytes()], true), expected);
            assert!(serde_json::from_str::<serde_json::Value>(&expected).is_ok(), "{expected}");
        }
        for text in ["", "-", "01", "+1", "1.", ".5", "1e", "1e+", "0x1", "NaN", "True", "1 "] {
            let expected = format!("{{\"a\":\"{text}\"}}");
            assert_eq!(object(&[b"a", text.as_bytes()], true), expected);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_in_base64() {
        let fields: [&[u8]; 4] = [b"a", &[0, 159, 255], b"\xff", b"1"];
        assert_eq!(object(&fields, false), "{\"a_base64\":\"AJ//\",\"\u{fffd}\":\"1\"}");
    }

    #[test]
    fn an_object_is_the_fields_that_it_was() {
        let fields: [&[u8]; 12] = [
            b"b",
            b"12.50",
            b"a",
            b"say \"x\"\n",
            b"b",
            b"",
            b"c",
            &[0, 159, 255],
            b"d_base64",
            b"aGk=",
            b"e_base64",
            b"no",
        ];
        for infers in [false, true] {
            let (object, headers) = with_headers(&fields, infers);
            let expected: Vec<_> =
                fields.chunks(2).map(|it| (it[0].to_vec(), it[1].to_vec())).collect();
            assert_eq!(read_back(object.as_bytes()), Some(expected), "{object}");
            assert!(headers.is_empty());
        }
        let nested = br#" {"d" : {"e": [1]}, "f":null}"#;
        let expected = [("d", r#"{"e": [1]}"#), ("f", "null")];
        let bytes = |it: &str| it.as_bytes().to_vec();
        let expected = expected.map(|(name, value)| (bytes(name), bytes(value))).to_vec();
        assert_eq!(read_back(nested), Some(expected));
        for none in [&b"[]"[..], b"{}", b"nonsense", b"{\"a\":1}x", b"\xff"] {
            assert_eq!(read_back(none), None);
        }
    }

    proptest! {
        #[test]
        fn any_fields_come_back(
            pairs in vec(("[a-c\"\\\\ é]{0,3}", prop_oneof![
                "-?[0-9]{1,4}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?".prop_map(String::into_bytes),
                "(true|null|[a-z\"\\\\\n]{0,5})".prop_map(String::into_bytes),
                vec(any::<u8>(), 0..6),
            ]), 1..6),
            infers in any::<bool>(),
        ) {
            let words = pairs.iter().flat_map(|(name, value)| [name.as_bytes(), value]);
            let (object, _) = with_headers(&words.collect::<Vec<_>>(), infers);
            let expected: Vec<_> =
                pairs.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
            prop_assert_eq!(read_back(object.as_bytes()), Some(expected), "{}", object);
        }
    }

    #[test]
    fn what_stands_beside_the_fields_is_a_header() {
        let fields: [&[u8]; 8] =
            [b"hotspur.due", b"17", b"a", b"1", b"hotspur.replays", b"2", b"hotspur.class", b"x"];
        let (object, headers) = with_headers(&fields, true);
        assert_eq!(object, r#"{"a":1,"hotspur.class":"x"}"#);
        let headers: Vec<_> = Headers::from_bytes(&headers).collect();
        let expected = [(DUE_HEADER, Some(&b"17"[..])), (REPLAYS_HEADER, Some(&b"2"[..]))];
        assert_eq!(headers, expected);
        assert_eq!(with_headers(&fields[..2], true).0, "{}");
    }
}
