//! The kernel's books about one core and one thread, read before and after a stretch of time.
//!
//! What cannot be read counts as zero: a container may hide some of it, and a measurement of how
//! long the core was gone is worth having all the same. Times that the kernel keeps in ticks
//! (steal) are as coarse as those, 10 ms as a rule.

use std::{fs, path::Path};

use crate::host::jitter::{
    interrupts::{self, Counts},
    neighbours::{self, Neighbour, TaskStat},
};

/// Since the machine or the thread began.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    interrupts: Counts,
    soft_interrupts: Counts,
    steal_ns: u64,
    throttled_ns: u64,
    waited_ns: u64,
    voluntary_switches: u64,
    involuntary_switches: u64,
    minor_faults: u64,
    major_faults: u64,
}

/// What happened on the core, and to the thread, in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happenings {
    /// Interrupts by line, those that came.
    pub interrupts: Counts,
    /// Soft interrupts by name, those that ran.
    pub soft_interrupts: Counts,
    /// Nanoseconds that the hypervisor ran somebody else instead of this core.
    pub steal_ns: u64,
    /// Nanoseconds that the control group had used up its CPU quota, on all cores together.
    pub throttled_ns: u64,
    /// Nanoseconds that the thread was ready to run and another one had the core.
    pub waited_ns: u64,
    /// Times that the thread gave the core up.
    pub voluntary_switches: u64,
    /// Times that the core was taken from it.
    pub involuntary_switches: u64,
    /// Its page faults without a disk.
    pub minor_faults: u64,
    /// Its page faults with one.
    pub major_faults: u64,
    /// Other threads that ran there, those that ran longest first.
    pub neighbours: Vec<Neighbour>,
}

impl Reading {
    /// Reads what `/proc` and `/sys` below `root` say of `core` and of this process's `thread`.
    pub fn read(root: &Path, core: usize, thread: u32) -> Reading {
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let task = format!("proc/self/task/{thread}");
        let status = read(&format!("{task}/status"));
        let stat = TaskStat::parse(&read(&format!("{task}/stat"))).unwrap_or_default();
        Reading {
            interrupts: interrupts::column(&read("proc/interrupts"), core),
            soft_interrupts: interrupts::column(&read("proc/softirqs"), core),
            steal_ns: steal_ticks(&read("proc/stat"), core) * neighbours::tick_ns(),
            throttled_ns: throttled_ns(root),
            waited_ns: word(&read(&format!("{task}/schedstat")), 1),
            voluntary_switches: field(&status, "voluntary_ctxt_switches:"),
            involuntary_switches: field(&status, "nonvoluntary_ctxt_switches:"),
            minor_faults: stat.minor_faults,
            major_faults: stat.major_faults,
        }
    }

    /// What came since an earlier reading; who ran meanwhile is told by `Neighbours`.
    pub fn since(&self, earlier: &Reading, neighbours: Vec<Neighbour>) -> Happenings {
        let more = |of: fn(&Reading) -> u64| of(self).saturating_sub(of(earlier));
        Happenings {
            interrupts: interrupts::since(&self.interrupts, &earlier.interrupts),
            soft_interrupts: interrupts::since(&self.soft_interrupts, &earlier.soft_interrupts),
            steal_ns: more(|it| it.steal_ns),
            throttled_ns: more(|it| it.throttled_ns),
            waited_ns: more(|it| it.waited_ns),
            voluntary_switches: more(|it| it.voluntary_switches),
            involuntary_switches: more(|it| it.involuntary_switches),
            minor_faults: more(|it| it.minor_faults),
            major_faults: more(|it| it.major_faults),
            neighbours,
        }
    }
}

impl Happenings {
    /// What happened in another stretch as well.
    pub fn add(&mut self, other: &Happenings) {
        let sum = |ours: &mut Counts, others: &Counts| {
            for (line, count) in others {
                *ours.entry(line.clone()).or_default() += count;
            }
        };
        sum(&mut self.interrupts, &other.interrupts);
        sum(&mut self.soft_interrupts, &other.soft_interrupts);
        self.steal_ns += other.steal_ns;
        self.throttled_ns += other.throttled_ns;
        self.waited_ns += other.waited_ns;
        self.voluntary_switches += other.voluntary_switches;
        self.involuntary_switches += other.involuntary_switches;
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
        neighbours::merge(&mut self.neighbours, &other.neighbours);
    }
}

/// The eighth figure of the core's line.
fn steal_ticks(stat: &str, core: usize) -> u64 {
    let name = format!("cpu{core}");
    let line = stat.lines().find(|line| line.split(' ').next() == Some(&name));
    line.map_or(0, |line| word(line, 8))
}

