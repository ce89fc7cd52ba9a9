//! When may an offset move: what is in flight, what became of it, and what a commit may say.
//!
//! A pure state machine, stepped by the engine; it owns the copy of each record in flight and never
//! talks to a broker. At least once: a partition's position moves past a record once its results
//! or its dead letter are acknowledged, or it was skipped. At most once: the position moves when a
//! record is admitted, and the record is handed out only after a commit beyond it was confirmed.
//! Exactly once: as at least once, and where results are taken back positions go back with them.
//! Either way positions move in order, and a partition that was lost is never committed.
//!
//! What this does not do: decide when to commit, form results, or count time.

mod back;
mod commits;
pub mod dead_letter;
mod gap;
mod given_off;
mod ledger;
mod ring;

pub use self::ring::{Cut, GivenOff, Sequence};
pub(crate) use self::tokens::CHANGE;
use self::{
    ledger::Ledger,
    ring::{NO_SLOT, Ring, SlotStage},
};
use crate::{
    clock::Ticks,
    limits::PARTITIONS_MAX,
    measure::Stamps,
    record::{PartitionId, Record},
    transport::Token,
    verdict::{RejectClass, Step},
};

mod tokens;
mod withhold;

/// Commits after or before processing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// At least once: processed, acknowledged, then committed.
    ProcessThenCommit,
    /// At most once: committed, then processed.
    CommitThenProcess,
    /// Exactly once: as at least once, and results are committed with the positions; until then
    /// they can be taken back.
    Together,
}

/// What became of an offer to admit a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is in flight now.
    Admitted,
    /// No room; offer it again later.
    Full,
    /// Its key and headers, which are never cut, are larger than all the memory in flight.
    TooLarge,
    /// Its partition is not ours, or the group wants it back: it is not processed here.
    NotOurs,
}

/// What an acknowledgement changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// Other results of the record are on their way.
    Waiting,
    /// All results are acknowledged: it was emitted.
    Emitted(Sequence, Stamps),
    /// Its dead letter is acknowledged: it was rejected.
    Rejected(Sequence, RejectClass, Step),
    /// All results are answered and at least one was refused: send a dead letter now.
    NeedsLetter(Sequence),
    /// The dead letter was refused, and that many before it.
    LetterRefused(Sequence, u8),
    /// It was refused, but its partition was lost meanwhile: the letter is the next owner's.
    Abandoned,
}

/// Records in flight and positions.
#[derive(Debug)]
pub struct Delivery {
    order: Order,
    ring: Ring,
    ledger: Ledger,
    in_flight_max: usize,
    /// The oldest record in flight when another found no room for its bytes.
    out_of_bytes_at: Option<Sequence>,
    /// The last record whose value was too large to be kept whole. What is kept of it fills all
    /// the memory in flight, so it is the only such record there.
    cut: Option<(Sequence, Cut)>,
    /// The next record to be handed out for processing.
    cursor: Sequence,
    /// What the commit under way says, and the ownerships under which it was begun.
    committing: Vec<(PartitionId, i64)>,
    committing_epochs: Vec<u32>,
    commit_under_way: bool,
    ticket: u64,
    dropped: u64,
    /// Records of partitions that the run gave up: they come again.
    forsaken: usize,
}

impl Delivery {
    /// Takes all memory: room for `in_flight_max` records and `bytes` of their data.
    pub fn new(order: Order, in_flight_max: usize, bytes: usize) -> Delivery {
        Delivery {
            order,
            ring: Ring::new(in_flight_max, bytes),
            ledger: Ledger::new(),
            in_flight_max,
            out_of_bytes_at: None,
            cut: None,
            cursor: Sequence(0),
            committing: Vec::with_capacity(PARTITIONS_MAX),
            committing_epochs: Vec::with_capacity(PARTITIONS_MAX),
            commit_under_way: false,
            ticket: 0,
            dropped: 0,
            forsaken: 0,
        }
    }

    /// Records in flight, those that wait only for older ones included.
    pub fn in_flight(&self) -> usize {
        self.ring.len()
    }

