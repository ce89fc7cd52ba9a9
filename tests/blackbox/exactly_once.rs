//! Exactly once, by what a reader of committed records sees: nothing lost, nothing doubled.

use crate::{
    payload::{assert_each_once, fates, mixed_orders, name, numbers, order},
    support::{
        await_true,
        clients::Load,
        hotspur::Hotspur,
        kafka::Kafka,
        message::Message,
        names::{GROUP_ASSIGNED, GROUP_LOST, RUN_STOPPING, TABLE_LOADED},
        pipeline::Pipeline,
        redis::Redis,
    },
};

const TRANSACTION_TIMEOUT: &str = "10s";

fn exactly_once(pipeline: Pipeline) -> Pipeline {
    pipeline
        .set("delivery.guarantee", "exactly-once")
        .set("delivery.transaction_timeout", TRANSACTION_TIMEOUT)
        .set("instance", "0")
}

fn names(kafka: &Kafka) -> Pipeline {
    exactly_once(Pipeline::names(kafka))
}

fn numbered(numbers: impl Iterator<Item = u64>) -> Vec<Message> {
    numbers.map(|it| Message::new(name(it)).key(it.to_string())).collect()
}

fn run(pipeline: &Pipeline) -> Hotspur {
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    hotspur
}

#[test]
fn results_letters_and_positions_are_committed_together() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    let pipeline = exactly_once(Pipeline::orders(kafka, &redis));
    pipeline.create_topics(kafka, 2);
    let total = 20_000;
    let first = run(&pipeline);
    let load = Load::start(kafka, &pipeline.input, mixed_orders(total));
    kafka.reader(&pipeline.output).await_count(2_000);
    let first = first.stop().counts();
    first.assert_balanced();
    // What the run told is what readers see: nothing waits for a timeout.
    assert_eq!(kafka.read(&pipeline.output).len() as u64, first.emitted);
    assert_eq!(kafka.read(&pipeline.dead).len() as u64, first.rejected);
    let committed = kafka.committed(&pipeline.group, &pipeline.input);
    assert_eq!(committed.into_iter().flatten().sum::<i64>(), first.polled as i64);
    load.finish();

    let second = pipeline.run();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let second = second.stop().counts();
    second.assert_balanced();
    let [emitted, skipped, dead] = fates(total);
    assert_eq!(first.polled + second.polled, total);
    assert_eq!(first.skipped + second.skipped, skipped.len() as u64);
    assert_each_once(&kafka.read(&pipeline.output), &emitted);
    assert_each_once(&kafka.read(&pipeline.dead), &dead);
}

#[test]
fn members_that_come_and_go_under_load_lose_and_double_nothing() {
    let kafka = Kafka::shared();
    let pipeline = names(kafka);
    pipeline.create_topics(kafka, 4);
    let all: Vec<u64> = (0..20_000).collect();
    let first = run(&pipeline);
    let (before, after) = all.split_at(all.len() / 2);
    let load = Load::start(kafka, &pipeline.input, numbered(before.iter().copied()));
    let mut reader = kafka.reader(&pipeline.output);
    reader.await_count(1_000);
    let pipeline = pipeline.set("instance", "1");
    let second = run(&pipeline);
    load.finish();
    reader.await_count(before.len());
    let load = Load::start(kafka, &pipeline.input, numbered(after.iter().copied()));
    reader.await_count(before.len() + 2_000);
    let first = first.stop().counts();
    load.finish();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let second = second.stop().counts();
    assert!(first.emitted > 0 && second.emitted > 0, "{first:?} {second:?}");
    assert_each_once(&kafka.read(&pipeline.output), &all);
}

#[test]
fn a_result_that_the_broker_refuses_costs_only_its_own_record() {
    let kafka = Kafka::shared();
    let pipeline = names(kafka);
    kafka.create_topic(&pipeline.input, 1);
    kafka.create_topic(&pipeline.dead, 1);
    kafka.create_topic_with(&pipeline.output, 1, &[("cleanup.policy", "compact")]);
    // Without a key a compacted topic takes nothing.
    let mut messages = numbered(0..2_000);
    [7, 1_500].into_iter().for_each(|it| messages[it].key = None);
    let hotspur = run(&pipeline);
    kafka.produce(&pipeline.input, &messages);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let counts = hotspur.stop().counts();
    assert_eq!((counts.polled, counts.emitted, counts.rejected), (2_000, 1_998, 2));
    let letters = kafka.read(&pipeline.dead);
    let classes: Vec<_> = letters.iter().map(|it| it.header_text("hotspur.class")).collect();
    assert_eq!(classes, ["refused_by_broker"; 2]);
    let emitted: Vec<u64> = (0..2_000).filter(|it| ![7, 1_500].contains(it)).collect();
    assert_each_once(&kafka.read(&pipeline.output), &emitted);
}

