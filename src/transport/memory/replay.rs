//! Prepared records lent over and over, and a sink that acknowledges everything at the next turn.

use crate::{
    clock::Ticks,
    prefetch::prefetch,
    record::{Headers, Output, PartitionId, Record},
    transport::{Ack, SendError, Sink, Source, SourceEvent, Token, Trouble, WaitSet},
};

const ONLY: [PartitionId; 1] = [PartitionId(0)];

/// So many records later one is near that was asked for.
const PREFETCHED_AHEAD: u64 = 8;

/// So much of a value is asked for.
const LINES_PREFETCHED: usize = 4;

/// What a CPU takes from memory at a time, in bytes.
const CACHE_LINE: usize = 64;

/// A source of one partition that lends prepared records round and round, `total` in all.
#[derive(Debug)]
pub struct Replay {
    records: Vec<(Vec<u8>, Vec<u8>)>,
    total: u64,
    lent: u64,
    assigned: bool,
    committed: Option<(u64, i64)>,
    position: i64,
}

impl Replay {
    /// # Panics
    ///
    /// If there are no records.
    pub fn new(records: Vec<(Vec<u8>, Vec<u8>)>, total: u64) -> Replay {
        assert!(!records.is_empty(), "a replay needs a record");
        Replay { records, total, lent: 0, assigned: false, committed: None, position: 0 }
    }

    /// Lends `more` records beyond those of before.
    pub fn extend(&mut self, more: u64) {
        self.total += more;
    }

    /// Records lent so far.
    pub fn lent(&self) -> u64 {
        self.lent
    }

    /// The last committed offset.
    pub fn position(&self) -> i64 {
        self.position
    }

    fn record(&self, number: u64) -> &(Vec<u8>, Vec<u8>) {
        &self.records[(number % self.records.len() as u64) as usize]
    }

    /// Whoever receives records has just written them to memory, so they are near.
    fn prefetch(&self, number: u64) {
        let (key, value) = self.record(number);
        prefetch(key.as_ptr());
        for line in value.chunks(CACHE_LINE).chain(value.chunks(1).last()).take(LINES_PREFETCHED) {
            prefetch(line.as_ptr());
        }
    }
}

impl Source for Replay {
    fn serve(&mut self, _now: Ticks) -> usize {
        0
    }

    fn next_event(&mut self) -> Option<SourceEvent<'_>> {
        if !self.assigned {
            self.assigned = true;
            return Some(SourceEvent::Assigned(&ONLY));
        }
        let (ticket, position) = self.committed.take()?;
        self.position = position;
        Some(SourceEvent::Committed { ticket, result: Ok(()) })
    }

    fn poll(
        &mut self,
        now: Ticks,
        records_max: usize,
        take: &mut impl FnMut(&Record<'_>) -> bool,
    ) -> usize {
        let mut taken = 0;
        while taken < records_max && self.lent < self.total {
            self.prefetch(self.lent + PREFETCHED_AHEAD);
            let (key, value) = self.record(self.lent);
            let record = Record {
                partition: ONLY[0],
                topic: "memory",
                partition_number: 0,
                offset: self.lent as i64,
                timestamp_ms: Some(0),
                key: Some(key),
                value: Some(value),
                headers: Headers::NONE,
                arrived: now,
            };
            if !take(&record) {
                break;
            }
            self.lent += 1;
            taken += 1;
        }
        taken
    }

    fn commit(&mut self, ticket: u64, positions: &[(PartitionId, i64)]) {
        self.committed = positions.last().map(|&(_, position)| (ticket, position));
    }

    fn release(&mut self, _partitions: &[PartitionId]) {}

    fn partition(&self, _partition: PartitionId) -> (&str, i32) {
        ("memory", 0)
    }

    fn wait_on(&mut self, _set: &mut WaitSet) {}

    fn close(&mut self) {}
}

/// A sink that reads every byte it is given, keeps none and acknowledges all at the next chance.
#[derive(Debug)]
pub struct Discard {
    tokens: Vec<Token>,
    bytes: u64,
}

impl Discard {
    /// Takes up to `room` results between two polls for acknowledgements.
    pub fn new(room: usize) -> Discard {
        Discard { tokens: Vec::with_capacity(room), bytes: 0 }
    }

    /// Bytes of keys and values taken so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Sink for Discard {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        if self.tokens.len() == self.tokens.capacity() {
            return Err(SendError::Full);
        }
        let read = std::hint::black_box((output.key, output.value));
        self.bytes += (read.0.map_or(0, <[u8]>::len) + read.1.map_or(0, <[u8]>::len)) as u64;
        self.tokens.push(token);
        Ok(())
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        let count = self.tokens.len();
        for token in self.tokens.drain(..) {
            visit(Ack { token, at: now, result: Ok(()) });
        }
        count
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        None
    }

    fn in_flight(&self) -> usize {
        self.tokens.len()
    }

    fn wait_on(&mut self, _set: &mut WaitSet) {}
}
