//! What the configuration asks of the machine: the measure of what is a fault.
//!
//! It is derived from settings in force and not from a profile's name, so that a profile of
//! one's own is judged by what it says.

use crate::{
    config::settings::{Core, Engine, Idle, Scheduling},
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
    /// On these, as far as there are any for them.
    pub client_cores: CpuList,
    /// The running process that is asked about.
    pub pid: Option<u32>,
}

impl Wish {
    /// What these settings ask for of this machine. `core` is judged instead of the one that a run
    /// would take, if it is given; it does not change how much is asked for.
    pub fn of(engine: &Engine, core: Option<usize>, host: &Host) -> Wish {
        let (core, isolated, why) = judged(core.map_or(engine.core, Core::Number), host);
        let spins = match engine.idle {
            Idle::Auto => isolated,
            Idle::Spin | Idle::Pause | Idle::Yield => true,
            Idle::Park => false,
        };
        let level = match (engine.core, spins) {
            (Core::Number(_), _) | (_, true) => Level::Own,
            (Core::Auto, _) if isolated => Level::Own,
            (Core::Auto, false) => Level::Shared,
            (Core::None, false) => Level::Relaxed,
        };
        let hot = core.filter(|_| level == Level::Own);
        let clients = if engine.spin_clients { clients(engine, hot, host) } else { Vec::new() };
        let wanted = engine.housekeeping_cores.as_deref();
        let housekeeping = housekeeping_cores(wanted, &host.cores, hot, &clients);
        Wish {
            level,
            core,
            why,
            spins,
            housekeeping,
            lock_memory: engine.lock_memory,
            huge_pages: false,
            fifo: engine.scheduling == Scheduling::Fifo,
            spin_clients: engine.spin_clients,
            client_cores: clients.into_iter().collect(),
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

/// The cores that client threads would spin on.
fn clients(engine: &Engine, hot: Option<usize>, host: &Host) -> Vec<usize> {
    let cores = &host.cores;
    let (candidates, enough) = choice::client_candidates(engine.client_cores.as_deref(), cores);
    let usable = candidates.into_iter().filter(|core| cores.reachable().contains(*core));
    let free = |core: &usize| core_lock::holder(host.root(), &host.locks, *core).is_none();
    usable.filter(|core| hot != Some(*core)).filter(free).take(enough).collect()
}

fn highest(cores: &Cores) -> Option<usize> {
    let usable = cores.allowed.and(&cores.reachable());
    usable.iter().next_back().or_else(|| cores.reachable().iter().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{CoreLock, core_lock::Attempt, cores::tests::tree};

    /// A host of eight cores, of which some are isolated.
    fn host(root: &std::path::Path, isolated: &str) -> Host {
        let list = |text: &str| text.parse::<CpuList>().unwrap();
        let (online, allowed) = (list("0-7"), list("0-3"));
        let isolated = list(isolated);
        let cores = Cores { online, allowed, isolated, ..Cores::default() };
        let mut host = Host::new(root, cores);
        host.locks = root.to_owned();
        host
    }

    fn wish(core: Core, idle: Idle, isolated: &str) -> (Level, Option<usize>, String) {
        let root = tree(&[]);
        let engine = Engine { core, idle, ..Engine::default() };
        let wish = Wish::of(&engine, None, &host(root.path(), isolated));
        (wish.level, wish.core, wish.housekeeping.to_string())
    }

    #[test]
    fn settings_decide_how_much_is_asked_for() {
        let all = || "0-3".to_owned();
        assert_eq!(wish(Core::None, Idle::Park, "6-7"), (Level::Relaxed, None, all()));
        assert_eq!(wish(Core::None, Idle::Spin, ""), (Level::Own, None, all()));
        assert_eq!(wish(Core::Auto, Idle::Auto, ""), (Level::Shared, Some(3), all()));
        assert_eq!(wish(Core::Auto, Idle::Auto, "6-7"), (Level::Own, Some(7), all()));
        assert_eq!(wish(Core::Auto, Idle::Spin, ""), (Level::Own, Some(3), "0-2".to_owned()));
        assert_eq!(wish(Core::Number(1), Idle::Park, ""), (Level::Own, Some(1), "0,2-3".into()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn auto_passes_by_a_core_that_another_holds() {
        let root = tree(&[]);
        let mut host = host(std::path::Path::new("/"), "6-7");
        host.locks = root.path().to_owned();
        let judged = || Wish::of(&Engine::default(), None, &host).core;
        assert_eq!(judged(), Some(7));
        let lock: CoreLock = match core_lock::attempt(root.path(), 7) {
            Attempt::Locked(lock) => lock,
            other => panic!("7 must be free: {other:?}"),
        };
        assert_eq!(judged(), Some(6));
        drop(lock);
        let given = Wish::of(&Engine::default(), Some(2), &host);
        assert_eq!((given.core, given.level), (Some(2), Level::Shared));
        let isolated = Wish::of(&Engine::default(), Some(6), &host);
        assert_eq!((isolated.core, isolated.level), (Some(6), Level::Own));
    }

    #[test]
    fn clients_spin_on_isolated_cores_beside_the_hot_one() {
        let root = tree(&[]);
        let engine = Engine { spin_clients: true, idle: Idle::Spin, ..Engine::default() };
        let wish = Wish::of(&engine, None, &host(root.path(), "5-7"));
        assert_eq!((wish.core, wish.client_cores.to_string().as_str()), (Some(7), "5-6"));
        let none = Wish::of(&engine, None, &host(root.path(), ""));
        assert!(none.client_cores.is_empty());
    }
}
