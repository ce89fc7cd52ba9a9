//! The stores of one partition: one for each step that keeps state, in order.

use std::hash::{BuildHasher, RandomState};

use super::{Room, Rules, StateChange, StoreRules};
use crate::{
    record::PartitionId,
    state::{
        Change, Mark, RestoreError,
        dedup::{Again, Dedup, DedupRules, Settled},
        window::{WindowResult, Windows},
    },
};

/// What a partition's keys of a dedup step are hashed with, and whether that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seed {
    /// Nothing was hashed: none was read back, and none is drawn.
    Unknown,
    /// Drawn here, and to be written with the next commit.
    Drawn([u8; 8]),
    /// Written with the commit under way.
    Written([u8; 8]),
    /// Kept.
    Kept,
}

/// A step's state in one partition.
#[derive(Debug)]
pub(super) enum Store {
    Dedup(Box<Dedup>, Seed),
    Windows(Box<Windows>),
}

/// A partition's state.
#[derive(Debug)]
pub struct PartitionStores {
    stores: Box<[Store]>,
    /// Its records may come.
    is_begun: bool,
    /// So many of the stores have changes to write; the last of them writes next.
    writing: usize,
    /// Its last change was not taken.
    is_refused: bool,
    /// What a commit says of each store, once all that it writes of it is written.
    completions: Box<[Completion]>,
}

/// That all changes of a store are written that belong to a commit, though others of that commit
/// may not be.
///
/// A step behind a dedup step does not see the same records again where what that one knows was
/// written and the position was not. So it is told by itself how far it had come.
#[derive(Clone, Copy, Debug, Default)]
struct Completion {
    position: i64,
    mark: i64,
    is_written: bool,
}

/// The key of a completion, which is none that a step has for an entry.
const COMPLETION: &[u8] = b"c";

impl Completion {
    fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.position.to_be_bytes());
        bytes[8..].copy_from_slice(&self.mark.to_be_bytes());
        bytes
    }
}

/// Position and mark.
fn completion(value: &[u8]) -> Option<(i64, Mark)> {
    let (position, mark) = value.split_first_chunk()?;
    let mark = Mark::of(i64::from_be_bytes(mark.try_into().ok()?));
    Some((i64::from_be_bytes(*position), mark))
}

impl PartitionStores {
    /// Takes the memory of one partition.
    pub fn make(rules: &[StoreRules], Room { in_flight, waiting }: Room) -> PartitionStores {
        let make = |it: &StoreRules| match &it.rules {
            Rules::Dedup { within_ms, max_keys } => {
                let (within_ms, max_keys) = (*within_ms, *max_keys);
                let rules = DedupRules { within_ms, max_keys, in_flight, seed: 0 };
                Store::Dedup(Box::new(Dedup::with_reserve(rules, waiting)), Seed::Unknown)
            }
            Rules::Window(rules, _) => {
                Store::Windows(Box::new(Windows::with_reserve(rules.clone(), waiting)))
            }
        };
        let completions = rules.iter().map(|_| Completion::default()).collect();
        let stores = rules.iter().map(make).collect();
        PartitionStores { stores, is_begun: false, writing: 0, is_refused: false, completions }
    }

    /// Puts back an entry of that store.
    pub(super) fn restore(
        &mut self,
        store: usize,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), RestoreError> {
        let store = &mut self.stores[store];
        if key == COMPLETION {
            let read = value.and_then(completion);
            let (position, mark) = read.ok_or(RestoreError::Value)?;
            match store {
                Store::Dedup(dedup, _) => dedup.complete_to(position, mark),
                Store::Windows(windows) => windows.complete_to(position, mark),
            }
            return Ok(());
        }
        match store {
            Store::Dedup(dedup, _) => dedup.restore(key, value),
            Store::Windows(windows) => {
                windows.stock();
                windows.restore(key, value)
            }
        }
    }

    #[inline]
    pub(super) fn is_begun(&self) -> bool {
        self.is_begun
    }

