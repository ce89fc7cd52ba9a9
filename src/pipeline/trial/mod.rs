//! The pipeline without a broker: what came of each record, and why.
//!
//! `Trial` is the pipeline of a run with tables in memory and a time of its own. `run` puts lines
//! of text through one: a line is one record's value as it stands, or an envelope around it. Tables
//! are read from files that are given by name; where one is not given, its lookups miss, and a note
//! says so. Nothing here runs on a hot thread: it may allocate as it likes.

mod answer;
mod envelope;
mod explanation;
mod fate;
mod given;
pub mod schema;
mod stand;
mod tables;

pub use fate::{Fate, Outcome, Produced};
pub use given::Given;
pub use stand::{Sequel, Trial};
pub use tables::TrialTables;

use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use thiserror::Error;

use crate::config::{Problem, Settings};
use answer::Answer;

/// How to read the input and what to say about it.
#[derive(Clone, Debug, Default)]
pub struct TrialOptions {
    /// Each line is `{"value": …, "key": …, "headers": …, "timestamp": …}`, as `kcat -J` prints.
    pub envelope: bool,
    /// Tables by name, from files of `{"key": …, "value": …}` lines.
    pub tables: Vec<(String, PathBuf)>,
    /// Say also what each step saw and did.
    pub explain: bool,
    /// Count records of this outcome as denied, those too behind which a window's result has it.
    pub deny: Option<Outcome>,
}

/// What a trial came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrialSummary {
    /// Records read.
    pub records: u64,
    /// Records whose outcome `TrialOptions::deny` names: more than none is exit status 1.
    pub denied: u64,
}

/// Why a trial could not go on. All but the last are bad usage.
#[derive(Debug, Error)]
pub enum TrialError {
    /// The pipeline does not compile.
    #[error("the pipeline has {} problem(s), the first: {}", .0.len(), .0[0])]
    Problems(Vec<Problem>),
    /// A table was given that the configuration does not have, or its file is not right.
    #[error("{0}")]
    Table(String),
    /// A line is no envelope.
    #[error("line {line} is no envelope: {wrong}")]
    Line {
        /// From 1.
        line: u64,
        /// In words.
        wrong: String,
    },
    /// Reading or writing failed.
    #[error("failed to read a record or write an answer: {0}")]
    Io(#[from] io::Error),
}

/// Runs each line of `input` through the pipeline and writes one JSON line about it to `output`.
/// What a person should know beside that goes to `notes`, a sentence a line.
///
/// # Errors
///
/// If the pipeline does not compile, a table or an envelope cannot be read, or a stream fails.
pub fn run(
    settings: &Settings,
    mut input: impl BufRead,
    mut output: impl Write,
    mut notes: impl Write,
    options: &TrialOptions,
) -> Result<TrialSummary, TrialError> {
    let tables = TrialTables::read(settings, &options.tables).map_err(TrialError::Table)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut trial =
        Trial::new(settings, tables, now.as_millis() as i64).map_err(TrialError::Problems)?;
    for name in trial.tables_not_given() {
        writeln!(notes, "table {name} is not given: its lookups miss (--table {name}=FILE)")?;
    }
    let mut summary = TrialSummary::default();
    let mut text = Vec::new();
    while read_line(&mut input, &mut text)? {
        summary.records += 1;
        let line = summary.records;
        let given = if options.envelope {
            envelope::parse(&text).map_err(|wrong| TrialError::Line { line, wrong })?
        } else {
            Given { value: Some(std::mem::take(&mut text)), ..Given::default() }
        };
        let (fate, steps) = match options.explain {
            true => {
                let (fate, steps) = trial.explain(&given);
                (fate, Some(steps))
            }
            false => (trial.process(&given), None),
        };
        let sequels = trial.take_sequels();
        let outcomes = [&fate].into_iter().chain(sequels.iter().map(|it| &it.fate));
        let is_denied = |fate: &&Fate| options.deny == Some(fate.outcome);
        summary.denied += u64::from(outcomes.into_iter().any(|it| is_denied(&it)));
        serde_json::to_writer(&mut output, &Answer::new(line, &fate, steps, &sequels))
            .map_err(io::Error::from)?;
        output.write_all(b"\n")?;
    }
    output.flush()?;
    Ok(summary)
}

/// Reads one line without its end; false at the end of the input.
fn read_line(input: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<bool> {
    text.clear();
    let read = input.read_until(b'\n', text)?;
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    Ok(read > 0)
}
