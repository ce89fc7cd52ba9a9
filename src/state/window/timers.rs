//! When windows are due, in the order in which their results come: end, start, key.
//!
//! A binary heap of our own, because two windows that end and start together are told apart by keys
//! that lie with their entries; the first sixteen bytes of a key are here, and mostly enough. What
//! is said here may be out of date: a session has grown since, a window is gone. Who takes a timer
//! out looks whether its window is still there. An entry keeps its key as long as it has a timer.

use std::cmp::Ordering;

/// A window, and when it is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timer {
    pub(super) due: i64,
    pub(super) start: i64,
    /// The first bytes of the key, big-endian, zeroes behind.
    pub(super) prefix: [u64; 2],
    pub(super) entry: u32,
}

/// All timers; the first is the least.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: Vec<Timer>,
}

impl Timers {
    pub(super) fn with_capacity(timers: usize) -> Timers {
        Timers { heap: Vec::with_capacity(timers) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.heap.capacity() * size_of::<Timer>()
    }

    #[inline]
    pub(super) fn first(&self) -> Option<Timer> {
        self.heap.first().copied()
    }

    /// Room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.heap.reserve(more);
    }

    /// `by_key` orders the keys of two entries.
    pub(super) fn push(&mut self, timer: Timer, by_key: impl Fn(u32, u32) -> Ordering) {
        let mut at = self.heap.len();
        self.heap.push(timer);
        while at > 0 {
            let parent = (at - 1) / 2;
            if order(&timer, &self.heap[parent], &by_key) != Ordering::Less {
                break;
            }
            self.heap[at] = self.heap[parent];
            at = parent;
        }
        self.heap[at] = timer;
    }

    pub(super) fn pop(&mut self, by_key: impl Fn(u32, u32) -> Ordering) {
        let Some(last) = self.heap.pop() else { return };
        if self.heap.is_empty() {
            return;
        }
        let mut at = 0;
        loop {
            let mut child = 2 * at + 1;
            let Some(left) = self.heap.get(child) else { break };
            let right = self.heap.get(child + 1);
            if right.is_some_and(|right| order(right, left, &by_key) == Ordering::Less) {
                child += 1;
            }
            if order(&last, &self.heap[child], &by_key) != Ordering::Greater {
                break;
            }
            self.heap[at] = self.heap[child];
            at = child;
        }
        self.heap[at] = last;
    }
}

fn order(one: &Timer, other: &Timer, by_key: &impl Fn(u32, u32) -> Ordering) -> Ordering {
    let times = |it: &Timer| (it.due, it.start, it.prefix);
    let ordering = times(one).cmp(&times(other));
    if ordering.is_ne() || one.entry == other.entry {
        return ordering;
    }
    by_key(one.entry, other.entry)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn timers_come_out_by_end_start_and_key() {
        for seed in 0..100 {
            let mut random = SmallRng::seed_from_u64(seed);
            let by_key = |one: u32, other: u32| other.cmp(&one);
            let mut timers = Timers::default();
            let mut all = Vec::new();
            for _ in 0..random.random_range(1..300) {
                let timer = Timer {
                    due: random.random_range(0..5),
                    start: random.random_range(0..3),
                    prefix: [0, random.random_range(0..2)],
                    entry: random.random_range(0..9),
                };
                timers.push(timer, by_key);
                all.push(timer);
                if random.random_bool(0.2) {
                    let least = *all.iter().min_by(|a, b| order(a, b, &by_key)).unwrap();
                    assert_eq!(timers.first(), Some(least), "seed {seed}");
                    timers.pop(by_key);
                    all.swap_remove(all.iter().position(|it| *it == least).unwrap());
                }
            }
            all.sort_by(|a, b| order(a, b, &by_key));
            for timer in all {
                assert_eq!(timers.first(), Some(timer), "seed {seed}");
                timers.pop(by_key);
            }
            assert_eq!(timers.first(), None);
        }
    }
}
