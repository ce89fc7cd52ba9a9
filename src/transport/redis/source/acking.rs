//! What is acknowledged to the server: by the commits of the engine, over a connection of its own.
//!
//! A commit is as many `XACK` as it takes, sent together; it has ended when all are answered. Where
//! the connection breaks before, they are sent again over the next one: to acknowledge twice does
//! no harm. Fewer entries than were sent may have been acknowledged: others claimed them meanwhile
//! and were faster. That is told, because they were processed twice.

use std::{collections::VecDeque, sync::Arc};

use super::{Group, Told, Way, opening::REMOVE_CONSUMERS, together};
use crate::{
    clock::{Clock, Ticks},
    config::settings,
    record::PartitionId,
    transport::{
        Trouble, WaitSet,
        redis::{
            channel::Channel,
            entry_id::{EntryId, ID_BYTES},
            faults::{self, Fault},
            resp::{self, Item, Items, Scanner},
            staged::Staging,
            unacked::Unacked,
        },
    },
    verdict::Sentence,
};

/// Entries that one command acknowledges at most, so that the server does others' work in between.
const ENTRIES_PER_COMMAND: usize = 1000;

/// Bytes of a command for each entry, about.
const ENTRY_BYTES: usize = 32;

/// Consumers with nothing pending are gone when they were not heard of for so many `claim_idle`.
const GONE_AFTER: u64 = 10;

/// What the next reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    /// A number of entries.
    Count,
    /// The same, in the reply of a transaction, with the number that were deleted.
    Counts,
    /// Of the commit, and says nothing.
    Step,
    /// Of the script that removes consumers.
    Removed,
    /// Of the script that acknowledges and writes: entries that are not ours.
    Together,
}

/// The connection that acknowledges.
#[derive(Debug)]
pub(super) struct Acking<C> {
    channel: Channel<C>,
    deletes: bool,
    out: Vec<u8>,
    written: usize,
    owed: VecDeque<Owed>,
    scanner: Scanner,
    /// The commit under way.
    ticket: Option<u64>,
    positions: Vec<(PartitionId, i64)>,
    /// Its replies that are still to come; it ends with the last of them, or those would be taken
    /// for the next one's.
    left: usize,
    /// The first of them that was an error.
    refused: Option<Trouble>,
    sent: u64,
    acked: u64,
    is_repeated: bool,
    ended: Option<(u64, Result<(), Trouble>)>,
    told: Option<Told>,
    removes: bool,
    /// Exactly once: the results that are written with the commit.
    staging: Option<Arc<Staging>>,
    /// At most once: what others had acknowledged must not be processed here.
    is_ahead: bool,
    /// They had, and so nothing of what was lent may be.
    has_lost: bool,
    /// The server does not write any more: another connection may lead to one that does.
    is_elsewhere: bool,
}

impl<C: Clock> Acking<C> {
    pub(super) fn new(
        channel: Channel<C>,
        settings: &settings::RedisSource,
        way: Way,
        entries_max: usize,
    ) -> Acking<C> {
        let (is_ahead, staging) = match way {
            Way::Together(staging) => (false, Some(staging)),
            Way::Ahead => (true, None),
            Way::Behind => (false, None),
        };
        let staged = staging.as_ref().map_or(0, |it| it.bytes_max());
        Acking {
            channel,
            deletes: settings.delete_acked,
            out: Vec::with_capacity(entries_max * ENTRY_BYTES + staged),
            written: 0,
            owed: VecDeque::with_capacity(4 * entries_max.div_ceil(ENTRIES_PER_COMMAND)),
            scanner: Scanner::default(),
            ticket: None,
            positions: Vec::with_capacity(crate::limits::STREAMS_MAX),
            left: 0,
            refused: None,
            sent: 0,
            acked: 0,
            is_repeated: false,
            ended: None,
            told: None,
            removes: true,
            staging,
            is_ahead,
            has_lost: false,
            is_elsewhere: false,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.channel.is_open()
    }

    pub(super) fn next_recovery(&mut self) -> Option<&'static str> {
        self.channel.next_recovery()
    }

    pub(super) fn next_told(&mut self) -> Option<Told> {
        self.told.take().or_else(|| self.channel.next_trouble().map(Told::Trouble))
    }

    /// The commit that has ended.
    pub(super) fn take_end(&mut self) -> Option<(u64, Result<(), Trouble>)> {
        self.ended.take()
    }

    /// At most once: true if what was lent and is not processed yet must not be.
    pub(super) fn takes_loss(&mut self) -> bool {
        std::mem::take(&mut self.has_lost)
    }

