//! Tables of a trial, from files of `{"key": …, "value": …}` lines.
//!
//! As in a run, text is its bytes and any other value its JSON text. A later line for the same key
//! counts.

use std::{collections::HashMap, fs, path::PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    config::{Settings, settings::Operator},
    pipeline::{Found, Lookup},
};

/// By their index in `Settings::tables`; `None` was not given.
#[derive(Debug)]
pub(super) struct FileTables {
    tables: Vec<Option<HashMap<Vec<u8>, Vec<u8>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: String,
    value: Value,
}

impl FileTables {
    /// Reads the files.
    pub(super) fn read(
        settings: &Settings,
        given: &[(String, PathBuf)],
    ) -> Result<FileTables, String> {
        let mut tables: Vec<_> = settings.tables.iter().map(|_| None).collect();
        for (name, path) in given {
            let index = settings.tables.iter().position(|table| table.name == *name);
            let index = index.ok_or_else(|| {
                let known: Vec<_> = settings.tables.iter().map(|it| it.name.as_str()).collect();
                format!("there is no table named {name:?}; known are: {}", known.join(", "))
            })?;
            tables[index] = Some(read_file(path)?);
        }
        Ok(FileTables { tables })
    }

    /// Names of the tables that a step uses and nobody gave.
    pub(super) fn not_given<'a>(&self, settings: &'a Settings) -> Vec<&'a str> {
        let used = |name: &str| {
            settings.steps.iter().any(
                |step| matches!(&step.operator, Operator::Lookup { table, .. } if table == name),
            )
        };
        let names = settings.tables.iter().map(|table| table.name.as_str());
        let missing = names.zip(&self.tables).filter(|(name, it)| it.is_none() && used(name));
        missing.map(|(name, _)| name).collect()
    }
}

fn read_file(path: &PathBuf) -> Result<HashMap<Vec<u8>, Vec<u8>>, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("failed to read {shown}: {error}"));
    let mut entries = HashMap::new();
    for (line, number) in text?.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let entry: Entry = serde_json::from_str(line).map_err(|error| {
            format!("{shown}:{number}: not {{\"key\": TEXT, \"value\": VALUE}}: {error}")
        })?;
        let value = match entry.value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        entries.insert(entry.key.into_bytes(), value.into_bytes());
    }
    Ok(entries)
}

impl Lookup for FileTables {
    fn lookup(&mut self, table: usize, key: &[u8]) -> Found<'_> {
        let found = self.tables[table].as_ref().and_then(|entries| entries.get(key));
        found.map_or(Found::Miss, |value| Found::Hit(value))
    }
}
