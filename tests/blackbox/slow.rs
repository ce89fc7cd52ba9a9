//! Records are made slow on purpose, and their lines say by what.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::Value;

use crate::{
    payload::{name, order},
    support::{
        PATIENCE, await_true, clients::Load, hotspur::Hotspur, kafka::Kafka, message::Message,
        pipeline::Pipeline, redis::Redis,
    },
};

/// How long something is held up.
const HELD_UP: Duration = Duration::from_millis(60);

fn names(count: u64) -> Vec<Message> {
    (0..count).map(|it| Message::new(name(it)).key(it.to_string())).collect()
}

/// All lines of slow records so far.
fn lines(pipeline: &Pipeline) -> Vec<Value> {
    let files = pipeline.files_out(".slow.jsonl");
    let text: String = files.iter().filter_map(|it| fs::read_to_string(it).ok()).collect();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Does it again and again until a line gives that cause. One try may hit a moment in which no
/// record was on its way.
#[track_caller]
fn await_cause(pipeline: &Pipeline, cause: &str, hold_up: impl FnMut()) -> Value {
    await_line(pipeline, |it| it["cause"] == cause, hold_up)
}

/// The same for any line like that.
#[track_caller]
fn await_line(
    pipeline: &Pipeline,
    is_it: impl Fn(&Value) -> bool,
    mut hold_up: impl FnMut(),
) -> Value {
    let mut found = None;
    await_true("a line about the cause", || {
        hold_up();
        let before = Instant::now();
        while found.is_none() && before.elapsed() < Duration::from_millis(1_500) {
            found = lines(pipeline).into_iter().find(&is_it);
            thread::park_timeout(Duration::from_millis(20));
        }
        found.is_some()
    });
    found.expect("it was awaited")
}

fn let_pass(time: Duration) {
    let start = Instant::now();
    await_true("some time", || start.elapsed() >= time);
}

fn stop_for_a_while(hotspur: &Hotspur) {
    hotspur.signal("STOP");
    let_pass(HELD_UP);
    hotspur.signal("CONT");
}

/// Runs beside whoever is on the core, with the same right to it, and ends by itself.
fn share(core: usize) {
    let mut command = Command::new("timeout");
    command.args(["0.3", "taskset", "--cpu-list", &core.to_string()]);
    let status = command.args(["sh", "-c", "while :; do :; done"]).status();
    assert_eq!(status.expect("util-linux is there").code(), Some(124));
}

/// Takes the core from whoever is on it: a process that goes before all others, or, without the
/// right to that, many. All end by themselves.
fn occupy(core: usize) {
    let hog = |seconds: &str, last: &[&str]| {
        let mut command = Command::new("timeout");
        // Who ends it stands on no core in particular, and waits for nobody of that rank.
        command.args([seconds, "taskset", "--cpu-list", &core.to_string()]).args(last);
        command.args(["sh", "-c", "while :; do :; done"]);
        command.stderr(Stdio::null()).spawn().expect("util-linux is there")
    };
    // What `timeout` says of a process whose time was over.
    let was_there = |mut it: Child| it.wait().is_ok_and(|status| status.code() == Some(124));
    if !was_there(hog("0.06", &["chrt", "--fifo", "10"])) {
        let hogs: Vec<_> = (0..24).map(|_| hog("0.4", &[])).collect();
        assert!(hogs.into_iter().all(was_there), "the core cannot be taken");
    }
}

/// A run that spins on that core, and a load that it has begun to work off.
fn loaded_on(core: usize) -> (Pipeline, Hotspur, Load) {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka)
        .set("engine.core", core as i64)
        .set("engine.idle", "spin")
        .set("observe.interval", "200ms");
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    let load = Load::start(kafka, &pipeline.input, names(200_000));
    kafka.reader(&pipeline.output).await_count(500);
    (pipeline, hotspur, load)
}

#[test]
fn a_process_that_is_stopped_is_told_from_a_thread_that_is_held_off_its_core() {
    let core = core_affinity::get_core_ids().expect("cores")[0].id;
    let (pipeline, hotspur, load) = loaded_on(core);
    let stopped = await_cause(&pipeline, "stopped", || stop_for_a_while(&hotspur));
    assert!(stopped["verdict"].as_str().unwrap().contains("process stood still"), "{stopped}");
    let held_off = await_cause(&pipeline, "preempted", || occupy(core));
    let verdict = held_off["verdict"].as_str().unwrap();
    assert!(verdict.contains("took the core") || verdict.contains("for a core"), "{held_off}");
    assert!(held_off["lately"].is_object() && held_off["stages"].is_object(), "{held_off}");
    hotspur.kill();
    drop(load);
}

