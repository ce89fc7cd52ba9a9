//! Memory that is there before it is used: locked, kept, brought in.
//!
//! The first touch of a page costs half a microsecond to several; one that was taken back, or lies
//! on a disk, costs that or milliseconds again. A process that locks its memory keeps what it once
//! touched, and its allocator gives nothing back, so that a hot thread that has warmed up meets no
//! page fault. What is not touched yet is not brought in by the lock: the allocator sets a whole
//! GiB aside at start, and each process would take that much.

use std::{ffi::c_int, fs, hint, io, path::Path};

/// Bit of `CAP_IPC_LOCK` in the sets of `/proc/self/status`.
const CAP_IPC_LOCK: u64 = 14;

/// mimalloc's number of the option for after how many milliseconds it gives freed memory back; the
/// same in its versions 2 and 3.
const PURGE_DELAY: c_int = 15;

/// What the hot thread's stack is brought in by.
const STACK_BYTES: usize = 256 << 10;

/// Heap is brought in by blocks of this size: the allocator takes them from its smallest units, so
/// that no gap between larger ones is left out.
const BLOCK_BYTES: usize = 4 << 10;

/// Locks all memory of the process from its first touch, that which comes later included, and keeps
/// what is freed.
///
/// # Errors
///
/// A sentence that says which right is missing. Then nothing is locked, since a limit that is
/// reached later would end the process, and what is freed is kept all the same.
pub fn lock_all(root: &Path) -> Result<(), String> {
    // That takes no right.
    keep_freed();
    if let Some(limit) = limit().filter(|_| !may_lock(root)) {
        return Err(format!(
            "memory is not locked: the limit is {} KiB; LimitMEMLOCK=infinity, `ulimit -l \
             unlimited` or the capability CAP_IPC_LOCK allow it",
            limit >> 10
        ));
    }
    lock().map_err(|error| format!("memory is not locked: {error}"))
}

/// True for a process that no limit concerns.
fn may_lock(root: &Path) -> bool {
    let status = fs::read_to_string(root.join("proc/self/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> CAP_IPC_LOCK & 1 == 1)
}

/// The limit of locked memory in bytes, if there is one.
#[cfg(unix)]
fn limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to one structure that lives through the call.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

fn lock() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let all = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
        // SAFETY: no memory is passed.
        match unsafe { libc::mlockall(all) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// From now on the allocator gives no memory back to the system. What is given back is to be
/// brought in again by whoever takes it next, and that can be the hot thread.
pub fn keep_freed() {
    // SAFETY: the option and its value are numbers that the allocator knows.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}

/// Brings in so much of the heap for the calling thread, beside what it has.
pub fn prefault_heap(bytes: usize) {
    let blocks: Vec<Vec<u8>> = (0..bytes.div_ceil(BLOCK_BYTES)).map(|_| touched()).collect();
    hint::black_box(&blocks);
}

fn touched() -> Vec<u8> {
    // Zeroes would be lent by the system page by page; ones are written.
    vec![1; BLOCK_BYTES]
}

/// Brings in the part of the calling thread's stack that it will use.
#[inline(never)]
pub fn prefault_stack() {
    hint::black_box([1_u8; STACK_BYTES]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{ThreadUsage, cores::tests::tree};

    #[test]
    fn the_right_to_lock_is_read_from_the_capabilities() {
        for (mask, may) in [("0000000000004000", true), ("0000003fffffbfff", false)] {
            let root = tree(&[("proc/self/status", &format!("Name:\tx\nCapEff:\t{mask}\n"))]);
            assert_eq!(may_lock(root.path()), may, "{mask}");
        }
        assert!(!may_lock(tree(&[]).path()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_stack_that_was_brought_in_faults_no_more() {
        #[inline(never)]
        fn use_half() {
            hint::black_box([2_u8; STACK_BYTES / 2]);
        }
        let faults = |prefaults: bool| {
            let body = move || {
                if prefaults {
                    prefault_stack();
                }
                let before = ThreadUsage::read();
                use_half();
                ThreadUsage::read().since(&before).minor_faults
            };
            std::thread::spawn(body).join().unwrap()
        };
        let without = faults(false);
        let with = faults(true);
        assert!(with < without / 4, "{with} faults with, {without} without");
    }
}
