//! What a run shows of itself to whoever asks over HTTP: the same facts for metrics (`metrics`),
//! the live page (`standing`) and readiness.
//!
//! The observer puts its sums here with every interval; the endpoint reads them. The hot thread
//! knows nothing of either.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;

mod metrics;
mod standing;
mod state;

pub use state::{StateFigures, StateSource, StatefulStepFigures};

use crate::{
    clock::Clock,
    measure::{Counters, Interval, Regime, SlowBook, Stage},
    observe::{
        Facts, Notice, Switch,
        latency_metrics::LatencyMetrics,
        live::{Live, Stretch},
        readiness::Readiness,
        slow::{self, Teller, cause::Cause},
    },
};

/// Intervals that may be missing before the hot thread counts as stuck: it hands one over when it
/// is asked, also when it is idle.
const HEALTHY_WITHIN: Duration = Duration::from_secs(10);

/// Slow records that the live page has.
const SLOW_SHOWN: usize = 10;

/// A table, as its side thread sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableFigures {
    /// Its name.
    pub name: String,
    /// Entries in the copy.
    pub entries: u64,
    /// Bytes of the copy.
    pub bytes: u64,
    /// How old answers may be, if that is known.
    pub age: Option<Duration>,
    /// The copy follows its source.
    pub is_fresh: bool,
    /// Whole loads.
    pub loads: u64,
    /// Loads that broke off or were refused.
    pub failed_loads: u64,
    /// Troubles so far.
    pub errors: u64,
    /// The last trouble in words, while it lasts.
    pub trouble: String,
    /// The age that makes the run unready, where it acts on one.
    pub max_age: Option<Duration>,
}

/// A partition that is read, and how far behind the run is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LagFigures {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// Records that are there and not taken.
    pub records: u64,
    /// How long the first of them has been there, as far as this run saw it.
    pub oldest: Duration,
}

/// Entries of a stream that were given to consumers and not acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingFigures {
    /// The stream.
    pub stream: String,
    /// How long the oldest of them has been there.
    pub oldest: Duration,
    /// Consumers, each with its number of them.
    pub consumers: Vec<(String, u64)>,
}

/// Reads what is pending in all streams.
pub type PendingSource = Box<dyn Fn() -> Vec<PendingFigures> + Send + Sync>;

/// Reads the lag of all partitions.
pub type LagSource = Box<dyn Fn() -> Vec<LagFigures> + Send + Sync>;

/// Reads a table's figures.
pub type TableSource = Box<dyn Fn() -> TableFigures + Send + Sync>;

/// The facts of one run.
pub struct Exposed {
    facts: Facts,
    /// Topics by `Destination`, once all are known.
    destinations: OnceLock<Vec<String>>,
    switch: Arc<Switch>,
    live: Live,
    state: Mutex<State>,
}

struct State {
    tables: Vec<TableSource>,
    lag: Option<LagSource>,
    pending: Option<PendingSource>,
    /// How state of steps is found out, if they keep any.
    kept: Option<StateSource>,
    is_started: bool,
    counters: Counters,
    /// Seconds in each regime, in the order of `Regime::ALL`.
    regimes: [f64; Regime::COUNT],
    skewed: u64,
    /// Of the last interval.
    saturation: f64,
    latencies: LatencyMetrics,
    /// Slow records by the stage that took most of their time, and stalls by what they are put
    /// down to.
    slow: [u64; Stage::ALL.len()],
    stalls: [u64; Cause::COUNT],
    /// The last slow records as their lines, in the order in which they were acknowledged.
    last_slow: VecDeque<Value>,
    heard: Instant,
    readiness: Readiness,
    /// Errors by peer and code.
    errors: BTreeMap<(&'static str, &'static str), u64>,
}

impl Exposed {
    /// Of a run that is starting.
    pub fn new(facts: Facts) -> Exposed {
        let state = State {
            tables: Vec::new(),
            lag: None,
            pending: None,
            kept: None,
            is_started: false,
            counters: Counters::ZERO,
            regimes: [0.0; Regime::COUNT],
            skewed: 0,
            saturation: 0.0,
            latencies: LatencyMetrics::default(),
            slow: [0; Stage::ALL.len()],
            stalls: [0; Cause::COUNT],
            last_slow: VecDeque::new(),
            heard: Instant::now(),
            readiness: Readiness::default(),
            errors: BTreeMap::new(),
        };
        let (switch, live) = (Arc::default(), Live::default());
        Exposed { facts, destinations: OnceLock::new(), switch, live, state: Mutex::new(state) }
    }

