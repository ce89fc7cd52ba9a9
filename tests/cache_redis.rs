//! Redis tables against a real redis-server: loading, changes, and what can go wrong.

mod cache_rig;
#[path = "cache_rig/server.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod server;

use std::{
    collections::HashMap,
    ops::ControlFlow::{Break, Continue},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cache_rig::{Opened, open, settings, until};
use hotspur::{
    cache::{self, CacheError, Value},
    config::settings::{RedisTable, Table, TablePlace},
    limits::TABLE_RETIRED_BYTES_MAX,
};
use redis::{Connection, cmd, pipe};
use server::Server;

fn text(bytes: &[u8]) -> Option<Value<'_>> {
    Some(Value::text(bytes))
}

fn set(redis: &mut Connection, key: &str, value: &str) {
    cmd("SET").arg(key).arg(value).exec(redis).unwrap();
}

fn fill(redis: &mut Connection, keys: u32) {
    for start in (0..keys).step_by(1000) {
        let mut batch = pipe();
        for number in start..keys.min(start + 1000) {
            batch.cmd("SET").arg(format!("user:{number}")).arg(format!("value{number}")).ignore();
        }
        batch.exec(redis).unwrap();
    }
}

#[test]
fn twenty_thousand_keys_load_and_changes_become_visible() {
    let server = Server::start();
    let mut redis = server.connect();
    fill(&mut redis, 20_000);
    set(&mut redis, "order:1", "of no concern");
    let mut table = open(&settings(server.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    assert_eq!((status.entries(), status.expected_entries()), (20_000, 20_001));
    assert_eq!((status.loads(), status.reconnects(), status.foreign_keys()), (1, 0, 0));
    assert!(status.is_loaded() && status.age().is_some());
    for number in 0..20_000 {
        let expected = format!("value{number}").into_bytes();
        assert_eq!(table.get(&number.to_string()), Some(expected));
    }
    assert_eq!(table.get("order:1"), None);

    set(&mut redis, "user:7", "changed");
    table.until("7", Some("changed"));
    set(&mut redis, "user:new", "here");
    table.until("new", Some("here"));
    cmd("DEL").arg("user:8").exec(&mut redis).unwrap();
    table.until("8", None);
    cmd("PEXPIRE").arg("user:9").arg(1).exec(&mut redis).unwrap();
    table.until("9", None);
    cmd("RENAME").arg("user:10").arg("user:ten").exec(&mut redis).unwrap();
    table.until("ten", Some("value10"));
    table.until("10", None);
    until("the counts agree", || status.entries() == 19_999);
    assert_eq!((status.loads(), status.errors()), (1, 0));
}

#[test]
fn tables_stand_in_the_order_of_the_settings_and_prefixes_may_overlap() {
    let server = Server::start();
    let mut redis = server.connect();
    set(&mut redis, "user:1", "gold");
    set(&mut redis, "user:vip:1", "platinum");
    let named =
        |name: &str, prefix| Table { name: name.to_owned(), ..settings(server.place(prefix)) };
    let settings = [named("vips", "user:vip:"), named("users", "user:")];
    let (mut tables, handles) = cache::open(&settings).unwrap();
    for (handle, name) in handles.iter().zip(["vips", "users"]) {
        let loaded = handle.wait_loaded(&mut tables, |status| {
            assert_eq!(status.name(), name);
            Continue(())
        });
        loaded.unwrap();
    }
    tables.quiesce();
    assert_eq!(tables.get(0, b"1"), text(b"platinum"));
    assert_eq!(tables.get(1, b"1"), text(b"gold"));
    assert_eq!(tables.get(1, b"vip:1"), text(b"platinum"));
    set(&mut redis, "user:vip:1", "diamond");
    until("both tables see it", || {
        tables.quiesce();
        [(0, &b"1"[..]), (1, b"vip:1")]
            .iter()
            .all(|(table, key)| tables.get(*table, key) == text(b"diamond"))
    });
}

#[test]
fn an_age_goes_on_with_each_round() {
    let server = Server::start();
    set(&mut server.connect(), "user:1", "gold");
    let table = open(&settings(server.place("user:"))).unwrap();
    let loaded_at = Instant::now();
    let status = table.handle.status();
    until("the copy is true as of after its load", || status.age() < Some(loaded_at.elapsed()));
    assert!(status.is_fresh());
}

#[test]
fn flushall_empties_the_copy_and_it_fills_again() {
    let server = Server::start();
    let mut redis = server.connect();
    fill(&mut redis, 100);
    let mut table = open(&settings(server.place("user:"))).unwrap();
    cmd("FLUSHALL").exec(&mut redis).unwrap();
    set(&mut redis, "user:after", "here");
    table.until("after", Some("here"));
    table.until("7", None);
    until("one entry is left", || table.handle.status().entries() == 1);
    until("it is fresh again", || table.handle.status().is_fresh());
    assert_eq!(table.handle.status().reconnects(), 0);
}

#[test]
fn a_killed_server_leaves_the_copy_serving_and_a_new_one_is_found() {
    let mut server = Server::start();
    let mut redis = server.connect();
    fill(&mut redis, 100);
    let mut table = open(&settings(server.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    server.kill();
    until("it is marked stale", || !status.is_fresh() && status.errors() > 0);
    assert_eq!(table.get("7").unwrap(), b"value7");
    assert!(status.last_error().starts_with("redis://127.0.0.1:"), "{}", status.last_error());

    server.launch();
    set(&mut server.connect(), "user:7", "from the new server");
    table.until("7", Some("from the new server"));
    table.until("8", None);
    until("it is fresh again", || status.is_fresh());
    assert!(status.reconnects() > 0 && status.loads() > 1);
}

#[test]
fn a_frozen_server_is_noticed_and_a_thawed_one_is_followed_again() {
    let server = Server::start();
    let mut redis = server.connect();
    set(&mut redis, "user:1", "gold");
    let mut table = open(&settings(server.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    server.freeze();
    until("it is marked stale", || status.last_error().contains("did not answer in time"));
    assert!(!status.is_fresh());
    assert_eq!(table.get("1").unwrap(), b"gold");
    server.thaw();
    set(&mut redis, "user:1", "silver");
    table.until("1", Some("silver"));
    until("it is fresh again", || status.is_fresh());
}

#[test]
fn a_reader_that_does_not_turn_holds_the_writer_back_and_nothing_is_lost() {
    let server = Server::start();
    let mut redis = server.connect();
    set(&mut redis, "user:1", "gold");
    let mut table = open(&settings(server.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    let mut value = vec![0_u8; 4 << 20];
    until("the writer is held back", || {
        value[0] = value[0].wrapping_add(1);
        cmd("SET").arg("user:1").arg(&value).exec(&mut redis).unwrap();
        status.is_held_back()
    });
    let held = status.retired_bytes();
    assert!(held < (TABLE_RETIRED_BYTES_MAX + (8 << 20)) as u64, "{held} bytes are held");
    set(&mut redis, "user:1", "silver");
    table.until("1", Some("silver"));
    until("all is freed", || {
        table.tables.quiesce();
        status.retired_bytes() == 0 && !status.is_held_back()
    });
    assert_eq!((status.reconnects(), status.errors()), (0, 0));
}

#[test]
fn a_wrong_password_ends_the_gate_at_once() {
    let server = Server::start_with(Some("right"));
    let (url, shown) = (server.url(0), "redis://SHOWN".to_owned());
    for wrong in [url.replace(":right@", ":wrong@"), url.replace(":right@", "")] {
        let place = TablePlace::Redis(RedisTable::new(&wrong, &shown, "user:"));
        let error = open(&settings(place)).err().unwrap();
        assert!(matches!(error, CacheError::CannotHeal { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("refused the user name or password"), "{message}");
        assert!(message.contains(&shown) && !message.contains("wrong@"), "{message}");
    }
    set(&mut server.connect(), "user:1", "gold");
    assert_eq!(open(&settings(server.place("user:"))).unwrap().get("1").unwrap(), b"gold");
}

#[test]
fn a_user_without_the_commands_is_told_which_it_needs() {
    let server = Server::start();
    let mut redis = server.connect();
    let user = ["SETUSER", "poor", "on", ">secret", "~*", "+hello", "+ping"];
    cmd("ACL").arg(&user).exec(&mut redis).unwrap();
    let url = server.url(0).replace("redis://", "redis://poor:secret@");
    let place = || TablePlace::Redis(RedisTable::new(&url, "SHOWN", "user:"));
    let error = open(&settings(place())).err().unwrap();
    assert!(matches!(error, CacheError::CannotHeal { .. }), "{error}");
    assert!(error.to_string().contains("client|tracking, scan, mget"), "{error}");

    let rights = ["SETUSER", "poor", "+client|tracking", "+scan", "+mget", "+pttl"];
    cmd("ACL").arg(&rights).exec(&mut redis).unwrap();
    set(&mut redis, "user:1", "gold");
    cmd("HSET").arg("user:hash").arg("a").arg(1).exec(&mut redis).unwrap();
    assert_eq!(open(&settings(place())).unwrap().get("1").unwrap(), b"gold");
}

#[test]
fn keys_of_other_types_are_counted_and_are_no_entries() {
    let server = Server::start();
    let mut redis = server.connect();
    set(&mut redis, "user:1", "gold");
    cmd("HSET").arg("user:hash").arg("field").arg("value").exec(&mut redis).unwrap();
    cmd("RPUSH").arg("user:list").arg("item").exec(&mut redis).unwrap();
    let mut table = open(&settings(server.place("user:"))).unwrap();
    assert_eq!(table.handle.status().foreign_keys(), 2);
    assert_eq!(table.handle.status().entries(), 1);
    assert_eq!((table.get("hash"), table.get("list")), (None, None));
    let mut swap = pipe();
    swap.cmd("DEL").arg("user:1").cmd("HSET").arg("user:1").arg("field").arg("value");
    swap.exec(&mut redis).unwrap();
    table.until("1", None);
    set(&mut redis, "user:hash", "a string now");
    table.until("hash", Some("a string now"));
}

#[test]
fn a_prefix_is_taken_literally_and_may_be_empty() {
    let server = Server::start();
    let mut redis = server.connect();
    let prefix = r"a[b]*?\-^:";
    for key in [r"a[b]*?\-^:1", r"ab--^:2", r"abxx\-^:3", "zero\0key", "\u{e9}"] {
        set(&mut redis, key, "gold");
    }
    let mut literal = open(&settings(server.place(prefix))).unwrap();
    assert_eq!(literal.handle.status().entries(), 1);
    set(&mut redis, r"a[b]*?\-^:4", "later");
    literal.until("4", Some("later"));
    let mut all = open(&settings(server.place(""))).unwrap();
    assert_eq!(all.handle.status().entries(), 6);
    assert_eq!(all.get("zero\0key").unwrap(), b"gold");
    set(&mut redis, "\u{e9}", "changed");
    all.until("\u{e9}", Some("changed"));
}

#[test]
fn keys_and_values_are_bytes() {
    let server = Server::start();
    let mut redis = server.connect();
    let large = vec![0xfe_u8; 3 << 20];
    cmd("SET").arg(b"user:\xff\0\r\n").arg(&large).exec(&mut redis).unwrap();
    cmd("SET").arg("user:").arg("").exec(&mut redis).unwrap();
    let mut table = open(&settings(server.place("user:"))).unwrap();
    table.tables.quiesce();
    assert_eq!(table.tables.get(0, b"\xff\0\r\n"), text(&large));
    assert_eq!(table.tables.get(0, b""), text(b""));
}

#[test]
fn a_prefix_without_keys_is_an_error_unless_allowed() {
    let server = Server::start();
    let mut redis = server.connect();
    cmd("HSET").arg("user:hash").arg("field").arg("value").exec(&mut redis).unwrap();
    let error = open(&settings(server.place("user:"))).err().unwrap();
    assert!(matches!(error, CacheError::Empty { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("no string under the prefix \"user:\""), "{message}");
    assert!(message.contains("1 key of another type"), "{message}");

    let allowed = Table { fail_on_empty: false, ..settings(server.place("user:")) };
    let mut table = open(&allowed).unwrap();
    assert_eq!(table.get("1"), None);
    set(&mut redis, "user:1", "gold");
    table.until("1", Some("gold"));
}

#[test]
fn another_database_is_another_table() {
    let server = Server::start();
    let mut redis = server.connect();
    set(&mut redis, "user:1", "in database 0");
    let place = |db| TablePlace::Redis(RedisTable::new(&server.url(db), "SHOWN", "user:"));
    let mut table = open(&Table { fail_on_empty: false, ..settings(place(3)) }).unwrap();
    assert_eq!(table.get("1"), None);
    cmd("SELECT").arg(3).exec(&mut redis).unwrap();
    set(&mut redis, "user:1", "in database 3");
    table.until("1", Some("in database 3"));
    let error = open(&settings(place(99))).err().unwrap();
    assert!(matches!(error, CacheError::CannotHeal { .. }), "{error}");
}

#[test]
fn an_absent_server_is_waited_for_and_then_told() {
    let server = Server::absent();
    let load_timeout = Duration::from_millis(300);
    let hurried = Table { load_timeout, ..settings(server.place("user:")) };
    let error = open(&hurried).err().unwrap();
    assert!(matches!(error, CacheError::NotInTime { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("tables.users.load_timeout of 300ms"), "{message}");
    assert!(message.contains("refused the connection: is a server running there?"), "{message}");
}

#[test]
fn a_server_that_comes_late_is_loaded_from() {
    let mut server = Server::absent();
    let table = Table { fail_on_empty: false, ..settings(server.place("user:")) };
    let (mut tables, handles) = cache::open(&[table]).unwrap();
    let status = handles[0].status().clone();
    until("an attempt failed", || status.errors() > 1);
    assert!(!status.is_loaded());
    server.launch();
    let mut calls = 0;
    let loaded = handles[0].wait_loaded(&mut tables, |_| {
        calls += 1;
        Continue(())
    });
    loaded.unwrap();
    assert!(calls > 0 && status.is_loaded());
}

#[test]
fn the_gate_opens_no_more_once_the_wait_is_broken_off() {
    let server = Server::absent();
    let (mut tables, handles) = cache::open(&[settings(server.place(""))]).unwrap();
    let error = handles[0].wait_loaded(&mut tables, |_| Break(())).unwrap_err();
    assert!(matches!(error, CacheError::Stopped { .. }), "{error}");
}

#[test]
fn a_url_that_cannot_be_used_is_a_setting() {
    for url in ["rediss://127.0.0.1:1", "http://127.0.0.1:1", "nonsense"] {
        let place = TablePlace::Redis(RedisTable::new(url, url, ""));
        let error = open(&settings(place)).err().unwrap();
        assert!(matches!(error, CacheError::Setting { key: "redis", .. }), "{error}");
        assert!(error.to_string().starts_with("tables.users.redis: "), "{error}");
    }
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

fn is_equal(table: &mut Opened, content: &HashMap<String, Vec<u8>>) -> bool {
    table.handle.status().entries() == content.len() as u64
        && content.iter().all(|(key, value)| table.get(key).as_ref() == Some(value))
}

#[test]
fn writes_during_snapshots_and_lost_connections_end_in_the_same_content() {
    let server = Server::start();
    let mut redis = server.connect();
    fill(&mut redis, 5_000);
    let done = Arc::new(AtomicBool::new(false));
    let (mut other, writer_done) = (server.connect(), done.clone());
    let writer = thread::spawn(move || {
        let mut number = 0_u32;
        while !writer_done.load(Ordering::Acquire) {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = format!("user:{}", (number >> 8) % 6_000);
            match number >> 29 {
                0 => cmd("DEL").arg(key).exec(&mut other).unwrap(),
                1 => cmd("SET").arg(key).arg(number).arg("PX").arg(20).exec(&mut other).unwrap(),
                _ => cmd("SET").arg(key).arg(number).exec(&mut other).unwrap(),
            }
        }
    });
    let mut table = open(&settings(server.place("user:"))).unwrap();
    let status = table.handle.status().clone();
    for round in 1..=6 {
        if round == 4 {
            cmd("FLUSHALL").exec(&mut redis).unwrap();
        } else {
            drop_trackers(&mut redis);
        }
        until("it has loaded again", || status.loads() > round);
    }
    done.store(true, Ordering::Release);
    writer.join().unwrap();
    until("the copy equals the server", || {
        let content = content(&mut redis);
        is_equal(&mut table, &content)
    });
    assert!(status.reconnects() >= 5);
}

/// Closes the connections that track, and no others.
fn drop_trackers(redis: &mut Connection) {
    let list: String = cmd("CLIENT").arg("LIST").query(redis).unwrap();
    for client in list.lines() {
        let field = |name: &str| client.split(' ').find_map(|it| it.strip_prefix(name));
        if field("flags=").is_some_and(|flags| flags.contains('t') || flags.contains('B')) {
            let id = field("id=").unwrap();
            let killed: redis::RedisResult<u64> =
                cmd("CLIENT").arg("KILL").arg("ID").arg(id).query(redis);
            killed.unwrap();
        }
    }
}
