//! `schema`: JSON Schemas of what this program reads and prints.

use super::{Outcome, doctor, measure, print};
use crate::{
    config::{self, OwnOperators},
    observe::slow,
    pipeline::{cases, trial},
};

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Of what
    #[arg(default_value = "config")]
    pub what: What,
}

/// What has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// The configuration file
    Config,
    /// Files of pipeline cases
    Cases,
    /// Lines of slow records
    Slow,
    /// Results of `measure --json`
    Measure,
    /// Findings of `doctor --json`
    Doctor,
    /// Lines of `try`
    Try,
}

/// Runs the command.
pub fn run(arguments: &Arguments, operators: &OwnOperators) -> Outcome {
    let schema = match arguments.what {
        What::Config => config::schema::config_with(operators),
        What::Cases => cases::schema::schema(),
        What::Slow => slow::schema(),
        What::Measure => measure::schema(),
        What::Doctor => doctor::schema(),
        What::Try => trial::schema::schema(),
    };
    print(&format!("{schema:#}\n"))
}