    /// Records of partitions that are still ours which are not settled, or, at least once, settled
    /// and not covered by a confirmed commit: if the run ends now, they come again.
    pub fn unfinished(&self) -> usize {
        self.ledger.unfinished() as usize + self.forsaken
    }

    /// Bytes that records in flight hold.
    pub fn in_flight_bytes(&self) -> usize {
        self.ring.bytes_len()
    }

    /// True if another record may be offered: there is a slot, and the last one whose bytes found
    /// no room may find some now.
    pub fn has_room(&self) -> bool {
        self.ring.len() < self.in_flight_max && self.out_of_bytes_at != Some(self.ring.oldest())
    }

    /// Records admitted that were not handed out yet.
    pub fn unprocessed(&self) -> u64 {
        self.ring.next().0 - self.cursor.0
    }

    /// The group gave us a partition.
    pub fn assign(&mut self, partition: PartitionId) {
        self.ledger.assign(partition);
    }

    /// The group wants a partition back, or the run ends: admits nothing more of it. Under
    /// `CommitThenProcess` what no commit covers is dropped, uncommitted, for the next owner.
    pub fn revoke(&mut self, partition: PartitionId) {
        self.ledger.partition_mut(partition).revoking = true;
        self.withdraw(partition);
    }

    /// Records that were admitted and, since they were no longer ours, came to no end; counted
    /// since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// True if nothing of the partition is in flight and its position is committed.
    pub fn is_drained(&self, partition: PartitionId) -> bool {
        let partition = self.ledger.partition(partition);
        let is_saved = partition.given_off == 0;
        partition.in_flight == 0 && partition.position == partition.committed && is_saved
    }

    /// The partition is no longer ours: released after draining, or lost. Nothing of it will be
    /// committed. Returns how many of its records were in flight.
    pub fn disown(&mut self, partition: PartitionId) -> u32 {
        let in_flight = self.ledger.partition(partition).in_flight;
        self.free_settled(partition);
        self.ledger.disown(partition);
        in_flight
    }

    /// Frees what is settled and waits for older records: once nobody owns the partition, no
    /// older one will.
    fn free_settled(&mut self, id: PartitionId) {
        let mut index = self.ledger.partition(id).head;
        while index != NO_SLOT {
            let slot = self.ring.slot_mut(index);
            if slot.stage == SlotStage::Settled {
                slot.stage = SlotStage::Free;
            }
            index = slot.next;
        }
        self.reclaim();
    }

    /// Copies a record in.
    #[inline]
    pub fn admit(&mut self, record: &Record<'_>, polled: Ticks) -> Admission {
        let partition = self.ledger.partition(record.partition);
        if !partition.owned || partition.revoking {
            return Admission::NotOurs;
        }
        if !self.has_room() {
            return Admission::Full;
        }
        let epoch = partition.epoch;
        let parts_kept_whole = record.bytes_len() - record.value.map_or(0, <[u8]>::len);
        if parts_kept_whole > self.ring.arena_len() {
            return Admission::TooLarge;
        }
        let Some(index) = self.admit_bytes(record, epoch, polled) else {
            self.out_of_bytes_at = Some(self.ring.oldest());
            return Admission::Full;
        };
        self.append(record.partition, index);
        if self.order == Order::Together {
            self.ledger.partition_mut(record.partition).first.get_or_insert(record.offset);
        }
        if self.order == Order::CommitThenProcess {
            self.ledger.reach(record.partition, record.offset + 1);
        }
        Admission::Admitted
    }

    /// A value that would not fit if the ring were empty is cut, and what it was is remembered.
    fn admit_bytes(&mut self, record: &Record<'_>, epoch: u32, polled: Ticks) -> Option<u32> {
        let excess = record.bytes_len().saturating_sub(self.ring.arena_len());
        let Some(value) = record.value.filter(|_| excess > 0) else {
            return self.ring.admit(record, epoch, polled);
        };
        let value_kept = &value[..value.len().saturating_sub(excess)];
        let cut = Record { value: Some(value_kept), ..*record };
        let index = self.ring.admit(&cut, epoch, polled)?;
        self.cut = Some((self.ring.sequence(index), Cut::of(value)));
        Some(index)
    }

