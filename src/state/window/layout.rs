//! One key's windows as bytes: in memory, and as the value of an entry in the state's topic.
//!
//! ```text
//! value   offset up to which it counts, i64: of the last record counted, or, once written, of the
//!         last before the commit's position
//!         windows that end up to there are closed, i64
//!         windows, one after another: by start; those by count in the order in which they began
//! window  its length in all, u32
//!         records, u64
//!         start and end, i64 each
//!         cells and parts of the aggregates
//! ```
//!
//! All little-endian. In memory the key stands before it, so that an entry is one block.

use super::super::aggregate::{LENGTH_BYTES, Plan, close, length_at, open, set_length};

/// Bytes of a value without windows.
pub(super) const VALUE_HEAD: usize = 16;
const CLOSED_TO: usize = 8;

/// Bytes of a window before its aggregates.
pub(super) const WINDOW_HEAD: usize = LENGTH_BYTES + 24;
const RECORDS: usize = LENGTH_BYTES;
const START: usize = RECORDS + 8;
const END: usize = START + 8;

/// Reads eight bytes.
#[inline]
fn number(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[inline]
fn set_number(bytes: &mut [u8], at: usize, number: i64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

#[inline]
pub(super) fn offset(value: &[u8]) -> i64 {
    number(value, 0)
}

#[inline]
pub(super) fn set_offset(value: &mut [u8], offset: i64) {
    set_number(value, 0, offset);
}

#[inline]
pub(super) fn closed_to(value: &[u8]) -> i64 {
    number(value, CLOSED_TO)
}

pub(super) fn set_closed_to(value: &mut [u8], time: i64) {
    set_number(value, CLOSED_TO, time);
}

/// A value without windows, of a key that was never counted.
pub(super) fn empty() -> [u8; VALUE_HEAD] {
    let mut value = [0; VALUE_HEAD];
    set_offset(&mut value, -1);
    set_closed_to(&mut value, i64::MIN);
    value
}

/// A window, and where it stands in the bytes it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) at: usize,
    pub(super) len: usize,
    pub(super) records: u64,
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Found {
    #[inline]
    fn read(bytes: &[u8], at: usize) -> Found {
        Found {
            at,
            len: length_at(bytes, at),
            records: number(bytes, at + RECORDS) as u64,
            start: number(bytes, at + START),
            end: number(bytes, at + END),
        }
    }

    /// Where it ends.
    pub(super) fn behind(&self) -> usize {
        self.at + self.len
    }

    /// Where its aggregates begin.
    pub(super) fn aggregates(&self) -> usize {
        self.at + WINDOW_HEAD
    }

    /// Writes everything but the aggregates, whose bytes in all are `len`.
    #[inline]
    pub(super) fn write(&self, bytes: &mut [u8]) {
        set_length(bytes, self.at, self.len);
        set_number(bytes, self.at + RECORDS, self.records as i64);
        set_number(bytes, self.at + START, self.start);
        set_number(bytes, self.at + END, self.end);
    }
}

/// The windows behind a value's head, which ends at `at`.
pub(super) fn windows(bytes: &[u8], at: usize) -> Walk<'_> {
    Walk { bytes, at }
}

/// Goes from window to window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Walk<'_> {
    type Item = Found;

    #[inline]
    fn next(&mut self) -> Option<Found> {
        let found = (self.at < self.bytes.len()).then(|| Found::read(self.bytes, self.at))?;
        self.at = found.behind();
        Some(found)
    }
}

/// Makes a window without records at that position of an entry's copy.
pub(super) fn insert(entry: &mut Vec<u8>, at: usize, times: (i64, i64), plan: &Plan) -> Found {
    let len = WINDOW_HEAD + plan.empty_bytes();
    open(entry, at, len);
    let found = Found { at, len, records: 0, start: times.0, end: times.1 };
    found.write(entry);
    found
}

/// Takes a window out of an entry's copy.
pub(super) fn remove(entry: &mut Vec<u8>, window: Found) {
    close(entry, window.at, window.len);
}

/// Whether these bytes can be a value of such windows.
pub(super) fn is_sound(value: &[u8], plan: &Plan) -> bool {
    if value.len() < VALUE_HEAD || offset(value) < 0 {
        return false;
    }
    let mut at = VALUE_HEAD;
    while at < value.len() {
        if value.len() - at < WINDOW_HEAD {
            return false;
        }
        let found = Found::read(value, at);
        let is_long = found.len >= WINDOW_HEAD && found.behind() <= value.len();
        let is_real = found.records > 0 && found.start <= found.end;
        if !is_long || !is_real || !plan.is_sound(&value[found.aggregates()..found.behind()]) {
            return false;
        }
        at = found.behind();
    }
    true
}
