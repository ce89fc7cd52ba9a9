//! The picture: latencies, rate, what the hot thread does, how old things are, slow records.

use std::collections::VecDeque;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Cell, Paragraph, Row, Sparkline, Table},
};

use super::moment::{Distribution, Moment};
use crate::observe::summary::{grouped, readable};

/// Seconds of the past that are kept, and drawn as far as the screen is wide.
const PAST_MAX: usize = 300;

/// Rows for slow records at least.
const SLOW_MIN: u16 = 3;

/// What is drawn.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    moment: Option<Moment>,
    rates: VecDeque<u64>,
    p99s: VecDeque<u64>,
    lost: Option<String>,
    /// Nothing moves.
    pub(super) is_held: bool,
}

impl View {
    /// The next second.
    pub(super) fn take(&mut self, moment: Moment) {
        self.lost = None;
        if self.is_held {
            return;
        }
        let slowest = moment.spans.iter().find(|it| it.name == "transit").or(moment.spans.first());
        let p99 = slowest.map_or(0, |it| it.last.p99);
        for (past, value) in
            [(&mut self.rates, moment.column.rate.round() as u64), (&mut self.p99s, p99)]
        {
            if past.len() == PAST_MAX {
                past.pop_front();
            }
            past.push_back(value);
        }
        self.moment = Some(moment);
    }

    /// There is no answer, and why.
    pub(super) fn lose(&mut self, why: String) {
        self.lost = Some(why);
    }
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let Some(moment) = &view.moment else { return };
    let facts = facts(moment);
    let heights = [2, moment.spans.len() as u16 + 2, 4, 2, facts.len() as u16 + 1];
    let rows = heights.map(Constraint::Length).into_iter();
    let rows = rows.chain([Constraint::Min(SLOW_MIN), Constraint::Length(1)]);
    let areas = Layout::vertical(rows).split(frame.area());
    frame.render_widget(Paragraph::new(vec![title(moment), state(view, moment)]), areas[0]);
    frame.render_widget(latencies(moment), areas[1]);
    pasts(frame, view, moment, areas[2]);
    frame.render_widget(Paragraph::new(regimes(moment, areas[3].width)), areas[3]);
    frame.render_widget(Paragraph::new(facts), areas[4]);
    frame.render_widget(slow(moment), areas[5]);
    let keys = if view.is_held { "held; h goes on, q ends" } else { "h holds, q ends" };
    frame.render_widget(Paragraph::new(keys).style(quiet()), areas[6]);
}

pub(super) fn quiet() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

pub(super) fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn title(moment: &Moment) -> Line<'_> {
    let Moment { name, instance, profile, core, guarantee, uptime_seconds, .. } = moment;
    let about = format!(
        " · {instance} · profile {profile} · core {core} · {guarantee} · up {}",
        seconds(*uptime_seconds)
    );
    Line::from(vec![Span::styled(name.as_str(), bold()), Span::raw(about)])
}

fn state<'a>(view: &'a View, moment: &'a Moment) -> Line<'a> {
    if let Some(why) = &view.lost {
        return Line::styled(format!("{why}; trying again"), Style::new().fg(Color::Red));
    }
    match moment.reasons.is_empty() {
        true => Line::styled("ready", Style::new().fg(Color::Green)),
        false => Line::styled(moment.reasons.join(" · "), Style::new().fg(Color::Yellow)),
    }
}

fn latencies(moment: &Moment) -> Table<'_> {
    let head = ["", "last second", "p50", "p99", "p99.9", "max", "whole run", "p50", "p99", "max"];
    let right = |text: String| Cell::from(Line::from(text).right_aligned());
    let value = |of: &Distribution, nanos: u64| {
        right(if of.count == 0 { "-".to_owned() } else { readable(nanos) })
    };
    let rows = moment.spans.iter().map(|span| {
        let (last, run) = (&span.last, &span.run);
        let cells = [
            Cell::from(span.name.as_str()),
            right(grouped(last.count)),
            value(last, last.p50),
            value(last, last.p99),
            value(last, last.p999),
            value(last, last.max),
            right(grouped(run.count)),
            value(run, run.p50),
            value(run, run.p99),
            value(run, run.max),
        ];
        Row::new(cells).style(if span.is_total { bold() } else { Style::new() })
    });
    let head = head.map(|it| Line::from(it).right_aligned());
    let widths = [20, 11, 8, 8, 8, 8, 12, 8, 8, 8].map(Constraint::Length);
    Table::new(rows, widths).header(Row::new(head).style(quiet())).column_spacing(1)
}

