//! The books of a pipeline with state: what becomes of records, what state gives off and what is
//! written of it are counted apart, and only records have times.

#[path = "support/small_engine.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod small_engine;
#[expect(dead_code, reason = "not every test program uses all of it")]
mod stores_rig;

use hotspur::{
    clock::{ManualClock, Ticks, WallOffset},
    delivery::Order,
    engine::{Engine, Options, Phase, control::Control},
    measure::{Age, Interval, Span, Stage},
    observe::HotSide,
    record::PartitionId,
    transport::memory::Broker,
};
use stores_rig::{DEAD, Gathering, SINK, STATE, stored};

const PARTITION: PartitionId = PartitionId(0);

/// Nine records of three lists, of which one is passed over, one written and one dead-lettered, by
/// the offset of its first record; and a record each that is emitted, rejected and skipped.
const LOG: [(u8, u8); 12] = [
    (b'k', 0),
    (b'k', 0),
    (b'k', 0),
    (b'k', 1),
    (b'k', 1),
    (b'k', 1),
    (b'e', 0),
    (b'k', 2),
    (b'k', 2),
    (b'k', 2),
    (b'r', 0),
    (b's', 0),
];

/// All that a run counted, and how many changes of state the broker has.
fn run(order: Order) -> (Interval, u64) {
    let log: Vec<_> = LOG.iter().map(|(fate, key)| stored(*fate, *key)).collect();
    let broker = match order {
        Order::Together => Broker::with_transactions(vec![log]),
        _ => Broker::new(vec![log]),
    };
    let clock = ManualClock::default();
    let (hot, mut collector) = HotSide::collected(Ticks(0));
    let options = Options { order, publish_interval_ns: u64::MAX / 4, ..small_engine::options() };
    let gathering = Gathering::new(broker.clone(), false);
    let clocks = (clock.clone(), WallOffset::fixed(0));
    let mut engine =
        Engine::new(clocks, broker.connect(100), gathering, hot, Control::none(), options);
    broker.assign(PARTITION);
    let mut turn = || {
        clock.advance(100_000);
        engine.turn();
        broker.answer_commit(true);
        while broker.unanswered() > 0 {
            broker.accept(0);
        }
    };
    (0..1_000).for_each(|_| turn());
    assert_eq!(broker.committed(), [Some(LOG.len() as i64)]);
    engine.stop();
    while !matches!(engine.phase(), Phase::Ended(_)) {
        clock.advance(100_000);
        engine.turn();
        broker.answer_commit(true);
    }
    engine.into_hot_side().finish(Ticks(0));
    let mut total = Interval::new();
    collector.collect(&mut |interval: &Interval| total.clone_from(interval));
    let mut changes = 0;
    broker.for_each_written(|it| changes += u64::from(it.destination == STATE));
    (total, changes)
}

#[test]
fn records_results_of_state_and_its_changes_are_counted_apart() {
    for order in [Order::ProcessThenCommit, Order::Together] {
        let (total, changes) = run(order);
        let counters = &total.counters;
        let ends = [counters.emitted, counters.skipped.total(), counters.rejected.total()];
        assert_eq!((counters.polled, ends, counters.held.total()), (12, [1, 1, 1], 9), "{order:?}");
        assert_eq!(counters.in_flight_records, 0);
        assert_eq!(counters.given_off, [1, 1, 1], "{order:?}");
        let results = |of: hotspur::record::Destination| counters.results[usize::from(of.0)];
        assert_eq!((results(SINK), results(DEAD), results(STATE)), (2, 2, 0), "{order:?}");
        assert_eq!(counters.state_changes, changes);
        assert!(changes > 0);

        let times = |span: Span| total.of(Age::Live).of(span).len();
        for span in [Stage::Encode.into(), Stage::Send.into(), Stage::Ack.into(), Span::EndToEnd] {
            assert_eq!(times(span), 1, "{order:?}, {span}: of the record that was emitted");
        }
    }
}
