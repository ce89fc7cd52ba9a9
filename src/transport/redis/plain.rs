//! Records from Redis Streams without a group: nothing is acknowledged, all entries come here.
//!
//! Either positions stand in a file, written at each commit by a side thread (`keeper`); the server
//! is asked for what lies behind them, and one request is always waiting there. Or a run was told
//! where to begin or to end, and nothing is remembered. A group would be the server's memory of how
//! far it came, which must be made, named and taken away again; such a run reads what is past and
//! leaves no trace where others work. So it needs none of its own, touches neither the pipeline's
//! group nor its file of positions, and begins anew when it is started again. Its ends are settled
//! once, at the start: then it asks for ranges, stream after stream, which end by themselves.
//!
//! As in `source`, a position above is a count of what was lent, and `unacked` has the ids. From
//! time to time the server is asked how many entries were ever added to a stream: those that
//! nobody can read any more, because they were trimmed before they were read, are a gap.

use std::collections::VecDeque;

use super::{
    channel::Channel,
    entry_id::{EntryId, ID_BYTES},
    facts::Facts,
    faults,
    form::{Lent, Shape, Shaper},
    keeper::{Keeper, KeptPositions},
    positions::Position,
    replies::{Asked, Ended, Replies, Step},
    resp::{self, Item, Items},
    source::{BLOCK_MS, EVENTS_MAX, PEER, Told},
    unacked::Unacked,
};
use crate::{
    clock::Ticks,
    record::{PartitionId, Record},
    transport::{Source, SourceEvent, SourceGap, Trouble, WaitSet},
};

mod looking;
mod opening;

use looking::Looking;
pub use opening::{Extent, PlainSourcePlan};

/// A source that reads streams without a group.
#[derive(Debug)]
pub struct PlainSource {
    streams: Vec<String>,
    partitions: Vec<PartitionId>,
    places: Vec<Place>,
    shaper: Shaper,
    batch: u64,
    reading: Channel,
    replies: Replies,
    /// What is still to be written over `reading`, and how much of it was.
    requests: Vec<u8>,
    written: usize,
    /// Where the streams end: how many are not read to their ends, and which is the next to be
    /// asked for. None: they do not end.
    ending: Option<Ending>,
    looking: Looking,
    /// Entries of the reply under way were asked for behind what is no place any more.
    is_astray: bool,
    unacked: Unacked,
    /// Where positions are kept, if anywhere.
    keeper: Option<Keeper>,
    /// The commit under way, and whether its positions are being written.
    ticket: Option<u64>,
    committing: Vec<(PartitionId, i64)>,
    is_sent: bool,
    /// A gap was seen, and what is kept does not say so yet.
    is_stale: bool,
    events: VecDeque<Told>,
    was_polled: bool,
    /// Nothing is read any more; what was can still be committed.
    is_failed: bool,
    is_closed: bool,
}

/// Where one stream is.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The last entry that was lent, or where it began.
    behind: EntryId,
    /// The last entry that is to be, where there is an end.
    last: EntryId,
    is_done: bool,
    /// Entries that were added up to the first that was lent, less its number, where it is known.
    passed: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Ending {
    left: usize,
    next: usize,
}

