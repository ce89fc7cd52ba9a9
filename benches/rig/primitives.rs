//! What a record costs at the least: the primitives, each alone, on the same records.
//!
//! They are taken from their crates and not from this program, so that a slow codec cannot excuse a
//! slow engine: simd-json's tape, the `md-5` crate or one lookup, a splice of known bytes at a
//! known place, and the clock reads and histogram records that a record's stages take. Each goes
//! over a batch by itself, with nothing in between: the sum is what no engine can be below.

use std::mem;

use hdrhistogram::Histogram;
use hotspur::{
    cache::Tables,
    clock::{Clock, Ticks, TscClock},
    limits::{LATENCY_DIGITS, LATENCY_NS_MAX, LATENCY_NS_MIN},
    prefetch::prefetch,
};
use md5::{Digest, Md5};
use simd_json::{Buffers, INPUT_PADDING, Tape, fill_tape_padded};

use super::records::KeyAndValue;

/// Records of which one primitive is taken before the next one's turn; a turn's batch.
const BATCH: usize = 256;

/// Clock reads a record: the ends of parse, operate, encode and send.
const CLOCK_READS: usize = 4;

/// Histogram records a record: eight stages and two totals.
const HISTOGRAM_RECORDS: usize = 10;

const RECORD_BYTES_MAX: usize = 4096;

/// What a CPU takes from memory at a time, in bytes.
const CACHE_LINE: usize = 64;

const DIGITS: &[u8; 16] = b"0123456789abcdef";
const NUMBER_START: &[u8] = b"\"value\":";

/// Nanoseconds, over any number of records.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Costs {
    pub(crate) parse: f64,
    /// The digest or the lookup.
    pub(crate) work: f64,
    pub(crate) splice: f64,
    pub(crate) stamps: f64,
}

impl Costs {
    pub(crate) fn sum(&self) -> f64 {
        self.parse + self.work + self.splice + self.stamps
    }

    /// The same shares of another sum.
    pub(crate) fn scaled_to(&self, sum: f64) -> Costs {
        let scaled = |part: f64| part / self.sum() * sum;
        Costs {
            parse: scaled(self.parse),
            work: scaled(self.work),
            splice: scaled(self.splice),
            stamps: scaled(self.stamps),
        }
    }
}

/// What stands between parse and splice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// The md5 of the value, spliced in as hex.
    Digest,
    /// A lookup of the key, spliced in with a text made of key, number and entry.
    LookupAndSplice,
    /// A lookup of the key; the text alone is the result.
    LookupAndText,
}

/// The primitives with their kept memory.
pub(crate) struct Primitives<'a> {
    clock: TscClock,
    work: Work,
    records: &'a [KeyAndValue],
    /// Where the number stands in each record's value.
    numbers: Vec<(usize, usize)>,
    tables: &'a Tables,
    padded: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
    digests: Vec<[u8; 32]>,
    entries: Vec<&'a [u8]>,
    out: Vec<u8>,
    histograms: [Histogram<u64>; HISTOGRAM_RECORDS],
    next: usize,
}

