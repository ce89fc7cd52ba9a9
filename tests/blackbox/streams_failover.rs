//! A Redis that is not the one that writes any more, or not yet, and rights that are missing.

use crate::{
    stream_relay::{Relay, Way},
    stream_rig::{Client, IN, OUT, StreamPipeline, numbers},
    support::{await_true, names::RUN_STARTED, redis::Redis},
};

/// A replica of another one, once it has all that it has.
fn follow(replica: &Redis, primary: &Redis) {
    let port = primary.port().to_string();
    Client::of(replica).run(&["REPLICAOF", "127.0.0.1", &port]).expect("a replica");
    await_true("a replica that is up", || {
        let info = Client::of(replica).text(&["INFO", "replication"]);
        info.contains("master_link_status:up")
    });
}

fn promote(replica: &Redis) {
    Client::of(replica).run(&["REPLICAOF", "NO", "ONE"]).expect("a primary");
}

/// Connections that a server has taken since its start.
fn connections(redis: &Redis) -> u64 {
    let info = Client::of(redis).text(&["INFO", "stats"]);
    let line = info.lines().find_map(|it| it.strip_prefix("total_connections_received:"));
    line.and_then(|it| it.trim().parse().ok()).expect("a number")
}

#[test]
fn after_a_failover_it_goes_on_where_the_name_leads() {
    for guarantee in ["at-least-once", "exactly-once"] {
        let (first, second) = (Redis::start(), Redis::start());
        follow(&second, &first);
        let relay = Relay::start(Way::To(first.port()));
        let pipeline = StreamPipeline::new(&first)
            .set("source.redis.url", &relay.url())
            .set("delivery.guarantee", guarantee);
        let hotspur = pipeline.run();
        hotspur.await_event(RUN_STARTED);
        let mut client = Client::of(&first);
        client.add_numbers(IN, 0..1_000);
        client.await_settled(IN);
        // What was acknowledged here is there, too, before the names change.
        client.run(&["WAIT", "1", "60000"]).expect("the replica has it");
        relay.lead(Way::To(second.port()));
        promote(&second);
        follow(&first, &second);
        // Connections to the first one are open: it is a replica now, and says so.
        let mut client = Client::of(&second);
        client.add_numbers(IN, 1_000..2_000);
        client.await_len(OUT, 2_000);
        client.await_settled(IN);
        let mut all = numbers(&client.entries(OUT));
        all.sort_unstable();
        assert_eq!(all, (0..2_000).collect::<Vec<_>>(), "{guarantee}");
        let counts = hotspur.stop().counts();
        assert_eq!(counts.polled, 2_000, "{guarantee}");
    }
}

#[test]
fn a_server_that_stays_a_replica_is_asked_again_but_not_in_a_storm() {
    let (redis, other) = (Redis::start(), Redis::start());
    let pipeline = StreamPipeline::new(&redis);
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    let mut client = Client::of(&redis);
    client.add_numbers(IN, 0..100);
    client.await_settled(IN);
    follow(&other, &redis);
    promote(&other);
    let before = connections(&redis);
    follow(&redis, &other);
    await_true("a refusal", || hotspur.log.text().contains("READONLY"));
    let begun = std::time::Instant::now();
    await_true("some tries", || connections(&redis) > before + 50 || begun.elapsed().as_secs() > 3);
    let made = connections(&redis) - before;
    // Each look at the figures is one, too.
    let looks = begun.elapsed().as_millis() as u64 / 5;
    assert!(made < 20 + looks, "{made} connections in {:?}", begun.elapsed());
    promote(&redis);
    client.add_numbers(IN, 100..200);
    client.await_len(OUT, 200);
    client.await_settled(IN);
    assert_eq!(numbers(&client.entries(OUT)), (0..200).collect::<Vec<_>>());
    hotspur.stop().counts().assert_balanced();
}

#[test]
fn what_heals_is_waited_for_and_what_does_not_ends_with_a_sentence() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let relay = Relay::start(Way::Answer("LOADING Redis is loading the dataset in memory"));
    let pipeline = StreamPipeline::new(&redis).set("source.redis.url", &relay.url());
    let hotspur = pipeline.run();
    await_true("an answer at the start", || relay.answered() > 1);
    relay.lead(Way::To(redis.port()));
    relay.cut();
    hotspur.await_event(RUN_STARTED);
    for (round, answer) in [
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down",
        "BUSY Redis is busy running a script.",
        "MISCONF Redis is configured to save RDB snapshots, but it cannot",
    ]
    .into_iter()
    .enumerate()
    {
        relay.lead(Way::Answer(answer));
        relay.cut();
        await_true(answer, || hotspur.log.text().contains(answer));
        relay.lead(Way::To(redis.port()));
        relay.cut();
        let round = round as u64;
        client.add_numbers(IN, round * 10..(round + 1) * 10);
        client.await_len(OUT, (round + 1) * 10);
        client.await_settled(IN);
    }
    assert_eq!(numbers(&client.entries(OUT)), (0..50).collect::<Vec<_>>());
    relay.lead(Way::Answer("MOVED 1234 10.0.0.1:6379"));
    relay.cut();
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("MOVED 1234"), "{}", ended.log);
    assert!(ended.log.contains("a Redis Cluster is not supported, name one server"));
}

