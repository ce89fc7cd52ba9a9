//! That the copy ends up like its Redis, whatever changed there and whether anybody told.

mod cache_rig;
#[path = "cache_rig/server.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod server;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use cache_rig::{Opened, open, settings, until};
use hotspur::config::settings::{RedisTable, Refresh, Table, TablePlace};
use redis::{Connection, cmd, pipe};
use server::{Server, run};

const DEBUG: &[&str] = &["--enable-debug-command", "yes"];

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

fn set(redis: &mut Connection, key: &str, value: &str) {
    cmd("SET").arg(key).arg(value).exec(redis).unwrap();
}

fn fill(redis: &mut Connection, keys: u32, value: &str) {
    let mut batch = pipe();
    for number in 0..keys {
        batch.cmd("SET").arg(format!("user:{number}")).arg(format!("{value}{number}")).ignore();
    }
    batch.exec(redis).unwrap();
}

fn verified_every(server: &Server, interval: Duration) -> Table {
    let redis = RedisTable { verify_interval: interval, ..server.redis("user:") };
    settings(TablePlace::Redis(redis))
}

fn polled_every(server: &Server, interval: Duration) -> Table {
    let redis = RedisTable { refresh: Refresh::Poll(interval), ..server.redis("user:") };
    settings(TablePlace::Redis(redis))
}

/// All that Redis holds under the prefix.
fn content(redis: &mut Connection) -> HashMap<String, Vec<u8>> {
    let keys: Vec<String> = cmd("KEYS").arg("user:*").query(redis).unwrap();
    let mut content = HashMap::new();
    for key in keys {
        let value: Option<Vec<u8>> = cmd("GET").arg(&key).query(redis).unwrap();
        content.extend(value.map(|value| (key.trim_start_matches("user:").to_owned(), value)));
    }
    content
}

fn until_equal(table: &mut Opened, redis: &mut Connection) {
    until("the copy equals the server", || {
        let content = content(redis);
        table.handle.status().entries() == content.len() as u64
            && content.iter().all(|(key, value)| table.get(key).as_ref() == Some(value))
    });
}

#[test]
fn keys_expire_by_our_own_clock() {
    let server = Server::start_as(DEBUG);
    let mut redis = server.connect();
    // The server does not look for expired keys, and nobody asks for them: it tells nothing.
    run(&mut redis, "DEBUG SET-ACTIVE-EXPIRE 0");
    run(&mut redis, "SET user:old 1 PX 300");
    run(&mut redis, "SET user:kept 1 PX 3000");
    run(&mut redis, "SET user:longer 1 PX 3000");
    let mut table = open(&verified_every(&server, NEVER)).unwrap();
    let status = table.handle.status().clone();
    // The last to expire is new, so that when it has gone the deadlines of these have passed too.
    run(&mut redis, "PERSIST user:kept");
    run(&mut redis, "PEXPIRE user:longer 100000");
    run(&mut redis, "SET user:new 1 PX 3500");
    run(&mut redis, "SET user:far 1 PXAT 9000000000000000000");
    run(&mut redis, "SET user:gone 1");
    table.until("far", Some("1"));
    run(&mut redis, "EXPIRE user:gone -7");
    table.until("gone", None);
    table.until("old", None);
    table.until("new", None);
    for key in ["kept", "longer", "far"] {
        assert_eq!(table.get(key).unwrap(), b"1", "{key}");
    }
    until("two deadlines are left", || status.expiring_entries() == 2);
    assert_eq!((status.entries(), status.loads(), status.errors()), (3, 1, 0));
}

