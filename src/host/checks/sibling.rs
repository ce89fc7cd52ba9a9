//! The other hyperthread of the same physical core, which shares its caches and units.

use crate::host::CpuList;

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish, proc_files::STAT};

pub(super) const CHECK: Check = Check {
    name: "sibling",
    cost: "a busy sibling takes 20-50 % of the speed and empties the nearest caches: every record \
           is 1.2 to 2 times slower while it works",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const BUSY_PER_CENT_MAX: f64 = 10.0;

fn run(host: &Host, wish: &Wish) -> Told {
    let core = wish.core()?;
    let path = format!("sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    let own: CpuList = [core].into_iter().collect();
    let siblings = host.list(&path)?.without(&own);
    if siblings.is_empty() {
        return Ok(alone(host, &path, core));
    }
    let open = siblings.without(&host.cores.isolated);
    let busy = busy(host, &siblings);
    let is_busy = busy.is_some_and(|it| it > BUSY_PER_CENT_MAX);
    let who = if open.is_empty() { "isolated, too" } else { "open to all threads" };
    let how = busy.map(|it| format!(", busy {it:.0} % of the time")).unwrap_or_default();
    let found =
        format!("core {core} shares its physical core with {siblings}, {who}{how} (/{path})");
    Ok(Finding::judge(!open.is_empty() || is_busy, wish.own(), found, || {
        let commands: Vec<String> = siblings
            .iter()
            .map(|it| format!("echo 0 > /sys/devices/system/cpu/cpu{it}/online"))
            .collect();
        Mend::new(
            commands.join("; "),
            "no; to keep it: the kernel parameter nosmt, or the sibling in isolcpus=, too, and \
             idle",
        )
    }))
}

fn alone(host: &Host, path: &str, core: usize) -> Finding {
    match host.is_virtual() {
        Some(true) => Finding::unknown(format!(
            "/{path} names no sibling of core {core}, but in a virtual machine only the host knows"
        )),
        _ => Finding::fit(format!("core {core} is alone on its physical core (/{path})")),
    }
}

/// How busy the busiest was, in per cent.
fn busy(host: &Host, siblings: &CpuList) -> Option<f64> {
    host.earlier.get(STAT)?;
    let times = siblings.iter().filter_map(|core| host.core_time(core).ok());
    times.map(|time| time.per_cent(time.busy)).reduce(f64::max)
}

#[cfg(test)]
const SIBLINGS: &str = "sys/devices/system/cpu/cpu3/topology/thread_siblings_list";

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(SIBLINGS, "3\n"), ("proc/cpuinfo", "flags : fpu\n")], "core 3 is alone"),
    Case::fit(
        &[(SIBLINGS, "2-3\n"), ("sys/devices/system/cpu/isolated", "2-3\n")],
        "shares its physical core with 2, isolated, too",
    ),
    Case::unfit(&[(SIBLINGS, "1,3\n")], "with 1, open to all threads"),
    Case::unfit(
        &[
            (SIBLINGS, "2-3\n"),
            ("sys/devices/system/cpu/isolated", "2-3\n"),
            (STAT, "cpu2 90 0 0 10 0 0 0 0 0 0\n"),
        ],
        "isolated, too, busy 90 % of the time",
    )
    .given(|host, _| _ = host.earlier.insert(STAT.to_owned(), "cpu2 0 0 0 0 0 0 0 0".to_owned())),
    Case::unknown(&[(SIBLINGS, "3\n"), ("proc/cpuinfo", "flags : hypervisor\n")], "only the host"),
    Case::unknown(&[], "thread_siblings_list cannot be read"),
];
