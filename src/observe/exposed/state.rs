//! State of steps, as metrics, and as a reason why a run is not ready.

use std::time::Duration;

use crate::observe::exposition::{Exposition, Kind};

/// What steps keep, and what came back of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateFigures {
    /// Partitions whose state is wanted, or was wanted last.
    pub partitions: u32,
    /// Those of them whose state is there.
    pub complete: u32,
    /// Entries that came back for these.
    pub entries: u64,
    /// By step.
    pub steps: Vec<StatefulStepFigures>,
    /// Bounds of the histogram of restore times, in milliseconds.
    pub time_bounds_ms: &'static [u64],
    /// Partitions by how long their state took: a place for each bound, and one for what is longer.
    pub times: Vec<u64>,
    /// How long they took together.
    pub time_sum: Duration,
}

/// Of one step that keeps state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatefulStepFigures {
    /// Its name, else its number from 1.
    pub step: String,
    /// Entries that came back since the start.
    pub restored_entries: u64,
    /// Bytes of their keys and values.
    pub restored_bytes: u64,
    /// Entries that it keeps.
    pub entries: u64,
    /// Bytes that those take.
    pub bytes: u64,
}

/// Reads the figures.
pub type StateSource = Box<dyn Fn() -> StateFigures + Send + Sync>;

impl StateFigures {
    /// Why records of some partitions are not taken yet.
    pub(super) fn reason(&self) -> Option<String> {
        let StateFigures { partitions, complete, entries, .. } = self;
        (complete < partitions).then(|| {
            let entries = with_commas(*entries);
            format!("restoring: {complete} of {partitions} partitions, {entries} entries")
        })
    }

    pub(super) fn write(&self, text: &mut Exposition) {
        let mut family = |kind, name, help, figure: fn(&StatefulStepFigures) -> u64| {
            let family = text.family(kind, name, help);
            for step in &self.steps {
                family.sample(&[("step", &step.step)], figure(step));
            }
        };
        let name = "hotspur_state_entries";
        family(Kind::Gauge, name, "Entries that a step keeps.", |it| it.entries);
        let name = "hotspur_state_bytes";
        family(Kind::Gauge, name, "Bytes of memory that they take.", |it| it.bytes);
        let (name, help) = ("hotspur_state_restored_entries", "Entries read back from the topic.");
        family(Kind::Counter, name, help, |it| it.restored_entries);
        let (name, help) = ("hotspur_state_restored_bytes", "Bytes of their keys and values.");
        family(Kind::Counter, name, help, |it| it.restored_bytes);
        let help = "Partitions whose records wait for their state.";
        let waiting = self.partitions.saturating_sub(self.complete);
        text.family(Kind::Gauge, "hotspur_state_restoring_partitions", help).sample(&[], waiting);
        self.write_times(text);
    }

    fn write_times(&self, text: &mut Exposition) {
        let help = "From when a partition was given to us until its state was there.";
        text.family(Kind::Histogram, "hotspur_state_restore_seconds", help);
        let bounds = self.time_bounds_ms.iter().map(|it| (*it as f64 / 1e3).to_string());
        let mut count = 0;
        for (bound, more) in bounds.chain(["+Inf".to_owned()]).zip(&self.times) {
            count += more;
            text.sample_of("_bucket", &[("le", &bound)], count);
        }
        text.sample_of("_sum", &[], self.time_sum.as_secs_f64()).sample_of("_count", &[], count);
    }
}

/// With its thousands apart.
fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Exposed, Facts, Notice, exposition::Format};

    fn figures() -> StateFigures {
        let step = StatefulStepFigures {
            step: "2".to_owned(),
            restored_entries: 120_000,
            restored_bytes: 7_000_000,
            entries: 130_000,
            bytes: 6_240_000,
        };
        StateFigures {
            partitions: 12,
            complete: 3,
            entries: 120_000,
            steps: vec![step],
            time_bounds_ms: &[10, 1_000],
            times: vec![2, 0, 1],
            time_sum: Duration::from_millis(4_500),
        }
    }

    #[test]
    fn a_run_that_restores_is_not_ready_and_says_how_far_it_is() {
        let exposed = Exposed::new(Facts::default());
        exposed.started(Vec::new());
        exposed.read_state_by(Box::new(figures));
        assert_eq!(exposed.unready(), ["restoring: 3 of 12 partitions, 120,000 entries"]);
        exposed.hear(&Notice::Assigned { partitions: 3, owned: 3 });
        assert_eq!(exposed.unready().len(), 1);
        exposed.read_state_by(Box::new(|| StateFigures { complete: 12, ..figures() }));
        assert!(exposed.unready().is_empty());
    }

    #[test]
    fn state_is_counted_by_step_and_restoring_by_time() {
        let exposed = Exposed::new(Facts::default());
        assert!(!exposed.metrics(Format::Text).contains("hotspur_state_"), "no step keeps any");
        exposed.read_state_by(Box::new(figures));
        let text = exposed.metrics(Format::Text);
        for line in [
            "hotspur_state_entries{step=\"2\"} 130000",
            "hotspur_state_bytes{step=\"2\"} 6240000",
            "hotspur_state_restored_entries_total{step=\"2\"} 120000",
            "hotspur_state_restored_bytes_total{step=\"2\"} 7000000",
            "hotspur_state_restoring_partitions 9",
            "hotspur_state_restore_seconds_bucket{le=\"0.01\"} 2",
            "hotspur_state_restore_seconds_bucket{le=\"1\"} 2",
            "hotspur_state_restore_seconds_bucket{le=\"+Inf\"} 3",
            "hotspur_state_restore_seconds_sum 4.5",
            "hotspur_state_restore_seconds_count 3",
        ] {
            assert!(text.lines().any(|it| it == line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn thousands_stand_apart() {
        let numbers = [0, 999, 1_000, 120_000, 1_234_567];
        assert_eq!(numbers.map(with_commas), ["0", "999", "1,000", "120,000", "1,234,567"]);
    }
}
