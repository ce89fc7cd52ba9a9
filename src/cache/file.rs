//! The file table: JSON lines of `{"key": …, "value": …}`, read again whenever the file changes.
//!
//! The side thread looks at the file four times a second: its place on disk, size and time of
//! change, so that a rename over it is seen as well. A change is read once it has stood still for
//! two looks, as a whole and checked, before the table sees any of it: until then, and if it is
//! refused, the old copy serves. When told to, it is read whatever a look says. Looking is enough
//! here: a notification would say when, not whether the writer has finished. Left out: CSV.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{status::TableStatus, stop::Stop, table::Writer};

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// While the reader holds the writer back.
const ROOM_EVERY: Duration = Duration::from_millis(1);

/// Entries between two looks at whether the reader holds the writer back.
const BATCH_ENTRIES: usize = 1024;

/// Keys and values of a whole file; of a key that stands twice the last counts.
type Entries = HashMap<Vec<u8>, Vec<u8>>;

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Look {
    fn at(path: &Path) -> Result<Look, String> {
        let meta = path.metadata().map_err(|error| unreadable(path, &error))?;
        Ok(Look {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.len(),
            changed: (meta.mtime(), meta.mtime_nsec()),
        })
    }
}

/// Fills one table from one file.
pub(super) struct FileTable {
    path: PathBuf,
    refuse_empty: bool,
    writer: Writer,
    status: Arc<TableStatus>,
    stop: Stop,
    /// Somebody wants it read again.
    reread: Arc<AtomicBool>,
    generation: u32,
}

impl FileTable {
    /// Opens nothing yet. With `refuse_empty` a file that becomes empty later is not taken.
    pub(super) fn new(
        path: &Path,
        refuse_empty: bool,
        writer: Writer,
        (status, stop): (Arc<TableStatus>, Stop),
        reread: Arc<AtomicBool>,
    ) -> FileTable {
        let path = path.to_owned();
        FileTable { path, refuse_empty, writer, status, stop, reread, generation: 0 }
    }

    /// Runs until it is told to stop, or until the first load fails.
    pub(super) fn run(mut self) {
        let mut taken = match self.take_first() {
            Ok(look) => look,
            Err(reason) => {
                self.status.trouble(reason.clone());
                return self.status.failed(reason);
            }
        };
        let (mut last, mut refused) = (Ok(taken), None);
        while !self.stop.is_asked() {
            self.stop.wait(LOOK_EVERY);
            let now = Instant::now();
            let look = Look::at(&self.path);
            let is_wanted = self.reread.swap(false, Ordering::AcqRel);
            let stands_still = last == look || is_wanted;
            last = look.clone();
            if is_wanted {
                refused = None;
            }
            match look {
                Ok(look) if look == taken && !is_wanted => {
                    refused = None;
                    self.status.fresh_as_of(now);
                }
                Ok(look) if stands_still && refused != Some(Ok(look)) => match self.take(look) {
                    Ok(()) => (taken, refused) = (look, None),
                    Err(reason) => {
                        refused = Some(Ok(look));
                        self.refuse(reason);
                    }
                },
                Err(reason) if refused != Some(Err(reason.clone())) => {
                    refused = Some(Err(reason.clone()));
                    self.refuse(reason);
                }
                _ => {}
            }
        }
    }

    /// The first copy: an empty file is the gate's to judge.
    fn take_first(&mut self) -> Result<Look, String> {
        let now = Instant::now();
        let look = Look::at(&self.path)?;
        let entries = read(&self.path)?;
        self.apply(entries, now);
        Ok(look)
    }

    /// A later copy, if the file is still the one that was looked at.
    fn take(&mut self, look: Look) -> Result<(), String> {
        let now = Instant::now();
        let path = self.path.display();
        let entries = read(&self.path)?;
        if Look::at(&self.path)? != look {
            return Err(format!("{path} changed while it was read; it is read again"));
        }
        if entries.is_empty() && self.refuse_empty {
            return Err(format!(
                "{path} became empty: the old copy serves on (on_empty = \"fail\")"
            ));
        }
        self.apply(entries, now);
        Ok(())
    }

    /// Puts the differences into the table: what is the same is only confirmed.
    fn apply(&mut self, entries: Entries, as_of: Instant) {
        self.generation = self.generation.wrapping_add(1);
        self.status.expect(entries.len() as u64);
        for (index, (key, value)) in entries.iter().enumerate() {
            self.writer.insert(key, value, self.generation);
            if index % BATCH_ENTRIES == 0 && !self.wait_for_room() {
                return;
            }
        }
        self.writer.sweep(self.generation);
        self.status.measure(&self.writer);
        self.status.loaded(as_of, as_of.elapsed());
    }

    /// Publishes, then waits until the reader has let go of enough; false if told to stop.
    fn wait_for_room(&mut self) -> bool {
        self.writer.publish();
        while self.writer.is_held_back() && !self.stop.is_asked() {
            self.status.held_back(true);
            self.stop.wait(ROOM_EVERY);
        }
        self.status.held_back(false);
        self.status.measure(&self.writer);
        !self.stop.is_asked()
    }

    fn refuse(&self, reason: String) {
        let table = self.status.name();
        tracing::warn!(event = "table.refused", table, reason = %reason, "serving the last copy");
        self.status.stale();
        self.status.load_broke_off();
        self.status.trouble(reason);
    }
}

/// One line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    key: &'a RawValue,
    #[serde(borrow)]
    value: &'a RawValue,
}

/// Reads and checks a whole file. Errors name the line.
fn read(path: &Path) -> Result<Entries, String> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut reader = BufReader::new(file);
    let (mut entries, mut line, mut number) = (Entries::new(), Vec::new(), 0_u64);
    loop {
        line.clear();
        number += 1;
        let taken =
            reader.read_until(b'\n', &mut line).map_err(|error| unreadable(path, &error))?;
        if taken == 0 {
            return Ok(entries);
        }
        if !line.trim_ascii().is_empty() {
            let (key, value) =
                parse(&line).map_err(|reason| format!("{}:{number}: {reason}", path.display()))?;
            entries.insert(key, value);
        }
    }
}

fn parse(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
    let expected = r#"expected {"key": …, "value": …}"#;
    let refused = |error: serde_json::Error| format!("{expected}: {error}");
    let line: Line<'_> = serde_json::from_slice(line).map_err(refused)?;
    if line.key.get().starts_with(['{', '[', 'n']) {
        return Err(format!("the key must be text, a number or a truth value: {}", line.key.get()));
    }
    Ok((text(line.key).map_err(refused)?, text(line.value).map_err(refused)?))
}

/// The bytes of a string; anything else as it is spelled.
fn text(value: &RawValue) -> serde_json::Result<Vec<u8>> {
    if value.get().starts_with('"') {
        serde_json::from_str::<String>(value.get()).map(String::into_bytes)
    } else {
        Ok(value.get().as_bytes().to_vec())
    }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{} could not be read: {error}", path.display())
}
