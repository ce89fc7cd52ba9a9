//! Starts a side thread for each table, and the gate: nothing is consumed before all are loaded.
//!
//! The threads inherit the cores of the thread that calls `open`, so it is called while the process
//! runs on its housekeeping cores.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::BuildHasher,
    io,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    demand::Questions,
    file::FileTable,
    redis::{Address, Asker, Fetcher, Refresher},
    status::{Load, TableStatus},
    stop::Stop,
    table::{Writer, table},
    tables::Tables,
};
use crate::config::settings::{self, RedisKind, RedisTable, TablePlace};

/// Entries that a table has room for before it grows for the first time.
const FIRST_ENTRIES: usize = 1024;

/// Between two calls of the progress function; the tables turn at this pace meanwhile.
const PROGRESS_EVERY: Duration = Duration::from_millis(20);

/// Why a table is not there.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// What the configuration says cannot be used.
    #[error("tables.{table}.{key}: {reason}")]
    Setting {
        /// Its name.
        table: String,
        /// Which setting.
        key: &'static str,
        /// Why not.
        reason: String,
    },
    /// Waiting would not help.
    #[error("table {table} cannot be loaded: {reason}")]
    CannotHeal {
        /// Its name.
        table: String,
        /// Why not.
        reason: String,
    },
    /// It took too long.
    #[error(
        "table {table} was not loaded within tables.{table}.load_timeout of {timeout:?}: {reason}"
    )]
    NotInTime {
        /// Its name.
        table: String,
        /// How long was waited.
        timeout: Duration,
        /// How far it came, or the last trouble.
        reason: String,
    },
    /// It is loaded, and holds nothing.
    #[error(
        "table {table} is empty: {place}; put entries there, or set tables.{table}.on_empty = \
         \"allow\""
    )]
    Empty {
        /// Its name.
        table: String,
        /// Where was looked, and what was there instead.
        place: String,
    },
    /// The process was told to end before it was loaded.
    #[error("table {table} was still loading when the process was told to end")]
    Stopped {
        /// Its name.
        table: String,
    },
    /// The system refused a thread.
    #[error("table {table} could not have a thread of its own: {source}")]
    Thread {
        /// Its name.
        table: String,
        /// Why not.
        source: io::Error,
    },
}

/// Starts one side thread for each table. The readers in `Tables` stand in the same order. Each
/// handle's `drop` ends its thread and waits for it: not before the hot thread is through, because
/// records that are finished at the end of a run look up as well.
///
/// # Errors
///
/// If a setting cannot be used or the system refuses a thread. What a source answers is told by
/// `TableHandle::wait_loaded`.
pub fn open(tables: &[settings::Table]) -> Result<(Tables, Vec<TableHandle>), CacheError> {
    let mut opened = Tables::new(Vec::with_capacity(tables.len()));
    let mut handles = Vec::with_capacity(tables.len());
    for settings in tables {
        let (mut writer, reader) = table(FIRST_ENTRIES, random_seed());
        if settings.huge_pages {
            writer.ask_for_huge_pages();
        }
        let questions = settings.on_demand().map(|_| Arc::new(Questions::new()));
        let asker = questions.clone().map(|questions| {
            let answers = opened.answers().clone();
            Asker { questions, answers }
        });
        let handle = start(settings, writer, asker, Stop::default())?;
        opened.push(reader, handle.status.freshness().clone(), settings);
        if let (Some(questions), Some(bounds)) = (questions, settings.on_demand()) {
            opened.fill_on_demand(questions, bounds.wait);
        }
        handles.push(handle);
    }
    Ok((opened, handles))
}

/// Ends the threads of all these tables together, and waits for them.
pub fn close(handles: Vec<TableHandle>) {
    // A thread may wait for a server that is silent: all of them at the same time.
    handles.iter().for_each(TableHandle::ask_to_stop);
}

/// A seed that nobody outside the process knows.
fn random_seed() -> u64 {
    RandomState::new().hash_one("table")
}

fn start(
    settings: &settings::Table,
    writer: Writer,
    asker: Option<Asker>,
    stop: Stop,
) -> Result<TableHandle, CacheError> {
    let status = Arc::new(TableStatus::new(&settings.name));
    let (state, asked) = (status.clone(), stop.clone());
    let reread = Arc::new(AtomicBool::new(false));
    let mut address = None;
    let run: Box<dyn FnOnce() + Send> = match &settings.place {
        TablePlace::Redis(redis) => {
            let refused =
                |reason| CacheError::Setting { table: settings.name.clone(), key: "redis", reason };
            let known = Address::parse(&redis.url, &redis.shown).map_err(refused)?;
            let at = (redis, known.clone());
            address = Some(known);
            if let (Some(bounds), Some(asker)) = (redis.on_demand, asker) {
                let bounds = (bounds, settings.on_stale);
                let fetcher = Fetcher::new(at, bounds, writer, asker, (state, asked));
                Box::new(move || fetcher.run())
            } else {
                let refresher = Refresher::new(at, settings.on_stale, writer, (state, asked));
                Box::new(move || refresher.run())
            }
        }
        TablePlace::File(path) => {
            let watched = (state, asked);
            let reread = reread.clone();
            let file = FileTable::new(path, settings.fail_on_empty, writer, watched, reread);
            Box::new(move || file.run())
        }
    };
    let thread = thread::Builder::new().name(format!("hotspur-table-{}", settings.name));
    let thread = thread
        .spawn(run)
        .map_err(|source| CacheError::Thread { table: settings.name.clone(), source })?;
    let (settings, thread) = (settings.clone(), Some(thread));
    let started = Instant::now();
    Ok(TableHandle { settings, status, stop, reread, address, thread, started })
}

