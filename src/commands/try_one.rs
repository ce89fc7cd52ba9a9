//! `try`: records from standard input or a file through the pipeline, one line of JSON out for each.

use std::path::PathBuf;

use super::{Failure, Outcome};
use crate::config::Loaded;

/// Arguments of `try`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Records, one value a line; without it standard input
    pub file: Option<PathBuf>,
    /// A line is {value, key, headers, timestamp, …}, as `kcat -J` prints
    #[arg(long)]
    pub envelope: bool,
    /// Entries of a table: JSON lines of {"key", "value"}; may be given again
    #[arg(long = "table", value_name = "NAME=FILE", value_parser = parse_table)]
    pub tables: Vec<(String, PathBuf)>,
    /// Says what each step saw and did
    #[arg(long)]
    pub explain: bool,
    /// Fails if a record comes out like that: emitted, skipped, rejected
    #[arg(long, value_name = "OUTCOME", value_parser = ["emitted", "skipped", "rejected"])]
    pub deny: Option<String>,
}

fn parse_table(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.to_owned(), file.into()))
        }
        _ => Err("a table is written as NAME=FILE".to_owned()),
    }
}

/// Runs the command.
pub fn run(_loaded: &Loaded, _arguments: &Arguments) -> Outcome {
    Err(Failure::not_built("`hotspur try`"))
}
