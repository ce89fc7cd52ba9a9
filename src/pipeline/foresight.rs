//! Which key a record is likely to look up, read off its bytes before they are parsed.
//!
//! A lookup in a large table is two cache misses, one behind the other. Known early, they pass
//! while other work is done. So the first lookup's key is guessed: where it is a field of the event
//! that holds text, the bytes behind the first `"name":"`. A guess that is wrong (a field of the
//! same name deeper down, white space, an escape) brings a line near that nobody needs, and no
//! more: nothing is ever decided by it.

use std::cell::Cell;

use memchr::memmem::Finder;

use crate::{
    codec::{PathTree, Segment, push_text},
    pipeline::{
        compile::Operator,
        expression::{Expression, Field},
    },
    record::Record,
};

/// How far into a value a guess is worth looking.
const LOOK_BYTES_MAX: usize = 512;

/// How a key is guessed, and of which table or store.
#[derive(Debug)]
pub(super) struct Foresight {
    pub(super) number: usize,
    from: From,
}

#[derive(Debug)]
enum From {
    /// The record's own key.
    RecordKey,
    /// What stands behind these bytes; and where they stood last: records of one topic resemble
    /// each other, so they are looked for there first.
    Behind(Box<Finder<'static>>, Cell<usize>),
}

impl Foresight {
    /// Nothing, if the operator is no lookup or its key cannot be guessed.
    pub(super) fn of(operator: &Operator, tree: &PathTree) -> Option<Foresight> {
        let Operator::Lookup { table, key, .. } = operator else { return None };
        Foresight::of_key(*table, key, tree)
    }

    /// Nothing, if the operator keeps no state or its key cannot be guessed.
    pub(super) fn of_state(operator: &Operator, tree: &PathTree) -> Option<Foresight> {
        let (store, key) = match operator {
            Operator::Dedup(dedup) => (dedup.store, &dedup.key),
            Operator::Window(window) => (window.store, &window.key),
            _ => return None,
        };
        Foresight::of_key(store, key, tree)
    }

    fn of_key(number: usize, key: &Expression, tree: &PathTree) -> Option<Foresight> {
        let from = match key {
            Expression::Record(Field::Key) => From::RecordKey,
            Expression::Event(path) => match tree.path(*path).segments.as_slice() {
                [Segment::Name(name)] => {
                    let finder = Finder::new(&opening(name)).into_owned();
                    From::Behind(Box::new(finder), Cell::new(0))
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(Foresight { number, from })
    }

    /// The likely key.
    #[inline]
    pub(super) fn guess<'a>(&self, record: &Record<'a>) -> Option<&'a [u8]> {
        match &self.from {
            From::RecordKey => record.key,
            From::Behind(finder, last) => {
                let value = record.value?;
                let near = &value[..value.len().min(LOOK_BYTES_MAX)];
                let needle = finder.needle();
                let there = near.get(last.get()..);
                if !there.is_some_and(|it| it.starts_with(needle)) {
                    last.set(finder.find(near)?);
                }
                let rest = &near[last.get() + needle.len()..];
                rest.get(..memchr::memchr(b'"', rest)?)
            }
        }
    }
}

/// How a field that holds text begins where nobody put white space.
fn opening(name: &str) -> Vec<u8> {
    let mut opening = Vec::new();
    push_text(&mut opening, name.as_bytes());
    opening.extend_from_slice(b":\"");
    opening
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Ticks,
        record::{Headers, PartitionId},
    };

    fn record(value: &str) -> Record<'_> {
        Record {
            partition: PartitionId(0),
            topic: "t",
            partition_number: 0,
            offset: 0,
            timestamp_ms: None,
            key: Some(b"k"),
            value: Some(value.as_bytes()),
            headers: Headers::NONE,
            arrived: Ticks(0),
        }
    }

    fn behind(name: &str) -> Foresight {
        let finder = Finder::new(&opening(name)).into_owned();
        Foresight { number: 0, from: From::Behind(Box::new(finder), Cell::new(0)) }
    }

    #[test]
    fn a_text_field_is_found_wherever_the_last_one_stood() {
        let own = Foresight { number: 0, from: From::RecordKey };
        assert_eq!(own.guess(&record("")), Some(&b"k"[..]));
        assert_eq!(behind("a\"b").guess(&record(r#"{"a\"b":"x"}"#)), Some(&b"x"[..]));
        let foresight = behind("key");
        let far = format!(r#"{{"a":"{}","key":"x"}}"#, "y".repeat(LOOK_BYTES_MAX));
        let near = format!(r#"{{"a":"{}","key":"x"}}"#, "y".repeat(LOOK_BYTES_MAX - 20));
        let cases = [
            (r#"{"id":"1","key":"user7","v":1}"#, Some("user7")),
            (r#"{"id":"2","key":"user8","v":1}"#, Some("user8")),
            (r#"{"key":"x","id":1}"#, Some("x")),
            ("", None),
            ("{}", None),
            (r#"{"key":7}"#, None),
            (r#"{"key":"cut off"#, None),
            (r#"{"key" : "x"}"#, None),
            (near.as_str(), Some("x")),
            (far.as_str(), None),
            (r#"{"key":"x","id":1}"#, Some("x")),
        ];
        for (value, key) in cases {
            assert_eq!(foresight.guess(&record(value)), key.map(str::as_bytes), "{value}");
        }
    }
}