#[test]
fn keys_expire_while_the_server_is_away() {
    let mut server = Server::start();
    let mut redis = server.connect();
    run(&mut redis, "SET user:1 gold PX 700");
    run(&mut redis, "SET user:2 gold");
    let mut table = open(&settings(server.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    server.kill();
    until("it is marked stale", || !status.is_fresh());
    table.until("1", None);
    assert_eq!(table.get("2").unwrap(), b"gold");
    until("it is counted", || status.entries() == 1);
    assert!(!status.is_fresh());
}

#[test]
fn what_no_message_tells_is_found_by_the_next_verification() {
    let server = Server::start();
    let mut redis = server.connect();
    fill(&mut redis, 3_000, "old");
    run(&mut redis, "SELECT 1");
    fill(&mut redis, 2_000, "new");
    run(&mut redis, "SET user:1000000 new PX 100000");
    run(&mut redis, "SELECT 0");
    let mut table = open(&verified_every(&server, Duration::from_millis(100))).unwrap();
    let status = table.handle.status().clone();
    let swapped_at = Instant::now();
    run(&mut redis, "SWAPDB 0 1");
    until_equal(&mut table, &mut redis);
    assert_eq!((status.entries(), status.expiring_entries()), (2_001, 1));
    // It serves and is told of changes meanwhile, and its age is that of the last round.
    until("its age goes on", || status.age() < Some(swapped_at.elapsed()));
    assert!(status.is_fresh() && status.passes() > 1);
    assert_eq!((status.loads(), status.reconnects(), status.errors()), (1, 0, 0));
}

#[test]
fn changes_are_told_during_a_verification() {
    let server = Server::start();
    let mut redis = server.connect();
    fill(&mut redis, 5_000, "value");
    let mut table = open(&verified_every(&server, Duration::from_millis(1))).unwrap();
    let status = table.handle.status().clone();
    let (mut number, mut seen) = (0, 0);
    until("changes were seen while it verifies", || {
        number += 1;
        set(&mut redis, "user:7", &number.to_string());
        let is_verifying = status.pass_progress().is_some();
        table.until("7", Some(&number.to_string()));
        seen += u32::from(is_verifying && status.pass_progress().is_some());
        seen > 20 && status.passes() > 2
    });
    assert_eq!((status.loads(), status.errors()), (1, 0));
}

#[test]
fn all_ways_to_lose_a_key_end_in_the_same_content() {
    let server = Server::start_as(DEBUG);
    let mut redis = server.connect();
    fill(&mut redis, 500, "value");
    let mut table = open(&verified_every(&server, NEVER)).unwrap();
    run(&mut redis, "UNLINK user:1 user:2");
    run(&mut redis, "RENAME user:3 user:4");
    run(&mut redis, "RENAME user:5 order:5");
    run(&mut redis, "MOVE user:6 1");
    run(&mut redis, "GETDEL user:7");
    run(&mut redis, "COPY user:8 user:copied");
    until_equal(&mut table, &mut redis);
    assert_eq!(table.get("4").unwrap(), b"value3");
    set(&mut redis, "user:last", "before");
    run(&mut redis, "DEBUG RELOAD");
    set(&mut redis, "user:last", "after");
    table.until("last", Some("after"));
    until_equal(&mut table, &mut redis);
    run(&mut redis, "FLUSHALL");
    until_equal(&mut table, &mut redis);
    assert_eq!(table.handle.status().entries(), 0);
}

#[test]
fn evicted_keys_leave_the_copy() {
    let server = Server::start_as(&["--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru"]);
    let mut redis = server.connect();
    fill(&mut redis, 500, "value");
    let mut table = open(&verified_every(&server, NEVER)).unwrap();
    let large = "x".repeat(10_000);
    for number in 0..2_000 {
        set(&mut redis, &format!("user:large{number}"), &large);
    }
    let info: String = cmd("INFO").arg("stats").query(&mut redis).unwrap();
    assert!(!info.contains("evicted_keys:0\r"), "nothing was evicted: {info}");
    until_equal(&mut table, &mut redis);
    assert_eq!(table.handle.status().loads(), 1);
}

#[test]
fn a_server_that_restarts_with_an_older_snapshot_is_followed_back() {
    let mut server = Server::start();
    let mut redis = server.connect();
    fill(&mut redis, 100, "saved");
    run(&mut redis, "SAVE");
    fill(&mut redis, 200, "lost");
    let mut table = open(&settings(server.place("user:"))).unwrap();
    assert_eq!(table.get("150").unwrap(), b"lost150");
    server.kill();
    server.launch();
    table.until("7", Some("saved7"));
    until_equal(&mut table, &mut server.connect());
    assert_eq!(table.handle.status().entries(), 100);
}

#[test]
fn a_write_to_the_same_name_in_another_database_changes_nothing() {
    let server = Server::start();
    let mut redis = server.connect();
    fill(&mut redis, 10, "value");
    let mut table = open(&settings(server.place("user:"))).unwrap();
    run(&mut redis, "SELECT 1");
    run(&mut redis, "SET user:1 other");
    run(&mut redis, "SET user:11 other PX 100000");
    run(&mut redis, "DEL user:1");
    run(&mut redis, "SELECT 0");
    set(&mut redis, "user:2", "changed");
    table.until("2", Some("changed"));
    assert_eq!((table.get("1").unwrap(), table.get("11")), (b"value1".to_vec(), None));
    assert_eq!(table.handle.status().errors(), 0);
}

#[test]
fn polling_finds_every_change() {
    // As an old Redis, or a proxy.
    let server = Server::start_as(&["--rename-command", "HELLO", ""]);
    let mut redis = server.connect();
    fill(&mut redis, 3_000, "value");
    run(&mut redis, "SET user:soon 1 PX 300");
    let error = open(&settings(server.place("user:"))).err().unwrap().to_string();
    assert!(error.contains("refresh = \"poll\" does without"), "{error}");
    let mut table = open(&polled_every(&server, Duration::from_millis(20))).unwrap();
    let status = table.handle.status().clone();
    let changed_at = Instant::now();
    set(&mut redis, "user:7", "changed");
    run(&mut redis, "DEL user:8");
    table.until("7", Some("changed"));
    table.until("8", None);
    table.until("soon", None);
    until("it is true as of after the change", || status.age() < Some(changed_at.elapsed()));
    run(&mut redis, "FLUSHALL");
    set(&mut redis, "user:after", "here");
    table.until("after", Some("here"));
    until_equal(&mut table, &mut redis);
    assert!(status.is_fresh() && status.passes() > 2);
    assert_eq!((status.loads(), status.reconnects(), status.errors()), (1, 0, 0));
}

#[test]
fn polling_lets_keys_expire_between_two_passes() {
    let server = Server::start();
    let mut redis = server.connect();
    run(&mut redis, "SET user:soon 1 PX 3000");
    run(&mut redis, "SET user:later 1 PX 100000");
    let mut table = open(&polled_every(&server, NEVER)).unwrap();
    assert_eq!(table.handle.status().expiring_entries(), 2);
    table.until("soon", None);
    assert_eq!(table.get("later").unwrap(), b"1");
    assert_eq!((table.handle.status().passes(), table.handle.status().errors()), (1, 0));
}