    #[inline]
    pub(super) fn at(&mut self, store: usize) -> &mut Store {
        &mut self.stores[store]
    }

    /// No more keys are foreseen before the next record.
    #[inline]
    pub(super) fn approach(&mut self) {
        for store in &mut self.stores {
            match store {
                Store::Dedup(dedup, _) => dedup.approach(),
                Store::Windows(windows) => windows.approach(),
            }
        }
    }

    /// What a dedup step's keys are hashed with, as it was written.
    pub(super) fn restore_seed(&mut self, store: usize, seed: u64) {
        if let Store::Dedup(dedup, kept) = &mut self.stores[store] {
            dedup.set_seed(seed);
            *kept = Seed::Kept;
        }
    }

    /// Records come from that position on; each step's mark, in order, is what the commit said.
    pub(super) fn start(&mut self, position: i64, marks: &[i64], now_ms: i64) {
        for (index, store) in self.stores.iter_mut().enumerate() {
            let mark = marks.get(index).map_or(Mark::NONE, |it| Mark::of(*it));
            match store {
                Store::Dedup(dedup, seed) => {
                    if *seed == Seed::Unknown {
                        // Others must not know it, or they could make keys that are taken for one.
                        let drawn = RandomState::new().hash_one(position);
                        dedup.set_seed(drawn);
                        *seed = Seed::Drawn(drawn.to_be_bytes());
                    }
                    dedup.start(position, mark);
                }
                Store::Windows(windows) => windows.start(position, mark, now_ms),
            }
        }
        self.is_begun = true;
    }

    pub(super) fn have_room(&self) -> bool {
        self.stores.iter().all(|store| match store {
            Store::Dedup(dedup, _) => dedup.has_room(),
            Store::Windows(windows) => windows.has_room(),
        })
    }

    pub(super) fn have_updates(&self) -> bool {
        self.stores.iter().any(|store| match store {
            Store::Windows(windows) => windows.has_updates(),
            Store::Dedup(..) => false,
        })
    }

    /// There is room for a record that waited aside: what is kept for those counts, too.
    pub(super) fn have_room_for_waiting(&self) -> bool {
        self.stores.iter().all(|store| match store {
            Store::Windows(windows) => !windows.has_updates() && !windows.is_held(),
            Store::Dedup(..) => true,
        })
    }

    /// Returns how many duplicates that released.
    pub(super) fn settle(&mut self, offset: i64, is_kept: bool) -> u64 {
        let outcome = if is_kept { Settled::Kept } else { Settled::Refused };
        let mut released = 0;
        for store in &mut self.stores {
            if let Store::Dedup(dedup, _) = store
                && dedup.is_in_flight(offset)
            {
                dedup.settle(offset, outcome, |_, _| released += 1);
            }
        }
        released
    }

    pub(super) fn is_behind(&self, offset: i64) -> bool {
        self.stores.iter().any(|store| match store {
            Store::Dedup(dedup, _) => dedup.again(offset) == Some(Again::Wait),
            Store::Windows(_) => false,
        })
    }

    /// The next result of a window, and the number of its store.
    pub(super) fn offer_result(&mut self) -> Option<(usize, WindowResult<'_>)> {
        self.stores.iter_mut().enumerate().find_map(|(index, store)| match store {
            Store::Windows(windows) => windows.offer_result().map(|it| (index, it)),
            Store::Dedup(..) => None,
        })
    }

    /// Takes it.
    pub(super) fn take_result(&mut self, store: usize) {
        if let Store::Windows(windows) = &mut self.stores[store] {
            windows.take_result();
        }
    }

    pub(super) fn want_commit(&self, now_ms: i64, is_at_end: &mut dyn FnMut() -> bool) -> bool {
        self.stores.iter().any(|store| match store {
            Store::Dedup(dedup, _) => dedup.wants_commit(),
            Store::Windows(windows) => {
                // The first needs no answer about the end.
                windows.wants_commit(None) || (windows.wants_commit(Some(now_ms)) && is_at_end())
            }
        })
    }

