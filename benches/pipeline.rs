//! What steps cost a record, beyond its parse, in one run. Prints Markdown; exit status 1 if a promise
//! is not kept. `-- --quick` does a tenth of it.

#[path = "rig/circumstances.rs"]
mod circumstances;
#[path = "rig/records.rs"]
mod records;
#[path = "rig/statistics.rs"]
mod statistics;
#[path = "rig/steps.rs"]
mod steps;

use std::process::ExitCode;

fn main() -> ExitCode {
    let is_quick = std::env::args().any(|it| it == "--quick");
    let (rounds, repeats) = if is_quick { (7, 20) } else { (41, 100) };
    println!("# Steps\n\n{}", circumstances::circumstances());
    println!("| row | ns | at most |\n| --- | ---: | ---: |");
    let rows = [
        ("text with three holes", steps::text_nanos(rounds, repeats), 80.0),
        ("ten steps", steps::ten_steps_nanos(rounds, repeats), 1_000.0),
    ];
    for (name, nanos, most) in rows {
        println!("| {name} | {nanos:.1} | {most:.0} |");
    }
    match rows.iter().all(|(_, nanos, most)| nanos <= most) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
