//! A partition's records wait until its state is there.
//!
//! Its `Assigned` is not told before that, so that nobody above sees a partition without its state.
//! Others go on meanwhile.
//!
//! A transaction of which nobody knows whether it was committed leaves state behind that nobody
//! knows either. It is found out, and all of it is restored once more, before it is told that the
//! transaction was taken back; until then nothing is lent.

use std::sync::Arc;

use super::{Job, KafkaSource};
use crate::{
    limits::PARTITIONS_MAX,
    record::PartitionId,
    transport::{
        kafka::{assignment::Place, native::PartitionList, start},
        restore::{Restoration, STATE_PEER},
    },
};

/// Partitions that were given to us and not announced.
#[derive(Debug)]
pub(super) struct Restoring {
    shared: Arc<Restoration>,
    /// And whether the side thread was told that their state is there.
    gated: Vec<(PartitionId, bool)>,
    /// Partitions that were announced, whose state is restored once more.
    again: Vec<PartitionId>,
}

impl Restoring {
    pub(super) fn want(&mut self, partition: PartitionId, (topic, number): Place) {
        self.shared.want(partition, topic, number);
        self.gated.push((partition, false));
    }

    /// One that was announced is to have its state once more.
    pub(super) fn want_again(&mut self, partition: PartitionId, (topic, number): Place) {
        self.shared.want(partition, topic, number);
        self.again.push(partition);
    }

    /// True if nothing is restored once more.
    pub(super) fn is_whole(&self) -> bool {
        self.again.is_empty()
    }

    /// The group takes it back. One that was announced keeps its state until it is finished.
    pub(super) fn revoke(&mut self, partition: PartitionId, is_lost: bool) {
        if is_lost {
            self.leave(partition);
        }
        if let Some(index) = self.gated.iter().position(|it| it.0 == partition) {
            self.gated.swap_remove(index);
            self.shared.cancel(partition);
        }
    }

    /// It is not ours any more.
    pub(super) fn leave(&mut self, partition: PartitionId) {
        if let Some(index) = self.again.iter().position(|it| *it == partition) {
            self.again.swap_remove(index);
            self.shared.cancel(partition);
        }
    }

    pub(super) fn announce(&mut self, partition: PartitionId) {
        self.gated.retain(|it| it.0 != partition);
    }

    pub(super) fn next_recovery(&self) -> Option<&'static str> {
        self.shared.next_recovery().then_some(STATE_PEER)
    }
}

impl KafkaSource {
    /// Each partition waits from now on until its state was taken. To be called before the first
    /// turn.
    pub fn restore_by(&mut self, restoration: Arc<Restoration>) {
        let wake = Arc::clone(&self.wake);
        restoration.wake_with(move || wake.signal());
        let gated = Vec::with_capacity(PARTITIONS_MAX);
        let again = Vec::with_capacity(PARTITIONS_MAX);
        self.restoring = Some(Restoring { shared: restoration, gated, again });
        // So that the words of each commit need no new memory.
        self.commits = PartitionList::with_text_room(start::TEXT_BYTES_MAX);
    }

    /// Tells the side thread which partitions may be fetched now.
    pub(super) fn open_gates(&mut self) -> usize {
        let (Some(restoring), Some(offsets)) = (&mut self.restoring, &self.offsets) else {
            return 0;
        };
        let mut work = 0;
        for (partition, is_told) in &mut restoring.gated {
            if !*is_told && restoring.shared.is_complete(*partition) {
                *is_told = true;
                offsets.ask(Job::Restored(self.assignment.place(*partition)));
                work += 1;
            }
        }
        if !restoring.again.is_empty() {
            let Restoring { shared, again, .. } = restoring;
            again.retain(|it| !shared.is_complete(*it));
            if again.is_empty() {
                self.tell_aborted(Ok(()));
                work += 1;
            }
        }
        while let Some(trouble) = self.restoring.as_ref().and_then(|it| it.shared.next_trouble()) {
            self.tell_trouble(trouble);
            work += 1;
        }
        work
    }
}
