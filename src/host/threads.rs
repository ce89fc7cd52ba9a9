//! This process's threads: who they are and where they may run.
//!
//! Client libraries make threads of their own. Whether they kept off the hot core is not a matter
//! of faith: the list is read after the start, and an intruder is named.

use std::{fs, path::Path};

use crate::host::CpuList;

/// One thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadInfo {
    /// The system's number of it.
    pub id: u32,
    /// Its name, cut at 15 bytes by the system.
    pub name: String,
    /// Where it may run.
    pub cores: CpuList,
}

/// All threads of this process, by number, from `/proc` below `root`. Threads that end meanwhile
/// are left out; elsewhere than on Linux there are none to see.
pub fn threads(root: &Path) -> Vec<ThreadInfo> {
    let Ok(folder) = fs::read_dir(root.join("proc/self/task")) else { return Vec::new() };
    let mut threads: Vec<_> = folder.filter_map(|entry| thread(&entry.ok()?.path())).collect();
    threads.sort_by_key(|thread| thread.id);
    threads
}

fn thread(folder: &Path) -> Option<ThreadInfo> {
    let id = folder.file_name()?.to_str()?.parse().ok()?;
    let name = fs::read_to_string(folder.join("comm")).ok()?.trim_end().to_owned();
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    Some(ThreadInfo { id, name, cores: cores.parse().ok()? })
}

/// The system's number of the calling thread; `None` where there is none.
pub fn current_id(root: &Path) -> Option<u32> {
    let link = fs::read_link(root.join("proc/thread-self")).ok()?;
    link.file_name()?.to_str()?.parse().ok()
}

/// Threads other than the hot one that may run on its core.
pub fn intruders(threads: &[ThreadInfo], hot_thread: u32, hot_core: usize) -> Vec<&ThreadInfo> {
    let intrudes = |it: &&ThreadInfo| it.id != hot_thread && it.cores.contains(hot_core);
    threads.iter().filter(intrudes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::cores::tests::tree;

    #[test]
    fn threads_of_a_recorded_tree_are_read_and_intruders_named() {
        let root = tree(&[
            ("proc/self/task/100/comm", "hotspur\n"),
            ("proc/self/task/100/status", "Name:\thotspur\nCpus_allowed_list:\t3\n"),
            ("proc/self/task/102/comm", "rdk:broker1\n"),
            ("proc/self/task/102/status", "Cpus_allowed:\t7\nCpus_allowed_list:\t0-2\n"),
            ("proc/self/task/101/comm", "rdk:main\n"),
            ("proc/self/task/101/status", "Cpus_allowed_list:\t0-3\n"),
            ("proc/self/task/103/comm", "ended\n"),
        ]);
        let threads = threads(root.path());
        let ids: Vec<_> = threads.iter().map(|thread| thread.id).collect();
        assert_eq!(ids, [100, 101, 102]);
        let names: Vec<_> =
            intruders(&threads, 100, 3).into_iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["rdk:main"]);
        assert!(intruders(&threads, 100, 9).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_thread_is_among_the_threads() {
        let root = Path::new("/");
        let work = || {
            let id = current_id(root).unwrap();
            threads(root).into_iter().find(|thread| thread.id == id).unwrap()
        };
        let builder = std::thread::Builder::new().name("a-known-name".to_owned());
        let found = builder.spawn(work).unwrap().join().unwrap();
        assert_eq!(found.name, "a-known-name");
        assert!(!found.cores.is_empty());
    }
}
