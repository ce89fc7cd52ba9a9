//! What may heal is tried again before it is dead-lettered: how often, and after how long.
//!
//! A table that was too old may be fresh again in a moment, and an answer that did not come in time
//! may come the next time; nothing else that a record is rejected for changes by waiting. Meanwhile
//! the record waits aside (see `aside`), so that those of its key stay behind it. The waits double
//! up to a bound, each a little shorter than it could be, so that records which failed together
//! are not tried again together; by how much follows from the record's number and a fixed seed.
//!
//! At most once the record's offset is committed already: it would be lost if it still waited when
//! its partition goes or the run ends. There it is tried for the last time as soon as that is asked
//! for, and dead-lettered if it fails. Else it comes again.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::{
    Process,
    phase::Phase,
    turn::{Attempt, Engine},
};
use crate::{
    clock::Clock,
    delivery::{Order, Sequence},
    record::PartitionId,
    transport::{Sink, Source},
    verdict::{RejectClass, Rejection, Sentence},
};

/// By that share of itself a wait may be shorter.
const JITTER: u64 = 8;

/// How what may heal is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often at most.
    pub attempts: u16,
    /// Nanoseconds before the first time.
    pub backoff_ns: u64,
    /// Nanoseconds between two times at most.
    pub max_backoff_ns: u64,
}

impl Retry {
    /// Nothing is tried again.
    pub const NEVER: Retry = Retry { attempts: 0, backoff_ns: 0, max_backoff_ns: 0 };

    /// Nanoseconds before a record is tried again that was so already that many times.
    pub(super) fn wait_ns(&self, retries: u16, sequence: Sequence) -> u64 {
        let factor = 1_u64.checked_shl(retries.into()).unwrap_or(u64::MAX);
        let step = self.backoff_ns.saturating_mul(factor).min(self.max_backoff_ns);
        let random = FixedState::with_seed(0).hash_one((sequence.0, retries));
        step - random % (step / JITTER + 1)
    }
}

/// Whether a rejection of that class may be another's after a while.
const fn may_heal(class: RejectClass) -> bool {
    matches!(class, RejectClass::StaleTable | RejectClass::LookupTimeout)
}

/// The rejection of a record that was tried again that many times before.
pub(super) fn after(retries: u16, rejection: Rejection) -> Rejection {
    let (times, reason) = (u32::from(retries) + 1, rejection.reason);
    // In front: a long reason is cut at its end.
    let reason = Sentence::format(format_args!("tried {times} times: {reason}"));
    Rejection { reason, ..rejection }
}

impl<C: Clock, S: Source, K: Sink, P: Process> Engine<C, S, K, P> {
    /// Whether a record that is to be rejected is tried again instead.
    #[inline(never)]
    pub(super) fn tries_again(&self, attempt: &Attempt, class: RejectClass) -> bool {
        attempt.retries < self.options.retry.attempts
            && may_heal(class)
            && !self.is_last_chance(self.delivery.partition(attempt.sequence))
    }

    /// True where a record of that partition that waits longer may be lost.
    pub(super) fn is_last_chance(&self, partition: PartitionId) -> bool {
        self.options.order == Order::CommitThenProcess
            && (self.phase != Phase::Running || self.revoking.contains(&partition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Step;

    const RETRY: Retry = Retry { attempts: 9, backoff_ns: 800, max_backoff_ns: 5_000 };

    #[test]
    fn waits_double_up_to_the_bound_and_are_a_little_shorter() {
        for (retries, step) in [(0, 800), (1, 1_600), (2, 3_200), (3, 5_000), (70, 5_000)] {
            let wait = |sequence| RETRY.wait_ns(retries, Sequence(sequence));
            let mut waits: Vec<_> = (0..100).map(wait).collect();
            assert!(waits.iter().all(|wait| (step - step / JITTER..=step).contains(wait)));
            waits.sort_unstable();
            waits.dedup();
            assert!(waits.len() > 30, "{waits:?} are nearly the same");
        }
        assert_eq!(RETRY.wait_ns(1, Sequence(7)), RETRY.wait_ns(1, Sequence(7)));
    }

    #[test]
    fn two_classes_may_heal() {
        let heal: Vec<_> = RejectClass::ALL.iter().filter(|it| may_heal(**it)).collect();
        assert_eq!(heal, [&RejectClass::StaleTable, &RejectClass::LookupTimeout]);
    }

    #[test]
    fn a_reason_says_how_often_it_was_tried_however_long_it_is() {
        let reason = format_args!("{}", "x".repeat(500));
        let rejection = Rejection::new(RejectClass::StaleTable, Step::Number(0), reason);
        assert!(after(3, rejection).reason.as_str().starts_with("tried 4 times: xxx"));
    }
}
