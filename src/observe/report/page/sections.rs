//! The page below its first screen: all numbers, as tables.

use super::first::{meaning, piece};
use crate::observe::{
    counts::Counts,
    report::{
        QUANTILES, Report,
        compare::{DRAWS, Difference},
        curves::ordered,
        runs::{FileFacts, SpanFigures},
        shares::Share,
        shown_growth, shown_time,
        slow::{SlowRecord, shown},
    },
    summary::grouped,
    web::markup::{cell, escaped, head, percent, row, table, time},
};

pub(super) fn percentiles(report: &Report) -> String {
    let mut names = vec!["span", "count", "mean"];
    names.extend(QUANTILES.map(|(name, _)| name));
    names.push("max");
    let span = |it: &SpanFigures| {
        let mut cells = cell(&grouped(it.total.len())) + &cell(&time(it.total.mean() as u64));
        for (_, quantile) in QUANTILES {
            cells.push_str(&cell(&time(it.total.value_at_quantile(quantile))));
        }
        row(&escaped(&it.name), &(cells + &cell(&time(it.total.max()))))
    };
    let rows: String = ordered(&report.now).into_iter().map(span).collect();
    let dashed = match report.comparison {
        Some(_) => "<p class=\"quiet\">Dashed lines are the base.</p>\n",
        None => "",
    };
    dashed.to_owned() + &table("Percentiles of each span", &head(&names), &rows)
}

/// The numbers of the time line, for the span that it begins with.
pub(super) fn columns(report: &Report) -> String {
    let run = &report.now;
    let Some(span) = run.totals().next() else { return String::new() };
    let line = |(column, counts): (&u64, &Counts)| {
        let at = run.column.as_secs_f64() * *column as f64;
        let cells = [
            cell(&grouped(counts.len())),
            cell(&time(counts.quantile(0.5))),
            cell(&time(counts.quantile(0.99))),
            cell(&time(counts.max())),
        ];
        row(&format!("{at:.1}\u{a0}s"), &cells.concat())
    };
    let rows: String = span.columns.iter().map(line).collect();
    let head = head(&["since the start", "count", "p50", "p99", "max"]);
    let caption = format!("{} over time", span.name);
    format!(
        "<details><summary>The same as a table</summary>\n{}</details>\n",
        table(&caption, &head, &rows)
    )
}

pub(super) fn stages(report: &Report) -> String {
    if report.shares.is_empty() {
        return "<p>These files have no stages.</p>\n".to_owned();
    }
    let has_slow = report.shares.iter().any(|it| it.of_slow.is_some());
    let mut names = vec!["stage", "of the mean", "", "p50s side by side", "p99s side by side"];
    if has_slow {
        names.push("of slow records");
    }
    names.push("what it is");
    let stage = |it: &Share| {
        let mut cells = vec![
            cell(&percent(it.of_mean)),
            format!("<td class=\"bar\">{}</td>", piece(it)),
            cell(&percent(it.of_p50)),
            cell(&percent(it.of_p99)),
        ];
        cells.extend(it.of_slow.map(|it| cell(&percent(it))));
        cells.push(format!("<td class=\"words\">{}</td>", meaning(it.stage)));
        row(it.stage, &cells.concat())
    };
    let rows: String = report.shares.iter().map(stage).collect();
    let table = table("Shares of each stage", &head(&names), &rows);
    table
        + "<p>Stages follow one another without a gap, so shares of the mean add up to the whole. \
           Percentiles do not add up, since each stage has its own slow records; side by side they \
           show which stage grows in the tail.</p>\n"
}

