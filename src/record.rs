//! One message, borrowed from whoever holds it: what came from a source, what goes to a sink.
//!
//! Keys, values and header values are bytes; an absent one (`None`) is not an empty one. Headers
//! travel as one flat block, so that a record can be kept by copying a few slices and nothing here
//! owns memory. The block's layout is private to this file.

use crate::clock::Ticks;

/// The header that `measure` stamps: when the record was due, in nanoseconds since the epoch. The
/// only one under Hotspur's own prefix that travels on to results: it says nothing of what became
/// of a record, and whoever reads a result can tell by it which record that was, and how old.
pub const DUE_HEADER: &[u8] = b"hotspur.due";

/// The header that counts how often a record was sent through again out of the dead letters.
pub const REPLAYS_HEADER: &[u8] = b"hotspur.replays";

/// Headers of this prefix are Hotspur's own and do not travel on, except `DUE_HEADER`.
pub const OWN_HEADERS: &[u8] = b"hotspur.";

/// The header in which an entry of a Redis Stream carries its id, as text. No header of a record
/// from elsewhere can have this name: Kafka's end before a NUL.
pub const ENTRY_ID: &[u8] = b"hotspur.\0id";

/// The same for how often an entry was delivered, where that was too often: it is to be rejected.
pub const EXHAUSTED: &[u8] = b"hotspur.\0deliveries";

/// A partition of some topic, as a small number that the source hands out; dense, below
/// `limits::PARTITIONS_MAX`, and given to another partition only after the source let go of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u16);

/// A topic (or stream) that results go to, numbered by `assemble` from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination(pub u8);

/// One message as it came.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Which partition it came from.
    pub partition: PartitionId,
    /// The topic's name.
    pub topic: &'a str,
    /// The partition's number within its topic.
    pub partition_number: i32,
    /// Its position in the partition.
    pub offset: i64,
    /// Milliseconds since the epoch, as the broker has it.
    pub timestamp_ms: Option<i64>,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, in order.
    pub headers: Headers<'a>,
    /// When the response that carried it arrived in this process.
    pub arrived: Ticks,
}

impl Record<'_> {
    /// Bytes that keeping this record takes: key, value and headers.
    pub fn bytes_len(&self) -> usize {
        self.key.map_or(0, <[u8]>::len)
            + self.value.map_or(0, <[u8]>::len)
            + self.headers.as_bytes().len()
    }
}

impl<'a> Record<'a> {
    /// The id of an entry of a Redis Stream.
    #[inline]
    pub fn entry_id(&self) -> Option<&'a str> {
        // It comes first, where there is one.
        let (name, value) = self.headers.into_iter().next()?;
        value.filter(|_| name == ENTRY_ID).and_then(|it| std::str::from_utf8(it).ok())
    }

    /// How often an entry was delivered, where that was too often.
    #[inline]
    pub fn exhausted(&self) -> Option<&'a str> {
        self.entry_id()?;
        let deliveries = self.headers.value_of(EXHAUSTED).flatten()?;
        std::str::from_utf8(deliveries).ok()
    }
}

/// One message to be produced.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// Where it goes.
    pub destination: Destination,
    /// The partition, where it is chosen; else the sink's partitioner does.
    pub partition_number: Option<i32>,
    /// Milliseconds since the epoch; `None` lets the sink stamp it.
    pub timestamp_ms: Option<i64>,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The value's bytes.
    pub value: Option<&'a [u8]>,
    /// The headers, in order.
    pub headers: Headers<'a>,
}

/// Headers in order, names and values, doubles kept; a value may be absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    block: &'a [u8],
}

const LENGTH_BYTES: usize = size_of::<u32>();
const ABSENT: u32 = u32::MAX;

impl<'a> Headers<'a> {
    /// No headers.
    pub const NONE: Headers<'static> = Headers { block: &[] };

    /// Takes a block that `push` wrote.
    pub fn from_bytes(block: &'a [u8]) -> Headers<'a> {
        Headers { block }
    }

    /// The block itself, to be kept and handed to `from_bytes` later.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.block
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }

    /// Appends one header to a block.
    pub fn push(block: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) {
        let value_len = value.map_or(ABSENT, |it| it.len() as u32);
        block.extend_from_slice(&(name.len() as u32).to_ne_bytes());
        block.extend_from_slice(&value_len.to_ne_bytes());
        block.extend_from_slice(name);
        block.extend_from_slice(value.unwrap_or_default());
    }

    /// The value of the last header of that name.
    pub fn value_of(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        self.filter(|(it, _)| *it == name).last().map(|(_, value)| value)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name_len, rest) = self.block.split_first_chunk::<LENGTH_BYTES>()?;
        let (value_len, rest) = rest.split_first_chunk::<LENGTH_BYTES>()?;
        let (name, rest) = rest.split_at_checked(u32::from_ne_bytes(*name_len) as usize)?;
        let value_len = u32::from_ne_bytes(*value_len);
        if value_len == ABSENT {
            self.block = rest;
            return Some((name, None));
        }
        let (value, rest) = rest.split_at_checked(value_len as usize)?;
        self.block = rest;
        Some((name, Some(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_in_order_doubles_and_absent_values_kept() {
        let mut block = Vec::new();
        Headers::push(&mut block, b"a", Some(b"1"));
        Headers::push(&mut block, b"a", Some(b""));
        Headers::push(&mut block, b"", None);
        let headers = Headers::from_bytes(&block);
        let all: Vec<_> = headers.collect();
        assert_eq!(
            all,
            [(&b"a"[..], Some(&b"1"[..])), (&b"a"[..], Some(&b""[..])), (&b""[..], None::<&[u8]>)]
        );
        assert_eq!(headers.value_of(b"a"), Some(Some(&b""[..])));
        assert_eq!(headers.value_of(b"b"), None);
        assert!(Headers::NONE.is_empty() && !headers.is_empty());
    }
}
