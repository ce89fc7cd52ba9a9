//! What the log says while a table's server is away: each different trouble once, and not too many.

use crate::cache::status::TableStatus;

/// Troubles of one outage that have their own line.
const TOLD_MAX: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Outage {
    told: Vec<String>,
}

impl Outage {
    /// The table is stale because of that; `serving` is what it answers from meanwhile.
    pub(super) fn note(&mut self, status: &TableStatus, sentence: String, serving: &str) {
        if self.told.len() < TOLD_MAX && !self.told.contains(&sentence) {
            let served = if status.is_loaded() { serving } else { "trying again" };
            let (table, reason) = (status.name(), &sentence);
            tracing::warn!(event = "table.lost", table, reason = %reason, "{served}");
            self.told.push(sentence.clone());
        }
        status.stale();
        status.trouble(sentence);
    }

    /// All is well again: the next trouble is another outage's.
    pub(super) fn end(&mut self) {
        self.told.clear();
    }
}
