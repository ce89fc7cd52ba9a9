//! Checks of the machine: whether it is fit for what the configuration asks of it.
//!
//! One file a check, one table of them. Each reads files below a root folder (or what was measured
//! before) and judges them by the wish: what is a fault for a thread that spins on a core of its
//! own is none for one that may wait. `finding` says what a check is, `wish` what is asked for,
//! `reading` and `proc_files` read, `measured` measures. Nothing here changes the machine.

mod finding;
mod measured;
mod proc_files;
mod reading;
mod wish;

mod busy_polling;
mod client_cores;
mod clock_runs;
mod clock_source;
mod clock_sync;
mod compaction;
mod container;
mod core_holder;
mod cpu_quota;
mod cpuset;
mod dirty_pages;
mod governor;
mod halt_polling;
mod huge_pages;
mod idle_states;
mod interrupts;
mod interrupts_default;
mod irqbalance;
mod isolation;
mod kernel;
mod locked_memory;
mod mitigations;
mod neighbours;
mod numa_balancing;
mod numa_memory;
mod open_files;
mod rcu_callbacks;
mod realtime_limit;
mod realtime_throttling;
mod same_pages;
mod sibling;
mod socket_buffers;
mod steal;
mod swap;
mod tickless;
mod timer_frequency;
mod turbo;
mod vm_statistics;
mod wakeup;
mod watchdogs;
mod workqueues;

mod process;

#[cfg(test)]
mod cases;

pub use finding::{Check, Finding, Mend, Outcome};
pub use measured::Measured;
pub use process::{CHECKS as PROCESS_CHECKS, HotThread, hot_thread};
pub use reading::Host;
pub use wish::{Level, Wish};

use finding::Told;

impl Host {
    /// Measures what files do not tell, on that core, in about half a second; and remembers what
    /// is compared with later readings. With `spare` a reason, nothing runs on the core: somebody
    /// does who must not be disturbed.
    pub fn measure(&mut self, core: Option<usize>, pid: Option<u32>, spare: Option<String>) {
        let watched = pid.map(|pid| process::watched(self, pid)).unwrap_or_default();
        #[cfg(target_os = "linux")]
        {
            self.measured.sync = measured::clock_sync();
            if spare.is_none() {
                match measured::clock_and_spin(core) {
                    Ok((clock, spin)) => {
                        (self.measured.clock, self.measured.spin) = (Some(clock), Some(spin));
                    }
                    Err(why) => self.measured.omitted = Some(format!("not measured: {why}")),
                }
            }
        }
        // What comes before would count as the core's business.
        self.remember(proc_files::STAT);
        watched.iter().for_each(|path| self.remember(path));
        match spare {
            Some(why) => {
                self.measured.omitted = Some(format!("not measured: {why}"));
                std::thread::sleep(WATCH);
            }
            #[cfg(target_os = "linux")]
            None => self.measured.wakeup = measured::wakeup(core).ok(),
            #[cfg(not(target_os = "linux"))]
            None => _ = core,
        }
    }
}

/// How long something is watched that must not be disturbed.
const WATCH: std::time::Duration = std::time::Duration::from_millis(250);

/// All checks of the machine, in the order in which they are told.
pub const CHECKS: &[Check] = &[
    clock_source::CHECK,
    clock_runs::CHECK,
    clock_sync::CHECK,
    kernel::CHECK,
    mitigations::CHECK,
    container::CHECK,
    isolation::CHECK,
    tickless::CHECK,
    rcu_callbacks::CHECK,
    interrupts::CHECK,
    interrupts_default::CHECK,
    irqbalance::CHECK,
    neighbours::CHECK,
    sibling::CHECK,
    client_cores::CHECK,
    core_holder::CHECK,
    cpuset::CHECK,
    cpu_quota::CHECK,
    governor::CHECK,
    turbo::CHECK,
    idle_states::CHECK,
    halt_polling::CHECK,
    steal::CHECK,
    wakeup::CHECK,
    timer_frequency::CHECK,
    watchdogs::CHECK,
    vm_statistics::CHECK,
    workqueues::CHECK,
    dirty_pages::CHECK,
    numa_memory::CHECK,
    numa_balancing::CHECK,
    huge_pages::CHECK,
    compaction::CHECK,
    same_pages::CHECK,
    swap::CHECK,
    locked_memory::CHECK,
    realtime_throttling::CHECK,
    realtime_limit::CHECK,
    open_files::CHECK,
    socket_buffers::CHECK,
    busy_polling::CHECK,
];
