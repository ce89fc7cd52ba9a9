//! The first screen: how fast, at which rate, where the time goes, can I trust it.

use crate::{
    measure::Span,
    observe::{
        report::{
            QUANTILES, Report, runs::SpanFigures, shares::Share, shown_growth, trust::Weight,
        },
        summary::grouped,
        web::markup::{cell, escaped, head, percent, row, time},
    },
};

/// Stages that are named below the bar.
const STAGES_NAMED: usize = 5;

pub(super) fn first(report: &Report) -> String {
    [speed(report), rate(report), places(report), trust(report), against(report)].concat()
}

fn card(id: &str, question: &str, inner: &str) -> String {
    format!("<article id=\"{id}\" class=\"card\"><h2>{question}</h2>\n{inner}</article>\n")
}

fn speed(report: &Report) -> String {
    let totals: Vec<&SpanFigures> = report.now.totals().collect();
    if totals.is_empty() {
        return card("speed", "How fast?", "<p>There are no records in these files.</p>");
    }
    let meaning = |it: &&SpanFigures| match it.name == Span::EndToEnd.name() {
        true => "end_to_end<small>origin to the last acknowledgement</small>",
        false => "transit<small>arrival to hand-over: Hotspur's own part</small>",
    };
    let mut names = vec![""];
    names.extend(totals.iter().map(meaning));
    let mut rows = String::new();
    for (name, quantile) in QUANTILES {
        let cells = totals.iter().map(|it| cell(&time(it.total.value_at_quantile(quantile))));
        rows.push_str(&row(name, &cells.collect::<String>()));
    }
    let cells: String = totals.iter().map(|it| cell(&time(it.total.max()))).collect();
    rows.push_str(&row("max", &cells));
    let table = format!("<table class=\"big\">{}<tbody>{rows}</tbody></table>\n", head(&names));
    card("speed", "How fast?", &table)
}

fn rate(report: &Report) -> String {
    let run = &report.now;
    let seconds = run.column.as_secs_f64();
    // A column that is covered by less than half, often the last one, has no rate to speak of.
    let is_whole = |column: &u64| run.covered_by_column[column] * 2 >= run.column;
    let columns = run.totals().next().into_iter().flat_map(|it| &it.columns);
    let rates: Vec<f64> = columns
        .filter(|(column, _)| is_whole(column))
        .map(|(column, counts)| run.rate_in(*column, counts))
        .collect();
    let least = rates.iter().copied().fold(f64::MAX, f64::min);
    let most = rates.iter().copied().fold(0.0, f64::max);
    let range = match rates.len() {
        0 | 1 => String::new(),
        _ if most < least * 1.01 => {
            format!("<p>Steady over all stretches of {seconds:.1}&nbsp;s.</p>\n")
        }
        _ => format!(
            "<p>From {least:.0} to {most:.0} a second in stretches of {seconds:.1}&nbsp;s.</p>\n"
        ),
    };
    let polled = match run.sum_of_fact("polled") {
        Some(polled) if polled != run.records() => {
            format!(
                "<p>{} were taken from the source; the others were skipped or are held, or have \
                     no end to end time.</p>\n",
                grouped(polled)
            )
        }
        _ => String::new(),
    };
    let inner = format!(
        "<p class=\"figure\">{}<span> records/s</span></p>\n\
         <p>{} records in {:.1}&nbsp;s.</p>\n{range}{polled}",
        grouped(run.rate().round() as u64),
        grouped(run.records()),
        run.covered.as_secs_f64()
    );
    card("rate", "At which rate?", &inner)
}

fn places(report: &Report) -> String {
    let mut shares: Vec<&Share> = report.shares.iter().filter(|it| it.of_mean > 0.0).collect();
    if shares.is_empty() {
        return card("places", "Where does the time go?", "<p>These files have no stages.</p>");
    }
    let bar: String = shares.iter().map(|it| piece(it)).collect();
    shares.sort_by(|left, right| right.of_mean.total_cmp(&left.of_mean));
    let item = |it: &&Share| {
        format!(
            "<li><i class=\"of-{0}\"></i>{0} <b>{1}</b><small>{2}</small></li>\n",
            it.stage,
            percent(it.of_mean),
            meaning(it.stage)
        )
    };
    let items: String = shares.iter().take(STAGES_NAMED).map(item).collect();
    let inner = format!(
        "<p>Of a record's mean time, stage by stage:</p>\n<div class=\"bar\" role=\"img\" \
         aria-label=\"shares of the mean, listed below\">{bar}</div>\n<ol>{items}</ol>\n"
    );
    card("places", "Where does the time go?", &inner)
}

/// A piece of the bar, as wide as its share.
pub(super) fn piece(share: &Share) -> String {
    let (stage, width) = (share.stage, share.of_mean * 100.0);
    let title = format!("{stage} {}", percent(share.of_mean));
    format!("<i class=\"of-{stage}\" style=\"width:{width:.3}%\" title=\"{title}\"></i>")
}

/// What a stage is, in a few words.
pub(super) fn meaning(stage: &str) -> &'static str {
    match stage {
        "source" => "origin to arrival here: broker and network",
        "queue" => "in the client, before it is polled",
        "batch" => "behind others of the same poll",
        "parse" => "reading the JSON",
        "operate" => "the steps",
        "held" => "waiting aside",
        "encode" => "writing the result",
        "send" => "hand-over to the producer",
        "ack" => "until the broker acknowledged it",
        "commit" => "until its transaction was committed",
        "transit" => "queue to send",
        "end_to_end" => "origin to the last stage",
        _ => "",
    }
}

fn trust(report: &Report) -> String {
    let item = |it: &crate::observe::report::trust::Reason| {
        let (class, mark) = match it.weight {
            Weight::Doubt => ("doubt", "doubtful"),
            Weight::Note => ("note", "to be known"),
            Weight::Good => ("good", "good"),
        };
        format!(
            "<li class=\"{class}\"><span class=\"mark\" role=\"img\" aria-label=\"{mark}\"></span>\
             {}</li>\n",
            escaped(&it.text)
        )
    };
    let items: String = report.reasons.iter().map(item).collect();
    card("trust", "Can I trust it?", &format!("<ul>{items}</ul>\n"))
}

/// The differences that matter, where there is a base.
fn against(report: &Report) -> String {
    let Some(comparison) = &report.comparison else { return String::new() };
    let rows: String = comparison
        .tolerated()
        .map(|it| {
            let cells = [
                cell(&time(it.base_ns)),
                cell(&time(it.now_ns)),
                cell(&shown_growth(it.growth)),
                cell(it.meaning().name()),
            ];
            row(&format!("{} {}", escaped(&it.span), it.quantile), &cells.concat())
        })
        .collect();
    let verdict = match (comparison.tolerance, comparison.exceeded().len()) {
        (None, _) => String::new(),
        (Some(allowed), 0) => {
            format!(
                "<p class=\"kept\">Nothing grew by more than {:.1}&nbsp;%.</p>",
                allowed * 100.0
            )
        }
        (Some(allowed), many) => format!(
            "<p class=\"exceeded\">{many} of these grew by more than {:.1}&nbsp;%.</p>",
            allowed * 100.0
        ),
    };
    let head = head(&["", "base", "now", "growth", "so it is"]);
    let table =
        format!("{verdict}<div class=\"wide\"><table>{head}<tbody>{rows}</tbody></table></div>\n");
    card("against", "Slower or faster than the base?", &table)
}
