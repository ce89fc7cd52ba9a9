//! When each record of an open loop is due: exact for every number, without adding up an error.
//!
//! Record `n` is due `n / rate` seconds after the start, rounded down to a nanosecond. Whoever is
//! late has more than one due at once; nobody is ever early. A slot counts as missed when its
//! record was handed over so late that a person would no longer call it the asked-for rate.

use crate::clock::{Clock, Ticks};

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A slot is missed when its record is later than this: well above what a busy small machine takes
/// a thread off its core for, well below what would pass for steady load.
pub const LATE_NANOS_MAX: u64 = 10_000_000;

/// Due times at a fixed rate.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    rate: u64,
    start: Ticks,
    missed: u64,
}

impl Schedule {
    /// `rate` records per second, the first at `start`.
    ///
    /// # Panics
    ///
    /// If the rate is zero.
    pub fn new(rate: u64, start: Ticks) -> Schedule {
        assert!(rate > 0, "a schedule needs a rate above zero");
        Schedule { rate, start, missed: 0 }
    }

    /// Nanoseconds from the start until record `number` is due.
    pub fn due_nanos(&self, number: u64) -> u64 {
        let nanos = u128::from(number) * NANOS_PER_SECOND / u128::from(self.rate);
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// The record that is due that long after the start, if one is: of rates up to one record a
    /// nanosecond each has a time of its own, so that the time tells the record.
    pub fn number_at(&self, nanos: u64) -> Option<u64> {
        let number = (u128::from(nanos) * u128::from(self.rate)).div_ceil(NANOS_PER_SECOND);
        let number = u64::try_from(number).ok()?;
        (self.due_nanos(number) == nanos).then_some(number)
    }

    /// When record `number` is due.
    pub fn due(&self, clock: &impl Clock, number: u64) -> Ticks {
        Ticks(self.start.0.saturating_add(clock.ticks(self.due_nanos(number))))
    }

    /// How many records are due at `now`, of all since the start: those with `due_nanos` passed.
    pub fn due_count(&self, clock: &impl Clock, now: Ticks) -> u64 {
        if now < self.start {
            return 0;
        }
        let elapsed = u128::from(clock.nanos(self.start, now));
        let count = ((elapsed + 1) * u128::from(self.rate)).div_ceil(NANOS_PER_SECOND);
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Notes that record `number` was handed over at `now`.
    pub fn handed_over(&mut self, clock: &impl Clock, number: u64, now: Ticks) {
        let late = clock.nanos(self.start, now).saturating_sub(self.due_nanos(number));
        self.missed += u64::from(late > LATE_NANOS_MAX);
    }

    /// Slots whose record was handed over too late.
    pub fn missed_slots(&self) -> u64 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_is_due_from_its_time_on_and_not_before(
            rate in 1_u64..5_000_000, number in 0_u64..1_000_000_000_000, start in 0_u64..1 << 40
        ) {
            let clock = ManualClock::default();
            let schedule = Schedule::new(rate, Ticks(start));
            let due = schedule.due(&clock, number);
            prop_assert_eq!(due.0 - start, schedule.due_nanos(number));
            prop_assert!(schedule.due_count(&clock, due) > number);
            if number > 0 {
                prop_assert!(schedule.due_count(&clock, Ticks(due.0 - 1)) <= number);
            }
        }
    }

    proptest! {
        #[test]
        fn the_time_tells_the_record(
            rate in 1_u64..=1_000_000_000, number in 0_u64..1_000_000_000
        ) {
            let schedule = Schedule::new(rate, Ticks(0));
            let due = schedule.due_nanos(number);
            prop_assert_eq!(schedule.number_at(due), Some(number));
            if let Some(other) = schedule.number_at(due + 1) {
                prop_assert_eq!(schedule.due_nanos(other), due + 1);
            }
        }
    }

    #[test]
    fn no_error_adds_up() {
        let clock = ManualClock::default();
        let schedule = Schedule::new(3, Ticks(100));
        assert_eq!(schedule.due(&clock, 0), Ticks(100));
        assert_eq!(schedule.due(&clock, 1), Ticks(100 + 333_333_333));
        assert_eq!(schedule.due_nanos(3 * 86_400 * 365), 86_400 * 365 * 1_000_000_000);
        assert_eq!(schedule.due_count(&clock, Ticks(99)), 0);
        assert_eq!(schedule.due_count(&clock, Ticks(100)), 1);
        clock.advance(100 + 86_400 * 1_000_000_000);
        assert_eq!(schedule.due_count(&clock, clock.now()), 3 * 86_400 + 1);
    }

    #[test]
    fn only_slots_that_are_too_late_are_missed() {
        let clock = ManualClock::default();
        let mut schedule = Schedule::new(1_000, Ticks(0));
        schedule.handed_over(&clock, 5, Ticks(5_000_000));
        schedule.handed_over(&clock, 6, Ticks(6_000_000 + LATE_NANOS_MAX));
        assert_eq!(schedule.missed_slots(), 0);
        schedule.handed_over(&clock, 7, Ticks(7_000_001 + LATE_NANOS_MAX));
        assert_eq!(schedule.missed_slots(), 1);
    }
}
