//! What stands in a record of a table: JSON and hashes as JSON, wherever they are to go.

use serde_json::{Value, json};

use crate::support::{
    await_true, hotspur::Counts, kafka::Kafka, message::Message, pipeline::Pipeline, redis::Redis,
};

const CONFIGURATION: &str = r#"
hotspur = 1
name = "kinds"

[sink.kafka]
value = "event"

[tables.customers]
prefix = "customer:"
kind = "json"

[tables.stock]
prefix = "stock:"
kind = "hash"

[tables.prices]
prefix = "stock:"
kind = "hash"
fields = ["price", "currency"]

[[steps]]
name = "customer"
[steps.lookup]
table = "customers"
key = "event.customer"
into = "details.customer"
into_age = "details.age"

[[steps]]
name = "stock"
[steps.lookup]
table = "stock"
key = 'event.country + ":" + event.sku'
into = "details.stock.here"
on_miss = "skip"

[[steps]]
[steps.lookup]
table = "prices"
key = 'event.country + ":" + event.sku'
into = "price"
on_miss = "null"
"#;

fn pipeline(kafka: &Kafka, redis: &Redis) -> Pipeline {
    let pipeline = Pipeline::of("kinds", CONFIGURATION, kafka)
        .set("tables.customers.redis", redis.url())
        .set("tables.stock.redis", redis.url_of(3))
        .set("tables.prices.redis", redis.url_of(3));
    pipeline.create_topics(kafka, 1);
    pipeline
}

fn order(customer: &str, country: &str, sku: &str) -> Message {
    let text = format!(r#"{{"customer":"{customer}","country":"{country}","sku":"{sku}"}}"#);
    Message::new(text).timestamp(1)
}

#[test]
fn json_and_hashes_of_two_databases_are_spliced_as_json() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("customer:ada", r#" {"tier" : 1, "tags":["a\u0041", null], "since":1.50} "#);
    redis.set("customer:bob", "7");
    redis.set("customer:broken", r#"{"tier":"#);
    let hash = ["HSET", "stock:AT:chair", "price", "12.50", "left", "3 \"new\"", "currency", "€"];
    redis.run_in(3, &hash);
    redis.run_in(3, &["HSET", "stock:BE:chair", "left", "0"]);
    // The same name in the other database is of no concern, nor is another type.
    redis.run_in(0, &["HSET", "stock:AT:table", "price", "1"]);
    redis.run_in(3, &["SET", "stock:AT:text", "no hash"]);
    let pipeline = pipeline(kafka, &redis);
    let orders = [
        order("ada", "AT", "chair"),
        order("bob", "BE", "chair"),
        order("ada", "AT", "table"),
        order("ada", "AT", "text"),
        order("broken", "AT", "chair"),
        order("nobody", "AT", "chair"),
    ];
    kafka.produce(&pipeline.input, &orders);

    let counts = pipeline.run_to_end(kafka).stop().counts();
    assert_eq!(counts, Counts { polled: 6, emitted: 2, skipped: 2, rejected: 2, held: 0 });
    let results = kafka.read(&pipeline.output);
    // Every byte of a value that is JSON stays.
    let spliced = r#""customer":{"tier" : 1, "tags":["a\u0041", null], "since":1.50}"#;
    assert!(results[0].text().contains(spliced), "{}", results[0].text());
    let results: Vec<Value> =
        results.iter().map(|result| serde_json::from_str(result.text()).unwrap()).collect();
    assert_eq!(results[0]["details"]["customer"]["tags"], json!(["aA", null]));
    let stock = json!({"price": "12.50", "left": "3 \"new\"", "currency": "€"});
    assert_eq!(results[0]["details"]["stock"]["here"], stock);
    assert_eq!(results[0]["price"], json!({"price": "12.50", "currency": "€"}));
    assert_eq!(results[1]["details"]["customer"], json!(7));
    assert_eq!(results[1]["details"]["stock"]["here"], json!({"left": "0"}));
    for result in &results {
        let age = result["details"]["age"].as_f64().expect("an age in milliseconds");
        assert!((0.0..60_000.0).contains(&age), "{age}");
        assert_eq!(result["sku"], json!("chair"));
    }
    let letters = kafka.read(&pipeline.dead);
    for (letter, class) in letters.iter().zip(["wrong_type", "table_miss"]) {
        assert_eq!(letter.header_text("hotspur.class"), class);
        assert_eq!(letter.header_text("hotspur.step"), "customer");
    }
}

#[test]
fn a_field_that_changes_is_in_the_next_records() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("customer:ada", "1");
    redis.run_in(3, &["HSET", "stock:AT:chair", "price", "12.50", "left", "3"]);
    let pipeline = pipeline(kafka, &redis);
    let hotspur = pipeline.run();
    let (mut reader, writer) = (kafka.reader(&pipeline.output), kafka.writer());
    let mut until_price_is = |price: Value| {
        await_true(format_args!("a result with the price {price}"), || {
            writer.send(&pipeline.input, &order("ada", "AT", "chair"));
            reader.read_more().iter().any(|result| {
                let result: Value = serde_json::from_str(result.text()).unwrap();
                result["price"] == price
            })
        });
    };
    until_price_is(json!({"price": "12.50"}));
    redis.run_in(3, &["HSET", "stock:AT:chair", "price", "13"]);
    until_price_is(json!({"price": "13"}));
    redis.run_in(3, &["HDEL", "stock:AT:chair", "price"]);
    // A hash without any of the chosen fields counts as absent.
    until_price_is(Value::Null);
    hotspur.stop().counts().assert_balanced();
}
