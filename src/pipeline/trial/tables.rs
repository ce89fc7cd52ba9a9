//! Tables of a trial, from files as a run's file tables read them.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    cache::{Entries, OwnedValue, ValueKind, read_entries},
    config::{
        Settings,
        settings::{Operator, RedisKind, TablePlace},
    },
    pipeline::{Found, Lookup, Pipeline},
};

/// By their index in `Settings::tables`; `None` was not given.
#[derive(Debug)]
pub(super) struct FileTables {
    tables: Vec<Option<Entries>>,
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
            let mut entries = read_entries(path)?;
            if holds_text_only(&settings.tables[index].place) {
                entries.values_mut().for_each(|value| value.kind = ValueKind::Text);
            }
            tables[index] = Some(entries);
        }
        Ok(FileTables { tables })
    }

    /// Names of the tables that a step or an expression uses and nobody gave.
    pub(super) fn not_given<'a>(
        &self,
        settings: &'a Settings,
        pipeline: &Pipeline,
    ) -> Vec<&'a str> {
        let used = |name: &str| {
            settings.steps.iter().any(
                |step| matches!(&step.operator, Operator::Lookup { table, .. } if table == name),
            )
        };
        let names = settings.tables.iter().map(|table| table.name.as_str()).enumerate();
        let names = names.filter(|(index, name)| used(name) || pipeline.asks(*index));
        let missing = names.filter(|(index, _)| self.tables[*index].is_none());
        missing.map(|(_, name)| name).collect()
    }
}

/// Strings of a Redis are text, whatever they say.
fn holds_text_only(place: &TablePlace) -> bool {
    matches!(place, TablePlace::Redis(redis) if redis.kind == RedisKind::String)
}

impl Lookup for FileTables {
    fn lookup(&mut self, table: usize, key: &[u8]) -> Found<'_> {
        let found = self.tables[table].as_ref().and_then(|entries| entries.get(key));
        found.map(OwnedValue::as_value).map_or(Found::Miss, Found::Hit)
    }

    fn now_ns(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |it| it.as_nanos() as i64)
    }

    /// A file was read a moment ago.
    fn age_ns(&self, _table: usize) -> Option<u64> {
        Some(0)
    }
}
