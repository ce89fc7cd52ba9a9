//! How much written and not yet stored data may gather before writers have to wait.

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

const BYTES: &str = "proc/sys/vm/dirty_background_bytes";
const RATIO: &str = "proc/sys/vm/dirty_background_ratio";
const MEMORY: &str = "proc/meminfo";
const BYTES_MAX: u64 = 1 << 30;

fn run(host: &Host, wish: &Wish) -> Told {
    let bytes: u64 = host.value(BYTES)?;
    let (threshold, found) = match bytes {
        0 => {
            let ratio: u64 = host.value(RATIO)?;
            let available = available(host)?;
            let threshold = available.saturating_mul(ratio) / 100;
            let shown = threshold >> 20;
            (threshold, format!("{ratio} % of what is free, {shown} MiB now (/{RATIO})"))
        }
        bytes => (bytes, format!("{} MiB (/{BYTES})", bytes >> 20)),
    };
    let found = format!("writing back begins at {found}");
    Ok(Finding::judge(threshold > BYTES_MAX, wish.own(), found, || {
        Mend::sysctl("vm.dirty_background_bytes", 256 << 20)
    }))
}

/// The ratio is of memory that can be had, not of all.
fn available(host: &Host) -> Result<u64, Finding> {
    let text = host.field(MEMORY, "MemAvailable:")?;
    let kib = text.strip_suffix(" kB").and_then(|it| it.parse::<u64>().ok());
    kib.map(|it| it.saturating_mul(1_024)).ok_or_else(|| super::reading::odd(MEMORY, text))
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(BYTES, "268435456\n")], "begins at 256 MiB"),
    Case::fit(
        &[(BYTES, "0\n"), (RATIO, "5\n"), (MEMORY, "MemAvailable:   2097152 kB\n")],
        "5 % of what is free, 102 MiB now",
    ),
    Case::unfit(
        &[(BYTES, "0\n"), (RATIO, "10\n"), (MEMORY, "MemAvailable: 134217728 kB\n")],
        "13107 MiB now",
    ),
    Case::unknown(&[(BYTES, "0\n"), (RATIO, "10\n"), (MEMORY, "MemFree: 1 kB\n")], "MemAvailable:"),
    Case::unknown(&[], "cannot be read"),
];
