//! What the records of a turn will look at in stores, brought near before the first is processed.
//!
//! Each of them would wait for memory by itself; here they wait together. A guess that is wrong
//! brings near what nobody needs, and no more.

use super::{StateStores, WindowKey, partition::Store};
use crate::{limits::STATE_KEYS_FORESEEN_MAX, record::PartitionId, state::dedup::KeyHash};

/// Bytes that are taken at start for each key of a window.
const KEY_BYTES: usize = 32;

/// Keys of one step, of one partition.
#[derive(Debug)]
pub(super) struct Foreseen {
    partition: PartitionId,
    /// Of a dedup step.
    hashes: Vec<KeyHash>,
    /// Of a window step, one behind the other, and where each ends.
    keys: Vec<u8>,
    ends: Vec<usize>,
}

impl Foreseen {
    pub(super) fn new() -> Foreseen {
        Foreseen {
            partition: PartitionId(0),
            hashes: Vec::with_capacity(STATE_KEYS_FORESEEN_MAX),
            keys: Vec::with_capacity(STATE_KEYS_FORESEEN_MAX * KEY_BYTES),
            ends: Vec::with_capacity(STATE_KEYS_FORESEEN_MAX),
        }
    }

    fn clear(&mut self) {
        self.hashes.clear();
        self.keys.clear();
        self.ends.clear();
    }
}

impl StateStores {
    /// A record of that partition will likely ask the store for a key, which is text or bytes.
    #[inline]
    pub fn foresee(&mut self, store: usize, partition: PartitionId, key: &[u8]) {
        if self.foreseen[store].partition != partition {
            self.approach_one(store);
            self.foreseen[store].partition = partition;
        }
        let StateStores { partitions, foreseen, results, .. } = self;
        let foreseen = &mut foreseen[store];
        let stores = partitions[usize::from(partition.0)].as_mut();
        match stores.filter(|it| it.is_begun()).map(|it| it.at(store)) {
            Some(Store::Dedup(dedup, _)) if foreseen.hashes.len() < STATE_KEYS_FORESEEN_MAX => {
                foreseen.hashes.push(dedup.hash(key));
            }
            Some(Store::Windows(_)) if foreseen.ends.len() < STATE_KEYS_FORESEEN_MAX => {
                foreseen.keys.extend_from_slice(results.key_of(WindowKey::Text(key)));
                foreseen.ends.push(foreseen.keys.len());
            }
            _ => {}
        }
    }

    /// No more keys come before the next record is processed.
    #[inline]
    pub fn approach(&mut self) {
        for store in 0..self.foreseen.len() {
            self.approach_one(store);
        }
    }

    fn approach_one(&mut self, store: usize) {
        let StateStores { partitions, foreseen, .. } = self;
        let foreseen = &mut foreseen[store];
        if foreseen.hashes.is_empty() && foreseen.ends.is_empty() {
            return;
        }
        let stores = partitions[usize::from(foreseen.partition.0)].as_mut();
        match stores.filter(|it| it.is_begun()).map(|it| it.at(store)) {
            Some(Store::Dedup(dedup, _)) => dedup.foresee(&foreseen.hashes),
            Some(Store::Windows(windows)) => {
                let starts = std::iter::once(&0).chain(&foreseen.ends);
                let keys = starts.zip(&foreseen.ends);
                windows.foresee(keys.map(|(start, end)| &foreseen.keys[*start..*end]));
            }
            None => {}
        }
        foreseen.clear();
    }
}
