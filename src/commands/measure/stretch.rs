//! One piece of load at one rate, and who listens to what comes of it.
//!
//! The generator runs on the calling thread, the listener on one of its own, and both read one
//! clock, so that a latency is a difference on one clock. Load that cannot be handed over ends
//! with its time: what is late by then was not sent, and the rate is missed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Failure, files::Seconds, plan::records};
use crate::{
    assemble::{Feed, Tail},
    clock::{Clock, EpochClock, Ticks, TscClock, WallOffset},
    commands::{
        letters::failure,
        load::{self, Contents},
    },
    loadgen::{self, Arrivals, Judge, Load, LoadReport, Pace, SentKeys},
    record::{DUE_HEADER, Headers, Output},
    transport::{Ack, SendError, Sink, Token, Trouble, WaitSet},
};

/// From the decision to begin to the first record: time to start two threads.
const LEAD: Duration = Duration::from_millis(20);

/// How long after its end a load is still handed over.
const LATE_MAX: Duration = Duration::from_secs(1);

/// How long the listener waits for a record before it looks whether it is over.
const LISTEN: Duration = Duration::from_millis(10);

/// How often is looked whether all has come.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long is listened after the last result that is expected: for duplicates.
const AFTER: Duration = Duration::from_millis(300);

/// After that long without a result the rest is not coming.
const QUIET: Duration = Duration::from_secs(5);

/// A pipeline that is behind is listened to for that long after the load, and no longer.
const BEHIND_MAX: Duration = Duration::from_secs(120);

/// What a stretch came to.
#[derive(Debug)]
pub(super) struct Heard {
    /// When the first record was due, on the clock that counts from the epoch.
    pub(super) start: Ticks,
    pub(super) report: LoadReport,
    pub(super) arrivals: Arrivals,
}

/// The generator's side: one producer for the whole command.
pub(super) struct Generator<'a> {
    pub(super) feed: Feed,
    pub(super) contents: &'a Contents,
    pub(super) clock: EpochClock,
    /// The clock that the producer was opened with.
    pub(super) ticks: TscClock,
    pub(super) stop: &'a AtomicBool,
}

/// What ends a stretch from outside, and when all has come.
pub(super) trait Watch {
    /// True if there is no point in going on.
    fn is_over(&self) -> bool;

    /// How many results are to come of so many acknowledged records; `None`: not known yet.
    fn expected(&self, acknowledged: u64) -> Option<u64>;
}

impl Generator<'_> {
    /// Sends for that long, listens until all has come or nothing comes any more.
    pub(super) fn drive(
        &mut self,
        tail: &mut Tail,
        (rate, length): (u64, Duration),
        watch: &dyn Watch,
        seconds: Option<Seconds>,
    ) -> Result<Heard, Failure> {
        let count = records(rate, length);
        let keys = Arc::new(SentKeys::new(count));
        let start = Ticks(self.clock.now().0 + LEAD.as_nanos() as u64);
        let judge = Judge::new(rate, count, start, Arc::clone(&keys));
        let settings = self.contents.load(count, Pace::PerSecond(rate))?;
        let settings = loadgen::LoadSettings { stamps_due: true, ..settings };
        let mut load = Load::new(settings, WallOffset::fixed(0)).map_err(load::usage)?;
        let shared = Shared::default();
        let (clock, stop) = (self.clock, self.stop);
        let end = Instant::now() + LEAD + length + LATE_MAX;
        let heard = thread::scope(|scope| {
            let listening = scope.spawn(|| {
                let heard = listen(tail, judge, clock, &shared, seconds);
                shared.is_deaf.store(heard.is_err(), Ordering::Release);
                heard
            });
            scope.spawn(|| {
                while !shared.is_sent.load(Ordering::Acquire) {
                    let is_over = stop.load(Ordering::Acquire) || shared.is_deaf();
                    let is_late = Instant::now() >= end;
                    shared.halt.fetch_or(is_over || is_late, Ordering::AcqRel);
                    thread::park_timeout(LOOK_EVERY);
                }
            });
            let mut noting = Noting { generator: self, keys: &keys };
            let report = loadgen::run_from(start, &mut load, &mut noting, &clock, &shared.halt);
            shared.is_sent.store(true, Ordering::Release);
            let awaited = await_results(&report, &shared, stop, watch);
            shared.is_done.store(true, Ordering::Release);
            let arrivals = listening.join().expect("the listener has no reason to panic");
            awaited.and_then(|()| Ok(Heard { start, report, arrivals: arrivals.map_err(failure)? }))
        })?;
        match heard.report.trouble {
            Some(trouble) if !trouble.heals => Err(failure(trouble)),
            _ if heard.report.unanswered > 0 => Err(Failure::unavailable(format!(
                "{} records of the load were not acknowledged within 10 s",
                heard.report.unanswered
            ))),
            _ => Ok(heard),
        }
    }
}

