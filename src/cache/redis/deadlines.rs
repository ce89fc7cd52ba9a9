//! When keys expire, by our own clock: Redis tells of an expired key only when it happens upon it.
//!
//! A queue by time, whose entries count only while the key still has that deadline; so a deadline
//! is changed without a search, and the queue is made anew when most of it is void. Each deadline
//! carries the generation that confirmed it, because a sweep ends deadlines as it ends entries.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
    time::Instant,
};

/// Void entries that are not worth making the queue anew.
const VOID_KEPT: usize = 1024;

/// Deadlines of keys.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_key: HashMap<Arc<[u8]>, Deadline>,
    queue: BinaryHeap<Reverse<(Instant, Arc<[u8]>)>>,
}

#[derive(Clone, Copy, Debug)]
struct Deadline {
    time: Instant,
    generation: u32,
}

impl Deadlines {
    /// The key goes at that time, whatever was said before.
    pub(super) fn set(&mut self, key: &[u8], time: Instant, generation: u32) {
        let deadline = Deadline { time, generation };
        let key = match self.by_key.get_key_value(key) {
            Some((key, _)) => key.clone(),
            None => Arc::from(key),
        };
        let old = self.by_key.insert(key.clone(), deadline);
        if old.is_none_or(|it| it.time != time) {
            self.queue.push(Reverse((time, key)));
        }
        if self.queue.len() > 2 * self.by_key.len() + VOID_KEPT {
            self.requeue();
        }
    }

    /// The key has no deadline any more.
    pub(super) fn forget(&mut self, key: &[u8]) {
        if !self.by_key.is_empty() {
            self.by_key.remove(key);
        }
    }

    /// The key has no deadline any more, unless this generation gave it one.
    pub(super) fn forget_older(&mut self, key: &[u8], generation: u32) {
        if self.by_key.get(key).is_some_and(|it| it.generation != generation) {
            self.by_key.remove(key);
        }
    }

    /// Ends all deadlines that another generation gave.
    pub(super) fn sweep(&mut self, generation: u32) {
        let before = self.by_key.len();
        self.by_key.retain(|_, deadline| deadline.generation == generation);
        if self.by_key.len() != before {
            self.by_key.shrink_to(self.by_key.len() * 2);
            self.requeue();
        }
    }

    /// When the next key goes.
    pub(super) fn next(&mut self) -> Option<Instant> {
        while let Some(Reverse((time, key))) = self.queue.peek() {
            if self.by_key.get(key).is_some_and(|it| it.time == *time) {
                return Some(*time);
            }
            self.queue.pop();
        }
        None
    }

    /// A key whose time has come; its deadline ends with that.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Arc<[u8]>> {
        self.next().filter(|time| *time <= now)?;
        let Reverse((_, key)) = self.queue.pop()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// Keys that have a deadline.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    fn requeue(&mut self) {
        let all = self.by_key.iter().map(|(key, it)| Reverse((it.time, key.clone())));
        self.queue = all.collect();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn due(deadlines: &mut Deadlines, now: Instant) -> Vec<u8> {
        std::iter::from_fn(|| deadlines.take_due(now)).map(|key| key[0]).collect()
    }

    #[test]
    fn keys_go_in_the_order_of_their_last_deadlines() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut deadlines = Deadlines::default();
        for (key, millis) in [(b"a", 10), (b"b", 20), (b"c", 30), (b"a", 25), (b"c", 5)] {
            deadlines.set(key, at(millis), 1);
        }
        deadlines.set(b"d", at(1), 1);
        deadlines.forget(b"d");
        assert_eq!(deadlines.next(), Some(at(5)));
        assert_eq!(due(&mut deadlines, at(4)), b"");
        assert_eq!(due(&mut deadlines, at(24)), b"cb");
        assert_eq!(due(&mut deadlines, at(25)), b"a");
        assert_eq!((deadlines.next(), deadlines.len()), (None, 0));
    }

    #[test]
    fn deadlines_of_an_older_generation_end() {
        let (start, mut deadlines) = (Instant::now(), Deadlines::default());
        for (key, generation) in [(b"a", 1), (b"b", 2), (b"c", 1)] {
            deadlines.set(key, start, generation);
        }
        deadlines.set(b"c", start, 2);
        deadlines.forget_older(b"b", 2);
        deadlines.sweep(2);
        let mut left = due(&mut deadlines, start);
        left.sort_unstable();
        assert_eq!(left, b"bc");
        deadlines.set(b"a", start, 1);
        deadlines.forget_older(b"a", 2);
        assert_eq!(deadlines.len(), 0);
    }

    #[test]
    fn a_key_that_is_written_all_the_time_takes_no_more_memory() {
        let (start, mut deadlines) = (Instant::now(), Deadlines::default());
        for nanos in 0..100_000 {
            deadlines.set(b"a", start + Duration::from_nanos(nanos), 1);
        }
        assert!(deadlines.queue.len() <= VOID_KEPT + 3, "{}", deadlines.queue.len());
        assert_eq!(due(&mut deadlines, start + Duration::from_secs(1)), b"a");
    }
}
