//! Dead letters as `dead` and `replay` find them: the topic or stream as it is now, and which were
//! replayed.

use std::{
    io::{self, IsTerminal},
    sync::atomic::AtomicBool,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;
use crate::{
    config::{
        Settings, hints,
        settings::{DeadLetters, RedisSource},
    },
    delivery::dead_letter::{
        opened::OpenedLetter,
        replayed::{self, Replayed},
    },
    record::Record,
    transport::{
        Trouble,
        kafka::{Span, TopicReader},
        redis::{EntryId, StreamPages},
    },
    verdict::RejectClass,
};

/// Who is in trouble when the topic cannot be read.
pub(super) const PEER: &str = "dead_letters";

/// The field of a letter's payload in a stream.
const PAYLOAD: &[u8] = b"payload";

/// The dead letters, to be read once to their end as it is now.
#[derive(Debug)]
pub(super) struct Letters {
    reader: Reader,
    bar: Option<ProgressBar>,
}

#[derive(Debug)]
enum Reader {
    /// A topic, and which of its letters have been replayed, once that was read.
    Topic(TopicReader, Replayed),
    Stream(StreamPages),
}

/// A letter as it lies there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) record: &'a Record<'a>,
    pub(super) opened: OpenedLetter<'a>,
    /// Tells it from another letter at its place.
    pub(super) mark: u64,
    pub(super) was_replayed: bool,
}

impl Letters {
    /// Opens them.
    pub(super) fn open(settings: &Settings, stop: &AtomicBool) -> Result<Letters, Failure> {
        let reader = match &settings.streams.source {
            Some(source) => Reader::Stream(open_stream(settings, source, stop)?),
            None => Reader::Topic(
                open_topic(settings, stop)?,
                Replayed::of(&settings.dead_letters.topic),
            ),
        };
        let bar = bar(match &reader {
            Reader::Topic(reader, _) => {
                reader.spans().iter().map(|it| (it.high - it.low).max(0) as u64).sum()
            }
            Reader::Stream(reader) => reader.entries(),
        });
        Ok(Letters { reader, bar })
    }

    /// Partitions of their topic; of a stream, none.
    pub(super) fn partitions(&self) -> Option<usize> {
        match &self.reader {
            Reader::Topic(reader, _) => Some(reader.spans().len()),
            Reader::Stream(_) => None,
        }
    }

    /// What the partitions of their topic hold; of a stream, nothing.
    pub(super) fn spans(&self) -> &[Span] {
        match &self.reader {
            Reader::Topic(reader, _) => reader.spans(),
            Reader::Stream(_) => &[],
        }
    }

    /// The oldest entry of their stream.
    pub(super) fn first_entry(&self) -> Option<EntryId> {
        match &self.reader {
            Reader::Topic(..) => None,
            Reader::Stream(reader) => Some(reader.first()),
        }
    }

    /// True once all of it has been read.
    pub(super) fn are_at_end(&self) -> bool {
        match &self.reader {
            Reader::Topic(reader, _) => reader.is_at_end(),
            Reader::Stream(reader) => reader.is_at_end(),
        }
    }

    /// Lends what is there.
    pub(super) fn read(&mut self, mut visit: impl FnMut(&Found<'_>)) -> Result<(), Failure> {
        let mut count = 0;
        let mut visit = |record: &Record<'_>, was_replayed: &dyn Fn(u64) -> bool| {
            count += 1;
            let opened = OpenedLetter::open(record.headers);
            let mark = replayed::mark_of(&opened, record.timestamp_ms);
            visit(&Found { record, opened, mark, was_replayed: was_replayed(mark) });
        };
        let read = match &mut self.reader {
            Reader::Topic(reader, known) => reader.read(|record| {
                let Record { partition_number, offset, .. } = *record;
                visit(record, &|mark| known.contains(partition_number, offset, mark));
            }),
            Reader::Stream(reader) => reader.read(|record, recorded| {
                visit(record, &|mark| recorded.is_some_and(|it| replayed::is_about(it, mark)));
            }),
        };
        if let Some(bar) = &self.bar {
            bar.inc(count);
        }
        read.map_err(failure)
    }

