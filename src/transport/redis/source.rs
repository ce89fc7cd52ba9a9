//! Records from Redis Streams: a consumer of a group, stepped by the turn.
//!
//! The hot thread reads the socket itself and lends entries out of the buffer that they arrived in
//! (see `benches/results/streams.md` for what a side thread would cost). One request is always
//! waiting at the server, so that an idle server is not asked again and again and a thread that
//! sleeps is woken by the entry itself; while a reply is lent, the next one is on its way, and
//! where a group is behind, small batches are asked for together. What acknowledges goes over a
//! connection of its own (`acking`), because a command waits behind a read that waits.
//!
//! After a start, and over each new connection, come the entries that this consumer had and did not
//! acknowledge; those that are in flight here are passed over. From time to time it claims what was
//! idle for too long with others, which may be dead (`claiming`).

use std::{collections::VecDeque, sync::Arc};

use self::{acking::Acking, claiming::Claiming, opening::Group};
use super::{
    channel::Channel,
    entry_id::{EntryId, ID_BYTES},
    faults::{self, Fault},
    form::{Lent, Shape, Shaper},
    replies::{Asked, ENTRIES_AT_ONCE, Ended, Replies, Step},
    resp::{self, Item, Items},
    staged::Staging,
    unacked::Unacked,
};
use crate::{
    clock::{Clock, Ticks, TscClock},
    record::{PartitionId, Record},
    transport::{Source, SourceClaim, SourceEvent, SourceGap, Trouble, WaitSet},
    verdict::Sentence,
};

mod acking;
mod claiming;
mod opening;
mod together;

pub use opening::{Bounds, RedisSourcePlan, Way};
pub(super) use opening::{INPUT_BYTES, REQUEST_BYTES, ping, server_ms};

/// What trouble of a source names.
pub(super) const PEER: &str = "source";

/// New entries that are asked for at once while the group is behind, in a request that waits for
/// nothing: a request costs the server as much as four entries, …
const ENTRIES_AHEAD: u64 = 256;

/// … but no more than so many batches, of which others could do their share.
const BATCHES_AHEAD: u64 = 32;

/// How long the server keeps a read that has nothing to bring. Also bounds how late a claim is.
pub(super) const BLOCK_MS: u64 = 500;

/// Events that wait for `next_event`; trouble past it is not told again.
pub(super) const EVENTS_MAX: usize = 64;

/// A source that reads streams as a consumer of a group.
#[derive(Debug)]
pub struct RedisSource<C = TscClock> {
    streams: Vec<String>,
    partitions: Vec<PartitionId>,
    group: Arc<Group>,
    shaper: Shaper,
    batch: u64,
    /// The last reply had as many entries as a batch, or more.
    is_behind: bool,
    /// Entries of a stream that are asked for at once while it is so.
    batch_ahead: u64,
    reading: Channel<C>,
    replies: Replies,
    /// What is still to be written over `reading`, and how much of it was.
    requests: Vec<u8>,
    written: usize,
    /// Entries of before come first: of that stream, behind that id.
    own: Option<(usize, EntryId)>,
    claiming: Claiming,
    acking: Acking<C>,
    /// Exactly once: the results that wait for the commit.
    staging: Option<Arc<Staging>>,
    unacked: Unacked,
    /// A snapshot of what is lent was taken for the reply under way.
    has_snapshot: bool,
    /// Entries of the reply under way that are not in the stream any more.
    gone: u64,
    events: VecDeque<Told>,
    was_polled: bool,
    /// Nothing is read any more; what was can still be acknowledged.
    is_failed: bool,
    is_closed: bool,
}

/// What a source has to tell.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Assigned,
    Lost,
    Committed(u64, Result<(), Trouble>),
    Aborted,
    Gap(SourceGap),
    Claimed(SourceClaim),
    Trouble(Trouble),
    Notice { event: &'static str, text: Sentence, alarming: bool },
}

impl Told {
    /// Where there is no room it is told all the same.
    pub(super) fn is_needed(&self) -> bool {
        match self {
            Told::Trouble(trouble) => !trouble.heals,
            Told::Notice { .. } => false,
            _ => true,
        }
    }

