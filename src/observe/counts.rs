//! A histogram as a sorted list of its values and their counts: small where few values differ.
//!
//! A run is cut into hundreds of cells, and a histogram in memory is a quarter of a megabyte. The
//! values are the upper ends of the histogram's buckets, so that quantiles are the histogram's own.

use hdrhistogram::Histogram;

/// Values and how often each was seen, by value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub Vec<(u64, u64)>);

impl Counts {
    /// What a histogram holds.
    pub fn of(histogram: &Histogram<u64>) -> Counts {
        let recorded = histogram.iter_recorded();
        Counts(recorded.map(|it| (it.value_iterated_to(), it.count_at_value())).collect())
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Counts) {
        let mut sum = Vec::with_capacity(self.0.len().max(other.0.len()));
        let (mut mine, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(&&(left, many)), Some(&&(right, more))) = (mine.peek(), theirs.peek()) {
            sum.push((
                left.min(right),
                if left <= right { many } else { 0 } + if right <= left { more } else { 0 },
            ));
            if left <= right {
                mine.next();
            }
            if right <= left {
                theirs.next();
            }
        }
        sum.extend(mine.chain(theirs));
        self.0 = sum;
    }

    /// How many values there are.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The largest value; 0 if there are none.
    pub fn max(&self) -> u64 {
        self.0.last().map_or(0, |(value, _)| *value)
    }

    /// The value at a quantile, as a histogram has it; 0 if there are none.
    pub fn quantile(&self, quantile: f64) -> u64 {
        self.quantiles([quantile])[0]
    }

    /// The values at several quantiles, which grow.
    pub fn quantiles<const N: usize>(&self, quantiles: [f64; N]) -> [u64; N] {
        let mut found = [0; N];
        self.find(&quantiles, &mut found);
        found
    }

    /// The same for as many as there are.
    pub fn find(&self, quantiles: &[f64], found: &mut [u64]) {
        let len = self.len() as f64;
        let mut values = self.0.iter();
        let (mut value, mut passed) = (0, 0);
        for (quantile, found) in quantiles.iter().zip(found) {
            let wanted = ((quantile * len).ceil() as u64).max(1);
            while passed < wanted {
                let Some((next, count)) = values.next() else { break };
                (value, passed) = (*next, passed + count);
            }
            *found = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_histogram_also_of_a_sum() {
        let (mut left, mut right) =
            (Histogram::<u64>::new(3).unwrap(), Histogram::<u64>::new(3).unwrap());
        for value in 0..20_000_u64 {
            let into = if value % 3 == 0 { &mut left } else { &mut right };
            into.record(value * value * 7 % 90_000_001).unwrap();
        }
        let mut sum = Counts::of(&left);
        sum.add(&Counts::of(&right));
        left.add(&right).unwrap();
        assert_eq!(sum, Counts::of(&left));
        assert_eq!(sum.len(), 20_000);
        let quantiles = [0.001, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0];
        assert_eq!(sum.quantiles(quantiles), quantiles.map(|it| left.value_at_quantile(it)));
        assert_eq!(quantiles.map(|it| sum.quantile(it)), sum.quantiles(quantiles));
        assert_eq!(sum.max(), left.max());
    }

    #[test]
    fn of_nothing_all_is_zero() {
        let nothing = Counts::default();
        assert!(nothing.is_empty());
        assert_eq!((nothing.len(), nothing.quantile(0.5), nothing.max()), (0, 0, 0));
    }
}
