//! What a client thread that spins saves: from the hand-over of a result to the request on its way.
//!
//! A producer as the sink makes it, on the embedded broker, whose thread that talks to the broker
//! either sleeps in `poll`, as the library means it, or spins there, as with `engine.spin_clients`.
//! The hot thread and the broker share the last core, and the client's thread has the first to
//! itself: the hot thread spins until the request has been sent, as an interceptor sees it, and
//! sleeps until it is acknowledged. Both kinds in turn, round by round; `-- --quick` is short.

#[path = "rig/circumstances.rs"]
mod circumstances;
#[path = "rig/raw_producer.rs"]
mod raw_producer;
#[path = "rig/statistics.rs"]
mod statistics;

use std::{hint, sync::Arc, time::Duration};

use hdrhistogram::Histogram;
use hotspur::{
    clock::{Clock, Ticks, TscClock},
    host::{self, CpuList, Housekeeping},
    transport::kafka::{EmbeddedKafka, Spinning},
};

use raw_producer::RawProducer;
use statistics::median;

const PERCENTILES: [f64; 3] = [50.0, 99.0, 99.9];

/// From the hand-over of one result to that of the next.
const EVERY: Duration = Duration::from_millis(1);

/// The promise: the median with a spinning thread, of that with a sleeping one.
const RATIO_MAX: f64 = 0.5;

fn main() {
    let is_quick = std::env::args().any(|it| it == "--quick");
    let (rounds, results) = if is_quick { (3, 1_000) } else { (15, 4_000) };
    let cores: Vec<usize> = host::affinity::current().unwrap_or_default().iter().collect();
    let (Some(&client), Some(&hot)) = (cores.first(), cores.last().filter(|_| cores.len() > 1))
    else {
        println!("two cores are needed, one of them for the thread that spins");
        std::process::exit(1);
    };
    println!("# Client threads that spin\n\n{}", circumstances::circumstances());
    println!(
        "Hot thread and broker on core {hot}, the client's threads on core {client}; {rounds} \
         rounds of {results} results, one every {EVERY:?}, each kind in turn. Microseconds from \
         hand-over to request sent, medians of the rounds.\n"
    );
    let only = |core: usize| std::iter::once(core).collect::<CpuList>();
    let _guard = Housekeeping::enter(&only(hot)).expect("a core of this process");
    let broker = EmbeddedKafka::new(1).expect("an embedded broker");
    broker.create_topic("out", 1).expect("a topic");
    let make = |spinning: Option<Arc<Spinning>>| {
        let _guard = Housekeeping::enter(&only(client)).expect("a core of this process");
        RawProducer::new(broker.bootstrap_servers(), "out", spinning)
    };
    let spinning = || Some(Spinning::new([client], |core| host::pin_current(core).is_ok()));
    let mut rows: [Vec<[f64; 3]>; 2] = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        // Whoever goes first meets another machine than whoever goes second.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for kind in order {
            let producer = make(if kind == 0 { None } else { spinning() });
            rows[kind].push(measure(&producer, results));
        }
    }
    report(&rows);
}

/// Percentiles of one round, in microseconds.
fn measure(producer: &RawProducer, results: u32) -> [f64; 3] {
    let clock = TscClock::new();
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 1_000_000_000, 3).expect("bounds");
    let value = [b'x'; 200];
    // Connections are made, and both sides are warm.
    let warm_up = results / 10;
    let mut due = clock.now();
    for number in 0..warm_up + results {
        while clock.now() < due {
            hint::spin_loop();
        }
        due = Ticks(clock.now().0 + clock.ticks(EVERY.as_nanos() as u64));
        let begin = clock.now();
        producer.hand_over(&value);
        let sent = loop {
            if let Some(sent) = producer.sent_after(begin) {
                break sent;
            }
            hint::spin_loop();
        };
        if number >= warm_up {
            histogram.saturating_record(clock.nanos(begin, sent));
        }
        producer.await_acknowledgement();
    }
    PERCENTILES.map(|it| histogram.value_at_percentile(it) as f64 / 1e3)
}

fn report(rows: &[Vec<[f64; 3]>; 2]) {
    println!("| client thread | p50 | p99 | p99.9 |\n| --- | ---: | ---: | ---: |");
    let medians = rows
        .each_ref()
        .map(|rows| [0, 1, 2].map(|column| median(rows.iter().map(|row| row[column]))));
    for (name, [p50, p99, p999]) in ["sleeps", "spins"].iter().zip(medians) {
        println!("| {name} | {p50:.1} | {p99:.1} | {p999:.1} |");
    }
    let ratios = rows[0].iter().zip(&rows[1]).map(|(sleeps, spins)| spins[0] / sleeps[0]);
    let ratio = median(ratios);
    println!("\nMedian of the pairs' ratios of p50: × {ratio:.2}; the promise is {RATIO_MAX}.");
    if ratio > RATIO_MAX {
        std::process::exit(1);
    }
}
