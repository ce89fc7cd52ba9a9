//! `hotspur pause` and `resume`: what stands still, what does not, and who may ask for it.

use crate::support::{
    await_true,
    clients::Load,
    free_port,
    hotspur::{Ended, Hotspur},
    http::{get, post},
    kafka::Kafka,
    message::Message,
    names::{GROUP_ASSIGNED, RUN_STARTED},
    pipeline::Pipeline,
};

fn messages(count: usize) -> Vec<Message> {
    (0..count).map(|number| Message::new(format!("{{\"number\":{number}}}"))).collect()
}

/// A pipeline whose process listens on a port of its own.
fn pipeline(kafka: &Kafka, partitions: i32) -> (Pipeline, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let pipeline = Pipeline::names(kafka).set("observe.listen", address.as_str()).missed_soon();
    pipeline.create_topics(kafka, partitions);
    (pipeline, address)
}

/// Runs `hotspur pause` or the like and expects that it says so.
#[track_caller]
fn tell(pipeline: &Pipeline, command: &[&str], status: i32) -> Ended {
    let ended = pipeline.start(command).wait();
    assert_eq!(ended.status, Some(status), "{command:?}: {}{}", ended.output, ended.log);
    ended
}

fn results(kafka: &Kafka, pipeline: &Pipeline) -> i64 {
    kafka.end_offsets(&pipeline.output).iter().sum()
}

