//! A result as the words of an `XADD`, behind the command itself.

use super::resp;
use crate::record::{Destination, Output};

/// The field of a dead letter's payload, whatever results call theirs.
const PAYLOAD: &[u8] = b"payload";

/// Bytes that a word takes beside its own, at most.
const WORD: usize = 16;

/// How results are written.
#[derive(Clone, Debug)]
pub(super) struct EntryForm {
    /// In the order of their destinations.
    pub(super) streams: Vec<String>,
    /// The field of a result's value.
    pub(super) field: String,
    /// About so many entries stay in a stream of results.
    pub(super) maxlen: Option<u64>,
    /// From this destination on they are dead letters.
    pub(super) letters_from: Destination,
}

impl EntryForm {
    /// Writes the words of a result; how many those are. `head` is written before them, told that
    /// number.
    pub(super) fn write(
        &self,
        output: &Output<'_>,
        out: &mut Vec<u8>,
        head: impl FnOnce(&mut Vec<u8>, usize),
    ) -> usize {
        let is_letter = output.destination >= self.letters_from;
        let field = if is_letter { PAYLOAD } else { self.field.as_bytes() };
        let maxlen = self.maxlen.filter(|_| !is_letter);
        // An entry has at least one field.
        let is_bare = output.key.is_none() && output.headers.is_empty();
        let value = output.value.or(is_bare.then_some(&[][..]));
        let pairs = usize::from(output.key.is_some())
            + usize::from(value.is_some())
            + output.headers.count();
        let words = 2 + 3 * usize::from(maxlen.is_some()) + 2 * pairs;
        head(out, words);
        resp::word(out, self.streams[usize::from(output.destination.0)].as_bytes());
        if let Some(maxlen) = maxlen {
            resp::word(out, b"MAXLEN");
            resp::word(out, b"~");
            resp::number(out, maxlen);
        }
        resp::word(out, b"*");
        if let Some(key) = output.key {
            resp::word(out, b"key");
            resp::word(out, key);
        }
        if let Some(value) = value {
            resp::word(out, field);
            resp::word(out, value);
        }
        for (name, value) in output.headers {
            resp::word(out, name);
            resp::word(out, value.unwrap_or_default());
        }
        words
    }

    /// Bytes that those words and a command before them take at most.
    pub(super) fn bytes_max(&self, output: &Output<'_>) -> usize {
        let stream = &self.streams[usize::from(output.destination.0)];
        let part = |bytes: Option<&[u8]>| bytes.map_or(0, |it| it.len() + 2 * WORD);
        let headers = output.headers.map(|(name, value)| name.len() + WORD + part(value) + WORD);
        let names = stream.len() + self.field.len();
        12 * WORD + names + part(output.key) + part(output.value) + headers.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Headers;

    #[test]
    fn results_and_letters_are_written_with_their_fields_and_within_the_bound() {
        let form = EntryForm {
            streams: vec!["out".to_owned(), "dead".to_owned()],
            field: "body".to_owned(),
            maxlen: Some(10),
            letters_from: Destination(1),
        };
        let mut block = Vec::new();
        Headers::push(&mut block, b"a", Some(b"1"));
        Headers::push(&mut block, b"b", None);
        let written = |destination, key, value, block| {
            let output = Output {
                destination: Destination(destination),
                partition_number: None,
                timestamp_ms: None,
                key,
                value,
                headers: Headers::from_bytes(block),
            };
            let mut out = Vec::new();
            let words = form.write(&output, &mut out, |_, _| {});
            assert!(out.len() <= form.bytes_max(&output));
            let mut items = resp::Items::of(&out);
            let texts: Vec<_> = (0..words).map(|_| items.bytes().unwrap()).collect();
            assert!(items.rest().is_empty());
            String::from_utf8(texts.join(&b' ')).unwrap()
        };
        let key = Some(&b"k"[..]);
        assert_eq!(
            written(0, key, Some(b"v"), &block[..]),
            "out MAXLEN ~ 10 * key k body v a 1 b "
        );
        assert_eq!(written(1, None, None, &block), "dead * a 1 b ");
        assert_eq!(written(0, None, None, &[]), "out MAXLEN ~ 10 * body ");
        assert_eq!(written(1, None, Some(b"v"), &[]), "dead * payload v");
    }
}
