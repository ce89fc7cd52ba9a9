//! Results into Redis Streams: `XADD`s written one behind the other, acknowledged by their replies.
//!
//! What was handed over stays here until it is acknowledged: when a connection breaks, what had no
//! answer is sent again over the next one, in its order, which may add an entry twice. Who wants
//! none twice rather than all (at most once) gets it the other way round: what may have arrived is
//! not sent again. A server that cannot take entries for now (no memory, a replica) is asked again
//! after a pause; only then can entries of one stream that were under way together change places.

use std::{collections::VecDeque, sync::atomic::AtomicBool, time::Duration};

use super::{
    address::Address,
    channel::{Channel, Plan},
    entry::EntryForm,
    faults::{self, Fault},
    resp::{self, Item, Items, Scanner},
};
use crate::{
    clock::{Clock, Ticks, TscClock},
    config::settings,
    limits::STREAM_RESULTS_MAX,
    record::{Destination, Output},
    transport::{Ack, Refusal, SendError, Sink, Token, Trouble, WaitSet},
    verdict::Sentence,
};

/// Bytes of replies that are kept.
const INPUT_BYTES: usize = 64 << 10;

/// What is not sent yet and larger is sent before the turn is over.
const UNSENT_BYTES: usize = 64 << 10;

/// Bytes behind the first that moves down when there is this much free before it.
const MOVE_BYTES: usize = 1 << 20;

/// Between two tries of what the server could not take.
const RETRY_NS: u64 = 100_000_000;

/// What a sink of streams is made of.
#[derive(Debug)]
pub struct RedisSinkPlan<'a> {
    /// What trouble names: `sink` or `dead_letters`.
    pub peer: &'static str,
    /// What `[sink.redis]` says, or for dead letters where they go.
    pub settings: &'a settings::RedisSink,
    /// The streams, in the order of their destinations.
    pub streams: &'a [String],
    /// From this destination on they are dead letters.
    pub letters_from: Destination,
    /// Bytes of results that are kept at most.
    pub bytes: usize,
    /// What may have arrived is sent again.
    pub is_repeated: bool,
}

impl RedisSinkPlan<'_> {
    pub(super) fn form(&self) -> EntryForm {
        let settings::RedisSink { field, maxlen, .. } = self.settings;
        EntryForm::new(self.streams.to_vec(), self.letters_from, field.clone(), *maxlen)
    }
}

/// A result that has no answer.
#[derive(Clone, Copy, Debug)]
struct Sent {
    len: usize,
    token: Token,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    /// Its token was returned.
    Done,
    /// The server could not take it for now.
    Again,
}

/// A sink that adds entries to streams.
#[derive(Debug)]
pub struct RedisSink<C = TscClock> {
    peer: &'static str,
    channel: Channel<C>,
    clock: C,
    form: EntryForm,
    is_repeated: bool,
    /// Commands: acknowledged up to `start`, written up to `written`.
    bytes: Vec<u8>,
    start: usize,
    written: usize,
    results: VecDeque<Sent>,
    /// Of those from the front on, how many have an answer.
    answered: usize,
    /// Results whose token was not returned.
    in_flight: usize,
    /// Some are to be sent again, then; until then nothing else is taken.
    again: Option<Ticks>,
    /// To whoever answers over another connection.
    is_elsewhere: bool,
    scanner: Scanner,
    trouble: Option<Trouble>,
}

