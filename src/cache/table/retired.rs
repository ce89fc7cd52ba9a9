//! What the writer has unlinked and not freed yet.

use super::{Entry, Slots, discard};

/// Unlinked memory that the reader may still see.
pub(super) struct Retired {
    /// Once this epoch was echoed it may go.
    pub(super) epoch: u64,
    pub(super) bytes: usize,
    pub(super) garbage: Garbage,
}

// SAFETY: garbage is unlinked and belongs to whoever holds it; any thread may free it.
unsafe impl Send for Retired {}

/// What is to be freed.
pub(super) enum Garbage {
    Entry(Entry),
    Slots(*mut Slots),
}

impl Garbage {
    /// # Safety
    ///
    /// It was not freed before, and no reader can reach it.
    pub(super) unsafe fn free(self) {
        match self {
            // SAFETY: the caller owes just that.
            Garbage::Entry(entry) => unsafe { entry.free() },
            // SAFETY: as above; the pointer came from a box.
            Garbage::Slots(slots) => discard(unsafe { Box::from_raw(slots) }),
        }
    }
}
