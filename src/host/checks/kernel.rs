//! The kernel: its version, and how it preempts. For information, unless it is too old for the
//! means that the other checks name.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish, reading::odd};

pub(super) const CHECK: Check = Check {
    name: "kernel",
    cost: "before 5.0 there are no cpuset partitions and timers and workqueues come to isolated \
           cores: 10-50 µs, several times a second",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const RELEASE: &str = "proc/sys/kernel/osrelease";
const VERSION: &str = "proc/sys/kernel/version";
const OLDEST: u32 = 5;

fn run(host: &Host, wish: &Wish) -> Told {
    let release = host.text(RELEASE)?;
    let major = release.split('.').next().and_then(|it| it.parse::<u32>().ok());
    let major = major.ok_or_else(|| odd(RELEASE, &release))?;
    let version = host.optional(VERSION).unwrap_or_default();
    let preemption = ["PREEMPT_RT", "PREEMPT_DYNAMIC", "PREEMPT"]
        .into_iter()
        .find(|it| version.split_whitespace().any(|word| word == *it))
        .unwrap_or("preemption not told");
    let found = format!("Linux {release}, {preemption}");
    Ok(Finding::judge(major < OLDEST, wish.own(), found, || {
        Mend::new("a kernel of 5.0 or later (6.1 for isolated partitions)", "yes, once installed")
    }))
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[(RELEASE, "6.1.0-18-amd64\n"), (VERSION, "#1 SMP PREEMPT_DYNAMIC Debian\n")],
        "Linux 6.1.0-18-amd64, PREEMPT_DYNAMIC",
    ),
    Case::unfit(&[(RELEASE, "3.10.0-1160.el7.x86_64\n")], "3.10.0"),
    Case::unknown(&[(RELEASE, "unreleased\n")], "not as expected: \"unreleased\""),
    Case::unknown(&[], "osrelease cannot be read"),
];
