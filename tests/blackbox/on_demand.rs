//! A table on demand: records wait aside for what they look up, and keep every promise meanwhile.

use std::collections::BTreeMap;

use crate::{
    payload::{assert_each_once, assert_none_lost, numbers, order},
    support::{
        clients::Load,
        hotspur::Hotspur,
        kafka::Kafka,
        message::Message,
        names::{RUN_STOPPING, TABLE_LOADED},
        pipeline::Pipeline,
        redis::Redis,
    },
};

/// Orders with a table on demand, in a topic of that many partitions.
fn orders(kafka: &Kafka, redis: &Redis, partitions: i32) -> Pipeline {
    let pipeline = Pipeline::orders(kafka, redis)
        .without("tables.users.on_empty")
        .set("tables.users.load", "on-demand")
        // Longer than a busy machine takes to answer.
        .set("tables.users.wait", "20s");
    pipeline.create_topics(kafka, partitions);
    pipeline
}

fn run(pipeline: &Pipeline) -> Hotspur {
    let hotspur = pipeline.run();
    hotspur.await_event(TABLE_LOADED);
    hotspur.await_assigned();
    hotspur
}

/// Orders of `count` users, numbered by their values. Each user's tier is made of its name, and
/// every eleventh user is unknown. The record's key is one of 40, so that lanes are long.
fn many_orders(count: u64, users: u64) -> Vec<Message> {
    let message = |number: u64| {
        let user = number * 7 % users;
        let key = number % 40;
        Message::new(order(number, &format!("u{user}"), number)).key(format!("{key}"))
    };
    (0..count).map(message).collect()
}

fn is_known(number: u64, users: u64) -> bool {
    !(number * 7 % users).is_multiple_of(11)
}

fn fill(redis: &Redis, users: u64) {
    let known = (0..users).filter(|user| !user.is_multiple_of(11));
    redis.set_all(known.map(|user| (format!("user:u{user}"), format!("tier{user}"))));
}

/// `processed_u<user>_<number>_tier<user>`: the number, after a check of the rest.
#[track_caller]
fn number_of(result: &Message, users: u64) -> u64 {
    let text = result.text().to_owned();
    let parts: Vec<&str> = text.split('_').collect();
    let [_, user, number, tier] = parts[..] else { panic!("{text}") };
    assert_eq!(tier, format!("tier{}", &user[1..]), "{text}");
    let number = number.parse().unwrap();
    assert_eq!(user, format!("u{}", number * 7 % users));
    number
}

/// Each number as the key, so that the payload's checks of keys can be used.
fn by_number(results: &[Message], users: u64) -> Vec<Message> {
    let by_number = |it: &Message| Message::new("").key(number_of(it, users).to_string());
    results.iter().map(by_number).collect()
}

/// Results of one key come in the order of their numbers, but for doubles after a kill.
#[track_caller]
fn assert_in_order(results: &[Message], users: u64, with_doubles: bool) {
    let mut highest: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for result in results {
        let (key, number) = (result.key.clone().unwrap(), number_of(result, users));
        let before = highest.insert(key.clone(), number);
        let is_behind = before.is_some_and(|before| before >= number);
        assert!(with_doubles || !is_behind, "{key:?}: {number} after {before:?}");
    }
}

#[test]
fn what_is_looked_up_comes_from_redis_and_follows_it() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    let pipeline = orders(kafka, &redis, 1).set("tables.users.absent_for", "1h");
    let hotspur = run(&pipeline);
    let writer = kafka.writer();
    let mut reader = kafka.reader(&pipeline.output);
    let send = |key: &str, value: u64| {
        writer.send(&pipeline.input, &Message::new(order(value, key, value)));
    };
    send("user1", 1);
    send("nobody", 2);
    send("user1", 3);
    let texts = |messages: &[Message]| -> Vec<String> {
        messages.iter().map(|it| it.text().to_owned()).collect()
    };
    assert_eq!(texts(reader.await_count(2)), ["processed_user1_1_gold", "processed_user1_3_gold"]);
    redis.set("user:user1", "platinum");
    redis.set("user:nobody", "new");
    let mut last = 3;
    for (key, ending) in [("user1", "_platinum"), ("nobody", "_new")] {
        crate::support::await_true(format_args!("{key} to change"), || {
            last += 1;
            send(key, last);
            reader.read_more().iter().any(|it| it.text().ends_with(ending))
        });
    }
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let counts = hotspur.stop().counts();
    assert_eq!(counts.rejected, 0);
    counts.assert_balanced();
}

