//! Dead letters as `dead` and `replay` find them: the topic as it is now, and which were replayed.

use std::{
    io::{self, IsTerminal},
    sync::atomic::AtomicBool,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;
use crate::{
    config::{Settings, hints, settings::DeadLetters},
    delivery::dead_letter::replayed::{self, Replayed},
    record::Record,
    transport::{
        Trouble,
        kafka::{Span, TopicReader},
    },
    verdict::RejectClass,
};

/// Who is in trouble when the topic cannot be read.
pub(super) const PEER: &str = "dead_letters";

/// The topic of the dead letters, to be read once to its end as it is now.
#[derive(Debug)]
pub(super) struct Letters {
    reader: TopicReader,
    bar: Option<ProgressBar>,
}

impl Letters {
    /// Opens it.
    pub(super) fn open(settings: &Settings, stop: &AtomicBool) -> Result<Letters, Failure> {
        let DeadLetters { topic, client, .. } = &settings.dead_letters;
        match open(settings, topic, stop)? {
            Some(reader) => Ok(Letters { bar: bar(reader.spans()), reader }),
            None => Err(Failure::unavailable(format!(
                "dead_letters: there is no topic {topic:?} on {}, so nothing was ever \
                 dead-lettered there; `hotspur check --connect --create` makes it",
                client.brokers
            ))),
        }
    }

    /// What its partitions hold.
    pub(super) fn spans(&self) -> &[Span] {
        self.reader.spans()
    }

    /// True once all of it has been read.
    pub(super) fn are_at_end(&self) -> bool {
        self.reader.is_at_end()
    }

    /// Lends what is there.
    pub(super) fn read(&mut self, visit: impl FnMut(&Record<'_>)) -> Result<(), Failure> {
        let Letters { reader, bar } = self;
        let (mut count, mut visit) = (0, visit);
        let read = reader.read(|record| {
            count += 1;
            visit(record);
        });
        if let Some(bar) = bar {
            bar.inc(count);
        }
        read.map_err(failure)
    }

    /// Reads which of these letters have been replayed; of none, if nothing was ever.
    pub(super) fn replayed(
        &self,
        settings: &Settings,
        stop: &AtomicBool,
    ) -> Result<Replayed, Failure> {
        let topic = &settings.dead_letters.topic;
        let mut known = Replayed::of(topic);
        let Some(mut reader) = open(settings, &replayed::topic_of(topic), stop)? else {
            return Ok(known);
        };
        let low = |partition| {
            let span = self.spans().iter().find(|it| it.partition == partition);
            span.map(|it| it.low)
        };
        while !reader.is_at_end() {
            let read = reader.read(|record| known.take(record.key, record.value, low));
            read.map_err(failure)?;
        }
        Ok(known)
    }
}

impl Drop for Letters {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn open(
    settings: &Settings,
    topic: &str,
    stop: &AtomicBool,
) -> Result<Option<TopicReader>, Failure> {
    let wait = (settings.engine.start_timeout, stop);
    TopicReader::open(PEER, &settings.dead_letters.client, topic, wait).map_err(failure)
}

/// The sentence and status of trouble with a broker.
pub(super) fn failure(trouble: Trouble) -> Failure {
    Failure::unavailable(format!("{}: {}", trouble.peer, trouble.text))
}

/// A bar, if standard error is a terminal. There may be fewer letters than offsets.
fn bar(spans: &[Span]) -> Option<ProgressBar> {
    let offsets = spans.iter().map(|it| (it.high - it.low).max(0) as u64).sum();
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
