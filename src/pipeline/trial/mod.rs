//! The pipeline on lines of text, without a broker: what came of each record, and why.
//!
//! A line is one record's value as it stands, or an envelope around it. Tables are read from files
//! that are given by name; where one is not given, its lookups miss, and a note says so. Nothing
//! here runs on a hot thread: it may allocate as it likes.

mod answer;
mod envelope;
mod tables;

use std::{
    fmt,
    io::{self, BufRead, Write},
    path::PathBuf,
    str::FromStr,
};

use thiserror::Error;

use crate::{
    clock::Ticks,
    codec::Written,
    config::{Problem, Settings},
    pipeline::{Found, Pipeline, Results, process::Watch},
    record::{Headers, PartitionId, Record},
    verdict::Verdict,
};

use answer::{Answer, Seen};
use envelope::Envelope;
use tables::FileTables;

/// How to read the input and what to say about it.
#[derive(Clone, Debug, Default)]
pub struct TrialOptions {
    /// Each line is `{"value": …, "key": …, "headers": …, "timestamp": …}`, as `kcat -J` prints.
    pub envelope: bool,
    /// Tables by name, from files of `{"key": …, "value": …}` lines.
    pub tables: Vec<(String, PathBuf)>,
    /// Say also what each step saw and did.
    pub explain: bool,
    /// Count records of this outcome as denied.
    pub deny: Option<Outcome>,
}

/// What became of a record, as the user names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Results were produced.
    Emitted,
    /// Nothing was to be emitted.
    Skipped,
    /// It could not be processed.
    Rejected,
    /// It lives on in state.
    Held,
}

impl Outcome {
    /// The name in files and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Emitted => "emitted",
            Outcome::Skipped => "skipped",
            Outcome::Rejected => "rejected",
            Outcome::Held => "held",
        }
    }
}

impl From<&Verdict> for Outcome {
    fn from(verdict: &Verdict) -> Outcome {
        match verdict {
            Verdict::Emit => Outcome::Emitted,
            Verdict::Skip(_) => Outcome::Skipped,
            Verdict::Reject(_) => Outcome::Rejected,
            Verdict::Hold | Verdict::Wait(_) => Outcome::Held,
        }
    }
}

impl FromStr for Outcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Outcome, String> {
        use Outcome::{Emitted, Held, Rejected, Skipped};
        let found = [Emitted, Skipped, Rejected, Held].into_iter().find(|it| it.name() == text);
        found.ok_or_else(|| {
            format!("{text:?} is no outcome; they are emitted, skipped, rejected and held")
        })
    }
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
    let mut pipeline = Pipeline::compile(settings).map_err(TrialError::Problems)?;
    let mut tables = FileTables::read(settings, &options.tables).map_err(TrialError::Table)?;
    for name in tables.not_given(settings, &pipeline) {
        writeln!(notes, "table {name} is not given: its lookups miss (--table {name}=FILE)")?;
    }
    let mut results = Results::default();
    let mut summary = TrialSummary::default();
    let mut text = Vec::new();
    while read_line(&mut input, &mut text)? {
        summary.records += 1;
        let line = summary.records;
        let envelope = if options.envelope {
            Envelope::parse(&text).map_err(|wrong| TrialError::Line { line, wrong })?
        } else {
            Envelope { value: Some(std::mem::take(&mut text)), ..Envelope::default() }
        };
        let record = envelope.record(settings, line);
        let mut seen = Vec::new();
        let mut watch = Watcher { pipeline_names: names(&pipeline), seen: &mut seen };
        results.clear();
        let processed =
            pipeline.process_watched(&record, &mut tables, &mut |_| {}, &mut results, &mut watch);
        let outcome = Outcome::from(&processed.verdict);
        summary.denied += u64::from(options.deny == Some(outcome));
        let step_name = |step| pipeline.step_name(step);
        let mut answer = Answer::new(line, &processed.verdict, step_name);
        if outcome == Outcome::Emitted {
            let outputs = (0..results.len()).map(|index| results.output(index, &record));
            answer.add_results(&settings.sink.topic, outputs);
        }
        if options.explain {
            answer.explain(seen);
        }
        serde_json::to_writer(&mut output, &answer).map_err(io::Error::from)?;
        output.write_all(b"\n")?;
    }
    output.flush()?;
    Ok(summary)
}

fn names(pipeline: &Pipeline) -> Vec<String> {
    pipeline.step_names().map(str::to_owned).collect()
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

impl Envelope {
    fn record<'a>(&'a self, settings: &'a Settings, line: u64) -> Record<'a> {
        let first_topic = settings.source.topics.first().map_or("", String::as_str);
        Record {
            partition: PartitionId(0),
            topic: self.topic.as_deref().unwrap_or(first_topic),
            partition_number: self.partition.unwrap_or(0),
            offset: self.offset.unwrap_or(line as i64 - 1),
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: Headers::from_bytes(&self.headers),
            arrived: Ticks::default(),
        }
    }
}

/// Notes what the steps saw and did, for `--explain`.
struct Watcher<'a> {
    pipeline_names: Vec<String>,
    seen: &'a mut Vec<Seen>,
}

impl Watch for Watcher<'_> {
    fn looked_up(&mut self, step: u16, table: &str, key: &[u8], found: &Found<'_>) {
        let step = self.pipeline_names[usize::from(step)].clone();
        self.seen.push(Seen::looked_up(step, table, key, found));
    }

    fn wrote(&mut self, step: u16, path: &dyn fmt::Display, written: Written, bytes: &[u8]) {
        let step = self.pipeline_names[usize::from(step)].clone();
        self.seen.push(Seen::wrote(step, path.to_string(), written, bytes));
    }
}
