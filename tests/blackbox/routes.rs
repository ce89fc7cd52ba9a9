//! Records that become several results, each in its topic: nothing is lost, doubled or mixed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{kafka::Kafka, message::Message, pipeline::Pipeline, unique};

/// One result an item, by its size to one of two topics, by its country to one of a prefix, else to
/// the sink; items without a size are dropped.
fn pipeline(kafka: &Kafka, [large, small, prefix]: [&str; 3]) -> Pipeline {
    let text = format!(
        r#"
        [[steps]]
        each = {{ of = "event.items", into = "item", at = "index" }}

        [[steps]]
        filter = "has(event.item.size)"

        [[steps]]
        route = {{ to = [
            {{ when = "event.item.size > 10", topic = "{large}" }},
            {{ when = "event.item.size > 5", topic = "{small}" }},
        ] }}

        [[steps]]
        when = "has(event.item.country)"
        route = {{ topic = "'{prefix}' + event.item.country", prefix = "{prefix}" }}

        [[steps]]
        key = "event.id + ':' + string(event.index)"

        [[steps]]
        keep = ["id", "index", "item"]
        "#
    );
    Pipeline::of("routes", &text, kafka)
}

/// Keys by topic, in order; each once.
fn keys(kafka: &Kafka, topic: &str) -> Vec<String> {
    let text = |message: Message| String::from_utf8(message.key.expect("a key")).expect("UTF-8");
    let mut keys: Vec<_> = kafka.read(topic).into_iter().map(text).collect();
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count, "a result stands twice in {topic}");
    keys
}

#[test]
fn each_result_is_once_in_the_topic_of_its_route() {
    let kafka = Kafka::shared();
    let [large, small, prefix] = ["large", "small", "land"].map(unique);
    let pipeline = pipeline(kafka, [&large, &small, &format!("{prefix}.")]);
    pipeline.create_topics(kafka, 2);
    let countries = ["de", "fr"].map(|it| format!("{prefix}.{it}"));
    let all = [&large, &small, &countries[0], &countries[1]];
    all.iter().for_each(|topic| kafka.create_topic(topic, 2));
    let mut expected: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut messages = Vec::new();
    for number in 0..2_000 {
        let items = [
            (r#"{"size":1}"#, pipeline.output.as_str()),
            (r#"{"size":11,"x":"\u00e9"}"#, &large),
            (r#"{}"#, ""),
            (r#"{"size":6}"#, &small),
            (r#"{"size":6,"country":"de"}"#, &countries[0]),
        ];
        let items = &items[..number % 6];
        let texts: Vec<_> = items.iter().map(|(text, _)| *text).collect();
        let value = format!(r#"{{"id":"{number}","items":[{}],"y":1}}"#, texts.join(","));
        messages.push(Message::new(&value).key(number.to_string()));
        for (index, (_, topic)) in items.iter().enumerate().filter(|(_, (_, it))| !it.is_empty()) {
            expected.entry(topic).or_default().push(format!("{number}:{index}"));
        }
    }
    // One element that is rejected rejects the record whole.
    let value = r#"{"id":"bad","items":[{"size":11},{"size":1,"country":"it"},{"size":6}]}"#;
    messages.push(Message::new(value).key("bad"));
    kafka.produce(&pipeline.input, &messages);
    let checked = pipeline.start(&["check", "--connect"]).wait();
    assert!(checked.output.contains(&format!("sink: topics {prefix}.… found, 2")), "{checked:?}");
    let counts = pipeline.run_to_end(kafka).stop().counts();
    let empty = 2_000_u64.div_ceil(6);
    assert_eq!((counts.emitted, counts.skipped, counts.rejected), (2_000 - empty, empty, 1));
    expected.values_mut().for_each(|keys| keys.sort());
    for topic in [&pipeline.output, &large, &small, &countries[0], &countries[1]] {
        let wanted = expected.remove(topic.as_str()).unwrap_or_default();
        assert_eq!(keys(kafka, topic), wanted, "{topic}");
    }
    let result = &kafka.read(&large)[0];
    let value: Value = serde_json::from_slice(result.value.as_deref().expect("a value")).unwrap();
    assert_eq!(value["item"]["x"], "é");
    assert_eq!(value.as_object().unwrap().len(), 3, "{value}");
    let letters = kafka.read(&pipeline.dead);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].header_text("hotspur.class"), "no_route");
    assert!(letters[0].header_text("hotspur.reason").contains(&format!("{prefix}.it")));
}

#[test]
fn exactly_once_commits_all_results_of_a_record_together() {
    let kafka = Kafka::shared();
    let [large, small, prefix] = ["large", "small", "land"].map(unique);
    let pipeline = pipeline(kafka, [&large, &small, &format!("{prefix}.")])
        .set("delivery.guarantee", "exactly-once")
        .set("instance", "0");
    pipeline.create_topics(kafka, 1);
    [&large, &small, &format!("{prefix}.de")].iter().for_each(|it| kafka.create_topic(it, 1));
    let value = |number: u32| {
        Message::new(format!(r#"{{"id":"{number}","items":[{{"size":11}},{{"size":6}}]}}"#))
    };
    kafka.produce(&pipeline.input, &(0..3_000).map(value).collect::<Vec<_>>());
    let counts = pipeline.run_to_end(kafka).stop().counts();
    assert_eq!((counts.emitted, counts.rejected), (3_000, 0));
    assert_eq!(keys(kafka, &large).len(), 3_000);
    assert_eq!(keys(kafka, &small).len(), 3_000);
}
