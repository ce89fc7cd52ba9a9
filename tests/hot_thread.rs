//! A fault on the hot thread ends the process, with a message and a status that says so.

#[path = "support/small_engine.rs"]
#[expect(dead_code, reason = "its records are taken in and not emitted")]
mod small_engine;

use std::{env, process::Command};

use hotspur::{
    clock::{Clock, Ticks, TscClock, WallOffset},
    engine::{
        Chance, Engine, Process, Stores, control::Control, idle::IdleStrategy, runner,
        runner::Manner,
    },
    observe::HotSide,
    pipeline::{Mark, Processed, Results},
    record::Record,
    transport::memory::{Discard, Replay},
    verdict::Step,
};

/// Set in the process that is to fail.
const VICTIM: &str = "HOTSPUR_HOT_THREAD_VICTIM";

struct Faulty;

impl Stores for Faulty {}

impl Process for Faulty {
    fn begin_turn(&mut self, _now: Ticks) {}

    fn process(
        &mut self,
        record: &Record<'_>,
        _chance: Chance,
        _mark: &mut impl FnMut(Mark),
        _results: &mut Results,
    ) -> Processed {
        panic!("a fault at offset {}", record.offset)
    }

    fn step_name(&self, _step: Step) -> &str {
        "faulty"
    }
}

#[test]
fn a_fault_on_the_hot_thread_ends_the_process_with_status_and_message() {
    if env::var_os(VICTIM).is_some() {
        let manner = Manner { core: None, is_first: false, idle: IdleStrategy::Park, prefault: 0 };
        let hot = runner::start(manner, || {
            let clock = TscClock::new();
            let wall = WallOffset::new(&clock);
            let hot_side = HotSide::detached(clock.now());
            let source = Replay::new(vec![(b"key".to_vec(), b"value".to_vec())], 1);
            let parts = (source, Discard::new(4));
            Engine::new(
                (clock, wall),
                parts,
                Faulty,
                hot_side,
                Control::none(),
                small_engine::options(),
            )
        });
        hot.expect("a thread").wait();
        unreachable!("the fault was swallowed");
    }
    let name = "a_fault_on_the_hot_thread_ends_the_process_with_status_and_message";
    let output = Command::new(env::current_exe().expect("this test's file"))
        .args(["--exact", name, "--nocapture"])
        .env(VICTIM, "1")
        .output()
        .expect("this test runs again");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(101), "{told}");
    assert!(told.contains("hotspur-hot") && told.contains("a fault at offset 0"), "{told}");
}

#[test]
fn the_release_profile_aborts_on_any_fault() {
    let manifest = include_str!("../Cargo.toml");
    let release = manifest.split("[profile.release]").nth(1).expect("a release profile");
    let release = release.split("\n[").next().unwrap_or_default();
    assert!(release.contains("panic = \"abort\""), "{release}");
}
