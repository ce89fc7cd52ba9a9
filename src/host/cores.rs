//! Which cores there are, which are kept free by the kernel, and which this process may use.
//!
//! Three things bound a process: the cores that are online, the cpuset of its control group (a hard
//! bound: the system refuses to go beyond it), and its affinity mask (a soft one: isolated cores
//! are never in the mask that a process starts with, and a thread may still ask for them).

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::host::{CpuList, affinity};

/// What is known about this machine's cores. A file that is missing or odd is an empty set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cores {
    /// Running now.
    pub online: CpuList,
    /// Kept out of the scheduler's balancing (`isolcpus=`, isolated cpuset partitions).
    pub isolated: CpuList,
    /// Without the scheduler's tick while one thread runs (`nohz_full=`).
    pub tickless: CpuList,
    /// The control group's bound, if it has one.
    pub cpuset: Option<CpuList>,
    /// The affinity mask of the calling thread.
    pub allowed: CpuList,
}

impl Cores {
    /// Reads `/sys` and `/proc` below `root`, and the calling thread's own mask.
    pub fn read(root: &Path) -> Cores {
        let system = root.join("sys/devices/system/cpu");
        let allowed = affinity::current().unwrap_or_default();
        let online = list(&system.join("online")).unwrap_or_else(|| allowed.clone());
        Cores {
            isolated: list(&system.join("isolated")).unwrap_or_default().or(&partitioned(root)),
            tickless: list(&system.join("nohz_full")).unwrap_or_default(),
            cpuset: cpuset(root),
            online,
            allowed,
        }
    }

    /// Cores that a thread of this process can be moved to, whether in its mask or not.
    pub fn reachable(&self) -> CpuList {
        match &self.cpuset {
            Some(cpuset) => self.online.and(cpuset),
            None => self.online.clone(),
        }
    }
}

fn list(path: &Path) -> Option<CpuList> {
    fs::read_to_string(path).ok()?.parse().ok()
}

/// Cores of isolated partitions, which `isolated` below `/sys` does not count on every kernel: all
/// that there are, as Linux 6.7 and later say at the top, and those of this process's own group.
fn partitioned(root: &Path) -> CpuList {
    let mount = root.join("sys/fs/cgroup");
    let all = list(&mount.join("cpuset.cpus.isolated")).unwrap_or_default();
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).map(|it| mount.join(it));
    let own = own.filter(|group| {
        let state = fs::read_to_string(group.join("cpuset.cpus.partition")).unwrap_or_default();
        state.trim() == "isolated"
    });
    all.or(&own.and_then(|group| list(&group.join("cpuset.cpus.effective"))).unwrap_or_default())
}

/// The innermost control group that says which cores are effective, of version 2, else of the
/// first version. Inside a container the path in `/proc` may be the one outside: then the mount's
/// own top counts.
fn cpuset(root: &Path) -> Option<CpuList> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mount = root.join("sys/fs/cgroup");
    let paths = groups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_once(':')
    });
    let (mut unified, mut legacy) = (None, None);
    for (controllers, path) in paths {
        if controllers.is_empty() {
            unified = innermost(&mount, path, "cpuset.cpus.effective");
        } else if controllers.split(',').any(|it| it == "cpuset") {
            legacy = innermost(&mount.join("cpuset"), path, "cpuset.effective_cpus");
        }
    }
    unified.or(legacy)
}

fn innermost(mount: &Path, path: &str, file: &str) -> Option<CpuList> {
    let folder: PathBuf = mount.join(path.trim_start_matches('/'));
    folder
        .ancestors()
        .take_while(|it| it.starts_with(mount))
        .filter_map(|it| list(&it.join(file)))
        .find(|cores| !cores.is_empty())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A recorded tree: files by path below the root.
    pub(crate) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_tuned_server_is_read() {
        let root = tree(&[
            ("sys/devices/system/cpu/online", "0-7\n"),
            ("sys/devices/system/cpu/isolated", "4-7\n"),
            ("sys/devices/system/cpu/nohz_full", "6-7\n"),
            ("proc/self/cgroup", "0::/system.slice/hotspur.service\n"),
            ("sys/fs/cgroup/system.slice/hotspur.service/cpuset.cpus.effective", "0-5\n"),
            ("sys/fs/cgroup/cpuset.cpus.effective", "0-7\n"),
        ]);
        let cores = Cores::read(root.path());
        assert_eq!(cores.isolated.to_string(), "4-7");
        assert_eq!(cores.tickless.to_string(), "6-7");
        assert_eq!(cores.reachable().to_string(), "0-5");
    }

    #[test]
    fn a_partition_that_was_made_at_run_time_is_isolated() {
        let inside = [
            ("sys/devices/system/cpu/online", "0-3\n"),
            ("sys/devices/system/cpu/isolated", "\n"),
            ("proc/self/cgroup", "0::/hotspur\n"),
            ("sys/fs/cgroup/hotspur/cpuset.cpus.effective", "2-3\n"),
            ("sys/fs/cgroup/hotspur/cpuset.cpus.partition", "isolated\n"),
        ];
        let cores = Cores::read(tree(&inside).path());
        assert_eq!((cores.isolated.to_string().as_str(), cores.reachable().len()), ("2-3", 2));
        let mut invalid = inside;
        invalid[4].1 = "isolated invalid (Cpu list in cpuset.cpus not exclusive)\n";
        assert!(Cores::read(tree(&invalid).path()).isolated.is_empty());
        let outside = [
            ("sys/devices/system/cpu/isolated", "1\n"),
            ("proc/self/cgroup", "0::/user.slice\n"),
            ("sys/fs/cgroup/cpuset.cpus.isolated", "2-3\n"),
        ];
        assert_eq!(Cores::read(tree(&outside).path()).isolated.to_string(), "1-3");
    }

    #[test]
    fn a_container_whose_group_path_is_not_there_takes_the_mounts_top() {
        let root = tree(&[
            ("sys/devices/system/cpu/online", "0-63\n"),
            ("proc/self/cgroup", "0::/../../docker/abc\n"),
            ("sys/fs/cgroup/cpuset.cpus.effective", "8-9\n"),
        ]);
        assert_eq!(Cores::read(root.path()).reachable().to_string(), "8-9");
    }

    #[test]
    fn control_groups_of_version_1_bound_too() {
        let root = tree(&[
            ("sys/devices/system/cpu/online", "0-3\n"),
            ("proc/self/cgroup", "4:memory:/a\n3:cpuset,cpu:/a/b\n0::/\n"),
            ("sys/fs/cgroup/cpuset/a/cpuset.effective_cpus", "2\n"),
        ]);
        assert_eq!(Cores::read(root.path()).cpuset, Some("2".parse().unwrap()));
    }

    #[test]
    fn where_nothing_can_be_read_the_mask_is_all_there_is() {
        let root = tree(&[("sys/devices/system/cpu/isolated", "nonsense")]);
        let cores = Cores::read(root.path());
        assert_eq!(cores.online, cores.allowed);
        assert!(cores.isolated.is_empty() && cores.cpuset.is_none());
    }
}
