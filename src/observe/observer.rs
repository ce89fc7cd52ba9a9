//! The observer: one side thread that wakes often, does little, and is never waited for.
//!
//! Its work is a turn over a `now`, like the engine's, so that a test steps it with a manual clock;
//! the thread around it only sleeps. Files that cannot be written (a full disk) are told and tried
//! again with the next interval: they never end a run.

use std::{
    panic::resume_unwind,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_queue::ArrayQueue;

use crate::{
    clock::{Clock, ClockCheck, Ticks, WallOffset},
    config::settings::{KeyDisplay, Settings},
    limits::NOTICES_MAX,
    measure::{Collector, Interval, Regime, exchange},
    observe::{
        Exposed, HotSide, Labels, Notice, ObserveError, Summary,
        announcer::Announcer,
        files::Files,
        live::{self, Stretch},
        part::Part,
        slow::{Teller, cause::Witness},
        snapshot::{Question, Questions},
        stem::stem,
        summary::{clock_line, end_facts},
    },
};

/// How often the thread looks for notices and intervals.
const WAKE_EVERY: Duration = Duration::from_millis(20);

/// How often wall time is compared with the tick clock.
const WALL_EVERY: Duration = Duration::from_secs(1);

/// Waking this much later is no accident of scheduling.
const WAKE_SLACK: Duration = Duration::from_millis(5);

const THREAD_NAME: &str = "hotspur-observe";

/// What the observer needs to know of a run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Of the pipeline.
    pub name: String,
    /// Of the process.
    pub instance: String,
    /// The folder for files, if any are wanted.
    pub out: Option<PathBuf>,
    /// Length of an interval in the log.
    pub interval: Duration,
    /// How record keys stand in slow records.
    pub keys: KeyDisplay,
    /// Where the clock's ticks come from, in words.
    pub clock: String,
    /// Names of steps and destinations.
    pub labels: Labels,
    /// Where the sums go for whoever asks.
    pub exposed: Arc<Exposed>,
}

impl Setup {
    /// As configured; destinations are the topics by number.
    pub fn new(
        settings: &Settings,
        destinations: Vec<String>,
        clock: String,
        exposed: Arc<Exposed>,
    ) -> Setup {
        Setup {
            keys: settings.observe.keys,
            clock,
            name: settings.name.clone(),
            instance: settings.instance.clone(),
            out: settings.observe.out.clone(),
            interval: settings.observe.interval,
            labels: Labels::new(&settings.steps, destinations),
            exposed,
        }
    }
}

/// Starts the side thread.
#[derive(Clone, Copy, Debug)]
pub struct Observer;

impl Observer {
    /// Makes the files, starts the thread on the cores that the caller runs on, and returns the hot
    /// side, which is idle from now on.
    pub fn start<C: Clock + Send + 'static>(
        setup: Setup,
        clock: C,
        wall: WallOffset,
    ) -> Result<(HotSide, ObserverHandle), ObserveError> {
        let (hot_side, mut watch) = Watch::new(setup, clock, wall)?;
        let signals = Arc::new(Signals::default());
        let seen = signals.clone();
        let run = move || {
            let mut asked: Option<Question> = None;
            while !seen.stop.load(Ordering::Acquire) {
                asked = asked.or_else(|| seen.questions.next(watch.clock.now()));
                watch.turn(watch.clock.now());
                asked = asked.and_then(|it| watch.answer(it));
                seen.assigned.store(watch.exposed.is_assigned(), Ordering::Release);
                if seen.write.swap(false, Ordering::AcqRel) {
                    watch.write_distributions();
                }
                watch.sleep();
            }
            watch.finish()
        };
        let builder = thread::Builder::new().name(THREAD_NAME.to_owned());
        let thread = builder.spawn(run).map_err(ObserveError::Thread)?;
        Ok((hot_side, ObserverHandle { thread, signals }))
    }
}

#[derive(Debug, Default)]
struct Signals {
    stop: AtomicBool,
    write: AtomicBool,
    assigned: AtomicBool,
    questions: Questions,
}

/// The running observer.
#[derive(Debug)]
pub struct ObserverHandle {
    thread: JoinHandle<Summary>,
    signals: Arc<Signals>,
}

