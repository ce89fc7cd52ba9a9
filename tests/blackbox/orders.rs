//! The orders pipeline, as text and spliced: every kind of key and value that a lookup meets.

use crate::{
    payload::order,
    support::{
        hotspur::Counts,
        kafka::Kafka,
        message::Message,
        names::{RUN_STARTED, TABLE_LOADED},
        pipeline::Pipeline,
        redis::Redis,
    },
};

/// Records that are emitted: value, and the text that comes of it.
const EMITTED: [(&str, &str); 9] = [
    (r#"{"id":"1","key":"user1","value":7,"timestamp_sent":1}"#, "processed_user1_7_gold"),
    (r#"{"key":"user1","value":12.50}"#, "processed_user1_12.50_gold"),
    (r#"{"key":"user1","value":-1e+3}"#, "processed_user1_-1e+3_gold"),
    (
        r#"{"key":"user1","value":123456789012345678901234567890}"#,
        "processed_user1_123456789012345678901234567890_gold",
    ),
    (r#"{"key":"user1","value":"a\"b\u00e9\n"}"#, "processed_user1_a\"bé\n_gold"),
    (r#"{"key":"user1","value":true}"#, "processed_user1_true_gold"),
    (r#"{"key":"user1","value":null}"#, "processed_user1_null_gold"),
    (r#" { "key" : "other" , "key" : "us\u0065r1" , "value" : 8 } "#, "processed_user1_8_gold"),
    (r#"{"key":42,"value":"{}"}"#, "processed_42_{}_a \"quoted\" \\ \n text"),
];

/// Records that are dead-lettered: value, class and the number of the step; 0 is before the first.
const REJECTED: [(&[u8], &str, usize); 9] = [
    (br#"{"id":"1","value":7}"#, "missing_field", 1),
    (br#"{"key":null,"value":7}"#, "wrong_type", 1),
    (br#"{"key":{"a":1},"value":7}"#, "wrong_type", 1),
    (br#"{"key":"user1"}"#, "missing_field", 2),
    (b"nonsense", "not_json", 0),
    (b"", "not_json", 0),
    (br#"{"key":"user1","value":7"#, "not_json", 0),
    (b"{\"key\":\"user1\xff\",\"value\":7}", "not_json", 0),
    (br#"["user1", 7]"#, "not_object", 0),
];

fn redis() -> Redis {
    let redis = Redis::start();
    redis.set("user:user1", "gold");
    redis.set("user:42", "a \"quoted\" \\ \n text");
    redis.set("elsewhere:stranger", "nobody asks for this one");
    redis
}

fn dressed(number: usize, value: impl AsRef<[u8]>) -> Message {
    let message = Message::new(value).timestamp(1_700_000_000_000 + number as i64);
    match number % 3 {
        0 => message,
        1 => message.key([0, 0xff, number as u8]).header("trace", "1").header("trace", [0xfe, 0]),
        _ => message.key("").header("", "").header_without_value("absent"),
    }
}

#[test]
fn orders_become_text_or_are_skipped_or_dead_lettered() {
    let (kafka, redis) = (Kafka::shared(), redis());
    let pipeline = Pipeline::orders(kafka, &redis);
    pipeline.create_topics(kafka, 1);
    let strangers = [order(1, "stranger", 1), order(2, "user1 ", 2)];
    let inputs = EMITTED.iter().map(|(value, _)| value.as_bytes());
    let inputs = inputs.chain(REJECTED.iter().map(|(value, ..)| *value));
    let inputs = inputs.chain(strangers.iter().map(String::as_bytes));
    let mut inputs: Vec<_> = inputs.enumerate().map(|(index, it)| dressed(index, it)).collect();
    inputs.push(Message::tombstone().key("gone"));
    kafka.produce(&pipeline.input, &inputs);

    let hotspur = pipeline.run();
    hotspur.await_event(TABLE_LOADED);
    hotspur.await_event(RUN_STARTED);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let counts = hotspur.stop().counts();

    let expected: Vec<_> =
        EMITTED.iter().enumerate().map(|(index, (_, text))| dressed(index, text)).collect();
    let results: Vec<_> = kafka.read(&pipeline.output).iter().map(Message::content).collect();
    assert_eq!(results, expected);
    let letters = kafka.read(&pipeline.dead);
    assert_eq!(letters.len(), REJECTED.len());
    for (letter, (index, (value, class, step))) in letters.iter().zip(REJECTED.iter().enumerate()) {
        let input = dressed(EMITTED.len() + index, value);
        assert_eq!((&letter.value, &letter.key), (&input.value, &input.key));
        assert_eq!(letter.headers[..input.headers.len()], input.headers);
        assert_eq!(letter.header_text("hotspur.class"), *class, "{input:?}");
        let step = if *step == 0 { "parse".to_owned() } else { pipeline.step_name(*step) };
        assert_eq!(letter.header_text("hotspur.step"), step, "{input:?}");
    }
    let [emitted, rejected] = [EMITTED.len() as u64, REJECTED.len() as u64];
    let polled = inputs.len() as u64;
    assert_eq!(counts, Counts { polled, emitted, skipped: 3, rejected, held: 0 });
}

#[test]
fn orders_keep_every_byte_where_the_result_is_spliced_in() {
    let (kafka, redis) = (Kafka::shared(), redis());
    let pipeline = Pipeline::orders_spliced(kafka, &redis);
    pipeline.create_topics(kafka, 1);
    let cases = [
        (
            r#"{"id":"1","key":"user1","value":7,"timestamp_sent":1}"#,
            concat!(
                r#"{"id":"1","key":"user1","value":7,"timestamp_sent":1"#,
                r#","cached":"gold","result":"processed_user1_7_gold"}"#,
            ),
        ),
        (
            "{ \"key\" : \"user1\", \"value\":\t1.50, \"big\":12345678901234567890123 }\n",
            concat!(
                "{ \"key\" : \"user1\", \"value\":\t1.50, \"big\":12345678901234567890123 ",
                ",\"cached\":\"gold\",\"result\":\"processed_user1_1.50_gold\"}\n",
            ),
        ),
        (
            r#"{"key":42,"value":"\u0041","a":1,"a":2}"#,
            concat!(
                r#"{"key":42,"value":"\u0041","a":1,"a":2"#,
                r#","cached":"a \"quoted\" \\ \n text""#,
                r#","result":"processed_42_A_a \"quoted\" \\ \n text"}"#,
            ),
        ),
        (
            r#"{"cached":"old","key":"user1","value":1,"result":[1,2]}"#,
            r#"{"cached":"gold","key":"user1","value":1,"result":"processed_user1_1_gold"}"#,
        ),
    ];
    let dress = |texts: &[&str]| -> Vec<Message> {
        texts.iter().enumerate().map(|(index, text)| dressed(index, text)).collect()
    };
    kafka.produce(&pipeline.input, &dress(&cases.map(|(input, _)| input)));

    let hotspur = pipeline.run();
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let counts = hotspur.stop().counts();

    let results: Vec<_> = kafka.read(&pipeline.output).iter().map(Message::content).collect();
    assert_eq!(results, dress(&cases.map(|(_, output)| output)));
    assert_eq!(counts, Counts { polled: 4, emitted: 4, skipped: 0, rejected: 0, held: 0 });
}
