//! What the live page and `hotspur top` show: the last minutes, and each second as it passes.
//!
//! The observer hands every interval in. Those are put together to columns of about a second, of
//! which a few hundred are kept, so that who looks after an incident sees it. Only while somebody
//! looks, each column becomes a moment as well: one JSON object with all that is known, which goes
//! to everybody at once. Who reads slowly misses moments and holds nobody up.

mod column;
mod routes;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use self::column::{Column, Pending};
pub(super) use self::routes::routes;
use crate::{
    measure::{Age, Interval, Regime, Span},
    observe::{counts::Counts, curve},
};

/// How long a column is at least; the hot thread hands over every tenth of a second.
pub(super) const COLUMN: Duration = Duration::from_millis(950);

/// Columns that are kept.
const COLUMNS_MAX: usize = 300;

/// The percentiles of a span, beside its curve.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

/// The end of an interval and its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// When it ended, since the epoch.
    pub(super) end: Duration,
    pub(super) length: Duration,
}

/// What was seen lately, and who is to be told what is seen next.
#[derive(Debug)]
pub(super) struct Live {
    past: Mutex<Past>,
    moments: watch::Sender<Arc<str>>,
}

#[derive(Debug, Default)]
struct Past {
    pending: Pending,
    /// Each as JSON.
    columns: VecDeque<Arc<str>>,
}

impl Default for Live {
    fn default() -> Live {
        Live { past: Mutex::default(), moments: watch::Sender::new(Arc::from("")) }
    }
}

impl Live {
    /// True while somebody looks.
    pub(super) fn is_watched(&self) -> bool {
        self.watchers() > 0
    }

    /// How many look.
    fn watchers(&self) -> usize {
        self.moments.receiver_count()
    }

    /// Takes an interval in. Once it completes a column that somebody waits for, `standing` says
    /// how else things are, and the sums of the run go out with it.
    pub(super) fn take(
        &self,
        interval: &Interval,
        total: &Interval,
        at: Stretch,
        standing: impl FnOnce() -> Map<String, Value>,
    ) {
        let mut past = self.past();
        past.pending.add(interval, at);
        if past.pending.length() < COLUMN {
            return;
        }
        let last = std::mem::take(&mut past.pending);
        let column = last.column();
        if past.columns.len() == COLUMNS_MAX {
            past.columns.pop_front();
        }
        past.columns.push_back(Arc::from(json!(column).to_string()));
        drop(past);
        if self.is_watched() {
            let moment = moment(standing(), &last, &column, total).to_string();
            self.moments.send_replace(Arc::from(moment));
        }
    }

    /// The columns that are kept, the oldest first, as a list in JSON.
    fn history(&self) -> String {
        // They are many; nobody waits while they become one text.
        let columns: Vec<Arc<str>> = self.past().columns.iter().cloned().collect();
        format!("[{}]", columns.join(","))
    }

