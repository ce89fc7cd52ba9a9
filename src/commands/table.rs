//! `table`: connects to one table's source as `run` would, loads it, and shows it or one value.

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::AtomicBool},
};

use super::{
    Exit, Failure, Outcome, print,
    progress::{LoadProgress, keys_per_second},
    run,
};
use crate::{
    assemble::{LoadedTables, StartError},
    cache::{TableStatus, ValueKind},
    config::{
        Loaded, hints,
        settings::{OnDemand, RedisKind, RedisTable, Refresh, Table, TablePlace},
        units,
    },
};

/// Arguments of `table`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The table's name in the configuration
    pub name: String,
    /// The lookup key, without the prefix: shows its value
    pub key: Option<String>,
}

/// Runs the command.
pub fn run(loaded: &Loaded, arguments: &Arguments) -> Outcome {
    let table = find(loaded, &arguments.name)?;
    // An empty table can be looked at as well.
    let table = Table { fail_on_empty: false, ..table.clone() };
    let stop = Arc::new(AtomicBool::new(false));
    let mut progress = LoadProgress::on_terminal();
    let opened = LoadedTables::open(std::slice::from_ref(&table), &stop, |it| progress.show(it));
    drop(progress);
    let mut tables = opened.map_err(|error| match error {
        StartError::Table(error) => Failure::unavailable(error.to_string()),
        other => run::failure(other, Some(loaded)),
    })?;
    match &arguments.key {
        Some(key) => show_entry(&mut tables, &table, key),
        None => {
            let text: String = tables.statuses().map(|status| shown(&table, status)).collect();
            print(&text)
        }
    }
}

fn find<'a>(loaded: &'a Loaded, name: &str) -> Result<&'a Table, Failure> {
    let tables = &loaded.settings.tables;
    tables.iter().find(|table| table.name == name).ok_or_else(|| {
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let hint = hints::did_you_mean(name, names.iter().copied());
        let hint = hint.unwrap_or_else(|| match names.as_slice() {
            [] => "the configuration has no tables".to_owned(),
            names => format!("there is {}", names.join(", ")),
        });
        Failure::usage(format!("there is no table named {name:?}; {hint}"))
    })
}

/// The table as a whole.
fn shown(table: &Table, status: &TableStatus) -> String {
    let (entries, bytes, took) = (status.entries(), status.bytes(), status.load_took());
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<10} {value}");
    };
    row("table", table.name.clone());
    row("source", source(table));
    row("entries", entries.to_string());
    let each = bytes.checked_div(entries).map(|each| format!(" ({each} an entry)"));
    row("bytes", format!("{bytes}{}", each.unwrap_or_default()));
    row("age", age(status.age().map(|age| age.as_nanos() as u64)));
    let rate = keys_per_second(entries, took);
    row("loaded in", format!("{} ({rate} keys/s)", units::show_about(took)));
    if status.foreign_keys() > 0 {
        let what = format!("{} keys of other types under the prefix", status.foreign_keys());
        row("left out", what);
    }
    text
}

fn source(table: &Table) -> String {
    let RedisTable { shown, prefix, kind, refresh, on_demand, .. } = match &table.place {
        TablePlace::File(path) => return path.display().to_string(),
        TablePlace::Redis(redis) => redis,
    };
    let kind = match kind {
        RedisKind::String => "strings".to_owned(),
        RedisKind::Json => "JSON".to_owned(),
        RedisKind::Hash(None) => "hashes".to_owned(),
        RedisKind::Hash(Some(fields)) => format!("hashes ({})", fields.join(", ")),
    };
    let how = match (refresh, on_demand) {
        (_, Some(OnDemand { max_entries, .. })) => format!("on demand, {max_entries} at most"),
        (Refresh::Tracking, None) => "all, kept fresh by tracking".to_owned(),
        (Refresh::Poll(interval), None) => {
            format!("all, read every {}", units::show_duration(*interval))
        }
    };
    format!("{shown}, {prefix}*: {kind}; {how}")
}

fn age(nanos: Option<u64>) -> String {
    match nanos {
        Some(nanos) => format!("{:.3}ms", nanos.div_ceil(1_000) as f64 / 1_000.0),
        None => "unknown".to_owned(),
    }
}

/// One value and how old it may be. A key that is not there is status 1.
fn show_entry(tables: &mut LoadedTables, table: &Table, key: &str) -> Outcome {
    let Some((found, age_ns)) = tables.fetch(0, key.as_bytes()) else {
        return Err(Failure::unavailable(format!("table {}: no answer in time", table.name)));
    };
    let Some(value) = found else {
        let message = format!("table {} has no key {key:?} (age {})", table.name, age(age_ns));
        return Err(Failure { exit: Exit::False, message });
    };
    let (kind, shown) = match value.kind {
        ValueKind::Text => ("text", String::from_utf8_lossy(&value.bytes).into_owned()),
        ValueKind::Json => ("json", String::from_utf8_lossy(&value.bytes).into_owned()),
        _ => ("bytes", value.bytes.escape_ascii().to_string()),
    };
    print(&format!("key        {key}\nkind       {kind}\nage        {}\n\n{shown}\n", age(age_ns)))
}
