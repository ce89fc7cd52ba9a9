//! Reads histogram logs: ours, and those that other tools write in HdrHistogram's format.
//!
//! A log is kept as its text, with an index of its lines; histograms are decoded one at a time,
//! because all of them together can be many gigabytes. Where the writer was killed in the middle of
//! an interval, the log ends with the last whole one, and says so. This does not add anything up.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    },
};
use thiserror::Error;

use crate::{measure::Span, observe::log_file::FACT};

/// Times in a log that lie more than this before its start count from its start, as in Java.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A log that was read.
#[derive(Debug)]
pub struct Log {
    /// Where.
    pub path: PathBuf,
    /// What its head and end say about the run, in order.
    pub facts: Vec<(String, String)>,
    /// Its intervals, a span each, in the order of the file.
    pub lines: Vec<LogLine>,
    /// When its run began, since the epoch; the files of a run that went on in others agree on it.
    pub started: Option<Duration>,
    /// What was left out because its writer was cut off; a sentence.
    pub cut: Option<String>,
    /// Whether it says that its values are nanoseconds.
    pub has_unit: bool,
    /// What its lines without a tag are.
    untagged: String,
    text: Vec<u8>,
}

/// An interval of one span.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// The tag; `end_to_end` where there is none.
    pub span: String,
    /// Since the epoch.
    pub start: Duration,
    /// How long it took.
    pub length: Duration,
    encoded: Range<usize>,
}

impl LogLine {
    /// Its middle, in milliseconds since the epoch: the moment that it belongs to.
    pub fn middle_ms(&self) -> i64 {
        (self.start + self.length / 2).as_millis() as i64
    }
}

/// Why a file was not read.
#[derive(Debug, Error)]
pub enum LogError {
    /// Not at all.
    #[error("{path}: cannot be read: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is something else, or damaged.
    #[error("{path}:{line}: {what}; a histogram log is what `hotspur run` writes to observe.out")]
    NoLog {
        /// Which.
        path: String,
        /// Where, counted from 1.
        line: usize,
        /// What is there.
        what: String,
    },
}

impl Log {
    /// Reads a file's lines, not its histograms.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is no log.
    pub fn read(path: &Path) -> Result<Log, LogError> {
        let text = fs::read(path)
            .map_err(|source| LogError::Unreadable { path: path.display().to_string(), source })?;
        Log::parse(path, text)
    }

    fn parse(path: &Path, mut text: Vec<u8>) -> Result<Log, LogError> {
        let whole = text.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        let (facts, untagged) = comments(&text[..whole]);
        let has_unit = untagged.is_some();
        let untagged = untagged.unwrap_or_else(|| Span::EndToEnd.name().to_owned());
        let mut log = Log {
            path: path.to_owned(),
            facts,
            lines: Vec::new(),
            started: None,
            cut: None,
            has_unit,
            untagged,
            text: vec![],
        };
        let tail = text.len() - whole;
        if whole == 0 {
            let what = if tail == 0 { "the file is empty" } else { "there is no whole line" };
            return Err(log.error(&text, 0, what));
        }
        text.truncate(whole);
        log.index(&text)?;
        log.text = text;
        log.drop_half_interval(tail > 0);
        if log.lines.is_empty() && log.cut.is_none() && !log.text.starts_with(b"#") {
            return Err(log.error(&log.text, 0, "there is no interval in it"));
        }
        Ok(log)
    }

