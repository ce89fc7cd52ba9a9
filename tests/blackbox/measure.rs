//! Measurements: what they say is so, by an independent reader; what is required is held to.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Headers as _,
};
use serde_json::Value;
use toml_edit::Array;

use crate::{
    payload::name,
    support::{
        free_port,
        hotspur::{Ended, Hotspur},
        json_schema::assert_valid,
        kafka::Kafka,
        message::Message,
        pipeline::{Pipeline, files_in},
        redis::Redis,
    },
};

const NAMES: [&str; 3] = ["measure", "--payload", "names"];

/// A stamp, and when its result was read, in nanoseconds since the epoch.
type Sample = (u64, u64);

fn measure(pipeline: &Pipeline, arguments: &[&str]) -> Ended {
    pipeline.start(&[&NAMES[..], arguments].concat()).wait()
}

/// What it printed, which must fit the schema that the program prints. On a busy machine the rate
/// may be missed, and the status then says so; nothing else may be short.
#[track_caller]
pub(crate) fn result(ended: &Ended) -> Value {
    let read = serde_json::from_str(&ended.output);
    let value: Value = read.unwrap_or_else(|error| panic!("{error}: {}", ended.log));
    let folder = tempfile::tempdir().expect("a folder");
    let schema = Hotspur::start(folder.path(), &["schema", "measure"]).wait();
    assert_valid(&value, &serde_json::from_str(&schema.output).expect("a schema in JSON"));
    let status = if value["passed"] == true { 0 } else { 1 };
    assert_eq!(ended.status, Some(status), "{}\n{}", ended.output, ended.log);
    value
}

#[track_caller]
pub(crate) fn assert_passed(value: &Value) {
    let shortfalls = value["shortfalls"].as_array().expect("a list");
    let is_late = |it: &Value| it.as_str().is_some_and(|it| it.starts_with("rate missed"));
    assert!(shortfalls.iter().all(is_late), "{value:#}");
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_modest_rate_is_measured_whole_and_leaves_its_files() {
    let kafka = Kafka::shared();
    let in_file = Array::from_iter(["parse.p50 < 1s", "reordered = 0"]);
    let pipeline = Pipeline::names(kafka).set("measure.require", in_file);
    pipeline.create_topics(kafka, 2);
    // What was there before is not what is measured.
    let before: Vec<_> = (0..50).map(|it| Message::new(name(it))).collect();
    kafka.produce(&pipeline.input, &before);
    let out = tempfile::tempdir().expect("a folder");
    let folder = out.path().to_str().expect("a path in UTF-8");
    let arguments =
        ["--rate", "200", "--for", "2s", "--warmup", "500ms", "--json", "--out", folder];
    let required = ["--require", "loss = 0", "--require", "received.p99.9 < 1m"];
    let ended = measure(&pipeline, &[&arguments[..], &required].concat());
    let value = result(&ended);
    assert_passed(&value);
    let level = &value["levels"][0];
    for (field, expected) in [("acknowledged", 400), ("received", 400), ("lost", 0)] {
        assert_eq!(level[field], expected, "{field} in {value:#}");
    }
    assert_eq!((&level["duplicates"], &level["reordered"]), (&0.into(), &0.into()));
    let spans = &level["spans"];
    for span in ["received", "parse", "transit", "end_to_end", "ack"] {
        assert_eq!(spans[span]["count"], 400, "{span}: the warm-up is none of it");
    }
    assert_eq!(spans["hop"]["count"], 200, "a second of it");
    assert!(number(&spans["received"]["p50_ns"]) > number(&spans["transit"]["p50_ns"]));
    let holds = value["requirements"].as_array().expect("a list");
    assert_eq!(holds.len(), 4, "the file's and the command line's");
    assert!(holds.iter().all(|it| it["holds"] == true), "{value:#}");

    for ending in [".received.hgrm", ".hop.hgrm", ".measure.hlog", ".measure.json", ".parse.hgrm"] {
        let files = files_in(out.path(), ending);
        // What was there before has files of its own.
        let is_backlog = |it: &&PathBuf| it.to_string_lossy().contains(".backlog.");
        assert_eq!(files.iter().filter(|it| !is_backlog(it)).count(), 1, "{ending}: {files:?}");
    }
    let written = fs::read_to_string(&files_in(out.path(), ".measure.json")[0]).expect("a file");
    assert_eq!(serde_json::from_str::<Value>(&written).expect("JSON"), value);
}

#[test]
fn a_requirement_that_does_not_hold_is_a_status_and_a_sentence() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    let arguments = ["--rate", "100", "--for", "1s", "--warmup", "200ms"];
    let required = ["--require", "received.p50 < 1ns", "--require", "loss = 0"];
    let ended = measure(&pipeline, &[&arguments[..], &required].concat());
    assert_eq!(ended.status, Some(1), "{}\n{}", ended.output, ended.log);
    assert!(ended.log.contains("requirement failed: received.p50 < 1ns: "), "{}", ended.log);
    for words in ["FAILED  received.p50 < 1ns", "holds   loss = 0", "\nhop  ", "\nparse  "] {
        assert!(ended.output.contains(words), "no {words:?} in\n{}", ended.output);
    }
    for row in ["lost", "duplicates", "reordered"] {
        let line = ended.output.lines().find(|it| it.starts_with(row));
        assert!(line.is_some_and(|it| it.ends_with(" 0")), "{row} in\n{}", ended.output);
    }
}

