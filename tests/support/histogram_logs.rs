//! Histogram logs as `run` writes them, made from a seed: for tests of whatever reads them.
//!
//! Written by the library's own writer. Stages sum to the totals, values have a long tail, and the
//! same shape gives the same file.

use std::{
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use hotspur::{
    measure::{Histograms, Interval, Span, Stage},
    observe::log_file::LogFile,
};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

/// Since the epoch: 2026-11-21T05:37:00.123Z.
pub(crate) const START: Duration = Duration::from_millis(1_795_239_420_123);

/// Stages that every record of such a log has.
pub(crate) const STAGES: [Stage; 8] = [
    Stage::Source,
    Stage::Queue,
    Stage::Batch,
    Stage::Parse,
    Stage::Operate,
    Stage::Encode,
    Stage::Send,
    Stage::Ack,
];

/// Their typical values, in nanoseconds.
const TYPICAL_NS: [u64; 8] = [900_000, 22_000, 3_000, 1_100, 750, 190, 8_600, 60_000];

/// What a log is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    /// A second each.
    pub(crate) intervals: u64,
    pub(crate) records_an_interval: u64,
    /// All values are so many percent of the usual ones.
    pub(crate) percent: u64,
    /// When it starts, after `START`.
    pub(crate) later: Duration,
    pub(crate) facts: &'static str,
}

pub(crate) const SHAPE: Shape = Shape {
    seed: 1,
    intervals: 20,
    records_an_interval: 2_000,
    percent: 100,
    later: Duration::ZERO,
    facts: "name: orders\ninstance: web1\nprofile: balanced\nguarantee: at-least-once\ncore: 3\n\
            idle: spin\nbroker: kafka:9092\nhost: web1\ncpu: An EPYC\nclock source: tsc",
};

/// Writes it into a folder, under a name without `.hlog`.
pub(crate) fn write_log(folder: &Path, stem: &str, shape: Shape) -> PathBuf {
    let path = folder.join(format!("{stem}.hlog"));
    let about = format!("hotspur 0.1.0\n{}", shape.facts);
    let mut log = LogFile::create(&path, UNIX_EPOCH + START + shape.later, &about)
        .expect("a log that can be made");
    let mut random = Xoshiro256PlusPlus::seed_from_u64(shape.seed);
    for second in 0..shape.intervals {
        let mut interval = Interval::new();
        for _ in 0..shape.records_an_interval {
            record(&mut interval.histograms, &mut random, shape.percent);
        }
        let (since_start, length) = (Duration::from_secs(second), Duration::from_secs(1));
        log.append(&interval, since_start, length).expect("a log that can be written");
    }
    let records = shape.intervals * shape.records_an_interval;
    for fact in ["skewed: 0", "no origin: 0", "past an hour: 0", &format!("polled: {records}")] {
        log.note(fact).expect("a log that can be written");
    }
    path
}

/// One record: each stage takes its typical time, now and then up to fifty times that.
fn record(histograms: &mut Histograms, random: &mut Xoshiro256PlusPlus, percent: u64) {
    let (mut transit, mut whole) = (0, 0);
    for (stage, typical) in STAGES.into_iter().zip(TYPICAL_NS) {
        let share: f64 = random.random();
        let factor = (0.6 + 0.4 / (1.0001 - share).sqrt()).min(50.0);
        let nanos = (typical as f64 * factor) as u64 * percent / 100;
        histograms.record(stage.into(), nanos);
        whole += nanos;
        if !matches!(stage, Stage::Source | Stage::Ack) {
            transit += nanos;
        }
    }
    histograms.record(Span::Transit, transit);
    histograms.record(Span::EndToEnd, whole);
}

/// Slow records beside such a log; one line is cut, one field is of a later version.
pub(crate) const SLOW: &str = concat!(
    r#"{"ts":"2026-11-21T05:37:04.5Z","transit_ns":8400000,"end_to_end_ns":9900000,"#,
    r#""stages":{"source":1400000,"queue":8100000,"parse":1100,"send":298900,"ack":100000},"#,
    r#""slowest_stage":"queue","topic":"orders","partition":3,"offset":712,"key":"a1b2","#,
    r#""cause":"preempted","verdict":"another thread had the core for 8 ms","#,
    r#""lately":{"involuntary_switches":2}}"#,
    "\n",
    r#"{"ts":"2026-11-21T05:37:09.1Z","transit_ns":1300000,"stages":{"parse":1290000},"#,
    r#""topic":"<b>orders</b>","partition":0,"offset":9001,"verdict":"page_fault","mood":"new"}"#,
    "\n",
    r#"{"left_out":5}"#,
    "\n",
    r#"{"ts":"2026-11-21T05:3"#,
);
