//! The pipeline with its tables, one record at a time and without an engine.
//!
//! For commands that put records through the steps beside a run. Here waiting is allowed: for a
//! table that is too old, and for the answer of one on demand.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{LoadedTables, StartError, Steps, compile, learn_topics};
use crate::{
    cache::{self, TableHandle},
    clock::{Clock, TscClock, WallOffset},
    config::Settings,
    engine::{Chance, Process},
    pipeline::Results,
    record::{Destination, Record},
    verdict::{Step, Verdict},
};

/// How often is looked whether there is an answer.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Steps that wait for their tables.
#[derive(Debug)]
pub struct StepsAlone {
    steps: Steps,
    clock: TscClock,
    tables: Option<Vec<TableHandle>>,
}

impl StepsAlone {
    /// Compiles the steps and loads the tables.
    ///
    /// # Errors
    ///
    /// As a run's start.
    pub fn open(settings: &Settings, stop: &AtomicBool) -> Result<StepsAlone, StartError> {
        if settings.keeps_state() {
            let wrong = "steps with state see records in the order of their topic, which dead \
                         letters are out of: `--to source` has them come again";
            return Err(StartError::Refused(wrong.to_owned()));
        }
        let mut pipeline = compile(settings)?;
        learn_topics(settings, &mut pipeline, stop)?;
        let LoadedTables { tables, handles } = LoadedTables::open(&settings.tables, stop, |_| {})?;
        let clock = TscClock::new();
        let wall = WallOffset::new(&clock);
        let steps = Steps::new(pipeline, tables, (clock.clone(), wall));
        Ok(StepsAlone { steps, clock, tables: Some(handles) })
    }

    /// What becomes of the record; its results are pushed to `results`. `None` if `stop` became
    /// true while it waited.
    pub fn process(
        &mut self,
        record: &Record<'_>,
        results: &mut Results,
        stop: &AtomicBool,
    ) -> Option<Verdict> {
        self.await_fresh_tables(stop)?;
        let mut deadline = None;
        loop {
            let now = self.clock.now();
            self.steps.begin_turn(now);
            let is_last = deadline.is_some_and(|it| Instant::now() >= it);
            let chance = Chance { now, is_last, is_rehearsal: false };
            let processed = self.steps.process(record, chance, &mut |_| {}, results);
            let Verdict::Wait(awaited) = processed.verdict else { return Some(processed.verdict) };
            let wait = Duration::from_nanos(self.steps.wait_ns(awaited.table));
            deadline = deadline.or_else(|| Some(Instant::now() + wait));
            look_again(stop)?;
        }
    }

    fn await_fresh_tables(&mut self, stop: &AtomicBool) -> Option<()> {
        let mut was_told = false;
        loop {
            self.steps.begin_turn(self.clock.now());
            if !self.steps.is_paused() {
                return Some(());
            }
            if !std::mem::replace(&mut was_told, true) {
                tracing::warn!(event = "replay.paused", "{}", self.steps.why_paused());
            }
            look_again(stop)?;
        }
    }

    /// The topic that results of that number go to.
    pub fn topic(&self, destination: Destination) -> &str {
        self.steps.topic(destination)
    }

    /// What a step is called in dead letters.
    pub fn step_name(&self, step: Step) -> &str {
        self.steps.step_name(step)
    }
}

fn look_again(stop: &AtomicBool) -> Option<()> {
    thread::park_timeout(LOOK_EVERY);
    (!stop.load(Ordering::Acquire)).then_some(())
}

impl Drop for StepsAlone {
    fn drop(&mut self) {
        self.tables.take().into_iter().for_each(cache::close);
    }
}
