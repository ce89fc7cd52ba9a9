//! Redis Streams, on a real redis-server of the bench's own, which shares the cores with all else.
//!
//! How fast `hotspur load` writes, beside two clients in Python (`inserted`); how fast and how
//! soon entries come through a pipeline into another stream, beside a plain loop and what the
//! server can do at all (`through`, `commands_alone`, `arrivals`); and who reads the socket
//! (`who_reads`). Prints Markdown; exits 1 if a promise is not kept that could be. `-- insert`,
//! `-- loop`, `-- latency` and `-- socket` are one of these alone, `-- --quick` has a tenth of all.

#[path = "rig/arrivals.rs"]
mod arrivals;
#[path = "rig/circumstances.rs"]
mod circumstances;
#[path = "rig/commands_alone.rs"]
mod commands_alone;
#[path = "rig/inserted.rs"]
mod inserted;
#[path = "rig/paired.rs"]
mod paired;
#[path = "rig/redis_server.rs"]
mod redis_server;
#[path = "rig/statistics.rs"]
mod statistics;
#[path = "rig/through.rs"]
mod through;
#[path = "rig/weather.rs"]
mod weather;
#[path = "rig/who_reads.rs"]
mod who_reads;

use std::{env, process::ExitCode, time::Duration};

use redis_server::Server;

/// How much of each.
pub(crate) struct Plan {
    rounds: usize,
    /// Of those that are there before, for the socket and for a pipeline.
    entries: u64,
    observations: u64,
    singles: usize,
    inserts: u64,
    length: Duration,
}

const WHOLE: Plan = Plan {
    rounds: 11,
    entries: 500_000,
    observations: 300_000,
    singles: 2_000,
    inserts: 86_000,
    length: Duration::from_secs(10),
};

const QUICK: Plan = Plan {
    rounds: 3,
    entries: 50_000,
    observations: 50_000,
    singles: 200,
    inserts: 8_600,
    length: Duration::from_secs(1),
};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|it| it == word);
    let plan = if has("--quick") { QUICK } else { WHOLE };
    let has_chosen = ["insert", "loop", "latency", "socket"].iter().any(|it| has(it));
    let wants = |word: &str| !has_chosen || has(word);
    println!("# Redis Streams\n\n{}", circumstances::circumstances());
    println!("Server, writers and readers share the cores.\n");
    let mut is_kept = true;
    // Each on a server of its own: what one throws away another would give back meanwhile.
    if wants("insert") {
        is_kept &= inserted::show(&Server::start(), &plan);
    }
    if wants("loop") {
        is_kept &= through::show(&Server::start(), &plan);
    }
    if wants("latency") {
        arrivals::show(&Server::start(), &plan);
    }
    if wants("socket") {
        who_reads::show(&Server::start(), &plan);
    }
    if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
