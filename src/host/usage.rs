//! What the system took from a thread: switches, faults, CPU time; and the process's memory.
//!
//! Two readings and their difference say whether a stretch of work was left alone. Not for every
//! record: a reading is a system call.

use std::{fs, path::Path, time::Duration};

/// Of the calling thread, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadUsage {
    /// It gave the core up: it waited for something.
    pub voluntary_switches: u64,
    /// The core was taken away.
    pub involuntary_switches: u64,
    /// Pages that were given without reading a disk.
    pub minor_faults: u64,
    /// Pages that had to be read.
    pub major_faults: u64,
    /// Time on a core.
    pub cpu: Duration,
}

impl ThreadUsage {
    /// Reads it. Where the system knows no usage by thread, only CPU time is known.
    pub fn read() -> ThreadUsage {
        ThreadUsage { cpu: cpu_time(), ..switches_and_faults() }
    }

    /// What came since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &ThreadUsage) -> ThreadUsage {
        ThreadUsage {
            voluntary_switches: self.voluntary_switches - earlier.voluntary_switches,
            involuntary_switches: self.involuntary_switches - earlier.involuntary_switches,
            minor_faults: self.minor_faults - earlier.minor_faults,
            major_faults: self.major_faults - earlier.major_faults,
            cpu: self.cpu.saturating_sub(earlier.cpu),
        }
    }
}

#[cfg(target_os = "linux")]
fn switches_and_faults() -> ThreadUsage {
    // SAFETY: the structure is plain numbers, for which all zeroes is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to one structure that lives through the call. It fails only for a
    // selector or a pointer that is wrong, and then the zeroes stay.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    ThreadUsage {
        voluntary_switches: usage.ru_nvcsw.cast_unsigned(),
        involuntary_switches: usage.ru_nivcsw.cast_unsigned(),
        minor_faults: usage.ru_minflt.cast_unsigned(),
        major_faults: usage.ru_majflt.cast_unsigned(),
        cpu: Duration::ZERO,
    }
}

#[cfg(not(target_os = "linux"))]
fn switches_and_faults() -> ThreadUsage {
    ThreadUsage::default()
}

fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to one structure that lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How long a thread was ready to run and had no core: the second figure of its `schedstat`. The
/// file stays open, so that a look is one system call and takes no memory.
#[derive(Debug)]
pub struct Waits {
    file: Option<fs::File>,
}

impl Waits {
    /// Of the thread that calls, wherever it is asked later.
    pub fn of_this_thread() -> Waits {
        Waits { file: fs::File::open("/proc/thread-self/schedstat").ok() }
    }

    /// Nanoseconds since the thread began; zero where the system does not tell.
    pub fn nanos(&self) -> u64 {
        self.file.as_ref().map_or(0, second_number)
    }
}

#[cfg(unix)]
fn second_number(file: &fs::File) -> u64 {
    use std::os::unix::fs::FileExt;
    let mut bytes = [0; 128];
    let len = file.read_at(&mut bytes, 0).unwrap_or(0);
    let mut words = bytes[..len].split(|byte| *byte == b' ').skip(1);
    let digits = words.next().unwrap_or_default();
    digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit.wrapping_sub(b'0')))
}

#[cfg(not(unix))]
fn second_number(_file: &fs::File) -> u64 {
    0
}

/// The core that the calling thread is on, where the system tells.
pub fn current_core() -> Option<usize> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: no arguments, no memory.
        usize::try_from(unsafe { libc::sched_getcpu() }).ok()
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Memory of this process that is in RAM, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessMemory {
    /// Now.
    pub resident: u64,
    /// The most it ever was.
    pub resident_peak: u64,
}

impl ProcessMemory {
    /// Reads `/proc` below `root`; `None` where there is none.
    pub fn read(root: &Path) -> Option<ProcessMemory> {
        let status = fs::read_to_string(root.join("proc/self/status")).ok()?;
        let bytes = |field: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(field))?;
            rest.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|it| it * 1024)
        };
        Some(ProcessMemory { resident: bytes("VmRSS:")?, resident_peak: bytes("VmHWM:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::cores::tests::tree;

    #[cfg(target_os = "linux")]
    #[test]
    fn work_and_fresh_pages_show_in_a_threads_usage() {
        let before = ThreadUsage::read();
        let pages = std::hint::black_box(vec![1_u8; 64 << 20]);
        let sum: u64 = pages.iter().map(|byte| u64::from(*byte)).sum();
        let used = ThreadUsage::read().since(&before);
        assert_eq!(sum, 64 << 20);
        assert!(used.cpu > Duration::ZERO, "{used:?}");
        assert!(used.minor_faults > 0, "{used:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn waiting_for_a_core_is_counted() {
        let waits = Waits::of_this_thread();
        let before = waits.nanos();
        let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        let told: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
        assert!((before..=waits.nanos()).contains(&told), "{before} {told}");
        assert!(current_core().is_some());
    }

    #[test]
    fn memory_is_read_from_the_status() {
        let root = tree(&[("proc/self/status", "VmHWM:\t   2048 kB\nVmRSS:\t     12 kB\n")]);
        let expected = ProcessMemory { resident: 12 * 1024, resident_peak: 2048 * 1024 };
        assert_eq!(ProcessMemory::read(root.path()), Some(expected));
        assert_eq!(ProcessMemory::read(&root.path().join("missing")), None);
    }
}
