//! What came of a stamped load, as whoever reads the results sees it: latency from the due time,
//! loss, duplicates, order.
//!
//! A record's due time, which travels with it as a header, also says which record it was, because
//! no two are due in the same nanosecond. So nothing else need survive the pipeline, and results of
//! other loads, or of an earlier one, are told apart: they are not on this schedule. Order is that
//! of records with one key in one partition of the results; the keys are those that were sent, for
//! a pipeline may give results others.
//!
//! This knows neither topics nor clients: it hears of a due time, a partition, and when.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use hdrhistogram::Histogram;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    clock::Ticks,
    limits::{LATENCY_DIGITS, LATENCY_NS_MAX, LATENCY_NS_MIN},
    loadgen::Schedule,
};

/// Keys whose memory is taken at once.
const CHUNK: usize = 1 << 14;

const BITS: u64 = u64::BITS as u64;

/// The keys of records by their numbers, as hashes: whoever sends notes them, the judge asks.
#[derive(Debug)]
pub struct SentKeys {
    chunks: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

impl SentKeys {
    /// For so many records; memory is taken as they are noted.
    pub fn new(count: u64) -> SentKeys {
        let chunks = count.div_ceil(CHUNK as u64);
        SentKeys { chunks: (0..chunks).map(|_| OnceLock::new()).collect() }
    }

    /// Record `number` is about to be sent with this key.
    pub fn note(&self, number: u64, key: Option<&[u8]>) {
        let Some(chunk) = self.chunks.get(number as usize / CHUNK) else { return };
        let chunk = chunk.get_or_init(|| (0..CHUNK).map(|_| AtomicU64::new(0)).collect());
        chunk[number as usize % CHUNK].store(xxh3_64(key.unwrap_or_default()), Ordering::Release);
    }

    fn of(&self, number: u64) -> u64 {
        let chunk = self.chunks.get(number as usize / CHUNK).and_then(OnceLock::get);
        chunk.map_or(0, |it| it[number as usize % CHUNK].load(Ordering::Acquire))
    }
}

/// What has come so far.
#[derive(Clone, Debug)]
pub struct Arrivals {
    /// From due to read, in nanoseconds, of each record's first result.
    pub latency: Histogram<u64>,
    /// Records of which a result came.
    pub received: u64,
    /// Results that had come before.
    pub duplicates: u64,
    /// First results that came behind a later record of their key and partition.
    pub reordered: u64,
    /// Records that are none of this schedule.
    pub strangers: u64,
    /// When the first and the last of `received` came.
    pub span: Option<(Ticks, Ticks)>,
}

impl Arrivals {
    /// None yet.
    pub fn new() -> Arrivals {
        Arrivals {
            latency: latencies(),
            received: 0,
            duplicates: 0,
            reordered: 0,
            strangers: 0,
            span: None,
        }
    }
}

impl Default for Arrivals {
    fn default() -> Arrivals {
        Arrivals::new()
    }
}

/// An empty histogram with the bounds of all others.
pub fn latencies() -> Histogram<u64> {
    let made = Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, LATENCY_DIGITS);
    made.expect("bounds that hold for all histograms")
}

/// Judges the results of one load.
#[derive(Debug)]
pub struct Judge {
    schedule: Schedule,
    start: Ticks,
    count: u64,
    keys: Arc<SentKeys>,
    /// A bit for each record that has come.
    seen: Vec<u64>,
    /// By key and partition: the latest record that has come.
    latest: HashMap<(u64, i32), u64>,
    arrivals: Arrivals,
}

impl Judge {
    /// Of `count` records a `rate`, the first due at `start`; a tick is a nanosecond since the
    /// epoch.
    pub fn new(rate: u64, count: u64, start: Ticks, keys: Arc<SentKeys>) -> Judge {
        Judge {
            schedule: Schedule::new(rate, start),
            start,
            count,
            keys,
            seen: vec![0; count.div_ceil(BITS) as usize],
            latest: HashMap::new(),
            arrivals: Arrivals::new(),
        }
    }

    /// A result was read at `at` whose stamp says that it was due at `due`. Returns its latency in
    /// nanoseconds, if it is one of this load and the first of its record.
    pub fn hear(&mut self, due: u64, partition: i32, at: Ticks) -> Option<u64> {
        let since_start = due.checked_sub(self.start.0);
        let number = since_start.and_then(|it| self.schedule.number_at(it));
        let Some(number) = number.filter(|it| *it < self.count) else {
            self.arrivals.strangers += 1;
            return None;
        };
        let (word, bit) = ((number / BITS) as usize, 1 << (number % BITS));
        if self.seen[word] & bit != 0 {
            self.arrivals.duplicates += 1;
            return None;
        }
        self.seen[word] |= bit;
        let latest = self.latest.entry((self.keys.of(number), partition)).or_insert(number);
        self.arrivals.reordered += u64::from(number < *latest);
        *latest = number.max(*latest);
        self.arrivals.received += 1;
        let first = self.arrivals.span.map_or(at, |(first, _)| first);
        self.arrivals.span = Some((first, at));
        let nanos = at.0.saturating_sub(due);
        // Past an hour it is an hour: the run it belongs to is over by then.
        self.arrivals.latency.saturating_record(nanos);
        Some(nanos)
    }

