//! What was measured so far, for whoever asks while the run goes on.
//!
//! One asks at a time; the observer answers once the hot thread has handed over everything up to
//! the question. The hot thread is not waited for in any other way, and knows nothing of it.

use std::{
    sync::{
        Mutex, PoisonError,
        mpsc::{self, SyncSender},
    },
    time::Duration,
};

use crate::{clock::Ticks, measure::Interval};

/// How long an answer may take; a hot thread hands over every tenth of a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// The place where a question waits for the observer.
#[derive(Debug, Default)]
pub(super) struct Questions {
    asked: Mutex<Option<SyncSender<Box<Interval>>>>,
}

/// A question that the observer has heard.
#[derive(Debug)]
pub(super) struct Question {
    /// When it was heard: what was measured before must be in the answer.
    pub(super) at: Ticks,
    asker: SyncSender<Box<Interval>>,
}

impl Questions {
    /// Asks, wakes the observer, and waits.
    pub(super) fn ask(&self, wake: impl FnOnce()) -> Option<Box<Interval>> {
        let (asker, answer) = mpsc::sync_channel(1);
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asker);
        wake();
        answer.recv_timeout(PATIENCE).ok()
    }

    /// The question that waits, if one does.
    pub(super) fn next(&self, now: Ticks) -> Option<Question> {
        let asker = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Question { at: now, asker })
    }
}

impl Question {
    /// Whoever asked may have given up.
    pub(super) fn answer(self, total: &Interval) {
        let _ = self.asker.try_send(Box::new(total.clone()));
    }
}
