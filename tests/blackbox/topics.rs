//! Several topics and partitions, and every compression that Kafka knows.

use toml_edit::Array;

use crate::{
    payload::{assert_each_once, name, with_hash},
    support::{kafka::Kafka, message::Message, pipeline::Pipeline, unique},
};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

#[test]
fn records_of_several_topics_and_partitions_keep_their_order() {
    let kafka = Kafka::shared();
    let topics = [unique("several-a"), unique("several-b")];
    let pipeline = Pipeline::names(kafka)
        .set("source.kafka.topics", Array::from_iter(topics.clone()))
        .set("sink.kafka.partition", "source");
    pipeline.create_topics(kafka, 3);
    let mut numbers = 0..;
    for topic in &topics {
        kafka.create_topic(topic, 3);
        let messages = (0..600).map(|it| {
            let number = numbers.next().expect("numbers go on");
            Message::new(name(number)).key(number.to_string()).partition(it % 3)
        });
        kafka.produce(topic, &messages.collect::<Vec<_>>());
    }
    let hotspur = pipeline.run();
    topics.iter().for_each(|topic| kafka.await_committed_to_end(&pipeline.group, topic));
    assert_eq!(hotspur.stop().counts().emitted, 1_200);

    let results = kafka.read(&pipeline.output);
    assert_each_once(&results, &(0..1_200).collect::<Vec<_>>());
    for (index, topic) in topics.iter().enumerate() {
        let inputs = kafka.read(topic);
        for input in &inputs {
            let expected = with_hash(input.value.as_deref().expect("a value"));
            let result = results.iter().find(|it| it.key == input.key).expect("a result");
            assert_eq!(result.value.as_ref(), Some(&expected));
            assert_eq!(result.partition, input.partition);
        }
        let of_topic = |message: &&Message| {
            let key = message.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
            let number: usize = key.expect("a key").parse().expect("a number");
            number / 600 == index
        };
        let keys = |messages: &[Message]| -> Vec<(Option<i32>, Option<Vec<u8>>)> {
            let messages = messages.iter().filter(of_topic);
            messages.map(|it| (it.partition, it.key.clone())).collect()
        };
        assert_eq!(keys(&results), keys(&inputs), "the order within each partition");
    }
}

#[test]
fn the_key_alone_decides_about_the_partition_as_for_java_clients() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    kafka.create_topic(&pipeline.input, 1);
    kafka.create_topic(&pipeline.output, 8);
    kafka.create_topic(&pipeline.dead, 1);
    let keys = ["user1", "user2", "a", "", "Ada Lovelace"];
    let inputs = keys.map(|key| Message::new("{}").key(key));
    kafka.produce(&pipeline.input, &inputs);
    let reference = unique("reference");
    kafka.create_topic(&reference, 8);
    let partitioner = [("partitioner", "murmur2_random")];
    kafka.produce_with(&reference, &inputs, &partitioner);
    let hotspur = pipeline.run();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    hotspur.stop();
    let places = |topic: &str| {
        let mut places: Vec<_> =
            kafka.read(topic).into_iter().map(|it| (it.key, it.partition)).collect();
        places.sort();
        places
    };
    assert_eq!(places(&pipeline.output), places(&reference));
}

#[test]
fn compressed_topics_are_read_and_written() {
    let kafka = Kafka::shared();
    let inputs = CODECS.map(|codec| (codec, unique(codec)));
    for (codec, topic) in &inputs {
        kafka.create_topic(topic, 1);
        kafka.produce_with(topic, &compressible(), &[("compression.type", codec)]);
    }
    let topics = Array::from_iter(inputs.iter().map(|(_, topic)| topic));
    for codec in CODECS {
        let pipeline = Pipeline::names(kafka)
            .set("source.kafka.topics", topics.clone())
            .sink_property("compression.type", codec);
        pipeline.create_topics(kafka, 1);
        let hotspur = pipeline.run();
        for (_, topic) in &inputs {
            kafka.await_committed_to_end(&pipeline.group, topic);
        }
        assert_eq!(hotspur.stop().counts().emitted, 1_000, "{codec}");
        let results = kafka.read(&pipeline.output);
        assert_eq!(results.len(), 1_000);
        for message in compressible() {
            let expected = with_hash(message.value.as_deref().expect("a value"));
            let same = results.iter().filter(|it| it.value.as_ref() == Some(&expected));
            assert_eq!(same.count(), CODECS.len(), "{codec}");
        }
    }
}

fn compressible() -> Vec<Message> {
    let long = "Countess of Lovelace, ".repeat(40);
    (0..200).map(|it| Message::new(format!(r#"{{"n":{it},"title":"{long}"}}"#))).collect()
}
