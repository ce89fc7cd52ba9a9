//! `jitter`: how often and for how long a core is taken away, and by whom.
//!
//! A thread on the core looks for gaps in its own time (`host::jitter`), and what else happened
//! there is read meanwhile, so that the answer ends with a cause and with what mends it. The core
//! is the one that a run would take, unless another is named; it is not locked, so that a run may
//! begin. With `--compare` several cores take turns, a second each.
//!
//! Reading order: `plan` (which cores), `result` (what was found), `verdict` (what follows),
//! `text`, `json`, `files`.

mod files;
mod json;
mod plan;
mod result;
mod text;
mod verdict;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use self::result::{CoreResult, JitterResult};
use super::{CommandLine, Failure, Outcome, logging, print, signals::SignalActions};
use crate::{
    clock::{Clock, EpochClock, TscClock},
    config::units,
    host::{
        self, Cores, CpuList, core_lock,
        jitter::{Meter, Plan, SecondRecord},
    },
    observe::summary::readable,
};

/// Where `/proc` and `/sys` are.
const ROOT: &str = "/";

const RULES: &str = "\
What is lost is measured: gaps between two looks at the time stamp counter. Whom it is put down to
is told by the kernel's books of the same second, in this order: threads that ran on the core while
the detector was ready to run, a CPU quota, steal by the hypervisor, interrupts. What was lost in
gaps of more than 5 ms, and to none of the others, stays unexplained. Times by line of interrupt
are not known: lines are ranked by how often they came.

Other threads are found by looking at /proc ten times a second, from another core; those that begin
and end in between have no name.";

/// Arguments of `jitter`.
#[derive(Debug, clap::Args)]
#[command(after_help = RULES)]
pub struct Arguments {
    /// The core; by default the one that a run would take. With --compare a list such as 0-3,8
    #[arg(long, value_name = "N", value_parser = parse_cores)]
    pub core: Option<CpuList>,
    /// How long, each core
    #[arg(long = "for", value_name = "D", default_value = "10s", value_parser = parse_length)]
    pub duration: Duration,
    /// Several cores in turns, a second each; by default all that this process may use
    #[arg(long)]
    pub compare: bool,
    /// Gaps from this length on are stalls
    #[arg(long, value_name = "D", default_value = "1us", value_parser = parse_threshold)]
    pub threshold: Duration,
    /// Folder for percentiles (.hgrm) and a histogram log (.hlog) of each core
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Prints JSON, second by second
    #[arg(long)]
    pub json: bool,
}

fn parse_cores(text: &str) -> Result<CpuList, String> {
    let cores: CpuList = text.parse().map_err(|it: host::cpu_list::CpuListError| it.to_string())?;
    if cores.is_empty() { Err("no core is named".to_owned()) } else { Ok(cores) }
}

fn parse_length(text: &str) -> Result<Duration, String> {
    let length = units::parse_duration(text)?;
    let is_some = length >= Duration::from_millis(1);
    is_some.then_some(length).ok_or_else(|| "too short to see anything; 1ms at least".to_owned())
}

/// The loop itself takes tens of nanoseconds; an hour is where histograms end.
fn parse_threshold(text: &str) -> Result<Duration, String> {
    let threshold = units::parse_duration(text)?;
    let range = Duration::from_nanos(100)..=Duration::from_secs(3600);
    let is_usable = range.contains(&threshold);
    is_usable.then_some(threshold).ok_or_else(|| "a threshold is 100ns to 1h".to_owned())
}

/// Runs the command.
pub fn run(line: &CommandLine, arguments: &Arguments) -> Outcome {
    logging::set_up(None, line.verbose, line.quiet);
    let root = Path::new(ROOT);
    let cores = Cores::read(root);
    let chosen = plan::choose(arguments, &cores, &core_lock::folder())?;
    for note in &chosen.notes {
        tracing::warn!(event = "jitter.core", "{note}");
    }
    if let Some(folder) = &arguments.out {
        files::make_folder(folder)?;
    }
    let signals =
        SignalActions::listen().map_err(|it| Failure::unavailable(format!("signals: {it}")))?;
    let clock = TscClock::new();
    let plan = Plan {
        root: root.to_owned(),
        cores: chosen.cores,
        duration: arguments.duration,
        threshold_ns: u64::try_from(arguments.threshold.as_nanos()).unwrap_or(u64::MAX),
        stop: Arc::clone(signals.stop_flag()),
    };
    let started = EpochClock::new().now().0;
    let progress = Progress::new(line, &plan);
    let meter = Meter::new(plan.clone(), clock.clone(), cores.clone());
    let records = meter
        .run(|core, second| progress.show(core, second))
        .map_err(|error| Failure::unavailable(error.to_string()))?;
    progress.bar.finish_and_clear();
    let mut result = JitterResult {
        clock: clock.describe(),
        facts: host::facts(root),
        started,
        threshold: arguments.threshold,
        duration: arguments.duration,
        is_cut: records.iter().any(|it| is_cut(it.measured_ns, &plan)),
        cores: records.into_iter().map(|it| CoreResult::new(it, &cores)).collect(),
        notes: chosen.notes,
        files: Vec::new(),
    };
    result.tell_limits(&clock);
    // Figures that no file takes are printed all the same.
    let written = arguments.out.as_deref().map_or(Ok(()), |it| files::write(it, &mut result));
    let printed = match arguments.json {
        true => print(&format!("{:#}\n", json::of(&result))),
        false => print(&text::of(&result)),
    };
    written.and(printed)
}

