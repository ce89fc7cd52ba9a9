//! What this process uses, by the names that all Prometheus clients have.

use crate::observe::exposition::Exposition;

/// All families that the system tells; none where it has no `/proc`.
#[cfg(target_os = "linux")]
pub(super) fn write(text: &mut Exposition) {
    use procfs::{WithCurrentSystemInfo, boot_time_secs, process::Process, ticks_per_second};

    use crate::observe::exposition::Kind;

    let Ok(process) = Process::myself() else { return };
    if let Ok(stat) = process.stat() {
        let seconds = |ticks: u64| ticks as f64 / ticks_per_second() as f64;
        let help = "CPU time of all threads, of the program and of the kernel for it.";
        text.family(Kind::Counter, "process_cpu_seconds", help)
            .sample(&[], seconds(stat.utime + stat.stime));
        let help = "Memory that is in RAM.";
        text.family(Kind::Gauge, "process_resident_memory_bytes", help)
            .sample(&[], stat.rss_bytes().get());
        let help = "Addresses that are taken.";
        text.family(Kind::Gauge, "process_virtual_memory_bytes", help).sample(&[], stat.vsize);
        text.family(Kind::Gauge, "process_threads", "Threads.").sample(&[], stat.num_threads);
        if let Ok(boot) = boot_time_secs() {
            let help = "When it began, in seconds since the epoch.";
            text.family(Kind::Gauge, "process_start_time_seconds", help)
                .sample(&[], boot as f64 + seconds(stat.starttime));
        }
    }
    if let Ok(open) = process.fd_count() {
        text.family(Kind::Gauge, "process_open_fds", "Files that are open.").sample(&[], open);
    }
    if let Ok(limits) = process.limits()
        && let procfs::process::LimitValue::Value(most) = limits.max_open_files.soft_limit
    {
        let help = "Files that may be open.";
        text.family(Kind::Gauge, "process_max_fds", help).sample(&[], most);
    }
}

/// All families that the system tells: none.
#[cfg(not(target_os = "linux"))]
pub(super) fn write(_text: &mut Exposition) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::observe::exposition::Format;

    #[test]
    fn this_process_has_memory_threads_and_files() {
        let mut text = Exposition::new(Format::Text);
        write(&mut text);
        let text = text.finish();
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_threads",
            "process_start_time_seconds",
            "process_open_fds",
            "process_max_fds",
        ] {
            let line = text.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(' '));
            let value: f64 = line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap();
            assert!(value >= 0.0, "{name} {value}");
        }
    }
}