    pub(super) fn begin_commit(&mut self, ticket: u64, positions: &[(PartitionId, i64)]) {
        assert!(self.ticket.is_none(), "one commit at a time: the last one has no answer yet");
        (self.ticket, self.is_repeated) = (Some(ticket), false);
        self.positions.clear();
        self.positions.extend_from_slice(positions);
    }

    /// Sends the commit under way. Without a connection it waits for one.
    pub(super) fn send_commit(&mut self, group: &Group, streams: &[String], unacked: &Unacked) {
        (self.left, self.sent, self.acked, self.refused) = (0, 0, 0, None);
        self.is_elsewhere = false;
        if !self.channel.is_open() {
            return;
        }
        if let Some(staging) = &self.staging {
            let ground = (group, streams, unacked);
            let (out, positions) = (&mut self.out, &self.positions);
            self.sent = together::write(out, ground, positions, self.deletes, staging);
            self.owed.push_back(Owed::Together);
            self.left = 1;
            return self.flush();
        }
        for index in 0..self.positions.len() {
            let (PartitionId(partition), position) = self.positions[index];
            let stream = usize::from(partition);
            let mut ids = unacked.below(stream, position).peekable();
            let mut left = unacked.count_below(stream, position);
            while ids.peek().is_some() {
                let count = left.min(ENTRIES_PER_COMMAND);
                let name = streams[stream].as_bytes();
                self.acknowledge(group, name, ids.by_ref().take(count), count);
                left -= count;
            }
        }
        if self.left == 0 {
            self.end(Ok(()));
        }
        self.flush();
    }

    fn acknowledge(
        &mut self,
        group: &Group,
        stream: &[u8],
        ids: impl Iterator<Item = EntryId>,
        count: usize,
    ) {
        let out = &mut self.out;
        if self.deletes {
            resp::command(out, &[b"MULTI"]);
        }
        resp::begin(out, 3 + count);
        [b"XACK", stream, group.name()].iter().for_each(|it| resp::word(out, it));
        let (start, mut text) = (out.len(), [0; ID_BYTES]);
        ids.for_each(|id| resp::word(out, id.write(&mut text)));
        let end = out.len();
        let mut owe = |owed: Owed| {
            self.owed.push_back(owed);
            self.left += 1;
        };
        if self.deletes {
            resp::begin(out, 2 + count);
            [b"XDEL", stream].iter().for_each(|it| resp::word(out, it));
            out.extend_from_within(start..end);
            resp::command(out, &[b"EXEC"]);
            [Owed::Step; 3].into_iter().for_each(&mut owe);
        }
        owe(if self.deletes { Owed::Counts } else { Owed::Count });
        self.sent += count as u64;
    }

    /// Consumers that are gone and have nothing pending leave the group.
    pub(super) fn remove_gone(&mut self, group: &Group, streams: &[String]) {
        if !self.removes || !self.channel.is_open() {
            return;
        }
        for stream in streams {
            resp::begin(&mut self.out, 7);
            let words = [
                &b"EVAL"[..],
                REMOVE_CONSUMERS,
                b"1",
                stream.as_bytes(),
                group.name(),
                group.consumer(),
            ];
            words.iter().for_each(|it| resp::word(&mut self.out, it));
            resp::number(&mut self.out, group.claim_idle_ms().saturating_mul(GONE_AFTER));
            self.owed.push_back(Owed::Removed);
        }
    }

    /// Sends and reads what there is.
    pub(super) fn serve(
        &mut self,
        now: Ticks,
        group: &Group,
        streams: &[String],
        unacked: &mut Unacked,
    ) -> usize {
        let mut work = 0;
        if self.channel.serve() {
            self.out.clear();
            self.owed.clear();
            self.written = 0;
            self.scanner = Scanner::default();
            if self.ticket.is_some() && self.staging.is_some() && self.left > 0 {
                let why = "the connection broke before it was known whether results were written";
                let (peer, address) = (self.channel.peer(), self.channel.address());
                self.end(Err(faults::lost(peer, address, why)));
            } else if self.ticket.is_some() {
                self.is_repeated = true;
                self.send_commit(group, streams, unacked);
            }
            work += 1;
        }
        if self.owed.is_empty() {
            return work;
        }
        self.flush();
        self.channel.owes_still(now);
        while self.channel.fill(now) {}
        while let Some(len) = self.next_reply() {
            work += 1;
            self.hear(len, group, streams);
            self.channel.consume(len);
            if self.ticket.is_some() && self.left == 0 && self.ended.is_none() {
                let result = self.refused.take().map_or(Ok(()), Err);
                self.end(result);
                if std::mem::take(&mut self.is_elsewhere) {
                    self.channel.lose("it does not write any more");
                    break;
                }
            }
        }
        if let Some((_, Ok(()))) = self.ended {
            for (PartitionId(stream), position) in self.positions.drain(..) {
                unacked.forget_below(usize::from(stream), position);
            }
        }
        if self.owed.is_empty() {
            self.channel.owes_nothing();
        }
        work
    }

