//! The report on a terminal: the table of a run's end, then rate, shares, doubts, differences.

use std::fmt::{self, Write};

use crate::{
    measure::Span,
    observe::{
        report::{
            Comparison, Report,
            compare::{Difference, QUANTILES},
            shown_growth, shown_time,
            trust::Weight,
        },
        summary::{self, grouped, readable},
    },
};

/// Stages that are named as taking the most time.
const STAGES_NAMED: usize = 4;

pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    write(&mut text, report).expect("a String takes all that is written");
    text
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    let run = &report.now;
    summary::latency_heading(out)?;
    for span in &run.spans {
        if !span.total.is_empty() || span.name == Span::EndToEnd.name() {
            summary::latency_row(out, &span.name, &span.total)?;
        }
    }
    writeln!(out)?;
    let rate = format!("{:.0} a second over {:.1} s", run.rate(), run.covered.as_secs_f64());
    summary::count_row(out, "records", run.records(), &rate)?;
    let from = match run.files.len() {
        1 => shown_time(run.start),
        files => format!("{}, {files} files merged", shown_time(run.start)),
    };
    summary::count_row(out, "intervals", run.intervals() as u64, &from)?;
    if report.slow.count > 0 {
        let slowest = report.slow.slowest.first().map_or(0, |it| it.slowness_ns);
        let slowest = format!("the slowest {}", readable(slowest));
        summary::count_row(out, "slow records", report.slow.count, &slowest)?;
    }
    let mut shares: Vec<_> = report.shares.iter().collect();
    shares.sort_by(|left, right| right.of_mean.total_cmp(&left.of_mean));
    let shares = shares.iter().take(STAGES_NAMED).filter(|it| it.of_mean > 0.0);
    let named = shares.map(|it| format!("{} {:.1} %", it.stage, it.of_mean * 100.0));
    let named = named.collect::<Vec<_>>().join(", ");
    if !named.is_empty() {
        summary::words_row(out, "time goes to", &named)?;
    }
    for reason in report.reasons.iter().filter(|it| it.weight != Weight::Good) {
        let name = if reason.weight == Weight::Doubt { "doubtful" } else { "note" };
        summary::words_row(out, name, &reason.text)?;
    }
    report.comparison.as_ref().map_or(Ok(()), |it| comparison(out, it))
}

fn comparison(out: &mut String, it: &Comparison) -> fmt::Result {
    let from = shown_time(it.base.start);
    writeln!(out, "\nagainst the base of {from}, {} records", grouped(it.base.records()))?;
    for unlike in &it.unlike {
        summary::words_row(out, "not alike", unlike)?;
    }
    writeln!(
        out,
        "{:<18}{:>8}{:>10}{:>10}{:>12}{:>20}",
        "difference", "", "base", "now", "growth", "likely"
    )?;
    for difference in &it.differences {
        row(out, difference)?;
    }
    verdict(out, it)
}

fn row(out: &mut String, it: &Difference) -> fmt::Result {
    let (base, now) = (readable(it.base_ns), readable(it.now_ns));
    let noise = it.likely().unwrap_or_else(|| "-".to_owned());
    let row = format!(
        "{:<18}{:>8}{base:>10}{now:>10}{:>12}{noise:>20}  {}",
        if it.quantile == QUANTILES[0].0 { &it.span } else { "" },
        it.quantile,
        shown_growth(it.growth),
        if it.quantile == "max" { "one record" } else { it.meaning().name() },
    );
    writeln!(out, "{}", row.trim_end())
}

fn verdict(out: &mut String, it: &Comparison) -> fmt::Result {
    let Some(tolerance) = it.tolerance else { return Ok(()) };
    let allowed = format!("{:.1} %", tolerance * 100.0);
    writeln!(out)?;
    for it in it.exceeded() {
        writeln!(out, "{}", exceeded(it, &allowed))?;
    }
    if it.exceeded().is_empty() {
        writeln!(out, "no p50, p99 or p99.9 of a total grew by more than {allowed}")?;
    }
    Ok(())
}

/// A sentence about a percentile that grew by more than it may.
pub(super) fn exceeded(it: &Difference, allowed: &str) -> String {
    format!(
        "{} {} grew by {}, more than {allowed}: {} to {} ({})",
        it.span,
        it.quantile,
        shown_growth(it.growth),
        readable(it.base_ns),
        readable(it.now_ns),
        it.meaning().name()
    )
}
