//! Settings become an engine and its side threads: the only place to name concrete parts.
//!
//! The order matters. First the cores: everything that is started afterwards inherits the
//! housekeeping cores, so a client library's threads never land on the hot one. Then tables:
//! nothing may be consumed before their first copy is whole. Then brokers and topics, the observer,
//! and last the hot thread, which pins itself and takes its memory where it will use it.
//!
//! What this does not do: read a command line, print, or decide an exit status.

mod connections;

pub use connections::{Creation, check_connections};

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    cache::{self, CacheError, KeyHash, TableHandle, TableStatus, Tables},
    clock::{TscClock, WallOffset},
    config::{
        Problem, Settings,
        settings::{self, Guarantee, Idle},
    },
    delivery::Order,
    engine::{
        Ending, Engine, Options, Process,
        control::{self, Stopper},
        idle::IdleStrategy,
        runner::{self, HotThread},
    },
    host::{self, CoreChoice, Cores, CpuList, HostError, Housekeeping, NO_AFFINITY, ThreadUsage},
    observe::{ObserveError, Observer, ObserverHandle, Setup, Summary},
    pipeline::{Found, Lookup, Mark, Pipeline, Processed, Results},
    record::{Destination, Record},
    transport::{
        Trouble,
        kafka::{KafkaAdmin, KafkaSink, KafkaSource},
        split::Split,
    },
    verdict::Step,
};

/// Dead letters go here; results to `pipeline::SINK`.
const DEAD_LETTERS: Destination = Destination(1);

/// Between two looks for a topic that is not there.
const TOPIC_PAUSE: Duration = Duration::from_millis(200);

/// How often the hot thread looks whether figures are wanted; also bounds how long it parks.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is at fault.
    #[error("the configuration cannot be used")]
    Configuration(Vec<Problem>),
    /// The machine cannot give what was asked for.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A table is not there.
    #[error(transparent)]
    Table(#[from] CacheError),
    /// A broker or topic is not there.
    #[error("{0}")]
    Broker(String),
    /// Files cannot be written.
    #[error(transparent)]
    Files(#[from] ObserveError),
    /// The system refused something.
    #[error("a thread could not be started: {0}")]
    System(#[from] std::io::Error),
    /// Somebody asked for the end before it began.
    #[error("told to end before the start was complete")]
    Stopped,
}

/// The machine's part: where the hot thread goes, and where everything else does.
#[derive(Debug)]
pub struct Machine {
    /// The hot core, or none, and what could not be had.
    pub choice: CoreChoice,
    /// Everybody else's cores.
    pub housekeeping: CpuList,
    /// What follows a turn without work.
    pub idle: IdleStrategy,
    /// While it lives, threads that are started run on the housekeeping cores. None where the
    /// system does not know of such.
    _guard: Option<Housekeeping>,
}

impl Machine {
    /// Chooses and locks the hot core, and moves the calling thread off it.
    ///
    /// # Errors
    ///
    /// If a core that was named cannot be had.
    pub fn prepare(engine: &settings::Engine) -> Result<Machine, StartError> {
        Machine::among(&Cores::read(Path::new("/")), engine)
    }

    fn among(cores: &Cores, engine: &settings::Engine) -> Result<Machine, StartError> {
        let mut choice = host::choose_core(engine.core, cores, &host::core_lock::folder())?;
        let wanted = engine.housekeeping_cores.as_deref();
        let housekeeping = host::housekeeping_cores(wanted, cores, choice.core);
        let guard = if housekeeping.is_empty() {
            let unmet = wanted.map(|_| format!("engine.housekeeping_cores: {NO_AFFINITY}"));
            choice.caveats.extend(unmet);
            None
        } else {
            Some(Housekeeping::enter(&housekeeping)?)
        };
        let idle = match engine.idle {
            Idle::Auto if choice.isolated => IdleStrategy::Spin,
            Idle::Auto | Idle::Park => IdleStrategy::Park,
            Idle::Spin => IdleStrategy::Spin,
            Idle::Pause => IdleStrategy::Pause,
            Idle::Yield => IdleStrategy::Yield,
        };
        Ok(Machine { choice, housekeeping, idle, _guard: guard })
    }

    /// Threads of this process that may run on the hot core beside the hot thread.
    fn intruders(&self, hot_thread: Option<u32>) -> Vec<String> {
        let (Some(core), Some(hot_thread)) = (self.choice.core, hot_thread) else {
            return Vec::new();
        };
        let threads = host::threads(Path::new("/"));
        let intruders = host::intruders(&threads, hot_thread, core);
        intruders.into_iter().map(|it| it.name.clone()).collect()
    }
}

/// The pipeline with its tables, as the engine steps it.
#[derive(Debug)]
pub struct Steps {
    pipeline: Pipeline,
    tables: Tables,
    /// Lookups of records that were taken and not processed, by the low bits of their offsets. One
    /// that was written over or never fetched costs a cache miss, as it would have without.
    foreseen: Box<[Option<(usize, KeyHash)>; FORESEEN]>,
}

/// Records whose lookups are remembered; a power of two, and a usual batch.
const FORESEEN: usize = 256;

/// How many records ahead a slot, and an entry, is brought near. With slots a whole batch ahead a
/// profile still showed their loads waiting.
const SLOTS_AHEAD: i64 = 8;
const ENTRIES_AHEAD: i64 = 3;

impl Steps {
    /// Joins both; tables stand in the order of the settings.
    pub fn new(pipeline: Pipeline, tables: Tables) -> Steps {
        Steps { pipeline, tables, foreseen: Box::new([None; FORESEEN]) }
    }

    #[inline]
    fn foreseen(&mut self, offset: i64) -> &mut Option<(usize, KeyHash)> {
        &mut self.foreseen[offset as usize % FORESEEN]
    }

    /// Brings the entry of the record at that offset near, once.
    #[inline]
    fn approach(&mut self, offset: i64) {
        if let Some((table, hash)) = self.foreseen(offset).take() {
            self.tables.reader(table).prefetch_entry(hash);
        }
    }
}

struct InTables<'a>(&'a Tables);

impl Lookup for InTables<'_> {
    #[inline]
    fn lookup(&mut self, table: usize, key: &[u8]) -> Found<'_> {
        self.0.get(table, key).map_or(Found::Miss, Found::Hit)
    }
}

