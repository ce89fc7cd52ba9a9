//! What the kernel's daemon for huge pages did, where there is one (Linux; see its admin guide,
//! "Transparent Hugepage Support").

use std::fs;

const SCANS: &str = "/sys/kernel/mm/transparent_hugepage/khugepaged/full_scans";
const COUNTERS: &str = "/proc/vmstat";

/// How often it has looked through the memory of all processes that want huge pages; `None` where
/// it does not exist.
pub(crate) fn scans() -> Option<u64> {
    fs::read_to_string(SCANS).ok()?.trim().parse().ok()
}

/// Huge pages that it has made of small ones since the machine started; 0 where it does not exist.
pub(crate) fn collapses() -> u64 {
    let counters = fs::read_to_string(COUNTERS).unwrap_or_default();
    let line = counters.lines().find_map(|line| line.strip_prefix("thp_collapse_alloc "));
    line.and_then(|it| it.trim().parse().ok()).unwrap_or(0)
}
