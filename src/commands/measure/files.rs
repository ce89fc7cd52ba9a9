//! What `--out` leaves: the listener's histogram log, percentiles, and the result as JSON.
//!
//! A thread of its own writes the log, an interval a second, so that a slow disk makes no record
//! late. The pipeline in this process leaves its own files beside these, as a run does.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc::{self, Sender},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hdrhistogram::Histogram;

use super::{Failure, json, level::Measurement};
use crate::{
    clock::{Clock, EpochClock, Ticks},
    config::Settings,
    loadgen::judge::latencies,
    observe::{distribution, log_file::LogFile, stem::stem},
};

const SECOND_NANOS: u64 = 1_000_000_000;

/// What the lines of the log without a tag are.
const UNTAGGED: &str = "received: from due to read from the sink";

/// The open log, and where the rest will go.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    stem: String,
    start: Ticks,
    lines: Sender<Line>,
    writer: JoinHandle<io::Result<()>>,
    log: PathBuf,
}

/// An interval of the log.
#[derive(Debug)]
struct Line {
    tag: Option<&'static str>,
    histogram: Histogram<u64>,
    since_start: Duration,
    length: Duration,
}

impl Files {
    pub(super) fn create(folder: &Path, settings: &Settings) -> Result<Files, Failure> {
        let start = EpochClock::new().now();
        let stem = stem(&settings.name, &settings.instance, start.0 as i64);
        let log = folder.join(format!("{stem}.measure.hlog"));
        let refused = |error: io::Error| {
            let shown = log.display();
            Failure::usage(format!("--out: {shown} cannot be written: {error}"))
        };
        fs::create_dir_all(folder).map_err(refused)?;
        let started: SystemTime = UNIX_EPOCH + Duration::from_nanos(start.0);
        let about = concat!("hotspur measure ", env!("CARGO_PKG_VERSION"));
        let mut file = LogFile::create_of(&log, started, about, UNTAGGED).map_err(refused)?;
        let (lines, received) = mpsc::channel::<Line>();
        let write = move || {
            received.iter().try_for_each(|line| {
                let Line { tag, histogram, since_start, length } = line;
                file.append_tagged(&[(tag, &histogram)], since_start, length)
            })
        };
        let builder = thread::Builder::new().name("hotspur-log".to_owned());
        let writer = builder.spawn(write).map_err(refused)?;
        Ok(Files { folder: folder.to_owned(), stem, start, lines, writer, log })
    }

    /// Where a stretch that begins now puts its latencies.
    pub(super) fn seconds(&self, tag: Option<&'static str>, now: Ticks) -> Seconds {
        let (lines, start) = (self.lines.clone(), self.start);
        Seconds { lines, tag, start, began: now, histogram: latencies() }
    }

    /// Writes the rest and names all files in the result, which is written last.
    pub(super) fn finish(self, measurement: &mut Measurement) -> Result<(), Failure> {
        let Files { folder, stem, lines, writer, log, .. } = self;
        drop(lines);
        let written = writer.join().expect("the writer has no reason to panic");
        let unwritten = |path: &Path| {
            let shown = path.display().to_string();
            move |error| Failure::unavailable(format!("{shown} cannot be written: {error}"))
        };
        written.map_err(unwritten(&log))?;
        let mut files = vec![log];
        for level in &measurement.levels {
            let rate = match measurement.levels.len() {
                1 => String::new(),
                _ => format!("-{}", level.rate),
            };
            let arrivals = [("received", &level.heard.arrivals), ("hop", &level.hop.arrivals)];
            for (name, arrivals) in arrivals.into_iter().filter(|(_, it)| it.received > 0) {
                let path = folder.join(format!("{stem}.{name}{rate}.hgrm"));
                distribution::write_file(&path, &arrivals.latency).map_err(unwritten(&path))?;
                files.push(path);
            }
        }
        let path = folder.join(format!("{stem}.measure.json"));
        files.push(path.clone());
        measurement.files = files;
        let text = format!("{:#}\n", json::of(measurement));
        fs::write(&path, text).map_err(unwritten(&path))
    }
}

/// Latencies of a stretch, handed over second by second.
#[derive(Debug)]
pub(super) struct Seconds {
    lines: Sender<Line>,
    tag: Option<&'static str>,
    /// Of the log.
    start: Ticks,
    /// Of this second.
    began: Ticks,
    histogram: Histogram<u64>,
}

impl Seconds {
    pub(super) fn record(&mut self, nanos: u64) {
        self.histogram.saturating_record(nanos);
    }

    /// Hands a second over, if it is one.
    pub(super) fn turn(&mut self, now: Ticks) {
        if now.0.saturating_sub(self.began.0) >= SECOND_NANOS {
            let full = std::mem::replace(&mut self.histogram, latencies());
            self.hand_over(full, now);
            self.began = now;
        }
    }

    /// Hands over what is left.
    pub(super) fn finish(mut self, now: Ticks) {
        let rest = std::mem::replace(&mut self.histogram, latencies());
        self.hand_over(rest, now);
    }

    fn hand_over(&self, histogram: Histogram<u64>, now: Ticks) {
        let nanos = |from: Ticks, to: Ticks| Duration::from_nanos(to.0.saturating_sub(from.0));
        let (since_start, length) = (nanos(self.start, self.began), nanos(self.began, now));
        let line = Line { tag: self.tag, histogram, since_start, length };
        // A writer that failed says so at the end.
        let _ = self.lines.send(line);
    }
}
