//! What a run shows of itself to whoever asks over HTTP: the same facts for metrics and readiness.
//!
//! The observer puts its sums here with every interval; the endpoint reads them. The hot thread
//! knows nothing of either.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    clock::Clock,
    measure::{Counters, Interval, Regime, SlowBook, Stage},
    observe::{
        Facts, Notice, PauseCause, Switch,
        exposition::{Exposition, Format, Kind},
        latency_metrics::LatencyMetrics,
        readiness::Readiness,
        slow::{self, Teller, cause::Cause},
    },
    verdict::{RejectClass, SkipClass},
};

/// Intervals that may be missing before the hot thread counts as stuck: it hands one over when it
/// is asked, also when it is idle.
const HEALTHY_WITHIN: Duration = Duration::from_secs(10);

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

/// Reads a table's figures.
pub type TableSource = Box<dyn Fn() -> TableFigures + Send + Sync>;

/// The facts of one run.
pub struct Exposed {
    facts: Facts,
    switch: Arc<Switch>,
    state: Mutex<State>,
}

struct State {
    tables: Vec<TableSource>,
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
            is_started: false,
            counters: Counters::ZERO,
            regimes: [0.0; Regime::COUNT],
            skewed: 0,
            saturation: 0.0,
            latencies: LatencyMetrics::default(),
            slow: [0; Stage::ALL.len()],
            stalls: [0; Cause::COUNT],
            heard: Instant::now(),
            readiness: Readiness::default(),
            errors: BTreeMap::new(),
        };
        Exposed { facts, switch: Arc::default(), state: Mutex::new(state) }
    }

    /// The tables are loaded, and the hot thread begins.
    pub fn started(&self, tables: Vec<TableSource>) {
        let mut state = self.state();
        (state.tables, state.is_started, state.heard) = (tables, true, Instant::now());
    }

    /// What does not change.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What people ask of the hot thread, and what it says back.
    pub fn switch(&self) -> &Arc<Switch> {
        &self.switch
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
        let mut state = self.state();
        state.slow[Stage::Queue as usize] += book.left_out;
        for record in book.records().filter(|it| it.is_past) {
            state.slow[slow::longest(teller.clock, record).0 as usize] += 1;
        }
        for stall in book.stalls() {
            state.stalls[teller.cause_of(stall) as usize] += 1;
        }
        state.stalls[Cause::Unknown as usize] += book.stalls_left_out;
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
        let mut reasons = state.readiness.reasons();
        reasons.extend(self.switch.causes().map(|cause| state.readiness.why_paused(cause)));
        reasons.extend(state.tables.iter().filter_map(|table| stale(&table())));
        reasons
    }

    /// All metrics as text.
    pub fn metrics(&self, format: Format) -> String {
        let mut text = Exposition::new(format);
        let state = self.state();
        self.info(&mut text);
        self.records(&mut text, &state);
        let counters = &state.counters;
        let [turns, origins] = [counters.turns, counters.origin_missing];
        text.family(Kind::Counter, "hotspur_turns", "Turns of the duty cycle.").sample(&[], turns);
        let help = "Records without a usable origin time.";
        text.family(Kind::Counter, "hotspur_origin_missing", help).sample(&[], origins);
        let help = "Records whose origin lay ahead of this machine's clock.";
        text.family(Kind::Counter, "hotspur_skewed_records", help).sample(&[], state.skewed);
        text.family(Kind::Counter, "hotspur_commits", "Commits of offsets.")
            .sample(&[("result", "ok")], counters.commits)
            .sample(&[("result", "failed")], counters.commits_failed);
        let help = "Times that the group gave or took partitions.";
        text.family(Kind::Counter, "hotspur_rebalances", help).sample(&[], counters.rebalances);
        let help = "Time of the hot thread by what it did.";
        let duty = text.family(Kind::Counter, "hotspur_duty_seconds", help);
        for (regime, seconds) in Regime::ALL.iter().zip(state.regimes) {
            duty.sample(&[("regime", regime.name())], seconds);
        }
        let help = "Working of working and idle in the last interval: near 1 records wait.";
        text.family(Kind::Gauge, "hotspur_saturation_ratio", help).sample(&[], state.saturation);
        let help = "How far ahead of this machine's clock an origin lay at most.";
        let ahead = counters.skew_ns_max as f64 / 1e9;
        text.family(Kind::Gauge, "hotspur_skew_max_seconds", help).sample(&[], ahead);
        let help = "Records taken and not settled, and bytes of them.";
        let in_flight = [counters.in_flight_records, counters.in_flight_bytes];
        for (name, figure) in
            ["hotspur_in_flight_records", "hotspur_in_flight_bytes"].iter().zip(in_flight)
        {
            text.family(Kind::Gauge, name, help).sample(&[], figure);
        }
        state.latencies.write(&mut text, Instant::now());
        slow_text(&mut text, &state);
        self.pauses(&mut text);
        let tables: Vec<TableFigures> = state.tables.iter().map(|table| table()).collect();
        tables_text(&mut text, &tables, counters);
        peers(&mut text, &state, &tables);
        text.finish()
    }

    fn pauses(&self, text: &mut Exposition) {
        let causes: Vec<_> = self.switch.causes().collect();
        let help = "1 while no records are taken on purpose.";
        let paused = u8::from(!causes.is_empty());
        text.family(Kind::Gauge, "hotspur_paused", help).sample(&[], paused);
        let help = "1 while too many records are rejected.";
        let is_open = u8::from(causes.contains(&PauseCause::Breaker));
        text.family(Kind::Gauge, "hotspur_breaker_open", help).sample(&[], is_open);
        let help = "Share of rejected records among those settled last.";
        let ratio = self.switch.rejected_ratio();
        text.family(Kind::Gauge, "hotspur_rejected_ratio", help).sample(&[], ratio);
    }

    fn info(&self, text: &mut Exposition) {
        let Facts { name, instance, profile, core, guarantee, .. } = &self.facts;
        let labels = [
            ("name", name.as_str()),
            ("instance", instance),
            ("profile", profile),
            ("core", core),
            ("guarantee", guarantee),
        ];
        text.family(Kind::Gauge, "hotspur_info", "The run; always 1.").sample(&labels, 1);
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        text.family(Kind::Gauge, "hotspur_build_info", "The program; always 1.")
            .sample(&version, 1);
    }

    fn records(&self, text: &mut Exposition, state: &State) {
        let (counters, labels) = (&state.counters, &self.facts.labels);
        let help = "Records taken from the source.";
        text.family(Kind::Counter, "hotspur_polled_records", help).sample(&[], counters.polled);
        let help = "Records that were gone from the source before they were read.";
        text.family(Kind::Counter, "hotspur_source_gap_records", help).sample(&[], counters.missed);
        let help = "Records by what became of them.";
        let records = text.family(Kind::Counter, "hotspur_records", help);
        let outcome = ("outcome", "emitted");
        records.sample(&[outcome, ("class", ""), ("step", "")], counters.emitted);
        let skips = counters.skipped.counted().map(|(class, place, count)| {
            ("skipped", SkipClass::ALL.get(class).map_or("", |it| it.name()), place, count)
        });
        let rejects = counters.rejected.counted().map(|(class, place, count)| {
            ("rejected", RejectClass::ALL.get(class).map_or("", |it| it.name()), place, count)
        });
        for (outcome, class, place, count) in skips.chain(rejects) {
            let step = labels.place(place);
            records.sample(&[("outcome", outcome), ("class", class), ("step", &step)], count);
        }
        let help = "Results and dead letters handed over.";
        let results = text.family(Kind::Counter, "hotspur_results", help);
        for (topic, count) in labels.destinations.iter().zip(counters.results) {
            results.sample(&[("topic", topic)], count);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slow_text(text: &mut Exposition, state: &State) {
    let help = "Records past latency.slow in transit, by the stage that took most of their time.";
    let family = text.family(Kind::Counter, "hotspur_slow_records", help);
    for (stage, count) in Stage::ALL.iter().zip(state.slow) {
        family.sample(&[("stage", stage.name())], count);
    }
    let help = "Times that the hot thread stood still, by what that is put down to.";
    let family = text.family(Kind::Counter, "hotspur_stalls", help);
    for (cause, count) in Cause::ALL.iter().zip(state.stalls) {
        family.sample(&[("cause", cause.name())], count);
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

/// A name, its help, and the figure, where there is one.
type Gauge = (&'static str, &'static str, fn(&TableFigures) -> Option<f64>);

fn tables_text(text: &mut Exposition, tables: &[TableFigures], counters: &Counters) {
    let gauges: [Gauge; 4] = [
        ("hotspur_table_entries", "Entries of a table.", |it| Some(it.entries as f64)),
        ("hotspur_table_bytes", "Bytes of a table.", |it| Some(it.bytes as f64)),
        ("hotspur_table_age_seconds", "How old a table's answers may be.", |it| {
            it.age.map(|age| age.as_secs_f64())
        }),
        ("hotspur_table_fresh", "1 while a table follows its source.", |it| {
            Some(f64::from(u8::from(it.is_fresh)))
        }),
    ];
    for (name, help, figure) in gauges {
        let family = text.family(Kind::Gauge, name, help);
        for table in tables {
            if let Some(value) = figure(table) {
                family.sample(&[("table", &table.name)], value);
            }
        }
    }
    let family = text.family(Kind::Counter, "hotspur_table_lookups", "Lookups by their result.");
    for (table, results) in tables.iter().zip(&counters.lookups) {
        for (result, count) in ["hit", "miss", "stale"].iter().zip(results) {
            family.sample(&[("table", &table.name), ("result", result)], count);
        }
    }
    let help = "Loads of a whole table, the first included.";
    let family = text.family(Kind::Counter, "hotspur_table_reloads", help);
    for table in tables {
        let labels = |result| [("table", table.name.as_str()), ("result", result)];
        family.sample(&labels("ok"), table.loads).sample(&labels("failed"), table.failed_loads);
    }
}

fn peers(text: &mut Exposition, state: &State, tables: &[TableFigures]) {
    let help = "1 while a peer answers.";
    let family = text.family(Kind::Gauge, "hotspur_connected", help);
    for peer in ["source", "sink", "dead_letters"] {
        family.sample(&[("peer", peer)], u8::from(state.readiness.is_connected(peer)));
    }
    for table in tables {
        let peer = format!("table:{}", table.name);
        family.sample(&[("peer", &peer)], u8::from(table.is_fresh));
    }
    let family = text.family(Kind::Counter, "hotspur_errors", "Errors of peers.");
    for ((peer, code), count) in &state.errors {
        family.sample(&[("peer", peer), ("code", code)], count);
    }
    for table in tables {
        let peer = format!("table:{}", table.name);
        family.sample(&[("peer", &peer), ("code", "table")], table.errors);
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
    use crate::observe::BreakerFacts;

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
    fn tables_and_records_are_counted() {
        let exposed = Exposed::new(Facts { name: "orders".to_owned(), ..Facts::default() });
        exposed.started(vec![Box::new(|| table(Some(Duration::from_millis(250))))]);
        let mut interval = Interval::new();
        interval.counters = Counters { polled: 7, emitted: 4, ..Counters::ZERO };
        interval.counters.lookups[0] = [4, 2, 1];
        exposed.count(&interval, &interval, [0.5; Regime::COUNT]);
        let text = exposed.metrics(Format::Text);
        for line in [
            "hotspur_polled_records_total 7",
            "hotspur_records_total{outcome=\"emitted\",class=\"\",step=\"\"} 4",
            "hotspur_table_entries{table=\"users\"} 3",
            "hotspur_table_age_seconds{table=\"users\"} 0.25",
            "hotspur_table_fresh{table=\"users\"} 0",
            "hotspur_table_lookups_total{table=\"users\",result=\"stale\"} 1",
            "hotspur_duty_seconds_total{regime=\"idle\"} 0.5",
            "hotspur_connected{peer=\"source\"} 1",
        ] {
            assert!(text.lines().any(|it| it == line), "no {line} in\n{text}");
        }
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
