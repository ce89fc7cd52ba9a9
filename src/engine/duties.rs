//! What a turn does that is not about one record: the group, acknowledgements, commits, the end.

use super::{
    Process,
    meter::{SlowContext, beat},
    phase::{Cause, Ending, Phase},
    stores::{Fate, tell},
    transaction::News,
    turn::Engine,
};
use crate::{
    clock::{Clock, Ticks},
    delivery::{Acknowledged, CHANGE, Delivery, Order, Sequence},
    measure::slow::Doing,
    observe::{Notice, RunState},
    record::PartitionId,
    transport::{Refusal, SendError, Sink, Source, SourceEvent, Token, Trouble},
    verdict::{RejectClass, Rejection, Sentence, Step},
};

/// An answer that is acted upon after all answers of a turn were read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// A result or letter was refused.
    Refused(Token, Refusal),
    /// The last answer about a record of which another result was refused.
    Mixed(Sequence),
    /// A letter was taken.
    Rejected(Sequence),
}

/// How long a commit that failed waits at most before the next, where the interval is longer.
const COMMIT_RETRY_NS_MAX: u64 = 100_000_000;

/// A dead letter is sent whole, then cut, then without its payload; then the run ends.
const LETTER_TRIES_MAX: u8 = 3;

impl<C: Clock, S: Source, K: Sink, P: Process> Engine<C, S, K, P> {
    /// Begins the end: takes no more records, finishes what is in flight.
    pub fn stop(&mut self) {
        self.drain(Cause::Asked);
    }

    /// True once a source with an end was read up to it, and all of that is settled and committed,
    /// for which there is no deadline: nobody asked for the end.
    pub(super) fn has_read_all(&mut self) -> bool {
        let has = self.source.is_done()
            && self.delivery.in_flight() == 0
            && self.transaction.is_settled()
            && !self.delivery.commit_under_way()
            && !self.delivery.wants_commit();
        if has && self.phase == Phase::Running {
            let (event, text) =
                ("run.read_all", Sentence::from("every partition was read to its end"));
            self.meter.hot.tell(Notice::Told { event, text, alarming: false });
        }
        has
    }

    pub(super) fn fail(&mut self, trouble: Trouble) {
        self.drain(Cause::Failed(trouble));
    }

    /// Too many records were rejected; a run that somebody ended meanwhile ends for this, too.
    pub(super) fn end_for(&mut self, cause: Cause) {
        match &mut self.phase {
            Phase::Draining { cause: before @ Cause::Asked, .. } => *before = cause,
            _ => self.drain(cause),
        }
    }

    fn drain(&mut self, cause: Cause) {
        if self.phase != Phase::Running {
            return;
        }
        let now = self.clock.now();
        let deadline = Ticks(now.0 + self.clock.ticks(self.options.drain_timeout_ns));
        self.phase = Phase::Draining { deadline, cause };
        for partition in &self.owned {
            self.delivery.revoke(*partition);
        }
        self.waiting.hurry();
        self.meter.hot.tell(Notice::State(RunState::Draining));
    }

    /// Acts on what the source learned.
    pub(super) fn hear_source(&mut self, now: Ticks) -> usize {
        let mut count = 0;
        let (mut fatal, mut news) = (None, News::default());
        let retry_due = Ticks(now.0 + self.clock.ticks(COMMIT_RETRY_NS_MAX));
        let Engine { source, delivery, waiting, owned, revoking, meter, phase, .. } = self;
        while let Some(event) = source.next_event() {
            count += 1;
            match event {
                SourceEvent::Assigned(partitions) => {
                    own(delivery, owned, partitions, *phase != Phase::Running);
                    self.to_begin.extend_from_slice(partitions);
                    let (partitions, owned) = (partitions.len(), owned.len());
                    meter.rebalanced(Notice::Assigned { partitions, owned });
                }
                SourceEvent::Revoked(partitions) => {
                    for &partition in partitions {
                        delivery.revoke(partition);
                        revoking.push(partition);
                    }
                    waiting.hurry();
                    self.revoke_deadline =
                        Ticks(now.0 + self.clock.ticks(self.options.drain_timeout_ns));
                }
                SourceEvent::Lost(partitions) => {
                    news.has_lost = true;
                    disown(delivery, owned, revoking, partitions);
                    end(&mut self.process, &mut self.to_begin, partitions);
                    waiting.hurry();
                    let (partitions, owned) = (partitions.len(), owned.len());
                    meter.rebalanced(Notice::Lost { partitions, owned });
                }
                SourceEvent::Committed { ticket, result } => {
                    delivery.end_commit(ticket, result.is_ok());
                    self.commit_failed = result.is_err();
                    if self.commit_failed {
                        self.commit_due = self.commit_due.min(retry_due);
                    }
                    meter.committed(result);
                    news.committed = Some(result);
                    fatal = fatal.or(result.err().filter(|trouble| !trouble.heals));
                }
                SourceEvent::Aborted(result) => {
                    news.is_taken_back = true;
                    fatal = fatal.or(result.err());
                }
                SourceEvent::Gap(gap) => {
                    meter.missed(gap.records, gap.text);
                    delivery.pass_over(gap.partition, gap.resume_at);
                }
                SourceEvent::Claimed(claim) => meter.claimed(claim),
                SourceEvent::Told { event, text, alarming } => meter.told(event, text, alarming),
                SourceEvent::Trouble(trouble) => {
                    meter.trouble(trouble);
                    fatal = fatal.or((!trouble.heals).then_some(trouble));
                }
            }
        }
        self.begin_stores();
        if self.transaction.is_staged() {
            self.hear_of_transaction(now, news);
        }
        while let Some(peer) = self.source.next_recovery() {
            count += 1;
            self.meter.hot.tell(Notice::Recovered(peer));
        }
        if let Some(trouble) = fatal {
            self.fail(trouble);
        }
        count
    }

