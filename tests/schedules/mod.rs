//! Many seeded schedules on all cores: a seed that fails is printed, and can be run alone.

use std::{
    iter,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
};

use hotspur::{clock::Ticks, observe::HotSide};

/// Schedules, unless `SCHEDULES_VARIABLE` says how many; `scripts/test` does for some.
const SCHEDULES: u64 = 30_000;
const SCHEDULES_VARIABLE: &str = "HOTSPUR_SCHEDULES";

/// The only seed to be run.
const SEED_VARIABLE: &str = "HOTSPUR_SIMULATION_SEED";

/// Runs all of them. Figures are written to one side after the other, as memory for them is dear.
pub(crate) fn run_all(run: impl Fn(u64, HotSide) -> HotSide + Sync) {
    if let Some(seed) = variable(SEED_VARIABLE) {
        return run_some(iter::once(seed), &run);
    }
    let count = variable(SCHEDULES_VARIABLE).unwrap_or(SCHEDULES);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for first in 0..threads {
            let run = &run;
            scope.spawn(move || run_some((first as u64..count).step_by(threads), run));
        }
    });
}

fn run_some(seeds: impl Iterator<Item = u64>, run: &impl Fn(u64, HotSide) -> HotSide) {
    let mut hot = HotSide::detached(Ticks(0));
    for seed in seeds {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(seed, hot)));
        hot = outcome.unwrap_or_else(|panic| {
            eprintln!("the schedule that failed: {SEED_VARIABLE}={seed}");
            resume_unwind(panic)
        });
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|it| it.parse().ok())
}
