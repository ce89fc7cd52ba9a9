//! How a table spreads its keys: no probe becomes long, whatever the keys look like.

use hotspur::cache::{Value, table::table};

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Keys that a spreading function may take amiss, and such as somebody might choose.
fn awkward_keys(count: u64) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let keys = |of: fn(u64) -> Vec<u8>| (0..count).map(of).collect::<Vec<_>>();
    vec![
        ("numbers in text", keys(|it| format!("user:{it}").into_bytes())),
        ("numbers with zeroes before", keys(|it| format!("{it:016}").into_bytes())),
        ("words that count", keys(|it| it.to_le_bytes().to_vec())),
        ("words that count in the upper half", keys(|it| (it << 40).to_be_bytes().to_vec())),
        ("steps of a power of two", keys(|it| (it << 20).to_le_bytes().to_vec())),
        ("one byte, ever longer", (0..2_000).map(|it| vec![b'a'; it]).collect()),
        ("two words that cancel out", keys(|it| [it, !it].map(u64::to_le_bytes).concat())),
        ("two equal words", keys(|it| [it, it].map(u64::to_le_bytes).concat())),
        ("one set bit", (0..512).map(one_bit).collect()),
        ("random", {
            let mut numbers = Numbers(count);
            (0..count).map(|_| numbers.next().to_le_bytes().to_vec()).collect()
        }),
    ]
}

fn one_bit(bit: usize) -> Vec<u8> {
    let mut key = vec![0; 64];
    key[bit / 8] = 1 << (bit % 8);
    key
}

#[test]
fn no_keys_chosen_beforehand_make_long_probes() {
    // From the home of random keys to the end of its chain it is 12.3 slots on average with three
    // of four in use, and the longest of so many has some hundred.
    const PROBES_MEAN_MAX: f64 = 16.0;
    const PROBES_MAX: usize = 400;
    for seed in 0..4 {
        for (name, keys) in awkward_keys(24_500) {
            let (mut writer, mut reader) = table(0, seed);
            keys.iter().for_each(|key| _ = writer.insert(key, Value::text(b""), 0));
            writer.publish();
            reader.quiesce();
            let probes = |key: &Vec<u8>| reader.probes(reader.hash(key));
            let longest = keys.iter().map(probes).max().unwrap_or(0);
            let mean = keys.iter().map(probes).sum::<usize>() as f64 / keys.len() as f64;
            let told =
                format!("{name}, seed {seed}: {mean:.1} probes on average, {longest} at most");
            assert!(mean <= PROBES_MEAN_MAX && longest <= PROBES_MAX, "{told}");
        }
    }
}

#[test]
fn keys_that_collide_under_one_seed_do_not_under_another() {
    let (_, known) = table(0, 1);
    let mut numbers = Numbers(1);
    let mut keys = Vec::new();
    while keys.len() < 1_000 {
        let key = numbers.next().to_le_bytes().to_vec();
        if known.hash(&key).starts_at(1 << 12) == 0 {
            keys.push(key);
        }
    }
    let longest = |seed| {
        let (mut writer, mut reader) = table(0, seed);
        keys.iter().for_each(|key| _ = writer.insert(key, Value::text(b""), 0));
        writer.publish();
        reader.quiesce();
        keys.iter().map(|key| reader.probes(reader.hash(key))).max().unwrap_or(0)
    };
    assert!(longest(1) >= keys.len() / 2, "the check can see a chain");
    for seed in 2..6 {
        assert!(longest(seed) <= 100, "seed {seed}");
    }
}
