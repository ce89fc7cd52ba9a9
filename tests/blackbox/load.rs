//! The generator: as many records as asked for, of the shape asked for.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{
    hotspur::Ended, kafka::Kafka, message::Message, now_ms, pipeline::Pipeline, redis::Redis,
};

fn load(pipeline: &Pipeline, arguments: &[&str]) -> Ended {
    let ended = pipeline.start(&[&["load"], arguments].concat()).wait();
    // On a busy machine records may be late for their rate; the status then says so.
    let late = ended.status == Some(1) && ended.log.contains("late for the rate");
    assert!(late || ended.status == Some(0), "{}\n{}", ended.output, ended.log);
    ended
}

fn objects(messages: &[Message]) -> Vec<serde_json::Map<String, Value>> {
    let read = |message: &Message| serde_json::from_str(message.text());
    let objects = messages.iter().map(|it| read(it).expect("an object in JSON"));
    objects.collect()
}

#[test]
fn names_are_generated_by_count() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 2);
    let ended = load(
        &pipeline,
        &["--payload", "names", "--count", "5000", "--header", "trace=1", "--header", "trace=2"],
    );
    assert!(ended.output.contains("records/s"), "{}", ended.output);
    let messages = kafka.read(&pipeline.input);
    assert_eq!(messages.len(), 5_000);
    for object in objects(&messages) {
        assert_eq!(object.keys().collect::<Vec<_>>(), ["first_name", "last_name"]);
        assert!(object.values().all(Value::is_string), "{object:?}");
    }
    let trace = ["1", "2"].map(|it| ("trace".to_owned(), Some(it.as_bytes().to_vec())));
    assert!(messages.iter().all(|it| it.headers == trace));
}

#[test]
fn orders_are_generated_by_rate_and_repeat_with_their_seed() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    let [first, second] = [(), ()].map(|()| {
        let pipeline = Pipeline::orders(kafka, &redis);
        pipeline.create_topics(kafka, 1);
        let before = now_ms();
        let arguments = ["--rate", "500", "--for", "1s", "--keys", "10", "--seed", "7"];
        load(&pipeline, &[&["--payload", "orders"], &arguments[..]].concat());
        let mut objects = objects(&kafka.read(&pipeline.input));
        assert_eq!(objects.len(), 500);
        for object in &mut objects {
            let sent = object.remove("timestamp_sent").expect("a time").as_i64();
            assert!((before..=now_ms()).contains(&sent.expect("milliseconds")));
            assert_eq!(object.keys().collect::<Vec<_>>(), ["id", "key", "value"]);
        }
        objects
    });
    assert_eq!(first, second);
    let ids: BTreeSet<_> = first.iter().map(|it| it["id"].to_string()).collect();
    let keys: BTreeSet<_> = first.iter().map(|it| it["key"].to_string()).collect();
    assert_eq!(ids.len(), 500);
    assert!((2..=10).contains(&keys.len()), "{keys:?}");
}

#[test]
fn a_generator_faster_than_its_broker_waits_and_loses_nothing() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).property("queue.buffering.max.messages", "100");
    pipeline.create_topics(kafka, 1);
    load(&pipeline, &["--payload", "names", "--count", "20000"]);
    assert_eq!(kafka.end_offsets(&pipeline.input), [20_000]);
}
