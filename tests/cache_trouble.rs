//! Trouble with Redis: each is told in a sentence, the copy serves on, and all heals by itself.
//!
//! What a server does on a bad day only, a relay in front of a real one says. That a server is
//! killed or frozen, a wrong password, an absent server, keys of other types, keys that are no
//! text, empty and nested prefixes are in `cache_redis`; replicas, clusters, passwords that change
//! and values of 100 MiB in `cache_redis_trouble`; a million keys in `cache_size`.

mod cache_rig;
#[path = "cache_rig/relay.rs"]
mod relay;
#[path = "cache_rig/server.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod server;

use std::{ops::ControlFlow::Continue, time::Duration};

use cache_rig::{Opened, open, settings, until};
use hotspur::{
    cache::{self, CacheError},
    config::settings::{Refresh, TablePlace},
};
use redis::{Connection, cmd};
use relay::Relay;
use server::Server;

fn set(redis: &mut Connection, key: &str, value: &str) {
    cmd("SET").arg(key).arg(value).exec(redis).unwrap();
}

fn configure(redis: &mut Connection, name: &str, value: &str) {
    cmd("CONFIG").arg("SET").arg(name).arg(value).exec(redis).unwrap();
}

/// Waits until trouble is told in these words, and the copy is no longer called fresh.
fn until_told(table: &mut Opened, words: &str) {
    let status = table.handle.status().clone();
    until(&format!("it is told that {words}"), || {
        table.tables.quiesce();
        status.last_error().contains(words) && !status.is_fresh()
    });
}

/// Waits until a change is followed again.
fn until_healed(table: &mut Opened, redis: &mut Connection, value: &str) {
    set(redis, "user:1", value);
    table.until("1", Some(value));
    let status = table.handle.status().clone();
    until("it is fresh again", || status.is_fresh());
}

/// Serves `user:1` through a relay.
struct Relayed {
    redis: Connection,
    relay: Relay,
    table: Opened,
    /// Ends last.
    _server: Server,
}

impl Relayed {
    fn open() -> Relayed {
        let server = Server::start();
        let mut redis = server.connect();
        set(&mut redis, "user:1", "gold");
        let relay = Relay::start(server.port());
        let table = open(&settings(relay.place("user:"))).unwrap();
        Relayed { redis, relay, table, _server: server }
    }
}

/// Command, what is answered, and what is told of it.
const BAD_DAYS: [(&str, &str, &str); 10] = [
    ("MGET", "-LOADING Redis is loading the dataset in memory", "is still loading its own data"),
    ("MGET", "-MASTERDOWN Link with MASTER is down", "is a replica that has lost its primary"),
    ("MGET", "-READONLY You can't write against a read only replica.", "is a read-only replica"),
    ("MGET", "-MOVED 3999 127.0.0.1:6381", "is part of a Redis Cluster"),
    ("MGET", "-CLUSTERDOWN The cluster is down", "is part of a Redis Cluster"),
    (
        "MGET",
        "-NOPERM this user has no permissions",
        "does not let this user do what a table needs",
    ),
    ("MGET", ":7", "gave an answer to MGET that makes no sense"),
    ("MGET", "*2\r\n$1\r\na\r\n$1\r\nb", "gave an answer to MGET that makes no sense"),
    ("MGET", "nonsense", "127.0.0.1"),
    ("PING", "-ERR out of order", "out of order"),
];

#[test]
fn what_a_server_says_on_a_bad_day_is_told_in_words_and_the_copy_serves_on() {
    let Relayed { mut redis, relay, mut table, _server } = Relayed::open();
    let status = table.handle.status().clone();
    for (round, (command, answer, words)) in BAD_DAYS.into_iter().enumerate() {
        let value = format!("before {round}");
        until_healed(&mut table, &mut redis, &value);
        let (before, errors) = (relay.answered(), status.errors());
        relay.answer(Some((command, answer)));
        set(&mut redis, "user:1", "not seen yet");
        until_told(&mut table, words);
        assert_eq!(table.get("1").unwrap(), value.as_bytes(), "after {answer}");
        assert!(status.last_error().starts_with("redis://127.0.0.1:"), "{}", status.last_error());
        until("it tries again", || status.errors() > errors + 1);
        relay.answer(None);
        // A trouble ends a connection: nothing is asked again over the same.
        let (answered, errors) = (relay.answered() - before, status.errors() - errors);
        assert!(answered <= errors + 1, "{answered} answers {answer} for {errors} troubles");
        assert!(status.age().unwrap() > Duration::ZERO);
    }
    until_healed(&mut table, &mut redis, "after all of it");
    assert!(status.is_loaded() && status.reconnects() >= BAD_DAYS.len() as u64);
}

#[test]
fn a_server_that_loads_its_own_data_is_waited_for() {
    let server = Server::start();
    set(&mut server.connect(), "user:1", "gold");
    let relay = Relay::start(server.port());
    for command in ["CLIENT", "SCAN", "PING"] {
        relay.answer(Some((command, "-LOADING Redis is loading the dataset in memory")));
        let (mut tables, handles) = cache::open(&[settings(relay.place("user:"))]).unwrap();
        let status = handles[0].status().clone();
        until("loading is told twice", || {
            tables.quiesce();
            status.errors() > 1
        });
        assert!(status.last_error().contains("still loading"), "{}", status.last_error());
        assert!(!status.is_loaded());
        relay.answer(None);
        handles[0].wait_loaded(&mut tables, |_| Continue(())).unwrap();
        assert_eq!(status.entries(), 1);
    }
}

