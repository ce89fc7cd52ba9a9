//! One side in Kafka and the other in Redis, and kill -9 in between.

use std::collections::BTreeSet;

use crate::{
    stream_rig::{Client, DEAD, GROUP, IN, OUT, POSITIONS, StreamPipeline, numbers},
    support::{
        await_true, kafka::Kafka, message::Message, names::RUN_STARTED, redis::Redis, unique,
    },
};

/// Enough that a kill after the first results finds more to do.
const TOTAL: u64 = 20_000;

/// What leads to a result: every hundredth is nonsense.
const RESULTS: u64 = TOTAL - TOTAL / 100;

#[test]
fn from_kafka_to_redis_nothing_is_lost_over_kills() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    let (input, group) = (unique("mixed-in"), unique("mixed-group"));
    let dead = format!("{input}.dead");
    kafka.create_topic(&input, 1);
    kafka.create_topic(&dead, 1);
    let source = format!(
        "[kafka]\nbrokers = \"{}\"\n[kafka.properties]\n\"session.timeout.ms\" = 3000\n\
         \"heartbeat.interval.ms\" = 500\n[source.kafka]\ntopics = [\"{input}\"]\n\
         group = \"{group}\"\nstart = \"earliest\"\n",
        kafka.brokers()
    );
    let sink = format!("[sink.redis]\nurl = \"{}\"\nstream = \"{OUT}\"\n", redis.url());
    let pipeline = StreamPipeline::of(&source, &sink).set("limits.in_flight", "256");
    let pipeline = pipeline.set("limits.batch", "64");
    let message = |number: u64| match number % 100 {
        99 => Message::new("nonsense").key(number.to_string()),
        _ => Message::new(format!("{{\"n\":{number}}}")).key("k").header("trace", "7"),
    };
    kafka.produce(&input, &(0..TOTAL).map(message).collect::<Vec<_>>());
    let mut client = Client::of(&redis);
    let mut hotspur = pipeline.run();
    client.await_len(OUT, 300);
    hotspur.kill();
    assert!(client.len(OUT) < RESULTS, "it was killed in between");
    hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    kafka.await_committed_to_end(&group, &input);
    hotspur.stop().counts().assert_balanced();
    let results = client.entries(OUT);
    let seen: BTreeSet<u64> = numbers(&results).into_iter().collect();
    assert_eq!(seen, (0..TOTAL).filter(|it| it % 100 != 99).collect());
    assert!(results.iter().all(|it| it.text("key") == "k" && it.text("trace") == "7"));
    let letters = kafka.read(&dead);
    let keys: BTreeSet<_> = letters.iter().filter_map(|it| it.key.clone()).collect();
    assert_eq!(keys.len() as u64, TOTAL / 100, "dead letters go to the source's system");
}

#[test]
fn from_redis_to_kafka_nothing_is_lost_over_kills() {
    from_redis_to_kafka(&format!("group = \"{GROUP}\"\n"));
}

#[test]
fn from_redis_without_a_group_to_kafka_nothing_is_lost_over_kills() {
    from_redis_to_kafka(&format!("positions = \"{POSITIONS}\"\n"));
}

/// With that in the source.
fn from_redis_to_kafka(memory: &str) {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    let output = unique("mixed-out");
    kafka.create_topic(&output, 1);
    let source = format!(
        "[kafka]\nbrokers = \"{}\"\n[source.redis]\nurl = \"{}\"\nstreams = [\"{IN}\"]\n\
         {memory}start = \"earliest\"\nfield = \"body\"\n",
        kafka.brokers(),
        redis.url()
    );
    let sink = format!("[sink.kafka]\ntopic = \"{output}\"\n");
    let pipeline = StreamPipeline::of(&source, &sink).set("limits.in_flight", "256");
    let pipeline = pipeline.set("limits.batch", "64");
    let mut client = Client::of(&redis);
    for number in 0..TOTAL {
        let body =
            if number % 100 == 99 { "nonsense".into() } else { format!("{{\"n\":{number}}}") };
        client.add(IN, &[("key", b"k"), ("body", body.as_bytes()), ("trace", b"7")]);
    }
    let mut reader = kafka.reader(&output);
    let mut hotspur = pipeline.run();
    reader.await_count(300);
    hotspur.kill();
    assert!((kafka.read(&output).len() as u64) < RESULTS, "it was killed in between");
    hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    let last = client.entries(IN).pop().expect("an entry").id;
    match client.has_group(IN) {
        true => client.await_settled(IN),
        false => await_true("the last position", || pipeline.position(IN).as_ref() == Some(&last)),
    }
    hotspur.stop().counts().assert_balanced();
    let results = kafka.read(&output);
    let seen: BTreeSet<String> = results.iter().map(|it| it.text().to_owned()).collect();
    let expected = (0..TOTAL).filter(|it| it % 100 != 99).map(|it| format!("{{\"n\":{it}}}"));
    assert_eq!(seen, expected.collect());
    assert!(results.iter().all(|it| it.key.as_deref() == Some(b"k")));
    let letters = client.entries(DEAD);
    assert!(letters.len() as u64 >= TOTAL / 100);
    assert!(letters.iter().all(|it| it.text("payload") == "nonsense" && it.text("trace") == "7"));
}