impl PlainSource {
    /// The positions in its file, if it has one, for who watches it.
    pub fn kept(&self) -> Option<&KeptPositions> {
        self.keeper.as_ref().map(Keeper::kept)
    }

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
                Step::Passed(len) | Step::Counts(len) | Step::Deleted(_, len) => len,
                Step::Facts(stream, len) => {
                    self.looking.rest(len);
                    let facts = Facts::parse(&self.reading.input()[..len]);
                    facts.into_iter().for_each(|it| self.compare(stream, it));
                    len
                }
                Step::Error(Asked::Facts(stream), len) if self.hear_no_facts(stream, len) => len,
                Step::Error(asked, len) => {
                    self.hear_error(asked, len);
                    break;
                }
                Step::Ended(ended) => {
                    self.end_reply(ended);
                    ended.len
                }
            };
            self.reading.consume(len);
            if self.replies.unbegun() == 0 {
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
        if self.is_astray {
            return Lent::Passed;
        }
        let PlainSource { reading, shaper, unacked, places, .. } = self;
        let mut items = Items::of(&reading.input()[..len]);
        let (Some(2), Some(id)) = (items.array(), items.bytes()) else { return Lent::Passed };
        let Some(id) = EntryId::parse(id) else { return Lent::Passed };
        let Some(Item::Array(fields)) = items.next() else { return Lent::Passed };
        let Shape { key, value, headers } = shaper.shape(items, fields, id, None);
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
        places[stream].behind = id;
        Lent::Taken
    }

    fn end_reply(&mut self, ended: Ended) {
        if let (Asked::Range(stream), Some(ending)) = (ended.asked, &mut self.ending) {
            let place = &mut self.places[stream];
            place.is_done = (ended.entries as u64) < self.batch || place.behind >= place.last;
            ending.left -= usize::from(place.is_done);
        }
        self.is_astray &= ended.asked != Asked::New;
        if self.replies.owed() == 0 {
            self.reading.owes_nothing();
        }
    }

    /// Asks for what comes next, if nothing that was asked for is still to begin.
    fn ask(&mut self, now: Ticks) {
        if self.requests.is_empty() && self.replies.unbegun() == 0 {
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
        if self.ending.is_some() {
            return self.ask_range();
        }
        // What comes next begins where what is under way ends.
        if self.replies.owed() > 0 {
            return;
        }
        if let Some(stream) = self.looking.next(now, self.streams.len()) {
            let name = self.streams[stream].as_bytes();
            resp::command(&mut self.requests, &[b"XINFO", b"STREAM", name]);
            self.replies.ask(Asked::Facts(stream));
            if self.looking.is_first() {
                return;
            }
        }
        let PlainSource { requests, streams, places, replies, .. } = self;
        resp::begin(requests, 6 + 2 * streams.len());
        [&b"XREAD"[..], b"COUNT"].iter().for_each(|it| resp::word(requests, it));
        resp::number(requests, self.batch);
        resp::word(requests, b"BLOCK");
        resp::number(requests, BLOCK_MS);
        resp::word(requests, b"STREAMS");
        streams.iter().for_each(|it| resp::word(requests, it.as_bytes()));
        let mut text = [0; ID_BYTES];
        places.iter().for_each(|it| resp::word(requests, it.behind.write(&mut text)));
        replies.ask(Asked::New);
    }

    /// Asks for a range of the next stream that is not read to its end and not being read.
    fn ask_range(&mut self) {
        let PlainSource { requests, streams, places, replies, ending, .. } = self;
        let Some(ending) = ending else { return };
        let count = streams.len();
        let under_way = replies.front();
        let is_it = |it: &usize| !places[*it].is_done && under_way != Some(Asked::Range(*it));
        let Some(stream) = (0..count).map(|it| (ending.next + it) % count).find(is_it) else {
            return;
        };
        ending.next = (stream + 1) % count;
        let Place { behind, last, .. } = places[stream];
        let (mut from, mut until) = ([b'('; 1 + ID_BYTES], [0; ID_BYTES]);
        let mut text = [0; ID_BYTES];
        let behind = behind.write(&mut text);
        from[1..=behind.len()].copy_from_slice(behind);
        let from = &from[..=behind.len()];
        let words = [b"XRANGE", streams[stream].as_bytes(), from, last.write(&mut until), b"COUNT"];
        resp::begin(requests, words.len() + 1);
        words.iter().for_each(|it| resp::word(requests, it));
        resp::number(requests, self.batch);
        replies.ask(Asked::Range(stream));
    }

    /// The server refused a request.
    #[cold]
    fn hear_error(&mut self, asked: Asked, len: usize) {
        let what = match asked {
            Asked::Facts(_) => "XINFO STREAM",
            Asked::Range(_) => "XRANGE",
            _ => "XREAD",
        };
        let line = &self.reading.input()[1..len.saturating_sub(2).max(1)];
        let trouble = faults::trouble(PEER, self.reading.address(), what, line);
        self.tell(Told::Trouble(trouble));
        self.reading.lose("a request was refused");
        self.is_failed |= !trouble.heals;
    }

    fn tell(&mut self, told: Told) {
        if self.events.len() < EVENTS_MAX || told.is_needed() {
            self.events.push_back(told);
        }
    }

    /// All begins anew over another connection, behind what was lent.
    fn begin_again(&mut self) {
        self.replies.clear();
        self.requests.clear();
        (self.written, self.is_astray) = (0, false);
        self.looking.begin_again(self.streams.len());
    }

    /// Has written what is to be, unless something is being written.
    fn keep(&mut self) {
        let PlainSource { keeper, unacked, places, committing, .. } = self;
        let Some(keeper) = keeper.as_mut().filter(|it| it.is_idle()) else { return };
        let passed = |stream: usize, number: i64| {
            places[stream].passed.and_then(|it| u64::try_from(it + number).ok())
        };
        if std::mem::take(&mut self.is_stale) {
            keeper.keep(|sheet| {
                for (stream, it) in sheet.iter_mut().enumerate() {
                    it.passed = passed(stream, unacked.first_number(stream));
                }
            });
        } else if self.ticket.is_some() {
            self.is_sent = true;
            keeper.keep(|sheet| {
                for &(PartitionId(stream), position) in committing.iter() {
                    let stream = usize::from(stream);
                    let behind = unacked.below(stream, position).last();
                    let behind = behind.unwrap_or(sheet[stream].behind);
                    sheet[stream] = Position { behind, passed: passed(stream, position) };
                }
            });
        }
    }

    fn hear_kept(&mut self, result: Result<(), Trouble>) {
        // A gap that could not be written is told again by the next run, at worst.
        if let Some(ticket) = self.ticket.take_if(|_| std::mem::take(&mut self.is_sent)) {
            self.end_commit(ticket, result);
        }
    }

    fn end_commit(&mut self, ticket: u64, result: Result<(), Trouble>) {
        if result.is_ok() {
            for (PartitionId(stream), position) in self.committing.drain(..) {
                self.unacked.forget_below(usize::from(stream), position);
            }
        }
        self.events.push_back(Told::Committed(ticket, result));
    }
}

