//! What the tests of tables share: settings, a gate that is passed, and waiting for conditions.

use std::{
    ops::ControlFlow::Continue,
    thread,
    time::{Duration, Instant},
};

use hotspur::{
    cache::{self, CacheError, TableHandle, Tables},
    config::settings::{Table, TablePlace},
};

/// Nothing here takes that long unless it is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until the condition holds.
pub(crate) fn until(what: &str, condition: impl FnMut() -> bool) {
    until_within(DEADLINE, what, condition);
}

/// The same, for what takes longer.
pub(crate) fn until_within(deadline: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < deadline, "waited {deadline:?} in vain: {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// A table that must not be empty.
pub(crate) fn settings(place: TablePlace) -> Table {
    Table { load_timeout: DEADLINE, ..Table::new("users", place) }
}

/// One open table.
pub(crate) struct Opened {
    pub(crate) tables: Tables,
    pub(crate) handle: TableHandle,
}

/// Opens it and waits at the gate.
pub(crate) fn open(table: &Table) -> Result<Opened, CacheError> {
    let (mut tables, mut handles) = cache::open(std::slice::from_ref(table))?;
    let handle = handles.remove(0);
    handle.wait_loaded(&mut tables, |_| Continue(()))?;
    Ok(Opened { tables, handle })
}

impl Opened {
    /// One turn and a lookup.
    pub(crate) fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        self.tables.quiesce();
        self.tables.get(0, key.as_bytes()).map(|value| value.bytes.to_vec())
    }

    /// Waits until a lookup gives that.
    pub(crate) fn until(&mut self, key: &str, value: Option<&str>) {
        let expected = value.map(str::as_bytes);
        until(&format!("{key} becomes {value:?}"), || self.get(key).as_deref() == expected);
    }
}
