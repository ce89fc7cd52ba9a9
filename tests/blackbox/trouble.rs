//! A broker in trouble: the run holds still within its bounds, says that it is not ready, and goes
//! on by itself when the broker does. Nothing is lost, and what was written is not written twice.

use std::{
    cell::RefCell,
    fmt, fs,
    ops::Range,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    payload::{assert_each_once, assert_none_lost, name, numbers},
    support::{
        await_true, clients::Load, hotspur::Hotspur, http::get, kafka::Kafka, message::Message,
        pipeline::Pipeline, unique,
    },
};

/// How long a frozen broker stays frozen.
const FROZEN: Duration = Duration::from_secs(20);

/// More than a run takes that keeps to its bounds.
const RESIDENT_KIB_MAX: u64 = 400 << 10;

/// A Kafka that is killed and frozen, by one test at a time.
fn victim() -> MutexGuard<'static, Kafka> {
    static KAFKA: OnceLock<Mutex<Kafka>> = OnceLock::new();
    let kafka = KAFKA.get_or_init(|| Mutex::new(Kafka::start()));
    kafka.lock().unwrap_or_else(PoisonError::into_inner)
}

fn names(numbers: Range<u64>) -> Vec<Message> {
    numbers.map(|it| Message::new(name(it)).key(it.to_string())).collect()
}

fn address(hotspur: &Hotspur) -> String {
    hotspur.await_event("run.listening").text("address").to_owned()
}

/// What a run last said of its readiness, and what it counts.
struct Readiness<'a> {
    address: &'a str,
    said: RefCell<String>,
}

impl fmt::Display for Readiness<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, metrics) = get(self.address, "/metrics");
        write!(f, "readiness: {}\n{metrics}", self.said.borrow())
    }
}

#[track_caller]
fn await_ready(address: &str) {
    let readiness = Readiness { address, said: RefCell::default() };
    await_true(&readiness, || {
        let (status, text) = get(address, "/readyz");
        readiness.said.replace(text);
        status == 200
    });
}

