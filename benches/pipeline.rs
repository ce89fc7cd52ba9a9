//! What steps and expressions cost a record, beyond its parse, in one run.
//!
//! Contenders take turns, round by round, steps pass by pass, so that a machine that slows down
//! slows all; ratios are taken within a round. Prints Markdown; exit status 1 if a promise is not
//! kept. `-- --quick` does a tenth of it; further words choose rows by their names.

#[path = "rig/circumstances.rs"]
mod circumstances;
#[path = "rig/expressions.rs"]
mod expressions;
#[path = "rig/records.rs"]
mod records;
#[path = "rig/statistics.rs"]
mod statistics;
#[path = "rig/steps.rs"]
mod steps;

use std::{process::ExitCode, time::Instant};

use expressions::{Crates, Ours, Parsed, RECORD_BYTES};
use hotspur::codec::Event;
use statistics::median;

/// How much is done.
#[derive(Clone, Copy)]
struct Plan {
    rounds: usize,
    /// Times that a round goes through all records.
    repeats: usize,
}

const WHOLE: Plan = Plan { rounds: 41, repeats: 500 };
const QUICK: Plan = Plan { rounds: 7, repeats: 100 };

/// Records in turn, so that no branch learns one of them by heart.
const RECORDS: u64 = 512;

/// One line of the table.
struct Row {
    name: &'static str,
    /// Nanoseconds a record at most.
    nanos_max: Option<f64>,
    /// How many times faster than what it stands beside, at least.
    ratio_min: Option<f64>,
    measure: fn(Plan) -> Figures,
}

/// Nanoseconds a record, and how many times more the other one took.
struct Figures {
    nanos: f64,
    other: Option<(f64, f64)>,
}

const ROWS: &[Row] = &[
    Row { name: "condition", nanos_max: Some(60.0), ratio_min: Some(10.0), measure: condition },
    Row { name: "condition and paths", nanos_max: None, ratio_min: None, measure: with_paths },
    Row { name: "text with three holes", nanos_max: Some(80.0), ratio_min: None, measure: text },
    Row { name: "set", nanos_max: None, ratio_min: None, measure: set },
    Row { name: "the same by an own operator", nanos_max: None, ratio_min: None, measure: own },
    Row { name: "ten steps", nanos_max: Some(1_000.0), ratio_min: None, measure: ten_steps },
];

fn main() -> ExitCode {
    let is_quick = std::env::args().any(|it| it == "--quick");
    let plan = if is_quick { QUICK } else { WHOLE };
    println!("# Steps and expressions\n\n{}", circumstances::circumstances());
    println!(
        "Nanoseconds a record of {RECORD_BYTES} bytes, beyond its parse; medians of {} rounds.\n",
        plan.rounds
    );
    println!("| row | ours | at most | the crate `cel` | times slower | at least | |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | --- |");
    let words: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    let is_chosen =
        |row: &&Row| words.is_empty() || words.iter().any(|it| row.name.contains(it.as_str()));
    let mut kept = true;
    for row in ROWS.iter().filter(is_chosen) {
        kept &= show(row, &(row.measure)(plan));
    }
    println!(
        "\n`condition`: `{CONDITION}`, decided. A parse ends when all paths are found, for all \
         steps at once; `condition and paths` is with finding these two anew."
    );
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(row: &Row, figures: &Figures) -> bool {
    let ratio = figures.other.map_or(f64::INFINITY, |(_, ratio)| ratio);
    let nanos_max = row.nanos_max.unwrap_or(f64::INFINITY);
    let kept = figures.nanos <= nanos_max && ratio >= row.ratio_min.unwrap_or(0.0);
    let (other, ratio) = match figures.other {
        Some((nanos, ratio)) => (format!("{nanos:.0}"), format!("{ratio:.1}")),
        None => (String::new(), String::new()),
    };
    let ratio_min = row.ratio_min.map_or(String::new(), |it| format!("{it:.0}"));
    let nanos_max = row.nanos_max.map_or(String::new(), |it| format!("{it:.0}"));
    let verdict = match (row.nanos_max, kept) {
        (None, _) => "",
        (_, true) => "kept",
        (_, false) => "**not kept**",
    };
    let name = row.name;
    println!(
        "| {name} | {:.1} | {nanos_max} | {other} | {ratio} | {ratio_min} | {verdict} |",
        figures.nanos
    );
    kept
}

const CONDITION: &str = r#"event.value > 100 && event.type == "order""#;

/// The condition decided, against the crate's interpreter, which is given the record as its own
/// values.
fn condition(plan: Plan) -> Figures {
    beside_crate(plan, Ours::count)
}

fn with_paths(plan: Plan) -> Figures {
    beside_crate(plan, |ours, events| {
        ours.find_paths(events);
        ours.count(events)
    })
}

fn beside_crate(plan: Plan, work: fn(&mut Ours, &[Event<'_>]) -> usize) -> Figures {
    let mut parsed = Parsed::new(RECORDS);
    let contexts = parsed.contexts();
    let (mut ours, crates) = (Ours::new(CONDITION), Crates::new(CONDITION));
    let count = parsed.len();
    parsed.with_events(|events| {
        ours.find_paths(events);
        assert_eq!(ours.count(events), crates.count(&contexts), "both decide the same");
        let rounds = (0..plan.rounds).map(|_| {
            let ours = nanos(plan.repeats * count, || {
                (0..plan.repeats).for_each(|_| _ = work(&mut ours, events));
            });
            let repeats = plan.repeats.div_ceil(10);
            let crates = nanos(repeats * count, || {
                (0..repeats).for_each(|_| _ = crates.count(&contexts));
            });
            (ours, crates)
        });
        let rounds: Vec<(f64, f64)> = rounds.collect();
        let nanos = median(rounds.iter().map(|(ours, _)| *ours));
        let other = median(rounds.iter().map(|(_, crates)| *crates));
        Figures { nanos, other: Some((other, median(rounds.iter().map(|(a, b)| b / a)))) }
    })
}

fn text(plan: Plan) -> Figures {
    Figures { nanos: steps::text_nanos(plan.rounds, plan.repeats.div_ceil(5)), other: None }
}

fn set(plan: Plan) -> Figures {
    let set = "set.double = \"event.value * 2\"";
    Figures { nanos: steps::one_nanos(set, plan.rounds, plan.repeats.div_ceil(5)), other: None }
}

fn own(plan: Plan) -> Figures {
    let own = "double = { of = \"event.value\", into = \"double\" }";
    Figures { nanos: steps::one_nanos(own, plan.rounds, plan.repeats.div_ceil(5)), other: None }
}

fn ten_steps(plan: Plan) -> Figures {
    Figures { nanos: steps::ten_steps_nanos(plan.rounds, plan.repeats.div_ceil(5)), other: None }
}

/// Nanoseconds for each of `count`.
fn nanos(count: usize, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / count as f64
}
