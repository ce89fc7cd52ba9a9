//! What the charts of the page draw, as numbers.
//!
//! Percentile curves stand on an axis of nines. Over time, each column has percentiles and a count
//! by rows of half octaves of latency (`observe::curve`).

use serde_json::{Value, json};

use crate::{
    measure::Span,
    observe::{
        counts::Counts,
        curve,
        report::{
            Report,
            runs::{Run, SpanFigures},
            shares::Share,
        },
    },
};

/// Stages whose curves are shown at first, beside the totals.
const STAGES_SHOWN: usize = 3;

pub(super) fn data(report: &Report) -> Value {
    let base = report.comparison.as_ref().map(|it| &it.base);
    json!({ "curves": curves(report, base), "times": times(&report.now) })
}

/// The spans that have values, the totals first.
pub(super) fn ordered(run: &Run) -> Vec<&SpanFigures> {
    let is_total = |it: &&SpanFigures| run.totals().any(|total| total.name == it.name);
    let others = run.spans.iter().filter(|it| !it.total.is_empty() && !is_total(it));
    run.totals().chain(others).collect()
}

fn curves(report: &Report, base: Option<&Run>) -> Value {
    let spans = ordered(&report.now);
    let mut shares: Vec<&Share> = report.shares.iter().collect();
    shares.sort_by(|left, right| right.of_mean.total_cmp(&left.of_mean));
    let shown: Vec<&str> = shares.iter().take(STAGES_SHOWN).map(|it| it.stage).collect();
    let bases = spans.iter().filter_map(|it| base?.of(&it.name));
    let most = spans.iter().copied().chain(bases).map(|it| it.total.len()).max().unwrap_or(1);
    let nines = curve::axis(most);
    let curve = |it: &SpanFigures| curve::curve(&Counts::of(&it.total), &nines);
    let series = |it: &&SpanFigures| {
        let is_total = report.now.totals().any(|total| total.name == it.name);
        json!({
            "name": it.name,
            "total": is_total,
            "shown": is_total || shown.contains(&it.name.as_str()),
            "now": curve(it),
            "base": base.and_then(|base| base.of(&it.name)).map(curve),
        })
    };
    let series: Vec<Value> = spans.iter().map(series).collect();
    json!({ "nines": nines, "series": series })
}

fn times(run: &Run) -> Value {
    let columns = (run.end - run.start).as_nanos().div_ceil(run.column.as_nanos().max(1));
    let spans: Vec<Value> =
        ordered(run).into_iter().map(|it| over_time(run, it, columns)).collect();
    let first = run.totals().next().map_or(Span::EndToEnd.name(), |it| it.name.as_str());
    json!({
        "start_ms": run.start.as_millis() as u64,
        "column_seconds": run.column.as_secs_f64(),
        "columns": columns as u64,
        "first": first,
        "spans": spans,
    })
}

fn over_time(run: &Run, figures: &SpanFigures, columns: u128) -> Value {
    let nothing = Counts::default();
    let columns: Vec<&Counts> =
        (0..columns as u64).map(|it| figures.columns.get(&it).unwrap_or(&nothing)).collect();
    let at = |quantile: f64| -> Vec<Option<u64>> {
        let value = |it: &&Counts| (!it.is_empty()).then(|| it.quantile(quantile).max(1));
        columns.iter().map(value).collect()
    };
    let counts: Vec<u64> = columns.iter().map(|it| it.len()).collect();
    let rates: Vec<f64> =
        (0..).zip(&columns).map(|(column, it)| run.rate_in(column, it).round()).collect();
    let cells = |(column, counts): (u64, &&Counts)| -> Vec<[u64; 3]> {
        curve::heat(counts).into_iter().map(|[row, count]| [column, row, count]).collect()
    };
    let heat: Vec<[u64; 3]> = (0..).zip(&columns).flat_map(cells).collect();
    json!({
        "name": figures.name,
        "p50": at(0.5),
        "p99": at(0.99),
        "max": at(1.0),
        "count": counts,
        "rate": rates,
        "heat": heat,
    })
}
