//! What the structure takes from the standard library to be seen by two threads, in one place.
//!
//! A model checker puts a file of its own here (`tests/models`), whose atomics try every order that
//! the memory model allows, and whose `Watch` complains of memory that is read after it was given
//! back. In the program the watch is nothing.

pub(super) use std::{
    alloc::dealloc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicPtr, AtomicU32, AtomicU64},
    },
};

/// Stands in memory that one side frees while the other may read it.
#[derive(Debug)]
pub(super) struct Watch;

impl Watch {
    pub(super) fn new() -> Watch {
        Watch
    }

    /// The memory is read.
    #[inline]
    pub(super) fn read(&self) {}

    /// The memory is about to be given back.
    #[inline]
    pub(super) fn free(&self) {}
}

/// Gives a box back.
pub(super) fn discard<T>(it: Box<T>) {
    drop(it);
}
