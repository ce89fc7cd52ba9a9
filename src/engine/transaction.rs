//! Exactly once: results and positions in one transaction, closed by time.
//!
//! While a transaction is open, results are handed over as ever. When it is due it closes: nothing
//! more is handed over, and once all of it is acknowledged the source commits it with the
//! positions, on a thread of its own. Records are polled all the time, and processed while the
//! commit is under way; results gather in the outbox and begin the next transaction. Within a
//! partition records wait for each other, so that the positions cover every result that was handed
//! over, and no other.
//!
//! A pipeline with state commits like that under at least once, too, but for the transaction: state
//! and positions must be of the same records (see `stores`). Then what was handed out settles
//! first, and before the positions are committed the changes of state are written.
//!
//! Whatever goes wrong takes the transaction back: readers never see its results, and its input
//! comes again. A result that the broker refused cannot be dead-lettered in the transaction that it
//! spoilt. It is remembered: the next time it goes by itself, and if it is refused again its record
//! is dead-lettered instead. Of a size that was refused the sink learns first what size is allowed.

use super::{Process, phase::Phase, turn::Engine};
use crate::{
    clock::{Clock, Ticks},
    delivery::{Delivery, Order, Sequence},
    limits::{PARTITIONS_MAX, SUSPECTS_MAX},
    observe::Notice,
    record::PartitionId,
    transport::{Refusal, Sink, Source, Token, Trouble},
    verdict::{RejectClass, Rejection, Sentence, Step},
};

/// Where the transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Results are handed over.
    Open,
    /// With state: as that, but nothing else is handed out, until all that was is settled.
    Settling(Ticks),
    /// What was handed over is to be acknowledged by then.
    Closing(Ticks),
    /// With state: its changes are written, by then.
    Writing(Ticks),
    /// The source commits it.
    Committing,
    /// The source takes it back; whether it has answered.
    Aborting(bool),
}

/// What the source told that concerns the transaction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    /// The answer to its commit.
    pub(super) committed: Option<Result<(), Trouble>>,
    pub(super) is_taken_back: bool,
    /// Partitions are no longer ours.
    pub(super) has_lost: bool,
}

/// A record whose result was refused.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    partition: PartitionId,
    offset: i64,
    code: &'static str,
    /// It was refused by itself.
    is_proven: bool,
}

/// The state of the transaction; without any, always open.
#[derive(Debug)]
pub(super) struct Transaction {
    is_used: bool,
    /// Changes of state are written with each commit.
    has_state: bool,
    stage: Stage,
    /// When it went over to that stage.
    since: Ticks,
    /// Something was handed over since the last commit.
    has_results: bool,
    /// To be taken back once the commit under way is answered.
    is_unwanted: bool,
    /// Its commit failed, or was not answered rightly: state is restored from what the broker has.
    is_unsure: bool,
    /// At least once: the commit failed, and is repeated then.
    repeat_due: Option<Ticks>,
    /// A suspect's result was handed over, and nothing may follow before its answer.
    alone: Option<Token>,
    suspects: Vec<Suspect>,
    /// How often a transaction was taken back over a size since the last commit.
    size_refusals: u32,
    positions: Vec<(PartitionId, i64)>,
}

impl Transaction {
    pub(super) fn new(order: Order, has_state: bool) -> Transaction {
        let is_used = order == Order::Together;
        let capacity = |records: usize| if is_used { records } else { 0 };
        Transaction {
            is_used,
            has_state,
            stage: Stage::Open,
            since: Ticks(0),
            has_results: false,
            is_unwanted: false,
            is_unsure: false,
            repeat_due: None,
            alone: None,
            suspects: Vec::with_capacity(capacity(SUSPECTS_MAX)),
            size_refusals: 0,
            positions: Vec::with_capacity(capacity(PARTITIONS_MAX)),
        }
    }

    /// Results and positions are committed together.
    #[inline]
    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    /// Commits are made in stages: with state also at least once.
    #[inline]
    pub(super) fn is_staged(&self) -> bool {
        self.is_used || self.has_state
    }

