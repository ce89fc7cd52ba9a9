//! Who writes what is chosen, with the record of it: in transactions to Kafka, by one script a
//! letter to a Redis.

use std::thread;
use std::time::Duration;

use super::{
    Failure,
    batch::{Chosen, Copy},
    failed, failure,
};
use crate::{
    config::Settings,
    delivery::dead_letter::replayed,
    record::{Destination, Headers, Output},
    transport::{
        Trouble,
        kafka::{AtomicWriter, NotWritten},
        redis::{EntryShape, NotAdded, OnceWriter, Recording},
    },
};

/// How often something is tried that did not come about, and the pause between.
const TRIES_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// What a letter becomes where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Becomes {
    /// The record that it was.
    Record,
    /// A result of it.
    Result,
    /// A letter again.
    Letter,
}

/// What came of writing one letter's copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Done,
    /// Another replay was faster.
    Before,
    Refused,
}

/// Writes copies.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one")]
pub(super) enum Writer {
    /// For a dry run.
    Nothing,
    Topics(AtomicWriter, Destination),
    Streams(OnceWriter),
}

impl Writer {
    /// The number of a topic or stream that is to be written to.
    pub(super) fn destination(
        &mut self,
        settings: &Settings,
        name: &str,
        becomes: Becomes,
    ) -> Result<Destination, Failure> {
        match self {
            Writer::Nothing => Ok(Destination(0)),
            Writer::Topics(writer, _) => writer.destination(name).map_err(failure),
            Writer::Streams(writer) => {
                writer.destination(name, shape(settings, becomes)).map_err(failure)
            }
        }
    }

    /// Writes what is chosen, each with its record; what came of each. `positions` are how far the
    /// letters of a topic are done with then.
    pub(super) fn write(
        &mut self,
        settings: &Settings,
        chosen: &[&Chosen],
        positions: &[(i32, i64)],
    ) -> Result<Vec<Written>, Failure> {
        let topic = &settings.dead_letters.topic;
        match self {
            Writer::Nothing => Ok(vec![Written::Done; chosen.len()]),
            Writer::Topics(writer, records) => {
                Topics { writer, records: *records, topic }.write(chosen, positions)
            }
            Writer::Streams(writer) => {
                let beside = replayed::topic_of(topic);
                chosen.iter().map(|it| write_once(writer, &beside, it)).collect()
            }
        }
    }
}

/// How an entry is written.
fn shape(settings: &Settings, becomes: Becomes) -> EntryShape {
    let field = |name: &str, maxlen| EntryShape::Field { name: name.to_owned(), maxlen };
    match (becomes, &settings.streams.source, &settings.streams.sink) {
        (Becomes::Record, Some(source), _) => match &source.field {
            Some(name) => field(name, None),
            None => EntryShape::Object,
        },
        (Becomes::Result, _, Some(sink)) => field(&sink.field, sink.maxlen),
        _ => field("payload", None),
    }
}

/// Tries again while that may help.
fn patiently<T, E>(
    mut attempt: impl FnMut() -> Result<T, E>,
    heals: impl Fn(&E) -> Option<Trouble>,
) -> Result<T, E> {
    for _ in 1..TRIES_MAX {
        let failed = match attempt() {
            Err(failed) => failed,
            done => return done,
        };
        let Some(trouble) = heals(&failed) else { return Err(failed) };
        tracing::warn!(event = "replay.again", code = trouble.code, "{}", trouble.text);
        thread::park_timeout(PAUSE);
    }
    attempt()
}

fn tell_refused(code: &str, chosen: &Chosen) -> Written {
    tracing::warn!(event = "replay.refused", code, to = chosen.place, "a letter stays");
    Written::Refused
}

fn write_once(writer: &mut OnceWriter, beside: &str, chosen: &Chosen) -> Result<Written, Failure> {
    let Chosen { recorded, copies, .. } = chosen;
    let mark = replayed::show(recorded.mark);
    let recording =
        Recording { hash: beside, key: &recorded.key, mark: &mark, value: &recorded.value };
    let written = patiently(
        || writer.write(&recording, copies.iter().map(Copy::output)),
        |failed| match failed {
            NotAdded::Trouble(trouble) if trouble.heals => Some(*trouble),
            _ => None,
        },
    );
    match written {
        Ok(true) => Ok(Written::Done),
        Ok(false) => Ok(Written::Before),
        Err(NotAdded::Refused(code)) => Ok(tell_refused(code, chosen)),
        Err(NotAdded::Trouble(trouble)) => Err(failure(trouble)),
    }
}

/// What is written to topics, and as whose offsets.
struct Topics<'a> {
    writer: &'a mut AtomicWriter,
    records: Destination,
    topic: &'a str,
}

impl Topics<'_> {
    /// In one transaction; in one for each letter if the broker refuses one of them.
    fn write(
        &mut self,
        chosen: &[&Chosen],
        positions: &[(i32, i64)],
    ) -> Result<Vec<Written>, Failure> {
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        match self.commit(chosen, positions) {
            Ok(()) => return Ok(vec![Written::Done; chosen.len()]),
            Err(NotWritten::Refused(_)) => {}
            Err(other) => return Err(failed(other)),
        }
        // The group's offsets move with a later transaction.
        let each = chosen.iter().map(|one| match self.commit(&[*one], &[]) {
            Ok(()) => Ok(Written::Done),
            Err(NotWritten::Refused(refusal)) => Ok(tell_refused(refusal.code, one)),
            Err(other) => Err(failed(other)),
        });
        each.collect()
    }

    fn commit(&mut self, chosen: &[&Chosen], positions: &[(i32, i64)]) -> Result<(), NotWritten> {
        let Topics { writer, records, topic } = self;
        patiently(
            || {
                let outputs = chosen.iter().flat_map(|it| {
                    it.copies.iter().map(Copy::output).chain([record(it, *records)])
                });
                writer.commit(outputs, topic, positions)
            },
            |failed| match failed {
                NotWritten::Trouble(trouble) if trouble.heals => Some(*trouble),
                _ => None,
            },
        )
    }
}

fn record(chosen: &Chosen, destination: Destination) -> Output<'_> {
    Output {
        destination,
        partition_number: None,
        timestamp_ms: None,
        key: Some(chosen.recorded.key.as_bytes()),
        value: Some(chosen.recorded.value.as_bytes()),
        headers: Headers::NONE,
    }
}
