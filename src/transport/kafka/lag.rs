//! How far behind each partition is, from librdkafka's own statistics.
//!
//! Its main thread writes them every few seconds; the hot thread hands them on unread, and the side
//! thread that fetches takes from them what is wanted: where the run has got to, past the marks of
//! transactions, and where what may be read ends. They know the end of the last fetch only; where
//! nothing is fetched, because the queue is full, the brokers are asked.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Deserialize;

/// Ends that are remembered of a partition; past that, every other one is forgotten.
const ENDS_MAX: usize = 512;

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
    position: i64,
    /// When the end was first seen to be there, oldest first; the first is the first behind us.
    ends: VecDeque<(Instant, i64)>,
    oldest: Duration,
}

#[derive(Deserialize)]
struct Statistics<'a> {
    #[serde(borrow)]
    topics: BTreeMap<&'a str, Topic>,
}

#[derive(Deserialize)]
struct Topic {
    partitions: BTreeMap<i32, Partition>,
}

/// Offsets below zero are unknown.
#[derive(Clone, Copy, Deserialize)]
struct Partition {
    /// Messages that were fetched and not taken, of all partitions: they share a queue.
    fetchq_cnt: u64,
    /// The next one to take.
    app_offset: i64,
    /// The end of what may be read, as of the last fetch.
    ls_offset: i64,
}

impl LagBoard {
    /// All partitions that are ours, by topic and number.
    pub fn read(&self) -> Vec<Behind> {
        let behind = |((topic, partition), known): (&(String, i32), &Known)| Behind {
            topic: topic.clone(),
            partition: *partition,
            records: known.records(),
            oldest: known.oldest,
        };
        self.partitions().iter().map(behind).collect()
    }

    /// Takes statistics in. Ours are the partitions that have a `start`, the offset that they are
    /// fetched from. Returns those whose end may be another by now. What cannot be read is of
    /// another librdkafka than this one, and leaves all as it was.
    pub(super) fn take(
        &self,
        statistics: &str,
        start: impl Fn(&str, i32) -> Option<i64>,
        now: Instant,
    ) -> Vec<(String, i32)> {
        let mut unknown = Vec::new();
        let Ok(read) = serde_json::from_str::<Statistics<'_>>(statistics) else { return unknown };
        let mut partitions = self.partitions();
        let mut before = std::mem::take(&mut *partitions);
        for (topic, it) in &read.topics {
            for (&number, partition) in &it.partitions {
                let Some(start) = start(topic, number) else { continue };
                let place = ((*topic).to_owned(), number);
                let mut known = before.remove(&place).unwrap_or_default();
                // What is read again may lie before what was taken last.
                let position = partition.app_offset.max(start);
                let end = partition.ls_offset.max(start);
                if position < known.position && known.end().is_some_and(|it| end < it) {
                    // The topic was made again, or its log was cut.
                    known.ends.clear();
                }
                known.position = position;
                let is_new = known.end().is_none_or(|it| it < end);
                known.hear(end, now);
                if !is_new && known.records() > 0 && partition.fetchq_cnt > 0 {
                    unknown.push(place.clone());
                }
                partitions.insert(place, known);
            }
        }
        unknown
    }

    /// A broker was asked for the end of one of ours.
    pub(super) fn hear_end(&self, (topic, partition): (&str, i32), end: i64, now: Instant) {
        if let Some(known) = self.partitions().get_mut(&(topic.to_owned(), partition)) {
            known.hear(end, now);
        }
    }

