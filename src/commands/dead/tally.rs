//! Dead letters counted by what they have in common, in bounded memory, and the newest of them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt::{Display, Write as _},
};

use serde_json::{Value, json};

use super::sample::Sample;
use crate::{
    commands::letters::{Found, readable, show_time},
    limits::LETTERS_COUNTED_APART_MAX,
};

const HOUR_MS: i64 = 3_600_000;

/// Stands for what a letter does not say.
const UNSAID: &str = "(none)";

/// Counts by one thing that letters have in common.
#[derive(Debug)]
struct Counts<K> {
    counts: BTreeMap<K, u64>,
    /// Of letters beyond the bound.
    others: u64,
}

impl<K: Ord> Counts<K> {
    fn new() -> Counts<K> {
        Counts { counts: BTreeMap::new(), others: 0 }
    }

    fn add(&mut self, key: K) {
        if let Some(count) = self.counts.get_mut(&key) {
            *count += 1;
        } else if self.counts.len() < LETTERS_COUNTED_APART_MAX {
            self.counts.insert(key, 1);
        } else {
            self.others += 1;
        }
    }

    /// Names and counts, in order of the keys.
    fn rows(&self, name: impl Fn(&K) -> String) -> Vec<(String, u64)> {
        let counted = self.counts.iter().map(|(key, count)| (name(key), *count));
        let others = (self.others > 0).then(|| ("(others)".to_owned(), self.others));
        counted.chain(others).collect()
    }
}

/// Where a record came from, in order of topics and then of numbers.
type Source = Option<(String, i32)>;

/// What was found.
#[derive(Debug)]
pub(super) struct Tally {
    topic: String,
    /// None of a stream.
    partitions: Option<usize>,
    letters: u64,
    replayed: u64,
    truncated: u64,
    times_ms: Option<(i64, i64)>,
    classes: Counts<String>,
    steps: Counts<String>,
    sources: Counts<Source>,
    hours: Counts<i64>,
    newest: BinaryHeap<Reverse<Sample>>,
    shown_max: usize,
}

impl Tally {
    /// Of nothing so far.
    pub(super) fn new(topic: &str, partitions: Option<usize>, shown_max: usize) -> Tally {
        Tally {
            topic: topic.to_owned(),
            partitions,
            letters: 0,
            replayed: 0,
            truncated: 0,
            times_ms: None,
            classes: Counts::new(),
            steps: Counts::new(),
            sources: Counts::new(),
            hours: Counts::new(),
            newest: BinaryHeap::new(),
            shown_max,
        }
    }

    /// Counts a letter.
    pub(super) fn add(&mut self, found: &Found<'_>) {
        let Found { record, opened: letter, was_replayed, .. } = found;
        self.letters += 1;
        self.replayed += u64::from(*was_replayed);
        self.truncated += u64::from(letter.truncated.is_some());
        let or_unsaid = |text: &str| if text.is_empty() { UNSAID } else { text }.to_owned();
        self.classes.add(or_unsaid(letter.class));
        self.steps.add(or_unsaid(letter.step));
        self.sources.add(letter.source.map(|(topic, number, _)| (topic.to_owned(), number)));
        if let Some(at) = record.timestamp_ms {
            let (first, last) = self.times_ms.unwrap_or((at, at));
            self.times_ms = Some((first.min(at), last.max(at)));
            self.hours.add(at.div_euclid(HOUR_MS));
        }
        let place = (record.timestamp_ms, record.partition_number, record.offset);
        let is_full = self.newest.len() >= self.shown_max;
        if is_full && self.newest.peek().is_none_or(|it| place <= it.0.order()) {
            return;
        }
        if is_full {
            self.newest.pop();
        }
        self.newest.push(Reverse(Sample::of(found)));
    }

    fn samples(&self) -> Vec<&Sample> {
        let mut samples: Vec<&Sample> = self.newest.iter().map(|it| &it.0).collect();
        samples.sort_by(|one, other| other.cmp(one));
        samples
    }

    fn sources(&self) -> Vec<(String, u64)> {
        self.sources.rows(|source| match source {
            Some((topic, number)) => format!("{topic}[{number}]"),
            None => UNSAID.to_owned(),
        })
    }

    fn hours(&self) -> Vec<(String, u64)> {
        self.hours.rows(|hour| show_time(hour * HOUR_MS))
    }