    /// Records of which a result came.
    pub fn received(&self) -> u64 {
        self.arrivals.received
    }

    /// What has come.
    pub fn finish(self) -> Arrivals {
        self.arrivals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: u64 = 1_795_239_420_123_456_789;
    const PERIOD: u64 = 1_000_000;

    fn due(number: u64) -> u64 {
        START + number * PERIOD
    }

    /// A thousand records a second, keys a, b, a, b ….
    fn judge(count: u64) -> Judge {
        let keys = Arc::new(SentKeys::new(count));
        (0..count).for_each(|it| keys.note(it, Some(if it % 2 == 0 { b"a" } else { b"b" })));
        Judge::new(1_000, count, Ticks(START), keys)
    }

    #[test]
    fn each_record_counts_once_from_when_it_was_due() {
        let mut judge = judge(4);
        for number in 0..3 {
            let at = Ticks(due(number) + 500 + number);
            assert_eq!(judge.hear(due(number), 0, at), Some(500 + number));
        }
        assert_eq!(judge.hear(due(1), 0, Ticks(due(9))), None, "it has come before");
        assert_eq!(judge.received(), 3);
        let arrivals = judge.finish();
        assert_eq!((arrivals.received, arrivals.duplicates, arrivals.reordered), (3, 1, 0));
        assert_eq!((arrivals.latency.len(), arrivals.latency.max()), (3, 502));
        assert_eq!(arrivals.span, Some((Ticks(due(0) + 500), Ticks(due(2) + 502))));
    }

    #[test]
    fn what_is_not_on_the_schedule_is_a_stranger() {
        let mut judge = judge(4);
        for stamp in [0, due(0) - PERIOD, due(1) + 1, due(4), u64::MAX] {
            assert_eq!(judge.hear(stamp, 0, Ticks(due(9))), None);
        }
        let arrivals = judge.finish();
        assert_eq!((arrivals.strangers, arrivals.received), (5, 0));
    }

    #[test]
    fn order_is_that_of_a_key_in_a_partition() {
        let heard = |order: &[(u64, i32)]| {
            let mut judge = judge(10);
            for (number, partition) in order {
                judge.hear(due(*number), *partition, Ticks(due(20)));
            }
            judge.finish().reordered
        };
        assert_eq!(heard(&[(1, 0), (0, 0), (3, 0), (2, 0)]), 0, "keys overtake each other freely");
        assert_eq!(heard(&[(2, 0), (0, 1)]), 0, "so do partitions");
        assert_eq!(heard(&[(2, 0), (0, 0)]), 1);
        assert_eq!(heard(&[(6, 0), (0, 0), (2, 0), (4, 0), (8, 0)]), 3, "behind the latest");
        assert_eq!(heard(&[(2, 0), (2, 0), (4, 0), (2, 0)]), 0, "a duplicate is only that");
    }

    proptest! {
        #[test]
        fn any_script_is_judged_as_a_naive_reader_would(
            script in prop::collection::vec((0_u64..60, 0_i32..3), 0..200)
        ) {
            let mut judge = judge(50);
            let mut seen: Vec<(u64, i32)> = Vec::new();
            let (mut strangers, mut duplicates, mut reordered) = (0, 0, 0);
            for (number, partition) in script {
                judge.hear(due(number), partition, Ticks(due(100)));
                if number >= 50 {
                    strangers += 1;
                } else if seen.iter().any(|it| it.0 == number) {
                    duplicates += 1;
                } else {
                    let same = |it: &&(u64, i32)| it.0 % 2 == number % 2 && it.1 == partition;
                    reordered += u64::from(seen.iter().filter(same).any(|it| it.0 > number));
                    seen.push((number, partition));
                }
            }
            let heard = judge.finish();
            prop_assert_eq!(heard.received, seen.len() as u64);
            prop_assert_eq!(heard.latency.len(), seen.len() as u64);
            prop_assert_eq!(
                (heard.strangers, heard.duplicates, heard.reordered),
                (strangers, duplicates, reordered)
            );
        }
    }

    #[test]
    fn keys_of_many_records_are_remembered_and_others_are_not_there() {
        let keys = SentKeys::new(CHUNK as u64 + 1);
        keys.note(0, None);
        keys.note(CHUNK as u64, Some(b"a"));
        keys.note(5 * CHUNK as u64, Some(b"b"));
        assert_eq!(keys.of(CHUNK as u64), xxh3_64(b"a"));
        assert_eq!(keys.of(0), xxh3_64(b""));
        assert_eq!((keys.of(5 * CHUNK as u64), keys.of(1)), (0, 0));
    }
}
