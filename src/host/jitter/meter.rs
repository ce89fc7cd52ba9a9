//! A measurement: a detector's thread on each core, and who reads the kernel's books meanwhile.
//!
//! The thread that calls moves to the housekeeping cores of the core that is measured, where it
//! looks at the neighbours some times a second and reads the rest after each second. Of several
//! cores one is measured at a time, a second each in turns: detectors at the same time would
//! disturb each other, and one core after the other would compare different minutes. Where there
//! is no second core to look from, the looking is done between two seconds.
//!
//! Detectors take no memory: what they count in goes back and forth.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use thiserror::Error;

use crate::{
    clock::{Clock, Ticks, TscClock},
    host::{
        Cores, CpuList, HostError, Housekeeping, housekeeping_cores,
        jitter::{Detector, Happenings, Neighbours, Reading, Second, Shares, Stalls},
        pin_current,
        threads::current_id,
    },
};

/// How often neighbours are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A look may take one part in so many of the time between two, on the core it is done from.
const LOOKING_SHARE: u32 = 10;

/// Seconds that a detector is given ahead, so that it never waits for the next.
const SECONDS_AHEAD: usize = 2;

const SECOND_NS: u64 = 1_000_000_000;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where `/proc` and `/sys` are.
    pub root: PathBuf,
    /// Cores, one or several.
    pub cores: Vec<usize>,
    /// How long each of them.
    pub duration: Duration,
    /// Gaps of so many nanoseconds are stalls.
    pub threshold_ns: u64,
    /// Ends it early.
    pub stop: Arc<AtomicBool>,
}

/// What was found on a core.
#[derive(Debug)]
pub struct CoreRecord {
    /// Which.
    pub core: usize,
    /// Nanoseconds that it was watched.
    pub measured_ns: u64,
    /// All stalls.
    pub stalls: Stalls,
    /// All distances between two readings of the clock, in nanoseconds.
    pub turns: Histogram<u64>,
    /// What else happened on the core.
    pub happenings: Happenings,
    /// Who the lost time is put down to.
    pub shares: Shares,
    /// Second by second.
    pub seconds: Vec<SecondRecord>,
}

/// What was found in a second.
#[derive(Clone, Debug)]
pub struct SecondRecord {
    /// When it began, in nanoseconds since the measurement did.
    pub since_start_ns: u64,
    /// Nanoseconds that it took.
    pub length_ns: u64,
    /// Stalls in it.
    pub count: u64,
    /// The longest of them, in nanoseconds.
    pub worst_ns: u64,
    /// Values of the histogram and how often they came; a whole histogram a second is too much.
    pub values: Vec<(u64, u64)>,
    /// What else happened on the core.
    pub happenings: Happenings,
    /// Who the lost time is put down to.
    pub shares: Shares,
}

/// Why it could not be measured.
#[derive(Debug, Error)]
pub enum MeterError {
    /// A thread could not be moved.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A thread could not be started.
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// Measures.
#[derive(Debug)]
pub struct Meter {
    plan: Plan,
    clock: TscClock,
    cores: Cores,
    began: Ticks,
}

impl Meter {
    /// `cores` are those of the machine, with the mask of this thread.
    pub fn new(plan: Plan, clock: TscClock, cores: Cores) -> Meter {
        let began = clock.now();
        Meter { plan, clock, cores, began }
    }

    /// Measures all cores and tells `each_second` of the seconds.
    ///
    /// # Errors
    ///
    /// If a thread cannot be started or moved.
    pub fn run(
        &self,
        mut each_second: impl FnMut(usize, &SecondRecord),
    ) -> Result<Vec<CoreRecord>, MeterError> {
        let cores = self.plan.cores.iter();
        let mut subjects =
            cores.map(|core| Subject::start(self, *core)).collect::<Result<Vec<_>, _>>()?;
        for _ in 0..lengths(self.plan.duration).len() {
            for subject in &mut subjects {
                if self.plan.stop.load(Ordering::Relaxed) {
                    break;
                }
                let _beside = Housekeeping::enter(&subject.beside)?;
                subject.measure();
                let core = subject.record.core;
                if let Some(second) = subject.put_down(self) {
                    each_second(core, second);
                }
            }
        }
        Ok(subjects.into_iter().map(|it| it.record).collect())
    }
}

/// The seconds of a measurement, in nanoseconds; the last may be shorter.
fn lengths(duration: Duration) -> Vec<u64> {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let rest = Some(nanos % SECOND_NS).filter(|rest| *rest > 0);
    (0..nanos / SECOND_NS).map(|_| SECOND_NS).chain(rest).collect()
}

/// A core that is measured.
#[derive(Debug)]
struct Subject {
    record: CoreRecord,
    detector: Watcher,
    /// Where it is looked from.
    beside: CpuList,
    /// Whether seconds follow on each other without a pause.
    is_continuous: bool,
    /// Whether others can be looked at while the detector runs.
    is_apart: bool,
    root: PathBuf,
    neighbours: Neighbours,
    /// At the end of the second before, if the next one follows on it.
    before: Option<Reading>,
    /// What the detector counted, and what happened meanwhile.
    found: (Second, Happenings),
    /// Seconds that the detector has not been told of.
    lengths: std::vec::IntoIter<u64>,
    spares: Vec<Second>,
}

impl Subject {
    fn start(meter: &Meter, core: usize) -> Result<Subject, MeterError> {
        let Plan { root, cores, duration, threshold_ns, stop } = &meter.plan;
        let beside = housekeeping_cores(None, &meter.cores, Some(core), &[]);
        let is_apart = !beside.contains(core);
        let is_continuous = is_apart && cores.len() == 1;
        let detector = Detector::new(meter.clock.clone(), *threshold_ns);
        let detector = Watcher::start(core, detector, Arc::clone(stop))?;
        let ahead = if is_continuous { SECONDS_AHEAD } else { 1 };
        Ok(Subject {
            record: CoreRecord::new(core),
            detector,
            beside,
            is_continuous,
            is_apart,
            root: root.clone(),
            neighbours: Neighbours::new(root, core, std::process::id()),
            before: None,
            found: Default::default(),
            lengths: lengths(*duration).into_iter(),
            spares: (0..ahead).map(|_| Second::new()).collect(),
        })
    }

