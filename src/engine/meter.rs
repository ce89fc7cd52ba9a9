//! What the engine measures of a record's path: where each stage begins and ends.
//!
//! The end of one stage is the start of the next, so four clock reads a record and one a batch are
//! enough. Stages before `send` are recorded for every record, the totals for those that were
//! emitted, when their last result is acknowledged.

use super::{
    Processed,
    turn::{Attempt, Marks},
};
use crate::{
    clock::{Clock, Ticks, WallOffset},
    delivery::Stamps,
    measure::{Regime, Span, Stage},
    observe::{HotSide, Notice, PeerTrouble},
    record::{Destination, Record},
    transport::Trouble,
    verdict::{RejectClass, Rejection, Sentence, Skip, Step},
};

/// The hot thread's figures.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) hot: HotSide,
    wall: WallOffset,
    /// Since the figures were last published: which reject classes were told.
    told: [bool; RejectClass::ALL.len()],
}

impl Meter {
    pub(crate) fn new(hot: HotSide, wall: WallOffset) -> Meter {
        Meter { hot, wall, told: [false; RejectClass::ALL.len()] }
    }

    /// The time since the last turn began is the regime's that it ended in.
    pub(crate) fn begin_turn(&mut self) {
        self.hot.counters().turns += 1;
    }

    /// From `start` on, time counts as `regime`: what a turn did, it did from its beginning.
    pub(crate) fn end_turn(&mut self, start: Ticks, regime: Regime) {
        self.hot.switch(start, regime);
    }

    /// A record's turn came at `start`.
    #[inline]
    pub(crate) fn took(&mut self, clock: &impl Clock, stamps: &Stamps, start: Ticks) {
        self.hot.counters().polled += 1;
        self.hot.record(Stage::Queue, clock.nanos(stamps.arrived, stamps.polled));
        self.hot.record(Stage::Batch, clock.nanos(stamps.polled, start));
    }

    /// A record was processed and needs not wait: all stages up to the end of that. Where it had to
    /// wait before, the time from its first turn to its last attempt is `held`.
    #[inline]
    pub(super) fn attempted(
        &mut self,
        clock: &impl Clock,
        stamps: &Stamps,
        attempt: &Attempt,
        marks: &Marks,
    ) {
        let Attempt { since, start, .. } = *attempt;
        self.took(clock, stamps, since);
        if start != since {
            self.hot.record(Stage::Held, clock.nanos(since, start));
        }
        let Marks { parsed, operated, reached, .. } = *marks;
        if reached > 0 {
            self.hot.record(Stage::Parse, clock.nanos(start, parsed));
        }
        if reached > 1 {
            self.hot.record(Stage::Operate, clock.nanos(parsed, operated));
        }
    }

    /// How long a record was on its way to this process.
    pub(crate) fn origin(
        &mut self,
        clock: &impl Clock,
        arrived: Ticks,
        processed: &Processed,
    ) -> Option<i64> {
        match processed.origin_ns {
            Some(origin_ns) => {
                let nanos = self.wall.epoch_nanos(clock, arrived) - origin_ns;
                self.hot.record_signed(Stage::Source, nanos);
                Some(nanos)
            }
            None => {
                self.hot.counters().origin_missing += 1;
                None
            }
        }
    }

    pub(crate) fn encoded(&mut self, clock: &impl Clock, from: Ticks, to: Ticks) {
        self.hot.record(Stage::Encode, clock.nanos(from, to));
    }

    pub(crate) fn sent(
        &mut self,
        clock: &impl Clock,
        destination: Destination,
        from: Option<Ticks>,
        to: Ticks,
    ) {
        self.hot.produced(destination);
        if let Some(from) = from {
            self.hot.record(Stage::Send, clock.nanos(from, to));
        }
    }

    /// All results of a record are acknowledged, the last at `at`.
    pub(crate) fn emitted(&mut self, clock: &impl Clock, stamps: &Stamps, at: Ticks) {
        self.hot.counters().emitted += 1;
        self.hot.record(Stage::Ack, clock.nanos(stamps.sent, at));
        self.hot.record(Span::Transit, clock.nanos(stamps.arrived, stamps.sent));
        if let Some(source_ns) = stamps.source_ns.filter(|it| *it >= 0) {
            let here = clock.nanos(stamps.arrived, at.max(stamps.sent));
            self.hot.record(Span::EndToEnd, source_ns as u64 + here);
        }
    }

    pub(crate) fn skipped(&mut self, skip: Skip) {
        self.hot.skipped(skip);
    }

    /// A record will be dead-lettered; the first of a class since the last publication is told.
    pub(crate) fn rejecting(&mut self, rejection: &Rejection, record: &Record<'_>) {
        if !std::mem::replace(&mut self.told[rejection.class as usize], true) {
            self.hot.tell_rejection(rejection, record);
        }
    }

    /// Its dead letter is acknowledged.
    pub(crate) fn rejected(&mut self, class: RejectClass, step: Step) {
        self.hot.rejected(class, step);
    }

    pub(crate) fn refused(&mut self) {
        self.hot.counters().refused += 1;
    }

    pub(crate) fn committed(&mut self, result: Result<(), Trouble>) {
        match result {
            Ok(()) => self.hot.counters().commits += 1,
            Err(trouble) => {
                self.hot.counters().commits_failed += 1;
                self.hot.tell(Notice::CommitFailed(of_peer(trouble)));
            }
        }
    }

    pub(crate) fn rebalanced(&mut self, notice: Notice) {
        self.hot.counters().rebalances += 1;
        self.hot.tell(notice);
    }

    /// Records of the source are gone.
    pub(crate) fn missed(&mut self, records: u64, text: Sentence) {
        self.hot.counters().missed += records;
        self.hot.tell(Notice::Told { event: "source.gap", text, alarming: true });
    }

    pub(crate) fn trouble(&mut self, trouble: Trouble) {
        self.hot.tell(Notice::Trouble(of_peer(trouble)));
    }

    pub(crate) fn publish(&mut self, now: Ticks) {
        if self.hot.publish(now) {
            self.told = [false; RejectClass::ALL.len()];
        }
    }
}

fn of_peer(trouble: Trouble) -> PeerTrouble {
    let Trouble { peer, code, text, heals } = trouble;
    PeerTrouble { peer, code, text, heals }
}