impl Process for Steps {
    #[inline]
    fn begin_turn(&mut self) {
        self.tables.quiesce();
    }

    /// The slot comes near while the rest of the batch is taken.
    #[inline]
    fn foresee(&mut self, record: &Record<'_>) {
        if let Some((table, key)) = self.pipeline.foresee(record) {
            let reader = self.tables.reader(table);
            let hash = reader.hash(key);
            reader.prefetch_slot(hash);
            *self.foreseen(record.offset) = Some((table, hash));
        }
    }

    /// Slots come near some records ahead, entries when their slots are there.
    #[inline]
    fn process(
        &mut self,
        record: &Record<'_>,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed {
        if let Some((table, hash)) = *self.foreseen(record.offset + SLOTS_AHEAD) {
            self.tables.reader(table).prefetch_slot(hash);
        }
        self.approach(record.offset + ENTRIES_AHEAD);
        self.approach(record.offset);
        self.pipeline.process(record, &mut InTables(&self.tables), mark, results)
    }

    fn step_name(&self, step: Step) -> &str {
        self.pipeline.step_name(step)
    }
}

/// Tables with their side threads.
#[derive(Debug)]
pub struct LoadedTables {
    tables: Tables,
    handles: Vec<TableHandle>,
}

impl LoadedTables {
    /// Opens all tables and waits until the first copy of each is whole.
    ///
    /// # Errors
    ///
    /// If one is not there in time, never will be, or is empty and must not be.
    pub fn open(
        settings: &[settings::Table],
        stop: &Arc<AtomicBool>,
        mut progress: impl FnMut(&TableStatus),
    ) -> Result<LoadedTables, StartError> {
        let (mut tables, handles) = cache::open(settings, stop)?;
        for handle in &handles {
            let loaded = handle.wait_loaded(&mut tables, &mut progress);
            loaded.map_err(|error| match error {
                CacheError::Stopped { .. } => StartError::Stopped,
                other => StartError::Table(other),
            })?;
        }
        Ok(LoadedTables { tables, handles })
    }

    /// The state of each table.
    pub fn statuses(&self) -> impl Iterator<Item = &Arc<TableStatus>> {
        self.handles.iter().map(TableHandle::status)
    }
}

/// Compiles the steps.
///
/// # Errors
///
/// All problems of expressions, templates and paths at once.
pub fn compile(settings: &Settings) -> Result<Pipeline, StartError> {
    Pipeline::compile(settings).map_err(StartError::Configuration)
}

/// What is wrong with the steps, for those who ask before a run.
pub fn problems(settings: &Settings) -> Vec<Problem> {
    Pipeline::compile(settings).err().unwrap_or_default()
}

/// A run under way.
#[derive(Debug)]
pub struct Running {
    /// Asks it to end.
    pub stopper: Arc<Stopper>,
    /// Threads of ours that could run on the hot core; none, if all is well.
    pub intruders: Vec<String>,
    hot: HotThread,
    observer: ObserverHandle,
    _tables: Vec<TableHandle>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How.
    pub ending: Ending,
    /// What was measured.
    pub summary: Summary,
    /// What the hot thread used, from its first turn to its last.
    pub hot_usage: ThreadUsage,
}

impl Running {
    /// Has the histogram files written now, whenever it is called.
    pub fn file_writer(&self) -> impl Fn() + Send + 'static {
        self.observer.file_writer()
    }

    /// True once the group has answered.
    pub fn is_assigned(&self) -> bool {
        self.observer.is_assigned()
    }

    /// True once the run has ended.
    pub fn is_finished(&self) -> bool {
        self.hot.is_finished()
    }

    /// Waits for the end of the run. A fault on the hot thread is one here too.
    pub fn wait(self) -> Finished {
        let (ending, hot_usage) = self.hot.wait();
        Finished { ending, summary: self.observer.finish(), hot_usage }
    }
}