#[test]
fn a_busy_neighbour_on_the_core_is_named() {
    let core = core_affinity::get_core_ids().expect("cores").last().expect("a core").id;
    let (pipeline, hotspur, load) = loaded_on(core);
    // Whoever shares the core keeps it for a slice of time, which is milliseconds.
    let waited = |line: &Value| {
        let waited = ["stall", "lately"].map(|it| line[it]["waited_ns"].as_u64().unwrap_or(0));
        line["cause"] == "preempted" && waited.iter().any(|it| *it > 500_000)
    };
    let line = await_line(&pipeline, waited, || share(core));
    let verdict = line["verdict"].as_str().unwrap();
    assert!(verdict.contains("took the core") || verdict.contains("for a core"), "{line}");
    hotspur.kill();
    drop(load);
}

/// librdkafka's mock cluster answers late, by the clock, as one far away does.
#[test]
fn a_broker_five_milliseconds_away_is_named_with_the_time_that_it_took() {
    let far = MockCluster::new(1).expect("a port");
    for topic in ["names", "names.hashed", "names.dead"] {
        far.create_topic(topic, 1, 1).expect("a topic");
    }
    let pipeline = Pipeline::names(Kafka::shared())
        .set("kafka.brokers", far.bootstrap_servers())
        .set("source.kafka.topics", toml_edit::Array::from_iter(["names"]))
        .set("sink.kafka.topic", "names.hashed")
        .set("dead_letters.topic", "names.dead")
        .set("observe.interval", "200ms");
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    far.broker_round_trip_time(1, Duration::from_millis(5)).expect("a round trip");
    let mut producer = ClientConfig::new();
    let producer: BaseProducer =
        producer.set("bootstrap.servers", far.bootstrap_servers()).create().expect("a producer");
    // Where the thread is held off just then, that is the cause which is told: so try again.
    let line = await_cause(&pipeline, "broker", || {
        for message in names(50) {
            let value = message.value.expect("a value");
            let record = BaseRecord::<(), _>::to("names").payload(&value);
            producer.send(record).map_err(|(error, _)| error).expect("room");
        }
        producer.flush(PATIENCE).expect("all are taken");
    });
    assert_eq!(line["slowest_stage"], "ack", "{line}");
    assert!(line["stages"]["ack"].as_u64().unwrap() >= 5_000_000, "{line}");
    assert!(line["verdict"].as_str().unwrap().contains("the broker took "), "{line}");
    hotspur.stop();
}

#[test]
fn records_that_wait_for_a_frozen_table_say_so() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    let pipeline = Pipeline::orders(kafka, &redis)
        .set("source.kafka.start", "earliest")
        .set("tables.users.max_staleness", "500ms")
        .set("tables.users.on_stale", "pause")
        .set("observe.interval", "200ms");
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    redis.freeze();
    hotspur.await_event("run.paused");
    let orders: Vec<_> = (0..20).map(|it| Message::new(order(it, "user1", it))).collect();
    kafka.produce(&pipeline.input, &orders);
    let_pass(Duration::from_millis(300));
    redis.thaw();
    let line = await_cause(&pipeline, "table", || {});
    assert!(line["verdict"].as_str().unwrap().contains("a table was too old"), "{line}");
    assert!(line["regimes"]["paused"].as_f64().unwrap() > 0.5, "{line}");
    hotspur.stop();
}

#[test]
fn records_that_wait_for_the_broker_say_so() {
    let kafka = Kafka::start();
    let pipeline = Pipeline::names(&kafka)
        .set("limits.in_flight", 64)
        .set("limits.batch", 64)
        .set("observe.interval", "200ms");
    pipeline.create_topics(&kafka, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    kafka.produce(&pipeline.input, &names(100));
    // Every record waits for its acknowledgement, which is most of its time.
    let line = await_cause(&pipeline, "broker", || {});
    assert_eq!(line["slowest_stage"], "ack", "{line}");
    let load = Load::start(&kafka, &pipeline.input, names(20_000));
    kafka.reader(&pipeline.output).await_count(1_000);
    // What was fetched before and finds no room waits in the client's queue.
    let line = await_cause(&pipeline, "producer", || {
        kafka.freeze();
        let_pass(Duration::from_millis(500));
        kafka.thaw();
    });
    let verdict = line["verdict"].as_str().unwrap();
    assert!(verdict.contains("no room") || verdict.contains("producer"), "{line}");
    hotspur.kill();
    drop(load);
}
