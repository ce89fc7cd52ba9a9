//! What each guarantee costs, on a real Kafka: throughput, CPU, latency, transactions, drains.
//!
//! The same pipeline (names) with each guarantee and several commit intervals. They take turns
//! within a round, and are compared pair by pair over rounds, because machines drift. Uses the
//! Kafka of `HOTSPUR_TEST_KAFKA`, else `scripts/kafka`'s, which it starts and stops if it does not
//! run. Prints Markdown, and ends with 1 if a promise is broken. `-- --quick` takes a few minutes
//! and proves nothing; `-- bulk`, `-- loop`, `-- cycles` or `-- drains` does one part.

#[path = "rig/broker.rs"]
mod broker;
#[path = "rig/circumstances.rs"]
mod circumstances;
#[path = "../tests/support/cluster.rs"]
mod cluster;
#[path = "rig/cycles.rs"]
mod cycles;
#[path = "rig/drains.rs"]
mod drains;
#[path = "rig/open_loop.rs"]
mod open_loop;
#[path = "rig/paired.rs"]
mod paired;
#[path = "rig/peer.rs"]
#[expect(dead_code, reason = "no peer has guarantees to compare")]
mod peer;
#[path = "rig/process.rs"]
#[expect(dead_code, reason = "some of its readings are for other benches")]
mod process;
#[path = "rig/records.rs"]
mod records;
#[path = "rig/statistics.rs"]
mod statistics;
#[path = "rig/system.rs"]
#[expect(dead_code, reason = "not every bench uses all of it")]
mod system;
#[path = "rig/visible.rs"]
mod visible;

use std::{
    env, fs,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use broker::Broker;
use hotspur::{
    clock::{TscClock, WallOffset},
    loadgen::Payload,
};
use statistics::median;
use system::{Places, Steps, System};

/// Prepared records that are written over and over.
const DIFFERENT: u64 = 100_000;

/// How much is done.
struct Plan {
    bulk_records: usize,
    bulk_rounds: usize,
    loop_rounds: usize,
    loop_length: Duration,
    cycle_rounds: usize,
    drain_rounds: usize,
}

const WHOLE: Plan = Plan {
    bulk_records: 4_000_000,
    bulk_rounds: 9,
    loop_rounds: 6,
    loop_length: Duration::from_secs(6),
    cycle_rounds: 3,
    drain_rounds: 11,
};
const QUICK: Plan = Plan {
    bulk_records: 400_000,
    bulk_rounds: 1,
    loop_rounds: 1,
    loop_length: Duration::from_secs(2),
    cycle_rounds: 1,
    drain_rounds: 1,
};

/// Records a second of the open loop.
const RATE: u64 = 1_000;

/// What exactly-once keeps of at-least-once's records a second, where both commit once a second.
const THROUGHPUT_KEPT_MIN: f64 = 0.85;

/// What a drain takes at most.
const DRAIN_MAX: Duration = Duration::from_millis(200);

/// A guarantee with a commit interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    name: &'static str,
    delivery: &'static str,
    /// Which of `CASES` it is compared with.
    base: usize,
}

const fn case(name: &'static str, base: usize, delivery: &'static str) -> Case {
    Case { name, delivery, base }
}

/// At-least-once comes first: the others are compared with it at their interval.
const CASES: [Case; 7] = [
    case("at-least-once, 10 ms", 0, "commit_interval = \"10ms\"\n"),
    case("at-least-once, 100 ms", 1, "commit_interval = \"100ms\"\n"),
    case("at-least-once, 1,000 ms", 2, "commit_interval = \"1s\"\n"),
    case("at-most-once", 1, "guarantee = \"at-most-once\"\n"),
    case("exactly-once, 10 ms", 0, "guarantee = \"exactly-once\"\ncommit_interval = \"10ms\"\n"),
    case("exactly-once, 100 ms", 1, "guarantee = \"exactly-once\"\ncommit_interval = \"100ms\"\n"),
    case("exactly-once, 1,000 ms", 2, "guarantee = \"exactly-once\"\ncommit_interval = \"1s\"\n"),
];

/// The case of the promise, and those whose drains are measured.
const PROMISED: usize = 6;
const DRAINED: [usize; 3] = [1, 3, 5];

/// Those whose transactions are looked at.
const CYCLED: [usize; 3] = [4, 5, 6];

impl Case {
    fn system(self) -> System {
        System::Hotspur { profile: "balanced", idle: "park", delivery: self.delivery }
    }

