//! What steps keep between records: a store a step and partition, and all of them together.
//!
//! The stores themselves are `crate::state`'s and know nothing of each other; here they are found
//! by step and partition, told what became of a record, asked for results and changes, and put
//! back. Who uses this writes the changes and says when a commit was confirmed. Memory of a
//! partition's stores is taken by `PartitionStores::make`, which any thread can call; after that a
//! store takes more only as its contents say (see `state::window`).
//!
//! Changes are to be kept in the order in which they are handed out: whatever of them is there
//! after a crash is the beginning.
//!
//! A record that comes again, because it waited after a step had taken it in, is known by its
//! offset: within a partition offsets grow.

mod foreseeing;
mod partition;
mod restoring;
mod results;

use std::sync::Arc;

use crate::{
    limits::PARTITIONS_MAX,
    record::{PartitionId, Record},
    state::{
        Input,
        dedup::{Admission, Again},
        window::{Added, Arrival, WindowRules},
    },
};
pub use partition::PartitionStores;
use partition::Store;
pub use results::{GivenResult, WindowKey};

/// What a step with state is, for those who keep what it writes.
#[derive(Clone, Debug)]
pub struct StoreRules {
    /// Its index among all steps, from 0.
    pub step: u16,
    /// Its name, else its number from 1.
    pub name: String,
    /// Its operator's key in the file.
    pub operator: &'static str,
    /// Of its configuration, see `state::configuration_hash`.
    pub hash: u64,
    /// What it does.
    pub rules: Rules,
}

/// What a step keeps.
#[derive(Clone, Debug)]
pub enum Rules {
    /// Keys that were seen.
    Dedup {
        /// For how long, in milliseconds of the partition's time.
        within_ms: i64,
        /// So many keys at once, in each partition.
        max_keys: usize,
    },
    /// Open windows, and the names of what they compute.
    Window(WindowRules, Vec<String>),
}

/// What a dedup step does with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// The first of its key: goes on.
    Fresh,
    /// A duplicate.
    Seen,
    /// A duplicate of a record in flight: comes again.
    Behind,
    /// No more keys can be remembered.
    Full,
}

/// Records that stores are made for, at most.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// In flight.
    pub in_flight: usize,
    /// Waiting aside before a step with state, which finds room for them though there is none for
    /// others: a commit waits for them.
    pub waiting: usize,
}

/// A change of state to be written, lent for a call.
#[derive(Clone, Copy, Debug)]
pub struct StateChange<'a> {
    /// Whose.
    pub partition: PartitionId,
    /// The store's number: that of its `StoreRules`.
    pub store: usize,
    /// It is what the step's keys are hashed with, and not an entry; its key is empty.
    pub is_seed: bool,
    /// The step's own key.
    pub key: &'a [u8],
    /// What is to be written; `None` deletes it.
    pub value: Option<&'a [u8]>,
}

/// The stores of all partitions that are ours.
#[derive(Debug)]
pub struct StateStores {
    rules: Arc<[StoreRules]>,
    room: Room,
    partitions: Vec<Option<PartitionStores>>,
    /// Some step removes duplicates, and is to be told what became of records.
    has_dedup: bool,
    /// Whose keys were foreseen last.
    foreseen_of: Option<PartitionId>,
    /// Partitions that have stores whose records may come.
    begun: Vec<PartitionId>,
    /// Those of the commit under way, whose changes are not all written; the first is next.
    to_write: Vec<PartitionId>,
    results: results::Results,
    /// The turn's time, in milliseconds since the epoch.
    now_ms: i64,
    /// Nothing is offered to any store: what a step says does not count.
    is_rehearsal: bool,
    /// Some store had no room after its last record; it may have some now.
    may_be_full: bool,
    /// How many duplicates were released; wraps.
    released: u64,
}

impl StateStores {
    /// No store yet.
    pub(super) fn new(rules: Vec<StoreRules>, room: Room) -> StateStores {
        let partitions = if rules.is_empty() { 0 } else { PARTITIONS_MAX };
        StateStores {
            has_dedup: rules.iter().any(|it| matches!(it.rules, Rules::Dedup { .. })),
            rules: rules.into(),
            room,
            foreseen_of: None,
            partitions: (0..partitions).map(|_| None).collect(),
            begun: Vec::with_capacity(partitions),
            to_write: Vec::with_capacity(partitions),
            results: results::Results::default(),
            now_ms: 0,
            is_rehearsal: false,
            may_be_full: false,
            released: 0,
        }
    }

