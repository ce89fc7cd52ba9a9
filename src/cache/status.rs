//! What everybody but the hot thread may know of a table: progress, freshness, trouble.
//!
//! Written by the table's side thread, read by the gate, the observer and the commands. Numbers
//! are atomics, each true by itself; texts stand behind locks that the hot thread never takes.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{freshness::Freshness, table::Writer};
use crate::config::units;

/// How far the first load came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Under way, or waiting for its source.
    Running,
    /// The first copy is whole.
    Done,
    /// It never will be: why.
    Failed(String),
}

/// One table's state.
#[derive(Debug)]
pub struct TableStatus {
    name: String,
    started: Instant,
    load: Mutex<Load>,
    load_changed: Condvar,
    last_error: Mutex<String>,
    is_fresh: AtomicBool,
    is_held_back: AtomicBool,
    is_replica: AtomicBool,
    /// Nanoseconds after `started`, plus one; zero for never.
    as_of: AtomicU64,
    /// The same for the hot thread.
    freshness: Arc<Freshness>,
    entries: AtomicU64,
    bytes: AtomicU64,
    retired_bytes: AtomicU64,
    expected_entries: AtomicU64,
    foreign_keys: AtomicU64,
    malformed_values: AtomicU64,
    expiring_entries: AtomicU64,
    passes: AtomicU64,
    pass_keys: AtomicU64,
    /// As `as_of`; zero while none is under way.
    pass_began: AtomicU64,
    loads: AtomicU64,
    load_took: AtomicU64,
    failed_loads: AtomicU64,
    reconnects: AtomicU64,
    errors: AtomicU64,
}

impl TableStatus {
    pub(super) fn new(name: &str) -> TableStatus {
        TableStatus {
            name: name.to_owned(),
            started: Instant::now(),
            load: Mutex::new(Load::Running),
            load_changed: Condvar::new(),
            last_error: Mutex::default(),
            is_fresh: AtomicBool::default(),
            is_held_back: AtomicBool::default(),
            is_replica: AtomicBool::default(),
            as_of: AtomicU64::default(),
            freshness: Arc::new(Freshness::new()),
            entries: AtomicU64::default(),
            bytes: AtomicU64::default(),
            retired_bytes: AtomicU64::default(),
            expected_entries: AtomicU64::default(),
            foreign_keys: AtomicU64::default(),
            malformed_values: AtomicU64::default(),
            expiring_entries: AtomicU64::default(),
            passes: AtomicU64::default(),
            pass_keys: AtomicU64::default(),
            pass_began: AtomicU64::default(),
            loads: AtomicU64::default(),
            load_took: AtomicU64::default(),
            failed_loads: AtomicU64::default(),
            reconnects: AtomicU64::default(),
            errors: AtomicU64::default(),
        }
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True once the first copy was whole; it stays so.
    pub fn is_loaded(&self) -> bool {
        *self.load() == Load::Done
    }

    /// True while the copy follows its source; false while it loads or its source is away.
    pub fn is_fresh(&self) -> bool {
        self.is_fresh.load(Relaxed)
    }

    /// True while the hot thread does not turn and the writer waits for it.
    pub fn is_held_back(&self) -> bool {
        self.is_held_back.load(Relaxed)
    }

    /// How old an answer may be: time since the copy last showed all that its source held. `None`
    /// before the first whole copy, and of a copy of a replica.
    pub fn age(&self) -> Option<Duration> {
        let as_of = self.as_of.load(Relaxed).checked_sub(1)?;
        Some(self.started.elapsed().saturating_sub(Duration::from_nanos(as_of)))
    }

    /// True if the source follows another server, so that nobody knows how old its answers are.
    pub fn is_replica(&self) -> bool {
        self.is_replica.load(Relaxed)
    }

    /// As of when the copy is true, for the hot thread.
    pub(super) fn freshness(&self) -> &Arc<Freshness> {
        &self.freshness
    }

    /// Entries in the copy; while it loads, how many are there so far.
    pub fn entries(&self) -> u64 {
        self.entries.load(Relaxed)
    }

    /// Bytes of the copy, without what waits to be freed.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Bytes that wait for the hot thread's next turn to be freed.
    pub fn retired_bytes(&self) -> u64 {
        self.retired_bytes.load(Relaxed)
    }

    /// At most so many entries are to come: the keys of the whole database, or the lines of the
    /// file. Zero if unknown.
    pub fn expected_entries(&self) -> u64 {
        self.expected_entries.load(Relaxed)
    }

    /// Keys under the prefix that are of another type, as the last whole pass found them.
    pub fn foreign_keys(&self) -> u64 {
        self.foreign_keys.load(Relaxed)
    }

    /// Values that are no text, or no JSON, though they should be, as the last whole pass found
    /// them.
    pub fn malformed_values(&self) -> u64 {
        self.malformed_values.load(Relaxed)
    }

    /// Entries that will go at a known time.
    pub fn expiring_entries(&self) -> u64 {
        self.expiring_entries.load(Relaxed)
    }

    /// How often everything was read, be it to load or to compare.
    pub fn passes(&self) -> u64 {
        self.passes.load(Relaxed)
    }

    /// Keys that the pass under way has read, and for how long it has been reading; `None` if none
    /// is under way. `expected_entries` says how many there may be.
    pub fn pass_progress(&self) -> Option<(u64, Duration)> {
        let began = self.pass_began.load(Relaxed).checked_sub(1)?;
        let elapsed = self.started.elapsed().saturating_sub(Duration::from_nanos(began));
        Some((self.pass_keys.load(Relaxed), elapsed))
    }

    /// Whole loads so far, the first included.
    pub fn loads(&self) -> u64 {
        self.loads.load(Relaxed)
    }

    /// How long the last of them took.
    pub fn load_took(&self) -> Duration {
        Duration::from_nanos(self.load_took.load(Relaxed))
    }

    /// Loads that broke off, or whose content was refused.
    pub fn failed_loads(&self) -> u64 {
        self.failed_loads.load(Relaxed)
    }

    /// Connections made after the first.
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }

