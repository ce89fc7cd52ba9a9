//! Plain sums: how often something happened since the last hand-over.
//!
//! All of it is `u64` fields and arrays of fixed size. Skips and rejects are counted by class and
//! by place; both come as small numbers, because this module stands below the types that name them.

use crate::limits::{CLASSES_MAX, DESTINATIONS_MAX, STEPS_COUNTED_MAX, STREAMS_MAX, TABLES_MAX};

/// Places beside the numbered steps: parse, encode, sink.
const PLACES_FIXED: usize = 3;
const PLACES: usize = PLACES_FIXED + STEPS_COUNTED_MAX;

/// Where something was decided, as a small number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u8);

const _: () = assert!(PLACES <= u8::MAX as usize);

impl Place {
    /// Before the first step.
    pub const PARSE: Place = Place(0);
    /// After the last step.
    pub const ENCODE: Place = Place(1);
    /// The broker, or the producer in front of it.
    pub const SINK: Place = Place(2);

    /// The step of that index, from 0; indices past the bound share the last place.
    pub const fn step(index: u16) -> Place {
        let index = if (index as usize) < STEPS_COUNTED_MAX {
            index as usize
        } else {
            STEPS_COUNTED_MAX - 1
        };
        Place((PLACES_FIXED + index) as u8)
    }

    /// The step's index, if it is a step.
    pub const fn step_index(self) -> Option<usize> {
        (self.0 as usize).checked_sub(PLACES_FIXED)
    }
}

/// Counts by class and place.
#[derive(Clone, Debug)]
pub struct Grid {
    cells: [[u64; PLACES]; CLASSES_MAX],
}

impl Grid {
    const EMPTY: Grid = Grid { cells: [[0; PLACES]; CLASSES_MAX] };

    /// Counts one. Returns true if it is the first of that class and place in this interval.
    ///
    /// # Panics
    ///
    /// If the class's number is not below `limits::CLASSES_MAX`.
    #[inline]
    pub fn count(&mut self, class: usize, place: Place) -> bool {
        let cell = &mut self.cells[class][usize::from(place.0)];
        *cell += 1;
        *cell == 1
    }

    /// The sum of one class over all places; 0 for a class that there is not.
    pub fn of_class(&self, class: usize) -> u64 {
        self.cells.get(class).map_or(0, |places| places.iter().sum())
    }

    /// The sum over all.
    pub fn total(&self) -> u64 {
        self.cells.iter().flatten().sum()
    }

    /// What is not zero: class, place and count, by class and then place.
    pub fn counted(&self) -> impl Iterator<Item = (usize, Place, u64)> {
        self.cells.iter().enumerate().flat_map(|(class, places)| {
            (0_u8..)
                .zip(places)
                .filter(|(_, count)| **count > 0)
                .map(move |(place, count)| (class, Place(place), *count))
        })
    }

    fn add(&mut self, other: &Grid) {
        let (mine, theirs) = (self.cells.as_flattened_mut(), other.cells.as_flattened());
        mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// What the hot thread counts.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Turns of the duty cycle.
    pub turns: u64,
    /// Records taken from the source.
    pub polled: u64,
    /// Offsets that were gone from the source before they were read.
    pub missed: u64,
    /// Entries that were claimed from other consumers, by the stream's number.
    pub claimed: [u64; STREAMS_MAX],
    /// Records whose results are all acknowledged.
    pub emitted: u64,
    /// Records passed over, by skip class and place.
    pub skipped: Grid,
    /// Records dead-lettered, by reject class and place.
    pub rejected: Grid,
    /// Records that live on in the state of a step, by place; all of one class.
    pub held: Grid,
    /// Results of state, such as closed windows: acknowledged, passed over by a later step, and
    /// dead-lettered. They are not records of the source, and stand in no other sum.
    pub given_off: [u64; 3],
    /// Changes of state handed over.
    pub state_changes: u64,
    /// Results handed over, by the destination's number.
    pub results: [u64; DESTINATIONS_MAX],
    /// Results that the broker or the producer refused for good.
    pub refused: u64,
    /// Lookups by the table's number: hits, misses, and those that a stale table did not answer.
    pub lookups: [[u64; 3]; TABLES_MAX],
    /// Records without a usable origin time.
    pub origin_missing: u64,
    /// How far ahead of this machine's clock an origin lay at most, in nanoseconds.
    pub skew_ns_max: u64,
    /// Records that are in flight now: taken, and not settled.
    pub in_flight_records: u64,
    /// Bytes of theirs.
    pub in_flight_bytes: u64,
    /// Commits that were confirmed.
    pub commits: u64,
    /// Commits that failed.
    pub commits_failed: u64,
    /// Times that the group gave or took partitions.
    pub rebalances: u64,
    /// Notices for which the observer's queue had no room.
    pub notices_lost: u64,
}

impl Counters {
    /// All zero.
    pub const ZERO: Counters = Counters {
        turns: 0,
        polled: 0,
        missed: 0,
        claimed: [0; STREAMS_MAX],
        emitted: 0,
        skipped: Grid::EMPTY,
        rejected: Grid::EMPTY,
        held: Grid::EMPTY,
        given_off: [0; 3],
        state_changes: 0,
        results: [0; DESTINATIONS_MAX],
        refused: 0,
        lookups: [[0; 3]; TABLES_MAX],
        origin_missing: 0,
        skew_ns_max: 0,
        in_flight_records: 0,
        in_flight_bytes: 0,
        commits: 0,
        commits_failed: 0,
        rebalances: 0,
        notices_lost: 0,
    };

