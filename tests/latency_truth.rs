//! A known delay in each stage in turn: that stage shows it, and no other does.
//!
//! The engine on the memory transport with a clock that stands still unless a test moves it. So
//! every figure is exact, to the histogram's precision.

#[path = "support/small_engine.rs"]
mod small_engine;

use std::cell::Cell;

use hotspur::{
    clock::{Clock, ManualClock, Ticks, WallOffset},
    delivery::Order,
    engine::{Chance, Engine, Options, Process, Stores, control::Control},
    limits::SAMPLED_ONE_IN,
    measure::{Age, Interval, Regime, Span, Stage, Stages},
    observe::HotSide,
    pipeline::{Mark, Processed, Results},
    record::{Output, PartitionId, Record},
    transport::{
        Ack, SendError, Sink, Source, SourceEvent, Token, Trouble, WaitSet,
        memory::{Discard, Replay},
    },
    verdict::{Awaited, Step, Verdict},
};

const RECORDS: u64 = 100;

/// When the engine is made; origins count from the same zero.
const START: u64 = 1_000_000_000;

/// How long each stage takes, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Delays {
    source: u64,
    queue: u64,
    batch: u64,
    held: u64,
    parse: u64,
    operate: u64,
    encode: u64,
    send: u64,
    ack: u64,
    commit: u64,
}

impl Delays {
    fn only(stage: Stage, nanos: u64) -> Delays {
        let mut delays = Delays::default();
        *delays.of(stage) = nanos;
        delays
    }

    fn of(&mut self, stage: Stage) -> &mut u64 {
        match stage {
            Stage::Source => &mut self.source,
            Stage::Queue => &mut self.queue,
            Stage::Batch => &mut self.batch,
            Stage::Held => &mut self.held,
            Stage::Parse => &mut self.parse,
            Stage::Operate => &mut self.operate,
            Stage::Encode => &mut self.encode,
            Stage::Send => &mut self.send,
            Stage::Ack => &mut self.ack,
            Stage::Commit => &mut self.commit,
        }
    }
}

/// Lends one record at a time, which arrived a while ago and whose turn comes a while later.
struct LateSource {
    replay: Replay,
    clock: ManualClock,
    delays: Delays,
}

impl Source for LateSource {
    fn serve(&mut self, now: Ticks) -> usize {
        self.replay.serve(now)
    }

    fn next_event(&mut self) -> Option<SourceEvent<'_>> {
        self.replay.next_event()
    }

    fn poll(
        &mut self,
        now: Ticks,
        records_max: usize,
        take: &mut impl FnMut(&Record<'_>) -> bool,
    ) -> usize {
        let arrived = Ticks(now.0 - self.delays.queue);
        let taken = self.replay.poll(arrived, records_max.min(1), take);
        self.clock.advance(if taken > 0 { self.delays.batch } else { 0 });
        taken
    }

    fn commit(&mut self, ticket: u64, positions: &[(PartitionId, i64)]) {
        self.replay.commit(ticket, positions);
    }

    fn release(&mut self, partitions: &[PartitionId]) {
        self.replay.release(partitions);
    }

    fn partition(&self, partition: PartitionId) -> (&str, i32) {
        self.replay.partition(partition)
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        self.replay.wait_on(set);
    }

    fn close(&mut self) {
        self.replay.close();
    }
}

/// Takes a while to take a result.
struct LateSink {
    discard: Discard,
    clock: ManualClock,
    delays: Delays,
}

impl Sink for LateSink {
    fn send(&mut self, output: &Output<'_>, token: Token) -> Result<(), SendError> {
        self.clock.advance(self.delays.send);
        self.discard.send(output, token)
    }

    fn poll_acks(&mut self, now: Ticks, visit: &mut impl FnMut(Ack)) -> usize {
        self.discard.poll_acks(now, visit)
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        self.discard.next_trouble()
    }

    fn in_flight(&self) -> usize {
        self.discard.in_flight()
    }

    fn wait_on(&mut self, set: &mut WaitSet) {
        self.discard.wait_on(set);
    }
}

/// Takes a while for each step.
struct LateProcess {
    clock: ManualClock,
    delays: Delays,
    waits: Cell<bool>,
}

