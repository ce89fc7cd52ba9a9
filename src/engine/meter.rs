//! What the engine measures of a record's path: where each stage begins and ends.
//!
//! The end of one stage is the start of the next, so four clock reads a record and one a batch are
//! enough. Stages before `send` are recorded for every record, the totals for those that were
//! emitted, when their last result is acknowledged. What a transaction takes back is done again,
//! and its stages are recorded again: that work was done. Counts and `end_to_end` are of commits
//! alone.

use super::{
    Processed,
    books::Books,
    pulse::Pulse,
    turn::{Attempt, Marks, Options},
};
use crate::{
    clock::{Clock, Ticks, WallOffset},
    delivery::Order,
    limits::SAMPLED_ONE_IN,
    measure::{
        Age, Counters, Regime, SlowRecord, Span, Stage, Stages, Stamps,
        slow::{Doing, Kept, Stall, Taken},
    },
    observe::{HotSide, Notice, PeerTrouble, labels::place_of},
    record::{Destination, Record},
    transport::{SourceClaim, Trouble},
    verdict::{RejectClass, Rejection, Sentence, Skip, Step},
};

/// What is going on while acknowledgements are collected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlowContext {
    pub(crate) table_age_ns: Option<u64>,
    pub(crate) in_flight: u32,
    pub(crate) is_committing: bool,
    pub(crate) is_rebalancing: bool,
    pub(crate) was_table_old: bool,
}

/// The clock was read; what lay too long before it is told.
#[inline]
pub(crate) fn beat(
    pulse: &mut Pulse,
    clock: &impl Clock,
    meter: &mut Meter,
    now: Ticks,
    doing: Doing,
) {
    if let Some(stall) = pulse.beat(clock, now, doing) {
        meter.hot.slow().add_stall(stall);
    }
}

/// The hot thread's figures.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) hot: HotSide,
    wall: WallOffset,
    /// What is older belongs to the backlog.
    start: Ticks,
    /// A transit of so many nanoseconds leaves a line.
    slow_ns: u64,
    stages: Stages,
    /// Records so far: each of a certain number is sampled.
    seen: u64,
    /// Since the figures were last published: which reject classes were told.
    told: [bool; RejectClass::ALL.len()],
    /// Exactly once: what is not committed yet.
    books: Option<Box<Books>>,
}

impl Meter {
    pub(crate) fn new(
        (hot, start): (HotSide, Ticks),
        wall: WallOffset,
        options: &Options,
    ) -> Meter {
        let Options { slow_ns, stages, .. } = *options;
        let books = (options.order == Order::Together).then(Box::default);
        let told = [false; RejectClass::ALL.len()];
        Meter { hot, wall, start, slow_ns, stages, seen: 0, told, books }
    }

    /// Whether the stages of the record that is next are measured.
    #[inline]
    pub(crate) fn samples_next(&self) -> bool {
        match self.stages {
            Stages::All => true,
            Stages::Sampled => self.seen.is_multiple_of(SAMPLED_ONE_IN),
            Stages::Off => false,
        }
    }

    /// True if the clock need not be read for a hand-over.
    #[inline]
    pub(crate) fn is_off(&self) -> bool {
        self.stages == Stages::Off
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
        self.hot.record(Age::Live, Span::TransactionStall, clock.nanos(since, now));
    }

    /// It was committed at `now`, which was asked for at `since`.
    pub(crate) fn commit_books(&mut self, clock: &impl Clock, since: Ticks, now: Ticks) {
        self.hot.record(Age::Live, Span::TransactionCommit, clock.nanos(since, now));
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
        self.seen += 1;
        if !stamps.is_sampled {
            return;
        }
        self.hot.record(stamps.age, Stage::Queue, clock.nanos(stamps.arrived, stamps.polled));
        self.hot.record(stamps.age, Stage::Batch, clock.nanos(stamps.polled, start));
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
        if !stamps.is_sampled {
            return;
        }
        let age = stamps.age;
        if start != since {
            self.hot.record(age, Stage::Held, clock.nanos(since, start));
        }
        let Marks { parsed, operated, reached, .. } = *marks;
        if reached > 0 {
            self.hot.record(age, Stage::Parse, clock.nanos(start, parsed));
        }
        if reached > 1 {
            self.hot.record(age, Stage::Operate, clock.nanos(parsed, operated));
        }
    }