/// What the metrics say of one of them.
fn metric(address: &str, name: &str) -> u64 {
    let (_, text) = get(address, "/metrics");
    let value = text.lines().find_map(|it| it.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

#[track_caller]
fn assert_in_bounds(hotspur: &Hotspur) {
    let pid = hotspur.await_event("run.started").number("pid");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    // Elsewhere than on Linux nobody says.
    let Some(resident) = resident else { return };
    let kib: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    println!("{kib} KiB resident");
    assert!(kib < RESIDENT_KIB_MAX, "{kib} KiB");
}

/// Says how long it took, and how many came twice: the broker's answers to commits were lost.
fn tell(what: &str, since: Instant, results: &[Message]) {
    let doubled = numbers(results).values().filter(|it| **it > 1).count();
    println!(
        "{what}: all there {:?} after the broker's return, {doubled} doubled",
        since.elapsed()
    );
}

#[test]
fn a_broker_that_is_killed_under_load_is_missed_and_found_again() {
    let mut kafka = victim();
    let pipeline = Pipeline::names(&kafka).set("observe.listen", "127.0.0.1:0");
    pipeline.create_topics(&kafka, 2);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    let address = address(&hotspur);
    let load = Load::start(&kafka, &pipeline.input, names(0..20_000));
    kafka.reader(&pipeline.output).await_count(2_000);
    kafka.kill();
    await_true("the loss to be told", || {
        let (status, text) = get(&address, "/readyz");
        let peers = ["source: no broker can be reached", "sink: no broker can be reached"];
        status == 503 && peers.iter().all(|it| text.contains(it))
    });
    assert_eq!(get(&address, "/healthz").0, 200, "it turns all the same");
    let (_, metrics) = get(&address, "/metrics");
    for peer in ["source", "sink"] {
        let line = format!("hotspur_connected{{peer=\"{peer}\"}} 0");
        assert!(metrics.contains(&line), "no {line}");
    }
    assert_in_bounds(&hotspur);
    kafka.restart();
    let since = Instant::now();
    await_ready(&address);
    println!("killed: ready again {:?} after the broker's return", since.elapsed());
    load.finish();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let results = kafka.read(&pipeline.output);
    tell("killed", since, &results);
    hotspur.stop();
    assert_none_lost(&results, &(0..20_000).collect::<Vec<_>>());
}

/// A client that has nothing to send does not look for its brokers by itself.
#[test]
fn an_idle_run_is_ready_again_when_its_broker_is() {
    let mut kafka = victim();
    let source = Kafka::shared();
    let pipeline = Pipeline::names(source)
        .set("observe.listen", "127.0.0.1:0")
        .set("sink.kafka.brokers", kafka.brokers());
    source.create_topic(&pipeline.input, 1);
    source.create_topic(&pipeline.dead, 1);
    kafka.create_topic(&pipeline.output, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    let address = address(&hotspur);
    kafka.kill();
    await_true("the loss to be told", || {
        get(&address, "/readyz").1.contains("sink: no broker can be reached")
    });
    kafka.restart();
    await_ready(&address);
    source.produce(&pipeline.input, &names(0..10));
    kafka.reader(&pipeline.output).await_count(10);
    hotspur.stop();
}

/// A static member whose session ends while nobody can be asked has no name until it has joined
/// again. Librdkafka may say a commit under its instance without a name then, which the broker
/// takes for another process's word. The run says so and ends, or it goes on; in no case is it
/// silent, and the next one begins where it was.
#[test]
fn a_static_member_outlives_an_outage_longer_than_its_session_or_says_why_not() {
    let mut kafka = victim();
    for guarantee in ["at-least-once", "exactly-once"] {
        let pipeline = Pipeline::names(&kafka)
            .set("delivery.guarantee", guarantee)
            .set("instance", "place-1")
            .missed_soon()
            .property("group.instance.id", "place-1");
        pipeline.create_topics(&kafka, 2);
        let mut hotspur = pipeline.run();
        hotspur.await_assigned();
        let load = Load::start(&kafka, &pipeline.input, names(0..20_000));
        kafka.reader(&pipeline.output).await_count(2_000);
        kafka.kill();
        hotspur.await_event("group.lost");
        // Commits that were wanted meanwhile were tried, and tried again.
        let lost = Instant::now();
        await_true("some tries", || lost.elapsed() > Duration::from_secs(4));
        kafka.restart();
        load.finish();
        let (group, input) = (&pipeline.group, &pipeline.input);
        await_true("all to be committed, or the end", || {
            hotspur.has_ended() || kafka.is_committed_to_end(group, input)
        });
        if hotspur.has_ended() {
            let ended = hotspur.wait();
            assert_eq!(ended.status, Some(3), "{}", ended.log);
            assert!(ended.log.contains("FENCED_INSTANCE_ID"), "{}", ended.log);
            println!("{guarantee}: fenced by itself");
            hotspur = pipeline.run();
            kafka.await_committed_to_end(group, input);
        }
        let results = kafka.read(&pipeline.output);
        hotspur.stop();
        let all = (0..20_000).collect::<Vec<_>>();
        match guarantee {
            "exactly-once" => assert_each_once(&results, &all),
            _ => assert_none_lost(&results, &all),
        }
    }
}

#[test]
fn a_broker_that_freezes_under_load_holds_the_run_within_its_bounds() {
    let kafka = victim();
    let pipeline =
        Pipeline::names(&kafka).set("observe.listen", "127.0.0.1:0").set("limits.in_flight", 4_096);
    pipeline.create_topics(&kafka, 2);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    let address = address(&hotspur);
    let load = Load::start(&kafka, &pipeline.input, names(0..30_000));
    kafka.reader(&pipeline.output).await_count(2_000);
    kafka.freeze();
    let since = Instant::now();
    await_true("the end of the frost", || since.elapsed() > FROZEN);
    assert_eq!(get(&address, "/healthz").0, 200, "it turns all the same");
    assert_in_bounds(&hotspur);
    let polled = metric(&address, "hotspur_polled_records_total");
    let emitted = "hotspur_records_total{outcome=\"emitted\",class=\"\",step=\"\"}";
    let unsettled = polled - metric(&address, emitted);
    println!("{unsettled} records in flight");
    assert!(unsettled <= 4_096, "{unsettled} in flight");
    kafka.thaw();
    let since = Instant::now();
    await_ready(&address);
    load.finish();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let results = kafka.read(&pipeline.output);
    tell("frozen", since, &results);
    hotspur.stop();
    assert_none_lost(&results, &(0..30_000).collect::<Vec<_>>());
}

#[test]
fn what_was_written_though_its_answer_came_too_late_is_not_written_twice() {
    let (kafka, frozen) = (Kafka::shared(), victim());
    // Impatient: each request is given up and sent again while the broker is frozen.
    let pipeline = Pipeline::names(kafka)
        .set("observe.listen", "127.0.0.1:0")
        .set("sink.kafka.brokers", frozen.brokers())
        .sink_property("socket.timeout.ms", "1000")
        .sink_property("request.timeout.ms", "900");
    kafka.create_topic(&pipeline.input, 2);
    kafka.create_topic(&pipeline.dead, 1);
    frozen.create_topic(&pipeline.output, 2);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    let address = address(&hotspur);
    let load = Load::start(kafka, &pipeline.input, names(0..40_000));
    let mut reader = frozen.reader(&pipeline.output);
    for part in 1..=3 {
        reader.await_count(part * 4_000);
        frozen.freeze();
        await_true("all requests to be given up", || {
            get(&address, "/readyz").1.contains("sink: no broker can be reached")
        });
        frozen.thaw();
        await_ready(&address);
    }
    load.finish();
    let since = Instant::now();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let results = frozen.read(&pipeline.output);
    tell("given up", since, &results);
    let ended = hotspur.stop();
    assert_eq!(ended.counts().emitted, 40_000);
    assert_each_once(&results, &(0..40_000).collect::<Vec<_>>());
}

#[test]
fn a_producer_that_is_throttled_is_slow_and_nothing_else() {
    let kafka = Kafka::shared();
    let client = unique("throttled");
    let pipeline = Pipeline::names(kafka)
        .set("observe.listen", "127.0.0.1:0")
        .sink_property("client.id", &client);
    pipeline.create_topics(kafka, 1);
    kafka.limit_writing(&client, 100_000.0);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    // Some 130 bytes each: more than a second's worth, several times over.
    kafka.produce(&pipeline.input, &names(0..8_000));
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    assert_eq!(get(&address(&hotspur), "/readyz").0, 200);
    let ended = hotspur.stop();
    assert_eq!(ended.counts().emitted, 8_000);
    assert_each_once(&kafka.read(&pipeline.output), &(0..8_000).collect::<Vec<_>>());
}
