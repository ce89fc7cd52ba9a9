//! The stages of a commit that only pipelines with state have: settle, write, repeat.

use super::{Process, transaction::Stage, turn::Engine};
use crate::{
    clock::{Clock, Ticks},
    transport::{Sink, Source, Trouble},
};

/// How long a commit that failed waits before it is repeated.
const REPEAT_NS: u64 = 100_000_000;

impl<C: Clock, S: Source, K: Sink, P: Process> Engine<C, S, K, P> {
    /// Goes on once all that was handed out is settled. Exactly once the broker ends a transaction
    /// that is open for too long; what waits aside is given its own time.
    pub(super) fn close_when_settled(&mut self, now: Ticks, deadline: Ticks) -> usize {
        let owes = self.process.owes_results();
        if owes && self.outbox.is_empty() && self.take_given_off(now) > 0 {
            return 1;
        }
        let is_at_rest = !owes
            && self.outbox.is_empty()
            && self.waiting.is_empty()
            && self.sink.in_flight() == 0
            && self.delivery.is_at_rest();
        if is_at_rest {
            self.meter.close_books();
            return 1 + self.begin_writing(now);
        }
        let is_late = now >= deadline && self.waiting.is_empty() && self.outbox.is_empty();
        if is_late && self.transaction.is_used() {
            self.abort("results were not acknowledged within delivery.transaction_timeout");
            return 1;
        }
        0
    }

    /// All is settled: the changes of state up to here, and then the positions.
    pub(super) fn begin_writing(&mut self, now: Ticks) -> usize {
        let Engine { delivery, source, process, owned, transaction, .. } = self;
        let Some(positions) = delivery.begin_commit_of(owned) else {
            return self.close_without_positions();
        };
        for &(partition, position) in positions {
            let is_at_end = source.is_at_end(partition, position);
            source.note(partition, process.begin_commit(partition, position, is_at_end));
        }
        self.writing = super::stores::Writing::default();
        let patience = self.clock.ticks(self.options.transaction_timeout_ns);
        let deadline = Ticks(now.0 + patience);
        transaction.go(Stage::Writing(deadline));
        1 + self.commit_when_written(now, deadline)
    }

    /// Every partition was lost meanwhile, or none came yet.
    fn close_without_positions(&mut self) -> usize {
        match self.transaction.is_used() && self.transaction.has_results() {
            true => self.abort("no position goes with its results"),
            false => self.transaction.open(),
        }
        1
    }

    /// Commits the positions once every change of state is acknowledged.
    pub(super) fn commit_when_written(&mut self, now: Ticks, deadline: Ticks) -> usize {
        let (count, is_written) = self.write_changes();
        if !self.transaction.is_writing() {
            return count + 1;
        }
        if !is_written {
            if now >= deadline && self.transaction.is_used() {
                self.abort("state was not acknowledged within delivery.transaction_timeout");
            }
            return count;
        }
        self.ask_for_commit(now);
        count + 1
    }

    fn ask_for_commit(&mut self, now: Ticks) {
        match self.delivery.commit_again() {
            Some((ticket, positions)) => {
                self.source.commit(ticket, positions);
                self.meter.transaction_closed(&self.clock, self.transaction.since(), now);
                self.transaction.begin_committing(now);
            }
            None => _ = self.close_without_positions(),
        }
    }

    /// At least once, with state: the source has answered the commit. One that failed is repeated
    /// as it was, for the changes of state that are written are those below its positions.
    pub(super) fn end_commit_of_state(&mut self, now: Ticks, result: Result<(), Trouble>) {
        match result {
            Ok(()) => {
                self.commit_stores();
                self.transaction.open();
            }
            Err(_) => {
                let due = Ticks(now.0 + self.clock.ticks(REPEAT_NS));
                self.transaction.repeat_at(due);
            }
        }
    }

    /// Repeats a commit that failed, when it is time.
    pub(super) fn repeat_commit(&mut self, now: Ticks) -> usize {
        if !self.transaction.takes_repetition(now) {
            return 0;
        }
        match self.delivery.commit_again() {
            Some((ticket, positions)) => self.source.commit(ticket, positions),
            // None of them is ours any more.
            None => self.transaction.open(),
        }
        1
    }

    /// A transaction is taken back. If nobody knows whether its commit was made after all, the
    /// state is restored from what the broker has.
    pub(super) fn take_back_stores(&mut self) {
        if !self.transaction.is_unsure() {
            self.owned.iter().for_each(|it| self.process.roll_back(*it));
            return;
        }
        self.owned.iter().for_each(|it| self.process.end(*it));
        self.to_begin.clone_from(&self.owned);
    }

    /// It was taken back.
    pub(super) fn begin_again(&mut self) {
        self.transaction.becomes_sure();
        self.begin_stores();
    }
}
