//! The facts of a run as JSON: what a moment of the live page says beside its latencies.

use serde_json::{Map, Value, json};

use super::{Exposed, LagFigures, State, TableFigures};
use crate::observe::{Facts, slow::cause::Cause};

impl Exposed {
    /// All that is so now.
    pub(super) fn standing(&self) -> Map<String, Value> {
        let reasons = self.unready();
        let is_paused = self.switch.causes().next().is_some();
        let state = self.state();
        let tables: Vec<Value> = state.tables.iter().map(|it| table(&it())).collect();
        let counters = &state.counters;
        let Facts { name, instance, profile, core, guarantee, circumstances, .. } = &self.facts;
        let circumstances =
            circumstances.iter().map(|(name, it)| ((*name).to_owned(), it.as_str().into()));
        let parts = [
            ("v", json!(1)),
            ("name", json!(name)),
            ("instance", json!(instance)),
            ("profile", json!(profile)),
            ("core", json!(core)),
            ("guarantee", json!(guarantee)),
            ("circumstances", Value::Object(circumstances.collect())),
            ("uptime_seconds", json!(state.regimes.iter().sum::<f64>())),
            ("reasons", json!(reasons)),
            ("is_paused", json!(is_paused)),
            (
                "records",
                json!({
                    "polled": counters.polled,
                    "emitted": counters.emitted,
                    "skipped": counters.skipped.total(),
                    "rejected": counters.rejected.total(),
                    "held": counters.held.total(),
                }),
            ),
            (
                "in_flight",
                json!({
                    "records": counters.in_flight_records,
                    "bytes": counters.in_flight_bytes,
                }),
            ),
            ("tables", tables.into()),
            ("lag", lag(&state)),
            ("stalls", stalls(&state)),
            ("slow_records", json!(state.slow.iter().sum::<u64>())),
            ("slow", state.last_slow.iter().cloned().collect()),
        ];
        parts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn table(it: &TableFigures) -> Value {
    json!({
        "name": it.name,
        "entries": it.entries,
        "bytes": it.bytes,
        "age_seconds": it.age.map(|age| age.as_secs_f64()),
        "is_fresh": it.is_fresh,
        "trouble": it.trouble,
    })
}

fn lag(state: &State) -> Value {
    let lag = state.lag.as_ref().map_or_else(Vec::new, |lag| lag());
    let partition = |it: &LagFigures| {
        json!({
            "topic": it.topic,
            "partition": it.partition,
            "records": it.records,
            "seconds": it.oldest.as_secs_f64(),
        })
    };
    lag.iter().map(partition).collect()
}

/// Those that there were.
fn stalls(state: &State) -> Value {
    let seen = Cause::ALL.iter().zip(state.stalls).filter(|(_, count)| *count > 0);
    Value::Object(seen.map(|(cause, count)| (cause.name().to_owned(), count.into())).collect())
}
