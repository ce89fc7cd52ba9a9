//! Where the time goes: each stage's part of the whole.
//!
//! Stages follow one another without a gap, so that the sums of their times are the whole, and
//! shares of the mean are exact. Percentiles do not add up: beside each other they only show which
//! stage grows in the tail.

use crate::{
    measure::Stage,
    observe::report::{runs::Run, slow::SlowRecords},
};

/// A stage's parts, each 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// The stage.
    pub stage: &'static str,
    /// Of all time that records spent.
    pub of_mean: f64,
    /// Its p50 beside those of the others.
    pub of_p50: f64,
    /// Its p99 beside those of the others.
    pub of_p99: f64,
    /// Of the time that slow records spent, where there are any.
    pub of_slow: Option<f64>,
}

/// All stages that took time, in the order of a record's path.
pub fn shares(run: &Run, slow: &SlowRecords) -> Vec<Share> {
    let figures = Stage::ALL.iter().filter_map(|it| Some((it.name(), run.of(it.name())?)));
    let figures: Vec<_> = figures.collect();
    let parts = |of: &dyn Fn(&crate::observe::report::runs::SpanFigures) -> f64| {
        let values: Vec<f64> = figures.iter().map(|(_, it)| of(it)).collect();
        let whole = values.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        values.into_iter().map(|it| it / whole).collect::<Vec<f64>>()
    };
    let mean = parts(&|it| it.sum_ns());
    let p50 = parts(&|it| it.total.value_at_quantile(0.5) as f64);
    let p99 = parts(&|it| it.total.value_at_quantile(0.99) as f64);
    let slow_whole: u64 = slow.stages_ns.values().sum();
    let of_slow = |stage: &str| {
        let part = slow.stages_ns.get(stage).copied().unwrap_or(0);
        (slow_whole > 0).then(|| part as f64 / slow_whole as f64)
    };
    let numbers = mean.into_iter().zip(p50).zip(p99);
    let named = figures.iter().zip(numbers).map(|((stage, _), ((of_mean, of_p50), of_p99))| {
        Share { stage, of_mean, of_p50, of_p99, of_slow: of_slow(stage) }
    });
    named.collect()
}
