//! Dead letters come home once, as they were, and only those that are meant.

use std::time::Instant;

use crate::{
    letters::{Fates, dead_json, letter, letters, numbers_in, recorded_in, replay, replayed},
    payload::order,
    support::{
        await_true, kafka::Kafka, message::Message, now_ms, pipeline::Pipeline, redis::Redis,
        unique,
    },
};

/// Rejects what is not in a table that others fill.
const TIERS: &str = r#"
hotspur = 1
name = "tiers"

[tables.tiers]
file = "tiers.jsonl"

[[steps]]
lookup = { table = "tiers", key = "event.tier", into = "name" }

[[steps]]
text.result = "{event.number} is {event.name}"

[sink.kafka]
value = "event.result"
"#;

const SILVER: &str = "{\"key\":\"1\",\"value\":\"silver\"}\n";
const GOLD: &str = "{\"key\":\"1\",\"value\":\"silver\"}\n{\"key\":\"2\",\"value\":\"gold\"}\n";

/// Of three records one can be enriched, one lacks its entry, one is no JSON and never will be.
fn tier(number: usize) -> Message {
    let text = match number % 3 {
        0 => format!("{{\"number\":{number},\"tier\":1}}"),
        1 => format!("{{\"number\":{number},\"tier\":2}}"),
        _ => format!("number {number}"),
    };
    let partition = i32::try_from(number % 2).expect("0 or 1");
    Message::new(text).key(number.to_string()).partition(partition).header("trace", "x")
}

/// A pipeline that ran over so many records, and whose table was mended afterwards.
fn healed(kafka: &Kafka, records: usize) -> Pipeline {
    let pipeline = Pipeline::of("tiers", TIERS, kafka).file("tiers.jsonl", SILVER);
    pipeline.create_topics(kafka, 2);
    kafka.produce(&pipeline.input, &(0..records).map(tier).collect::<Vec<_>>());
    pipeline.run_to_end(kafka).stop();
    pipeline.replace_file("tiers.jsonl", GOLD);
    pipeline
}

fn of_rest(records: usize, rest: &[usize]) -> Vec<usize> {
    (0..records).filter(|it| rest.contains(&(it % 3))).collect()
}

#[test]
fn a_healed_class_comes_home_once_through_its_source() {
    let kafka = Kafka::shared();
    let pipeline = healed(kafka, 300);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    let fates = replayed(&pipeline, &["--class", "table_miss"]);
    assert_eq!((fates.of("copied"), fates.of("filtered")), (100, 100), "{}", fates.0);
    kafka.reader(&pipeline.output).await_count(200);
    let again = replayed(&pipeline, &["--class", "table_miss"]);
    assert_eq!((again.of("copied"), again.of("replayed_before")), (0, 100), "{}", again.0);
    hotspur.stop();

    assert_eq!(numbers_in(kafka, &pipeline.output), of_rest(300, &[0, 1]));
    assert_eq!(numbers_in(kafka, &pipeline.dead), of_rest(300, &[1, 2]), "nothing came back");
    let source = kafka.read(&pipeline.input);
    let copies = source.iter().filter(|it| it.headers.iter().any(|(name, _)| name != "trace"));
    let copies: Vec<_> = copies.collect();
    assert_eq!(copies.len(), 100);
    for copy in copies {
        let number = copy.text().split([':', ',']).nth(1).unwrap().parse().unwrap();
        let original = tier(number);
        assert_eq!((&copy.key, &copy.value), (&original.key, &original.value));
        assert_eq!(copy.partition, original.partition);
        let names: Vec<_> = copy.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["trace", "hotspur.replays"]);
        assert_eq!(copy.header_text("hotspur.replays"), "1");
    }
    let found = dead_json(&pipeline, &[]);
    assert_eq!((&found["letters"], &found["replayed"]), (&200.into(), &100.into()));
}

