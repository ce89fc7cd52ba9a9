//! State read back from a real Kafka: from the wish for a partition to the last entry taken.
//!
//! One partition, which is the worst case: one broker, one fetch at a time. The hot side takes a
//! bounded number of items a turn and looks at each byte, as a store would that copies it. Uses the
//! Kafka of `HOTSPUR_TEST_KAFKA`, else `scripts/kafka`'s, which it starts and stops if it does not
//! run. Prints Markdown. `-- --quick` has a tenth of the entries and one round.

#[path = "rig/broker.rs"]
mod broker;
#[path = "rig/circumstances.rs"]
mod circumstances;
#[path = "../tests/support/cluster.rs"]
mod cluster;
#[path = "rig/records.rs"]
#[expect(dead_code, reason = "not every bench uses all of it")]
mod records;
#[path = "rig/statistics.rs"]
mod statistics;

use std::{
    env,
    time::{Duration, Instant},
};

use broker::{Broker, PATIENCE};
use hotspur::{
    config::settings::KafkaClient,
    record::PartitionId,
    transport::{
        kafka::{StatePlan, StateRestorer},
        restore::{Handed, StateKey, StateKind, StatefulStep, restoration},
    },
};
use records::KeyAndValue;
use statistics::median;

const SOURCE: &str = "orders";
const ENTRIES: usize = 1_000_000;
const ROUNDS: usize = 5;

/// Items taken in one turn.
const ITEMS_A_TURN: usize = 1_024;

/// What 1 M entries may take.
const PROMISED: Duration = Duration::from_secs(3);

/// Bytes of values: what a remembered key of `dedup` and an entry of a window are about.
const VALUES: [usize; 2] = [24, 120];

/// One restoring.
#[derive(Clone, Copy, Debug)]
struct Figures {
    seconds: f64,
    /// The hot thread's share of that, from the turns in which it took something.
    taking_seconds: f64,
    bytes: u64,
    turns: u64,
}

fn main() {
    let is_quick = env::args().any(|it| it == "--quick");
    let (entries, rounds) = if is_quick { (ENTRIES / 10, 1) } else { (ENTRIES, ROUNDS) };
    let broker = Broker::find();
    println!("# Restoring state\n\n{}", circumstances::circumstances());
    println!(
        "{entries} entries in one partition of a real Kafka, each written once; {ITEMS_A_TURN} \
         items a turn at most; medians of {rounds} rounds. The broker shares the cores.\n"
    );
    println!(
        "| value | bytes of keys and values | s | slowest s | entries/s | ns an entry, taking | \
         turns with entries | 1 M in {PROMISED:?} |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |");
    for value in VALUES {
        let topic = broker.create_topic("state");
        broker.preload(&topic, &prepared(entries, value), entries);
        let runs: Vec<Figures> = (0..rounds).map(|_| run(&broker, &topic, entries)).collect();
        broker.delete_topic(&topic);
        show(value, entries, &runs);
    }
}

fn show(value: usize, entries: usize, runs: &[Figures]) {
    let of = |figure: &dyn Fn(&Figures) -> f64| median(runs.iter().map(figure));
    let seconds = of(&|it| it.seconds);
    let slowest = runs.iter().map(|it| it.seconds).fold(0.0, f64::max);
    // Of fewer entries nothing is promised: the beginning takes its time, however many follow.
    let verdict = match slowest <= PROMISED.as_secs_f64() {
        _ if entries < ENTRIES => "–",
        true => "kept",
        false => "missed",
    };
    println!(
        "| {value} B | {} | {seconds:.2} | {slowest:.2} | {:.0} | {:.0} | {:.0} | {} |",
        of(&|it| it.bytes as f64),
        entries as f64 / seconds,
        of(&|it| it.taking_seconds * 1e9 / entries as f64),
        of(&|it| it.turns as f64),
        verdict,
    );
}

fn step() -> StatefulStep {
    StatefulStep { number: 0, name: "1".to_owned(), operator: "dedup", hash: 0x1234 }
}

fn prepared(entries: usize, value: usize) -> Vec<KeyAndValue> {
    let entry = |number: usize| {
        let (step, key) =
            (step(), (number as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let mut bytes = Vec::new();
        let key = StateKey {
            kind: StateKind::Entry,
            topic: SOURCE,
            step: &step.name,
            hash: step.hash,
            key: &key,
        };
        key.write(&mut bytes);
        (bytes, vec![number as u8; value])
    };
    (0..entries).map(entry).collect()
}

fn run(broker: &Broker, topic: &str, entries: usize) -> Figures {
    let steps = vec![step()];
    let (shared, mut restored, filler) = restoration(&steps);
    let client = KafkaClient { brokers: broker.address.clone(), ..KafkaClient::default() };
    let plan = StatePlan {
        reading: client.clone(),
        writing: client,
        topic: topic.to_owned(),
        sources: vec![SOURCE.to_owned()],
        steps,
        resets: false,
    };
    let _restorer = StateRestorer::start(plan, filler).expect("a thread");
    let (mut count, mut bytes, mut sum, mut turns) = (0, 0, 0u64, 0);
    let mut taking = Duration::ZERO;
    let start = Instant::now();
    shared.want(PartitionId(0), 0, 0);
    while !shared.is_complete(PartitionId(0)) {
        let before = Instant::now();
        assert!(before - start < PATIENCE, "not restored in time: {:?}", shared.next_trouble());
        let taken = restored.take(ITEMS_A_TURN, &mut |_, handed| {
            let Handed::Entry { key, value, .. } = handed else { return };
            let value = value.unwrap_or_default();
            (count, bytes) = (count + 1, bytes + key.len() + value.len());
            sum += key.iter().chain(value).map(|it| u64::from(*it)).sum::<u64>();
        });
        if taken == 0 {
            // As a thread that shares its core would.
            std::thread::yield_now();
        } else {
            (taking, turns) = (taking + before.elapsed(), turns + 1);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    std::hint::black_box(sum);
    assert_eq!(count, entries, "entries that came back");
    Figures { seconds, taking_seconds: taking.as_secs_f64(), bytes: bytes as u64, turns }
}
