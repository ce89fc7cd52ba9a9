//! `schema`: JSON Schemas of what this program reads.

use super::{Failure, Outcome, doctor, measure, print};
use crate::{
    config::{self, OwnOperators},
    observe::slow,
    pipeline::cases,
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
    /// Lines of `try` (not built yet)
    Try,
}

/// Runs the command.
pub fn run(arguments: &Arguments, operators: &OwnOperators) -> Outcome {
    let what = match arguments.what {
        What::Config => {
            let schema = config::schema::config_with(operators);
            return print(&format!("{schema:#}\n"));
        }
        What::Cases => return print(&format!("{:#}\n", cases::schema::schema())),
        What::Slow => return print(&format!("{:#}\n", slow::schema())),
        What::Measure => return print(&format!("{:#}\n", measure::schema())),
        What::Doctor => return print(&format!("{:#}\n", doctor::schema())),
        What::Try => "try",
    };
    Err(Failure::not_built(&format!("`hotspur schema {what}`")))
}
