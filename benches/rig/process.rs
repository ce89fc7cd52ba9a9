//! A process under measurement, and what the kernel says about it and its hot thread. For Linux.

use std::{
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::broker::PATIENCE;

/// How long an end may take before it is forced.
const END_TIMEOUT: Duration = Duration::from_secs(15);

/// A child process; dropped, it is killed.
pub(crate) struct Process {
    child: Child,
    /// The hot thread's name; the first thread's if there is none of that name.
    hot_name: &'static str,
}

/// One reading.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// CPU time of all threads that live, and of the hot one.
    pub(crate) process_cpu_ns: u64,
    pub(crate) hot_cpu_ns: u64,
    pub(crate) hot_voluntary_switches: u64,
    pub(crate) hot_involuntary_switches: u64,
    pub(crate) hot_minor_faults: u64,
    pub(crate) hot_major_faults: u64,
    pub(crate) resident_kib: u64,
    pub(crate) resident_peak_kib: u64,
}

impl Reading {
    /// What came since an earlier reading; memory stays as it is.
    pub(crate) fn since(&self, earlier: &Reading) -> Reading {
        Reading {
            process_cpu_ns: self.process_cpu_ns - earlier.process_cpu_ns,
            hot_cpu_ns: self.hot_cpu_ns - earlier.hot_cpu_ns,
            hot_voluntary_switches: self.hot_voluntary_switches - earlier.hot_voluntary_switches,
            hot_involuntary_switches: self.hot_involuntary_switches
                - earlier.hot_involuntary_switches,
            hot_minor_faults: self.hot_minor_faults - earlier.hot_minor_faults,
            hot_major_faults: self.hot_major_faults - earlier.hot_major_faults,
            ..*self
        }
    }
}

impl Process {
    /// Starts it; what it prints goes to files in `folder`.
    pub(crate) fn start(command: &mut Command, folder: &Path, hot_name: &'static str) -> Process {
        let file = |name| fs::File::create(folder.join(name)).expect("a file for its output");
        command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        // SAFETY: the closure runs between fork and exec and makes one system call, which touches
        // no memory.
        unsafe { command.pre_exec(end_with_parent) };
        let child = command.spawn().expect("the program under measurement starts");
        Process { child, hot_name }
    }

    /// Panics with what it said if it has ended by itself.
    pub(crate) fn assert_runs(&mut self, folder: &Path) {
        if let Ok(Some(status)) = self.child.try_wait() {
            let said = fs::read_to_string(folder.join("stderr")).unwrap_or_default();
            panic!("the program under measurement ended ({status}):\n{said}");
        }
    }

    /// Reads the kernel's books.
    pub(crate) fn read(&self) -> Reading {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let mut reading = Reading::default();
        let mut hot = process.join("task").join(self.child.id().to_string());
        for task in fs::read_dir(process.join("task")).into_iter().flatten().flatten() {
            reading.process_cpu_ns += cpu_ns(&task.path());
            if text(&task.path(), "comm").trim_end() == self.hot_name {
                hot = task.path();
            }
        }
        let status = text(&hot, "status");
        let stat = text(&hot, "stat");
        // Behind the name, which may hold anything: state is the third field, faults 10 and 12.
        let fields: Vec<_> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let fault = |number: usize| fields.get(number - 3).and_then(|it| it.parse().ok());
        let memory = text(&process, "status");
        Reading {
            hot_cpu_ns: cpu_ns(&hot),
            hot_voluntary_switches: number(&status, "voluntary_ctxt_switches:"),
            hot_involuntary_switches: number(&status, "nonvoluntary_ctxt_switches:"),
            hot_minor_faults: fault(10).unwrap_or(0),
            hot_major_faults: fault(12).unwrap_or(0),
            resident_kib: number(&memory, "VmRSS:"),
            resident_peak_kib: number(&memory, "VmHWM:"),
            ..reading
        }
    }

    /// Asks it to end, as an operator would, and waits. Returns how long that took.
    pub(crate) fn stop(mut self) -> Duration {
        let start = Instant::now();
        let pid = i32::try_from(self.child.id()).expect("a process number");
        // SAFETY: no memory is involved; the process is our child and was not waited for yet, so
        // the number is its own.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        while start.elapsed() < END_TIMEOUT.min(PATIENCE) {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        start.elapsed()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A bench that is killed leaves nobody behind who would be measured with the next one.
fn end_with_parent() -> io::Result<()> {
    // SAFETY: only numbers are passed.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default()
}

fn cpu_ns(task: &Path) -> u64 {
    let schedstat = text(task, "schedstat");
    schedstat.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0)
}

fn number(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|it| it.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
