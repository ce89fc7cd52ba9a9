//! Records that took long, and what held the hot thread up: plain values, a bounded number an
//! interval.
//!
//! The hot thread keeps the ten slowest records of an interval, and of those past a bound of their
//! transit as many as there is room for; the rest is counted. What a value means is said later, on
//! a side thread (`observe::slow`): here nothing is formatted, judged or kept for longer.

use crate::{
    clock::Ticks,
    limits::{SLOW_RECORDS_MAX, SLOWEST_RECORDS, STALLS_MAX},
    measure::{RegimeTicks, Stamps},
};

/// Bytes of a record's key that are kept.
pub const KEY_BYTES_KEPT: usize = 64;

/// Bytes of a topic's name that are kept.
pub const TOPIC_BYTES_KEPT: usize = 64;

/// What the hot thread did between two readings of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// The end of a turn and its wait: commits, figures.
    Chores,
    /// The group, acknowledgements, and results that had found no room.
    Serving,
    /// Taking records from the client.
    Taking,
    /// One record.
    Processing,
    /// Handing a result over to the producer.
    Sending,
}

/// What the system took from the hot thread within a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How long that stretch was, in nanoseconds.
    pub within_ns: u64,
    /// Time on a core.
    pub cpu_ns: u64,
    /// Time that it was ready and had no core, where the system tells.
    pub waited_ns: u64,
    /// The core was taken away.
    pub involuntary_switches: u64,
    /// It gave the core up, or was stopped.
    pub voluntary_switches: u64,
    /// Pages that were given without reading a disk.
    pub minor_faults: u64,
    /// Pages that had to be read.
    pub major_faults: u64,
    /// It is on another core than at the beginning.
    pub has_migrated: bool,
}

/// Two readings of the hot thread's clock that lie too far apart.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// The earlier reading.
    pub from: Ticks,
    /// The later one.
    pub to: Ticks,
    /// What it did in between.
    pub doing: Doing,
    /// Since figures were last published, a tenth of a second ago at most.
    pub taken: Taken,
    /// The group was changing.
    pub is_rebalancing: bool,
}

/// A few bytes of something longer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kept<const N: usize> {
    bytes: [u8; N],
    len: u32,
}

impl<const N: usize> Kept<N> {
    /// The beginning of it.
    pub fn of(bytes: &[u8]) -> Kept<N> {
        let kept = bytes.len().min(N);
        let mut it = Kept { bytes: [0; N], len: u32::try_from(bytes.len()).unwrap_or(u32::MAX) };
        it.bytes[..kept].copy_from_slice(&bytes[..kept]);
        it
    }

    /// What was kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..N.min(self.len as usize)]
    }

    /// False where there was more.
    pub fn is_whole(&self) -> bool {
        self.len as usize <= N
    }
}

impl<const N: usize> std::fmt::Debug for Kept<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.bytes()))
    }
}

/// A record that took long, and what was going on when it was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct SlowRecord {
    /// Queue to send, in nanoseconds.
    pub transit_ns: u64,
    /// That is past the bound.
    pub is_past: bool,
    /// Arrival to acknowledgement, in nanoseconds: what the slowest are chosen by.
    pub here_ns: u64,
    /// Its way until it was handed over.
    pub stamps: Stamps,
    /// Its last result was acknowledged.
    pub acknowledged: Ticks,
    /// Where it came from.
    pub topic: Kept<TOPIC_BYTES_KEPT>,
    /// Its partition's number.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key, if it has one.
    pub key: Option<Kept<KEY_BYTES_KEPT>>,
    /// What the hot thread did from its arrival to its hand-over.
    pub regimes: RegimeTicks,
    /// The longest stall that it lived through.
    pub stall: Option<Stall>,
    /// What the system took from the hot thread lately.
    pub taken: Taken,
    /// Age of the oldest table's answers, where it is known.
    pub table_age_ns: Option<u64>,
    /// Results handed over and not acknowledged.
    pub in_flight: u32,
    /// A commit was under way.
    pub is_committing: bool,
    /// The group was changing.
    pub is_rebalancing: bool,
    /// The last time that nothing was processed was because a table was too old.
    pub was_table_old: bool,
}

/// The slow records and stalls of an interval.
#[derive(Clone, Debug)]
pub struct SlowBook {
    slowest: Vec<SlowRecord>,
    /// Others past the bound.
    past: Vec<SlowRecord>,
    /// The least of the slowest, once there are enough of them.
    floor_ns: u64,
    /// Records past the bound for which there was no room.
    pub left_out: u64,
    stalls: Vec<Stall>,
    /// Stalls for which there was no room.
    pub stalls_left_out: u64,
}

impl SlowBook {
    /// Takes all memory.
    pub fn new() -> SlowBook {
        SlowBook {
            slowest: Vec::with_capacity(SLOWEST_RECORDS),
            past: Vec::with_capacity(SLOW_RECORDS_MAX - SLOWEST_RECORDS),
            floor_ns: 0,
            left_out: 0,
            stalls: Vec::with_capacity(STALLS_MAX),
            stalls_left_out: 0,
        }
    }