    /// The next second, while others are looked at.
    fn measure(&mut self) {
        let before = self.before.take().unwrap_or_else(|| {
            self.neighbours.look();
            self.neighbours.take();
            self.read()
        });
        while let Some(spare) = self.spares.pop() {
            match self.lengths.next() {
                Some(length_ns) => self.detector.order(spare, length_ns),
                None => break,
            }
        }
        let second = self.await_second();
        let after = self.read();
        self.neighbours.look();
        self.found = (second, after.since(&before, self.neighbours.take()));
        self.before = self.is_continuous.then_some(after);
    }

    fn read(&self) -> Reading {
        Reading::read(&self.root, self.record.core, self.detector.thread_id)
    }

    fn await_second(&mut self) -> Second {
        let mut pause = LOOK_EVERY;
        loop {
            if !self.is_apart {
                break self.detector.counted.recv().expect(DETECTOR_LIVES);
            }
            match self.detector.counted.recv_timeout(pause) {
                Ok(second) => break second,
                Err(RecvTimeoutError::Timeout) => {
                    let began = Instant::now();
                    self.neighbours.look();
                    pause = LOOK_EVERY.max(began.elapsed() * LOOKING_SHARE);
                }
                Err(RecvTimeoutError::Disconnected) => panic!("{DETECTOR_LIVES}"),
            }
        }
    }

    /// Adds the second to the record and gives its memory back; none if it had no time.
    fn put_down(&mut self, meter: &Meter) -> Option<&SecondRecord> {
        let (mut second, happenings) = std::mem::take(&mut self.found);
        let shares = Shares::of(&second.stalls, &happenings);
        let record = SecondRecord {
            since_start_ns: meter.clock.nanos(meter.began, second.began),
            length_ns: second.length_ns,
            count: second.stalls.count(),
            worst_ns: second.stalls.worst_ns(),
            values: values(&second.stalls.histogram),
            happenings,
            shares,
        };
        self.record.add(&second, &record);
        second.clear();
        self.spares.push(second);
        if record.length_ns > 0 {
            self.record.seconds.push(record);
            return self.record.seconds.last();
        }
        None
    }
}

fn values(histogram: &Histogram<u64>) -> Vec<(u64, u64)> {
    histogram.iter_recorded().map(|it| (it.value_iterated_to(), it.count_at_value())).collect()
}

impl CoreRecord {
    fn new(core: usize) -> CoreRecord {
        let Second { stalls, turns, .. } = Second::new();
        CoreRecord {
            core,
            measured_ns: 0,
            stalls,
            turns,
            happenings: Happenings::default(),
            shares: Shares::default(),
            seconds: Vec::new(),
        }
    }

    fn add(&mut self, second: &Second, record: &SecondRecord) {
        self.measured_ns += second.length_ns;
        self.stalls.add(&second.stalls);
        self.turns.add(&second.turns).expect("histograms of the same bounds");
        self.happenings.add(&record.happenings);
        self.shares.add(&record.shares);
    }
}

const DETECTOR_LIVES: &str = "a detector has no reason to end before it is told to";

/// A thread with a detector. Dropped, it ends with the second that it is in.
#[derive(Debug)]
struct Watcher {
    thread_id: u32,
    orders: Option<Sender<(Second, u64)>>,
    counted: Receiver<Second>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    fn start(
        core: usize,
        detector: Detector<TscClock>,
        stop: Arc<AtomicBool>,
    ) -> Result<Watcher, MeterError> {
        let (orders, ordered) = mpsc::channel::<(Second, u64)>();
        let (count, counted) = mpsc::channel();
        let (answer, started) = mpsc::channel();
        let watch = move || {
            let pinned = pin_current(core);
            let is_pinned = pinned.is_ok();
            // The other side waits for this answer; where it is gone, so are the orders.
            let _ = answer.send(pinned.map(|()| current_id(Path::new("/")).unwrap_or(0)));
            for (mut second, length_ns) in ordered.iter().take_while(|_| is_pinned) {
                detector.watch(&mut second, length_ns, &stop);
                // As above.
                let _ = count.send(second);
            }
        };
        let builder = thread::Builder::new().name(format!("jitter-{core}"));
        let thread = Some(builder.spawn(watch)?);
        let thread_id = started.recv().expect(DETECTOR_LIVES)?;
        Ok(Watcher { thread_id, orders: Some(orders), counted, thread })
    }

