//! A Redis that dies, freezes, forgets, refuses or holds something else.

use std::collections::BTreeSet;

use crate::{
    stream_rig::{Client, GROUP, IN, OUT, StreamPipeline, numbers},
    support::{await_true, http::get, names::RUN_STARTED, redis::Redis},
};

/// Takes a server's time away while entries come; the numbers of all results.
fn freeze_under_load(pipeline: &StreamPipeline, redis: &Redis) -> Vec<u64> {
    let mut client = Client::of(redis);
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    client.add_numbers(IN, 0..2_000);
    redis.freeze();
    await_true("the silence", || hotspur.log.text().contains("it is silent"));
    redis.thaw();
    client.add_numbers(IN, 2_000..3_000);
    client.await_settled(IN);
    hotspur.stop().counts().assert_balanced();
    let mut all = numbers(&client.entries(OUT));
    all.sort_unstable();
    all
}

#[test]
fn a_frozen_server_is_waited_for_and_nothing_is_lost() {
    let redis = Redis::start();
    let all = freeze_under_load(&StreamPipeline::new(&redis), &redis);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), (0..3_000).collect());
}

#[test]
fn exactly_once_a_frozen_server_doubles_nothing() {
    let redis = Redis::start();
    let pipeline = StreamPipeline::new(&redis)
        .set("delivery.guarantee", "exactly-once")
        .set("delivery.commit_interval", "1ms");
    assert_eq!(freeze_under_load(&pipeline, &redis), (0..3_000).collect::<Vec<_>>());
}

#[test]
fn connections_that_are_cut_are_made_again_and_nothing_is_lost_or_lent_twice() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis).set("limits.batch", "16");
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    for round in 0..20 {
        client.add_numbers(IN, round * 500..(round + 1) * 500);
        client.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).expect("some died");
    }
    client.await_settled(IN);
    let seen: BTreeSet<u64> = numbers(&client.entries(OUT)).into_iter().collect();
    assert_eq!(seen, (0..10_000).collect());
    let counts = hotspur.stop().counts();
    assert_eq!(counts.polled, 10_000, "each entry was processed once by one process");
}

#[test]
fn exactly_once_cut_connections_and_a_full_server_double_nothing() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis)
        .set("delivery.guarantee", "exactly-once")
        .set("delivery.commit_interval", "5ms")
        .set("source.redis.delete_acked", "true");
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    for round in 0..20 {
        client.add_numbers(IN, round * 500..(round + 1) * 500);
        client.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).expect("some died");
    }
    client.run(&["CONFIG", "SET", "maxmemory", "1"]).expect("a limit");
    client.run(&["CONFIG", "SET", "maxmemory", "0"]).expect("no limit");
    client.await_settled(IN);
    let mut all = numbers(&client.entries(OUT));
    all.sort_unstable();
    assert_eq!(all, (0..10_000).collect::<Vec<_>>());
    assert_eq!(client.len(IN), 0);
    hotspur.stop();
}

#[test]
fn exactly_once_nothing_is_acknowledged_where_results_cannot_be_written() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis).set("delivery.guarantee", "exactly-once");
    redis.set(OUT, "text");
    client.add_numbers(IN, 0..10);
    let ended = pipeline.run().wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("WRONGTYPE"), "{}", ended.log);
    assert_eq!(client.pending(IN), 10, "they come again");
    redis.delete(OUT);
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    client.await_settled(IN);
    assert_eq!(numbers(&client.entries(OUT)), (0..10).collect::<Vec<_>>());
    hotspur.stop().counts().assert_balanced();
}

#[test]
fn a_server_that_is_killed_and_comes_back_with_its_data_is_waited_for() {
    for guarantee in ["at-least-once", "exactly-once"] {
        let mut redis = Redis::start();
        let pipeline = StreamPipeline::new(&redis).set("delivery.guarantee", guarantee);
        let mut client = Client::of(&redis);
        let hotspur = pipeline.run();
        client.await_group(IN);
        client.add_numbers(IN, 0..20_000);
        client.await_len(OUT, 1);
        // Nothing may happen between the snapshot and the kill: what is answered must be in it.
        hotspur.signal("STOP");
        (0..100).for_each(|_| _ = client.text(&["PING"]));
        client.run(&["SAVE"]).expect("a snapshot");
        redis.kill();
        redis.restart();
        hotspur.signal("CONT");
        let mut client = Client::of(&redis);
        client.await_settled(IN);
        let mut all = numbers(&client.entries(OUT));
        all.sort_unstable();
        if guarantee == "at-least-once" {
            all.dedup();
        }
        let is_right = all.iter().copied().eq(0..20_000);
        assert!(is_right, "{guarantee}: {} results, others than were due", all.len());
        assert!(hotspur.log.text().contains("\"peer\":\"source\""), "{}", hotspur.log.text());
        hotspur.stop().counts().assert_balanced();
    }
}

#[test]
fn a_server_that_forgot_the_group_ends_the_run_or_gets_a_new_one() {
    for (setting, ends) in [("\"stop\"", true), ("\"recreate\"", false)] {
        let mut redis = Redis::start();
        let pipeline = StreamPipeline::new(&redis).set("source.redis.on_group_lost", setting);
        let hotspur = pipeline.run();
        hotspur.await_event(RUN_STARTED);
        let mut client = Client::of(&redis);
        client.add_numbers(IN, 0..10);
        client.await_settled(IN);
        redis.kill();
        redis.restart();
        let mut client = Client::of(&redis);
        if ends {
            let ended = hotspur.wait();
            assert_eq!(ended.status, Some(3), "{}", ended.log);
            assert!(ended.log.contains("NOGROUP"), "{}", ended.log);
            continue;
        }
        client.add_numbers(IN, 10..20);
        hotspur.await_event("group.made_anew");
        client.await_len(OUT, 10);
        client.await_settled(IN);
        assert_eq!(numbers(&client.entries(OUT)), (10..20).collect::<Vec<_>>());
        client.run(&["DEL", IN]).expect("the stream goes");
        client.add_numbers(IN, 20..30);
        client.await_len(OUT, 20);
        hotspur.stop().counts().assert_balanced();
    }
}

