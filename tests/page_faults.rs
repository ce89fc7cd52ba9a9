//! A storm of page faults on the hot thread is called by its name in the file of slow records.
//!
//! The engine as it runs, on the memory transport: a step touches memory that was never there. That
//! cannot be done to a process from outside.

#[path = "support/small_engine.rs"]
mod small_engine;

use std::{fs, path::Path, time::Duration};

use hotspur::{
    clock::{Ticks, TscClock, WallOffset},
    config::settings::KeyDisplay,
    engine::{Chance, Engine, Options, Process, Stores, control::Control},
    observe::{Exposed, Facts, Labels, Observer, Setup},
    pipeline::{Mark, Processed, Results},
    record::Record,
    transport::memory::{Discard, Replay},
    verdict::{Step, Verdict},
};
use serde_json::Value;

/// Memory that a step touches for the first time: many pages also where they are huge ones, which
/// the allocator asks for.
const FRESH_BYTES: usize = 512 << 20;
const PAGE_BYTES: usize = 4096;

/// Touches fresh memory for one record in so many.
const ONE_IN: u64 = 200;

struct Greedy {
    records: u64,
}

impl Stores for Greedy {}

impl Process for Greedy {
    fn begin_turn(&mut self, _now: Ticks) {}

    fn process(
        &mut self,
        _record: &Record<'_>,
        _chance: Chance,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed {
        mark(Mark::Parsed);
        self.records += 1;
        if self.records.is_multiple_of(ONE_IN) {
            let mut fresh: Vec<u8> = Vec::with_capacity(FRESH_BYTES);
            // One byte of each page is enough for the kernel to bring it.
            fresh.spare_capacity_mut().iter_mut().step_by(PAGE_BYTES).for_each(|byte| {
                std::hint::black_box(byte.write(1));
            });
        }
        mark(Mark::Operated);
        small_engine::echo(results);
        Processed { verdict: Verdict::Emit, origin_ns: None }
    }

    fn step_name(&self, _step: Step) -> &str {
        "greedy"
    }
}

fn lines(folder: &Path) -> Vec<Value> {
    let files = fs::read_dir(folder).expect("a folder").map(|it| it.expect("a file").path());
    let slow = files.filter(|it| it.to_string_lossy().ends_with(".slow.jsonl"));
    let text: String = slow.map(|it| fs::read_to_string(it).expect("a readable file")).collect();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn faults_are_what_a_record_was_slow_by() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = TscClock::new();
    let wall = WallOffset::new(&clock);
    let setup = Setup {
        name: "greedy".to_owned(),
        instance: "0".to_owned(),
        out: Some(folder.path().to_owned()),
        interval: Duration::from_millis(100),
        keys: KeyDisplay::Off,
        clock: clock.describe(),
        labels: Labels::default(),
        exposed: std::sync::Arc::new(Exposed::new(Facts::default())),
    };
    let (hot, observer) = Observer::start(setup, clock.clone(), wall.clone()).expect("a thread");
    let options = Options { publish_interval_ns: 10_000_000, ..small_engine::options() };
    let source = Replay::new(vec![(b"k".to_vec(), b"{}".to_vec())], 20 * ONE_IN);
    let process = Greedy { records: 0 };
    let (parts, time) = ((source, Discard::new(64)), (clock, wall));
    let mut engine = Engine::new(time, parts, process, hot, Control::none(), options);
    while engine.source_mut().lent() < 20 * ONE_IN || engine.in_flight() > 0 {
        engine.turn();
    }
    engine.finish();
    observer.finish();
    let lines = lines(folder.path());
    let faults: Vec<_> = lines.iter().filter(|it| it["cause"] == "page_fault").collect();
    assert!(!faults.is_empty(), "{lines:#?}");
    let verdict = faults[0]["verdict"].as_str().expect("a sentence");
    assert!(verdict.contains("memory was brought in"), "{verdict}");
}
