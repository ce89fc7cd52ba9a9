//! `delivery.retry`: how what may heal is tried again.

use std::time::Duration;

use super::{
    build::Builder,
    settings::{OnStale, Settings, Table},
    units::show_duration,
};

/// `delivery.retry`: how what may heal is tried again before it is dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often at most; 0 is not at all.
    pub attempts: u16,
    /// How long before the first time; before each further one twice as long.
    pub backoff: Duration,
    /// How long at most.
    pub max_backoff: Duration,
}

impl Builder<'_> {
    pub(crate) fn retry(&self) -> Retry {
        Retry {
            attempts: self.integer("delivery.retry.attempts") as u16,
            backoff: self.duration_or_zero("delivery.retry.backoff"),
            max_backoff: self.duration_or_zero("delivery.retry.max_backoff"),
        }
    }

    pub(crate) fn check_retry(&mut self, settings: &Settings) {
        let retry = settings.delivery.retry;
        if retry.backoff > retry.max_backoff {
            let [first, most] = [retry.backoff, retry.max_backoff].map(show_duration);
            let message = format!("the first wait, {first}, is longer than the longest, {most}");
            self.error("delivery.retry.backoff", message, "backoff ≤ max_backoff");
        }
        let heals = |it: &Table| it.on_stale == OnStale::Reject || it.on_demand().is_some();
        if retry.attempts > 0 && !settings.tables.iter().any(heals) {
            let message = "nothing is tried again: no table rejects when stale or is on demand";
            self.warning("delivery.retry.attempts", message, "leave retry out");
        }
    }
}
