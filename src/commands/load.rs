//! `load`: a generator into the source.

use std::time::Duration;

use super::{Exit, Failure, Outcome, print, signals::SignalActions};
use crate::{
    assemble::StreamFeed,
    clock::{TscClock, WallOffset},
    config::{Loaded, units},
    loadgen::{self, Load, LoadReport, LoadSettings, Pace},
    transport::{Trouble, kafka::KafkaSink},
};

/// Arguments of `load`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("amount").required(true).args(["count", "rate"]))]
pub struct Arguments {
    /// So many records, as fast as they are acknowledged
    #[arg(long, value_name = "N", value_parser = units::parse_count)]
    pub count: Option<u64>,
    /// Records per second, open loop
    #[arg(long, value_name = "N", requires = "duration", value_parser = units::parse_rate)]
    pub rate: Option<u64>,
    /// How long
    #[arg(long = "for", value_name = "D", requires = "rate", conflicts_with = "count",
        value_parser = units::parse_duration)]
    pub duration: Option<Duration>,
    /// What they are
    #[command(flatten)]
    pub contents: Contents,
}

/// What generated records say.
#[derive(Clone, Debug, clap::Args)]
pub struct Contents {
    /// What they say: names, orders, weather, or lines of a file
    #[arg(long, value_name = "names|orders|weather|@FILE", default_value = "orders")]
    pub payload: String,
    /// How many different keys
    #[arg(long, value_name = "N", default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(1..))]
    pub keys: u64,
    /// Skew of the keys; 0: all alike
    #[arg(long, value_name = "S", default_value_t = 0.0, value_parser = parse_skew,
        allow_negative_numbers = true)]
    pub zipf: f64,
    /// A header of every record; may be given again
    #[arg(long = "header", value_name = "K=V", value_parser = parse_header)]
    pub headers: Vec<(String, String)>,
    /// The same seed gives the same records
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

fn parse_skew(text: &str) -> Result<f64, String> {
    let skew = text.parse::<f64>().ok().filter(|skew| (0.0..=10.0).contains(skew));
    skew.ok_or_else(|| "a skew is a number from 0 to 10, such as 0.99".to_owned())
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a header is written as NAME=VALUE")?;
    match name.is_empty() {
        true => Err("a header has a name".to_owned()),
        false => Ok((name.to_owned(), value.to_owned())),
    }
}

/// Runs the command.
pub fn run(loaded: &Loaded, arguments: &Arguments) -> Outcome {
    let settings = &loaded.settings;
    let clock = TscClock::new();
    let topics = &settings.source.topics[..1];
    let load = arguments.load()?;
    let mut load = Load::new(load, WallOffset::new(&clock)).map_err(usage)?;
    let unavailable = |it: Trouble| Failure::unavailable(it.text.as_str());
    let signals =
        SignalActions::listen().map_err(|it| Failure::unavailable(format!("signals: {it}")))?;
    let stop = signals.stop_flag();
    let report = if let Some(source) = &settings.streams.source {
        let wait = (settings.engine.start_timeout, stop.as_ref());
        let feed = StreamFeed::open(settings, ("source", source), clock.clone(), wait);
        let feed = feed.map_err(unavailable)?;
        let Some(mut feed) = feed else { return Ok(Exit::Done) };
        loadgen::run(&mut load, &mut feed, &clock, stop)
    } else {
        let sink = KafkaSink::open(&settings.source.client.for_writing(), topics, clock.clone());
        loadgen::run(&mut load, &mut sink.map_err(unavailable)?, &clock, stop)
    };
    print(&format!("{}\n", text(&report)))?;
    match (report.trouble, report.acknowledged == report.sent && report.failed == 0) {
        (Some(trouble), false) => Err(Failure::unavailable(trouble.text.as_str())),
        (None, false) => Err(Failure::unavailable("not every record was acknowledged")),
        (_, true) if report.missed_slots > 0 => {
            let message = format!("{} records were late for the rate", report.missed_slots);
            Err(Failure { exit: Exit::False, message })
        }
        (_, true) => Ok(Exit::Done),
    }
}

impl Arguments {
    fn load(&self) -> Result<LoadSettings, Failure> {
        let (count, pace) = match (self.count, self.rate, self.duration) {
            (Some(count), _, _) => (count, Pace::Unpaced),
            (None, Some(rate), Some(duration)) => {
                ((rate as f64 * duration.as_secs_f64()).round() as u64, Pace::PerSecond(rate))
            }
            _ => return Err(Failure::usage("load wants --count, or --rate and --for")),
        };
        self.contents.load(count, pace)
    }
}

impl Contents {
    /// A load of such records.
    ///
    /// # Errors
    ///
    /// If there is no such payload.
    pub(super) fn load(&self, count: u64, pace: Pace) -> Result<LoadSettings, Failure> {
        Ok(LoadSettings {
            count,
            pace,
            payload: loadgen::Payload::parse(&self.payload).map_err(usage)?,
            keys: self.keys,
            zipf: (self.zipf > 0.0).then_some(self.zipf),
            headers: self.headers.clone(),
            seed: self.seed,
            stamps_due: false,
        })
    }
}

pub(super) fn usage(error: loadgen::LoadError) -> Failure {
    Failure::usage(error.to_string())
}

/// One line, names and numbers.
pub(super) fn text(report: &LoadReport) -> String {
    let LoadReport { sent, acknowledged, failed, missed_slots, seconds, .. } = report;
    let rate = report.records_per_second;
    let errors = report.refusal.map_or(String::new(), |it| format!(", last error {}", it.code));
    format!(
        "sent {sent}, acknowledged {acknowledged}, failed {failed}{errors}, missed slots \
         {missed_slots}, {seconds:.3} s, {rate:.0} records/s"
    )
}
