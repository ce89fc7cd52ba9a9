//! `[engine]`: the hot thread, what the process asks of the machine for it, and what contradicts
//! itself there.

use std::time::Duration;

use super::{build::Builder, settings::Settings, values::Typed};

/// `[engine]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Engine {
    /// `core`.
    pub core: Core,
    /// `idle`.
    pub idle: Idle,
    /// `housekeeping_cores`; `None` is `auto`.
    pub housekeeping_cores: Option<Vec<usize>>,
    /// `scheduling`.
    pub scheduling: Scheduling,
    /// `lock_memory`: all of the process's memory stays in RAM.
    pub lock_memory: bool,
    /// `prefault`, bytes of heap that the hot thread brings in at start.
    pub prefault: usize,
    /// `timer_slack`: how late the timers of the process's threads may fire.
    pub timer_slack: Duration,
    /// `spin_clients`: threads of the client library that spin, each on a core of its own.
    pub spin_clients: bool,
    /// `client_cores`, for those; `None` is `auto`.
    pub client_cores: Option<Vec<usize>>,
    /// `start_timeout`.
    pub start_timeout: Duration,
    /// `drain_timeout`.
    pub drain_timeout: Duration,
}

/// Where the hot thread runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// An isolated core if there is one.
    Auto,
    /// That one.
    Number(usize),
    /// Wherever the scheduler likes.
    None,
}

/// How the kernel schedules the hot thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduling {
    /// Like any other thread.
    Normal,
    /// `SCHED_FIFO`: before any thread that is not of that kind, for as long as it runs.
    Fifo,
}

/// What an empty turn does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Spin on an isolated core, else park.
    Auto,
    /// Nothing.
    Spin,
    /// A CPU hint.
    Pause,
    /// Gives the core to others that want it.
    Yield,
    /// Sleeps until the client signals.
    Park,
}