#[test]
fn a_result_that_is_too_large_is_dead_lettered_whole() {
    let kafka = Kafka::shared();
    let pipeline = names(kafka);
    kafka.create_topic(&pipeline.input, 1);
    kafka.create_topic(&pipeline.dead, 1);
    kafka.create_topic_with(&pipeline.output, 1, &[("max.message.bytes", "1000000")]);
    let hotspur = run(&pipeline);
    // The client was told another limit when it started.
    kafka.set_topic(&pipeline.output, "max.message.bytes", "2000");
    let large = format!(r#"{{"first_name":"{}"}}"#, "Ada ".repeat(750));
    let mut messages = numbered(0..3_000);
    messages[1_000].value = Some(large.clone().into_bytes());
    kafka.produce(&pipeline.input, &messages);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let counts = hotspur.stop().counts();
    assert_eq!((counts.emitted, counts.rejected), (2_999, 1));
    let letters = kafka.read(&pipeline.dead);
    assert_eq!(letters[0].value.as_deref(), Some(large.as_bytes()));
    assert_eq!(letters[0].header_text("hotspur.class"), "refused_by_broker");
    let emitted: Vec<u64> = (0..3_000).filter(|it| *it != 1_000).collect();
    assert_each_once(&kafka.read(&pipeline.output), &emitted);
}

#[test]
fn a_broker_that_dies_and_comes_back_doubles_nothing() {
    let mut kafka = Kafka::start();
    let pipeline = names(&kafka).missed_soon();
    pipeline.create_topics(&kafka, 2);
    let hotspur = run(&pipeline);
    let all: Vec<u64> = (0..20_000).collect();
    let (before, after) = all.split_at(all.len() / 2);
    let load = Load::start(&kafka, &pipeline.input, numbered(before.iter().copied()));
    kafka.reader(&pipeline.output).await_count(1_000);
    kafka.kill();
    kafka.restart();
    load.finish();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let load = Load::start(&kafka, &pipeline.input, numbered(after.iter().copied()));
    kafka.reader(&pipeline.output).await_count(before.len() + 1_000);
    kafka.freeze();
    hotspur.await_event(GROUP_LOST);
    kafka.thaw();
    load.finish();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let ended = hotspur.stop();
    assert_each_once(&kafka.read(&pipeline.output), &all);
    assert_eq!(ended.counts().emitted, all.len() as u64, "{}", ended.log);
}

/// The zombie: it is frozen in the middle, another takes over, and it wakes up.
#[test]
fn a_process_that_was_held_still_and_goes_on_doubles_nothing() {
    let kafka = Kafka::shared();
    let pipeline = names(kafka)
        .set("delivery.commit_interval", "1s")
        .set("delivery.transaction_timeout", "4s")
        .missed_soon();
    pipeline.create_topics(kafka, 2);
    let frozen = run(&pipeline);
    let total = 20_000;
    let load = Load::start(kafka, &pipeline.input, numbered(0..total));
    kafka.reader(&pipeline.output).await_count(1_000);
    frozen.signal("STOP");
    let pipeline = pipeline.set("instance", "1");
    let other = run(&pipeline);
    load.finish();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    frozen.signal("CONT");
    // Back in the group, it has lost what it had, and takes its part of what comes.
    frozen.await_events(GROUP_ASSIGNED, 2);
    kafka.produce(&pipeline.input, &numbered(total..total + 1_000));
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    frozen.stop();
    other.stop();
    assert_each_once(&kafka.read(&pipeline.output), &(0..total + 1_000).collect::<Vec<_>>());
}

#[test]
fn two_processes_of_one_name_do_not_fight_for_ever() {
    let kafka = Kafka::shared();
    let pipeline = names(kafka).missed_soon();
    pipeline.create_topics(kafka, 2);
    let mut members = [run(&pipeline), pipeline.run()];
    let writer = kafka.writer();
    let mut sent = 0;
    let mut ended = None;
    await_true("one of the two gives up", || {
        writer.send(&pipeline.input, &Message::new(name(sent)).key(sent.to_string()));
        sent += 1;
        ended = members.iter_mut().position(Hotspur::has_ended);
        ended.is_some()
    });
    let [first, second] = members;
    let (gone, left) = if ended == Some(0) { (first, second) } else { (second, first) };
    let gone = gone.wait();
    assert_eq!(gone.status, Some(3), "{}", gone.log);
    assert!(gone.log.contains("give each process an `instance` of its own"), "{}", gone.log);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    left.stop();
    assert_each_once(&kafka.read(&pipeline.output), &(0..sent).collect::<Vec<_>>());
}

#[test]
fn records_that_wait_for_a_table_keep_the_order_of_their_partition() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    let (total, users) = (10_000u64, 2_000);
    redis.set_all((0..users).map(|it| (format!("user:u{it}"), "gold".to_owned())));
    let pipeline = exactly_once(Pipeline::orders(kafka, &redis))
        .without("tables.users.on_empty")
        .set("tables.users.load", "on-demand")
        .set("tables.users.max_entries", 200)
        .set("tables.users.wait", "20s")
        .set("engine.drain_timeout", "60s");
    pipeline.create_topics(kafka, 2);
    let message = |it: u64| {
        let user = format!("u{}", it * 7 % users);
        Message::new(order(it, &user, it)).key(it.to_string())
    };
    let first = pipeline.run();
    first.await_event(TABLE_LOADED);
    first.await_assigned();
    let load = Load::start(kafka, &pipeline.input, (0..total).map(message).collect());
    kafka.reader(&pipeline.output).await_count(1_000);
    first.kill();
    let second = pipeline.run();
    load.finish();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    second.signal("TERM");
    second.await_event(RUN_STOPPING);
    assert_eq!(second.wait().status, Some(0));
    let results = kafka.read(&pipeline.output);
    assert_each_once(&results, &(0..total).collect::<Vec<_>>());
    assert_eq!(numbers(&results).len() as u64, total);
}
