//! `try`: records from standard input or a file through the pipeline, a line of JSON out for each.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter},
    path::{Path, PathBuf},
};

use super::{Exit, Failure, Outcome};
use crate::{
    config::Loaded,
    pipeline::trial::{self, TrialError, TrialOptions},
};

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
    /// Fails if a record comes out like that
    #[arg(long, value_name = "OUTCOME", value_parser = ["emitted", "skipped", "rejected", "held"])]
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

/// A folder can be opened, too, and fails only when it is read.
fn open(path: &Path) -> Result<File, Failure> {
    let unreadable = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("{}: cannot be read: {why}", path.display()))
    };
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(unreadable(&"it is a folder")),
        _ => Ok(file),
    }
}

/// Runs the command.
pub fn run(loaded: &Loaded, arguments: &Arguments) -> Outcome {
    let options = TrialOptions {
        envelope: arguments.envelope,
        tables: arguments.tables.clone(),
        explain: arguments.explain,
        deny: arguments.deny.as_deref().map(str::parse).transpose().map_err(Failure::usage)?,
    };
    let input: Box<dyn BufRead> = match &arguments.file {
        None => Box::new(io::stdin().lock()),
        Some(path) => Box::new(BufReader::new(open(path)?)),
    };
    let output = BufWriter::new(io::stdout().lock());
    let summary = trial::run(&loaded.settings, input, output, io::stderr().lock(), &options);
    match summary {
        Ok(summary) if summary.denied > 0 => {
            let outcome = arguments.deny.as_deref().unwrap_or_default();
            let message =
                format!("{} of {} records were {outcome}", summary.denied, summary.records);
            Err(Failure { exit: Exit::False, message })
        }
        Ok(_) => Ok(Exit::Done),
        Err(TrialError::Problems(problems)) => {
            Err(Failure::usage(loaded.locate(problems).to_string()))
        }
        Err(TrialError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(error @ TrialError::Io(_)) => Err(Failure::unavailable(error.to_string())),
        Err(error) => Err(Failure::usage(error.to_string())),
    }
}
