//! What a run leaves behind: the table on standard output, the histogram files, and a short log.

use std::{
    fs,
    process::Command,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hdrhistogram::serialization::{
    Deserializer,
    interval_log::{IntervalLogIterator, LogEntry},
};

use crate::{
    payload::name,
    support::{
        await_true, clients::Load, json_schema::assert_valid, kafka::Kafka, message::Message,
        pipeline::Pipeline,
    },
};

const RECORDS: u64 = 1_000;

/// Stages that every emitted record has.
const STAGES: [&str; 8] = ["source", "queue", "batch", "parse", "operate", "encode", "send", "ack"];

const TOTALS: [&str; 2] = ["transit", "end_to_end"];

#[test]
fn a_run_leaves_its_latencies_as_table_and_files() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).set("name", "left").set("instance", "behind");
    pipeline.create_topics(kafka, 1);
    let names: Vec<_> = (0..RECORDS).map(|it| Message::new(name(it))).collect();
    // As many that are older than the run as that come during it.
    kafka.produce(&pipeline.input, &names);
    let hotspur = pipeline.run_to_end(kafka);
    kafka.produce(&pipeline.input, &names);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let ended = hotspur.stop();

    for heading in ["p50", "p90", "p99", "p99.9", "p99.99", "max", "saturation", "ppm"] {
        assert!(ended.output.contains(heading), "no {heading} in:\n{}", ended.output);
    }
    let logs = pipeline.files_out(".hlog");
    assert_eq!(logs.len(), 1, "{logs:?}");
    let stem = logs[0].file_stem().and_then(|it| it.to_str()).expect("a name in UTF-8");
    assert!(stem.starts_with("left-behind-2") && stem.ends_with('Z'), "{stem}");
    let log = fs::read(&logs[0]).expect("a readable log");
    assert_eq!(values_in(&log, None), RECORDS);
    let spans = STAGES.iter().chain(&TOTALS);
    for span in spans.flat_map(|span| [span.to_string(), format!("backlog.{span}")]) {
        let is_row = |line: &&str| line.split_whitespace().next() == Some(span.as_str());
        let line = ended.output.lines().find(is_row);
        let line = line.unwrap_or_else(|| panic!("no line for {span} in:\n{}", ended.output));
        assert!(line.split_whitespace().any(|it| it == "1,000"), "{line}");
        if span != "end_to_end" {
            assert_eq!(values_in(&log, Some(&span)), RECORDS, "{span}");
        }
        let files = pipeline.files_out(&format!("{stem}.{span}.hgrm"));
        assert_eq!(files.len(), 1, "{span}");
        let text = fs::read_to_string(&files[0]).expect("a readable distribution");
        assert!(text.contains("#[Unit: us]"), "{text}");
        assert!(text.contains("Percentile"), "{text}");
        let total = text.lines().find(|line| line.contains("Total count"));
        assert!(total.is_some_and(|line| line.ends_with(" 1000]")), "{text}");
    }
    assert_slow_records(&pipeline.files_out(&format!("{stem}.slow.jsonl")));
}

/// The ten slowest of each interval leave a line, and each says where its time went and why.
fn assert_slow_records(files: &[std::path::PathBuf]) {
    assert_eq!(files.len(), 1);
    let text = fs::read_to_string(&files[0]).expect("a readable file");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.len() >= 10, "{text}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotspur"));
    let schema = command.args(["schema", "slow"]).output().expect("hotspur runs").stdout;
    let schema = serde_json::from_slice(&schema).expect("JSON");
    lines.iter().for_each(|line| assert_valid(line, &schema));
    for line in lines.iter().filter(|it| it["left_out"].is_null()) {
        let stages = line["stages"].as_object().expect("stages");
        let number = |name: &str| stages[name].as_u64().expect("nanoseconds");
        let in_transit: u64 = STAGES[1..7].iter().chain(&["held"]).map(|it| number(it)).sum();
        let transit = line["transit_ns"].as_u64().expect("nanoseconds");
        // Each is rounded down by itself.
        assert!(transit.abs_diff(in_transit) <= 8, "{line}");
        for field in ["ts", "topic", "cause", "verdict", "slowest_stage"] {
            assert!(line[field].as_str().is_some_and(|it| !it.is_empty()), "{field} in {line}");
        }
        assert!(line["offset"].is_i64() && line["partition"].is_i64(), "{line}");
        assert!(line["lately"]["within_ns"].is_u64(), "{line}");
    }
}

#[test]
fn files_are_written_when_asked_for_while_the_run_goes_on() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    kafka.produce(&pipeline.input, &[Message::new(name(0))]);
    let hotspur = pipeline.run_to_end(kafka);
    assert!(pipeline.files_out(".end_to_end.hgrm").is_empty(), "written without being asked");
    await_true("a percentile file", || {
        hotspur.signal("USR1");
        !pipeline.files_out(".end_to_end.hgrm").is_empty()
    });
    kafka.produce(&pipeline.input, &[Message::new(name(1))]);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    assert_eq!(hotspur.stop().counts().emitted, 2);
}

