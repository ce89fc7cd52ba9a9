//! Seeded random schedules of workers on Redis Streams: what the guarantees promise holds whatever
//! is killed, frozen, cut, trimmed or forgotten, and whoever claims what others had.
//!
//! Workers are the real engine with the real transport; the server is one in memory that executes
//! and answers when the schedule says so (`stream_rig`). A schedule is a seed. A failing one prints
//! it and its last events; `HOTSPUR_SIMULATION_SEED=N` runs that one alone.

mod schedules;
mod stream_rig;

use std::panic::{AssertUnwindSafe, catch_unwind};

use stream_rig::simulation::{Variant, run};

#[test]
fn guarantees_hold_under_random_schedules() {
    schedules::run_all(|seed, hot| {
        run(seed, Variant::Right, true);
        hot
    });
}

/// What a check is worth that never fails.
#[test]
fn variants_that_are_wrong_are_caught() {
    for variant in [Variant::Hasty, Variant::Apart, Variant::Unchecked, Variant::Unclaimed] {
        let is_caught =
            |seed: &u64| catch_unwind(AssertUnwindSafe(|| run(*seed, variant, false))).is_err();
        let caught = (0..200).filter(is_caught).count();
        assert!(caught >= 8, "{variant:?}: {caught} of 200 schedules find it out");
    }
}
