//! The breaker: it stops before a topic is emptied into the dead letters, or waits to be told.

use std::collections::BTreeSet;

use crate::{
    payload::order,
    support::{
        await_true,
        hotspur::Ended,
        http::get,
        kafka::Kafka,
        message::Message,
        names::{RUN_STARTED, TABLE_LOADED},
        pipeline::Pipeline,
        redis::Redis,
    },
};

fn poison(count: usize) -> Vec<Message> {
    (0..count).map(|number| Message::new(format!("poison {number}"))).collect()
}

fn good(count: usize) -> Vec<Message> {
    (0..count).map(|number| Message::new(format!("{{\"number\":{number}}}"))).collect()
}

fn letters(kafka: &Kafka, pipeline: &Pipeline) -> i64 {
    kafka.end_offsets(&pipeline.dead).iter().sum()
}

/// Where the letters came from, each once.
#[track_caller]
fn assert_each_once(kafka: &Kafka, pipeline: &Pipeline, count: usize) {
    let letters = kafka.read(&pipeline.dead);
    let places: BTreeSet<_> = letters
        .iter()
        .map(|it| (it.header_text("hotspur.partition"), it.header_text("hotspur.offset")))
        .collect();
    assert_eq!((letters.len(), places.len()), (count, count));
}

#[track_caller]
fn assert_stopped(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.status, Some(4), "{}", ended.log);
    for word in words {
        assert!(ended.log.contains(word), "no {word:?} in {}", ended.log);
    }
}

#[test]
fn a_topic_of_poison_stops_the_run_after_a_window_and_a_restart_goes_on_there() {
    let kafka = Kafka::shared();
    for guarantee in ["at-least-once", "at-most-once"] {
        let pipeline = Pipeline::names(kafka).set("delivery.guarantee", guarantee);
        pipeline.create_topics(kafka, 3);
        kafka.produce(&pipeline.input, &poison(5_000));
        let ended = pipeline.run().wait();
        let input = format!("  {}[", pipeline.input);
        let words = [
            "\"event\":\"breaker.opened\"",
            "the breaker stopped the run: 1000 of the last 1000 records were rejected (100.0 %), \
             1000 of them as not_json\n",
            &input,
            "] at offset ",
            "start with -s delivery.breaker=false",
        ];
        assert_stopped(&ended, &words);
        assert_eq!(ended.log.matches("\"event\":\"breaker.sample\"").count(), 3, "{}", ended.log);
        assert_eq!(ended.log.matches(&input).count(), 3, "{}", ended.log);
        ended.counts().assert_balanced();
        assert_each_once(kafka, &pipeline, 1000);
        let committed = kafka.committed(&pipeline.group, &pipeline.input);
        assert_eq!(committed.iter().flatten().sum::<i64>(), 1000, "{guarantee}: {committed:?}");

        let hotspur = pipeline.start(&["-s", "delivery.breaker=false", "run"]);
        await_true("all letters", || letters(kafka, &pipeline) >= 5_000);
        assert_eq!(hotspur.stop().counts().rejected, 4_000, "{guarantee}");
        assert_each_once(kafka, &pipeline, 5_000);
    }
}

#[test]
fn lookups_that_reject_count_and_the_class_that_most_have_is_named() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    let pipeline = Pipeline::orders(kafka, &redis)
        .on_miss("reject".into())
        .set("delivery.breaker.window", 50)
        .set("delivery.breaker.rejected", 0.8);
    pipeline.create_topics(kafka, 1);
    let mut orders: Vec<_> = (0..10).map(|it| Message::new(order(it, "user1", it))).collect();
    orders.extend(poison(5));
    orders.extend((0..200).map(|it| Message::new(order(it, "nobody", it))));
    kafka.produce(&pipeline.input, &orders);
    let ended = pipeline.run().wait();
    let facts = "41 of the last 50 records were rejected (82.0 %), 36 of them as table_miss";
    assert_stopped(&ended, &[facts]);
    assert_eq!((ended.counts().emitted, ended.counts().rejected), (10, 41));
}

