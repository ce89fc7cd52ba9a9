//! When nothing is taken or processed, and what becomes then of what was not begun.
//!
//! Three causes, each by itself: somebody asked, a table is too old, the breaker is open. While one
//! holds, the source and the sink are served as ever: the membership stays, what was handed over is
//! acknowledged and committed, what waits in the outbox goes out. A partition that the group wants
//! back, or a run that ends, does not wait for the end of a pause: what was not begun is withheld,
//! and whoever comes next begins there. Records that wait aside were begun before; a run that ends
//! finishes them, unless a table is too old to answer them.

use super::{
    Process,
    breaker::{Breaker, Opened, Rule, Sample},
    phase::{Cause, Phase},
    turn::Engine,
};
use crate::{
    clock::{Clock, Ticks},
    observe::{Notice, PauseCause, RejectSample, switch::Asked},
    transport::{Sink, Source},
    verdict::{Rejection, Sentence},
};

/// Which causes hold, as the log was last told, and what people asked for so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pauses {
    asked: Asked,
    holds: [bool; PauseCause::ALL.len()],
    /// The last pause, be it over, is or was a table's.
    is_of_table: bool,
}

impl Pauses {
    /// True if the last time that nothing was processed was because of a table.
    pub(super) fn is_of_table(&self) -> bool {
        self.is_of_table
    }

    fn has(&self, cause: PauseCause) -> bool {
        self.holds[cause as usize]
    }

    fn causes(&self) -> impl Iterator<Item = PauseCause> {
        PauseCause::ALL.into_iter().filter(|cause| self.has(*cause))
    }
}

impl<C: Clock, S: Source, K: Sink, P: Process> Engine<C, S, K, P> {
    /// The same engine with a breaker, before its first turn.
    pub fn with_breaker(mut self, rule: Option<Rule>) -> Engine<C, S, K, P> {
        if let Some(rule) = rule {
            self.breaker = Breaker::new(rule, self.clock.ticks(rule.within_ns));
        }
        self
    }

    /// True if a cause came or went since the last turn.
    #[inline]
    pub(super) fn has_pause_news(&self) -> bool {
        self.control.asked() != self.pauses.asked
            || self.process.is_paused() != self.pauses.has(PauseCause::Table)
    }

    /// Causes of a pause come and go: one line each.
    #[cold]
    pub(super) fn review_pauses(&mut self) {
        self.pause_as(self.control.asked());
    }

    fn pause_as(&mut self, asked: Asked) {
        let before = self.pauses;
        // With `then = "stop"` the run is ending, and an open breaker stays open.
        let goes_on = asked.resumes() != before.asked.resumes() && self.phase == Phase::Running;
        if goes_on && self.breaker.is_open() {
            self.breaker.close();
        }
        let holds = [asked.is_paused(), self.process.is_paused(), self.breaker.is_open()];
        let is_of_table = match holds.contains(&true) {
            true => holds[PauseCause::Table as usize],
            false => before.is_of_table,
        };
        self.pauses = Pauses { asked, holds, is_of_table };
        self.is_paused = holds.contains(&true);
        for cause in PauseCause::ALL {
            match (before.has(cause), self.pauses.has(cause)) {
                (false, true) => self.tell_pause(cause),
                (true, false) => {
                    let still = self.pauses.causes().next();
                    self.meter.hot.tell(Notice::Resumed { cause, still });
                }
                _ => {}
            }
        }
        self.control.hear(asked, self.pauses.causes());
    }

    fn tell_pause(&mut self, cause: PauseCause) {
        let text = match cause {
            PauseCause::Asked => Sentence::from(cause.text()),
            PauseCause::Table => self.process.why_paused(),
            // It has been told, with more than a sentence.
            PauseCause::Breaker => return,
        };
        self.meter.hot.tell(Notice::Paused { cause, text });
    }

    /// Too many were rejected: once all that is under way is settled, the breaker opens.
    #[cold]
    pub(super) fn judge(&mut self) {
        if self.sink.in_flight() == 0 && self.outbox.is_empty() {
            self.open_breaker();
        }
    }

    /// From here on nothing is processed. This is the place for what a guarantee wants to be done
    /// with results that are not committed yet: what is settled may be committed, and nothing that
    /// was not begun is.
    fn open_breaker(&mut self) {
        let (facts, samples) = self.breaker.open();
        let samples = samples.map(|it| it.map(|it| self.describe(&it)));
        self.meter.hot.tell(Notice::BreakerOpened(facts));
        for sample in samples.into_iter().flatten() {
            self.meter.hot.tell(Notice::BreakerSample(sample));
        }
        if facts.stops {
            self.end_for(Cause::Breaker(Opened { facts, samples }));
        }
        // Who asks to go on in this very moment does not mean this: heard in the next turn.
        self.pause_as(self.pauses.asked);
    }

    fn describe(&self, sample: &Sample) -> RejectSample {
        let Rejection { class, step, reason } = sample.rejection;
        let (topic, partition_number) = self.source.partition(sample.partition);
        let (topic, offset) = (Sentence::from(topic), sample.offset);
        RejectSample { class, step, reason, topic, partition_number, offset }
    }

    /// What was not begun stays as it is, of a run that ends, or of partitions that go.
    #[cold]
    pub(super) fn withhold(&mut self) {
        let is_ending = self.phase != Phase::Running;
        let Engine { delivery, owned, revoking, .. } = self;
        for partition in if is_ending { owned } else { revoking } {
            delivery.withhold(*partition);
        }
        // Drops what belongs to nobody, which at the end is all that is left.
        let left = if is_ending { delivery.next_ready() } else { None };
        debug_assert_eq!(left, None, "all has been withheld");
    }

    /// True while a run that is paused and ends finishes what was begun.
    pub(super) fn finishes_waiting(&self) -> bool {
        self.phase != Phase::Running && !self.pauses.has(PauseCause::Table)
    }

    /// The breaker's figures, for whoever asks.
    pub(super) fn publish_breaker(&mut self, now: Ticks) {
        let (rejected, settled) = self.breaker.rejected(now);
        self.control.tell_rejected(rejected, settled);
    }
}
