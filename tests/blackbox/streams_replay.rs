//! Dead letters of streams come home once, as they were, and only those that are meant.

use std::fs;

use crate::{
    letters::Fates,
    stream_letters::{Letter, RECORDED, dead_json, replay, replayed},
    stream_rig::{Client, DEAD, GROUP, IN, OUT, StreamPipeline},
    support::{kafka::Kafka, names::RUN_STARTED, redis::Redis, unique},
};

/// Rejects what is not in a table that others fill.
const TIERS: &str = r#"
[tables.tiers]
file = "tiers.jsonl"

[[steps]]
lookup = { table = "tiers", key = "event.tier", into = "name" }
"#;

const SILVER: &str = "{\"key\":\"1\",\"value\":\"silver\"}\n";
const GOLD: &str = "{\"key\":\"1\",\"value\":\"silver\"}\n{\"key\":\"2\",\"value\":\"gold\"}\n";

fn write_table(pipeline: &StreamPipeline, text: &str) {
    fs::write(pipeline.folder().join("tiers.jsonl"), text).expect("a table can be written");
}

/// A pipeline that ran over so many entries, and whose table was mended afterwards. Of three one
/// can be enriched, one lacks its entry, and one has no tier and never will have.
fn healed(
    redis: &Redis,
    client: &mut Client,
    entries: usize,
    field: Option<&str>,
) -> StreamPipeline {
    let pipeline = StreamPipeline::new(redis).with(TIERS);
    let pipeline = match field {
        Some(field) => pipeline.set("source.redis.field", field),
        None => pipeline,
    };
    write_table(&pipeline, SILVER);
    for number in 0..entries {
        let (number_text, tier) = (number.to_string(), (number % 3 + 1).to_string());
        let has_tier = number % 3 < 2;
        match field {
            Some(field) => {
                let tier = if has_tier { format!(",\"tier\":\"{tier}\"") } else { String::new() };
                let value = format!("{{\"n\":\"{number}\"{tier}}}");
                let key = number_text.as_bytes();
                client.add(IN, &[("key", key), (field, value.as_bytes()), ("trace", b"x")]);
            }
            None if has_tier => {
                _ = client.add(IN, &[("n", number_text.as_bytes()), ("tier", tier.as_bytes())]);
            }
            None => _ = client.add(IN, &[("n", number_text.as_bytes())]),
        }
    }
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    client.await_settled(IN);
    hotspur.stop().counts().assert_balanced();
    write_table(&pipeline, GOLD);
    pipeline
}

fn of_rest(entries: usize, rest: &[usize]) -> Vec<usize> {
    (0..entries).filter(|it| rest.contains(&(it % 3))).collect()
}

/// The numbers in the payloads of a stream, in order of the numbers.
fn payloads_in(client: &mut Client, stream: &str) -> Vec<usize> {
    let numbers = crate::stream_rig::numbers(&client.entries(stream));
    let mut numbers: Vec<_> = numbers.into_iter().map(|it| it as usize).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_healed_class_comes_home_once_through_its_source_in_either_form() {
    for field in [None, Some("body")] {
        let redis = Redis::start();
        let mut client = Client::of(&redis);
        let pipeline = healed(&redis, &mut client, 150, field);
        let before = client.fields(IN);
        let hotspur = pipeline.run();
        hotspur.await_event(RUN_STARTED);
        let fates = replayed(&pipeline, &["--class", "table_miss"]);
        assert_eq!((fates.of("copied"), fates.of("filtered")), (50, 50), "{}", fates.0);
        client.await_len(OUT, 100);
        let again = replayed(&pipeline, &["--class", "table_miss"]);
        assert_eq!((again.of("copied"), again.of("replayed_before")), (0, 50), "{}", again.0);
        client.await_settled(IN);
        hotspur.stop();
        assert_eq!(payloads_in(&mut client, OUT), of_rest(150, &[0, 1]));
        assert_eq!(payloads_in(&mut client, DEAD), of_rest(150, &[1, 2]), "nothing came back");
        let results = client.entries(OUT);
        assert!(results.iter().all(|it| !it.text("payload").contains("replays")), "no part of it");
        let copies = client.fields(IN).split_off(150);
        let originals = before.iter().skip(1).step_by(3);
        let replays = ("hotspur.replays".to_owned(), b"1".to_vec());
        let expected: Vec<_> =
            originals.map(|it| [&it[..], std::slice::from_ref(&replays)].concat()).collect();
        assert_eq!(copies, expected, "as they were, and one replay counted");
        let found = dead_json(&pipeline, &[]);
        assert_eq!((&found["letters"], &found["replayed"]), (&100.into(), &50.into()));
    }
}

#[test]
fn the_count_of_replays_comes_back_with_a_letter_that_is_rejected_again() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = healed(&redis, &mut client, 3, None);
    let hotspur = pipeline.run();
    hotspur.await_event(RUN_STARTED);
    for round in 1..=2 {
        let fates = replayed(&pipeline, &["--class", "missing_field", "--max-replays", "2"]);
        assert_eq!(fates.of("copied"), 1, "{}", fates.0);
        client.await_len(DEAD, 2 + round);
        let letter = client.entries(DEAD).pop().expect("a letter");
        assert_eq!(letter.text("hotspur.replays"), round.to_string());
        assert_eq!(letter.text("payload"), "{\"n\":\"2\"}");
    }
    let fates = replayed(&pipeline, &["--class", "missing_field", "--max-replays", "2"]);
    assert_eq!((fates.of("copied"), fates.of("at_max_replays")), (0, 1), "the loop ends");
    hotspur.stop().counts().assert_balanced();
}

