//! The pipeline as a run has it, with tables in memory and a time that stands still until it is
//! moved.
//!
//! A trial is one process. Its time is a manual clock that began at a moment of the epoch: the
//! arrival of a record is read from it, as a run reads it from the CPU's. State is fresh in each
//! trial, and of each partition its own; a record is settled as soon as it is judged, and what is
//! due comes out of windows behind it, or when time has passed that closes them.

use std::time::Duration;

use super::{
    Fate, Given, Produced, TrialTables,
    explanation::{Explanation, Seen},
};
use crate::{
    clock::{Clock, ManualClock},
    config::{Problem, Settings},
    limits::PARTITIONS_MAX,
    pipeline::{
        Pipeline, Results,
        process::{Unwatched, Watch},
    },
    record::{Output, PartitionId, Record},
    verdict::{Step, Verdict},
};

/// A pipeline on trial.
#[derive(Debug)]
pub struct Trial<'s> {
    settings: &'s Settings,
    pipeline: Pipeline,
    tables: TrialTables,
    results: Results,
    clock: ManualClock,
    /// Milliseconds since the epoch at which the clock stood at zero.
    began_ms: i64,
    records: u64,
    /// Partitions of which records came, if steps keep state; a partition's id is its place.
    partitions: Vec<Partition>,
    /// What windows gave off and nobody took.
    sequels: Vec<Sequel>,
}

/// A partition with stores.
#[derive(Debug)]
struct Partition {
    topic: String,
    number: i32,
    /// The least offset that its next record can have.
    next: i64,
}

/// What came of something that the state of a step gave off.
#[derive(Debug)]
pub struct Sequel {
    /// The step's name, else its number from 1.
    pub step: String,
    /// What became of it in the steps behind that.
    pub fate: Fate,
    /// What each of these saw and did, if that was asked for.
    pub(super) seen: Option<Vec<Seen>>,
}

