//! The report for programs: one object, whose fields `hotspur report --help` names.

use serde_json::{Map, Value, json};

use crate::observe::report::{
    Comparison, QUANTILES, Report,
    runs::{Run, SpanFigures},
};

pub(super) fn json(report: &Report) -> Value {
    let run = &report.now;
    let spans: Map<String, Value> =
        run.spans.iter().map(|it| (it.name.clone(), span(it))).collect();
    let shares: Map<String, Value> = report
        .shares
        .iter()
        .map(|it| {
            let share = json!({ "of_mean": it.of_mean, "of_p50": it.of_p50, "of_p99": it.of_p99 });
            (it.stage.to_owned(), share)
        })
        .collect();
    let reasons: Vec<Value> = report
        .reasons
        .iter()
        .map(|it| json!({ "weight": it.weight.name(), "text": it.text }))
        .collect();
    json!({
        "v": 1,
        "page": report.page.display().to_string(),
        "files": files(run),
        "start_ms": run.start.as_millis() as u64,
        "end_ms": run.end.as_millis() as u64,
        "seconds": run.covered.as_secs_f64(),
        "intervals": run.intervals(),
        "records": run.records(),
        "rate": run.rate(),
        "spans": spans,
        "shares": shares,
        "slow_records": report.slow.count,
        "trust": reasons,
        "comparison": report.comparison.as_ref().map(comparison),
    })
}

fn files(run: &Run) -> Vec<Value> {
    let facts = |facts: &[(String, String)]| -> Map<String, Value> {
        facts.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
    };
    let file = |it: &super::runs::FileFacts| {
        json!({
            "path": it.path.display().to_string(),
            "intervals": it.intervals,
            "cut": it.cut,
            "facts": facts(&it.facts),
        })
    };
    run.files.iter().map(file).collect()
}

fn span(figures: &SpanFigures) -> Value {
    let total = &figures.total;
    let mut span = Map::new();
    span.insert("count".to_owned(), total.len().into());
    span.insert("mean_ns".to_owned(), total.mean().into());
    for (name, quantile) in QUANTILES {
        span.insert(format!("{name}_ns"), total.value_at_quantile(quantile).into());
    }
    span.insert("max_ns".to_owned(), total.max().into());
    span.into()
}

fn comparison(it: &Comparison) -> Value {
    let difference = |it: &super::Difference| {
        json!({
            "span": it.span,
            "percentile": it.quantile,
            "base_ns": it.base_ns,
            "now_ns": it.now_ns,
            "growth": it.growth,
            "noise_low": it.noise.map(|(low, _)| low),
            "noise_high": it.noise.map(|(_, high)| high),
            "meaning": it.meaning().name(),
        })
    };
    let exceeded = it.exceeded();
    json!({
        "base": files(&it.base),
        "unlike": it.unlike,
        "differences": it.differences.iter().map(difference).collect::<Vec<_>>(),
        "tolerance": it.tolerance,
        "exceeded": exceeded.into_iter().map(difference).collect::<Vec<_>>(),
    })
}
