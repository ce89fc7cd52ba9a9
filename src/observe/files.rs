//! The files of a run: the histogram log, the slow records, and the percentiles at its end.
//!
//! One that cannot be written (a full disk) is told and tried again with the next interval: files
//! never end a run. None is ever overwritten but the percentiles, which are made anew.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Notice, ObserveError, PeerTrouble, distribution,
    log_file::LogFile,
    slow::{SlowFile, Teller},
};
use crate::{
    clock::Clock,
    limits::LOG_FILE_BYTES_MAX,
    measure::{Age, Interval, SlowBook, Span},
    verdict::Sentence,
};

/// The folder, what the files in it begin with, the log and the slow records.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    stem: String,
    started: SystemTime,
    /// What each log's head says about the run.
    about: String,
    log: LogFile,
    /// Logs so far.
    logs: u32,
    /// Past that, another one begins.
    log_bytes_max: u64,
    slow: SlowFile,
    written: Vec<PathBuf>,
}

impl Files {
    /// Makes the folder, and the files that a run begins with.
    pub(super) fn create(
        folder: &Path,
        stem: String,
        epoch_nanos: i64,
        about: String,
    ) -> Result<Files, ObserveError> {
        let failed =
            |path: &Path, source| ObserveError::File { path: path.display().to_string(), source };
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        let path = folder.join(format!("{stem}.hlog"));
        let started = UNIX_EPOCH + Duration::from_nanos(epoch_nanos.max(0).cast_unsigned());
        let log = LogFile::create(&path, started, &about).map_err(|error| failed(&path, error))?;
        let slow_path = folder.join(format!("{stem}.slow.jsonl"));
        let slow = SlowFile::create(&slow_path).map_err(|error| failed(&slow_path, error))?;
        let (folder, written) = (folder.to_owned(), vec![path, slow_path]);
        Ok(Files {
            folder,
            stem,
            started,
            about,
            log,
            logs: 1,
            log_bytes_max: LOG_FILE_BYTES_MAX,
            slow,
            written,
        })
    }

    /// Adds an interval to the log: it began so long after the start, and took so long.
    pub(super) fn append_interval(
        &mut self,
        interval: &Interval,
        times: (Duration, Duration),
        tell: &mut impl FnMut(Notice),
    ) {
        if let Err(error) = self.append_to_log(interval, times) {
            tell(unwritable(".hlog", &error));
        }
    }

    /// A large log goes on in another file: each begins with the same start, so that tools read
    /// them one by one or together.
    fn append_to_log(
        &mut self,
        interval: &Interval,
        (since_start, length): (Duration, Duration),
    ) -> io::Result<()> {
        if self.log.bytes() >= self.log_bytes_max {
            let path = self.path(&format!("{}.hlog", self.logs + 1));
            self.log = LogFile::create(&path, self.started, &self.about)?;
            self.logs += 1;
            self.written.push(path);
        }
        self.log.append(interval, since_start, length)
    }

    /// Adds facts to the end of the log.
    pub(super) fn note(&mut self, facts: &[String], tell: &mut impl FnMut(Notice)) {
        for fact in facts {
            if let Err(error) = self.log.note(fact) {
                return tell(unwritable(".hlog", &error));
            }
        }
    }

    fn path(&self, rest: &str) -> PathBuf {
        self.folder.join(format!("{}.{rest}", self.stem))
    }

    /// Adds the slow records of an interval.
    pub(super) fn append_slow<C: Clock>(
        &mut self,
        teller: &Teller<'_, C>,
        book: &SlowBook,
        tell: &mut impl FnMut(Notice),
    ) {
        match self.slow.append(teller, book) {
            Ok(true) => {}
            Ok(false) => tell(full()),
            Err(error) => tell(unwritable(".slow.jsonl", &error)),
        }
    }

    /// Writes the percentile files anew.
    pub(super) fn write_distributions(&mut self, total: &Interval, tell: &mut impl FnMut(Notice)) {
        for (age, span) in Age::ALL.into_iter().flat_map(|age| Span::ALL.map(|span| (age, span))) {
            let histogram = total.of(age).of(span);
            if histogram.is_empty() {
                continue;
            }
            let path = self.path(&format!("{}{span}.hgrm", age.prefix()));
            match distribution::write_file(&path, histogram) {
                Ok(()) if self.written.contains(&path) => {}
                Ok(()) => self.written.push(path),
                Err(error) => tell(unwritable(".hgrm", &error)),
            }
        }
    }

    /// All that were made.
    pub(super) fn into_written(self) -> Vec<PathBuf> {
        self.written
    }
}

fn full() -> Notice {
    let text = Sentence::from("the file of slow records is full; no more of them are written");
    Notice::Trouble(PeerTrouble { peer: "files", code: ".slow.jsonl", text, heals: true })
}

fn unwritable(code: &'static str, error: &io::Error) -> Notice {
    let text = Sentence::format(format_args!(
        "histograms cannot be written to observe.out, the run goes on without: {error}"
    ));
    Notice::Trouble(PeerTrouble { peer: "files", code, text, heals: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::log_reader::Log;

    #[test]
    fn a_large_log_goes_on_in_another_file_and_none_of_it_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let about = "hotspur\nname: orders".to_owned();
        let mut files = Files::create(folder.path(), "orders".to_owned(), 5_000_000_000, about);
        let files = files.as_mut().unwrap();
        files.log_bytes_max = 2_000;
        let mut interval = Interval::new();
        for value in 0..100 {
            interval.histograms.record(Span::EndToEnd, value * 7_919);
        }
        let second = Duration::from_secs(1);
        for at in 0..20 {
            files.append_interval(&interval, (second * at, second), &mut |it| panic!("{it:?}"));
        }
        let logs: Vec<_> = files
            .written
            .iter()
            .filter(|it| it.extension().is_some_and(|it| it == "hlog"))
            .map(|path| (path, Log::read(path).unwrap()))
            .collect();
        assert!(logs.len() > 2, "{logs:?}");
        let names = logs.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap());
        let expected = (1..).map(|it| match it {
            1 => "orders.hlog".to_owned(),
            it => format!("orders.{it}.hlog"),
        });
        assert!(names.zip(expected).all(|(name, expected)| name == expected));
        let lines: usize = logs.iter().map(|(_, log)| log.lines.len()).sum();
        assert_eq!(lines, 20);
        for (path, log) in &logs {
            assert!(std::fs::metadata(path).unwrap().len() < 4_000, "{path:?}");
            assert_eq!(log.fact("name"), Some("orders"));
        }
    }
}
