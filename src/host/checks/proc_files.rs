//! Files of `/proc` and of control groups that several checks read: processes, their threads, the
//! cores' times, and the groups that this process is in.

use super::{Finding, Host};

/// One thread, from its `stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TaskStat {
    pub(super) name: String,
    /// `R`: runs or wants to.
    pub(super) state: char,
    pub(super) minor_faults: u64,
    pub(super) major_faults: u64,
    /// When it began, in hundredths of a second since the machine did.
    pub(super) began: u64,
    /// The core it is on, or was on last.
    pub(super) core: usize,
}

impl TaskStat {
    /// The name stands in parentheses and may hold any character.
    pub(super) fn parse(text: &str) -> Option<TaskStat> {
        let (start, end) = (text.find('(')?, text.rfind(')')?);
        let fields: Vec<&str> = text.get(end + 1..)?.split_whitespace().collect();
        // The third field of the line is the first one here.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(TaskStat {
            name: text.get(start + 1..end)?.to_owned(),
            state: fields.first()?.chars().next()?,
            minor_faults: number(10)?,
            major_faults: number(12)?,
            began: number(22)?,
            core: usize::try_from(number(39)?).ok()?,
        })
    }
}

/// What a core did, in ticks of the system's accounting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CoreTime {
    pub(super) busy: u64,
    pub(super) stolen: u64,
    pub(super) all: u64,
}

impl CoreTime {
    /// Of one core in `/proc/stat`, or of all together.
    pub(super) fn parse(text: &str, core: Option<usize>) -> Option<CoreTime> {
        let name = core.map_or("cpu".to_owned(), |core| format!("cpu{core}"));
        let line = text.lines().find(|line| line.split(' ').next() == Some(&name))?;
        let numbers: Vec<u64> =
            line.split_whitespace().skip(1).map(|it| it.parse().ok()).collect::<Option<_>>()?;
        let [user, nice, system, idle, waiting, hard, soft, stolen, ..] = *numbers.as_slice()
        else {
            return None;
        };
        let sum = |parts: &[u64]| parts.iter().fold(0_u64, |sum, it| sum.saturating_add(*it));
        let busy = sum(&[user, nice, system, hard, soft]);
        Some(CoreTime { busy, stolen, all: sum(&[busy, idle, waiting, stolen]) })
    }

    fn since(self, earlier: CoreTime) -> CoreTime {
        CoreTime {
            busy: self.busy.saturating_sub(earlier.busy),
            stolen: self.stolen.saturating_sub(earlier.stolen),
            all: self.all.saturating_sub(earlier.all),
        }
    }

    /// Per cent of the time.
    pub(super) fn per_cent(self, part: u64) -> f64 {
        part as f64 * 100.0 / self.all.max(1) as f64
    }
}

pub(super) const STAT: &str = "proc/stat";

impl Host {
    /// What a core did since the host was looked at first.
    pub(super) fn core_time(&self, core: usize) -> Result<CoreTime, Finding> {
        let missing = || Finding::unknown(format!("/{STAT} does not list core {core}"));
        let now = CoreTime::parse(&self.text(STAT)?, Some(core)).ok_or_else(missing)?;
        let before = CoreTime::parse(self.earlier(STAT)?, Some(core)).ok_or_else(missing)?;
        Ok(now.since(before))
    }

    /// Numbers of all processes.
    pub(super) fn processes(&self) -> Result<Vec<u32>, Finding> {
        let names = self.names("proc")?;
        let numbers: Vec<u32> = names.iter().filter_map(|it| it.parse().ok()).collect();
        match numbers.is_empty() {
            true => Err(Finding::unknown("/proc lists no processes")),
            false => Ok(numbers),
        }
    }

    /// Numbers of a process's threads.
    pub(super) fn tasks(&self, process: u32) -> Vec<u32> {
        let names = self.names(&format!("proc/{process}/task")).unwrap_or_default();
        names.iter().filter_map(|it| it.parse().ok()).collect()
    }

    /// The process of that name, if one runs.
    pub(super) fn process_named(&self, name: &str) -> Result<Option<u32>, Finding> {
        let is_it = |it: &u32| self.optional(&format!("proc/{it}/comm")).as_deref() == Some(name);
        Ok(self.processes()?.into_iter().find(is_it))
    }