impl Source for PlainSource {
    fn serve(&mut self, _now: Ticks) -> usize {
        if self.is_closed {
            return 0;
        }
        let mut work = 0;
        if !self.is_failed && self.reading.serve() {
            self.begin_again();
            work += 1;
        }
        if let Some(result) = self.keeper.as_mut().and_then(Keeper::take_answer) {
            self.hear_kept(result);
            work += 1;
        }
        if self.ticket.is_some() && !self.is_sent || self.is_stale {
            self.keep();
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
        self.reading.next_recovery()
    }

    fn poll(
        &mut self,
        now: Ticks,
        records_max: usize,
        take: &mut impl FnMut(&Record<'_>) -> bool,
    ) -> usize {
        if self.is_closed || self.is_failed || !self.reading.is_open() {
            return 0;
        }
        self.was_polled = true;
        self.ask(now);
        self.lend_all(now, records_max, take)
    }

    fn is_done(&self) -> bool {
        self.ending.is_some_and(|it| it.left == 0)
    }

    fn commit(&mut self, ticket: u64, positions: &[(PartitionId, i64)]) {
        self.committing.clear();
        self.committing.extend_from_slice(positions);
        if self.keeper.is_none() {
            return self.end_commit(ticket, Ok(()));
        }
        self.ticket = Some(ticket);
        self.keep();
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
        if let Some(keeper) = &self.keeper {
            keeper.wait_on(set);
        }
    }

    fn close(&mut self) {
        self.is_closed = true;
        if self.is_stale {
            self.keep();
        }
    }
}
