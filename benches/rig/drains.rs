//! How long it takes to finish what is in flight under load: for an operator, and for the group.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use super::{
    broker::{Broker, PATIENCE},
    cluster,
    process::Process,
    system::{Places, Steps, System},
};

/// Records a second, in portions of 5 ms.
pub(crate) const RATE: u64 = 5_000;
const PORTION: Duration = Duration::from_millis(5);

/// Results before anything is asked for.
const WARM: i64 = 5_000;

/// Partitions of the source where two members share it.
const PARTITIONS: i32 = 4;

/// From SIGTERM to the end of the process.
pub(crate) fn shutdown(broker: &Broker, system: System) -> Duration {
    under_load(broker, system, 1, |_, process, _| process.stop())
}

/// From when the group wants partitions back to when it has them: the first member's own words.
pub(crate) fn revoke(broker: &Broker, system: System) -> Duration {
    under_load(broker, system, PARTITIONS, |places, process, folder| {
        let second = tempfile::tempdir().expect("a temporary folder");
        let newcomer = system.start(Steps::Names, places, second.path()).expect("a processor");
        let deadline = Instant::now() + PATIENCE;
        let took = loop {
            if let Some(took) = revoked_in(folder) {
                break took;
            }
            assert!(Instant::now() < deadline, "the second member was given nothing");
            thread::sleep(PORTION);
        };
        newcomer.stop();
        process.stop();
        took
    })
}

/// Starts it, waits until it has warmed up under `RATE` records a second, and acts on it.
pub(crate) fn under_load<T>(
    broker: &Broker,
    system: System,
    partitions: i32,
    act: impl FnOnce(&Places, Process, &Path) -> T,
) -> T {
    let input = broker.create_topic_of("drain-in", partitions);
    let output = broker.create_topic("drain-out");
    let places = Places {
        brokers: broker.address.clone(),
        input: input.clone(),
        output: output.clone(),
        table: Path::new("").to_owned(),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut process = system.start(Steps::Names, &places, folder.path()).expect("a processor");
    let is_over = AtomicBool::new(false);
    let took = thread::scope(|scope| {
        let _end = End(&is_over);
        scope.spawn(|| load(&places, &is_over));
        let deadline = Instant::now() + PATIENCE;
        while broker.end_offset(&output) < WARM {
            process.assert_runs(folder.path());
            assert!(Instant::now() < deadline, "no results under load");
            thread::sleep(PORTION);
        }
        act(&places, process, folder.path())
    });
    broker.delete_topic(&input);
    broker.delete_topic(&output);
    took
}

/// The load ends with what it is for, also where that panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An open loop.
fn load(places: &Places, is_over: &AtomicBool) {
    let producer: BaseProducer =
        cluster::config(&places.brokers).set("linger.ms", "0").create().expect("a producer");
    let start = Instant::now();
    let mut sent = 0;
    while !is_over.load(Ordering::Relaxed) {
        let due = start.elapsed().as_millis() as u64 * RATE / 1_000;
        for number in sent..due {
            let value = format!("{{\"first_name\":\"{number}\",\"last_name\":\"Lovelace\"}}");
            let key = format!("user{number}");
            let record = BaseRecord::to(&places.input).key(&key).payload(&value);
            // One that finds no room is not the load that is measured, but no harm either.
            let _ = producer.send(record);
        }
        sent = due;
        producer.poll(Duration::ZERO);
        thread::sleep(PORTION);
    }
    // What it could not write in time nobody waits for.
    let _ = producer.flush(PATIENCE);
}

/// What the log says that the last release of partitions took.
fn revoked_in(folder: &Path) -> Option<Duration> {
    let log = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let event = lines.rev().find(|it| it["event"] == "group.revoked")?;
    let took = event["took"].as_str()?;
    let digits = took.find(|it: char| it.is_ascii_alphabetic())?;
    let number: f64 = took[..digits].parse().ok()?;
    let nanos = match &took[digits..] {
        "s" => 1e9,
        "ms" => 1e6,
        "us" => 1e3,
        _ => 1.0,
    };
    Some(Duration::from_nanos((number * nanos) as u64))
}