    fn order(&self, second: Second, length_ns: u64) {
        let orders = self.orders.as_ref().expect("they are there until the end");
        orders.send((second, length_ns)).expect(DETECTOR_LIVES);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, its message has been seen, and this may be part of the same end.
            let _ = thread.join();
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::host::affinity::current;

    fn plan(cores: Vec<usize>, millis: u64, is_stopped: bool) -> Plan {
        Plan {
            root: PathBuf::from("/"),
            cores,
            duration: Duration::from_millis(millis),
            threshold_ns: 1_000,
            stop: Arc::new(AtomicBool::new(is_stopped)),
        }
    }

    fn measure(plan: Plan) -> (Vec<CoreRecord>, Vec<(usize, u64)>) {
        let mut seconds = Vec::new();
        let meter = Meter::new(plan, TscClock::new(), Cores::read(Path::new("/")));
        let records = meter.run(|core, second| seconds.push((core, second.length_ns)));
        (records.unwrap(), seconds)
    }

    fn usable() -> Vec<usize> {
        Cores::read(Path::new("/")).reachable().iter().collect()
    }

    #[test]
    fn a_measurement_is_whole_seconds_and_a_rest() {
        assert_eq!(lengths(Duration::from_millis(2_300)), [SECOND_NS, SECOND_NS, 300_000_000]);
        assert_eq!(lengths(Duration::from_secs(1)), [SECOND_NS]);
        assert!(lengths(Duration::ZERO).is_empty());
    }

    #[test]
    fn one_core_is_watched_for_as_long_as_asked() {
        let core = usable()[0];
        let (records, seconds) = measure(plan(vec![core], 1_050, false));
        let [record] = &records[..] else { panic!("one core") };
        assert_eq!(seconds.len(), 2);
        assert_eq!(record.measured_ns, seconds.iter().map(|(_, length)| length).sum::<u64>());
        // Ticks become nanoseconds with a rounding.
        assert!(record.measured_ns >= 1_049_999_000, "{}", record.measured_ns);
        assert_eq!(record.stalls.count(), record.seconds.iter().map(|it| it.count).sum::<u64>());
        let counted = |second: &SecondRecord| second.values.iter().map(|(_, it)| it).sum::<u64>();
        assert!(record.seconds.iter().all(|it| counted(it) == it.count));
        assert_eq!(record.shares.lost_ns, record.stalls.lost_ns());
        assert!(record.turns.len() > 1_000, "{}", record.turns.len());
    }

    #[test]
    fn several_cores_take_turns() {
        let cores = usable();
        let (records, seconds) = measure(plan(cores.clone(), 60, false));
        assert_eq!(records.iter().map(|it| it.core).collect::<Vec<_>>(), cores);
        assert_eq!(seconds.iter().map(|it| it.0).collect::<Vec<_>>(), cores);
        let began: Vec<_> = records.iter().map(|it| it.seconds[0].since_start_ns).collect();
        assert!(began.windows(2).all(|pair| pair[1] >= pair[0] + 59_999_000), "{began:?}");
    }

    #[test]
    fn on_the_only_core_the_looks_come_between_two_seconds() {
        let core = usable()[0];
        let only: CpuList = [core].into_iter().collect();
        let cores = Cores { online: only.clone(), allowed: only, ..Cores::default() };
        let meter = Meter::new(plan(vec![core], 1_020, false), TscClock::new(), cores);
        let mut looked_from = Vec::new();
        let records = meter.run(|_, _| looked_from.push(current())).unwrap();
        let expected = Some([core].into_iter().collect::<CpuList>());
        assert_eq!(looked_from, [expected.clone(), expected], "it looked from the core itself");
        let [first, second] = &records[0].seconds[..] else { panic!("two seconds") };
        let end_ns = first.since_start_ns + first.length_ns;
        assert!(second.since_start_ns > end_ns, "{end_ns} {second:?}");
        assert!(first.length_ns >= 999_999_000, "{first:?}");
    }

    #[test]
    fn a_stop_ends_it_with_what_there_is() {
        let (records, seconds) = measure(plan(vec![usable()[0]], 3_600_000, true));
        assert_eq!((records.len(), records[0].measured_ns, seconds.len()), (1, 0, 0));
    }

    #[test]
    fn a_core_that_is_not_there_is_an_error() {
        let meter = Meter::new(plan(vec![1_023], 10, false), TscClock::new(), Cores::default());
        let error = meter.run(|_, _| ()).unwrap_err();
        assert!(error.to_string().contains("cannot be moved to cores 1023"), "{error}");
    }
}