/// For how long the control groups of this process were throttled, the outer ones included: of
/// version 2, which counts microseconds, and of the first version, which counts nanoseconds.
fn throttled_ns(root: &Path) -> u64 {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mount = root.join("sys/fs/cgroup");
    let of_line = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(":/")?;
        let has_cpu = controllers.split(',').any(|it| it == "cpu");
        let (mount, name, unit_ns) = match has_cpu {
            true => (mount.join("cpu"), "throttled_time", 1),
            false if controllers.is_empty() => (mount.clone(), "throttled_usec", 1_000),
            false => return None,
        };
        let folder = mount.join(path);
        let within = folder.ancestors().take_while(|it| it.starts_with(&mount));
        let texts = within.filter_map(|it| fs::read_to_string(it.join("cpu.stat")).ok());
        Some(texts.map(|text| field(&text, name)).sum::<u64>() * unit_ns)
    };
    groups.lines().filter_map(of_line).sum()
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> u64 {
    let rest = text.lines().find_map(|line| line.strip_prefix(name));
    rest.map_or(0, |rest| word(rest, 0))
}

fn word(text: &str, index: usize) -> u64 {
    text.split_whitespace().nth(index).and_then(|it| it.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::cores::tests::tree;

    const STAT: &str = "7 (hot spur) R 1 7 7 0 -1 4194304 30 0 2 0 80 20 0 0 20 0 1 0 5 0 0 0 0 \
                        0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0";

    fn recorded(local: u64, steal: u64, waited: u64, faults: u64) -> tempfile::TempDir {
        tree(&[
            ("proc/interrupts", &format!(" CPU0 CPU1\nLOC: 5 {local} Local timer interrupts\n")),
            ("proc/softirqs", &format!(" CPU0 CPU1\nRCU: 5 {}\n", local / 2)),
            ("proc/stat", &format!("cpu 1 1 1 1 1 1 1 99\ncpu0 1\ncpu1 1 2 3 4 5 6 7 {steal} 0\n")),
            ("proc/self/task/7/schedstat", &format!("900 {waited} 4\n")),
            (
                "proc/self/task/7/status",
                &format!("voluntary_ctxt_switches:\t3\nnonvoluntary_ctxt_switches:\t{faults}\n"),
            ),
            ("proc/self/task/7/stat", &STAT.replace(" 30 ", &format!(" {faults} "))),
            ("proc/self/cgroup", "0::/a.slice/b.service\n"),
            ("sys/fs/cgroup/a.slice/b.service/cpu.stat", "nr_throttled 1\nthrottled_usec 5\n"),
            ("sys/fs/cgroup/a.slice/cpu.stat", &format!("throttled_usec {waited}\n")),
        ])
    }

    #[test]
    fn two_readings_say_what_happened_in_between() {
        let (before, after) = (recorded(100, 3, 1_000, 30), recorded(350, 5, 31_000, 34));
        let read = |root: &tempfile::TempDir| Reading::read(root.path(), 1, 7);
        let found = read(&after).since(&read(&before), Vec::new());
        let counts = |counts: &Counts| {
            counts.iter().map(|(line, count)| (line.label.clone(), *count)).collect::<Vec<_>>()
        };
        assert_eq!(counts(&found.interrupts), [("LOC".to_owned(), 250)]);
        assert_eq!(counts(&found.soft_interrupts), [("RCU".to_owned(), 125)]);
        assert_eq!(found.steal_ns, 2 * neighbours::tick_ns());
        assert_eq!(found.throttled_ns, 30_000_000);
        assert_eq!(found.waited_ns, 30_000);
        assert_eq!((found.minor_faults, found.major_faults), (4, 0));
        assert_eq!((found.voluntary_switches, found.involuntary_switches), (0, 4));
        let mut twice = found.clone();
        twice.add(&found);
        assert_eq!(counts(&twice.interrupts), [("LOC".to_owned(), 500)]);
        assert_eq!((twice.waited_ns, twice.involuntary_switches), (60_000, 8));
    }

    #[test]
    fn control_groups_of_the_first_version_are_throttled_too() {
        let root = tree(&[
            ("proc/self/cgroup", "3:cpuset:/\n1:cpuacct,cpu:/a/b\n0::/\n"),
            ("sys/fs/cgroup/cpu/a/b/cpu.stat", "nr_periods 9\nthrottled_time 700\n"),
            ("sys/fs/cgroup/cpu/a/cpu.stat", "throttled_time 50\n"),
            ("sys/fs/cgroup/cpuset/cpu.stat", "throttled_time 9000\n"),
        ]);
        assert_eq!(throttled_ns(root.path()), 750);
    }

    #[test]
    fn what_cannot_be_read_did_not_happen() {
        let nothing = tree(&[("proc/stat", "cpu1 1 2\ncpu11 1 2 3 4 5 6 7 8\n")]);
        let reading = Reading::read(nothing.path(), 1, 7);
        assert_eq!(reading.since(&Reading::default(), Vec::new()), Happenings::default());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_counts_interrupts_of_the_core_in_use() {
        let root = Path::new("/");
        let thread = crate::host::threads::current_id(root).unwrap();
        let core = crate::host::current_core().unwrap();
        // Pages that nobody has touched are faults.
        assert_eq!(std::hint::black_box(vec![1_u8; 16 << 20]).last(), Some(&1));
        let reading = Reading::read(root, core, thread);
        assert!(reading.interrupts.values().any(|count| *count > 0), "{reading:?}");
        assert!(reading.minor_faults > 0, "{reading:?}");
    }
}
