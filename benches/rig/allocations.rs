//! A global allocator that counts, so that "never allocates" is a number and not a hope.
//!
//! It counts calls of the calling thread alone, on top of mimalloc, which the program itself uses.
//! What C code takes with `malloc` is not seen here: on the memory transport there is none.

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
};

use mimalloc::MiMalloc;

/// To be made the `#[global_allocator]`.
#[derive(Debug)]
pub(crate) struct Counting;

thread_local! {
    // Constant and without a destructor: reading it allocates nothing, whatever the moment.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// Allocations, reallocations and frees of this thread so far.
pub(crate) fn calls() -> u64 {
    CALLS.get()
}

fn count() {
    CALLS.set(CALLS.get() + 1);
}

// SAFETY: every call is passed on as it came to an allocator that keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }
}
