//! Steps whose effect on a record depends on earlier ones: `dedup` and `window`.

use std::time::Duration;

use super::{
    settings::Operator,
    tree::{Node, Value},
    values::{Typed, Wrong, expected},
};

/// `dedup`: of records with the same key within a period the first goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dedup {
    /// `key`: an expression.
    pub key: String,
    /// `within`: for how long a key is remembered, by the time of records; whole milliseconds.
    pub within: Duration,
    /// `max_keys`: so many at once, in each partition.
    pub max_keys: usize,
}

/// `window`: records add up by key and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// `kind`, with its sizes.
    pub kind: WindowKind,
    /// `aggregate`: names and what is computed, in order of the file.
    pub aggregates: Vec<(String, String)>,
    /// `key`: an expression.
    pub key: String,
    /// `time`: an expression for a timestamp or milliseconds since the epoch.
    pub time: String,
    /// `lateness`: how long a window stays open after its end; whole milliseconds.
    pub lateness: Duration,
    /// `late`: the topic for records that are; none skips them, class `late`.
    pub late: Option<String>,
    /// `idle`: after how long without a record time goes on by the clock; none is never.
    pub idle: Option<Duration>,
    /// `emit = "updates"`: each record leads to a result of its windows as they are then.
    pub updates: bool,
    /// `max_keys`: so many have open windows at once, in each partition.
    pub max_keys: usize,
    /// `max_age`: the longest session, the oldest window by count.
    pub max_age: Option<Duration>,
}

/// `kind` of a window; durations are whole milliseconds above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// `tumbling`: one behind the other.
    Tumbling {
        /// How long each is.
        size: Duration,
    },
    /// `hopping`: they overlap.
    Hopping {
        /// How long each is.
        size: Duration,
        /// How long after the one before each begins; at most the size.
        advance: Duration,
    },
    /// `session`: as long as records come.
    Session {
        /// How long none must come.
        gap: Duration,
    },
    /// `count`: so many records.
    Count {
        /// How many.
        size: u64,
    },
}

impl WindowKind {
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            WindowKind::Tumbling { .. } => "tumbling",
            WindowKind::Hopping { .. } => "hopping",
            WindowKind::Session { .. } => "session",
            WindowKind::Count { .. } => "count",
        }
    }
}

impl Operator {
    /// The expression that a step with state tells records apart by.
    pub fn state_key(&self) -> Option<&str> {
        match self {
            Operator::Dedup(dedup) => Some(&dedup.key),
            Operator::Window(window) => Some(&window.key),
            _ => None,
        }
    }
}

/// Fields that every result of a window has, or may have.
pub(super) const WINDOW_FIELDS: [&str; 4] = ["key", "start", "end", "final"];

pub(super) fn parse_aggregates(node: &Node) -> Result<Typed, Wrong> {
    const WHAT: &str = "names and aggregates, such as aggregate.total = \"sum(event.amount)\"";
    let Some(children) = node.children() else { return Err(expected(WHAT, node)) };
    let mut pairs = Vec::new();
    for (name, node) in children {
        let Value::Text(text) = &node.value else {
            return Err(expected(&format!("an aggregate in quotes at {name}"), node));
        };
        if WINDOW_FIELDS.contains(&name.as_str()) {
            let message = format!("{name:?} is what every window's result says of itself");
            return Err(Wrong { message, hint: Some("another name".to_owned()) });
        }
        pairs.push((name.clone(), text.clone()));
    }
    if pairs.is_empty() {
        Err(format!("expected {WHAT}, found none").into())
    } else {
        Ok(Typed::Pairs(pairs))
    }
}
