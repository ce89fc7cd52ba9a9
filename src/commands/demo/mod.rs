//! `demo`: the whole of it with nothing installed.
//!
//! An embedded broker, a table that changes while it runs, an open-loop load of orders with some
//! that are no orders, and the engine on its pinned thread. The broker is librdkafka's mock cluster
//! in this very process, and says so: its latencies are a demonstration, not a measurement.

mod generator;
mod table;

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use self::{
    generator::{Generator, Progress},
    table::{DemoTable, ENTRIES},
};
use super::{
    Exit, Failure, Outcome,
    init::PIPELINES,
    load, print,
    report::write_beside,
    run::{conclude, failure, launch, outcome, stopped_early},
    signals::SignalActions,
};
use crate::{
    assemble::{self, Machine, Running, StartError},
    clock::{TscClock, WallOffset},
    config::{self, Loaded, Settings, Sources, units},
    loadgen::{self, Load, LoadReport, LoadSettings, Pace, Payload},
    transport::{
        Trouble,
        kafka::{EmbeddedKafka, KafkaAdmin, KafkaSink},
    },
};

/// Keys that orders are drawn from; `ENTRIES` of them are in the table.
const KEYS: u64 = 1000;

/// What its files say about the broker; reports warn of one that is "embedded".
const BROKER: &str = "embedded (librdkafka's mock cluster, in this process)";

/// How long the group may take to answer, and to catch up at the end.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Records per second
    #[arg(long, value_name = "N", default_value = "1000", value_parser = units::parse_rate)]
    pub rate: u64,
    /// How long
    #[arg(long = "for", value_name = "D", default_value = "10s",
        value_parser = units::parse_duration)]
    pub duration: Duration,
    /// Folder for the histogram files
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &Arguments, profile: Option<String>, set: Vec<String>) -> Outcome {
    let folder = tempfile::tempdir().map_err(unavailable)?;
    let mut table = DemoTable::open(folder.path()).map_err(unavailable)?;
    let configure = |brokers: &str| {
        let layers = (profile.clone(), set.clone());
        configure(arguments, layers, brokers, &table, folder.path())
    };
    // The broker's threads must start on the housekeeping cores, so the machine comes first.
    let engine = configure("localhost:9092")?.settings.engine;
    let machine = Machine::prepare(&engine).map_err(|it| failure(it, None))?;
    let broker = EmbeddedKafka::new(1).map_err(trouble)?;
    let loaded = configure(broker.bootstrap_servers())?;
    let settings = &loaded.settings;
    let results = settings.result_topics();
    let others = [&settings.source.topics[0], &settings.dead_letters.topic];
    for topic in results.iter().map(|(_, topic)| topic).chain(others) {
        broker.create_topic(topic, 1).map_err(trouble)?;
    }
    let pipeline = assemble::compile(settings).map_err(|it| failure(it, Some(&loaded)))?;
    let signals = SignalActions::listen().map_err(unavailable)?;
    print(&format!(
        "Hotspur {} on the embedded broker (librdkafka's mock cluster, in this process): a\n\
         demonstration, not a measurement of a real Kafka.\n\
         {} orders a second for {:?}; the table is {}.\n\n",
        env!("CARGO_PKG_VERSION"),
        arguments.rate,
        arguments.duration,
        table.description()
    ))?;
    let running = match launch(&loaded, &machine, pipeline, &signals, BROKER) {
        Err(StartError::Stopped) => return Ok(stopped_early()),
        running => running.map_err(|error| failure(error, Some(&loaded)))?,
    };
    if let Some(address) = running.address() {
        print(&format!("Live page: http://{address}/\n\n"))?;
    }
    let report = drive(arguments, settings, &running, &mut table, signals.stop_flag());
    running.stopper.stop();
    let finished = conclude(running)?;
    let report = report?;
    print(&format!("load: {}\n", load::text(&report)))?;
    let is_log = |it: &&PathBuf| it.extension().is_some_and(|it| it == "hlog");
    if let Some(log) = finished.summary.files.iter().find(is_log) {
        print(&format!("report: {}\n", write_beside(log)?.display()))?;
    }
    match outcome(&finished.ending, settings.delivery.guarantee)? {
        Exit::Done if report.acknowledged < report.sent => {
            Err(Failure::unavailable("not every record of the load was acknowledged"))
        }
        exit => Ok(exit),
    }
}

