//! The facts of a run as Prometheus metrics.

use std::time::Instant;

use super::{Exposed, LagFigures, State, TableFigures};
use crate::{
    measure::{Counters, Regime, Stage},
    observe::{
        Facts, PauseCause,
        exposition::{Exposition, Format, Kind},
        process,
        slow::cause::Cause,
    },
    verdict::{RejectClass, SkipClass},
};

impl Exposed {
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
        lag_text(&mut text, &state);
        pending_text(&mut text, &state);
        state.kept.iter().for_each(|kept| kept().write(&mut text));
        // Of the system; nobody waits for that.
        drop(state);
        process::write(&mut text);
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
        let version = ("version", env!("CARGO_PKG_VERSION"));
        // What scripts/revision.rs has found out.
        let revision = ("revision", env!("HOTSPUR_REVISION"));
        text.family(Kind::Gauge, "hotspur_build_info", "The program; always 1.")
            .sample(&[version, revision], 1);
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
        let holds = counters.held.counted().map(|(_, place, count)| ("held", "", place, count));
        for (outcome, class, place, count) in skips.chain(rejects).chain(holds) {
            let step = labels.place(place);
            records.sample(&[("outcome", outcome), ("class", class), ("step", &step)], count);
        }
        let help = "Results and dead letters handed over.";
        let results = text.family(Kind::Counter, "hotspur_results", help);
        let destinations = self.destinations.get().unwrap_or(&labels.destinations);
        let counted = destinations.iter().zip(counters.results);
        for (topic, count) in counted.filter(|(topic, _)| !topic.is_empty()) {
            results.sample(&[("topic", topic)], count);
        }
        if state.kept.is_some() {
            given_off(text, counters);
        }
    }
}

/// What state does beside its entries.
fn given_off(text: &mut Exposition, counters: &Counters) {
    let help = "Results of windows by what became of them; they are no records of the source.";
    let results = text.family(Kind::Counter, "hotspur_window_results", help);
    for (result, count) in ["emitted", "skipped", "rejected"].iter().zip(counters.given_off) {
        results.sample(&[("result", result)], count);
    }
    let help = "Changes of state handed over.";
    text.family(Kind::Counter, "hotspur_state_changes", help).sample(&[], counters.state_changes);
}

fn lag_text(text: &mut Exposition, state: &State) {
    let lag = state.lag.as_ref().map_or_else(Vec::new, |lag| lag());
    let numbers: Vec<String> = lag.iter().map(|it| it.partition.to_string()).collect();
    let mut gauge = |name, help, figure: fn(&LagFigures) -> f64| {
        let family = text.family(Kind::Gauge, name, help);
        for (it, number) in lag.iter().zip(&numbers) {
            family.sample(&[("topic", &it.topic), ("partition", number)], figure(it));
        }
    };
    let help = "Records of the partition that are there and not taken.";
    gauge("hotspur_source_lag_records", help, |it| it.records as f64);
    let help = "How long the first of them has been there, as far as this run saw it.";
    gauge("hotspur_source_lag_seconds", help, |it| it.oldest.as_secs_f64());
}

fn pending_text(text: &mut Exposition, state: &State) {
    let Some(pending) = &state.pending else { return };
    let pending = pending();
    let help = "Entries of a stream that were given to a consumer and not acknowledged.";
    let family = text.family(Kind::Gauge, "hotspur_source_pending_entries", help);
    for it in &pending {
        for (consumer, entries) in &it.consumers {
            family.sample(&[("stream", &it.stream), ("consumer", consumer)], entries);
        }
    }
    let help = "How long the oldest of them has been in the stream.";
    let family = text.family(Kind::Gauge, "hotspur_source_pending_seconds", help);
    for it in &pending {
        family.sample(&[("stream", &it.stream)], it.oldest.as_secs_f64());
    }
    let help = "Entries of a stream that were claimed from other consumers.";
    let family = text.family(Kind::Counter, "hotspur_source_claimed_entries", help);
    for (it, entries) in pending.iter().zip(state.counters.claimed) {
        family.sample(&[("stream", &it.stream)], entries);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        measure::{Interval, counters::Place},
        observe::exposed::StateFigures,
    };

    #[test]
    fn what_state_does_is_counted_where_steps_keep_some() {
        let exposed = Exposed::new(Facts::default());
        exposed.name_destinations(["out", "", "dead"].map(str::to_owned).to_vec());
        let mut interval = Interval::new();
        let counters = &mut interval.counters;
        counters.results[..3].copy_from_slice(&[5, 0, 1]);
        (counters.given_off, counters.state_changes) = ([4, 2, 1], 30);
        (0..3).for_each(|_| _ = counters.held.count(0, Place::step(1)));
        exposed.count(&interval, &interval, [0.0; Regime::COUNT]);
        let without = exposed.metrics(Format::Text);
        assert!(!without.contains("hotspur_window_results") && !without.contains("_state_changes"));
        exposed.read_state_by(Box::new(StateFigures::default));
        let text = exposed.metrics(Format::Text);
        for line in [
            "hotspur_records_total{outcome=\"held\",class=\"\",step=\"2\"} 3",
            "hotspur_window_results_total{result=\"emitted\"} 4",
            "hotspur_window_results_total{result=\"skipped\"} 2",
            "hotspur_window_results_total{result=\"rejected\"} 1",
            "hotspur_state_changes_total 30",
        ] {
            assert!(text.lines().any(|it| it == line), "no {line} in\n{text}");
        }
        let topics = text.lines().filter(|it| it.starts_with("hotspur_results_total{"));
        assert_eq!(topics.count(), 2, "the state topic has no results");
    }

    #[test]
    fn tables_and_records_are_counted() {
        let exposed = Exposed::new(Facts { name: "orders".to_owned(), ..Facts::default() });
        let table = || TableFigures {
            name: "users".to_owned(),
            entries: 3,
            age: Some(Duration::from_millis(250)),
            ..TableFigures::default()
        };
        exposed.started(vec![Box::new(table)]);
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
            concat!(
                "hotspur_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\",revision=\"",
                env!("HOTSPUR_REVISION"),
                "\"} 1"
            ),
        ] {
            assert!(text.lines().any(|it| it == line), "no {line} in\n{text}");
        }
    }
}
