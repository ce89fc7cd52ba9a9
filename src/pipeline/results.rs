//! What a turn's records became: results that wait to be handed over together.
//!
//! One arena of bytes and one list of entries, reused turn after turn. An entry refers to the
//! arena, or to the record that it came from, so that a key that nobody touched is not copied.

use crate::record::{Destination, Headers, Output, Record};

/// Where a result's key, value or headers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// There is none.
    Absent,
    /// As it came in the record.
    OfRecord,
    /// In the arena, from its first byte to the one behind its last.
    Written(u32, u32),
}

/// One result.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Where it goes.
    pub destination: Destination,
    /// A chosen partition, else the partitioner's.
    pub partition_number: Option<i32>,
    /// Milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
    /// The key.
    pub key: Part,
    /// The value.
    pub value: Part,
    /// The headers; `Written` is a block of `Headers::push`.
    pub headers: Part,
}

/// Results in order, of one turn.
#[derive(Debug, Default)]
pub struct Results {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Results {
    /// Takes its memory at once: room for that many bytes and entries.
    pub fn with_capacity(bytes: usize, entries: usize) -> Results {
        Results { bytes: Vec::with_capacity(bytes), entries: Vec::with_capacity(entries) }
    }

    /// Forgets all results, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Takes back what was written since there were that many entries and bytes.
    pub fn truncate(&mut self, entries: usize, bytes: usize) {
        self.entries.truncate(entries);
        self.bytes.truncate(bytes);
    }

    /// Bytes in the arena.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends to the arena what `write` writes: a part.
    ///
    /// # Panics
    ///
    /// Past 4 GiB in one turn, which the bounds on records do not allow.
    #[inline]
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Part {
        let start = self.bytes.len();
        write(&mut self.bytes);
        let end = self.bytes.len();
        assert!(end <= u32::MAX as usize, "{end} bytes of results in one turn");
        Part::Written(start as u32, end as u32)
    }

    /// Adds a result.
    #[inline]
    pub fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Results so far.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The result of that index, borrowed from here and from the record that it came from.
    ///
    /// # Panics
    ///
    /// If there is no such result.
    pub fn output<'a>(&'a self, index: usize, record: &Record<'a>) -> Output<'a> {
        let entry = &self.entries[index];
        let part = |part: Part, of_record: Option<&'a [u8]>| match part {
            Part::Absent => None,
            Part::OfRecord => of_record,
            Part::Written(start, end) => Some(&self.bytes[start as usize..end as usize]),
        };
        let headers = part(entry.headers, Some(record.headers.as_bytes())).unwrap_or_default();
        Output {
            destination: entry.destination,
            partition_number: entry.partition_number,
            timestamp_ms: entry.timestamp_ms,
            key: part(entry.key, record.key),
            value: part(entry.value, record.value),
            headers: Headers::from_bytes(headers),
        }
    }
}
