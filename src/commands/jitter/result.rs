//! What was found, with what follows from it, for the text, the JSON and the files alike.

use std::{path::PathBuf, time::Duration};

use super::verdict::{Verdict, verdict};
use crate::{
    clock::TscClock,
    config::units,
    host::{Cores, jitter::CoreRecord},
    observe::summary::readable,
};

/// All of it.
#[derive(Debug)]
pub(super) struct JitterResult {
    /// Where ticks come from.
    pub(super) clock: String,
    /// What the machine is.
    pub(super) facts: Vec<(&'static str, String)>,
    /// Nanoseconds since the epoch.
    pub(super) started: u64,
    pub(super) threshold: Duration,
    /// How long each core was to be measured.
    pub(super) duration: Duration,
    /// Whether it was ended before its time.
    pub(super) is_cut: bool,
    pub(super) cores: Vec<CoreResult>,
    pub(super) notes: Vec<String>,
    pub(super) files: Vec<PathBuf>,
}

/// Of one core.
#[derive(Debug)]
pub(super) struct CoreResult {
    pub(super) record: CoreRecord,
    pub(super) is_isolated: bool,
    pub(super) verdict: Verdict,
}

impl JitterResult {
    /// Says where the figures are less than they seem.
    pub(super) fn tell_limits(&mut self, clock: &TscClock) {
        if !clock.is_counter() {
            self.notes.push(format!("the clock is {}: a look takes longer", clock.describe()));
        }
        for core in self.cores.iter().map(|it| &it.record) {
            let turn_ns = core.turns.value_at_quantile(0.5);
            let number = core.core;
            if core.measured_ns == 0 {
                self.notes.push(format!("it was told to end before core {number} was measured"));
            } else if u128::from(turn_ns) * 2 > self.threshold.as_nanos() {
                self.notes.push(format!(
                    "a turn of the loop on core {number} takes {}: stalls of {} are told from it \
                     with difficulty, --threshold is to be longer",
                    readable(turn_ns),
                    units::show_duration(self.threshold)
                ));
            }
        }
        if self.is_cut {
            let asked = units::show_duration(self.duration);
            self.notes.push(format!("it was told to end before the {asked} were over"));
        }
    }

    /// What the machine is called.
    pub(super) fn host(&self) -> &str {
        let found = self.facts.iter().find(|(name, _)| *name == "host");
        found.map_or("host", |(_, value)| value)
    }

    /// The core that is taken away least, if there are several.
    pub(super) fn best(&self) -> Option<&CoreResult> {
        let measured = self.cores.iter().filter(|it| it.record.measured_ns > 0);
        let best = measured.min_by(|one, other| one.lost_share().total_cmp(&other.lost_share()));
        best.filter(|_| self.cores.len() > 1)
    }
}

impl CoreResult {
    pub(super) fn new(record: CoreRecord, cores: &Cores) -> CoreResult {
        let is_isolated = cores.isolated.contains(record.core);
        let verdict = verdict(&record);
        CoreResult { record, is_isolated, verdict }
    }

    /// Of the time that it was measured.
    pub(super) fn lost_share(&self) -> f64 {
        self.share(self.record.shares.lost_ns)
    }

    /// The share of that time that so many nanoseconds are.
    pub(super) fn share(&self, nanos: u64) -> f64 {
        nanos as f64 / self.record.measured_ns.max(1) as f64
    }

    pub(super) fn per_second(&self, count: u64) -> f64 {
        count as f64 * 1e9 / self.record.measured_ns.max(1) as f64
    }
}
