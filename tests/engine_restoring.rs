//! State that comes back: turns that put some of it back are a regime of their own, and no sleep
//! lies between them.

#[path = "../benches/rig/memory.rs"]
#[expect(dead_code, reason = "the shipped pipelines are the benches'")]
mod memory;
#[path = "../benches/rig/records.rs"]
mod records;
#[path = "../benches/rig/stateful.rs"]
#[expect(dead_code, reason = "what is timed is the benches'")]
mod stateful;

use std::time::{Duration, Instant};

use hotspur::{
    clock::{Clock, TscClock},
    limits::RESTORED_PER_TURN_MAX,
    measure::Regime,
};

/// They fit between the two sides, so that no turn has to wait for any.
const ENTRIES: u64 = 10_000;

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn no_turn_that_puts_state_back_is_followed_by_a_sleep() {
    let (mut engine, is_complete) = stateful::amid_restoring(ENTRIES);
    let (clock, start) = (TscClock::new(), Instant::now());
    let from = clock.now();
    let mut is_awake = Vec::new();
    while !is_complete() {
        // A turn that returns zero may be followed by one.
        is_awake.push(engine.turn() > 0);
        assert!(start.elapsed() < DEADLINE, "{} turns", is_awake.len());
    }
    let to = clock.now();
    // The first ones may have found that there is no memory for the state yet.
    let in_a_row = is_awake.iter().rev().take_while(|it| **it).count();
    let wanted = ENTRIES as usize / RESTORED_PER_TURN_MAX;
    assert!(in_a_row >= wanted, "{in_a_row} turns in a row, of {}", is_awake.len());
    let regimes = engine.into_hot_side().regimes_between(from, to);
    assert!(regimes.of(Regime::Restoring) > 0, "{regimes:?}");
}
