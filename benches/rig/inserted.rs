//! Observations inserted from one process: by `hotspur load`, and by two clients in Python, one
//! that sends an `XADD` when the last one is answered and one with a thousand in flight.
//!
//! Each has its own clock, from its first `XADD` to its last answer; the clients' values are made
//! before that, hotspur's while it runs. The package `redis` parses replies in C (`hiredis`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Plan,
    paired::{Ratio, ratio},
    redis_server::Server,
    statistics::median,
    weather,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/rig/insert.py");
const PACKAGES: [&str; 2] = ["redis==8.1.0", "hiredis==3.5.0"];

/// Times as fast as hotspur is at least.
const SERIAL_MIN: f64 = 10.0;
const PIPELINED_MIN: f64 = 4.0;

/// Inserts so many; how many a second.
type Insert = Box<dyn Fn(&Server, u64) -> f64>;

/// Prints the figures; false if a promise is not kept, or cannot be shown.
pub(crate) fn show(server: &Server, plan: &Plan) -> bool {
    println!("## {} observations inserted from one process\n", plan.inserts);
    let python = match python() {
        Ok(python) => python,
        Err(why) => {
            println!("Not shown: there are no clients in Python to compare with ({why}).\n");
            return false;
        }
    };
    let client = |way| move |server: &Server, count| insert(&python, way, server, count);
    let ways: [(&str, Insert); 3] = [
        ("hotspur load", Box::new(weather::load)),
        ("redis-py, one at a time", Box::new(client.clone()("serial"))),
        ("redis.asyncio, 1,000 in flight", Box::new(client("pipelined"))),
    ];
    let mut rates = [(); 3].map(|()| Vec::new());
    for round in 0..plan.rounds {
        for turn in 0..ways.len() {
            // Whoever goes first meets another machine than whoever goes last.
            let way = (round + turn) % ways.len();
            redis::cmd("FLUSHALL").exec(&mut server.client()).expect("an empty server");
            rates[way].push(ways[way].1(server, plan.inserts));
            assert_eq!(len(server), plan.inserts, "{}: all are there", ways[way].0);
        }
    }
    println!("{} rounds of each in turn, medians.\n", plan.rounds);
    println!("| client | observations/s | hotspur is faster by | at least |");
    println!("| --- | ---: | ---: | ---: |");
    println!("| {} | {:.0} | | |", ways[0].0, median(rates[0].iter().copied()));
    let mut is_kept = true;
    for (way, at_least) in [(1, SERIAL_MIN), (2, PIPELINED_MIN)] {
        let Ratio { median: times, low, high } =
            ratio(rates[0].iter().copied(), rates[way].iter().copied());
        is_kept &= times >= at_least;
        println!(
            "| {} | {:.0} | × {times:.1} ({low:.1} to {high:.1}){} | × {at_least} |",
            ways[way].0,
            median(rates[way].iter().copied()),
            if times >= at_least { "" } else { " (missed)" }
        );
    }
    println!();
    is_kept
}

fn len(server: &Server) -> u64 {
    let mut client = server.client();
    redis::cmd("XLEN").arg(weather::OBSERVATIONS).query(&mut client).expect("a stream")
}

fn insert(python: &Path, way: &str, server: &Server, count: u64) -> f64 {
    let mut command = Command::new(python);
    command.args([SCRIPT, way, &server.port.to_string(), &count.to_string()]);
    let output = command.output().expect("the client starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    text.trim().parse().unwrap_or_else(|_| panic!("the client failed: {said}"))
}

/// A Python with the packages, in the target folder; made if it is not there.
fn python() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGES.join("-"));
    let python = folder.join("bin/python3");
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    };
    if folder.join("complete").exists() {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
    fs::write(folder.join("complete"), "").map_err(|it| it.to_string())?;
    Ok(python)
}
