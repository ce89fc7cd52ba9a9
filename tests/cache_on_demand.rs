//! Tables on demand against a real redis-server: what is asked for comes, stays true, is bounded.

mod cache_rig;
#[path = "cache_rig/server.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod server;

use std::time::{Duration, Instant};

use cache_rig::{DEADLINE, Opened, open, settings, until};
use hotspur::{
    cache::{CacheError, Sought, Value},
    config::settings::{OnDemand, RedisKind, RedisTable, Table, TablePlace},
};
use redis::{Connection, cmd, pipe};
use server::Server;

fn bounds() -> OnDemand {
    OnDemand {
        max_entries: 1_000_000,
        max_bytes: 1 << 30,
        absent_for: DEADLINE,
        max_waiting: 1000,
        wait: Duration::from_millis(100),
    }
}

fn table(server: &Server, bounds: OnDemand, kind: RedisKind) -> Table {
    let TablePlace::Redis(redis) = server.place("user:") else { unreachable!() };
    settings(TablePlace::Redis(RedisTable { on_demand: Some(bounds), kind, ..redis }))
}

fn opened(server: &Server, bounds: OnDemand) -> Opened {
    open(&table(server, bounds, RedisKind::String)).unwrap()
}

/// One turn and a lookup: the value, `None` for absent; no answer yet is no answer.
fn seek(table: &mut Opened, key: &str) -> Option<Option<Vec<u8>>> {
    table.tables.quiesce();
    match table.tables.seek(0, key.as_bytes()) {
        Sought::Found(value) => Some(Some(value.bytes.to_vec())),
        Sought::Absent => Some(None),
        Sought::Unknown(_) => None,
    }
}

/// The first answer.
fn fetch(table: &mut Opened, key: &str) -> Option<Vec<u8>> {
    let mut answer = None;
    until(&format!("an answer for {key}"), || {
        answer = seek(table, key);
        answer.is_some()
    });
    answer.unwrap()
}

fn until_absent(table: &mut Opened, key: &str) {
    until(&format!("{key} is absent"), || seek(table, key) == Some(None));
}

fn set(redis: &mut Connection, key: &str, value: &str) {
    cmd("SET").arg(key).arg(value).exec(redis).unwrap();
}

#[test]
fn values_come_when_asked_for_and_follow_their_source() {
    let server = Server::start();
    let mut redis = server.connect();
    set(&mut redis, "user:1", "gold");
    set(&mut redis, "user:2", "silver");
    let mut table = opened(&server, bounds());
    assert_eq!(table.handle.status().entries(), 0, "nothing was asked for");
    assert_eq!(fetch(&mut table, "1"), Some(b"gold".to_vec()));
    assert_eq!(fetch(&mut table, "nobody"), None);
    assert_eq!(fetch(&mut table, "2"), Some(b"silver".to_vec()));

    set(&mut redis, "user:1", "platinum");
    table.until("1", Some("platinum"));
    set(&mut redis, "user:nobody", "somebody");
    table.until("nobody", Some("somebody"));
    cmd("DEL").arg("user:2").exec(&mut redis).unwrap();
    until_absent(&mut table, "2");
    set(&mut redis, "user:3", "not asked for");
    set(&mut redis, "user:1", "last");
    table.until("1", Some("last"));
    until("three entries", || table.handle.status().entries() == 3);
    let lookups = table.tables.take_lookups().next().unwrap();
    assert!(lookups.hits >= 5 && lookups.misses >= 2, "{lookups:?}");
}

