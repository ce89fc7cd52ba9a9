//! A case's records through the pipeline of a run, one after another, while its time passes.

use super::{Case, Difference, compare};
use crate::{
    config::{Problem, Settings, tree::join_key},
    pipeline::trial::{Fate, Given, Produced, Sequel, Trial, TrialTables},
};

/// What came of a case.
#[derive(Debug)]
pub struct Tried {
    /// Of each record.
    pub fates: Vec<Fate>,
    /// What came out, in order.
    pub results: Vec<Produced>,
    /// Of each window's result that did not come out, what became of it, in words.
    pub lost: Vec<String>,
    /// What is otherwise than expected: nothing, if the case passed.
    pub differences: Vec<Difference>,
}

impl Tried {
    /// Whether all is as expected.
    pub fn is_passed(&self) -> bool {
        self.differences.is_empty()
    }

    /// What became of the records of which nothing came out, a sentence each.
    pub fn endings(&self) -> impl Iterator<Item = String> {
        let is_silent = |(fate, _): &(&Fate, u32)| fate.results.is_empty();
        let records = self.fates.iter().zip(1..).filter(is_silent);
        let records = records.map(|(fate, number)| format!("record {number}: {}", ending(fate)));
        records.chain(self.lost.iter().cloned())
    }
}

fn ending(fate: &Fate) -> String {
    let step = fate.step.as_ref().map(|step| format!(" at step {step}"));
    let reason = fate.reason.as_ref().map(|reason| format!(": {reason}"));
    let [step, reason] = [step, reason].map(Option::unwrap_or_default);
    format!("{fate}{step}{reason}")
}

/// What came out, and what did not.
#[derive(Default)]
struct Gathered {
    results: Vec<Produced>,
    lost: Vec<String>,
}

impl Gathered {
    /// What windows gave off meanwhile.
    fn add(&mut self, sequels: Vec<Sequel>) {
        for Sequel { step, fate, .. } in sequels {
            if fate.results.is_empty() {
                self.lost.push(format!("a result of step {step}: {}", ending(&fate)));
            }
            self.results.extend(fate.results);
        }
    }
}

impl Case {
    /// Whether it says nothing of what must come out.
    pub fn is_open(&self) -> bool {
        self.expected.outcomes.is_none() && self.expected.results.is_none()
    }

    /// Runs it, with a pipeline and state of its own. A record without a timestamp has the trial's
    /// time.
    ///
    /// # Errors
    ///
    /// If the pipeline does not compile, or does not have one of the case's tables.
    pub fn run(&self, settings: &Settings) -> Result<Tried, Vec<Problem>> {
        let mut tables = TrialTables::none(settings);
        for table in &self.tables {
            let given = tables.give(settings, &table.name, table.entries.clone());
            let key = || join_key("tables", &table.name);
            given.map_err(|sentence| vec![Problem::error(key(), sentence)])?;
        }
        let mut trial = Trial::new(settings, tables, self.begins_ms)?;
        let mut fates: Vec<Fate> = Vec::with_capacity(self.inputs.len());
        let mut gathered = Gathered::default();
        for input in &self.inputs {
            trial.pass(input.after);
            gathered.add(trial.take_sequels());
            let timestamp_ms = input.given.timestamp_ms.or(Some(trial.now_ms()));
            let fate = trial.process(&Given { timestamp_ms, ..input.given.clone() });
            gathered.results.extend(fate.results.iter().cloned());
            fates.push(fate);
            gathered.add(trial.take_sequels());
        }
        trial.pass(self.then_after);
        gathered.add(trial.take_sequels());
        let Gathered { results, lost } = gathered;
        let differences = compare::compare(&self.expected, &fates, &results);
        Ok(Tried { fates, results, lost, differences })
    }
}
