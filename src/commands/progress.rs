//! How far the load of tables is: a bar on a terminal, else a line after one second, two, four …

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cache::TableStatus;

/// When the first line about a table that is still loading comes.
const FIRST_LINE_AFTER: Duration = Duration::from_secs(1);

/// Tells of loading tables; to be called with a table's status as long as that is loading.
#[derive(Debug)]
pub(super) struct LoadProgress {
    started: Instant,
    next_line: Duration,
    bar: Option<ProgressBar>,
}

impl LoadProgress {
    /// In lines of the log.
    pub(super) fn in_log() -> LoadProgress {
        LoadProgress { started: Instant::now(), next_line: FIRST_LINE_AFTER, bar: None }
    }

    /// A bar, if standard error is a terminal.
    pub(super) fn on_terminal() -> LoadProgress {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            let template = "{msg} {wide_bar} {human_pos} of about {human_len}, {per_sec}";
            // The template is a constant, and a test reads it.
            bar.with_style(ProgressStyle::with_template(template).expect("a template"))
        });
        LoadProgress { bar, ..LoadProgress::in_log() }
    }

    /// Since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Shows how far that table is.
    pub(super) fn show(&mut self, status: &TableStatus) {
        if let Some(bar) = &self.bar {
            bar.set_message(status.name().to_owned());
            bar.set_length(status.expected_entries().max(status.entries()));
            bar.set_position(status.entries());
            if status.is_loaded() {
                bar.finish_and_clear();
            }
        } else if !status.is_loaded() && self.elapsed() >= self.next_line {
            self.next_line *= 2;
            self.tell(status);
        }
    }

    fn tell(&self, status: &TableStatus) {
        let trouble = Some(status.last_error()).filter(|it| !it.is_empty());
        tracing::info!(
            event = "table.loading",
            table = status.name(),
            entries = status.entries(),
            of_about = Some(status.expected_entries()).filter(|it| *it > 0),
            keys_per_second = keys_per_second(status.entries(), self.elapsed()),
            trouble
        );
    }
}

impl Drop for LoadProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Whole keys a second; zero before any time has passed.
pub(super) fn keys_per_second(keys: u64, took: Duration) -> u64 {
    if took.is_zero() { 0 } else { (keys as f64 / took.as_secs_f64()) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_time() {
        assert_eq!(keys_per_second(7, Duration::ZERO), 0);
        assert_eq!(keys_per_second(1_000, Duration::from_millis(500)), 2_000);
    }
}
