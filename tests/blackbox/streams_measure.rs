//! Measurements where source, sink or both are streams: the same figures, by the same stamps.

use serde_json::Value;

use crate::{
    measure::{assert_passed, number, result},
    stream_rig::{Client, GROUP, IN, OUT, StreamPipeline},
    support::{free_port, kafka::Kafka, names::RUN_STARTED, redis::Redis, unique},
};

const MODEST: [&str; 9] =
    ["measure", "--payload", "names", "--rate", "200", "--for", "2s", "--warmup", "500ms"];
const REQUIRED: [&str; 7] = [
    "--json",
    "--require",
    "loss = 0",
    "--require",
    "duplicates = 0",
    "--require",
    "received.p99.9 < 1m",
];

fn stream_source(redis: &Redis) -> String {
    let url = redis.url();
    format!("[source.redis]\nurl = \"{url}\"\nstreams = [\"{IN}\"]\ngroup = \"{GROUP}\"\n")
}

fn stream_sink(redis: &Redis) -> String {
    format!("[sink.redis]\nurl = \"{}\"\nstream = \"{OUT}\"\n", redis.url())
}

fn topic_source(kafka: &Kafka) -> String {
    let (input, group) = (unique("measured-in"), unique("measured-group"));
    kafka.create_topic(&input, 1);
    kafka.create_topic(&format!("{input}.dead"), 1);
    let brokers = kafka.brokers();
    format!(
        "[kafka]\nbrokers = \"{brokers}\"\n[source.kafka]\ntopics = [\"{input}\"]\n\
         group = \"{group}\"\n"
    )
}

fn topic_sink(kafka: &Kafka) -> String {
    let output = unique("measured-out");
    kafka.create_topic(&output, 1);
    format!("[sink.kafka]\ntopic = \"{output}\"\nbrokers = \"{}\"\n", kafka.brokers())
}

#[track_caller]
fn assert_whole(value: &Value) {
    assert_passed(value);
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
}

fn measured(pipeline: &StreamPipeline) -> Value {
    result(&pipeline.start_with(&[&MODEST[..], &REQUIRED].concat(), &[]).wait())
}

#[test]
fn between_streams_a_modest_rate_is_measured_whole_in_either_form() {
    for field in [None, Some("body")] {
        let redis = Redis::start();
        let mut client = Client::of(&redis);
        // What was there before is not what is measured, but is done first.
        for _ in 0..50 {
            client.add(IN, &[(field.unwrap_or("key"), b"{}")]);
        }
        let pipeline = StreamPipeline::new(&redis);
        let pipeline = match field {
            Some(field) => pipeline.set("source.redis.field", field),
            None => pipeline,
        };
        let value = measured(&pipeline);
        assert_whole(&value);
        assert_eq!((&value["source"], &value["sink"]), (&IN.into(), &OUT.into()), "{value:#}");
        client.await_settled(IN);
        // 50, of the hop 100 and 200, of the load 100 and 400.
        assert_eq!((client.len(IN), client.len(OUT)), (850, 850), "all of them came through");
        let last = client.entries(OUT).pop().expect("a result");
        assert!(!last.text("payload").contains("hotspur.due"), "{last:?}");
        assert!(last.text("hotspur.due").parse::<u64>().is_ok(), "{last:?}");
    }
}

#[test]
fn exactly_once_between_streams_nothing_is_lost_or_doubled() {
    let redis = Redis::start();
    let pipeline = StreamPipeline::new(&redis).set("delivery.guarantee", "exactly-once");
    let pipeline = pipeline.set("delivery.commit_interval", "20ms");
    assert_whole(&measured(&pipeline));
}

#[test]
fn topics_and_streams_mix() {
    let (kafka, redis) = (Kafka::shared(), Redis::start());
    let to_redis = StreamPipeline::of(&topic_source(kafka), &stream_sink(&redis));
    assert_whole(&measured(&to_redis));
    let to_kafka = StreamPipeline::of(&stream_source(&redis), &topic_sink(kafka));
    assert_whole(&measured(&to_kafka));
}

#[test]
fn of_a_pipeline_elsewhere_what_it_passes_over_is_no_loss() {
    let redis = Redis::start();
    let listen = format!("127.0.0.1:{}", free_port());
    let pipeline = StreamPipeline::new(&redis)
        .set("observe.listen", &listen)
        .with("[[steps]]\nfilter = \"event.id.endsWith('1')\"\n");
    let running = pipeline.run();
    running.await_event(RUN_STARTED);
    let orders = ["measure", "--rate", "200", "--for", "2s", "--warmup", "500ms", "--external"];
    let required = ["--json", "--require", "loss = 0", "--require", "end_to_end.max < 1m"];
    let ended = pipeline.start_with(&[&orders[..], &required].concat(), &[]).wait();
    let value = result(&ended);
    assert_passed(&value);
    let level = &value["levels"][0];
    let skipped = number(&level["books"]["skipped"]["filtered"]);
    assert_eq!((number(&level["received"]), skipped), (40, 360), "{value:#}");
    assert_eq!(level["lost"], 0);
    running.stop().counts().assert_balanced();
}

#[test]
fn a_pipeline_that_does_not_run_is_told_and_so_is_a_key_that_is_no_stream() {
    let redis = Redis::start();
    let pipeline = StreamPipeline::new(&redis);
    let load = ["measure", "--rate", "50", "--for", "1s", "--warmup", "200ms", "--external"];
    let ended = pipeline.start_with(&load, &[]).wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("is the pipeline running"), "{}", ended.log);
    redis.set("text", "no stream");
    let ended = pipeline.start_with(&load, &["sink.redis.stream=text"]).wait();
    assert_eq!(ended.status, Some(3), "{}", ended.log);
    assert!(ended.log.contains("name another stream"), "{}", ended.log);
}
