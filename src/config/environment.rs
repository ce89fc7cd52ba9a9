//! Single values from outside the file: `HOTSPUR_…` variables and `-s KEY=VALUE`.
//!
//! A value is read as TOML of the key's type. For text it stands as it is, for a list of text a
//! bare value is split at commas, and where the type is written as text (a duration, a word) quotes
//! may be left out.

use std::ops::Range;

use super::{
    keys::{self, Found, Kind},
    tree::{self, Node, Place, Value},
};

/// Variables with names of their own.
const NAMED: [(&str, &[&str]); 5] = [
    ("HOTSPUR_PROFILE", &["profile"]),
    ("HOTSPUR_NAME", &["name"]),
    ("HOTSPUR_INSTANCE", &["instance"]),
    ("HOTSPUR_LOG", &["log", "level"]),
    ("HOTSPUR_LOG_FORMAT", &["log", "format"]),
];

/// The key that a variable sets: `HOTSPUR_SOURCE__KAFKA__TOPICS` is `source.kafka.topics`.
pub(crate) fn path_of(variable: &str) -> Option<Vec<String>> {
    if let Some((_, path)) = NAMED.iter().find(|(name, _)| *name == variable) {
        return Some(path.iter().map(|&name| name.to_owned()).collect());
    }
    let rest = variable.strip_prefix("HOTSPUR_").filter(|rest| rest.contains("__"))?;
    let names: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
    let Some(at) = names.iter().position(|name| name == "properties") else { return Some(names) };
    // No property has an underscore in its name, and no variable a dot.
    let (section, property) = names.split_at(at + 1);
    if property.is_empty() {
        return Some(names);
    }
    let property = property.join(".").replace('_', ".");
    Some(section.iter().cloned().chain([property]).collect())
}

/// Splits `KEY=VALUE` into the names of the key, where the key ends, and the value.
pub(crate) fn split_argument(argument: &str) -> Result<(Vec<String>, usize, &str), String> {
    let mut quote = None;
    let end = argument.char_indices().find(|&(_, c)| {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        quote.is_none() && c == '='
    });
    let Some((end, _)) = end else {
        return Err(format!("\"{argument}\" is not KEY=VALUE"));
    };
    let key = argument[..end].trim();
    let names = toml_edit::Key::parse(key).map_err(|_| format!("\"{key}\" is no key of TOML"))?;
    let names = names.iter().map(|name| name.get().to_owned()).collect();
    Ok((names, end, argument[end + 1..].trim()))
}

/// A tree with that one value. `start` is where the value stands in the layer's text.
pub(crate) fn read(
    path: &[String],
    key: Range<usize>,
    value: &str,
    start: usize,
    layer: usize,
) -> Node {
    let place = Place { layer, key, value: start..start + value.len() };
    let value = read_value(kind_of(path), value, &place);
    let leaf = Node { value, place: place.clone() };
    path.iter().rev().fold(leaf, |node, name| Node {
        value: Value::Table(vec![(name.clone(), node)]),
        place: place.clone(),
    })
}

/// The kind of the key at that path, if there is one.
fn kind_of(path: &[String]) -> Option<Kind> {
    let mut pattern = String::new();
    for (index, name) in path.iter().enumerate() {
        match keys::look_up(&pattern, name) {
            Found::Leaf(key) if index + 1 == path.len() => return Some(key.kind),
            Found::Leaf(key) if matches!(key.kind, Kind::Properties(_)) => {
                return Some(Kind::AnyText);
            }
            Found::Table(inner) => pattern = inner,
            _ => return None,
        }
    }
    None
}

fn read_value(kind: Option<Kind>, raw: &str, place: &Place) -> Value {
    match kind {
        Some(kind) if kind.is_plain_text() => Value::Text(raw.to_owned()),
        Some(Kind::Topics | Kind::Destinations | Kind::Requirements)
            if !raw.trim_start().starts_with('[') =>
        {
            let item = |item: &str| Node {
                value: Value::Text(item.trim().to_owned()),
                place: place.clone(),
            };
            Value::List(raw.split(',').map(item).collect())
        }
        _ => read_toml(raw, place).unwrap_or_else(|| Value::Text(raw.to_owned())),
    }
}

