//! What the hot thread adds latencies to: one count a cell, laid out as an HDR histogram is.
//!
//! An HDR histogram also keeps its total, its least and its greatest value up to date, and looks
//! whether it must grow, at each of ten records a message; a profile showed it. All of it follows
//! from the counts, so here a record is one index and one addition, and the observer makes
//! histograms of the counts later, cell by cell: the same as if each value had been recorded there.

use crate::{
    limits::{LATENCY_DIGITS, LATENCY_NS_MAX, LATENCY_NS_MIN},
    measure::{Age, Histograms, Span},
};

/// Cells of equal width below the first doubling, as three decimal digits need them.
const HALF_CELLS_BITS: u32 = 10;
const HALF_CELLS: u64 = 1 << HALF_CELLS_BITS;

const _: () = assert!(LATENCY_DIGITS == 3 && LATENCY_NS_MIN == 1, "the layout is made for these");

/// Cells of one span.
const CELLS: usize = cell_of(LATENCY_NS_MAX) + 1;

/// The cell of a value: ten bits below its highest one, and which that is.
#[inline]
const fn cell_of(nanos: u64) -> usize {
    let doublings = (nanos | (2 * HALF_CELLS - 1)).ilog2() - HALF_CELLS_BITS;
    ((doublings as usize) << HALF_CELLS_BITS) + (nanos >> doublings) as usize
}

/// The least value of a cell.
const fn value_of(cell: usize) -> u64 {
    let cell = cell as u64;
    if cell < 2 * HALF_CELLS {
        return cell;
    }
    let doublings = (cell >> HALF_CELLS_BITS) - 1;
    (cell - (doublings << HALF_CELLS_BITS)) << doublings
}

/// Spans, once for live records and once for those of the backlog.
const ROWS: usize = Age::COUNT * Span::COUNT;

/// Counts of all spans.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    cells: Box<[u64]>,
    above: [u64; ROWS],
    negative: [u64; ROWS],
}

#[inline]
const fn row_of(age: Age, span: Span) -> usize {
    age as usize * Span::COUNT + span.index()
}

impl Tally {
    /// Takes all memory and touches it.
    pub(super) fn new() -> Tally {
        let mut tally = Tally {
            cells: vec![0; ROWS * CELLS].into_boxed_slice(),
            above: [0; ROWS],
            negative: [0; ROWS],
        };
        // Fresh zeroed memory is not there before it is written.
        std::hint::black_box(&mut tally).clear();
        tally
    }

    /// Adds one value.
    #[inline]
    pub(super) fn record(&mut self, age: Age, span: Span, nanos: u64) {
        if nanos > LATENCY_NS_MAX {
            self.above[row_of(age, span)] += 1;
        } else {
            self.cells[row_of(age, span) * CELLS + cell_of(nanos)] += 1;
        }
    }

    /// Adds one value that another machine's clock can have made negative.
    #[inline]
    pub(super) fn record_signed(&mut self, age: Age, span: Span, nanos: i64) {
        match u64::try_from(nanos) {
            Ok(nanos) => self.record(age, span, nanos),
            Err(_) => self.negative[row_of(age, span)] += 1,
        }
    }

    /// Adds all values of an age to histograms.
    pub(super) fn add_to(&self, age: Age, histograms: &mut Histograms) {
        for span in Span::ALL {
            let row = row_of(age, span);
            let cells = &self.cells[row * CELLS..(row + 1) * CELLS];
            for (cell, count) in cells.iter().enumerate().filter(|(_, count)| **count > 0) {
                histograms.record_n(span, value_of(cell), *count);
            }
            histograms.count_outside(span, self.above[row], self.negative[row]);
        }
    }

    /// Forgets all values, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.cells.fill(0);
        self.above.fill(0);
        self.negative.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    #[test]
    fn a_tally_becomes_what_recording_into_histograms_would_have_made() {
        let mut random = SmallRng::seed_from_u64(11);
        let (mut tally, mut naive, mut made) = (Tally::new(), Histograms::new(), Histograms::new());
        let edges = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        let edges = edges.chain([LATENCY_NS_MAX - 1, LATENCY_NS_MAX, LATENCY_NS_MAX + 1, u64::MAX]);
        let values = (0..50_000).map(|_| random.random::<u64>() >> random.random_range(0..64));
        for (number, value) in edges.chain(values).enumerate() {
            let span = Span::ALL[number % Span::COUNT];
            tally.record(Age::Live, span, value);
            naive.record(span, value);
            tally.record_signed(Age::Live, span, value as i64);
            naive.record_signed(span, value as i64);
        }
        tally.record(Age::Backlog, Span::Transit, 5);
        tally.add_to(Age::Live, &mut made);
        for span in Span::ALL {
            assert_eq!(made.of(span), naive.of(span), "{span}");
            let outside = |it: &Histograms| (it.below(span), it.above(span), it.negative(span));
            assert_eq!(outside(&made), outside(&naive), "{span}");
        }
        let mut backlog = Histograms::new();
        tally.add_to(Age::Backlog, &mut backlog);
        let counts: u64 = Span::ALL.map(|span| backlog.of(span).len()).iter().sum();
        assert_eq!((counts, backlog.of(Span::Transit).max()), (1, 5));
        tally.clear();
        let mut empty = Histograms::new();
        tally.add_to(Age::Live, &mut empty);
        tally.add_to(Age::Backlog, &mut empty);
        assert!(Span::ALL.iter().all(|span| empty.of(*span).is_empty()));
    }

    #[test]
    fn every_cell_holds_its_own_least_value() {
        for cell in 0..CELLS {
            assert_eq!(cell_of(value_of(cell)), cell);
        }
    }
}
