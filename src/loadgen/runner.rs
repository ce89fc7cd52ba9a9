//! Sends a load through a sink: on schedule, without losing a record, and counts what came of it.
//!
//! A full sink is waited for with the same record, which then is late, and counts as such. Between
//! two records the thread sleeps: spinning would take a core from what is measured. The loop sees
//! the world through `World`, so that a test has its own time.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    clock::{Clock, Ticks, WallOffset},
    loadgen::{Load, Pace, Schedule},
    transport::{Ack, Refusal, SendError, Sink, Token, Trouble, WaitSet},
};

/// Records handed over before acknowledgements are looked at again.
const BATCH: u64 = 256;

/// A pause ends at least this often, to see acknowledgements and the stop flag.
const REST_MAX: Duration = Duration::from_millis(10);

/// What is not acknowledged this long after the last record is given up.
const DRAIN_NANOS_MAX: u64 = 10_000_000_000;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What came of a load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// Records that the sink took.
    pub sent: u64,
    /// Of these, acknowledged.
    pub acknowledged: u64,
    /// Refused, at once or later.
    pub failed: u64,
    /// Taken by the sink and not answered when the load gave up waiting.
    pub unanswered: u64,
    /// Records handed over too late for the rate; 0 without a rate.
    pub missed_slots: u64,
    /// From the first record to the last acknowledgement.
    pub seconds: f64,
    /// Acknowledged records per second.
    pub records_per_second: f64,
    /// The last refusal.
    pub refusal: Option<Refusal>,
    /// The last error of the sink; one that does not heal ended the load.
    pub trouble: Option<Trouble>,
}

/// Runs a load to its end, to `stop`, or to an error that does not heal.
pub fn run(
    load: &mut Load,
    sink: &mut impl Sink,
    clock: &impl Clock,
    stop: &AtomicBool,
) -> LoadReport {
    run_from(clock.now(), load, sink, clock, stop)
}

/// The same; the first record is due at `start`, which may lie ahead.
pub fn run_from(
    start: Ticks,
    load: &mut Load,
    sink: &mut impl Sink,
    clock: &impl Clock,
    stop: &AtomicBool,
) -> LoadReport {
    let mut world = RealWorld { wall: (!load.stamps_due).then(|| load.wall.clone()) };
    run_in(&mut world, start, load, sink, clock, stop)
}

/// What the loop does to the world beside sending.
trait World {
    /// Lets others have the core for at most that long.
    fn rest(&mut self, at_most: Duration);

    /// A second has passed.
    fn second_passed(&mut self, clock: &impl Clock);
}

struct RealWorld {
    /// None where times are those of the clock itself.
    wall: Option<WallOffset>,
}

impl World for RealWorld {
    fn rest(&mut self, at_most: Duration) {
        thread::sleep(at_most);
    }

    fn second_passed(&mut self, clock: &impl Clock) {
        if let Some(wall) = &self.wall {
            wall.refresh(clock);
        }
    }
}

fn run_in(
    world: &mut impl World,
    start: Ticks,
    load: &mut Load,
    sink: &mut impl Sink,
    clock: &impl Clock,
    stop: &AtomicBool,
) -> LoadReport {
    let mut run = Run::new(load, sink, clock, start);
    let mut next_second = Ticks(start.0 + clock.ticks(NANOS_PER_SECOND));
    while run.next < run.load.count && !stop.load(Ordering::Relaxed) && !run.is_hopeless() {
        run.take_answers();
        let now = clock.now();
        if now >= next_second {
            world.second_passed(clock);
            next_second = Ticks(now.0 + clock.ticks(NANOS_PER_SECOND));
        }
        match run.send_due(now) {
            Sent::Full => run.wait_for_answers(),
            Sent::AllDue => {
                // A sink may send only now what it was given.
                run.take_answers();
                world.rest(run.until_next(clock.now()).min(REST_MAX));
            }
            Sent::Some => {}
        }
    }
    run.drain();
    run.report(start)
}

/// How far `send_due` got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// There is more to send.
    Some,
    /// Everything that is due is sent.
    AllDue,
    /// The sink is full.
    Full,
}

struct Run<'a, S, C> {
    load: &'a mut Load,
    sink: &'a mut S,
    clock: &'a C,
    schedule: Option<Schedule>,
    /// The record to be sent next.
    next: u64,
    /// It is written already: the sink was full when it was its turn.
    is_composed: bool,
    last_answer: Ticks,
    counts: LoadReport,
}

