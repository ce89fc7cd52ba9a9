//! Which dead letters have been replayed: a compacted topic beside theirs, and it alone decides.
//!
//! Each replay is one record in `<dead letters>.replayed`: its key is the letter's topic, partition
//! and offset, its value says when and what became of it. It is written in one transaction with the
//! copy, so a letter is recorded if and only if its copy is there. What a replay passed over, for
//! its filters or for anything else, is not recorded, and stays for a later one.
//!
//! Of letters in a Redis Stream it is a hash of that name, a letter's entry id its key, written by
//! one script with the copy.
//!
//! A topic that was deleted and made again counts its offsets anew. So the value also carries a
//! mark of the letter itself, and a record whose mark is another's is about another letter.

use std::collections::HashMap;

use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::opened::{OpenedLetter, Position};

/// The topic, or the hash, that holds the records of letters in that one.
pub fn topic_of(dead_letters: &str) -> String {
    format!("{dead_letters}.replayed")
}

/// The key under which a letter is recorded.
pub fn key_of(topic: &str, partition: i32, offset: i64) -> String {
    format!("{topic}:{partition}:{offset}")
}

/// What is recorded about a letter.
pub fn value_of(mark: u64, became: &str, place: &str, at: &str) -> String {
    json!({ "v": 1, "at": at, "became": became, "to": place, "mark": show(mark) }).to_string()
}

/// A mark as text.
pub fn show(mark: u64) -> String {
    format!("{mark:016x}")
}

/// Whether what is recorded is about the letter with that mark. What has none fits any letter.
pub fn is_about(recorded: &[u8], mark: u64) -> bool {
    mark_in(recorded).is_none_or(|it| it == mark)
}

/// Tells letters apart that have the same place in different lives of a topic: by their time, and
/// by where the record came from.
pub fn mark_of(letter: &OpenedLetter<'_>, timestamp_ms: Option<i64>) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&timestamp_ms.unwrap_or(-1).to_le_bytes());
    if let Some((topic, partition, position)) = letter.source {
        hash.update(&partition.to_le_bytes());
        match position {
            Position::Offset(offset) => hash.update(&offset.to_le_bytes()),
            Position::Entry(id) => hash.update(id.as_bytes()),
        }
        hash.update(topic.as_bytes());
    }
    hash.digest()
}

/// Letters of one topic that have been replayed.
#[derive(Debug)]
pub struct Replayed {
    prefix: String,
    /// The mark by partition and offset; `None` where it cannot be read, which fits any letter.
    letters: HashMap<(i32, i64), Option<u64>>,
}

impl Replayed {
    /// None so far, of the letters in that topic.
    pub fn of(dead_letters: &str) -> Replayed {
        Replayed { prefix: format!("{dead_letters}:"), letters: HashMap::new() }
    }

    /// Takes one record of the compacted topic, in order. `low` is the oldest offset that the
    /// letters' partition still has: what is recorded of older ones is not kept.
    pub fn take(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        low: impl Fn(i32) -> Option<i64>,
    ) {
        let place = key.and_then(|it| self.place(std::str::from_utf8(it).ok()?));
        let Some((partition, offset)) = place else { return };
        match value {
            None => _ = self.letters.remove(&(partition, offset)),
            Some(value) if low(partition).is_some_and(|low| offset >= low) => {
                self.letters.insert((partition, offset), mark_in(value));
            }
            Some(_) => {}
        }
    }

    fn place(&self, key: &str) -> Option<(i32, i64)> {
        let (partition, offset) = key.strip_prefix(&self.prefix)?.split_once(':')?;
        Some((partition.parse().ok()?, offset.parse().ok()?))
    }

    /// Whether that letter has been replayed.
    pub fn contains(&self, partition: i32, offset: i64, mark: u64) -> bool {
        let known = self.letters.get(&(partition, offset));
        known.is_some_and(|known| known.is_none_or(|it| it == mark))
    }

    /// How many are recorded.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// True if none are.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }
}

fn mark_in(value: &[u8]) -> Option<u64> {
    let value: Value = serde_json::from_slice(value).ok()?;
    u64::from_str_radix(value.get("mark")?.as_str()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_known_again_by_place_and_mark() {
        let letter = OpenedLetter {
            source: Some(("orders", 1, Position::Offset(2))),
            ..OpenedLetter::default()
        };
        let (mark, other) = (mark_of(&letter, Some(5)), mark_of(&letter, Some(6)));
        assert_ne!(mark, other);
        let mut replayed = Replayed::of("orders:dead");
        let value = value_of(mark, "copied", "orders", "2026-11-21T05:37:00Z");
        let mut take = |key: String, value: Option<&str>| {
            replayed.take(Some(key.as_bytes()), value.map(str::as_bytes), |_| Some(10));
        };
        take(key_of("orders:dead", 3, 10), Some(&value));
        take(key_of("orders:dead", 3, 9), Some(&value));
        take(key_of("another", 3, 11), Some(&value));
        take(key_of("orders:dead", 3, 12), Some("words"));
        take(key_of("orders:dead", 3, 13), Some(&value));
        take(key_of("orders:dead", 3, 13), None);
        replayed.take(None, Some(b""), |_| None);
        assert!(replayed.contains(3, 10, mark));
        assert!(!replayed.contains(3, 10, other), "the same place in another life of the topic");
        assert!(!replayed.contains(3, 9, mark), "gone from the letters' topic");
        assert!(!replayed.contains(3, 11, mark));
        assert!(replayed.contains(3, 12, other), "without a mark it is not copied again");
        assert!(!replayed.contains(3, 13, mark), "taken back");
        assert_eq!(replayed.len(), 2);
    }
}
