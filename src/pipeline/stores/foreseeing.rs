//! What the records of a turn will look at in stores, brought near before the first is processed.
//!
//! Each of them would wait for memory by itself; here they wait together. A guess that is wrong
//! brings near what nobody needs, and no more.

use super::{StateStores, WindowKey, partition::Store};
use crate::record::PartitionId;

impl StateStores {
    /// A record of that partition will likely ask the store for a key, which is text or bytes.
    #[inline]
    pub fn foresee(&mut self, store: usize, partition: PartitionId, key: &[u8]) {
        // Records of a partition come one behind the other.
        if self.foreseen_of != Some(partition) {
            self.approach();
        }
        let StateStores { partitions, results, foreseen_of, .. } = self;
        let stores = partitions[usize::from(partition.0)].as_mut();
        let Some(stores) = stores.filter(|it| it.is_begun()) else { return };
        *foreseen_of = Some(partition);
        match stores.at(store) {
            Store::Dedup(dedup, _) => dedup.foresee(dedup.hash(key)),
            Store::Windows(windows) => windows.foresee(results.key_of(WindowKey::Text(key))),
        }
    }

    /// No more keys come before the next record is processed.
    #[inline]
    pub fn approach(&mut self) {
        let Some(partition) = self.foreseen_of.take() else { return };
        if let Some(stores) = self.begun_of(partition) {
            stores.approach();
        }
    }
}