#[test]
fn fewer_than_a_window_and_a_share_that_is_not_past_never_stop_a_run() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.input, &poison(999));
    let counts = pipeline.run_to_end(kafka).stop().counts();
    assert_eq!(counts.rejected, 999);

    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 3);
    let both = poison(4_000).into_iter().zip(good(4_000));
    let mixed: Vec<_> = both.flat_map(|(bad, good)| [bad, good]).collect();
    let writer = kafka.writer();
    for (number, message) in mixed.into_iter().enumerate() {
        // Pairs stay together, so that each partition has as many of both.
        writer.send(&pipeline.input, &message.partition((number / 2 % 3) as i32));
    }
    writer.finish();
    let counts = pipeline.run_to_end(kafka).stop().counts();
    assert_eq!((counts.emitted, counts.rejected), (4_000, 4_000));
}

#[test]
fn a_breaker_that_pauses_waits_for_resume_and_goes_on_with_an_empty_window() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka)
        .set("observe.listen", "127.0.0.1:0")
        .set("delivery.breaker.window", 100)
        .set("delivery.breaker.then", "pause");
    pipeline.create_topics(kafka, 1);
    let messages = [poison(150), good(300)].concat();
    kafka.produce(&pipeline.input, &messages);
    let hotspur = pipeline.run();
    let address = hotspur.await_event("run.listening").text("address").to_owned();
    hotspur.await_event("breaker.opened");
    hotspur.await_events("breaker.sample", 3);
    await_true("unreadiness", || {
        let (status, reasons) = get(&address, "/readyz");
        status == 503 && reasons.contains("breaker: 100 of the last 100 records were rejected")
    });
    let expected = ["hotspur_breaker_open 1", "hotspur_paused 1", "hotspur_rejected_ratio 1"];
    await_true("the metrics", || {
        let (_, text) = get(&address, "/metrics");
        expected.iter().all(|line| text.lines().any(|it| it == *line))
    });
    await_true("the commit of what was settled", || {
        kafka.committed(&pipeline.group, &pipeline.input) == [Some(100)]
    });
    assert_eq!(letters(kafka, &pipeline), 100);

    let resumed = pipeline.start(&["resume", "--address", &address]).wait();
    assert_eq!((resumed.status, resumed.output.as_str()), (Some(0), "running\n"));
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    await_true("the metrics", || {
        let (_, text) = get(&address, "/metrics");
        text.lines().any(|it| it == "hotspur_breaker_open 0")
    });
    await_true("readiness", || get(&address, "/readyz").0 == 200);
    let counts = hotspur.stop().counts();
    assert_eq!((counts.emitted, counts.rejected), (300, 150));
    assert_each_once(kafka, &pipeline, 150);
}

#[test]
fn a_breaker_and_a_stale_table_hold_each_by_itself() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    let pipeline = Pipeline::orders(kafka, &redis)
        .set("observe.listen", "127.0.0.1:0")
        .set("tables.users.max_staleness", "500ms")
        .set("tables.users.on_stale", "pause")
        .set("delivery.breaker.window", 10)
        .set("delivery.breaker.then", "pause");
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    let address = hotspur.await_event("run.listening").text("address").to_owned();
    for event in [TABLE_LOADED, RUN_STARTED] {
        hotspur.await_event(event);
    }
    kafka.produce(&pipeline.input, &[poison(10), good(1)].concat());
    hotspur.await_event("breaker.opened");
    redis.freeze();
    hotspur.await_event("run.paused");
    let told = pipeline.start(&["resume", "--address", &address]).wait();
    assert_eq!(told.output, "paused: a table is too old\n");
    await_true("the table as the only reason", || {
        let (status, reasons) = get(&address, "/readyz");
        status == 503 && reasons.contains("table users") && !reasons.contains("breaker")
    });
    redis.thaw();
    await_true("readiness", || get(&address, "/readyz").0 == 200);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let ended = hotspur.stop();
    assert!(ended.log.contains("\"event\":\"run.still_paused\""), "{}", ended.log);
    assert_eq!(ended.counts().rejected, 11, "no key, the last");
}