impl<'a, S: Sink, C: Clock> Run<'a, S, C> {
    fn new(load: &'a mut Load, sink: &'a mut S, clock: &'a C, start: Ticks) -> Run<'a, S, C> {
        let schedule = match load.pace {
            Pace::PerSecond(rate) => Some(Schedule::new(rate, start)),
            Pace::Unpaced => None,
        };
        let counts = LoadReport::default();
        let (next, is_composed, last_answer) = (0, false, start);
        Run { load, sink, clock, schedule, next, is_composed, last_answer, counts }
    }

    fn is_hopeless(&self) -> bool {
        self.counts.refusal.is_some_and(|refusal| refusal.fatal)
            || self.counts.trouble.is_some_and(|trouble| !trouble.heals)
    }

    /// Takes in acknowledgements and errors.
    fn take_answers(&mut self) {
        let (counts, last) = (&mut self.counts, &mut self.last_answer);
        self.sink.poll_acks(self.clock.now(), &mut |ack: Ack| {
            *last = (*last).max(ack.at);
            match ack.result {
                Ok(()) => counts.acknowledged += 1,
                Err(refusal) => {
                    counts.failed += 1;
                    counts.refusal = Some(refusal);
                }
            }
        });
        while let Some(trouble) = self.sink.next_trouble() {
            self.counts.trouble = Some(trouble);
        }
    }

    fn send_due(&mut self, now: Ticks) -> Sent {
        let due = match &self.schedule {
            Some(schedule) => schedule.due_count(self.clock, now).min(self.load.count),
            None => self.load.count,
        };
        for _ in 0..BATCH {
            if self.next >= due {
                return Sent::AllDue;
            }
            if !self.send_next() {
                return Sent::Full;
            }
        }
        Sent::Some
    }

    /// False if the sink is full; the record then stays the next one, as it is.
    fn send_next(&mut self) -> bool {
        let now = self.clock.now();
        if !self.is_composed {
            let due = self.schedule.as_ref().map_or(now, |it| it.due(self.clock, self.next));
            let due_nanos = self.load.wall.epoch_nanos(self.clock, due);
            self.load.compose(self.next, due_nanos);
            self.is_composed = true;
        }
        match self.sink.send(&self.load.composed(), Token(self.next)) {
            Err(SendError::Full) => return false,
            Ok(()) => self.counts.sent += 1,
            Err(SendError::Refused(refusal)) => {
                self.counts.failed += 1;
                self.counts.refusal = Some(refusal);
            }
        }
        if let Some(schedule) = &mut self.schedule {
            schedule.handed_over(self.clock, self.next, now);
        }
        self.next += 1;
        self.is_composed = false;
        true
    }

    fn until_next(&self, now: Ticks) -> Duration {
        let due = self.schedule.as_ref().map_or(now, |it| it.due(self.clock, self.next));
        Duration::from_nanos(self.clock.nanos(now, due))
    }

    fn wait_for_answers(&mut self) {
        let mut set = WaitSet::new();
        self.sink.wait_on(&mut set);
        set.wait(REST_MAX);
    }

    fn drain(&mut self) {
        let start = self.clock.now();
        loop {
            self.take_answers();
            let waited = self.clock.nanos(start, self.clock.now());
            if self.sink.in_flight() == 0 || self.is_hopeless() || waited > DRAIN_NANOS_MAX {
                return;
            }
            self.wait_for_answers();
        }
    }

    fn report(self, start: Ticks) -> LoadReport {
        let seconds = Duration::from_nanos(self.clock.nanos(start, self.last_answer)).as_secs_f64();
        let acknowledged = self.counts.acknowledged as f64;
        LoadReport {
            unanswered: self.sink.in_flight() as u64,
            missed_slots: self.schedule.map_or(0, |schedule| schedule.missed_slots()),
            seconds,
            records_per_second: if seconds > 0.0 { acknowledged / seconds } else { 0.0 },
            ..self.counts
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, loadgen::tests::settings, record::Output};
    use std::{
        collections::VecDeque,
        io::Write,
        os::{fd::AsRawFd, unix::net::UnixStream},
    };

    /// Answers a record some time after it took it; holds a bounded number of them.
    struct SlowSink {
        clock: ManualClock,
        room: usize,
        answer_after: u64,
        /// What each turn of the caller costs, so that time moves.
        turn_nanos: u64,
        held: VecDeque<(Token, u64)>,
        taken: Vec<(Token, u64, Vec<u8>)>,
        refuse: Option<u64>,
        trouble: Option<Trouble>,
        /// Always readable: a wait ends at once.
        ready: (UnixStream, UnixStream),
    }

    impl SlowSink {
        fn new(clock: &ManualClock, room: usize, answer_after: u64) -> SlowSink {
            let ready = UnixStream::pair().unwrap();
            (&ready.1).write_all(b"!").unwrap();
            SlowSink {
                clock: clock.clone(),
                room,
                answer_after,
                turn_nanos: 1_000,
                held: VecDeque::new(),
                taken: Vec::new(),
                refuse: None,
                trouble: None,
                ready,
            }
        }
    }

    const REFUSAL: Refusal = Refusal {
        code: "MSG_SIZE_TOO_LARGE",
        too_large: true,
        fatal: false,
        aborts: false,
        is_about_content: true,
    };

    impl Sink for SlowSink {
        fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
            if self.refuse == Some(token.0) {
                return Err(SendError::Refused(REFUSAL));
            }
            if self.held.len() == self.room {
                return Err(SendError::Full);
            }
            let now = self.clock.now().0;
            self.held.push_back((token, now + self.answer_after));
            self.taken.push((token, now, output.value.unwrap().to_vec()));
            Ok(())
        }

        fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
            let mut answered = 0;
            while self.held.front().is_some_and(|(_, at)| *at <= now.0) {
                let (token, at) = self.held.pop_front().unwrap();
                visit(Ack { token, at: Ticks(at), result: Ok(()) });
                answered += 1;
            }
            self.clock.advance(self.turn_nanos);
            answered
        }

        fn next_trouble(&mut self) -> Option<Trouble> {
            self.trouble.take()
        }

        fn in_flight(&self) -> usize {
            self.held.len()
        }

        fn wait_on(&mut self, set: &mut WaitSet) {
            set.add(self.ready.0.as_raw_fd());
        }
    }

