//! What lies in the dead letters is counted and shown, without a group.

use serde_json::json;

use crate::{
    letters::{dead_json, letter, letters, replayed},
    support::{kafka::Kafka, message::Message, pipeline::Pipeline},
};

#[test]
fn letters_are_counted_by_what_they_have_in_common() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 3);
    let mut all = letters(&pipeline, 0..600, "not_json", 3);
    all.extend(letters(&pipeline, 600..900, "table_miss", 2));
    let at = |message: Message, hour: i64| message.timestamp(1_700_000_000_000 + hour * 3_600_000);
    let all: Vec<_> = (0..).zip(all).map(|(it, message)| at(message, it % 2)).collect();
    kafka.produce(&pipeline.dead, &all);
    kafka.produce(&pipeline.dead, &[Message::new("no letter at all").timestamp(1)]);

    let found = dead_json(&pipeline, &["--show", "0"]);
    assert_eq!(found["v"], 1);
    assert_eq!(found["topic"], pipeline.dead.as_str());
    assert_eq!((&found["letters"], &found["replayed"]), (&json!(901), &json!(0)));
    assert_eq!(found["classes"], json!({ "not_json": 600, "table_miss": 300, "(none)": 1 }));
    assert_eq!(found["steps"], json!({ "parse": 900, "(none)": 1 }));
    let input = &pipeline.input;
    let source =
        |number: i32, letters| json!({ "topic": input, "partition": number, "letters": letters });
    let nowhere = json!({ "topic": null, "partition": null, "letters": 1 });
    assert_eq!(found["sources"], json!([nowhere, source(0, 350), source(1, 350), source(2, 200)]));
    let hours = json!({
        "1970-01-01T00:00:00Z": 1,
        "2023-11-14T22:00:00Z": 450,
        "2023-11-14T23:00:00Z": 450,
    });
    assert_eq!(found["hours"], hours);
    assert_eq!(found["samples"], json!([]));
    let group = format!("{}.replay", pipeline.group);
    assert_eq!(kafka.committed(&group, &pipeline.dead), [None, None, None]);

    let found = dead_json(&pipeline, &["--class", "table_miss"]);
    assert_eq!((&found["letters"], found["samples"].as_array().unwrap().len()), (&json!(300), 3));
    let text = pipeline.start(&["dead", "--show", "1"]).wait().output;
    for part in ["901 dead letters", "not_json", "2023-11-14T22:00:00Z", "[2]", "payload"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn samples_are_the_newest_and_can_be_read_whatever_they_hold() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 2);
    let odd = Message::new([b'{', 0xff, 0x1b])
        .key("é\n")
        .header("raw", [0xfe])
        .header_without_value("absent")
        .letter_of(&pipeline.input, "not_json", 1, 7)
        .with("hotspur.replays", "2")
        .with("hotspur.truncated", "length=9, xxh3=00000000000000ab")
        .timestamp(1_700_000_009_000);
    let long = letter(&pipeline, 8, "not_json", 2).timestamp(1_700_000_005_000);
    let long = Message { value: Some("ä".repeat(9_000).into_bytes()), key: None, ..long };
    let old = letter(&pipeline, 9, "not_json", 2).timestamp(1_700_000_001_000);
    kafka.produce(&pipeline.dead, &[old.clone(), odd, long, old]);

    let found = dead_json(&pipeline, &["--show", "2"]);
    assert_eq!(found["truncated"], 1);
    let [first, second] = found["samples"].as_array().unwrap().as_slice() else {
        panic!("two samples in {found}");
    };
    assert_eq!(first["timestamp"], "2023-11-14T22:13:29Z");
    assert_eq!((&first["key"], &first["value_base64"]), (&json!("é\n"), &json!("e/8b")));
    let headers = json!([["raw", { "base64": "/g==" }], ["absent", null]]);
    assert_eq!((&first["headers"], &first["replays"]), (&headers, &json!(2)));
    assert_eq!(first["truncated"], "length=9, xxh3=00000000000000ab");
    let source = json!({ "topic": pipeline.input, "partition": 1, "offset": 7,
        "timestamp": "2023-11-14T22:13:20.123Z" });
    assert_eq!(first["source"], source);
    assert_eq!((&second["key"], &second["value_bytes"]), (&json!(null), &json!(18_000)));
    assert_eq!(second["value"].as_str().unwrap().len(), 1_024);

    let text = pipeline.start(&["dead", "--show", "2"]).wait().output;
    for part in [r"{\xff\x1b", r"é\n", "raw = \\xfe", "absent = (absent)", "… 18000 bytes"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn what_was_replayed_is_marked() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 2);
    kafka.produce(&pipeline.dead, &letters(&pipeline, 0..10, "not_json", 2));
    replayed(&pipeline, &["--max-records", "4"]);
    let found = dead_json(&pipeline, &["--show", "10"]);
    assert_eq!((&found["letters"], &found["replayed"]), (&json!(10), &json!(4)));
    let marked = found["samples"].as_array().unwrap().iter().filter(|it| it["replayed"] == true);
    assert_eq!(marked.count(), 4);
}

#[test]
fn an_empty_and_a_missing_topic_are_said_in_words() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    for command in [&["dead"][..], &["replay"], &["replay", "--dry-run"]] {
        let ended = pipeline.start(command).wait();
        assert_eq!(ended.status, Some(3), "{}", ended.log);
        assert!(ended.log.contains("there is no topic"), "{}", ended.log);
        assert_eq!(ended.output, "");
    }
    pipeline.create_topics(kafka, 2);
    let ended = pipeline.start(&["dead"]).wait();
    assert_eq!(ended.status, Some(0), "{}", ended.log);
    assert_eq!(ended.output, format!("there are no dead letters in {}\n", pipeline.dead));
    assert_eq!(dead_json(&pipeline, &[])["letters"], 0);
    let text = replayed(&pipeline, &[]).0;
    assert!(text.starts_with("0 dead letters read"), "{text}");
    for command in [&["dead", "--class", "not_jsn"][..], &["replay", "--class", "not_jsn"]] {
        let ended = pipeline.start(command).wait();
        assert_eq!(ended.status, Some(2));
        assert!(ended.log.contains("did you mean \"not_json\"?"), "{}", ended.log);
    }
}