impl ObserverHandle {
    /// Has the percentile files written now, whenever it is called, from any thread.
    pub fn file_writer(&self) -> impl Fn() + Send + 'static {
        let (signals, thread) = (self.signals.clone(), self.thread.thread().clone());
        move || {
            signals.write.store(true, Ordering::Release);
            thread.unpark();
        }
    }

    /// All that was measured from the start up to now at least; waits until the hot thread has
    /// handed it over. `None` if it does not, because it has ended.
    pub fn snapshot(&self) -> Option<Box<Interval>> {
        self.signals.questions.ask(|| self.thread.thread().unpark())
    }

    /// True once the group has answered, with partitions or without.
    pub fn is_assigned(&self) -> bool {
        self.signals.assigned.load(Ordering::Acquire)
    }

    /// Takes in what is left, writes the files, ends the thread. The hot side must have been
    /// finished before, or what it holds is missing.
    pub fn finish(self) -> Summary {
        self.signals.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// The observer's state and its turn.
#[derive(Debug)]
struct Watch<C> {
    clock: C,
    wall: WallOffset,
    start: Ticks,
    interval_ticks: u64,
    column_ticks: u64,
    next_request: Ticks,
    next_wall: Ticks,
    notices: Arc<ArrayQueue<Notice>>,
    collector: Collector,
    announcer: Announcer,
    labels: Labels,
    total: Interval,
    files: Option<Files>,
    /// The files' next interval is complete with what is handed over next.
    is_log_due: bool,
    part: Part,
    exposed: Arc<Exposed>,
    keys: KeyDisplay,
    witness: Witness,
    clock_words: String,
    clock_check: ClockCheck,
}

impl<C: Clock> Watch<C> {
    fn new(setup: Setup, clock: C, wall: WallOffset) -> Result<(HotSide, Watch<C>), ObserveError> {
        let start = clock.now();
        let interval_ticks = clock.ticks(nanos_of(setup.interval));
        let (recorder, collector) = exchange(start);
        let notices = Arc::new(ArrayQueue::new(NOTICES_MAX));
        let epoch_nanos = wall.epoch_nanos(&clock, start);
        let files = match &setup.out {
            None => None,
            Some(folder) => {
                let stem = stem(&setup.name, &setup.instance, epoch_nanos);
                let about = setup.exposed.facts().about();
                Some(Files::create(folder, stem, epoch_nanos, about)?)
            }
        };
        let mut total = Interval::new();
        (total.start, total.end) = (start, start);
        let watch = Watch {
            column_ticks: clock.ticks(nanos_of(live::COLUMN)),
            next_request: Ticks(start.0 + interval_ticks),
            next_wall: Ticks(start.0 + clock.ticks(nanos_of(WALL_EVERY))),
            announcer: Announcer::new(setup.labels.clone()),
            labels: setup.labels,
            notices: notices.clone(),
            keys: setup.keys,
            witness: Witness::default(),
            clock_words: setup.clock,
            clock_check: ClockCheck::new(&clock),
            clock,
            wall,
            start,
            interval_ticks,
            collector,
            total,
            files,
            is_log_due: false,
            part: Part::default(),
            exposed: setup.exposed,
        };
        Ok((HotSide::new(recorder, notices), watch))
    }

    /// Lines for notices; an interval, if one was handed over; a request for one, if it is time.
    fn turn(&mut self, now: Ticks) {
        self.announce(now);
        self.collect(now);
        if now >= self.next_request {
            self.is_log_due = true;
            self.collector.request();
            let missed = (now.0 - self.next_request.0) / self.interval_ticks.max(1);
            self.next_request.0 += (missed + 1) * self.interval_ticks.max(1);
        }
        // Who looks sees each second, however long an interval of the log is.
        if self.exposed.live().is_watched()
            && self.interval_ticks > 2 * self.column_ticks
            && now.0 >= self.total.end.0 + self.column_ticks
        {
            self.collector.request();
        }
        if now >= self.next_wall {
            self.wall.refresh(&self.clock);
            self.next_wall = Ticks(now.0 + self.clock.ticks(nanos_of(WALL_EVERY)));
        }
    }

    /// Until there may be something to do. Waking late is remembered: it tells a process that stood
    /// still from a thread that did.
    fn sleep(&mut self) {
        let before = self.clock.now();
        thread::park_timeout(WAKE_EVERY);
        let (now, due) = (self.clock.now(), before.0 + self.clock.ticks(nanos_of(WAKE_EVERY)));
        if now.0 > due + self.clock.ticks(nanos_of(WAKE_SLACK)) {
            self.witness.note(Ticks(due), now);
        }
    }

    /// Answers with the sum, once it holds what is asked for; till then the question stays.
    fn answer(&mut self, question: Question) -> Option<Question> {
        if self.total.end < question.at {
            self.collector.request();
            return Some(question);
        }
        question.answer(&self.total);
        None
    }

    fn announce(&mut self, now: Ticks) {
        let now = self.since_start(now);
        while let Some(notice) = self.notices.pop() {
            self.exposed.hear(&notice);
            self.announcer.hear(now, &notice);
        }
        self.announcer.remind(now);
    }

    fn collect(&mut self, now: Ticks) {
        let now = self.since_start(now);
        let Watch { collector, clock, wall, start, announcer, total, files, exposed, .. } = self;
        let (part, is_log_due) = (&mut self.part, &mut self.is_log_due);
        let teller = Teller { clock, wall: &*wall, keys: self.keys, witness: &self.witness };
        let mut see = |interval: &Interval| {
            total.add(interval);
            let seconds = |ticks| clock.nanos(Ticks(0), Ticks(ticks)) as f64 / 1e9;
            let regimes = Regime::ALL.map(|regime| seconds(total.regimes.of(regime)));
            exposed.count(interval, total, regimes);
            exposed.count_slow(&teller, &interval.slow);
            announcer.count(now, &interval.counters);
            let end =
                Duration::from_nanos(wall.epoch_nanos(clock, interval.end).max(0).cast_unsigned());
            let length = Duration::from_nanos(clock.nanos(interval.start, interval.end));
            exposed.show(interval, total, Stretch { end, length });
            let Some(files) = files else { return };
            let Some(interval) = part.complete(interval, std::mem::take(is_log_due)) else {
                return;
            };
            let since_start = Duration::from_nanos(clock.nanos(*start, interval.start));
            let length = Duration::from_nanos(clock.nanos(interval.start, interval.end));
            let mut tell = |notice: Notice| announcer.hear(now, &notice);
            files.append_interval(interval, (since_start, length), &mut tell);
            files.append_slow(&teller, &interval.slow, &mut tell);
        };
        while collector.collect(&mut see) {}
    }

    fn write_distributions(&mut self) {
        let now = self.since_start(self.clock.now());
        let Some(files) = &mut self.files else { return };
        files.write_distributions(&self.total, &mut |notice| self.announcer.hear(now, &notice));
    }

    fn finish(mut self) -> Summary {
        let now = self.clock.now();
        self.announce(now);
        self.is_log_due = true;
        self.collect(now);
        self.write_distributions();
        let clock = clock_line(&self.clock_words, &self.clock_check.error(&self.clock));
        self.note_end(now, &clock);
        Summary {
            took: Duration::from_nanos(self.clock.nanos(self.total.start, self.total.end)),
            clock,
            total: self.total,
            labels: self.labels,
            files: self.files.map_or_else(Vec::new, Files::into_written),
        }
    }

    /// What was counted beside the histograms; that it stands there says that the end was orderly.
    fn note_end(&mut self, now: Ticks, clock: &str) {
        let now = self.since_start(now);
        let Some(files) = &mut self.files else { return };
        let mut facts = vec![format!("clock: {clock}")];
        facts.extend(end_facts(&self.total));
        files.note(&facts, &mut |notice| self.announcer.hear(now, &notice));
    }

    fn since_start(&self, now: Ticks) -> Duration {
        Duration::from_nanos(self.clock.nanos(self.start, now))
    }
}

fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        clock::{ManualClock, TscClock},
        measure::{Age, Span, Stage},
        observe::{Facts, RunState},
    };

    fn setup(out: Option<PathBuf>) -> Setup {
        let interval = Duration::from_secs(1);
        let (name, instance) = ("orders".to_owned(), "web/1".to_owned());
        let exposed = Arc::new(Exposed::new(Facts::default()));
        let (keys, clock) = (KeyDisplay::Hash, "a clock for tests".to_owned());
        Setup { name, instance, out, interval, keys, clock, labels: Labels::default(), exposed }
    }

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_interval_is_asked_for_when_it_is_due_and_lands_in_files_and_sum() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::default();
        let wall = WallOffset::fixed(1_795_239_420_123_000_000);
        let out = folder.path().join("made/on/the/way");
        let (mut hot, mut watch) =
            Watch::new(setup(Some(out.clone())), clock.clone(), wall).unwrap();

        hot.record(Age::Live, Stage::Parse, 100);
        watch.turn(clock.now());
        assert!(!hot.publish(clock.now()), "no interval is due yet");
        clock.advance(2_500_000_000);
        hot.switch(clock.now(), Regime::Working);
        watch.turn(clock.now());
        clock.advance(1_000);
        assert!(hot.publish(clock.now()));
        hot.record(Age::Live, Stage::Parse, 200);
        hot.record(Age::Live, Span::EndToEnd, 5_000);
        watch.turn(clock.now());
        assert_eq!(watch.total.histograms.of(Stage::Parse.into()).len(), 1);
        clock.advance(499_000_000);
        watch.turn(clock.now());
        assert!(!hot.publish(clock.now()), "missed intervals are not made up for");
        hot.tell(Notice::State(RunState::Draining));
        hot.finish(clock.now());
        let summary = watch.finish();

        assert_eq!(summary.took, Duration::from_nanos(2_999_001_000));
        assert_eq!(summary.total.regimes.total(), 2_999_001_000);
        assert_eq!(summary.total.regimes.of(Regime::Idle), 2_500_000_000);
        assert_eq!(summary.total.histograms.of(Stage::Parse.into()).len(), 2);
        let stem = "orders-web_1-20261121T053700.123Z";
        let expected = ["end_to_end.hgrm", "hlog", "parse.hgrm", "slow.jsonl"]
            .map(|it| format!("{stem}.{it}"));
        assert_eq!(names_in(&out), expected);
        assert_eq!(summary.files.len(), 4);
        let log = std::fs::read_to_string(&summary.files[0]).unwrap();
        let lines: Vec<_> = log.lines().filter(|line| !line.starts_with(['#', '"'])).collect();
        assert_eq!(lines.len(), 4, "{log}");
        assert!(lines[0].starts_with("Tag=parse,0.000,2.500,100.000,HIST"), "{log}");
        assert!(lines[1].starts_with("0.000,2.500,0.000,HIST"), "{log}");
        assert!(lines[3].starts_with("2.500,0.499,"), "{log}");
    }

    #[test]
    fn without_a_folder_there_are_no_files_and_the_sum_is_whole() {
        let clock = TscClock::new();
        let wall = WallOffset::new(&clock);
        let (mut hot, handle) = Observer::start(setup(None), clock.clone(), wall).unwrap();
        for value in 0..1_000 {
            hot.record(Age::Live, Span::Transit, value);
            hot.counters().polled += 1;
            hot.publish(clock.now());
        }
        handle.file_writer()();
        hot.finish(clock.now());
        let summary = handle.finish();
        assert_eq!(summary.total.counters.polled, 1_000);
        assert_eq!(summary.total.histograms.of(Span::Transit).len(), 1_000);
        assert!(summary.files.is_empty());
    }

    #[test]
    fn a_snapshot_holds_all_up_to_when_it_was_asked_for() {
        let clock = TscClock::new();
        let wall = WallOffset::new(&clock);
        let (mut hot, handle) = Observer::start(setup(None), clock.clone(), wall).unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                hot.counters().polled += 7;
                while !done.load(Ordering::Acquire) {
                    hot.publish(clock.now());
                    thread::yield_now();
                }
                hot
            });
            for _ in 0..2 {
                assert_eq!(handle.snapshot().map(|it| it.counters.polled), Some(7));
            }
            done.store(true, Ordering::Release);
            publishing.join().expect("the hot side goes on").finish(clock.now());
        });
        assert_eq!(handle.finish().total.counters.polled, 7);
    }

    #[test]
    fn a_full_queue_of_notices_is_counted_not_waited_for() {
        let clock = ManualClock::default();
        let (mut hot, watch) =
            Watch::new(setup(None), clock.clone(), WallOffset::fixed(0)).unwrap();
        for _ in 0..NOTICES_MAX + 3 {
            hot.tell(Notice::Assigned { partitions: 1, owned: 1 });
        }
        hot.finish(clock.now());
        assert_eq!(watch.finish().total.counters.notices_lost, 3);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_said_with_the_way_out() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let clock = ManualClock::default();
        let out = Some(file.path().join("below-a-file"));
        let error = Watch::new(setup(out), clock, WallOffset::fixed(0)).unwrap_err();
        assert!(error.to_string().ends_with("change observe.out"), "{error}");
    }
}
