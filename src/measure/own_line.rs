//! A value with a cache line of its own, so that no neighbour slows down who writes it.
//!
//! Where two threads write to one line, it travels between their cores again and again, and a turn
//! with three writes takes five times as long (`benches/sharing.rs`). Processors fetch lines in
//! pairs, so that the distance is two lines.

use std::ops::Deref;

/// Bytes that are kept apart: two lines of 64.
pub const APART_BYTES: usize = 128;

/// A value and nothing else within `APART_BYTES`.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct OwnLine<T>(pub T);

const _: () = assert!(align_of::<OwnLine<u8>>() == APART_BYTES);
const _: () = assert!(size_of::<OwnLine<[u64; 2]>>() == APART_BYTES);

impl<T> Deref for OwnLine<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
