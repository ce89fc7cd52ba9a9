//! `run`: the pipeline, until a signal.

use super::{Failure, Outcome};
use crate::config::Loaded;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Starts there: earliest, latest, a time, an age, topic:partition:offset
    #[arg(long, value_name = "P")]
    pub from: Option<String>,
    /// Ends there by itself; wants a group of its own
    #[arg(long, value_name = "P")]
    pub until: Option<String>,
    /// The consumer group, instead of the file's
    #[arg(long)]
    pub group: Option<String>,
}

impl Arguments {
    /// Refuses what is not built.
    pub fn check(&self) -> Result<(), Failure> {
        let given = [("--from", &self.from), ("--until", &self.until), ("--group", &self.group)];
        match given.iter().find(|(_, value)| value.is_some()) {
            Some((name, _)) => Err(Failure::not_built(&format!("`hotspur run {name}`"))),
            None => Ok(()),
        }
    }
}

/// Runs the command.
pub fn run(_loaded: &Loaded, arguments: &Arguments) -> Outcome {
    arguments.check()?;
    Err(Failure::not_built("`hotspur run`"))
}
