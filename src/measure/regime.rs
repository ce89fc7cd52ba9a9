//! What the hot thread spends its time on: each tick belongs to exactly one regime.
//!
//! A spinning thread always shows 100 % CPU; the shares of its regimes say how loaded it is. The
//! clock here has no time of its own: it is switched with the `now` that the turn already read.

use std::fmt;

use crate::clock::Ticks;

/// What the hot thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Regime {
    /// Turns without work, and parked.
    Idle,
    /// Records and acknowledgements.
    Working,
    /// There may be records, but there is no room for them.
    Backpressured,
    /// Commits, publishing, the group.
    Housekeeping,
    /// Reading state back.
    Restoring,
    /// Told to take nothing.
    Paused,
}

impl Regime {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// All regimes.
    pub const ALL: [Regime; Regime::COUNT] = [
        Regime::Idle,
        Regime::Working,
        Regime::Backpressured,
        Regime::Housekeeping,
        Regime::Restoring,
        Regime::Paused,
    ];

    /// The name in tables and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Regime::Idle => "idle",
            Regime::Working => "working",
            Regime::Backpressured => "backpressured",
            Regime::Housekeeping => "housekeeping",
            Regime::Restoring => "restoring",
            Regime::Paused => "paused",
        }
    }
}

impl fmt::Display for Regime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Ticks spent in each regime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegimeTicks {
    ticks: [u64; Regime::COUNT],
}

impl RegimeTicks {
    /// Ticks spent in one.
    pub fn of(&self, regime: Regime) -> u64 {
        self.ticks[regime as usize]
    }

    /// Ticks spent in all.
    pub fn total(&self) -> u64 {
        self.ticks.iter().sum()
    }

    /// The part of one in all, 0 to 1; 0 where no time passed.
    pub fn share(&self, regime: Regime) -> f64 {
        self.of(regime) as f64 / self.total().max(1) as f64
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &RegimeTicks) {
        self.ticks.iter_mut().zip(other.ticks).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// Accumulates ticks, exclusively and exhaustively.
#[derive(Clone, Copy, Debug)]
pub struct RegimeClock {
    current: Regime,
    since: Ticks,
    spent: RegimeTicks,
}

impl RegimeClock {
    /// Starts in `regime`.
    pub fn new(now: Ticks, regime: Regime) -> RegimeClock {
        RegimeClock { current: regime, since: now, spent: RegimeTicks::default() }
    }

    /// Gives the time since the last call to the regime that was, and goes over to `regime`. A
    /// `now` before the last one counts nothing, and that time is counted once, when it is made up.
    #[inline]
    pub fn switch(&mut self, now: Ticks, regime: Regime) {
        self.spent.ticks[self.current as usize] += now.0.saturating_sub(self.since.0);
        self.since = self.since.max(now);
        self.current = regime;
    }

    /// The regime that time is given to at present.
    pub fn current(&self) -> Regime {
        self.current
    }

    /// What was spent since the last `take`, up to `now`; the regime stays.
    pub fn take(&mut self, now: Ticks) -> RegimeTicks {
        self.switch(now, self.current);
        std::mem::take(&mut self.spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn regimes_sum_to_the_whole_time(
            steps in prop::collection::vec(
                (0_u64..1_000_000, 0..Regime::COUNT, any::<bool>()),
                0..200,
            )
        ) {
            let start = Ticks(77);
            let mut now = start;
            let mut clock = RegimeClock::new(now, Regime::Idle);
            let mut sum = RegimeTicks::default();
            let mut expected = [0; Regime::COUNT];
            for (ticks, regime, take) in steps {
                expected[clock.current() as usize] += ticks;
                now = Ticks(now.0 + ticks);
                clock.switch(now, Regime::ALL[regime]);
                if take {
                    sum.add(&clock.take(now));
                }
            }
            sum.add(&clock.take(now));
            prop_assert_eq!(sum.total(), now.0 - start.0);
            prop_assert_eq!(Regime::ALL.map(|regime| sum.of(regime)), expected);
        }
    }

    #[test]
    fn time_that_goes_back_is_not_counted_twice() {
        let mut clock = RegimeClock::new(Ticks(100), Regime::Idle);
        clock.switch(Ticks(90), Regime::Working);
        clock.switch(Ticks(150), Regime::Idle);
        let spent = clock.take(Ticks(150));
        assert_eq!((spent.of(Regime::Working), spent.total()), (50, 50));
    }
}
