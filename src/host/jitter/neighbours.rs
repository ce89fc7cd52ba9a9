//! Who else ran on a core: threads of the whole machine, by the time that they were given.
//!
//! No event of the kernel is asked for, which would need rights. `/proc` says for each thread how
//! long it ran so far and on which core last; looked at several times a second, what was added is
//! put down to the core that it is on. So a thread that changes cores between two looks is counted
//! wholly at one of them, and one that begins and ends between two looks is not seen.
//!
//! The threads of this process are left out: those that look are on other cores.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use crate::limits::NEIGHBOURS_MAX;

/// The flag of a thread that belongs to the kernel.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Threads of one name in one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The process.
    pub pid: u32,
    /// The threads' name, cut at 15 bytes by the system.
    pub name: String,
    /// True if it is a thread of the kernel.
    pub is_kernel: bool,
    /// Nanoseconds that they ran on the core.
    pub ran_ns: u64,
}

/// What a thread's `stat` says that matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TaskStat {
    pub(super) name: String,
    pub(super) is_kernel: bool,
    pub(super) minor_faults: u64,
    pub(super) major_faults: u64,
    cpu_ticks: u64,
    core: usize,
}

impl TaskStat {
    /// The name stands in brackets and may itself hold any character.
    pub(super) fn parse(text: &str) -> Option<TaskStat> {
        let (before, after) = text.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let words: Vec<&str> = after.split_whitespace().collect();
        // The first word after the name is field 3.
        let number = |field: usize| words.get(field - 3)?.parse::<u64>().ok();
        Some(TaskStat {
            name: name.to_owned(),
            is_kernel: number(9)? & KERNEL_THREAD != 0,
            minor_faults: number(10)?,
            major_faults: number(12)?,
            cpu_ticks: number(14)? + number(15)?,
            core: usize::try_from(number(39)?).ok()?,
        })
    }
}

/// Looks at the machine's threads again and again.
#[derive(Debug)]
pub struct Neighbours {
    root: PathBuf,
    core: usize,
    /// This process.
    own: u32,
    /// How long each thread had run at the last look; none before the first.
    known: Option<HashMap<u32, u64>>,
    ran: Vec<Neighbour>,
}

impl Neighbours {
    /// Of that core, without those of process `own`. The first look follows.
    pub fn new(root: &Path, core: usize, own: u32) -> Neighbours {
        Neighbours { root: root.to_owned(), core, own, known: None, ran: Vec::new() }
    }

    /// Puts down what ran since the last look.
    pub fn look(&mut self) {
        let before = self.known.take();
        let mut now = HashMap::with_capacity(before.as_ref().map_or(0, HashMap::len));
        for process in numbered(&self.root.join("proc")) {
            if process.0 == self.own {
                continue;
            }
            for (thread, folder) in numbered(&process.1.join("task")) {
                let Some(ran_ns) = cpu_ns(&folder) else { continue };
                now.insert(thread, ran_ns);
                // A thread that was not there at the last look began since.
                let earlier = before.as_ref().map(|it| it.get(&thread).copied().unwrap_or(0));
                let more = ran_ns.saturating_sub(earlier.unwrap_or(ran_ns));
                if more > 0 {
                    self.put_down(process.0, &folder, more);
                }
            }
        }
        self.known = Some(now);
    }

    /// Who ran since this was asked last, those that ran longest first.
    pub fn take(&mut self) -> Vec<Neighbour> {
        std::mem::take(&mut self.ran)
    }

    fn put_down(&mut self, pid: u32, folder: &Path, ran_ns: u64) {
        let stat = read(&folder.join("stat")).and_then(|text| TaskStat::parse(&text));
        if let Some(stat) = stat.filter(|it| it.core == self.core) {
            let TaskStat { mut name, is_kernel, .. } = stat;
            if is_kernel && name.starts_with("kworker/") {
                // What it works on changes, and stands after its own name.
                name.truncate(name.find(['-', '+']).unwrap_or(name.len()));
            }
            merge(&mut self.ran, &[Neighbour { pid, name, is_kernel, ran_ns }]);
        }
    }
}

/// Adds some to others, the same ones together, those that ran longest first.
pub(super) fn merge(neighbours: &mut Vec<Neighbour>, others: &[Neighbour]) {
    for other in others {
        let same = |it: &&mut Neighbour| it.pid == other.pid && it.name == other.name;
        match neighbours.iter_mut().find(same) {
            Some(known) => known.ran_ns += other.ran_ns,
            None => neighbours.push(other.clone()),
        }
    }
    neighbours.sort_by_key(|it| std::cmp::Reverse(it.ran_ns));
    neighbours.truncate(NEIGHBOURS_MAX);
}

/// How long a thread ran: in nanoseconds, or in ticks where the kernel keeps only those.
fn cpu_ns(folder: &Path) -> Option<u64> {
    if let Some(text) = read(&folder.join("schedstat")) {
        return text.split(' ').next()?.parse().ok();
    }
    let stat = TaskStat::parse(&read(&folder.join("stat"))?)?;
    Some(stat.cpu_ticks * tick_ns())
}