#[test]
fn through_the_pipeline_letters_are_emitted_or_rejected_again_until_the_limit() {
    let kafka = Kafka::shared();
    let pipeline = healed(kafka, 90);
    let to_pipeline = ["--to", "pipeline", "--max-replays", "2"];
    let dry = replayed(&pipeline, &[&to_pipeline[..], &["--dry-run"]].concat());
    assert_eq!((dry.of("emitted"), dry.of("rejected")), (30, 30), "{}", dry.0);
    assert_eq!(numbers_in(kafka, &pipeline.output), of_rest(90, &[0]), "nothing was written");

    let first = replayed(&pipeline, &to_pipeline);
    assert_eq!((first.of("emitted"), first.of("rejected")), (30, 30), "{}", first.0);
    assert_eq!(numbers_in(kafka, &pipeline.output), of_rest(90, &[0, 1]));
    let mut again = kafka.read(&pipeline.dead);
    again.retain(|it| it.header_text("hotspur.replays") == "1");
    assert_eq!(again.len(), 30);
    for letter in &again {
        assert_eq!(letter.header_text("hotspur.class"), "not_json");
        assert_eq!(letter.header_text("hotspur.topic"), pipeline.input);
        assert_eq!(letter.header_text("trace"), "x");
        let number: usize = letter.text().trim_start_matches("number ").parse().unwrap();
        assert_eq!(letter.header_text("hotspur.partition"), (number % 2).to_string());
    }
    let second = replayed(&pipeline, &to_pipeline);
    let counts = ["replayed_before", "rejected"].map(|it| second.of(it));
    assert_eq!(counts, [60, 30], "{}", second.0);
    let third = replayed(&pipeline, &to_pipeline);
    let counts = ["replayed_before", "rejected", "at_max_replays"].map(|it| third.of(it));
    assert_eq!(counts, [90, 0, 30], "the loop ends: {}", third.0);
    assert_eq!(numbers_in(kafka, &pipeline.output), of_rest(90, &[0, 1]));
}

#[test]
fn key_payload_headers_and_partition_are_kept_byte_for_byte() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 4);
    let records = [
        Message::new([0, 0xff, b'{'])
            .key([0xfe, 0])
            .header("a", "1")
            .header("a", [0xff, 0])
            .header_without_value("a")
            .header("", ""),
        Message::new("").key(""),
        Message::tombstone(),
    ];
    let lettered = |(number, record): (usize, &Message)| {
        record.clone().letter_of(&pipeline.input, "not_json", 3 - number, number)
    };
    let all: Vec<_> = records.iter().enumerate().map(lettered).collect();
    kafka.produce(&pipeline.dead, &all);
    let began = now_ms() - 1;
    assert_eq!(replayed(&pipeline, &[]).of("copied"), 3);
    let mut read = kafka.read(&pipeline.input);
    read.reverse();
    for ((copy, record), partition) in read.iter().zip(&records).zip([3, 2, 1]) {
        let expected = record.clone().header("hotspur.replays", "1");
        assert_eq!(Message { timestamp_ms: None, ..copy.content() }, expected);
        assert!(copy.timestamp_ms > Some(began), "a topic may forget what is older");
        assert_eq!(copy.partition, Some(partition));
    }
    assert_eq!(read.len(), 3);
}

#[test]
fn a_topic_with_fewer_partitions_and_another_topic_are_written_by_key() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 2);
    let other = unique("other");
    kafka.create_topic(&other, 8);
    let all = letters(&pipeline, 0..80, "not_json", 4);
    kafka.produce(&pipeline.dead, &all);
    assert_eq!(replayed(&pipeline, &["--partition", "1", "--partition", "3"]).of("copied"), 40);
    let in_source = kafka.read(&pipeline.input);
    let came_from = |it: &Message| it.text().parse::<i32>().expect("a number") % 4;
    let kept = in_source.iter().filter(|it| came_from(it) == 1);
    assert!(kept.clone().count() == 20 && kept.clone().all(|it| it.partition == Some(1)));
    let by_key = in_source.iter().filter(|it| came_from(it) == 3);
    assert!(by_key.clone().any(|it| it.partition == Some(0)), "there is no partition 3");

    assert_eq!(replayed(&pipeline, &["--to", &other]).of("copied"), 40);
    assert_eq!(numbers_in(kafka, &other), (0..80).filter(|it| it % 2 == 0).collect::<Vec<_>>());
    let used: std::collections::BTreeSet<_> =
        kafka.read(&other).iter().map(|it| it.partition).collect();
    assert!(used.len() > 2, "by key: {used:?}");
    for own in [pipeline.dead.clone(), recorded_in(&pipeline), unique("missing")] {
        let ended = replay(&pipeline, &["--to", &own]);
        assert!(matches!(ended.status, Some(2 | 3)), "{own}: {}", ended.log);
    }
}

