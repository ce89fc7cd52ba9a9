//! Which key a record has: all alike, or few of them often, as real keys are.
//!
//! Keys are `user1`, `user2`, … or a payload's own, such as `station1`; under Zipf's law the lowest
//! numbers come most often. Whoever fills a table for the load writes the same names with
//! `write_key`.

use rand::{RngExt, SeedableRng, distr::Distribution, rngs::Xoshiro256PlusPlus};
use rand_distr::Zipf;

use crate::loadgen::LoadError;

/// What stands before a key's number.
pub const KEY_PREFIX: &str = "user";

/// Appends the key of that number, from 1.
pub fn write_key(text: &mut Vec<u8>, number: u64) {
    write_numbered(text, KEY_PREFIX, number);
}

/// Appends a name that ends with a number.
pub(super) fn write_numbered(text: &mut Vec<u8>, prefix: &str, number: u64) {
    text.extend_from_slice(prefix.as_bytes());
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Draws key numbers.
#[derive(Debug)]
pub struct KeyChooser {
    keys: u64,
    zipf: Option<Zipf<f64>>,
    /// Of a kind whose sequence for a seed is written down, so that it stays over versions.
    random: Xoshiro256PlusPlus,
}

impl KeyChooser {
    /// Numbers from 1 to `keys`, all alike or by Zipf's law with that exponent.
    pub fn new(keys: u64, zipf: Option<f64>, seed: u64) -> Result<KeyChooser, LoadError> {
        if keys == 0 {
            return Err(LoadError::NoKeys);
        }
        let law = |exponent: f64| match Zipf::new(keys as f64, exponent) {
            Ok(law) if exponent.is_finite() => Ok(law),
            _ => Err(LoadError::Zipf(exponent)),
        };
        let zipf = zipf.map(law).transpose()?;
        Ok(KeyChooser { keys, zipf, random: Xoshiro256PlusPlus::seed_from_u64(seed) })
    }

    /// The next key's number.
    pub fn next_key(&mut self) -> u64 {
        match &self.zipf {
            Some(law) => (law.sample(&mut self.random) as u64).clamp(1, self.keys),
            None => self.random.random_range(1..=self.keys),
        }
    }

    /// The random numbers, for whatever else a record is made of.
    pub(super) fn random(&mut self) -> &mut Xoshiro256PlusPlus {
        &mut self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: usize = 200_000;

    /// How often each key came, by its number.
    fn counts(keys: u64, zipf: Option<f64>) -> Vec<f64> {
        let mut chooser = KeyChooser::new(keys, zipf, 42).unwrap();
        let mut counts = vec![0.0; keys as usize + 1];
        for _ in 0..DRAWS {
            counts[chooser.next_key() as usize] += 1.0;
        }
        counts
    }

    #[test]
    fn zipf_draws_follow_the_law() {
        for exponent in [0.5, 0.99, 1.0, 1.5] {
            let counts = counts(1_000, Some(exponent));
            let weight = |rank: usize| (rank as f64).powf(-exponent);
            let sum: f64 = (1..=1_000).map(weight).sum();
            for ranks in [1..=1, 2..=2, 3..=10, 11..=100, 101..=1_000] {
                let expected = ranks.clone().map(weight).sum::<f64>() / sum * DRAWS as f64;
                let drawn: f64 = counts[ranks.clone()].iter().sum();
                // Five standard deviations of a count: the seed is fixed, so this cannot flicker.
                let slack = 5.0 * expected.sqrt();
                assert!((drawn - expected).abs() < slack, "{exponent} {ranks:?}: {drawn}");
            }
        }
    }

    #[test]
    fn without_a_law_all_keys_are_alike() {
        let counts = counts(100, None);
        assert_eq!(counts[0], 0.0);
        let expected = DRAWS as f64 / 100.0;
        for (key, drawn) in counts.iter().enumerate().skip(1) {
            assert!((drawn - expected).abs() < 5.0 * expected.sqrt(), "{key}: {drawn}");
        }
    }

    #[test]
    fn one_key_is_always_that_one() {
        for zipf in [None, Some(0.0), Some(2.0)] {
            let mut chooser = KeyChooser::new(1, zipf, 0).unwrap();
            assert!((0..100).all(|_| chooser.next_key() == 1));
        }
        let mut text = Vec::new();
        write_key(&mut text, 42);
        assert_eq!(text, b"user42");
    }

    #[test]
    fn an_exponent_that_is_none_is_refused() {
        for exponent in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(KeyChooser::new(10, Some(exponent), 0).is_err(), "{exponent}");
        }
    }
}