    /// Acts on errors of the sink that are not about one result.
    pub(super) fn hear_sink(&mut self) -> usize {
        let mut count = 0;
        while let Some(trouble) = self.sink.next_trouble() {
            count += 1;
            self.meter.trouble(trouble);
            if !trouble.heals {
                self.fail(trouble);
            }
        }
        while let Some(peer) = self.sink.next_recovery() {
            count += 1;
            self.meter.hot.tell(Notice::Recovered(peer));
        }
        count
    }

    /// Collects acknowledgements; records of which all are in are settled.
    pub(super) fn collect_acks(&mut self, now: Ticks) -> usize {
        // Without anything in flight only errors can come, and nobody hurries to hear them.
        if self.sink.in_flight() == 0 && now < self.publish_due {
            return 0;
        }
        let in_flight = self.sink.in_flight();
        let Engine { source, sink, delivery, meter, clock, answers, pulse, process, .. } = self;
        let (is_rebalancing, was_table_old) = (pulse.is_rebalancing, self.pauses.is_of_table());
        let writing = &mut self.writing;
        let count = sink.poll_acks(now, &mut |ack| match ack.result {
            Ok(()) if process.has_state() && ack.token == CHANGE => writing.answer(),
            Err(refusal) => answers.push(Answer::Refused(ack.token, refusal)),
            Ok(()) => match delivery.answer(ack.token, true) {
                Acknowledged::Emitted(sequence, stamps) => {
                    if process.has_state() && tell(delivery, process, sequence, Fate::Kept) {
                        meter.hot.counters().given_off[0] += 1;
                        return;
                    }
                    let is_slow = meter.emitted(clock, &stamps, ack.at);
                    if is_slow {
                        // Settled, but nothing was admitted since: its bytes are still there.
                        let (topic, number) = source.partition(delivery.partition(sequence));
                        let record = delivery.record(sequence, topic, number);
                        let context = SlowContext {
                            table_age_ns: process.table_age_ns(now),
                            in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
                            is_committing: delivery.commit_under_way(),
                            is_rebalancing,
                            was_table_old,
                        };
                        let taken = pulse.taken(clock);
                        let stall = pulse.stall_within(stamps.arrived, ack.at);
                        meter.slow(clock, (&stamps, ack.at), &record, (taken, stall), &context);
                    }
                }
                Acknowledged::Rejected(sequence, class, step) => {
                    if process.has_state() && tell(delivery, process, sequence, Fate::Rejected) {
                        meter.hot.counters().given_off[2] += 1;
                    } else {
                        meter.rejected(class, step);
                    }
                    answers.push(Answer::Rejected(sequence));
                }
                Acknowledged::NeedsLetter(sequence) => answers.push(Answer::Mixed(sequence)),
                _ => {}
            },
        });
        for index in 0..self.answers.len() {
            self.hear_answer(self.answers[index]);
        }
        self.answers.clear();
        count
    }

