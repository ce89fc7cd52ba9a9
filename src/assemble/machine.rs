//! The machine's part of a run: cores, scheduling and memory, taken before anything else is made.
//!
//! What is made afterwards inherits the housekeeping cores and the timers' slack. What was asked
//! for and cannot be had is said in a sentence, and the run does without; but not without a core
//! that was named, and not where that would bring the machine to a stand.

use std::{path::Path, sync::Arc};

use super::StartError;
use crate::{
    config::{
        Problem,
        settings::{self, Idle, Scheduling},
    },
    engine::{idle::IdleStrategy, runner::Manner},
    host::{
        self, ClientCores, CoreChoice, Cores, CpuList, Housekeeping, NO_AFFINITY, memory,
        scheduling,
    },
    transport::kafka::Spinning,
};

/// The machine's part: where the hot thread goes, and where everything else does.
#[derive(Debug)]
pub struct Machine {
    /// The hot core, or none, and what could not be had.
    pub choice: CoreChoice,
    /// Everybody else's cores.
    pub housekeeping: CpuList,
    /// What follows a turn without work.
    pub idle: IdleStrategy,
    /// Whether the hot thread is a real-time one.
    pub is_first: bool,
    /// Whether the process's memory is locked.
    pub is_locked: bool,
    /// Bytes of heap that the hot thread brings in.
    pub prefault: usize,
    /// Cores for client threads that spin.
    pub clients: ClientCores,
    /// While it lives, threads that are started run on the housekeeping cores. None where the
    /// system does not know of such.
    _guard: Option<Housekeeping>,
}

impl Machine {
    /// Chooses and locks the hot core, moves the calling thread off it, and sees to scheduling and
    /// memory.
    ///
    /// # Errors
    ///
    /// If a core that was named cannot be had, or the machine is too small for what is asked.
    pub fn prepare(engine: &settings::Engine) -> Result<Machine, StartError> {
        Machine::among(&Cores::read(Path::new("/")), engine)
    }

    fn among(cores: &Cores, engine: &settings::Engine) -> Result<Machine, StartError> {
        let problems = too_small(cores, engine);
        if !problems.is_empty() {
            return Err(StartError::Configuration(problems));
        }
        let folder = host::core_lock::folder();
        let mut choice = host::choose_core(engine.core, cores, &folder)?;
        let idle = match engine.idle {
            // On the only core it would leave nothing to the threads that talk to brokers.
            Idle::Auto if choice.isolated && cores.reachable().len() > 1 => IdleStrategy::Spin,
            Idle::Auto | Idle::Park => IdleStrategy::Park,
            Idle::Spin => IdleStrategy::Spin,
            Idle::Pause => IdleStrategy::Pause,
            Idle::Yield => IdleStrategy::Yield,
        };
        let mut clients = ClientCores::default();
        if engine.spin_clients && idle == IdleStrategy::Park {
            let told = "no client thread spins: the hot thread sleeps, as it has no isolated core";
            choice.caveats.push(told.to_owned());
        } else if engine.spin_clients {
            let wanted = engine.client_cores.as_deref();
            clients = host::choose_client_cores(wanted, cores, choice.core, &folder);
            choice.caveats.append(&mut clients.caveats);
        }
        let wanted = engine.housekeeping_cores.as_deref();
        let housekeeping = host::housekeeping_cores(wanted, cores, choice.core, &clients.cores);
        if let Some(core) = clients.cores.iter().find(|it| housekeeping.contains(**it)) {
            choice.caveats.push(format!("a client thread spins on core {core}, beside all others"));
        }
        let guard = if housekeeping.is_empty() {
            let unmet = wanted.map(|_| format!("engine.housekeeping_cores: {NO_AFFINITY}"));
            choice.caveats.extend(unmet);
            None
        } else {
            Some(Housekeeping::enter(&housekeeping)?)
        };
        scheduling::set_timer_slack(engine.timer_slack);
        let is_locked = is_locked(engine, &mut choice);
        let has_others = choice.core.is_none_or(|core| !housekeeping.contains(core));
        let is_first = is_first(engine, idle, has_others, &mut choice);
        Ok(Machine {
            choice,
            housekeeping,
            idle,
            is_first,
            is_locked,
            prefault: engine.prefault,
            clients,
            _guard: guard,
        })
    }

    /// How the hot thread is to run.
    pub(super) fn manner(&self) -> Manner {
        Manner {
            core: self.choice.core,
            is_first: self.is_first,
            idle: self.idle,
            prefault: self.prefault,
        }
    }

    /// What gives clients threads that spin, if they are to.
    pub(super) fn spinning(&self) -> Option<Arc<Spinning>> {
        let pin = |core| host::pin_current(core).is_ok();
        let cores = &self.clients.cores;
        (!cores.is_empty()).then(|| Spinning::new(cores.iter().copied(), pin))
    }

