//! The hot thread's end of a connection: reads and writes that never wait, and another connection
//! when one is lost.

use std::{
    io::{ErrorKind, Read, Write},
    sync::atomic::AtomicBool,
    time::Duration,
};

use super::{
    address::{Address, Socket},
    connector::{Connector, Prepare},
    faults,
};
use crate::{
    clock::{Clock, Ticks, TscClock},
    transport::{Trouble, WaitSet},
};

/// A server that owes an answer and is silent for so long is gone.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

/// What a channel is made of.
pub(super) struct Plan<C = TscClock> {
    pub(super) peer: &'static str,
    pub(super) address: Address,
    pub(super) prepare: Prepare,
    pub(super) clock: C,
    /// Bytes of replies that are kept at most, unless one part of a reply is larger.
    pub(super) input_bytes: usize,
}

/// A connection, while there is one.
#[derive(Debug)]
pub(super) struct Channel<C = TscClock> {
    peer: &'static str,
    address: Address,
    connector: Connector,
    clock: C,
    socket: Option<Socket>,
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// When the last bytes came.
    arrived: Ticks,
    /// The last read found nothing: what comes next wakes.
    is_drained: bool,
    /// The server owes an answer, by then.
    deadline: Option<Ticks>,
    patience_ticks: u64,
    trouble: Option<Trouble>,
    is_outage: bool,
    has_recovered: bool,
}

impl<C: Clock> Channel<C> {
    /// Connects; `None` if the flag became true first.
    pub(super) fn open(
        plan: Plan<C>,
        (patience, stop): (Duration, &AtomicBool),
    ) -> Result<Option<Channel<C>>, Trouble> {
        let Plan { peer, address, prepare, clock, input_bytes } = plan;
        let mut connector = Connector::start(peer, &address, prepare)?;
        let Some(socket) = connector.first(patience, stop)? else { return Ok(None) };
        let patience_ticks = clock.ticks(SILENCE.as_nanos() as u64);
        Ok(Some(Channel {
            peer,
            address,
            connector,
            arrived: clock.now(),
            clock,
            socket: Some(socket),
            input: vec![0; input_bytes],
            start: 0,
            end: 0,
            is_drained: false,
            deadline: None,
            patience_ticks,
            trouble: None,
            is_outage: false,
            has_recovered: false,
        }))
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn peer(&self) -> &'static str {
        self.peer
    }

    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    /// When what `input` ends with arrived.
    pub(super) fn arrived(&self) -> Ticks {
        self.arrived
    }

    /// Looks after the connection. True if there is another one, over which nothing was sent yet.
    pub(super) fn serve(&mut self) -> bool {
        if self.socket.is_some() {
            return false;
        }
        self.connector.clear();
        self.socket = self.connector.take();
        if self.socket.is_none() {
            return false;
        }
        (self.start, self.end, self.is_drained, self.deadline) = (0, 0, false, None);
        self.has_recovered |= std::mem::take(&mut self.is_outage);
        true
    }

    /// The connection is of no more use.
    #[cold]
    pub(super) fn lose(&mut self, why: &str) {
        if self.socket.take().is_none() {
            return;
        }
        (self.deadline, self.is_outage) = (None, true);
        (self.start, self.end) = (0, 0);
        self.trouble = Some(faults::lost(self.peer, &self.address, why));
        self.connector.ask();
    }

    /// The same, of a server that refuses what is asked for now: the next one comes after a pause.
    #[cold]
    pub(super) fn lose_for_now(&mut self, why: &str) {
        self.connector.rest();
        self.lose(why);
    }

    /// Another connection is wanted, though nothing is wrong with this one.
    #[cold]
    pub(super) fn renew(&mut self) {
        if self.socket.take().is_some() {
            self.deadline = None;
            (self.start, self.end) = (0, 0);
            self.connector.ask();
        }
    }

    /// What went wrong, oldest first.
    pub(super) fn next_trouble(&mut self) -> Option<Trouble> {
        self.trouble.take().or_else(|| self.connector.next_trouble())
    }

    /// The peer, once it has answered again.
    pub(super) fn next_recovery(&mut self) -> Option<&'static str> {
        std::mem::take(&mut self.has_recovered).then_some(self.peer)
    }

    /// The server owes an answer, from now on or still.
    pub(super) fn owes(&mut self, now: Ticks) {
        self.deadline = Some(Ticks(now.0 + self.patience_ticks));
    }

    /// It owes one since it was first said so.
    pub(super) fn owes_still(&mut self, now: Ticks) {
        if self.deadline.is_none() && self.socket.is_some() {
            self.owes(now);
        }
    }

    /// It owes none.
    pub(super) fn owes_nothing(&mut self) {
        self.deadline = None;
    }

    /// Writes what it takes of these bytes; how many those are. Never waits.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            let Some(socket) = &mut self.socket else { break };
            match socket.write(&bytes[written..]) {
                Ok(0) => self.lose("the connection was closed"),
                Ok(len) => written += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.lose_to(&error),
            }
        }
        written
    }

    /// Reads once; false if nothing came. Never waits. A server that owes an answer is gone if
    /// nothing came for too long, which can only be said when one looks.
    pub(super) fn fill(&mut self, now: Ticks) -> bool {
        self.make_room();
        let Some(socket) = &mut self.socket else { return false };
        match socket.read(&mut self.input[self.end..]) {
            Ok(0) => self.lose("the connection was closed"),
            Ok(len) => {
                self.end += len;
                self.is_drained = false;
                self.arrived = self.clock.now();
                self.deadline = self.deadline.map(|_| Ticks(self.arrived.0 + self.patience_ticks));
                return true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.is_drained = true;
                if self.deadline.is_some_and(|it| now >= it) {
                    self.lose("it is silent");
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.lose_to(&error),
        }
        false
    }

    #[cold]
    fn lose_to(&mut self, error: &std::io::Error) {
        // A kind has words of its own, and takes no memory.
        self.lose(match error.kind() {
            ErrorKind::ConnectionReset => "the connection was reset",
            ErrorKind::BrokenPipe => "the connection was closed",
            ErrorKind::TimedOut => "the connection timed out",
            _ => "the connection broke",
        });
    }

    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end > self.input.len() / 2 && self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.input.len() {
            self.grow();
        }
    }

    /// One part of a reply is larger than all that is kept: the only memory taken after the start.
    #[cold]
    fn grow(&mut self) {
        self.input.resize(2 * self.input.len(), 0);
    }

    /// What came and was not consumed.
    #[inline]
    pub(super) fn input(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    #[inline]
    pub(super) fn consume(&mut self, len: usize) {
        self.start += len;
        debug_assert!(self.start <= self.end);
    }

    /// Whatever comes, or another connection, ends the wait.
    pub(super) fn wait_on(&self, set: &mut WaitSet) {
        match &self.socket {
            Some(socket) if self.is_drained => set.add(socket.descriptor()),
            Some(_) => {}
            None => self.connector.wait_on(set),
        }
    }
}
