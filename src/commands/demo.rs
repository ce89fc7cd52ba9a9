//! `demo`: the whole of it with nothing installed.

use std::{path::PathBuf, time::Duration};

use super::{Failure, Outcome};
use crate::config::units;

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
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Runs the command.
pub fn run(_arguments: &Arguments) -> Outcome {
    Err(Failure::not_built("`hotspur demo`"))
}