/// Names need not be UTF-8.
fn read(path: &Path) -> Option<String> {
    fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Entries whose names are numbers.
fn numbered(folder: &Path) -> impl Iterator<Item = (u32, PathBuf)> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        Some((path.file_name()?.to_str()?.parse().ok()?, path))
    })
}

/// Nanoseconds of a tick in which the kernel tells times.
pub(super) fn tick_ns() -> u64 {
    // SAFETY: no pointers; it only says a number.
    let hertz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    1_000_000_000 / u64::try_from(hertz).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::cores::tests::tree;

    fn stat(name: &str, flags: u64, core: usize, ticks: u64) -> String {
        format!(
            "9 ({name}) R 1 9 9 0 -1 {flags} 11 0 12 0 {ticks} 0 0 0 20 0 1 0 5 0 0 0 0 0 0 0 0 \
             0 0 0 0 0 0 0 17 {core} 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        )
    }

    /// A machine's threads: process, thread, name, flags, core, nanoseconds run.
    fn write(root: &Path, threads: &[(u32, u32, &str, u64, usize, u64)]) {
        for (pid, thread, name, flags, core, ran) in threads {
            let folder = root.join(format!("proc/{pid}/task/{thread}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("stat"), stat(name, *flags, *core, 0)).unwrap();
            fs::write(folder.join("schedstat"), format!("{ran} 5 9\n")).unwrap();
        }
    }

    fn shown(neighbours: &[Neighbour]) -> Vec<(u32, &str, bool, u64)> {
        neighbours.iter().map(|it| (it.pid, it.name.as_str(), it.is_kernel, it.ran_ns)).collect()
    }

    #[test]
    fn a_name_may_hold_brackets_and_spaces() {
        let parsed = TaskStat::parse(&stat("a) R 1 (b", KERNEL_THREAD, 3, 8)).unwrap();
        assert_eq!((parsed.name.as_str(), parsed.core, parsed.cpu_ticks), ("a) R 1 (b", 3, 8));
        assert_eq!((parsed.minor_faults, parsed.major_faults, parsed.is_kernel), (11, 12, true));
        assert_eq!(TaskStat::parse("9 (short) R 1"), None);
        assert_eq!(TaskStat::parse(""), None);
    }

    #[test]
    fn those_that_ran_on_the_core_are_told_longest_first_and_processes_added_up() {
        let root = tree(&[("proc/version", "")]);
        let mut neighbours = Neighbours::new(root.path(), 1, 50);
        let before = [
            (20, 20, "stress", 0, 1, 1_000),
            (30, 30, "elsewhere", 0, 0, 1_000),
            (40, 40, "pool", 0, 1, 1_000),
            (40, 41, "pool", 0, 1, 1_000),
            (50, 50, "hotspur", 0, 1, 1_000),
            (60, 60, "idle", 0, 1, 77),
        ];
        write(root.path(), &before);
        neighbours.look();
        assert!(neighbours.take().is_empty(), "nothing is known of before the first look");
        let after = [
            (20, 20, "stress", 0, 1, 30_001_000),
            (30, 30, "elsewhere", 0, 0, 90_001_000),
            (40, 40, "pool", 0, 1, 2_000),
            (40, 41, "pool", 0, 1, 4_000),
            (50, 50, "hotspur", 0, 1, 90_001_000),
            (70, 70, "ksoftirqd/1", KERNEL_THREAD, 1, 500),
            (71, 71, "kworker/1:1H-kblockd", KERNEL_THREAD, 1, 300),
        ];
        write(root.path(), &after);
        neighbours.look();
        let expected = [
            (20, "stress", false, 30_000_000),
            (40, "pool", false, 4_000),
            (70, "ksoftirqd/1", true, 500),
            (71, "kworker/1:1H", true, 300),
        ];
        assert_eq!(shown(&neighbours.take()), expected);
        neighbours.look();
        assert!(neighbours.take().is_empty(), "none ran since");
    }

    #[test]
    fn without_schedstat_ticks_are_counted_and_a_thread_that_ended_is_forgotten() {
        let root = tree(&[
            ("proc/20/task/20/stat", &stat("old", 0, 0, 100)),
            ("proc/21/task/21/stat", &stat("ended", 0, 0, 7)),
        ]);
        let mut neighbours = Neighbours::new(root.path(), 0, 1);
        neighbours.look();
        fs::write(root.path().join("proc/20/task/20/stat"), stat("old", 0, 0, 103)).unwrap();
        fs::remove_dir_all(root.path().join("proc/21")).unwrap();
        neighbours.look();
        assert_eq!(shown(&neighbours.take()), [(20, "old", false, 3 * tick_ns())]);
    }

    #[test]
    fn merging_keeps_those_that_ran_longest() {
        let one = |pid, ran_ns| Neighbour { pid, name: "x".into(), is_kernel: false, ran_ns };
        let many: Vec<_> = (0..200).map(|pid| one(pid, u64::from(pid))).collect();
        let mut sum = vec![one(7, 1_000)];
        merge(&mut sum, &many);
        assert_eq!(sum.len(), NEIGHBOURS_MAX);
        assert_eq!((sum[0].pid, sum[0].ran_ns, sum[1].pid), (7, 1_007, 199));
    }
}
