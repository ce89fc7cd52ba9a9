//! `doctor`: whether this machine is fit for what the configuration asks of it, and what is to be
//! done where it is not; on request also whether a running process is left alone.
//!
//! There need not be a configuration: without one the profile alone is judged by.

mod json;
mod text;

use std::time::{Duration, Instant};

use super::{Exit, Failure, Outcome, coloured_output, print};
use crate::{
    config::{self, Sources, Tuning, settings::Core},
    host::{
        checks::{
            self, CHECKS, Check, Finding, Host, Level, Outcome as Found, PROCESS_CHECKS, Wish,
        },
        core_lock,
    },
};

pub use json::schema;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status 1: something is unfit. What cannot be told is no fault.")]
pub struct Arguments {
    /// Also looks at this running process: where its threads are, and what it was kept from
    #[arg(long, value_name = "P")]
    pub pid: Option<u32>,
    /// Judges this core instead of the one that a run would take
    #[arg(long, value_name = "N")]
    pub core: Option<usize>,
    /// Prints one JSON object
    #[arg(long)]
    pub json: bool,
}

/// All that was found.
struct Visit {
    tuning: Tuning,
    wish: Wish,
    findings: Vec<(&'static Check, Finding)>,
    took: Duration,
}

impl Visit {
    fn count(&self, outcome: Found) -> usize {
        self.findings.iter().filter(|(_, finding)| finding.outcome == outcome).count()
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, sources: &Sources) -> Outcome {
    let start = Instant::now();
    let tuning =
        config::load_tuning(sources).map_err(|report| Failure::usage(report.to_string()))?;
    let mut host = Host::here();
    let wish = wish(arguments, &tuning, &host)?;
    host.measure(wish.core, wish.pid, spare(&host, &wish));
    let of_process = if wish.pid.is_some() { PROCESS_CHECKS } else { &[] };
    let all = of_process.iter().chain(CHECKS);
    let findings = all.map(|check| (check, check.run(&host, &wish))).collect();
    let visit = Visit { tuning, wish, findings, took: start.elapsed() };
    match arguments.json {
        true => print(&format!("{:#}\n", json::object(&visit)))?,
        false => print(&text::table(&visit, coloured_output()))?,
    };
    Ok(if visit.count(Found::Unfit) > 0 { Exit::False } else { Exit::Done })
}

/// What is asked of the machine: by the command line, the process that runs, or the configuration.
fn wish(arguments: &Arguments, tuning: &Tuning, host: &Host) -> Result<Wish, Failure> {
    let hot = arguments.pid.map(|pid| hot_core(host, pid)).transpose()?.flatten();
    let core = arguments.core.or(hot);
    let configured = match tuning.engine.core {
        Core::Number(core) => Some(core),
        Core::Auto | Core::None => None,
    };
    if let Some(core) = core.or(configured).filter(|it| !host.cores.online.contains(*it)) {
        let key = if arguments.core.is_some() { "--core" } else { "engine.core" };
        let online = &host.cores.online;
        return Err(Failure::usage(format!(
            "{key} = {core}: this machine's cores are {online}; choose one of them"
        )));
    }
    let mut wish = Wish::of(&tuning.engine, core, host);
    (wish.pid, wish.huge_pages) = (arguments.pid, tuning.huge_pages);
    if let (None, Some(_), Some(pid)) = (arguments.core, hot, wish.pid) {
        wish.why = format!("the hot thread of process {pid} is pinned to it");
        wish.level = Level::Own;
    }
    Ok(wish)
}

/// The core that the process's hot thread is pinned to, if it is to one.
fn hot_core(host: &Host, pid: u32) -> Result<Option<usize>, Failure> {
    if !host.root().join(format!("proc/{pid}")).exists() {
        let message = format!("there is no process {pid} (/proc/{pid}): it ended, or never was");
        return Err(Failure::unavailable(message));
    }
    checks::hot_thread(host, pid).map(|hot| hot.pinned_to(host)).ok_or_else(|| {
        Failure::usage(format!(
            "process {pid} is no running Hotspur: it has no thread named hotspur-hot; \
             `pgrep hotspur` lists those there are"
        ))
    })
}

/// Why nothing may be measured on the core: a hot thread runs there.
fn spare(host: &Host, wish: &Wish) -> Option<String> {
    let disturbed = |pid| format!("process {pid} runs there and would be disturbed");
    if wish.pid.is_some() {
        return wish.pid.map(disturbed);
    }
    core_lock::holder(host.root(), &host.locks, wish.core?).map(disturbed)
}
