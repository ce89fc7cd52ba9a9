//! Which key a record is likely to look up, read off its bytes before they are parsed.
//!
//! A lookup in a large table is two cache misses, one behind the other. Known early, they pass
//! while other work is done. So the first lookup's key is guessed: where it is a field of the event
//! that holds text, the bytes behind the first `"name":"`. A guess that is wrong (a field of the
//! same name deeper down, white space, an escape) brings a line near that nobody needs, and no
//! more: nothing is ever decided by it.

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

/// How a key is guessed, and of which table.
#[derive(Debug)]
pub(super) struct Foresight {
    pub(super) table: usize,
    from: From,
}

#[derive(Debug)]
enum From {
    /// The record's own key.
    RecordKey,
    /// What stands behind these bytes.
    Behind(Box<Finder<'static>>),
}

impl Foresight {
    /// Nothing, if the operator is no lookup or its key cannot be guessed.
    pub(super) fn of(operator: &Operator, tree: &PathTree) -> Option<Foresight> {
        let Operator::Lookup { table, key, .. } = operator else { return None };
        let from = match key {
            Expression::Record(Field::Key) => From::RecordKey,
            Expression::Event(path) => match tree.path(*path).segments.as_slice() {
                [Segment::Name(name)] => {
                    From::Behind(Box::new(Finder::new(&opening(name)).into_owned()))
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(Foresight { table: *table, from })
    }

    /// The likely key.
    #[inline]
    pub(super) fn guess<'a>(&self, record: &Record<'a>) -> Option<&'a [u8]> {
        match &self.from {
            From::RecordKey => record.key,
            From::Behind(finder) => {
                let value = record.value?;
                let near = &value[..value.len().min(LOOK_BYTES_MAX)];
                let rest = &near[finder.find(near)? + finder.needle().len()..];
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

    fn guess(name: &str, value: &str) -> Option<String> {
        let from = From::Behind(Box::new(Finder::new(&opening(name)).into_owned()));
        let record = Record {
            partition: PartitionId(0),
            topic: "t",
            partition_number: 0,
            offset: 0,
            timestamp_ms: None,
            key: Some(b"k"),
            value: Some(value.as_bytes()),
            headers: Headers::NONE,
            arrived: Ticks(0),
        };
        let own = Foresight { table: 0, from: From::RecordKey };
        assert_eq!(own.guess(&record), Some(&b"k"[..]));
        let guess = Foresight { table: 0, from }.guess(&record);
        guess.map(|it| String::from_utf8(it.to_vec()).unwrap())
    }

    #[test]
    fn a_text_field_is_found_and_nothing_else_is_an_error() {
        assert_eq!(guess("key", r#"{"id":"1","key":"user7","v":1}"#).unwrap(), "user7");
        assert_eq!(guess("a\"b", r#"{"a\"b":"x"}"#).unwrap(), "x");
        for value in ["", "{}", r#"{"key":7}"#, r#"{"key":"cut off"#, r#"{"key" : "x"}"#] {
            assert_eq!(guess("key", value), None, "{value}");
        }
        let far = format!(r#"{{"a":"{}","key":"x"}}"#, "y".repeat(LOOK_BYTES_MAX));
        assert_eq!(guess("key", &far), None);
    }
}
