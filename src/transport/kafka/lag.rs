//! How far behind each partition is, from librdkafka's own statistics.
//!
//! Its main thread writes them every few seconds; the hot thread hands them on unread, and the side
//! thread takes from them what is wanted. They know what positions do not: that behind the last
//! record stand only marks of transactions, which are no lag.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Deserialize;

/// Ends that are remembered of a partition; past that, every other one is forgotten.
const ENDS_MAX: usize = 512;

/// What is not fetched, because it is not ours.
const NOT_OURS: &str = "none";

/// A partition of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// Offsets from our position to the end of what may be read.
    pub records: u64,
    /// How long the first of them had been there when this was found out, as far as this process
    /// saw it; what was there before is as old as its first look.
    pub oldest: Duration,
}

/// What is known of all partitions, for any thread.
#[derive(Debug, Default)]
pub struct LagBoard {
    partitions: Mutex<BTreeMap<(String, i32), Known>>,
}

#[derive(Debug, Default)]
struct Known {
    records: u64,
    oldest: Duration,
    /// When the end was first seen to be there, oldest first; the first is the first behind us.
    ends: VecDeque<(Instant, i64)>,
}

#[derive(Deserialize)]
struct Statistics<'a> {
    #[serde(borrow)]
    topics: BTreeMap<&'a str, Topic<'a>>,
}

#[derive(Deserialize)]
struct Topic<'a> {
    #[serde(borrow)]
    partitions: BTreeMap<&'a str, Partition<'a>>,
}

/// Offsets below zero are unknown.
#[derive(Clone, Copy, Deserialize)]
struct Partition<'a> {
    partition: i32,
    fetch_state: &'a str,
    /// Messages that were fetched and not taken.
    fetchq_cnt: u64,
    /// The next one to fetch.
    next_offset: i64,
    /// The next one to take.
    app_offset: i64,
    /// The end of what may be read.
    ls_offset: i64,
}

impl LagBoard {
    /// All partitions that are ours, by topic and number.
    pub fn read(&self) -> Vec<Behind> {
        let partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = |((topic, partition), known): (&(String, i32), &Known)| Behind {
            topic: topic.clone(),
            partition: *partition,
            records: known.records,
            oldest: known.oldest,
        };
        partitions.iter().map(behind).collect()
    }

    /// Takes statistics in; what they do not name is no longer ours. What cannot be read is of
    /// another librdkafka than this one, and leaves all as it was.
    pub(super) fn take(&self, statistics: &str, now: Instant) {
        let Ok(read) = serde_json::from_str::<Statistics<'_>>(statistics) else { return };
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *partitions);
        for (topic, it) in &read.topics {
            for partition in it.partitions.values() {
                let place = ((*topic).to_owned(), partition.partition);
                let mut known = before.remove(&place).unwrap_or_default();
                if known.hear(partition, now) {
                    partitions.insert(place, known);
                }
            }
        }
    }
}