/// Connects, starts the observer, and starts the hot thread.
///
/// # Errors
///
/// If a broker cannot be reached, or files cannot be written.
pub fn start(
    settings: &Settings,
    machine: &Machine,
    pipeline: Pipeline,
    tables: LoadedTables,
) -> Result<Running, StartError> {
    let clock = TscClock::new();
    let wall = WallOffset::new(&clock);
    let topics = vec![settings.sink.topic.clone(), settings.dead_letters.topic.clone()];
    let sinks = open_sinks(settings, &clock)?;
    let source = KafkaSource::open(&settings.source, &settings.instance, clock.clone());
    let source = source.map_err(broker_error)?;
    let setup = Setup::new(settings, topics);
    let (hot_side, observer) = Observer::start(setup, clock.clone(), wall.clone())?;
    let (stopper, control) = control::control()?;
    let LoadedTables { tables, handles } = tables;
    let steps = Steps::new(pipeline, tables);
    let options = options(settings);
    let hot = runner::start(machine.choice.core, machine.idle, move || {
        Engine::new((clock, wall), (source, sinks), steps, hot_side, control, options)
    })?;
    let intruders = machine.intruders(hot.id());
    Ok(Running { stopper: Arc::new(stopper), intruders, hot, observer, _tables: handles })
}

/// One producer for results and dead letters, or two where their clusters or settings differ.
fn open_sinks(settings: &Settings, clock: &TscClock) -> Result<Split<KafkaSink>, StartError> {
    let (sink, dead) = (&settings.sink, &settings.dead_letters);
    let open = |peer, client, topics: &[String]| {
        KafkaSink::open_as(peer, client, topics, clock.clone()).map_err(broker_error)
    };
    if sink.client == dead.client {
        let both = [sink.topic.clone(), dead.topic.clone()];
        return open("sink", &sink.client, &both).map(Split::one);
    }
    let results = open("sink", &sink.client, std::slice::from_ref(&sink.topic))?;
    let letters = open("dead_letters", &dead.client, std::slice::from_ref(&dead.topic))?;
    Ok(Split::two(results, DEAD_LETTERS, letters))
}

/// Waits until the source's brokers answer and its topics are there, at most
/// `engine.start_timeout`.
///
/// # Errors
///
/// If they are not in time, will never be (a wrong password), or `stop` became true.
pub fn await_topics(settings: &Settings, stop: &AtomicBool) -> Result<(), StartError> {
    let source = &settings.source;
    let timeout = settings.engine.start_timeout;
    let deadline = Instant::now() + timeout;
    let admin = KafkaAdmin::connect_unless("source", &source.client, timeout, stop);
    if stop.load(Ordering::Acquire) {
        return Err(StartError::Stopped);
    }
    let admin = admin.map_err(broker_error)?;
    for topic in &source.topics {
        let mut told = false;
        while admin.partitions(topic).map_err(broker_error)?.is_none() {
            if stop.load(Ordering::Acquire) {
                return Err(StartError::Stopped);
            }
            if Instant::now() >= deadline {
                return Err(StartError::Broker(format!(
                    "topic {topic:?} is not on {} within engine.start_timeout of {timeout:?}; \
                     make it, or run `hotspur check --connect --create`",
                    source.client.brokers
                )));
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(event = "topic.missing", topic, "waiting for it to be made");
            }
            thread::park_timeout(TOPIC_PAUSE);
        }
    }
    Ok(())
}

fn options(settings: &Settings) -> Options {
    let nanos = |duration: Duration| duration.as_nanos() as u64;
    Options {
        name: settings.name.clone(),
        order: match settings.delivery.guarantee {
            Guarantee::AtLeastOnce => Order::ProcessThenCommit,
            Guarantee::AtMostOnce => Order::CommitThenProcess,
        },
        in_flight: settings.limits.in_flight,
        in_flight_bytes: settings.limits.in_flight_bytes,
        batch: settings.limits.batch,
        dead_letters: DEAD_LETTERS,
        streams_headers: settings.dead_letters.streams_headers,
        commit_interval_ns: nanos(settings.delivery.commit_interval),
        publish_interval_ns: nanos(settings.observe.interval.min(PUBLISH_EVERY)),
        drain_timeout_ns: nanos(settings.engine.drain_timeout),
    }
}

fn broker_error(trouble: Trouble) -> StartError {
    StartError::Broker(trouble.text.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_that_keeps_no_thread_on_a_core_runs_unpinned_and_says_so() {
        let second = Duration::from_secs(1);
        let engine = settings::Engine {
            core: settings::Core::Auto,
            idle: Idle::Auto,
            housekeeping_cores: Some(vec![0]),
            start_timeout: second,
            drain_timeout: second,
        };
        let machine = Machine::among(&Cores::default(), &engine).unwrap();
        assert_eq!(machine.choice.core, None);
        assert_eq!(machine.idle.name(), "park");
        let told = [
            "the hot thread is not pinned: this system does not keep threads on cores",
            "engine.housekeeping_cores: this system does not keep threads on cores",
        ];
        assert_eq!(machine.choice.caveats, told);
    }
}
