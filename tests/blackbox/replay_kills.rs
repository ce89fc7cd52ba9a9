//! A replay that is killed, or that a second one overtakes, copies each letter once all the same.

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    letters::{letters, numbers_in, recorded_in, replay, replayed},
    support::{kafka::Kafka, now_ms, pipeline::Pipeline},
};

const LETTERS: usize = 3_000;

fn pipeline_with_letters(kafka: &Kafka) -> Pipeline {
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 4);
    kafka.produce(&pipeline.dead, &letters(&pipeline, 0..LETTERS, "not_json", 4));
    pipeline
}

#[track_caller]
fn assert_all_came_once(kafka: &Kafka, pipeline: &Pipeline, seed: u64) {
    let all: Vec<_> = (0..LETTERS).collect();
    assert_eq!(numbers_in(kafka, &pipeline.input), all, "seed {seed}");
    let recorded = kafka.read(&recorded_in(pipeline));
    let keys: std::collections::BTreeSet<_> = recorded.iter().map(|it| &it.key).collect();
    assert_eq!((recorded.len(), keys.len()), (LETTERS, LETTERS), "seed {seed}");
}

#[test]
fn killed_at_any_moment_each_letter_is_copied_once() {
    let kafka = Kafka::shared();
    let pipeline = pipeline_with_letters(kafka);
    let seed = now_ms() as u64;
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..8 {
        let mut running = pipeline.start(&["replay"]);
        // Before its first transaction, in one, or between two: what is written need not be
        // committed.
        match random.random_range(-150..1_000) {
            ..0 => _ = running.await_event("replay.starting"),
            more => kafka.await_written(&pipeline.input, more, || running.has_ended()),
        }
        running.kill();
    }
    replayed(&pipeline, &[]);
    assert_eq!(replayed(&pipeline, &[]).of("replayed_before"), LETTERS, "seed {seed}");
    assert_all_came_once(kafka, &pipeline, seed);
}

#[test]
fn of_two_at_the_same_time_the_older_one_ends_and_nothing_is_doubled() {
    let kafka = Kafka::shared();
    let pipeline = pipeline_with_letters(kafka);
    let older = pipeline.start(&["replay", "--rate", "100"]);
    kafka.reader(&pipeline.input).await_count(50);
    let newer = replayed(&pipeline, &[]);
    assert!(newer.of("replayed_before") >= 50, "{}", newer.0);
    let ended = older.wait();
    assert_eq!(ended.status, Some(3), "{}\n{}", ended.output, ended.log);
    assert!(ended.log.contains("another `hotspur replay`"), "{}", ended.log);
    assert_all_came_once(kafka, &pipeline, 0);
}

#[test]
fn a_replay_that_is_told_to_end_commits_what_it_has_and_the_next_goes_on() {
    let kafka = Kafka::shared();
    let pipeline = pipeline_with_letters(kafka);
    let running = pipeline.start(&["replay", "--rate", "500"]);
    kafka.reader(&pipeline.input).await_count(100);
    let ended = running.stop();
    assert!(ended.output.contains("copied"), "{}", ended.output);
    let rest = replay(&pipeline, &[]);
    assert_eq!(rest.status, Some(0), "{}", rest.log);
    assert_all_came_once(kafka, &pipeline, 0);
}
