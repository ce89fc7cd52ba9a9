//! What the configuration asks of the machine: the measure of what is a fault.
//!
//! It is derived from settings in force and not from a profile's name, so that a profile of
//! one's own is judged by what it says.

use crate::{
    config::settings::{Core, Engine, Idle},
    host::{Cores, CpuList, choice, core_lock, housekeeping_cores},
};

use super::{Finding, Host};

/// How much of the machine is asked for; each level includes the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Wherever the scheduler likes, sleeping when there is no work: a laptop.
    Relaxed,
    /// Low latency on cores that others use, too: stalls of the whole machine are faults.
    Shared,
    /// A core of its own, because the thread spins or is pinned: whatever else runs there is one.
    Own,
}

impl Level {
    /// In words, as part of a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Level::Relaxed => "a thread that may wait",
            Level::Shared => "low latency on cores that others use, too",
            Level::Own => "a core of its own",
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// How much.
    pub level: Level,
    /// The core that is judged: the hot thread's, or the best there is.
    pub core: Option<usize>,
    /// Why that one, a sentence.
    pub why: String,
    /// The hot thread never sleeps.
    pub spins: bool,
    /// Where everything else runs.
    pub housekeeping: CpuList,
    /// Memory is to be locked.
    pub lock_memory: bool,
    /// Tables are to lie in huge pages.
    pub huge_pages: bool,
    /// The hot thread is to run under `SCHED_FIFO`.
    pub fifo: bool,
    /// The client's threads are to spin, too.
    pub spin_clients: bool,
    /// The running process that is asked about.
    pub pid: Option<u32>,
}

impl Wish {
    /// What these settings ask for of this machine. `core` is judged instead of the one that a run
    /// would take, if it is given.
    pub fn of(engine: &Engine, core: Option<usize>, host: &Host) -> Wish {
        let wanted = core.map_or(engine.core, Core::Number);
        let (core, isolated, why) = judged(wanted, host);
        let spins = match engine.idle {
            Idle::Auto => isolated,
            Idle::Spin | Idle::Pause | Idle::Yield => true,
            Idle::Park => false,
        };
        let level = match (wanted, spins) {
            (Core::Number(_), _) | (_, true) => Level::Own,
            (Core::Auto, _) if isolated => Level::Own,
            (Core::Auto, false) => Level::Shared,
            (Core::None, false) => Level::Relaxed,
        };
        let hot = core.filter(|_| level == Level::Own);
        let housekeeping =
            housekeeping_cores(engine.housekeeping_cores.as_deref(), &host.cores, hot);
        Wish {
            level,
            core,
            why,
            spins,
            housekeeping,
            lock_memory: false,
            huge_pages: false,
            fifo: false,
            spin_clients: false,
            pid: None,
        }
    }

    /// True if a core of its own is asked for.
    pub fn own(&self) -> bool {
        self.level == Level::Own
    }

    /// True if stalls of the whole machine are faults.
    pub fn low(&self) -> bool {
        self.level >= Level::Shared
    }

    /// The core that is judged; without one, that there is none.
    pub(super) fn core(&self) -> Result<usize, Finding> {
        self.core.ok_or_else(|| Finding::fit(format!("no core is judged: {}", self.why)))
    }
}

/// The core, whether it is isolated, and why it is this one.
fn judged(wanted: Core, host: &Host) -> (Option<usize>, bool, String) {
    let cores = &host.cores;
    let isolated = |core| cores.isolated.contains(core);
    match wanted {
        Core::None => (None, false, "engine.core = \"none\" leaves it to the scheduler".to_owned()),
        Core::Number(core) => (Some(core), isolated(core), "it was asked for".to_owned()),
        Core::Auto => {
            let free = |core: &usize| core_lock::holder(host.root(), &host.locks, *core).is_none();
            if let Some(core) = choice::candidates(cores).into_iter().find(free) {
                let why = "engine.core = \"auto\" takes it: it is the best that is isolated or \
                           tickless, and free";
                return (Some(core), isolated(core), why.to_owned());
            }
            let core = highest(cores);
            let why = "engine.core = \"auto\" pins to none, as no isolated core is free; of those \
                       that this process may use this is the highest, where interrupts are fewest";
            (core, false, why.to_owned())
        }
    }
}

fn highest(cores: &Cores) -> Option<usize> {
    let usable = cores.allowed.and(&cores.reachable());
    usable.iter().next_back().or_else(|| cores.reachable().iter().next_back())
}
