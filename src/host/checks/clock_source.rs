//! The CPU's counter as the clock: invariant, and chosen by the kernel.
//!
//! A counter that changes its pace or stops while the core sleeps cannot measure latency, and a
//! kernel that distrusts it reads a device instead, for every reading of the time.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "clock_source",
    cost: "a reading of the time costs about 20 ns from the counter, 50 ns from kvm-clock, and \
           0.5-2 µs from hpet, acpi_pm or xen, several times a record",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const CURRENT: &str = "sys/devices/system/clocksource/clocksource0/current_clocksource";
const AVAILABLE: &str = "sys/devices/system/clocksource/clocksource0/available_clocksource";

/// Those that are read without a system call. The last is of ARM, where the counter is invariant.
const CHEAP: [&str; 4] = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"];

fn run(host: &Host, wish: &Wish) -> Told {
    let current = host.text(CURRENT)?;
    if current == "arch_sys_counter" {
        return Ok(Finding::fit(format!("{current}, whose counter is invariant")));
    }
    let flags = host.flags()?;
    let lacks: Vec<&str> = ["constant_tsc", "nonstop_tsc"]
        .into_iter()
        .filter(|flag| !flags.iter().any(|it| it == flag))
        .collect();
    let found = match lacks.as_slice() {
        [] => {
            format!("{current}; the processor's counter is invariant (constant_tsc, nonstop_tsc)")
        }
        lacks => format!("{current}; the processor does not say {}", lacks.join(", ")),
    };
    let is_bad = !lacks.is_empty() || !CHEAP.contains(&current.as_str());
    Ok(Finding::judge(is_bad, wish.low(), found, || mend(host, lacks.is_empty())))
}

fn mend(host: &Host, is_invariant: bool) -> Mend {
    let available = host.optional(AVAILABLE).unwrap_or_default();
    match (is_invariant, available.split_whitespace().any(|it| it == "tsc")) {
        (true, true) => Mend::new(
            format!("echo tsc > /{CURRENT}"),
            "no; to keep it: the kernel parameters clocksource=tsc tsc=reliable",
        ),
        (true, false) => Mend::boot("tsc=reliable"),
        (false, _) => Mend::new(
            "another machine, or in a virtual one the host's processor passed through (QEMU: -cpu \
             host,+invtsc)",
            "yes, with the machine's definition",
        ),
    }
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[(CURRENT, "tsc\n"), ("proc/cpuinfo", "flags\t\t: fpu constant_tsc nonstop_tsc\n")],
        "tsc; the processor's counter is invariant",
    ),
    Case::unfit(
        &[
            (CURRENT, "hpet\n"),
            (AVAILABLE, "tsc hpet \n"),
            ("proc/cpuinfo", "flags : constant_tsc nonstop_tsc\n"),
        ],
        "hpet",
    ),
    Case::unfit(&[(CURRENT, "tsc\n"), ("proc/cpuinfo", "flags : fpu\n")], "not say constant_tsc"),
    Case::unknown(&[("proc/cpuinfo", "flags : constant_tsc\n")], "current_clocksource cannot"),
    Case::unknown(&[(CURRENT, "tsc\n")], "/proc/cpuinfo cannot be read"),
];
