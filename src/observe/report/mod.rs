//! The report: what histogram logs say, as tables, as JSON, and as one self-contained page.
//!
//! Logs become runs (`runs`), these are judged (`shares`, `trust`) and compared (`compare`), and
//! the result is written three times (`text`, `json`, `page`) from the same figures. It reads files
//! only; no run is disturbed by it.

pub mod compare;
mod curves;
mod json;
mod page;
pub mod runs;
pub mod shares;
pub mod slow;
mod text;
pub mod trust;

use std::path::PathBuf;

use self::{
    compare::Difference,
    runs::{Run, Window},
    shares::Share,
    slow::SlowRecords,
    trust::Reason,
};
use crate::observe::log_reader::{Log, LogError};

/// The columns between count and max.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// All that is known, before it is written.
#[derive(Debug)]
pub struct Report {
    /// The logs that it is about.
    pub now: Run,
    /// Where the time goes.
    pub shares: Vec<Share>,
    /// The slow records beside the logs.
    pub slow: SlowRecords,
    /// What speaks for the numbers and against them.
    pub reasons: Vec<Reason>,
    /// What it is compared with, if anything.
    pub comparison: Option<Comparison>,
    /// Where the page goes.
    pub page: PathBuf,
}

/// A run that it is compared with.
#[derive(Debug)]
pub struct Comparison {
    /// That run.
    pub base: Run,
    /// All percentiles.
    pub differences: Vec<Difference>,
    /// In what the circumstances differ.
    pub unlike: Vec<String>,
    /// By how much percentiles may grow: 0.05 is 5 %.
    pub tolerance: Option<f64>,
}

impl Comparison {
    /// Differences that a tolerance is about.
    pub fn tolerated(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|it| it.is_tolerated())
    }

    /// Those that grew by more than the tolerance.
    pub fn exceeded(&self) -> Vec<&Difference> {
        let Some(tolerance) = self.tolerance else { return Vec::new() };
        self.tolerated().filter(|it| it.growth > tolerance).collect()
    }
}

impl Report {
    /// Reads logs, merges them, and compares them with `base` if there is any. The window is for
    /// the first: a base is taken whole.
    ///
    /// # Errors
    ///
    /// A sentence that names the file, if one cannot be read.
    pub fn read(
        files: &[PathBuf],
        window: Window,
        base: &[PathBuf],
        tolerance: Option<f64>,
        page: PathBuf,
    ) -> Result<Report, String> {
        let now = read_run(files, window)?;
        let mut slow = SlowRecords::default();
        for file in files {
            slow.add_beside(file, window)?;
        }
        let comparison = match base {
            [] => None,
            base => Some(compared(read_run(base, Window::default())?, &now, tolerance)),
        };
        let (shares, reasons) = (shares::shares(&now, &slow), trust::reasons(&now, &slow));
        Ok(Report { now, shares, slow, reasons, comparison, page })
    }

    /// The table that a person reads.
    pub fn text(&self) -> String {
        text::text(self)
    }

    /// One JSON object.
    pub fn json(&self) -> serde_json::Value {
        json::json(self)
    }

    /// The whole page.
    pub fn html(&self) -> String {
        page::html(self)
    }

    /// What it is about: the pipeline's name, else the first file's.
    fn title(&self) -> String {
        let names = self.now.fact("name").join(", ");
        let file = self.now.files.first().and_then(|it| it.path.file_stem());
        match names.is_empty() {
            true => file.map_or_else(String::new, |it| it.to_string_lossy().into_owned()),
            false => names,
        }
    }
}

fn read_run(files: &[PathBuf], window: Window) -> Result<Run, String> {
    let logs: Result<Vec<Log>, LogError> = files.iter().map(|it| Log::read(it)).collect();
    let logs = logs.map_err(|error| error.to_string())?;
    Run::merge(&logs, window).map_err(|error| error.to_string())
}

fn compared(base: Run, now: &Run, tolerance: Option<f64>) -> Comparison {
    let differences = compare::differences(&base, now);
    let unlike = compare::unlike(&base, now);
    Comparison { base, differences, unlike, tolerance }
}

/// A time since the epoch as people write it, to the second, in UTC.
fn shown_time(time: std::time::Duration) -> String {
    let nanos = i128::try_from(time.as_nanos()).unwrap_or(0);
    let time = jiff::Timestamp::from_nanosecond(nanos).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A growth with its sign: `+3.2 %`.
fn shown_growth(growth: f64) -> String {
    format!("{:+.1} %", growth * 100.0)
}