    /// Why hotspur does not take this configuration, if it does not.
    fn refusal(self) -> Option<String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let places = Places {
            brokers: "localhost:9092".to_owned(),
            input: "in".to_owned(),
            output: "out".to_owned(),
            table: Path::new("").to_owned(),
        };
        let file = folder.path().join("hotspur.toml");
        let text = self.system().configuration(Steps::Names, &places, folder.path());
        fs::write(&file, text).expect("a configuration file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_hotspur"));
        let output = command.arg("--config").arg(&file).arg("check").output();
        let output = output.expect("hotspur runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (!output.status.success()).then(|| {
            let line = said.lines().find(|it| it.contains("error")).unwrap_or("no reason given");
            line.split_once("error: ").map_or(line, |it| it.1).to_owned()
        })
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|it| it == word);
    let all = !["bulk", "loop", "cycles", "drains"].iter().any(|it| has(it));
    let plan = if has("--quick") { QUICK } else { WHOLE };
    println!("# Guarantees on a real Kafka\n\n{}", circumstances::circumstances());
    let mut is_kept = true;
    let mut built = Vec::new();
    for (index, case) in CASES.iter().enumerate() {
        match case.refusal() {
            None => built.push(index),
            Some(why) => {
                println!("**{} is not built yet**: {why}\n", case.name);
                is_kept = false;
            }
        }
    }
    let broker = Broker::find();
    if all || has("bulk") {
        is_kept &= show_bulk(&broker, &plan, &built);
    }
    if all || has("loop") {
        show_loops(&broker, &plan, &built);
    }
    if all || has("cycles") {
        show_cycles(&broker, &plan, &built);
    }
    if all || has("drains") {
        is_kept &= show_drains(&broker, &plan, &built);
    }
    if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All of them in turns, so many rounds; the figures of each.
fn in_turns<T: std::fmt::Debug>(
    cases: &[usize],
    rounds: usize,
    mut run: impl FnMut(System) -> T,
) -> Vec<(usize, Vec<T>)> {
    let mut all: Vec<_> = cases.iter().map(|it| (*it, Vec::new())).collect();
    for round in 0..rounds {
        for turn in 0..cases.len() {
            let (case, figures) = &mut all[(round + turn) % cases.len()];
            figures.push(run(CASES[*case].system()));
            eprintln!("{}: {:?}", CASES[*case].name, figures.last());
        }
    }
    all
}

/// Pair by pair against the case that it is compared with; nothing for that case itself.
fn against_base<T>(
    all: &[(usize, Vec<T>)],
    case: usize,
    figure: impl Fn(&T) -> f64,
) -> Option<paired::Ratio> {
    let base = CASES[case].base;
    let of = |wanted: usize| all.iter().find(|it| it.0 == wanted).map(|it| &it.1);
    let (ours, theirs) = (of(case)?, of(base)?);
    (base != case).then(|| paired::ratio(ours.iter().map(&figure), theirs.iter().map(&figure)))
}

fn shown(ratio: Option<paired::Ratio>) -> String {
    ratio.map_or("–".to_owned(), |it| it.to_string())
}

fn show_bulk(broker: &Broker, plan: &Plan, built: &[usize]) -> bool {
    let wall = WallOffset::new(&TscClock::new());
    let records = records::prepared(&Payload::Names, system::KEYS, DIFFERENT, wall);
    let input = broker.create_topic("visible-in");
    broker.preload(&input, &records, plan.bulk_records);
    let count = plan.bulk_records as i64;
    let all = in_turns(built, plan.bulk_rounds, |it| visible::run(broker, it, &input, count));
    broker.delete_topic(&input);
    println!("## Bulk: {count} records of 45 bytes, one partition\n");
    println!(
        "Medians of {} rounds; CPU of the process alone. Against at-least-once with the same \
         interval (at-most-once: 100 ms), pair by pair, with the interval of the median.\n",
        plan.bulk_rounds
    );
    println!(
        "| guarantee | records/s | hot thread CPU ns | process CPU ns | records/s against | hot \
         thread CPU against |\n| --- | ---: | ---: | ---: | --- | --- |"
    );
    for (case, runs) in &all {
        let of = |figure: fn(&visible::Figures) -> f64| median(runs.iter().map(figure));
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {} | {} |",
            CASES[*case].name,
            of(|it| it.records_per_second),
            of(|it| it.hot_ns),
            of(|it| it.process_ns),
            shown(against_base(&all, *case, |it| it.records_per_second)),
            shown(against_base(&all, *case, |it| it.hot_ns)),
        );
    }
    let kept = against_base(&all, PROMISED, |it| it.records_per_second);
    let is_kept = kept.is_some_and(|it| it.median >= THROUGHPUT_KEPT_MIN);
    println!(
        "\n{}: {} of at-least-once; at least {THROUGHPUT_KEPT_MIN} is promised: {}.\n",
        CASES[PROMISED].name,
        shown(kept),
        if is_kept { "kept" } else { "missed" }
    );
    is_kept
}