#[test]
fn a_cluster_and_a_server_without_tracking_end_the_gate_with_the_way_out() {
    let server = Server::start();
    set(&mut server.connect(), "user:1", "gold");
    let relay = Relay::start(server.port());
    for (command, answer, words) in [
        ("SCAN", "-MOVED 3999 127.0.0.1:6381", "name a server without cluster mode"),
        ("CLIENT", "-ERR unknown subcommand 'TRACKING'", "refresh = \"poll\" does without"),
        ("HELLO", "-ERR unknown command `HELLO`", "refresh = \"poll\" does without"),
    ] {
        relay.answer(Some((command, answer)));
        let error = open(&settings(relay.place("user:"))).err().expect("it is refused");
        assert!(matches!(error, CacheError::CannotHeal { .. }), "{command}: {error}");
        assert!(error.to_string().contains(words), "{command}: {error}");
    }
    // The way out leads out, with the last of them still in force.
    let TablePlace::Redis(mut place) = relay.place("user:") else { unreachable!() };
    place.refresh = Refresh::Poll(Duration::from_millis(20));
    let mut table = open(&settings(TablePlace::Redis(place))).unwrap();
    set(&mut server.connect(), "user:1", "silver");
    table.until("1", Some("silver"));
}

#[test]
fn a_slow_server_is_followed_slowly_and_a_silent_one_counts_as_gone() {
    let Relayed { mut redis, relay, mut table, _server } = Relayed::open();
    let status = table.handle.status().clone();
    relay.delay(Duration::from_millis(100));
    for number in 0..5 {
        set(&mut redis, "user:1", &format!("slow {number}"));
        table.until("1", Some(&format!("slow {number}")));
    }
    assert!(status.is_fresh());
    assert_eq!((status.errors(), status.reconnects()), (0, 0));
    relay.delay(Duration::from_millis(1500));
    until_told(&mut table, "did not answer in time");
    assert_eq!(table.get("1").unwrap(), b"slow 4");
    relay.delay(Duration::ZERO);
    until_healed(&mut table, &mut redis, "fast");
}

#[test]
fn a_connection_that_the_server_drops_for_its_full_output_buffer_is_made_again() {
    let server = Server::start();
    let mut redis = server.connect();
    set(&mut redis, "user:1", "gold");
    let mut table = open(&settings(server.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    configure(&mut redis, "client-output-buffer-limit", "normal 128kb 0 0");
    // All of it is told in one message, which is too long for the buffer.
    let script = "for i = 1, 2000 do \
                  redis.call('SET', 'user:' .. string.rep('x', 200) .. i, ARGV[1]) end";
    let mut write = |value: &str| {
        cmd("EVAL").arg(script).arg(0).arg(value).exec(&mut redis).unwrap();
    };
    until("the connection is closed", || {
        write("first");
        table.tables.quiesce();
        status.last_error().contains("closed the connection")
    });
    write("last");
    let key = format!("{}2000", "x".repeat(200));
    table.until(&key, Some("last"));
    until("all of it is there", || status.entries() == 2001 && status.is_fresh());
    assert!(status.reconnects() > 0);
}

#[test]
fn a_server_that_freezes_while_it_is_loaded_from_is_waited_for() {
    let server = Server::start();
    let mut redis = server.connect();
    let script = "for i = 1, 50000 do redis.call('SET', 'user:' .. i, 'number' .. i) end";
    cmd("EVAL").arg(script).arg(0).exec(&mut redis).unwrap();
    let relay = Relay::start(server.port());
    // So that the load takes seconds, however fast the machine is.
    relay.delay(Duration::from_millis(100));
    let (mut tables, handles) = cache::open(&[settings(relay.place("user:"))]).unwrap();
    let status = handles[0].status().clone();
    until("it has begun", || status.entries() > 0);
    server.freeze();
    let (entries, is_loaded) = (status.entries(), status.is_loaded());
    assert!(entries < 50_000 && !is_loaded, "it was frozen too late: {entries} entries");
    until("silence is told", || {
        tables.quiesce();
        status.last_error().contains("did not answer in time")
    });
    assert!(!status.is_loaded());
    server.thaw();
    relay.delay(Duration::ZERO);
    handles[0].wait_loaded(&mut tables, |_| Continue(())).unwrap();
    assert_eq!(status.entries(), 50_000);
}

#[test]
fn a_change_that_nobody_announced_is_found_by_the_next_verifying_pass() {
    let server = Server::start();
    let mut redis = server.connect();
    set(&mut redis, "user:1", "gold");
    set(&mut redis, "user:2", "gold");
    let relay = Relay::start(server.port());
    let TablePlace::Redis(mut place) = relay.place("user:") else { unreachable!() };
    place.verify_interval = Duration::from_millis(100);
    let mut table = open(&settings(TablePlace::Redis(place))).unwrap();
    relay.swallow_pushes(true);
    set(&mut redis, "user:1", "silver");
    cmd("DEL").arg("user:2").exec(&mut redis).unwrap();
    table.until("1", Some("silver"));
    table.until("2", None);
    let status = table.handle.status();
    assert_eq!((status.loads(), status.errors(), status.reconnects()), (1, 0, 0));
    assert!(status.is_fresh() && status.passes() > 1);
}
