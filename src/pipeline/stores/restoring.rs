//! How a partition's stores come and go: made, put back entry by entry, begun, ended.

use super::{PartitionStores, Room, StateStores, partition::Store};
use crate::{record::PartitionId, state::RestoreError, verdict::Sentence};

impl StateStores {
    /// The stores of a partition without any records, as `give` takes them. Any thread can do so
    /// with a copy of the rules.
    pub fn make(&self) -> PartitionStores {
        PartitionStores::make(&self.rules, self.room)
    }

    /// Another one, for `PartitionStores::make`.
    pub fn room(&self) -> Room {
        self.room
    }

    /// A partition gets these stores; those that it had come back.
    pub fn give(
        &mut self,
        partition: PartitionId,
        stores: PartitionStores,
    ) -> Option<PartitionStores> {
        let before = self.end(partition);
        self.partitions[usize::from(partition.0)] = Some(stores);
        before
    }

    /// Puts back an entry of that store's step; each key's last one last.
    ///
    /// # Errors
    ///
    /// If the entry is none of that step's, or there are too many: a sentence for a person.
    pub fn restore(
        &mut self,
        partition: PartitionId,
        store: usize,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), Sentence> {
        let stores = super::stores_of(&mut self.partitions, partition);
        let restored = match stores.at(store) {
            Store::Dedup(dedup, _) => dedup.restore(key, value),
            Store::Windows(windows) => {
                windows.stock();
                windows.restore(key, value)
            }
        };
        restored.map_err(|wrong| self.wrong(store, wrong))
    }

    /// What that store's keys are hashed with, as it was written.
    ///
    /// # Errors
    ///
    /// If it is no such thing.
    pub fn restore_seed(
        &mut self,
        partition: PartitionId,
        store: usize,
        value: &[u8],
    ) -> Result<(), Sentence> {
        let Ok(bytes) = value.try_into() else {
            return Err(self.wrong(store, RestoreError::Value));
        };
        let stores = super::stores_of(&mut self.partitions, partition);
        stores.restore_seed(store, u64::from_be_bytes(bytes));
        Ok(())
    }

    /// The partition's records come from that position on; `marks` are those of the commit that
    /// said so, a step each.
    pub fn begin(&mut self, partition: PartitionId, position: i64, marks: &[i64]) {
        let now_ms = self.now_ms;
        super::stores_of(&mut self.partitions, partition).start(position, marks, now_ms);
        self.begun.push(partition);
        // A window that is due, or a dedup step that is full, as it was.
        self.may_be_full = true;
    }

    /// The same with fresh stores, from the first record on.
    pub fn begin_empty(&mut self, partition: PartitionId) {
        let stores = self.make();
        self.give(partition, stores);
        self.begin(partition, 0, &[]);
    }

    /// The partition is no longer ours, or its stores are to be put back once more: they come back
    /// for whoever frees them.
    pub fn end(&mut self, partition: PartitionId) -> Option<PartitionStores> {
        self.begun.retain(|it| *it != partition);
        self.to_write.retain(|it| *it != partition);
        self.partitions.get_mut(usize::from(partition.0))?.take()
    }

    #[cold]
    fn wrong(&self, store: usize, wrong: RestoreError) -> Sentence {
        Sentence::format(format_args!("an entry of step {}: {wrong}", self.rules[store].name))
    }
}
