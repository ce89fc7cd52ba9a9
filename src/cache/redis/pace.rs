//! How long a side thread rests between two rounds: little while something comes in, more when
//! nothing did for a while.

use std::time::Duration;

/// While something comes in: a write is visible, and a question heard, after this and a round trip.
const BUSY: Duration = Duration::from_micros(100);

/// When nothing came in for a while.
const QUIET: Duration = Duration::from_millis(1);

/// Rounds without anything after which it is quiet.
const QUIET_ROUNDS: u32 = 1000;

#[derive(Debug, Default)]
pub(super) struct Pace {
    quiet_rounds: u32,
}

impl Pace {
    /// A round ended, in which something came in or nothing did.
    pub(super) fn note(&mut self, is_quiet: bool) {
        self.quiet_rounds = if is_quiet { self.quiet_rounds.saturating_add(1) } else { 0 };
    }

    /// Until the next round.
    pub(super) fn rest(&self) -> Duration {
        if self.quiet_rounds >= QUIET_ROUNDS { QUIET } else { BUSY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_slows_down_after_a_while_and_is_awake_at_once() {
        let mut pace = Pace::default();
        for _ in 0..QUIET_ROUNDS {
            assert_eq!(pace.rest(), BUSY);
            pace.note(true);
        }
        assert_eq!(pace.rest(), QUIET);
        pace.note(false);
        assert_eq!(pace.rest(), BUSY);
    }
}
