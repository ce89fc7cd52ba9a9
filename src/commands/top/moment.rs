//! What a process says of one second, as `top` reads it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Failure, Target};

/// The version of moments that this reads.
const VERSION: u64 = 1;

/// One second. Times are nanoseconds where nothing else is said.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Moment {
    pub(super) v: u64,
    pub(super) name: String,
    pub(super) instance: String,
    pub(super) profile: String,
    pub(super) core: String,
    pub(super) guarantee: String,
    pub(super) uptime_seconds: f64,
    pub(super) reasons: Vec<String>,
    pub(super) records: Records,
    pub(super) in_flight: InFlight,
    /// Shares of the second.
    pub(super) regimes: BTreeMap<String, f64>,
    pub(super) tables: Vec<Table>,
    pub(super) lag: Vec<Lag>,
    pub(super) stalls: BTreeMap<String, u64>,
    pub(super) slow_records: u64,
    pub(super) slow: Vec<Slow>,
    pub(super) column: Column,
    pub(super) spans: Vec<Span>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Records {
    pub(super) polled: u64,
    pub(super) emitted: u64,
    pub(super) skipped: u64,
    pub(super) rejected: u64,
    /// An older process does not say.
    #[serde(default)]
    pub(super) held: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct InFlight {
    pub(super) records: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) entries: u64,
    pub(super) age_seconds: Option<f64>,
    pub(super) is_fresh: bool,
    pub(super) trouble: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Lag {
    pub(super) records: u64,
    pub(super) seconds: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Slow {
    pub(super) ts: String,
    pub(super) transit_ns: u64,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) cause: String,
    pub(super) verdict: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Column {
    pub(super) rate: f64,
    pub(super) saturation: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Span {
    pub(super) name: String,
    pub(super) is_total: bool,
    pub(super) last: Distribution,
    pub(super) run: Distribution,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Distribution {
    pub(super) count: u64,
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) p999: u64,
    pub(super) max: u64,
}

impl Moment {
    /// The next one of that process; it is there within a second or so.
    pub(super) fn ask(target: &Target) -> Result<Moment, Failure> {
        let text = target.get("/live/moment")?;
        let other = |why: String| {
            Failure::unavailable(format!("what answers there is another Hotspur's: {why}"))
        };
        let moment: Moment =
            serde_json::from_str(&text).map_err(|error| other(error.to_string()))?;
        match moment.v {
            VERSION => Ok(moment),
            version => Err(other(format!("version {version}, and this reads {VERSION}"))),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A second with a bit of everything.
    pub(in super::super) fn sample(rate: f64, p50: u64) -> Moment {
        let of = json!({ "count": 9, "p50": p50, "p99": 60_000, "p999": 70_000, "max": 80_000 });
        let none = json!({ "count": 0, "p50": 0, "p99": 0, "p999": 0, "max": 0 });
        let moment = json!({
            "v": 1,
            "name": "orders", "instance": "web-1", "profile": "balanced", "core": "3",
            "guarantee": "at_least_once", "uptime_seconds": 75.0, "reasons": [],
            "records": { "polled": 900, "emitted": 800, "skipped": 60, "rejected": 40 },
            "in_flight": { "records": 5, "bytes": 500 },
            "regimes": { "idle": 0.75, "working": 0.25, "paused": 0.0 },
            "tables": [{ "name": "users", "entries": 3, "bytes": 99, "age_seconds": 0.002,
                "is_fresh": true, "trouble": "" }],
            "lag": [
                { "topic": "orders", "partition": 0, "records": 30, "seconds": 1.5 },
                { "topic": "orders", "partition": 1, "records": 40, "seconds": 2.5 },
            ],
            "stalls": { "page_fault": 2 },
            "slow_records": 1,
            "slow": [{ "ts": "2026-11-21T05:37:00.000010000Z", "transit_ns": 4_100_000,
                "topic": "orders", "partition": 0, "offset": 17, "cause": "preempted",
                "verdict": "the scheduler took the core for 4.1 ms" }],
            "column": { "rate": rate, "saturation": 0.25 },
            "spans": [
                { "name": "end_to_end", "is_total": true, "last": of, "run": of },
                { "name": "parse", "is_total": false, "last": none, "run": of },
            ],
        });
        serde_json::from_value(moment).unwrap()
    }
}
