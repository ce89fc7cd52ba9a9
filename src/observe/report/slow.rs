//! Slow records, from the JSON lines beside a log: the slowest of them, and where their time went.
//!
//! Read leniently: a field that is missing is left out, one that is unknown is shown. What is no
//! JSON object is counted; so is what the writer left out.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use serde_json::{Map, Value};

use crate::{config::units, limits::REPORT_SLOW_MAX, observe::report::runs::Window};

/// What was read.
#[derive(Debug, Default)]
pub struct SlowRecords {
    /// How many there are.
    pub count: u64,
    /// Lines that are no JSON object.
    pub unreadable: u64,
    /// The slowest, the slowest first.
    pub slowest: Vec<SlowRecord>,
    /// Nanoseconds by stage, of all.
    pub stages_ns: BTreeMap<String, u64>,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlowRecord {
    /// What it is ordered by: `transit_ns`, else `end_to_end_ns`, else the sum of its stages.
    pub slowness_ns: u64,
    /// Its stages, in the order of the line.
    pub stages: Vec<(String, u64)>,
    /// All its other fields.
    pub fields: Map<String, Value>,
}

impl SlowRecord {
    /// The stage that took longest.
    pub fn longest(&self) -> Option<&(String, u64)> {
        self.stages.iter().max_by_key(|(_, nanos)| *nanos)
    }

    /// A field as text; empty if it is missing.
    pub fn text(&self, field: &str) -> String {
        self.fields.get(field).map(shown).unwrap_or_default()
    }
}

/// A value without the quotes of JSON.
pub fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl SlowRecords {
    /// Adds those beside a log; there may be none.
    ///
    /// # Errors
    ///
    /// If there is such a file and it cannot be read.
    pub fn add_beside(&mut self, log: &Path, window: Window) -> Result<(), String> {
        let path = log.with_extension("slow.jsonl");
        let failed = |error: std::io::Error| format!("{}: cannot be read: {error}", path.display());
        let file = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(failed)?,
        };
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(failed)?;
            if !line.trim_ascii().is_empty() {
                self.add(&line, window);
            }
        }
        self.keep_slowest();
        Ok(())
    }

    fn add(&mut self, line: &[u8], window: Window) {
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(line) else {
            self.unreadable += 1;
            return;
        };
        if let Some(left_out) = fields.get("left_out").and_then(Value::as_u64) {
            self.count += left_out;
            return;
        }
        let time = fields.get("ts").and_then(Value::as_str);
        if let Some(Ok(moment)) = time.map(units::parse_time)
            && !window.has(moment)
        {
            return;
        }
        let stages = stages(&mut fields);
        for (stage, nanos) in &stages {
            *self.stages_ns.entry(stage.clone()).or_default() += nanos;
        }
        let sum = stages.iter().map(|(_, nanos)| nanos).sum();
        let nanos = |name: &str| fields.get(name).and_then(Value::as_u64);
        let slowness_ns = nanos("transit_ns").or_else(|| nanos("end_to_end_ns")).unwrap_or(sum);
        self.count += 1;
        self.slowest.push(SlowRecord { slowness_ns, stages, fields });
        if self.slowest.len() >= 2 * REPORT_SLOW_MAX {
            self.keep_slowest();
        }
    }

    fn keep_slowest(&mut self) {
        self.slowest.sort_by_key(|it| std::cmp::Reverse(it.slowness_ns));
        self.slowest.truncate(REPORT_SLOW_MAX);
    }
}

/// Takes the stages out, the way from the origin among them; a value that is no number is none.
fn stages(fields: &mut Map<String, Value>) -> Vec<(String, u64)> {
    let source =
        fields.remove("source_ns").and_then(|it| Some(("source".to_owned(), it.as_u64()?)));
    let Some(Value::Object(stages)) = fields.remove("stages") else { return Vec::new() };
    let stages = stages.into_iter().filter_map(|(stage, it)| Some((stage, it.as_u64()?)));
    source.into_iter().chain(stages).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_leniently_and_the_slowest_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let text = [
            r#"{"ts":"2026-11-21T05:37:00Z","transit_ns":5,"stages":{"send":4,"parse":1}}"#,
            r#"{"transit_ns":9,"source_ns":7,"stages":{"send":9},"mood":"bad"}"#,
            r#"{"left_out":3}"#,
            "",
            r#"{"ts":"2027-01-01T00:00:00Z","transit_ns":99}"#,
            "nonsense",
            r#"{"tran"#,
        ];
        let text = text.join("\n");
        std::fs::write(folder.path().join("a.1.slow.jsonl"), text).unwrap();
        let mut slow = SlowRecords::default();
        let until = units::parse_time("2026-12-01T00:00:00Z").unwrap();
        let window = Window { since_ms: None, until_ms: Some(until) };
        slow.add_beside(&folder.path().join("a.1.hlog"), window).unwrap();
        slow.add_beside(&folder.path().join("b.hlog"), window).unwrap();
        assert_eq!((slow.count, slow.unreadable), (5, 2));
        assert_eq!(slow.slowest[0].text("mood"), "bad");
        assert_eq!(slow.slowest[1].longest(), Some(&("send".to_owned(), 4)));
        assert_eq!((slow.stages_ns["send"], slow.stages_ns["source"]), (13, 7));
    }
}
