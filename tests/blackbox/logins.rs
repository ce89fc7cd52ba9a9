//! A password of Redis that changes while the program runs.

use std::fs;

use crate::support::{kafka::Kafka, names::TABLE_LOADED, pipeline::Pipeline, redis::Redis};

fn ask(redis: &Redis, words: &[&str]) {
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    redis::cmd(words[0]).arg(&words[1..]).exec(&mut connection).unwrap();
}

#[test]
fn a_changed_password_is_read_again_from_its_file() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    ask(&redis, &["ACL", "SETUSER", "reader", "on", ">first", "~*", "+@all"]);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("password");
    fs::write(&secret, "first\n").unwrap();
    let login = format!("redis://reader:${{file:{}}}@", secret.display());
    let pipeline = Pipeline::orders(kafka, &redis)
        .set("tables.users.redis", redis.url().replace("redis://", &login));
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    ask(&redis, &["ACL", "SETUSER", "reader", "resetpass", ">second"]);
    ask(&redis, &["CLIENT", "KILL", "USER", "reader"]);
    hotspur.await_events("table.lost", 2);
    // With the file as it is, SIGHUP changes nothing.
    hotspur.signal("HUP");
    hotspur.await_event("reread.requested");
    fs::write(&secret, "second\n").unwrap();
    hotspur.signal("HUP");
    assert_eq!(hotspur.await_event("table.login_changed").text("tables"), "users");
    hotspur.await_events(TABLE_LOADED, 2);
    fs::remove_file(&secret).unwrap();
    hotspur.signal("HUP");
    hotspur.await_event("reread.refused");
    let ended = hotspur.stop();
    assert!(ended.log.contains("refused the user name or password"), "{}", ended.log);
    assert!(!ended.log.contains("first") && !ended.log.contains("second\""), "{}", ended.log);
}
