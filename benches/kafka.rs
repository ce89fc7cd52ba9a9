//! Hotspur on a real Kafka, beside the plain loop that it replaces and beside nothing at all.
//!
//! Bulk first (a full topic, both pipelines), then open loop at several rates. Systems take turns
//! within a round and medians are taken over rounds, because machines drift. Uses the Kafka of
//! `HOTSPUR_TEST_KAFKA`, else `scripts/kafka`'s, which it starts and stops if it does not run.
//! Prints Markdown. `-- --quick` takes under two minutes; `-- bulk` or `-- loop` does one half;
//! `-- pairs [RATE …]` compares the parked engine with the plain loop many times over;
//! `-- profiles` compares the tuning profiles with `balanced`; `-- shared` has one process or two.

#[path = "rig/broker.rs"]
mod broker;
#[path = "rig/bulk.rs"]
mod bulk;
#[path = "rig/circumstances.rs"]
mod circumstances;
#[path = "../tests/support/cluster.rs"]
mod cluster;
#[path = "rig/log.rs"]
mod log;
#[path = "rig/open_loop.rs"]
mod open_loop;
#[path = "rig/pairs.rs"]
mod pairs;
#[path = "rig/peer.rs"]
mod peer;
#[path = "rig/process.rs"]
mod process;
#[path = "rig/profiles.rs"]
mod profiles;
#[path = "rig/records.rs"]
mod records;
#[path = "rig/shared.rs"]
mod shared;
#[path = "rig/statistics.rs"]
mod statistics;
#[path = "rig/system.rs"]
mod system;

use std::{env, time::Duration};

use broker::Broker;
use hotspur::{
    clock::{TscClock, WallOffset},
    loadgen::Payload,
};
use statistics::median;
use system::{ClientSettings, Steps, System};

/// Prepared records that are written over and over.
const DIFFERENT: u64 = 100_000;

/// How much is done.
struct Plan {
    bulk_records: usize,
    bulk_rounds: usize,
    loop_rounds: usize,
    pair_rounds: usize,
    loop_length: Duration,
    rates: &'static [u64],
}

const WHOLE: Plan = Plan {
    bulk_records: 1_000_000,
    bulk_rounds: 3,
    loop_rounds: 3,
    pair_rounds: 15,
    loop_length: Duration::from_secs(6),
    rates: &[200, 1_000, 2_000],
};
const QUICK: Plan = Plan {
    bulk_records: 200_000,
    bulk_rounds: 1,
    loop_rounds: 1,
    pair_rounds: 1,
    loop_length: Duration::from_secs(2),
    rates: &[200, 2_000],
};

/// Where plain loops fall to seconds on two cores.
const COLLAPSE: u64 = 5_000;

const BULK: [System; 3] =
    [System::PARK, System::Plain(ClientSettings::Ours), System::Plain(ClientSettings::Defaults)];
const LOOP: [System; 4] =
    [System::Hop, System::PARK, System::SPIN, System::Plain(ClientSettings::Ours)];
const AT_COLLAPSE: [System; 5] = [
    System::Hop,
    System::PARK,
    System::SPIN,
    System::THROUGHPUT,
    System::Plain(ClientSettings::Ours),
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, rest @ ..] = &arguments[..]
        && first == peer::ARGUMENT
    {
        peer::run(rest);
    }
    let has = |word: &str| arguments.iter().any(|it| it == word);
    let plan = if has("--quick") { QUICK } else { WHOLE };
    let broker = Broker::find();
    println!("# Real Kafka\n\n{}", circumstances::circumstances());
    if has("pairs") {
        return show_pairs(&broker, &plan);
    }
    if has("profiles") {
        return profiles::show(&broker, has("--quick"));
    }
    if has("shared") {
        return shared::show(&broker, has("--quick"));
    }
    if !has("loop") {
        show_bulk(&broker, &plan);
    }
    if !has("bulk") {
        show_loops(&broker, &plan);
    }
}

fn show_bulk(broker: &Broker, plan: &Plan) {
    println!("## Bulk: {} records, one partition\n", plan.bulk_records);
    println!("Medians of {} rounds. CPU and memory of the process alone.\n", plan.bulk_rounds);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let table = folder.path().join("users.jsonl");
    system::write_table(&table);
    let cases = [
        (Steps::Names, "names, 45 bytes", Payload::Names),
        (Steps::OrdersSpliced, "orders, 200 bytes, spliced", Payload::Orders { bytes: 200 }),
    ];
    for (steps, name, payload) in cases {
        let wall = WallOffset::new(&TscClock::new());
        let records = records::prepared(&payload, system::KEYS, DIFFERENT, wall);
        let input = broker.create_topic("bulk-in");
        broker.preload(&input, &records, plan.bulk_records);
        let count = plan.bulk_records as i64;
        let job = bulk::Job { steps, input: &input, count, table: &table };
        show_bulk_of(broker, &job, name, plan.bulk_rounds);
        broker.delete_topic(&input);
    }
}

