//! Bulk as a reader of committed results sees it: how fast they become visible in the output.
//!
//! With transactions results become visible at commits, in steps. So time runs from one step to
//! another, each the first after a share of the results: between them lie whole cycles, whatever
//! their length, and neither the start of a process nor its last, idle cycle. Without transactions
//! the steps are small. A marker of a transaction takes an offset and counts as a result, one in
//! some thousands.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    broker::Broker,
    system::{Places, Steps, System},
};

const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Longer than the slowest of them takes for a whole topic.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Where time begins and ends, as shares of all results.
const FROM: f64 = 0.15;
const TO: f64 = 0.9;

/// What one run came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) records_per_second: f64,
    pub(crate) hot_ns: f64,
    pub(crate) process_ns: f64,
}

/// One run of a system over a full topic of that many records.
pub(crate) fn run(broker: &Broker, system: System, input: &str, count: i64) -> Figures {
    let output = broker.create_topic("visible-out");
    let places = Places {
        brokers: broker.address.clone(),
        input: input.to_owned(),
        output: output.clone(),
        table: std::path::PathBuf::new(),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut process = system.start(Steps::Names, &places, folder.path()).expect("a processor");
    let deadline = Instant::now() + TIMEOUT;
    let mut reach = |share: f64| {
        let wanted = (count as f64 * share) as i64;
        loop {
            let end = broker.end_offset(&output);
            if end >= wanted {
                return (end, Instant::now(), process.read());
            }
            process.assert_runs(folder.path());
            assert!(Instant::now() < deadline, "{end} of {wanted} in {TIMEOUT:?}");
            thread::sleep(LOOK_AGAIN);
        }
    };
    let (first, started, before) = reach(FROM);
    let (last, ended, after) = reach(TO);
    process.stop();
    broker.delete_topic(&output);
    let records = (last - first) as f64;
    let used = after.since(&before);
    Figures {
        records_per_second: records / (ended - started).as_secs_f64(),
        hot_ns: used.hot_cpu_ns as f64 / records,
        process_ns: used.process_cpu_ns as f64 / records,
    }
}
