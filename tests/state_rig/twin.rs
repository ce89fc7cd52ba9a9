//! Windows as one would write them down: every record kept, everything computed at the end.
//!
//! It knows one list of records, no crash and no bound on time or memory. Sums are exact: numbers
//! are multiples of a quarter. For what a distinct count or a quantile estimates it asks the crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use hotspur::state::{
    Aggregate, Input,
    window::{Emit, Kind, WindowRules},
};
use sketches_ddsketch::{Config, DDSketch};

/// A value that goes into every aggregate of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    Absent,
    Null,
    Int(i64),
    Uint(u64),
    /// So many quarters.
    Quarters(i32),
}

impl Value {
    pub(crate) fn input(self) -> Input<'static> {
        match self {
            Value::Absent => Input::Absent,
            Value::Null => Input::Null,
            Value::Int(it) => Input::Int(it),
            Value::Uint(it) => Input::Uint(it),
            Value::Quarters(it) => Input::Double(f64::from(it) / 4.0),
        }
    }

    /// In quarters, and whether it is a double; `None` if it is nothing.
    fn quarters(self) -> Option<(i128, bool)> {
        match self {
            Value::Absent | Value::Null => None,
            Value::Int(it) => Some((i128::from(it) * 4, false)),
            Value::Uint(it) => Some((i128::from(it) * 4, false)),
            Value::Quarters(it) => Some((i128::from(it), true)),
        }
    }

    fn double(self) -> Option<f64> {
        self.quarters().map(|(it, _)| it as f64 / 4.0)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) offset: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) time: i64,
    pub(crate) value: Value,
}

/// An open window.
#[derive(Clone, Debug)]
struct Open {
    start: i64,
    end: i64,
    events: Vec<Event>,
}

/// What comes out of a list of records.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) results: Vec<String>,
    pub(crate) late: BTreeSet<i64>,
    pub(crate) full: BTreeSet<i64>,
}

/// A result as text.
pub(crate) fn result<'a>(
    key: &[u8],
    (start, end): (i64, i64),
    is_final: bool,
    values: impl Iterator<Item = &'a [u8]>,
) -> String {
    let mut text = format!("{} {start}..{end} {is_final}", String::from_utf8_lossy(key));
    for value in values {
        write!(text, " {}", std::str::from_utf8(value).expect("JSON is UTF-8")).unwrap();
    }
    text
}

/// Computes all of it. `moved` are positions, each with the watermark that was committed there.
pub(crate) fn outcome(rules: &WindowRules, events: &[Event], moved: &[(i64, i64)]) -> Outcome {
    let mut twin =
        Twin { rules, watermark: i64::MIN, keys: BTreeMap::new(), out: Outcome::default() };
    for (number, event) in events.iter().enumerate() {
        let before = if number == 0 { -1 } else { events[number - 1].offset };
        twin.move_on(moved, before, event.offset);
        twin.event(event);
        twin.close();
    }
    twin.move_on(moved, events.last().map_or(-1, |it| it.offset), i64::MAX);
    twin.out
}

struct Twin<'a> {
    rules: &'a WindowRules,
    watermark: i64,
    keys: BTreeMap<Vec<u8>, Vec<Open>>,
    out: Outcome,
}