    /// For people.
    pub(super) fn to_text(&self, classes: &[String]) -> String {
        let (topic, letters) = (&self.topic, self.letters);
        let of = match classes {
            [] => String::new(),
            classes => format!(" of {}", classes.join(", ")),
        };
        let Some(times) = self.times_ms.filter(|_| letters > 0) else {
            return match letters {
                0 => format!("there are no dead letters{of} in {topic}\n"),
                _ => self.to_text_of(&format!("{letters} dead letters{of} in {topic}\n")),
            };
        };
        let (first, last) = (show_time(times.0), show_time(times.1));
        let partitions = self.partitions.map_or(String::new(), |it| format!("partitions {it}, "));
        self.to_text_of(&format!(
            "{letters} dead letters{of} in {topic}, {} of them replayed, {} truncated\n\
             {partitions}from {first} to {last}\n",
            self.replayed, self.truncated
        ))
    }

    fn to_text_of(&self, head: &str) -> String {
        let name = String::clone;
        let mut text = head.to_owned();
        for (title, rows) in [
            ("class", self.classes.rows(name)),
            ("step", self.steps.rows(name)),
            ("source", self.sources()),
            ("hour", self.hours()),
        ] {
            let wide = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
            let wide = wide.max(title.len());
            line(&mut text, format_args!("\n{title:wide$}  {:>9}", "letters"));
            for (name, count) in rows {
                let name = readable(name.as_bytes());
                line(&mut text, format_args!("{name:wide$}  {count:>9}"));
            }
        }
        let samples = self.samples();
        if !samples.is_empty() {
            line(&mut text, format_args!("\nthe newest of them:"));
        }
        for sample in samples {
            line(&mut text, format_args!("\n{}", sample.to_text(&self.topic)));
        }
        text
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let object = |rows: Vec<(String, u64)>| -> Value {
            rows.into_iter().map(|(name, count)| (name, Value::from(count))).collect()
        };
        let sources = self.sources.counts.iter().map(|(source, count)| {
            let (topic, partition) = source.as_ref().map(|(topic, it)| (topic, it)).unzip();
            json!({ "topic": topic, "partition": partition, "letters": count })
        });
        json!({
            "v": 1,
            "topic": self.topic,
            "partitions": self.partitions.unwrap_or(1),
            "letters": self.letters,
            "replayed": self.replayed,
            "truncated": self.truncated,
            "first": self.times_ms.map(|(first, _)| show_time(first)),
            "last": self.times_ms.map(|(_, last)| show_time(last)),
            "classes": object(self.classes.rows(String::clone)),
            "steps": object(self.steps.rows(String::clone)),
            "sources": sources.collect::<Vec<_>>(),
            "sources_of_others": self.sources.others,
            "hours": object(self.hours()),
            "samples": self.samples().iter().map(|it| it.to_json()).collect::<Vec<_>>(),
        })
    }
}

fn line(text: &mut String, what: impl Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Ticks,
        delivery::dead_letter::opened::OpenedLetter,
        record::{Headers, PartitionId, Record},
    };

    fn record(offset: i64) -> Record<'static> {
        Record {
            partition: PartitionId(0),
            topic: "dead",
            partition_number: 0,
            offset,
            timestamp_ms: Some(offset * 1000),
            key: None,
            value: Some(b"{}"),
            headers: Headers::NONE,
            arrived: Ticks::default(),
        }
    }

    #[test]
    fn what_is_beyond_the_bound_is_counted_together() {
        let mut tally = Tally::new("dead", Some(1), 2);
        let count = LETTERS_COUNTED_APART_MAX as i64 + 7;
        for offset in 0..count {
            let step = offset.to_string();
            let opened = OpenedLetter { step: &step, ..OpenedLetter::default() };
            let record = &record(offset);
            tally.add(&Found { record, opened, mark: 0, was_replayed: false });
        }
        assert_eq!(tally.steps.rows(String::clone).last(), Some(&("(others)".to_owned(), 7)));
        assert_eq!(tally.classes.rows(String::clone), [(UNSAID.to_owned(), count as u64)]);
        let newest: Vec<_> = tally.samples().iter().map(|it| it.order().2).collect();
        assert_eq!(newest, [count - 1, count - 2]);
    }

    #[test]
    fn an_empty_topic_is_said_in_words() {
        let tally = Tally::new("dead", Some(1), 3);
        assert_eq!(tally.to_text(&[]), "there are no dead letters in dead\n");
        let classes = ["not_json".to_owned()];
        assert_eq!(tally.to_text(&classes), "there are no dead letters of not_json in dead\n");
    }
}
