//! The way of the letters: read, chosen, copied in transactions, and counted.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    Arguments, Failure,
    batch::{Batch, Chosen, Copy, Letter},
    failed,
    fate::{Fate, Fates},
    filter::Filter,
    target::{Place, Target},
};
use crate::{
    commands::letters::{Letters, failure, show_time},
    config::Settings,
    delivery::dead_letter::{
        self,
        opened::{OpenedLetter, write_headers_again},
        replayed::{self, Replayed},
    },
    pipeline::Results,
    record::{Destination, Record},
    transport::kafka::{AtomicWriter, NotWritten},
    verdict::{Rejection, Verdict},
};

/// How often a transaction is tried that the brokers did not let come about, and the pause between.
const TRIES_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// How long a wait for the next letter's time may be before the stop is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// When letters are due: the first at once, each later one by the rate after the first.
#[derive(Debug)]
struct Pace {
    began: Instant,
    interval: Duration,
    count: u32,
}

impl Pace {
    fn of(rate: Option<u64>) -> Pace {
        let interval = rate.map_or(Duration::ZERO, |it| Duration::from_secs(1).div_f64(it as f64));
        Pace { began: Instant::now(), interval, count: 0 }
    }

    /// How long until the next letter is due, if it is not.
    fn left(&mut self) -> Option<Duration> {
        if self.count == 0 {
            self.began = Instant::now();
        }
        let due = self.began + self.interval * self.count;
        due.checked_duration_since(Instant::now()).filter(|it| !it.is_zero())
    }
}

/// How far a partition is done with, from its beginning on.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    offset: i64,
    /// A letter was passed over: what comes after it does not count.
    is_final: bool,
}

/// One replay.
#[derive(Debug)]
pub(super) struct Course<'a> {
    settings: &'a Settings,
    arguments: &'a Arguments,
    filter: Filter,
    target: Target,
    /// None writes nothing.
    writer: Option<AtomicWriter>,
    replayed: Replayed,
    stop: Arc<AtomicBool>,
    pace: Pace,
    batch: Batch,
    chosen: u64,
    reached: BTreeMap<i32, Reached>,
    fates: Fates,
    results: Results,
}