    fn partitions(&self) -> MutexGuard<'_, BTreeMap<(String, i32), Known>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn end(&self) -> Option<i64> {
        self.ends.back().map(|(_, end)| *end)
    }

    fn records(&self) -> u64 {
        (self.end().unwrap_or(0) - self.position).max(0).cast_unsigned()
    }

    fn hear(&mut self, end: i64, now: Instant) {
        if self.end().is_none_or(|it| it < end) {
            self.ends.push_back((now, end));
        }
        while self.ends.len() > 1 && self.ends[0].1 <= self.position {
            self.ends.pop_front();
        }
        self.oldest = match self.ends.front() {
            Some((since, _)) if self.records() > 0 => now.duration_since(*since),
            _ => Duration::ZERO,
        };
        if self.ends.len() > ENDS_MAX {
            let mut is_dropped = true;
            self.ends.retain(|_| {
                is_dropped = !is_dropped;
                !is_dropped
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: i64 = -1001;

    /// Partitions by number: queue, position, end.
    fn statistics(of: &[(u64, i64, i64)]) -> String {
        let partition = |(number, (queued, position, end)): (usize, &(u64, i64, i64))| {
            format!(
                r#""{number}":{{"partition":{number},"fetchq_cnt":{queued},"msgs":7,
                "app_offset":{position},"ls_offset":{end}}}"#
            )
        };
        let mut partitions: Vec<_> = of.iter().enumerate().map(partition).collect();
        partitions.push(r#""-1":{"fetchq_cnt":0,"app_offset":-1001,"ls_offset":-1001}"#.to_owned());
        let partitions = partitions.join(",");
        format!(r#"{{"name":"x","topics":{{"in":{{"age":1,"partitions":{{{partitions}}}}}}}}}"#)
    }

    fn ours(starts: &[i64]) -> impl Fn(&str, i32) -> Option<i64> + '_ {
        |topic, number| starts.get(usize::try_from(number).ok()?).copied().filter(|_| topic == "in")
    }

    #[test]
    fn lag_is_what_may_be_read_and_was_not_taken_of_our_partitions() {
        let (board, now) = (LagBoard::default(), Instant::now());
        let records = || board.read().iter().map(|it| it.records).collect::<Vec<_>>();
        // The second had nothing new; that the first one's wait in the queue is not its affair.
        board.take(&statistics(&[(20, 40, 90), (20, NONE, 100)]), ours(&[40, 100]), now);
        assert_eq!(records(), [50, 0]);
        board.take(&statistics(&[(0, 91, 91), (0, 130, 130)]), ours(&[40]), now);
        assert_eq!(records(), [0], "the second was given back");
        board.take(&statistics(&[(0, NONE, NONE)]), ours(&[7]), now);
        assert_eq!(records(), [0], "nothing is known yet");
        board.take("no statistics", ours(&[]), now);
        assert_eq!(records(), [0]);
    }

    #[test]
    fn where_nothing_is_fetched_the_end_is_asked_for() {
        let (board, now) = (LagBoard::default(), Instant::now());
        let take = |it| board.take(&statistics(&[it]), ours(&[0]), now);
        assert!(take((30, 10, 40)).is_empty(), "a new end");
        assert_eq!(take((30, 10, 40)), [("in".to_owned(), 0)]);
        board.hear_end(("in", 0), 5_000, now);
        assert_eq!(board.read()[0].records, 4_990);
        assert_eq!(take((30, 10, 40)).len(), 1);
        assert_eq!(board.read()[0].records, 4_990, "the last fetch knows less");
        assert!(take((0, 5_000, 5_000)).is_empty());
        board.hear_end(("other", 0), 9, now);
        assert_eq!((board.read().len(), board.read()[0].records), (1, 0));
    }

    #[test]
    fn the_age_of_lag_is_that_of_the_first_record_that_waits() {
        let (board, start) = (LagBoard::default(), Instant::now());
        let oldest = |seconds, position, end| {
            let now = start + Duration::from_secs(seconds);
            board.take(&statistics(&[(0, position, end)]), ours(&[0]), now);
            board.read()[0].oldest.as_secs()
        };
        assert_eq!(oldest(0, 10, 10), 0);
        assert_eq!(oldest(5, 10, 20), 0, "it came a moment ago");
        assert_eq!(oldest(10, 10, 40), 5, "offset 10 was there by second 5");
        assert_eq!(oldest(15, 25, 40), 5, "offset 25 was there by second 10");
        assert_eq!(oldest(20, 40, 40), 0);
        assert_eq!(oldest(65, 40, 41), 0);
        assert_eq!(oldest(66, 40, 41), 1);
        assert_eq!(oldest(70, 3, 9), 0, "the topic was made again");
        assert_eq!(oldest(72, 3, 9), 2);
    }

    #[test]
    fn however_long_it_lags_little_is_remembered_and_the_first_of_it() {
        let (board, start) = (LagBoard::default(), Instant::now());
        for end in 1..5_000 {
            let now = start + Duration::from_secs(end);
            board.take(&statistics(&[(0, 0, end.cast_signed())]), ours(&[0]), now);
        }
        assert_eq!(board.read()[0].oldest, Duration::from_secs(4_998));
        assert!(board.partitions().values().all(|it| it.ends.len() <= ENDS_MAX));
    }
}
