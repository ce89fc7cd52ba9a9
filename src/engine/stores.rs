//! State that steps keep between records: what the engine asks of it, and when it is written.
//!
//! Each partition has stores of its own, restored before its first record is taken. A commit comes
//! in four stages (see `transaction`): what was handed out settles, changes are written to the sink
//! and acknowledged, then the positions are committed; under exactly once all of that is one
//! transaction. So changes are of exactly the records below the positions, and nothing is processed
//! between the two. If the program ends in between, at least once, the changes are newer than the
//! positions: each carries the offset up to which it counts, and what comes again is not counted.
//!
//! What state gives off, such as a closed window, is taken into the in-flight ring like a record
//! and goes through the steps that follow at once: a commit of the state without it must not come
//! before its results are acknowledged.

use super::{Process, turn::Engine};
use crate::{
    clock::{Clock, Ticks},
    delivery::{CHANGE, Delivery, GivenOff, Sequence},
    limits::{CHANGES_PER_TURN_MAX, GIVEN_OFF_PER_TURN_MAX},
    pipeline::{Processed, Results},
    record::{Output, PartitionId, Record},
    transport::{Begin, Note, Refusal, SendError, Sink, Source, Trouble},
    verdict::{Sentence, Verdict},
};

/// What became of a record or of what was given off, told to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its results are acknowledged, or it was passed over or held.
    Kept,
    /// It was dead-lettered.
    Rejected,
}

/// What the steps keep between records. Without any, nothing but `has_state` is called.
pub trait Stores {
    /// True if some step keeps state; constant.
    fn has_state(&self) -> bool {
        false
    }

    /// Puts back what has come of partitions' state, as much as a turn may; how much that was. With
    /// nothing put back, the thread may sleep until more has come.
    fn restore(&mut self) -> usize {
        0
    }

    /// What went wrong with state that was put back; the run ends for it.
    fn next_trouble(&mut self) -> Option<Trouble> {
        None
    }

    /// A partition's stores are complete, and its records come from there on.
    fn begin(&mut self, _partition: PartitionId, _begin: Begin) {}

    /// The partition is no longer ours, or its stores are to be restored once more.
    fn end(&mut self, _partition: PartitionId) {}

    /// False while no record may be processed: results are to be taken first, or a commit to be
    /// confirmed, or records to be settled.
    fn takes_records(&mut self) -> bool {
        true
    }

    /// True if a record of that partition may be processed that waited aside, whatever becomes of
    /// others.
    fn takes_waiting(&mut self, _partition: PartitionId) -> bool {
        true
    }

    /// True if results are to be taken before a commit may begin.
    fn owes_results(&mut self) -> bool {
        false
    }

    /// True while that record, a duplicate, waits for the first of its key.
    fn is_behind(&mut self, _partition: PartitionId, _offset: i64) -> bool {
        false
    }

    /// A record that was processed came to its end.
    fn settled(&mut self, _partition: PartitionId, _offset: i64, _fate: Fate) {}

