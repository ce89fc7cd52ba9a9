//! `init`: prints a commented pipeline to start from.

use super::{Failure, Outcome, print};
use crate::config::DEFAULT_FILE;

/// The pipelines that come with the program: name, what it does, text.
pub const PIPELINES: [(&str, &str, &str); 12] = [
    (
        "orders",
        "orders enriched from Redis, the result as plain text",
        include_str!("../../tuning/pipelines/orders.toml"),
    ),
    (
        "orders-spliced",
        "the same, the result spliced into the record",
        include_str!("../../tuning/pipelines/orders-spliced.toml"),
    ),
    (
        "names",
        "the md5 of each record added to it",
        include_str!("../../tuning/pipelines/names.toml"),
    ),
    (
        "customers",
        "three spellings of an id made one, and rules that must hold",
        include_str!("../../tuning/pipelines/customers.toml"),
    ),
    (
        "fraud",
        "payments scored by a table in Redis, and routed by that score",
        include_str!("../../tuning/pipelines/fraud.toml"),
    ),
    (
        "sessions",
        "clicks gathered into one record a visit",
        include_str!("../../tuning/pipelines/sessions.toml"),
    ),
    (
        "sensors",
        "readings averaged by the minute, late ones apart",
        include_str!("../../tuning/pipelines/sensors.toml"),
    ),
    (
        "payments",
        "payments, each once, however often it was sent",
        include_str!("../../tuning/pipelines/payments.toml"),
    ),
    (
        "batches",
        "a hundred lines at a time in one record",
        include_str!("../../tuning/pipelines/batches.toml"),
    ),
    (
        "repartition",
        "records under another key, for steps with state behind",
        include_str!("../../tuning/pipelines/repartition.toml"),
    ),
    (
        "weather",
        "observations of weather stations, Redis Streams in and out",
        include_str!("../../tuning/pipelines/weather.toml"),
    ),
    ("reference", "every key, what it means and its default", DEFAULT_FILE),
];

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which one; without it they are listed
    pub name: Option<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Outcome {
    let list = || {
        let line = |(name, what, _): &(&str, &str, &str)| format!("{name:16}{what}\n");
        PIPELINES.iter().map(line).collect::<String>()
    };
    let Some(name) = &arguments.name else { return print(&list()) };
    match PIPELINES.iter().find(|(known, ..)| known == name) {
        Some((_, _, text)) => print(text),
        None => {
            let message = format!("there is no pipeline named \"{name}\"; there are\n{}", list());
            Err(Failure::usage(message))
        }
    }
}