/// What the threads of a stretch tell each other.
#[derive(Debug, Default)]
struct Shared {
    halt: AtomicBool,
    is_sent: AtomicBool,
    is_done: AtomicBool,
    /// The listener has ended.
    is_deaf: AtomicBool,
    received: AtomicU64,
}

impl Shared {
    fn is_deaf(&self) -> bool {
        self.is_deaf.load(Ordering::Acquire)
    }
}

fn await_results(
    report: &LoadReport,
    shared: &Shared,
    stop: &AtomicBool,
    watch: &dyn Watch,
) -> Result<(), Failure> {
    let (sent, mut moved) = (Instant::now(), Instant::now());
    let mut received = 0;
    loop {
        if stop.load(Ordering::Acquire) || watch.is_over() {
            return Err(Failure::unavailable("told to end before all was measured"));
        }
        let now = shared.received.load(Ordering::Acquire);
        if now > received {
            (received, moved) = (now, Instant::now());
        }
        let acknowledged = report.acknowledged;
        let expected = if received >= acknowledged {
            Some(acknowledged)
        } else {
            watch.expected(acknowledged)
        };
        if expected.is_some_and(|it| received >= it) {
            thread::park_timeout(AFTER);
            return Ok(());
        }
        if moved.elapsed() >= QUIET || sent.elapsed() >= BEHIND_MAX || shared.is_deaf() {
            return Ok(());
        }
        thread::park_timeout(LOOK_EVERY);
    }
}

fn listen(
    tail: &mut Tail,
    mut judge: Judge,
    clock: EpochClock,
    shared: &Shared,
    mut seconds: Option<Seconds>,
) -> Result<Arrivals, Trouble> {
    while !shared.is_done.load(Ordering::Acquire) {
        tail.read(LISTEN, &clock, |record| {
            // What has no stamp is of no schedule: due at the epoch itself.
            let due = due_in(record.headers).unwrap_or_default();
            let latency = judge.hear(due, record.partition_number, record.arrived);
            if let (Some(nanos), Some(seconds)) = (latency, &mut seconds) {
                seconds.record(nanos);
            }
        })?;
        if let Some(seconds) = &mut seconds {
            seconds.turn(clock.now());
        }
        shared.received.store(judge.received(), Ordering::Release);
    }
    if let Some(seconds) = seconds {
        seconds.finish(clock.now());
    }
    Ok(judge.finish())
}

fn due_in(headers: Headers<'_>) -> Option<u64> {
    std::str::from_utf8(headers.value_of(DUE_HEADER)??).ok()?.parse().ok()
}

/// The generator's producer; what it is given is noted first, and its answers are dated by the
/// clock of the load.
struct Noting<'a, 'b> {
    generator: &'a mut Generator<'b>,
    keys: &'a SentKeys,
}

impl Sink for Noting<'_, '_> {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        self.keys.note(token.0, output.key);
        self.generator.feed.send(output, token)
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        let ticks = self.generator.ticks.now();
        self.generator.feed.poll_acks(ticks, &mut |ack: Ack| visit(Ack { at: now, ..ack }))
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        self.generator.feed.next_trouble()
    }

    fn in_flight(&self) -> usize {
        self.generator.feed.in_flight()
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        self.generator.feed.wait_on(set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_a_decimal_number_and_the_last_of_its_name() {
        let mut block = Vec::new();
        let due = |block: &[u8]| due_in(Headers::from_bytes(block));
        assert_eq!(due(&block), None);
        for (value, read) in [("12", Some(12)), ("x", None), ("-1", None), ("340", Some(340))] {
            Headers::push(&mut block, DUE_HEADER, Some(value.as_bytes()));
            assert_eq!(due(&block), read);
        }
        Headers::push(&mut block, DUE_HEADER, None);
        assert_eq!(due(&block), None);
    }
}
