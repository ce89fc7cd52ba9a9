//! Streams between a beginning and an end: what lies there comes through once, whoever else reads,
//! and nothing is left behind.

use std::{fs, thread, time::Duration};

use crate::{
    stream_rig::{Client, IN, OUT, POSITIONS, StreamPipeline, numbers},
    support::{hotspur::Ended, names::RUN_STARTED, redis::Redis},
};

/// Runs it and expects that it ends by itself, as asked.
#[track_caller]
fn run(pipeline: &StreamPipeline, bounds: &[&str]) -> Ended {
    let ended = pipeline.start_with(&[&["run"], bounds].concat(), &[]).wait();
    assert_eq!(ended.status, Some(0), "{}", ended.log);
    assert!(ended.log.contains("run.read_all"), "{}", ended.log);
    ended.counts().assert_balanced();
    ended
}

/// Entries whose ids are a second apart, from one second on.
fn add_by_time(client: &mut Client, stream: &str, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let id = format!("{}-0", (number + 1) * 1000);
        client.run(&["XADD", stream, &id, "n", &number.to_string()]).expect("an entry");
    }
}

/// Results since the last look, in the order of their numbers.
fn take_results(client: &mut Client) -> Vec<u64> {
    let mut all = numbers(&client.entries(OUT));
    client.run(&["DEL", OUT]).expect("no results");
    all.sort_unstable();
    all
}

#[test]
fn from_the_earliest_until_the_latest_it_ends_by_itself_while_a_producer_goes_on() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis)
        .set("source.redis.streams", "[\"in\", \"in:two\"]")
        .set("source.redis.start", "latest");
    client.add_numbers(IN, 0..20_000);
    client.add_numbers("in:two", 20_000..23_000);
    let mut hotspur = pipeline.start_with(&["run", "--from", "earliest", "--until", "latest"], &[]);
    let mut next = 23_000;
    while !hotspur.has_ended() {
        client.add_numbers(IN, next..next + 10);
        next += 10;
        thread::park_timeout(Duration::from_millis(2));
    }
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(0), "{}", ended.log);
    assert!(ended.log.contains("run.read_all"), "{}", ended.log);
    let counts = ended.counts();
    counts.assert_balanced();
    let polled = counts.polled;
    assert!((23_000..next).contains(&polled), "{polled} of {next}");
    assert_eq!(take_results(&mut client), (0..polled).collect::<Vec<_>>());
    for stream in [IN, "in:two"] {
        assert!(!client.has_group(stream), "no group was made");
    }
}

#[test]
fn it_begins_and_ends_by_time_and_by_age_and_by_the_files_start() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    // Nor does the end wait for the next commit.
    let pipeline = StreamPipeline::new(&redis).set("delivery.commit_interval", "1h");
    add_by_time(&mut client, IN, 0..100);
    let (from, until) = ("1970-01-01T00:00:21Z", "1970-01-01T00:01:01Z");
    assert_eq!(run(&pipeline, &["--from", from, "--until", until]).counts().polled, 40);
    assert_eq!(take_results(&mut client), (20..60).collect::<Vec<_>>());
    assert_eq!(run(&pipeline, &["--until", until]).counts().polled, 60, "its start is earliest");
    assert_eq!(run(&pipeline, &["--from", "1h", "--until", "latest"]).counts().polled, 0);
    assert_eq!(run(&pipeline, &["--until", "1h"]).counts().polled, 100);
    client.add_numbers(IN, 100..110);
    assert_eq!(run(&pipeline, &["--from", "1h", "--until", "latest"]).counts().polled, 10);
}

#[test]
fn it_begins_and_ends_by_id_and_takes_nothing_of_other_streams() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis)
        .set("source.redis.streams", "[\"in\", \"in:two\", \"in:three\"]");
    for (stream, first) in [(IN, 0), ("in:two", 30), ("in:three", 60)] {
        add_by_time(&mut client, stream, first..first + 30);
    }
    // From the eleventh on, up to the twentieth; of the third all, though its end lies beyond.
    let bounds = ["--from", "in:11000-0", "--until", "in:21000-0", "--until", "in:three:99000000"];
    assert_eq!(run(&pipeline, &bounds).counts().polled, 10 + 30);
    let expected: Vec<u64> = (10..20).chain(60..90).collect();
    assert_eq!(take_results(&mut client), expected);
    // An id between entries, and one that was deleted, are points as well.
    client.run(&["XDEL", IN, "21000-0", "22000-0"]).expect("they go");
    let bounds = ["--from", "in:19000-1", "--until", "in:23000-0"];
    assert_eq!(run(&pipeline, &bounds).counts().polled, 1);
    assert_eq!(take_results(&mut client), [19]);
}

#[test]
fn nothing_and_what_was_deleted_at_the_end_end_at_once() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    let bounds = ["--from", "earliest", "--until", "latest"];
    assert_eq!(run(&pipeline, &bounds).counts().polled, 0, "there is no such stream");
    assert_eq!(client.len(IN), 0);
    add_by_time(&mut client, IN, 0..512);
    client.run(&["XDEL", IN, "511000-0", "512000-0"]).expect("they go");
    assert_eq!(run(&pipeline, &bounds).counts().polled, 510);
    client.run(&["XTRIM", IN, "MAXLEN", "0"]).expect("an empty stream");
    assert_eq!(run(&pipeline, &bounds).counts().polled, 0);
    assert_eq!(run(&pipeline, &["--until", "earliest"]).counts().polled, 0);
}

