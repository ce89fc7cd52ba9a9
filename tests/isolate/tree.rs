//! A folder that stands for `/`, as a machine of four cores shows itself; and what acts on it.
//!
//! Files take what is written to them. What the kernel does by itself when a cgroup is made or
//! removed, when a thread gets a mask, or when a service starts again, four small programs do.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::command::Answer;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/isolate");

/// Path to text, as recorded on such a machine; fewer interrupts and threads.
const FILES: [(&str, &str); 22] = [
    ("proc/cmdline", "root=/dev/vda1 quiet\n"),
    ("proc/mounts", "none /sys sysfs rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"),
    ("proc/irq/default_smp_affinity", "f\n"),
    ("proc/irq/0/smp_affinity_list", "0-3\n"),
    ("proc/irq/24/smp_affinity_list", "0-3\n"),
    ("proc/irq/24/eth0-rx-0/empty", ""),
    ("proc/irq/25/smp_affinity_list", "2-3\n"),
    ("proc/irq/26/smp_affinity_list", "0\n"),
    ("proc/sys/kernel/watchdog_cpumask", "0-3\n"),
    ("proc/sys/vm/stat_interval", "1\n"),
    ("sys/devices/system/cpu/online", "0-3\n"),
    ("sys/devices/system/cpu/isolated", "\n"),
    ("sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "2\n"),
    ("sys/devices/system/cpu/cpu3/topology/thread_siblings_list", "3\n"),
    ("sys/devices/virtual/workqueue/cpumask", "f\n"),
    ("sys/devices/virtual/workqueue/writeback/cpumask", "f\n"),
    ("sys/class/net/eth0/queues/rx-0/rps_cpus", "c\n"),
    ("sys/class/net/lo/queues/rx-0/rps_cpus", "0\n"),
    ("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n"),
    ("sys/fs/cgroup/cgroup.subtree_control", "cpuset cpu memory pids\n"),
    ("sys/fs/cgroup/cgroup.procs", "1\n"),
    ("run/keep", ""),
];

/// Number, name, flags and mask of the threads.
const THREADS: [(u32, &str, u32, &str); 4] = [
    (2, "kthreadd", 0x0020_8040, "0-3"),
    (14, "ksoftirqd/2", 0x0420_8040, "2"),
    (52, "a (name) of) its own", 0x0020_8040, "0,2-3"),
    (900, "postgres", 0x0040_0000, "1-3"),
];

/// What stands in for the kernel and for systemd; each finds the folder in `HOTSPUR_ROOT`.
const PROGRAMS: [(&str, &str); 4] = [
    (
        "taskset",
        r#"sed -i "s/^\(Cpus_allowed_list:\t\).*/\1$3/" "$HOTSPUR_ROOT/proc/$4/task/$4/status""#,
    ),
    (
        "mkdir",
        r#"/bin/mkdir "$@" || exit
case "${@: -1}" in
  */sys/fs/cgroup/*)
    cd "${@: -1}" && : >cpuset.cpus && : >cgroup.procs && echo member >cpuset.cpus.partition ;;
esac"#,
    ),
    (
        "rmdir",
        r#"case "$1" in
  */sys/fs/cgroup/*) exec rm -r "$1" ;;
esac
exec /bin/rmdir "$@""#,
    ),
    ("systemctl", r#"echo "$@" >>"${0%/*}/log""#),
];

/// The folder; gone when dropped.
pub(crate) struct Tree {
    folder: TempDir,
}

impl Tree {
    /// As recorded.
    pub(crate) fn new() -> Tree {
        let folder = tempfile::tempdir().expect("a folder");
        let tree = Tree { folder };
        FILES.iter().for_each(|(path, text)| tree.write(path, text));
        for (number, name, flags, mask) in THREADS {
            let task = format!("proc/{number}/task/{number}");
            let zeros = "0 ".repeat(12);
            let stat = format!("{number} ({name}) S 2 0 0 0 -1 {flags} {zeros}41 0 0\n");
            tree.write(&format!("{task}/stat"), &stat);
            let status = format!("Name:\t{name}\nCpus_allowed:\tf\nCpus_allowed_list:\t{mask}\n");
            tree.write(&format!("{task}/status"), &status);
            tree.write(&format!("proc/{number}/comm"), &format!("{name}\n"));
        }
        for (name, text) in PROGRAMS {
            let path = tree.path(&format!("../{}/{name}", tree.bin_name()));
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder of programs");
            fs::write(&path, format!("#!/bin/bash\n{text}\n")).expect("a program");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("rights");
        }
        tree
    }

    fn bin_name(&self) -> String {
        let name = self.folder.path().file_name().expect("a name").to_string_lossy();
        format!("{name}.bin")
    }

    fn bin(&self) -> PathBuf {
        self.folder.path().with_file_name(self.bin_name())
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the file");
        fs::write(path, text).expect("a file that can be written");
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// What systemd was asked, a line a time.
    pub(crate) fn service_log(&self) -> String {
        fs::read_to_string(self.bin().join("log")).unwrap_or_default()
    }

    /// Everything in it: files with their bytes, folders without.
    pub(crate) fn state(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut state = BTreeMap::new();
        collect(self.folder.path(), &mut state);
        state
    }

    /// Runs the script.
    pub(crate) fn isolate(&self, words: &[&str]) -> Answer {
        self.isolate_until(0, words)
    }

    /// Runs the script, which ends itself, as if killed, after so many steps; 0 for not at all.
    pub(crate) fn isolate_until(&self, step: u32, words: &[&str]) -> Answer {
        let path = env::var("PATH").expect("a path for programs");
        Answer::of(
            Command::new(SCRIPT)
                .args(words)
                .env("HOTSPUR_ROOT", self.folder.path())
                .env("HOTSPUR_ISOLATE_STOP_AFTER", step.to_string())
                .env("PATH", format!("{}:{path}", self.bin().display())),
        )
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // It may be gone.
        let _ = fs::remove_dir_all(self.bin());
    }
}

fn collect(folder: &Path, state: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder that can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            state.insert(path.clone(), Vec::new());
            collect(&path, state);
        } else {
            state.insert(path.clone(), fs::read(&path).expect("a file that can be read"));
        }
    }
}
