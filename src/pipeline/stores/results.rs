//! A window's result as a record: its JSON, its key, its time.
//!
//! A window's key is kept with its kind, so that a number stays one in the result's JSON, while the
//! record's key is its text.

use std::io::Write;

use super::{PartitionStores, Rules, StoreRules};
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

/// The result that is offered, and memory for it.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// Whose it is, until it is taken.
    offered: Option<(PartitionId, u16)>,
    number: u64,
    end_ms: i64,
    value: Vec<u8>,
    /// With its kind.
    key: Vec<u8>,
    /// Of the record that is being added.
    record_key: Vec<u8>,
}

impl Results {
    /// A key as a store keeps it.
    #[inline]
    pub(super) fn key_of(&mut self, key: WindowKey<'_>) -> &[u8] {
        let (kind, bytes) = match key {
            WindowKey::Text(text) => (TEXT, text),
            WindowKey::Json(json) => (JSON, json),
        };
        self.record_key.clear();
        self.record_key.push(kind);
        self.record_key.extend_from_slice(bytes);
        &self.record_key
    }

    pub(super) fn is_offering(&self) -> bool {
        self.offered.is_some()
    }

    /// Whether a result of that partition is offered, or is now. While another partition's is, none
    /// is made.
    pub(super) fn offer(
        &mut self,
        partition: PartitionId,
        rules: &[StoreRules],
        stores: &mut PartitionStores,
    ) -> bool {
        if let Some((owner, _)) = self.offered {
            return owner == partition;
        }
        let Some((store, result)) = stores.next_result() else { return false };
        let StoreRules { step, rules, .. } = &rules[store];
        let Rules::Window(rules, names) = rules else { unreachable!("only windows have results") };
        self.end_ms = result.end_ms;
        self.key.clear();
        self.key.extend_from_slice(result.key);
        self.value.clear();
        write_json(&mut self.value, &result, names, rules.emit);
        self.offered = Some((partition, *step));
        true
    }

    /// The result as a record; where it is from, and when it came, is for others to say.
    pub(super) fn offered(&self, arrived: Ticks) -> (Record<'_>, GivenResult) {
        let (partition, step) = self.offered.expect("a result is offered");
        let record = Record {
            partition,
            topic: "",
            partition_number: 0,
            offset: 0,
            timestamp_ms: Some(self.end_ms),
            key: Some(self.key.get(1..).unwrap_or_default()),
            value: Some(&self.value),
            headers: Headers::NONE,
            arrived,
        };
        (record, GivenResult { step, number: self.number })
    }

    pub(super) fn taken(&mut self) {
        self.offered = None;
        self.number = self.number.wrapping_add(1);
    }

    /// The partition went back, or away.
    pub(super) fn forget(&mut self, partition: PartitionId) {
        self.offered = self.offered.filter(|(it, _)| *it != partition);
    }
}

fn write_json(out: &mut Vec<u8>, result: &WindowResult<'_>, names: &[String], emit: Emit) {
    out.extend_from_slice(b"{\"key\":");
    match result.key.split_first() {
        Some((&JSON, json)) => out.extend_from_slice(json),
        Some((_, text)) => write_text(out, text),
        None => out.extend_from_slice(b"null"),
    }
    for (name, millis) in [("start", result.start_ms), ("end", result.end_ms)] {
        // Writing to a vector cannot fail; a time past the calendar is its number.
        let _ = match Time::from_nanos(i128::from(millis) * 1_000_000) {
            Some(time) => write!(out, ",\"{name}\":\"{time}\""),
            None => write!(out, ",\"{name}\":{millis}"),
        };
    }
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
