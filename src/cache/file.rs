//! The file table: a whole file's entries, read again whenever the file changes.
//!
//! The side thread looks at the file four times a second: its place on disk, size and time of
//! change, so that a rename over it is seen as well. A change is read once it has stood still for
//! two looks, as a whole and checked, before the table sees any of it: until then, and if it is
//! refused, the old copy serves. When told to, it is read whatever a look says. Looking is enough
//! here: a notification would say when, not whether the writer has finished. What a file says is
//! read by `entries`.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    entries::{self, Entries},
    status::TableStatus,
    stop::Stop,
    table::Writer,
};

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// While the reader holds the writer back.
const ROOM_EVERY: Duration = Duration::from_millis(1);

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
        let meta = path.metadata().map_err(|error| entries::unreadable(path, &error))?;
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
        let entries = entries::read(&self.path)?;
        self.apply(entries, now);
        Ok(look)
    }

    /// A later copy, if the file is still the one that was looked at.
    fn take(&mut self, look: Look) -> Result<(), String> {
        let now = Instant::now();
        let path = self.path.display();
        let entries = entries::read(&self.path)?;
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

    /// Puts the whole of it in the place of what was there.
    fn apply(&mut self, entries: Entries, as_of: Instant) {
        if !self.wait_for_room() {
            return;
        }
        self.generation = self.generation.wrapping_add(1);
        self.status.expect(entries.len() as u64);
        let entries = entries.iter().map(|(key, value)| (key.as_slice(), value.as_value()));
        self.writer.replace(entries, self.generation);
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
