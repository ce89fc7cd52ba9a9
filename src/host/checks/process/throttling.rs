//! How often the process was stopped because its control group had used up its time.

#[cfg(test)]
use super::recorded::COMM;
use super::{Check, Finding, Host, Told, Wish, asked, reading};
use crate::host::checks::Mend;
#[cfg(test)]
use crate::host::checks::cases::Case;

pub(in super::super) const CHECK: Check = Check {
    name: "throttling",
    cost: "each time all threads of the process stop for 10-100 ms",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

fn run(host: &Host, wish: &Wish) -> Told {
    let (pid, _) = asked(host, wish)?;
    let groups = host.groups(&pid.to_string(), "cpu")?;
    let stats = groups.folders.iter().filter_map(|folder| {
        let path = format!("{folder}/cpu.stat");
        let text = host.optional(&path)?;
        let count = reading::field(&text, "nr_throttled ")?.parse::<u64>().ok()?;
        Some((count, path))
    });
    let Some((count, path)) = stats.max() else {
        return Ok(Finding::unknown(format!("no cpu.stat of the groups of process {pid} tells")));
    };
    let found = format!("stopped {count} times so far (/{path})");
    Ok(Finding::judge(count > 0, true, found, || {
        Mend::new(
            format!("systemctl set-property --runtime UNIT CPUQuota=  # of process {pid}'s group"),
            "no; without --runtime it lasts (a container: no --cpus; a pod: no CPU limit, or whole \
             CPUs with the static policy)",
        )
    }))
}

#[cfg(test)]
const GROUP: (&str, &str) = ("proc/100/cgroup", "0::/a\n");

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[COMM, GROUP, ("sys/fs/cgroup/a/cpu.stat", "nr_periods 5\nnr_throttled 0\n")],
        "stopped 0 times so far",
    ),
    Case::unfit(
        &[COMM, GROUP, ("sys/fs/cgroup/a/cpu.stat", "nr_periods 5\nnr_throttled 3\n")],
        "stopped 3 times so far (/sys/fs/cgroup/a/cpu.stat)",
    ),
    Case::unknown(&[COMM, GROUP, ("sys/fs/cgroup/a/cpu.stat", "usage_usec 5\n")], "tells"),
    Case::unknown(&[COMM], "/proc/100/cgroup cannot be read"),
];
