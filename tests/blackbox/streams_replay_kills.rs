//! A replay of streams that is killed, frozen out, or not alone copies each letter once.

use std::ops::Range;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    letters::Fates,
    stream_letters::{Letter, RECORDED, replay, replayed},
    stream_rig::{Client, DEAD, GROUP, IN, OUT, StreamPipeline},
    support::{await_true, now_ms, redis::Redis},
};

const LETTERS: usize = 3_000;

fn add_letters(client: &mut Client, numbers: Range<usize>) {
    client.run(&["XGROUP", "CREATE", IN, GROUP, "0", "MKSTREAM"]).expect("a stream");
    client.add_letters(numbers.map(|it| (format!("1-{}", it + 1), Letter::of(it, "not_json"))));
}

#[track_caller]
fn assert_all_came_once(client: &mut Client, seed: u64) {
    assert_eq!(client.numbers_in(IN), (0..LETTERS).collect::<Vec<_>>(), "seed {seed}");
    let recorded = redis::Value::Int(LETTERS as i64);
    assert_eq!(client.run(&["HLEN", RECORDED]), Ok(recorded), "seed {seed}");
}

#[test]
fn killed_at_any_moment_each_letter_is_copied_once() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    add_letters(&mut client, 0..LETTERS);
    let seed = now_ms() as u64;
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..12 {
        let mut running = pipeline.start_with(&["replay"], &[]);
        let before = client.len(IN);
        match random.random_range(-100..400_i64) {
            ..0 => _ = running.await_event("replay.starting"),
            more => await_true("some copies", || {
                client.len(IN) >= before + more as u64 || running.has_ended()
            }),
        }
        running.kill();
        // Whatever is there is recorded, and the other way round.
        let copies = client.len(IN) as i64;
        assert_eq!(client.run(&["HLEN", RECORDED]), Ok(redis::Value::Int(copies)), "seed {seed}");
    }
    replayed(&pipeline, &[]);
    assert_eq!(replayed(&pipeline, &[]).of("replayed_before"), LETTERS, "seed {seed}");
    assert_all_came_once(&mut client, seed);
}

#[test]
fn two_at_the_same_time_share_the_letters() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    add_letters(&mut client, 0..LETTERS);
    let both = [(); 2].map(|()| pipeline.start_with(&["replay"], &[]));
    let fates = both.map(|it| it.wait()).map(|ended| {
        assert_eq!(ended.status, Some(0), "{}\n{}", ended.output, ended.log);
        Fates(ended.output)
    });
    let of = |name| fates.each_ref().map(|it| it.of(name));
    assert_eq!(of("copied").iter().sum::<usize>(), LETTERS, "{fates:?}");
    assert_eq!(of("replayed_before").iter().sum::<usize>(), LETTERS, "{fates:?}");
    assert_all_came_once(&mut client, 0);
}

#[test]
fn a_replay_that_is_told_to_end_has_written_what_it_counts_and_the_next_goes_on() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    add_letters(&mut client, 0..LETTERS);
    let running = pipeline.start_with(&["replay", "--rate", "500"], &[]);
    client.await_len(IN, 100);
    let ended = running.stop();
    let copied = Fates(ended.output).of("copied");
    assert_eq!(client.len(IN), copied as u64);
    assert!(copied < LETTERS, "{copied}");
    assert_eq!(replayed(&pipeline, &[]).of("copied"), LETTERS - copied);
    assert_all_came_once(&mut client, 0);
}

#[test]
fn a_server_that_is_frozen_for_a_while_costs_nothing() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    add_letters(&mut client, 0..LETTERS);
    let running = pipeline.start_with(&["replay", "--rate", "2k"], &[]);
    client.await_len(IN, 100);
    redis.freeze();
    // The answer to a command that arrived is lost, and the command is asked again.
    running.await_event("replay.again");
    redis.thaw();
    let ended = running.wait();
    assert_eq!(ended.status, Some(0), "{}\n{}", ended.output, ended.log);
    assert_eq!(Fates(ended.output).of("copied"), LETTERS);
    assert_all_came_once(&mut client, 0);
}

#[test]
fn results_and_record_of_a_letter_are_there_both_or_neither() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let fan_out = "[[steps]]\nroute = { to = [{ when = \"true\", topic = \"RESULT\" }] }\n";
    let pipeline = StreamPipeline::new(&redis).with(&fan_out.replace("RESULT", "text"));
    add_letters(&mut client, 0..10);
    redis.set("text", "no stream");
    let ended = replay(&pipeline, &["--to", "pipeline"]);
    assert_eq!(ended.status, Some(3), "{}\n{}", ended.output, ended.log);
    assert!(ended.log.contains("WRONGTYPE"), "{}", ended.log);
    assert_eq!(client.run(&["EXISTS", RECORDED, OUT]), Ok(redis::Value::Int(0)));
    redis.delete("text");
    // No memory: nothing is written before there is some.
    client.run(&["CONFIG", "SET", "maxmemory", "1"]).expect("a setting");
    let running = pipeline.start_with(&["replay", "--to", "pipeline"], &[]);
    running.await_event("replay.again");
    assert_eq!(client.run(&["EXISTS", RECORDED, "text"]), Ok(redis::Value::Int(0)));
    client.run(&["CONFIG", "SET", "maxmemory", "0"]).expect("a setting");
    let ended = running.wait();
    assert_eq!(ended.status, Some(0), "{}\n{}", ended.output, ended.log);
    assert_eq!((client.len("text"), client.len(DEAD)), (10, 10));
}