#[test]
fn a_rate_that_nobody_could_keep_is_missed() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).property("queue.buffering.max.messages", "100");
    pipeline.create_topics(kafka, 1);
    let arguments = ["--rate", "5M", "--for", "1s", "--warmup", "0s"];
    let ended = measure(&pipeline, &arguments);
    assert_eq!(ended.status, Some(1), "{}\n{}", ended.output, ended.log);
    assert!(ended.log.contains("rate missed: 5,000,000 a second: only "), "{}", ended.log);
    assert!(ended.output.contains("  MISSED, "), "{}", ended.output);
}

#[test]
fn a_ramp_has_a_row_a_rate_and_names_its_knee() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    let arguments = ["--rate", "100..400", "--levels", "3", "--for", "1s", "--warmup", "0s"];
    let ended = measure(&pipeline, &arguments);
    assert!(ended.output.contains("p99 of received"), "{}\n{}", ended.output, ended.log);
    for rate in ["100", "200", "400"] {
        let row = format!("{rate:>10}  ");
        assert!(ended.output.lines().any(|it| it.starts_with(&row)), "{}", ended.output);
    }
    let words = ["\nthe knee is at ", "\nthe knee was not reached: "];
    let is_found = words.iter().any(|it| ended.output.contains(it));
    assert_eq!(ended.status, Some(if is_found { 0 } else { 1 }), "{}", ended.log);
    assert_eq!(ended.log.contains("the ramp has no knee"), !is_found, "{}", ended.log);
}

#[test]
fn a_pipeline_elsewhere_says_itself_what_it_skipped() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    (1..=10).for_each(|it| redis.set(&format!("user:user{it}"), "gold"));
    let listen = format!("127.0.0.1:{}", free_port());
    let pipeline = Pipeline::orders(kafka, &redis).set("observe.listen", listen);
    pipeline.create_topics(kafka, 1);
    let running = pipeline.run();
    running.await_assigned();
    let arguments = ["--rate", "200", "--for", "2s", "--warmup", "500ms", "--keys", "20"];
    let required =
        ["--external", "--json", "--require", "loss = 0", "--require", "end_to_end.max < 1m"];
    let ended = pipeline.start(&[&["measure"], &arguments[..], &required].concat()).wait();
    let value = result(&ended);
    assert_passed(&value);
    let level = &value["levels"][0];
    let skipped = number(&level["books"]["skipped"]["table_miss"]);
    assert!(skipped > 100, "{value:#}");
    assert_eq!(number(&level["received"]) + skipped, 400, "{value:#}");
    assert_eq!(level["lost"], 0);
    let spans = level["spans"].as_object().expect("an object");
    assert_eq!(spans.keys().collect::<Vec<_>>(), ["hop", "received"], "stages are not known");
    running.stop().counts().assert_balanced();
}

#[test]
fn a_pipeline_that_does_not_run_or_passes_nothing_on_is_told() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    redis.set("user:nobody", "gold");
    let pipeline = Pipeline::orders(kafka, &redis);
    pipeline.create_topics(kafka, 1);
    let load = ["measure", "--rate", "50", "--for", "1s", "--warmup", "200ms"];
    let ended = pipeline.start(&[&load[..], &["--external"]].concat()).wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("is the pipeline running"), "{}", ended.log);
    let ended = pipeline.start(&load).wait();
    assert_eq!(ended.status, Some(2), "{}", ended.log);
    assert!(ended.log.contains("passes no record of this load on (table_miss)"), "{}", ended.log);
}

