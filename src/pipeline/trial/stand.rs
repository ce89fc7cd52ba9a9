//! The pipeline as a run has it, with tables in memory and a time that stands still until it is
//! moved.
//!
//! A trial knows one partition and one process. Its time is a manual clock that began at a moment
//! of the epoch: the arrival of a record is read from it, as a run reads it from the CPU's. What
//! has state of its own is fresh in each trial.

use std::time::Duration;

use super::{
    Fate, Given, Produced, TrialTables,
    explanation::{Explanation, Seen},
};
use crate::{
    clock::{Clock, ManualClock},
    config::{Problem, Settings},
    pipeline::{
        Pipeline, Results,
        process::{Unwatched, Watch},
    },
    record::Output,
    verdict::Verdict,
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

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        self.clock.advance(time.as_nanos() as u64);
    }

    /// Puts one record through the pipeline.
    pub fn process(&mut self, given: &Given) -> Fate {
        self.watched(given, &mut Unwatched).0
    }

    /// The same, and what each step saw and did.
    pub(super) fn explain(&mut self, given: &Given) -> (Fate, Vec<Seen>) {
        let operators = self.settings.steps.iter().map(|step| step.operator.name());
        let mut explanation = Explanation::new(self.pipeline.step_names().zip(operators));
        let (fate, verdict) = self.watched(given, &mut explanation);
        (fate, explanation.end(&verdict))
    }

    fn watched(&mut self, given: &Given, watch: &mut impl Watch) -> (Fate, Verdict) {
        let first_topic = self.settings.source.topics.first().map_or("", String::as_str);
        let record = given.record(first_topic, self.records, self.clock.now());
        self.records += 1;
        self.results.clear();
        self.tables.now_ns = self.began_ms * 1_000_000 + self.clock.now().0 as i64;
        let Trial { pipeline, tables, results, .. } = self;
        let processed = pipeline.process_watched(&record, tables, &mut |_| {}, results, watch);
        let outputs = (0..results.len()).map(|index| results.output(index, &record));
        let topic = |output: &Output<'_>| &pipeline.topics()[usize::from(output.destination.0)];
        let produced = outputs.map(|output| Produced::new(topic(&output), output));
        let produced = produced.collect();
        (Fate::new(&processed.verdict, &self.pipeline, produced), processed.verdict)
    }
}
