//! The headers of a dead letter: what was wrong, where the record came from, how often it returned.
//!
//! The letter itself is the record's raw key and payload; this writes the header block, original
//! headers first. Each of ours stands once: what an earlier letter left under the same prefix goes,
//! except the count of replays, which is carried on. `opened` reads letters again, `replayed` knows
//! which of them have been sent through once more.

pub mod opened;
pub mod replayed;

use std::io::Write;

use super::Cut;
use crate::{
    record::{Headers, REPLAYS_HEADER, Record},
    verdict::{RejectClass, Sentence},
};

/// Headers under this prefix are ours.
pub const PREFIX: &[u8] = b"hotspur.";

/// What Kafka Streams calls class, reason, topic, partition and offset.
pub(super) const STREAMS_NAMES: [&[u8]; 5] = [
    b"__streams.errors.exception",
    b"__streams.errors.message",
    b"__streams.errors.topic",
    b"__streams.errors.partition",
    b"__streams.errors.offset",
];

/// What a letter says beside the record.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// What kind of failure.
    pub class: RejectClass,
    /// A sentence.
    pub reason: Sentence,
    /// The step's name, else its number from 1, or `parse`, `encode`, `sink`.
    pub step: &'a str,
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// Also write the names that Kafka Streams uses (KIP-1034).
    pub streams_headers: bool,
    /// What is missing from the payload.
    pub cut: Option<Cut>,
}

/// Appends the letter's header block to `block`.
pub fn write_headers(letter: &Letter<'_>, record: &Record<'_>, block: &mut Vec<u8>) {
    for (name, value) in record.headers.filter(|(name, _)| !name.starts_with(PREFIX)) {
        Headers::push(block, name, value);
    }
    let replays = record.headers.value_of(REPLAYS_HEADER).flatten().unwrap_or(b"0");
    let mut digits = [itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new()];
    let [partition, offset, timestamp] = &mut digits;
    let partition = partition.format(record.partition_number).as_bytes();
    let offset = record.entry_id().unwrap_or_else(|| offset.format(record.offset)).as_bytes();
    let timestamp = timestamp.format(record.timestamp_ms.unwrap_or(-1)).as_bytes();
    let ours: [(&[u8], &[u8]); 9] = [
        (b"hotspur.class", letter.class.name().as_bytes()),
        (b"hotspur.reason", letter.reason.as_str().as_bytes()),
        (b"hotspur.step", letter.step.as_bytes()),
        (b"hotspur.topic", record.topic.as_bytes()),
        (b"hotspur.partition", partition),
        (b"hotspur.offset", offset),
        (b"hotspur.timestamp", timestamp),
        (b"hotspur.pipeline", letter.pipeline.as_bytes()),
        (REPLAYS_HEADER, replays),
    ];
    for (name, value) in ours {
        Headers::push(block, name, Some(value));
    }
    if let Some(cut) = letter.cut {
        let mut text = [0u8; 64];
        let text_len = write_cut(&mut text, cut);
        Headers::push(block, b"hotspur.truncated", Some(&text[..text_len]));
    }
    if letter.streams_headers {
        write_streams_headers(letter, record.topic, partition, offset, block);
    }
}

fn write_streams_headers(
    letter: &Letter<'_>,
    topic: &str,
    partition: &[u8],
    offset: &[u8],
    block: &mut Vec<u8>,
) {
    let values = [
        letter.class.name().as_bytes(),
        letter.reason.as_str().as_bytes(),
        topic.as_bytes(),
        partition,
        offset,
    ];
    for (name, value) in STREAMS_NAMES.into_iter().zip(values) {
        Headers::push(block, name, Some(value));
    }
}

/// `length=…, xxh3=…`: the whole payload's length in bytes and its hash in 16 hex digits.
fn write_cut(text: &mut [u8; 64], cut: Cut) -> usize {
    let mut rest = &mut text[..];
    // 64 bytes hold the longest: 7 + 20 + 7 + 16.
    let _ = write!(rest, "length={}, xxh3={:016x}", cut.len, cut.xxh3);
    let rest_len = rest.len();
    text.len() - rest_len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Ticks, record::PartitionId};

    fn record(block: &[u8]) -> Record<'_> {
        Record {
            partition: PartitionId(0),
            topic: "orders",
            partition_number: 7,
            offset: 42,
            timestamp_ms: Some(1_700_000_000_000),
            key: None,
            value: Some(b"nonsense"),
            headers: Headers::from_bytes(block),
            arrived: Ticks(0),
        }
    }

    fn letter() -> Letter<'static> {
        Letter {
            class: RejectClass::NotJson,
            reason: Sentence::from("this is no JSON"),
            step: "parse",
            pipeline: "orders",
            streams_headers: false,
            cut: None,
        }
    }

    fn text(block: &[u8]) -> Vec<String> {
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Headers::from_bytes(block)
            .map(|(name, value)| format!("{}={}", show(name), value.map_or("-".into(), show)))
            .collect()
    }

    #[test]
    fn each_of_ours_stands_once_after_the_original_ones() {
        let mut original = Vec::new();
        Headers::push(&mut original, b"trace", None);
        Headers::push(&mut original, b"hotspur.class", Some(b"old"));
        Headers::push(&mut original, b"trace", Some(b"2"));
        Headers::push(&mut original, b"hotspur.replays", Some(b"2"));
        let mut block = Vec::new();
        write_headers(&letter(), &record(&original), &mut block);
        assert_eq!(
            text(&block),
            [
                "trace=-",
                "trace=2",
                "hotspur.class=not_json",
                "hotspur.reason=this is no JSON",
                "hotspur.step=parse",
                "hotspur.topic=orders",
                "hotspur.partition=7",
                "hotspur.offset=42",
                "hotspur.timestamp=1700000000000",
                "hotspur.pipeline=orders",
                "hotspur.replays=2",
            ]
        );
    }

    #[test]
    fn a_cut_and_the_names_of_streams_are_added() {
        let cut = Some(Cut { len: usize::MAX, xxh3: 0xab });
        let letter = Letter { streams_headers: true, cut, ..letter() };
        let mut block = Vec::new();
        write_headers(&letter, &record(&[]), &mut block);
        let text = text(&block);
        let truncated =
            "hotspur.truncated=length=18446744073709551615, xxh3=00000000000000ab".to_owned();
        assert!(text.contains(&truncated), "{text:?}");
        assert!(text.contains(&"__streams.errors.offset=42".to_owned()), "{text:?}");
    }
}