impl<'a> Course<'a> {
    /// One that begins.
    pub(super) fn new(
        settings: &'a Settings,
        arguments: &'a Arguments,
        target: Target,
        writer: Option<AtomicWriter>,
        replayed: Replayed,
        stop: Arc<AtomicBool>,
    ) -> Course<'a> {
        Course {
            settings,
            arguments,
            filter: Filter::of(arguments),
            target,
            writer,
            replayed,
            stop,
            pace: Pace::of(arguments.rate),
            batch: Batch::default(),
            chosen: 0,
            reached: BTreeMap::new(),
            fates: Fates::default(),
            results: Results::default(),
        }
    }

    /// Takes all letters, or as many as it shall, and writes what is to be written.
    pub(super) fn follow(&mut self, mut letters: Letters) -> Result<(), Failure> {
        for span in letters.spans() {
            let reached = Reached { offset: span.low, is_final: false };
            self.reached.insert(span.partition, reached);
        }
        let mut waiting = Vec::new();
        while !letters.are_at_end() && !self.is_over() {
            letters.read(|record| waiting.push(Letter::of(record)))?;
            for letter in waiting.drain(..) {
                if self.is_over() {
                    break;
                }
                self.take(&letter)?;
                self.flush_if_due()?;
            }
            self.flush_if_due()?;
        }
        self.flush()
    }

    fn is_over(&self) -> bool {
        self.is_stopped() || self.arguments.max_records.is_some_and(|max| self.chosen >= max)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn take(&mut self, letter: &Letter) -> Result<(), Failure> {
        let opened = OpenedLetter::open(letter.headers());
        let mark = replayed::mark_of(&opened, letter.timestamp_ms);
        if let Some(fate) = self.passes_over(letter, &opened, mark)? {
            self.fates.add(fate);
            self.batch.pass_over(letter, fate == Fate::Before);
            return Ok(());
        }
        while let Some(left) = self.pace.left() {
            if self.is_stopped() {
                return Ok(());
            }
            self.flush_if_due()?;
            thread::park_timeout(left.min(LOOK));
        }
        let Some(mut chosen) = self.choose(letter, &opened)? else { return Ok(()) };
        chosen.copies.push(self.record_of(letter, mark, &chosen)?);
        self.pace.count += 1;
        self.chosen += 1;
        self.batch.add(letter, chosen);
        Ok(())
    }

    fn passes_over(
        &mut self,
        letter: &Letter,
        opened: &OpenedLetter<'_>,
        mark: u64,
    ) -> Result<Option<Fate>, Failure> {
        Ok(if self.replayed.contains(letter.partition, letter.offset, mark) {
            Some(Fate::Before)
        } else if !self.filter.allows(opened, letter.timestamp_ms) {
            Some(Fate::Filtered)
        } else if opened.truncated.is_some() {
            Some(Fate::Truncated)
        } else if opened.replays >= self.arguments.max_replays {
            Some(Fate::AtLimit)
        } else {
            self.target.refuses(self.settings, opened)?
        })
    }

    /// What is written for a letter; `None` if the stop came before that was known.
    fn choose(
        &mut self,
        letter: &Letter,
        opened: &OpenedLetter<'_>,
    ) -> Result<Option<Chosen>, Failure> {
        let mut headers = Vec::new();
        write_headers_again(letter.headers(), opened.replays.saturating_add(1), &mut headers);
        let place = match &self.target.place {
            Place::Pipeline(_) => return self.process(letter, opened, &headers),
            Place::Topic(topic) => topic.clone(),
            Place::Source => opened.source.map_or("", |(topic, _, _)| topic).to_owned(),
        };
        let partitions = self.target.partitions(self.settings, &place)?.unwrap_or(0);
        let kept =
            opened.source.filter(|(topic, it, _)| *topic == place && (0..partitions).contains(it));
        // With the time of now: a topic that forgets by time would not wait for its readers.
        let copy = Copy {
            partition_number: kept.map(|(_, partition, _)| partition),
            ..Copy::of_letter(letter, self.destination(&place)?, headers)
        };
        Ok(Some(Chosen { fate: Fate::Copied, place, copies: vec![copy] }))
    }

    /// Puts the record that a letter was through the steps.
    fn process(
        &mut self,
        letter: &Letter,
        opened: &OpenedLetter<'_>,
        headers: &[u8],
    ) -> Result<Option<Chosen>, Failure> {
        let place = opened.source.unwrap_or_default();
        let record = letter.record(place, opened.timestamp_ms, headers);
        self.results.clear();
        let Place::Pipeline(steps) = &mut self.target.place else { return Ok(None) };
        let Some(verdict) = steps.process(&record, &mut self.results, &self.stop) else {
            return Ok(None);
        };
        let dead = &self.settings.dead_letters.topic;
        let chosen = match verdict {
            Verdict::Emit => {
                let Place::Pipeline(steps) = &self.target.place else { return Ok(None) };
                let number = |at: usize| self.results.output(at, &record).destination;
                let topics = (0..self.results.len()).map(|at| steps.topic(number(at)).to_owned());
                let topics: Vec<_> = topics.collect();
                let mut copies = Vec::with_capacity(topics.len());
                for (at, topic) in topics.iter().enumerate() {
                    let destination = self.destination(topic)?;
                    copies.push(Copy::of(&self.results.output(at, &record), destination));
                }
                // Where they go to several topics, the first stands for all.
                let place = topics.first().cloned().unwrap_or_default();
                Chosen { fate: Fate::Emitted, place, copies }
            }
            Verdict::Skip(_) => {
                Chosen { fate: Fate::Skipped, place: String::new(), copies: Vec::new() }
            }
            Verdict::Reject(rejection) => {
                let headers = self.letter_again(&rejection, &record);
                let copy = Copy::of_letter(letter, self.destination(dead)?, headers);
                Chosen { fate: Fate::Rejected, place: dead.clone(), copies: vec![copy] }
            }
            Verdict::Hold(_) | Verdict::Wait(_) | Verdict::Behind { .. } => {
                return Err(Failure::not_built(
                    "`hotspur replay --to pipeline` of steps with state",
                ));
            }
        };
        Ok(Some(chosen))
    }

    fn letter_again(&self, rejection: &Rejection, record: &Record<'_>) -> Vec<u8> {
        let step = match &self.target.place {
            Place::Pipeline(steps) => steps.step_name(rejection.step),
            _ => "",
        };
        let letter = dead_letter::Letter {
            class: rejection.class,
            reason: rejection.reason,
            step,
            pipeline: &self.settings.name,
            streams_headers: self.settings.dead_letters.streams_headers,
            cut: None,
        };
        let mut headers = Vec::new();
        dead_letter::write_headers(&letter, record, &mut headers);
        headers
    }

    /// What is recorded, so that the letter is not copied again.
    fn record_of(&mut self, letter: &Letter, mark: u64, chosen: &Chosen) -> Result<Copy, Failure> {
        let dead = &self.settings.dead_letters.topic;
        let at = show_time(jiff::Timestamp::now().as_millisecond());
        let value = replayed::value_of(mark, chosen.fate.name(), &chosen.place, &at);
        Ok(Copy {
            destination: self.destination(&replayed::topic_of(dead))?,
            partition_number: None,
            timestamp_ms: None,
            key: Some(replayed::key_of(dead, letter.partition, letter.offset).into_bytes()),
            value: Some(value.into_bytes()),
            headers: Vec::new(),
        })
    }

    fn destination(&mut self, topic: &str) -> Result<Destination, Failure> {
        match &mut self.writer {
            Some(writer) => writer.destination(topic).map_err(failure),
            None => Ok(Destination(0)),
        }
    }

    fn flush_if_due(&mut self) -> Result<(), Failure> {
        if self.batch.is_due() { self.flush() } else { Ok(()) }
    }

    /// Writes the batch, and counts what became of its letters.
    fn flush(&mut self) -> Result<(), Failure> {
        let batch = std::mem::take(&mut self.batch);
        let reached = reach(&self.reached, &batch.outcome(&[]));
        let positions: Vec<_> =
            reached.iter().map(|(partition, it)| (*partition, it.offset)).collect();
        let chosen: Vec<&Chosen> = batch.chosen().collect();
        let mut refused = Vec::new();
        match self.write(&chosen, &positions) {
            Err(NotWritten::Refused(_)) => refused = self.write_each(&chosen)?,
            written => written.map_err(failed)?,
        }
        self.reached = match refused.as_slice() {
            [] => reached,
            refused => reach(&self.reached, &batch.outcome(refused)),
        };
        for (number, chosen) in chosen.iter().enumerate() {
            match refused.contains(&number) {
                true => self.fates.add(Fate::Refused),
                false => self.fates.add_to(chosen.fate, &chosen.place),
            }
        }
        Ok(())
    }

    /// One transaction, again and again while the brokers are in trouble that heals.
    fn write(&mut self, chosen: &[&Chosen], positions: &[(i32, i64)]) -> Result<(), NotWritten> {
        let Some(writer) = self.writer.as_mut().filter(|_| !chosen.is_empty()) else {
            return Ok(());
        };
        let topic = &self.settings.dead_letters.topic;
        for tried in 1.. {
            let outputs = chosen.iter().flat_map(|it| it.copies.iter().map(Copy::output));
            match writer.commit(outputs, topic, positions) {
                Err(NotWritten::Trouble(trouble)) if trouble.heals && tried < TRIES_MAX => {
                    tracing::warn!(event = "replay.again", code = trouble.code, "{}", trouble.text);
                    thread::park_timeout(PAUSE);
                }
                written => return written,
            }
        }
        Ok(())
    }

    /// Each letter in a transaction of its own, after the broker refused one of them: the numbers
    /// of those that it refuses. The group's offsets move with a later transaction.
    fn write_each(&mut self, chosen: &[&Chosen]) -> Result<Vec<usize>, Failure> {
        let mut refused = Vec::new();
        for (number, one) in chosen.iter().enumerate() {
            match self.write(&[*one], &[]) {
                Err(NotWritten::Refused(refusal)) => {
                    let (code, place) = (refusal.code, &one.place);
                    tracing::warn!(event = "replay.refused", code, to = place, "a letter stays");
                    refused.push(number);
                }
                written => written.map_err(failed)?,
            }
        }
        Ok(refused)
    }

    /// True if letters that were meant and whole could not be replayed.
    pub(super) fn has_failures(&self) -> bool {
        self.fates.of(Fate::Refused) + self.fates.of(Fate::NoTopic) > 0
    }

    /// What became of them.
    pub(super) fn to_text(&self) -> String {
        self.fates.to_text(&self.settings.dead_letters.topic, self.arguments.dry_run)
    }
}

/// How far each partition is done with after these letters: by place, in order, done or not.
fn reach(before: &BTreeMap<i32, Reached>, letters: &[(i32, i64, bool)]) -> BTreeMap<i32, Reached> {
    let mut after = before.clone();
    for (partition, offset, is_done) in letters {
        let reached = after.entry(*partition).or_default();
        if reached.is_final {
            continue;
        }
        *reached = match is_done {
            true => Reached { offset: offset + 1, is_final: false },
            false => Reached { offset: *offset, is_final: true },
        };
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_stands_before_the_first_letter_that_was_not_replayed() {
        let begin = |offset| Reached { offset, is_final: false };
        let before = BTreeMap::from([(0, begin(5)), (1, begin(0))]);
        let after = reach(&before, &[(0, 5, true), (1, 0, false), (0, 7, true), (1, 1, true)]);
        assert_eq!((after[&0].offset, after[&1].offset), (8, 0));
        let later = reach(&after, &[(0, 9, false), (0, 10, true), (1, 2, true)]);
        assert_eq!((later[&0].offset, later[&1].offset), (9, 0));
    }
}
