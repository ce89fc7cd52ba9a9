//! The hot thread's face of the observer: additions to plain memory, and notices that never wait.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::{
    clock::Ticks,
    measure::{self, Age, Collector, Counters, Recorder, Regime, RegimeTicks, SlowBook, Span},
    observe::{Notice, RejectSample},
    record::Record,
    verdict::Rejection,
};

/// What the hot thread writes to. Nothing here allocates, locks or blocks.
#[derive(Debug)]
pub struct HotSide {
    recorder: Recorder,
    notices: Arc<ArrayQueue<Notice>>,
}

impl HotSide {
    /// Joins both.
    pub(super) fn new(recorder: Recorder, notices: Arc<ArrayQueue<Notice>>) -> HotSide {
        HotSide { recorder, notices }
    }

    /// One that nobody listens to, for simulations and benches.
    pub fn detached(now: Ticks) -> HotSide {
        HotSide::new(measure::exchange(now).0, Arc::new(ArrayQueue::new(1)))
    }

    /// One whose intervals somebody takes by hand, for tests; nobody hears its notices.
    pub fn collected(now: Ticks) -> (HotSide, Collector) {
        let (recorder, collector) = measure::exchange(now);
        (HotSide::new(recorder, Arc::new(ArrayQueue::new(1))), collector)
    }

    /// Adds one latency.
    #[inline]
    pub fn record(&mut self, age: Age, span: impl Into<Span>, nanos: u64) {
        self.recorder.record(age, span.into(), nanos);
    }

    /// Adds one latency that began on another machine's clock; a negative one counts as skew.
    #[inline]
    pub fn record_signed(&mut self, age: Age, span: impl Into<Span>, nanos: i64) {
        self.recorder.record_signed(age, span.into(), nanos);
        if nanos < 0 {
            let ahead = nanos.unsigned_abs();
            let counters = self.recorder.counters();
            counters.skew_ns_max = counters.skew_ns_max.max(ahead);
        }
    }

    /// The counters, to add to.
    #[inline]
    pub fn counters(&mut self) -> &mut Counters {
        self.recorder.counters()
    }

    /// Tells of a record that is being dead-lettered, as a sample of its class.
    pub fn tell_rejection(&mut self, rejection: &Rejection, record: &Record<'_>) {
        self.tell(Notice::Rejected(RejectSample {
            class: rejection.class,
            step: rejection.step,
            reason: rejection.reason,
            topic: record.topic.into(),
            partition_number: record.partition_number,
            offset: record.offset,
        }));
    }

    /// Goes over to another regime.
    #[inline]
    pub fn switch(&mut self, now: Ticks, regime: Regime) {
        self.recorder.switch(now, regime);
    }

    /// The regime that time is given to at present.
    pub fn regime(&self) -> Regime {
        self.recorder.regime()
    }

    /// The slow records and stalls of the interval, to add to.
    #[inline]
    pub fn slow(&mut self) -> &mut SlowBook {
        self.recorder.slow()
    }

    /// What a stretch of time was spent on.
    pub fn regimes_between(&self, from: Ticks, to: Ticks) -> RegimeTicks {
        self.recorder.regimes_between(from, to)
    }

    /// Leaves a notice, or counts it where there is no room.
    pub fn tell(&mut self, notice: Notice) {
        if self.notices.push(notice).is_err() {
            self.counters().notices_lost += 1;
        }
    }

    /// Hands over what was measured, if the observer asked for it. Part of housekeeping.
    pub fn publish(&mut self, now: Ticks) -> bool {
        self.recorder.publish(now)
    }

    /// Hands over what is left. Call it before `ObserverHandle::finish`.
    pub fn finish(self, now: Ticks) {
        self.recorder.finish(now);
    }
}