impl<'s> Trial<'s> {
    /// Compiles the pipeline. Its time begins at that many milliseconds since the epoch.
    ///
    /// # Errors
    ///
    /// All problems of the steps at once.
    pub fn new(
        settings: &'s Settings,
        tables: TrialTables,
        began_ms: i64,
    ) -> Result<Trial<'s>, Vec<Problem>> {
        let mut pipeline = Pipeline::compile(settings)?;
        // There is no broker to ask which ones there are.
        pipeline.imagine_topics();
        Ok(Trial {
            settings,
            pipeline,
            tables,
            results: Results::default(),
            clock: ManualClock::default(),
            began_ms,
            records: 0,
            partitions: Vec::new(),
            sequels: Vec::new(),
        })
    }

    /// Names of the tables that a step or an expression uses and nobody gave.
    pub(super) fn tables_not_given(&self) -> Vec<&'s str> {
        self.tables.not_given(self.settings, &self.pipeline)
    }

    /// The trial's present, in milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.began_ms + (self.clock.now().0 / 1_000_000) as i64
    }

    /// Lets time pass, in partitions to which nothing comes meanwhile.
    pub fn pass(&mut self, time: Duration) {
        self.clock.advance(time.as_nanos() as u64);
        if time.is_zero() {
            return;
        }
        self.begin_turn();
        for index in 0..self.partitions.len() {
            let next = self.partitions[index].next;
            self.pipeline.stores_mut().commit_at_once(id_of(index), next, true);
            self.take_given_off(index, false);
        }
    }

    /// Puts one record through the pipeline.
    pub fn process(&mut self, given: &Given) -> Fate {
        self.watched(given, &mut Unwatched).0
    }

    /// The same, and what each step saw and did.
    pub(super) fn explain(&mut self, given: &Given) -> (Fate, Vec<Seen>) {
        let mut explanation = self.explanation();
        let (fate, verdict) = self.watched(given, &mut explanation);
        (fate, explanation.end(&verdict))
    }

    /// What windows gave off since this was asked last, in order.
    pub fn take_sequels(&mut self) -> Vec<Sequel> {
        std::mem::take(&mut self.sequels)
    }

    fn explanation(&self) -> Explanation {
        let operators = self.settings.steps.iter().map(|step| step.operator.name());
        Explanation::new(self.pipeline.step_names().zip(operators))
    }

    fn watched(&mut self, given: &Given, watch: &mut impl Watch) -> (Fate, Verdict) {
        let first_topic = self.settings.source.topics.first().map_or("", String::as_str);
        let mut record = given.record(first_topic, self.records, self.clock.now());
        self.records += 1;
        self.begin_turn();
        let partition = self.place(&mut record);
        if partition.is_some() {
            // Every record of a source has one.
            record.timestamp_ms = record.timestamp_ms.or(Some(self.now_ms()));
        }
        self.results.clear();
        let Trial { pipeline, tables, results, .. } = self;
        let processed = pipeline.process_watched(&record, tables, &mut |_| {}, results, watch);
        let fate = self.fate(&processed.verdict, &record);
        if let Some(index) = partition {
            let is_kept = !matches!(processed.verdict, Verdict::Reject(_));
            let stores = self.pipeline.stores_mut();
            stores.settled(record.partition, record.offset, is_kept);
            self.take_given_off(index, watch.is_watching());
            self.pipeline.stores_mut().commit_at_once(record.partition, record.offset + 1, false);
        }
        (fate, processed.verdict)
    }

    fn begin_turn(&mut self) {
        let now_ms = self.now_ms();
        self.tables.now_ns = self.began_ms * 1_000_000 + self.clock.now().0 as i64;
        self.pipeline.stores_mut().begin_turn(now_ms);
    }

    /// The index of a record's partition, whose stores are there then; nothing without state. Within
    /// a partition offsets grow: one that does not is taken for the next.
    fn place(&mut self, record: &mut Record<'_>) -> Option<usize> {
        if self.pipeline.stores().is_empty() {
            return None;
        }
        let (topic, number) = (record.topic, record.partition_number);
        let is_it = |it: &Partition| (it.topic.as_str(), it.number) == (topic, number);
        let index = match self.partitions.iter().position(is_it) {
            Some(index) => index,
            // Those beyond share the last one.
            None if self.partitions.len() == PARTITIONS_MAX => PARTITIONS_MAX - 1,
            None => {
                self.pipeline.stores_mut().begin_empty(id_of(self.partitions.len()));
                self.partitions.push(Partition { topic: topic.to_owned(), number, next: 0 });
                self.partitions.len() - 1
            }
        };
        let partition = &mut self.partitions[index];
        record.partition = id_of(index);
        record.offset = record.offset.max(partition.next);
        partition.next = record.offset + 1;
        Some(index)
    }

    /// Takes all that is due, and runs it through the steps behind.
    fn take_given_off(&mut self, index: usize, is_explained: bool) {
        let Partition { topic, number, next } = &self.partitions[index];
        let (topic, number, offset) = (topic.clone(), *number, next - 1);
        loop {
            let mut taken = None;
            self.pipeline.stores_mut().give_off(id_of(index), &mut |record, given| {
                taken = Some((Given::of(record), given.step));
                true
            });
            let Some((mut given, step)) = taken else { return };
            given.partition = Some(number);
            given.offset = Some(offset);
            let record = given.record(&topic, 0, self.clock.now());
            self.results.clear();
            let mut explanation = is_explained.then(|| self.explanation());
            let Trial { pipeline, tables, results, .. } = self;
            let processed = match &mut explanation {
                Some(watch) => {
                    pipeline.process_given_off_watched(&record, step, tables, results, watch)
                }
                None => pipeline.process_given_off(&record, step, tables, results),
            };
            let fate = self.fate(&processed.verdict, &record);
            let seen = explanation.map(|it| it.end_behind(step, &processed.verdict));
            let step = self.pipeline.step_name(Step::Number(step)).to_owned();
            self.sequels.push(Sequel { step, fate, seen });
        }
    }

    fn fate(&self, verdict: &Verdict, record: &Record<'_>) -> Fate {
        let Trial { pipeline, results, .. } = self;
        let outputs = (0..results.len()).map(|index| results.output(index, record));
        let topic = |output: &Output<'_>| &pipeline.topics()[usize::from(output.destination.0)];
        let produced = outputs.map(|output| Produced::new(topic(&output), output));
        Fate::new(verdict, pipeline, produced.collect())
    }
}

fn id_of(index: usize) -> PartitionId {
    PartitionId(index as u16)
}