    /// How long a record was on its way to this process, and whether it was made before the run.
    #[inline]
    pub(crate) fn origin(
        &mut self,
        clock: &impl Clock,
        (arrived, is_sampled): (Ticks, bool),
        processed: &Processed,
    ) -> (Option<i64>, Age) {
        let Some(origin_ns) = processed.origin_ns else {
            self.sums().origin_missing += 1;
            return (None, Age::Live);
        };
        let nanos = self.wall.epoch_nanos(clock, arrived).saturating_sub(origin_ns);
        let since_start = clock.nanos(self.start, arrived);
        let is_older = u64::try_from(nanos).is_ok_and(|it| it > since_start);
        let age = if is_older { Age::Backlog } else { Age::Live };
        // A clock that is ahead is told of each record.
        if is_sampled || nanos < 0 {
            self.hot.record_signed(age, Stage::Source, nanos);
        }
        (Some(nanos), age)
    }

    #[inline]
    pub(crate) fn encoded(&mut self, clock: &impl Clock, of: &Stamps, from: Ticks, to: Ticks) {
        if of.is_sampled {
            self.hot.record(of.age, Stage::Encode, clock.nanos(from, to));
        }
    }

    /// A result was handed over at `to`; of a record that was encoded then, if it is none's letter.
    #[inline]
    pub(crate) fn sent(
        &mut self,
        clock: &impl Clock,
        destination: Destination,
        of: Option<&Stamps>,
        to: Ticks,
    ) {
        self.sums().results[usize::from(destination.0)] += 1;
        if let Some(stamps) = of.filter(|it| it.is_sampled) {
            self.hot.record(stamps.age, Stage::Send, clock.nanos(stamps.encoded, to));
        }
    }

    /// All results of a record are acknowledged, the last at `at`. True if it is to leave a line.
    #[inline]
    pub(crate) fn emitted(&mut self, clock: &impl Clock, stamps: &Stamps, at: Ticks) -> bool {
        self.acknowledged_sums().emitted += 1;
        if self.stages == Stages::Off {
            return false;
        }
        debug_assert!(stamps.are_contiguous(), "time falls between stages: {stamps:?}");
        let age = stamps.age;
        let transit_ns = clock.nanos(stamps.arrived, stamps.sent);
        let ack_ns = clock.nanos(stamps.sent, at);
        let here_ns = transit_ns + ack_ns;
        if stamps.is_sampled {
            self.hot.record(age, Stage::Ack, ack_ns);
        }
        self.hot.record(age, Span::Transit, transit_ns);
        let source_ns = stamps.source_ns.and_then(|it| u64::try_from(it).ok());
        let end_to_end = source_ns.map(|it| it + here_ns);
        match (&mut self.books, end_to_end) {
            (Some(books), _) => books.emitted(age, at, end_to_end),
            (None, Some(nanos)) => self.hot.record(age, Span::EndToEnd, nanos),
            (None, None) => {}
        }
        let is_past = transit_ns >= self.slow_ns;
        age == Age::Live && self.hot.slow().wants(here_ns, is_past)
    }

    /// A record leaves a line.
    #[cold]
    pub(crate) fn slow(
        &mut self,
        clock: &impl Clock,
        (stamps, at): (&Stamps, Ticks),
        record: &Record<'_>,
        (taken, stall): (Taken, Option<Stall>),
        context: &SlowContext,
    ) {
        let transit_ns = clock.nanos(stamps.arrived, stamps.sent);
        let slow = SlowRecord {
            transit_ns,
            is_past: transit_ns >= self.slow_ns,
            here_ns: transit_ns + clock.nanos(stamps.sent, at),
            stamps: *stamps,
            acknowledged: at,
            topic: Kept::of(record.topic.as_bytes()),
            partition: record.partition_number,
            offset: record.offset,
            key: record.key.map(Kept::of),
            regimes: self.hot.regimes_between(stamps.arrived, stamps.sent),
            stall,
            taken,
            table_age_ns: context.table_age_ns,
            in_flight: context.in_flight,
            is_committing: context.is_committing,
            is_rebalancing: context.is_rebalancing,
            was_table_old: context.was_table_old,
        };
        self.hot.slow().add(slow);
    }

    pub(crate) fn skipped(&mut self, skip: Skip) {
        self.sums().skipped.count(skip.class as usize, place_of(skip.step));
    }

    /// A record lives on in the state of that step.
    pub(crate) fn held(&mut self, step: Step) {
        self.sums().held.count(0, place_of(step));
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

    pub(crate) fn claimed(&mut self, SourceClaim { partition, entries, text }: SourceClaim) {
        self.hot.counters().claimed[usize::from(partition.0)] += entries;
        self.hot.tell(Notice::Told { event: "entries.claimed", text, alarming: true });
    }

    pub(crate) fn told(&mut self, event: &'static str, text: Sentence, alarming: bool) {
        self.hot.tell(Notice::Told { event, text, alarming });
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