/// The value as TOML, if it is exactly one value.
fn read_toml(raw: &str, place: &Place) -> Option<Value> {
    const PREFIX: &str = "_=";
    let node = tree::read(&format!("{PREFIX}{raw}"), place.layer).ok()?;
    let Value::Table(children) = node.value else { return None };
    let [(_, mut node)] = <[(String, Node); 1]>::try_from(children).ok()?;
    let offset = place.value.start as isize - PREFIX.len() as isize;
    node.shift(offset, place.value.end);
    Some(node.value)
}

/// Gives the names in a variable's tree the spelling that lower layers use: variables are in upper
/// case, names of tables need not be.
pub(crate) fn match_names(node: &mut Node, lower: &Node) {
    let Value::Table(children) = &mut node.value else { return };
    for (name, child) in children {
        let known = lower.children().unwrap_or_default();
        let same = known.iter().find(|(known, _)| known == name);
        let found = same.or_else(|| known.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)));
        if let Some((known, lower)) = found {
            name.clone_from(known);
            match_names(child, lower);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(argument: &str) -> String {
        let (path, end, value) = split_argument(argument).unwrap();
        let node = read(&path, 0..end, value, argument.len() - value.len(), 0);
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        node.get(&names).unwrap().value.to_toml()
    }

    #[test]
    fn variables_lead_to_keys() {
        let path = |name: &str| path_of(name).map(|path| path.join("/"));
        assert_eq!(path("HOTSPUR_SOURCE__KAFKA__TOPICS").unwrap(), "source/kafka/topics");
        assert_eq!(path("HOTSPUR_LOG").unwrap(), "log/level");
        let property = path("HOTSPUR_KAFKA__PROPERTIES__FETCH_WAIT_MAX_MS").unwrap();
        assert_eq!(property, "kafka/properties/fetch.wait.max.ms");
        assert_eq!(path("HOTSPUR_KAFKA__PROPERTIES").unwrap(), "kafka/properties");
        assert_eq!(path("HOTSPUR_HOME"), None);
    }

    #[test]
    fn values_are_read_by_the_type_of_the_key() {
        assert_eq!(value_of("source.kafka.topics=a, b"), "[\"a\", \"b\"]");
        assert_eq!(value_of("source.kafka.topics=[\"a\"]"), "[\"a\"]");
        assert_eq!(value_of("name=7"), "\"7\"");
        assert_eq!(value_of("limits.depth=7"), "7");
        assert_eq!(value_of("delivery.commit_interval=100ms"), "\"100ms\"");
        assert_eq!(value_of("delivery.commit_interval=\"100ms\""), "\"100ms\"");
        assert_eq!(value_of("kafka.properties.\"fetch.wait.max.ms\"=5"), "\"5\"");
        assert_eq!(value_of("engine.core=none"), "\"none\"");
        assert_eq!(value_of("kafka={ brokers = \"x\" }"), "{ brokers = \"x\" }");
        assert!(value_of("limits.depth=1\nname=2").starts_with('"'), "a value adds no key");
    }

    #[test]
    fn an_argument_is_a_key_and_a_value() {
        let (path, end, value) = split_argument("a.\"b=c\".d = x=y").unwrap();
        assert_eq!((path.join("/").as_str(), end, value), ("a/b=c/d", 10, "x=y"));
        assert!(split_argument("novalue").unwrap_err().contains("KEY=VALUE"));
        assert!(split_argument("a b=1").unwrap_err().contains("no key"));
    }

    #[test]
    fn names_take_the_spelling_of_lower_layers() {
        let lower = tree::read("[tables.VipUsers]\nprefix = \"v:\"\n", 0).unwrap();
        let path = path_of("HOTSPUR_TABLES__VIPUSERS__PREFIX").unwrap();
        let mut node = read(&path, 0..0, "w:", 0, 1);
        match_names(&mut node, &lower);
        assert!(node.get(&["tables", "VipUsers", "prefix"]).is_some());
    }
}
