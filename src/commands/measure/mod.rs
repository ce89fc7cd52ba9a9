//! `measure`: load at a known rate, and what came of it, against what was required.
//!
//! The generator is open loop and stamps each record with the time at which it was due; a listener
//! on the sink takes the distance from there, so that a pipeline which stalls is seen to be late
//! for every record that was due meanwhile, and not asked less. The bare hop comes first: the same
//! generator and listener on the source topic alone, at the same rates, so that what the brokers
//! take can be told from what the pipeline adds.
//!
//! The stamp, `hotspur.due`, is the one header of Hotspur's own that results keep. It says which
//! record a result is of (`loadgen::judge`), so nothing else need survive the pipeline, whether it
//! runs in this process or elsewhere. Records that it skips or dead-letters by design have no
//! result; they are no loss, and how many they are the pipeline's own books say (`books`).
//!
//! Reading order: `plan` (what is asked), `session` (what is done), `stretch` (one piece of load),
//! `level` (what a rate came to), `verdict` and `ramp` (what follows), `text`, `json`, `files`.

mod books;
mod files;
mod json;
mod level;
mod plan;
mod ramp;
mod session;
mod stretch;
mod text;
mod verdict;

use std::{path::PathBuf, time::Duration};

use self::{
    files::Files,
    level::Measurement,
    plan::{Plan, parse_rates},
    session::Session,
};
use super::{
    Exit, Failure, Outcome,
    load::Contents,
    print,
    run::{failure, launch, outcome, stopped_early, tell_end},
    signals::SignalActions,
};
use crate::{
    assemble::{self, Machine, StartError},
    config::{Loaded, requirement::Requirement, units},
    limits::RAMP_LEVELS_MAX,
};

pub use json::schema;

/// Arguments of `measure`.
#[derive(Debug, clap::Args)]
#[command(after_help = plan::RULES)]
pub struct Arguments {
    /// Records per second; or from..to, a ramp of --levels rates that finds the knee
    #[arg(long, value_name = "N[..N]", value_parser = parse_rates)]
    pub rate: (u64, u64),
    /// How long each rate is measured
    #[arg(long = "for", value_name = "D", value_parser = units::parse_duration)]
    pub duration: Duration,
    /// Rates of a ramp, each the same multiple of the one before [default: 8]
    #[arg(long, value_name = "N",
        value_parser = clap::value_parser!(u64).range(2..=RAMP_LEVELS_MAX as u64))]
    pub levels: Option<u64>,
    /// Load before that, which does not count
    #[arg(long, value_name = "D", default_value = "2s", value_parser = units::parse_duration)]
    pub warmup: Duration,
    /// The pipeline already runs elsewhere, with this configuration
    #[arg(long)]
    pub external: bool,
    /// What is to be found, or the status is 1; may be given again
    #[arg(long, value_name = "R", value_parser = Requirement::parse)]
    pub require: Vec<Requirement>,
    /// Folder for the histogram log, the percentiles and the result
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Prints one JSON object; `hotspur schema measure` describes it
    #[arg(long)]
    pub json: bool,
    /// What the records are
    #[command(flatten)]
    pub contents: Contents,
}

/// Runs the command.
pub fn run(mut loaded: Loaded, arguments: &Arguments) -> Outcome {
    let plan = Plan::new(&loaded.settings, arguments)?;
    if arguments.out.is_some() {
        loaded.settings.observe.out.clone_from(&arguments.out);
    }
    let files =
        arguments.out.as_deref().map(|it| Files::create(it, &loaded.settings)).transpose()?;
    let measured = match arguments.external {
        true => elsewhere(&loaded, &plan, files)?,
        false => here(&loaded, &plan, files)?,
    };
    let Some((measurement, files)) = measured else { return Ok(stopped_early()) };
    conclude(measurement, files, arguments.json)
}

type Measured = Option<(Measurement, Option<Files>)>;

/// The pipeline runs in this process, as `run` would run it.
fn here(loaded: &Loaded, plan: &Plan, files: Option<Files>) -> Result<Measured, Failure> {
    let settings = &loaded.settings;
    let pipeline = assemble::compile(settings).map_err(|it| failure(it, Some(loaded)))?;
    // What is started from here on runs on the housekeeping cores, the generator included.
    let machine = Machine::prepare(&settings.engine).map_err(|it| failure(it, Some(loaded)))?;
    let signals = listen()?;
    let core = machine.choice.core.map_or_else(|| "none".to_owned(), |it| it.to_string());
    let mut session = Session::open(settings, plan, files, signals.stop_flag())?;
    let hops = session.hops()?;
    let brokers = &settings.source.client.brokers;
    let running = match launch(loaded, &machine, pipeline, &signals, brokers) {
        Err(StartError::Stopped) => return Ok(None),
        running => running.map_err(|error| failure(error, Some(loaded)))?,
    };
    let levels = session.levels(&session::Subject::Here(&running), hops);
    running.stopper.stop();
    let finished = running.wait();
    tell_end(&finished);
    // Why a run ended by itself says more than that results did not come.
    outcome(&finished.ending, settings.delivery.guarantee)?;
    Ok(Some(session.finish(levels?, Some(core))))
}

/// The pipeline runs in another process.
fn elsewhere(loaded: &Loaded, plan: &Plan, files: Option<Files>) -> Result<Measured, Failure> {
    let settings = &loaded.settings;
    let signals = listen()?;
    let mut session = Session::open(settings, plan, files, signals.stop_flag())?;
    let hops = session.hops()?;
    let levels = session.levels(&session::Subject::Elsewhere(&settings.observe), hops)?;
    Ok(Some(session.finish(levels, None)))
}

fn listen() -> Result<SignalActions, Failure> {
    SignalActions::listen().map_err(|it| Failure::unavailable(format!("signals: {it}")))
}

/// Writes the files, prints the result, and says what is not as it was asked for.
fn conclude(mut measurement: Measurement, files: Option<Files>, is_json: bool) -> Outcome {
    // Figures that no file takes are printed all the same.
    let written = files.map_or(Ok(()), |files| files.finish(&mut measurement));
    match is_json {
        true => print(&format!("{:#}\n", json::of(&measurement)))?,
        false => print(&text::of(&measurement))?,
    };
    written?;
    match measurement.shortfalls() {
        none if none.is_empty() => Ok(Exit::Done),
        some => Err(Failure { exit: Exit::False, message: some.join("\n") }),
    }
}

#[cfg(test)]
mod tests {
    use crate::{config::requirement::SPANS, measure::Stage};

    #[test]
    fn what_can_be_required_is_what_is_measured() {
        let stages = Stage::ALL.map(Stage::name);
        assert_eq!(SPANS[..stages.len()], stages);
        assert_eq!(SPANS[stages.len()..], ["transit", "end_to_end", "received", "hop"]);
    }
}