impl Known {
    /// False if there is nothing to be known.
    fn hear(&mut self, it: &Partition<'_>, now: Instant) -> bool {
        let is_ours = it.partition >= 0 && it.fetch_state != NOT_OURS;
        if !is_ours || it.ls_offset < 0 || it.next_offset < 0 {
            return false;
        }
        let position = match it.app_offset {
            // Nothing was taken yet.
            ..0 => it.next_offset - it.fetchq_cnt.cast_signed(),
            position => position,
        };
        let has_all = it.next_offset >= it.ls_offset && it.fetchq_cnt == 0;
        self.records = if has_all { 0 } else { (it.ls_offset - position).max(0).cast_unsigned() };
        if self.ends.back().is_none_or(|(_, end)| *end < it.ls_offset) {
            self.ends.push_back((now, it.ls_offset));
        }
        let position = if has_all { it.ls_offset } else { position };
        while self.ends.len() > 1 && self.ends[0].1 <= position {
            self.ends.pop_front();
        }
        self.oldest = match self.ends.front() {
            Some((since, _)) if self.records > 0 => now.duration_since(*since),
            _ => Duration::ZERO,
        };
        if self.ends.len() > ENDS_MAX {
            let mut is_dropped = true;
            self.ends.retain(|_| {
                is_dropped = !is_dropped;
                !is_dropped
            });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: Partition<'_> = Partition {
        partition: 0,
        fetch_state: "active",
        fetchq_cnt: 0,
        next_offset: 0,
        app_offset: 0,
        ls_offset: 0,
    };

    fn statistics(of: &[Partition<'_>]) -> String {
        let partition = |it: &Partition<'_>| {
            let Partition {
                partition,
                fetch_state,
                fetchq_cnt,
                next_offset,
                app_offset,
                ls_offset,
            } = it;
            format!(
                r#""{partition}":{{"partition":{partition},"fetch_state":"{fetch_state}",
                "fetchq_cnt":{fetchq_cnt},"next_offset":{next_offset},"app_offset":{app_offset},
                "ls_offset":{ls_offset},"msgs":7}}"#
            )
        };
        let partitions: Vec<_> = of.iter().map(partition).collect();
        format!(
            r#"{{"name":"x","topics":{{"in":{{"age":1,"partitions":{{{}}}}}}}}}"#,
            partitions.join(",")
        )
    }

    #[test]
    fn lag_is_what_is_there_and_not_taken_and_marks_behind_it_are_none() {
        let (board, now) = (LagBoard::default(), Instant::now());
        for (it, records) in [
            (
                Partition {
                    app_offset: 40,
                    next_offset: 60,
                    fetchq_cnt: 20,
                    ls_offset: 90,
                    ..EMPTY
                },
                50,
            ),
            (Partition { app_offset: 90, next_offset: 91, ls_offset: 91, ..EMPTY }, 0),
            (
                Partition {
                    app_offset: -1001,
                    next_offset: 70,
                    fetchq_cnt: 10,
                    ls_offset: 90,
                    ..EMPTY
                },
                30,
            ),
        ] {
            board.take(&statistics(&[it]), now);
            assert_eq!(board.read()[0].records, records);
        }
        let away = Partition { fetch_state: "none", ..EMPTY };
        let nobody = Partition { partition: -1, ..EMPTY };
        let unknown = Partition { partition: 2, ls_offset: -1001, ..EMPTY };
        board.take(&statistics(&[away, nobody, unknown]), now);
        assert!(board.read().is_empty());
        board.take("no statistics", now);
    }

    #[test]
    fn the_age_of_lag_is_that_of_the_first_record_that_waits() {
        let (board, start) = (LagBoard::default(), Instant::now());
        let oldest = |seconds, position, end| {
            let it =
                Partition { app_offset: position, next_offset: position, ls_offset: end, ..EMPTY };
            board.take(&statistics(&[it]), start + Duration::from_secs(seconds));
            board.read()[0].oldest.as_secs()
        };
        assert_eq!(oldest(0, 10, 10), 0);
        assert_eq!(oldest(5, 10, 20), 0, "it came a moment ago");
        assert_eq!(oldest(10, 10, 40), 5, "offset 10 was there by second 5");
        assert_eq!(oldest(15, 25, 40), 5, "offset 25 was there by second 10");
        assert_eq!(oldest(20, 40, 40), 0);
        assert_eq!(oldest(65, 40, 41), 0);
        assert_eq!(oldest(66, 40, 41), 1);
    }

    #[test]
    fn however_long_it_lags_little_is_remembered_and_the_first_of_it() {
        let (board, start) = (LagBoard::default(), Instant::now());
        for end in 1..5_000 {
            let now = start + Duration::from_secs(end);
            let it = Partition { ls_offset: end.cast_signed(), ..EMPTY };
            board.take(&statistics(&[it]), now);
        }
        assert_eq!(board.read()[0].oldest, Duration::from_secs(4_998));
        let partitions = board.partitions.lock().unwrap();
        assert!(partitions.values().all(|it| it.ends.len() <= ENDS_MAX));
    }
}
