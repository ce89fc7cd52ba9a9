//! The program itself: started with arguments, watched through its log, ended by signals.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::Stdio,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::Instant,
};

use serde_json::Value;

use super::{
    PATIENCE,
    child::Process,
    names::{
        EMITTED, GROUP_ASSIGNED, HELD, PARTITIONS, POLLED, REJECTED, RUN_STARTED, RUN_STOPPED,
        SKIPPED,
    },
};

/// A running `hotspur`.
#[derive(Debug)]
pub(crate) struct Hotspur {
    process: Process,
    pub(crate) log: Arc<Log>,
    reader: JoinHandle<()>,
    output: JoinHandle<String>,
}

/// What it has written to standard error so far.
#[derive(Debug, Default)]
pub(crate) struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct LogState {
    lines: Vec<String>,
    closed: bool,
}

impl Hotspur {
    /// Starts it in `folder`, where a configuration may lie that no argument names. Locks of cores
    /// lie there, too, so that tests beside each other do not take each other's.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Hotspur {
        let mut process = Process::start(env!("CARGO_BIN_EXE_hotspur"), |command| {
            command
                .args(arguments)
                .current_dir(folder)
                .env_remove("HOTSPUR_CONFIG")
                .env_remove("HOTSPUR_PROFILE")
                .env("XDG_RUNTIME_DIR", folder)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
        });
        let streams = process.streams();
        let mut stdout = streams.stdout.take().expect("a pipe");
        let stderr = streams.stderr.take().expect("a pipe");
        let log = Arc::new(Log::default());
        let reader = thread::spawn({
            let log = Arc::clone(&log);
            move || log.fill_from(BufReader::new(stderr))
        });
        let output = thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).expect("a readable pipe");
            String::from_utf8(bytes).expect("standard output in UTF-8")
        });
        Hotspur { process, log, reader, output }
    }

    /// Waits for the first event of that name.
    #[track_caller]
    pub(crate) fn await_event(&self, name: &str) -> Event {
        self.await_matching(name, |event| event.name() == name)
    }

    /// Waits until there were that many events of that name.
    #[track_caller]
    pub(crate) fn await_events(&self, name: &str, count: usize) {
        let are_there = self.log.await_or_end(|lines| {
            let events = lines.iter().filter_map(|line| Event::read(line));
            (events.filter(|it| it.name() == name).count() >= count).then_some(())
        });
        assert!(are_there.is_some(), "not {count} of {name} in:\n{}", self.log.text());
    }

    /// Waits until the group has given it at least one partition.
    #[track_caller]
    pub(crate) fn await_assigned(&self) {
        self.await_matching("a partition", |event| {
            event.name() == GROUP_ASSIGNED && event.number(PARTITIONS) > 0
        });
    }

    /// Waits until it runs, or has ended before it did.
    pub(crate) fn await_end_or_start(&self) {
        let started = |line: &str| Event::read(line).filter(|it| it.name() == RUN_STARTED);
        self.log.await_line_or_end(started);
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.ended().is_some()
    }

    /// Sends a signal by its short name, as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Lets no file of its grow past that many bytes, until it may again.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        self.process.limit_files(bytes);
    }

    /// Ends it as an operator would, and expects a clean end.
    #[track_caller]
    pub(crate) fn stop(self) -> Ended {
        self.signal("TERM");
        let ended = self.wait();
        assert_eq!(ended.status, Some(0), "{}", ended.log);
        ended
    }

    /// Kills it, with no chance to say anything.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Ended {
        let status = self.process.wait();
        self.reader.join().expect("the log was read");
        Ended {
            status: status.code(),
            output: self.output.join().expect("standard output was read"),
            log: self.log.text(),
        }
    }

    /// Waits for the first event like that.
    #[track_caller]
    pub(crate) fn await_matching(&self, what: &str, matches: impl Fn(&Event) -> bool) -> Event {
        self.log.await_line(what, |line| Event::read(line).filter(&matches))
    }
}

impl Log {
    fn fill_from(&self, mut stderr: impl BufRead) {
        let mut bytes = Vec::new();
        while stderr.read_until(b'\n', &mut bytes).is_ok_and(|length| length > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            self.state().lines.push(line);
            self.changed.notify_all();
            bytes.clear();
        }
        self.state().closed = true;
        self.changed.notify_all();
    }

    #[track_caller]
    fn await_line<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let found = self.await_line_or_end(find);
        found.unwrap_or_else(|| panic!("waited for {what}, and there was only:\n{}", self.text()))
    }

    /// `None`: it ended, or time was over, before there was such a line.
    fn await_line_or_end<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.await_or_end(|lines| lines.iter().find_map(|line| find(line)))
    }

    fn await_or_end<T>(&self, look: impl Fn(&[String]) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        loop {
            let found = look(&state.lines);
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || state.closed || left.is_zero() {
                return found;
            }
            (state, _) = self.changed.wait_timeout(state, left).expect("no reader panicked");
        }
    }

    /// All of it.
    pub(crate) fn text(&self) -> String {
        self.state().lines.join("\n")
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().expect("no reader panicked")
    }
}

/// A line of the log, in JSON.
#[derive(Debug)]
pub(crate) struct Event(Value);

impl Event {
    fn read(line: &str) -> Option<Event> {
        serde_json::from_str(line).ok().map(Event)
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.0["event"].as_str().unwrap_or_default()
    }

    /// A field that is text.
    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> &str {
        let value = &self.0[field];
        value.as_str().unwrap_or_else(|| panic!("`{field}` is no text in {}", self.0))
    }

    /// A field that is a number.
    #[track_caller]
    pub(crate) fn number(&self, field: &str) -> u64 {
        let value = &self.0[field];
        value.as_u64().unwrap_or_else(|| panic!("`{field}` is no number in {}", self.0))
    }
}

/// How it ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit status; `None` after a signal that it did not handle.
    pub(crate) status: Option<i32>,
    /// Standard output.
    pub(crate) output: String,
    /// Standard error.
    pub(crate) log: String,
}

impl Ended {
    /// How many partitions its group gave it, those that it had before not counted again.
    pub(crate) fn partitions_given(&self) -> u64 {
        let given = self.log.lines().filter_map(Event::read);
        given.filter(|it| it.name() == GROUP_ASSIGNED).map(|it| it.number(PARTITIONS)).sum()
    }

    /// What it says became of the records.
    #[track_caller]
    pub(crate) fn counts(&self) -> Counts {
        let event = self.log.lines().filter_map(Event::read).find(|it| it.name() == RUN_STOPPED);
        let event = event.unwrap_or_else(|| panic!("no {RUN_STOPPED} in:\n{}", self.log));
        Counts {
            polled: event.number(POLLED),
            emitted: event.number(EMITTED),
            skipped: event.number(SKIPPED),
            rejected: event.number(REJECTED),
            held: event.number(HELD),
        }
    }
}

/// The books of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Records taken from the source.
    pub(crate) polled: u64,
    /// Records of which results were acknowledged.
    pub(crate) emitted: u64,
    /// Records passed over.
    pub(crate) skipped: u64,
    /// Records dead-lettered.
    pub(crate) rejected: u64,
    /// Records that live on in state.
    pub(crate) held: u64,
}

impl Counts {
    /// Nothing is left in flight after a clean end, so the books have to balance.
    #[track_caller]
    pub(crate) fn assert_balanced(self) {
        assert!(self.are_balanced(), "{self:?}");
    }

    /// The same, to be asked.
    pub(crate) fn are_balanced(self) -> bool {
        self.polled == self.emitted + self.skipped + self.rejected + self.held
    }
}
