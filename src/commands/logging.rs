//! How log lines look: `TIME LEVEL event field=value …` for people, one JSON object a line for
//! programs, both on standard error.
//!
//! An event's name is its field `event`; without one its message is. Nothing here runs on the hot
//! thread, which does not log.

use std::{
    fmt::{self, Write as _},
    io::{self, IsTerminal, Write as _},
};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt};

use crate::config::settings::Log;

/// Sets logging up for the process. `-v` and `-q` go over the settings; without settings the
/// environment's `HOTSPUR_LOG` and `HOTSPUR_LOG_FORMAT` are asked.
pub fn set_up(log: Option<&Log>, verbose: u8, quiet: bool) {
    let variable = |name: &str| std::env::var(name).ok();
    let level = log.map(|log| log.level.clone()).or_else(|| variable("HOTSPUR_LOG"));
    let json = match log {
        Some(log) => log.json,
        None => match variable("HOTSPUR_LOG_FORMAT").as_deref() {
            Some("json") => Some(true),
            Some("text") => Some(false),
            _ => None,
        },
    };
    let filter = filter(level.as_deref().unwrap_or("info"), verbose, quiet);
    let format = match json.unwrap_or_else(|| !io::stderr().is_terminal()) {
        true => Format::Json,
        false => Format::Text { colour: wants_colour() },
    };
    let subscriber = tracing_subscriber::registry().with(Lines { format }.with_filter(filter));
    // Fails if a process sets it up twice, which only tests do: the first stays.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

fn filter(level: &str, verbose: u8, quiet: bool) -> LevelFilter {
    match (quiet, verbose) {
        (true, _) => LevelFilter::ERROR,
        (_, 0) => level.parse().unwrap_or(LevelFilter::INFO),
        (_, 1) => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

fn wants_colour() -> bool {
    let is_set = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_set && io::stderr().is_terminal()
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Text { colour: bool },
    Json,
}

#[derive(Debug)]
struct Lines {
    format: Format,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = format!("{:.6}", jiff::Timestamp::now());
        let level = *event.metadata().level();
        let mut line = match self.format {
            Format::Text { colour } => fields.text(&time, level, colour),
            Format::Json => fields.json(&time, level),
        };
        line.push('\n');
        // A log that nobody can read any more is no reason to stop.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// What one event says.
#[derive(Debug, Default)]
struct Fields {
    event: Option<String>,
    message: Option<String>,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn name(&self) -> &str {
        self.event.as_deref().or(self.message.as_deref()).unwrap_or("unnamed")
    }

    fn text(&self, time: &str, level: Level, colour: bool) -> String {
        let style = match level {
            Level::ERROR => anstyle::AnsiColor::Red.on_default().bold(),
            Level::WARN => anstyle::AnsiColor::Yellow.on_default(),
            _ => anstyle::Style::new(),
        };
        let style = if colour { style } else { anstyle::Style::new() };
        let mut line = format!("{time} {style}{level}{style:#} {}", self.name());
        if let (Some(_), Some(message)) = (&self.event, &self.message) {
            line.push_str(&format!(" {}", one_line(message)));
        }
        for (name, value) in &self.others {
            match value {
                Value::String(text) => line.push_str(&format!(" {name}={}", quoted(text))),
                value => line.push_str(&format!(" {name}={value}")),
            }
        }
        line
    }

    fn json(&self, time: &str, level: Level) -> String {
        let mut object = Map::new();
        object.insert("ts".to_owned(), time.into());
        object.insert("level".to_owned(), level.as_str().into());
        object.insert("event".to_owned(), self.name().into());
        let message = self.message.as_deref().unwrap_or_default();
        object.insert("message".to_owned(), message.into());
        for (name, value) in &self.others {
            object.insert((*name).to_owned(), value.clone());
        }
        Value::Object(object).to_string()
    }

    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("event", Value::String(text)) => self.event = Some(text),
            ("message", Value::String(text)) => self.message = Some(text),
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to text cannot fail.
        let _ = write!(text, "{value:?}");
        self.put(field, text.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string().into());
    }
}

/// A value that a person and a program can tell from the next field.
fn quoted(text: &str) -> String {
    let is_bare = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=');
    match !text.is_empty() && text.chars().all(is_bare) {
        true => text.to_owned(),
        false => Value::from(text).to_string(),
    }
}

/// A line stays a line, whatever a message holds.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        Fields {
            event: Some("table.loaded".to_owned()),
            message: None,
            others: vec![
                ("table", "users".into()),
                ("entries", 1_000_000.into()),
                ("from", "a b".into()),
            ],
        }
    }

    #[test]
    fn text_is_one_line_with_fields() {
        let line = fields().text("2026-11-21T05:37:00.123456Z", Level::INFO, false);
        let expected = "2026-11-21T05:37:00.123456Z INFO table.loaded table=users \
                        entries=1000000 from=\"a b\"";
        assert_eq!(line, expected);
    }

    #[test]
    fn json_has_the_fixed_names_first() {
        let fields = Fields { message: Some("in words\n".to_owned()), ..fields() };
        let line: Value = serde_json::from_str(&fields.json("T", Level::WARN)).unwrap();
        assert_eq!(line["ts"], "T");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["event"], "table.loaded");
        assert_eq!(line["message"], "in words\n");
        assert_eq!(line["entries"], 1_000_000);
        assert!(fields.text("T", Level::WARN, false).contains("table.loaded in words  table="));
    }

    #[test]
    fn flags_go_over_the_level() {
        assert_eq!(filter("warn", 0, false), LevelFilter::WARN);
        assert_eq!(filter("warn", 1, false), LevelFilter::DEBUG);
        assert_eq!(filter("warn", 2, false), LevelFilter::TRACE);
        assert_eq!(filter("debug", 0, true), LevelFilter::ERROR);
    }
}
