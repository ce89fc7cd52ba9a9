//! What users see of state: figures, windows that time closes, late records, a step that was
//! changed, a result that is refused.

use serde_json::Value;

use crate::support::{
    await_true, http::get, kafka::Kafka, message::Message, names::RUN_STOPPED, pipeline::Pipeline,
    unique,
};

const READINGS: &str = r#"
[[steps]]
name = "average"
[steps.window]
kind = "tumbling"
size = "10s"
key = "record.key"
time = "event.t"
idle = "500ms"
[steps.window.aggregate]
mean = "avg(event.value)"
all = "collect(event.value, 1000)"
"#;

fn readings(kafka: &Kafka, text: &str) -> Pipeline {
    let pipeline = Pipeline::of("readings", text, kafka).set("observe.listen", "127.0.0.1:0");
    let topic = format!("{}.state", pipeline.group);
    pipeline.set("state.topic", topic)
}

fn reading(t: u64, value: u64) -> Message {
    Message::new(format!(r#"{{"t":{t},"value":{value}}}"#)).key("sensor")
}

fn result(message: &Message) -> Value {
    serde_json::from_str(message.text()).expect("JSON")
}

#[test]
fn time_closes_the_windows_of_a_partition_to_which_nothing_comes() {
    let kafka = Kafka::shared();
    let late = unique("late");
    let text = READINGS.replace("idle = ", &format!("late = \"{late}\"\nidle = "));
    let pipeline = readings(kafka, &text);
    pipeline.create_topics(kafka, 1);
    kafka.create_topic(&late, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    kafka.produce(&pipeline.input, &[reading(1_000, 2), reading(9_000, 4), reading(12_000, 8)]);
    // The first by the record of the second, and the second because nothing comes.
    let mut reader = kafka.reader(&pipeline.output);
    let results: Vec<_> = reader.await_count(2).iter().map(result).collect();
    assert_eq!((&results[0]["mean"], &results[1]["mean"]), (&3.0.into(), &8.0.into()));
    assert_eq!(results[1]["end"], "1970-01-01T00:00:20Z");
    // What comes for it then is late.
    kafka.produce(&pipeline.input, &[reading(13_000, 16)]);
    assert_eq!(kafka.reader(&late).await_count(1)[0].text(), r#"{"t":13000,"value":16}"#);
    let address = hotspur.await_event("run.listening").text("address").to_owned();
    let held = "hotspur_records_total{outcome=\"held\",class=\"\",step=\"average\"} 3";
    let given = "hotspur_window_results_total{result=\"emitted\"} 2";
    await_true("the figures of state", || {
        let (_, metrics) = get(&address, "/metrics");
        let has = |line: &str| metrics.lines().any(|it| it == line);
        let changes = number(&metrics, "hotspur_state_changes_total");
        has(held) && has(given) && changes >= 2.0
    });
    let (_, metrics) = get(&address, "/metrics");
    assert!(number(&metrics, "hotspur_state_bytes{step=\"average\"}") > 1_000.0, "{metrics}");
    hotspur.stop().counts().assert_balanced();
}

/// The value of a line of metrics.
fn number(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|it| it.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("no {name} in {metrics}"));
    value.trim().parse().expect("a number")
}

#[test]
fn a_step_that_was_changed_stops_the_run_unless_its_state_is_given_up() {
    let kafka = Kafka::shared();
    let pipeline = readings(kafka, READINGS);
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    kafka.produce(&pipeline.input, &[reading(1_000, 2)]);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    hotspur.stop();
    let changed = pipeline.set_in_step(1, "window", "size", "20s");
    let ended = changed.run().wait();
    assert_eq!(ended.status, Some(2), "{}", ended.log);
    assert!(ended.log.contains("average") && ended.log.contains("--reset-state"), "{}", ended.log);
    let anew = changed.start(&["run", "--reset-state"]);
    anew.await_assigned();
    kafka.produce(&changed.input, &[reading(3_000, 5), reading(50_000, 7)]);
    let mut reader = kafka.reader(&changed.output);
    let first = result(&reader.await_count(1)[0]);
    assert_eq!((&first["mean"], &first["end"]), (&5.0.into(), &"1970-01-01T00:00:20Z".into()));
    anew.stop();
    // What it has written since fits, and the time in which it comes back is told.
    let again = changed.run();
    again.await_assigned();
    let address = again.await_event("run.listening").text("address").to_owned();
    await_true("time spent restoring", || {
        let (_, metrics) = get(&address, "/metrics");
        number(&metrics, "hotspur_duty_seconds_total{regime=\"restoring\"}") > 0.0
    });
    assert!(again.stop().log.contains(RUN_STOPPED));
}

#[test]
fn a_result_that_the_broker_refuses_is_dead_lettered_as_itself() {
    let kafka = Kafka::shared();
    let pipeline = readings(kafka, READINGS);
    kafka.create_topic(&pipeline.input, 1);
    kafka.create_topic(&pipeline.dead, 1);
    kafka.create_topic_with(&pipeline.output, 1, &[("max.message.bytes", "500")]);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    let large = (0..400).map(|it| reading(1_000, 1_000 + it));
    let messages: Vec<_> = large.chain([reading(11_000, 7), reading(31_000, 9)]).collect();
    kafka.produce(&pipeline.input, &messages);
    let mut letters = kafka.reader(&pipeline.dead);
    let letter = &letters.await_count(1)[0];
    assert_eq!(letter.header_text("hotspur.class"), "refused_by_broker");
    assert_eq!(letter.key.as_deref(), Some(&b"sensor"[..]));
    let refused = result(letter);
    assert_eq!(refused["start"], "1970-01-01T00:00:00Z");
    assert_eq!(refused["end"], "1970-01-01T00:00:10Z");
    assert_eq!(refused["all"].as_array().map(Vec::len), Some(400));
    // The others come, and the records that it was made of are not dead.
    let mut reader = kafka.reader(&pipeline.output);
    assert_eq!(result(&reader.await_count(1)[0])["mean"], 7.0);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let counts = hotspur.stop().counts();
    assert_eq!((counts.held, counts.rejected), (402, 0), "{counts:?}");
}
