//! What a run tells whoever looks: moments, their events, `top`, and the lag.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use serde_json::Value;

use crate::support::{
    PATIENCE, await_some, await_true, free_port,
    http::{get, get_with},
    kafka::Kafka,
    message::Message,
    pipeline::Pipeline,
};

fn names(count: usize) -> Vec<Message> {
    (0..count).map(|number| Message::new(format!("{{\"number\":{number}}}"))).collect()
}

/// A pipeline whose process listens on a port of its own.
fn listening(kafka: &Kafka) -> (Pipeline, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let pipeline = Pipeline::names(kafka).set("observe.listen", address.as_str());
    pipeline.create_topics(kafka, 1);
    (pipeline, address)
}

fn moment(address: &str) -> Value {
    let (status, text) = get(address, "/live/moment");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("a moment is JSON")
}

/// The next event of a stream: its name and what it says.
fn event(stream: &mut impl BufRead) -> (String, Value) {
    let (mut name, mut data) = (String::new(), Value::Null);
    for line in stream.lines() {
        let line = line.expect("a stream goes on");
        if let Some(it) = line.strip_prefix("event: ") {
            name = it.to_owned();
        } else if let Some(it) = line.strip_prefix("data: ") {
            data = serde_json::from_str(it).expect("JSON");
        } else if line.is_empty() && !data.is_null() {
            break;
        }
    }
    (name, data)
}