impl<'a> Primitives<'a> {
    pub(crate) fn new(work: Work, records: &'a [KeyAndValue], tables: &'a Tables) -> Self {
        let histogram = |_| {
            Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, LATENCY_DIGITS)
                .expect("bounds that fit a histogram")
        };
        Primitives {
            clock: TscClock::new(),
            work,
            records,
            numbers: records.iter().map(|(_, value)| number_in(value)).collect(),
            tables,
            padded: vec![0; RECORD_BYTES_MAX + INPUT_PADDING],
            buffers: Buffers::new(RECORD_BYTES_MAX),
            tape: Tape(Vec::with_capacity(RECORD_BYTES_MAX)),
            digests: vec![[0; 32]; BATCH],
            entries: vec![&[]; BATCH],
            out: Vec::with_capacity(BATCH * RECORD_BYTES_MAX),
            histograms: std::array::from_fn(histogram),
            next: 0,
        }
    }

    /// What `count` records cost, in whole batches.
    pub(crate) fn run(&mut self, count: u64) -> Costs {
        let mut costs = Costs::default();
        for _ in 0..count.div_ceil(BATCH as u64) {
            self.batch(&mut costs);
        }
        costs
    }

    fn batch(&mut self, costs: &mut Costs) {
        if self.next + BATCH > self.records.len() {
            self.next = 0;
        }
        let (records, from) = (self.records, self.next);
        let batch = &records[from..from + BATCH];
        self.next += BATCH;
        self.out.clear();
        // As near as the engine has them, for nothing.
        for bytes in batch.iter().flat_map(|(key, value)| [key, value]) {
            bytes.chunks(CACHE_LINE).for_each(|line| prefetch(line.as_ptr()));
        }
        let start = self.clock.now();
        batch.iter().for_each(|(_, value)| self.parse(value));
        let parsed = self.clock.now();
        match self.work {
            Work::Digest => self.digest(batch),
            Work::LookupAndSplice | Work::LookupAndText => self.look_up(batch),
        }
        let worked = self.clock.now();
        for (at, (key, value)) in batch.iter().enumerate() {
            self.splice(at, from + at, key, value);
        }
        let spliced = self.clock.now();
        batch.iter().for_each(|_| self.stamps(start));
        let stamped = self.clock.now();
        std::hint::black_box(&self.out);
        let nanos = |from, to| self.clock.nanos(from, to) as f64;
        costs.parse += nanos(start, parsed);
        costs.work += nanos(parsed, worked);
        costs.splice += nanos(worked, spliced);
        costs.stamps += nanos(spliced, stamped);
    }

    /// The input is kept, so the parser, which writes to what it is given, gets a copy.
    fn parse(&mut self, value: &[u8]) {
        let padded = &mut self.padded[..value.len() + INPUT_PADDING];
        padded[..value.len()].copy_from_slice(value);
        let mut tape = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        fill_tape_padded(padded, value.len(), &mut self.buffers, &mut tape).expect("valid JSON");
        std::hint::black_box(&tape);
        self.tape = tape.reset();
    }

    fn digest(&mut self, batch: &[KeyAndValue]) {
        for (hex, (_, value)) in self.digests.iter_mut().zip(batch) {
            let digest: [u8; 16] = Md5::digest(value).into();
            for (pair, byte) in hex.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
                *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
            }
        }
    }

    fn look_up(&mut self, batch: &[KeyAndValue]) {
        let reader = self.tables.reader(0);
        for (entry, (key, _)) in self.entries.iter_mut().zip(batch) {
            *entry = reader.get(key).expect("every key is in the table").bytes;
            // The entry's bytes are what a lookup is for.
            std::hint::black_box(entry.first());
        }
    }

    fn splice(&mut self, at: usize, index: usize, key: &[u8], value: &[u8]) {
        let body = &value[..value.len() - 1];
        if self.work == Work::Digest {
            let parts = [body, b",\"hash\":\"", &self.digests[at], b"\"}"];
            parts.into_iter().for_each(|part| self.out.extend_from_slice(part));
            return;
        }
        let (start, end) = self.numbers[index];
        let (number, entry) = (&value[start..end], self.entries[at]);
        if self.work == Work::LookupAndSplice {
            let parts = [body, b",\"cached\":\"", entry, b"\",\"result\":\""];
            parts.into_iter().for_each(|part| self.out.extend_from_slice(part));
        }
        let parts = [b"processed_", key, b"_", number, b"_", entry];
        parts.into_iter().for_each(|part| self.out.extend_from_slice(part));
        if self.work == Work::LookupAndSplice {
            self.out.extend_from_slice(b"\"}");
        }
    }

    fn stamps(&mut self, start: Ticks) {
        let reads: [Ticks; CLOCK_READS] = std::array::from_fn(|_| self.clock.now());
        for (index, histogram) in self.histograms.iter_mut().enumerate() {
            let from = if index < CLOCK_READS { start } else { reads[index % CLOCK_READS] };
            let nanos = self.clock.nanos(from, reads[CLOCK_READS - 1]);
            histogram.record(nanos).expect("shorter than an hour");
        }
    }
}

impl std::fmt::Debug for Primitives<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Primitives").field("work", &self.work).finish_non_exhaustive()
    }
}

/// Nothing where there is no such field.
fn number_in(value: &[u8]) -> (usize, usize) {
    let start = memchr::memmem::find(value, NUMBER_START).map(|at| at + NUMBER_START.len());
    let Some(start) = start else { return (0, 0) };
    let digits = value[start..].iter().take_while(|it| it.is_ascii_digit()).count();
    (start, start + digits)
}
