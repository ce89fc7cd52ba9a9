//! Lookups one by one on a pinned thread, each between two readings of the time stamp counter,
//! while a writer on another core does what it was told.
//!
//! The readings are fenced, so that a lookup neither begins early nor is still under way at the
//! second. What they take themselves is in every figure; a row of its own says how much that is.

use std::{
    hint, iter,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use hotspur::host;

use super::structures::{Numbers, Reads, Structure, key_of};

/// Writes before the writer publishes and looks at the clock.
const BATCH: u64 = 64;

/// What the writer does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Idle,
    /// Replaces values of random keys, so many a second.
    Replace(u64),
    /// Adds as many keys as there are, as fast as it can.
    Grow,
    /// Replaces every value in order, a million a second, and sweeps.
    Reload,
}

const RELOAD_RATE: u64 = 1_000_000;

/// What was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Nanoseconds.
    pub(crate) latency: Histogram<u64>,
    pub(crate) written: Written,
}

/// What the writer did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) a_second: f64,
    /// The longest time that one batch took.
    pub(crate) stall: Duration,
}

impl Seen {
    pub(crate) fn at(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64
    }

    pub(crate) fn max(&self) -> f64 {
        self.latency.max() as f64
    }
}

/// The cores of reader and writer; one and the same where there is but one.
///
/// To be called first before a thread is pinned: afterwards it has but one.
pub(crate) fn cores() -> (usize, usize) {
    static COUNT: OnceLock<usize> = OnceLock::new();
    let count = *COUNT.get_or_init(|| thread::available_parallelism().map_or(1, usize::from));
    (count - 1, count.saturating_sub(2))
}

/// Ends the writer also when the reader fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Time stamps, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamps {
    nanos_a_tick: f64,
}

impl Stamps {
    pub(crate) fn calibrated() -> Stamps {
        let (start, first) = (Instant::now(), stamp());
        while start.elapsed() < Duration::from_millis(50) {
            hint::spin_loop();
        }
        let ticks = stamp() - first;
        Stamps { nanos_a_tick: start.elapsed().as_nanos() as f64 / ticks as f64 }
    }

    fn nanos(self, ticks: u64) -> u64 {
        (ticks as f64 * self.nanos_a_tick) as u64
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn stamp() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: both instructions are part of the architecture and touch no memory.
    unsafe {
        _mm_lfence();
        let now = _rdtsc();
        _mm_lfence();
        now
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn stamp() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Looks random keys up for that long, or until the writer is done with what has an end.
pub(crate) fn measure<S: Structure>(
    (writer, reader): (&mut S, &mut impl Reads),
    keys: u64,
    work: Work,
    length: Duration,
    stamps: Stamps,
) -> Seen {
    let (begun, stop, done) =
        (AtomicBool::new(false), AtomicBool::new(false), &AtomicBool::new(false));
    let (begun, stop) = (&begun, &stop);
    thread::scope(|scope| {
        let side = scope.spawn(move || {
            // Fails where a system keeps no thread on a core; then it runs where it may.
            let _ = host::pin_current(cores().1);
            begun.store(true, Ordering::Release);
            let written = write(writer, keys, work, stop);
            done.store(true, Ordering::Release);
            written
        });
        while !begun.load(Ordering::Acquire) {
            hint::spin_loop();
        }
        let is_over = |start: Instant| match work {
            Work::Idle | Work::Replace(_) => start.elapsed() >= length,
            Work::Grow | Work::Reload => done.load(Ordering::Acquire),
        };
        let at_end = StopAtEnd(stop);
        let latency = read(reader, keys, is_over, stamps);
        drop(at_end);
        Seen { latency, written: side.join().expect("the writer ends well") }
    })
}

/// Looks random keys up alone.
pub(crate) fn read(
    reader: &mut impl Reads,
    keys: u64,
    is_over: impl Fn(Instant) -> bool,
    stamps: Stamps,
) -> Histogram<u64> {
    let mut latency = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("good bounds");
    let mut numbers = Numbers(stamp());
    let start = Instant::now();
    while !is_over(start) {
        for _ in 0..64 {
            let key = key_of(numbers.below(keys));
            let before = stamp();
            let value = hint::black_box(reader.look(hint::black_box(&key)));
            let after = stamp();
            assert_ne!(value, 0, "every key is there");
            latency.saturating_record(stamps.nanos(after - before));
        }
    }
    latency
}

fn write(writer: &mut impl Structure, keys: u64, work: Work, stop: &AtomicBool) -> Written {
    let mut numbers = Numbers(stamp());
    match work {
        Work::Idle => Written::default(),
        Work::Replace(rate) => {
            let random = iter::repeat_with(move || numbers.below(keys));
            paced(writer, random, rate, stop)
        }
        Work::Grow => paced(writer, keys..2 * keys, u64::MAX, stop),
        Work::Reload => {
            let mut written = paced(writer, 0..keys, RELOAD_RATE, stop);
            let before = Instant::now();
            writer.sweep();
            written.stall = written.stall.max(before.elapsed());
            written
        }
    }
}

/// Puts them batch by batch, none before it is due.
fn paced(
    writer: &mut impl Structure,
    mut numbers: impl Iterator<Item = u64>,
    rate: u64,
    stop: &AtomicBool,
) -> Written {
    let start = Instant::now();
    let (mut count, mut stall) = (0, Duration::ZERO);
    while !stop.load(Ordering::Acquire) {
        let due = start.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000;
        if due < u128::from(count + BATCH) {
            hint::spin_loop();
            continue;
        }
        let before = Instant::now();
        let mut put = 0;
        for number in numbers.by_ref().take(BATCH as usize) {
            writer.put(number, count + 1);
            put += 1;
        }
        writer.publish();
        stall = stall.max(before.elapsed());
        count += put;
        if put < BATCH {
            break;
        }
    }
    Written { a_second: count as f64 / start.elapsed().as_secs_f64(), stall }
}