    /// Resting moves the clock; wakes late by a fixed time, as a real sleep does.
    struct TestWorld<'a> {
        clock: ManualClock,
        wakes_late: u64,
        seconds: u64,
        stop: &'a AtomicBool,
        stop_at: u64,
    }

    impl World for TestWorld<'_> {
        fn rest(&mut self, at_most: Duration) {
            self.clock.advance(u64::try_from(at_most.as_nanos()).unwrap() + self.wakes_late);
            self.stop.store(self.clock.now().0 >= self.stop_at, Ordering::Relaxed);
        }

        fn second_passed(&mut self, _: &impl Clock) {
            self.seconds += 1;
        }
    }

    struct Outcome {
        report: LoadReport,
        taken: Vec<(Token, u64, Vec<u8>)>,
        seconds: u64,
    }

    fn outcome(count: u64, pace: Pace, change: impl FnOnce(&mut SlowSink)) -> Outcome {
        outcome_until(u64::MAX, count, pace, change)
    }

    fn outcome_until(
        stop_at: u64,
        count: u64,
        pace: Pace,
        change: impl FnOnce(&mut SlowSink),
    ) -> Outcome {
        let clock = ManualClock::default();
        let mut sink = SlowSink::new(&clock, 1_000, 2_000_000);
        change(&mut sink);
        let wall = WallOffset::fixed(1_000_000_000_000);
        let mut load = Load::new(settings(count, pace), wall).unwrap();
        let stop = &AtomicBool::new(false);
        let (wakes_late, seconds) = (60_000, 0);
        let mut world = TestWorld { clock: clock.clone(), wakes_late, seconds, stop, stop_at };
        let start = clock.now();
        let report = run_in(&mut world, start, &mut load, &mut sink, &clock, stop);
        Outcome { report, taken: sink.taken, seconds: world.seconds }
    }

    #[test]
    fn an_open_loop_is_on_time_and_says_when_records_were_due() {
        let Outcome { report, taken, seconds } = outcome(5_000, Pace::PerSecond(1_000), |_| {});
        assert_eq!((report.sent, report.acknowledged, report.failed), (5_000, 5_000, 0));
        assert_eq!(report.missed_slots, 0);
        assert!((report.records_per_second - 1_000.0).abs() < 1.0, "{report:?}");
        assert_eq!(seconds, 4);
        for (number, (token, at, value)) in (0_u64..).zip(&taken) {
            let due = number * 1_000_000;
            assert_eq!(token.0, number);
            assert!((due..due + 100_000).contains(at), "{number} was due at {due}, sent at {at}");
            let order: serde_json::Value = serde_json::from_slice(value).unwrap();
            assert_eq!(order["timestamp_sent"], 1_000_000 + number);
        }
    }

    #[test]
    fn a_sink_that_is_too_slow_loses_nothing_and_misses_slots() {
        let pace = Pace::PerSecond(10_000);
        let Outcome { report, taken, .. } = outcome(2_000, pace, |sink| sink.room = 10);
        assert_eq!((report.sent, report.acknowledged), (2_000, 2_000));
        assert!(report.missed_slots > 1_000, "{report:?}");
        assert!(report.records_per_second < 6_000.0, "{report:?}");
        let numbers: Vec<_> = taken.iter().map(|(token, ..)| token.0).collect();
        assert_eq!(numbers, (0..2_000).collect::<Vec<_>>(), "in order, each once");
        for (number, value) in numbers.iter().zip(taken.iter().map(|(_, _, value)| value)) {
            let order: serde_json::Value = serde_json::from_slice(value).unwrap();
            assert_eq!(order["id"], number.to_string(), "a record waits as it is");
        }
    }

    #[test]
    fn a_closed_loop_goes_as_fast_as_it_is_answered() {
        let Outcome { report, .. } = outcome(10_000, Pace::Unpaced, |sink| sink.room = 100);
        assert_eq!((report.sent, report.acknowledged, report.missed_slots), (10_000, 10_000, 0));
        // 100 records in 2 ms: 50,000 a second, and a little less for the turns between.
        assert!((45_000.0..=50_500.0).contains(&report.records_per_second), "{report:?}");
    }

    #[test]
    fn a_refused_record_is_counted_and_passed_over() {
        let Outcome { report, taken, .. } =
            outcome(100, Pace::PerSecond(1_000), |sink| sink.refuse = Some(40));
        assert_eq!((report.sent, report.acknowledged, report.failed), (99, 99, 1));
        assert_eq!(report.refusal, Some(REFUSAL));
        assert!(taken.iter().all(|(token, ..)| token.0 != 40));
    }

    #[test]
    fn an_error_that_does_not_heal_ends_the_load() {
        let trouble = |heals| Trouble { peer: "sink", code: "X", text: "no".into(), heals };
        let ended = outcome(100, Pace::Unpaced, |sink| sink.trouble = Some(trouble(false)));
        assert!(ended.report.sent < 100 || ended.report.acknowledged < 100, "{:?}", ended.report);
        assert_eq!(ended.report.trouble, Some(trouble(false)));
        let healed = outcome(100, Pace::Unpaced, |sink| sink.trouble = Some(trouble(true)));
        assert_eq!(healed.report.acknowledged, 100);
    }

    #[test]
    fn a_sink_that_never_answers_is_given_up() {
        let Outcome { report, .. } = outcome(10, Pace::Unpaced, |sink| {
            (sink.answer_after, sink.turn_nanos) = (u64::MAX / 2, 1_000_000_000);
        });
        assert_eq!((report.sent, report.acknowledged, report.unanswered), (10, 0, 10));
        assert_eq!(report.seconds, 0.0);
    }

    #[test]
    fn a_stop_ends_the_load_after_what_was_sent_is_answered() {
        let pace = Pace::PerSecond(1_000);
        let Outcome { report, .. } = outcome_until(500_000_000, 1_000_000, pace, |_| {});
        assert!((500..=502).contains(&report.sent), "{report:?}");
        assert_eq!((report.acknowledged, report.unanswered), (report.sent, 0));
    }

    #[test]
    fn the_real_world_sends_them_all_too() {
        let clock = ManualClock::default();
        let mut sink = SlowSink::new(&clock, 50, 10_000);
        let mut load = Load::new(settings(1_000, Pace::Unpaced), WallOffset::fixed(0)).unwrap();
        let report = run(&mut load, &mut sink, &clock, &AtomicBool::new(false));
        assert_eq!((report.sent, report.acknowledged), (1_000, 1_000));
    }
}
