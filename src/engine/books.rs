//! Exactly once: what a transaction came to, told when it is committed, else forgotten.
//!
//! A record whose transaction is taken back comes again; counted each time, the books would not
//! balance. So counts are kept here until the commit. Two sets, because while one transaction waits
//! for its acknowledgements the records of the next are processed already. Times of emitted records
//! are kept as well: their last stage ends with the commit. They are recorded a part at a time, so
//! that a large transaction does not hold up the turn.

use std::mem;

use crate::{
    clock::{Clock, Ticks},
    limits::UNCOMMITTED_TIMES_MAX,
    measure::{Age, Counters, Span, Stage},
    observe::HotSide,
};

/// Times that one turn records at most.
const TIMES_PER_TURN_MAX: usize = 4096;

/// One emitted record.
#[derive(Clone, Copy, Debug)]
struct Emitted {
    age: Age,
    /// Acknowledged at.
    at: Ticks,
    /// Nanoseconds from its origin until then, if that is known.
    end_to_end: Option<u64>,
}

/// Counts and times that are not committed.
#[derive(Debug)]
pub(super) struct Books {
    open: Counters,
    /// Of the transaction that waits for acknowledgements, or for its commit.
    closed: Counters,
    is_closed: bool,
    emitted: Vec<Emitted>,
    /// Those of the last commit which are not recorded yet, and when that was.
    committed: Vec<Emitted>,
    committed_at: Ticks,
}

impl Default for Books {
    fn default() -> Books {
        Books {
            open: Counters::ZERO,
            closed: Counters::ZERO,
            is_closed: false,
            emitted: Vec::with_capacity(UNCOMMITTED_TIMES_MAX),
            committed: Vec::with_capacity(UNCOMMITTED_TIMES_MAX),
            committed_at: Ticks(0),
        }
    }
}

impl Books {
    /// True if a commit must come before more are emitted.
    pub(super) fn is_full(&self) -> bool {
        self.emitted.len() >= UNCOMMITTED_TIMES_MAX / 2
    }

    /// What is decided now belongs here.
    #[inline]
    pub(super) fn decided(&mut self) -> &mut Counters {
        &mut self.open
    }

    /// What is acknowledged now belongs here.
    #[inline]
    pub(super) fn acknowledged(&mut self) -> &mut Counters {
        if self.is_closed { &mut self.closed } else { &mut self.open }
    }

    /// A record was acknowledged. Past the bound its times are not kept; none comes there unless
    /// more were in flight than half of it.
    #[inline]
    pub(super) fn emitted(&mut self, age: Age, at: Ticks, end_to_end: Option<u64>) {
        if self.emitted.len() < UNCOMMITTED_TIMES_MAX {
            self.emitted.push(Emitted { age, at, end_to_end });
        }
    }

    /// Nothing more is handed over.
    pub(super) fn close(&mut self) {
        mem::swap(&mut self.open, &mut self.closed);
        self.is_closed = true;
    }

    /// It was committed.
    pub(super) fn commit(&mut self, clock: &impl Clock, now: Ticks, hot: &mut HotSide) {
        hot.counters().add(&self.closed);
        self.closed.clear();
        self.is_closed = false;
        while self.record_some(clock, hot) > 0 {}
        mem::swap(&mut self.emitted, &mut self.committed);
        self.committed_at = now;
    }

    /// Records times of the last commit, as many as a turn may. Returns how many.
    pub(super) fn record_some(&mut self, clock: &impl Clock, hot: &mut HotSide) -> usize {
        let from = self.committed.len().saturating_sub(TIMES_PER_TURN_MAX);
        let times = self.committed.drain(from..);
        let count = times.len();
        for Emitted { age, at, end_to_end } in times {
            let waited = clock.nanos(at, self.committed_at);
            hot.record(age, Stage::Commit, waited);
            if let Some(nanos) = end_to_end {
                hot.record(age, Span::EndToEnd, nanos + waited);
            }
        }
        count
    }

    /// It was taken back, and with it what was prepared behind it.
    pub(super) fn abandon(&mut self) {
        self.open.clear();
        self.closed.clear();
        self.is_closed = false;
        self.emitted.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn only_what_is_committed_is_counted_and_each_record_in_its_own_transaction() {
        let (clock, mut hot) = (ManualClock::default(), HotSide::detached(Ticks(0)));
        let mut books = Books::default();
        books.decided().polled += 3;
        books.close();
        // Processed while the other waits for its acknowledgement.
        books.decided().polled += 2;
        books.acknowledged().emitted += 3;
        books.emitted(Age::Live, Ticks(1), Some(7));
        clock.advance(5);
        books.commit(&clock, clock.now(), &mut hot);
        assert_eq!((hot.counters().polled, hot.counters().emitted), (3, 3));
        assert_eq!(books.record_some(&clock, &mut hot), 1);
        books.acknowledged().emitted += 2;
        books.abandon();
        books.decided().polled += 2;
        books.close();
        books.commit(&clock, clock.now(), &mut hot);
        assert_eq!((hot.counters().polled, hot.counters().emitted), (5, 3));
        assert_eq!(books.record_some(&clock, &mut hot), 0);
    }
}
