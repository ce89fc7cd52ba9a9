//! Pipeline cases: what a pipeline must make of records, in a file that a person writes.
//!
//! `read` makes plain structs of a `*.cases.toml` and tells all that is wrong with it at its place.
//! `run` puts a case's records through the pipeline of a run, each case with state of its own, and
//! `compare` tells what came out otherwise than expected. `bless` writes that into the file.
//!
//! What this does not do: find files, or say on a terminal how it went.

mod bless;
mod compare;
mod expected;
mod fields;
mod json;
mod read;
mod run;
pub mod schema;

pub use bless::bless;
pub use compare::Difference;
pub use read::CaseFile;
pub use run::Tried;

use std::time::Duration;

use crate::{cache::Entries, config::tree::Place, pipeline::trial::Given};
use fields::Header;
use json::Json;

/// One case.
#[derive(Debug)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// The line on which it begins, from 1.
    pub line: usize,
    tables: Vec<Table>,
    /// The trial's time at its begin, in milliseconds since the epoch.
    begins_ms: i64,
    inputs: Vec<Input>,
    /// Passes behind the last record.
    then_after: Duration,
    expected: Expected,
}

/// Entries for a table of the configuration.
#[derive(Clone, Debug)]
struct Table {
    name: String,
    entries: Entries,
    place: Place,
}

/// A record, and how much time passes before it.
#[derive(Debug)]
struct Input {
    given: Given,
    after: Duration,
}

/// What must come out. What is not said may be as it likes.
#[derive(Debug, Default)]
struct Expected {
    /// An outcome a record, with its class, as `Fate` shows it.
    outcomes: Option<Vec<String>>,
    /// All results, in order.
    results: Option<Vec<Expectation>>,
}

/// What a result must be.
#[derive(Debug, Default)]
struct Expectation {
    value: Option<Payload>,
    key: Option<Option<Vec<u8>>>,
    headers: Option<Vec<Header>>,
    topic: Option<String>,
    timestamp_ms: Option<i64>,
}

/// What a result's value must be.
#[derive(Clone, Debug)]
enum Payload {
    Bytes(Vec<u8>),
    Json(Json),
    /// A result without a value.
    Tombstone,
}
