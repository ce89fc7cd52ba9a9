//! A distribution as charts draw it: a curve over the nines, and rows of a heat map.
//!
//! The axis of a curve counts nines: 0 at 0 %, 1 at 90 %, 2 at 99 %, and so on, up to where one
//! record is left. A row of a heat map is half an octave of latency.

use crate::observe::counts::Counts;

/// Points of a curve between two nines.
const POINTS_A_NINE: u32 = 20;

/// More nines than that no run has records for.
const NINES_MAX: u32 = 8;

/// The axis for distributions of that many records at most.
pub(super) fn axis(most: u64) -> Vec<f64> {
    let end = ((nines_of(most) * f64::from(POINTS_A_NINE)).ceil() as u32)
        .clamp(POINTS_A_NINE, POINTS_A_NINE * NINES_MAX);
    (0..=end).map(|it| f64::from(it) / f64::from(POINTS_A_NINE)).collect()
}

/// A value in nanoseconds for each point; past the last record, none.
pub(super) fn curve(counts: &Counts, nines: &[f64]) -> Vec<Option<u64>> {
    if counts.is_empty() {
        return vec![None; nines.len()];
    }
    let end = nines_of(counts.len()) + 1.0 / f64::from(POINTS_A_NINE);
    let quantiles: Vec<f64> = nines.iter().map(|it| 1.0 - 10_f64.powf(-it)).collect();
    let mut values = vec![0; nines.len()];
    counts.find(&quantiles, &mut values);
    nines.iter().zip(values).map(|(it, value)| (*it < end).then(|| value.max(1))).collect()
}

/// Row and count; row `n` goes from 2^(n/2) ns to 2^((n+1)/2) ns.
pub(super) fn heat(counts: &Counts) -> Vec<[u64; 2]> {
    let mut rows: Vec<[u64; 2]> = Vec::new();
    for (value, count) in &counts.0 {
        let row = (((*value).max(1) as f64).log2() * 2.0) as u64;
        match rows.last_mut() {
            Some([last, sum]) if *last == row => *sum += count,
            _ => rows.push([row, *count]),
        }
    }
    rows
}

fn nines_of(count: u64) -> f64 {
    (count.max(1) as f64).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_ends_where_one_record_is_left() {
        let counts = Counts((1..=100).map(|it| (it * 10, 1)).collect());
        let nines = axis(10_000);
        assert_eq!((nines.len(), nines[0], nines[80]), (81, 0.0, 4.0));
        let curve = curve(&counts, &nines);
        assert_eq!((curve[0], curve[20], curve[40]), (Some(10), Some(900), Some(990)));
        assert_eq!((curve[41], curve[80]), (None, None));
        assert!(super::curve(&Counts::default(), &nines).iter().all(Option::is_none));
    }

    #[test]
    fn values_of_one_half_octave_share_a_row() {
        let counts = Counts(vec![(0, 1), (1, 2), (1024, 3), (1400, 4), (1500, 5)]);
        assert_eq!(heat(&counts), [[0, 3], [20, 7], [21, 5]]);
    }
}