#[test]
fn each_right_that_is_missing_is_named() {
    for (command, guarantee) in [
        ("xreadgroup", "at-least-once"),
        ("xgroup", "at-least-once"),
        ("xpending", "at-least-once"),
        ("xautoclaim", "at-least-once"),
        ("xack", "at-least-once"),
        ("xadd", "at-least-once"),
        ("xlen", "at-least-once"),
        ("eval", "exactly-once"),
        ("xadd", "exactly-once"),
        ("xack", "exactly-once"),
        ("xdel", "exactly-once"),
        ("xdel", "at-least-once"),
    ] {
        let redis = Redis::start();
        let mut client = Client::of(&redis);
        let without = format!("-{command}");
        let user = ["ACL", "SETUSER", "worker", "on", ">secret", "~*", "+@all", &without];
        client.run(&user).expect("a user");
        client.add_numbers(IN, 0..10);
        let url = redis.url().replace("redis://", "redis://worker:secret@");
        let pipeline = StreamPipeline::new(&redis)
            .set("source.redis.url", &url)
            .set("source.redis.delete_acked", "true")
            .set("delivery.guarantee", guarantee);
        let ended = pipeline.run().wait();
        let log = &ended.log;
        assert_eq!(ended.status, Some(3), "{command}, {guarantee}: {log}");
        assert!(log.contains("NOPERM"), "{command}, {guarantee}: {log}");
        assert!(log.to_lowercase().contains(command), "{command}, {guarantee}: {log}");
        assert!(log.contains("the user needs the right to it"), "{command}: {log}");
        assert!(!log.contains("secret"), "{command}, {guarantee}: {log}");
        let (written, kept) = (client.len(OUT), client.len(IN));
        assert_eq!(kept, 10, "{command}, {guarantee}: they come again");
        assert!(written == 0 || guarantee == "at-least-once", "{command}: {written} written");
        if log.contains("acknowledging and writing") {
            assert_eq!(client.pending(IN), 10, "{command}: nothing is acknowledged");
        }
    }
}

#[test]
fn rights_that_it_can_do_without_are_not_missed() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let user = ["ACL", "SETUSER", "worker", "on", ">secret", "~*", "+@all", "-client", "-eval"];
    client.run(&user).expect("a user");
    let url = redis.url().replace("redis://", "redis://worker:secret@");
    let pipeline = StreamPipeline::new(&redis).set("source.redis.url", &url);
    let hotspur = pipeline.run();
    hotspur.await_event("consumers.kept");
    client.add_numbers(IN, 0..10);
    client.await_settled(IN);
    client.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).expect("some died");
    client.add_numbers(IN, 10..20);
    client.await_len(OUT, 20);
    client.await_settled(IN);
    assert_eq!(numbers(&client.entries(OUT)), (0..20).collect::<Vec<_>>());
    hotspur.stop().counts().assert_balanced();
}

#[test]
fn a_key_that_changes_its_kind_while_it_is_read_ends_the_run() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    client.add_numbers(IN, 0..10);
    client.await_settled(IN);
    redis.set(IN, "text");
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("WRONGTYPE") && ended.log.contains("name another stream"));
}

#[test]
fn an_entry_of_more_fields_than_a_script_takes_ends_the_run_before_anything_is_acknowledged() {
    for guarantee in ["at-least-once", "exactly-once"] {
        let redis = Redis::start();
        let mut client = Client::of(&redis);
        let pipeline = StreamPipeline::new(&redis)
            .set("source.redis.field", "body")
            .set("delivery.guarantee", guarantee);
        let names: Vec<String> = (0..6_000).map(|it| format!("h{it}")).collect();
        let mut fields: Vec<(&str, &[u8])> = vec![("body", b"{\"n\":1}")];
        fields.extend(names.iter().map(|it| (it.as_str(), &b"1"[..])));
        client.add(IN, &fields);
        client.add(IN, &[("body", b"{\"n\":2}")]);
        let hotspur = pipeline.run();
        if guarantee == "exactly-once" {
            let ended = hotspur.wait();
            assert_eq!(ended.status, Some(3), "{}", ended.log);
            assert!(ended.log.contains("TOO_MANY_FIELDS"), "{}", ended.log);
            assert!(client.pending(IN) > 0, "they come again: {}", ended.log);
            continue;
        }
        client.await_group(IN);
        client.await_settled(IN);
        let results = client.entries(OUT);
        assert_eq!(numbers(&results), [1, 2], "{}", hotspur.log.text());
        assert_eq!(results[0].fields.len(), 6_001);
        hotspur.stop().counts().assert_balanced();
    }
}
