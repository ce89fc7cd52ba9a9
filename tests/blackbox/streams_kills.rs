//! Workers that die or freeze: what they had comes to others, and nothing stays pending for ever.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    stream_rig::{Client, DEAD, GROUP, IN, OUT, StreamPipeline, numbers},
    support::{await_true, hotspur::Hotspur, http::get, names::RUN_STARTED, redis::Redis},
};

const TOTAL: u64 = 30_000;

/// Small steps, so that a kill finds much in the middle.
fn pipeline(redis: &Redis) -> StreamPipeline {
    StreamPipeline::new(redis)
        .set("source.redis.claim_idle", "\"500ms\"")
        .set("source.redis.claim_interval", "\"100ms\"")
        .set("source.redis.max_claims", "1000")
        .set("limits.in_flight", "256")
        .set("limits.batch", "64")
}

fn doubled(all: &[u64]) -> usize {
    let mut counts = BTreeMap::new();
    all.iter().for_each(|it| *counts.entry(*it).or_insert(0) += 1);
    counts.values().filter(|count| **count > 1).count()
}

/// Kills two workers in turn while entries come; the numbers of all results.
fn kill_in_turn(redis: &Redis, pipeline: &StreamPipeline) -> Vec<u64> {
    let mut client = Client::of(redis);
    let mut workers: Vec<Hotspur> = ["0", "1"].iter().map(|it| pipeline.run_as(it)).collect();
    workers.iter().for_each(|it| _ = it.await_event(RUN_STARTED));
    let (kills, mut in_the_middle) = (30, 0);
    for kill in 0..kills {
        client.add_numbers(IN, kill * TOTAL / kills..(kill + 1) * TOTAL / kills);
        let instance = (kill % 2).to_string();
        let before = client.len(OUT);
        client.await_len(OUT, before + 1);
        let next = pipeline.run_as(&instance);
        std::mem::replace(&mut workers[kill as usize % 2], next).kill();
        in_the_middle += u64::from(client.pending(IN) > 0);
    }
    assert!(in_the_middle >= kills / 3, "{in_the_middle} of {kills} kills left something pending");
    client.await_settled(IN);
    for worker in workers {
        // The last one may not have come so far.
        worker.await_event(RUN_STARTED);
        worker.stop().counts().assert_balanced();
    }
    assert_eq!(client.pending(IN), 0);
    let all = numbers(&client.entries(OUT));
    let seen: BTreeSet<u64> = all.iter().copied().collect();
    assert_eq!(seen.len() as u64, TOTAL, "lost some");
    all
}

#[test]
fn two_workers_that_are_killed_in_turn_lose_nothing() {
    let redis = Redis::start();
    let all = kill_in_turn(&redis, &pipeline(&redis));
    assert!(doubled(&all) < TOTAL as usize / 2, "at least once does not mean always twice");
}

#[test]
fn exactly_once_two_workers_that_are_killed_in_turn_double_nothing_either() {
    let redis = Redis::start();
    let pipeline = pipeline(&redis)
        .set("delivery.guarantee", "exactly-once")
        .set("delivery.commit_interval", "20ms");
    assert_eq!(doubled(&kill_in_turn(&redis, &pipeline)), 0);
}

#[test]
fn exactly_once_a_frozen_worker_that_comes_back_doubles_nothing() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = pipeline(&redis)
        .set("delivery.guarantee", "exactly-once")
        .with("[[steps]]\nfilter = \"event.n != '3'\"\n[[steps]]\nset.m = \"1 / int(event.n)\"\n");
    let frozen =
        pipeline.start_with(&["run"], &["instance=first", "delivery.commit_interval=\"4s\""]);
    client.await_group(IN);
    client.add_numbers(IN, 1..2);
    client.await_settled(IN);
    // Processed, and on the stage until the next commit.
    client.add_numbers(IN, 0..1);
    client.add_numbers(IN, 2..50);
    await_true("all of them delivered", || client.pending(IN) == 49);
    frozen.signal("STOP");
    let other = pipeline.run_as("second");
    other.await_event("entries.claimed");
    client.await_settled(IN);
    frozen.signal("CONT");
    frozen.await_event("transaction.aborted");
    client.add_numbers(IN, 50..60);
    client.await_settled(IN);
    other.stop().counts().assert_balanced();
    // Its commits are further apart than entries may be idle: what the other took from it again is
    // given up with the commit that finds it out, before the run ends.
    client.add_numbers(IN, 60..70);
    client.await_settled(IN);
    frozen.stop().counts().assert_balanced();
    let mut all = numbers(&client.entries(OUT));
    all.sort_unstable();
    let expected: Vec<u64> = (1..70).filter(|it| *it != 3).collect();
    assert_eq!(all, expected, "all but the one that is filtered and the one that divides by zero");
    let letters = client.entries(DEAD);
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(letter.text("hotspur.class"), "expression");
}

/// Has a worker process entries that it does not acknowledge for a while: the first commit is made
/// at once, and the next one after its interval.
fn leave_pending(pipeline: &StreamPipeline, client: &mut Client, count: u64) -> Hotspur {
    let worker =
        pipeline.start_with(&["run"], &["instance=first", "delivery.commit_interval=\"4s\""]);
    client.await_group(IN);
    client.add_numbers(IN, 0..1);
    client.await_settled(IN);
    client.add_numbers(IN, 1..1 + count);
    client.await_len(OUT, 1 + count);
    worker
}

