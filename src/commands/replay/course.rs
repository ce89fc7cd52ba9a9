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
    batch::{Batch, Chosen, Copy, Letter, Recorded},
    fate::{Fate, Fates},
    filter::Filter,
    target::{Place, Target},
    writer::{Becomes, Writer, Written},
};
use crate::{
    commands::letters::{Letters, show_time},
    config::Settings,
    delivery::dead_letter::{
        self,
        opened::{OpenedLetter, Position, write_headers_again},
        replayed,
    },
    pipeline::Results,
    record::{Destination, ENTRY_ID, Headers, Record},
    verdict::{Rejection, Verdict},
};

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

/// What became of a letter, where, and what is written for it.
type Copied = (Fate, String, Vec<Copy>);

/// One replay.
#[derive(Debug)]
pub(super) struct Course<'a> {
    settings: &'a Settings,
    arguments: &'a Arguments,
    filter: Filter,
    target: Target,
    writer: Writer,
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
        writer: Writer,
        stop: Arc<AtomicBool>,
    ) -> Course<'a> {
        Course {
            settings,
            arguments,
            filter: Filter::of(arguments),
            target,
            writer,
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
            letters.read(|found| waiting.push(Letter::of(found)))?;
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
        if let Some(fate) = self.passes_over(letter, &opened)? {
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
        let Some((fate, place, copies)) = self.choose(letter, &opened)? else { return Ok(()) };
        let recorded = self.record_of(letter, fate, &place);
        let chosen = Chosen { fate, place, copies, recorded };
        self.pace.count += 1;
        self.chosen += 1;
        self.batch.add(letter, chosen);
        Ok(())
    }

    fn passes_over(
        &mut self,
        letter: &Letter,
        opened: &OpenedLetter<'_>,
    ) -> Result<Option<Fate>, Failure> {
        Ok(if letter.was_replayed {
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
    ) -> Result<Option<Copied>, Failure> {
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
            ..Copy::of_letter(letter, self.destination(&place, Becomes::Record)?, headers)
        };
        Ok(Some((Fate::Copied, place, vec![copy])))
    }

    /// Puts the record that a letter was through the steps.
    fn process(
        &mut self,
        letter: &Letter,
        opened: &OpenedLetter<'_>,
        headers: &[u8],
    ) -> Result<Option<Copied>, Failure> {
        let Some((topic, partition, position)) = opened.source else { return Ok(None) };
        let (mut all, mut offset) = (Vec::new(), 0);
        match position {
            Position::Offset(it) => offset = it,
            // Where a source puts it.
            Position::Entry(id) => Headers::push(&mut all, ENTRY_ID, Some(id.as_bytes())),
        }
        all.extend_from_slice(headers);
        let record = letter.record((topic, partition, offset), opened.timestamp_ms, &all);
        self.results.clear();
        let Place::Pipeline(steps) = &mut self.target.place else { return Ok(None) };
        let Some(verdict) = steps.process(&record, &mut self.results, &self.stop) else {
            return Ok(None);
        };
        let dead = &self.settings.dead_letters.topic;
        Ok(Some(match verdict {
            Verdict::Emit => {
                let Place::Pipeline(steps) = &self.target.place else { return Ok(None) };
                let number = |at: usize| self.results.output(at, &record).destination;
                let topics = (0..self.results.len()).map(|at| steps.topic(number(at)).to_owned());
                let topics: Vec<_> = topics.collect();
                let mut copies = Vec::with_capacity(topics.len());
                for (at, topic) in topics.iter().enumerate() {
                    let destination = self.destination(topic, Becomes::Result)?;
                    copies.push(Copy::of(&self.results.output(at, &record), destination));
                }
                // Where they go to several topics, the first stands for all.
                let place = topics.first().cloned().unwrap_or_default();
                (Fate::Emitted, place, copies)
            }
            Verdict::Skip(_) => (Fate::Skipped, String::new(), Vec::new()),
            Verdict::Reject(rejection) => {
                let headers = self.letter_again(&rejection, &record);
                let destination = self.destination(dead, Becomes::Letter)?;
                let copy = Copy::of_letter(letter, destination, headers);
                (Fate::Rejected, dead.clone(), vec![copy])
            }
            Verdict::Hold(_) | Verdict::Wait(_) | Verdict::Behind { .. } => {
                return Err(Failure::not_built(
                    "`hotspur replay --to pipeline` of steps with state",
                ));
            }
        }))
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
    fn record_of(&self, letter: &Letter, fate: Fate, place: &str) -> Recorded {
        let (dead, mark) = (&self.settings.dead_letters.topic, letter.mark);
        let at = show_time(jiff::Timestamp::now().as_millisecond());
        let key = letter.entry.clone();
        let key = key.unwrap_or_else(|| replayed::key_of(dead, letter.partition, letter.offset));
        Recorded { key, mark, value: replayed::value_of(mark, fate.name(), place, &at) }
    }

    fn destination(&mut self, name: &str, becomes: Becomes) -> Result<Destination, Failure> {
        self.writer.destination(self.settings, name, becomes)
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
        let written = self.writer.write(self.settings, &chosen, &positions)?;
        let is_refused = |number: &usize| written[*number] == Written::Refused;
        let refused: Vec<usize> = (0..written.len()).filter(is_refused).collect();
        self.reached = match refused.as_slice() {
            [] => reached,
            refused => reach(&self.reached, &batch.outcome(refused)),
        };
        for (chosen, written) in chosen.iter().zip(written) {
            match written {
                Written::Done => self.fates.add_to(chosen.fate, &chosen.place),
                Written::Before => self.fates.add(Fate::Before),
                Written::Refused => self.fates.add(Fate::Refused),
            }
        }
        Ok(())
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
