//! A dead letter read again: what its headers say, and the headers of the record that it was.
//!
//! The other side of writing them. Whatever lies in the topic is looked at, so each of its parts
//! may be missing; headers of later versions are passed over.

use std::fmt;

use super::{PREFIX, STREAMS_NAMES};
use crate::record::{Headers, REPLAYS_HEADER};

/// Where in its partition, or its stream, a record was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position<'a> {
    /// An offset.
    Offset(i64),
    /// The id of an entry.
    Entry(&'a str),
}

impl<'a> Position<'a> {
    fn read(text: &'a str) -> Option<Position<'a>> {
        let offset = text.parse().ok().map(Position::Offset);
        offset.or_else(|| {
            let (ms, number) = text.split_once('-')?;
            let are_numbers = ms.parse::<u64>().is_ok() && number.parse::<u64>().is_ok();
            are_numbers.then_some(Position::Entry(text))
        })
    }
}

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Offset(offset) => offset.fmt(f),
            Position::Entry(id) => id.fmt(f),
        }
    }
}

/// What a dead letter says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenedLetter<'a> {
    /// What kind of failure; empty where nobody says, as for the three below.
    pub class: &'a str,
    /// A sentence.
    pub reason: &'a str,
    /// Where it happened.
    pub step: &'a str,
    /// Whose record it was.
    pub pipeline: &'a str,
    /// Where the record came from: topic or stream, partition, offset or entry.
    pub source: Option<(&'a str, i32, Position<'a>)>,
    /// The record's own time, milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
    /// How often it has been replayed.
    pub replays: u32,
    /// What is known of the whole payload where only a part of it is here.
    pub truncated: Option<&'a str>,
}

impl<'a> OpenedLetter<'a> {
    /// Reads the headers of a letter.
    pub fn open(headers: Headers<'a>) -> OpenedLetter<'a> {
        let text = |name: &str| {
            let value = headers.value_of(name.as_bytes()).flatten();
            value.and_then(|it| std::str::from_utf8(it).ok())
        };
        let source = || {
            let partition = text("hotspur.partition")?.parse().ok()?;
            let position = Position::read(text("hotspur.offset")?)?;
            Some((text("hotspur.topic")?, partition, position))
        };
        let timestamp_ms = text("hotspur.timestamp").and_then(|it| it.parse().ok());
        OpenedLetter {
            class: text("hotspur.class").unwrap_or_default(),
            reason: text("hotspur.reason").unwrap_or_default(),
            step: text("hotspur.step").unwrap_or_default(),
            pipeline: text("hotspur.pipeline").unwrap_or_default(),
            source: source(),
            timestamp_ms: timestamp_ms.filter(|it| *it >= 0),
            replays: text("hotspur.replays").and_then(|it| it.parse().ok()).unwrap_or(0),
            truncated: text("hotspur.truncated"),
        }
    }
}

/// Appends to `block` the headers of the record that the letter was, and how often it has been
/// replayed now.
pub fn write_headers_again(headers: Headers<'_>, replays: u32, block: &mut Vec<u8>) {
    let kept = headers.count() - streams_names_at_end(headers);
    for (name, value) in headers.take(kept).filter(|(name, _)| !name.starts_with(PREFIX)) {
        Headers::push(block, name, value);
    }
    Headers::push(block, REPLAYS_HEADER, Some(itoa::Buffer::new().format(replays).as_bytes()));
}

/// The names of Kafka Streams that `dead_letter` added stand at the end, all of them and in order.
/// Others of that kind came with the record.
fn streams_names_at_end(headers: Headers<'_>) -> usize {
    let last = headers.skip(headers.count().saturating_sub(STREAMS_NAMES.len()));
    let are_ours = last.map(|(name, _)| name).eq(STREAMS_NAMES);
    if are_ours { STREAMS_NAMES.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Ticks,
        delivery::{Cut, dead_letter},
        record::{PartitionId, Record},
        verdict::{RejectClass, Sentence},
    };

    type Pairs<'a> = Vec<(&'a [u8], Option<&'a [u8]>)>;

    fn letter_of(original: &[u8], streams_headers: bool, cut: Option<Cut>) -> Vec<u8> {
        let record = Record {
            partition: PartitionId(0),
            topic: "orders",
            partition_number: 7,
            offset: 42,
            timestamp_ms: Some(1_700_000_000_000),
            key: None,
            value: Some(b"nonsense"),
            headers: Headers::from_bytes(original),
            arrived: Ticks(0),
        };
        let letter = dead_letter::Letter {
            class: RejectClass::NotJson,
            reason: Sentence::from("this is no JSON"),
            step: "parse",
            pipeline: "shop",
            streams_headers,
            cut,
        };
        let mut block = Vec::new();
        dead_letter::write_headers(&letter, &record, &mut block);
        block
    }

    #[test]
    fn a_letter_says_what_was_written_into_it() {
        let mut original = Vec::new();
        Headers::push(&mut original, b"hotspur.replays", Some(b"2"));
        let block = letter_of(&original, false, Some(Cut { len: 9, xxh3: 0xab }));
        let opened = OpenedLetter {
            class: "not_json",
            reason: "this is no JSON",
            step: "parse",
            pipeline: "shop",
            source: Some(("orders", 7, Position::Offset(42))),
            timestamp_ms: Some(1_700_000_000_000),
            replays: 2,
            truncated: Some("length=9, xxh3=00000000000000ab"),
        };
        assert_eq!(OpenedLetter::open(Headers::from_bytes(&block)), opened);
    }

    #[test]
    fn the_records_own_headers_come_back_as_they_were() {
        let mut original = Vec::new();
        Headers::push(&mut original, b"trace", Some(&[0xff, 0]));
        Headers::push(&mut original, b"trace", None);
        Headers::push(&mut original, b"__streams.errors.topic", Some(b"mine"));
        Headers::push(&mut original, b"", Some(b""));
        for streams_headers in [false, true] {
            let block = letter_of(&original, streams_headers, None);
            let mut again = Vec::new();
            write_headers_again(Headers::from_bytes(&block), 1, &mut again);
            let mut expected: Pairs<'_> = Headers::from_bytes(&original).collect();
            expected.push((b"hotspur.replays", Some(b"1")));
            assert_eq!(Headers::from_bytes(&again).collect::<Pairs<'_>>(), expected);
        }
    }

    #[test]
    fn a_position_is_an_offset_or_an_entry() {
        for (text, position) in [
            ("42", Some(Position::Offset(42))),
            ("-7", Some(Position::Offset(-7))),
            ("1732160220000-3", Some(Position::Entry("1732160220000-3"))),
            ("1-2-3", None),
            ("x-1", None),
            ("", None),
        ] {
            assert_eq!(Position::read(text), position, "{text}");
            assert!(position.is_none_or(|it| it.to_string() == text));
        }
    }

    #[test]
    fn what_is_no_letter_says_nothing() {
        let mut block = Vec::new();
        Headers::push(&mut block, b"hotspur.class", Some(&[0xff]));
        Headers::push(&mut block, b"hotspur.replays", None);
        Headers::push(&mut block, b"hotspur.partition", Some(b"x"));
        let opened = OpenedLetter::open(Headers::from_bytes(&block));
        assert_eq!(opened, OpenedLetter::default());
    }
}
