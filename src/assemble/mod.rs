//! Settings become an engine and its side threads: the only place to name concrete parts.
//!
//! The order matters. First the cores: everything that is started afterwards inherits the
//! housekeeping cores, so a client library's threads never land on the hot one. Then tables:
//! nothing may be consumed before their first copy is whole. Then brokers and topics, the observer,
//! and last the hot thread, which pins itself and takes its memory where it will use it.
//!
//! What this does not do: read a command line, print, or decide an exit status.

mod alone;
mod connections;
mod destinations;
mod exposing;
mod feeding;
mod keeping;
mod listening;
mod machine;
mod peers;
mod positions;
mod range;
mod state;
mod steps;
mod streams;
mod topics;

pub use alone::StepsAlone;
pub use connections::{Creation, check_connections};
pub use destinations::Destinations;
pub use exposing::{Exposing, expose};
pub use feeding::{Feed, StreamFeed};
pub use keeping::Keeping;
pub use listening::{GroupStanding, Tail};
pub use machine::Machine;
pub use range::check_range;
pub use state::{Restoring, stateful_steps};
pub use steps::Steps;
pub use topics::{await_topics, learn_topics};

use std::{
    net::SocketAddr,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use self::peers::{Parts, Peers};
use crate::{
    cache::{self, CacheError, OwnedValue, Sought, TableHandle, TableStatus, Tables},
    clock::{Clock, TscClock, WallOffset},
    config::{
        Problem, Settings,
        settings::{self, Guarantee},
    },
    delivery::Order,
    engine::{
        Ending, Options, Retry,
        breaker::Rule,
        control::{self, Stopper},
        runner::HotThread,
    },
    host::{CoreLock, Cores, HostError, ThreadUsage},
    measure::{Interval, Stages},
    observe::{ObserveError, Observer, ObserverHandle, Summary},
    pipeline::Pipeline,
    record::Destination,
    transport::{
        Trouble,
        kafka::{Spinning, StateRestorer},
    },
};

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
    /// Nobody can listen there.
    #[error("observe.listen: {0}: {1}; take another port, 0 for a free one, or \"off\"")]
    Listen(SocketAddr, std::io::Error),
    /// What was asked for cannot be had, in words.
    #[error("{0}")]
    Refused(String),
    /// Another process has what only one may have, in words.
    #[error("{0}")]
    Taken(String),
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

/// How long a person waits for one value at least, and how often is looked whether it is there.
const FETCH_PATIENCE: Duration = Duration::from_secs(5);
const FETCH_LOOK_EVERY: Duration = Duration::from_millis(1);

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
    /// If one is not there in time, never will be, or is empty and must not be, or `stop` became
    /// true meanwhile; from then on it means nothing to the tables.
    pub fn open(
        settings: &[settings::Table],
        stop: &AtomicBool,
        mut progress: impl FnMut(&TableStatus),
    ) -> Result<LoadedTables, StartError> {
        let (mut tables, handles) = cache::open(settings)?;
        for handle in &handles {
            let loaded = handle.wait_loaded(&mut tables, |status| {
                progress(status);
                match stop.load(Ordering::Acquire) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            loaded.map_err(|error| match error {
                CacheError::Stopped { .. } => StartError::Stopped,
                other => StartError::Table(other),
            })?;
        }
        Ok(LoadedTables { tables, handles })
    }

    /// The value of a key, if the table has it, and how old the answer may be in nanoseconds, if
    /// that is known. `None` if there is no answer in time.
    pub fn fetch(&mut self, table: usize, key: &[u8]) -> Option<(Option<OwnedValue>, Option<u64>)> {
        let (clock, start) = (TscClock::new(), Instant::now());
        let patience = self.tables.wait(table).max(FETCH_PATIENCE);
        loop {
            self.tables.begin_turn(clock.now());
            let found = match self.tables.seek(table, key) {
                Sought::Found(it) => Some(OwnedValue { kind: it.kind, bytes: it.bytes.to_vec() }),
                Sought::Absent => None,
                Sought::Unknown(_) if start.elapsed() >= patience => return None,
                Sought::Unknown(_) => {
                    thread::park_timeout(FETCH_LOOK_EVERY);
                    continue;
                }
            };
            return Some((found, self.tables.age_ns(table, clock.now())));
        }
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

/// What is wrong with the steps, and what asks more of this machine than it has.
pub fn problems_here(settings: &Settings) -> Vec<Problem> {
    let mut problems = problems(settings);
    problems.extend(machine::too_small(&Cores::read(Path::new("/")), &settings.engine));
    problems
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
    tables: Vec<TableHandle>,
    /// Reads state back, if steps keep any.
    restorer: Option<StateRestorer>,
    exposing: Exposing,
    /// The file of positions is ours, if there is one.
    lock: Option<CoreLock>,
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

    /// Has the files of tables read again, changed or not, and logins taken from the settings that
    /// are handed in, whenever it is called. Names the tables that have another login than before.
    pub fn table_rereader(&self) -> impl Fn(&Settings) -> Vec<String> + Send + 'static {
        let rereaders: Vec<_> = self.tables.iter().map(TableHandle::rereader).collect();
        let renewers: Vec<_> = self.tables.iter().map(TableHandle::renewer).collect();
        move |settings| {
            rereaders.iter().for_each(|reread| reread());
            let tables = settings.tables.iter().zip(&renewers);
            let renewed = tables.filter(|(table, renew)| renew(table).is_ok_and(|it| it));
            renewed.map(|(table, _)| table.name.clone()).collect()
        }
    }

    /// All that was measured up to now. `None` if the hot thread has ended.
    pub fn snapshot(&self) -> Option<Box<Interval>> {
        self.observer.snapshot()
    }

    /// Where it says over HTTP what it does, if anywhere.
    pub fn address(&self) -> Option<SocketAddr> {
        self.exposing.address()
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
        cache::close(self.tables);
        drop((self.restorer, self.lock));
        Finished { ending, summary: self.observer.finish(), hot_usage }
    }
}

/// Connects, starts the observer, and starts the hot thread.
///
/// # Errors
///
/// If a broker cannot be reached, files cannot be written, or `stop` became true.
pub fn start(
    settings: &Settings,
    machine: &Machine,
    mut pipeline: Pipeline,
    tables: LoadedTables,
    exposing: Exposing,
    stop: &AtomicBool,
) -> Result<Running, StartError> {
    let clock = TscClock::new();
    let wall = WallOffset::new(&clock);
    let spinning = machine.spinning();
    let guard = spinning.as_ref().map(Spinning::enter);
    learn_topics(settings, &mut pipeline, stop)?;
    let stateful = state::stateful_steps_of(pipeline.stores());
    let destinations = Destinations::new(settings, pipeline.topics(), !stateful.is_empty());
    let (positions, lock) = positions::open(settings)?.unzip();
    let mut peers = Peers::open(settings, &destinations, positions, &clock, stop)?;
    drop(guard);
    let (restorer, restored) = match Restoring::start(settings, &stateful)? {
        Some(Restoring { shared, restorer, entries }) => {
            exposing.restores(&shared);
            peers.restore_by(shared);
            (Some(restorer), Some(entries))
        }
        None => (None, None),
    };
    if let Some(spinning) = &spinning {
        spinning.verify().map_err(StartError::Refused)?;
    }
    if let Some(lag) = peers.lag() {
        exposing.reads(lag);
    }
    if let Some(watch) = peers.watch(settings)? {
        exposing.watches(watch);
    }
    let setup = exposing.setup(settings, destinations.counted());
    let (hot_side, observer) = Observer::start(setup, clock.clone(), wall.clone())?;
    let (stopper, control) = control::control()?;
    let control = control.with_switch(exposing.switch());
    let LoadedTables { tables, handles } = tables;
    exposing.started(settings, handles.iter().map(TableHandle::status));
    let stopper = Arc::new(stopper);
    let waker = Arc::clone(&stopper);
    tables.wake_with(move || waker.wake());
    let waker = Arc::clone(&stopper);
    exposing.switch().wake_with(move || waker.wake());
    let waker = Arc::clone(&stopper);
    let keep = |restored, state| {
        let kept_at = (settings.source.topics.clone(), state);
        Keeping::start(restored, pipeline.stores(), kept_at, move || waker.wake())
    };
    let keeping = restored.zip(destinations.state()).map(|(it, state)| keep(it, state));
    let keeping = keeping.transpose()?;
    let process = Steps::new(pipeline, tables, (clock.clone(), wall.clone())).keeping(keeping);
    let options = options(settings, destinations.letters());
    let breaker = settings.delivery.breaker.map(rule);
    let parts = Parts { time: (clock, wall), process, hot_side, control, options, breaker };
    let hot = peers.run(machine.manner(), parts)?;
    let intruders = machine.intruders(hot.id());
    let tables = handles;
    Ok(Running { stopper, intruders, hot, observer, tables, restorer, exposing, lock })
}

/// How what may heal is tried again.
pub fn retry(settings: &Settings) -> Retry {
    let settings::Retry { attempts, backoff, max_backoff } = settings.delivery.retry;
    let [backoff_ns, max_backoff_ns] = [backoff, max_backoff].map(|it| it.as_nanos() as u64);
    Retry { attempts, backoff_ns, max_backoff_ns }
}

fn options(settings: &Settings, dead_letters: Destination) -> Options {
    let nanos = |duration: Duration| duration.as_nanos() as u64;
    Options {
        name: settings.name.clone(),
        order: match settings.delivery.guarantee {
            Guarantee::AtLeastOnce => Order::ProcessThenCommit,
            Guarantee::AtMostOnce => Order::CommitThenProcess,
            Guarantee::ExactlyOnce => Order::Together,
        },
        in_flight: settings.limits.in_flight,
        in_flight_bytes: settings.limits.in_flight_bytes,
        batch: settings.limits.batch,
        waiting: settings.records_waiting(),
        retry: retry(settings),
        dead_letters,
        streams_headers: settings.dead_letters.streams_headers,
        commit_interval_ns: nanos(settings.delivery.commit_interval),
        transaction_timeout_ns: nanos(settings.delivery.transaction_timeout),
        stages: match settings.latency.are_stages_sampled {
            true => Stages::Sampled,
            false => Stages::All,
        },
        slow_ns: nanos(settings.latency.slow),
        publish_interval_ns: nanos(settings.observe.interval.min(PUBLISH_EVERY)),
        drain_timeout_ns: nanos(settings.engine.drain_timeout),
    }
}

fn rule(breaker: settings::Breaker) -> Rule {
    let settings::Breaker { rejected: share, window, within, stops } = breaker;
    Rule { share, window, within_ns: within.as_nanos() as u64, stops }
}

fn broker_error(trouble: Trouble) -> StartError {
    StartError::Broker(format!("{}: {}", trouble.peer, trouble.text))
}
