//! A window's result as a record: its JSON, its key, its time.
//!
//! A window's key is kept with its kind, so that a number stays one in the result's JSON, while the
//! record's key is its text.

use std::io::Write;

use super::{Rules, StoreRules};
use crate::{
    clock::Ticks,
    codec::push_text,
    pipeline::cel::Time,
    record::{Headers, PartitionId, Record},
    state::window::{Emit, WindowResult},
};

/// What records of a window are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKey<'a> {
    /// Text or bytes.
    Text(&'a [u8]),
    /// A number, true or false, as it is spelled.
    Json(&'a [u8]),
}

const TEXT: u8 = b't';
const JSON: u8 = b'j';

/// Which result it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenResult {
    /// The index of its step among all.
    pub step: u16,
    /// Counts the results of this process; wraps.
    pub number: u64,
}

/// Memory for keys and results.
#[derive(Debug, Default)]
pub(super) struct Results {
    number: u64,
    value: Vec<u8>,
    key: Vec<u8>,
    bounds: Bounds,
}

/// The bounds of the last result as JSON, which are the next one's where many keys are closed.
#[derive(Debug, Default)]
struct Bounds {
    of: Option<(i64, i64)>,
    json: Vec<u8>,
}

impl Bounds {
    fn json(&mut self, start_ms: i64, end_ms: i64) -> &[u8] {
        if self.of != Some((start_ms, end_ms)) {
            self.of = Some((start_ms, end_ms));
            self.json.clear();
            for (name, millis) in [("start", start_ms), ("end", end_ms)] {
                // Writing to a vector cannot fail; a time past the calendar is its number.
                let _ = match Time::from_nanos(i128::from(millis) * 1_000_000) {
                    Some(time) => write!(self.json, ",\"{name}\":\"{time}\""),
                    None => write!(self.json, ",\"{name}\":{millis}"),
                };
            }
        }
        &self.json
    }
}

impl Results {
    /// A key as a store keeps it.
    #[inline]
    pub(super) fn key_of(&mut self, key: WindowKey<'_>) -> &[u8] {
        let (kind, bytes) = match key {
            WindowKey::Text(text) => (TEXT, text),
            WindowKey::Json(json) => (JSON, json),
        };
        self.key.clear();
        self.key.push(kind);
        self.key.extend_from_slice(bytes);
        &self.key
    }

    /// A result as a record; where it is from, and when it came, is for others to say.
    pub(super) fn render<'a>(
        &'a mut self,
        partition: PartitionId,
        StoreRules { step, rules, .. }: &StoreRules,
        result: &WindowResult<'a>,
    ) -> (Record<'a>, GivenResult) {
        let Rules::Window(rules, names) = rules else { unreachable!("only windows have results") };
        self.value.clear();
        let bounds = self.bounds.json(result.start_ms, result.end_ms);
        write_json(&mut self.value, result, (names, bounds), rules.emit);
        let record = Record {
            partition,
            topic: "",
            partition_number: 0,
            offset: 0,
            timestamp_ms: Some(result.end_ms),
            key: Some(result.key.get(1..).unwrap_or_default()),
            value: Some(&self.value),
            headers: Headers::NONE,
            arrived: Ticks(0),
        };
        (record, GivenResult { step: *step, number: self.number })
    }

    /// The one that was rendered is taken.
    pub(super) fn count(&mut self) {
        self.number = self.number.wrapping_add(1);
    }
}

fn write_json(
    out: &mut Vec<u8>,
    result: &WindowResult<'_>,
    (names, bounds): (&[String], &[u8]),
    emit: Emit,
) {
    out.extend_from_slice(b"{\"key\":");
    match result.key.split_first() {
        Some((&JSON, json)) => out.extend_from_slice(json),
        Some((_, text)) => write_text(out, text),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(bounds);
    if emit == Emit::Updates {
        let _ = write!(out, ",\"final\":{}", result.is_final);
    }
    for (name, value) in names.iter().zip(result.values()) {
        out.push(b',');
        push_text(out, name.as_bytes());
        out.push(b':');
        out.extend_from_slice(value);
    }
    out.push(b'}');
}

/// Text as it is; bytes that are none, as CEL has them: base64.
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    match std::str::from_utf8(text) {
        Ok(text) => push_text(out, text.as_bytes()),
        Err(_) => {
            let engine = &base64::engine::general_purpose::STANDARD;
            let shown = base64::display::Base64Display::new(text, engine);
            let _ = write!(out, "\"{shown}\"");
        }
    }
}
