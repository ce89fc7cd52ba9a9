//! The core kept free of other threads: `isolcpus=`, or an isolated cpuset partition.

use super::{Check, Finding, Host, Mend, Told, Wish};
#[cfg(test)]
use super::{Level, cases::Case};

pub(super) const CHECK: Check = Check {
    name: "isolation",
    cost: "the scheduler puts other threads on the core: each time 1-4 ms, tens of times a second \
           when the machine is busy",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const ISOLATED: &str = "sys/devices/system/cpu/isolated";

fn run(host: &Host, wish: &Wish) -> Told {
    let core = wish.core()?;
    let isolated = host.list(ISOLATED)?.or(&host.cores.isolated);
    let is_isolated = isolated.contains(core);
    let invalid = invalid_partition(host);
    let mut found = match (is_isolated, isolated.is_empty()) {
        (true, _) => format!("core {core} is isolated{} (/{ISOLATED}: {isolated})", how(host)),
        (false, true) => format!("core {core} is not isolated, and no other is (/{ISOLATED})"),
        (false, false) => format!("core {core} is not isolated (/{ISOLATED}: {isolated})"),
    };
    if let Some(why) = invalid.filter(|_| !is_isolated) {
        found.push_str(&format!("; {why}"));
    }
    if host.cores.online.len() < 2 {
        return Ok(Finding::judge(!is_isolated, wish.own(), found, || {
            Mend::new("a machine with a second core: the only one cannot be kept free", "yes")
        }));
    }
    Ok(Finding::judge(!is_isolated, wish.own(), found, || {
        let others = host.others(core);
        let mut mend = Mend::boot(format!(
            "isolcpus=managed_irq,domain,{core} nohz_full={core} rcu_nocbs={core} \
             irqaffinity={others}"
        ));
        mend.lasts.push_str(&format!("; until then scripts/isolate --cores {core}"));
        mend
    }))
}

/// A partition of this process's own group that is meant to be isolated and is not, in the kernel's
/// words.
fn invalid_partition(host: &Host) -> Option<String> {
    let groups = host.groups("self", "cpuset").ok()?;
    groups.folders.iter().find_map(|folder| {
        let path = format!("{folder}/cpuset.cpus.partition");
        let state = host.optional(&path).filter(|it| it.contains("invalid"))?;
        Some(format!("the partition is \"{state}\" (/{path})"))
    })
}

/// By whom, if the command line does not say so: then it ends with the partition.
fn how(host: &Host) -> &'static str {
    let line = host.optional("proc/cmdline").unwrap_or_default();
    match line.split_whitespace().any(|it| it.starts_with("isolcpus=")) {
        true => " by isolcpus=",
        false => " by a cpuset partition, until it is undone or the machine restarts",
    }
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[(ISOLATED, "2-3\n"), ("proc/cmdline", "quiet isolcpus=2-3\n")],
        "core 3 is isolated by isolcpus= (/sys/devices/system/cpu/isolated: 2-3)",
    ),
    Case::fit(&[(ISOLATED, "3\n")], "by a cpuset partition"),
    Case::fit(
        &[
            (ISOLATED, "\n"),
            ("proc/self/cgroup", "0::/hotspur\n"),
            ("sys/fs/cgroup/hotspur/cpuset.cpus.partition", "isolated\n"),
            ("sys/fs/cgroup/hotspur/cpuset.cpus.effective", "2-3\n"),
        ],
        "core 3 is isolated by a cpuset partition",
    ),
    Case::unfit(&[(ISOLATED, "2\n")], "core 3 is not isolated"),
    Case::unfit(&[(ISOLATED, "\n")], "and no other is"),
    Case::unfit(
        &[
            (ISOLATED, "\n"),
            ("proc/self/cgroup", "0::/hotspur\n"),
            (
                "sys/fs/cgroup/hotspur/cpuset.cpus.partition",
                "isolated invalid (Cpu list in cpuset.cpus not exclusive)\n",
            ),
        ],
        "the partition is \"isolated invalid (Cpu list in cpuset.cpus not exclusive)\"",
    ),
    Case::fit(&[(ISOLATED, "\n")], "no fault for").given(|_, wish| wish.level = Level::Shared),
    Case::fit(&[(ISOLATED, "\n")], "no core is judged").given(|_, wish| wish.core = None),
    Case::unknown(&[], "isolated cannot be read"),
    Case::unknown(&[(ISOLATED, "none")], "not as expected: \"none\""),
];
