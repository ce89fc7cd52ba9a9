//! All tables as the hot thread holds them: readers in the order of the settings, how old each is,
//! and counters.

use std::{cell::Cell, sync::Arc, time::Duration};

use super::{
    demand::{Answers, Questions},
    freshness::Freshness,
    slots::KeyHash,
    table::Reader,
    value::{Value, ValueKind},
};
use crate::{
    clock::{Clock, Ticks, TscClock},
    config::settings::{self, OnStale},
};

/// What lookups in one table came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// The key was there.
    pub hits: u64,
    /// It was not.
    pub misses: u64,
    /// The table was too old to say.
    pub stale: u64,
}

/// What a lookup found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought<'a> {
    /// The value.
    Found(Value<'a>),
    /// The key is not there.
    Absent,
    /// A table on demand does not know yet; it was asked for the key of this hash.
    Unknown(KeyHash),
}

/// The hot thread's side of every table.
#[derive(Debug, Default)]
pub struct Tables {
    tables: Vec<Table>,
    clock: TscClock,
    answers: Arc<Answers>,
    /// The count of answers before this turn looked at the tables.
    answered: u64,
}

/// One table.
#[derive(Debug)]
struct Table {
    reader: Reader,
    freshness: Option<Arc<Freshness>>,
    /// As of when its answers are true in this turn, if that is known.
    as_of: Option<Ticks>,
    bound: Option<Bound>,
    is_stale: bool,
    demand: Option<Demand>,
    hits: Cell<u64>,
    misses: Cell<u64>,
    stale: Cell<u64>,
}

/// What a table on demand has beside.
#[derive(Debug)]
struct Demand {
    questions: Arc<Questions>,
    wait: Duration,
}

/// An age that answers may not pass.
#[derive(Clone, Copy, Debug)]
struct Bound {
    ticks: u64,
    on_stale: OnStale,
}

impl Table {
    fn new(reader: Reader) -> Table {
        Table {
            reader,
            freshness: None,
            as_of: None,
            bound: None,
            is_stale: false,
            demand: None,
            hits: Cell::default(),
            misses: Cell::default(),
            stale: Cell::default(),
        }
    }

    fn hit(&self) {
        self.hits.set(self.hits.get() + 1);
    }

    fn miss(&self) {
        self.misses.set(self.misses.get() + 1);
    }
}

impl Tables {
    /// Tables in this order, of whose age nobody knows; a table's index is its place here.
    pub fn new(readers: Vec<Reader>) -> Tables {
        let tables = readers.into_iter().map(Table::new).collect();
        Tables { tables, ..Tables::default() }
    }

    /// Adds a table whose age is known and may be bounded.
    pub(super) fn push(
        &mut self,
        reader: Reader,
        freshness: Arc<Freshness>,
        settings: &settings::Table,
    ) {
        let ticks = self.clock.ticks(settings.max_staleness.as_nanos() as u64);
        let bound = Bound { ticks, on_stale: settings.on_stale };
        let bound = Some(bound).filter(|it| it.on_stale != OnStale::Serve);
        self.tables.push(Table { freshness: Some(freshness), bound, ..Table::new(reader) });
    }

    /// The last table that was added is filled on demand: what it does not hold is asked for.
    pub(super) fn fill_on_demand(&mut self, questions: Arc<Questions>, wait: Duration) {
        if let Some(table) = self.tables.last_mut() {
            table.demand = Some(Demand { questions, wait });
        }
    }

    /// Where tables on demand tell of answers.
    pub(super) fn answers(&self) -> &Arc<Answers> {
        &self.answers
    }

    /// Once a turn, also an idle one: takes what was published, lets old memory go. What `get`
    /// returned cannot be kept over it.
    #[inline]
    pub fn begin_turn(&mut self, now: Ticks) {
        // Before the tables are looked at: what was answered by then can be seen in them.
        self.answered = self.answers.count();
        for table in &mut self.tables {
            // Before the table is looked at: what was true then can be seen in it.
            table.as_of = table.freshness.as_ref().and_then(|it| it.as_of());
            table.reader.quiesce();
            if let Some(Bound { ticks, .. }) = table.bound {
                table.is_stale = table.as_of.is_none_or(|as_of| now.0 > as_of.0 + ticks);
            }
        }
    }

    /// A turn at the present time.
    pub fn quiesce(&mut self) {
        self.begin_turn(self.clock.now());
    }

