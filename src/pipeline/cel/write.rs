//! A value as bytes: as text for holes and keys, as JSON for fields and results.

use std::io::Write;

use crate::{
    codec::push_text,
    pipeline::cel::{
        Arena, Value, fault::Why, list::List, map::Map, number::Shortest, time::Seconds,
    },
};

impl<'a> Value<'a> {
    /// Appends it as text, as a hole does: text and bytes as they are, an untouched number of the
    /// record by its spelling, null, objects and lists as JSON.
    ///
    /// # Errors
    ///
    /// If bytes in it are no UTF-8, or something in it has no form in JSON.
    pub fn push_as_text(&self, out: &mut Vec<u8>, arena: &'a Arena) -> Result<(), Why> {
        match self {
            Value::Text(text) => out.extend_from_slice(text.as_bytes()),
            Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(_) => out.extend_from_slice(bytes),
                Err(_) => return Err(Why::NotUtf8),
            },
            Value::Double(number, origin) if origin.spelling().is_none() => {
                // Writing to a vector cannot fail.
                let _ = write!(out, "{}", Shortest(*number));
            }
            Value::Timestamp(at) => {
                let _ = write!(out, "{at}");
            }
            Value::Duration(nanos) => {
                let _ = write!(out, "{}", Seconds(*nanos));
            }
            Value::Type(kind) => out.extend_from_slice(kind.cel_name().as_bytes()),
            other => return other.push_json(out, arena),
        }
        Ok(())
    }

    /// Appends it as JSON: what is untouched byte for byte, a computed double so that it stays one.
    /// Bytes that are UTF-8 are text there, times and durations too.
    ///
    /// # Errors
    ///
    /// If something in it has no form in JSON: NaN, an infinity, bytes that are no text, an
    /// optional value. What was appended until then stays.
    pub fn push_json(&self, out: &mut Vec<u8>, arena: &'a Arena) -> Result<(), Why> {
        match *self {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Bool(truth) => out.extend_from_slice(if truth { b"true" } else { b"false" }),
            Value::Int(_, origin) | Value::Uint(_, origin) | Value::Double(_, origin)
                if origin.spelling().is_some() =>
            {
                out.extend_from_slice(origin.spelling().unwrap_or_default());
            }
            Value::Int(number, _) => {
                out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            }
            Value::Uint(number, _) => {
                out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            }
            Value::Double(number, _) => push_double(out, number)?,
            Value::Text(text) => push_text(out, text.as_bytes()),
            Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => push_text(out, text.as_bytes()),
                Err(_) => return Err(Why::NotUtf8),
            },
            Value::Timestamp(_) | Value::Duration(_) | Value::Type(_) => {
                out.push(b'"');
                self.push_as_text(out, arena)?;
                out.push(b'"');
            }
            Value::List(List::Tape(event, node)) | Value::Map(Map::Tape(event, node)) => {
                out.extend_from_slice(&event.input()[event.span(node)]);
            }
            Value::List(List::Json(json)) | Value::Map(Map::Json(json)) => {
                out.extend_from_slice(json);
            }
            Value::List(list) => {
                out.push(b'[');
                for (index, item) in list.items(arena)?.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.push_json(out, arena)?;
                }
                out.push(b']');
            }
            Value::Map(map) => push_entries(out, map, arena)?,
            Value::Optional(_) => return Err(Why::NotJson),
        }
        Ok(())
    }

    /// True if it may be a key of a table or of a record: no null, object or list.
    pub fn is_key(&self) -> bool {
        !matches!(self, Value::Null | Value::List(_) | Value::Map(_) | Value::Optional(_))
    }
}

fn push_double(out: &mut Vec<u8>, number: f64) -> Result<(), Why> {
    if !number.is_finite() {
        return Err(Why::NotJson);
    }
    let start = out.len();
    // Writing to a vector cannot fail.
    let _ = write!(out, "{}", Shortest(number));
    if !out[start..].iter().any(|byte| matches!(byte, b'.' | b'e')) {
        out.extend_from_slice(b".0");
    }
    Ok(())
}

/// JSON's names are text: other keys are written as such.
fn push_entries<'a>(out: &mut Vec<u8>, map: Map<'a>, arena: &'a Arena) -> Result<(), Why> {
    out.push(b'{');
    for (index, (key, value)) in map.entries(arena)?.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match key {
            Value::Text(text) => push_text(out, text.as_bytes()),
            Value::Bytes(_) => key.push_json(out, arena)?,
            other => {
                out.push(b'"');
                other.push_as_text(out, arena)?;
                out.push(b'"');
            }
        }
        out.push(b':');
        value.push_json(out, arena)?;
    }
    out.push(b'}');
    Ok(())
}
