//! The engine on the memory transport against the sum of its primitives, in one run.
//!
//! Rounds alternate, and the ratio is taken round by round, so that a machine that slows down slows
//! both. Two further promises are counted and not timed: no allocation a record, whatever becomes
//! of it, and a hot thread that is never put to sleep and touches no new page. Prints Markdown;
//! exit status 1 if a promise is not kept. `-- --quick` does a tenth of it; further words choose
//! pipelines by their names.

#[path = "rig/allocations.rs"]
mod allocations;
#[path = "rig/circumstances.rs"]
mod circumstances;
#[path = "rig/huge_pages.rs"]
mod huge_pages;
#[path = "rig/memory.rs"]
mod memory;
#[path = "rig/primitives.rs"]
mod primitives;
#[path = "rig/records.rs"]
mod records;
#[path = "rig/statistics.rs"]
mod statistics;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use hotspur::{host::ThreadUsage, measure::Stages};

use memory::Case;
use primitives::{Costs, Primitives, Work};
use records::KeyAndValue;
use statistics::median;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// What the engine may cost, as a multiple of its primitives.
const RATIO_MAX: f64 = 1.5;

/// What measuring may cost, as a multiple of its clock readings and histogram records.
const MEASURING_MAX: f64 = 1.3;

/// Entries of the orders' table.
const KEYS: u64 = 1_000_000;

/// How much is done.
struct Plan {
    prepared: u64,
    rounds: usize,
    round: u64,
    long: u64,
    warm_up_max: Duration,
}

const WHOLE: Plan = Plan {
    prepared: 1 << 19,
    rounds: 21,
    round: 1 << 19,
    long: 10_000_000,
    warm_up_max: Duration::from_secs(120),
};
const QUICK: Plan = Plan {
    prepared: 1 << 17,
    rounds: 5,
    round: 1 << 17,
    long: 1_000_000,
    warm_up_max: Duration::ZERO,
};

