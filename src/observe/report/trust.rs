//! Can the numbers be trusted: what speaks for them and what against, a sentence each.

use std::time::Duration;

use crate::{
    config::units,
    measure::{Age, Span},
    observe::{
        report::{runs::Run, slow::SlowRecords},
        summary::grouped,
    },
};

/// Fewer records than that behind a percentile make it a hint.
const BEHIND_MIN: f64 = 10.0;

/// Shorter runs see little of what happens now and then.
const SHORT: Duration = Duration::from_secs(10);

/// What a sentence means for the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Speaks against them.
    Doubt,
    /// Is to be known.
    Note,
    /// Speaks for them.
    Good,
}

impl Weight {
    /// In JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Weight::Doubt => "doubt",
            Weight::Note => "note",
            Weight::Good => "good",
        }
    }
}

/// A sentence and its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Its weight.
    pub weight: Weight,
    /// The sentence.
    pub text: String,
}

/// All that is known, what speaks against the numbers first.
pub fn reasons(run: &Run, slow: &SlowRecords) -> Vec<Reason> {
    let mut reasons = Reasons(Vec::new());
    reasons.sizes(run);
    reasons.holes(run);
    reasons.counts(run);
    reasons.circumstances(run);
    if slow.unreadable > 0 {
        let count = grouped(slow.unreadable);
        reasons.add(Weight::Note, format!("lines of slow records that cannot be read: {count}"));
    }
    reasons.0.sort_by_key(|it| it.weight);
    reasons.0
}

struct Reasons(Vec<Reason>);

impl Reasons {
    fn add(&mut self, weight: Weight, text: impl Into<String>) {
        self.0.push(Reason { weight, text: text.into() });
    }

    fn sizes(&mut self, run: &Run) {
        let (records, took) = (run.records(), units::show_about(run.covered));
        let text = format!("{} records over {took}", grouped(records));
        match run.covered < SHORT {
            _ if records == 0 => self.add(Weight::Doubt, "there are no records in it"),
            true => self.add(Weight::Note, format!("{text}: short, rare events are missing")),
            false => self.add(Weight::Good, text),
        }
        let behind = |part: f64| records as f64 * part;
        let told = [("p99", 0.01), ("p99.9", 0.001), ("p99.99", 0.0001)];
        let weak = told.into_iter().find(|(_, part)| behind(*part) < BEHIND_MIN);
        match weak {
            _ if records == 0 => {}
            Some((name, part)) => {
                let count = behind(part).floor() as u64;
                let is_p9999 = name == "p99.99";
                let weight = if is_p9999 { Weight::Note } else { Weight::Doubt };
                let text = format!("records behind {name}: {count}; from there on, a hint");
                self.add(weight, text);
            }
            None => {
                let count = grouped(behind(0.0001) as u64);
                self.add(Weight::Good, format!("records behind p99.99: {count}"));
            }
        }
    }

    fn holes(&mut self, run: &Run) {
        for file in &run.files {
            if let Some(cut) = &file.cut {
                self.add(Weight::Doubt, format!("{}: {cut}", file.path.display()));
            }
        }
        let gaps: usize = run.files.iter().map(|it| it.gaps.0).sum();
        let long: Duration = run.files.iter().map(|it| it.gaps.1).sum();
        match gaps {
            0 => self.add(Weight::Good, "no time is missing between intervals"),
            _ => {
                let long = units::show_about(long);
                let text = format!("{gaps} gaps between intervals, {long} in all, are missing");
                self.add(Weight::Doubt, text);
            }
        }
        match run.sum_of_fact("polled") {
            Some(_) => self.add(Weight::Good, "each run came to an orderly end"),
            None if run.fact("name").is_empty() => {}
            None => self.add(Weight::Note, "a run has not ended: killed, or still at work"),
        }
        if run.files.iter().any(|it| !it.has_unit) {
            self.add(Weight::Doubt, "a file names no unit; its values are taken as nanoseconds");
        }
    }

    /// What the runs counted beside their histograms.
    fn counts(&mut self, run: &Run) {
        let told = [
            ("skewed", "records came from ahead of this machine's clock, and are in no histogram"),
            ("no origin", "records had no time to count from"),
            ("past an hour", "latencies were past an hour, and are in no histogram"),
        ];
        let counts = told.map(|(name, what)| (run.sum_of_fact(name), what));
        for (count, what) in counts {
            if let Some(count @ 1..) = count {
                // What is rejected before its origin is read has none, and does no harm.
                let is_harmless = what == told[1].1 && run.sum_of_fact("rejected") >= Some(count);
                let weight = if is_harmless { Weight::Note } else { Weight::Doubt };
                self.add(weight, format!("{} {what}", grouped(count)));
            }
        }
        if counts.iter().all(|(count, _)| *count == Some(0)) {
            self.add(Weight::Good, "no record was skewed, without an origin, or out of range");
        }
    }

    fn circumstances(&mut self, run: &Run) {
        let backlog = format!("{}{}", Age::Backlog.prefix(), Span::EndToEnd);
        if let Some(backlog) = run.of(&backlog) {
            let count = grouped(backlog.total.len());
            let text =
                format!("{count} records are older than the run, and stand apart as backlog");
            self.add(Weight::Note, text);
        }
        if run.fact("broker").iter().any(|it| it.starts_with("embedded")) {
            let text = "embedded broker: a demonstration, not a measurement of a real Kafka";
            self.add(Weight::Doubt, text);
        }
        match run.fact("core")[..] {
            ["none"] => self.add(Weight::Note, "the hot thread was not pinned to a core"),
            [core] => self.add(Weight::Good, format!("pinned to core {core}")),
            _ => {}
        }
        match run.fact("clock source")[..] {
            ["tsc"] => self.add(Weight::Good, "the kernel trusts the time stamp counter"),
            [other] => {
                self.add(Weight::Note, format!("the kernel's clock is {other}, not tsc"));
            }
            _ => {}
        }
        if run.fact("virtual machine").contains(&"yes") {
            self.add(Weight::Note, "a virtual machine: its host's pauses are in the tail");
        }
        if run.fact("written by").len() > 1 {
            self.add(Weight::Doubt, "the files were written by different versions");
        }
    }
}
