//! One side in Kafka and the other in Redis, and kill -9 in between.

use std::{collections::BTreeSet, ops::Range};

use crate::{
    stream_rig::{Client, DEAD, GROUP, IN, OUT, POSITIONS, StreamPipeline, numbers},
    support::{
        await_true, hotspur::Hotspur, kafka::Kafka, message::Message, names::RUN_STARTED,
        redis::Redis, unique,
    },
};

const TOTAL: u64 = 20_000;

/// Half a part.
const HALF: u64 = TOTAL / KILLS / 2;

/// One after each part of the records.
const KILLS: u64 = 4;

/// Every hundredth is nonsense, and leads to no result.
fn has_result(number: u64) -> bool {
    number % 100 != 99
}

/// Hands over the records part by part, and kills a run after each; the run that comes after the
/// last. `await_ready` waits until one takes records.
///
/// Every other time it is killed right behind the part, wherever it is by then. The other times it
/// is frozen as soon as there is another result, in the first half of a part, and killed when
/// the second half is there, too: something is done, and something is left.
fn kill_in_between(
    pipeline: &StreamPipeline,
    await_ready: impl Fn(&Hotspur),
    mut hand_over: impl FnMut(Range<u64>),
    mut results: impl FnMut() -> usize,
) -> Hotspur {
    let (mut hotspur, mut done) = (pipeline.run(), 0);
    for kill in 0..KILLS {
        await_ready(&hotspur);
        let [start, middle, end] = [2 * kill, 2 * kill + 1, 2 * kill + 2].map(|it| it * HALF);
        let is_frozen = kill % 2 == 0;
        hand_over(start..middle);
        if is_frozen {
            await_true("another result", || results() > done);
            hotspur.signal("STOP");
        }
        hand_over(middle..end);
        hotspur.kill();
        let due = (0..end).filter(|it| has_result(*it)).count();
        let before = std::mem::replace(&mut done, results());
        assert!(!is_frozen || (before < done && done < due), "{before}, {done} of {due} results");
        hotspur = pipeline.run();
    }
    await_ready(&hotspur);
    hotspur
}

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
    let message = |number: u64| match has_result(number) {
        false => Message::new("nonsense").key(number.to_string()),
        true => Message::new(format!("{{\"n\":{number}}}")).key("k").header("trace", "7"),
    };
    let mut client = Client::of(&redis);
    let hotspur = kill_in_between(
        &pipeline,
        |hotspur| hotspur.await_assigned(),
        |part| kafka.produce(&input, &part.map(message).collect::<Vec<_>>()),
        || numbers(&client.entries(OUT)).into_iter().collect::<BTreeSet<_>>().len(),
    );
    kafka.await_committed_to_end(&group, &input);
    hotspur.stop().counts().assert_balanced();
    let results = client.entries(OUT);
    let seen: BTreeSet<u64> = numbers(&results).into_iter().collect();
    assert_eq!(seen, (0..TOTAL).filter(|it| has_result(*it)).collect());
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
    let mut writer = Client::of(&redis);
    let distinct = || kafka.read(&output).iter().map(|it| it.text().to_owned()).collect();
    let hotspur = kill_in_between(
        &pipeline,
        |hotspur| _ = hotspur.await_event(RUN_STARTED),
        |part| {
            let mut pipe = redis::pipe();
            for number in part {
                let body = match has_result(number) {
                    false => "nonsense".to_owned(),
                    true => format!("{{\"n\":{number}}}"),
                };
                let fields = ["key", "k", "body", &body, "trace", "7"];
                pipe.cmd("XADD").arg(&[IN, "*"]).arg(&fields).ignore();
            }
            writer.exec(&pipe);
        },
        || BTreeSet::<String>::len(&distinct()),
    );
    let last = client.entries(IN).pop().expect("an entry").id;
    match client.has_group(IN) {
        true => client.await_settled(IN),
        false => await_true("the last position", || pipeline.position(IN).as_ref() == Some(&last)),
    }
    hotspur.stop().counts().assert_balanced();
    let results = kafka.read(&output);
    let expected = (0..TOTAL).filter(|it| has_result(*it)).map(|it| format!("{{\"n\":{it}}}"));
    assert_eq!(distinct(), expected.collect::<BTreeSet<_>>());
    assert!(results.iter().all(|it| it.key.as_deref() == Some(b"k")));
    let letters = client.entries(DEAD);
    assert!(letters.len() as u64 >= TOTAL / 100);
    assert!(letters.iter().all(|it| it.text("payload") == "nonsense" && it.text("trace") == "7"));
}