impl RedisSink {
    /// Connects, and waits for the server no longer than that and until the flag is true: then
    /// `None`. Threads that this starts inherit the calling thread's affinity.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached in time, or a stream's name holds something else.
    pub fn open(
        plan: &RedisSinkPlan<'_>,
        clock: TscClock,
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<RedisSink>, Trouble> {
        let RedisSinkPlan { peer, settings, .. } = *plan;
        let fault =
            |text: String| Trouble { peer, code: "ERR", text: text.as_str().into(), heals: false };
        let address = Address::parse(&settings.url, &settings.shown).map_err(fault)?;
        RedisSink::open_at(plan, address, clock, wait)
    }
}

impl<C: Clock + Clone> RedisSink<C> {
    /// The same with a clock of any kind, at an address other than the plan's.
    ///
    /// # Errors
    ///
    /// As `open`.
    pub fn open_at(
        plan: &RedisSinkPlan<'_>,
        address: Address,
        clock: C,
        wait: (Duration, &AtomicBool),
    ) -> Result<Option<RedisSink<C>>, Trouble> {
        let RedisSinkPlan { peer, streams, bytes, is_repeated, .. } = *plan;
        let names = streams.to_vec();
        let channel = Plan {
            peer,
            address,
            prepare: Box::new(move |dialog| {
                dialog.require("PING", &[b"PING"])?;
                // A key that holds something else is found before a record is.
                names.iter().try_for_each(|name| {
                    let what = format!("XLEN {name}");
                    dialog.require(&what, &[b"XLEN", name.as_bytes()]).map(|_| ())
                })
            }),
            clock: clock.clone(),
            input_bytes: INPUT_BYTES,
        };
        let Some(channel) = Channel::open(channel, wait)? else { return Ok(None) };
        Ok(Some(RedisSink {
            peer,
            channel,
            clock,
            form: plan.form(),
            is_repeated,
            bytes: Vec::with_capacity(bytes),
            start: 0,
            written: 0,
            results: VecDeque::with_capacity(STREAM_RESULTS_MAX),
            answered: 0,
            in_flight: 0,
            again: None,
            is_elsewhere: false,
            scanner: Scanner::default(),
            trouble: None,
        }))
    }
}

impl<C: Clock> RedisSink<C> {
    /// Room for that many bytes more, without taking memory.
    fn has_room_for(&mut self, len: usize) -> bool {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            (self.start, self.written) = (0, 0);
        }
        let is_short = self.bytes.len() + len > self.bytes.capacity();
        if self.start > 0 && (is_short || self.start > MOVE_BYTES.max(self.bytes.len() / 2)) {
            self.bytes.drain(..self.start);
            (self.written, self.start) = (self.written - self.start, 0);
        }
        self.bytes.len() + len <= self.bytes.capacity()
    }

    /// Sends what was not sent.
    fn flush(&mut self, now: Ticks) {
        if self.written < self.bytes.len() {
            let written = self.channel.write(&self.bytes[self.written..]);
            self.written += written;
            if written > 0 {
                self.channel.owes(now);
            }
        }
    }

    fn hear_replies(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        let mut acks = 0;
        while self.answered < self.results.len() && self.channel.is_open() {
            let Ok(len) = self.scanner.scan(self.channel.input()) else {
                self.channel.lose("what it says is no reply");
                break;
            };
            let Some(len) = len else { if self.channel.fill(now) { continue } else { break } };
            let at = self.channel.arrived();
            let answer = match Items::of(&self.channel.input()[..len]).next() {
                Some(Item::Error(_)) => self.hear_error(len),
                _ => Some(Ok(())),
            };
            self.channel.consume(len);
            let sent = &mut self.results[self.answered];
            self.answered += 1;
            let Some(result) = answer else {
                sent.fate = Fate::Again;
                continue;
            };
            sent.fate = Fate::Done;
            acks += 1;
            visit(Ack { token: sent.token, at, result });
            self.drop_done();
        }
        acks
    }

    /// What is answered in front of all others is not kept.
    fn drop_done(&mut self) {
        while let Some(Sent { len, fate: Fate::Done, .. }) = self.results.front().copied() {
            self.results.pop_front();
            self.start += len;
            self.answered -= 1;
        }
    }