/// The shipped orders pipeline with the demo's addresses in place of the user's.
fn configure(
    arguments: &Arguments,
    (profile, set): (Option<String>, Vec<String>),
    brokers: &str,
    table: &DemoTable,
    folder: &Path,
) -> Result<Loaded, Failure> {
    let (_, _, text) = PIPELINES[0];
    let (before, users) = text.split_once("[tables.users]\n").expect("orders has a table");
    let after: Vec<&str> = users
        .lines()
        .filter(|it| !it.starts_with("redis =") && !it.starts_with("prefix ="))
        .collect();
    let text = format!("{before}[tables.users]\n{}{}\n", table.settings(), after.join("\n"));
    let file = folder.join("hotspur.toml");
    std::fs::write(&file, text).map_err(unavailable)?;
    let mut sets = vec![
        "name=demo".to_owned(),
        format!("kafka.brokers={brokers}"),
        format!("observe.out={}", arguments.out.display()),
        "observe.listen=127.0.0.1:0".to_owned(),
        // The mock cluster never cuts a fetch's wait short.
        "source.kafka.properties.\"fetch.wait.max.ms\"=0".to_owned(),
    ];
    sets.extend(set);
    let sources = Sources { file: Some(file), profile, set: sets, ..Sources::default() };
    config::load(&sources).map_err(|report| Failure::usage(report.to_string()))
}

/// Sends the load while the table changes; returns when all of it was read, or somebody asked.
fn drive(
    arguments: &Arguments,
    settings: &Settings,
    running: &Running,
    table: &mut DemoTable,
    stop: &AtomicBool,
) -> Result<LoadReport, Failure> {
    let is_over = || running.is_finished() || stop.load(Ordering::Acquire);
    await_that("the group to answer", || running.is_assigned() || is_over())?;
    let (done, halt, is_sent) =
        (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
    let progress = Progress::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            if let Err(error) = keep_changing(table, &done) {
                tracing::warn!(event = "demo.table", "the table changes no more: {error}");
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                halt.fetch_or(is_over(), Ordering::AcqRel);
                thread::park_timeout(PAUSE);
            }
        });
        scope.spawn(|| {
            if let Err(trouble) = follow_group(settings, &progress, &is_sent, &done) {
                tracing::warn!(event = "demo.group", "{}", trouble.text);
                halt.store(true, Ordering::Release);
            }
        });
        let report = send(arguments, settings, &progress, &halt);
        is_sent.store(true, Ordering::Release);
        let caught_up = await_that("the group to catch up", || progress.behind() == 0 || is_over());
        done.store(true, Ordering::Release);
        caught_up.and(report)
    })
}

fn send(
    arguments: &Arguments,
    settings: &Settings,
    progress: &Progress,
    halt: &AtomicBool,
) -> Result<LoadReport, Failure> {
    let clock = TscClock::new();
    let orders = LoadSettings {
        count: (arguments.rate as f64 * arguments.duration.as_secs_f64()).round() as u64,
        pace: Pace::PerSecond(arguments.rate),
        payload: Payload::parse("orders").map_err(|it| Failure::usage(it.to_string()))?,
        keys: KEYS,
        zipf: None,
        headers: Vec::new(),
        seed: 1,
        stamps_due: false,
    };
    let load = Load::new(orders, WallOffset::new(&clock));
    let mut load = load.map_err(|it| Failure::usage(it.to_string()))?;
    let client = settings.source.client.for_writing();
    let topic = &settings.source.topics[..1];
    let sink = KafkaSink::open_unless("load", &client, topic, clock.clone(), (PATIENCE, halt));
    let mut generator = Generator::new(sink.map_err(trouble)?, progress);
    Ok(loadgen::run(&mut load, &mut generator, &clock, halt))
}

/// Learns how far the group is where the load has to know it, until told to end.
fn follow_group(
    settings: &Settings,
    progress: &Progress,
    is_sent: &AtomicBool,
    done: &AtomicBool,
) -> Result<(), Trouble> {
    let source = &settings.source;
    let admin = KafkaAdmin::connect_for_group(&source.client, &source.group, PATIENCE)?;
    while !done.load(Ordering::Acquire) {
        if progress.is_far_ahead() || is_sent.load(Ordering::Acquire) {
            let lags = admin.lag(&source.group, &source.topics)?;
            let committed: i64 = lags.iter().filter_map(|it| it.committed).sum();
            progress.pass(committed.unsigned_abs());
        }
        thread::park_timeout(PAUSE);
    }
    Ok(())
}

fn await_that(what: &str, is_so: impl Fn() -> bool) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() >= deadline {
            return Err(Failure::unavailable(format!("waited {PATIENCE:?} for {what}")));
        }
        thread::park_timeout(PAUSE);
    }
    Ok(())
}

/// Gives entries new values, one after another, until told to end.
fn keep_changing(table: &mut DemoTable, done: &AtomicBool) -> io::Result<()> {
    let mut change = 0;
    while !done.load(Ordering::Acquire) {
        change += 1;
        table.set(change % ENTRIES + 1, change / ENTRIES + 1)?;
        table.publish()?;
        thread::park_timeout(table.pause());
    }
    Ok(())
}

fn unavailable(error: io::Error) -> Failure {
    Failure::unavailable(error.to_string())
}

fn trouble(trouble: Trouble) -> Failure {
    Failure::unavailable(trouble.text.as_str())
}