impl Twin<'_> {
    fn move_on(&mut self, moved: &[(i64, i64)], after: i64, to: i64) {
        for (_, mark) in moved.iter().filter(|(at, _)| after < *at && *at <= to) {
            self.watermark = self.watermark.max(*mark);
            self.close();
        }
    }

    fn event(&mut self, event: &Event) {
        let opens = !self.keys.contains_key(&event.key);
        if opens && self.keys.len() >= self.rules.max_keys && !self.is_late(event) {
            self.out.full.insert(event.offset);
            return;
        }
        let mut open = self.keys.get(&event.key).cloned().unwrap_or_default();
        let counted = match self.rules.kind {
            Kind::Tumbling { size_ms } => self.spans(&mut open, size_ms, size_ms, event),
            Kind::Hopping { size_ms, advance_ms } => {
                self.spans(&mut open, size_ms, advance_ms, event)
            }
            Kind::Session { gap_ms } => self.session(&mut open, gap_ms, event),
            Kind::Count { .. } => Some(count(&mut open, event)),
        };
        match counted {
            Some(counted) if counted.is_empty() => _ = self.out.late.insert(event.offset),
            None => _ = self.out.full.insert(event.offset),
            Some(counted) => {
                if self.rules.emit == Emit::Updates {
                    let updates = counted.iter().map(|it| self.text(&event.key, it, false));
                    self.out.results.extend(updates.collect::<Vec<_>>());
                }
                self.keys.insert(event.key.clone(), open);
            }
        }
        if !self.out.full.contains(&event.offset) {
            self.watermark = self.watermark.max(event.time - self.rules.lateness_ms);
        }
    }

    fn is_late(&self, event: &Event) -> bool {
        let last_end = match self.rules.kind {
            Kind::Tumbling { size_ms } => event.time.div_euclid(size_ms) * size_ms + size_ms,
            Kind::Hopping { size_ms, advance_ms } => {
                event.time.div_euclid(advance_ms) * advance_ms + size_ms
            }
            Kind::Session { gap_ms } => event.time + gap_ms,
            Kind::Count { .. } => return false,
        };
        last_end <= self.watermark
    }

    fn spans(
        &self,
        open: &mut Vec<Open>,
        size: i64,
        advance: i64,
        event: &Event,
    ) -> Option<Vec<Open>> {
        let mut counted = Vec::new();
        let first = (event.time - size).div_euclid(advance) - 1;
        for start in (first..).map(|it| it * advance).take_while(|it| *it <= event.time) {
            let end = start + size;
            if end <= event.time || end <= self.watermark {
                continue;
            }
            if !open.iter().any(|it| it.start == start) {
                open.push(Open { start, end, events: Vec::new() });
            }
            let window = open.iter_mut().find(|it| it.start == start).unwrap();
            window.events.push(event.clone());
            counted.push(window.clone());
        }
        Some(counted)
    }

    fn session(&self, open: &mut Vec<Open>, gap: i64, event: &Event) -> Option<Vec<Open>> {
        let mut own =
            Open { start: event.time, end: event.time + gap, events: vec![event.clone()] };
        let (joined, apart): (Vec<Open>, Vec<Open>) = std::mem::take(open)
            .into_iter()
            .partition(|it| it.start < event.time + gap && event.time < it.end);
        if joined.is_empty() && own.end <= self.watermark {
            *open = apart;
            return Some(Vec::new());
        }
        for other in joined {
            own.start = own.start.min(other.start);
            own.end = own.end.max(other.end);
            own.events.extend(other.events);
        }
        own.events.sort_by_key(|it| it.offset);
        *open = apart;
        open.push(own.clone());
        let is_old = self.rules.max_age_ms.is_some_and(|age| own.end - own.start > age);
        (!is_old).then(|| vec![own])
    }

    /// Emits what is full or due, and forgets keys without windows.
    fn close(&mut self) {
        let mut due = Vec::new();
        for (key, open) in &mut self.keys {
            open.retain(|window| {
                let end = match (self.rules.kind, self.rules.max_age_ms) {
                    (Kind::Count { size }, _) if window.events.len() as u64 >= size => i64::MIN,
                    (Kind::Count { .. }, age) => age.map_or(i64::MAX, |age| window.start + age),
                    _ => window.end,
                };
                let is_due = end <= self.watermark;
                if is_due {
                    due.push((end, window.start, key.clone(), window.clone()));
                }
                !is_due
            });
        }
        self.keys.retain(|_, open| !open.is_empty());
        due.sort_by(|a, b| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2)));
        for (_, _, key, window) in due {
            let text = self.text(&key, &window, true);
            self.out.results.push(text);
        }
    }

    fn text(&self, key: &[u8], window: &Open, is_final: bool) -> String {
        let values: Vec<String> =
            self.rules.aggregates.iter().map(|it| computed(*it, &window.events)).collect();
        let values = values.iter().map(|it| it.as_bytes());
        result(key, (window.start, window.end), is_final, values)
    }
}

