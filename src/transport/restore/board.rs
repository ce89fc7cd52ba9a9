//! How far restoring is, in plain numbers that anybody may read.
//!
//! Wishes are counted by the hot thread, entries by the side thread, so that no number has two
//! writers. A round begins with the first wish when none is open: its numbers say what it is about.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use super::StatefulStep;

/// Bounds of the histogram of restore times, in milliseconds.
pub const RESTORE_BOUNDS_MS: [u64; 15] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000];

/// What restoring came to so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestoreFigures {
    /// Partitions of this round, or of the last one, without those that were taken back.
    pub partitions: u32,
    /// How many of them are complete.
    pub complete: u32,
    /// Entries of this round that were handed over.
    pub entries: u64,
    /// How many there will be at most, of the partitions whose reading has begun.
    pub entries_expected: u64,
    /// Bytes of keys and values of this round.
    pub bytes: u64,
    /// By step.
    pub steps: Vec<StepFigures>,
    /// Complete partitions by how long they took, one place for each of `RESTORE_BOUNDS_MS` and one
    /// for what is longer; not cumulative.
    pub times: [u64; RESTORE_BOUNDS_MS.len() + 1],
    /// How long they took together.
    pub time_sum: Duration,
}

/// Of one step that keeps state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepFigures {
    /// Its name, else its number from 1.
    pub step: String,
    /// Entries that came back, over all partitions and rounds.
    pub restored_entries: u64,
    /// Bytes of their keys and values.
    pub restored_bytes: u64,
    /// Entries that it keeps now, as the hot thread told last.
    pub entries: u64,
    /// Bytes that those take.
    pub bytes: u64,
}

/// What the figures are read from.
#[derive(Debug)]
pub(super) struct Board {
    open: AtomicU32,
    partitions: AtomicU32,
    complete: AtomicU32,
    /// Over all rounds, and where they stood when the round began.
    entries: SinceRound,
    expected: SinceRound,
    bytes: SinceRound,
    steps: Box<[StepBoard]>,
    times: [AtomicU64; RESTORE_BOUNDS_MS.len() + 1],
    time_ns: AtomicU64,
}

#[derive(Debug, Default)]
struct SinceRound {
    all: AtomicU64,
    before: AtomicU64,
}

impl SinceRound {
    fn add(&self, more: u64) {
        self.all.fetch_add(more, Ordering::Relaxed);
    }

    fn begin_round(&self) {
        self.before.store(self.all.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        let before = self.before.load(Ordering::Relaxed);
        self.all.load(Ordering::Relaxed).saturating_sub(before)
    }
}

#[derive(Debug, Default)]
struct StepBoard {
    number: u16,
    name: String,
    restored_entries: AtomicU64,
    restored_bytes: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Board {
    pub(super) fn new(steps: &[StatefulStep]) -> Board {
        let step = |it: &StatefulStep| StepBoard {
            number: it.number,
            name: it.name.clone(),
            ..StepBoard::default()
        };
        Board {
            open: AtomicU32::new(0),
            partitions: AtomicU32::new(0),
            complete: AtomicU32::new(0),
            entries: SinceRound::default(),
            expected: SinceRound::default(),
            bytes: SinceRound::default(),
            steps: steps.iter().map(step).collect(),
            times: Default::default(),
            time_ns: AtomicU64::new(0),
        }
    }

    pub(super) fn is_restoring(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    pub(super) fn wanted(&self) {
        if self.open.fetch_add(1, Ordering::Relaxed) == 0 {
            for number in [&self.entries, &self.expected, &self.bytes] {
                number.begin_round();
            }
            self.partitions.store(0, Ordering::Relaxed);
            self.complete.store(0, Ordering::Relaxed);
        }
        self.partitions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn cancelled(&self) {
        self.partitions.fetch_sub(1, Ordering::Relaxed);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn completed(&self) {
        self.complete.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn expects(&self, entries: u64) {
        self.expected.add(entries);
    }

    pub(super) fn handed_over(&self, step: u16, bytes: u64) {
        self.entries.add(1);
        self.bytes.add(bytes);
        if let Some(step) = self.step(step) {
            step.restored_entries.fetch_add(1, Ordering::Relaxed);
            step.restored_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn took(&self, time: Duration) {
        let bound = RESTORE_BOUNDS_MS.partition_point(|it| u128::from(*it) < time.as_millis());
        self.times[bound].fetch_add(1, Ordering::Relaxed);
        self.time_ns.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn tell_kept(&self, number: u16, entries: u64, bytes: u64) {
        if let Some(step) = self.step(number) {
            step.entries.store(entries, Ordering::Relaxed);
            step.bytes.store(bytes, Ordering::Relaxed);
        }
    }

    fn step(&self, number: u16) -> Option<&StepBoard> {
        self.steps.iter().find(|it| it.number == number)
    }

    pub(super) fn figures(&self) -> RestoreFigures {
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let step = |it: &StepBoard| StepFigures {
            step: it.name.clone(),
            restored_entries: of(&it.restored_entries),
            restored_bytes: of(&it.restored_bytes),
            entries: of(&it.entries),
            bytes: of(&it.bytes),
        };
        RestoreFigures {
            partitions: self.partitions.load(Ordering::Relaxed),
            complete: self.complete.load(Ordering::Relaxed),
            entries: self.entries.value(),
            entries_expected: self.expected.value(),
            bytes: self.bytes.value(),
            steps: self.steps.iter().map(step).collect(),
            times: std::array::from_fn(|it| of(&self.times[it])),
            time_sum: Duration::from_nanos(of(&self.time_ns)),
        }
    }
}
