//! What a run shows of itself: its facts and figures, and the endpoint that serves them.

use std::{net::SocketAddr, path::Path, sync::Arc};

use super::{Machine, StartError};
#[cfg(target_os = "linux")]
use crate::observe::service::Service;
use crate::{
    cache::TableStatus,
    clock::TscClock,
    config::{
        Settings,
        settings::{self, OnStale},
    },
    host,
    observe::{
        Endpoint, Exposed, Facts, Labels, LagFigures, PendingFigures, Setup, StateFigures,
        StatefulStepFigures, Switch, TableFigures, TableSource,
    },
    transport::{
        kafka::{Behind, LagBoard},
        redis::{StreamFigures, StreamWatch},
        restore::{RESTORE_BOUNDS_MS, Restoration, RestoreFigures, StepFigures},
    },
};

/// Begins to say over HTTP what the run is doing, if anybody is to be told. `broker` is in words.
///
/// # Errors
///
/// If the address cannot be had.
pub fn expose(
    settings: &Settings,
    machine: &Machine,
    broker: &str,
) -> Result<Exposing, StartError> {
    let core = machine.choice.core.map_or_else(|| "none".to_owned(), |core| core.to_string());
    let facts = Facts {
        name: settings.name.clone(),
        instance: settings.instance.clone(),
        profile: settings.profile.clone(),
        core,
        guarantee: settings.delivery.guarantee.name().to_owned(),
        labels: Labels::new(&settings.steps, destinations(settings)),
        circumstances: circumstances(settings, machine, broker),
    };
    let exposed = Arc::new(Exposed::new(facts));
    let endpoint = settings.observe.listen.map(|listen| {
        let endpoint = Endpoint::start(listen, exposed.clone(), settings.observe.token.clone());
        endpoint.map_err(|error| StartError::Listen(listen, error))
    });
    let endpoint = endpoint.transpose()?;
    #[cfg(target_os = "linux")]
    let service = Service::start(exposed.clone()).map_err(StartError::System)?;
    Ok(Exposing {
        exposed,
        endpoint,
        #[cfg(target_os = "linux")]
        _service: service,
    })
}

/// What tells one run's figures from another's, beside its names.
fn circumstances(
    settings: &Settings,
    machine: &Machine,
    broker: &str,
) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("isolated", if machine.choice.isolated { "yes" } else { "no" }.to_owned()),
        ("idle", machine.idle.name().to_owned()),
        ("source", settings.source.topics.join(" ")),
        ("sink", settings.sink.topic.clone()),
        ("broker", broker.to_owned()),
    ];
    facts.extend(host::facts(Path::new("/")));
    facts
}

/// The endpoint and what it reads.
#[derive(Debug)]
pub struct Exposing {
    exposed: Arc<Exposed>,
    endpoint: Option<Endpoint>,
    #[cfg(target_os = "linux")]
    _service: Option<Service>,
}

impl Exposing {
    /// What people ask of the hot thread.
    pub(super) fn switch(&self) -> &Arc<Switch> {
        self.exposed.switch()
    }

    /// What the observer needs to know.
    pub(super) fn setup(&self, settings: &Settings, destinations: Vec<String>) -> Setup {
        let clock = TscClock::new().describe();
        self.exposed.name_destinations(destinations.clone());
        Setup::new(settings, destinations, clock, self.exposed.clone())
    }

    /// The tables are loaded, and the hot thread begins.
    pub(super) fn started<'a>(
        &self,
        settings: &Settings,
        statuses: impl Iterator<Item = &'a Arc<TableStatus>>,
    ) {
        let tables = settings.tables.iter().zip(statuses);
        self.exposed.started(tables.map(|(table, status)| table_source(table, status)).collect());
    }

    /// How far behind the source is, from now on.
    pub(super) fn reads(&self, lag: &Arc<LagBoard>) {
        let lag = Arc::clone(lag);
        self.exposed.read_lag_by(Box::new(move || {
            let behind = lag.read();
            behind.into_iter().map(lag_figures).collect()
        }));
    }

    /// How the streams of the source stand, from now on.
    pub(super) fn watches(&self, watch: StreamWatch) {
        let watch = Arc::new(watch);
        let lag = Arc::clone(&watch);
        self.exposed.read_lag_by(Box::new(move || {
            let of_stream = |it: StreamFigures| LagFigures {
                topic: it.stream,
                partition: 0,
                records: it.lag.unwrap_or(0),
                oldest: it.lag_age,
            };
            lag.read().into_iter().map(of_stream).collect()
        }));
        self.exposed.read_pending_by(Box::new(move || {
            let of_stream = |it: StreamFigures| PendingFigures {
                stream: it.stream,
                oldest: it.pending_age,
                consumers: it.pending,
            };
            watch.read().into_iter().map(of_stream).collect()
        }));
    }

    /// How far restoring state is, from now on.
    pub(super) fn restores(&self, restoration: &Arc<Restoration>) {
        let restoration = Arc::clone(restoration);
        self.exposed.read_state_by(Box::new(move || state_figures(restoration.figures())));
    }

    /// Where the endpoint listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.endpoint.as_ref().map(|endpoint| endpoint.address)
    }
}

/// Topics by the number of their destination, before it is known which ones begin with a prefix.
fn destinations(settings: &Settings) -> Vec<String> {
    let results = settings.result_topics().into_iter().map(|(_, topic)| topic);
    results.chain([settings.dead_letters.topic.clone()]).collect()
}

fn lag_figures(it: Behind) -> LagFigures {
    let Behind { topic, partition, records, oldest } = it;
    LagFigures { topic, partition, records, oldest }
}

fn state_figures(it: RestoreFigures) -> StateFigures {
    let step = |it: StepFigures| StatefulStepFigures {
        step: it.step,
        restored_entries: it.restored_entries,
        restored_bytes: it.restored_bytes,
        entries: it.entries,
        bytes: it.bytes,
    };
    StateFigures {
        partitions: it.partitions,
        complete: it.complete,
        entries: it.entries,
        steps: it.steps.into_iter().map(step).collect(),
        time_bounds_ms: &RESTORE_BOUNDS_MS,
        times: it.times.to_vec(),
        time_sum: it.time_sum,
    }
}

/// How a table's figures are read.
fn table_source(settings: &settings::Table, status: &Arc<TableStatus>) -> TableSource {
    let max_age = (settings.on_stale != OnStale::Serve).then_some(settings.max_staleness);
    let status = status.clone();
    Box::new(move || TableFigures {
        name: status.name().to_owned(),
        entries: status.entries(),
        bytes: status.bytes(),
        age: status.age(),
        is_fresh: status.is_fresh(),
        loads: status.loads(),
        failed_loads: status.failed_loads(),
        errors: status.errors(),
        trouble: if status.is_fresh() { String::new() } else { status.last_error() },
        max_age,
    })
}
