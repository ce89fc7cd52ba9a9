//! What the hot thread spends its time on: each tick belongs to exactly one regime.
//!
//! A spinning thread always shows 100 % CPU; the shares of its regimes say how loaded it is. The
//! clock here has no time of its own: it is switched with the `now` that the turn already read.

use std::fmt;

use crate::{clock::Ticks, limits::REGIMES_REMEMBERED};

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

    /// How near the thread is to having no time left: the part of working in working and idle, 0 to
    /// 1. Near 1 records begin to wait for each other. 0 where there was neither.
    pub fn saturation(&self) -> f64 {
        let (working, idle) = (self.of(Regime::Working), self.of(Regime::Idle));
        working as f64 / (working + idle).max(1) as f64
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &RegimeTicks) {
        self.ticks.iter_mut().zip(other.ticks).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// Accumulates ticks, exclusively and exhaustively, and remembers the last changes.
#[derive(Clone, Copy, Debug)]
pub struct RegimeClock {
    current: Regime,
    since: Ticks,
    spent: RegimeTicks,
    /// When a regime began, and which; the youngest stands before `next`.
    changes: [(Ticks, Regime); REGIMES_REMEMBERED],
    next: usize,
}

impl RegimeClock {
    /// Starts in `regime`.
    pub fn new(now: Ticks, regime: Regime) -> RegimeClock {
        let changes = [(now, regime); REGIMES_REMEMBERED];
        RegimeClock { current: regime, since: now, spent: RegimeTicks::default(), changes, next: 0 }
    }

    /// Gives the time since the last call to the regime that was, and goes over to `regime`. A
    /// `now` before the last one counts nothing, and that time is counted once, when it is made up.
    #[inline]
    pub fn switch(&mut self, now: Ticks, regime: Regime) {
        self.spent.ticks[self.current as usize] += now.0.saturating_sub(self.since.0);
        self.since = self.since.max(now);
        if self.current != regime {
            self.current = regime;
            self.changes[self.next] = (now, regime);
            self.next = (self.next + 1) % REGIMES_REMEMBERED;
        }
    }

    /// What the time between two points was spent on. What lies before the last changes that are
    /// remembered is given to the oldest of them.
    pub fn between(&self, from: Ticks, to: Ticks) -> RegimeTicks {
        let mut spent = RegimeTicks::default();
        let mut end = to;
        for step in 1..=REGIMES_REMEMBERED {
            let index = (self.next + REGIMES_REMEMBERED - step) % REGIMES_REMEMBERED;
            let (began, regime) = self.changes[index];
            let began = if step == REGIMES_REMEMBERED { from } else { began.max(from) };
            spent.ticks[regime as usize] += end.0.saturating_sub(began.0);
            end = end.min(began);
            if end <= from {
                break;
            }
        }
        spent
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
    fn a_stretch_of_time_is_told_apart_by_what_was_done_in_it() {
        let mut clock = RegimeClock::new(Ticks(0), Regime::Idle);
        clock.switch(Ticks(100), Regime::Working);
        clock.switch(Ticks(130), Regime::Working);
        clock.switch(Ticks(150), Regime::Backpressured);
        let spent = clock.between(Ticks(90), Ticks(170));
        let of = |regime| spent.of(regime);
        assert_eq!([Regime::Idle, Regime::Working, Regime::Backpressured].map(of), [10, 50, 20]);
        assert_eq!(spent.total(), 80);
        assert_eq!(clock.between(Ticks(110), Ticks(120)).of(Regime::Working), 10);
        for turn in 0..1_000_u64 {
            let regime = if turn % 2 == 0 { Regime::Idle } else { Regime::Working };
            clock.switch(Ticks(200 + turn), regime);
        }
        assert_eq!(clock.between(Ticks(0), Ticks(1_200)).total(), 1_200);
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
