//! How soon: observations on an open-loop schedule, from when each was due until a listener on the
//! results has read what became of it.
//!
//! Beside it the bare hop: the same schedule and listener on one stream, which is what server,
//! writer, listener and machine take alone. Each entry bears the time at which it was due
//! (`hotspur.due`), and its result keeps that.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use hdrhistogram::Histogram;
use hotspur::{
    clock::{Clock, TscClock, WallOffset},
    config::settings::RedisSink as Settings,
    loadgen::{self, Load, LoadReport, LoadSettings, Pace, Payload},
    record::Destination,
    transport::redis::{RedisSink, RedisSinkPlan},
};
use redis::Value as Reply;

use super::{
    Plan,
    redis_server::Server,
    statistics::median,
    weather::{self, GROUP, OBSERVATIONS, RESULTS},
};

const RATES: [u64; 2] = [1_000, 20_000];

/// Of each; the medians are shown.
const TIMES: usize = 3;

/// Entries that a worker takes at once, as it does by itself.
const BATCH: usize = 256;

/// What has not come this long after the last one was sent does not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Prints the figures.
pub(crate) fn show(server: &Server, plan: &Plan) {
    println!("## Stream → pipeline → stream: from due to read\n");
    println!(
        "{TIMES} times {:?} of each in turn, medians; a listener waits in `XREAD BLOCK`. A record \
         is late if it was handed over more than 1 ms after it was due.\n",
        plan.length
    );
    println!("| observations/s | through | p50 µs | p99 µs | p99.9 µs | late, at most |");
    println!("| ---: | --- | ---: | ---: | ---: | ---: |");
    for rate in RATES {
        let (mut hops, mut runs) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            hops.push(once(server, rate, plan.length, OBSERVATIONS));
            runs.push(once(server, rate, plan.length, RESULTS));
        }
        for (name, all) in [("nothing, the bare hop", hops), ("`hotspur run`", runs)] {
            let of = |quantile: f64| {
                let micros = |it: &Histogram<u64>| it.value_at_quantile(quantile) as f64 / 1e3;
                median(all.iter().map(|(latency, _)| micros(latency)))
            };
            let late = all.iter().map(|(_, report)| report.missed_slots).max().unwrap_or(0);
            let [p50, p99, p999] = [0.5, 0.99, 0.999].map(of);
            println!("| {rate} | {name} | {p50:.0} | {p99:.0} | {p999:.0} | {late} |");
        }
    }
    println!();
}

/// Writes on schedule and reads from `stream`.
fn once(
    server: &Server,
    rate: u64,
    length: Duration,
    stream: &str,
) -> (Histogram<u64>, LoadReport) {
    let mut client = server.client();
    redis::cmd("FLUSHALL").exec(&mut client).expect("an empty server");
    let _run = (stream == RESULTS).then(|| {
        let run = weather::Run::start(server, BATCH);
        while redis::cmd("XINFO")
            .arg(&["CONSUMERS", OBSERVATIONS, GROUP])
            .query::<Vec<Reply>>(&mut client)
            .map_or(0, |it| it.len())
            == 0
        {
            thread::sleep(Duration::from_millis(5));
        }
        run
    });
    let clock = TscClock::new();
    let wall = WallOffset::new(&clock);
    let count = rate * length.as_millis() as u64 / 1_000;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let listener = scope.spawn(|| listen(server, stream, count, (&clock, &wall), &is_over));
        let report = write(server, (count, rate), (&clock, &wall));
        // The listener gives up after its patience.
        is_over.store(true, Ordering::Release);
        (listener.join().expect("the listener ends"), report)
    })
}

fn write(
    server: &Server,
    (count, rate): (u64, u64),
    (clock, wall): (&TscClock, &WallOffset),
) -> LoadReport {
    let settings = LoadSettings {
        count,
        pace: Pace::PerSecond(rate),
        payload: Payload::Weather,
        keys: 1_000,
        zipf: None,
        headers: Vec::new(),
        seed: 1,
        stamps_due: true,
    };
    let mut load = Load::new(settings, wall.clone()).expect("a load that can be made");
    let (url, shown, field) = (server.url(), server.url(), "payload".to_owned());
    let plan = RedisSinkPlan {
        peer: "source",
        settings: &Settings { url, shown, field, maxlen: None },
        streams: &[OBSERVATIONS.to_owned()],
        letters_from: Destination(1),
        bytes: 64 << 20,
        is_repeated: true,
    };
    let never = AtomicBool::new(false);
    let sink = RedisSink::open(&plan, clock.clone(), (PATIENCE, &never));
    let mut sink = sink.expect("it answers").expect("nobody stops");
    let report = loadgen::run(&mut load, &mut sink, clock, &never);
    assert_eq!(report.acknowledged, count, "{report:?}");
    report
}

/// Reads what comes and notes how old it is.
fn listen(
    server: &Server,
    stream: &str,
    count: u64,
    (clock, wall): (&TscClock, &WallOffset),
    is_over: &AtomicBool,
) -> Histogram<u64> {
    type Entries = Vec<(String, HashMap<String, Vec<u8>>)>;
    let mut client = server.client();
    let mut latency = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("good bounds");
    let mut last = "0".to_owned();
    let mut over_since = None;
    while latency.len() < count {
        let streams: Option<Vec<(String, Entries)>> = redis::cmd("XREAD")
            .arg(&["COUNT", "1000", "BLOCK", "100", "STREAMS", stream, &last])
            .query(&mut client)
            .expect("entries");
        let now = wall.epoch_nanos(clock, clock.now());
        for (id, fields) in streams.into_iter().flatten().flat_map(|(_, entries)| entries) {
            let due =
                std::str::from_utf8(&fields["hotspur.due"]).ok().and_then(|it| it.parse().ok());
            let due: i64 = due.expect("a time");
            latency.saturating_record(u64::try_from(now - due).unwrap_or(0));
            last = id;
        }
        if is_over.load(Ordering::Acquire) {
            let since = *over_since.get_or_insert_with(|| clock.now());
            let waited = Duration::from_nanos(clock.nanos(since, clock.now()));
            assert!(waited < PATIENCE, "{} of {count} have come", latency.len());
        }
    }
    latency
}