    /// True if results may be handed over.
    #[inline]
    pub(super) fn hands_over(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Settling(_))
    }

    /// True while only what was handed out before is processed.
    pub(super) fn is_settling(&self) -> bool {
        matches!(self.stage, Stage::Settling(_))
    }

    /// When a commit is repeated.
    pub(super) fn repeat_due(&self) -> Option<Ticks> {
        self.repeat_due
    }

    /// True while nothing may be processed, whatever is due.
    pub(super) fn holds(&self) -> bool {
        matches!(self.stage, Stage::Closing(_) | Stage::Writing(_) | Stage::Aborting(_))
    }

    fn is_taken_back(&self) -> bool {
        matches!(self.stage, Stage::Aborting(_))
    }

    /// True if nothing can go on before acknowledgements.
    pub(super) fn awaits_sink(&self) -> bool {
        !matches!(self.stage, Stage::Open | Stage::Committing) || self.alone.is_some()
    }

    /// Nothing is to be committed or taken back.
    pub(super) fn is_settled(&self) -> bool {
        !self.is_staged() || self.stage == Stage::Open && !self.has_results
    }

    /// True if some record is remembered.
    #[inline]
    pub(super) fn has_suspects(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Something was handed over since the last commit.
    pub(super) fn has_results(&self) -> bool {
        self.has_results
    }

    pub(super) fn since(&self) -> Ticks {
        self.since
    }

    pub(super) fn is_writing(&self) -> bool {
        matches!(self.stage, Stage::Writing(_))
    }

    pub(super) fn go(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// Nothing is left of the last one.
    pub(super) fn open(&mut self) {
        (self.stage, self.has_results, self.repeat_due) = (Stage::Open, false, None);
    }

    /// The source was asked to commit.
    pub(super) fn begin_committing(&mut self, now: Ticks) {
        (self.stage, self.since) = (Stage::Committing, now);
    }

    pub(super) fn repeat_at(&mut self, due: Ticks) {
        self.repeat_due = Some(due);
    }

    /// True once a commit is to be repeated.
    pub(super) fn takes_repetition(&mut self, now: Ticks) -> bool {
        self.repeat_due.take_if(|due| now >= *due).is_some()
    }

    /// Nobody knows whether the last commit was made.
    pub(super) fn is_unsure(&self) -> bool {
        self.is_unsure
    }

    /// Now it is known.
    pub(super) fn becomes_sure(&mut self) {
        self.is_unsure = false;
    }

    #[inline]
    pub(super) fn handed_over(&mut self) {
        self.has_results = true;
    }

    fn accuse(&mut self, (partition, offset): (PartitionId, i64), code: &'static str, alone: bool) {
        let of_it = |it: &&mut Suspect| (it.partition, it.offset) == (partition, offset);
        if let Some(known) = self.suspects.iter_mut().find(of_it) {
            known.is_proven |= alone;
        } else if self.suspects.len() < SUSPECTS_MAX {
            // Past the bound it will be found out when others have been.
            self.suspects.push(Suspect { partition, offset, code, is_proven: alone });
        }
    }

    fn suspect(&self, (partition, offset): (PartitionId, i64)) -> Option<Suspect> {
        let of_it = |it: &&Suspect| (it.partition, it.offset) == (partition, offset);
        self.suspects.iter().find(of_it).copied()
    }
}

impl<C: Clock, S: Source, K: Sink, P: Process> Engine<C, S, K, P> {
    /// Closes, commits or gives up the transaction, whatever may be done now.
    pub(super) fn keep_transaction(&mut self, now: Ticks, is_due: bool) -> usize {
        let recorded = self.meter.record_committed(&self.clock);
        recorded + self.step_transaction(now, is_due)
    }

    /// Whether a record may be processed now: while the transaction is open and not due. While it
    /// closes nothing is processed, so that it commits what was processed before the cut; while it
    /// is committed results gather.
    pub(super) fn may_process_in_transaction(&self, now: Ticks) -> bool {
        match self.transaction.stage {
            Stage::Open => self.outbox.is_empty() && !self.is_to_be_closed(now >= self.commit_due),
            Stage::Committing => true,
            _ => false,
        }
    }

    fn is_to_be_closed(&self, is_due: bool) -> bool {
        // A suspect that was taken after all is kept at once.
        let is_due = is_due
            || self.meter.is_full_of_uncommitted()
            || self.transaction.has_suspects()
            || self.is_state_full;
        let has_some = || {
            self.transaction.has_results
                || self.delivery.wants_commit()
                || self.state_wants_commit()
        };
        is_due && has_some()
    }

    fn step_transaction(&mut self, now: Ticks, is_due: bool) -> usize {
        match self.transaction.stage {
            Stage::Open => {
                if !self.is_to_be_closed(is_due) || !self.outbox.is_empty() {
                    return 0;
                }
                self.commit_due = Ticks(now.0 + self.clock.ticks(self.options.commit_interval_ns));
                let patience = self.clock.ticks(self.options.transaction_timeout_ns);
                let deadline = Ticks(now.0 + patience);
                self.transaction.since = now;
                if self.transaction.has_state {
                    self.transaction.stage = Stage::Settling(deadline);
                    return 1 + self.close_when_settled(now, deadline);
                }
                self.transaction.stage = Stage::Closing(deadline);
                self.meter.close_books();
                1 + self.commit_when_acknowledged(now)
            }
            Stage::Settling(deadline) => self.close_when_settled(now, deadline),
            Stage::Closing(_) => self.commit_when_acknowledged(now),
            Stage::Writing(deadline) => self.commit_when_written(now, deadline),
            Stage::Committing => self.repeat_commit(now),
            Stage::Aborting(false) => 0,
            Stage::Aborting(true) if self.sink.in_flight() > 0 => 0,
            Stage::Aborting(true) => {
                // Results that were under way have been acknowledged since, and count for nothing.
                self.meter.abandon_books();
                self.transaction.stage = Stage::Open;
                if self.transaction.has_state {
                    self.begin_again();
                }
                1
            }
        }
    }

    fn commit_when_acknowledged(&mut self, now: Ticks) -> usize {
        if self.sink.in_flight() > 0 {
            if let Stage::Closing(deadline) = self.transaction.stage
                && now >= deadline
            {
                self.abort("results were not acknowledged within delivery.transaction_timeout");
                return 1;
            }
            return 0;
        }
        self.transaction.alone = None;
        if self.transaction.has_state {
            return self.begin_writing(now);
        }
        match self.delivery.begin_commit() {
            Some((ticket, positions)) => {
                self.source.commit(ticket, positions);
                self.meter.transaction_closed(&self.clock, self.transaction.since, now);
                (self.transaction.stage, self.transaction.since) = (Stage::Committing, now);
            }
            // Of partitions that are no longer ours.
            None if self.transaction.has_results => self.abort("no position goes with its results"),
            None => self.transaction.stage = Stage::Open,
        }
        1
    }

    /// Acts on what the source told in a turn.
    pub(super) fn hear_of_transaction(&mut self, now: Ticks, news: News) {
        if !self.transaction.is_used {
            if let Some(result) = news.committed {
                self.end_commit_of_state(now, result);
            }
            return;
        }
        if let Some(result) = news.committed {
            self.end_transaction(now, result);
        }
        if news.is_taken_back {
            self.end_abort();
        }
        if news.has_lost {
            self.abort("partitions were lost");
        }
    }

    /// The source has answered the commit.
    fn end_transaction(&mut self, now: Ticks, result: Result<(), Trouble>) {
        if self.transaction.stage != Stage::Committing {
            return;
        }
        self.transaction.stage = Stage::Open;
        match result {
            Ok(()) => {
                self.transaction.has_results = false;
                self.transaction.size_refusals = 0;
                self.commit_stores();
                self.meter.commit_books(&self.clock, self.transaction.since, now);
                let (delivery, owned) = (&self.delivery, &self.owned);
                self.transaction.suspects.retain(|it| {
                    owned.contains(&it.partition) && !delivery.is_committed(it.partition, it.offset)
                });
                if std::mem::take(&mut self.transaction.is_unwanted) {
                    self.abort("partitions were lost");
                }
            }
            Err(_) => {
                self.transaction.is_unsure = true;
                self.abort("its commit failed");
            }
        }
    }

    /// Takes back all that was handed over since the last commit, and begins anew behind it.
    #[cold]
    pub(super) fn abort(&mut self, why: &str) {
        match self.transaction.stage {
            Stage::Committing => {
                self.transaction.is_unwanted = true;
                return;
            }
            Stage::Aborting(_) => return,
            Stage::Writing(_) => self.delivery.drop_commit(),
            Stage::Open | Stage::Settling(_) | Stage::Closing(_) => {}
        }
        if self.transaction.has_state {
            self.take_back_stores();
        }
        let Engine { delivery, transaction, outbox, waiting, large_letters, meter, .. } = self;
        let is_ending = self.phase != Phase::Running;
        transaction.positions.clear();
        delivery.go_back(&self.owned, is_ending, &mut transaction.positions);
        drop_results(delivery, outbox);
        large_letters.clear();
        waiting.hurry();
        meter.abandon_books();
        (transaction.has_results, transaction.is_unwanted) = (false, false);
        transaction.stage = Stage::Aborting(false);
        let text = Sentence::format(format_args!(
            "the transaction is taken back, its records come again: {why}"
        ));
        meter.hot.tell(Notice::Told { event: "transaction.aborted", text, alarming: true });
        self.source.abort(&transaction.positions);
    }

    /// The source has answered to that.
    fn end_abort(&mut self) {
        if let Stage::Aborting(is_answered) = &mut self.transaction.stage {
            *is_answered = true;
        }
    }

    /// A result was refused, and the transaction with it.
    pub(super) fn refuse_transaction(&mut self, token: Token, refusal: Refusal) {
        let transaction = &mut self.transaction;
        transaction.size_refusals += u32::from(refusal.too_large && !transaction.is_taken_back());
        let learns_size = refusal.too_large && transaction.size_refusals == 1;
        if refusal.is_about_content && !learns_size {
            let is_alone = self.transaction.alone == Some(token);
            let place = self.delivery.place_of(token);
            self.transaction.accuse(place, refusal.code, is_alone);
        }
        self.transaction.alone = self.transaction.alone.filter(|it| *it != token);
        self.abort(refusal.code);
        self.delivery.answer(token, false);
    }

    /// True if the next result must wait: it is a suspect's, or behind one.
    #[cold]
    pub(super) fn waits_alone(&mut self, owner: Sequence) -> bool {
        if self.sink.in_flight() > 0 {
            let place = self.delivery.place(owner);
            return self.transaction.alone.is_some() || self.transaction.suspect(place).is_some();
        }
        self.transaction.alone = None;
        let is_letter = self.delivery.rejected(owner).is_some();
        if !is_letter && self.transaction.suspect(self.delivery.place(owner)).is_some() {
            self.transaction.alone = Some(self.delivery.token(owner));
        }
        false
    }

    /// Why a record is dead-lettered without another try.
    #[cold]
    pub(super) fn proven(&self, sequence: Sequence) -> Option<Rejection> {
        let suspect = self.transaction.suspect(self.delivery.place(sequence))?;
        suspect.is_proven.then(|| {
            let reason = format_args!("the broker would not take the result: {}", suspect.code);
            Rejection::new(RejectClass::RefusedByBroker, Step::Sink, reason)
        })
    }

    /// One of several results will never be taken, and others of its record may have been.
    pub(super) fn refuse_part(&mut self, owner: Sequence, refusal: Refusal) {
        self.transaction.accuse(self.delivery.place(owner), refusal.code, true);
        self.abort(refusal.code);
    }
}

/// What was not handed over will not be.
fn drop_results(delivery: &mut Delivery, outbox: &mut super::outbox::Outbox) {
    while let Some((_, owner)) = outbox.next() {
        let token = delivery.token(owner);
        outbox.advance();
        delivery.answer(token, false);
    }
}
