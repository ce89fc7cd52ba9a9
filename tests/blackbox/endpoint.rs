//! The HTTP endpoint of a run: metrics that count what happened, readiness that says why not.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

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
    let (status, page) = get(&address, "/");
    assert!(status == 200 && page.starts_with("<!DOCTYPE html>"), "{status}");
    assert_eq!(get(&address, "/elsewhere").0, 404);
    assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
    hotspur.stop().counts().assert_balanced();
    assert_prometheus_reads(&text);
    assert_observers_know_the_names(&text);
}

/// Prometheus's own parser, and its rules for names and help.
fn assert_prometheus_reads(text: &str) {
    let mut command = Command::new("promtool");
    let child = command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("promtool, which scripts/setup installs");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("promtool reads");
    let output = child.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{text}");
}

/// The rules and the dashboard that are shipped speak of metrics that there are.
fn assert_observers_know_the_names(text: &str) {
    // Samples, and families, which for histograms are no samples' names.
    let names: BTreeSet<&str> = text
        .lines()
        .map(|line| line.strip_prefix("# TYPE ").unwrap_or(line))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/observe");
    let rules = folder.join("alerts.yaml");
    let mut command = Command::new("promtool");
    let checked = command.args(["check", "rules"]).arg(&rules).output().expect("promtool runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let dashboard = fs::read_to_string(folder.join("dashboard.json")).expect("a dashboard");
    serde_json::from_str::<serde_json::Value>(&dashboard).expect("JSON");
    let rules = fs::read_to_string(rules).expect("rules");
    let mut known = 0;
    for told in [dashboard, rules] {
        let is_in_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
        for (at, _) in told.match_indices("hotspur_") {
            let rest = &told[at..];
            let name = &rest[..rest.find(|it| !is_in_name(it)).unwrap_or(rest.len())];
            assert!(names.contains(name), "there is no metric {name}");
            known += 1;
        }
    }
    assert!(known > 30, "{known} names");
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
