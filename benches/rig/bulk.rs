//! Bulk: a topic that is full already, from its first record to its last.
//!
//! Time runs from the first result seen in the output to the last, so that neither starting a
//! process nor joining a group counts. The output's end is looked at every few milliseconds, which
//! costs the broker next to nothing, and the kernel's books are read at both moments.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    broker::Broker,
    log,
    process::Reading,
    statistics::median,
    system::{Places, Steps, System},
};

const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Longer than the slowest of them takes for a whole topic.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What one run came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) records_per_second: f64,
    pub(crate) hot_ns: f64,
    pub(crate) process_ns: f64,
    pub(crate) records_per_batch: f64,
    pub(crate) reading: Reading,
}

/// A full topic, and what is to be done with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) steps: Steps,
    pub(crate) input: &'a str,
    pub(crate) count: i64,
    pub(crate) table: &'a Path,
}

/// One run of a system.
pub(crate) fn run(broker: &Broker, system: System, job: &Job<'_>) -> Figures {
    let output = broker.create_topic("bulk-out");
    let places = Places {
        brokers: broker.address.clone(),
        input: job.input.to_owned(),
        output: output.clone(),
        table: job.table.to_owned(),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut process = system.start(job.steps, &places, folder.path()).expect("a processor");
    let deadline = Instant::now() + TIMEOUT;
    let mut reach = |wanted: i64| {
        loop {
            let end = broker.end_offset(&output);
            if end >= wanted {
                return (end, Instant::now(), process.read());
            }
            process.assert_runs(folder.path());
            let name = system.name();
            assert!(Instant::now() < deadline, "{name}: {end} of {wanted} in {TIMEOUT:?}");
            thread::sleep(LOOK_AGAIN);
        }
    };
    let (first, started, before) = reach(1);
    let (end, ended, after) = reach(job.count);
    process.stop();
    assert_eq!(end, job.count, "{}: results of {} records", system.name(), job.count);
    let held = log::count(&broker.address, &output, job.count).expect("the log can be read");
    assert_eq!(held.records, job.count as u64, "records in the log of {output}");
    broker.delete_topic(&output);
    let records = (end - first) as f64;
    let reading = after.since(&before);
    Figures {
        records_per_second: records / (ended - started).as_secs_f64(),
        hot_ns: reading.hot_cpu_ns as f64 / records,
        process_ns: reading.process_cpu_ns as f64 / records,
        records_per_batch: held.records_per_batch(),
        reading,
    }
}

/// The medians of several runs, figure by figure.
pub(crate) fn medians(runs: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure));
    let count = |figure: fn(&Reading) -> u64| {
        median(runs.iter().map(|it| figure(&it.reading) as f64)) as u64
    };
    Figures {
        records_per_second: of(|it| it.records_per_second),
        hot_ns: of(|it| it.hot_ns),
        process_ns: of(|it| it.process_ns),
        records_per_batch: of(|it| it.records_per_batch),
        reading: Reading {
            process_cpu_ns: count(|it| it.process_cpu_ns),
            hot_cpu_ns: count(|it| it.hot_cpu_ns),
            hot_voluntary_switches: count(|it| it.hot_voluntary_switches),
            hot_involuntary_switches: count(|it| it.hot_involuntary_switches),
            hot_minor_faults: count(|it| it.hot_minor_faults),
            hot_major_faults: count(|it| it.hot_major_faults),
            resident_kib: count(|it| it.resident_kib),
            resident_peak_kib: count(|it| it.resident_peak_kib),
        },
    }
}
