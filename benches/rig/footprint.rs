//! How much memory a structure takes: what it asked the allocator for, and what the kernel gave.

use std::{
    alloc::{GlobalAlloc, Layout},
    fs,
    sync::atomic::{AtomicI64, Ordering::Relaxed},
};

use mimalloc::MiMalloc;

/// To be made the `#[global_allocator]`: counts live bytes on top of the program's own allocator.
#[derive(Debug)]
pub(crate) struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

/// Bytes that were asked for and not given back.
pub(crate) fn live() -> i64 {
    LIVE.load(Relaxed)
}

fn count(bytes: usize, sign: i64) {
    LIVE.fetch_add(sign * bytes as i64, Relaxed);
}

// SAFETY: every call is passed on as it came to an allocator that keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: as above.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        // SAFETY: as above.
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }
}

/// Bytes of this process in memory now, and at most so far.
pub(crate) fn resident() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|it| it.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0) << 10
    };
    (bytes("VmRSS:"), bytes("VmHWM:"))
}