    /// Offers the next thing that a partition's state gives off by now. It is taken out of the
    /// state where `take` returns true. False if there is none.
    fn give_off(
        &mut self,
        _partition: PartitionId,
        _now: Ticks,
        _take: &mut impl FnMut(&Record<'_>, GivenOff) -> bool,
    ) -> bool {
        false
    }

    /// Runs what was given off through the steps behind that one; as `Process::process`.
    fn process_given_off(
        &mut self,
        _record: &Record<'_>,
        _given_off: GivenOff,
        _now: Ticks,
        _results: &mut Results,
    ) -> Processed {
        unreachable!("nothing is given off without state")
    }

    /// That came to its end.
    fn given_off_settled(&mut self, _partition: PartitionId, _given_off: GivenOff, _fate: Fate) {}

    /// True if a commit has something to write, or to confirm, whether or not positions moved.
    /// `is_at_end` says whether a partition is known to be read to its end.
    fn wants_commit(&self, _is_at_end: &mut dyn FnMut(PartitionId) -> bool) -> bool {
        false
    }

    /// A commit begins: everything of the partition below that position is settled, and nothing
    /// from it on was processed; `is_at_end` if nothing is known to be there. What the commit says
    /// beside the position.
    fn begin_commit(&mut self, _partition: PartitionId, _position: i64, _is_at_end: bool) -> Note {
        Note::default()
    }

    /// Writes the next change of the commit with `write`, which returns false where there is no
    /// room: then the same one is next again. False if there are no more.
    fn write_change(&mut self, _write: &mut impl FnMut(&Output<'_>) -> bool) -> bool {
        false
    }

    /// The commit of these partitions is confirmed.
    fn committed(&mut self, _partition: PartitionId) {}

    /// Everything is as the last confirmed commit left it.
    fn roll_back(&mut self, _partition: PartitionId) {}
}

/// Changes under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Writing {
    /// All were handed over.
    is_written: bool,
    /// Handed over and not acknowledged.
    unanswered: usize,
}

impl Writing {
    /// One was acknowledged.
    pub(super) fn answer(&mut self) {
        self.unanswered -= 1;
    }
}

impl<C: Clock, S: Source, K: Sink, P: Process> Engine<C, S, K, P> {
    /// Begins the stores of partitions that are ours and complete. While it is being found out
    /// whether a commit was made there are none.
    pub(super) fn begin_stores(&mut self) {
        if self.to_begin.is_empty() || self.transaction.is_unsure() {
            return;
        }
        if !self.process.has_state() {
            return self.to_begin.clear();
        }
        while let Some(partition) = self.to_begin.pop() {
            let begin = self.source.begin_of(partition);
            self.delivery.begin_at(partition, begin.position);
            self.process.begin(partition, begin);
        }
    }

    /// Puts back some of what has come of partitions' state.
    #[inline]
    pub(super) fn restore_stores(&mut self) -> usize {
        if !self.process.has_state() {
            return 0;
        }
        let restored = self.process.restore();
        if let Some(trouble) = self.process.next_trouble() {
            self.meter.trouble(trouble);
            self.fail(trouble);
        }
        restored
    }

    /// A record came to its end.
    #[inline]
    pub(super) fn tell_settled(&mut self, sequence: Sequence, fate: Fate) {
        if self.process.has_state() {
            tell(&self.delivery, &mut self.process, sequence, fate);
        }
    }

    /// Takes in what state gives off by now, as much as a turn may.
    pub(super) fn take_given_off(&mut self, now: Ticks) -> usize {
        let mut count = 0;
        for index in 0..self.owned.len() {
            let partition = self.owned[index];
            while count < GIVEN_OFF_PER_TURN_MAX && !self.outbox.is_full() {
                let Engine { delivery, process, .. } = self;
                let mut taken = None;
                process.give_off(partition, now, &mut |record, given_off| {
                    let offset = delivery.offset_of_last(partition).unwrap_or(record.offset);
                    let record = Record { partition, offset, arrived: now, ..*record };
                    let admitted = delivery.admit_given_off(&record, given_off, now);
                    taken = admitted.map(|sequence| (sequence, given_off));
                    taken.is_some()
                });
                // Nothing is due, or there is no room.
                let Some((sequence, given_off)) = taken else { break };
                self.process_given_off(sequence, now, given_off);
                count += 1;
            }
        }
        if count > 0 {
            // Some may have waited for that.
            self.waiting.hurry();
        }
        count
    }

    /// Processes what state gave off: it is no record of the source, and is counted apart.
    fn process_given_off(&mut self, sequence: Sequence, start: Ticks, given_off: GivenOff) {
        let Engine { source, delivery, process, outbox, .. } = self;
        let (topic, partition_number) = source.partition(delivery.partition(sequence));
        let record = delivery.record(sequence, topic, partition_number);
        let results = &mut outbox.results;
        let processed = process.process_given_off(&record, given_off, start, results);
        let now = self.clock.now();
        let stamps = self.delivery.stamps_mut(sequence);
        // It came from nowhere: its times are in no histogram of records.
        stamps.is_sampled = false;
        (stamps.since, stamps.start) = (start, start);
        (stamps.parsed, stamps.operated, stamps.encoded) = (now, now, now);
        match processed.verdict {
            Verdict::Emit => {
                let results = self.outbox.claim(sequence);
                self.delivery.expect_results(sequence, results);
            }
            Verdict::Skip(_) => {
                self.meter.hot.counters().given_off[1] += 1;
                self.tell_settled(sequence, Fate::Kept);
                self.delivery.skip(sequence);
            }
            Verdict::Reject(rejection) => self.reject(sequence, rejection),
            Verdict::Wait(_) | Verdict::Hold(_) | Verdict::Behind { .. } => {
                unreachable!("`check` refuses what holds or waits behind a window")
            }
        }
    }