#[test]
fn a_killed_worker_is_followed_by_claims_and_leaves_the_group() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = pipeline(&redis);
    leave_pending(&pipeline, &mut client, 100).kill();
    assert_eq!(client.pending(IN), 100);
    let second = pipeline.run_as("second");
    second.await_event("entries.claimed");
    client.await_settled(IN);
    assert_eq!(doubled(&numbers(&client.entries(OUT))), 100);
    second.await_event("consumers.removed");
    assert_eq!(client.consumers(IN), ["second"]);
    second.stop().counts().assert_balanced();
}

#[test]
fn a_worker_that_comes_back_goes_on_with_what_it_had_before_what_is_new() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = pipeline(&redis);
    leave_pending(&pipeline, &mut client, 100).kill();
    client.add_numbers(IN, 101..400);
    let again = pipeline.run_as("first");
    client.await_settled(IN);
    again.stop().counts().assert_balanced();
    let expected: Vec<u64> = (0..101).chain(1..400).collect();
    assert_eq!(numbers(&client.entries(OUT)), expected, "in order, what was pending once more");
}

#[test]
fn entries_of_a_worker_that_died_are_counted_by_stream_when_another_claims_them() {
    const OTHER: &str = "other";
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = pipeline(&redis)
        .set("source.redis.streams", &format!("[\"{IN}\", \"{OTHER}\"]"))
        .set("observe.listen", "127.0.0.1:0");
    let first = leave_pending(&pipeline, &mut client, 0);
    client.add_numbers(OTHER, 1..201);
    client.await_len(OUT, 201);
    first.kill();
    assert_eq!((client.pending(IN), client.pending(OTHER)), (0, 200));
    let second = pipeline.run_as("second");
    let address = second.await_event("run.listening").text("address").to_owned();
    client.await_settled(OTHER);
    let expected = [
        "hotspur_source_claimed_entries_total{stream=\"in\"} 0\n",
        "hotspur_source_claimed_entries_total{stream=\"other\"} 200\n",
        "hotspur_source_pending_entries{stream=\"other\",consumer=\"second\"} 0\n",
    ];
    await_true("the figures", || {
        let (status, text) = get(&address, "/metrics");
        status == 200 && expected.iter().all(|it| text.contains(it))
    });
    second.stop().counts().assert_balanced();
}

#[test]
fn a_frozen_worker_loses_its_entries_to_others_and_says_so() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = pipeline(&redis);
    let frozen = leave_pending(&pipeline, &mut client, 50);
    frozen.signal("STOP");
    let other = pipeline.run_as("second");
    other.await_event("entries.claimed");
    client.await_settled(IN);
    frozen.signal("CONT");
    frozen.await_event("entries.lost");
    frozen.stop().counts().assert_balanced();
    client.add_numbers(IN, 51..60);
    client.await_settled(IN);
    other.stop().counts().assert_balanced();
    let all = numbers(&client.entries(OUT));
    assert_eq!(all.iter().copied().collect::<BTreeSet<_>>(), (0..60).collect());
    assert_eq!(doubled(&all), 50, "at least once: all that was claimed was processed twice");
}

#[test]
fn what_was_delivered_too_often_is_dead_lettered_whoever_had_it() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    client.add_numbers(IN, 0..4);
    client.run(&["XGROUP", "CREATE", IN, GROUP, "0"]).expect("a group");
    let ids: Vec<String> = client.entries(IN).into_iter().map(|it| it.id).collect();
    for (consumer, id, deliveries) in
        [("0", &ids[0], "2"), ("0", &ids[1], "3"), ("gone", &ids[2], "3"), ("gone", &ids[3], "2")]
    {
        let read = ["XREADGROUP", "GROUP", GROUP, consumer, "COUNT", "1", "STREAMS", IN, ">"];
        client.run(&read).expect("an entry");
        let count = ["XCLAIM", IN, GROUP, consumer, "0", id, "RETRYCOUNT", deliveries];
        client.run(&count).expect("the same entry");
    }
    let pipeline = pipeline(&redis).set("source.redis.max_claims", "2");
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    client.await_settled(IN);
    let letters = client.entries(DEAD);
    assert_eq!(letters.len(), 2, "{letters:?}");
    for (letter, number) in letters.iter().zip([1, 2]) {
        assert_eq!(letter.text("hotspur.class"), "claims_exhausted");
        assert!(letter.text("hotspur.reason").contains("delivered 3 times"), "{letter:?}");
        assert_eq!(letter.text("payload"), format!("{{\"n\":\"{number}\"}}"));
    }
    assert_eq!(numbers(&client.entries(OUT)), [0, 3]);
    assert_eq!(hotspur.stop().counts().rejected, 2);
}

#[test]
fn at_most_once_nothing_is_doubled() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = pipeline(&redis).set("delivery.guarantee", "\"at-most-once\"");
    let mut worker = pipeline.run_as("0");
    worker.await_event(RUN_STARTED);
    for kill in 0..4 {
        client.add_numbers(IN, kill * 2_000..(kill + 1) * 2_000);
        let before = client.len(OUT);
        client.await_len(OUT, before + 1);
        worker.kill();
        worker = pipeline.run_as("0");
    }
    client.await_settled(IN);
    worker.stop().counts().assert_balanced();
    let all = numbers(&client.entries(OUT));
    assert_eq!(doubled(&all), 0);
}