    /// Reads which of these letters have been replayed, and how many that are.
    pub(super) fn learn_replayed(
        &mut self,
        settings: &Settings,
        stop: &AtomicBool,
    ) -> Result<u64, Failure> {
        let topic = replayed::topic_of(&settings.dead_letters.topic);
        let (letters, known) = match &mut self.reader {
            Reader::Topic(letters, known) => (letters, known),
            // It is asked of each page.
            Reader::Stream(reader) => return reader.held_beside().map_err(failure),
        };
        let Some(mut reader) = reader_of(settings, &topic, stop)? else { return Ok(0) };
        let low = |partition| {
            let span = letters.spans().iter().find(|it| it.partition == partition);
            span.map(|it| it.low)
        };
        while !reader.is_at_end() {
            let read = reader.read(|record| known.take(record.key, record.value, low));
            read.map_err(failure)?;
        }
        Ok(known.len() as u64)
    }
}

impl Drop for Letters {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn open_topic(settings: &Settings, stop: &AtomicBool) -> Result<TopicReader, Failure> {
    let DeadLetters { topic, client, .. } = &settings.dead_letters;
    reader_of(settings, topic, stop)?.ok_or_else(|| {
        Failure::unavailable(format!(
            "dead_letters: there is no topic {topic:?} on {}, so nothing was ever dead-lettered \
             there; `hotspur check --connect --create` makes it",
            client.brokers
        ))
    })
}

fn reader_of(
    settings: &Settings,
    topic: &str,
    stop: &AtomicBool,
) -> Result<Option<TopicReader>, Failure> {
    let wait = (settings.engine.start_timeout, stop);
    TopicReader::open(PEER, &settings.dead_letters.client, topic, wait).map_err(failure)
}

/// A stream that is not there has no letters: the first one makes it.
fn open_stream(
    settings: &Settings,
    source: &RedisSource,
    stop: &AtomicBool,
) -> Result<StreamPages, Failure> {
    let stream = &settings.dead_letters.topic;
    let wait = (settings.engine.start_timeout, stop);
    let names = (stream.as_str(), PAYLOAD, &*replayed::topic_of(stream));
    let reader = StreamPages::open(PEER, (&source.url, &source.shown), names, wait);
    reader.map_err(failure)?.ok_or_else(|| Failure::unavailable("told to end"))
}

/// The sentence and status of trouble with a broker.
pub(super) fn failure(trouble: Trouble) -> Failure {
    Failure::unavailable(format!("{}: {}", trouble.peer, trouble.text))
}

/// A bar, if standard error is a terminal. There may be fewer letters than offsets.
fn bar(offsets: u64) -> Option<ProgressBar> {
    io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new(offsets);
        let template = "{wide_bar} {human_pos} of about {human_len} letters, {per_sec}";
        // The template is a constant.
        bar.with_style(ProgressStyle::with_template(template).expect("a template"))
    })
}

/// A reject class, as the command line names it.
pub(super) fn parse_class(text: &str) -> Result<String, String> {
    let names = || RejectClass::ALL.iter().map(|it| it.name());
    if names().any(|it| it == text) {
        return Ok(text.to_owned());
    }
    let hint = hints::did_you_mean(text, names());
    let all = || format!("there are {}", names().collect::<Vec<_>>().join(", "));
    Err(format!("there is no such class; {}", hint.unwrap_or_else(all)))
}

/// A time for people and programs: RFC 3339, UTC.
pub(super) fn show_time(milliseconds: i64) -> String {
    match jiff::Timestamp::from_millisecond(milliseconds) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{milliseconds}ms"),
    }
}

/// Nothing that moves a cursor; bytes that are no text stand as `\xff`.
pub(super) fn readable(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.escape_ascii().to_string() };
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}
