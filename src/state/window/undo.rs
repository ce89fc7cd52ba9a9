//! What entries were before they changed: since the last commit began, and since the one before.
//!
//! An entry's bytes are copied before its first change in each of these times; so the list of what
//! was copied is also the list of what the next commit writes. Two times are enough, because a
//! commit begins only when the one before is confirmed.

use super::keys::Keys;

/// An entry that was changed.
#[derive(Clone, Copy, Debug)]
struct Changed {
    entry: u32,
    /// Where its bytes from before begin; they end where the next one's begin.
    from: usize,
    is_new: bool,
}

/// The changes of one time.
#[derive(Debug, Default)]
struct Time {
    changed: Vec<Changed>,
    bytes: Vec<u8>,
}

impl Time {
    fn clear(&mut self) {
        self.changed.clear();
        self.bytes.clear();
    }
}

/// All changes that can be undone.
#[derive(Debug, Default)]
pub(super) struct Undo {
    current: Time,
    /// Those that the commit under way writes.
    draining: Time,
    /// How many commits have begun.
    commit: u32,
}

impl Undo {
    pub(super) fn bytes(&self) -> usize {
        let of = |it: &Time| it.bytes.capacity() + it.changed.capacity() * size_of::<Changed>();
        of(&self.current) + of(&self.draining)
    }

    /// The mark of entries that were changed in the current time.
    pub(super) fn current(&self) -> u32 {
        self.commit + 1
    }

    /// To be called before an entry is changed, whose bytes it returns.
    #[inline]
    pub(super) fn keep<'k>(&mut self, keys: &'k mut Keys, entry: u32) -> &'k mut [u8] {
        let (is_first, bytes) = keys.change(entry, self.current());
        if is_first {
            let from = self.current.bytes.len();
            self.current.bytes.extend_from_slice(bytes);
            self.current.changed.push(Changed { entry, from, is_new: false });
        }
        bytes
    }

    /// To be called after an entry was made.
    pub(super) fn keep_new(&mut self, keys: &mut Keys, entry: u32) {
        keys.set_changed_in(entry, self.current());
        let from = self.current.bytes.len();
        self.current.changed.push(Changed { entry, from, is_new: true });
    }

    /// What was changed until now is what the commit writes.
    pub(super) fn begin_commit(&mut self) {
        std::mem::swap(&mut self.current, &mut self.draining);
        self.commit += 1;
    }

    /// What the commit writes.
    pub(super) fn drained(&self, number: usize) -> Option<u32> {
        self.draining.changed.get(number).map(|it| it.entry)
    }

    pub(super) fn committed(&mut self) {
        self.draining.clear();
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.current.changed.is_empty()
    }

    /// Calls with each change, the last first: an entry, and its bytes from before, or `None` if
    /// there was no such entry.
    pub(super) fn undo(&mut self, mut put_back: impl FnMut(u32, Option<&[u8]>)) {
        for time in [&mut self.current, &mut self.draining] {
            let mut end = time.bytes.len();
            for Changed { entry, from, is_new } in time.changed.drain(..).rev() {
                put_back(entry, (!is_new).then_some(&time.bytes[from..end]));
                end = from;
            }
            time.clear();
        }
        // Entries bear the mark of what is undone.
        self.commit += 1;
    }
}
