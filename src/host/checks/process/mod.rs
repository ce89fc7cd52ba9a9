//! Checks of a running Hotspur: whether its hot thread is left alone, now and so far.

use super::{Check, Finding, Host, Told, Wish, proc_files, reading};

mod client_threads;
mod hot_thread;
mod memory_locked;
mod migrations;
mod page_faults;
mod switches;
mod throttling;

/// All checks of a process, in the order in which they are told.
pub const CHECKS: &[Check] = &[
    hot_thread::CHECK,
    client_threads::CHECK,
    migrations::CHECK,
    switches::CHECK,
    page_faults::CHECK,
    throttling::CHECK,
    memory_locked::CHECK,
];

/// As the engine names it.
const HOT_THREAD: &str = "hotspur-hot";

/// A process's hot thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotThread {
    /// Its folder below the root.
    folder: String,
}

impl HotThread {
    /// The one core that it may run on; `None`: there are several.
    pub fn pinned_to(&self, host: &Host) -> Option<usize> {
        let cores = allowed(host, &self.folder).ok()?;
        cores.iter().next().filter(|_| cores.len() == 1)
    }
}

/// A process's hot thread; `None`: it has none, and is no running Hotspur.
pub fn hot_thread(host: &Host, pid: u32) -> Option<HotThread> {
    let is_hot = |task: &u32| name(host, pid, *task).as_deref() == Some(HOT_THREAD);
    let task = host.tasks(pid).into_iter().find(is_hot)?;
    Some(HotThread { folder: format!("proc/{pid}/task/{task}") })
}

/// Files that are compared with what they are later: remember them before anything is measured.
pub(super) fn watched(host: &Host, pid: u32) -> Vec<String> {
    let files = hot_thread(host, pid)
        .into_iter()
        .flat_map(|hot| ["stat", "status", "sched"].map(|file| format!("{}/{file}", hot.folder)));
    files.collect()
}

/// The process that is asked about, and its hot thread's folder.
fn asked(host: &Host, wish: &Wish) -> Result<(u32, String), Finding> {
    let pid = wish.pid.ok_or_else(|| Finding::unknown("no process was asked about"))?;
    let hot = hot_thread(host, pid);
    let hot = hot.ok_or_else(|| {
        Finding::unknown(format!(
            "no thread of process {pid} is named {HOT_THREAD} (/proc/{pid}/task)"
        ))
    })?;
    Ok((pid, hot.folder))
}

fn name(host: &Host, pid: u32, task: u32) -> Option<String> {
    host.optional(&format!("proc/{pid}/task/{task}/comm"))
}

/// Where a thread may run.
fn allowed(host: &Host, folder: &str) -> Result<crate::host::CpuList, Finding> {
    let path = format!("{folder}/status");
    let text = host.field(&path, "Cpus_allowed_list:")?;
    text.parse().map_err(|_| reading::odd(&path, text))
}

/// A number of a file of lines `name : value` or `name: value`, now and how much it has grown since
/// the host was looked at first.
fn grown(host: &Host, path: &str, name: &str) -> Result<(u64, u64), Finding> {
    let number = |text: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.rsplit(':').next()?.trim().parse::<u64>().ok()
    };
    let missing = || Finding::unknown(format!("/{path} has no {name}"));
    let now = number(&host.text(path)?).ok_or_else(missing)?;
    let before = number(host.earlier(path)?).ok_or_else(missing)?;
    Ok((now, now.saturating_sub(before)))
}

#[cfg(test)]
pub(super) mod recorded {
    pub(crate) const COMM: (&str, &str) = ("proc/100/task/103/comm", "hotspur-hot\n");
    pub(crate) const STATUS: &str = "proc/100/task/103/status";
    pub(crate) const STAT: &str = "proc/100/task/103/stat";
    pub(crate) const SCHED: &str = "proc/100/task/103/sched";
    pub(crate) const CLIENT: (&str, &str) = ("proc/100/task/105/comm", "rdk:broker1\n");
    pub(crate) const CLIENT_STATUS: &str = "proc/100/task/105/status";
}
