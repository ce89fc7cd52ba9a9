//! What lies in a stream of dead letters is counted and shown, page by page.

use serde_json::json;

use crate::{
    stream_letters::{Letter, dead_json, replayed},
    stream_rig::{Client, DEAD, GROUP, IN, StreamPipeline},
    support::redis::Redis,
};

/// The first hour of the letters.
const TIME_MS: usize = 1_700_000_000_000;
const HOUR_MS: usize = 3_600_000;

#[test]
fn letters_are_counted_by_what_they_have_in_common() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    client.add_letters((0..900).map(|number| {
        let class = if number < 600 { "not_json" } else { "table_miss" };
        let letter = Letter::of(number, class);
        let letter = if number % 3 == 2 { letter.with("hotspur.topic", "more") } else { letter };
        (format!("{}-{number}", TIME_MS + number / 450 * HOUR_MS), letter)
    }));
    client.add(DEAD, &[("n", b"no letter at all")]);
    let found = dead_json(&pipeline, &["--show", "0"]);
    assert_eq!(
        (&found["v"], &found["topic"], &found["partitions"]),
        (&1.into(), &DEAD.into(), &1.into())
    );
    assert_eq!((&found["letters"], &found["replayed"]), (&json!(901), &json!(0)));
    assert_eq!(found["classes"], json!({ "not_json": 600, "table_miss": 300, "(none)": 1 }));
    assert_eq!(found["steps"], json!({ "parse": 900, "(none)": 1 }));
    let source =
        |topic: &str, letters| json!({ "topic": topic, "partition": 0, "letters": letters });
    let nowhere = json!({ "topic": null, "partition": null, "letters": 1 });
    assert_eq!(found["sources"], json!([nowhere, source(IN, 600), source("more", 300)]));
    let hours = found["hours"].as_object().expect("an object");
    assert_eq!(hours.len(), 3);
    assert_eq!(
        (&hours["2023-11-14T22:00:00Z"], &hours["2023-11-14T23:00:00Z"]),
        (&450.into(), &450.into())
    );
    let found = dead_json(&pipeline, &["--class", "table_miss"]);
    assert_eq!((&found["letters"], found["samples"].as_array().unwrap().len()), (&json!(300), 3));
    let text = pipeline.start_with(&["dead", "--show", "1"], &[]).wait().output;
    for part in
        ["901 dead letters", "not_json", "2023-11-14T22:00:00Z", "in.dead entry 1", "payload"]
    {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(!text.contains("partitions"), "{text}");
}

#[test]
fn samples_are_the_newest_with_their_ids_and_can_be_read_whatever_they_hold() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    let odd = Letter::with_payload([b'{', 0xff, 0x1b], 7, "not_json")
        .key("é\n")
        .header("raw", [0xfe])
        .with("hotspur.replays", "2")
        .with("hotspur.truncated", "length=9, xxh3=00000000000000ab");
    let large = "ä".repeat(1 << 20);
    let long = Letter::with_payload(large.as_bytes(), 8, "not_json");
    let old = Letter::of(9, "not_json");
    // Pages become smaller where entries are large.
    let first = (0..20).map(|it| (format!("1000-{it}"), long.clone()));
    client.add_letters(first.chain([
        (format!("{TIME_MS}-0"), old),
        (format!("{TIME_MS}-1"), long.clone().without("payload")),
        (format!("{}-4", TIME_MS + 9_000), odd),
    ]));
    let found = dead_json(&pipeline, &["--show", "23"]);
    assert_eq!((&found["letters"], &found["truncated"]), (&23.into(), &1.into()));
    let samples = found["samples"].as_array().expect("a list");
    let [first, second, third, fourth] = &samples[..4] else { panic!("{found}") };
    assert_eq!((&first["offset"], &first["partition"]), (&json!("1700000009000-4"), &json!(0)));
    assert_eq!(first["timestamp"], "2023-11-14T22:13:29Z");
    assert_eq!((&first["key"], &first["value_base64"]), (&json!("é\n"), &json!("e/8b")));
    let headers = json!([["raw", { "base64": "/g==" }]]);
    assert_eq!((&first["headers"], &first["replays"]), (&headers, &json!(2)));
    let source = json!({ "topic": IN, "partition": 0, "offset": "1700000000123-7",
        "timestamp": "2023-11-14T22:13:20.123Z" });
    assert_eq!(first["source"], source);
    assert_eq!((&second["key"], &second["value"]), (&json!(null), &json!(null)));
    assert_eq!(third["value"], "{\"n\":\"9\"}");
    assert_eq!((&fourth["offset"], &fourth["value_bytes"]), (&json!("1000-19"), &json!(2 << 20)));
    assert_eq!(samples.last().expect("the oldest")["offset"], "1000-0");
    let text = pipeline.start_with(&["dead", "--show", "3"], &[]).wait().output;
    let source = "source    in entry 1700000000123-7, 2023-11-14T22:13:20.123Z";
    for part in [r"{\xff\x1b", r"é\n", "raw = \\xfe", "in.dead entry 1700000009000-4", source] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn letters_of_a_run_are_found_and_what_was_replayed_is_marked() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis)
        .with("[[steps]]\nname = \"needs a name\"\nrequire.name = { type = \"string\" }\n");
    let ids: Vec<_> = (0..10).map(|_| client.add(IN, &[("n", b"1")])).collect();
    let hotspur = pipeline.run();
    client.await_len(DEAD, 10);
    client.await_settled(IN);
    assert_eq!(hotspur.stop().counts().rejected, 10);
    assert_eq!(replayed(&pipeline, &["--max-records", "4"]).of("copied"), 4);
    let found = dead_json(&pipeline, &["--show", "10"]);
    assert_eq!((&found["letters"], &found["replayed"]), (&json!(10), &json!(4)));
    assert_eq!(found["steps"], json!({ "needs a name": 10 }));
    let samples = found["samples"].as_array().expect("a list");
    for (index, sample) in samples.iter().rev().enumerate() {
        assert_eq!(sample["source"]["offset"], ids[index].as_str());
        assert_eq!(sample["replayed"], index < 4);
    }
    client.run(&["XGROUP", "DESTROY", DEAD, GROUP]).expect("no group is no error");
    let groups = client.run(&["XINFO", "GROUPS", DEAD]).expect("a stream");
    assert_eq!(groups, redis::Value::Array(Vec::new()), "nobody joined a group");
}

#[test]
fn a_stream_that_is_not_there_has_no_letters_and_another_kind_of_key_is_told() {
    let redis = Redis::start();
    let pipeline = StreamPipeline::new(&redis);
    let ended = pipeline.start_with(&["dead"], &[]).wait();
    assert_eq!(ended.status, Some(0), "{}", ended.log);
    assert_eq!(ended.output, format!("there are no dead letters in {DEAD}\n"));
    assert_eq!(dead_json(&pipeline, &[])["letters"], 0);
    let text = replayed(&pipeline, &[]).0;
    assert!(text.starts_with("0 dead letters read"), "{text}");
    redis.set(DEAD, "text");
    for command in ["dead", "replay"] {
        let ended = pipeline.start_with(&[command], &[]).wait();
        assert_eq!(ended.status, Some(3), "{}", ended.log);
        assert!(ended.log.contains("WRONGTYPE"), "{}", ended.log);
        let ended = pipeline.start_with(&[command, "--class", "not_jsn"], &[]).wait();
        assert_eq!(ended.status, Some(2));
        assert!(ended.log.contains("did you mean \"not_json\"?"), "{}", ended.log);
    }
}