/// A window that is full was closed with its last record, so there is one at most.
fn count(open: &mut Vec<Open>, event: &Event) -> Vec<Open> {
    if open.is_empty() {
        open.push(Open { start: event.time, end: event.time, events: Vec::new() });
    }
    let window = open.last_mut().unwrap();
    window.start = window.start.min(event.time);
    window.end = window.end.max(event.time);
    window.events.push(event.clone());
    vec![window.clone()]
}

fn json(value: Value) -> String {
    match value {
        Value::Absent | Value::Null => "null".to_owned(),
        Value::Int(it) => it.to_string(),
        Value::Uint(it) => it.to_string(),
        Value::Quarters(it) => double(f64::from(it) / 4.0),
    }
}

fn double(number: f64) -> String {
    serde_json::to_string(&number).unwrap()
}

fn computed(aggregate: Aggregate, events: &[Event]) -> String {
    let values: Vec<Value> =
        events.iter().map(|it| it.value).filter(|it| it.quarters().is_some()).collect();
    let numbers = values.iter().filter_map(|it| it.quarters());
    let total: i128 = numbers.clone().map(|it| it.0).sum();
    let in_order = |is_less: fn(i128, i128) -> bool| {
        let least = values.iter().copied().reduce(|kept, it| {
            let quarters = |it: Value| it.quarters().unwrap().0;
            if is_less(quarters(it), quarters(kept)) { it } else { kept }
        });
        json(least.unwrap_or(Value::Null))
    };
    let mut by_time: Vec<&Event> =
        events.iter().filter(|it| it.value.quarters().is_some()).collect();
    by_time.sort_by_key(|it| (it.time, it.offset));
    match aggregate {
        Aggregate::Records => events.len().to_string(),
        Aggregate::Count => values.len().to_string(),
        Aggregate::Sum | Aggregate::Avg if values.is_empty() => "null".to_owned(),
        Aggregate::Sum if numbers.clone().any(|it| it.1) => double(total as f64 / 4.0),
        Aggregate::Sum => (total / 4).to_string(),
        Aggregate::Avg => double(total as f64 / 4.0 / values.len() as f64),
        Aggregate::Min => in_order(|one, other| one < other),
        Aggregate::Max => in_order(|one, other| one > other),
        Aggregate::First => json(by_time.first().map_or(Value::Null, |it| it.value)),
        Aggregate::Last => json(by_time.last().map_or(Value::Null, |it| it.value)),
        Aggregate::Distinct => {
            let all: BTreeSet<i128> = numbers.map(|it| it.0).collect();
            all.len().to_string()
        }
        Aggregate::Quantile(quantile) => {
            let mut doubles: Vec<f64> = values.iter().filter_map(|it| it.double()).collect();
            doubles.sort_by(f64::total_cmp);
            let rank = (quantile * (doubles.len().max(1) - 1) as f64) as usize;
            doubles.get(rank).map_or("null".to_owned(), |it| double(stand_in(*it)))
        }
        Aggregate::Collect(most) => {
            let some: Vec<String> = values.iter().take(most as usize).map(|it| json(*it)).collect();
            format!("[{}]", some.join(","))
        }
    }
}

/// The value of its bin: a sketch of it alone has no other.
fn stand_in(value: f64) -> f64 {
    let mut sketch = DDSketch::new(Config::new(0.01, 1024, 1e-9));
    sketch.add(value);
    sketch.quantile(0.5).unwrap().unwrap()
}