#[test]
fn json_and_hashes_are_fetched_as_they_are_loaded() {
    let server = Server::start();
    let mut redis = server.connect();
    set(&mut redis, "user:1", " {\"tier\": 1} ");
    let mut json = open(&table(&server, bounds(), RedisKind::Json)).unwrap();
    assert_eq!(fetch(&mut json, "1"), Some(b"{\"tier\": 1}".to_vec()));
    json.tables.quiesce();
    assert_eq!(json.tables.seek(0, b"1"), Sought::Found(Value::json(b"{\"tier\": 1}")));

    cmd("HSET").arg("user:2").arg(&["tier", "gold", "age", "7"]).exec(&mut redis).unwrap();
    let fields = Some(vec!["tier".to_owned()]);
    let mut hash = open(&table(&server, bounds(), RedisKind::Hash(fields))).unwrap();
    assert_eq!(fetch(&mut hash, "2"), Some(b"{\"tier\":\"gold\"}".to_vec()));
    assert_eq!(fetch(&mut hash, "1"), None, "of another type");
}

#[test]
fn what_expires_vanishes_and_absence_is_forgotten() {
    let server = Server::start();
    let mut redis = server.connect();
    let soon = Duration::from_millis(300);
    cmd("SET").arg("user:1").arg("gold").arg("PX").arg(300).exec(&mut redis).unwrap();
    let mut table = opened(&server, OnDemand { absent_for: soon, ..bounds() });
    assert_eq!(fetch(&mut table, "1"), Some(b"gold".to_vec()));
    until_absent(&mut table, "1");
    until("the absence is forgotten", || seek(&mut table, "1").is_none());
    assert_eq!(fetch(&mut table, "1"), None);
    set(&mut redis, "user:1", "again");
    table.until("1", Some("again"));
}

#[test]
fn no_more_is_held_than_the_bounds_say_and_what_is_used_stays() {
    let server = Server::start();
    let mut redis = server.connect();
    let mut batch = pipe();
    for number in 0..2000 {
        batch.cmd("SET").arg(format!("user:{number}")).arg(number).ignore();
    }
    batch.exec(&mut redis).unwrap();
    let mut table = opened(&server, OnDemand { max_entries: 100, ..bounds() });
    for number in 0..2000 {
        assert_eq!(fetch(&mut table, &number.to_string()), Some(number.to_string().into_bytes()));
        assert!(
            seek(&mut table, "0").is_some(),
            "0 is looked up all the time, and goes at {number}"
        );
    }
    until("the bound is kept", || table.handle.status().entries() <= 100);
    assert_eq!(table.handle.status().entries(), 100);

    let mut table = opened(&server, OnDemand { max_bytes: 10_000, ..bounds() });
    for number in 0..2000 {
        fetch(&mut table, &number.to_string());
    }
    let status = table.handle.status().clone();
    until("the bound is kept", || {
        table.tables.quiesce();
        (50..200).contains(&status.entries())
    });
}

#[test]
fn what_is_held_serves_while_redis_is_away_and_is_confirmed_when_it_is_back() {
    let mut server = Server::start();
    set(&mut server.connect(), "user:1", "gold");
    set(&mut server.connect(), "user:2", "silver");
    let mut table = opened(&server, bounds());
    let status = table.handle.status().clone();
    for key in ["1", "2", "nobody"] {
        fetch(&mut table, key);
    }
    until("it is fresh", || status.is_fresh());
    server.kill();
    until("it is stale", || !status.is_fresh());
    assert_eq!(seek(&mut table, "1"), Some(Some(b"gold".to_vec())));
    assert_eq!(seek(&mut table, "3"), None);
    server.launch();
    let mut redis = server.connect();
    set(&mut redis, "user:2", "platinum");
    set(&mut redis, "user:nobody", "somebody");
    until_absent(&mut table, "1");
    table.until("2", Some("platinum"));
    table.until("nobody", Some("somebody"));
    assert_eq!(fetch(&mut table, "3"), None);
    until("it is fresh again", || status.is_fresh());
    assert!(status.reconnects() > 0 && status.loads() > 1);
    set(&mut redis, "user:1", "new");
    table.until("1", Some("new"));
}

