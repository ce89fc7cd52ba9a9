//! The fields of an entry as a JSON object, in their order, doubles kept.
//!
//! A value is text unless it is to be inferred: then one that is spelled like a number, `true`,
//! `false` or `null` in JSON is that. Bytes that are not UTF-8 cannot stand in JSON: such a value
//! stands in base64 under its name and `_base64`, and of such a name the bad bytes are replaced.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::resp::Items;

/// Writes the object into `out`; `fields` are names and values in turn.
pub(super) fn write(mut fields: Items<'_>, count: usize, infers: bool, out: &mut Vec<u8>) {
    out.clear();
    out.push(b'{');
    for index in 0..count / 2 {
        let (Some(name), Some(value)) = (fields.bytes(), fields.bytes()) else { break };
        if index > 0 {
            out.push(b',');
        }
        let text = std::str::from_utf8(value);
        write_text(&String::from_utf8_lossy(name), out);
        if text.is_err() {
            out.pop();
            out.extend_from_slice(b"_base64\"");
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
    use super::{super::resp, *};

    fn object(fields: &[&[u8]], infers: bool) -> String {
        let (mut reply, mut out) = (Vec::new(), b"of the last one".to_vec());
        fields.iter().for_each(|it| resp::word(&mut reply, it));
        write(Items::of(&reply), fields.len(), infers, &mut out);
        String::from_utf8(out).unwrap()
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
}