    /// Folders of the control groups that a process is in and that count for this controller, the
    /// innermost first, and whether they are of version 2.
    pub(super) fn groups(&self, pid: &str, controller: &str) -> Result<Groups, Finding> {
        let path = format!("proc/{pid}/cgroup");
        let text = self.text(&path)?;
        let mut lines = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let old = lines.clone().find(|(names, _)| names.split(',').any(|it| it == controller));
        if let Some((names, group)) = old {
            let mounts = [names, controller].map(|it| format!("sys/fs/cgroup/{it}"));
            let mount = mounts.iter().find(|it| self.exists(it)).unwrap_or(&mounts[0]);
            return Ok(Groups { folders: self.upwards(mount, group), unified: false });
        }
        let new = lines.find(|(names, _)| names.is_empty());
        let Some((_, group)) = new else {
            return Err(Finding::unknown(format!("/{path} names no group for {controller}")));
        };
        // Beside groups of version 1 it has a folder of its own.
        let beside = "sys/fs/cgroup/unified";
        let mount = if self.exists(beside) { beside } else { "sys/fs/cgroup" };
        Ok(Groups { folders: self.upwards(mount, group), unified: true })
    }

    /// A group's folder and all above it, as far as they are there.
    fn upwards(&self, mount: &str, group: &str) -> Vec<String> {
        let mut folders = Vec::new();
        let mut rest = group.trim_matches('/');
        while !rest.is_empty() {
            folders.push(format!("{mount}/{rest}"));
            rest = rest.rsplit_once('/').map_or("", |(above, _)| above);
        }
        folders.push(mount.to_owned());
        folders.retain(|folder| !folder.contains("..") && self.exists(folder));
        folders
    }
}

/// Control groups.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Groups {
    pub(super) folders: Vec<String>,
    pub(super) unified: bool,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::host::{Cores, cores::tests::tree};

    #[test]
    fn a_threads_line_is_read_though_its_name_is_odd() {
        let line = "12 (a ) (b) R 1 2 3 4 5 6 70 8 90 10 1 2 3 4 20 0 1 0 5 6 7 8 9 10 11 12 13 14 \
                    15 16 17 18 19 20 17 3 0 0 0";
        let stat = TaskStat::parse(line).unwrap();
        assert_eq!((stat.name.as_str(), stat.state, stat.core), ("a ) (b", 'R', 3));
        assert_eq!((stat.minor_faults, stat.major_faults, stat.began), (70, 90, 5));
        assert_eq!(TaskStat::parse("12 ) R ("), None);
        assert_eq!(TaskStat::parse("12 (short) R 1"), None);
    }

    #[test]
    fn a_cores_time_is_told_from_that_of_another_with_more_digits() {
        let text = "cpu  1 1 1 1 1 1 1 1 0 0\ncpu11 9 9 9 9 9 9 9 9 0 0\ncpu1 1 2 3 4 5 6 7 8 0 0";
        let time = CoreTime::parse(text, Some(1)).unwrap();
        assert_eq!(time, CoreTime { busy: 19, stolen: 8, all: 36 });
        assert_eq!(CoreTime::parse(text, None).unwrap().all, 8);
        assert_eq!(CoreTime::parse("cpu1 x", Some(1)), None);
    }

    #[test]
    fn groups_of_both_versions_are_found_from_the_innermost_up() {
        let root = tree(&[
            ("proc/self/cgroup", "4:cpu,cpuacct:/a/b\n0::/s/t\n"),
            ("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.stat", ""),
            ("sys/fs/cgroup/s/cpu.max", ""),
        ]);
        let host = Host::new(root.path(), Cores::default());
        let old = host.groups("self", "cpu").unwrap();
        let mount = "sys/fs/cgroup/cpu,cpuacct";
        let expected = [format!("{mount}/a/b"), format!("{mount}/a"), mount.to_owned()];
        assert_eq!((old.folders.as_slice(), old.unified), (expected.as_slice(), false));
        let new = host.groups("self", "memory").unwrap();
        assert_eq!(
            (new.folders, new.unified),
            (vec!["sys/fs/cgroup/s".into(), "sys/fs/cgroup".into()], true)
        );
    }
}
