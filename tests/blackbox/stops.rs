//! The end that an operator asks for: what is in flight is finished, or told to come again.

use std::{
    net::TcpListener,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use crate::{
    payload::{assert_each_once, assert_none_lost, fates, mixed_orders, name},
    support::{
        await_true, clients::Load, free_port, hotspur::Hotspur, kafka::Kafka, message::Message,
        names::RUN_STOPPING, pipeline::Pipeline, redis::Redis,
    },
};

#[test]
fn sigterm_under_load_loses_and_doubles_nothing() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    let pipeline = Pipeline::orders(kafka, &redis);
    pipeline.create_topics(kafka, 2);
    let total = 20_000;
    let first = pipeline.run();
    first.await_assigned();
    let load = Load::start(kafka, &pipeline.input, mixed_orders(total));
    kafka.reader(&pipeline.output).await_count(2_000);
    let first = first.stop().counts();
    first.assert_balanced();
    let committed = kafka.committed(&pipeline.group, &pipeline.input);
    assert_eq!(committed.into_iter().flatten().sum::<i64>(), first.polled as i64);
    assert!(first.polled < total, "the load was over before the signal came");
    load.finish();

    let second = pipeline.run();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let second = second.stop().counts();
    second.assert_balanced();
    let [emitted, skipped, dead] = fates(total);
    assert_eq!(first.polled + second.polled, total);
    assert_eq!(first.skipped + second.skipped, skipped.len() as u64);
    assert_eq!(first.rejected + second.rejected, dead.len() as u64);
    assert_each_once(&kafka.read(&pipeline.output), &emitted);
    assert_each_once(&kafka.read(&pipeline.dead), &dead);
}

/// A second Kafka, for results only, that is held still; used by one test at a time.
struct Frozen {
    kafka: MutexGuard<'static, Kafka>,
}

impl Frozen {
    fn lock() -> Frozen {
        static KAFKA: OnceLock<Mutex<Kafka>> = OnceLock::new();
        let kafka = KAFKA.get_or_init(|| Mutex::new(Kafka::start()));
        Frozen { kafka: kafka.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.kafka.thaw();
    }
}

/// A run whose first record is in flight and stays there: its result goes to a Kafka that was
/// frozen when the run was ready. The second record's dead letter goes elsewhere and is
/// acknowledged; when it is there, the first record has been handed over.
fn run_into_the_ice(kafka: &Kafka, frozen: &Frozen, drain_timeout: &str) -> (Pipeline, Hotspur) {
    let pipeline = Pipeline::names(kafka)
        .set("sink.kafka.brokers", frozen.kafka.brokers())
        .set("engine.drain_timeout", drain_timeout)
        .set("limits.in_flight", 64)
        .set("limits.batch", 16)
        .missed_soon();
    kafka.create_topic(&pipeline.input, 1);
    kafka.create_topic(&pipeline.dead, 1);
    frozen.kafka.create_topic(&pipeline.output, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    frozen.kafka.freeze();
    let first = Message::new(name(0)).key("0");
    let second = Message::new("nonsense").key("1");
    kafka.produce(&pipeline.input, &[first, second]);
    kafka.reader(&pipeline.dead).await_count(1);
    (pipeline, hotspur)
}

/// After a run that left the first record unacknowledged: it comes again and now gets through.
#[track_caller]
fn assert_comes_again(kafka: &Kafka, frozen: &Frozen, pipeline: &Pipeline) {
    let committed = kafka.committed(&pipeline.group, &pipeline.input);
    assert_eq!(committed[0].unwrap_or(0), 0);
    frozen.kafka.thaw();
    pipeline.run_to_end(kafka).stop();
    assert_none_lost(&frozen.kafka.read(&pipeline.output), &[0]);
    assert_none_lost(&kafka.read(&pipeline.dead), &[1]);
}

#[test]
fn a_second_signal_ends_at_once_and_what_was_not_acknowledged_comes_again() {
    let (kafka, frozen) = (Kafka::shared(), Frozen::lock());
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let (pipeline, hotspur) = run_into_the_ice(kafka, &frozen, "10m");
        hotspur.signal(signal);
        hotspur.await_event(RUN_STOPPING);
        hotspur.signal(signal);
        assert_eq!(hotspur.wait().status, Some(status));
        assert_comes_again(kafka, &frozen, &pipeline);
    }
}

#[test]
fn a_signal_during_the_start_ends_it_at_once_as_asked() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let pipeline = Pipeline::names(Kafka::shared())
        .set("kafka.brokers", &nobody)
        .set("engine.start_timeout", "10m");
    let hotspur = pipeline.run();
    hotspur.await_event("run.path");
    hotspur.signal("TERM");
    assert_eq!(hotspur.wait().status, Some(0));
}

#[test]
fn a_signal_while_the_producer_waits_for_its_broker_ends_the_start_too() {
    // It takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    silent.set_nonblocking(true).expect("a socket");
    let address = silent.local_addr().expect("its address").to_string();
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).set("sink.kafka.brokers", address);
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    let mut connection = None;
    await_true("the producer to connect", || {
        connection = silent.accept().ok();
        connection.is_some()
    });
    hotspur.signal("TERM");
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(0), "{}", ended.log);
}

#[test]
fn what_cannot_be_drained_in_time_is_said_and_comes_again() {
    let (kafka, frozen) = (Kafka::shared(), Frozen::lock());
    let (pipeline, hotspur) = run_into_the_ice(kafka, &frozen, "1s");
    hotspur.signal("TERM");
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("drain_timeout"), "{}", ended.log);
    assert_comes_again(kafka, &frozen, &pipeline);
}

#[test]
fn a_sink_that_takes_nothing_holds_back_the_source_and_nothing_is_lost() {
    let (kafka, frozen) = (Kafka::shared(), Frozen::lock());
    let (pipeline, hotspur) = run_into_the_ice(kafka, &frozen, "20s");
    let names: Vec<_> = (2..3_000).map(|it| Message::new(name(it)).key(it.to_string())).collect();
    kafka.produce(&pipeline.input, &names);
    frozen.kafka.thaw();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let counts = hotspur.stop().counts();
    assert_eq!((counts.polled, counts.emitted, counts.rejected), (3_000, 2_999, 1));
    let emitted: Vec<u64> = (0..3_000).filter(|it| *it != 1).collect();
    assert_each_once(&frozen.kafka.read(&pipeline.output), &emitted);
}