#[test]
fn filters_after_each_other_leave_nothing_out_and_double_nothing() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 3);
    let time = |number: usize| 1_700_000_000_000 + i64::try_from(number).unwrap() * 1_000;
    let all = (0..2_000).map(|number| {
        let class = ["not_json", "table_miss", "expression"][number / 3 % 3];
        letter(&pipeline, number, class, 3).timestamp(time(number))
    });
    kafka.produce(&pipeline.dead, &all.collect::<Vec<_>>());
    let since = "2023-11-14T22:30:00Z"; // 1,700,001,000: number 1,000.
    let counts = [
        &["--class", "not_json", "--partition", "1"][..],
        &["--class", "not_json", "--class", "expression", "--since", since],
        &["--max-records", "100"],
        &["--step", "another"],
        &["--until", since, "--partition", "0"],
        &["--since", "1h"],
        &[],
        &[],
    ]
    .map(|filters| replayed(&pipeline, filters).of("copied"));
    let (step, hour, last) = (counts[3], counts[5], counts[7]);
    assert_eq!((counts[2], step, hour, last), (100, 0, 0, 0), "{counts:?}");
    assert!(counts[0] > 200 && counts[1] > 400 && counts[4] > 100 && counts[6] > 100, "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), 2_000);
    assert_eq!(numbers_in(kafka, &pipeline.input), (0..2_000).collect::<Vec<_>>());
    assert_eq!(kafka.read(&recorded_in(&pipeline)).len(), 2_000);
    let ends = kafka.read(&pipeline.dead).iter().fold([0, 0, 0], |mut ends, it| {
        ends[usize::try_from(it.partition.unwrap()).unwrap()] = it.offset + 1;
        ends
    });
    let group = format!("{}.replay", pipeline.group);
    assert_eq!(kafka.committed(&group, &pipeline.dead), ends.map(Some));
}

#[test]
fn what_cannot_be_replayed_is_passed_over_and_told() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    let plain = |number| letter(&pipeline, number, "not_json", 1);
    let all = [
        plain(0).with("hotspur.truncated", "length=9, xxh3=00000000000000ab"),
        plain(1).with("hotspur.replays", "3"),
        plain(2).with("hotspur.replays", "2"),
        Message::new("3").key("3"),
        plain(4).with("hotspur.topic", &unique("gone")),
        plain(5),
        plain(6).with("hotspur.topic", "no such / topic"),
        plain(7).with("hotspur.topic", ""),
        plain(8).with("hotspur.partition", "-7"),
    ];
    kafka.produce(&pipeline.dead, &all);
    let dry = replay(&pipeline, &["--dry-run"]);
    let ended = replay(&pipeline, &[]);
    assert!(ended.log.contains("replay.no_topic"), "{}", ended.log);
    for ended in [dry, ended] {
        assert_eq!(ended.status, Some(1), "{}\n{}", ended.output, ended.log);
        let fates = Fates(ended.output);
        let names = ["copied", "truncated", "at_max_replays", "no_origin", "no_topic"];
        assert_eq!(names.map(|it| fates.of(it)), [3, 1, 1, 1, 3], "{}", fates.0);
    }
    assert_eq!(numbers_in(kafka, &pipeline.input), [2, 5, 8]);
    let raised = replay(&pipeline, &["--max-replays", "9"]);
    assert_eq!(Fates(raised.output).of("copied"), 1);
    let copy = kafka.read(&pipeline.input).pop().expect("a copy");
    assert_eq!((copy.text(), copy.header_text("hotspur.replays")), ("1", "4"));
}

