//! The HTTP endpoint of a run: metrics that count what happened, readiness that says why not.

use crate::support::{
    await_true, http::get, kafka::Kafka, message::Message, pipeline::Pipeline, redis::Redis,
};

fn order(key: &str) -> Message {
    Message::new(format!("{{\"id\":\"1\",\"key\":\"{key}\",\"value\":7,\"timestamp_sent\":1}}"))
}

#[test]
fn metrics_count_records_and_lookups() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    let pipeline = Pipeline::orders(kafka, &redis).set("observe.listen", "127.0.0.1:0");
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    let address = hotspur.await_event("run.listening").text("address").to_owned();
    await_true("readiness", || get(&address, "/readyz") == (200, "ready\n".to_owned()));
    assert_eq!(get(&address, "/healthz"), (200, "ok\n".to_owned()));
    hotspur.await_assigned();
    let messages = [order("user1"), order("user1"), order("nobody"), Message::new("nonsense")];
    kafka.produce(&pipeline.input, &messages);
    let expected = [
        "hotspur_polled_records_total 4",
        "hotspur_records_total{outcome=\"emitted\",class=\"\",step=\"\"} 2",
        "hotspur_records_total{outcome=\"rejected\",class=\"not_json\",step=\"parse\"} 1",
        "hotspur_table_entries{table=\"users\"} 1",
        "hotspur_table_fresh{table=\"users\"} 1",
        "hotspur_table_lookups_total{table=\"users\",result=\"hit\"} 2",
        "hotspur_table_lookups_total{table=\"users\",result=\"miss\"} 1",
        "hotspur_table_reloads_total{table=\"users\",result=\"ok\"} 1",
        "hotspur_connected{peer=\"table:users\"} 1",
        "hotspur_connected{peer=\"source\"} 1",
    ];
    await_true("the counts in the metrics", || {
        let (status, text) = get(&address, "/metrics");
        assert_eq!(status, 200);
        expected.iter().all(|line| text.lines().any(|it| it == *line))
    });
    let (_, text) = get(&address, "/metrics");
    let skipped = "hotspur_records_total{outcome=\"skipped\",class=\"table_miss\",step=";
    assert!(text.contains(skipped) && text.contains("hotspur_table_age_seconds"), "{text}");
    assert_eq!(get(&address, "/").0, 404);
    hotspur.stop().counts().assert_balanced();
}

#[test]
fn readiness_says_which_table_is_stale_and_why() {
    let (kafka, mut redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    let pipeline = Pipeline::orders(kafka, &redis)
        .set("observe.listen", "127.0.0.1:0")
        .set("tables.users.max_staleness", "200ms")
        .set("tables.users.on_stale", "reject");
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    let address = hotspur.await_event("run.listening").text("address").to_owned();
    await_true("readiness", || get(&address, "/readyz").0 == 200);
    redis.kill();
    await_true("a stale table in the answer", || {
        let (status, reasons) = get(&address, "/readyz");
        let is_named = reasons.contains("table users is stale") && reasons.contains("redis://");
        status == 503 && is_named
    });
    assert_eq!(get(&address, "/healthz").0, 200);
    redis.restart();
    redis.set("user:user1", "gold");
    await_true("readiness again", || get(&address, "/readyz").0 == 200);
    hotspur.stop();
}
