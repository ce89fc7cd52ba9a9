//! Seeded random schedules of the engine on the memory transport: what the guarantees promise holds
//! whatever order acknowledgements come in, whatever is refused, revoked, lost, paused, stopped by
//! the breaker, whatever waits for a table on demand or to be tried again, and wherever it crashes.
//!
//! A schedule is a seed. A failing one prints it; `HOTSPUR_SIMULATION_SEED=N` runs that one alone.

mod delivery_rig;
mod schedules;
#[path = "delivery_rig/simulation.rs"]
mod simulation;

use std::panic::{AssertUnwindSafe, catch_unwind};

use delivery_rig::{id_of, stored};
use hotspur::{
    clock::Ticks,
    delivery::{Admission, Delivery, Order},
    engine::{Cause, Ending, Phase},
    observe::HotSide,
    record::{Headers, PartitionId, Record},
    transport::memory::{Broker, Stored},
};
use simulation::{Simulated, Simulation, run};

#[test]
fn guarantees_hold_under_random_schedules() {
    schedules::run_all(|seed, hot| run(seed, false, hot));
}

/// What a check is worth that never fails: a sink that acknowledges before the broker has taken
/// anything must be found out, whatever is promised about loss.
#[test]
fn a_variant_that_commits_before_the_acknowledgement_is_caught() {
    for order in [0, 2] {
        let is_caught = |seed: &u64| {
            let hot = HotSide::detached(Ticks(0));
            catch_unwind(AssertUnwindSafe(|| drop(run(3 * seed + order, true, hot)))).is_err()
        };
        let caught = (0..100).filter(is_caught).count();
        assert!(caught >= 50, "{caught} of 100 schedules find it out");
    }
}

/// An engine that owns partition 0 of a broker with these fates.
fn engine(simulation: &mut Simulation, fates: &[u8]) -> Simulated {
    let record = |(offset, fate): (u32, &u8)| stored((0, offset), None, vec![*fate]);
    simulation.broker = Broker::new(vec![(0..).zip(fates).map(record).collect()]);
    simulation.partitions = 1;
    let engine = simulation.connect(HotSide::detached(Ticks(0)));
    simulation.broker.set_room(100);
    simulation.broker.assign(PartitionId(0));
    engine
}

#[test]
fn what_was_settled_and_could_not_be_committed_is_unfinished() {
    let mut simulation = Simulation::new(0);
    let mut engine = engine(&mut simulation, b"sss");
    while simulation.broker.answer_commit(false) || engine.turn() > 0 {}
    engine.stop();
    while !matches!(engine.phase(), Phase::Ended(_)) {
        engine.turn();
        simulation.clock.advance(100_000_000);
        simulation.broker.answer_commit(false);
    }
    let ending = Ending { cause: Cause::Asked, unfinished: 3 };
    assert_eq!(engine.phase(), Phase::Ended(ending));
}

#[test]
fn a_run_with_an_end_ends_once_all_before_it_is_settled_and_committed_and_not_before() {
    let mut simulation = Simulation::new(0);
    let mut engine = engine(&mut simulation, b"1s111");
    simulation.broker.end_at(vec![3]);
    // Longer than a drain may take: nobody asked for the end.
    for _ in 0..100 {
        engine.turn();
        simulation.clock.advance(1_000_000_000);
    }
    assert_eq!((engine.phase(), simulation.broker.unanswered()), (Phase::Running, 2));
    simulation.broker.accept(0);
    simulation.broker.accept(0);
    engine.turn();
    engine.turn();
    assert_eq!(engine.phase(), Phase::Running, "the commit has no answer");
    simulation.broker.answer_commit(true);
    engine.turn();
    engine.turn();
    let clean = Ending { cause: Cause::Asked, unfinished: 0 };
    assert_eq!((engine.phase(), simulation.broker.unanswered()), (Phase::Ended(clean), 0));
}

#[test]
fn a_commit_that_failed_is_not_tried_again_at_once() {
    let mut simulation = Simulation::new(1);
    let mut engine = engine(&mut simulation, b"1");
    let failed = (0..1000).filter(|_| {
        engine.turn();
        simulation.broker.answer_commit(false)
    });
    assert_eq!(failed.count(), 1, "no time has passed");
    simulation.clock.advance(10);
    engine.turn();
    assert!(simulation.broker.answer_commit(true), "the commit interval is over");
    simulation.clock.advance(10);
    engine.turn();
    assert_eq!(simulation.broker.unanswered(), 1, "committed, then processed");
}

#[test]
fn a_record_whose_bytes_find_no_room_is_backpressure_until_some_are_freed() {
    let mut delivery = Delivery::new(Order::ProcessThenCommit, 16, 64);
    delivery.assign(PartitionId(0));
    let admit = |delivery: &mut Delivery, offset, key: &[u8]| {
        delivery.admit(&Record { key: Some(key), ..record(offset) }, Ticks(0))
    };
    assert_eq!(admit(&mut delivery, 0, &[7; 40]), Admission::Admitted);
    assert!(delivery.has_room());
    assert_eq!(admit(&mut delivery, 1, &[7; 40]), Admission::Full);
    assert!(!delivery.has_room(), "a thread that parks must wait for acknowledgements");
    let first = delivery.next_ready().unwrap();
    delivery.skip(first);
    assert!(delivery.has_room());
    assert_eq!(admit(&mut delivery, 1, &[7; 64]), Admission::Admitted);
}

#[test]
fn a_key_that_never_fits_ends_the_run_and_says_where() {
    let mut simulation = Simulation::new(0);
    let stored = Stored { key: Some(vec![7; 513]), value: Some(b"1".to_vec()), headers: vec![] };
    simulation.broker = Broker::new(vec![vec![stored]]);
    let mut engine = simulation.connect(HotSide::detached(Ticks(0)));
    simulation.broker.assign(PartitionId(0));
    while !matches!(engine.phase(), Phase::Ended(_)) {
        engine.turn();
    }
    let Phase::Ended(Ending { cause: Cause::Failed(trouble), unfinished: 0 }) = engine.phase()
    else {
        panic!("{:?}", engine.phase())
    };
    assert!(trouble.text.as_str().starts_with("memory[0] at offset 0: "), "{}", trouble.text);
}

fn record(offset: i64) -> Record<'static> {
    Record {
        partition: PartitionId(0),
        topic: "memory",
        partition_number: 0,
        offset,
        timestamp_ms: None,
        key: None,
        value: None,
        headers: Headers::NONE,
        arrived: Ticks(0),
    }
}

#[test]
fn letters_of_results_that_are_refused_together_keep_their_order() {
    let mut simulation = Simulation::new(0);
    let mut engine = engine(&mut simulation, b"111");
    while simulation.broker.unanswered() < 3 {
        engine.turn();
    }
    // Taken from the front, so that what `swap_remove` leaves is refused last.
    for index in [0, 1, 0] {
        simulation.broker.refuse(index, false);
    }
    while simulation.broker.unanswered() < 3 {
        engine.turn();
    }
    for index in [0, 1, 0] {
        simulation.broker.accept(index);
    }
    let mut offsets = Vec::new();
    simulation.broker.for_each_written(|it| offsets.push(id_of(it).1));
    assert_eq!(offsets, [0, 1, 2]);
}