impl Default for Engine {
    /// As the default file says it.
    fn default() -> Engine {
        Engine {
            core: Core::Auto,
            idle: Idle::Auto,
            housekeeping_cores: None,
            scheduling: Scheduling::Normal,
            lock_memory: false,
            prefault: 0,
            timer_slack: Duration::from_micros(50),
            spin_clients: false,
            client_cores: None,
            start_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Builder<'_> {
    pub(crate) fn engine(&self) -> Engine {
        Engine {
            core: match self.typed("engine.core") {
                Some(Typed::Core(core)) => *core,
                _ => Core::Auto,
            },
            idle: match self.text("engine.idle").as_str() {
                "spin" => Idle::Spin,
                "pause" => Idle::Pause,
                "yield" => Idle::Yield,
                "park" => Idle::Park,
                _ => Idle::Auto,
            },
            housekeeping_cores: self.cores("engine.housekeeping_cores"),
            scheduling: match self.text("engine.scheduling").as_str() {
                "fifo" => Scheduling::Fifo,
                _ => Scheduling::Normal,
            },
            lock_memory: self.boolean("engine.lock_memory"),
            prefault: self.integer("engine.prefault"),
            timer_slack: self.duration_or_zero("engine.timer_slack"),
            spin_clients: self.boolean("engine.spin_clients"),
            client_cores: self.cores("engine.client_cores"),
            start_timeout: self.duration_or_zero("engine.start_timeout"),
            drain_timeout: self.duration_or_zero("engine.drain_timeout"),
        }
    }

    fn cores(&self, key: &str) -> Option<Vec<usize>> {
        match self.typed(key) {
            Some(Typed::Cores(cores)) => cores.clone(),
            _ => None,
        }
    }

    pub(crate) fn check_cores(&mut self, settings: &Settings) {
        let engine = &settings.engine;
        if let (Core::Number(core), Some(cores)) = (engine.core, &engine.housekeeping_cores)
            && cores.contains(&core)
        {
            let message = format!("core {core} is the hot thread's own");
            self.error("engine.housekeeping_cores", message, "leave engine.core out of the list");
        }
        if engine.core == Core::None && matches!(engine.idle, Idle::Spin | Idle::Pause) {
            let message = "a thread that spins without a core of its own slows its neighbours down";
            self.warning("engine.idle", message, "idle = \"park\", or give it a core");
        }
        if engine.core == Core::None && engine.scheduling == Scheduling::Fifo {
            let message = "a real-time thread that may go to any core stops whoever it meets there";
            self.error("engine.scheduling", message, "give it a core, or scheduling = \"normal\"");
        }
        self.check_client_cores(engine);
    }

    fn check_client_cores(&mut self, engine: &Engine) {
        let key = "engine.client_cores";
        if !engine.spin_clients {
            if engine.client_cores.is_some() && self.stands(key) {
                let message = "no client thread spins, so nothing is done with these cores";
                self.warning(key, message, "engine.spin_clients = true, or take it out");
            }
            return;
        }
        let spinning = "engine.spin_clients";
        if engine.core == Core::None {
            let message = "the hot thread may go to the cores that client threads spin on";
            self.error(spinning, message, "give the hot thread a core");
        }
        if engine.idle == Idle::Park {
            let message = "client threads that never sleep hand over to a hot thread that does";
            self.error(spinning, message, "idle = \"spin\", or spin_clients = false");
        }
        let clients = engine.client_cores.iter().flatten().copied();
        if let Core::Number(core) = engine.core
            && clients.clone().any(|it| it == core)
        {
            let message = format!("core {core} is the hot thread's own");
            self.error(key, message, "leave engine.core out of the list");
        }
        let others = engine.housekeeping_cores.as_deref().unwrap_or_default();
        if let Some(core) = clients.clone().find(|core| others.contains(core)) {
            let message = format!("core {core} is also one of engine.housekeeping_cores");
            self.error(key, message, "a client thread that spins wants a core of its own");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::{Loaded, Sources, load, report::Report},
        *,
    };

    fn read(engine: &str) -> Result<Loaded, Report> {
        let text = format!(
            "name = \"n\"\n\
             [source.kafka]\ntopics = [\"a\"]\n[sink.kafka]\ntopic = \"b\"\n[engine]\n{engine}"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hotspur.toml");
        fs::write(&file, text).unwrap();
        load(&Sources { file: Some(file), ..Sources::default() })
    }

    /// What the check says about these settings of `[engine]`, and of which key.
    fn told(engine: &str) -> Vec<(String, String)> {
        let report = read(engine).map_or_else(|report| report, |loaded| loaded.warnings);
        let problems = report.problems.into_iter().map(|it| it.problem);
        problems.map(|it| (it.key, it.message)).collect()
    }

    #[test]
    fn the_default_is_what_the_default_file_says() {
        let loaded = read("").unwrap();
        assert_eq!(loaded.settings.engine, Engine::default());
    }

    #[test]
    fn settings_that_contradict_each_other_are_told_with_the_reason() {
        for (lines, key, reason) in [
            ("core = \"none\"\nscheduling = \"fifo\"", "engine.scheduling", "stops whoever"),
            ("core = \"none\"\nidle = \"spin\"", "engine.idle", "without a core of its own"),
            ("core = \"none\"\nspin_clients = true", "engine.spin_clients", "may go to"),
            ("idle = \"park\"\nspin_clients = true", "engine.spin_clients", "that does"),
            ("client_cores = \"2\"", "engine.client_cores", "nothing is done"),
            ("core = 2\nspin_clients = true\nclient_cores = \"2\"", "engine.client_cores", "own"),
            (
                "housekeeping_cores = \"0-2\"\nspin_clients = true\nclient_cores = \"2\"",
                "engine.client_cores",
                "also one of",
            ),
            ("core = 2\nhousekeeping_cores = \"2\"", "engine.housekeeping_cores", "own"),
        ] {
            let told = told(lines);
            let [(told_key, message)] = told.as_slice() else { panic!("{lines}: {told:?}") };
            assert!(told_key == key && message.contains(reason), "{lines}: {told:?}");
        }
        let fits = "core = 3\nidle = \"spin\"\nscheduling = \"fifo\"\nspin_clients = true\n\
                    client_cores = \"1,2\"\nhousekeeping_cores = \"0\"";
        assert_eq!(told(fits), []);
    }
}