    fn index(&mut self, text: &[u8]) -> Result<(), LogError> {
        let (mut start_time, mut base_time) = (None, None);
        for entry in IntervalLogIterator::new(text) {
            let entry = entry.map_err(|error| {
                let hdrhistogram::serialization::interval_log::LogIteratorError::ParseError {
                    offset,
                } = error;
                let line = text[offset..].split(|it| *it == b'\n').next().unwrap_or_default();
                let shown: String = String::from_utf8_lossy(line).chars().take(40).collect();
                self.error(text, offset, &format!("\"{shown}\" is no line of a histogram log"))
            })?;
            match entry {
                LogEntry::StartTime(time) => start_time = Some(time),
                LogEntry::BaseTime(time) => base_time = Some(time),
                LogEntry::Interval(interval) => {
                    let at = interval.start_timestamp();
                    let base =
                        base_time.or_else(|| start_time.filter(|it| at.saturating_add(YEAR) < *it));
                    let encoded = interval.encoded_histogram();
                    let start = base.unwrap_or_default().checked_add(at);
                    let end = start.and_then(|it| it.checked_add(interval.duration()));
                    let (Some(start), Some(_)) = (start, end) else {
                        let offset = encoded.as_ptr() as usize - text.as_ptr() as usize;
                        return Err(self.error(text, offset, "no interval can lie there in time"));
                    };
                    let from = encoded.as_ptr() as usize - text.as_ptr() as usize;
                    let tag = interval
                        .tag()
                        .map_or_else(|| self.untagged.clone(), |it| it.as_str().to_owned());
                    self.lines.push(LogLine {
                        span: tag,
                        start,
                        length: interval.duration(),
                        encoded: from..from + encoded.len(),
                    });
                }
            }
        }
        self.started = start_time;
        Ok(())
    }

    /// An interval is written with one call, its untagged line near the end: without that, or with
    /// half a line behind it, the writer was cut off.
    fn drop_half_interval(&mut self, has_tail: bool) {
        let total = self.untagged.clone();
        let Some(last) = self.lines.last().map(|it| it.start) else {
            self.cut = has_tail.then(|| "it ends before its first interval".to_owned());
            return;
        };
        let is_ours = self.fact("written by").is_some_and(|it| it.starts_with(FACT))
            || self.lines.iter().any(|it| it.span == total && it.start != last);
        let is_half = !self.lines.iter().any(|it| it.start == last && it.span == total);
        if is_half && (is_ours || has_tail) {
            self.lines.retain(|it| it.start != last);
            self.cut = Some("it ends in the middle of an interval, which is left out".to_owned());
        } else if has_tail {
            self.cut = Some("it ends in the middle of a line, which is left out".to_owned());
        }
    }

    /// The histogram of a line of this log.
    ///
    /// # Errors
    ///
    /// If it is damaged.
    pub fn histogram(&self, line: &LogLine) -> Result<Histogram<u64>, LogError> {
        let encoded = &self.text[line.encoded.clone()];
        let failed = |what: String| {
            let what = format!("the histogram of {} cannot be decoded: {what}", line.span);
            self.error(&self.text, line.encoded.start, &what)
        };
        let bytes = STANDARD.decode(encoded).map_err(|error| failed(error.to_string()))?;
        let histogram = Deserializer::new().deserialize(&mut &bytes[..]);
        histogram.map_err(|error| failed(error.to_string()))
    }

    /// What it says about the run under that name.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    fn error(&self, text: &[u8], offset: usize, what: &str) -> LogError {
        let line = text[..offset].iter().filter(|it| **it == b'\n').count() + 1;
        LogError::NoLog { path: self.path.display().to_string(), line, what: what.to_owned() }
    }
}