    /// Threads of this process that may run on the hot core beside the hot thread.
    pub(super) fn intruders(&self, hot_thread: Option<u32>) -> Vec<String> {
        let (Some(core), Some(hot_thread)) = (self.choice.core, hot_thread) else {
            return Vec::new();
        };
        let threads = host::threads(Path::new("/"));
        let intruders = host::intruders(&threads, hot_thread, core);
        intruders.into_iter().map(|it| it.name.clone()).collect()
    }
}

fn is_first(
    engine: &settings::Engine,
    idle: IdleStrategy,
    has_others: bool,
    choice: &mut CoreChoice,
) -> bool {
    if engine.scheduling == Scheduling::Normal {
        return false;
    }
    let never_sleeps = idle != IdleStrategy::Park;
    let stopped = scheduling::stops_spinners(Path::new("/"), choice.isolated);
    let possible = match (choice.core, stopped.filter(|_| never_sleeps)) {
        // It would go wherever it likes and stop whoever it meets there.
        (None, _) => Err("it is not pinned to a core".to_owned()),
        _ if !has_others => Err("all other threads are on its core, too".to_owned()),
        (_, Some(why)) => Err(why),
        (Some(_), None) => scheduling::may_run_first(),
    };
    let unmet =
        possible.as_ref().err().map(|why| format!("the hot thread is not SCHED_FIFO: {why}"));
    choice.caveats.extend(unmet);
    possible.is_ok()
}

fn is_locked(engine: &settings::Engine, choice: &mut CoreChoice) -> bool {
    if !engine.lock_memory {
        return false;
    }
    let locked = memory::lock_all(Path::new("/"));
    choice.caveats.extend(locked.as_ref().err().cloned());
    locked.is_ok()
}

/// What would leave the other threads of the process, or of the machine, no core to run on.
pub(super) fn too_small(cores: &Cores, engine: &settings::Engine) -> Vec<Problem> {
    let reachable = cores.reachable();
    if reachable.len() != 1 {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let mut refuse = |key: &str, what: &str, hint: &str| {
        let message = format!("this process may run on core {reachable} only, and {what}");
        problems.push(Problem::error(key, message).hint(hint));
    };
    if matches!(engine.idle, Idle::Spin | Idle::Pause) {
        let what = "a hot thread that spins leaves the threads that talk to brokers no time";
        refuse("engine.idle", what, "idle = \"park\", or profile = \"laptop\"");
    }
    if engine.scheduling == Scheduling::Fifo {
        let what = "a real-time thread there leaves nobody else any time";
        refuse("engine.scheduling", what, "scheduling = \"normal\"");
    }
    if engine.spin_clients {
        let what = "client threads that spin need cores of their own";
        refuse("engine.spin_clients", what, "spin_clients = false");
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_that_keeps_no_thread_on_a_core_runs_unpinned_and_says_so() {
        let engine = settings::Engine { housekeeping_cores: Some(vec![0]), ..Default::default() };
        let machine = Machine::among(&Cores::default(), &engine).unwrap();
        assert_eq!(machine.choice.core, None);
        assert_eq!(machine.idle.name(), "park");
        let told = [
            "the hot thread is not pinned: this system does not keep threads on cores",
            "engine.housekeeping_cores: this system does not keep threads on cores",
        ];
        assert_eq!(machine.choice.caveats, told);
    }

    #[test]
    fn what_wants_two_cores_is_refused_where_there_is_one() {
        let one = |text: &str| text.parse::<CpuList>().unwrap();
        let cores = Cores { online: one("0-3"), cpuset: Some(one("2")), ..Cores::default() };
        let engine = settings::Engine {
            idle: Idle::Spin,
            scheduling: Scheduling::Fifo,
            spin_clients: true,
            ..Default::default()
        };
        let problems = too_small(&cores, &engine);
        let keys: Vec<_> = problems.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["engine.idle", "engine.scheduling", "engine.spin_clients"]);
        assert!(problems[0].message.contains("core 2 only"), "{problems:?}");
        let parked = settings::Engine { idle: Idle::Park, ..Default::default() };
        assert!(too_small(&cores, &parked).is_empty());
        let wider = Cores { cpuset: Some(one("2-3")), ..cores };
        assert!(too_small(&wider, &engine).is_empty());
    }

    #[test]
    fn clients_do_not_spin_beside_a_hot_thread_that_sleeps() {
        let engine = settings::Engine {
            spin_clients: true,
            client_cores: Some(vec![0]),
            ..settings::Engine::default()
        };
        let machine = Machine::among(&Cores::default(), &engine).unwrap();
        assert!(machine.clients.cores.is_empty() && machine.spinning().is_none());
        let told = machine.choice.caveats.join("; ");
        assert!(told.contains("no client thread spins: the hot thread sleeps"), "{told}");
    }

    #[test]
    fn a_thread_that_is_not_pinned_is_not_made_real_time() {
        let engine =
            settings::Engine { scheduling: Scheduling::Fifo, ..settings::Engine::default() };
        let machine = Machine::among(&Cores::default(), &engine).unwrap();
        assert!(!machine.is_first);
        let told = machine.choice.caveats.join("; ");
        assert!(told.contains("not SCHED_FIFO: it is not pinned"), "{told}");
    }
}
