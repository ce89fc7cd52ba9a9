//! Partitions whose state is being restored: they are given a first offset, and fetched later.
//!
//! The first offset is looked up and committed at once, as for all: a group that starts at the
//! newest record would else start behind what came while state was read. Nothing is fetched before
//! the state is there, so that records of other partitions never wait behind records that may not
//! be lent yet, and none lie in memory for it. Then the offset is looked up once more, which finds
//! what is committed: nobody else commits for a partition that is ours.

use super::{Worker, resolving::Resolved};
use crate::transport::kafka::assignment::Place;

/// Whether partitions that are given may be fetched at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport::kafka) enum Gate {
    Open,
    /// Each is to be told of by `Job::Restored` first.
    Closed,
}

impl Worker {
    /// Takes out of what waits to be fetched what is not to be yet.
    pub(super) fn hold_back(&mut self, resolved: &[Resolved]) {
        for place in resolved.iter().map(|it| it.place) {
            if self.waiting.contains(&place) && self.closed.contains(&place) {
                self.waiting.retain(|it| *it != place);
                self.settled.push(place);
            }
        }
    }

    /// Its state is there. One that has been taken back meanwhile is not here any more.
    pub(super) fn open_gate(&mut self, place: Place) {
        self.closed.retain(|it| *it != place);
        if let Some(index) = self.settled.iter().position(|it| *it == place) {
            self.waiting.push(self.settled.swap_remove(index));
            self.retry_at = None;
        }
    }
}