    fn hear_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Refused(token, refusal) => self.refuse(token, refusal),
            Answer::Mixed(sequence) => self.reject_refused(sequence, "of several results one"),
            Answer::Rejected(sequence) if self.large_letters.is_empty() => _ = sequence,
            Answer::Rejected(sequence) => self.large_letters.retain(|(it, _)| *it != sequence),
        }
    }

    /// Hands results over until none are left or the sink has no room.
    pub(super) fn hand_over(&mut self) -> usize {
        if !self.transaction.hands_over() {
            return 0;
        }
        let mut count = 0;
        while let Some((index, owner)) = self.outbox.next() {
            if self.transaction.has_suspects() && self.waits_alone(owner) {
                break;
            }
            let is_one_of_several = self.transaction.is_used() && self.outbox.is_one_of_several();
            let Engine { sink, delivery, outbox, meter, clock, pulse, .. } = self;
            let record = delivery.record(owner, "", 0);
            let output = outbox.results.output(index, &record);
            let destination = output.destination;
            let token = delivery.token(owner);
            match sink.send(&output, token) {
                Ok(()) => {
                    let stamps = delivery.stamps(owner);
                    let now = if meter.is_off() { stamps.encoded } else { clock.now() };
                    let is_letter = delivery.rejected(owner).is_some();
                    let stamps = delivery.stamps_mut(owner);
                    stamps.sent = now;
                    meter.sent(clock, destination, (!is_letter).then_some(&*stamps), now);
                    if !meter.is_off() {
                        beat(pulse, clock, meter, now, Doing::Sending);
                    }
                    outbox.advance();
                    self.transaction.handed_over();
                }
                Err(SendError::Full) => break,
                Err(SendError::Refused(refusal)) if refusal.aborts => {
                    self.abort(refusal.code);
                    break;
                }
                Err(SendError::Refused(refusal)) if is_one_of_several => {
                    self.refuse_part(owner, refusal);
                    break;
                }
                Err(SendError::Refused(refusal)) => {
                    outbox.advance();
                    self.refuse(token, refusal);
                }
            }
            count += 1;
        }
        count
    }

    /// One result will not be taken: its record is dead-lettered, or the run ends.
    fn refuse(&mut self, token: Token, refusal: Refusal) {
        if token == CHANGE {
            return self.refuse_change(refusal);
        }
        if refusal.aborts {
            return self.refuse_transaction(token, refusal);
        }
        if refusal.fatal {
            // The sink may know more than a code.
            self.hear_sink();
            let text = Sentence::format(format_args!(
                "the broker takes nothing more from this producer: {}",
                refusal.code
            ));
            self.fail(Trouble { peer: "sink", code: refusal.code, text, heals: false });
            return;
        }
        self.meter.refused();
        match self.delivery.answer(token, false) {
            Acknowledged::NeedsLetter(sequence) => self.reject_refused(sequence, refusal.code),
            // The books count it here; its letter is the next owner's.
            Acknowledged::Abandoned => {
                self.meter.rejected(RejectClass::RefusedByBroker, Step::Sink);
            }
            Acknowledged::LetterRefused(sequence, before) => {
                self.cut_letter(sequence, before + 1, refusal);
            }
            _ => {}
        }
    }

    fn reject_refused(&mut self, sequence: Sequence, what: &str) {
        let reason = format_args!("the broker would not take the result: {what}");
        let class = RejectClass::RefusedByBroker;
        self.breaker.amend(self.clock.now(), class);
        self.reject(sequence, Rejection::new(class, Step::Sink, reason));
    }

    fn cut_letter(&mut self, sequence: Sequence, refused_before: u8, refusal: Refusal) {
        if !refusal.too_large || refused_before == LETTER_TRIES_MAX {
            let text = Sentence::format(format_args!(
                "a dead letter was refused ({}), and without it a record would be lost; \
                 see that the dead-letter topic can be written",
                refusal.code
            ));
            self.fail(Trouble { peer: "dead_letters", code: refusal.code, text, heals: false });
            return;
        }
        let known = self.large_letters.iter().find(|(it, _)| *it == sequence);
        let known = known.map(|(_, rejection)| *rejection);
        let rejection = known.unwrap_or_else(|| {
            let why = self.delivery.rejected(sequence);
            let (class, step) = why.unwrap_or((RejectClass::RefusedByBroker, Step::Sink));
            Rejection { class, step, reason: Sentence::from("the letter was too large to say") }
        });
        self.push_letter(sequence, rejection, refused_before);
    }

    /// Commits what is due, gives partitions back, ends the run: whatever delivery allows now.
    pub(super) fn keep_promises(&mut self, now: Ticks) -> usize {
        let dropped = self.delivery.take_dropped();
        let wanted_now = self.phase != Phase::Running
            || !self.revoking.is_empty()
            || self.source.is_done()
            || self.options.order == Order::CommitThenProcess;
        let hurried = wanted_now && !self.commit_failed;
        let mut work = dropped as usize;
        let is_going = self.phase != Phase::Running || !self.revoking.is_empty();
        if self.is_paused && is_going && self.delivery.unprocessed() > 0 {
            self.withhold();
        }
        let is_due = hurried || now >= self.commit_due;
        if self.transaction.is_staged() {
            work += self.keep_transaction(now, is_due);
        } else if is_due && self.delivery.wants_commit() {
            work += self.commit(now);
        }
        if !self.revoking.is_empty() {
            work += self.finish_revocation(now);
        }
        if let Phase::Draining { deadline, cause } = self.phase {
            self.finish_run(now, deadline, cause);
        }
        work
    }

    fn commit(&mut self, now: Ticks) -> usize {
        self.commit_due = Ticks(now.0 + self.clock.ticks(self.options.commit_interval_ns));
        let Some((ticket, positions)) = self.delivery.begin_commit() else { return 0 };
        self.source.commit(ticket, positions);
        1
    }

    /// Gives back what the group wants back, once all of it is settled and committed.
    fn finish_revocation(&mut self, now: Ticks) -> usize {
        let drained = self.revoking.iter().all(|it| self.delivery.is_drained(*it));
        if !drained && now < self.revoke_deadline {
            return 0;
        }
        if !drained && self.transaction.is_used() {
            self.abort("partitions that the group wants back were not finished in time");
            return 0;
        }
        self.source.release(&self.revoking);
        end(&mut self.process, &mut self.to_begin, &self.revoking);
        let drain_ticks = self.clock.ticks(self.options.drain_timeout_ns);
        let since = Ticks(self.revoke_deadline.0.saturating_sub(drain_ticks));
        let took_ns = self.clock.nanos(since, now);
        let Engine { delivery, waiting, owned, revoking, meter, .. } = self;
        let partitions = revoking.len();
        for partition in revoking.drain(..) {
            delivery.disown(partition);
            owned.retain(|it| *it != partition);
        }
        waiting.hurry();
        meter.rebalanced(Notice::Revoked { partitions, owned: owned.len(), took_ns });
        1
    }

    fn finish_run(&mut self, now: Ticks, deadline: Ticks, cause: Cause) {
        let settled = self.delivery.in_flight() == 0
            && self.transaction.is_settled()
            && !self.delivery.commit_under_way()
            && !self.delivery.wants_commit();
        if !settled && now < deadline && !self.is_stuck(cause) {
            return;
        }
        self.source.close();
        self.publish(now);
        let unfinished = self.delivery.unfinished();
        self.phase = Phase::Ended(Ending { cause, unfinished });
    }

    /// After a failure a record that the sink refused stays in flight for ever. Once
    /// nothing else is under way, there is nothing to wait for.
    fn is_stuck(&self, cause: Cause) -> bool {
        matches!(cause, Cause::Failed(_))
            && self.sink.in_flight() == 0
            && self.outbox.is_empty()
            && self.waiting.is_empty()
            && self.delivery.unprocessed() == 0
            && !self.delivery.commit_under_way()
            && !self.delivery.wants_commit()
    }

    pub(super) fn publish(&mut self, now: Ticks) {
        self.publish_due = Ticks(now.0 + self.clock.ticks(self.options.publish_interval_ns));
        let counters = self.meter.hot.counters();
        counters.in_flight_records = self.delivery.in_flight() as u64;
        counters.in_flight_bytes = self.delivery.in_flight_bytes() as u64;
        self.process.count(counters);
        self.pulse.renew(&self.clock);
        self.publish_breaker(now);
        self.meter.publish(now);
    }
}

/// Ends the stores of partitions that are no longer ours.
fn end<P: Process>(process: &mut P, to_begin: &mut Vec<PartitionId>, partitions: &[PartitionId]) {
    to_begin.retain(|it| !partitions.contains(it));
    partitions.iter().for_each(|it| process.end(*it));
}

fn own(
    delivery: &mut Delivery,
    owned: &mut Vec<PartitionId>,
    partitions: &[PartitionId],
    is_ending: bool,
) {
    for &partition in partitions {
        delivery.assign(partition);
        owned.push(partition);
        if is_ending {
            delivery.revoke(partition);
        }
    }
}

fn disown(
    delivery: &mut Delivery,
    owned: &mut Vec<PartitionId>,
    revoking: &mut Vec<PartitionId>,
    partitions: &[PartitionId],
) {
    for partition in partitions {
        delivery.disown(*partition);
        owned.retain(|it| it != partition);
        revoking.retain(|it| it != partition);
    }
}
