//! Letters that go into one transaction: what is written for each, and what is recorded of it.

use std::time::{Duration, Instant};

use super::fate::Fate;
use crate::{
    clock::Ticks,
    commands::letters::Found,
    limits::{REPLAY_BATCH_BYTES, REPLAY_BATCH_LETTERS},
    record::{Destination, Headers, Output, PartitionId, Record},
};

/// How old a batch becomes, if nothing else ends it.
const AGE_MAX: Duration = Duration::from_millis(200);

/// A letter of its own.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) partition: i32,
    /// Of an entry of a stream, its number among those that were read.
    pub(super) offset: i64,
    /// Of a stream.
    pub(super) entry: Option<String>,
    pub(super) mark: u64,
    pub(super) was_replayed: bool,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    headers: Vec<u8>,
}

impl Letter {
    /// A copy.
    pub(super) fn of(found: &Found<'_>) -> Letter {
        let Found { record, mark, was_replayed, .. } = *found;
        Letter {
            entry: record.entry_id().map(str::to_owned),
            mark,
            was_replayed,
            partition: record.partition_number,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.as_bytes().to_vec(),
        }
    }

    /// Its headers.
    pub(super) fn headers(&self) -> Headers<'_> {
        Headers::from_bytes(&self.headers)
    }

    /// The record that it was, at its place and time, with these headers.
    pub(super) fn record<'a>(
        &'a self,
        (topic, partition_number, offset): (&'a str, i32, i64),
        timestamp_ms: Option<i64>,
        headers: &'a [u8],
    ) -> Record<'a> {
        Record {
            partition: PartitionId(0),
            topic,
            partition_number,
            offset,
            timestamp_ms,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: Headers::from_bytes(headers),
            arrived: Ticks::default(),
        }
    }
}

/// One message to be written, of its own.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) destination: Destination,
    pub(super) partition_number: Option<i32>,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<u8>,
}

impl Copy {
    /// Of a result.
    pub(super) fn of(output: &Output<'_>, destination: Destination) -> Copy {
        Copy {
            destination,
            partition_number: output.partition_number,
            timestamp_ms: output.timestamp_ms,
            key: output.key.map(<[u8]>::to_vec),
            value: output.value.map(<[u8]>::to_vec),
            headers: output.headers.as_bytes().to_vec(),
        }
    }

    /// Of a letter, with nothing said of partition and time.
    pub(super) fn of_letter(letter: &Letter, destination: Destination, headers: Vec<u8>) -> Copy {
        let (key, value) = (letter.key.clone(), letter.value.clone());
        Copy { destination, partition_number: None, timestamp_ms: None, key, value, headers }
    }

    /// To be handed over.
    pub(super) fn output(&self) -> Output<'_> {
        Output {
            destination: self.destination,
            partition_number: self.partition_number,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: Headers::from_bytes(&self.headers),
        }
    }

    fn bytes_len(&self) -> usize {
        let len = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        len(&self.key) + len(&self.value) + self.headers.len()
    }
}

/// What is recorded of a letter that is replayed.
#[derive(Debug)]
pub(super) struct Recorded {
    /// Under which it is found again.
    pub(super) key: String,
    pub(super) mark: u64,
    pub(super) value: String,
}

/// A letter that is replayed: all that is written for it.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) fate: Fate,
    /// Where it goes, for people.
    pub(super) place: String,
    pub(super) copies: Vec<Copy>,
    pub(super) recorded: Recorded,
}

/// A letter that was looked at, in order: chosen, or else whether it is done with.
#[derive(Debug)]
enum Looked {
    Chosen(Chosen),
    Done,
    PassedOver,
}

/// Letters of one transaction, and those between them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    looked: Vec<(i32, i64, Looked)>,
    chosen: usize,
    bytes: usize,
    began: Option<Instant>,
}

impl Batch {
    /// A letter that is to be replayed.
    pub(super) fn add(&mut self, letter: &Letter, chosen: Chosen) {
        self.began.get_or_insert_with(Instant::now);
        self.chosen += 1;
        self.bytes += chosen.copies.iter().map(Copy::bytes_len).sum::<usize>();
        self.looked.push((letter.partition, letter.offset, Looked::Chosen(chosen)));
    }

    /// A letter that is not; `is_done` if an earlier replay was.
    pub(super) fn pass_over(&mut self, letter: &Letter, is_done: bool) {
        let looked = if is_done { Looked::Done } else { Looked::PassedOver };
        self.looked.push((letter.partition, letter.offset, looked));
    }

    /// True once it should be written, or need not be.
    pub(super) fn is_due(&self) -> bool {
        self.chosen >= REPLAY_BATCH_LETTERS
            || self.bytes >= REPLAY_BATCH_BYTES
            || self.began.is_some_and(|it| it.elapsed() >= AGE_MAX)
            || self.chosen == 0 && self.looked.len() >= REPLAY_BATCH_LETTERS
    }

    /// What is chosen.
    pub(super) fn chosen(&self) -> impl Iterator<Item = &Chosen> {
        self.looked.iter().filter_map(|(_, _, looked)| match looked {
            Looked::Chosen(chosen) => Some(chosen),
            _ => None,
        })
    }

    /// All letters in order, by place, and whether each is done with once what was `chosen` is,
    /// except for those of it, by number, that were refused.
    pub(super) fn outcome(&self, refused: &[usize]) -> Vec<(i32, i64, bool)> {
        let mut number = 0;
        let done = |(partition, offset, looked): &(i32, i64, Looked)| {
            let is_done = match looked {
                Looked::Chosen(_) => {
                    number += 1;
                    !refused.contains(&(number - 1))
                }
                Looked::Done => true,
                Looked::PassedOver => false,
            };
            (*partition, *offset, is_done)
        };
        self.looked.iter().map(done).collect()
    }
}
