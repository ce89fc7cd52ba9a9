//! The end that an operator asks for: what is in flight is finished, or told to come again.

use crate::{
    payload::{assert_each_once, assert_none_lost, fates, mixed_orders, name},
    support::{
        clients::Load, kafka::Kafka, message::Message, names::RUN_STOPPING, pipeline::Pipeline,
        redis::Redis,
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

/// A pipeline whose sink acknowledges nothing: it wants two replicas, and there is one broker. The
/// second record's dead letter is acknowledged, so when it is there the first one is in flight.
fn unacknowledged(kafka: &Kafka, drain_timeout: &str) -> Pipeline {
    let pipeline = Pipeline::names(kafka).set("engine.drain_timeout", drain_timeout).missed_soon();
    kafka.create_topic(&pipeline.input, 1);
    kafka.create_topic(&pipeline.dead, 1);
    kafka.create_topic_with(&pipeline.output, 1, &[("min.insync.replicas", "2")]);
    let first = Message::new(name(0)).key("0");
    let second = Message::new("nonsense").key("1");
    kafka.produce(&pipeline.input, &[first, second]);
    pipeline
}

#[test]
fn a_second_signal_ends_at_once_and_what_was_not_acknowledged_comes_again() {
    let kafka = Kafka::shared();
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let pipeline = unacknowledged(kafka, "10m");
        let hotspur = pipeline.run();
        kafka.reader(&pipeline.dead).await_count(1);
        hotspur.signal(signal);
        hotspur.await_event(RUN_STOPPING);
        hotspur.signal(signal);
        assert_eq!(hotspur.wait().status, Some(status));
        let committed = kafka.committed(&pipeline.group, &pipeline.input);
        assert_eq!(committed[0].unwrap_or(0), 0);

        kafka.alter_topic(&pipeline.output, "min.insync.replicas", "1");
        pipeline.run_to_end(kafka).stop();
        assert_none_lost(&kafka.read(&pipeline.output), &[0]);
        assert_none_lost(&kafka.read(&pipeline.dead), &[1]);
    }
}

#[test]
fn what_cannot_be_drained_in_time_is_said_and_comes_again() {
    let kafka = Kafka::shared();
    let pipeline = unacknowledged(kafka, "1s");
    let hotspur = pipeline.run();
    kafka.reader(&pipeline.dead).await_count(1);
    hotspur.signal("TERM");
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("drain_timeout"), "{}", ended.log);
    let committed = kafka.committed(&pipeline.group, &pipeline.input);
    assert_eq!(committed[0].unwrap_or(0), 0);

    kafka.alter_topic(&pipeline.output, "min.insync.replicas", "1");
    pipeline.run_to_end(kafka).stop();
    assert_none_lost(&kafka.read(&pipeline.output), &[0]);
    assert_none_lost(&kafka.read(&pipeline.dead), &[1]);
}

#[test]
fn a_sink_that_takes_nothing_holds_back_the_source_and_nothing_is_lost() {
    let kafka = Kafka::shared();
    let pipeline = unacknowledged(kafka, "20s").set("limits.in_flight", 64).set("limits.batch", 16);
    let names: Vec<_> = (2..3_000).map(|it| Message::new(name(it)).key(it.to_string())).collect();
    kafka.produce(&pipeline.input, &names);
    let hotspur = pipeline.run();
    kafka.reader(&pipeline.dead).await_count(1);
    kafka.alter_topic(&pipeline.output, "min.insync.replicas", "1");
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let counts = hotspur.stop().counts();
    assert_eq!((counts.polled, counts.emitted, counts.rejected), (3_000, 2_999, 1));
    let emitted: Vec<u64> = (0..3_000).filter(|it| *it != 1).collect();
    assert_each_once(&kafka.read(&pipeline.output), &emitted);
}