#[test]
fn a_miss_is_what_the_step_says() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    for (on_miss, result, rejected) in [
        (toml_edit::Value::from("null"), Some("processed_nobody_1_null"), 0),
        ("{ default = \"bronze\" }".parse().unwrap(), Some("processed_nobody_1_bronze"), 0),
        (toml_edit::Value::from("skip"), None, 0),
        (toml_edit::Value::from("reject"), None, 1),
    ] {
        let pipeline = orders(kafka, &redis, 1).on_miss(on_miss.clone());
        kafka.produce(&pipeline.input, &[Message::new(order(1, "nobody", 1))]);
        let counts = pipeline.run_to_end(kafka).stop().counts();
        assert_eq!(counts.rejected, rejected, "{on_miss}");
        counts.assert_balanced();
        let results = kafka.read(&pipeline.output);
        let texts: Vec<_> = results.iter().map(Message::text).collect();
        assert_eq!(texts, result.into_iter().collect::<Vec<_>>(), "{on_miss}");
        let letters = kafka.read(&pipeline.dead);
        assert!(letters.iter().all(|it| it.header_text("hotspur.class") == "table_miss"));
    }
}

#[test]
fn a_small_table_serves_many_keys_in_order() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    let (total, users) = (5_000, 700);
    fill(&redis, users);
    let pipeline = orders(kafka, &redis, 2).set("tables.users.max_entries", 50);
    let hotspur = run(&pipeline);
    kafka.produce(&pipeline.input, &many_orders(total, users));
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let counts = hotspur.stop().counts();
    counts.assert_balanced();
    let known: Vec<u64> = (0..total).filter(|it| is_known(*it, users)).collect();
    assert_eq!((counts.polled, counts.emitted), (total, known.len() as u64));
    let results = kafka.read(&pipeline.output);
    assert_each_once(&by_number(&results, users), &known);
    assert_in_order(&results, users, false);
}

#[test]
fn while_redis_is_frozen_records_time_out_and_others_pass() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    redis.set("user:user2", "silver");
    let pipeline = orders(kafka, &redis, 1)
        .on_miss("reject".into())
        .set("tables.users.wait", "2s")
        .set("tables.users.max_waiting", 10);
    let hotspur = run(&pipeline);
    let mut reader = kafka.reader(&pipeline.output);
    let keyed = |key: &str, user: &str, number| Message::new(order(number, user, number)).key(key);
    kafka.produce(&pipeline.input, &[keyed("a", "user1", 1)]);
    reader.await_count(1);
    redis.freeze();
    let frozen = [
        keyed("b", "user2", 2),
        keyed("b", "user1", 3),
        keyed("c", "user1", 4),
        keyed("a", "user1", 5),
    ];
    kafka.produce(&pipeline.input, &frozen);
    let texts: Vec<_> = reader.await_count(4).iter().map(|it| it.text().to_owned()).collect();
    let expected = [1, 4, 5, 3].map(|number| format!("processed_user1_{number}_gold"));
    assert_eq!(texts, expected, "3 waits behind 2, the others pass");
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let letters = kafka.read(&pipeline.dead);
    let classes: Vec<_> = letters.iter().map(|it| it.header_text("hotspur.class")).collect();
    assert_eq!(classes, ["lookup_timeout"]);
    redis.thaw();
    kafka.produce(&pipeline.input, &[keyed("b", "user2", 6)]);
    assert_eq!(reader.await_count(5)[4].text(), "processed_user2_6_silver");
    hotspur.stop().counts().assert_balanced();
}

#[test]
fn a_lookup_that_timed_out_is_tried_again_and_those_of_its_key_stay_behind_it() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    let pipeline = orders(kafka, &redis, 1)
        .on_miss("reject".into())
        .set("tables.users.wait", "200ms")
        .set("delivery.retry.attempts", 1)
        .set("delivery.retry.backoff", "20ms");
    let hotspur = run(&pipeline);
    let mut reader = kafka.reader(&pipeline.output);
    let keyed = |key: &str, user: &str, number| Message::new(order(number, user, number)).key(key);
    kafka.produce(&pipeline.input, &[keyed("a", "user1", 1)]);
    reader.await_count(1);
    redis.freeze();
    let frozen = [keyed("b", "user2", 2), keyed("b", "user1", 3), keyed("c", "user1", 4)];
    kafka.produce(&pipeline.input, &frozen);
    let texts: Vec<_> = reader.await_count(3).iter().map(|it| it.text().to_owned()).collect();
    assert_eq!(texts[1..], [4, 3].map(|number| format!("processed_user1_{number}_gold")));
    let letters = kafka.reader(&pipeline.dead).await_count(1).to_vec();
    let reason = letters[0].header_text("hotspur.reason");
    assert!(reason.starts_with("tried 2 times: "), "{reason}");
    assert_eq!(letters[0].header_text("hotspur.class"), "lookup_timeout");
    redis.thaw();
    let counts = hotspur.stop().counts();
    assert_eq!((counts.polled, counts.emitted, counts.rejected), (4, 3, 1));
}

