//! How much written and not yet stored data may gather before the kernel begins to store it. The
//! settings say it in bytes or in per cent of what is free; the kernel itself says what follows.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "dirty_pages",
    cost: "none for the hot thread, which writes no files; histogram logs and table copies wait \
           0.1-30 s when gigabytes are flushed at once, and the disk's interrupts come in bursts",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const STATISTICS: &str = "proc/vmstat";
const THRESHOLD: &str = "nr_dirty_background_threshold ";
const RATIO: &str = "proc/sys/vm/dirty_background_ratio";
const BYTES_MAX: u64 = 1 << 30;

fn run(host: &Host, wish: &Wish) -> Told {
    let text = host.field(STATISTICS, THRESHOLD)?;
    let pages: u64 = text.parse().map_err(|_| super::reading::odd(STATISTICS, &text))?;
    let bytes = pages.saturating_mul(page_bytes());
    // Zero where the setting is in bytes.
    let ratio = host.value::<u32>(RATIO).ok().filter(|it| *it > 0);
    let by = ratio.map(|it| format!(", {it} % of what is free (/{RATIO})")).unwrap_or_default();
    let found = format!("writing back begins at {} MiB (/{STATISTICS}){by}", bytes >> 20);
    Ok(Finding::judge(bytes > BYTES_MAX, wish.own(), found, || {
        Mend::sysctl("vm.dirty_background_bytes", 256 << 20)
    }))
}

#[cfg(unix)]
fn page_bytes() -> u64 {
    // SAFETY: no memory is passed.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4_096)
}

#[cfg(not(unix))]
fn page_bytes() -> u64 {
    4_096
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(STATISTICS, "nr_dirty 3\nnr_dirty_background_threshold 0\n")], "at 0 MiB"),
    // 4 GiB with the smallest pages there are.
    Case::unfit(
        &[(STATISTICS, "nr_dirty_background_threshold 1048576\n"), (RATIO, "10\n")],
        "MiB (/proc/vmstat), 10 % of what is free",
    ),
    Case::unknown(&[(STATISTICS, "nr_dirty 3\n")], "has no nr_dirty_background_threshold"),
    Case::unknown(&[(STATISTICS, "nr_dirty_background_threshold -\n")], "not as expected"),
    Case::unknown(&[], "/proc/vmstat cannot be read"),
];
