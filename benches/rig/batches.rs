//! Many lookups at a time: one after the other, back to back, and brought near in two stages.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use hotspur::cache::{KeyHash, table::Reader};
use rand_distr::{Distribution, Zipf};

use super::{
    Plan,
    contenders::Contender,
    statistics::median,
    structures::{Key, Numbers, key_of},
};

const BATCH: usize = 64;
const ROUNDS: usize = 9;
const SKEW: f64 = 0.99;

/// How much faster a batch is to be than dependent lookups …
const OVER_DEPENDENT_MIN: f64 = 2.0;
/// … and than lookups back to back.
const OVER_BACK_TO_BACK_MIN: f64 = 1.25;

pub(crate) fn show(reader: &mut Reader, keys: u64, plan: &Plan) -> bool {
    let mut numbers = Numbers(7);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let count = plan.batches / ROUNDS + 1;
        rounds.push([
            nanos(count, || dependent(reader, keys, &mut numbers)),
            nanos(count, || back_to_back(reader, keys, &mut numbers)),
            nanos(count, || batched(reader, keys, &mut numbers)),
        ]);
    }
    let of = |figure: &dyn Fn(&[f64; 3]) -> f64| median(rounds.iter().map(figure));
    let over_dependent = of(&|it| it[0] / it[2]);
    let over_back_to_back = of(&|it| it[1] / it[2]);
    let is_kept =
        over_dependent >= OVER_DEPENDENT_MIN && over_back_to_back >= OVER_BACK_TO_BACK_MIN;
    println!(
        "Nanoseconds a lookup of {BATCH} at {keys} keys, making the keys included; medians of"
    );
    println!("{ROUNDS} rounds.\n");
    println!("| each needs the last | back to back | slots first, then entries | faster by |");
    println!("| ---: | ---: | ---: | --- |");
    println!(
        "| {:.0} | {:.0} | {:.0} | {over_dependent:.2}, {over_back_to_back:.2}{} |\n",
        of(&|it| it[0]),
        of(&|it| it[1]),
        of(&|it| it[2]),
        if is_kept { "" } else { " (missed)" },
    );
    println!("At least {OVER_DEPENDENT_MIN} and {OVER_BACK_TO_BACK_MIN} are promised.\n");
    is_kept
}

fn nanos(count: usize, mut batch: impl FnMut() -> u64) -> f64 {
    let start = Instant::now();
    (0..count).for_each(|_| _ = black_box(batch()));
    start.elapsed().as_nanos() as f64 / (count * BATCH) as f64
}

fn first_word(reader: &Reader, hash: KeyHash, key: &Key) -> u64 {
    let value = reader.get_hashed(hash, key).expect("every key is there");
    value.bytes.iter().step_by(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// The value says which key comes next.
fn dependent(reader: &mut Reader, keys: u64, numbers: &mut Numbers) -> u64 {
    reader.quiesce();
    (0..BATCH).fold(0, |last, _| {
        numbers.0 ^= last;
        let key = key_of(numbers.below(keys));
        first_word(reader, reader.hash(&key), &key)
    })
}

fn back_to_back(reader: &mut Reader, keys: u64, numbers: &mut Numbers) -> u64 {
    reader.quiesce();
    let batch: [Key; BATCH] = std::array::from_fn(|_| key_of(numbers.below(keys)));
    batch.iter().fold(0, |sum, key| sum ^ first_word(reader, reader.hash(key), key))
}

fn batched(reader: &mut Reader, keys: u64, numbers: &mut Numbers) -> u64 {
    reader.quiesce();
    let batch: [Key; BATCH] = std::array::from_fn(|_| key_of(numbers.below(keys)));
    look_batch(reader, &batch)
}

fn look_batch(reader: &Reader, batch: &[Key; BATCH]) -> u64 {
    let hashes = batch.each_ref().map(|key| reader.hash(key));
    hashes.iter().for_each(|hash| reader.prefetch_slot(*hash));
    hashes.iter().for_each(|hash| reader.prefetch_entry(*hash));
    let pairs = hashes.iter().zip(batch);
    pairs.fold(0, |sum, (hash, key)| sum ^ first_word(reader, *hash, key))
}

/// What lookups cost where few keys are asked for most of the time.
pub(crate) fn show_zipf(all: &mut [Box<dyn Contender>], keys: u64, plan: &Plan) {
    let keys = zipf(keys, (plan.batches * BATCH / ROUNDS).max(1 << 16));
    let mut rounds: Vec<Vec<Duration>> = vec![Vec::new(); all.len()];
    for _ in 0..ROUNDS {
        for (contender, took) in all.iter_mut().zip(&mut rounds) {
            let start = Instant::now();
            black_box(contender.look_many(&keys));
            took.push(start.elapsed());
        }
    }
    println!("Zipf {SKEW}, turns of {BATCH}, back to back; medians of {ROUNDS} rounds.\n");
    println!("| structure | nanoseconds a lookup |\n| --- | ---: |");
    for (contender, took) in all.iter().zip(&rounds) {
        let nanos = median(took.iter().map(|it| it.as_nanos() as f64 / keys.len() as f64));
        println!("| {} | {nanos:.1} |", contender.name());
    }
    println!();
}

/// Which keys are hot has nothing to do with when they were put in.
fn zipf(keys: u64, count: usize) -> Vec<Key> {
    let ranks = Zipf::new(keys as f64, SKEW).expect("a skew that exists");
    let mut random = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(7);
    let ranks = (0..count).map(|_| ranks.sample(&mut random) as u64);
    ranks.map(|rank| key_of(Numbers(rank).below(keys))).collect()
}
