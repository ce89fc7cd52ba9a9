//! A table of a million keys: what it holds is what it says, and loading it takes little more.
//!
//! Alone in its program, because it looks at the memory of the whole process. With
//! `HOTSPUR_TABLE_KEYS=10000000` it is the ten million that the README speaks of.

mod cache_rig;
#[path = "cache_rig/server.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod server;

use std::{env, path::Path, time::Duration};

use cache_rig::{open, settings, until_within};
use hotspur::{config::settings::Table, host::ProcessMemory};
use redis::cmd;
use server::Server;

const KEYS: u64 = 1_000_000;

/// Written by the server itself, so that this process holds none of them.
const FILL: &str = "for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do \
                    redis.call('SET', string.format('user:%011d', i), string.rep('v', 32)) end";

const KEYS_A_SCRIPT: u64 = 100_000;

/// Buffers of a connection, pages of keys, and what the allocator keeps of them.
const AROUND: u64 = 64 << 20;

/// Much longer than loading takes, also where nothing is optimised.
const PATIENCE: Duration = Duration::from_secs(600);

fn keys() -> u64 {
    let text = env::var("HOTSPUR_TABLE_KEYS");
    text.map_or(KEYS, |text| text.parse().expect("HOTSPUR_TABLE_KEYS is a number"))
}

fn fill(server: &Server, keys: u64) {
    let mut redis = server.connect();
    for first in (0..keys).step_by(KEYS_A_SCRIPT as usize) {
        let last = keys.min(first + KEYS_A_SCRIPT) - 1;
        cmd("EVAL").arg(FILL).arg(0).arg(first).arg(last).exec(&mut redis).unwrap();
    }
}

#[test]
fn a_large_table_takes_what_it_says_and_not_much_more_while_it_loads() {
    let (mut server, keys) = (Server::start(), keys());
    fill(&server, keys);
    let memory = || ProcessMemory::read(Path::new("/"));
    let before = memory();
    let mut table =
        open(&Table { load_timeout: PATIENCE, ..settings(server.place("user:")) }).unwrap();
    let status = table.handle.status().clone();
    assert_eq!((status.entries(), status.expected_entries()), (keys, keys));
    for number in (0..keys).step_by(997) {
        assert_eq!(table.get(&format!("{number:011}")).unwrap(), [b'v'; 32]);
    }
    until_within(PATIENCE, "what was retired is freed", || {
        table.tables.quiesce();
        status.retired_bytes() == 0
    });
    // An entry is a key of 11 bytes, a value of 32, and at most 48 around them.
    let bytes = status.bytes();
    assert!(bytes <= keys * (11 + 32 + 48), "{bytes} bytes for {keys} keys");
    let after = memory();
    println!("{keys} keys in {:?}, {bytes} bytes: {before:?}, then {after:?}", status.load_took());
    let peak_after_load = before.zip(after).map(|(before, after)| {
        let held = after.resident.saturating_sub(before.resident);
        let peak = after.resident_peak.saturating_sub(before.resident);
        // The allocator rounds the size of each entry up.
        assert!(held <= bytes + bytes / 2 + AROUND, "{held} bytes are held, {bytes} are told");
        assert!(peak <= held + held / 2 + AROUND, "at most {peak} bytes, then {held}");
        after.resident_peak
    });
    assert_eq!(peak_after_load.is_some(), cfg!(target_os = "linux"));

    // To load all of it once more takes no second copy.
    server.freeze();
    until_within(PATIENCE, "it is stale", || !status.is_fresh());
    server.thaw();
    until_within(PATIENCE, "it is loaded again", || {
        table.tables.quiesce();
        status.loads() > 1 && status.is_fresh()
    });
    assert_eq!(status.entries(), keys);
    if let Some((first, now)) = peak_after_load.zip(memory()) {
        // The kernel's peak is the larger of two estimates, and may seem to shrink a little.
        let more = now.resident_peak.saturating_sub(first);
        println!("{more} bytes more to load it again, in {:?}", status.load_took());
        assert!(more <= bytes / 2 + AROUND, "{more} bytes more to load it again");
    }

    server.kill();
    server.launch();
    cmd("SET").arg("user:alone").arg("here").exec(&mut server.connect()).unwrap();
    table.until("alone", Some("here"));
    until_within(PATIENCE, "all the others are freed", || {
        table.tables.quiesce();
        status.entries() == 1 && status.retired_bytes() == 0 && status.bytes() < 1 << 20
    });
}
