//! The machine: what a run takes of it (cores, scheduling, memory), and what it is fit for.
//!
//! A hot thread wants a core that nobody else runs on. Which cores are isolated, which ones this
//! process may use, and who else runs where is read here from `/sys` and `/proc`, below a root
//! folder that tests replace by a recorded tree. What cannot be had is said in sentences and never
//! ends a run that asked for `auto`. Elsewhere than on Linux all of it answers "unpinned". For who
//! asks before a run there are `checks`, one file each, and `jitter`, which watches a core.
//!
//! This changes how threads of this process are placed and scheduled, and what of its memory is
//! locked, and nothing else of the machine.

use std::io;

use thiserror::Error;

pub mod affinity;
pub mod checks;
pub mod choice;
pub mod core_lock;
pub mod cores;
pub mod cpu_list;
pub mod facts;
pub mod jitter;
pub mod memory;
pub mod scheduling;
pub mod threads;
pub mod usage;

pub use affinity::{Housekeeping, pin_current};
pub use choice::{ClientCores, CoreChoice, choose_client_cores, choose_core, housekeeping_cores};
pub use core_lock::CoreLock;
pub use cores::Cores;
pub use cpu_list::CpuList;
pub use facts::facts;
pub use threads::{ThreadInfo, intruders, threads};
pub use usage::{ProcessMemory, ThreadUsage, Waits, current_core};

/// Said wherever something was asked of cores that this system cannot give.
pub(crate) const NO_AFFINITY: &str = "this system does not keep threads on cores";

/// Why a core could not be had, or a thread not be moved.
#[derive(Debug, Error)]
pub enum HostError {
    /// The configured core is not among those that this process may use.
    #[error("engine.core = {core}: this process may run on cores {usable}; choose one of them")]
    CoreUnusable {
        /// As configured.
        core: usize,
        /// What there is.
        usable: CpuList,
    },
    /// The system has no notion of a thread's cores.
    #[error("engine.core = {core}: {NO_AFFINITY}; choose \"auto\" or \"none\"")]
    CoreUnknown {
        /// As configured.
        core: usize,
    },
    /// Another hot thread runs on the configured core.
    #[error("engine.core = {core}: {holder}; choose another core, or stop that process")]
    CoreTaken {
        /// As configured.
        core: usize,
        /// Who, in words.
        holder: String,
    },
    /// The system would not move a thread.
    #[error("a thread cannot be moved to cores {cores}: {source}")]
    Affinity {
        /// Where to.
        cores: CpuList,
        /// What the system said.
        source: io::Error,
    },
}
