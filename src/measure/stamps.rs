//! The times of one record, kept with it while it is in flight.

use crate::{clock::Ticks, measure::Age};

/// When the stages of a record's path ended, as far as it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// Its response arrived.
    pub arrived: Ticks,
    /// It was polled.
    pub polled: Ticks,
    /// Its turn came first.
    pub since: Ticks,
    /// The last attempt began.
    pub start: Ticks,
    /// Its JSON was read.
    pub parsed: Ticks,
    /// Its steps were done.
    pub operated: Ticks,
    /// Its last result was written.
    pub encoded: Ticks,
    /// Its last result was handed over.
    pub sent: Ticks,
    /// Nanoseconds from its origin to its arrival; negative where the origin's clock is ahead.
    pub source_ns: Option<i64>,
    /// Whether it was made before the run.
    pub age: Age,
    /// Its stages are measured, and not only the totals.
    pub is_sampled: bool,
}

impl Stamps {
    /// Of a record that has not come.
    pub const NONE: Stamps = Stamps {
        arrived: Ticks(0),
        polled: Ticks(0),
        since: Ticks(0),
        start: Ticks(0),
        parsed: Ticks(0),
        operated: Ticks(0),
        encoded: Ticks(0),
        sent: Ticks(0),
        source_ns: None,
        age: Age::Live,
        is_sampled: true,
    };

    /// True if each stage ends where the next begins and none ends before it began: then their sum
    /// is the whole way from arrival to hand-over, and nothing falls between.
    pub fn are_contiguous(&self) -> bool {
        let ends = [
            self.arrived,
            self.polled,
            self.since,
            self.start,
            self.parsed,
            self.operated,
            self.encoded,
            self.sent,
        ];
        ends.is_sorted()
    }
}