#[test]
fn a_frozen_server_holds_nobody_up_and_an_age_grows_until_it_is_back() {
    let server = Server::start();
    set(&mut server.connect(), "user:1", "gold");
    let mut table = opened(&server, bounds());
    fetch(&mut table, "1");
    server.freeze();
    let status = table.handle.status().clone();
    until("it is stale", || !status.is_fresh());
    assert!(status.last_error().contains("did not answer in time"), "{}", status.last_error());
    for number in 0..100_000 {
        assert_eq!(seek(&mut table, &format!("no{number}")), None, "questions are bounded");
    }
    assert_eq!(seek(&mut table, "1"), Some(Some(b"gold".to_vec())));
    server.thaw();
    assert_eq!(fetch(&mut table, "2"), None);
    until("it is fresh again", || status.is_fresh());
    let now = Instant::now();
    until("its age goes on", || status.age() < Some(now.elapsed()));
}

#[test]
fn flushall_makes_everything_absent() {
    let server = Server::start();
    let mut redis = server.connect();
    for number in 0..100 {
        set(&mut redis, &format!("user:{number}"), "gold");
    }
    let mut table = opened(&server, bounds());
    (0..100).for_each(|number| _ = fetch(&mut table, &number.to_string()));
    cmd("FLUSHALL").exec(&mut redis).unwrap();
    (0..100).for_each(|number| until_absent(&mut table, &number.to_string()));
    set(&mut redis, "user:7", "silver");
    table.until("7", Some("silver"));
}

#[test]
fn a_start_fails_as_that_of_any_table_does() {
    let server = Server::start_with(Some("secret"));
    let mut table = table(&server, bounds(), RedisKind::String);
    let TablePlace::Redis(redis) = &mut table.place else { unreachable!() };
    redis.url = redis.url.replace("secret", "guess");
    let Err(CacheError::CannotHeal { reason, .. }) = open(&table) else { panic!("it loaded") };
    assert!(reason.contains("refused the user name or password"), "{reason}");
    let away = Server::absent();
    let table = Table {
        load_timeout: Duration::from_millis(200),
        ..self::table(&away, bounds(), RedisKind::String)
    };
    let Err(CacheError::NotInTime { reason, .. }) = open(&table) else { panic!("it loaded") };
    assert!(reason.contains("refused the connection"), "{reason}");
}

#[test]
fn a_swapped_database_is_noticed_by_reading_again_what_is_held() {
    let server = Server::start();
    let mut redis = server.connect();
    set(&mut redis, "user:1", "gold");
    set(&mut redis, "user:2", "silver");
    let mut settings = table(&server, bounds(), RedisKind::String);
    let TablePlace::Redis(place) = &mut settings.place else { unreachable!() };
    place.verify_interval = Duration::from_millis(100);
    let mut table = open(&settings).unwrap();
    for key in ["1", "2", "3"] {
        fetch(&mut table, key);
    }
    pipe().cmd("SELECT").arg(1).cmd("SET").arg("user:1").arg("other").exec(&mut redis).unwrap();
    cmd("SWAPDB").arg(0).arg(1).exec(&mut redis).unwrap();
    table.until("1", Some("other"));
    until_absent(&mut table, "2");
    assert_eq!(table.handle.status().loads(), 1, "it was true all the time, as far as it knew");
}

#[test]
fn values_that_are_too_much_at_once_are_read_one_by_one() {
    let server = Server::start();
    let mut redis = server.connect();
    let large = "x".repeat(3 << 20);
    for number in 0..8 {
        set(&mut redis, &format!("user:{number}"), &large);
    }
    let mut table = opened(&server, bounds());
    (0..8).for_each(|number| {
        assert_eq!(fetch(&mut table, &number.to_string()).unwrap().len(), large.len())
    });
    let limit = "normal 8mb 0 0";
    cmd("CONFIG").arg("SET").arg("client-output-buffer-limit").arg(limit).exec(&mut redis).unwrap();
    cmd("CLIENT")
        .arg("KILL")
        .arg("TYPE")
        .arg("normal")
        .arg("SKIPME")
        .arg("yes")
        .exec(&mut redis)
        .unwrap();
    let status = table.handle.status().clone();
    until("all is read again", || {
        table.tables.quiesce();
        status.loads() > 1
    });
    set(&mut redis, "user:7", "small");
    table.until("7", Some("small"));
}
