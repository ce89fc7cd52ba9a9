//! One partition of the state topic, read once from its beginning to its end.

use std::time::{Duration, Instant};

use super::foreign::Foreign;
use crate::transport::restore::Want;

/// How long an open transaction is waited for before that is told.
const SILENCE: Duration = Duration::from_secs(5);

/// How often is looked, while nothing comes, whether the end is where it was.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A wish, and since when.
pub(super) type Wish = (Want, Instant);

/// A partition that is being read, for all source topics that it has wanted state of.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) number: i32,
    pub(super) wishes: Vec<Wish>,
    pub(super) foreign: Foreign,
    /// Behind the last record that is read.
    pub(super) end: i64,
    /// Since when nothing comes although that is not the end: a transaction is open.
    stalled: Option<Stall>,
}

#[derive(Clone, Copy, Debug)]
struct Stall {
    since: Instant,
    looked: Instant,
    is_told: bool,
}

/// What to do about a pass to which nothing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    Wait,
    /// See whether the end is where it was.
    Look,
    /// The same, and tell why it takes so long.
    Tell,
}

impl Pass {
    pub(super) fn new(number: i32, wishes: Vec<Wish>, end: i64) -> Pass {
        Pass { number, wishes, foreign: Foreign::default(), end, stalled: None }
    }

    /// A record came. True if there are no more behind it to be read.
    pub(super) fn pass(&mut self, offset: i64) -> bool {
        self.stalled = None;
        offset + 1 >= self.end
    }

    /// The client has no more before that offset. True if that is the end.
    pub(super) fn has_no_more(&mut self, offset: i64, now: Instant) -> bool {
        let is_end = offset >= self.end;
        if !is_end && self.stalled.is_none() {
            self.stalled = Some(Stall { since: now, looked: now, is_told: false });
        }
        is_end
    }

    pub(super) fn advice(&mut self, now: Instant) -> Advice {
        let Some(stall) = self.stalled.as_mut().filter(|it| now >= it.looked + LOOK_AGAIN) else {
            return Advice::Wait;
        };
        stall.looked = now;
        match now >= stall.since + SILENCE && !std::mem::replace(&mut stall.is_told, true) {
            true => Advice::Tell,
            false => Advice::Look,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_reached_by_the_last_record_or_by_markers_behind_it() {
        let now = Instant::now();
        let mut pass = Pass::new(0, Vec::new(), 5);
        assert!(!pass.pass(3));
        assert!(pass.pass(4));
        assert!(pass.has_no_more(5, now), "4 is a marker");
        assert!(pass.pass(9), "4 is gone");
    }

    #[test]
    fn an_open_transaction_is_waited_for_and_told_once() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut pass = Pass::new(0, Vec::new(), 5);
        assert_eq!(pass.advice(start), Advice::Wait);
        assert!(!pass.has_no_more(2, start) && !pass.has_no_more(2, after(1)));
        assert_eq!(pass.advice(start), Advice::Wait);
        let advice: Vec<_> = (1..9).map(|it| pass.advice(after(it))).collect();
        let told: Vec<_> = (1..).zip(&advice).filter(|it| *it.1 == Advice::Tell).collect();
        assert_eq!(told, [(5, &Advice::Tell)]);
        assert!(advice.iter().all(|it| *it != Advice::Wait));
        assert!(!pass.pass(3));
        assert_eq!(pass.advice(after(60)), Advice::Wait);
    }
}
