//! `report`: what histogram files say, as tables and as one page; two runs compared.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Exit, Failure, Outcome, print};
use crate::{
    config::units::parse_moment,
    measure::Span,
    observe::report::{Report, runs::Window},
};

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Several files, of one host or of many, are merged into one. The page is one HTML \
    file with everything in it; slow records are read from <stem>.slow.jsonl beside each file.\n\n\
    With --base, each percentile of each span is compared. Its growth is likely to lie where 95 of \
    100 draws have it, each of which takes both runs anew from their own intervals; where that \
    includes no growth at all, the difference is called noise. What differs from run to run is in \
    it only where a side has three files or more.\n\n\
    With --tolerance the exit status is 1 where p50, p99 or p99.9 of end_to_end or transit grew by \
    more than that, noise or not: a difference within the noise is a reason to measure longer. The \
    maximum is not judged, it is one record.\n\n\
    --json prints one object: v, page, files [path intervals cut facts], start_ms, end_ms, \
    seconds, intervals, records, rate, spans {NAME: count mean_ns p50_ns p90_ns p99_ns p99.9_ns \
    p99.99_ns max_ns}, shares {STAGE: of_mean of_p50 of_p99}, slow_records, trust [weight \
    (doubt, note, good), text], comparison (or null): base, unlike, differences [span percentile \
    base_ns now_ns growth noise_low noise_high meaning], tolerance, exceeded. A growth of 0.05 is \
    5 %."
)]
pub struct Arguments {
    /// Histogram logs, as `run` writes them to observe.out; several are merged
    #[arg(value_name = "FILE.hlog", required = true)]
    pub files: Vec<PathBuf>,
    /// What they are compared with; may be given again, then merged
    #[arg(long, value_name = "FILE.hlog", num_args = 1..)]
    pub base: Vec<PathBuf>,
    /// How much p50, p99 and p99.9 may grow, as 5% or 0.05
    #[arg(long, value_name = "SHARE", value_parser = parse_tolerance, requires = "base")]
    pub tolerance: Option<f64>,
    /// Only intervals from then on: RFC 3339, or an age such as 2h; --base is taken whole
    #[arg(long, value_name = "T", value_parser = parse_moment)]
    pub since: Option<i64>,
    /// Only intervals before that time
    #[arg(long, value_name = "T", value_parser = parse_moment)]
    pub until: Option<i64>,
    /// The page; else it lies beside the first file, its name ending with .html
    #[arg(short, long, value_name = "FILE.html")]
    pub output: Option<PathBuf>,
    /// Prints one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Outcome {
    let page = match &arguments.output {
        Some(page) => page.clone(),
        None => arguments.files[0].with_extension("html"),
    };
    refuse_overwriting(&page, arguments.files.iter().chain(&arguments.base))?;
    let window = Window { since_ms: arguments.since, until_ms: arguments.until };
    let report =
        Report::read(&arguments.files, window, &arguments.base, arguments.tolerance, page.clone())
            .map_err(Failure::usage)?;
    refuse_nothing(arguments, &report)?;
    write(&report)?;
    match arguments.json {
        true => print(&format!("{:#}\n", report.json()))?,
        false => print(&format!("{}\nreport: {}\n", report.text(), page.display()))?,
    };
    match report.comparison.is_some_and(|it| !it.exceeded().is_empty()) {
        true => Ok(Exit::False),
        false => Ok(Exit::Done),
    }
}

/// Writes the page of one log beside it, and says where.
pub(super) fn write_beside(log: &Path) -> Result<PathBuf, Failure> {
    let page = log.with_extension("html");
    let report = Report::read(&[log.to_owned()], Window::default(), &[], None, page.clone());
    write(&report.map_err(Failure::usage)?)?;
    Ok(page)
}

fn write(report: &Report) -> Result<(), Failure> {
    fs::write(&report.page, report.html()).map_err(|error| {
        let page = report.page.display();
        Failure::usage(format!("{page}: the page cannot be written: {error}; choose one with -o"))
    })
}

/// The page must not take the place of what it is made from.
fn refuse_overwriting<'a>(
    page: &Path,
    mut files: impl Iterator<Item = &'a PathBuf>,
) -> Result<(), Failure> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match files.find(|it| real(it) == real(page)) {
        Some(file) => Err(Failure::usage(format!(
            "-o: {} is read for this report, and would be overwritten by it; choose another name",
            file.display()
        ))),
        None => Ok(()),
    }
}

/// A report about nothing, and a tolerance that judged nothing, would be believed to say something.
fn refuse_nothing(arguments: &Arguments, report: &Report) -> Result<(), Failure> {
    let has_window = arguments.since.is_some() || arguments.until.is_some();
    if has_window && report.now.intervals() == 0 {
        return Err(Failure::usage(
            "--since, --until: no interval of these files lies between them",
        ));
    }
    let Some(comparison) = &report.comparison else { return Ok(()) };
    if comparison.tolerance.is_some() && comparison.tolerated().next().is_none() {
        return Err(Failure::usage(
            "--tolerance: neither end_to_end nor transit has records on both sides, so there is \
             nothing to compare",
        ));
    }
    let vanished = |name: &str| comparison.base.of(name).is_some() && report.now.of(name).is_none();
    let totals = [Span::EndToEnd.name(), Span::Transit.name()];
    match totals.into_iter().find(|name| vanished(name)) {
        Some(name) if comparison.tolerance.is_some() => Err(Failure {
            exit: Exit::False,
            message: format!(
                "--tolerance: {name} has records in the base and none now, so it cannot be judged"
            ),
        }),
        _ => Ok(()),
    }
}

/// `5%` or `0.05`.
fn parse_tolerance(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.trim().strip_suffix('%') {
        Some(number) => (number.trim_end(), 0.01),
        None => (text.trim(), 1.0),
    };
    match number.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number * factor),
        _ => Err(format!("a tolerance is a share such as 5% or 0.05, not \"{text}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_is_a_share() {
        assert_eq!(parse_tolerance("5%"), Ok(0.05));
        assert_eq!(parse_tolerance("0.5 %"), Ok(0.005));
        assert_eq!(parse_tolerance("0.05"), Ok(0.05));
        for wrong in ["", "%", "-1%", "five", "inf"] {
            assert!(parse_tolerance(wrong).is_err(), "{wrong}");
        }
    }
}
