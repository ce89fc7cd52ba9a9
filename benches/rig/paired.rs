//! Figures taken in turns, compared pair by pair: the median, and where it lies.

use super::statistics::median;

/// A median of ratios, with the interval that holds the true one at least 19 times out of 20; of
/// few pairs the smallest and the largest ratio, which hold it less often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// How often an interval may miss.
const MISSES: f64 = 0.05;

/// The first figures over the second ones, pair by pair.
pub(crate) fn ratio(
    first: impl IntoIterator<Item = f64>,
    second: impl IntoIterator<Item = f64>,
) -> Ratio {
    let mut ratios: Vec<f64> = first.into_iter().zip(second).map(|(a, b)| a / b).collect();
    ratios.sort_by(f64::total_cmp);
    let outside = outside(ratios.len());
    Ratio {
        median: median(ratios.iter().copied()),
        low: ratios[outside],
        high: ratios[ratios.len() - 1 - outside],
    }
}

/// How many of the sorted ratios may be left out at each end: each of them lies on the wrong side
/// of the true median with a coin's chances.
fn outside(count: usize) -> usize {
    let (mut tail, mut ways) = (0.0, 1.0);
    let all = 2.0_f64.powi(count as i32);
    for left_out in 0..count / 2 {
        tail += ways / all;
        if 2.0 * tail > MISSES {
            return left_out.saturating_sub(1);
        }
        ways *= (count - left_out) as f64 / (left_out + 1) as f64;
    }
    0
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "× {:.2} ({:.2} to {:.2})", self.median, self.low, self.high)
    }
}
