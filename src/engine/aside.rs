//! How records come to wait aside for a table on demand, and how they come back.
//!
//! So do those that are to be tried again because what they failed over may heal (see `retry`), and
//! duplicates of a record in flight, until it is known what becomes of that; these wait by
//! themselves, unless a step with state that follows must see records in order.
//! A record whose lookup has no answer yet waits; those behind it in its lane (see `waiting`) wait
//! with it, so that results keep the order of each key, and all others pass. While a record waits
//! behind another it is already processed once for nothing: so its own lookup is asked for at once,
//! and a lane of many different lookups is answered in one go instead of one after another.
//!
//! A record waits for `wait` of the table that it first waits for; then lookups without an answer
//! count as misses. One that waited behind others and whose lookup was answered meanwhile begins
//! with a whole `wait` should it need another, because it could not ask for that before. Where as
//! many wait as may, nothing is processed until one leaves: no record is answered wrongly for lack
//! of room. Nothing is measured of a record before its last attempt; the time until then is `held`.

use super::{
    Chance, Process,
    turn::{Attempt, Engine},
    waiting::{Lane, Place, Waiter},
};
use crate::{
    clock::{Clock, Ticks},
    delivery::Sequence,
    limits::WAITING_LOOKED_AT_MAX,
    record::{PartitionId, Record},
    transport::{Sink, Source},
    verdict::{Awaited, Verdict},
};

/// What a record has to wait for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Later {
    /// An answer of a table.
    Answered(Awaited),
    /// Time: it is to be tried again.
    TriedAgain,
    /// What becomes of the first of its key.
    First {
        /// So do the records behind it.
        holds: bool,
    },
}

/// A record asks so often within its time, in case that a question or its answer was lost.
const QUESTIONS: u64 = 4;

impl<C: Clock, S: Source, K: Sink, P: Process> Engine<C, S, K, P> {
    /// True while a record of that partition waits aside: what must not end before they do waits.
    pub fn has_waiting(&self, partition: PartitionId) -> bool {
        self.waiting.len_of(partition) > 0
    }

    /// Records that wait aside.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Processes a record whose turn comes for the first time; it may have to wait. Returns when
    /// that ended.
    #[inline]
    pub(super) fn process_first(&mut self, sequence: Sequence, start: Ticks) -> Ticks {
        if !self.waiting.is_empty() {
            let lane = self.lane(sequence);
            if self.waiting.holds(lane) {
                return self.follow(sequence, lane, start);
            }
        }
        let attempt = Attempt { sequence, since: start, start, is_late: false, retries: 0 };
        match self.process_one::<false>(&attempt) {
            (end, None) => end,
            (end, Some(later)) => {
                self.begin_waiting(sequence, start, later);
                end
            }
        }
    }

    #[cold]
    fn begin_waiting(&mut self, sequence: Sequence, start: Ticks, later: Later) {
        let lane = match later {
            Later::First { holds: false } => self.waiting.lane_apart(sequence),
            _ => self.lane(sequence),
        };
        self.wait(sequence, lane, start, Some(later));
    }

    /// The record waits behind another of its lane, and asks for what it will need.
    #[inline(never)]
    fn follow(&mut self, sequence: Sequence, lane: Lane, start: Ticks) -> Ticks {
        let Engine { source, delivery, process, outbox, .. } = self;
        let (topic, partition_number) = source.partition(delivery.partition(sequence));
        let record = delivery.record(sequence, topic, partition_number);
        let results = &mut outbox.results;
        let before = (results.len(), results.bytes_len());
        let chance = Chance { now: start, is_last: false, is_rehearsal: true };
        let verdict = process.process(&record, chance, &mut |_| {}, results).verdict;
        results.truncate(before.0, before.1);
        let awaited = match verdict {
            Verdict::Wait(awaited) => Some(Later::Answered(awaited)),
            _ => None,
        };
        self.wait(sequence, lane, start, awaited);
        self.clock.now()
    }

    fn wait(&mut self, sequence: Sequence, lane: Lane, since: Ticks, later: Option<Later>) {
        let waiter = Waiter {
            sequence,
            partition: self.delivery.partition(sequence),
            lane,
            since,
            awaited: None,
            deadline: 0,
            ask_again: 0,
            is_untried: self.waiting.holds(lane),
            retries: 0,
            is_put_off: false,
            is_behind: false,
        };
        let waiter = match later {
            Some(Later::First { .. }) => behind(waiter),
            Some(Later::TriedAgain) => self.put_off(waiter, since),
            Some(Later::Answered(awaited)) => self.await_answer(waiter, Some(awaited), since),
            None => self.await_answer(waiter, None, since),
        };
        self.waiting.add(waiter);
    }