/// One table's side thread. Dropping it ends the thread.
pub struct TableHandle {
    settings: settings::Table,
    status: Arc<TableStatus>,
    stop: Stop,
    reread: Arc<AtomicBool>,
    /// Of a Redis.
    address: Option<Address>,
    thread: Option<JoinHandle<()>>,
    started: Instant,
}

impl TableHandle {
    /// The table's name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Its state, to keep and to read from any thread but the hot one.
    pub fn status(&self) -> &Arc<TableStatus> {
        &self.status
    }

    /// Has a file read again soon, changed or not, whenever it is called. A Redis is read anyway.
    pub fn rereader(&self) -> impl Fn() + Send + Sync + 'static {
        let reread = self.reread.clone();
        move || reread.store(true, Ordering::Release)
    }

    /// Takes user and password of a Redis from newer settings for the connections to come, whenever
    /// it is called. True if they changed.
    ///
    /// # Errors
    ///
    /// A sentence, if the URL cannot be used.
    pub fn renewer(&self) -> impl Fn(&settings::Table) -> Result<bool, String> + Send + 'static {
        let address = self.address.clone();
        move |table| match (&address, &table.place) {
            (Some(address), TablePlace::Redis(redis)) => address.renew_login(&redis.url),
            _ => Ok(false),
        }
    }

    /// Waits until the first copy is whole; `load_timeout` counts from `open`. Meanwhile the tables
    /// turn, and `progress` is called some fifty times a second; it says whether to go on.
    ///
    /// # Errors
    ///
    /// If it did not get whole in time or never will, or is empty and must not be, or was broken
    /// off.
    pub fn wait_loaded(
        &self,
        tables: &mut Tables,
        mut progress: impl FnMut(&TableStatus) -> ControlFlow<()>,
    ) -> Result<(), CacheError> {
        let table = || self.settings.name.clone();
        loop {
            tables.quiesce();
            let load = self.status.wait_for_load(PROGRESS_EVERY);
            let wish = progress(&self.status);
            match load {
                Load::Done if self.must_not_be_empty() && self.status.entries() == 0 => {
                    return Err(CacheError::Empty { table: table(), place: self.place() });
                }
                Load::Done => return Ok(()),
                Load::Failed(reason) => {
                    return Err(CacheError::CannotHeal { table: table(), reason });
                }
                Load::Running if wish.is_break() => {
                    return Err(CacheError::Stopped { table: table() });
                }
                Load::Running if self.started.elapsed() >= self.settings.load_timeout => {
                    return Err(self.not_in_time());
                }
                Load::Running => {}
            }
        }
    }

    /// Ends the thread and waits for it; so does dropping the handle.
    pub fn stop(self) {}

    fn ask_to_stop(&self) {
        self.stop.ask();
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// A table on demand begins empty.
    fn must_not_be_empty(&self) -> bool {
        self.settings.fail_on_empty && self.settings.on_demand().is_none()
    }

    fn not_in_time(&self) -> CacheError {
        let mut reason = self.status.last_error();
        if reason.is_empty() {
            let (entries, total) = (self.status.entries(), self.status.expected_entries());
            reason = format!("{entries} entries were read, of a database of {total} keys");
        }
        let (table, timeout) = (self.settings.name.clone(), self.settings.load_timeout);
        CacheError::NotInTime { table, timeout, reason }
    }

    fn place(&self) -> String {
        match &self.settings.place {
            TablePlace::File(path) => format!("there is no line in {}", path.display()),
            TablePlace::Redis(RedisTable { shown, prefix, kind, .. }) => {
                let found = match self.status.foreign_keys() {
                    0 => String::new(),
                    1 => " (but 1 key of another type)".to_owned(),
                    many => format!(" (but {many} keys of other types)"),
                };
                let kind = if matches!(kind, RedisKind::Hash(_)) { "hash" } else { "string" };
                format!("{shown} has no {kind} under the prefix {prefix:?}{found}")
            }
        }
    }
}

impl Drop for TableHandle {
    fn drop(&mut self) {
        self.ask_to_stop();
        if self.thread.take().is_some_and(|it| it.join().is_err()) {
            tracing::error!(event = "table.fault", table = self.name(), "its thread panicked");
        }
    }
}

impl fmt::Debug for TableHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableHandle").field("status", &self.status).finish_non_exhaustive()
    }
}