    pub(super) fn begin_commit(
        &mut self,
        position: i64,
        at_end_ms: Option<i64>,
        mut mark: impl FnMut(i64),
    ) {
        (self.writing, self.is_refused) = (self.stores.len(), false);
        for (number, store) in self.stores.iter_mut().enumerate() {
            let (begun, (position, complete)) = match store {
                Store::Dedup(dedup, _) => {
                    let mark = dedup.begin_commit(position);
                    (mark, dedup.completion(position, mark))
                }
                Store::Windows(windows) => {
                    let mark = windows.begin_commit(position, at_end_ms);
                    (mark, windows.completion(position, mark))
                }
            };
            // The first sees all records once more, whatever the others know.
            let (mark_ms, is_written) = (complete.millis(), number == 0);
            self.completions[number] = Completion { position, mark: mark_ms, is_written };
            mark(begun.millis());
        }
    }

    /// Hands the next change to `write`; one that is not taken is the next once more. False if
    /// there are no more. The stores of later steps go first: a key that a dedup step knows is
    /// skipped when its record comes again, so what that record did behind it is to be there
    /// before. A window counts nothing twice that an earlier step lets through again.
    pub(super) fn write_change(
        &mut self,
        partition: PartitionId,
        write: &mut impl FnMut(StateChange<'_>) -> bool,
    ) -> bool {
        while let Some(number) = self.writing.checked_sub(1) {
            let store = &mut self.stores[number];
            if let Store::Dedup(_, seed) = store
                && let Seed::Drawn(bytes) = *seed
            {
                let (is_seed, key, value) = (true, &[][..], Some(&bytes[..]));
                if write(StateChange { partition, store: number, is_seed, key, value }) {
                    *seed = Seed::Written(bytes);
                }
                return true;
            }
            let change = match (store, self.is_refused) {
                (Store::Dedup(dedup, _), true) => Some(dedup.last_change()),
                (Store::Dedup(dedup, _), false) => dedup.next_change(),
                (Store::Windows(windows), true) => Some(windows.last_change()),
                (Store::Windows(windows), false) => windows.next_change(),
            };
            if let Some(Change { key, value, .. }) = change {
                let change = StateChange { partition, store: number, is_seed: false, key, value };
                self.is_refused = !write(change);
                return true;
            }
            let completion = &mut self.completions[number];
            if !completion.is_written {
                let (is_seed, value) = (false, &completion.bytes()[..]);
                let (key, value) = (COMPLETION, Some(value));
                completion.is_written =
                    write(StateChange { partition, store: number, is_seed, key, value });
                return true;
            }
            self.writing = number;
        }
        false
    }

    pub(super) fn committed(&mut self) {
        for store in &mut self.stores {
            match store {
                Store::Dedup(dedup, seed) => {
                    dedup.committed();
                    if matches!(seed, Seed::Written(_)) {
                        *seed = Seed::Kept;
                    }
                }
                Store::Windows(windows) => windows.committed(),
            }
        }
    }

    pub(super) fn roll_back(&mut self) {
        for store in &mut self.stores {
            match store {
                Store::Dedup(dedup, seed) => {
                    dedup.roll_back();
                    if let Seed::Written(bytes) = *seed {
                        *seed = Seed::Drawn(bytes);
                    }
                }
                Store::Windows(windows) => windows.roll_back(),
            }
        }
    }

    pub(super) fn stock(&mut self) {
        for store in &mut self.stores {
            if let Store::Windows(windows) = store {
                windows.stock();
            }
        }
    }

    pub(super) fn kept(&self, store: usize) -> (u64, u64) {
        match &self.stores[store] {
            Store::Dedup(dedup, _) => (dedup.keys() as u64, dedup.bytes() as u64),
            Store::Windows(windows) => (windows.entries() as u64, windows.bytes() as u64),
        }
    }
}