/// The facts among the comments; and if one names the unit, what lines without a tag are.
fn comments(text: &[u8]) -> (Vec<(String, String)>, Option<String>) {
    let (mut facts, mut untagged) = (Vec::new(), None);
    for line in text.split(|it| *it == b'\n').filter(|it| it.starts_with(b"#[")) {
        let line = String::from_utf8_lossy(&line[2..]);
        let Some(inner) = line.trim_end().strip_suffix(']') else { continue };
        if let Some(rest) = inner.strip_prefix("Values in nanoseconds") {
            let name = rest.strip_prefix("; untagged lines are ");
            untagged = Some(name.unwrap_or(Span::EndToEnd.name()).to_owned());
        } else if let Some(version) = inner.strip_prefix("Logged with ") {
            facts.push(("written by".to_owned(), version.to_owned()));
        } else if let Some((name, value)) =
            inner.strip_prefix(FACT).and_then(|it| it.split_once(": "))
        {
            facts.push((name.to_owned(), value.to_owned()));
        }
    }
    (facts, untagged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        measure::{Interval, Stage},
        observe::log_file::LogFile,
    };
    use std::time::UNIX_EPOCH;

    const START: Duration = Duration::from_millis(1_795_239_420_123);

    /// Two intervals of a second, with `end_to_end` and `parse`.
    fn written() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.hlog");
        let about = "hotspur 0.1.0\nname: orders\ncpu: an [odd] one";
        let mut log = LogFile::create(&path, UNIX_EPOCH + START, about).unwrap();
        let mut interval = Interval::new();
        interval.histograms.record(Span::EndToEnd, 5_000);
        interval.histograms.record(Stage::Parse.into(), 700);
        let second = Duration::from_secs(1);
        log.append(&interval, Duration::ZERO, second).unwrap();
        log.append(&interval, second, second).unwrap();
        log.note("polled: 2").unwrap();
        fs::read(&path).unwrap()
    }

    fn read(text: &[u8]) -> Result<Log, LogError> {
        Log::parse(Path::new("a.hlog"), text.to_vec())
    }

    #[test]
    fn spans_times_and_facts_are_read() {
        let log = read(&written()).unwrap();
        let spans: Vec<_> = log.lines.iter().map(|it| it.span.as_str()).collect();
        assert_eq!(spans, ["parse", "end_to_end", "parse", "end_to_end"]);
        assert_eq!(log.lines[2].start, START + Duration::from_secs(1));
        assert_eq!(log.histogram(&log.lines[0]).unwrap().max(), 700);
        assert_eq!(log.fact("written by"), Some("hotspur 0.1.0"));
        assert_eq!(log.fact("cpu"), Some("an [odd] one"));
        assert_eq!(log.fact("polled"), Some("2"));
        assert!(log.cut.is_none() && log.has_unit);
    }

    #[test]
    fn a_log_cut_anywhere_ends_with_its_last_whole_interval() {
        let text = written();
        let first_line = text.windows(4).position(|it| it == b"Tag=").unwrap();
        for end in first_line..=text.len() {
            let log = read(&text[..end]).unwrap();
            let totals = log.lines.iter().filter(|it| it.span == "end_to_end").count();
            assert!(log.lines.len() == 2 * totals || log.lines.is_empty(), "cut at {end}");
            let is_whole = end == text.len();
            let said = log.cut.is_some() || log.fact("polled").is_none();
            assert_eq!(said, !is_whole, "cut at {end}");
        }
    }

    #[test]
    fn lines_without_a_tag_are_what_the_head_says() {
        let text = String::from_utf8(written()).unwrap();
        let log =
            read(text.replacen("lines are end_to_end", "lines are hop", 1).as_bytes()).unwrap();
        let spans: Vec<_> = log.lines.iter().map(|it| it.span.as_str()).collect();
        assert_eq!(spans, ["parse", "hop", "parse", "hop"]);
        assert!(log.cut.is_none());
    }

    #[test]
    fn what_is_no_log_is_told_with_its_line() {
        let told = |text: &[u8]| read(text).unwrap_err().to_string();
        assert!(told(b"").starts_with("a.hlog:1: the file is empty"));
        assert!(told(b"#[a]\nname = \"orders\"\n").starts_with("a.hlog:2: \"name = "));
        let damaged = String::from_utf8(written()).unwrap().replacen("HIST", "XIST", 1);
        let log = read(damaged.as_bytes()).unwrap();
        let error = log.histogram(&log.lines[0]).map(|it| it.len()).unwrap_err().to_string();
        assert!(error.starts_with("a.hlog:9: the histogram of parse"), "{error}");
    }
}
