//! A result as the words of an `XADD`, behind the command itself.
//!
//! A stream is trimmed by some of its entries only: `MAXLEN` costs the server a third of what an
//! `XADD` costs it otherwise, and removes nothing until a whole node of its entries is over.

use super::resp;
use crate::{
    limits::STREAM_TRIM_EVERY_MAX,
    record::{Destination, Output},
};

/// The field of a dead letter's payload, whatever results call theirs.
const PAYLOAD: &[u8] = b"payload";

/// Bytes that a word takes beside its own, at most.
const WORD: usize = 16;

/// How results are written.
#[derive(Clone, Debug)]
pub(super) struct EntryForm {
    /// In the order of their destinations.
    streams: Vec<String>,
    /// The field of a result's value.
    field: String,
    /// About so many entries stay in a stream of results.
    maxlen: Option<u64>,
    /// From this destination on they are dead letters.
    letters_from: Destination,
    /// For each stream, entries until the next one that trims it.
    until_trim: Vec<u64>,
}

impl EntryForm {
    /// For these streams, in the order of their destinations, from `letters_from` on dead letters.
    /// Results have their value in `field`, and about `maxlen` of them stay.
    pub(super) fn new(
        streams: Vec<String>,
        letters_from: Destination,
        field: String,
        maxlen: Option<u64>,
    ) -> EntryForm {
        let until_trim = vec![0; streams.len()];
        EntryForm { streams, field, maxlen, letters_from, until_trim }
    }

    /// The streams, in the order of their destinations.
    pub(super) fn streams(&self) -> &[String] {
        &self.streams
    }

    /// What the next entry into a stream trims it to, if it does: one of a hundredth of that.
    fn trim(&mut self, stream: usize) -> Option<u64> {
        let (maxlen, left) = (self.maxlen?, &mut self.until_trim[stream]);
        let trims = *left == 0;
        *left = if trims { (maxlen / 100).clamp(1, STREAM_TRIM_EVERY_MAX) } else { *left } - 1;
        trims.then_some(maxlen)
    }

    /// Writes the words of a result; how many those are. `head` is written before them, told that
    /// number.
    pub(super) fn write(
        &mut self,
        output: &Output<'_>,
        out: &mut Vec<u8>,
        head: impl FnOnce(&mut Vec<u8>, usize),
    ) -> usize {
        let is_letter = output.destination >= self.letters_from;
        let stream = usize::from(output.destination.0);
        let maxlen = if is_letter { None } else { self.trim(stream) };
        let field = if is_letter { PAYLOAD } else { self.field.as_bytes() };
        // An entry has at least one field.
        let is_bare = output.key.is_none() && output.headers.is_empty();
        let value = output.value.or(is_bare.then_some(&[][..]));
        let pairs = usize::from(output.key.is_some())
            + usize::from(value.is_some())
            + output.headers.count();
        let words = 2 + 3 * usize::from(maxlen.is_some()) + 2 * pairs;
        head(out, words);
        resp::word(out, self.streams[stream].as_bytes());
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
        let streams = ["out", "dead"].map(str::to_owned).to_vec();
        let mut form = EntryForm::new(streams, Destination(1), "body".to_owned(), Some(10));
        let mut block = Vec::new();
        Headers::push(&mut block, b"a", Some(b"1"));
        Headers::push(&mut block, b"b", None);
        let mut written = |destination, key, value, block| {
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

    #[test]
    fn each_stream_is_trimmed_by_one_entry_of_a_hundredth_of_its_length() {
        for (maxlen, every) in [(1, 1), (199, 1), (1000, 10), (1 << 40, STREAM_TRIM_EVERY_MAX)] {
            let streams = ["a", "b"].map(str::to_owned).to_vec();
            let mut form = EntryForm::new(streams, Destination(2), "v".to_owned(), Some(maxlen));
            // One after the other in turn, which a count over both would never trim evenly.
            for entry in 0..3 * every {
                for stream in 0..2 {
                    let expected = (entry % every == 0).then_some(maxlen);
                    assert_eq!(form.trim(stream), expected, "entry {entry} of {stream}, {maxlen}");
                }
            }
        }
        let unbounded = EntryForm::new(vec!["a".to_owned()], Destination(1), String::new(), None);
        assert_eq!(unbounded.clone().trim(0), None);
    }
}