#[test]
fn a_kill_costs_the_log_no_more_than_its_last_interval() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).set("observe.interval", "200ms");
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    let names: Vec<_> = (0..50_000).map(|it| Message::new(name(it))).collect();
    let load = Load::start(kafka, &pipeline.input, names);
    let log = || fs::read(&pipeline.files_out(".hlog")[0]).expect("a readable log");
    let is_interval = |line: &&str| line.starts_with(|it: char| it.is_ascii_digit());
    let intervals = |log: &[u8]| String::from_utf8_lossy(log).lines().filter(is_interval).count();
    await_true("some intervals with records", || {
        let log = log();
        let whole = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        intervals(&log[..whole]) >= 5 && values_in(&log[..whole], None) > 0
    });
    let before = log();
    let killed = SystemTime::now();
    hotspur.kill();
    let after = log();
    assert!(after.starts_with(&before), "what was written stays");
    let whole = after.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let read = last_end(&after[..whole]);
    let lost = killed.duration_since(read).expect("a log of the past");
    // An interval, the turn in which it is handed over, and what a busy machine adds.
    assert!(lost < Duration::from_secs(2), "{lost:?} of the log are lost");
    drop(load);
}

#[test]
fn a_log_that_cannot_grow_keeps_whole_lines_costs_no_record_and_goes_on_later() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).set("observe.interval", "100ms");
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    let log = || fs::read(&pipeline.files_out(".hlog")[0]).expect("a readable log");
    // The next line fits in part, and what of it was written is cut.
    hotspur.limit_files(Some(log().len() as u64 + 40));
    let names: Vec<_> = (0..2_000).map(|it| Message::new(name(it))).collect();
    kafka.produce(&pipeline.input, &names);
    hotspur.await_matching("trouble with the log", |it| {
        it.name() == "peer.trouble" && it.text("peer") == "files" && it.text("code") == ".hlog"
    });
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let full = log();
    assert!(full.ends_with(b"\n"), "{:?}", String::from_utf8_lossy(&full[full.len() - 60..]));
    hotspur.limit_files(None);
    kafka.produce(&pipeline.input, &names[..100]);
    await_true("a log that goes on", || {
        let log = log();
        let whole = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        values_in(&log[..whole], None) >= 100
    });
    let ended = hotspur.stop();
    assert_eq!(ended.counts().emitted, 2_100);
    // What the run sums up is whole, whatever the log could not take.
    let row = ended.output.lines().find(|it| it.starts_with("end_to_end")).expect("a table");
    assert!(row.contains("2,100"), "{row}");
}

/// When the last interval without a tag ended.
fn last_end(log: &[u8]) -> SystemTime {
    let (mut started, mut end) = (Duration::ZERO, Duration::ZERO);
    for entry in IntervalLogIterator::new(log) {
        match entry.expect("a line that tools can read") {
            LogEntry::StartTime(time) => started = time,
            LogEntry::Interval(it) if it.tag().is_none() => {
                end = it.start_timestamp() + it.duration();
            }
            _ => {}
        }
    }
    SystemTime::UNIX_EPOCH + started + end
}

/// How many values the intervals of that tag hold; those without a tag for `None`.
fn values_in(log: &[u8], tag: Option<&str>) -> u64 {
    assert!(std::str::from_utf8(log).expect("a log in UTF-8").contains("StartTime"));
    let mut deserializer = Deserializer::new();
    let mut values = 0;
    for entry in IntervalLogIterator::new(log) {
        let LogEntry::Interval(interval) = entry.expect("a line that tools can read") else {
            continue;
        };
        if interval.tag().as_ref().map(|it| it.as_str()) == tag {
            let bytes = BASE64_STANDARD.decode(interval.encoded_histogram()).expect("base64");
            let histogram = deserializer.deserialize::<u64, _>(&mut &bytes[..]);
            values += histogram.expect("a histogram").len();
        }
    }
    values
}

#[test]
fn a_log_is_lines_of_json_and_none_is_about_a_single_record() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    let bad: Vec<_> = (0..500).map(|it| Message::new(format!("nonsense {it}"))).collect();
    kafka.produce(&pipeline.input, &bad);
    let ended = pipeline.run_to_end(kafka).stop();
    let lines: Vec<serde_json::Value> = ended
        .log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        for field in ["ts", "level", "event", "message"] {
            assert!(line[field].is_string(), "no {field} in {line}");
        }
    }
    assert!(lines.len() < 40, "{} lines:\n{}", lines.len(), ended.log);
    let about_class = ended.log.lines().filter(|line| line.contains("not_json")).count();
    assert!((1..=4).contains(&about_class), "{}", ended.log);
}

#[test]
fn a_start_is_told_in_a_dozen_lines_at_most() {
    let kafka = Kafka::shared();
    let folder = tempfile::tempdir().expect("a folder");
    // Each is loaded for nothing, which is a warning each, too.
    let pipeline = (0..10).fold(Pipeline::names(kafka), |pipeline, number| {
        let file = folder.path().join(format!("{number}.jsonl"));
        fs::write(&file, "{\"key\":\"a\",\"value\":1}\n").expect("a file that can be written");
        pipeline.set(&format!("tables.table{number}.file"), file.to_str().expect("a path in UTF-8"))
    });
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    let ended = hotspur.stop();
    let lines: Vec<&str> = ended.log.lines().collect();
    let started = lines.iter().position(|line| line.contains("\"event\":\"run.started\""));
    assert!(started.expect("a start") < 12, "{}", ended.log);
    let tables = lines.iter().find(|line| line.contains("\"event\":\"tables.loaded\""));
    assert!(tables.is_some_and(|line| line.contains("\"tables\":10")), "{}", ended.log);
}
