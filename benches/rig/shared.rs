//! One group, one process or two: bulk on a topic of two partitions, from the moment all of it is
//! there.
//!
//! The records are written in one transaction while the processes wait, each with its partitions,
//! so that the last of them to join has joined. Time runs from the end of the transaction, which
//! makes all of them visible at once, to the last result.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use hotspur::{
    clock::{TscClock, WallOffset},
    loadgen::Payload,
};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    broker::{Broker, PATIENCE},
    cluster,
    process::Process,
    records,
    statistics::median,
    system::{KEYS, Places, Steps, System},
};

const PARTITIONS: i32 = 2;
const PROCESSES: [usize; 2] = [1, 2];
const DIFFERENT: u64 = 100_000;
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What one run came to: records a second, CPU of all processes in nanoseconds a record, and the
/// memory of each in MiB.
type Figures = [f64; 3];

/// Prints all of it.
pub(crate) fn show(broker: &Broker, is_quick: bool) {
    let (rounds, count) = if is_quick { (1, 100_000) } else { (5, 1_000_000) };
    println!(
        "Medians of {rounds} rounds, in turn: names of 45 bytes, {count} in each of {PARTITIONS} \
         partitions, profile `balanced`, parked; Kafka is on the same two cores.\n"
    );
    let mut runs: [Vec<Figures>; 2] = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            runs[which].push(run(broker, PROCESSES[which], count));
        }
    }
    println!("| processes | records/s | of one | CPU ns a record, all | resident MiB, each |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (number, own) in PROCESSES.iter().zip(&runs) {
        let of = |index: usize| median(own.iter().map(|it| it[index]));
        let ratio = median(own.iter().zip(&runs[0]).map(|(it, one)| it[0] / one[0]));
        println!("| {number} | {:.0} | × {ratio:.2} | {:.0} | {:.0} |", of(0), of(1), of(2));
    }
}

fn run(broker: &Broker, processes: usize, count: usize) -> Figures {
    let input = broker.create_topic_of("shared-in", PARTITIONS);
    let output = broker.create_topic_of("shared-out", PARTITIONS);
    let places = Places {
        brokers: broker.address.clone(),
        input: input.clone(),
        output: output.clone(),
        table: Path::new("").to_owned(),
    };
    let start = || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let process = System::PARK.start(Steps::Names, &places, folder.path());
        (process.expect("a processor"), folder)
    };
    let mut members: Vec<(Process, TempDir)> = (0..processes).map(|_| start()).collect();
    await_shares(&mut members, u64::from(PARTITIONS.unsigned_abs()) / processes as u64);
    let writer = write(&places.brokers, &input, count);
    let before: Vec<_> = members.iter().map(|it| it.0.read()).collect();
    let all = count as i64 * i64::from(PARTITIONS);
    let begin = Instant::now();
    writer.commit_transaction(PATIENCE).expect("the transaction ends");
    let written = || (0..PARTITIONS).map(|it| broker.end_offset_of(&output, it)).sum::<i64>();
    while written() < all {
        members.iter_mut().for_each(|(process, folder)| process.assert_runs(folder.path()));
        assert!(begin.elapsed() < 4 * PATIENCE, "{} of {all}", written());
        thread::sleep(LOOK_AGAIN);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let used: Vec<_> =
        members.iter().zip(&before).map(|(it, before)| it.0.read().since(before)).collect();
    for (process, _folder) in members {
        process.stop();
    }
    assert_eq!(written(), all, "each record has one result");
    broker.delete_topic(&input);
    broker.delete_topic(&output);
    let cpu: u64 = used.iter().map(|it| it.process_cpu_ns).sum();
    let memory: u64 = used.iter().map(|it| it.resident_kib).sum();
    let each = memory as f64 / 1024.0 / processes as f64;
    [all as f64 / seconds, cpu as f64 / all as f64, each]
}

/// Waits until each process has said that it has so many partitions.
fn await_shares(members: &mut [(Process, TempDir)], share: u64) {
    let deadline = Instant::now() + PATIENCE;
    let has_share = |folder: &Path| {
        let log = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let last = events.rev().find(|it| it["event"] == "group.assigned");
        last.is_some_and(|it| it["owned"] == share)
    };
    for (process, folder) in members {
        while !has_share(folder.path()) {
            process.assert_runs(folder.path());
            assert!(Instant::now() < deadline, "a process has not {share} partitions");
            thread::sleep(LOOK_AGAIN);
        }
    }
}

/// Writes `count` records into each partition; nobody sees them before the transaction ends.
fn write(brokers: &str, topic: &str, count: usize) -> BaseProducer {
    let wall = WallOffset::new(&TscClock::new());
    let records = records::prepared(&Payload::Names, KEYS, DIFFERENT, wall);
    let producer: BaseProducer = cluster::config(brokers)
        .set("linger.ms", "20")
        .set("transactional.id", topic)
        .create()
        .expect("a producer");
    producer.init_transactions(PATIENCE).expect("transactions");
    producer.begin_transaction().expect("a transaction");
    let partitions = (0..PARTITIONS).cycle();
    let all = records.iter().cycle().zip(partitions).take(count * PARTITIONS as usize);
    for ((key, value), partition) in all {
        loop {
            let record = BaseRecord::to(topic).key(key).payload(value).partition(partition);
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => panic!("a record was not taken: {error}"),
            }
        }
    }
    producer.flush(PATIENCE).expect("all records are acknowledged");
    producer
}
