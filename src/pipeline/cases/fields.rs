//! The parts that records, results and tables of a case file share, read from the tree of the file.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    cache::{Entries, OwnedValue, Value as TableValue, ValueKind},
    config::{
        Problem,
        document::Document,
        hints,
        report::Located,
        tree::{Node, Value, join_key},
        units,
    },
};

/// Named children of a table.
pub(super) type Children<'n> = &'n [(String, Node)];

/// A header: name, value.
pub(super) type Header = (Vec<u8>, Option<Vec<u8>>);

/// Reads, and collects what is wrong.
#[derive(Debug)]
pub(super) struct Fields<'d> {
    pub(super) document: &'d Document,
    pub(super) problems: Vec<Located>,
}

impl<'d> Fields<'d> {
    /// What is wrong with a value.
    pub(super) fn wrong(&mut self, node: &Node, key: &str, message: String, hint: Option<String>) {
        let problem = Problem { hint, ..Problem::error(key, message) };
        self.problems.push(self.document.at_value(problem, &node.place));
    }

    /// Children of a table, all of which must be known.
    pub(super) fn table<'n>(
        &mut self,
        node: &'n Node,
        key: &str,
        known: &[&str],
        what: &str,
    ) -> Option<Children<'n>> {
        let Some(children) = node.children() else {
            let message = format!("{what} is written as a table, not as {}", node.value.kind());
            self.wrong(node, key, message, None);
            return None;
        };
        for (name, child) in children {
            if !known.contains(&name.as_str()) {
                let message = format!("{what} has no key \"{name}\"");
                let others = || Some(format!("there are {}", known.join(", ")));
                let hint = hints::did_you_mean(name, known.iter().copied()).or_else(others);
                let problem = Problem { hint, ..Problem::error(join_key(key, name), message) };
                self.problems.push(self.document.at_key(problem, &child.place));
            }
        }
        Some(children)
    }

    pub(super) fn text<'n>(&mut self, node: &'n Node, key: &str) -> Option<&'n str> {
        let text = node.text();
        if text.is_none() {
            self.wrong(node, key, format!("must be text, not {}", node.value.kind()), None);
        }
        text
    }

    /// `NAME` as text, or `NAME_base64`; not both.
    pub(super) fn bytes(
        &mut self,
        children: Children<'_>,
        key: &str,
        (name, encoded_name): (&str, &str),
    ) -> Option<Vec<u8>> {
        let (plain, encoded) = (child(children, name), child(children, encoded_name));
        if let (Some(_), Some(encoded)) = (plain, encoded) {
            let message = format!("`{name}` stands here as well: one of them");
            self.wrong(encoded, &join_key(key, encoded_name), message, None);
        }
        match (plain, encoded) {
            (Some(node), _) => {
                self.text(node, &join_key(key, name)).map(|text| text.as_bytes().to_vec())
            }
            (None, Some(node)) => self.base64(node, &join_key(key, encoded_name)),
            (None, None) => None,
        }
    }

    fn base64(&mut self, node: &Node, key: &str) -> Option<Vec<u8>> {
        match STANDARD.decode(self.text(node, key)?) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.wrong(node, key, format!("is no base64: {error}"), None);
                None
            }
        }
    }

    /// `true`; anything else is wrong.
    pub(super) fn flag(&mut self, children: Children<'_>, key: &str, name: &str) -> bool {
        let Some(node) = child(children, name) else { return false };
        let is_set = matches!(node.value, Value::Boolean(true));
        if !is_set {
            self.wrong(node, &join_key(key, name), "can only be true".to_owned(), None);
        }
        is_set
    }

    pub(super) fn duration(
        &mut self,
        children: Children<'_>,
        key: &str,
        name: &str,
    ) -> Option<Duration> {
        let node = child(children, name)?;
        let key = join_key(key, name);
        match units::parse_duration(self.text(node, &key)?) {
            Ok(duration) => Some(duration),
            Err(sentence) => {
                self.wrong(node, &key, sentence, None);
                None
            }
        }
    }

    /// Milliseconds since the epoch, or RFC 3339.
    pub(super) fn time(&mut self, children: Children<'_>, key: &str, name: &str) -> Option<i64> {
        let node = child(children, name)?;
        let time = match &node.value {
            Value::Integer(millis) => Ok(*millis),
            Value::Text(text) | Value::Time(text) => units::parse_time(text),
            other => Err(format!("must be a time or milliseconds, not {}", other.kind())),
        };
        time.map_err(|sentence| self.wrong(node, &join_key(key, name), sentence, None)).ok()
    }

    pub(super) fn integer(&mut self, children: Children<'_>, key: &str, name: &str) -> Option<i64> {
        let node = child(children, name)?;
        match node.value {
            Value::Integer(number) if number >= 0 => Some(number),
            _ => {
                let message = "must be a whole number from 0".to_owned();
                self.wrong(node, &join_key(key, name), message, None);
                None
            }
        }
    }

    /// A table of names and values, or a list of pairs, in which a name may stand twice and a
    /// header without a value is a list of its name alone.
    pub(super) fn headers(&mut self, children: Children<'_>, key: &str) -> Option<Vec<Header>> {
        let node = child(children, "headers")?;
        let key = join_key(key, "headers");
        match &node.value {
            Value::Table(fields) => {
                let header = |(name, node): &(String, Node)| {
                    let value = self.text(node, &join_key(&key, name))?;
                    Some((name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())))
                };
                fields.iter().map(header).collect()
            }
            Value::List(pairs) => {
                let pairs = pairs.iter().enumerate();
                pairs.map(|(at, pair)| self.header(pair, &format!("{key}[{at}]"))).collect()
            }
            _ => {
                let hint = "write { name = \"value\" }, or [[\"name\", \"value\"]]".to_owned();
                let message = format!("must be names and values, not {}", node.value.kind());
                self.wrong(node, &key, message, Some(hint));
                None
            }
        }
    }

    fn header(&mut self, pair: &Node, key: &str) -> Option<Header> {
        let texts = match &pair.value {
            Value::List(items) => items.iter().map(Node::text).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        let owned = |text: &str| text.as_bytes().to_vec();
        match texts.as_deref() {
            Some([name]) => Some((owned(name), None)),
            Some([name, value]) => Some((owned(name), Some(owned(value)))),
            _ => {
                let message = "a header is its name and its value, or its name alone".to_owned();
                self.wrong(pair, key, message, Some("write [\"name\", \"value\"]".to_owned()));
                None
            }
        }
    }

    /// Text is text, anything else is JSON; `{ json = '…' }` is JSON as it is spelled there.
    pub(super) fn entries(&mut self, node: &Node, key: &str) -> Option<Entries> {
        let Some(children) = node.children() else {
            let message = format!("must be keys and values, not {}", node.value.kind());
            self.wrong(node, key, message, None);
            return None;
        };
        let mut entries = Entries::new();
        for (name, node) in children {
            let value = self.table_value(node, &join_key(key, name))?;
            entries.insert(name.as_bytes().to_vec(), value);
        }
        Some(entries)
    }

    fn table_value(&mut self, node: &Node, key: &str) -> Option<OwnedValue> {
        let spelled = match node.children() {
            Some([(name, spelled)]) if name == "json" => spelled.text(),
            _ => None,
        };
        if let Some(text) = spelled {
            let value = TableValue::json(text.as_bytes());
            if value.kind != ValueKind::Json {
                self.wrong(node, key, format!("{text:?} is no JSON"), None);
                return None;
            }
            return Some(OwnedValue { kind: value.kind, bytes: value.bytes.to_vec() });
        }
        if let Some(text) = node.text() {
            return Some(OwnedValue { kind: ValueKind::Text, bytes: text.as_bytes().to_vec() });
        }
        let mut json = String::new();
        push_json(&mut json, &node.value);
        Some(OwnedValue { kind: ValueKind::Json, bytes: json.into_bytes() })
    }
}

/// The child of that name.
pub(super) fn child<'n>(children: Children<'n>, name: &str) -> Option<&'n Node> {
    children.iter().find(|(known, _)| known == name).map(|(_, node)| node)
}

/// As JSON, members in the order of the file.
fn push_json(out: &mut String, value: &Value) {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match value {
        Value::Text(text) | Value::Time(text) => out.push_str(&quoted(text)),
        Value::Integer(number) => out.push_str(&number.to_string()),
        Value::Float(number) => out.push_str(&serde_json::Value::from(*number).to_string()),
        Value::Boolean(boolean) => out.push_str(&boolean.to_string()),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                push_json(out, &item.value);
            }
            out.push(']');
        }
        Value::Table(members) => {
            out.push('{');
            for (index, (name, member)) in members.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                out.push_str(&quoted(name));
                out.push(':');
                push_json(out, &member.value);
            }
            out.push('}');
        }
    }
}
