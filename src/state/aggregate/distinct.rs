//! How many different values: HyperLogLog with 4096 registers, 1.6 % standard error.
//!
//! The crate `hyperloglockless` turns registers into an estimate, and says how a hash becomes one
//! of them. The registers are kept here, flat, because they are copied, written to a topic and read
//! back: first as a sorted list of those that are not zero, and once 512 are, all of them. Either
//! way they say the same, so the order of values, restarts and joined parts change nothing. An
//! estimate allocates its 4 KiB once, for the crate: once a result, never for a record.

use std::hash::BuildHasherDefault;

use hyperloglockless::HyperLogLog;

use super::bytes::Part;

const BITS: u32 = 12;
const REGISTERS: usize = 1 << BITS;

/// Register and rank of those that are not zero, four bytes each.
const LISTED_BYTES: usize = 4;
const LISTED_MAX: usize = 512;

/// The register of a hash by its first bits, and its rank by the zeroes at its end.
fn register_of(hash: u64) -> (usize, u8) {
    ((hash >> (u64::BITS - BITS)) as usize, 1 + hash.trailing_zeros() as u8)
}

/// Sorts by register.
fn listed(register: usize, rank: u8) -> u32 {
    (register as u32) << 8 | u32::from(rank)
}

fn registers(part: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    let all = if part.len() == REGISTERS { part } else { &[] };
    let some = if part.len() == REGISTERS { &[] } else { part };
    let of_list = some.chunks_exact(LISTED_BYTES).map(|it| {
        let listed = u32::from_le_bytes(it.try_into().expect("four bytes"));
        ((listed >> 8) as usize, listed as u8)
    });
    all.iter().copied().enumerate().chain(of_list)
}

pub(super) fn is_sound(part: &[u8]) -> bool {
    let is_list =
        part.len().is_multiple_of(LISTED_BYTES) && part.len() <= LISTED_MAX * LISTED_BYTES;
    part.len() == REGISTERS || is_list && registers(part).all(|(it, _)| it < REGISTERS)
}

pub(super) fn add(mut part: Part<'_>, hash: u64) {
    let (register, rank) = register_of(hash);
    raise(&mut part, register, rank);
}

fn raise(part: &mut Part<'_>, register: usize, rank: u8) {
    if part.len() == REGISTERS {
        let kept = &mut part.get_mut()[register];
        *kept = rank.max(*kept);
        return;
    }
    let (list, _) = part.get().as_chunks::<LISTED_BYTES>();
    let of = |it: &[u8; LISTED_BYTES]| u32::from_le_bytes(*it);
    let found = list.partition_point(|it| of(it) >> 8 < register as u32);
    let bytes = listed(register, rank).to_le_bytes();
    match list.get(found).filter(|it| of(it) >> 8 == register as u32) {
        Some(kept) if of(kept) >= listed(register, rank) => {}
        Some(_) => {
            let at = found * LISTED_BYTES;
            part.get_mut()[at..at + LISTED_BYTES].copy_from_slice(&bytes);
        }
        None if list.len() < LISTED_MAX => part.insert(found * LISTED_BYTES, &bytes),
        None => {
            unfold(part);
            raise(part, register, rank);
        }
    }
}

/// From the list to all registers.
fn unfold(part: &mut Part<'_>) {
    let mut all = [0; REGISTERS];
    registers(part.get()).for_each(|(register, rank)| all[register] = rank);
    part.replace(&all);
}

pub(super) fn merge(mut part: Part<'_>, other: &[u8]) {
    for (register, rank) in registers(other).filter(|(_, rank)| *rank > 0) {
        raise(&mut part, register, rank);
    }
}

/// The estimate, rounded.
pub(super) fn estimate(part: &[u8]) -> u64 {
    if part.is_empty() {
        return 0;
    }
    let mut all = vec![0; REGISTERS].into_boxed_slice();
    registers(part).for_each(|(register, rank)| all[register] = rank);
    let zeroes = all.iter().filter(|it| **it == 0).count();
    let sum = all.iter().map(|rank| (-f64::from(*rank)).exp2()).sum();
    type NoHasher = BuildHasherDefault<std::hash::DefaultHasher>;
    HyperLogLog::from_parts(all, NoHasher::default(), zeroes, sum).raw_count().round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_64;

    fn hashes(numbers: std::ops::Range<u64>) -> impl Iterator<Item = u64> {
        numbers.map(|it| xxh3_64(&it.to_le_bytes()))
    }

    fn part_of(hashes: impl Iterator<Item = u64>) -> Vec<u8> {
        let mut entry = vec![0; 4];
        hashes.for_each(|it| add(Part::new(&mut entry, 0), it));
        entry
    }

    #[test]
    fn registers_and_estimates_are_those_of_the_crate() {
        for count in [0, 1, 100, 600, 5_000, 100_000] {
            let mut crates = HyperLogLog::seeded(BITS as u8, 0);
            hashes(0..count).for_each(|it| crates.insert_hash(it));
            let ours = part_of(hashes(0..count));
            let mut all = [0; REGISTERS];
            registers(&ours[4..]).for_each(|(register, rank)| all[register] = rank);
            assert_eq!(all[..], *crates.parts().0, "{count} values");
            let estimate = estimate(&ours[4..]) as f64;
            assert!((estimate - crates.raw_count()).abs() < 0.51, "{count}: {estimate}");
            assert!((estimate - count as f64).abs() <= 0.06 * count as f64, "{count}: {estimate}");
        }
    }

    #[test]
    fn neither_order_nor_parts_nor_repeats_change_a_register() {
        for (one, other) in [(0..50, 20..90), (0..400, 300..800), (0..20_000, 0..10)] {
            let mut joined = part_of(hashes(one.clone()));
            merge(Part::new(&mut joined, 0), &part_of(hashes(other.clone()))[4..]);
            let mut backwards: Vec<u64> = hashes(one).chain(hashes(other)).collect();
            backwards.reverse();
            assert_eq!(joined, part_of(backwards.into_iter()));
        }
    }
}