#[test]
fn entries_that_are_pending_and_trimmed_are_counted_as_a_gap() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    client.add_numbers(IN, 0..10);
    client.run(&["XGROUP", "CREATE", IN, GROUP, "0"]).expect("a group");
    for consumer in ["0", "other"] {
        let read = ["XREADGROUP", "GROUP", GROUP, consumer, "COUNT", "5", "STREAMS", IN, ">"];
        client.run(&read).expect("entries");
    }
    client.run(&["XTRIM", IN, "MAXLEN", "2"]).expect("a shorter stream");
    let pipeline = StreamPipeline::new(&redis)
        .set("source.redis.claim_idle", "\"10ms\"")
        .set("source.redis.claim_interval", "\"50ms\"")
        .set("observe.listen", "127.0.0.1:0");
    let hotspur = pipeline.run();
    let address = hotspur.await_event("run.listening").text("address").to_owned();
    await_true("nothing pending", || client.pending(IN) == 0);
    await_true("both gaps", || {
        let log = hotspur.log.text();
        log.contains("5 entries were pending and are gone")
            && log.contains("3 entries were pending")
    });
    let line = "hotspur_source_gap_records_total 8\n";
    await_true(line, || get(&address, "/metrics").1.contains(line));
    assert_eq!(numbers(&client.entries(OUT)), [8, 9]);
    hotspur.stop().counts().assert_balanced();
}

#[test]
fn a_key_that_holds_something_else_ends_the_start_or_the_run() {
    for (key, peer) in [(IN, "source"), (OUT, "sink")] {
        let redis = Redis::start();
        redis.set(key, "text");
        let pipeline = StreamPipeline::new(&redis);
        let ended = pipeline.run().wait();
        assert_eq!(ended.status, Some(3), "{}", ended.log);
        assert!(ended.log.contains(peer) && ended.log.contains("WRONGTYPE"), "{}", ended.log);
    }
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    redis.set(OUT, "text");
    client.add_numbers(IN, 0..1);
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("WRONGTYPE"), "{}", ended.log);
    assert_eq!(client.pending(IN), 1, "it comes again");
}

#[test]
fn a_server_without_memory_is_asked_again() {
    for guarantee in ["at-least-once", "exactly-once"] {
        let redis = Redis::start();
        let mut client = Client::of(&redis);
        let pipeline = StreamPipeline::new(&redis).set("delivery.guarantee", guarantee);
        let hotspur = pipeline.run();
        client.await_group(IN);
        hotspur.await_event(RUN_STARTED);
        // Nobody, the test included, can add an entry once there is a limit.
        hotspur.signal("STOP");
        client.add_numbers(IN, 0..500);
        client.run(&["CONFIG", "SET", "maxmemory", "1"]).expect("a limit");
        hotspur.signal("CONT");
        await_true("a refusal", || hotspur.log.text().contains("OOM"));
        assert_eq!((client.len(OUT), client.pending(IN)), (0, 500), "{guarantee}");
        client.run(&["CONFIG", "SET", "maxmemory", "0"]).expect("no limit");
        client.await_settled(IN);
        assert_eq!(numbers(&client.entries(OUT)), (0..500).collect::<Vec<_>>());
        hotspur.stop().counts().assert_balanced();
    }
}

#[test]
fn a_right_that_is_missing_is_named_and_ends_with_status_3() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    client
        .run(&["ACL", "SETUSER", "worker", "on", ">secret", "~*", "+@all", "-xadd"])
        .expect("a user");
    let url = redis.url().replace("redis://", "redis://worker:secret@");
    let pipeline = StreamPipeline::new(&redis).set("source.redis.url", &url);
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    client.add_numbers(IN, 0..1);
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("NOPERM") && !ended.log.contains("secret"), "{}", ended.log);
    let wrong = url.replace("secret", "wrong");
    let ended = pipeline.start_with(&["run"], &[&format!("source.redis.url={wrong}")]).wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("WRONGPASS") && !ended.log.contains("wrong@"), "{}", ended.log);
    // Whoever comes without a password must have one.
    client.run(&["CONFIG", "SET", "requirepass", "other"]).expect("a password");
    let ended = StreamPipeline::new(&redis).run().wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("NOAUTH"), "{}", ended.log);
}

#[test]
fn an_entry_larger_than_all_that_is_kept_is_rejected_and_the_next_one_is_not() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis).set("source.redis.field", "body");
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(5 << 20));
    client.add(IN, &[("body", huge.as_bytes())]);
    client.add(IN, &[("body", b"{\"n\":2}")]);
    client.await_settled(IN);
    assert_eq!(numbers(&client.entries(OUT)), [2]);
    let letters = client.entries("in.dead");
    let letter = &letters[0];
    assert_eq!(letter.text("hotspur.class"), "too_large");
    assert_eq!(letter.fields["payload"].len(), huge.len());
    assert_eq!(hotspur.stop().counts().rejected, 1);
}
