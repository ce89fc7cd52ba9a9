//! Between two turns: what may end a wait, and how long one may take.

use super::{Process, phase::Phase, turn::Engine};
use crate::{
    clock::Clock,
    transport::{Sink, Source, WaitSet},
};

impl<C: Clock, S: Source, K: Sink, P: Process> Engine<C, S, K, P> {
    /// Adds what ends a wait: the source's signals, a request to stop and, where nothing can go on
    /// before them or a commit is due that waits for them, acknowledgements. Others are collected
    /// with the next turn, which halves the wake-ups.
    pub fn wait_on(&mut self, set: &mut WaitSet) {
        self.source.wait_on(set);
        let stuck = !self.outbox.is_empty()
            || !self.delivery.has_room()
            || !self.revoking.is_empty()
            || self.transaction.awaits_sink()
            || self.waiting.has_behind()
            || self.phase != Phase::Running
            || self.breaker.holds();
        let commit_waits = self.clock.now() >= self.commit_due;
        // A sink that is not asked for acknowledgements would never take its signal back.
        if (stuck || commit_waits) && self.sink.in_flight() > 0 {
            self.sink.wait_on(set);
        }
        self.control.wait_on(set);
        // What wakes it then is the control's signal.
        if !self.waiting.is_empty() && self.process.expect_answers() {
            self.waiting.hurry();
        }
    }

    /// After a wait: a request to stop is heard in the next turn.
    pub fn after_wait(&mut self) {
        self.pulse.rest(self.clock.now());
        self.control.after_wait();
    }

    /// Nanoseconds until housekeeping is due: a commit if there is or may be something to commit,
    /// else figures. A commit that is due and waits for acknowledgements is woken by them.
    pub fn nanos_to_housekeeping(&self) -> u64 {
        let now = self.clock.now();
        let ahead = self.delivery.in_flight() > 0 && self.commit_due > now;
        let commit = ahead || self.state_wants_commit() || self.delivery.wants_commit();
        let due = if commit { self.commit_due.min(self.publish_due) } else { self.publish_due };
        let due = self.transaction.repeat_due().map_or(due, |repeat| due.min(repeat));
        // A sink without room keeps those that wait aside, too.
        let may_look = self.outbox.is_empty() && !self.transaction.holds();
        let look = self.waiting.due().filter(|_| may_look);
        self.clock.nanos(now, look.map_or(due, |look| look.min(due)))
    }
}
