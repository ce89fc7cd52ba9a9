//! What a layer says, as a tree that remembers where each value was written.
//!
//! `toml_edit` reads the text; after this file nobody sees its types. Tables keep the order of the
//! file, because the fields of a `text` step are written in that order.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike};

/// Where something stands: a layer and spans of bytes in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index of the layer.
    pub(crate) layer: usize,
    /// The key, or the value if there is no key.
    pub(crate) key: Range<usize>,
    /// The value.
    pub(crate) value: Range<usize>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// A value of TOML.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Table(Vec<(String, Node)>),
    List(Vec<Node>),
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A date, a time or both, as written.
    Time(String),
}

/// TOML that cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) span: Range<usize>,
}

/// Reads a text; the spans are those of the text.
pub(crate) fn read(text: &str, layer: usize) -> Result<Node, SyntaxError> {
    match Document::parse(text) {
        Ok(document) => {
            let value = Value::Table(children(document.as_table(), layer));
            Ok(Node { value, place: Place { layer, key: 0..0, value: 0..0 } })
        }
        Err(error) => Err(SyntaxError {
            message: error.message().to_owned(),
            span: error.span().unwrap_or(0..0),
        }),
    }
}

fn children(table: &dyn TableLike, layer: usize) -> Vec<(String, Node)> {
    let mut nodes = Vec::with_capacity(table.len());
    for (name, item) in table.iter() {
        let key = table.key(name).and_then(toml_edit::Key::span);
        if let Some(value) = item_value(item, layer) {
            let span = item.span().or_else(|| key.clone()).unwrap_or(0..0);
            let key = key.unwrap_or_else(|| span.clone());
            nodes.push((name.to_owned(), Node { value, place: Place { layer, key, value: span } }));
        }
    }
    nodes
}

fn item_value(item: &Item, layer: usize) -> Option<Value> {
    match item {
        Item::None => None,
        Item::Value(value) => Some(plain_value(value, layer)),
        Item::Table(table) => Some(Value::Table(children(table, layer))),
        Item::ArrayOfTables(tables) => {
            let node = |table: &toml_edit::Table| {
                let span = table.span().unwrap_or(0..0);
                let place = Place { layer, key: span.clone(), value: span };
                Node { value: Value::Table(children(table, layer)), place }
            };
            Some(Value::List(tables.iter().map(node).collect()))
        }
    }
}

fn plain_value(value: &toml_edit::Value, layer: usize) -> Value {
    use toml_edit::Value as Toml;
    match value {
        Toml::String(text) => Value::Text(text.value().clone()),
        Toml::Integer(number) => Value::Integer(*number.value()),
        Toml::Float(number) => Value::Float(*number.value()),
        Toml::Boolean(boolean) => Value::Boolean(*boolean.value()),
        Toml::Datetime(time) => Value::Time(time.value().to_string()),
        Toml::InlineTable(table) => Value::Table(children(table, layer)),
        Toml::Array(items) => {
            let node = |item: &toml_edit::Value| {
                let span = item.span().unwrap_or(0..0);
                let place = Place { layer, key: span.clone(), value: span };
                Node { value: plain_value(item, layer), place }
            };
            Value::List(items.iter().map(node).collect())
        }
    }
}

impl Node {
    /// The node at that path of names.
    pub(crate) fn get(&self, path: &[&str]) -> Option<&Node> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        self.children()?.iter().find(|(name, _)| name == first)?.1.get(rest)
    }

    /// Its children, if it is a table.
    pub(crate) fn children(&self) -> Option<&[(String, Node)]> {
        match &self.value {
            Value::Table(children) => Some(children),
            _ => None,
        }
    }

    /// Its text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Puts `over` over this: tables merge, anything else replaces. `file` says that a table's
    /// place is the file's from now on, where problems about missing keys are shown.
    pub(crate) fn merge(&mut self, over: Node, file: bool) {
        let (Value::Table(mine), Value::Table(_)) = (&mut self.value, &over.value) else {
            *self = over;
            return;
        };
        if file {
            self.place = over.place;
        }
        let Value::Table(theirs) = over.value else { return };
        for (name, node) in theirs {
            match mine.iter_mut().find(|(mine, _)| *mine == name) {
                Some((_, existing)) => existing.merge(node, file),
                None => mine.push((name, node)),
            }
        }
    }

    /// Moves all spans by that many bytes, back or forth.
    pub(crate) fn shift(&mut self, offset: isize, length: usize) {
        let moved = |at: usize| at.saturating_add_signed(offset).min(length);
        for span in [&mut self.place.key, &mut self.place.value] {
            *span = moved(span.start)..moved(span.end);
        }
        match &mut self.value {
            Value::Table(children) => {
                children.iter_mut().for_each(|(_, node)| node.shift(offset, length));
            }
            Value::List(items) => items.iter_mut().for_each(|node| node.shift(offset, length)),
            _ => {}
        }
    }
}

impl Value {
    /// What kind of value this is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Table(_) => "a table",
            Value::List(_) => "a list",
            Value::Text(_) => "text",
            Value::Integer(_) => "a number",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "true or false",
            Value::Time(_) => "a time",
        }
    }

    /// As TOML on one line.
    pub(crate) fn to_toml(&self) -> String {
        match self {
            Value::Text(text) => toml_edit::Value::from(text.as_str()).to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => toml_edit::Value::from(*number).to_string(),
            Value::Boolean(boolean) => boolean.to_string(),
            Value::Time(text) => text.clone(),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(|item| item.value.to_toml()).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Table(children) => {
                let one = |(name, node): &(String, Node)| {
                    format!("{} = {}", quoted_key(name), node.value.to_toml())
                };
                let children: Vec<String> = children.iter().map(one).collect();
                format!("{{ {} }}", children.join(", "))
            }
        }
    }
}

/// A key as TOML spells it: bare if it can be.
pub(crate) fn quoted_key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) {
        return name.to_owned();
    }
    let mut text = String::from("\"");
    for c in name.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => text.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// A key path and one more name.
pub(crate) fn join_key(path: &str, name: &str) -> String {
    match path {
        "" => quoted_key(name),
        _ => format!("{path}.{}", quoted_key(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_point_into_the_text() {
        let text = "[a]\nb = { c = \"x\" }\n[[l]]\nd.e = 1\n";
        let tree = read(text, 3).unwrap();
        let c = tree.get(&["a", "b", "c"]).unwrap();
        assert_eq!((&text[c.place.key.clone()], &text[c.place.value.clone()]), ("c", "\"x\""));
        assert_eq!(c.place.layer, 3);
        let Value::List(items) = &tree.get(&["l"]).unwrap().value else { panic!("a list") };
        let e = items[0].get(&["d", "e"]).unwrap();
        assert_eq!((&text[e.place.key.clone()], &text[e.place.value.clone()]), ("e", "1"));
    }

    #[test]
    fn tables_merge_and_lists_replace() {
        let mut tree = read("a = { x = 1, y = [1, 2] }\nz = 1\n", 0).unwrap();
        tree.merge(read("a = { y = [3], w = 2 }\n", 1).unwrap(), true);
        assert_eq!(tree.value.to_toml(), "{ a = { x = 1, y = [3], w = 2 }, z = 1 }");
    }

    #[test]
    fn keys_are_quoted_where_they_must_be() {
        assert_eq!(join_key("kafka.properties", "linger.ms"), "kafka.properties.\"linger.ms\"");
        assert_eq!(join_key("", "name"), "name");
        assert_eq!(quoted_key("a\"b"), r#""a\"b""#);
    }
}
