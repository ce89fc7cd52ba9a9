//! What was measured becomes files and lines, on a side thread.
//!
//! The hot thread keeps a `HotSide`: plain memory to add to and a bounded queue to drop notices in.
//! The observer wakes a few dozen times a second, turns notices into log lines, asks for an
//! interval when one is due, writes it to the histogram log and adds it to the sum, from which the
//! end of the run takes its percentile files and its table. Nothing here is ever waited for by the
//! hot thread: where the observer is late, an interval becomes longer and notices are counted
//! instead of kept.
//!
//! Reading order: `hot_side`, `observer`; what it leaves behind, `files` with `log_file`,
//! `distribution`, `part` and `slow`, then `summary`; what it shows meanwhile, `exposed` (metrics,
//! readiness, JSON), `live` (the last minutes) and `endpoint` with `guard` and `requests`; what is
//! read back, `log_reader` and `report`. `web` is what pages are made of.

use thiserror::Error;

pub mod announcer;
mod counts;
mod curve;
pub mod distribution;
pub mod endpoint;
pub mod exposed;
pub mod exposition;
pub mod facts;
mod files;
mod guard;
pub mod hot_side;
pub mod labels;
mod latency_metrics;
mod live;
pub mod log_file;
pub mod log_reader;
pub mod notice;
pub mod observer;
mod part;
mod process;
mod readiness;
pub mod report;
pub mod requests;
#[cfg(target_os = "linux")]
pub mod service;
pub mod slow;
mod snapshot;
pub mod stem;
pub mod summary;
pub mod switch;
pub mod web;

pub use endpoint::Endpoint;
pub use exposed::{
    Exposed, LagFigures, LagSource, PendingFigures, PendingSource, StateFigures, StateSource,
    StatefulStepFigures, TableFigures, TableSource,
};
pub use facts::Facts;
pub use hot_side::HotSide;
pub use labels::Labels;
pub use notice::{BreakerFacts, Notice, PauseCause, PeerTrouble, RejectSample, RunState};
pub use observer::{Observer, ObserverHandle, Setup};
pub use summary::Summary;
pub use switch::Switch;

/// Why the observer could not begin.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// The folder for files, or the first file in it.
    #[error("{path}: cannot be made for the histogram files: {source}; change observe.out")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The side thread.
    #[error("the observer's thread cannot be started: {0}")]
    Thread(std::io::Error),
}
