//! Several processes in one picture: a row for each, and a sum.
//!
//! Percentiles of several processes cannot be added: the last row has the largest of each.

use ratatui::{
    Frame,
    layout::{Constraint, Layout},
    style::{Color, Style},
    text::Line,
    widgets::{Cell, Paragraph, Row, Table},
};

use super::{
    moment::{Distribution, Moment},
    screen::{bold, quiet},
};
use crate::observe::summary::{grouped, readable};

/// The columns: heads and widths.
const COLUMNS: [(&str, u16); 11] = [
    ("process", 16),
    ("core", 5),
    ("a second", 10),
    ("transit p50", 11),
    ("p99", 8),
    ("max", 8),
    ("end to end p99", 14),
    ("saturation", 10),
    ("lag", 10),
    ("partitions", 10),
    ("slow", 7),
];

/// What is drawn: each process by its address, and what it said last.
#[derive(Clone, Debug, Default)]
pub(super) struct Fleet {
    members: Vec<Member>,
    /// Nothing moves.
    pub(super) is_held: bool,
}

#[derive(Clone, Debug)]
struct Member {
    address: String,
    moment: Option<Moment>,
    lost: Option<String>,
}

impl Fleet {
    /// Processes of which nothing is known yet.
    pub(super) fn new(addresses: impl IntoIterator<Item = String>) -> Fleet {
        let member = |address| Member { address, moment: None, lost: None };
        Fleet { members: addresses.into_iter().map(member).collect(), is_held: false }
    }

    /// What a process said, or why it does not.
    pub(super) fn take(&mut self, number: usize, answer: Result<Moment, String>) {
        let member = &mut self.members[number];
        match answer {
            Ok(_) if self.is_held => member.lost = None,
            Ok(moment) => (member.moment, member.lost) = (Some(moment), None),
            Err(why) => member.lost = Some(why),
        }
    }
}

impl Fleet {
    /// Lines that all of it takes.
    pub(super) fn lines(&self) -> u16 {
        2 * self.members.len() as u16 + 6
    }
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, fleet: &Fleet) {
    let states = states(fleet);
    let heights = [1, fleet.members.len() as u16 + 3, states.len() as u16];
    let rows = heights.map(Constraint::Length).into_iter();
    let areas = Layout::vertical(rows.chain([Constraint::Min(0), Constraint::Length(1)]))
        .split(frame.area());
    frame.render_widget(Paragraph::new(title(fleet)), areas[0]);
    frame.render_widget(table(fleet), areas[1]);
    frame.render_widget(Paragraph::new(states), areas[2]);
    let keys = if fleet.is_held { "held; h goes on, q ends" } else { "h holds, q ends" };
    frame.render_widget(Paragraph::new(keys).style(quiet()), areas[4]);
}

fn title(fleet: &Fleet) -> Line<'_> {
    let first = fleet.members.iter().find_map(|it| it.moment.as_ref());
    let names = first.map_or_else(String::new, |it| {
        format!("{} · profile {} · {} · ", it.name, it.profile, it.guarantee)
    });
    Line::styled(format!("{names}{} processes", fleet.members.len()), bold())
}

/// A line for each process that is not ready or does not answer.
fn states(fleet: &Fleet) -> Vec<Line<'_>> {
    let state = |member: &Member| {
        if let Some(why) = &member.lost {
            return Some(Line::styled(why.clone(), Style::new().fg(Color::Red)));
        }
        let moment = member.moment.as_ref().filter(|it| !it.reasons.is_empty())?;
        let text = format!("{}: {}", moment.instance, moment.reasons.join(" · "));
        Some(Line::styled(text, Style::new().fg(Color::Yellow)))
    };
    let states: Vec<_> = fleet.members.iter().filter_map(state).collect();
    match states.is_empty() {
        true => vec![Line::styled("all are ready", Style::new().fg(Color::Green))],
        false => states,
    }
}

/// The figures of a row, of one process or of all.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    rate: f64,
    transit: [u64; 3],
    end_to_end_p99: u64,
    saturation: f64,
    lag: u64,
    partitions: usize,
    slow: u64,
}

impl Figures {
    fn of(moment: &Moment) -> Figures {
        let last = |name: &str| moment.spans.iter().find(|it| it.name == name).map(|it| it.last);
        let known = |it: &Distribution| it.count > 0;
        let transit = last("transit").filter(known);
        Figures {
            rate: moment.column.rate,
            transit: transit.map_or([0; 3], |it| [it.p50, it.p99, it.max]),
            end_to_end_p99: last("end_to_end").filter(known).map_or(0, |it| it.p99),
            saturation: moment.column.saturation,
            lag: moment.lag.iter().map(|it| it.records).sum(),
            partitions: moment.lag.len(),
            slow: moment.slow_records,
        }
    }

    fn with(self, other: Figures) -> Figures {
        let larger = |at: usize| self.transit[at].max(other.transit[at]);
        Figures {
            rate: self.rate + other.rate,
            transit: [larger(0), larger(1), larger(2)],
            end_to_end_p99: self.end_to_end_p99.max(other.end_to_end_p99),
            saturation: self.saturation.max(other.saturation),
            lag: self.lag + other.lag,
            partitions: self.partitions + other.partitions,
            slow: self.slow + other.slow,
        }
    }

    fn row<'a>(&self, name: String, core: String) -> Row<'a> {
        let nanos = |it: u64| if it == 0 { "-".to_owned() } else { readable(it) };
        let [p50, p99, max] = self.transit.map(nanos);
        let cells = [
            core,
            grouped(self.rate.round() as u64),
            p50,
            p99,
            max,
            nanos(self.end_to_end_p99),
            format!("{:.1} %", self.saturation * 100.0),
            grouped(self.lag),
            self.partitions.to_string(),
            grouped(self.slow),
        ];
        let cells = cells.into_iter().map(|it| Cell::from(Line::from(it).right_aligned()));
        Row::new([Cell::from(tail(&name))].into_iter().chain(cells))
    }
}

/// The end of a name that is too long: there processes of one host differ.
fn tail(name: &str) -> String {
    let width = usize::from(COLUMNS[0].1);
    let length = name.chars().count();
    if length <= width {
        return name.to_owned();
    }
    let end: String = name.chars().skip(length + 1 - width).collect();
    format!("…{end}")
}

fn table(fleet: &Fleet) -> Table<'_> {
    let known = fleet.members.iter().filter_map(|it| it.moment.as_ref());
    let sum = known.map(Figures::of).reduce(Figures::with).unwrap_or_default();
    let rows = fleet.members.iter().map(|member| match &member.moment {
        Some(it) => {
            let row = Figures::of(it).row(it.instance.clone(), it.core.clone());
            if member.lost.is_some() { row.style(quiet()) } else { row }
        }
        None => Row::new([Cell::from(tail(&member.address))]).style(quiet()),
    });
    let all = sum.row("all; largest".to_owned(), String::new()).style(bold());
    let head = COLUMNS.map(|(head, _)| Line::from(head).right_aligned());
    Table::new(rows.chain([all]), COLUMNS.map(|(_, width)| Constraint::Length(width)))
        .header(Row::new(head).style(quiet()))
        .column_spacing(1)
}