fn show_bulk_of(broker: &Broker, job: &bulk::Job<'_>, name: &str, rounds: usize) {
    let mut runs = BULK.map(|_| Vec::new());
    for round in 0..rounds {
        for turn in 0..BULK.len() {
            let which = (round + turn) % BULK.len();
            let figures = bulk::run(broker, BULK[which], job);
            eprintln!("{name}: {}: {figures:?}", BULK[which].name());
            runs[which].push(figures);
        }
    }
    println!("### {name}\n");
    println!(
        "| system | records/s | hot thread CPU ns | process CPU ns | records a batch | resident \
         MiB | peak MiB | switches voluntary, involuntary | faults minor, major |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (system, runs) in BULK.iter().zip(&runs) {
        let bulk::Figures { records_per_second, hot_ns, process_ns, records_per_batch, reading } =
            bulk::medians(runs);
        println!(
            "| {} | {records_per_second:.0} | {hot_ns:.0} | {process_ns:.0} | \
             {records_per_batch:.0} | {} | {} | {}, {} | {}, {} |",
            system.name(),
            reading.resident_kib / 1024,
            reading.resident_peak_kib / 1024,
            reading.hot_voluntary_switches,
            reading.hot_involuntary_switches,
            reading.hot_minor_faults,
            reading.hot_major_faults,
        );
    }
    show_ratios(&runs);
}

/// The plain loops against hotspur, round by round.
fn show_ratios(runs: &[Vec<bulk::Figures>; BULK.len()]) {
    let ratio = |which: usize, figure: fn(&bulk::Figures) -> f64| {
        let pairs = runs[0].iter().zip(&runs[which]);
        median(pairs.map(|(ours, theirs)| figure(ours) / figure(theirs)))
    };
    println!("\n| hotspur against | records/s | hot thread CPU | process CPU |");
    println!("| --- | ---: | ---: | ---: |");
    for (which, system) in BULK.iter().enumerate().skip(1) {
        println!(
            "| {} | × {:.2} | × {:.2} | × {:.2} |",
            system.name(),
            ratio(which, |it| it.records_per_second),
            ratio(which, |it| it.hot_ns),
            ratio(which, |it| it.process_ns),
        );
    }
    println!();
}

fn show_loops(broker: &Broker, plan: &Plan) {
    println!("## Open loop\n");
    println!(
        "Medians of {} rounds of {:?} after one second of warm-up. End to end from when a record \
         was due to when a listener had its result; `transit` is hotspur's own part, by its own \
         books. The hop's producer and listener are those of every row.\n",
        plan.loop_rounds, plan.loop_length
    );
    for &rate in plan.rates {
        show_loop(broker, &LOOP, rate, plan.loop_rounds, plan.loop_length);
    }
    show_loop(broker, &AT_COLLAPSE, COLLAPSE, plan.loop_rounds, plan.loop_length);
}

fn show_pairs(broker: &Broker, plan: &Plan) {
    println!("## Open loop, pairs\n");
    println!(
        "{} pairs of {:?} after one second of warm-up, in turns.\n",
        plan.pair_rounds, plan.loop_length
    );
    let of = [System::PARK, System::Plain(ClientSettings::Ours)];
    let chosen: Vec<u64> = env::args().filter_map(|word| word.parse().ok()).collect();
    for &rate in if chosen.is_empty() { plan.rates } else { &chosen } {
        pairs::show(broker, of, rate, plan.pair_rounds, plan.loop_length);
    }
}

fn show_loop(broker: &Broker, systems: &[System], rate: u64, rounds: usize, length: Duration) {
    let mut runs: Vec<Vec<open_loop::Figures>> = systems.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for turn in 0..systems.len() {
            let which = (round + turn) % systems.len();
            runs[which].push(open_loop::run(broker, systems[which], rate, length));
        }
    }
    println!("### {rate} records/s\n");
    println!(
        "| system | p50 µs | p99 µs | p99.9 µs | CPU µs a record | hot thread's | its sleeps a \
         record | transit p50, p99, p99.9 µs | lost | sent late |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (system, runs) in systems.iter().zip(&runs) {
        let of = |figure: &dyn Fn(&open_loop::Figures) -> f64| median(runs.iter().map(figure));
        let at = |quantile: f64| of(&|it| it.latency.value_at_quantile(quantile) as f64 / 1_000.0);
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {} | {:.0} | {:.0} |",
            system.name(),
            at(0.5),
            at(0.99),
            at(0.999),
            of(&|it| it.process_ns / 1_000.0),
            of(&|it| it.hot_ns / 1_000.0),
            of(&|it| it.hot_switches),
            transit(runs),
            of(&|it| it.lost as f64),
            of(&|it| it.missed_slots as f64),
        );
    }
    println!();
}

fn transit(runs: &[open_loop::Figures]) -> String {
    let parts: Vec<[f64; 3]> = runs.iter().filter_map(|it| it.transit_us).collect();
    if parts.is_empty() {
        return "–".to_owned();
    }
    let of = |index: usize| median(parts.iter().map(|it| it[index]));
    format!("{:.0}, {:.0}, {:.0}", of(0), of(1), of(2))
}
