//! The pipeline with its tables, as the engine steps it.

use super::keeping::Keeping;
use crate::{
    cache::{KeyHash, Lookups, Sought, Tables},
    clock::{Ticks, TscClock, WallOffset},
    delivery::GivenOff,
    engine::{Chance, Fate, Process, Stores},
    measure::Counters,
    pipeline::{Found, Lookup, Mark, Pipeline, Processed, Results},
    record::{Destination, Output, PartitionId, Record},
    transport::{Begin, Note, Trouble},
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
    /// Where state is kept, if steps have any.
    keeping: Option<Keeping>,
}

/// Lookups of one turn that are brought near; the further ones of a larger batch pay their misses.
const FORESEEN_MAX: usize = 1024;

impl Steps {
    /// Joins both; tables stand in the order of the settings. The clock is the engine's.
    pub fn new(pipeline: Pipeline, tables: Tables, (clock, wall): (TscClock, WallOffset)) -> Steps {
        let foreseen = Vec::with_capacity(FORESEEN_MAX);
        Steps { pipeline, tables, clock, wall, now: Ticks(0), foreseen, keeping: None }
    }

    /// The same, with state that is kept.
    pub fn keeping(self, keeping: Option<Keeping>) -> Steps {
        Steps { keeping, ..self }
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

impl Stores for Steps {
    #[inline]
    fn has_state(&self) -> bool {
        !self.pipeline.stores().is_empty()
    }

    #[inline]
    fn restore(&mut self) -> usize {
        let Some(keeping) = &mut self.keeping else { return 0 };
        keeping.restore(self.pipeline.stores_mut())
    }

    fn next_trouble(&mut self) -> Option<Trouble> {
        self.keeping.as_mut()?.next_trouble()
    }

    fn begin(&mut self, partition: PartitionId, begin: Begin) {
        self.pipeline.stores_mut().begin(partition, begin.position, begin.note.numbers());
    }

    fn end(&mut self, partition: PartitionId) {
        if let Some(keeping) = &mut self.keeping {
            keeping.end(self.pipeline.stores_mut(), partition);
        }
    }

    #[inline]
    fn takes_records(&mut self) -> bool {
        self.pipeline.stores_mut().takes_records()
    }

    fn takes_waiting(&mut self, partition: PartitionId) -> bool {
        self.pipeline.stores_mut().takes_waiting(partition)
    }

    fn owes_results(&mut self) -> bool {
        self.pipeline.stores_mut().owes_results()
    }

    fn is_behind(&mut self, partition: PartitionId, offset: i64) -> bool {
        self.pipeline.stores_mut().is_behind(partition, offset)
    }

    fn settled(&mut self, partition: PartitionId, offset: i64, fate: Fate) {
        self.pipeline.stores_mut().settled(partition, offset, fate == Fate::Kept);
    }

    fn give_off(
        &mut self,
        partition: PartitionId,
        _now: Ticks,
        take: &mut impl FnMut(&Record<'_>, GivenOff) -> bool,
    ) -> bool {
        self.pipeline.stores_mut().give_off(partition, &mut |record, given| {
            take(record, GivenOff { step: given.step, number: given.number })
        })
    }

    fn process_given_off(
        &mut self,
        record: &Record<'_>,
        given_off: GivenOff,
        now: Ticks,
        results: &mut Results,
    ) -> Processed {
        let chance = Chance { now, is_last: false, is_rehearsal: false };
        let time = (&self.clock, &self.wall, self.now);
        let mut tables = InTables { tables: &self.tables, chance, time };
        self.pipeline.process_given_off(record, given_off.step, &mut tables, results)
    }

    fn wants_commit(&self, is_at_end: &mut dyn FnMut(PartitionId) -> bool) -> bool {
        self.pipeline.stores().wants_commit(is_at_end)
    }

    fn begin_commit(&mut self, partition: PartitionId, position: i64, is_at_end: bool) -> Note {
        let mut note = Note::default();
        let stores = self.pipeline.stores_mut();
        stores.begin_commit(partition, position, is_at_end, |mark| note.push(mark));
        note
    }

    fn write_change(&mut self, write: &mut impl FnMut(&Output<'_>) -> bool) -> bool {
        let Some(keeping) = &mut self.keeping else { return false };
        keeping.write_change(self.pipeline.stores_mut(), write)
    }

    fn committed(&mut self, partition: PartitionId) {
        self.pipeline.stores_mut().committed(partition);
    }

    fn roll_back(&mut self, partition: PartitionId) {
        self.pipeline.stores_mut().roll_back(partition);
    }
}

impl Process for Steps {
    #[inline]
    fn begin_turn(&mut self, now: Ticks) {
        self.now = now;
        self.tables.begin_turn(now);
        if self.keeping.is_some() {
            let now_ms = self.wall.epoch_nanos(&self.clock, now) / 1_000_000;
            self.pipeline.stores_mut().begin_turn(now_ms);
        }
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
        if self.keeping.is_some() {
            self.pipeline.foresee_state(record);
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
        self.pipeline.stores_mut().approach();
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
        if self.keeping.is_some() {
            self.pipeline.stores_mut().rehearse(chance.is_rehearsal);
        }
        self.pipeline.process(record, &mut tables, mark, results)
    }

    fn answered(&self) -> u64 {
        self.tables.answered().wrapping_add(self.pipeline.stores().released())
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
        if let Some(keeping) = &self.keeping {
            self.pipeline.stores_mut().stock();
            keeping.tell_kept(self.pipeline.stores());
        }
    }

    fn results_max(&self) -> usize {
        self.pipeline.results_max()
    }

    fn step_name(&self, step: Step) -> &str {
        self.pipeline.step_name(step)
    }
}
