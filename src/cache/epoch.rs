//! The epoch echo: how the writer learns that the reader can no longer see what was unlinked.
//!
//! Two words, each written by one side only. The writer unlinks something, then advances the epoch;
//! the reader, once a turn and holding no reference into the table, repeats the epoch that it sees.
//! An echo of that epoch or a later one proves that the reader passed a point without references
//! after the unlinking, so the memory can go. Neither side ever waits, and the reader needs no
//! fence and no read-modify-write. The pairs that carry the proof:
//!
//! * `advance` (release) → `read` (acquire): who sees the epoch sees all unlinking before it;
//! * `echo` (release) → `echoed` (acquire): who sees the echo comes after all reads before it.
//!
//! Left out: a second reader, and a reader that goes to sleep: it must echo, or nothing is freed.

use std::sync::atomic::Ordering;

use super::sync::AtomicU64;

/// Keeps the two words, and what lies beside them, out of each other's cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart(AtomicU64);

/// The two words.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    current: Apart,
    echo: Apart,
}

const _: () = assert!(align_of::<Apart>() == 128, "two lines, which processors fetch in pairs");

impl Epoch {
    /// Writer: makes all unlinking so far part of a new epoch, and says which.
    pub(super) fn advance(&self) -> u64 {
        let next = self.current() + 1;
        self.current.0.store(next, Ordering::Release);
        next
    }

    /// Writer: its own word.
    pub(super) fn current(&self) -> u64 {
        self.current.0.load(Ordering::Relaxed)
    }

    /// Writer: what was unlinked up to this epoch is out of the reader's sight.
    pub(super) fn echoed(&self) -> u64 {
        self.echo.0.load(Ordering::Acquire)
    }

    /// Reader: the epoch as it is.
    #[inline]
    pub(super) fn read(&self) -> u64 {
        self.current.0.load(Ordering::Acquire)
    }

    /// Reader: says that it holds nothing from before `epoch`, which it got from `read`.
    #[inline]
    pub(super) fn echo(&self, epoch: u64) {
        self.echo.0.store(epoch, Ordering::Release);
    }
}