#[test]
fn moments_come_one_at_a_time_and_as_events_and_top_prints_one() {
    let kafka = Kafka::shared();
    let (pipeline, address) = listening(kafka);
    // Whoever looks sees each second, however long an interval of the log is.
    let pipeline = pipeline.set("observe.interval", "1m");
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    kafka.produce(&pipeline.input, &names(20));
    let mut seen = Value::Null;
    await_true("a moment with all records", || {
        seen = moment(&address);
        seen["records"]["emitted"] == 20
    });
    assert_eq!((&seen["v"], &seen["name"]), (&1.into(), &"names".into()));
    assert_eq!(seen["reasons"], Value::Array(Vec::new()));
    let spans = seen["spans"].as_array().expect("spans");
    let transit = spans.iter().find(|it| it["name"] == "transit").expect("transit");
    assert_eq!(transit["run"]["count"], 20);
    let run = &transit["run"];
    let figures = ["p50", "p99", "p999", "max"].map(|it| run[it].as_u64().expect("nanoseconds"));
    assert!(figures[0] > 0 && figures.is_sorted(), "{run}");
    let shares = seen["regimes"].as_object().expect("regimes").values();
    let sum: f64 = shares.map(|it| it.as_f64().expect("a share")).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{sum}");

    let mut stream = TcpStream::connect(&address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    write!(stream, "GET /live/events HTTP/1.0\r\nHost: {address}\r\n\r\n").expect("a question");
    let mut stream = BufReader::new(stream);
    let (name, history) = event(&mut stream);
    assert_eq!(name, "history");
    assert!(!history.as_array().expect("columns").is_empty());
    let times = [event(&mut stream), event(&mut stream)].map(|(name, moment)| {
        assert_eq!(name, "moment");
        moment["column"]["at_ms"].as_u64().expect("a time")
    });
    assert!(times[1] - times[0] >= 900, "{times:?}: a second apart");
    drop(stream);

    await_true("a lag", || lag(&address).is_some());
    let top = pipeline.start(&["top"]).wait();
    assert_eq!(top.status, Some(0), "{}{}", top.output, top.log);
    for words in
        ["names · ", "transit", "polled 20, emitted 20", "saturation", "lag 0 records in 1"]
    {
        assert!(top.output.contains(words), "no {words} in\n{}", top.output);
    }
    let ended = hotspur.stop();
    let log = ended.output.contains("histogram files").then(|| pipeline.files_out(".hlog"));
    let log = fs::read_to_string(&log.expect("files")[0]).expect("a log");
    // By the CPU's clock: whatever becomes of the wall's, there is one.
    let intervals = log.lines().filter(|it| it.starts_with("Tag=transit,"));
    assert_eq!(intervals.count(), 1, "looking changes no file:\n{log}");
    let gone = pipeline.start(&["top"]).wait();
    assert_eq!(gone.status, Some(3));
    assert!(
        gone.log.contains("nobody answers at") && gone.log.contains("--address"),
        "{}",
        gone.log
    );
}

#[test]
fn beyond_loopback_only_who_knows_the_token_may_look() {
    let kafka = Kafka::shared();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let pipeline = Pipeline::names(kafka)
        .set("observe.listen", format!("0.0.0.0:{port}"))
        .set("observe.token", "a+word&more");
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    for path in ["/", "/live/events", "/live/moment", "/?token=another"] {
        let (status, why) = get(&address, path);
        assert!(status == 401 && why.contains("observe.token"), "{path}: {status} {why}");
    }
    assert_eq!((get(&address, "/metrics").0, get(&address, "/healthz").0), (200, 200));
    let page = get_with(&address, "/", "Authorization: Bearer a+word&more");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<!DOCTYPE html>"), "{page}");
    // What a browser does: the token once, and a cookie from then on.
    let shown = get_with(&address, "/?token=a%2Bword%26more", "Accept: text/html");
    assert!(shown.starts_with("HTTP/1.1 303") && !shown.contains("more"), "{shown}");
    let cookie = shown.lines().find_map(|it| it.strip_prefix("set-cookie: ")).expect("a cookie");
    let cookie = format!("Cookie: {}", cookie.split(';').next().expect("a value"));
    let seen = get_with(&address, "/live/moment", &cookie);
    assert!(seen.starts_with("HTTP/1.1 200") && seen.contains("\"v\":1"), "{seen}");
    let top = pipeline.start(&["top", "--once"]).wait();
    assert_eq!(top.status, Some(0), "{}", top.log);
    hotspur.stop();
}

/// The lag of its only partition, from the metrics.
fn lag(address: &str) -> Option<(f64, f64)> {
    let text = get(address, "/metrics").1;
    let value = |name: &str| {
        let line = text.lines().find(|it| it.starts_with(&format!("{name}{{")))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    Some((value("hotspur_source_lag_records")?, value("hotspur_source_lag_seconds")?))
}

#[test]
fn lag_grows_while_a_run_is_paused_and_goes_when_it_has_caught_up() {
    let kafka = Kafka::shared();
    let (pipeline, address) = listening(kafka);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    kafka.produce(&pipeline.input, &names(5));
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    await_true("no lag", || lag(&address) == Some((0.0, 0.0)));
    assert_eq!(pipeline.start(&["pause"]).wait().status, Some(0));
    kafka.produce(&pipeline.input, &names(70));
    let seen = await_some("lag that lasts", || lag(&address).filter(|(_, seconds)| *seconds > 1.0));
    assert!((1.0..=70.0).contains(&seen.0), "{seen:?}");
    assert_eq!(pipeline.start(&["resume"]).wait().status, Some(0));
    await_true("no lag again", || lag(&address) == Some((0.0, 0.0)));
    hotspur.stop();
}

#[test]
fn marks_of_transactions_are_no_lag() {
    let kafka = Kafka::shared();
    let first = Pipeline::names(kafka).set("delivery.guarantee", "exactly-once");
    first.create_topics(kafka, 1);
    let (second, address) = listening(kafka);
    let second = second.set("source.kafka.topics", toml_edit::Array::from_iter([&first.output]));
    kafka.produce(&first.input, &names(30));
    let (ahead, hotspur) = (first.run(), second.run());
    hotspur.await_assigned();
    let all = "hotspur_polled_records_total 30";
    await_true("all records", || get(&address, "/metrics").1.lines().any(|it| it == all));
    assert_eq!(second.start(&["pause"]).wait().status, Some(0));
    kafka.produce(&first.input, &names(10));
    kafka.await_committed_to_end(&first.group, &first.input);
    ahead.stop();
    assert!(kafka.end_offsets(&first.output)[0] > 40, "there are marks");
    await_true("a lag", || lag(&address).is_some_and(|(records, _)| records >= 10.0));
    assert_eq!(second.start(&["resume"]).wait().status, Some(0));
    await_true("no lag", || lag(&address) == Some((0.0, 0.0)));
    hotspur.stop();
}
