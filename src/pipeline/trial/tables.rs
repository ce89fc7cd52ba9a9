//! Tables of a trial: in memory, from files as a run's file tables read them, or as they are told.

use std::path::PathBuf;

use crate::{
    cache::{Entries, OwnedValue, ValueKind, read_entries},
    config::{
        Settings, hints,
        settings::{Operator, RedisKind, TablePlace},
    },
    pipeline::{Found, Lookup, Pipeline},
};

/// By their index in `Settings::tables`; `None` was not given.
#[derive(Clone, Debug)]
pub struct TrialTables {
    tables: Vec<Option<Entries>>,
    /// The trial's present, since the epoch.
    pub(super) now_ns: i64,
}

impl TrialTables {
    /// No table is given.
    pub fn none(settings: &Settings) -> TrialTables {
        TrialTables { tables: settings.tables.iter().map(|_| None).collect(), now_ns: 0 }
    }

    /// Reads the files.
    pub(super) fn read(
        settings: &Settings,
        given: &[(String, PathBuf)],
    ) -> Result<TrialTables, String> {
        let mut tables = TrialTables::none(settings);
        for (name, path) in given {
            let index = index_of(settings, name)?;
            tables.put(settings, index, read_entries(path)?);
        }
        Ok(tables)
    }

    /// Gives a table its entries, in place of any that it had.
    ///
    /// # Errors
    ///
    /// If the configuration has no such table: a sentence that names the nearest.
    pub fn give(
        &mut self,
        settings: &Settings,
        name: &str,
        entries: Entries,
    ) -> Result<(), String> {
        let index = index_of(settings, name)?;
        self.put(settings, index, entries);
        Ok(())
    }

    fn put(&mut self, settings: &Settings, index: usize, mut entries: Entries) {
        if holds_text_only(&settings.tables[index].place) {
            entries.values_mut().for_each(|value| value.kind = ValueKind::Text);
        }
        self.tables[index] = Some(entries);
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

fn index_of(settings: &Settings, name: &str) -> Result<usize, String> {
    settings.tables.iter().position(|table| table.name == name).ok_or_else(|| {
        let known: Vec<_> = settings.tables.iter().map(|it| it.name.as_str()).collect();
        let hint = hints::did_you_mean(name, known.iter().copied());
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        match known.is_empty() {
            true => format!("there is no table named {name:?}; the configuration has none"),
            false => {
                format!("there is no table named {name:?}; known are: {}{hint}", known.join(", "))
            }
        }
    })
}

/// Strings of a Redis are text, whatever they say.
fn holds_text_only(place: &TablePlace) -> bool {
    matches!(place, TablePlace::Redis(redis) if redis.kind == RedisKind::String)
}

impl Lookup for TrialTables {
    fn lookup(&mut self, table: usize, key: &[u8]) -> Found<'_> {
        let found = self.tables[table].as_ref().and_then(|entries| entries.get(key));
        found.map(OwnedValue::as_value).map_or(Found::Miss, Found::Hit)
    }

    fn now_ns(&self) -> i64 {
        self.now_ns
    }

    /// What a trial was told is never old.
    fn age_ns(&self, _table: usize) -> Option<u64> {
        Some(0)
    }
}
