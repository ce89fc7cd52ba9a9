//! Values that are kept as they are: the first, the last, and those that are collected.
//!
//! First and last are so by the records' time, and among equal times by their offsets; so parts of
//! a window that are joined have one first. What is collected stands in the order of offsets, and
//! later values than may be kept are passed over. A value stands as JSON.

use super::{
    At,
    bytes::{LENGTH_BYTES, Part, length_at},
};

const TIME_BYTES: usize = 8;
const AT_BYTES: usize = 16;

fn at_of(bytes: &[u8]) -> At {
    let part = |from: usize| {
        i64::from_le_bytes(bytes[from..from + TIME_BYTES].try_into().expect("eight bytes"))
    };
    At { time: part(0), offset: part(TIME_BYTES) }
}

/// The earliest or the latest: a time, an offset, JSON. Empty if there is none.
pub(super) mod edge {
    use super::{AT_BYTES, At, Part, TIME_BYTES, at_of};

    pub(in crate::state::aggregate) fn add(
        mut part: Part<'_>,
        at: At,
        json: &[u8],
        is_first: bool,
    ) {
        let is_further = |kept: At| if is_first { at < kept } else { at > kept };
        if part.len() > 0 && !is_further(at_of(part.get())) {
            return;
        }
        part.replace(json);
        part.open(0, AT_BYTES);
        part.get_mut()[..TIME_BYTES].copy_from_slice(&at.time.to_le_bytes());
        part.get_mut()[TIME_BYTES..AT_BYTES].copy_from_slice(&at.offset.to_le_bytes());
    }

    pub(in crate::state::aggregate) fn is_sound(part: &[u8]) -> bool {
        part.is_empty() || part.len() > AT_BYTES
    }

    pub(in crate::state::aggregate) fn merge(part: Part<'_>, other: &[u8], is_first: bool) {
        if !other.is_empty() {
            add(part, at_of(other), &other[AT_BYTES..], is_first);
        }
    }

    pub(in crate::state::aggregate) fn write(part: &[u8], json: &mut Vec<u8>) {
        json.extend_from_slice(part.get(AT_BYTES..).unwrap_or(b"null"));
    }
}

/// Values with their offsets: an offset, a length, JSON, for each.
pub(super) mod list {
    use super::{LENGTH_BYTES, Part, length_at};

    const OFFSET_BYTES: usize = 8;
    const HEAD: usize = OFFSET_BYTES + LENGTH_BYTES;

    fn offset_of(value: &[u8]) -> i64 {
        i64::from_le_bytes(value[..OFFSET_BYTES].try_into().expect("eight bytes"))
    }

    /// The values, each with its head.
    fn values(mut part: &[u8]) -> impl Iterator<Item = &[u8]> {
        std::iter::from_fn(move || {
            if part.is_empty() {
                return None;
            }
            let (value, rest) = part.split_at(HEAD + length_at(part, OFFSET_BYTES));
            part = rest;
            Some(value)
        })
    }

    pub(in crate::state::aggregate) fn is_sound(mut part: &[u8]) -> bool {
        while part.len() >= HEAD {
            let bytes = HEAD + length_at(part, OFFSET_BYTES);
            let Some((_, rest)) = part.split_at_checked(bytes) else { return false };
            part = rest;
        }
        part.is_empty()
    }

    /// Puts it where its offset belongs, and drops what is beyond `most`.
    fn insert(part: &mut Part<'_>, value: &[u8], most: u32) {
        let (mut at, mut count, mut last) = (0, 0, 0);
        for kept in values(part.get()) {
            if offset_of(kept) <= offset_of(value) {
                at += kept.len();
            }
            (count, last) = (count + 1, kept.len());
        }
        if count == most {
            if at == part.len() {
                return;
            }
            part.close(part.len() - last, last);
        }
        part.insert(at, value);
    }

    pub(in crate::state::aggregate) fn add(
        mut part: Part<'_>,
        offset: i64,
        json: &mut Vec<u8>,
        most: u32,
    ) {
        let len = json.len() as u32;
        let mut head = [0; HEAD];
        head[..OFFSET_BYTES].copy_from_slice(&offset.to_le_bytes());
        head[OFFSET_BYTES..].copy_from_slice(&len.to_le_bytes());
        json.splice(..0, head);
        insert(&mut part, json, most);
    }

    pub(in crate::state::aggregate) fn merge(mut part: Part<'_>, other: &[u8], most: u32) {
        values(other).for_each(|value| insert(&mut part, value, most));
    }

    pub(in crate::state::aggregate) fn write(part: &[u8], json: &mut Vec<u8>) {
        json.push(b'[');
        for (number, value) in values(part).enumerate() {
            json.extend_from_slice(if number == 0 { b"" } else { b"," });
            json.extend_from_slice(&value[HEAD..]);
        }
        json.push(b']');
    }
}