#[test]
fn killed_in_the_middle_and_started_again_it_begins_anew_and_says_so() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline =
        StreamPipeline::new(&redis).set("limits.in_flight", "64").set("limits.batch", "16");
    let total = 20_000;
    client.add_numbers(IN, 0..total);
    let bounds = ["run", "--from", "earliest", "--until", "latest"];
    let first = pipeline.start_with(&bounds, &[]);
    client.await_len(OUT, 500);
    first.kill();
    assert!(client.len(OUT) < total, "it was over before it was killed");
    client.run(&["DEL", OUT]).expect("no results");
    let ended = run(&pipeline, &bounds[1..]);
    assert_eq!(ended.counts().polled, total);
    assert!(ended.log.contains("started again, it begins anew"), "{}", ended.log);
    assert_eq!(take_results(&mut client), (0..total).collect::<Vec<_>>());
}

#[test]
fn connections_that_are_cut_lose_and_double_nothing() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis)
        .set("source.redis.streams", "[\"in\", \"in:two\"]")
        .set("limits.in_flight", "64")
        .set("limits.batch", "16");
    client.add_numbers(IN, 0..20_000);
    client.add_numbers("in:two", 20_000..30_000);
    let mut hotspur = pipeline.start_with(&["run", "--from", "earliest", "--until", "latest"], &[]);
    hotspur.await_event(RUN_STARTED);
    let mut cuts = 0;
    while !hotspur.has_ended() && cuts < 20 {
        client.run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).expect("some died");
        let before = client.len(OUT);
        while !hotspur.has_ended() && client.len(OUT) <= before {
            thread::park_timeout(Duration::from_millis(1));
        }
        cuts += 1;
    }
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(0), "{}", ended.log);
    assert_eq!(ended.counts().polled, 30_000, "each entry was lent once");
    let mut seen = numbers(&client.entries(OUT));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..30_000).collect::<Vec<_>>());
}

#[test]
fn neither_the_group_nor_the_positions_of_the_pipeline_are_touched() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    client.add_numbers(IN, 0..100);
    let bounds = ["--from", "earliest", "--until", "latest"];
    let grouped = StreamPipeline::new(&redis);
    let worker = grouped.run();
    client.await_len(OUT, 100);
    client.await_settled(IN);
    assert_eq!(run(&grouped, &bounds).counts().polled, 100, "beside the worker");
    client.await_settled(IN);
    assert_eq!(client.consumers(IN), ["0"]);
    assert_eq!(worker.stop().counts().polled, 100);
    take_results(&mut client);

    let plain = StreamPipeline::plain(&redis);
    let reader = plain.run();
    client.await_len(OUT, 100);
    assert_eq!(run(&plain, &bounds).counts().polled, 100, "beside the reader");
    assert_eq!(reader.stop().counts().polled, 100);
    let before = fs::read_to_string(plain.folder().join(POSITIONS)).expect("positions");
    client.add_numbers(IN, 100..110);
    assert_eq!(run(&plain, &bounds).counts().polled, 110);
    let after = fs::read_to_string(plain.folder().join(POSITIONS)).expect("positions");
    assert_eq!(before, after);
}

#[test]
fn without_an_end_it_goes_on_until_it_is_told() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    add_by_time(&mut client, IN, 0..10);
    let hotspur = pipeline.start_with(&["run", "--from", "in:6000-0"], &[]);
    client.await_len(OUT, 5);
    client.add_numbers(IN, 10..20);
    client.await_len(OUT, 15);
    assert_eq!(hotspur.stop().counts().polled, 15);
    assert_eq!(take_results(&mut client), (5..20).collect::<Vec<_>>());
    assert!(!client.has_group(IN));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let redis = Redis::start();
    let pipeline = StreamPipeline::new(&redis);
    let bounds = ["run", "--from", "earliest", "--until", "latest"];
    let cases: [(&[&str], &[&str], &str); 4] = [
        (&["--group", "g"], &[], "--group g: with --from or --until streams are read without"),
        (&[], &["delivery.guarantee=\"exactly-once\""], "delivery.guarantee=at-least-once"),
        (&["--until", "in:0:5"], &[], "\"latest\" is of every stream"),
        (&["--from", "1-0"], &[], "\"earliest\" is of every stream"),
    ];
    for (more, sets, why) in cases {
        let ended = pipeline.start_with(&[&bounds, more].concat(), sets).wait();
        assert_eq!(ended.status, Some(2), "{}", ended.log);
        assert!(ended.log.contains(why), "{why} in {}", ended.log);
    }
    for (point, why) in [
        ("other:5-0", "\"other\" is not read, but in is"),
        ("in:yesterday", "\"in:yesterday\" is no point"),
        ("2999-01-01T00:00:00Z", "lies ahead"),
    ] {
        let ended = pipeline.start_with(&["run", "--until", point], &[]).wait();
        assert_eq!(ended.status, Some(2), "{}", ended.log);
        assert!(ended.log.contains(why), "{why} in {}", ended.log);
    }
}
