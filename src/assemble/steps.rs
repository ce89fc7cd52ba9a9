//! The pipeline with its tables, as the engine steps it.

use crate::{
    cache::{KeyHash, Lookups, Sought, Tables},
    clock::{Ticks, TscClock, WallOffset},
    engine::{Chance, Process, Stores},
    measure::Counters,
    pipeline::{Found, Lookup, Mark, Pipeline, Processed, Results},
    record::{Destination, Record},
    verdict::{Awaited, Sentence, Step},
};

/// The pipeline with its tables, as the engine steps it.
#[derive(Debug)]
pub struct Steps {
    pipeline: Pipeline,
    tables: Tables,
    clock: TscClock,
    wall: WallOffset,
    /// When the turn began.
    now: Ticks,
    /// The likely lookups of records that this turn took.
    foreseen: Vec<(usize, KeyHash)>,
}

/// Lookups of one turn that are brought near; the further ones of a larger batch pay their misses.
const FORESEEN_MAX: usize = 1024;

impl Steps {
    /// Joins both; tables stand in the order of the settings. The clock is the engine's.
    pub fn new(pipeline: Pipeline, tables: Tables, (clock, wall): (TscClock, WallOffset)) -> Steps {
        let foreseen = Vec::with_capacity(FORESEEN_MAX);
        Steps { pipeline, tables, clock, wall, now: Ticks(0), foreseen }
    }

    /// The topic that results of that number go to.
    pub fn topic(&self, destination: Destination) -> &str {
        &self.pipeline.topics()[usize::from(destination.0)]
    }
}

/// The tables, as a record sees them.
struct InTables<'a> {
    tables: &'a Tables,
    chance: Chance,
    time: (&'a TscClock, &'a WallOffset, Ticks),
}

impl Lookup for InTables<'_> {
    #[inline]
    fn lookup(&mut self, table: usize, key: &[u8]) -> Found<'_> {
        if self.tables.rejects(table) {
            return Found::Stale;
        }
        match self.tables.seek(table, key) {
            Sought::Found(value) => Found::Hit(value),
            Sought::Absent => Found::Miss,
            Sought::Unknown(_) if self.chance.is_last => {
                self.tables.give_up(table);
                Found::Late
            }
            Sought::Unknown(hash) => {
                Found::Unknown(Awaited { table: table as u16, hash: hash.to_bits() })
            }
        }
    }

    fn now_ns(&self) -> i64 {
        let (clock, wall, now) = self.time;
        wall.epoch_nanos(clock, now)
    }

    fn age_ns(&self, table: usize) -> Option<u64> {
        self.tables.age_ns(table, self.chance.now)
    }
}

impl Stores for Steps {}

impl Process for Steps {
    #[inline]
    fn begin_turn(&mut self, now: Ticks) {
        self.now = now;
        self.tables.begin_turn(now);
    }

    #[inline]
    fn is_paused(&self) -> bool {
        self.tables.paused_by().is_some()
    }

    fn why_paused(&self) -> Sentence {
        let table = self.tables.paused_by().map_or("", |index| self.pipeline.table_name(index));
        Sentence::format(format_args!(
            "table {table} is older than its max_staleness (on_stale = \"pause\"): \
             no record is taken until it is fresh again"
        ))
    }

    #[inline]
    fn foresee(&mut self, record: &Record<'_>) {
        if self.foreseen.len() < FORESEEN_MAX
            && let Some((table, key)) = self.pipeline.foresee(record)
        {
            self.foreseen.push((table, self.tables.reader(table).hash(key)));
        }
    }

    /// First all slots, then all entries, with nothing in between: so their misses overlap, those
    /// of the address translation too. Spread over the processing of records each was waited for.
    fn approach(&mut self) {
        for (table, hash) in &self.foreseen {
            self.tables.reader(*table).prefetch_slot(*hash);
        }
        for (table, hash) in &self.foreseen {
            self.tables.reader(*table).prefetch_entry(*hash);
        }
        self.foreseen.clear();
    }

    #[inline]
    fn process(
        &mut self,
        record: &Record<'_>,
        chance: Chance,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed {
        let time = (&self.clock, &self.wall, self.now);
        let mut tables = InTables { tables: &self.tables, chance, time };
        self.pipeline.process(record, &mut tables, mark, results)
    }

    fn answered(&self) -> u64 {
        self.tables.answered()
    }

    fn is_answered(&self, awaited: Awaited) -> bool {
        let Awaited { table, hash } = awaited;
        self.tables.is_answered(usize::from(table), KeyHash::from_bits(hash))
    }

    fn wait_ns(&self, table: u16) -> u64 {
        self.tables.wait(usize::from(table)).as_nanos() as u64
    }

    fn expect_answers(&mut self) -> bool {
        self.tables.expect_answers()
    }

    fn table_age_ns(&self, now: Ticks) -> Option<u64> {
        (0..self.tables.len()).filter_map(|table| self.tables.age_ns(table, now)).max()
    }

    fn count(&mut self, counters: &mut Counters) {
        for (lookups, counted) in self.tables.take_lookups().zip(&mut counters.lookups) {
            let Lookups { hits, misses, stale } = lookups;
            counted.iter_mut().zip([hits, misses, stale]).for_each(|(it, more)| *it += more);
        }
    }

    fn results_max(&self) -> usize {
        self.pipeline.results_max()
    }

    fn step_name(&self, step: Step) -> &str {
        self.pipeline.step_name(step)
    }
}