    /// What an error comes to; nothing if the same may be taken later.
    #[cold]
    fn hear_error(&mut self, len: usize) -> Option<Result<(), Refusal>> {
        let error = &self.channel.input()[1..len - 2];
        let (code, fault) = faults::fault(error);
        let trouble = faults::trouble(self.peer, self.channel.address(), "XADD", error);
        let refusal =
            Refusal { code, too_large: false, fatal: false, aborts: false, is_about_content: true };
        match fault {
            Fault::Heals | Fault::Elsewhere => {
                self.trouble.get_or_insert(trouble);
                let due = Ticks(self.clock.now().0 + self.clock.ticks(RETRY_NS));
                self.again.get_or_insert(due);
                self.is_elsewhere |= fault == Fault::Elsewhere;
                None
            }
            Fault::Final if code == "ERR" => Some(Err(refusal)),
            Fault::Final | Fault::NoGroup => {
                self.trouble = Some(trouble);
                Some(Err(Refusal { fatal: true, is_about_content: false, ..refusal }))
            }
        }
    }

    /// What has no good answer becomes what was not sent yet.
    #[cold]
    fn send_again(&mut self) {
        let (mut from, mut to) = (self.start, self.start);
        for sent in &self.results {
            if sent.fate != Fate::Done {
                self.bytes.copy_within(from..from + sent.len, to);
                to += sent.len;
            }
            from += sent.len;
        }
        self.bytes.truncate(to);
        self.results.retain(|it| it.fate != Fate::Done);
        self.results.iter_mut().for_each(|it| it.fate = Fate::Open);
        (self.written, self.answered, self.again) = (self.start, 0, None);
    }

    /// Another connection: what had no answer over the last one may have arrived.
    #[cold]
    fn begin_again(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        self.scanner = Scanner::default();
        let mut acks = 0;
        if !self.is_repeated {
            let mut end = self.start;
            for sent in &mut self.results {
                if end < self.written && sent.fate == Fate::Open {
                    sent.fate = Fate::Done;
                    acks += 1;
                    visit(Ack { token: sent.token, at: now, result: Ok(()) });
                }
                end += sent.len;
            }
            if acks > 0 {
                let text = Sentence::format(format_args!(
                    "{}: {acks} results were under way when the connection broke and may be lost: \
                     at most once they are not sent again",
                    self.channel.address().shown()
                ));
                self.trouble =
                    Some(Trouble { peer: self.peer, code: "RESULTS_LOST", text, heals: true });
            }
        }
        self.send_again();
        acks
    }

    fn has_unsent(&self) -> bool {
        self.written < self.bytes.len() && self.channel.is_open()
    }
}

impl<C: Clock> Sink for RedisSink<C> {
    #[inline]
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        if self.results.len() == STREAM_RESULTS_MAX || self.again.is_some() {
            return Err(SendError::Full);
        }
        let len = self.form.bytes_max(output);
        if len > self.bytes.capacity() {
            return Err(SendError::Refused(Refusal {
                code: "TOO_LARGE",
                too_large: true,
                fatal: false,
                aborts: false,
                is_about_content: true,
            }));
        }
        if !self.has_room_for(len) {
            return Err(SendError::Full);
        }
        let before = self.bytes.len();
        self.form.write(output, &mut self.bytes, |out, words| {
            resp::begin(out, 1 + words);
            resp::word(out, b"XADD");
        });
        let len = self.bytes.len() - before;
        self.results.push_back(Sent { len, token, fate: Fate::Open });
        self.in_flight += 1;
        if self.bytes.len() - self.written >= UNSENT_BYTES {
            self.flush(self.clock.now());
        }
        Ok(())
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        let mut acks = 0;
        if self.channel.serve() {
            acks += self.begin_again(now, visit);
        }
        self.flush(now);
        acks += self.hear_replies(now, visit);
        if self.answered == self.results.len() {
            self.channel.owes_nothing();
            if self.again.is_some_and(|due| now >= due) {
                match std::mem::take(&mut self.is_elsewhere) {
                    true => self.channel.lose("it does not write any more"),
                    false => self.send_again(),
                }
            }
        }
        self.in_flight -= acks;
        acks + usize::from(self.has_unsent())
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        self.trouble.take().or_else(|| self.channel.next_trouble())
    }

    fn next_recovery(&mut self) -> Option<&'static str> {
        self.channel.next_recovery()
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        self.channel.wait_on(set);
    }
}
