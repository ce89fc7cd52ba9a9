//! The histogram log: one line a span and interval, in HdrHistogram's log format 1.3.
//!
//! `end_to_end` stands on untagged lines, which tools read by default and which are written even
//! when empty, so that time has no holes; the other spans are tagged and left out when empty. An
//! interval is written with one call and synced, so that a crash costs the last one at most. Values
//! are nanoseconds. This does not read logs.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, SystemTime},
};

use hdrhistogram::{
    Histogram,
    serialization::{
        V2DeflateSerializer,
        interval_log::{IntervalLogWriterBuilder, Tag},
    },
};

use crate::measure::{Age, Interval, Span};

const LEGEND: &str = "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\
                      \"Interval_Compressed_Histogram\"\n";

/// What a comment begins with that says something about the run: `#[hotspur name: value]`.
pub(crate) const FACT: &str = "hotspur ";

/// An open log.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    lines: Vec<u8>,
    bytes: u64,
}

impl LogFile {
    /// Makes the file and writes its head. Times in it count from `started`. The first line of
    /// `about` is what writes; each further one a fact, `name: value`.
    pub fn create(path: &Path, started: SystemTime, about: &str) -> io::Result<LogFile> {
        LogFile::create_of(path, started, about, Span::EndToEnd.name())
    }

    /// The same, where the lines without a tag are something else.
    pub fn create_of(
        path: &Path,
        started: SystemTime,
        about: &str,
        untagged: &str,
    ) -> io::Result<LogFile> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let mut log = LogFile { file, lines: Vec::new(), bytes: 0 };
        let (writer, facts) = about.split_once('\n').unwrap_or((about, ""));
        let mut head = IntervalLogWriterBuilder::new();
        head.add_comment(&format!("[Logged with {writer}]"))
            .add_comment("[Histogram log format version 1.3]")
            .add_comment(&format!("[Values in nanoseconds; untagged lines are {untagged}]"));
        for fact in facts.lines() {
            head.add_comment(&format!("[{FACT}{fact}]"));
        }
        head.with_start_time(started)
            .with_base_time(started)
            .begin_log_with(&mut log.lines, &mut V2DeflateSerializer::new())?;
        log.lines.extend_from_slice(LEGEND.as_bytes());
        // A file without a head would be in the way of the next try.
        log.flush().inspect_err(|_| drop(std::fs::remove_file(path)))?;
        Ok(log)
    }

    /// Appends an interval that began `since_start` after the start and took `length`.
    pub fn append(
        &mut self,
        interval: &Interval,
        since_start: Duration,
        length: Duration,
    ) -> io::Result<()> {
        let all = Age::ALL.into_iter().flat_map(|age| Span::ALL.map(|span| (age, span)));
        let tag = |age: Age, span: Span| format!("{}{span}", age.prefix());
        let tagged: Vec<_> =
            all.map(|(age, span)| (tag(age, span), interval.of(age).of(span))).collect();
        let untagged = tag(Age::Live, Span::EndToEnd);
        let lines: Vec<_> = tagged
            .iter()
            .map(|(tag, histogram)| ((*tag != untagged).then_some(tag.as_str()), *histogram))
            .collect();
        self.append_tagged(&lines, since_start, length)
    }

    /// The same of tags and histograms; an empty one is left out, unless it has no tag.
    pub fn append_tagged(
        &mut self,
        lines: &[(Option<&str>, &Histogram<u64>)],
        since_start: Duration,
        length: Duration,
    ) -> io::Result<()> {
        let mut serializer = V2DeflateSerializer::new();
        let mut writer =
            IntervalLogWriterBuilder::new().begin_log_with(&mut self.lines, &mut serializer)?;
        for (tag, histogram) in lines {
            if histogram.is_empty() && tag.is_some() {
                continue;
            }
            let tag = tag.and_then(Tag::new);
            writer
                .write_histogram(*histogram, since_start, length, tag)
                .map_err(|error| io::Error::other(error.to_string()))?;
        }
        self.flush()
    }

    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends a fact, `name: value`: a comment that other tools skip.
    pub fn note(&mut self, fact: &str) -> io::Result<()> {
        self.lines.extend_from_slice(format!("#[{FACT}{fact}]\n").as_bytes());
        self.flush()
    }

    /// A failed write leaves nothing behind: no half line in the file, and nothing that the next
    /// one would repeat.
    fn flush(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.lines).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.bytes += self.lines.len() as u64,
            // What cannot be cut either is the disk's to answer for.
            Err(_) => drop(cut(&mut self.file, self.bytes)),
        }
        self.lines.clear();
        written
    }
}