    /// Whether any record may be processed. Results that stand in the way are taken.
    #[inline]
    pub(super) fn has_room_in_state(&mut self, now: Ticks) -> bool {
        let has_room = self.process.takes_records();
        self.is_state_full &= !has_room;
        has_room || self.makes_room_in_state(now)
    }

    #[cold]
    fn makes_room_in_state(&mut self, now: Ticks) -> bool {
        self.take_given_off(now);
        let has_room = self.process.takes_records();
        // What is owed has room once results are acknowledged; a commit would not make any.
        self.is_state_full = !has_room && !self.process.owes_results();
        has_room
    }

    /// A commit of state is wanted, whether or not positions moved.
    pub(super) fn state_wants_commit(&self) -> bool {
        let Engine { process, source, delivery, .. } = self;
        process.has_state() && process.wants_commit(&mut |it| is_at_end(source, delivery, it))
    }

    /// Hands changes over, as many as a turn may. True once all are acknowledged.
    pub(super) fn write_changes(&mut self) -> (usize, bool) {
        let Engine { sink, process, meter, .. } = self;
        let (mut writing, mut refused, mut count) = (self.writing, None, 0);
        while !writing.is_written && refused.is_none() && count < CHANGES_PER_TURN_MAX {
            let mut is_full = false;
            let is_some = process.write_change(&mut |change| match sink.send(change, CHANGE) {
                Ok(()) => true,
                Err(SendError::Full) => {
                    is_full = true;
                    false
                }
                Err(SendError::Refused(refusal)) => {
                    refused = Some(refusal);
                    false
                }
            });
            if is_full {
                break;
            }
            writing.is_written = !is_some;
            let is_sent = is_some && refused.is_none();
            writing.unanswered += usize::from(is_sent);
            count += usize::from(is_sent);
        }
        meter.hot.counters().state_changes += count as u64;
        self.writing = writing;
        if let Some(refusal) = refused {
            self.refuse_change(refusal);
        }
        (count, writing.is_written && writing.unanswered == 0)
    }

    /// State that cannot be written: its records would be counted twice or not at all.
    pub(super) fn refuse_change(&mut self, refusal: Refusal) {
        // What was under way when a transaction was taken back is answered, too.
        if refusal.aborts {
            return self.abort(refusal.code);
        }
        let text = Sentence::format(format_args!(
            "a change of state was refused ({}), and without it records would be counted twice; \
             see that the state's topic can be written",
            refusal.code
        ));
        self.fail(Trouble { peer: "state", code: refusal.code, text, heals: false });
    }

    /// A commit is confirmed that speaks of these partitions.
    pub(super) fn commit_stores(&mut self) {
        let Engine { delivery, process, .. } = self;
        for partition in delivery.in_last_commit() {
            process.committed(partition);
        }
    }
}

/// Whether everything of a partition that is known to be there was processed, and settled.
pub(super) fn is_at_end<S: Source>(
    source: &S,
    delivery: &Delivery,
    partition: PartitionId,
) -> bool {
    let position = delivery.position(partition);
    position.is_some_and(|position| source.is_at_end(partition, position))
}

/// Tells the state what became of something. True if it had given that off.
pub(super) fn tell<P: Process>(
    delivery: &Delivery,
    process: &mut P,
    sequence: Sequence,
    fate: Fate,
) -> bool {
    let (partition, offset) = delivery.place(sequence);
    let given_off = delivery.given_off(sequence);
    if !delivery.is_ours(sequence) {
        return given_off.is_some();
    }
    match given_off {
        Some(given_off) => process.given_off_settled(partition, given_off, fate),
        None => process.settled(partition, offset, fate),
    }
    given_off.is_some()
}