#[test]
fn a_copy_that_the_broker_refuses_stays_and_its_neighbours_come_home() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    for topic in [&pipeline.output, &pipeline.dead] {
        kafka.create_topic(topic, 1);
    }
    kafka.create_topic_with(&pipeline.input, 1, &[("max.message.bytes", "20000")]);
    let mut all = letters(&pipeline, 0..20, "not_json", 1);
    all[7].value = Some(vec![b'x'; 50_000]);
    kafka.produce(&pipeline.dead, &all);
    let ended = replay(&pipeline, &[]);
    assert_eq!(ended.status, Some(1), "{}\n{}", ended.output, ended.log);
    assert!(ended.log.contains("MSG_SIZE_TOO_LARGE"), "{}", ended.log);
    let fates = Fates(ended.output);
    assert_eq!((fates.of("copied"), fates.of("refused")), (19, 1), "{}", fates.0);
    kafka.set_topic(&pipeline.input, "max.message.bytes", "100000");
    await_true("the topic to take the large one", || {
        Fates(replay(&pipeline, &[]).output).of("copied") == 1
    });
    assert_eq!(numbers_in(kafka, &pipeline.input), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 2);
    kafka.produce(&pipeline.dead, &letters(&pipeline, 0..50, "not_json", 2));
    let fates = replayed(&pipeline, &["--dry-run", "--max-records", "30"]);
    assert_eq!(fates.of("copied"), 30, "{}", fates.0);
    assert!(fates.0.contains("nothing was"), "{}", fates.0);
    assert!(fates.0.contains(&pipeline.input), "{}", fates.0);
    assert_eq!(kafka.end_offsets(&pipeline.input), [0, 0]);
    assert_eq!(kafka.partitions(&recorded_in(&pipeline)), 0);
    let group = format!("{}.replay", pipeline.group);
    assert_eq!(kafka.committed(&group, &pipeline.dead), [None, None]);
}

#[test]
fn other_groups_that_will_see_the_records_again_are_named() {
    let kafka = Kafka::shared();
    let (pipeline, other) = (Pipeline::names(kafka), Pipeline::names(kafka));
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.dead, &letters(&pipeline, 0..3, "not_json", 1));
    let alone = replay(&pipeline, &["--dry-run"]);
    assert!(alone.log.contains("replay.no_other_groups"), "{}", alone.log);
    let reader = other.set("source.kafka.topics", toml_edit::Array::from_iter([&pipeline.input]));
    reader.create_topics(kafka, 1);
    let (running, own) = (reader.run(), pipeline.run());
    running.await_assigned();
    own.await_assigned();
    let ended = replay(&pipeline, &[]);
    assert_eq!(ended.status, Some(0), "{}", ended.log);
    let told = ended.log.lines().find(|it| it.contains("replay.other_groups"));
    let told = told.unwrap_or_else(|| panic!("no group in {}", ended.log));
    assert!(told.contains(&reader.group) && !told.contains(&pipeline.group), "{told}");
    running.stop();
    own.stop();
}

#[test]
fn a_rate_is_an_open_loop() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.dead, &letters(&pipeline, 0..101, "not_json", 1));
    let began = Instant::now();
    assert_eq!(replayed(&pipeline, &["--rate", "100"]).of("copied"), 101);
    assert!(began.elapsed().as_millis() >= 1_000, "the last letter is due after a second");
}

#[test]
fn through_the_pipeline_a_table_on_demand_is_waited_for() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:user1", "gold");
    let pipeline = Pipeline::orders(kafka, &redis)
        .without("tables.users.on_empty")
        .set("tables.users.load", "on-demand")
        // Longer than a busy machine takes to answer.
        .set("tables.users.wait", "20s");
    pipeline.create_topics(kafka, 1);
    let lettered = |number: u64, key: &str| {
        let record = Message::new(order(number, key, number)).key(number.to_string());
        record.letter_of(&pipeline.input, "lookup_timeout", 0, 0)
    };
    let all: Vec<_> =
        (0..20).map(|it| lettered(it, if it % 2 == 0 { "user1" } else { "stranger" })).collect();
    kafka.produce(&pipeline.dead, &all);
    let fates = replayed(&pipeline, &["--to", "pipeline"]);
    assert_eq!((fates.of("emitted"), fates.of("skipped")), (10, 10), "{}", fates.0);
    let results = kafka.read(&pipeline.output);
    let texts: Vec<_> = results.iter().map(Message::text).collect();
    let expected: Vec<_> =
        (0..20).step_by(2).map(|it| format!("processed_user1_{it}_gold")).collect();
    assert_eq!(texts, expected);
    assert_eq!(replayed(&pipeline, &[]).of("replayed_before"), 20, "skipped ones are done, too");
}