#[test]
fn through_the_pipeline_letters_are_emitted_or_rejected_again_until_the_limit() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let place = "[[steps]]\ntext.place = \"{record.topic} {record.id}\"\n";
    let pipeline = healed(&redis, &mut client, 90, None).with(place);
    let to_pipeline = ["--to", "pipeline", "--max-replays", "2"];
    let dry = replayed(&pipeline, &[&to_pipeline[..], &["--dry-run"]].concat());
    assert_eq!((dry.of("emitted"), dry.of("rejected")), (30, 30), "{}", dry.0);
    assert_eq!((client.len(OUT), client.len(DEAD)), (30, 60), "nothing was written");
    assert_eq!(client.run(&["EXISTS", RECORDED]), Ok(redis::Value::Int(0)));

    let first = replayed(&pipeline, &to_pipeline);
    assert_eq!((first.of("emitted"), first.of("rejected")), (30, 30), "{}", first.0);
    assert_eq!(payloads_in(&mut client, OUT), of_rest(90, &[0, 1]));
    let ids: Vec<_> = client.entries(IN).into_iter().map(|it| it.id).collect();
    let results = client.entries(OUT).split_off(30);
    for (result, id) in results.iter().zip(ids.iter().skip(1).step_by(3)) {
        assert!(
            result.text("payload").ends_with(&format!("\"place\":\"in {id}\"}}")),
            "{result:?}"
        );
    }
    let again = client.entries(DEAD).split_off(60);
    for (letter, id) in again.iter().zip(ids.iter().skip(2).step_by(3)) {
        assert_eq!(letter.text("hotspur.class"), "missing_field");
        assert_eq!((letter.text("hotspur.topic"), &letter.text("hotspur.offset")), (IN.into(), id));
        assert_eq!(letter.text("hotspur.replays"), "1");
    }
    let second = replayed(&pipeline, &to_pipeline);
    let counts = ["replayed_before", "rejected"].map(|it| second.of(it));
    assert_eq!(counts, [60, 30], "{}", second.0);
    let third = replayed(&pipeline, &to_pipeline);
    let counts = ["replayed_before", "rejected", "at_max_replays"].map(|it| third.of(it));
    assert_eq!(counts, [90, 0, 30], "the loop ends: {}", third.0);
    assert_eq!(payloads_in(&mut client, OUT), of_rest(90, &[0, 1]));
}

#[test]
fn fields_are_kept_byte_for_byte() {
    type Pairs<'a> = &'a [(&'a str, &'a [u8])];
    let owned = |pairs: Pairs<'_>| -> Vec<(String, Vec<u8>)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect()
    };
    let objects: [Pairs<'_>; 3] = [
        &[("b", b"12.50"), ("a", &[0, 0xff]), ("b", b""), ("", b"say \"x\"\n")],
        &[("a_base64", b"aGk="), ("true", b"true")],
        &[("hotspur.due", b"17"), ("n", b"1")],
    ];
    let values: [Pairs<'_>; 3] = [
        &[("key", &[0xfe, 0]), ("body", &[0, 0xff, b'{']), ("a", b"1"), ("a", &[0xff])],
        &[("body", b""), ("payload", b"a header"), ("body", b"another")],
        &[("other", b"1"), ("key2", b"")],
    ];
    for (field, infers, entries) in
        [(None, "false", objects), (None, "true", objects), (Some("body"), "false", values)]
    {
        let redis = Redis::start();
        let mut client = Client::of(&redis);
        let pipeline =
            StreamPipeline::new(&redis).with("[[steps]]\nrequire.never = { type = \"string\" }\n");
        let pipeline = match field {
            Some(field) => pipeline.set("source.redis.field", field),
            None => pipeline.set("source.redis.infer", infers),
        };
        entries.iter().for_each(|it| _ = client.add(IN, it));
        let hotspur = pipeline.run();
        client.await_len(DEAD, 3);
        client.await_settled(IN);
        hotspur.stop();
        assert_eq!(replayed(&pipeline, &[]).of("copied"), 3);
        let copies = client.fields(IN).split_off(3);
        for (copy, entry) in copies.iter().zip(entries) {
            // The stamp of a measurement is of that record only.
            let kept = owned(entry).into_iter().filter(|(name, _)| name != "hotspur.due");
            let expected: Vec<_> = kept.chain(owned(&[("hotspur.replays", b"1")])).collect();
            assert_eq!(*copy, expected, "{field:?} {infers}");
        }
    }
}