    /// The value of that key, and counts the lookup. A key that is known to be absent has none.
    ///
    /// # Panics
    ///
    /// If there is no such table.
    #[inline]
    pub fn get(&self, table: usize, key: &[u8]) -> Option<Value<'_>> {
        let table = &self.tables[table];
        let value = table.reader.get(key).filter(|value| value.kind != ValueKind::Absent);
        match value {
            Some(_) => table.hit(),
            None => table.miss(),
        }
        value
    }

    /// As `get`; where a table on demand does not know the key it asks for it, unless too many
    /// questions are under way. A lookup without an answer is not counted.
    ///
    /// # Panics
    ///
    /// If there is no such table.
    #[inline]
    pub fn seek(&self, table: usize, key: &[u8]) -> Sought<'_> {
        match &self.tables[table].demand {
            None => self.get(table, key).map_or(Sought::Absent, Sought::Found),
            Some(demand) => self.seek_on_demand(table, demand, key),
        }
    }

    #[inline(never)]
    fn seek_on_demand<'t>(&'t self, table: usize, demand: &Demand, key: &[u8]) -> Sought<'t> {
        let table = &self.tables[table];
        let hash = table.reader.hash(key);
        match table.reader.get_marking(hash, key) {
            Some(Value { kind: ValueKind::Absent, .. }) => {
                table.miss();
                Sought::Absent
            }
            Some(value) => {
                table.hit();
                Sought::Found(value)
            }
            None => {
                demand.questions.ask(key);
                Sought::Unknown(hash)
            }
        }
    }

    /// A lookup was given up: it counts as a miss.
    pub fn give_up(&self, table: usize) {
        self.tables[table].miss();
    }

    /// True if the key of that hash has an answer now, be it that it is absent.
    #[inline]
    pub fn is_answered(&self, table: usize, hash: KeyHash) -> bool {
        self.tables[table].reader.knows(hash)
    }

    /// Changes when tables on demand have new answers; as of the beginning of this turn.
    #[inline]
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// The hot thread will sleep while records wait: new answers shall wake it. True if there are
    /// some already.
    pub fn expect_answers(&self) -> bool {
        self.answers.expect() != self.answered
    }

    /// How the hot thread is woken then. Only the first call counts.
    pub fn wake_with(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.answers.wake_with(wake);
    }

    /// How long a record waits for an answer of that table at most.
    pub fn wait(&self, table: usize) -> Duration {
        self.tables[table].demand.as_ref().map_or(Duration::ZERO, |it| it.wait)
    }

    /// True if a table is too old for its answers to be used, and records are rejected then.
    #[inline]
    pub fn rejects(&self, table: usize) -> bool {
        let table = &self.tables[table];
        let is_stale = table.is_stale;
        if is_stale {
            table.stale.set(table.stale.get() + 1);
        }
        is_stale
    }

    /// The first table that is too old for its answers to be used and that records wait for.
    #[inline]
    pub fn paused_by(&self) -> Option<usize> {
        let waits = |bound: Bound| bound.on_stale == OnStale::Pause;
        self.tables.iter().position(|table| table.is_stale && table.bound.is_some_and(waits))
    }

    /// How old the answers of a table may be at `now`, in nanoseconds; `None` if nobody knows.
    pub fn age_ns(&self, table: usize, now: Ticks) -> Option<u64> {
        self.tables[table].as_of.map(|as_of| self.clock.nanos(as_of, now))
    }

    /// One table, to prefetch from. Its lookups are not counted.
    ///
    /// # Panics
    ///
    /// If there is no such table.
    #[inline]
    pub fn reader(&self, table: usize) -> &Reader {
        &self.tables[table].reader
    }

    /// What lookups in each table came to since the last call.
    pub fn take_lookups(&mut self) -> impl Iterator<Item = Lookups> {
        self.tables.iter().map(|table| Lookups {
            hits: table.hits.take(),
            misses: table.misses.take(),
            stale: table.stale.take(),
        })
    }

    /// How many tables there are.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        path::PathBuf,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::{cache::table::table, config::settings::TablePlace};

    #[test]
    fn lookups_are_counted_table_by_table() {
        let (mut users, users_reader) = table(4, 1);
        let (_countries, countries_reader) = table(4, 2);
        users.insert(b"user1", Value::text(b"gold"), 0);
        users.insert(b"nobody", Value::ABSENT, 0);
        users.publish();
        let mut tables = Tables::new(vec![users_reader, countries_reader]);
        tables.quiesce();
        assert_eq!(tables.get(0, b"user1"), Some(Value::text(b"gold")));
        assert_eq!(tables.get(0, b"user2"), None);
        assert_eq!(tables.get(0, b"nobody"), None);
        assert_eq!(tables.get(1, b"user1"), None);
        let expected = [(1, 2), (0, 1)].map(|(hits, misses)| Lookups { hits, misses, stale: 0 });
        assert_eq!(tables.take_lookups().collect::<Vec<_>>(), expected);
        assert_eq!(tables.take_lookups().collect::<Vec<_>>(), [Lookups::default(); 2]);
    }

    #[test]
    fn an_old_table_rejects_or_pauses_as_it_was_told() {
        for (on_stale, rejects, pauses) in [
            (OnStale::Serve, false, false),
            (OnStale::Reject, true, false),
            (OnStale::Pause, true, true),
        ] {
            let mut settings = settings::Table::new("users", TablePlace::File(PathBuf::new()));
            (settings.on_stale, settings.max_staleness) = (on_stale, Duration::from_secs(5));
            let freshness = Arc::new(Freshness::new());
            let mut tables = Tables::new(Vec::new());
            tables.push(table(4, 1).1, freshness.clone(), &settings);
            tables.quiesce();
            // Of unknown age is too old.
            assert_eq!((tables.rejects(0), tables.paused_by().is_some()), (rejects, pauses));
            assert_eq!(tables.age_ns(0, tables.clock.now()), None);
            freshness.set(Instant::now());
            tables.quiesce();
            assert_eq!((tables.rejects(0), tables.paused_by().is_some()), (false, false));
            let later = Ticks(tables.clock.now().0 + tables.clock.ticks(6_000_000_000));
            tables.begin_turn(later);
            assert_eq!((tables.rejects(0), tables.paused_by().is_some()), (rejects, pauses));
            assert!(tables.age_ns(0, later).unwrap() >= 6_000_000_000);
            let stale: Vec<_> = tables.take_lookups().map(|it| it.stale).collect();
            assert_eq!(stale, [if rejects { 2 } else { 0 }]);
        }
    }
}