    #[inline]
    fn append(&mut self, id: PartitionId, index: u32) {
        let partition = self.ledger.admit(id);
        let tail = std::mem::replace(&mut partition.tail, index);
        if tail == NO_SLOT {
            partition.head = index;
        } else {
            self.ring.slot_mut(tail).next = index;
        }
    }

    /// The next record that may be processed now, in the order of admission. What state gave off
    /// was processed when it was taken in.
    #[inline]
    pub fn next_ready(&mut self) -> Option<Sequence> {
        self.cursor = self.cursor.max(self.ring.oldest());
        while self.cursor < self.ring.next() {
            let sequence = self.cursor;
            let slot = self.ring.slot(self.ring.index(sequence));
            if slot.stage != SlotStage::Admitted {
                self.cursor.0 += 1;
                continue;
            }
            let partition = self.ledger.partition(slot.partition);
            let ours = partition.owned && partition.epoch == slot.epoch;
            let covered = self.order != Order::CommitThenProcess
                || partition.committed.is_some_and(|committed| slot.offset < committed);
            if ours && !covered && (!partition.revoking || partition.committing) {
                return None;
            }
            self.cursor.0 += 1;
            if ours && covered {
                return Some(sequence);
            }
            self.dropped += 1;
            self.settle(sequence);
        }
        None
    }

    /// True if the record's partition is still ours, as it was when the record was admitted.
    pub fn is_ours(&self, sequence: Sequence) -> bool {
        let slot = self.ring.slot(self.ring.index(sequence));
        let partition = self.ledger.partition(slot.partition);
        partition.owned && partition.epoch == slot.epoch
    }

    /// A record that was handed out and is no longer ours: nothing will be done with it.
    pub fn give_up(&mut self, sequence: Sequence) {
        self.dropped += 1;
        self.settle(sequence);
    }