#[test]
fn filters_after_each_other_leave_nothing_out_and_double_nothing() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    client.run(&["XGROUP", "CREATE", IN, GROUP, "0", "MKSTREAM"]).expect("a stream");
    client.add_letters((0..2_000).map(|number| {
        let class = ["not_json", "table_miss", "expression"][number / 3 % 3];
        (format!("{}-{number}", 1_700_000_000_000 + number * 1_000), Letter::of(number, class))
    }));
    let since = "2023-11-14T22:30:00Z"; // 1,700,001,000: number 1,000.
    let counts = [
        &["--class", "not_json", "--until", since][..],
        &["--class", "not_json", "--class", "expression", "--since", since],
        &["--max-records", "100"],
        &["--step", "another"],
        &["--until", since, "--partition", "0"],
        &["--partition", "1"],
        &["--since", "1h"],
        &[],
        &[],
    ]
    .map(|filters| replayed(&pipeline, filters).of("copied"));
    let none = [3, 5, 6, 8].map(|it| counts[it]);
    assert_eq!((counts[2], none), (100, [0; 4]), "{counts:?}");
    assert!(counts[0] > 200 && counts[1] > 400 && counts[4] > 100 && counts[7] > 100, "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), 2_000);
    assert_eq!(client.numbers_in(IN), (0..2_000).collect::<Vec<_>>());
    assert_eq!(client.run(&["HLEN", RECORDED]), Ok(redis::Value::Int(2_000)));

    // What is recorded of letters that were trimmed is forgotten, and no letter is copied for it.
    client.run(&["XTRIM", DEAD, "MINID", "1700001000000"]).expect("a stream");
    assert_eq!(replayed(&pipeline, &[]).of("replayed_before"), 1_000);
    assert_eq!(client.run(&["HLEN", RECORDED]), Ok(redis::Value::Int(1_000)));
    assert_eq!(client.len(IN), 2_000);
}

#[test]
fn what_cannot_be_replayed_is_passed_over_and_told() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    client.run(&["XGROUP", "CREATE", IN, GROUP, "0", "MKSTREAM"]).expect("a stream");
    redis.set("text", "no stream");
    let plain = |number| Letter::of(number, "not_json");
    let all = [
        plain(0).with("hotspur.truncated", "length=9, xxh3=00000000000000ab"),
        plain(1).with("hotspur.replays", "3"),
        plain(2).with("hotspur.replays", "2"),
        Letter::of(3, "not_json").without("hotspur.offset"),
        plain(4).with("hotspur.topic", "gone"),
        plain(5),
        plain(6).with("hotspur.topic", "text"),
        plain(7).with("hotspur.offset", "1-2-3"),
        Letter::with_payload("[8]", 8, "not_object"),
        Letter::with_payload("{}", 9, "not_json").without("payload"),
    ];
    client.add_letters((1..).map(|it| format!("1-{it}")).zip(all));
    let dry = replay(&pipeline, &["--dry-run"]);
    assert_eq!(Fates(dry.output).of("copied"), 4, "what the source's form cannot say is not known");
    let ended = replay(&pipeline, &[]);
    assert_eq!(ended.status, Some(1), "{}\n{}", ended.output, ended.log);
    assert!(
        ended.log.contains("replay.no_topic") && ended.log.contains("NO_OBJECT"),
        "{}",
        ended.log
    );
    let fates = Fates(ended.output);
    let names = ["copied", "truncated", "at_max_replays", "no_origin", "no_topic", "refused"];
    assert_eq!(names.map(|it| fates.of(it)), [2, 1, 1, 2, 2, 2], "{}", fates.0);
    assert_eq!(client.numbers_in(IN), [2, 5]);
    let raised = replay(&pipeline, &["--max-replays", "9"]);
    assert_eq!(Fates(raised.output).of("copied"), 1);
    assert_eq!(client.entries(IN).pop().expect("a copy").text("hotspur.replays"), "4");
    // Another form can say it.
    let other = pipeline.start_with(&["replay"], &["source.redis.field=body"]).wait();
    assert_eq!(Fates(other.output).of("copied"), 2, "{}", other.log);
    assert_eq!(client.entries(IN)[3].text("body"), "[8]");
}

