//! What a table's keys may hold in Redis: strings, JSON, hashes, and what is none of these.

mod cache_rig;
#[path = "cache_rig/server.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod server;

use cache_rig::{Opened, open, settings, until};
use hotspur::{
    cache::{Value, ValueKind},
    config::settings::{RedisKind, RedisTable, TablePlace},
};
use redis::cmd;
use server::Server;

fn open_as(server: &Server, kind: RedisKind) -> Opened {
    let redis = RedisTable { kind, ..server.redis("user:") };
    open(&settings(TablePlace::Redis(redis))).unwrap()
}

fn until_json(table: &mut Opened, key: &str, json: &str) {
    until(&format!("{key} becomes {json}"), || {
        table.tables.quiesce();
        table.tables.get(0, key.as_bytes())
            == Some(Value { kind: ValueKind::Json, bytes: json.as_bytes() })
    });
}

#[test]
fn json_is_checked_when_it_comes_in() {
    let server = Server::start();
    let mut redis = server.connect();
    for (key, value) in [
        ("user:1", r#"{"tier":"gold"}"#),
        ("user:2", " [1, 2]\n"),
        ("user:3", "gold"),
        ("user:4", ""),
    ] {
        cmd("SET").arg(key).arg(value).exec(&mut redis).unwrap();
    }
    cmd("HSET").arg("user:hash").arg("tier").arg("gold").exec(&mut redis).unwrap();
    let mut table = open_as(&server, RedisKind::Json);
    let status = table.handle.status().clone();
    assert_eq!((status.entries(), status.malformed_values(), status.foreign_keys()), (4, 2, 1));
    until_json(&mut table, "1", r#"{"tier":"gold"}"#);
    until_json(&mut table, "2", "[1, 2]");
    let malformed = Some(Value { kind: ValueKind::Bytes, bytes: b"gold" });
    assert_eq!(table.tables.get(0, b"3"), malformed);
    cmd("SET").arg("user:3").arg("7").exec(&mut redis).unwrap();
    until_json(&mut table, "3", "7");
}

#[test]
fn a_hash_is_an_object_of_its_fields() {
    let server = Server::start();
    let mut redis = server.connect();
    cmd("HSET").arg("user:1").arg(&["tier", "gold", "country", "AT"]).exec(&mut redis).unwrap();
    cmd("HSET").arg("user:2").arg("tier").arg(b"\xff").exec(&mut redis).unwrap();
    cmd("SET").arg("user:text").arg("gold").exec(&mut redis).unwrap();
    let mut table = open_as(&server, RedisKind::Hash(None));
    let status = table.handle.status().clone();
    assert_eq!((status.entries(), status.malformed_values(), status.foreign_keys()), (2, 1, 1));
    until_json(&mut table, "1", r#"{"tier":"gold","country":"AT"}"#);
    cmd("HDEL").arg("user:1").arg("tier").exec(&mut redis).unwrap();
    until_json(&mut table, "1", r#"{"country":"AT"}"#);
    cmd("HDEL").arg("user:1").arg("country").exec(&mut redis).unwrap();
    table.until("1", None);
    cmd("HSET").arg("user:2").arg("tier").arg("\"silver\"").exec(&mut redis).unwrap();
    until_json(&mut table, "2", r#"{"tier":"\"silver\""}"#);
    cmd("SET").arg("user:2").arg("a string now").exec(&mut redis).unwrap();
    table.until("2", None);
    assert_eq!((status.loads(), status.errors()), (1, 0));
}

#[test]
fn of_a_hash_a_few_fields_can_be_chosen() {
    let server = Server::start();
    let mut redis = server.connect();
    let fields = ["tier", "gold", "country", "AT", "password", "secret"];
    cmd("HSET").arg("user:1").arg(&fields).exec(&mut redis).unwrap();
    cmd("HSET").arg("user:2").arg("password").arg("secret").exec(&mut redis).unwrap();
    let chosen = vec!["country".to_owned(), "tier".to_owned(), "score".to_owned()];
    let mut table = open_as(&server, RedisKind::Hash(Some(chosen)));
    until_json(&mut table, "1", r#"{"country":"AT","tier":"gold"}"#);
    assert_eq!(table.get("2"), None);
    cmd("HINCRBY").arg("user:2").arg("score").arg(7).exec(&mut redis).unwrap();
    until_json(&mut table, "2", r#"{"score":"7"}"#);
}