    /// A gap is told of before more is lent, and lies behind all that was.
    pub(super) fn event<'a>(
        self,
        partitions: &'a [PartitionId],
        lent: &Unacked,
    ) -> SourceEvent<'a> {
        match self {
            Told::Assigned => SourceEvent::Assigned(partitions),
            Told::Lost => SourceEvent::Lost(partitions),
            Told::Committed(ticket, result) => SourceEvent::Committed { ticket, result },
            Told::Aborted => SourceEvent::Aborted(Ok(())),
            Told::Gap(gap) => {
                let resume_at = lent.next_number(usize::from(gap.partition.0));
                SourceEvent::Gap(SourceGap { resume_at, ..gap })
            }
            Told::Claimed(claim) => SourceEvent::Claimed(claim),
            Told::Trouble(trouble) => SourceEvent::Trouble(trouble),
            Told::Notice { event, text, alarming } => SourceEvent::Told { event, text, alarming },
        }
    }
}

impl<C: Clock> RedisSource<C> {
    /// Takes entries that have arrived, and asks for more.
    fn lend_all(
        &mut self,
        now: Ticks,
        records_max: usize,
        take: &mut impl FnMut(&Record<'_>) -> bool,
    ) -> usize {
        let mut taken = 0;
        while taken < records_max && !self.unacked.is_full() {
            let Ok(step) = self.replies.step(self.reading.input(), &self.streams) else {
                self.reading.lose("what it says is no reply");
                break;
            };
            let len = match step {
                Step::Wait if self.reading.fill(now) => continue,
                Step::Wait => break,
                Step::Entry(stream, len) => match self.lend(stream, len, take) {
                    Lent::Refused => break,
                    lent => {
                        taken += usize::from(lent == Lent::Taken);
                        self.replies.entry_done();
                        len
                    }
                },
                Step::Passed(len) | Step::Facts(_, len) => len,
                Step::Counts(len) => {
                    self.claiming.take_counts(&self.reading.input()[..len]);
                    len
                }
                Step::Deleted(stream, len) => {
                    // The server took them off the group's list by itself.
                    let count = Items::of(&self.reading.input()[..len]).array().unwrap_or(0);
                    self.miss(stream, count as u64);
                    len
                }
                Step::Error(asked, len) => {
                    self.hear_error(asked, len);
                    break;
                }
                Step::Ended(ended) => {
                    self.end_reply(now, ended);
                    ended.len
                }
            };
            self.reading.consume(len);
            if self.wants_more() {
                self.ask(now);
            }
        }
        taken
    }

    /// Lends one entry.
    #[inline]
    fn lend(
        &mut self,
        stream: usize,
        len: usize,
        take: &mut impl FnMut(&Record<'_>) -> bool,
    ) -> Lent {
        let asked = self.replies.front();
        let is_new = asked == Some(Asked::New);
        let RedisSource { reading, shaper, unacked, claiming, .. } = self;
        let mut items = Items::of(&reading.input()[..len]);
        // Servers before 7.0 have nothing in the place of a claimed entry that is gone.
        let (Some(2), Some(id)) = (items.array(), items.bytes()) else { return Lent::Passed };
        let Some(id) = EntryId::parse(id) else { return Lent::Passed };
        if let (Some(Asked::Own(_)), Some((_, behind))) = (asked, &mut self.own) {
            *behind = id;
        }
        let Some(Item::Array(count)) = items.next() else {
            self.gone += 1;
            let (stream, mut text) = (self.streams[stream].as_bytes(), [0; ID_BYTES]);
            let words = [b"XACK", stream, self.group.name(), id.write(&mut text)];
            resp::command(&mut self.requests, &words);
            self.replies.ask(Asked::Forgotten);
            return Lent::Passed;
        };
        let mut exhausted = None;
        if !is_new {
            if !std::mem::replace(&mut self.has_snapshot, true) {
                unacked.take_snapshot(stream);
            }
            if unacked.was_lent(id) {
                return Lent::Passed;
            }
            exhausted = claiming.exhausted(id, matches!(asked, Some(Asked::Claim(_))));
        }
        let Shape { key, value, headers } = shaper.shape(items, count, id, exhausted);
        let record = Record {
            partition: self.partitions[stream],
            topic: &self.streams[stream],
            partition_number: 0,
            offset: unacked.next_number(stream),
            timestamp_ms: i64::try_from(id.ms).ok(),
            key,
            value,
            headers,
            arrived: reading.arrived(),
        };
        if !take(&record) {
            return Lent::Refused;
        }
        unacked.push(stream, id);
        claiming.lent(asked);
        Lent::Taken
    }

    fn end_reply(&mut self, now: Ticks, ended: Ended) {
        let gone = std::mem::take(&mut self.gone);
        self.has_snapshot = false;
        match ended.asked {
            Asked::New => self.is_behind = ended.entries as u64 >= self.batch,
            Asked::Counts | Asked::Kept | Asked::Forgotten => {}
            Asked::Range(_) | Asked::Facts(_) => {}
            Asked::Own(stream) => {
                self.miss(stream, gone);
                if ended.entries == 0 {
                    let next = stream + 1;
                    self.own = (next < self.streams.len()).then_some((next, EntryId::ZERO));
                    self.claiming.own_read(self.own.is_none());
                }
            }
            Asked::Claim(stream) => {
                self.miss(stream, gone);
                if let Some(told) = self.claiming.take_claimed(stream, &self.streams) {
                    self.tell(told);
                }
                if self.claiming.ends_round(now, ended.cursor, self.streams.len()) {
                    self.acking.remove_gone(&self.group, &self.streams);
                }
            }
        }
        if self.replies.owed() == 0 {
            self.reading.owes_nothing();
        }
    }

    /// Nothing that was asked for is still to begin.
    #[inline]
    fn wants_more(&self) -> bool {
        self.replies.unbegun() == 0
    }

    /// Asks for what comes next, if it is time to.
    fn ask(&mut self, now: Ticks) {
        if self.requests.is_empty() && self.wants_more() {
            self.write_requests(now);
        }
        if self.requests.is_empty() {
            return;
        }
        self.written += self.reading.write(&self.requests[self.written..]);
        if self.written == self.requests.len() {
            self.requests.clear();
            self.written = 0;
        }
        self.reading.owes(now);
    }

    fn write_requests(&mut self, now: Ticks) {
        let RedisSource { requests, group, streams, replies, unacked, .. } = self;
        let is_free = replies.owed() == 0;
        if let Some((stream, behind)) = self.own {
            if is_free {
                claiming::ask_own(requests, group, &streams[stream], behind);
                replies.ask(Asked::Counts);
                replies.ask(Asked::Own(stream));
            }
            return;
        }
        let claim = self.claiming.next(now);
        if let Some((stream, cursor)) = claim {
            if !is_free {
                return;
            }
            if !self.claiming.is_counted() {
                claiming::ask_counts(requests, group, &streams[stream], cursor);
                return replies.ask(Asked::Counts);
            }
            unacked.take_snapshot(stream);
            let kept = self.claiming.counted().filter(|it| unacked.was_lent(*it));
            if kept.clone().next().is_some() {
                claiming::keep(requests, group, &streams[stream], kept);
                replies.ask(Asked::Kept);
            }
            claiming::ask_claim(requests, group, &streams[stream], cursor);
            replies.ask(Asked::Claim(stream));
        }
        let block_ms = (claim.is_none() && !self.is_behind).then_some(BLOCK_MS);
        let count = if self.is_behind { self.batch_ahead } else { self.batch };
        opening::ask_new(requests, group, streams, count, block_ms);
        replies.ask(Asked::New);
    }

    /// The server refused a request.
    #[cold]
    fn hear_error(&mut self, asked: Asked, len: usize) {
        let mut error = [0; 200];
        let line = &self.reading.input()[1..len.saturating_sub(2).max(1)];
        let error_len = line.len().min(error.len());
        error[..error_len].copy_from_slice(&line[..error_len]);
        let error = &error[..error_len];
        let (_, fault) = faults::fault(error);
        let trouble = faults::trouble(PEER, self.reading.address(), asked.command(), error);
        if fault == Fault::NoGroup && self.group.is_made_anew() {
            // With the next connection.
            self.reading.lose("the consumer group is gone");
            return;
        }
        self.tell(Told::Trouble(trouble));
        self.reading.lose_for_now("a request was refused");
        self.is_failed |= !trouble.heals;
    }

    /// Entries were delivered once and are not in the stream any more.
    fn miss(&mut self, stream: usize, records: u64) {
        if records == 0 {
            return;
        }
        let name = &self.streams[stream];
        let text = Sentence::format(format_args!(
            "{name}: {records} entries were pending and are gone from the stream (trimmed or \
             deleted); they are acknowledged"
        ));
        let (partition, resume_at) = (self.partitions[stream], self.unacked.next_number(stream));
        self.tell(Told::Gap(SourceGap { partition, records, resume_at, text }));
    }

    fn tell(&mut self, told: Told) {
        if self.events.len() < EVENTS_MAX || told.is_needed() {
            self.events.push_back(told);
        }
    }

    /// At most once: what is in flight is not to be processed, and what of it is still pending here
    /// comes again.
    #[cold]
    fn lend_anew(&mut self) {
        for stream in 0..self.streams.len() {
            self.unacked.go_back(stream, self.unacked.first_number(stream));
        }
        self.reading.renew();
        self.events.extend([Told::Lost, Told::Assigned]);
    }

    /// All begins anew over another connection.
    fn begin_again(&mut self) {
        self.replies.clear();
        self.requests.clear();
        (self.written, self.has_snapshot, self.gone) = (0, false, 0);
        (self.own, self.is_behind) = (Some((0, EntryId::ZERO)), false);
        self.claiming.begin_again();
        if self.group.take_made_anew() {
            let text = Sentence::format(format_args!(
                "the consumer group {} was gone and is made anew; it reads each stream that lost \
                 it from its beginning",
                String::from_utf8_lossy(self.group.name())
            ));
            self.tell(Told::Notice { event: "group.made_anew", text, alarming: true });
        }
    }
}

impl<C: Clock> Source for RedisSource<C> {
    fn serve(&mut self, now: Ticks) -> usize {
        if self.is_closed {
            return 0;
        }
        let mut work = 0;
        if !self.is_failed && self.reading.serve() {
            self.begin_again();
            work += 1;
        }
        work += self.acking.serve(now, &self.group, &self.streams, &mut self.unacked);
        if let Some((ticket, result)) = self.acking.take_end() {
            self.events.push_back(Told::Committed(ticket, result));
        }
        if self.acking.takes_loss() {
            self.lend_anew();
        }
        while let Some(told) = self.acking.next_told() {
            self.tell(told);
        }
        while let Some(trouble) = self.reading.next_trouble() {
            self.tell(Told::Trouble(trouble));
            work += 1;
        }
        work
    }

    fn next_event(&mut self) -> Option<SourceEvent<'_>> {
        Some(self.events.pop_front()?.event(&self.partitions, &self.unacked))
    }

    fn next_recovery(&mut self) -> Option<&'static str> {
        let has_both = self.reading.is_open() && self.acking.is_open();
        let (reading, acking) = (self.reading.next_recovery(), self.acking.next_recovery());
        reading.or(acking).filter(|_| has_both)
    }