/// Whether somebody asked for the end before a core had its time.
fn is_cut(measured_ns: u64, plan: &Plan) -> bool {
    let is_short = u128::from(measured_ns) < plan.duration.as_nanos();
    is_short && plan.stop.load(Ordering::Relaxed)
}

/// A bar on a terminal; at `-v` a line of the log a second.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(line: &CommandLine, plan: &Plan) -> Progress {
        let is_wanted = line.verbose == 0 && !line.quiet && io::stderr().is_terminal();
        let bar = if is_wanted { ProgressBar::no_length() } else { ProgressBar::hidden() };
        let cores = plan.cores.len() as u64;
        bar.set_length(plan.duration.as_millis() as u64 * cores);
        // The template is a constant, and a test reads it.
        bar.set_style(ProgressStyle::with_template(TEMPLATE).expect("a template"));
        Progress { bar }
    }

    fn show(&self, core: usize, second: &SecondRecord) {
        let lost = readable(second.shares.lost_ns);
        let worst = readable(second.worst_ns);
        self.bar.set_message(format!("core {core}: {lost} lost in a second, worst {worst}"));
        self.bar.inc(second.length_ns / 1_000_000);
        let said = verdict::of_second(second);
        let count = second.count;
        tracing::debug!(event = "jitter.second", core, stalls = count, worst, "{said}");
    }
}

const TEMPLATE: &str = "{msg} {wide_bar} {percent} %";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::jitter::{CoreRecord, Happenings, Kind, Line, Neighbour, Second, Shares};

    /// A second of each core, beside a neighbour that ran for 299 ms of it.
    pub(super) fn result(cores: &[usize]) -> JitterResult {
        let none = Cores::default();
        JitterResult {
            clock: "TSC at 2.6000 GHz".to_owned(),
            facts: vec![("host", "web1".to_owned())],
            started: 1_795_239_420_123_456_789,
            threshold: Duration::from_micros(1),
            duration: Duration::from_secs(1),
            is_cut: false,
            cores: cores.iter().map(|core| CoreResult::new(record(*core), &none)).collect(),
            notes: Vec::new(),
            files: Vec::new(),
        }
    }

    fn record(core: usize) -> CoreRecord {
        let Second { mut stalls, mut turns, .. } = Second::new();
        (0..250).for_each(|_| stalls.record(1_500));
        (0..100).for_each(|_| stalls.record(3_000_000));
        turns.record_n(21, 30_000_000).unwrap();
        let name = "Local timer interrupts".to_owned();
        let tick = Line { label: "LOC".to_owned(), name, kind: Kind::Timer };
        let name = "stress".to_owned();
        let happenings = Happenings {
            interrupts: [(tick, 250)].into_iter().collect(),
            waited_ns: 299_000_000,
            involuntary_switches: 100,
            neighbours: vec![Neighbour { pid: 123, name, is_kernel: false, ran_ns: 299_000_000 }],
            ..Happenings::default()
        };
        let shares = Shares::of(&stalls, &happenings);
        let second = SecondRecord {
            since_start_ns: 0,
            length_ns: 1_000_000_000,
            count: stalls.count(),
            worst_ns: stalls.worst_ns(),
            values: vec![(1_500, 250), (3_000_000, 100)],
            happenings: happenings.clone(),
            shares,
        };
        let (measured_ns, seconds) = (1_000_000_000, vec![second]);
        CoreRecord { core, measured_ns, stalls, turns, happenings, shares, seconds }
    }

    #[test]
    fn what_limits_the_figures_is_said() {
        let clock = TscClock::new();
        let told = |change: fn(&mut JitterResult)| {
            let mut result = result(&[1]);
            change(&mut result);
            result.tell_limits(&clock);
            result.notes.join("; ")
        };
        assert!(!told(|_| ()).contains("told to end"));
        let slow = told(|it| it.threshold = Duration::from_nanos(40));
        assert!(slow.contains("a turn of the loop on core 1 takes 21 ns"), "{slow}");
        let cut = told(|it| it.is_cut = true);
        assert!(cut.contains("told to end before the 1s were over"), "{cut}");
        let unseen = told(|it| it.cores[0].record.measured_ns = 0);
        assert!(unseen.contains("told to end before core 1 was measured"), "{unseen}");
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        assert_eq!(parse_cores("0-1,3").unwrap().to_string(), "0-1,3");
        assert!(parse_cores("").is_err() && parse_cores("first").is_err());
        assert!(parse_length("0s").is_err() && parse_length("5").is_err());
        assert_eq!(parse_length("1m30s"), Ok(Duration::from_secs(90)));
        assert!(parse_threshold("99ns").is_err() && parse_threshold("2h").is_err());
        assert_eq!(parse_threshold("10us"), Ok(Duration::from_micros(10)));
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
