//! What a table's file says: JSON lines of `{"key": …, "value": …}`, or CSV with a head.
//!
//! A file is read as a whole and checked before anybody sees any of it; errors name the line. A
//! value that is text is text, any other value is JSON. In CSV the column `key`, or else the first,
//! is the key; one other column is the value, as text; several are an object of texts.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::value::{Value, ValueKind};

/// Keys and values of a whole file; of a key that stands twice the last counts.
pub type Entries = HashMap<Vec<u8>, OwnedValue>;

/// A value of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedValue {
    /// What the bytes are.
    pub kind: ValueKind,
    /// The value.
    pub bytes: Vec<u8>,
}

impl OwnedValue {
    /// The same, borrowed.
    pub fn as_value(&self) -> Value<'_> {
        Value { kind: self.kind, bytes: &self.bytes }
    }
}

/// Reads and checks a whole file.
///
/// # Errors
///
/// A sentence that names the file and, where there is one, the line.
pub fn read(path: &Path) -> Result<Entries, String> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let is_csv = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("csv"));
    if is_csv { read_csv(path, file) } else { read_lines(path, file) }
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{} could not be read: {error}", path.display())
}

/// One line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    key: &'a RawValue,
    #[serde(borrow)]
    value: &'a RawValue,
}

fn read_lines(path: &Path, file: File) -> Result<Entries, String> {
    let mut reader = BufReader::new(file);
    let (mut entries, mut line, mut number) = (Entries::new(), Vec::new(), 0_u64);
    loop {
        line.clear();
        number += 1;
        let taken =
            reader.read_until(b'\n', &mut line).map_err(|error| unreadable(path, &error))?;
        if taken == 0 {
            return Ok(entries);
        }
        if !line.trim_ascii().is_empty() {
            let (key, value) =
                parse(&line).map_err(|reason| format!("{}:{number}: {reason}", path.display()))?;
            entries.insert(key, value);
        }
    }
}

fn parse(line: &[u8]) -> Result<(Vec<u8>, OwnedValue), String> {
    let expected = r#"expected {"key": …, "value": …}"#;
    let refused = |error: serde_json::Error| format!("{expected}: {error}");
    let line: Line<'_> = serde_json::from_slice(line).map_err(refused)?;
    if line.key.get().starts_with(['{', '[', 'n']) {
        return Err(format!("the key must be text, a number or a truth value: {}", line.key.get()));
    }
    let is_text = line.value.get().starts_with('"');
    let kind = if is_text { ValueKind::Text } else { ValueKind::Json };
    let bytes = text(line.value).map_err(refused)?;
    Ok((text(line.key).map_err(refused)?, OwnedValue { kind, bytes }))
}

/// The bytes of a string; anything else as it is spelled.
fn text(value: &RawValue) -> serde_json::Result<Vec<u8>> {
    if value.get().starts_with('"') {
        serde_json::from_str::<String>(value.get()).map(String::into_bytes)
    } else {
        Ok(value.get().as_bytes().to_vec())
    }
}

fn read_csv(path: &Path, file: File) -> Result<Entries, String> {
    let at = |line: u64, reason: String| format!("{}:{line}: {reason}", path.display());
    let wrong = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        at(line, format!("this is no CSV: {error}"))
    };
    let mut reader = csv::Reader::from_reader(file);
    let columns = reader.headers().map_err(wrong)?.clone();
    if columns.len() < 2 {
        let reason = "the head must name a column of keys and at least one of values";
        return Err(at(1, reason.to_owned()));
    }
    let twice = columns.iter().enumerate().find(|it| columns.iter().take(it.0).any(|c| c == it.1));
    if let Some((_, name)) = twice {
        return Err(at(1, format!("the column {name:?} stands here twice")));
    }
    let keys = columns.iter().position(|column| column == "key").unwrap_or(0);
    let mut entries = Entries::new();
    for row in reader.records() {
        let row = row.map_err(wrong)?;
        let values = || columns.iter().zip(&row).enumerate().filter(|(index, _)| *index != keys);
        let (kind, bytes) = match columns.len() {
            2 => (ValueKind::Text, values().flat_map(|(_, (_, it))| it.bytes()).collect()),
            _ => (ValueKind::Json, object(values().map(|(_, field)| field))),
        };
        entries.insert(row[keys].as_bytes().to_vec(), OwnedValue { kind, bytes });
    }
    Ok(entries)
}

/// An object of texts, in this order.
fn object<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let fields = fields.map(|(name, value)| format!("{}:{}", quoted(name), quoted(value)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(",")).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read_text(name: &str, text: &str) -> Result<Vec<(String, ValueKind, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let entries = read(&path).map_err(|error| error.replace(path.to_str().unwrap(), name))?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let mut entries: Vec<_> = entries
            .into_iter()
            .map(|(key, value)| (text(key), value.kind, text(value.bytes)))
            .collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    fn entry(key: &str, kind: ValueKind, value: &str) -> (String, ValueKind, String) {
        (key.to_owned(), kind, value.to_owned())
    }

    #[test]
    fn lines_hold_text_and_json() {
        use ValueKind::{Json, Text};
        let lines = "{\"key\":\"a\",\"value\":\"gold\"}\n\n{\"key\":7,\"value\":{\"tier\":1}}\n";
        let expected = [entry("7", Json, "{\"tier\":1}"), entry("a", Text, "gold")];
        assert_eq!(read_text("it.jsonl", lines).unwrap(), expected);
    }

    #[test]
    fn two_columns_are_texts_and_more_are_objects() {
        use ValueKind::{Json, Text};
        let two = read_text("it.csv", "code,name\nAT,Austria\nBE,\"Belgium, Belgique\"\n");
        let expected = [entry("AT", Text, "Austria"), entry("BE", Text, "Belgium, Belgique")];
        assert_eq!(two.unwrap(), expected);
        let three = read_text("it.CSV", "name,key,tier\nAda,user1,gold\nBob,user1,\n");
        let expected = [entry("user1", Json, "{\"name\":\"Bob\",\"tier\":\"\"}")];
        assert_eq!(three.unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_in_csv_is_told_with_its_line() {
        for (text, expected) in [
            ("", "it.csv:1: the head must name a column of keys and at least one of values"),
            ("key\na\n", "it.csv:1: the head must name a column of keys and"),
            ("key,a,a\n1,2,3\n", "it.csv:1: the column \"a\" stands here twice"),
            ("key,a\n1,2\n3\n", "it.csv:3: this is no CSV: "),
        ] {
            let error = read_text("it.csv", text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