fn pasts(frame: &mut Frame<'_>, view: &View, moment: &Moment, area: Rect) {
    let halves = Layout::horizontal([Constraint::Ratio(1, 2); 2]).spacing(2).split(area);
    let p99 = view.p99s.back().map_or_else(String::new, |it| readable(*it));
    let rate = format!("{} records a second", grouped(moment.column.rate.round() as u64));
    let p99 = format!("transit p99 {p99}");
    for (at, (title, past)) in [(rate, &view.rates), (p99, &view.p99s)].into_iter().enumerate() {
        let shown = past.len().min(usize::from(halves[at].width));
        let line = Sparkline::default()
            .block(Block::new().title(Span::styled(title, bold())))
            .data(past.range(past.len() - shown..).copied());
        frame.render_widget(line, halves[at]);
    }
}

/// A bar of the shares of the last second, and what they are.
fn regimes(moment: &Moment, width: u16) -> Vec<Line<'_>> {
    const COLOURS: [Color; 6] =
        [Color::DarkGray, Color::Green, Color::Red, Color::Magenta, Color::Cyan, Color::Yellow];
    let of = |name: &str| match name {
        "idle" => COLOURS[0],
        "working" => COLOURS[1],
        "backpressured" => COLOURS[2],
        "housekeeping" => COLOURS[3],
        "restoring" => COLOURS[4],
        _ => COLOURS[5],
    };
    let shares: Vec<_> = moment.regimes.iter().filter(|(_, share)| **share > 0.0).collect();
    let bar = shares.iter().map(|(name, share)| {
        let cells = (**share * f64::from(width)).round() as usize;
        Span::styled("█".repeat(cells), Style::new().fg(of(name)))
    });
    let names = shares.iter().map(|(name, share)| {
        Span::styled(format!("{name} {:.1} %  ", **share * 100.0), Style::new().fg(of(name)))
    });
    let saturation = format!("saturation {:.1} %", moment.column.saturation * 100.0);
    let names = names.chain([Span::styled(saturation, bold())]);
    vec![Line::from_iter(bar), Line::from_iter(names)]
}

/// A line for the records, each table, the lag, and the stalls.
fn facts(moment: &Moment) -> Vec<Line<'_>> {
    let records = &moment.records;
    let held = match records.held {
        0 => String::new(),
        held => format!(", held {}", grouped(held)),
    };
    let mut lines = vec![Line::from(format!(
        "polled {}, emitted {}, skipped {}, dead-lettered {}{held}, in flight {}",
        grouped(records.polled),
        grouped(records.emitted),
        grouped(records.skipped),
        grouped(records.rejected),
        grouped(moment.in_flight.records)
    ))];
    lines.extend(moment.tables.iter().map(|it| {
        let age = it.age_seconds.map_or_else(|| "unknown".to_owned(), seconds);
        let trouble = if it.trouble.is_empty() { "" } else { "; " };
        let entries = grouped(it.entries);
        let text =
            format!("table {}: {entries} entries, age {age}{trouble}{}", it.name, it.trouble);
        let colour = if it.is_fresh { Style::new() } else { Style::new().fg(Color::Yellow) };
        Line::styled(text, colour)
    }));
    if !moment.lag.is_empty() {
        let sum: u64 = moment.lag.iter().map(|it| it.records).sum();
        let oldest = moment.lag.iter().map(|it| it.seconds).fold(0.0, f64::max);
        let oldest = if sum > 0 { format!(", for {}", seconds(oldest)) } else { String::new() };
        let partitions = moment.lag.len();
        let of = if partitions == 1 { "partition" } else { "partitions" };
        let lag = format!("lag {} records in {partitions} {of}{oldest}", grouped(sum));
        lines.push(Line::from(lag));
    }
    let stalls = moment.stalls.iter().map(|(cause, count)| format!("{} {cause}", grouped(*count)));
    let stalls: Vec<_> = stalls.collect();
    lines.push(match stalls.is_empty() {
        true => Line::from("no stall of the hot thread so far"),
        false => Line::from(format!("stalls: {}", stalls.join(", "))),
    });
    lines
}

fn slow(moment: &Moment) -> Paragraph<'_> {
    let head = format!("slow records: {}", grouped(moment.slow_records));
    let mut lines = vec![Line::styled(head, bold())];
    lines.extend(moment.slow.iter().rev().map(|it| {
        let at = it.ts.get(11..23).unwrap_or(&it.ts);
        let place = format!("{}:{}:{}", it.topic, it.partition, it.offset);
        let took = readable(it.transit_ns);
        Line::from(format!("{at}  {took:>8}  {place}  {}: {}", it.cause, it.verdict))
    }));
    Paragraph::new(lines)
}

fn seconds(seconds: f64) -> String {
    if seconds < 100.0 {
        return readable((seconds * 1e9) as u64);
    }
    let whole = seconds as u64;
    match whole / 3600 {
        0 => format!("{} min {} s", whole / 60, whole % 60),
        hours => format!("{hours} h {} min", whole / 60 % 60),
    }
}
