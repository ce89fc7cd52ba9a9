//! The names pipeline: what it does not touch leaves as it came, and the hash is of what came.

use serde_json::Value;

use crate::{
    payload::{md5_hex, with_hash},
    support::{hotspur::Counts, kafka::Kafka, message::Message, pipeline::Pipeline},
};

const MIB: usize = 1024 * 1024;

#[test]
fn names_leave_as_they_came_with_their_hash() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    let input = r#"{"first_name":"Ada","last_name":"Lovelace"}"#;
    let output =
        r#"{"first_name":"Ada","last_name":"Lovelace","hash":"05b938136aeee11df21ff4bec359e57d"}"#;
    let dress = |value: &str| {
        Message::new(value).key([1, 0, 0xff]).header("a", [0xff]).header("a", "2").timestamp(7)
    };
    kafka.produce(&pipeline.input, &[dress(input)]);
    let hotspur = pipeline.run();
    let mut reader = kafka.reader(&pipeline.output);
    assert_eq!(reader.await_count(1)[0].content(), dress(output));
    let counts = hotspur.stop().counts();
    assert_eq!(counts, Counts { polled: 1, emitted: 1, skipped: 0, rejected: 0, held: 0 });
}

#[test]
fn every_kind_of_object_keeps_its_bytes() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka)
        .set("limits.record", "2MiB")
        .set("limits.in_flight_bytes", "64MiB")
        .property("message.max.bytes", "4194304");
    pipeline.create_topics(kafka, 1);
    let objects = [
        "{}".to_owned(),
        "{\"a\":1}  \r\n\t".to_owned(),
        " \n{\"a\":1}".to_owned(),
        r#"{"a":1,"a":{"b":[1,2,{}]},"a":2}"#.to_owned(),
        r#"{"a":18446744073709551615,"b":-9223372036854775808,"c":123456789012345678901234567890}"#
            .to_owned(),
        r#"{"a":1.10,"b":-0.0,"c":1E5,"d":1e-7,"e":0.1000000000000000055511151231257827}"#
            .to_owned(),
        r#"{"a":"\u0041\n\\\"\/","b":"\u0000","\u0068ash ":"\ud83d\ude00"}"#.to_owned(),
        r#"{"größe":"日本語 😀","":""}"#.to_owned(),
        format!(r#"{{"deep":{}1{}}}"#, "[".repeat(100), "]".repeat(100)),
        format!(r#"{{"long":"{}"}}"#, "x".repeat(MIB)),
        format!(r#"{{"long":"{}"}}"#, r#"\""#.repeat(MIB / 2)),
    ];
    let messages = objects.each_ref().map(|object| Message::new(object).timestamp(1));
    kafka.produce(&pipeline.input, &messages);
    let hotspur = pipeline.run();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    hotspur.stop();
    let results = kafka.read(&pipeline.output);
    assert_eq!(results.len(), objects.len());
    for (result, object) in results.iter().zip(&objects) {
        let expected = with_hash(object.as_bytes());
        assert_eq!(result.content(), Message::new(&expected).timestamp(1));
    }
}

#[test]
fn a_hash_that_is_there_is_replaced_and_not_doubled() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    let once = r#"{"hash":"old","a": 1}"#;
    let twice = r#"{"hash":1,"a": 1.0,"hash":{"hash":2}}"#;
    kafka.produce(&pipeline.input, &[Message::new(once), Message::new(twice)]);
    let hotspur = pipeline.run();
    let mut reader = kafka.reader(&pipeline.output);
    let results = reader.await_count(2);
    assert_eq!(results[0].text(), format!(r#"{{"hash":"{}","a": 1}}"#, md5_hex(once.as_bytes())));
    let text = results[1].text();
    assert_eq!(text.matches(r#""hash""#).count(), 1, "{text}");
    assert!(text.contains(r#""a": 1.0"#), "{text}");
    let read: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(read["hash"], md5_hex(twice.as_bytes()));
    hotspur.stop();
}

#[test]
fn what_is_no_object_is_dead_lettered_byte_for_byte() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).property("message.max.bytes", "4194304");
    pipeline.create_topics(kafka, 1);
    let cases: [(Vec<u8>, &str); 10] = [
        (b"{\"a\":1} x".to_vec(), "not_json"),
        (b"{\"a\":\"\0\"}".to_vec(), "not_json"),
        (b"{\"a\":\"\xc3\x28\"}".to_vec(), "not_json"),
        (b"{\"a\":\"\xed\xa0\x80\"}".to_vec(), "not_json"),
        (b"{'a':1}".to_vec(), "not_json"),
        (b"   ".to_vec(), "not_json"),
        (b"[{\"a\":1}]".to_vec(), "not_object"),
        (b"\"text\"".to_vec(), "not_object"),
        (format!(r#"{{"deep":{}1{}}}"#, "[".repeat(2000), "]".repeat(2000)).into(), "too_deep"),
        (format!(r#"{{"long":"{}"}}"#, "x".repeat(MIB)).into(), "too_large"),
    ];
    let messages = cases.each_ref().map(|(value, _)| Message::new(value).key("k"));
    kafka.produce(&pipeline.input, &messages);
    let hotspur = pipeline.run();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let counts = hotspur.stop().counts();
    let letters = kafka.read(&pipeline.dead);
    let found: Vec<_> = letters.iter().map(|it| it.header_text("hotspur.class")).collect();
    assert_eq!(found, cases.each_ref().map(|(_, class)| *class));
    for (letter, (value, _)) in letters.iter().zip(&cases) {
        assert_eq!(letter.value.as_ref(), Some(value));
        assert_eq!(letter.key.as_deref(), Some(&b"k"[..]));
    }
    assert_eq!(counts, Counts { polled: 10, emitted: 0, skipped: 0, rejected: 10, held: 0 });
}

#[test]
fn a_lone_surrogate_is_neither_lost_nor_altered() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    let inputs = [r#"{"a":"\ud800"}"#, r#"{"a":"\udc00\ud800"}"#, r#"{"\ud800":1}"#];
    kafka.produce(&pipeline.input, &inputs.map(Message::new));
    let hotspur = pipeline.run();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    hotspur.stop().counts().assert_balanced();
    let results = kafka.read(&pipeline.output);
    let letters = kafka.read(&pipeline.dead);
    for input in inputs {
        let emitted = with_hash(input.as_bytes());
        let emitted = results.iter().filter(|it| it.value.as_deref() == Some(&emitted)).count();
        let dead = letters.iter().filter(|it| it.value.as_deref() == Some(input.as_bytes()));
        assert_eq!(emitted + dead.count(), 1, "{input}");
    }
}