    /// Whether a record that took so long here is one of the slowest so far.
    #[inline]
    pub fn is_slowest(&self, here_ns: u64) -> bool {
        here_ns > self.floor_ns || self.slowest.len() < SLOWEST_RECORDS
    }

    /// Whether a record is to be added. One past the bound for which there is no room is counted: a
    /// thread that is behind has no time to say so at length, record by record.
    #[inline]
    pub fn wants(&mut self, here_ns: u64, is_past: bool) -> bool {
        let wants = self.is_slowest(here_ns) || is_past && !self.is_full();
        self.left_out += u64::from(is_past && !wants);
        wants
    }

    fn is_full(&self) -> bool {
        self.past.len() == SLOW_RECORDS_MAX - SLOWEST_RECORDS
    }

    /// Takes a record in that is one of the slowest, or past the bound.
    #[cold]
    pub fn add(&mut self, record: SlowRecord) {
        let mut record = record;
        if self.slowest.len() < SLOWEST_RECORDS {
            self.slowest.push(record);
        } else if let Some(least) = self.slowest.iter_mut().min_by_key(|it| it.here_ns)
            && record.here_ns > least.here_ns
        {
            std::mem::swap(least, &mut record);
            self.keep_past(record);
        } else {
            self.keep_past(record);
        }
        if self.slowest.len() == SLOWEST_RECORDS {
            self.floor_ns = self.slowest.iter().map(|it| it.here_ns).min().unwrap_or(0);
        }
    }

    fn keep_past(&mut self, record: SlowRecord) {
        if !record.is_past {
            return;
        }
        match self.is_full() {
            false => self.past.push(record),
            true => self.left_out += 1,
        }
    }

    /// Takes a stall in.
    pub fn add_stall(&mut self, stall: Stall) {
        match self.stalls.len() < STALLS_MAX {
            true => self.stalls.push(stall),
            false => self.stalls_left_out += 1,
        }
    }

    /// Takes in all that a later one has.
    pub fn add_all(&mut self, later: &SlowBook) {
        for record in later.records() {
            if self.wants(record.here_ns, record.is_past) {
                self.add(*record);
            }
        }
        self.left_out += later.left_out;
        for stall in later.stalls() {
            self.add_stall(*stall);
        }
        self.stalls_left_out += later.stalls_left_out;
    }

    /// All records that were kept, in no order.
    pub fn records(&self) -> impl Iterator<Item = &SlowRecord> {
        self.slowest.iter().chain(&self.past)
    }

    /// All stalls that were kept, in the order of time.
    pub fn stalls(&self) -> &[Stall] {
        &self.stalls
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.slowest.clear();
        self.past.clear();
        self.stalls.clear();
        (self.floor_ns, self.left_out, self.stalls_left_out) = (0, 0, 0);
    }
}

impl Default for SlowBook {
    fn default() -> SlowBook {
        SlowBook::new()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One with nothing special about it.
    pub(crate) fn record(transit_ns: u64, here_ns: u64) -> SlowRecord {
        SlowRecord {
            transit_ns,
            is_past: false,
            here_ns,
            stamps: Stamps::NONE,
            acknowledged: Ticks(0),
            topic: Kept::of(b"orders"),
            partition: 0,
            offset: 0,
            key: None,
            regimes: RegimeTicks::default(),
            stall: None,
            taken: Taken::default(),
            table_age_ns: None,
            in_flight: 0,
            is_committing: false,
            is_rebalancing: false,
            was_table_old: false,
        }
    }

    #[test]
    fn the_slowest_are_kept_whatever_order_they_come_in_and_the_rest_is_counted() {
        for descending in [false, true] {
            let mut book = SlowBook::new();
            let count = 1_000_u64;
            for number in 0..count {
                let here_ns = if descending { count - number } else { number + 1 };
                let is_past = here_ns > 500;
                if book.wants(here_ns, is_past) {
                    book.add(SlowRecord { is_past, ..record(here_ns, here_ns) });
                }
            }
            let mut kept: Vec<_> = book.records().map(|it| it.here_ns).collect();
            kept.sort_unstable();
            assert_eq!(kept.len(), SLOW_RECORDS_MAX);
            assert_eq!(kept[kept.len() - SLOWEST_RECORDS..], (991..=1_000).collect::<Vec<_>>());
            assert!(kept.iter().all(|it| *it > 500), "{kept:?}");
            assert_eq!(book.left_out, 500 - SLOW_RECORDS_MAX as u64);
            book.clear();
            assert!(book.is_slowest(0) && book.records().count() == 0);
        }
    }

    #[test]
    fn a_long_key_is_cut_and_says_so() {
        let long = Kept::<4>::of(b"abcdef");
        assert_eq!((long.bytes(), long.is_whole()), (&b"abcd"[..], false));
        let short = Kept::<4>::of(b"ab");
        assert_eq!((short.bytes(), short.is_whole()), (&b"ab"[..], true));
    }
}
