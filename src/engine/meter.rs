//! What the engine measures of a record's path: where each stage begins and ends.
//!
//! The end of one stage is the start of the next, so four clock reads a record and one a batch are
//! enough. Stages before `send` are recorded for every record, the totals for those that were
//! emitted, when their last result is acknowledged.

use super::{
    Processed,
    books::Books,
    turn::{Attempt, Marks},
};
use crate::{
    clock::{Clock, Ticks, WallOffset},
    delivery::{Order, Stamps},
    measure::{Counters, Regime, Span, Stage},
    observe::{HotSide, Notice, PeerTrouble, labels::place_of},
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
    /// Exactly once: what is not committed yet.
    books: Option<Box<Books>>,
}

impl Meter {
    pub(crate) fn new(hot: HotSide, wall: WallOffset, order: Order) -> Meter {
        let books = (order == Order::Together).then(Box::default);
        Meter { hot, wall, told: [false; RejectClass::ALL.len()], books }
    }

    /// Exactly once: no more records may be emitted before a commit.
    pub(crate) fn is_full_of_uncommitted(&self) -> bool {
        self.books.as_ref().is_some_and(|it| it.is_full())
    }

    /// What is acknowledged from now on still belongs to the transaction that closes; what is
    /// processed from now on, to the next.
    pub(crate) fn close_books(&mut self) {
        if let Some(books) = &mut self.books {
            books.close();
        }
    }

    /// All that was handed over in it is acknowledged; nothing was processed meanwhile.
    pub(crate) fn transaction_closed(&mut self, clock: &impl Clock, since: Ticks, now: Ticks) {
        self.hot.record(Span::TransactionStall, clock.nanos(since, now));
    }

    /// It was committed at `now`, which was asked for at `since`.
    pub(crate) fn commit_books(&mut self, clock: &impl Clock, since: Ticks, now: Ticks) {
        self.hot.record(Span::TransactionCommit, clock.nanos(since, now));
        if let Some(books) = &mut self.books {
            books.commit(clock, now, &mut self.hot);
        }
    }

    /// Records times of the last commit, as many as a turn may.
    pub(crate) fn record_committed(&mut self, clock: &impl Clock) -> usize {
        self.books.as_mut().map_or(0, |books| books.record_some(clock, &mut self.hot))
    }

    /// It was taken back: its records come again and are counted then.
    pub(crate) fn abandon_books(&mut self) {
        if let Some(books) = &mut self.books {
            books.abandon();
        }
    }

    /// Where what is decided about records is counted.
    #[inline]
    fn sums(&mut self) -> &mut Counters {
        match &mut self.books {
            None => self.hot.counters(),
            Some(books) => books.decided(),
        }
    }

    /// The same for what was acknowledged.
    #[inline]
    fn acknowledged_sums(&mut self) -> &mut Counters {
        match &mut self.books {
            None => self.hot.counters(),
            Some(books) => books.acknowledged(),
        }
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
        self.sums().polled += 1;
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
        self.sums().results[usize::from(destination.0)] += 1;
        if let Some(from) = from {
            self.hot.record(Stage::Send, clock.nanos(from, to));
        }
    }

    /// All results of a record are acknowledged, the last at `at`.
    pub(crate) fn emitted(&mut self, clock: &impl Clock, stamps: &Stamps, at: Ticks) {
        self.acknowledged_sums().emitted += 1;
        self.hot.record(Stage::Ack, clock.nanos(stamps.sent, at));
        self.hot.record(Span::Transit, clock.nanos(stamps.arrived, stamps.sent));
        if let Some(source_ns) = stamps.source_ns.filter(|it| *it >= 0) {
            let here = clock.nanos(stamps.arrived, at.max(stamps.sent));
            let nanos = source_ns as u64 + here;
            match &mut self.books {
                None => self.hot.record(Span::EndToEnd, nanos),
                Some(books) => books.emitted(at, Some(nanos)),
            }
        } else if let Some(books) = &mut self.books {
            books.emitted(at, None);
        }
    }

    pub(crate) fn skipped(&mut self, skip: Skip) {
        self.sums().skipped.count(skip.class as usize, place_of(skip.step));
    }

    /// A record will be dead-lettered; the first of a class since the last publication is told.
    pub(crate) fn rejecting(&mut self, rejection: &Rejection, record: &Record<'_>) {
        if !std::mem::replace(&mut self.told[rejection.class as usize], true) {
            self.hot.tell_rejection(rejection, record);
        }
    }

    /// Its dead letter is acknowledged.
    pub(crate) fn rejected(&mut self, class: RejectClass, step: Step) {
        self.acknowledged_sums().rejected.count(class as usize, place_of(step));
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