    /// Begins to look: the next moment is the first that is seen.
    fn watch(&self) -> watch::Receiver<Arc<str>> {
        self.moments.subscribe()
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn moment(
    standing: Map<String, Value>,
    last: &Pending,
    column: &Column,
    total: &Interval,
) -> Value {
    let spans: Vec<(String, bool, Counts)> = named(total)
        .map(|(name, span, counts)| (name, matches!(span, Span::Transit | Span::EndToEnd), counts))
        .collect();
    let most = spans.iter().map(|(_, _, counts)| counts.len()).max().unwrap_or(1);
    let nines = curve::axis(most);
    let nothing = Counts::default();
    let spans = spans.iter().map(|(name, is_total, counts)| {
        let last = last.spans.get(name).unwrap_or(&nothing);
        json!({
            "name": name,
            "is_total": is_total,
            "last": distribution(last, &nines),
            "run": distribution(counts, &nines),
        })
    });
    let spans: Vec<Value> = spans.collect();
    let regimes = Regime::ALL.map(|it| (it.name().to_owned(), last.regimes.share(it).into()));
    let mut moment = standing;
    let mut put = |name: &str, value: Value| moment.insert(name.to_owned(), value);
    put("regimes", Value::Object(regimes.into_iter().collect()));
    put("column", json!(column));
    put("nines", json!(nines));
    put("spans", spans.into());
    Value::Object(moment)
}

fn distribution(counts: &Counts, nines: &[f64]) -> Value {
    let mut it = json!({
        "count": counts.len(),
        "max": counts.max(),
        "curve": curve::curve(counts, nines),
    });
    let values = counts.quantiles(QUANTILES.map(|(_, quantile)| quantile));
    for ((name, _), value) in QUANTILES.iter().zip(values) {
        it[*name] = value.into();
    }
    it
}

/// All spans that have values, the totals first, then in the order of a record's path.
fn named(interval: &Interval) -> impl Iterator<Item = (String, Span, Counts)> {
    let is_total = |span: &Span| matches!(span, Span::EndToEnd | Span::Transit);
    let totals = [Span::EndToEnd, Span::Transit].into_iter();
    let spans = totals.chain(Span::ALL.into_iter().filter(move |it| !is_total(it)));
    let all = spans.flat_map(|span| Age::ALL.map(|age| (age, span)));
    all.filter_map(|(age, span)| {
        let histogram = interval.of(age).of(span);
        let name = || format!("{}{span}", age.prefix());
        (!histogram.is_empty()).then(|| (name(), span, Counts::of(histogram)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Stage;

    fn interval(polled: u64, transit_ns: &[u64]) -> Interval {
        let mut interval = Interval::new();
        interval.counters.polled = polled;
        for nanos in transit_ns {
            interval.histograms.record(Span::Transit, *nanos);
            interval.histograms.record(Stage::Parse.into(), 7);
        }
        interval
    }

    fn at(end_ms: u64, length_ms: u64) -> Stretch {
        Stretch { end: Duration::from_millis(end_ms), length: Duration::from_millis(length_ms) }
    }

    #[test]
    fn intervals_become_columns_of_a_second_and_nobody_is_told_who_does_not_look() {
        let live = Live::default();
        let nobody = || panic!("nobody looks");
        for end in 1..=4 {
            let it = interval(10, &[1_000 * end]);
            live.take(&it, &it, at(500 * end, 500), nobody);
        }
        let history: Value = serde_json::from_str(&live.history()).unwrap();
        assert_eq!(history.as_array().map(Vec::len), Some(2));
        assert_eq!(history[0]["at_ms"], 1_000);
        assert_eq!(history[0]["rate"], 20.0);
        assert_eq!(history[1]["spans"]["transit"]["count"], 2);
        assert_eq!(history[1]["spans"]["transit"]["p50"], 3_001);
        assert!(history[1]["spans"]["ack"].is_null());
    }

    #[test]
    fn who_looks_gets_the_last_second_and_the_whole_run() {
        let live = Live::default();
        let mut seen = live.watch();
        let (last, mut total) = (interval(5, &[200, 900_000]), interval(500, &[100; 300]));
        total.add(&last);
        let standing = || Map::from_iter([("name".to_owned(), json!("orders"))]);
        live.take(&last, &total, at(9_000, 1_000), standing);
        let moment: Value = serde_json::from_str(&seen.borrow_and_update()).unwrap();
        assert_eq!(moment["name"], "orders");
        let transit = &moment["spans"][0];
        assert_eq!((&transit["name"], &transit["is_total"]), (&json!("transit"), &json!(true)));
        assert_eq!(moment["spans"][1]["name"], "parse");
        assert_eq!((&transit["last"]["count"], &transit["run"]["count"]), (&json!(2), &json!(302)));
        assert_eq!((&transit["last"]["p50"], &transit["run"]["p50"]), (&json!(200), &json!(100)));
        let points = moment["nines"].as_array().unwrap().len();
        assert_eq!(transit["run"]["curve"].as_array().map(Vec::len), Some(points));
        drop(seen);
        assert!(!live.is_watched());
    }

    #[test]
    fn no_more_than_some_minutes_are_kept() {
        let live = Live::default();
        let it = interval(1, &[]);
        for second in 1..=COLUMNS_MAX as u64 + 5 {
            live.take(&it, &it, at(1_000 * second, 1_000), Map::new);
        }
        let history: Value = serde_json::from_str(&live.history()).unwrap();
        assert_eq!(history.as_array().map(Vec::len), Some(COLUMNS_MAX));
        assert_eq!(history[0]["at_ms"], 6_000);
    }
}
