//! A quantile within one percent of its value: the bins of DDSketch.
//!
//! The crate `sketches-ddsketch` says which bin a value belongs to, and which value a bin stands
//! for. The bins are kept here, flat and sorted, for the reasons that `distinct` has: twelve bytes
//! for each that is not empty. Past `QUANTILE_BINS_MAX` of them the two of the least values become
//! one, so that high quantiles stay exact to the promise.

use std::sync::LazyLock;

use sketches_ddsketch::Config;

use super::{super::input::write_double, bytes::Part, number::Number};
use crate::limits::QUANTILE_BINS_MAX;

const ACCURACY: f64 = 0.01;

/// Values nearer to zero are zero.
const LEAST: f64 = 1e-9;

const BIN_BYTES: usize = 12;
const CODE_BYTES: usize = 4;

static CONFIG: LazyLock<Config> =
    LazyLock::new(|| Config::new(ACCURACY, QUANTILE_BINS_MAX as u32, LEAST));

/// A bin's number: it grows with the value, and is below zero where the value is.
fn code_of(value: f64) -> i32 {
    let place = |value: f64| CONFIG.key(value) + CONFIG.offset;
    if value > LEAST {
        place(value)
    } else if value < -LEAST {
        -place(-value)
    } else {
        0
    }
}

fn value_of(code: i32) -> f64 {
    let value = |place: i32| CONFIG.value(place - CONFIG.offset);
    match code {
        0 => 0.0,
        1.. => value(code),
        _ => -value(-code),
    }
}

fn bins(part: &[u8]) -> impl Iterator<Item = (i32, u64)> {
    part.as_chunks::<BIN_BYTES>().0.iter().map(bin_of)
}

fn bin_of(bin: &[u8; BIN_BYTES]) -> (i32, u64) {
    let (code, count) = bin.split_first_chunk::<CODE_BYTES>().expect("twelve bytes");
    (i32::from_le_bytes(*code), u64::from_le_bytes(count.try_into().expect("eight bytes")))
}

pub(super) fn is_sound(part: &[u8]) -> bool {
    part.len().is_multiple_of(BIN_BYTES) && bins(part).is_sorted_by(|one, other| one.0 < other.0)
}

pub(super) fn add(mut part: Part<'_>, number: Number) {
    put(&mut part, code_of(number.as_double()), 1);
}

fn put(part: &mut Part<'_>, code: i32, more: u64) {
    let (all, _) = part.get().as_chunks::<BIN_BYTES>();
    let found = all.partition_point(|it| bin_of(it).0 < code);
    let count = match all.get(found).map(bin_of) {
        Some((it, count)) if it == code => count,
        _ => {
            part.open(found * BIN_BYTES, BIN_BYTES);
            0
        }
    };
    let bin = &mut part.get_mut()[found * BIN_BYTES..][..BIN_BYTES];
    bin[..CODE_BYTES].copy_from_slice(&code.to_le_bytes());
    bin[CODE_BYTES..].copy_from_slice(&(count + more).to_le_bytes());
    if part.len() > QUANTILE_BINS_MAX * BIN_BYTES {
        let (_, least) = bins(part.get()).next().expect("there are more than may be");
        part.close(0, BIN_BYTES);
        let (next, _) = bins(part.get()).next().expect("there are as many as may be");
        put(part, next, least);
    }
}

pub(super) fn merge(mut part: Part<'_>, other: &[u8]) {
    bins(other).for_each(|(code, count)| put(&mut part, code, count));
}

pub(super) fn write(part: &[u8], quantile: f64, json: &mut Vec<u8>) {
    let total: u64 = bins(part).map(|(_, count)| count).sum();
    if total == 0 {
        json.extend_from_slice(b"null");
        return;
    }
    let rank = (quantile * (total - 1) as f64) as u64;
    let mut up_to = 0;
    let found = bins(part).find(|(_, count)| {
        up_to += count;
        up_to > rank
    });
    write_double(value_of(found.expect("a rank is below the total").0), json);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::SmallRng};
    use sketches_ddsketch::DDSketch;

    const QUANTILES: [f64; 5] = [0.01, 0.25, 0.5, 0.99, 0.999];

    fn part_of(values: &[f64]) -> Vec<u8> {
        let mut entry = vec![0; 4];
        values.iter().for_each(|it| add(Part::new(&mut entry, 0), Number::Double(*it)));
        entry
    }

    fn at(part: &[u8], quantile: f64) -> f64 {
        let mut json = Vec::new();
        write(&part[4..], quantile, &mut json);
        std::str::from_utf8(&json).unwrap().parse().unwrap()
    }

    #[test]
    fn quantiles_are_those_of_the_crate() {
        for seed in 0..50 {
            let mut random = SmallRng::seed_from_u64(seed);
            let mut crates = DDSketch::new(*CONFIG);
            let count = random.random_range(1..2_000);
            let value = |_| match random.random_range(0..10) {
                0 => 0.0,
                1 => -random.random_range(0.01..1e4),
                _ => random.random_range(0.01..1e4),
            };
            let values: Vec<f64> = (0..count).map(value).collect();
            values.iter().for_each(|it| crates.add(*it));
            let ours = part_of(&values);
            for quantile in QUANTILES {
                let crates = crates.quantile(quantile).unwrap().unwrap();
                assert_eq!(at(&ours, quantile), crates, "seed {seed}, quantile {quantile}");
            }
        }
    }

    #[test]
    fn bins_are_bounded_and_the_high_quantiles_stay_within_a_percent() {
        let values: Vec<f64> = (0..6_000).map(|it| 1.01_f64.powi(it - 1_000)).collect();
        let part = part_of(&values);
        assert_eq!(part.len(), 4 + QUANTILE_BINS_MAX * BIN_BYTES);
        assert_eq!(bins(&part[4..]).map(|it| it.1).sum::<u64>(), 6_000);
        for quantile in [0.8, 0.99, 0.999] {
            let exact = values[(quantile * 5_999.0) as usize];
            let error = (at(&part, quantile) - exact).abs() / exact;
            assert!(error <= ACCURACY * 1.001, "quantile {quantile}: {error}");
        }
    }

    #[test]
    fn parts_make_the_whole() {
        let values: Vec<f64> = (1..500).map(|it| f64::from(it) - 100.0).collect();
        let mut joined = part_of(&values[..123]);
        merge(Part::new(&mut joined, 0), &part_of(&values[123..])[4..]);
        assert_eq!(joined, part_of(&values));
    }
}