    /// The record as it arrived.
    #[inline]
    pub fn record<'a>(
        &'a self,
        sequence: Sequence,
        topic: &'a str,
        partition_number: i32,
    ) -> Record<'a> {
        self.ring.record(self.ring.index(sequence), topic, partition_number)
    }

    /// Which partition a record in flight came from.
    #[inline]
    pub fn partition(&self, sequence: Sequence) -> PartitionId {
        self.ring.slot(self.ring.index(sequence)).partition
    }

    /// Why a record is being dead-lettered, if it is.
    pub fn rejected(&self, sequence: Sequence) -> Option<(RejectClass, Step)> {
        self.ring.slot(self.ring.index(sequence)).rejected
    }

    /// What was cut from a record's value when it was admitted.
    #[inline]
    pub fn cut(&self, sequence: Sequence) -> Option<Cut> {
        self.cut.filter(|(it, _)| *it == sequence).map(|(_, cut)| cut)
    }

    /// The times kept with a record.
    pub fn stamps(&self, sequence: Sequence) -> &Stamps {
        &self.ring.slot(self.ring.index(sequence)).stamps
    }

    /// The same, to be written.
    #[inline]
    pub fn stamps_mut(&mut self, sequence: Sequence) -> &mut Stamps {
        let index = self.ring.index(sequence);
        &mut self.ring.slot_mut(index).stamps
    }

    /// The record was skipped: nothing more will happen to it.
    #[inline]
    pub fn skip(&mut self, sequence: Sequence) {
        self.settle(sequence);
    }

    /// That many results of the record will be handed over.
    ///
    /// # Panics
    ///
    /// If there are none, or more than a record can have: a fault in the pipeline.
    #[inline]
    pub fn expect_results(&mut self, sequence: Sequence, results: usize) {
        assert!((1..=usize::from(u16::MAX)).contains(&results), "{results} results of one record");
        let index = self.ring.index(sequence);
        let slot = self.ring.slot_mut(index);
        slot.stage = SlotStage::Emitting;
        slot.pending = results as u16;
    }

    /// Its dead letter will be handed over.
    pub fn expect_letter(&mut self, sequence: Sequence, class: RejectClass, step: Step) {
        let index = self.ring.index(sequence);
        let slot = self.ring.slot_mut(index);
        slot.rejected = Some((class, step));
        slot.stage = SlotStage::Rejecting;
        slot.pending = 1;
    }

    /// The token to hand over with a result, or the dead letter, of a record.
    pub fn token(&self, sequence: Sequence) -> Token {
        let index = self.ring.index(sequence);
        let letter = self.ring.slot(index).stage == SlotStage::Rejecting;
        tokens::token(index, self.ring.lap(sequence), letter)
    }

    /// One answer to a result or dead letter of this token.
    ///
    /// # Panics
    ///
    /// If no such answer is awaited: a sink that invents acknowledgements would lose records.
    pub fn answer(&mut self, token: Token, accepted: bool) -> Acknowledged {
        let index = tokens::index(token);
        let sequence = self.ring.sequence(index);
        let is_awaited = self.ring.holds(sequence) && self.token(sequence) == token;
        let slot = self.ring.slot_mut(index);
        assert!(
            is_awaited && slot.pending > 0,
            "an answer to {token:?}, which nobody awaits: {slot:?}"
        );
        slot.pending -= 1;
        if !accepted {
            slot.stage = slot.stage.refused();
        }
        if slot.pending > 0 {
            return Acknowledged::Waiting;
        }
        if slot.stage == SlotStage::Refused {
            return self.end_refused(sequence);
        }
        let acknowledged = match slot.rejected {
            Some((class, step)) => Acknowledged::Rejected(sequence, class, step),
            None => Acknowledged::Emitted(sequence, slot.stamps),
        };
        self.settle(sequence);
        acknowledged
    }

    /// All results of a record are answered, and one was refused.
    #[cold]
    fn end_refused(&mut self, sequence: Sequence) -> Acknowledged {
        let index = self.ring.index(sequence);
        let slot = self.ring.slot_mut(index);
        if self.ledger.partition(slot.partition).epoch != slot.epoch {
            self.settle(sequence);
            return Acknowledged::Abandoned;
        }
        if slot.rejected.is_none() {
            return Acknowledged::NeedsLetter(sequence);
        }
        slot.letters_refused += 1;
        Acknowledged::LetterRefused(sequence, slot.letters_refused - 1)
    }

    /// Marks a record as settled and moves its partition's position as far as that allows.
    #[inline]
    fn settle(&mut self, sequence: Sequence) {
        let index = self.ring.index(sequence);
        let slot = self.ring.slot_mut(index);
        let id = slot.partition;
        let partition = self.ledger.partition(id);
        if partition.epoch != slot.epoch {
            slot.stage = SlotStage::Free;
            self.reclaim();
            return;
        }
        slot.stage = SlotStage::Settled;
        if partition.head == index {
            self.advance(id);
            self.reclaim();
        }
    }

    fn reclaim(&mut self) {
        if self.ring.reclaim() {
            // What is freed was handed out or dropped before.
            self.cursor = self.ring.next();
        }
    }

    /// Frees the settled records at the head of a partition's chain.
    #[inline]
    fn advance(&mut self, id: PartitionId) {
        let mut head = self.ledger.partition(id).head;
        let (mut freed, mut counted) = (0, 0);
        let mut position = None;
        while head != NO_SLOT && self.ring.slot(head).stage == SlotStage::Settled {
            let slot = self.ring.slot_mut(head);
            slot.stage = SlotStage::Free;
            if slot.given_off.is_none() {
                position = Some(slot.offset + 1);
                counted += 1;
            }
            head = slot.next;
            freed += 1;
        }
        let partition = self.ledger.partition_mut(id);
        partition.head = head;
        partition.in_flight -= freed;
        if head == NO_SLOT {
            partition.tail = NO_SLOT;
        }
        if self.order != Order::CommitThenProcess {
            partition.uncommitted += counted;
            partition.given_off += u64::from(freed) - counted;
            self.move_position(id, position);
        }
    }
}
