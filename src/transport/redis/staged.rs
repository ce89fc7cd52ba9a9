//! Exactly once on one server: results wait here until the source commits them with its positions.
//!
//! The server does both in one step, by a script (see `source::together`), so a result is not on
//! its way before that: it is taken, and acknowledged at once. The stage is handed to and fro
//! between sink and source, who live on one thread, through a queue of one place.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crossbeam_queue::ArrayQueue;

use super::{RedisSinkPlan, entry::EntryForm, resp};
use crate::{
    clock::Ticks,
    limits::STREAM_RESULTS_MAX,
    record::Output,
    transport::{Ack, Refusal, SendError, Sink, Token, Trouble, WaitSet},
};

/// Words of one result that the script can hand over: it has room for 8,000 on its stack, and would
/// break off after it has acknowledged.
const WORDS_MAX: usize = 7_900;

/// Results of the transaction that is open, each as a number of words and those.
#[derive(Debug, Default)]
pub(super) struct Stage {
    pub(super) bytes: Vec<u8>,
    pub(super) words: usize,
}

/// What sink and source share.
#[derive(Debug)]
pub struct Staging {
    stage: ArrayQueue<Stage>,
    bytes: AtomicUsize,
    bytes_max: usize,
    streams: Vec<String>,
}

impl Staging {
    /// Has something done with the stage.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Stage) -> T) -> T {
        let mut stage = self.stage.pop().unwrap_or_default();
        let done = act(&mut stage);
        self.bytes.store(stage.bytes.len(), Ordering::Relaxed);
        let _ = self.stage.push(stage);
        done
    }

    /// Nothing of the transaction will be written, or all of it was.
    pub(super) fn clear(&self) {
        self.with(|stage| {
            stage.bytes.clear();
            stage.words = 0;
        });
    }

    /// True if it holds so much that nothing more is to be lent before a commit. What is in flight
    /// may still come.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.bytes_max / 2
    }

    /// The streams that are written.
    pub(super) fn streams(&self) -> &[String] {
        &self.streams
    }

    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}

/// The sink's side.
#[derive(Debug)]
pub struct StagedSink {
    staging: Arc<Staging>,
    form: EntryForm,
    taken: Vec<Token>,
}

impl StagedSink {
    /// A sink, and what its source needs of it.
    pub fn new(plan: &RedisSinkPlan<'_>) -> (StagedSink, Arc<Staging>) {
        let stage = ArrayQueue::new(1);
        let _ = stage.push(Stage { bytes: Vec::with_capacity(plan.bytes), words: 0 });
        let staging = Arc::new(Staging {
            stage,
            bytes: AtomicUsize::new(0),
            bytes_max: plan.bytes,
            streams: plan.streams.to_vec(),
        });
        let taken = Vec::with_capacity(STREAM_RESULTS_MAX);
        (StagedSink { staging: Arc::clone(&staging), form: plan.form(), taken }, staging)
    }
}

impl Sink for StagedSink {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        if self.taken.len() == STREAM_RESULTS_MAX {
            return Err(SendError::Full);
        }
        let form = &mut self.form;
        let is_taken = self.staging.with(|stage| {
            let count = |out: &mut Vec<u8>, words: usize| resp::number(out, words as u64);
            let before = stage.bytes.len();
            let words = form.write(output, &mut stage.bytes, count);
            if words > WORDS_MAX {
                stage.bytes.truncate(before);
                return false;
            }
            stage.words += 1 + words;
            true
        });
        if !is_taken {
            return Err(SendError::Refused(Refusal {
                code: "TOO_MANY_FIELDS",
                too_large: false,
                fatal: false,
                aborts: false,
                is_about_content: true,
            }));
        }
        self.taken.push(token);
        Ok(())
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        let taken = self.taken.len();
        self.taken.drain(..).for_each(|token| visit(Ack { token, at: now, result: Ok(()) }));
        taken
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        None
    }

    fn in_flight(&self) -> usize {
        self.taken.len()
    }

    fn wait_on(&mut self, _set: &mut WaitSet) {}
}
