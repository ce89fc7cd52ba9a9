//! One dead letter as it is shown: shortened, and readable whatever bytes it holds.

use std::{cmp::Ordering, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::{
    commands::letters::{Found, readable, show_time},
    delivery::dead_letter::opened::Position,
};

/// Bytes of a key, a payload or a header's value that are kept.
const BYTES_MAX: usize = 1024;

/// Bytes of them that a person sees.
const TEXT_BYTES_MAX: usize = 200;

/// Headers that are kept.
const HEADERS_MAX: usize = 64;

/// Some bytes, cut, and how many there were.
#[derive(Debug)]
struct Shortened {
    bytes: Vec<u8>,
    len: usize,
}

/// Where something is.
#[derive(Debug)]
enum Place {
    Offset(i64),
    /// Of a stream.
    Entry(String),
}

/// A letter.
#[derive(Debug)]
pub(super) struct Sample {
    timestamp_ms: Option<i64>,
    partition: i32,
    /// Of an entry of a stream, its number among those that were read.
    offset: i64,
    place: Place,
    replayed: bool,
    class: String,
    reason: String,
    step: String,
    pipeline: String,
    source: Option<(String, i32, Place)>,
    source_timestamp_ms: Option<i64>,
    replays: u32,
    truncated: Option<String>,
    key: Option<Shortened>,
    value: Option<Shortened>,
    headers: Vec<(String, Option<Shortened>)>,
}

impl Sample {
    /// Takes what will be shown.
    pub(super) fn of(found: &Found<'_>) -> Sample {
        let Found { record, opened: letter, was_replayed: replayed, .. } = *found;
        let own = record.headers.filter(|(name, _)| !name.starts_with(b"hotspur."));
        let headers = own.take(HEADERS_MAX).map(|(name, value)| {
            (String::from_utf8_lossy(name).into_owned(), value.map(Shortened::of))
        });
        Sample {
            timestamp_ms: record.timestamp_ms,
            partition: record.partition_number,
            offset: record.offset,
            place: match record.entry_id() {
                Some(id) => Place::Entry(id.to_owned()),
                None => Place::Offset(record.offset),
            },
            replayed,
            class: letter.class.to_owned(),
            reason: letter.reason.to_owned(),
            step: letter.step.to_owned(),
            pipeline: letter.pipeline.to_owned(),
            source: letter
                .source
                .map(|(topic, number, position)| (topic.to_owned(), number, Place::of(position))),
            source_timestamp_ms: letter.timestamp_ms,
            replays: letter.replays,
            truncated: letter.truncated.map(str::to_owned),
            key: record.key.map(Shortened::of),
            value: record.value.map(Shortened::of),
            headers: headers.collect(),
        }
    }

    /// What orders letters: time, partition, offset.
    pub(super) fn order(&self) -> (Option<i64>, i32, i64) {
        (self.timestamp_ms, self.partition, self.offset)
    }

    /// For people.
    pub(super) fn to_text(&self, topic: &str) -> String {
        let time = self.timestamp_ms.map_or_else(|| "no time".to_owned(), show_time);
        let place = self.place.to_text(topic, self.partition);
        let mut text = format!("{place}, {time}");
        if self.replayed {
            text.push_str(", replayed");
        }
        let mut row = |name: &str, value: String| {
            if !value.is_empty() {
                // Writing to a string cannot fail.
                let _ = write!(text, "\n  {name:<9} {value}");
            }
        };
        let what = [&self.class, &self.step].map(|it| readable(it.as_bytes()));
        row("class", what[0].clone());
        row("step", what[1].clone());
        row("reason", readable(self.reason.as_bytes()));
        row("source", self.source_text());
        row("pipeline", readable(self.pipeline.as_bytes()));
        row("replays", self.replays.to_string());
        row("truncated", self.truncated.as_deref().unwrap_or_default().to_owned());
        row("key", self.key.as_ref().map_or("(absent)".to_owned(), Shortened::to_text));
        for (name, value) in &self.headers {
            let value = value.as_ref().map_or("(absent)".to_owned(), Shortened::to_text);
            row("header", format!("{} = {value}", readable(name.as_bytes())));
        }
        row("payload", self.value.as_ref().map_or("(absent)".to_owned(), Shortened::to_text));
        text
    }

    fn source_text(&self) -> String {
        let Some((topic, number, place)) = &self.source else { return String::new() };
        let at = self.source_timestamp_ms.map(|it| format!(", {}", show_time(it)));
        let place = place.to_text(&readable(topic.as_bytes()), *number);
        format!("{place}{}", at.unwrap_or_default())
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let source = self.source.as_ref().map(|(topic, partition, place)| {
            let timestamp = self.source_timestamp_ms.map(show_time);
            json!({ "topic": topic, "partition": partition, "offset": place.to_json(),
                "timestamp": timestamp })
        });
        let headers = self.headers.iter().map(|(name, value)| {
            json!([name, value.as_ref().map_or(Value::Null, Shortened::to_header_json)])
        });
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| _ = object.insert(name.to_owned(), value);
        put("partition", self.partition.into());
        put("offset", self.place.to_json());
        put("timestamp", self.timestamp_ms.map(show_time).into());
        put("replayed", self.replayed.into());
        put("class", self.class.as_str().into());
        put("step", self.step.as_str().into());
        put("reason", self.reason.as_str().into());
        put("pipeline", self.pipeline.as_str().into());
        put("source", source.unwrap_or(Value::Null));
        put("replays", self.replays.into());
        put("truncated", self.truncated.as_deref().into());
        for (name, part) in [("key", &self.key), ("value", &self.value)] {
            match part.as_ref().map(Shortened::to_json) {
                None => put(name, Value::Null),
                Some(Ok(text)) => put(name, text.into()),
                Some(Err(encoded)) => put(&format!("{name}_base64"), encoded.into()),
            }
            put(&format!("{name}_bytes"), part.as_ref().map(|it| it.len).into());
        }
        put("headers", headers.collect());
        Value::Object(object)
    }
}

impl Place {
    fn of(position: Position<'_>) -> Place {
        match position {
            Position::Offset(offset) => Place::Offset(offset),
            Position::Entry(id) => Place::Entry(id.to_owned()),
        }
    }

    fn to_text(&self, topic: &str, partition: i32) -> String {
        match self {
            Place::Offset(offset) => format!("{topic}[{partition}] offset {offset}"),
            Place::Entry(id) => format!("{topic} entry {id}"),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Place::Offset(offset) => (*offset).into(),
            Place::Entry(id) => id.as_str().into(),
        }
    }
}

impl PartialEq for Sample {
    fn eq(&self, other: &Sample) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Sample {}

impl PartialOrd for Sample {
    fn partial_cmp(&self, other: &Sample) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sample {
    fn cmp(&self, other: &Sample) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl Shortened {
    fn of(bytes: &[u8]) -> Shortened {
        Shortened { bytes: cut(bytes, BYTES_MAX).to_vec(), len: bytes.len() }
    }

    fn to_text(&self) -> String {
        let shown = cut(&self.bytes, TEXT_BYTES_MAX);
        let more =
            if shown.len() < self.len { format!(" … {} bytes", self.len) } else { String::new() };
        let shown = if shown.is_empty() { "(empty)".to_owned() } else { readable(shown) };
        format!("{shown}{more}")
    }

    /// The text, or what is not UTF-8 in base64.
    fn to_json(&self) -> Result<&str, String> {
        std::str::from_utf8(&self.bytes).map_err(|_| STANDARD.encode(&self.bytes))
    }

    fn to_header_json(&self) -> Value {
        match self.to_json() {
            Ok(text) => text.into(),
            Err(encoded) => json!({ "base64": encoded }),
        }
    }
}

/// So many bytes at most; text is cut at a character.
fn cut(bytes: &[u8], max: usize) -> &[u8] {
    if bytes.len() <= max {
        return bytes;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let end = (0..=max).rev().find(|it| text.is_char_boundary(*it));
            &bytes[..end.unwrap_or(0)]
        }
        Err(_) => &bytes[..max],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_so_that_they_can_be_read() {
        assert_eq!(readable("añb\n\u{1b}[2J".as_bytes()), "añb\\n\\u{1b}[2J");
        assert_eq!(readable(&[b'{', 0xff, 0]), "{\\xff\\x00");
        assert_eq!(Shortened::of(b"").to_text(), "(empty)");
        let long = Shortened::of("é".repeat(3000).as_bytes());
        assert_eq!((long.bytes.len(), long.len), (BYTES_MAX, 6000));
        assert!(long.to_text().ends_with("é … 6000 bytes"), "{}", long.to_text());
        let bytes = Shortened::of(&[0xff; 3]);
        assert_eq!(bytes.to_header_json(), json!({ "base64": "////" }));
    }
}
