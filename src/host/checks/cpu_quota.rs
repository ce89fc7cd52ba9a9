//! A quota of CPU time for the control group, and how often it was used up.

use super::{Check, Finding, Host, Mend, Told, Wish, proc_files::Groups, reading};
#[cfg(test)]
use super::{Level, cases::Case};

pub(super) const CHECK: Check = Check {
    name: "cpu_quota",
    cost: "when the quota is used up all threads stop for the rest of the period: 10-100 ms, and a \
           thread that spins uses up a quota of one core by itself",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

fn run(host: &Host, wish: &Wish) -> Told {
    let groups = host.groups("self", "cpu")?;
    let quota = groups.folders.iter().find_map(|folder| quota(host, folder, groups.unified));
    let throttled = throttled(host, &groups);
    if throttled.is_none() && quota.is_none() && !tells(host, &groups) {
        let folder = groups.folders.first().map_or("sys/fs/cgroup", String::as_str);
        return Ok(Finding::unknown(format!(
            "neither a quota nor cpu.stat can be read in /{folder}"
        )));
    }
    let before = throttled.unwrap_or(0);
    let found = match &quota {
        Some((folder, cores)) => {
            format!("a quota of {cores:.2} cores (/{folder}), used up {before} times so far")
        }
        None => "no quota of CPU time".to_owned(),
    };
    let matters = wish.low() || before > 0;
    Ok(Finding::judge(quota.is_some(), matters, found, || {
        let folder = quota.map(|it| it.0).unwrap_or_default();
        let how = match groups.unified {
            true => format!("echo max > /{folder}/cpu.max"),
            false => format!("echo -1 > /{folder}/cpu.cfs_quota_us"),
        };
        Mend::new(
            how,
            "no; to keep it: CPUQuota= out of the service, no --cpus for the container, no CPU \
             limit for the pod or whole CPUs with the static policy",
        )
    }))
}

/// The group's quota, in cores.
fn quota(host: &Host, folder: &str, unified: bool) -> Option<(String, f64)> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|it| *it > 0.0);
    let (quota, period) = if unified {
        let text = host.optional(&format!("{folder}/cpu.max"))?;
        let (quota, period) = text.split_once(' ')?;
        (number(quota)?, number(period)?)
    } else {
        let [quota, period] = ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
            .map(|name| number(&host.optional(&format!("{folder}/{name}"))?));
        (quota?, period?)
    };
    Some((folder.to_owned(), quota / period))
}

/// How often the group, or one above it, was stopped; `None`: no group tells.
fn throttled(host: &Host, groups: &Groups) -> Option<u64> {
    let told = groups.folders.iter().filter_map(|folder| {
        let text = host.optional(&format!("{folder}/cpu.stat"))?;
        reading::field(&text, "nr_throttled ")?.parse::<u64>().ok()
    });
    told.max()
}

/// Whether there is at least a file that would tell: the topmost group has none of its own.
fn tells(host: &Host, groups: &Groups) -> bool {
    let is_there =
        |name: &str| groups.folders.iter().any(|it| host.exists(&format!("{it}/{name}")));
    ["cpu.stat", "cpu.max"].into_iter().any(is_there)
}

#[cfg(test)]
const OLD: (&str, &str) = ("proc/self/cgroup", "2:cpu,cpuacct:/a\n");
#[cfg(test)]
const NEW: (&str, &str) = ("proc/self/cgroup", "0::/a/b\n");

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[NEW, ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n")], "no quota"),
    Case::unfit(
        &[
            NEW,
            ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/a/cpu.stat", "nr_periods 9\nnr_throttled 7\n"),
        ],
        "a quota of 1.50 cores (/sys/fs/cgroup/a), used up 7 times",
    ),
    Case::unfit(
        &[
            OLD,
            ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
        ],
        "a quota of 0.50 cores",
    ),
    Case::fit(&[NEW, ("sys/fs/cgroup/a/b/cpu.max", "400000 100000\n")], "no fault for")
        .given(|_, wish| wish.level = Level::Relaxed),
    Case::unknown(&[], "/proc/self/cgroup cannot be read"),
    Case::unknown(&[NEW], "neither a quota nor cpu.stat"),
];