    fn flush(&mut self) {
        self.written += self.channel.write(&self.out[self.written..]);
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
    }

    fn next_reply(&mut self) -> Option<usize> {
        if self.owed.is_empty() || !self.channel.is_open() {
            return None;
        }
        let Ok(len) = self.scanner.scan(self.channel.input()) else {
            self.channel.lose("what it says is no reply");
            return None;
        };
        len
    }

    fn hear(&mut self, len: usize, group: &Group, streams: &[String]) {
        let Some(owed) = self.owed.pop_front() else { return };
        let mut items = Items::of(&self.channel.input()[..len]);
        let is_of_commit = owed != Owed::Removed;
        self.left -= usize::from(is_of_commit);
        match items.next() {
            Some(Item::Error(_)) => self.hear_error(len, owed, group),
            Some(Item::Integer(count)) if owed == Owed::Count => self.acked += count as u64,
            Some(Item::Integer(count)) if owed == Owed::Removed && count > 0 => {
                let text = Sentence::format(format_args!(
                    "{count} consumers that were gone and had nothing pending left the group of \
                     {}",
                    streams.join(", ")
                ));
                self.told =
                    Some(Told::Notice { event: "consumers.removed", text, alarming: false });
            }
            Some(Item::Integer(1..)) if owed == Owed::Together => self.hear_of_others(),
            Some(Item::Integer(_)) if owed == Owed::Together => self.acked = self.sent,
            Some(Item::Array(_)) if owed == Owed::Counts => {
                self.acked += items.integer().unwrap_or(0) as u64;
            }
            _ => {}
        }
    }

    #[cold]
    fn hear_error(&mut self, len: usize, owed: Owed, group: &Group) {
        let what = match owed {
            Owed::Removed => "removing consumers by EVAL",
            Owed::Together => "acknowledging and writing by EVAL",
            _ => "XACK",
        };
        let error = &self.channel.input()[1..len - 2];
        let (_, fault) = faults::fault(error);
        let trouble = faults::trouble(self.channel.peer(), self.channel.address(), what, error);
        // With the next connection that reads.
        let is_made_anew = fault == Fault::NoGroup && group.is_made_anew();
        let trouble = Trouble { heals: trouble.heals || is_made_anew, ..trouble };
        if owed == Owed::Removed {
            // They stay, which costs little; a group or stream that is gone has none.
            self.removes = false;
            let text = trouble.text;
            self.told = Some(Told::Notice { event: "consumers.kept", text, alarming: false });
            return;
        }
        self.is_elsewhere |= fault == Fault::Elsewhere;
        self.refused.get_or_insert(trouble);
    }

    /// Entries of the commit are others' now.
    #[cold]
    fn hear_of_others(&mut self) {
        let text = Sentence::format(format_args!(
            "{}: others claimed entries that were processed here, when those were idle for longer \
             than claim_idle; nothing of the commit was written",
            self.channel.address().shown()
        ));
        let (peer, code) = (self.channel.peer(), "ENTRIES_CLAIMED");
        self.refused = Some(Trouble { peer, code, text, heals: true });
    }

    fn end(&mut self, result: Result<(), Trouble>) {
        let Some(ticket) = self.ticket.take() else { return };
        self.ended = Some((ticket, result));
        if let (Some(staging), Ok(())) = (&self.staging, result) {
            staging.clear();
        }
        if result.is_ok() && self.is_ahead && self.acked < self.sent {
            // Over a connection that broke they may have been acknowledged from here: nobody knows.
            let text = Sentence::format(format_args!(
                "{} of {} entries had been acknowledged before, by others who claimed them or over \
                 a connection that broke: at most once none of these is processed here",
                self.sent - self.acked,
                self.sent
            ));
            let (peer, code) = (self.channel.peer(), "ENTRIES_CLAIMED");
            self.ended = Some((ticket, Err(Trouble { peer, code, text, heals: true })));
            self.has_lost = true;
            return;
        }
        if result.is_ok() && self.acked < self.sent && !self.is_repeated {
            let text = Sentence::format(format_args!(
                "{} of {} entries had been acknowledged by others, who claimed them when they were \
                 idle for longer than claim_idle: they were processed twice",
                self.sent - self.acked,
                self.sent
            ));
            self.told = Some(Told::Notice { event: "entries.lost", text, alarming: true });
        }
    }

    /// Answers that are owed, or another connection, end the wait.
    pub(super) fn wait_on(&self, set: &mut WaitSet) {
        if !self.owed.is_empty() || !self.channel.is_open() {
            self.channel.wait_on(set);
        }
    }
}