    /// Troubles so far.
    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// The last trouble in words; empty if there was none.
    pub fn last_error(&self) -> String {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the first load has ended, at most that long; says how far it is.
    pub(super) fn wait_for_load(&self, timeout: Duration) -> Load {
        let waiting = |load: &mut Load| *load == Load::Running;
        let result = self.load_changed.wait_timeout_while(self.load(), timeout, waiting);
        result.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// A copy is whole, and true as of that time. The first is told by whoever waits for it.
    pub(super) fn loaded(&self, as_of: Instant, took: Duration) {
        // Before anybody is let in by the end of the load.
        self.fresh_as_of(as_of);
        self.loaded_from_replica(took);
    }

    /// A copy is whole, and nobody knows as of when it is true.
    pub(super) fn loaded_from_replica(&self, took: Duration) {
        self.load_took.store(took.as_nanos() as u64, Relaxed);
        if self.loads.fetch_add(1, Relaxed) > 0 {
            self.tell_loaded();
        }
        self.is_fresh.store(true, Relaxed);
        *self.load() = Load::Done;
        self.load_changed.notify_all();
    }

    /// Writes the line that says so.
    pub fn tell_loaded(&self) {
        let foreign = Some(self.foreign_keys()).filter(|keys| *keys > 0);
        tracing::info!(
            event = "table.loaded",
            table = self.name,
            entries = self.entries(),
            foreign,
            took = units::show_about(self.load_took())
        );
    }

    /// The first copy will never be whole.
    pub(super) fn failed(&self, reason: String) {
        let mut load = self.load();
        if *load == Load::Running {
            *load = Load::Failed(reason);
        }
        self.load_changed.notify_all();
    }

    /// The copy shows all that its source held at that time.
    pub(super) fn fresh_as_of(&self, time: Instant) {
        let nanos = time.saturating_duration_since(self.started).as_nanos() as u64;
        self.as_of.fetch_max(nanos + 1, Relaxed);
        self.freshness.set(time);
        self.is_fresh.store(true, Relaxed);
    }

    /// The source follows another server: what its copy is worth nobody knows. Told when it begins.
    pub(super) fn is_of_replica(&self, yes: bool) {
        let was = self.is_replica.swap(yes, Relaxed);
        if yes {
            self.as_of.store(0, Relaxed);
            self.freshness.forget();
        }
        if yes && !was {
            let table = &self.name;
            tracing::warn!(
                event = "table.replica",
                table,
                "read from a replica, its age is unknown"
            );
        }
    }

    /// The copy serves on, but nobody knows whether it is still true.
    pub(super) fn stale(&self) {
        self.is_fresh.store(false, Relaxed);
    }

    pub(super) fn trouble(&self, sentence: String) {
        self.errors.fetch_add(1, Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = sentence;
    }

    pub(super) fn load_broke_off(&self) {
        self.failed_loads.fetch_add(1, Relaxed);
    }

    pub(super) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }

    pub(super) fn held_back(&self, yes: bool) {
        self.is_held_back.store(yes, Relaxed);
    }

    pub(super) fn expect(&self, entries: u64) {
        self.expected_entries.store(entries, Relaxed);
    }

    /// Everything was read once; that many keys and values were not what they should be.
    pub(super) fn passed(&self, foreign: u64, malformed: u64) {
        self.passes.fetch_add(1, Relaxed);
        self.foreign_keys.store(foreign, Relaxed);
        self.malformed_values.store(malformed, Relaxed);
    }

    /// How far the pass is that is under way, and since when.
    pub(super) fn passing(&self, pass: Option<(u64, Instant)>) {
        let nanos = |time: Instant| time.saturating_duration_since(self.started).as_nanos() as u64;
        self.pass_keys.store(pass.map_or(0, |it| it.0), Relaxed);
        self.pass_began.store(pass.map_or(0, |it| nanos(it.1) + 1), Relaxed);
    }

    pub(super) fn expiring(&self, entries: usize) {
        self.expiring_entries.store(entries as u64, Relaxed);
    }

    pub(super) fn measure(&self, writer: &Writer) {
        self.entries.store(writer.len() as u64, Relaxed);
        self.bytes.store(writer.bytes() as u64, Relaxed);
        self.retired_bytes.store(writer.retired_bytes() as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_begins_with_the_first_whole_copy_and_never_grows_backwards() {
        let status = TableStatus::new("users");
        assert_eq!(status.age(), None);
        let time = Instant::now();
        status.loaded(time, Duration::ZERO);
        assert!(status.is_loaded() && status.is_fresh());
        assert!(status.age().unwrap() <= time.elapsed() + Duration::from_nanos(1));
        let before = status.as_of.load(Relaxed);
        status.fresh_as_of(time - Duration::from_nanos(1));
        assert_eq!(status.as_of.load(Relaxed), before);
        status.stale();
        assert!(!status.is_fresh() && status.is_loaded());
    }

    #[test]
    fn a_failure_ends_the_wait_but_does_not_undo_a_load() {
        let status = TableStatus::new("users");
        assert_eq!(status.wait_for_load(Duration::ZERO), Load::Running);
        status.failed("no such password".to_owned());
        let failed = Load::Failed("no such password".to_owned());
        assert_eq!(status.wait_for_load(Duration::from_secs(60)), failed);
        let status = TableStatus::new("users");
        status.loaded(Instant::now(), Duration::ZERO);
        status.failed("too late".to_owned());
        assert!(status.is_loaded());
    }
}