    fn poll(
        &mut self,
        now: Ticks,
        records_max: usize,
        take: &mut impl FnMut(&Record<'_>) -> bool,
    ) -> usize {
        let is_full = self.staging.as_ref().is_some_and(|it| it.is_full());
        if self.is_closed || self.is_failed || is_full || !self.reading.is_open() {
            return 0;
        }
        self.was_polled = true;
        self.ask(now);
        self.lend_all(now, records_max, take)
    }

    fn commit(&mut self, ticket: u64, positions: &[(PartitionId, i64)]) {
        let RedisSource { acking, group, streams, unacked, .. } = self;
        acking.begin_commit(ticket, positions);
        acking.send_commit(group, streams, unacked);
    }

    fn abort(&mut self, positions: &[(PartitionId, i64)]) {
        if let Some(staging) = &self.staging {
            staging.clear();
        }
        for &(PartitionId(stream), position) in positions {
            self.unacked.go_back(usize::from(stream), position);
        }
        // What is on its way belongs to what was; over another connection come own entries first.
        self.reading.renew();
        self.events.push_back(Told::Aborted);
    }

    fn release(&mut self, _partitions: &[PartitionId]) {}

    fn partition(&self, partition: PartitionId) -> (&str, i32) {
        (&self.streams[usize::from(partition.0)], 0)
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        // One that nobody took from may have much to lend, and would wake for nothing.
        if std::mem::take(&mut self.was_polled) || !self.reading.is_open() {
            self.reading.wait_on(set);
        }
        self.acking.wait_on(set);
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.is_closed, true) {
            self.group.leave(self.reading.address(), &self.streams);
        }
    }
}