    /// True if no step keeps state.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The steps that keep state, in order.
    pub fn rules(&self) -> &Arc<[StoreRules]> {
        &self.rules
    }

    /// The turn's time, in milliseconds since the epoch.
    #[inline]
    pub fn begin_turn(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    /// While it is true, records are only looked at: no store hears of them.
    #[inline]
    pub fn rehearse(&mut self, is_rehearsal: bool) {
        self.is_rehearsal = is_rehearsal;
    }

    /// Offers a record to a dedup step.
    ///
    /// # Panics
    ///
    /// If there is no room: `takes_records` is asked before.
    #[inline]
    pub fn admit(&mut self, store: usize, record: &Record<'_>, key: &[u8]) -> Admitted {
        if self.is_rehearsal {
            return Admitted::Fresh;
        }
        let Store::Dedup(dedup, _) = stores_of(&mut self.partitions, record.partition).at(store)
        else {
            unreachable!("store {store} is no dedup's")
        };
        if let Some(again) = dedup.again(record.offset) {
            return match again {
                Again::Process => Admitted::Fresh,
                Again::Wait => Admitted::Behind,
                Again::Skip => Admitted::Seen,
            };
        }
        let hash = dedup.hash(key);
        let time_ms = record.timestamp_ms.unwrap_or(i64::MIN);
        let admission = dedup.admit(hash, time_ms, record.offset);
        self.may_be_full |= !dedup.has_room();
        match admission {
            Admission::Fresh => Admitted::Fresh,
            Admission::Seen => Admitted::Seen,
            Admission::Pending { .. } => Admitted::Behind,
            Admission::Full => Admitted::Full,
            Admission::NotYet => unreachable!("nothing is offered to a dedup step without room"),
        }
    }

    /// Offers a record to a window step; `inputs` has one for each aggregate.
    ///
    /// # Panics
    ///
    /// If there is no room: `takes_records` is asked before.
    pub fn add(
        &mut self,
        store: usize,
        record: &Record<'_>,
        key: WindowKey<'_>,
        time_ms: i64,
        inputs: &[Input<'_>],
    ) -> Added {
        if self.is_rehearsal {
            return Added::Counted;
        }
        let Store::Windows(windows) = stores_of(&mut self.partitions, record.partition).at(store)
        else {
            unreachable!("store {store} is no window's")
        };
        let key = self.results.key_of(key);
        let (offset, now_ms) = (record.offset, self.now_ms);
        let arrival = Arrival { key, time_ms, offset, now_ms };
        let added = match windows.add(&arrival, inputs) {
            // It waited aside: others are not offered without room.
            Added::NotYet => windows.add_now(&arrival, inputs),
            added => added,
        };
        self.may_be_full |= !windows.has_room();
        assert!(added != Added::NotYet, "nothing is offered to a window step without room");
        added
    }

    /// True if a record may be processed, whatever it is; else results are to be taken, or a commit
    /// to be confirmed, or records to be settled.
    #[inline]
    pub fn takes_records(&mut self) -> bool {
        !self.may_be_full || self.has_room_now()
    }

    #[cold]
    fn has_room_now(&mut self) -> bool {
        let partitions = &mut self.partitions;
        let is_full = self.begun.iter().any(|it| !stores_of(partitions, *it).have_room());
        self.may_be_full = is_full;
        !is_full
    }

    /// A record came to its end: it was emitted, skipped or held, or else rejected.
    #[inline]
    pub fn settled(&mut self, partition: PartitionId, offset: i64, is_kept: bool) {
        if !self.has_dedup {
            // Windows know at once.
            return;
        }
        let released = self.begun_of(partition).map_or(0, |it| it.settle(offset, is_kept));
        self.released = self.released.wrapping_add(released);
    }

    /// Changes when duplicates that wait for a record may have been released.
    #[inline]
    pub fn released(&self) -> u64 {
        self.released
    }

    /// True while that record waits for the first of its key.
    pub fn is_behind(&mut self, partition: PartitionId, offset: i64) -> bool {
        self.begun_of(partition).is_some_and(|it| it.is_behind(offset))
    }

    /// Offers the next result that is due, as a record without offset and time of arrival. It is
    /// offered again unless `take` returns true. False if there is none.
    pub fn give_off(
        &mut self,
        partition: PartitionId,
        take: &mut impl FnMut(&Record<'_>, GivenResult) -> bool,
    ) -> bool {
        let StateStores { rules, partitions, results, .. } = self;
        let stores = partitions.get_mut(usize::from(partition.0)).and_then(Option::as_mut);
        let Some(stores) = stores.filter(|it| it.is_begun()) else { return false };
        let Some((store, result)) = stores.offer_result() else { return false };
        let (record, given) = results.render(partition, &rules[store], &result);
        if take(&record, given) {
            results.count();
            stores.take_result(store);
        }
        true
    }

    /// Updates are to be taken before a commit begins.
    pub fn owes_results(&mut self) -> bool {
        let partitions = &mut self.partitions;
        self.may_be_full && self.begun.iter().any(|it| stores_of(partitions, *it).have_updates())
    }

    /// True if a record of that partition may be processed that waited aside.
    pub fn takes_waiting(&mut self, partition: PartitionId) -> bool {
        self.begun_of(partition).is_none_or(|it| it.have_room_for_waiting())
    }

    /// There is something to write, or time that passed would close a window. `is_at_end` says
    /// whether a partition is read to its end.
    pub fn wants_commit(&self, is_at_end: &mut dyn FnMut(PartitionId) -> bool) -> bool {
        self.begun.iter().any(|&partition| {
            let stores = self.partitions[usize::from(partition.0)].as_ref();
            stores.is_some_and(|it| it.want_commit(self.now_ms, &mut || is_at_end(partition)))
        })
    }

    /// Begins a partition's commit, of all records below that position: calls `mark` with each
    /// step's mark, in order.
    pub fn begin_commit(
        &mut self,
        partition: PartitionId,
        position: i64,
        is_at_end: bool,
        mark: impl FnMut(i64),
    ) {
        let at_end_ms = is_at_end.then_some(self.now_ms);
        let Some(stores) = self.begun_of(partition) else { return };
        stores.begin_commit(position, at_end_ms, mark);
        self.to_write.push(partition);
        // Some take nothing before their commit is confirmed.
        self.may_be_full = true;
    }

    /// Hands the next change of the commits to `write`, again and again until that returns true.
    /// False if there are no more.
    pub fn write_change(&mut self, write: &mut impl FnMut(StateChange<'_>) -> bool) -> bool {
        while let Some(&partition) = self.to_write.first() {
            let stores = stores_of(&mut self.partitions, partition);
            if stores.write_change(partition, write) {
                return true;
            }
            self.to_write.remove(0);
        }
        false
    }

    /// That partition's commit is confirmed.
    pub fn committed(&mut self, partition: PartitionId) {
        if let Some(stores) = self.begun_of(partition) {
            stores.committed();
        }
    }

    /// Everything of that partition is as its last confirmed commit left it.
    pub fn roll_back(&mut self, partition: PartitionId) {
        self.to_write.retain(|it| *it != partition);
        if let Some(stores) = self.begun_of(partition) {
            stores.roll_back();
        }
    }

    /// A whole commit where nothing keeps what is written: as it were confirmed at once.
    pub fn commit_at_once(&mut self, partition: PartitionId, position: i64, is_at_end: bool) {
        self.begin_commit(partition, position, is_at_end, |_| {});
        while self.write_change(&mut |_| true) {}
        self.committed(partition);
    }

    /// Takes memory that records may soon need; for the time between turns.
    pub fn stock(&mut self) {
        for &partition in &self.begun {
            stores_of(&mut self.partitions, partition).stock();
        }
    }

    /// What a step keeps over all partitions: entries and bytes.
    pub fn kept(&self, store: usize) -> (u64, u64) {
        let stores = self.partitions.iter().flatten();
        let kept = stores.map(|it| it.kept(store));
        kept.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
    }

    fn begun_of(&mut self, partition: PartitionId) -> Option<&mut PartitionStores> {
        let stores = self.partitions.get_mut(usize::from(partition.0))?.as_mut();
        stores.filter(|it| it.is_begun())
    }
}

fn stores_of(
    partitions: &mut [Option<PartitionStores>],
    partition: PartitionId,
) -> &mut PartitionStores {
    let stores = partitions[usize::from(partition.0)].as_mut();
    stores.expect("a partition whose records come has stores")
}