    /// The topics that results go to are known, with those that were asked for at the start: by
    /// their destinations' numbers, and without a name where no results go.
    pub fn name_destinations(&self, destinations: Vec<String>) {
        // Once: a run begins once.
        let _ = self.destinations.set(destinations);
    }

    /// The tables are loaded, and the hot thread begins.
    pub fn started(&self, tables: Vec<TableSource>) {
        let mut state = self.state();
        (state.tables, state.is_started, state.heard) = (tables, true, Instant::now());
    }

    /// How the lag is found out from now on.
    pub fn read_lag_by(&self, source: LagSource) {
        self.state().lag = Some(source);
    }

    /// How it is found out from now on what is pending in streams.
    pub fn read_pending_by(&self, source: PendingSource) {
        self.state().pending = Some(source);
    }

    /// How state of steps is found out from now on.
    pub fn read_state_by(&self, source: StateSource) {
        self.state().kept = Some(source);
    }

    /// What does not change.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What people ask of the hot thread, and what it says back.
    pub fn switch(&self) -> &Arc<Switch> {
        &self.switch
    }

    /// What the live page shows.
    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    /// True once the hot thread begins.
    pub(super) fn is_started(&self) -> bool {
        self.state().is_started
    }

    /// True once the run has begun to end.
    pub(super) fn is_ending(&self) -> bool {
        self.state().readiness.is_draining()
    }

    /// Takes a notice in.
    pub(super) fn hear(&self, notice: &Notice) {
        let mut state = self.state();
        state.readiness.hear(notice);
        if let Notice::Trouble(trouble) | Notice::CommitFailed(trouble) = notice {
            *state.errors.entry((trouble.peer, trouble.code)).or_default() += 1;
        }
    }

    /// Takes an interval in, and the sums of the run so far.
    pub(super) fn count(
        &self,
        interval: &Interval,
        total: &Interval,
        regimes: [f64; Regime::COUNT],
    ) {
        let mut state = self.state();
        let now = Instant::now();
        state.counters.clone_from(&total.counters);
        state.latencies.add(&interval.histograms, now);
        state.saturation = interval.regimes.saturation();
        (state.regimes, state.skewed, state.heard) = (regimes, total.skewed(), now);
    }

    /// Takes the slow records and stalls of an interval in. The slowest that were fast enough are
    /// no slow records; those that were left out waited in the queue, as victims of a stall do.
    pub(super) fn count_slow<C: Clock>(&self, teller: &Teller<'_, C>, book: &SlowBook) {
        let mut past: Vec<_> = book.records().filter(|it| it.is_past).collect();
        past.sort_by_key(|it| it.acknowledged);
        let shown = past.len().saturating_sub(SLOW_SHOWN);
        let lines: Vec<_> = past[shown..].iter().map(|it| teller.line(it)).collect();
        let mut state = self.state();
        state.slow[Stage::Queue as usize] += book.left_out;
        for record in &past {
            state.slow[slow::longest(teller.clock, record).0 as usize] += 1;
        }
        state.last_slow.extend(lines);
        let old = state.last_slow.len().saturating_sub(SLOW_SHOWN);
        state.last_slow.drain(..old);
        for stall in book.stalls() {
            state.stalls[teller.cause_of(stall) as usize] += 1;
        }
        state.stalls[Cause::Unknown as usize] += book.stalls_left_out;
    }

    /// Hands an interval on to whoever looks; it has been counted.
    pub(super) fn show(&self, interval: &Interval, total: &Interval, at: Stretch) {
        self.live.take(interval, total, at, || self.standing());
    }

    /// The group has answered.
    pub(super) fn is_assigned(&self) -> bool {
        self.state().readiness.is_assigned
    }

    /// Whether the hot thread turns; it need not have begun.
    pub fn is_healthy(&self) -> bool {
        let state = self.state();
        !state.is_started || state.heard.elapsed() < HEALTHY_WITHIN
    }