fn show_loops(broker: &Broker, plan: &Plan, built: &[usize]) {
    let length = plan.loop_length;
    let all =
        in_turns(built, plan.loop_rounds, |it| open_loop::run(broker, it, RATE, length).brief());
    println!("## Open loop: {RATE} records/s\n");
    println!(
        "Medians of {} rounds of {length:?} after one second of warm-up. End to end from when a \
         record was due to when a reader of committed results had it.\n",
        plan.loop_rounds
    );
    println!(
        "| guarantee | p50 ms | p99 ms | p50 against | p99 against | hot thread CPU µs a record | \
         lost | sent late |\n| --- | ---: | ---: | --- | --- | ---: | ---: | ---: |"
    );
    for (case, runs) in &all {
        let of = |figure: fn(&Brief) -> f64| median(runs.iter().map(figure));
        println!(
            "| {} | {:.2} | {:.2} | {} | {} | {:.1} | {:.0} | {:.0} |",
            CASES[*case].name,
            of(|it| it.p50_ms),
            of(|it| it.p99_ms),
            shown(against_base(&all, *case, |it| it.p50_ms)),
            shown(against_base(&all, *case, |it| it.p99_ms)),
            of(|it| it.hot_us),
            of(|it| it.lost),
            of(|it| it.late),
        );
    }
    println!();
}

/// What of an open loop's figures stands in a row.
#[derive(Clone, Copy, Debug)]
struct Brief {
    p50_ms: f64,
    p99_ms: f64,
    hot_us: f64,
    lost: f64,
    late: f64,
}

impl open_loop::Figures {
    fn brief(&self) -> Brief {
        let at = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1e6;
        Brief {
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            hot_us: self.hot_ns / 1e3,
            lost: self.lost as f64,
            late: self.missed_slots as f64,
        }
    }
}

fn show_cycles(broker: &Broker, plan: &Plan, built: &[usize]) {
    println!("## Transactions under {} records/s\n", drains::RATE);
    println!(
        "Medians of {} rounds of {:?}. Stall: from when a transaction closes until all that was \
         handed over in it is acknowledged; nothing is processed meanwhile. Commit: from when it \
         is asked for until it is answered; records are processed meanwhile. Busy: requests that \
         librdkafka made again because the broker still ended the transaction before \
         (CONCURRENT_TRANSACTIONS).\n",
        plan.cycle_rounds, plan.loop_length
    );
    println!(
        "| guarantee | transactions/s | stall p50 ms | p99 | p99.9 | commit p50 ms | p99 | p99.9 \
         | busy a transaction |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    for case in CYCLED.into_iter().filter(|it| built.contains(it)) {
        let Case { name, delivery, .. } = CASES[case];
        let delivery = format!("{delivery}{}", cycles::WITH_WORDS).leak();
        let system = System::Hotspur { profile: "balanced", idle: "park", delivery };
        let run = |_| cycles::run(broker, system, plan.loop_length);
        let runs: Vec<_> = (0..plan.cycle_rounds).map(run).collect();
        let of = |figure: &dyn Fn(&cycles::Figures) -> f64| median(runs.iter().map(figure));
        print!("| {name} | {:.1}", of(&|it| it.rate));
        (0..3).for_each(|at| print!(" | {:.2}", of(&|it| it.stall_us[at] / 1e3)));
        (0..3).for_each(|at| print!(" | {:.2}", of(&|it| it.commit_us[at] / 1e3)));
        println!(" | {:.2} |", of(&|it| it.busy));
    }
    println!();
}

type Drain = fn(&Broker, System) -> Duration;

fn show_drains(broker: &Broker, plan: &Plan, built: &[usize]) -> bool {
    println!("## Drains under {} records/s\n", drains::RATE);
    println!(
        "{} rounds. A shutdown from SIGTERM to the end of the process; a revoke from when the \
         group wants partitions back until they are finished, committed and released, while a \
         second member joins. Below {DRAIN_MAX:?} is promised.\n",
        plan.drain_rounds
    );
    println!("| guarantee | what | median ms | largest ms | |\n| --- | --- | ---: | ---: | --- |");
    let cases: Vec<usize> = DRAINED.into_iter().filter(|it| built.contains(it)).collect();
    let mut is_kept = true;
    for (what, run) in [("shutdown", drains::shutdown as Drain), ("revoke", drains::revoke)] {
        for (case, runs) in in_turns(&cases, plan.drain_rounds, |it| run(broker, it)) {
            let millis = |it: &Duration| it.as_secs_f64() * 1e3;
            let largest = runs.iter().max().copied().unwrap_or_default();
            let is_below = largest < DRAIN_MAX;
            is_kept &= is_below;
            println!(
                "| {} | {what} | {:.1} | {:.1} | {} |",
                CASES[case].name,
                median(runs.iter().map(millis)),
                millis(&largest),
                if is_below { "kept" } else { "missed" },
            );
        }
    }
    println!();
    is_kept
}