pub(super) fn comparison(report: &Report) -> String {
    let Some(comparison) = &report.comparison else { return String::new() };
    let line = |it: &Difference| {
        let likely = it.likely().unwrap_or_else(|| "–".to_owned());
        let is_max = it.quantile == "max";
        let (class, words) = match it.meaning() {
            _ if is_max => ("", "one record"),
            other => (other.name(), other.name()),
        };
        let cells = [
            cell(it.quantile),
            cell(&time(it.base_ns)),
            cell(&time(it.now_ns)),
            cell(&shown_growth(it.growth)),
            cell(&likely),
            format!("<td class=\"words {class}\">{words}</td>"),
        ];
        row(&escaped(&it.span), &cells.concat())
    };
    let rows: String = comparison.differences.iter().map(line).collect();
    let head = head(&["span", "", "base", "now", "growth", "likely", "so it is"]);
    let base = &comparison.base;
    let caption = format!(
        "Against {} records of {}, at {:.0} a second",
        grouped(base.records()),
        shown_time(base.start),
        base.rate()
    );
    let unlike: String =
        comparison.unlike.iter().map(|it| format!("<li>{}</li>\n", escaped(it))).collect();
    let unlike = match unlike.is_empty() {
        true => String::new(),
        false => format!("<p>The circumstances were not alike:</p>\n<ul>{unlike}</ul>\n"),
    };
    format!(
        "<section id=\"comparison\"><h2>Against the base, span by span</h2>\n{unlike}{}\
         <p>Likely is where the growth lies in 95 of 100 draws: each run is drawn anew from its \
         own stretches of time, {DRAWS} times. Where that includes no growth at all, chance \
         alone may have made the difference, and it is called noise. What differs from run to \
         run on one machine is in it only where a side has three files or more.</p></section>\n",
        table(&caption, &head, &rows)
    )
}

pub(super) fn slow(report: &Report) -> String {
    let slow = &report.slow;
    if slow.count == 0 {
        return "<p>There are none beside these files (<code>&lt;stem&gt;.slow.jsonl</code>).</p>\n"
            .to_owned();
    }
    let line = |it: &SlowRecord| {
        let place: Vec<String> = ["topic", "partition", "offset"]
            .iter()
            .map(|field| it.text(field))
            .filter(|it| !it.is_empty())
            .collect();
        let longest = it
            .longest()
            .map_or(String::new(), |(stage, nanos)| format!("{} {}", escaped(stage), time(*nanos)));
        let cells = [
            cell(&time(it.slowness_ns)),
            cell(&longest),
            format!("<td class=\"words\">{}</td>", escaped(&place.join(":"))),
            format!("<td class=\"words\">{}</td>", escaped(&reason(it))),
            format!(
                "<td class=\"words\"><details><summary>more</summary>{}</details></td>",
                escaped(&others(it))
            ),
        ];
        row(&escaped(&it.text("ts")), &cells.concat())
    };
    let rows: String = slow.slowest.iter().map(line).collect();
    let caption =
        format!("The slowest {} of {} slow records", slow.slowest.len(), grouped(slow.count));
    table(
        &caption,
        &head(&["when", "took", "mostly in", "record", "why", "what else is known"]),
        &rows,
    )
}

/// What it is put down to: a class and a sentence, where there are such.
fn reason(record: &SlowRecord) -> String {
    let parts = ["cause", "verdict"].map(|it| record.text(it));
    let parts: Vec<String> = parts.into_iter().filter(|it| !it.is_empty()).collect();
    parts.join(": ")
}

/// All fields that have no column, and the other stages.
fn others(record: &SlowRecord) -> String {
    const SHOWN: [&str; 8] =
        ["ts", "transit_ns", "topic", "partition", "offset", "cause", "verdict", "slowest_stage"];
    let stages = record.stages.iter().filter(|(_, nanos)| *nanos > 0);
    let stages = stages.map(|(stage, nanos)| format!("{stage} {}", time(*nanos)));
    let fields =
        record.fields.iter().filter(|(name, it)| !SHOWN.contains(&name.as_str()) && !it.is_null());
    let fields = fields.map(|(name, value)| match (name.strip_suffix("_ns"), value.as_u64()) {
        (Some(name), Some(nanos)) => format!("{name} {}", time(nanos)),
        _ => format!("{name} {}", shown(value)),
    });
    stages.chain(fields).collect::<Vec<_>>().join(", ")
}

pub(super) fn facts(report: &Report) -> String {
    let base = report.comparison.as_ref().map_or(&[][..], |it| &it.base.files);
    let now = report.now.files.iter().map(|it| file(it, ""));
    now.chain(base.iter().map(|it| file(it, "Base: "))).collect()
}

fn file(file: &FileFacts, before: &str) -> String {
    let name = file.path.display().to_string();
    let mut rows = row("intervals", &cell(&file.intervals.to_string()));
    for (name, value) in &file.facts {
        rows.push_str(&row(
            &escaped(name),
            &format!("<td class=\"words\">{}</td>", escaped(value)),
        ));
    }
    table(&format!("{before}{}", escaped(&name)), "", &rows)
}