/// Reads a topic of one partition beside whoever else does, until told to end.
fn read_beside(
    kafka: &Kafka,
    topic: &str,
    done: &AtomicBool,
    mut see: impl FnMut(Sample, Vec<u8>),
) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.brokers()).set("group.id", "beside");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    let added = partitions.add_partition_offset(topic, 0, Offset::Beginning);
    added.expect("a partition can be named");
    consumer.assign(&partitions).expect("a partition can be read");
    while !done.load(Ordering::Acquire) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) else { continue };
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = since_epoch.expect("a clock after 1970").as_nanos();
        let headers = message.headers().into_iter().flat_map(|it| it.iter());
        let stamps = headers.filter(|it| it.key == "hotspur.due").filter_map(|it| it.value);
        let due = stamps.map(|it| std::str::from_utf8(it).expect("digits")).next();
        let Some(due) = due.map(|it| it.parse().expect("a number")) else { continue };
        let now = u64::try_from(now).expect("a clock before the year 2554");
        see((due, now), message.payload().unwrap_or_default().to_vec());
    }
}

#[test]
fn an_independent_reader_comes_to_the_same_percentiles() {
    let kafka = Kafka::shared();
    // Results wait for each other for so long that it does not matter who reads them first.
    let pipeline = Pipeline::names(kafka).sink_property("linger.ms", "2000");
    pipeline.create_topics(kafka, 1);
    let done = AtomicBool::new(false);
    let (value, samples) = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut samples: Vec<Sample> = Vec::new();
            read_beside(kafka, &pipeline.output, &done, |sample, _| samples.push(sample));
            samples
        });
        let arguments = ["--rate", "200", "--for", "12s", "--warmup", "0s", "--json"];
        let ended = measure(&pipeline, &arguments);
        done.store(true, Ordering::Release);
        (result(&ended), reading.join().expect("the reader read"))
    });
    let level = &value["levels"][0];
    let count = usize::try_from(number(&level["received"])).expect("a number of samples");
    assert_eq!(count, 2_400, "{value:#}");
    // What was due before that was the bare hop.
    let window = number(&level["first_due_ns"])..=number(&level["last_due_ns"]);
    let measured = samples.iter().filter(|(due, _)| window.contains(due));
    let mut latencies: Vec<u64> = measured.map(|(due, now)| now - due).collect();
    assert_eq!(latencies.len(), count);
    latencies.sort_unstable();
    for (field, quantile) in [("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99), ("max_ns", 1.0)] {
        let index = (quantile * count as f64).ceil() as usize - 1;
        let theirs = latencies[index] as f64;
        let ours = number(&level["spans"]["received"][field]) as f64;
        // One part in a thousand is what the histogram rounds by.
        let apart = (ours - theirs).abs() / theirs;
        assert!(apart < 0.01 + 0.001, "{field}: {ours} for {theirs}, {apart}");
    }
}

#[test]
fn results_that_come_twice_are_counted() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    let done = AtomicBool::new(false);
    let ended = thread::scope(|scope| {
        scope.spawn(|| {
            let writer = kafka.writer();
            let mut copied = Vec::new();
            read_beside(kafka, &pipeline.output, &done, |(due, _), value| {
                if due % 10 == 0 && !copied.contains(&due) {
                    copied.push(due);
                    let copy = Message::new(value);
                    let copy = copy.header("hotspur.due", due.to_string());
                    writer.send(&pipeline.output, &copy);
                }
            });
            writer.finish();
        });
        let arguments = ["--rate", "333", "--for", "3s", "--warmup", "0s", "--json"];
        let required = ["--require", "duplicates = 0", "--require", "loss = 0"];
        let ended = measure(&pipeline, &[&arguments[..], &required].concat());
        done.store(true, Ordering::Release);
        ended
    });
    let value = result(&ended);
    assert_eq!(ended.status, Some(1), "{value:#}");
    let level = &value["levels"][0];
    assert!(number(&level["duplicates"]) > 0, "{value:#}");
    assert_eq!((&level["received"], &level["lost"]), (&999.into(), &0.into()));
    let failed = "requirement failed: duplicates = 0: ";
    assert!(ended.log.contains(failed), "{}", ended.log);
}