/// Takes what a write left of itself out of a file.
pub(super) fn cut(file: &mut File, bytes: u64) -> io::Result<()> {
    file.set_len(bytes)?;
    file.seek(SeekFrom::Start(bytes)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use hdrhistogram::serialization::{
        Deserializer,
        interval_log::{IntervalLogIterator, LogEntry},
    };
    use std::{collections::BTreeMap, time::UNIX_EPOCH};

    use crate::measure::Stage;

    const START: Duration = Duration::from_millis(1_795_239_420_123);

    fn read_back(text: &[u8]) -> BTreeMap<String, Vec<(Duration, Histogram<u64>)>> {
        let mut found = BTreeMap::<_, Vec<_>>::new();
        for entry in IntervalLogIterator::new(text) {
            match entry.unwrap() {
                LogEntry::Interval(interval) => {
                    let tag = interval.tag().map_or("", |tag| tag.as_str()).to_owned();
                    let bytes = STANDARD.decode(interval.encoded_histogram()).unwrap();
                    let histogram = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
                    found.entry(tag).or_default().push((interval.start_timestamp(), histogram));
                }
                LogEntry::StartTime(time) | LogEntry::BaseTime(time) => assert_eq!(time, START),
            }
        }
        found
    }

    #[test]
    fn a_log_reads_back_with_the_same_percentiles() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.hlog");
        let mut log = LogFile::create(&path, UNIX_EPOCH + START, "a test").unwrap();
        let mut interval = Interval::new();
        let histograms = &mut interval.histograms;
        for value in 0..50_000_u64 {
            histograms.record(Span::EndToEnd, value * 977 % 40_000_003);
            histograms.record(Span::Transit, value % 3_000);
        }
        histograms.record(Stage::Parse.into(), 0);
        interval.backlog.record(Span::EndToEnd, 86_400);
        log.append(&interval, Duration::ZERO, Duration::from_secs(1)).unwrap();
        log.append(&Interval::new(), Duration::from_secs(1), Duration::from_millis(500)).unwrap();

        let text = std::fs::read(&path).unwrap();
        let found = read_back(&text);
        let tags = ["", "backlog.end_to_end", "parse", "transit"];
        assert_eq!(found.keys().collect::<Vec<_>>(), tags);
        assert_eq!(found[""].len(), 2, "an empty interval is still an interval");
        assert_eq!(found[""][1].0, Duration::from_secs(1));
        assert!(found[""][1].1.is_empty());
        for (tag, span) in [("", Span::EndToEnd), ("transit", Span::Transit)] {
            let (read, ours) = (&found[tag][0].1, interval.histograms.of(span));
            for quantile in [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0] {
                let expected = ours.value_at_quantile(quantile);
                assert_eq!(read.value_at_quantile(quantile), expected, "{tag} {quantile}");
            }
            assert_eq!((read.len(), read.max()), (ours.len(), ours.max()));
        }
        let head = String::from_utf8(text).unwrap();
        assert!(head.contains("#[StartTime: 1795239420.123 (seconds since epoch)]\n"), "{head}");
    }

    #[test]
    fn an_existing_log_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.hlog");
        LogFile::create(&path, UNIX_EPOCH + START, "a test").unwrap();
        let again = LogFile::create(&path, UNIX_EPOCH + START, "a test").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }
}