impl Stores for LateProcess {}

impl Process for LateProcess {
    fn begin_turn(&mut self, _now: Ticks) {}

    fn process(
        &mut self,
        record: &Record<'_>,
        chance: Chance,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed {
        let source = self.delays.source.cast_signed();
        let origin_ns = Some(record.arrived.0.cast_signed() - source);
        if self.delays.held > 0 && !chance.is_last {
            self.waits.set(true);
            let awaited = Awaited { table: 0, hash: 1 };
            return Processed { verdict: Verdict::Wait(awaited), origin_ns };
        }
        self.clock.advance(self.delays.parse);
        mark(Mark::Parsed);
        self.clock.advance(self.delays.operate);
        mark(Mark::Operated);
        small_engine::echo(results);
        self.clock.advance(self.delays.encode);
        Processed { verdict: Verdict::Emit, origin_ns }
    }

    fn is_answered(&self, _awaited: Awaited) -> bool {
        false
    }

    fn wait_ns(&self, _table: u16) -> u64 {
        self.delays.held
    }

    fn step_name(&self, _step: Step) -> &str {
        "late"
    }
}

/// What a run of so many records with these delays measured.
fn measured(delays: Delays, order: Order) -> Interval {
    measured_as(Stages::All, delays, order)
}

fn measured_as(stages: Stages, delays: Delays, order: Order) -> Interval {
    let clock = ManualClock::default();
    clock.advance(START);
    let (hot, mut collector) = HotSide::collected(clock.now());
    let source = LateSource {
        replay: Replay::new(vec![(b"k".to_vec(), b"{}".to_vec())], 0),
        clock: clock.clone(),
        delays,
    };
    let sink = LateSink { discard: Discard::new(8), clock: clock.clone(), delays };
    let process = LateProcess { clock: clock.clone(), delays, waits: Cell::new(false) };
    let never = u64::MAX >> 1;
    let options = Options {
        order,
        waiting: 8,
        commit_interval_ns: 0,
        transaction_timeout_ns: never,
        stages,
        slow_ns: u64::MAX,
        publish_interval_ns: never,
        drain_timeout_ns: never,
        ..small_engine::options()
    };
    let wall = (clock.clone(), WallOffset::fixed(0));
    let mut engine = Engine::new(wall, (source, sink), process, hot, Control::none(), options);
    // The partition is given first; time before the first record is nobody's.
    engine.turn();
    let source = if delays.source < START { delays.source } else { 0 };
    clock.advance(source + delays.queue);
    for _ in 0..RECORDS {
        engine.source_mut().replay.extend(1);
        engine.turn();
        if engine.process_mut().waits.take() {
            clock.advance(delays.held);
            engine.turn();
        }
        clock.advance(delays.ack);
        engine.turn();
        clock.advance(delays.commit);
        engine.turn();
    }
    assert!(engine.is_settled());
    // Times of the last commit are recorded with the turn after it.
    engine.turn();
    engine.finish();
    let mut total = Interval::new();
    collector.collect(&mut |interval: &Interval| total.clone_from(interval));
    total
}

/// What a histogram has for all records, if it has the same for all.
fn common(interval: &Interval, span: Span) -> Option<u64> {
    let of = interval.of(Age::Live).of(span);
    assert!(of.is_empty() || of.len() == RECORDS, "{span} has {} records", of.len());
    assert!(is_near(of.min(), of.max()), "{span}: {} to {}", of.min(), of.max());
    (!of.is_empty()).then(|| of.max())
}

fn is_near(shown: u64, expected: u64) -> bool {
    shown.abs_diff(expected) <= expected / 500
}

#[test]
fn a_delay_shows_in_its_stage_and_in_no_other_and_the_sum_is_the_whole() {
    for stage in Stage::ALL {
        let order = match stage {
            Stage::Commit => Order::Together,
            _ => Order::ProcessThenCommit,
        };
        for nanos in [300, 41_000, 300_000_000] {
            let interval = measured(Delays::only(stage, nanos), order);
            for other in Stage::ALL {
                let shown = common(&interval, other.into());
                let expected = if other == stage { nanos } else { 0 };
                let is_measured = match other {
                    Stage::Held => stage == Stage::Held,
                    Stage::Commit => order == Order::Together,
                    _ => true,
                };
                assert_eq!(shown.is_some(), is_measured, "{stage} {nanos}: {other}");
                let shown = shown.unwrap_or(0);
                assert!(is_near(shown, expected), "{stage} {nanos}: {other} shows {shown}");
            }
            let end_to_end = common(&interval, Span::EndToEnd).unwrap();
            assert!(is_near(end_to_end, nanos), "{stage} {nanos}: end_to_end {end_to_end}");
            let is_ours = !matches!(stage, Stage::Source | Stage::Ack | Stage::Commit);
            let transit = common(&interval, Span::Transit).unwrap();
            let expected = if is_ours { nanos } else { 0 };
            assert!(is_near(transit, expected), "{stage} {nanos}: transit {transit}");
        }
    }
}

#[test]
fn all_at_once_they_add_up() {
    let mut delays = Delays::default();
    for (stage, nanos) in Stage::ALL.into_iter().zip((1..).map(|it| it * 1_000)) {
        *delays.of(stage) = nanos;
    }
    delays.commit = 0;
    let interval = measured(delays, Order::ProcessThenCommit);
    let sum: u64 = Stage::ALL.map(|it| *delays.of(it)).iter().sum();
    let end_to_end = common(&interval, Span::EndToEnd).unwrap();
    assert!(is_near(end_to_end, sum), "{end_to_end} for {sum}");
}

#[test]
fn sampled_stages_are_some_and_the_totals_are_all() {
    let delays = Delays { queue: 5_000, parse: 700, send: 900, ..Delays::default() };
    let interval = measured_as(Stages::Sampled, delays, Order::ProcessThenCommit);
    let of = |span: Span| interval.of(Age::Live).of(span);
    for stage in [Stage::Queue, Stage::Batch, Stage::Parse, Stage::Operate, Stage::Ack] {
        assert_eq!(of(stage.into()).len(), RECORDS.div_ceil(SAMPLED_ONE_IN), "{stage}");
    }
    assert!(is_near(of(Stage::Parse.into()).max(), 700));
    for total in [Span::Transit, Span::EndToEnd] {
        assert_eq!(of(total).len(), RECORDS);
        assert!(is_near(of(total).min(), 6_600) && is_near(of(total).max(), 6_600), "{total}");
    }
    let off = measured_as(Stages::Off, delays, Order::ProcessThenCommit);
    assert!(Span::ALL.iter().all(|it| off.of(Age::Live).of(*it).is_empty()));
    assert_eq!(off.counters.emitted, RECORDS);
}

#[test]
fn what_is_older_than_the_run_is_told_apart() {
    let interval =
        measured(Delays::only(Stage::Source, START + 5_000_000_000), Order::ProcessThenCommit);
    let of = |age| Span::ALL.map(|span| interval.of(age).of(span).len()).iter().sum::<u64>();
    assert_eq!(of(Age::Live), 0);
    assert_eq!(interval.of(Age::Backlog).of(Span::EndToEnd).len(), RECORDS);
    assert_eq!(interval.slow.records().count(), 0, "catching up is not slow");
}

#[test]
fn an_origin_ahead_of_this_clock_is_skew_and_no_latency() {
    // Wraps to an origin that lies ahead.
    let ahead = 7_000_u64;
    let interval =
        measured(Delays::only(Stage::Source, ahead.wrapping_neg()), Order::ProcessThenCommit);
    assert_eq!(interval.skewed(), RECORDS);
    assert_eq!(interval.counters.skew_ns_max, ahead);
    assert_eq!(interval.of(Age::Live).of(Span::EndToEnd).len(), 0);
}

#[test]
fn every_tick_belongs_to_one_regime() {
    let interval = measured(Delays::only(Stage::Parse, 5_000), Order::ProcessThenCommit);
    let sum: u64 = Regime::ALL.map(|it| interval.regimes.of(it)).iter().sum();
    assert_eq!(sum, interval.end.0 - interval.start.0);
    assert!(interval.regimes.of(Regime::Working) >= RECORDS * 5_000);
}
