//! What can go wrong with a Redis: the copy serves on, says why it is stale, and heals.

mod cache_rig;
#[path = "cache_rig/server.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod server;

use std::{
    thread,
    time::{Duration, Instant},
};

use cache_rig::{open, settings, until};
use hotspur::{
    cache::CacheError,
    clock::{Clock, TscClock},
    config::settings::{OnStale, RedisTable, Refresh, Table, TablePlace},
};
use redis::{Connection, cmd, pipe};
use server::{Server, run};

fn set(redis: &mut Connection, key: &str, value: &str) {
    cmd("SET").arg(key).arg(value).exec(redis).unwrap();
}

/// A server whose replicas need not wait for others.
fn primary() -> Server {
    Server::start_as(&["--repl-diskless-sync-delay", "0"])
}

/// A replica of that server, that has its content.
fn replica_of(of: &Server) -> Server {
    let replica = primary();
    run(&mut replica.connect(), &format!("REPLICAOF 127.0.0.1 {}", of.port()));
    until("the replica is linked", || {
        let info: String = cmd("INFO").arg("replication").query(&mut replica.connect()).unwrap();
        info.contains("master_link_status:up")
    });
    replica
}

#[test]
fn the_age_of_a_replica_is_unknown_and_a_failover_changes_that() {
    let primary = primary();
    let mut redis = primary.connect();
    set(&mut redis, "user:1", "gold");
    let replica = replica_of(&primary);
    let mut table = open(&settings(replica.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    assert!(status.is_replica() && status.is_fresh() && status.age().is_none());
    table.tables.quiesce();
    assert_eq!(table.tables.age_ns(0, TscClock::new().now()), None);
    set(&mut redis, "user:1", "silver");
    table.until("1", Some("silver"));

    run(&mut replica.connect(), "REPLICAOF NO ONE");
    until("its age is known", || !status.is_replica() && status.age().is_some());
    table.tables.quiesce();
    assert!(table.tables.age_ns(0, TscClock::new().now()).is_some());
    set(&mut redis, "user:1", "of the old primary");
    let back = format!("REPLICAOF 127.0.0.1 {}", primary.port());
    run(&mut replica.connect(), &back);
    until("its age is unknown", || status.is_replica() && status.age().is_none());
    table.until("1", Some("of the old primary"));
}

#[test]
fn a_replica_is_refused_where_somebody_asks_for_its_age() {
    let primary = primary();
    set(&mut primary.connect(), "user:1", "gold");
    let replica = replica_of(&primary);
    for on_stale in [OnStale::Pause, OnStale::Reject] {
        for refresh in [Refresh::Tracking, Refresh::Poll(Duration::from_secs(1))] {
            let place = TablePlace::Redis(RedisTable { refresh, ..replica.redis("user:") });
            let error = open(&Table { on_stale, ..settings(place) }).err().unwrap();
            assert!(matches!(error, CacheError::CannotHeal { .. }), "{error}");
            let message = error.to_string();
            assert!(message.contains("is a replica, so that nobody knows"), "{message}");
            assert!(message.contains("name the primary"), "{message}");
        }
    }
}

#[test]
fn a_replica_that_lost_its_primary_says_so() {
    let primary = primary();
    set(&mut primary.connect(), "user:1", "gold");
    let replica = replica_of(&primary);
    let mut redis = replica.connect();
    let mut table = open(&settings(replica.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    run(&mut redis, "CONFIG SET replica-serve-stale-data no");
    drop(primary);
    set_off(&mut redis);
    until("it is told", || status.last_error().contains("has lost its primary"));
    assert_eq!(table.get("1").unwrap(), b"gold");
}

/// Closes all connections but this one.
fn set_off(redis: &mut Connection) {
    run(redis, "CLIENT KILL SKIPME yes TYPE normal");
}

#[test]
fn a_server_of_a_cluster_is_refused() {
    let server = Server::start_as(&["--cluster-enabled", "yes"]);
    let error = open(&settings(server.place("user:"))).err().unwrap();
    assert!(matches!(error, CacheError::CannotHeal { .. }), "{error}");
    assert!(error.to_string().contains("is part of a Redis Cluster"), "{error}");
}

#[test]
fn a_user_who_may_not_track_can_poll() {
    let server = Server::start();
    let mut redis = server.connect();
    set(&mut redis, "user:1", "gold");
    run(&mut redis, "ACL SETUSER poor on >secret %R~user:* +ping +select +hello +scan +mget +pttl");
    let url = server.url(0).replace("redis://", "redis://poor:secret@");
    let redis_table = || RedisTable::new(&url, "SHOWN", "user:");
    let error = open(&settings(TablePlace::Redis(redis_table()))).err().unwrap().to_string();
    assert!(error.contains("without client|tracking, refresh = \"poll\" does without"), "{error}");
    let refresh = Refresh::Poll(Duration::from_millis(10));
    let place = TablePlace::Redis(RedisTable { refresh, ..redis_table() });
    let mut table = open(&settings(place.clone())).unwrap();
    set(&mut redis, "user:1", "silver");
    table.until("1", Some("silver"));
    run(&mut redis, "ACL SETUSER poor -pttl");
    let error = open(&settings(place)).err().unwrap().to_string();
    assert!(error.contains("pttl") && error.contains("does not let this user do"), "{error}");
}

#[test]
fn a_server_that_still_loads_its_data_is_waited_for() {
    let mut server = Server::start();
    let mut redis = server.connect();
    let mut batch = pipe();
    for number in 0..2_000 {
        batch.cmd("SET").arg(format!("user:{number}")).arg("gold").ignore();
    }
    batch.exec(&mut redis).unwrap();
    run(&mut redis, "SAVE");
    let mut table = open(&settings(server.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    server.kill();
    let slowly = &["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"];
    server.set_options(slowly);
    thread::scope(|scope| {
        scope.spawn(|| {
            until("it is told", || status.last_error().contains("is still loading its own data"));
            assert_eq!(table.get("7").unwrap(), b"gold");
        });
        // Not on the other thread: a server ends with the thread that has started it.
        server.launch();
    });
    until("it is fresh again", || status.is_fresh());
    assert_eq!(status.entries(), 2_000);
}

#[test]
fn a_password_that_changes_is_told_and_heals_when_it_is_right_again() {
    let server = Server::start_with(Some("right"));
    let mut redis = server.connect();
    set(&mut redis, "user:1", "gold");
    let mut table = open(&settings(server.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    run(&mut redis, "CONFIG SET requirepass other");
    set_off(&mut redis);
    until("it is told", || status.last_error().contains("refused the user name or password"));
    assert!(!status.is_fresh());
    assert_eq!(table.get("1").unwrap(), b"gold");
    set(&mut redis, "user:1", "silver");
    run(&mut redis, "CONFIG SET requirepass right");
    table.until("1", Some("silver"));
    until("it is fresh again", || status.is_fresh());
}

#[test]
fn a_server_that_pauses_its_clients_is_followed_again() {
    let server = Server::start();
    let mut redis = server.connect();
    set(&mut redis, "user:1", "gold");
    let mut table = open(&settings(server.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    let paused_at = Instant::now();
    run(&mut redis, "CLIENT PAUSE 3000 ALL");
    until("it is told", || status.last_error().contains("did not answer in time"));
    assert_eq!(table.get("1").unwrap(), b"gold");
    // It is executed when the pause is over.
    set(&mut redis, "user:1", "silver");
    table.until("1", Some("silver"));
    until("it is fresh again", || status.is_fresh() && status.age() < Some(paused_at.elapsed()));
}

#[test]
fn a_value_of_a_hundred_mebibytes_loads_and_changes() {
    let server = Server::start();
    let mut redis = server.connect();
    set(&mut redis, "user:small", "gold");
    let large = 100 << 20;
    run(&mut redis, &format!("SETRANGE user:large {} x", large - 1));
    let mut table = open(&settings(server.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    table.tables.quiesce();
    assert_eq!(table.tables.get(0, b"large").unwrap().bytes.len(), large);
    run(&mut redis, "SETRANGE user:large 0 y");
    until("its change is seen", || {
        table.tables.quiesce();
        table.tables.get(0, b"large").unwrap().bytes[0] == b'y'
    });
    set(&mut redis, "user:small", "silver");
    table.until("small", Some("silver"));
    assert_eq!((status.reconnects(), status.errors()), (0, 0));
}

#[test]
fn a_load_that_is_cut_off_asks_for_less_until_it_gets_through() {
    let server = Server::start();
    let mut redis = server.connect();
    let value = "x".repeat(20_000);
    let mut batch = pipe();
    for number in 0..1_000 {
        batch.cmd("SET").arg(format!("user:{number}")).arg(&value).ignore();
    }
    batch.exec(&mut redis).unwrap();
    set(&mut redis, "user:large", &"x".repeat(700_000));
    let limit = "normal 1mb 0 0";
    cmd("CONFIG").arg("SET").arg("client-output-buffer-limit").arg(limit).exec(&mut redis).unwrap();
    let mut table = open(&settings(server.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    assert_eq!(status.entries(), 1_001);
    assert!(status.reconnects() > 0 && status.failed_loads() > 0);
    set(&mut redis, "user:1", "changed");
    table.until("1", Some("changed"));

    // What does not fit at all is told with the reason.
    set(&mut redis, "user:large", &"x".repeat(3_000_000));
    set_off(&mut redis);
    until("it is told", || status.last_error().contains("leave room for one value?"));
    assert_eq!(table.get("1").unwrap(), b"changed");
    run(&mut redis, "DEL user:large");
    until("it is fresh again", || status.is_fresh());
}