    /// Why records are not taken, each reason in a sentence; none if they are.
    pub fn unready(&self) -> Vec<String> {
        let state = self.state();
        if !state.is_started {
            return vec!["starting: the tables are being loaded".to_owned()];
        }
        let restoring = state.kept.as_ref().and_then(|kept| kept().reason());
        let mut reasons = state.readiness.reasons(restoring.is_some());
        reasons.extend(restoring);
        reasons.extend(self.switch.causes().map(|cause| state.readiness.why_paused(cause)));
        reasons.extend(state.tables.iter().filter_map(|table| stale(&table())));
        reasons
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stale(table: &TableFigures) -> Option<String> {
    let max = table.max_age?;
    let TableFigures { name, age, trouble, .. } = table;
    let reason = if trouble.is_empty() { String::new() } else { format!(": {trouble}") };
    match age {
        Some(age) if *age <= max => None,
        Some(age) => Some(format!("table {name} is stale, {age:?} old{reason}")),
        None => Some(format!("table {name} is stale, its age is unknown{reason}")),
    }
}

impl std::fmt::Debug for Exposed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exposed").field("facts", &self.facts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        observe::{BreakerFacts, PauseCause, exposition::Format},
        verdict::RejectClass,
    };

    fn table(age: Option<Duration>) -> TableFigures {
        TableFigures {
            name: "users".to_owned(),
            entries: 3,
            age,
            trouble: "redis://host did not answer in time".to_owned(),
            max_age: Some(Duration::from_secs(5)),
            ..TableFigures::default()
        }
    }

    #[test]
    fn a_stale_table_makes_a_run_unready_and_says_why() {
        let exposed = Exposed::new(Facts::default());
        assert_eq!(exposed.unready(), ["starting: the tables are being loaded"]);
        for (age, sentence) in [
            (Some(Duration::from_secs(5)), None),
            (Some(Duration::from_secs(6)), Some("table users is stale, 6s old: redis://host did")),
            (None, Some("table users is stale, its age is unknown: redis://host did")),
        ] {
            exposed.started(vec![Box::new(move || table(age))]);
            exposed.hear(&Notice::Assigned { partitions: 1, owned: 1 });
            let reasons = exposed.unready();
            match sentence {
                None => assert!(reasons.is_empty(), "{reasons:?}"),
                Some(sentence) => assert!(reasons[0].starts_with(sentence), "{reasons:?}"),
            }
        }
        let serves = TableFigures { max_age: None, ..table(None) };
        exposed.started(vec![Box::new(move || serves.clone())]);
        assert!(exposed.unready().is_empty());
        assert!(exposed.is_healthy());
    }

    #[test]
    fn a_pause_makes_a_run_unready_and_is_seen_in_the_metrics() {
        let exposed = Exposed::new(Facts::default());
        exposed.started(Vec::new());
        exposed.hear(&Notice::Assigned { partitions: 1, owned: 1 });
        let (class, stops) = (RejectClass::NotJson, false);
        let facts = BreakerFacts { class, of_class: 7, rejected: 8, window: 10, stops };
        exposed.hear(&Notice::BreakerOpened(facts));
        let switch = exposed.switch();
        switch.tell_rejected(8, 10);
        let causes = [PauseCause::Asked, PauseCause::Breaker];
        switch.hear(switch.pause(), causes.into_iter());
        let [asked, breaker] = <[String; 2]>::try_from(exposed.unready()).unwrap();
        assert_eq!(asked, "paused: told to pause; `hotspur resume` goes on");
        assert!(breaker.starts_with("breaker: 8 of the last 10 records were rejected (80.0 %), 7"));
        let lines = |lines: [&str; 3]| {
            let text = exposed.metrics(Format::Text);
            lines.iter().all(|line| text.lines().any(|it| it == *line))
        };
        let open = ["hotspur_paused 1", "hotspur_breaker_open 1", "hotspur_rejected_ratio 0.8"];
        assert!(lines(open));
        switch.hear(switch.resume(), std::iter::empty());
        switch.tell_rejected(0, 0);
        assert!(exposed.unready().is_empty());
        let closed = ["hotspur_paused 0", "hotspur_breaker_open 0", "hotspur_rejected_ratio 0"];
        assert!(lines(closed));
    }
}