#[test]
fn more_records_than_may_wait_lose_nothing_and_end_with_the_run() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    let pipeline = orders(kafka, &redis, 1)
        .set("tables.users.wait", "200ms")
        .set("tables.users.max_waiting", 3);
    let hotspur = run(&pipeline);
    redis.freeze();
    let waiting = |it: u64| Message::new(order(it, &format!("u{it}"), it)).key(it.to_string());
    let messages: Vec<Message> = (0..20).map(waiting).collect();
    kafka.produce(&pipeline.input, &messages);
    // The run ends while records wait: they time out, are skipped, and are committed.
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    kafka.produce(&pipeline.input, &messages[..3]);
    let counts = hotspur.stop().counts();
    assert_eq!(counts.skipped, counts.polled);
    assert!(counts.polled >= 20, "{counts:?}");
    redis.thaw();
}

#[test]
fn what_waits_when_the_run_is_told_to_end_is_answered_nevertheless() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    let users = 200;
    fill(&redis, users);
    let pipeline = orders(kafka, &redis, 1).set("engine.drain_timeout", "60s");
    let hotspur = run(&pipeline);
    let mut reader = kafka.reader(&pipeline.output);
    let held = |it: u64| Message::new(order(it, "u1", it)).key("held");
    kafka.produce(&pipeline.input, &[held(1000)]);
    reader.await_count(1);
    redis.freeze();
    let mut messages = many_orders(users, users);
    messages.push(held(1001));
    kafka.produce(&pipeline.input, &messages);
    // It stands behind all of the others, which wait.
    assert_eq!(reader.await_count(2).last().unwrap().text(), "processed_u1_1001_tier1");
    hotspur.signal("TERM");
    hotspur.await_event(RUN_STOPPING);
    redis.thaw();
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(0), "{}", ended.log);
    let (counts, known) = (ended.counts(), (0..users).filter(|it| is_known(*it, users)).count());
    counts.assert_balanced();
    assert_eq!(counts.emitted, 2 + known as u64, "{counts:?}");
}

#[test]
fn sigterm_under_load_keeps_the_books() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    let (total, users) = (20_000, 5_000);
    fill(&redis, users);
    // So small a table is fetched over and over: thousands in flight may take a busy machine longer
    // than the default.
    let pipeline = orders(kafka, &redis, 2)
        .set("tables.users.max_entries", 500)
        .set("engine.drain_timeout", "60s");
    let first = run(&pipeline);
    let load = Load::start(kafka, &pipeline.input, many_orders(total, users));
    kafka.reader(&pipeline.output).await_count(2_000);
    let first = first.stop().counts();
    first.assert_balanced();
    let committed = kafka.committed(&pipeline.group, &pipeline.input);
    assert_eq!(committed.into_iter().flatten().sum::<i64>(), first.polled as i64);
    load.finish();
    let second = pipeline.run();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let second = second.stop().counts();
    second.assert_balanced();
    assert_eq!(first.polled + second.polled, total);
    let results = kafka.read(&pipeline.output);
    let known: Vec<u64> = (0..total).filter(|it| is_known(*it, users)).collect();
    let emitted = (first.emitted + second.emitted) as usize;
    assert_eq!(emitted, known.len(), "a known user was missed: {first:?} {second:?}");
    assert_each_once(&by_number(&results, users), &known);
    assert_in_order(&results, users, false);
}

/// Kills the run twice while records come and wait, and lets a third one finish.
fn kill_twice(guarantee: &str) -> (Vec<Message>, u64, u64) {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    let (total, users) = (20_000, 5_000);
    fill(&redis, users);
    let pipeline = orders(kafka, &redis, 2)
        .set("delivery.guarantee", guarantee)
        .set("tables.users.max_entries", 500)
        .set("limits.in_flight", 512)
        .set("limits.batch", 64)
        .missed_soon();
    let mut reader = kafka.reader(&pipeline.output);
    let mut running = run(&pipeline);
    let load = Load::start(kafka, &pipeline.input, many_orders(total, users));
    let mut seen = 0;
    for _ in 0..2 {
        seen = reader.await_count(seen + 1_000).len();
        running.kill();
        running = pipeline.run();
    }
    load.finish();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    running.stop().counts().assert_balanced();
    (kafka.read(&pipeline.output), total, users)
}

#[test]
fn at_least_once_loses_nothing_under_kill() {
    let (results, total, users) = kill_twice("at-least-once");
    let known: Vec<u64> = (0..total).filter(|it| is_known(*it, users)).collect();
    assert_none_lost(&by_number(&results, users), &known);
    assert_in_order(&results, users, true);
}

#[test]
fn at_most_once_doubles_nothing_under_kill() {
    let (results, _, users) = kill_twice("at-most-once");
    let messages = by_number(&results, users);
    let came: Vec<u64> = numbers(&messages).into_keys().collect();
    assert_each_once(&messages, &came);
    assert_in_order(&results, users, false);
}