#[test]
fn other_groups_that_will_see_the_entries_again_are_named() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    client.run(&["XGROUP", "CREATE", IN, GROUP, "0", "MKSTREAM"]).expect("a stream");
    client.add_letters((0..3).map(|it| (format!("1-{}", it + 1), Letter::of(it, "not_json"))));
    let alone = replay(&pipeline, &["--dry-run"]);
    assert!(alone.log.contains("replay.no_other_groups"), "{}", alone.log);
    for group in ["reports", "audit"] {
        client.run(&["XGROUP", "CREATE", IN, group, "0"]).expect("a group");
    }
    let ended = replay(&pipeline, &[]);
    assert_eq!(ended.status, Some(0), "{}", ended.log);
    let told = ended.log.lines().find(|it| it.contains("replay.other_groups"));
    let told = told.unwrap_or_else(|| panic!("no group in {}", ended.log));
    assert!(told.contains("audit reports") && !told.contains(GROUP), "{told}");
}

#[test]
fn another_stream_takes_copies_too_if_it_is_there() {
    let redis = Redis::start();
    let mut client = Client::of(&redis);
    let pipeline = StreamPipeline::new(&redis);
    client.add_letters((0..8).map(|it| (format!("1-{}", it + 1), Letter::of(it, "not_json"))));
    for (to, status) in [(DEAD, 2), (RECORDED, 2), ("missing", 3)] {
        let ended = replay(&pipeline, &["--to", to]);
        assert_eq!(ended.status, Some(status), "{to}: {}", ended.log);
        assert_eq!(client.run(&["EXISTS", RECORDED]), Ok(redis::Value::Int(0)));
    }
    client.run(&["XGROUP", "CREATE", "other", GROUP, "0", "MKSTREAM"]).expect("a stream");
    assert_eq!(replayed(&pipeline, &["--to", "other"]).of("copied"), 8);
    assert_eq!(client.numbers_in("other"), (0..8).collect::<Vec<_>>());
    assert_eq!(replayed(&pipeline, &["--to", "other"]).of("replayed_before"), 8);
}

#[test]
fn results_are_written_only_where_the_letters_are() {
    let (kafka, redis, other) = (Kafka::shared(), Redis::start(), Redis::start());
    let mut client = Client::of(&redis);
    client.add_letters((0..3).map(|it| (format!("1-{}", it + 1), Letter::of(it, "not_json"))));
    client.run(&["XGROUP", "CREATE", IN, GROUP, "0", "MKSTREAM"]).expect("a stream");
    let source = format!(
        "[source.redis]\nurl = \"{}\"\nstreams = [\"{IN}\"]\ngroup = \"{GROUP}\"\n",
        redis.url()
    );
    let output = unique("mixed-replay");
    kafka.create_topic(&output, 1);
    let brokers = kafka.brokers();
    let to_kafka = format!("[sink.kafka]\ntopic = \"{output}\"\nbrokers = \"{brokers}\"\n");
    let to_redis = |url: String| format!("[sink.redis]\nstream = \"{OUT}\"\nurl = \"{url}\"\n");
    for sink in [to_kafka.clone(), to_redis(other.url()), to_redis(redis.url_of(1))] {
        let pipeline = StreamPipeline::of(&source, &sink);
        let ended = replay(&pipeline, &["--to", "pipeline"]);
        assert_eq!(ended.status, Some(2), "{}", ended.log);
        assert!(ended.log.contains("`--to STREAM`"), "{}", ended.log);
    }
    let pipeline = StreamPipeline::of(&source, &to_kafka);
    assert_eq!(replayed(&pipeline, &[]).of("copied"), 3, "their source is where they are");

    let input = unique("mixed-replay-in");
    [input.clone(), format!("{input}.dead")].iter().for_each(|it| kafka.create_topic(it, 1));
    let source =
        format!("[kafka]\nbrokers = \"{brokers}\"\n[source.kafka]\ntopics = [\"{input}\"]\n");
    let pipeline = StreamPipeline::of(&source, &to_redis(redis.url()));
    let ended = replay(&pipeline, &["--to", "pipeline"]);
    assert_eq!(ended.status, Some(2), "{}", ended.log);
    assert!(ended.log.contains("`--to TOPIC`"), "{}", ended.log);
}
