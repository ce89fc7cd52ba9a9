//! How long to wait before the next attempt to connect: twice as long each time, up to a bound, and
//! never in step with others that lost the same server.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    attempts: u64,
    random: RandomState,
}

impl Backoff {
    pub(super) fn new() -> Backoff {
        Backoff { next: FIRST, attempts: 0, random: RandomState::new() }
    }

    /// Between a half and the whole of the step that has been reached.
    pub(super) fn next(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(LONGEST);
        self.attempts += 1;
        let share = self.random.hash_one(self.attempts) as u32;
        step.mul_f64(0.5 + 0.5 * f64::from(share) / f64::from(u32::MAX))
    }

    /// After a success.
    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_bound_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new();
        let mut step = FIRST;
        for _ in 0..20 {
            let wait = backoff.next();
            assert!(step / 2 <= wait && wait <= step, "{wait:?} of {step:?}");
            step = (step * 2).min(LONGEST);
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
