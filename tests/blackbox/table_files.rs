//! Tables in files that others replace while the program runs.

use crate::support::{
    await_true, hotspur::Hotspur, kafka::Kafka, message::Message, names::TABLE_REFUSED,
    pipeline::Pipeline,
};

const CONFIGURATION: &str = r#"
hotspur = 1
name = "files"

[sink.kafka]
value = "event"

[tables.countries]
file = "countries.csv"

[tables.tiers]
file = "tiers.jsonl"

[[steps]]
lookup = { table = "countries", key = "event.country", into = "country" }

[[steps]]
lookup = { table = "tiers", key = "event.tier", into = "tier" }
"#;

const COUNTRIES: &str = "key,name,vat\nAT,Austria,20\nBE,\"Belgium, Belgique\",21\n";
const TIERS: &str = "{\"key\":\"1\",\"value\":\"gold\"}\n{\"key\":2,\"value\":{\"rate\":0.10}}\n";

struct Running<'a> {
    kafka: &'a Kafka,
    pipeline: Pipeline,
    hotspur: Hotspur,
}

impl Running<'_> {
    fn start() -> Running<'static> {
        let kafka = Kafka::shared();
        let pipeline = Pipeline::of("files", CONFIGURATION, kafka)
            .file("countries.csv", COUNTRIES)
            .file("tiers.jsonl", TIERS);
        pipeline.create_topics(kafka, 1);
        let hotspur = pipeline.run();
        hotspur.await_assigned();
        Running { kafka, pipeline, hotspur }
    }

    /// What becomes of a record: its result, or the class of its dead letter.
    fn becomes(&self, country: &str, tier: u8) -> String {
        let text = format!(r#"{{"country":"{country}","tier":{tier}}}"#);
        let Pipeline { group, input, output, dead, .. } = &self.pipeline;
        let letters = self.kafka.read(dead).len();
        self.kafka.produce(input, &[Message::new(text)]);
        self.kafka.await_committed_to_end(group, input);
        match self.kafka.read(dead).get(letters) {
            Some(letter) => letter.header_text("hotspur.class").to_owned(),
            None => self.kafka.read(output).last().expect("a result").text().to_owned(),
        }
    }

    #[track_caller]
    fn await_result(&self, (country, tier): (&str, u8), expected: &str) {
        let mut last = String::new();
        await_true(format_args!("{expected}"), || {
            last = self.becomes(country, tier);
            last == expected
        });
    }
}

#[test]
fn a_file_is_replaced_whole_and_a_broken_one_changes_nothing() {
    let running = Running::start();
    let before = concat!(
        r#"{"country":{"name":"Belgium, Belgique","vat":"21"},"#,
        r#""tier":{"rate":0.10}}"#,
    );
    assert_eq!(running.becomes("BE", 2), before);
    assert_eq!(running.becomes("NL", 2), "table_miss");

    running.pipeline.replace_file("countries.csv", "key,name,vat\nNL,Nederland,21\nBE,1\n");
    running.hotspur.await_events(TABLE_REFUSED, 1);
    running.pipeline.replace_file("tiers.jsonl", "{\"key\":\"2\",\"value\":1}\n{\"key\":\n");
    running.hotspur.await_events(TABLE_REFUSED, 2);
    for _ in 0..3 {
        assert_eq!(running.becomes("BE", 2), before);
        assert_eq!(running.becomes("NL", 2), "table_miss");
    }

    running.pipeline.replace_file("countries.csv", "code,name\nNL,Nederland\nBE,België\n");
    running.await_result(("NL", 2), r#"{"country":"Nederland","tier":{"rate":0.10}}"#);
    running.pipeline.replace_file("tiers.jsonl", "{\"key\":\"2\",\"value\":[1, null]}\n");
    running.await_result(("BE", 2), r#"{"country":"België","tier":[1, null]}"#);
    running.await_result(("AT", 2), "table_miss");
    assert_eq!(running.becomes("BE", 1), "table_miss");

    let ended = running.hotspur.stop();
    ended.counts().assert_balanced();
    assert!(ended.log.contains("countries.csv:3: this is no CSV"), "{}", ended.log);
    assert!(ended.log.contains("tiers.jsonl:2: expected {"), "{}", ended.log);
    assert!(!ended.log.contains("panicked"), "{}", ended.log);
}
