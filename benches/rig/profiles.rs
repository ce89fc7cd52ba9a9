//! The tuning profiles, each against `balanced`, in turns: open loop at several rates, and bulk.

use std::{path::Path, time::Duration};

use hotspur::{
    clock::{TscClock, WallOffset},
    loadgen::Payload,
};

use super::{
    broker::Broker,
    bulk,
    open_loop::{self, Figures},
    records,
    statistics::median,
    system::{KEYS, Steps, System},
};

const RATES: [u64; 3] = [200, 1_000, 2_000];

/// Prepared records that are written over and over.
const DIFFERENT: u64 = 100_000;

/// Prints all of it.
pub(crate) fn show(broker: &Broker, is_quick: bool) {
    let (rounds, length, count) = match is_quick {
        true => (1, Duration::from_secs(2), 200_000),
        false => (5, Duration::from_secs(5), 1_000_000),
    };
    println!(
        "Medians of {rounds} rounds, in each of which the profiles take turns. `low-latency` and \
         `ultra` have core 1 for the hot thread, and `ultra` has a client thread that spins on \
         core 0, beside Kafka, the generator and the listener.\n"
    );
    for rate in RATES {
        show_rate(broker, rate, rounds, length);
    }
    show_bulk(broker, rounds, count);
}

/// One round after the other, whoever is first another one each time.
fn in_turns<T>(rounds: usize, mut run: impl FnMut(System) -> T) -> Vec<Vec<T>> {
    let systems = System::PROFILES;
    let mut runs: Vec<Vec<T>> = systems.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for turn in 0..systems.len() {
            let which = (round + turn) % systems.len();
            runs[which].push(run(systems[which]));
        }
    }
    runs
}

fn show_rate(broker: &Broker, rate: u64, rounds: usize, length: Duration) {
    let runs = in_turns(rounds, |system| open_loop::run(broker, system, rate, length));
    println!("### {rate} records/s\n");
    println!(
        "| profile | end to end p50, p99, p99.9 µs | of balanced | transit p50, p99, p99.9 µs | of \
         balanced | CPU µs a record | hot thread's | lost | sent late |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let end_to_end = |it: &Figures| {
        [0.5, 0.99, 0.999].map(|quantile| it.latency.value_at_quantile(quantile) as f64 / 1_000.0)
    };
    let transit = |it: &Figures| it.transit_us.expect("hotspur writes its files");
    for (system, own) in System::PROFILES.iter().zip(&runs) {
        let of = |figure: &dyn Fn(&Figures) -> f64| median(own.iter().map(figure));
        println!(
            "| {} | {} | {} | {} | {} | {:.0} | {:.0} | {:.0} | {:.0} |",
            system.name(),
            three(own, end_to_end),
            ratios(own, &runs[0], end_to_end),
            three(own, transit),
            ratios(own, &runs[0], transit),
            of(&|it| it.process_ns / 1_000.0),
            of(&|it| it.hot_ns / 1_000.0),
            of(&|it| it.lost as f64),
            of(&|it| it.missed_slots as f64),
        );
    }
    println!();
}

/// The medians of three figures of each run.
fn three<T>(runs: &[T], figures: impl Fn(&T) -> [f64; 3]) -> String {
    let of = |index: usize| median(runs.iter().map(|it| figures(it)[index]));
    format!("{:.0}, {:.0}, {:.0}", of(0), of(1), of(2))
}

/// The medians of their ratios to those of another, round by round.
fn ratios<T>(runs: &[T], base: &[T], figures: impl Fn(&T) -> [f64; 3]) -> String {
    let of = |index: usize| {
        median(runs.iter().zip(base).map(|it| figures(it.0)[index] / figures(it.1)[index]))
    };
    format!("× {:.2}, {:.2}, {:.2}", of(0), of(1), of(2))
}

fn show_bulk(broker: &Broker, rounds: usize, count: usize) {
    let wall = WallOffset::new(&TscClock::new());
    let records = records::prepared(&Payload::Names, KEYS, DIFFERENT, wall);
    let input = broker.create_topic("bulk-in");
    broker.preload(&input, &records, count);
    let job =
        bulk::Job { steps: Steps::Names, input: &input, count: count as i64, table: Path::new("") };
    let runs = in_turns(rounds, |system| bulk::run(broker, system, &job));
    broker.delete_topic(&input);
    println!("### Bulk: {count} records of 45 bytes, one partition\n");
    println!(
        "| profile | records/s | of balanced | hot thread CPU ns | process CPU ns | resident MiB | \
         faults minor, major of the hot thread |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (system, own) in System::PROFILES.iter().zip(&runs) {
        let medians = bulk::medians(own);
        let pairs = own.iter().zip(&runs[0]);
        let ratio = median(pairs.map(|it| it.0.records_per_second / it.1.records_per_second));
        println!(
            "| {} | {:.0} | × {ratio:.2} | {:.0} | {:.0} | {} | {}, {} |",
            system.name(),
            medians.records_per_second,
            medians.hot_ns,
            medians.process_ns,
            medians.reading.resident_kib / 1024,
            medians.reading.hot_minor_faults,
            medians.reading.hot_major_faults,
        );
    }
}