/// All numbers that came out, sorted.
fn numbers(kafka: &Kafka, pipeline: &Pipeline) -> Vec<u64> {
    let number = |message: &Message| {
        let value: serde_json::Value = serde_json::from_str(message.text()).expect("JSON");
        value["number"].as_u64().expect("a number")
    };
    let mut numbers: Vec<_> = kafka.read(&pipeline.output).iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

fn has_line(address: &str, line: &str) -> bool {
    get(address, "/metrics").1.lines().any(|it| it == line)
}

const RECORDS: usize = 25_000;

#[test]
fn a_pause_under_load_keeps_position_and_membership_and_nothing_is_lost_or_doubled() {
    let kafka = Kafka::shared();
    let (pipeline, address) = pipeline(kafka, 3);
    let pipeline = pipeline.property("max.poll.interval.ms", "3000");
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    // Five seconds, which is longer than the group waits for a member's signs of life, or polls.
    let load = Load::start(kafka, &pipeline.input, messages(RECORDS));
    await_true("results", || results(kafka, &pipeline) > 500);
    let said = tell(&pipeline, &["pause"], 0).output;
    assert_eq!(said, "paused: told to pause; `hotspur resume` goes on\n");
    let (status, reasons) = get(&address, "/readyz");
    assert!(status == 503 && reasons.starts_with("paused: told to pause"), "{reasons}");
    assert_eq!(get(&address, "/healthz").0, 200);
    assert!(has_line(&address, "hotspur_paused 1"));
    // What was under way is acknowledged and committed; then all stands still.
    let committed = || kafka.committed(&pipeline.group, &pipeline.input);
    await_true("the commit of what was settled", || {
        committed().iter().flatten().sum::<i64>() == results(kafka, &pipeline)
    });
    let (before, position) = (results(kafka, &pipeline), committed());
    let rebalances = rebalances(&address);
    load.finish();
    assert_eq!(tell(&pipeline, &["pause"], 0).output, said, "a second time changes nothing");
    assert_eq!((results(kafka, &pipeline), committed()), (before, position));
    assert!(before < RECORDS as i64, "the load was over before the pause");
    assert_eq!(self::rebalances(&address), rebalances, "the membership stayed");
    await_true("the regime", || {
        let (_, text) = get(&address, "/metrics");
        let prefix = "hotspur_duty_seconds_total{regime=\"paused\"} ";
        let seconds = text.lines().find_map(|line| line.strip_prefix(prefix));
        seconds.and_then(|it| it.parse().ok()).is_some_and(|it: f64| it > 1.0)
    });

    assert_eq!(tell(&pipeline, &["resume"], 0).output, "running\n");
    assert_eq!(tell(&pipeline, &["resume"], 0).output, "running\n");
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    await_true("readiness", || get(&address, "/readyz").0 == 200);
    await_true("the metrics", || has_line(&address, "hotspur_paused 0"));
    assert_eq!(numbers(kafka, &pipeline), (0..RECORDS as u64).collect::<Vec<_>>());
    let ended = hotspur.stop();
    ended.counts().assert_balanced();
    for event in ["run.paused", "run.resumed"] {
        assert_eq!(count(&ended, event), 1, "{}", ended.log);
    }
}

fn rebalances(address: &str) -> String {
    let (_, text) = get(address, "/metrics");
    let line = text.lines().find(|line| line.starts_with("hotspur_rebalances_total"));
    line.expect("a count of rebalances").to_owned()
}

fn count(ended: &Ended, event: &str) -> usize {
    let field = format!("\"event\":\"{event}\"");
    ended.log.lines().filter(|line| line.contains(&field)).count()
}

#[test]
fn a_run_that_is_paused_ends_when_it_is_told_to_and_the_next_goes_on_where_it_stopped() {
    for guarantee in ["at-least-once", "at-most-once"] {
        let kafka = Kafka::shared();
        let (pipeline, _) = pipeline(kafka, 2);
        let pipeline = pipeline.set("delivery.guarantee", guarantee);
        let hotspur = pipeline.run();
        hotspur.await_assigned();
        let load = Load::start(kafka, &pipeline.input, messages(5_000));
        await_true("results", || results(kafka, &pipeline) > 100);
        tell(&pipeline, &["pause"], 0);
        load.finish();
        hotspur.stop().counts().assert_balanced();
        let before = results(kafka, &pipeline);
        let hotspur = pipeline.run_to_end(kafka);
        // At most once the end is committed before the last record is processed.
        await_true("all results", || results(kafka, &pipeline) >= 5_000);
        let counts = hotspur.stop().counts();
        assert_eq!(counts.emitted as i64, 5_000 - before, "{guarantee}");
        assert_eq!(numbers(kafka, &pipeline), (0..5_000).collect::<Vec<_>>(), "{guarantee}");
    }
}

#[test]
fn a_partition_moves_to_another_process_though_its_owner_is_paused() {
    let kafka = Kafka::shared();
    let (pipeline, _) = pipeline(kafka, 2);
    let first = pipeline.run();
    first.await_assigned();
    tell(&pipeline, &["pause"], 0);
    kafka.produce(&pipeline.input, &messages(1_000));
    let second = pipeline.start(&["-s", "observe.listen=off", "-s", "instance=second", "run"]);
    second.await_event(GROUP_ASSIGNED);
    second.await_assigned();
    // What the second has is done; the rest waits.
    await_true("results of one partition", || {
        let ends = kafka.end_offsets(&pipeline.input);
        let committed = kafka.committed(&pipeline.group, &pipeline.input);
        committed.iter().zip(&ends).any(|(it, end)| *it == Some(*end))
    });
    assert!(!kafka.is_committed_to_end(&pipeline.group, &pipeline.input));
    tell(&pipeline, &["resume"], 0);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let counts = [first, second].map(|it| it.stop().counts());
    assert!(counts.iter().all(|it| it.emitted > 0), "{counts:?}");
    assert_eq!(numbers(kafka, &pipeline), (0..1_000).collect::<Vec<_>>());
}

#[test]
fn a_wrong_token_is_refused_and_the_right_one_is_taken_from_the_configuration() {
    let kafka = Kafka::shared();
    let (pipeline, address) = pipeline(kafka, 1);
    let pipeline = pipeline.file("token", "sesame\n").set("observe.token", "${file:token}");
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    let wrong = ["-s", "observe.token=simsim", "pause", "--address", &address];
    assert!(tell(&pipeline, &wrong, 2).log.contains("that is not observe.token"));
    let browser = "Origin: http://elsewhere";
    assert_eq!(post(&address, "/pause", browser).0, 401);
    assert_eq!(post(&address, "/pause", "Authorization: Bearer simsim").0, 401);
    assert_eq!(post(&address, "/resume", "Authorization: Bearer sesame").1, "running\n");
    let ended = tell(&pipeline, &["pause", "--address", &address], 0);
    assert!(ended.output.starts_with("paused: "));
    assert_eq!(tell(&pipeline, &["resume"], 0).output, "running\n");
    let ended = hotspur.stop();
    assert!(!ended.log.contains("sesame"), "{}", ended.log);
}

#[test]
fn where_nobody_listens_any_more_it_is_said() {
    let kafka = Kafka::shared();
    let (pipeline, address) = pipeline(kafka, 1);
    let hotspur: Hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    hotspur.stop();
    let ended = tell(&pipeline, &["pause"], 3);
    assert!(ended.log.contains(&format!("nobody answers at {address}")), "{}", ended.log);
}