    /// Adds all that a later set counted; of what is so now the later counts. Taking it apart by
    /// name makes a forgotten field an error.
    pub fn add(&mut self, other: &Counters) {
        let Counters {
            turns,
            polled,
            missed,
            claimed,
            emitted,
            skipped,
            rejected,
            held,
            given_off,
            state_changes,
            results,
            refused,
            lookups,
            origin_missing,
            skew_ns_max,
            in_flight_records,
            in_flight_bytes,
            commits,
            commits_failed,
            rebalances,
            notices_lost,
        } = other;
        self.turns += turns;
        self.polled += polled;
        self.missed += missed;
        self.claimed.iter_mut().zip(claimed).for_each(|(mine, theirs)| *mine += theirs);
        self.emitted += emitted;
        self.skipped.add(skipped);
        self.rejected.add(rejected);
        self.held.add(held);
        self.state_changes += state_changes;
        self.given_off.iter_mut().zip(given_off).for_each(|(mine, theirs)| *mine += theirs);
        self.results.iter_mut().zip(results).for_each(|(mine, theirs)| *mine += theirs);
        self.refused += refused;
        let mine = self.lookups.as_flattened_mut().iter_mut();
        mine.zip(lookups.as_flattened()).for_each(|(mine, theirs)| *mine += theirs);
        self.origin_missing += origin_missing;
        self.skew_ns_max = self.skew_ns_max.max(*skew_ns_max);
        (self.in_flight_records, self.in_flight_bytes) = (*in_flight_records, *in_flight_bytes);
        self.commits += commits;
        self.commits_failed += commits_failed;
        self.rebalances += rebalances;
        self.notices_lost += notices_lost;
    }

    /// Sets all to zero.
    pub fn clear(&mut self) {
        self.clone_from(&Counters::ZERO);
    }
}

impl Default for Counters {
    fn default() -> Counters {
        Counters::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_counts_by_class_and_place() {
        let mut grid = Grid::EMPTY;
        assert!(grid.count(3, Place::PARSE), "the first is told");
        assert!(!grid.count(3, Place::PARSE));
        assert!(grid.count(3, Place::step(0)));
        assert!(grid.count(0, Place::SINK));
        assert_eq!((grid.of_class(3), grid.of_class(0), grid.total()), (3, 1, 4));
        let counted: Vec<_> = grid.counted().collect();
        assert_eq!(counted, [(0, Place::SINK, 1), (3, Place::PARSE, 2), (3, Place::step(0), 1)]);
    }

    #[test]
    fn steps_past_the_bound_share_the_last_place() {
        assert_eq!(Place::step(u16::MAX).step_index(), Some(STEPS_COUNTED_MAX - 1));
        assert_eq!(Place::step(7).step_index(), Some(7));
        assert_eq!(Place::ENCODE.step_index(), None);
    }

    #[test]
    fn counters_add_up_and_clear() {
        let mut one = Counters { polled: 2, refused: 1, ..Counters::ZERO };
        one.results[1] = 5;
        one.skipped.count(1, Place::step(2));
        let mut sum = one.clone();
        sum.add(&one);
        assert_eq!((sum.polled, sum.refused, sum.results[1]), (4, 2, 10));
        assert_eq!(sum.skipped.total(), 2);
        sum.clear();
        assert_eq!((sum.polled, sum.results[1], sum.skipped.total()), (0, 0, 0));
    }
}
