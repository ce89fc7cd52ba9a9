//! Questions from the hot thread to the side threads of tables on demand, and word of answers.
//!
//! A question is a key in a buffer that was taken at start: it goes out through one bounded queue
//! and comes back empty through another, so that the hot thread neither allocates nor locks. Where
//! no buffer is left the question is simply not asked, and the record that waits asks again later.
//! Answers are entries of the table. That there are new ones is said by a count, and, to a hot
//! thread that went to sleep while records wait, by a call that wakes it.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crossbeam_queue::ArrayQueue;

use crate::limits::{TABLE_QUESTION_BYTES, TABLE_QUESTIONS_MAX};

/// The keys that one table is asked for.
#[derive(Debug)]
pub(super) struct Questions {
    free: ArrayQueue<Vec<u8>>,
    asked: ArrayQueue<Vec<u8>>,
}

impl Questions {
    pub(super) fn new() -> Questions {
        let free = ArrayQueue::new(TABLE_QUESTIONS_MAX);
        while free.push(Vec::with_capacity(TABLE_QUESTION_BYTES)).is_ok() {}
        Questions { free, asked: ArrayQueue::new(TABLE_QUESTIONS_MAX) }
    }

    /// Hot thread: asks for a key; false if too many questions are under way. A key longer than any
    /// before makes its buffer grow, once.
    #[inline]
    pub(super) fn ask(&self, key: &[u8]) -> bool {
        let Some(mut buffer) = self.free.pop() else { return false };
        buffer.clear();
        buffer.extend_from_slice(key);
        // There are as many buffers as places.
        self.asked.push(buffer).is_ok()
    }

    /// Side thread: hears all questions.
    pub(super) fn hear(&self, mut hear: impl FnMut(&[u8])) {
        for _ in 0..TABLE_QUESTIONS_MAX {
            let Some(buffer) = self.asked.pop() else { return };
            hear(&buffer);
            // It came from there.
            let _ = self.free.push(buffer);
        }
    }

    /// Side thread: true if there is nothing to hear.
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }
}

/// Word of answers, from all tables on demand.
#[derive(Default)]
pub(super) struct Answers {
    count: AtomicU64,
    is_awaited: AtomicBool,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Answers {
    /// How the hot thread is woken. Only the first call counts.
    pub(super) fn wake_with(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.wake.set(Box::new(wake));
    }

    /// Side thread: there are answers, already published.
    pub(super) fn tell(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        // Either this sees that the hot thread is about to sleep, or that one sees the count.
        if self.is_awaited.swap(false, Ordering::SeqCst)
            && let Some(wake) = self.wake.get()
        {
            wake();
        }
    }

    /// Hot thread: changes with every word of answers.
    #[inline]
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Hot thread: it will sleep, and wants to be woken. The count as of after that was said.
    pub(super) fn expect(&self) -> u64 {
        self.is_awaited.store(true, Ordering::SeqCst);
        self.count.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("count", &self.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn questions_are_bounded_and_buffers_come_back() {
        let questions = Questions::new();
        for round in 0..3 {
            let asked = (0..).take_while(|_| questions.ask(b"key")).count();
            assert_eq!(asked, TABLE_QUESTIONS_MAX, "in round {round}");
            let mut heard = 0;
            questions.hear(|key| {
                assert_eq!(key, b"key");
                heard += 1;
            });
            assert_eq!(heard, TABLE_QUESTIONS_MAX);
        }
        assert!(questions.ask(&[7; 2 * TABLE_QUESTION_BYTES]) && !questions.is_empty());
        questions.hear(|key| assert_eq!(key, [7; 2 * TABLE_QUESTION_BYTES]));
    }

    #[test]
    fn who_expects_an_answer_is_woken_once() {
        let answers = Answers::default();
        let woken = Arc::new(AtomicU64::new(0));
        let count = woken.clone();
        answers.wake_with(move || _ = count.fetch_add(1, Ordering::Relaxed));
        answers.tell();
        assert_eq!((answers.expect(), woken.load(Ordering::Relaxed)), (1, 0));
        answers.tell();
        answers.tell();
        assert_eq!((answers.count(), woken.load(Ordering::Relaxed)), (3, 1));
    }
}