    /// A record that waits from `now` on, behind others or for an answer.
    fn await_answer(&self, waiter: Waiter, awaited: Option<Awaited>, now: Ticks) -> Waiter {
        let (deadline, ask_again) = self.times(now, awaited);
        Waiter { awaited, deadline, ask_again, is_put_off: false, is_behind: false, ..waiter }
    }

    /// A record that is to be tried again.
    fn put_off(&self, waiter: Waiter, now: Ticks) -> Waiter {
        let nanos = self.options.retry.wait_ns(waiter.retries, waiter.sequence);
        let due = self.waiting.time(now) + self.clock.ticks(nanos);
        let (deadline, ask_again, retries) = (due, due, waiter.retries + 1);
        let waiter = Waiter { awaited: None, is_put_off: true, is_behind: false, ..waiter };
        Waiter { deadline, ask_again, retries, ..waiter }
    }

    /// For one that begins to wait at `now`: its deadline, and when it asks again.
    fn times(&self, now: Ticks, awaited: Option<Awaited>) -> (u64, u64) {
        let nanos = awaited.map_or(0, |it| self.process.wait_ns(it.table));
        let (time, ticks) = (self.waiting.time(now), self.clock.ticks(nanos));
        (time + ticks, time + ticks / QUESTIONS)
    }

    fn lane(&self, sequence: Sequence) -> Lane {
        let record = self.delivery.record(sequence, "", 0);
        // In stages a partition's records wait for each other: see `transaction`.
        let key = record.key.filter(|_| !self.transaction.is_staged());
        self.waiting.lane(&Record { key, ..record })
    }

    /// Looks at records that wait, as many as a turn may: those that have an answer, or no more
    /// time, are processed.
    #[inline]
    pub(super) fn process_waiting(&mut self, now: Ticks) -> usize {
        if self.waiting.is_empty() { 0 } else { self.look_at_some(now) }
    }

    #[inline(never)]
    fn look_at_some(&mut self, now: Ticks) -> usize {
        let time = self.waiting.time(now);
        self.waiting.begin_round(self.process.answered(), time);
        let mut count = 0;
        for _ in 0..WAITING_LOOKED_AT_MAX {
            if count >= self.options.batch || self.outbox.is_full() || self.breaker.holds() {
                break;
            }
            let Some((place, waiter)) = self.waiting.next_head() else { break };
            count += self.look_at(place, waiter, time);
        }
        count
    }

    fn look_at(&mut self, place: Place, waiter: Waiter, time: u64) -> usize {
        if !self.delivery.is_ours(waiter.sequence) {
            self.delivery.give_up(waiter.sequence);
            self.waiting.remove(place);
            return 1;
        }
        if !self.process.takes_waiting(waiter.partition) {
            self.waiting.keep(place, waiter);
            return 0;
        }
        let is_answered = if waiter.is_behind {
            let (partition, offset) = self.delivery.place(waiter.sequence);
            !self.process.is_behind(partition, offset)
        } else if waiter.is_put_off {
            time >= waiter.deadline || self.is_last_chance(waiter.partition)
        } else {
            waiter.awaited.is_none_or(|it| self.process.is_answered(it))
        };
        let is_late = !is_answered && time >= waiter.deadline;
        if !is_answered && !is_late && time < waiter.ask_again {
            self.waiting.keep(place, waiter);
            return 0;
        }
        let Waiter { sequence, since, retries, .. } = waiter;
        let start = self.clock.now();
        let attempt = Attempt { sequence, since, start, is_late, retries };
        let waiter = match self.process_one::<true>(&attempt) {
            (_, None) => {
                self.waiting.remove(place);
                return 1;
            }
            (_, Some(Later::First { .. })) => behind(waiter),
            (_, Some(Later::TriedAgain)) => self.put_off(waiter, start),
            (_, Some(Later::Answered(awaited))) => {
                let asked = self.await_answer(waiter, Some(awaited), start);
                // All its lookups have one wait, unless it could not ask before, or asks anew.
                let is_anew = waiter.is_untried || waiter.is_put_off || waiter.is_behind;
                Waiter { deadline: if is_anew { asked.deadline } else { waiter.deadline }, ..asked }
            }
        };
        self.waiting.keep(place, Waiter { is_untried: false, ..waiter });
        1
    }
}

/// A duplicate waits as long as the first of its key is in flight.
fn behind(waiter: Waiter) -> Waiter {
    let (deadline, ask_again) = (u64::MAX, u64::MAX);
    Waiter { awaited: None, deadline, ask_again, is_put_off: false, is_behind: true, ..waiter }
}