fn main() -> ExitCode {
    let plan = if std::env::args().any(|it| it == "--quick") { QUICK } else { WHOLE };
    println!("# The engine on the memory transport\n\n{}", circumstances::circumstances());
    let mut cases = vec![
        (Case::names(), Work::Digest),
        (Case::orders_spliced(KEYS), Work::LookupAndSplice),
        (Case::orders_text(KEYS), Work::LookupAndText),
    ];
    let words: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    if !words.is_empty() {
        cases.retain(|(case, _)| words.iter().any(|word| case.name.contains(word.as_str())));
    }
    let mut kept = show_speed(&cases, &plan);
    kept &= show_measuring(&cases, &plan);
    kept &= show_allocations(&plan);
    kept &= show_usage(&cases, &plan);
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show_speed(cases: &[(Case, Work)], plan: &Plan) -> bool {
    println!("## Nanoseconds a record\n");
    println!(
        "CPU time of the thread; medians of {} rounds of {} records each, paired.\n",
        plan.rounds, plan.round
    );
    println!(
        "| pipeline | engine | primitives | parse | md5 or lookup | splice | stamps | ratio |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut kept = true;
    for (case, work) in cases {
        let records = case.records(plan.prepared);
        let (engine, costs, ratio) = speed(case, *work, &records, plan);
        kept &= ratio <= RATIO_MAX;
        println!(
            "| {} | {engine:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {ratio:.2}{} |",
            case.name,
            costs.sum(),
            costs.parse,
            costs.work,
            costs.splice,
            costs.stamps,
            verdict(ratio <= RATIO_MAX),
        );
    }
    println!("\nAt most {RATIO_MAX} is promised.\n");
    kept
}

/// What measuring costs: all stages, and one record's in 64, against none at all.
fn show_measuring(cases: &[(Case, Work)], plan: &Plan) -> bool {
    println!("## What measuring costs, in nanoseconds a record\n");
    println!(
        "All stages: four readings of the clock a record and one a batch, ten histogram records. \
         Alone: the same readings and records by themselves, in the same rounds, through the \
         `hdrhistogram` crate.\n"
    );
    println!("| pipeline | nothing | all stages cost | sampled cost | alone | all, of alone |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let mut kept = true;
    for (case, work) in cases {
        let records = case.records(plan.prepared);
        let make = |stages| case.engine_that_measures(stages, records.clone());
        let mut engines = [Stages::Off, Stages::All, Stages::Sampled].map(make);
        let tables = case.tables(&case.settings());
        let mut primitives = Primitives::new(*work, &records, &tables);
        engines.iter_mut().for_each(|engine| memory::run(engine, plan.round));
        let mut rounds = Vec::new();
        for _ in 0..plan.rounds {
            let [off, all, sampled] = engines
                .each_mut()
                .map(|engine| cpu_nanos(|| memory::run(engine, plan.round)).0 / plan.round as f64);
            let (total, costs) = cpu_nanos(|| primitives.run(plan.round));
            let alone = costs.scaled_to(total / plan.round as f64).stamps;
            rounds.push([off, all - off, sampled - off, alone, (all - off) / alone]);
        }
        let [off, all, sampled, alone, ratio] =
            [0, 1, 2, 3, 4].map(|at| median(rounds.iter().map(|round| round[at])));
        let is_kept = ratio <= MEASURING_MAX && sampled < all / 2.0;
        kept &= is_kept;
        println!(
            "| {} | {off:.0} | {all:.0} | {sampled:.0} | {alone:.0} | {ratio:.2}{} |",
            case.name,
            verdict(is_kept)
        );
    }
    println!("\nAt most {MEASURING_MAX} is promised, and sampled less than half of all.\n");
    kept
}

/// Nanoseconds a record of the engine, of the primitives, and the ratio of the two.
fn speed(case: &Case, work: Work, records: &[KeyAndValue], plan: &Plan) -> (f64, Costs, f64) {
    let mut engine = case.engine(records.to_vec());
    let tables = case.tables(&case.settings());
    let mut primitives = Primitives::new(work, records, &tables);
    memory::run(&mut engine, plan.round);
    primitives.run(plan.round);
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let (nanos, ()) = cpu_nanos(|| memory::run(&mut engine, plan.round));
        let (total, costs) = cpu_nanos(|| primitives.run(plan.round));
        let records = plan.round as f64;
        rounds.push((nanos / records, costs.scaled_to(total / records)));
    }
    let of = |figure: fn(&(f64, Costs)) -> f64| median(rounds.iter().map(figure));
    let costs = Costs {
        parse: of(|(_, costs)| costs.parse),
        work: of(|(_, costs)| costs.work),
        splice: of(|(_, costs)| costs.splice),
        stamps: of(|(_, costs)| costs.stamps),
    };
    (of(|(engine, _)| *engine), costs, of(|(engine, costs)| engine / costs.sum()))
}

/// Time on a core, so that what other programs take from it does not count.
fn cpu_nanos<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let before = ThreadUsage::read();
    let result = work();
    (ThreadUsage::read().since(&before).cpu.as_nanos() as f64, result)
}

fn show_allocations(plan: &Plan) -> bool {
    println!("## Calls of the allocator over {} records after warm-up\n", plan.round);
    println!("| pipeline | outcome | calls |\n| --- | --- | ---: |");
    let small = 10_000;
    let orders = Case::orders_spliced(small);
    let absent = br#"{"id":"1","key":"nobody","value":7,"timestamp_sent":1}"#;
    let without_key = br#"{"id":"1","value":7,"timestamp_sent":1}"#;
    let runs: [(&Case, &str, Option<&[u8]>); 6] = [
        (&Case::names(), "emitted", None),
        (&orders, "emitted", None),
        (&Case::orders_text(small), "emitted", None),
        (&orders, "skipped: not in the table", Some(absent)),
        (&orders, "dead-lettered: no key", Some(without_key)),
        (&orders, "dead-lettered: not JSON", Some(b"nonsense")),
    ];
    let mut kept = true;
    for (case, outcome, value) in runs {
        let mut records = case.records(small);
        if let Some(value) = value {
            records.iter_mut().for_each(|(_, it)| *it = value.to_vec());
        }
        let mut engine = case.engine(records);
        memory::run(&mut engine, plan.round);
        let before = allocations::calls();
        memory::run(&mut engine, plan.round);
        let calls = allocations::calls() - before;
        kept &= calls == 0;
        println!("| {} | {outcome} | {calls}{} |", case.name, verdict(calls == 0));
    }
    println!();
    kept
}

fn show_usage(cases: &[(Case, Work)], plan: &Plan) -> bool {
    println!("## What the system took from the thread over {} records after warm-up\n", plan.long);
    println!(
        "| pipeline | voluntary switches | involuntary | minor faults | major faults | \
         huge pages made meanwhile, on the whole machine |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let mut engines: Vec<_> =
        cases.iter().map(|(case, _)| case.engine(case.records(plan.prepared))).collect();
    warm_up(&mut engines, plan);
    let mut kept = true;
    for ((case, _), engine) in cases.iter().zip(&mut engines) {
        let collapses = huge_pages::collapses();
        let before = ThreadUsage::read();
        memory::run(engine, plan.long);
        let usage = ThreadUsage::read().since(&before);
        let collapses = huge_pages::collapses() - collapses;
        let is_kept = usage.voluntary_switches == 0 && usage.minor_faults == 0;
        kept &= is_kept;
        println!(
            "| {} | {} | {} | {}{} | {} | {collapses} |",
            case.name,
            usage.voluntary_switches,
            usage.involuntary_switches,
            usage.minor_faults,
            verdict(is_kept),
            usage.major_faults,
        );
    }
    println!("\nInvoluntary switches are the machine's: other programs ran on the same cores.");
    kept
}

/// Every record once. Then more of them until the kernel has looked twice through the memory for
/// what could be a huge page: whoever touches a page that moves into one faults and sleeps.
fn warm_up(engines: &mut [memory::MemoryEngine], plan: &Plan) {
    let scans = huge_pages::scans();
    let deadline = Instant::now() + plan.warm_up_max;
    loop {
        engines.iter_mut().for_each(|engine| memory::run(engine, plan.prepared));
        let seen = scans.zip(huge_pages::scans());
        let has_looked_twice = seen.is_none_or(|(first, now)| now >= first + 2);
        if has_looked_twice || Instant::now() >= deadline {
            return;
        }
    }
}

fn verdict(is_kept: bool) -> &'static str {
    if is_kept { "" } else { " (missed)" }
}
