//! What each key means: read from the commented default file, the one place where it is written.
//!
//! In that file a line `# …` is a sentence about the key below it, and a line `#key = …`, without a
//! space, is a key that has no default or belongs to something the user names.

use super::{
    keys::{self, Found},
    tree::{self, Node, Value},
};

/// `tuning/default.toml`: the built-in defaults, and the documentation of every key.
pub const DEFAULT_FILE: &str = include_str!("../../tuning/default.toml");

/// A key's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doc {
    /// As in `keys`.
    pub(crate) pattern: String,
    pub(crate) text: String,
    /// Whether the value that stands there is in force by default.
    pub(crate) is_default: bool,
    /// The value that stands there.
    pub(crate) value: serde_json::Value,
}

/// All documented keys, in the order of the file.
pub(crate) fn docs() -> Vec<Doc> {
    let (mut docs, mut comment) = (Vec::new(), Vec::new());
    let mut section = String::new();
    for line in DEFAULT_FILE.lines() {
        if let Some(sentence) = line.strip_prefix("# ") {
            comment.push(sentence.trim());
            continue;
        }
        let (code, is_default) = match line.strip_prefix('#') {
            Some(code) => (code, false),
            None => (line, true),
        };
        if let Some(header) = code.strip_prefix('[') {
            section = pattern_of(header.split(']').next().unwrap_or_default().trim_matches('['));
            comment.clear();
        } else if let Some((key, _)) = code.split_once('=') {
            let name = key.trim().split('.').next().unwrap_or_default();
            let dot = if section.is_empty() { "" } else { "." };
            let text = std::mem::take(&mut comment).join(" ");
            let pattern = format!("{section}{dot}{name}");
            docs.push(Doc { pattern, text, is_default, value: value_of(code) });
        } else {
            comment.clear();
        }
    }
    docs
}

/// `tables.users` is `tables.*`, `steps.lookup` is `steps[].lookup`.
fn pattern_of(header: &str) -> String {
    header.split('.').fold(String::new(), |pattern, name| match keys::look_up(&pattern, name) {
        Found::Table(inner) | Found::List(inner) => inner,
        Found::Leaf(key) => key.pattern.to_owned(),
        Found::Unknown => format!("{pattern}.{name}"),
    })
}

fn value_of(code: &str) -> serde_json::Value {
    let Ok(node) = tree::read(code, 0) else { return serde_json::Value::Null };
    let child = node.children().and_then(|children| children.first());
    child.map_or(serde_json::Value::Null, |(_, node)| to_json(node))
}

fn to_json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Text(text) | Value::Time(text) => text.clone().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Boolean(boolean) => (*boolean).into(),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Table(children) => {
            children.iter().map(|(name, node)| (name.clone(), to_json(node))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{
        super::{
            keys::{breaker, state, streams, table},
            units, walk,
        },
        *,
    };

    /// The file with all its keys in force.
    fn uncommented() -> String {
        let line = |line: &'static str| match line.strip_prefix('#') {
            Some(code) if code.starts_with(|c: char| !c.is_whitespace()) => code,
            _ => line,
        };
        DEFAULT_FILE.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_key_is_documented_once_and_no_other() {
        let docs = docs();
        for key in keys::KEYS {
            let count = docs.iter().filter(|doc| doc.pattern == key.pattern).count();
            assert_eq!(count, 1, "{}", key.pattern);
        }
        for doc in &docs {
            assert!(keys::find(&doc.pattern).is_some(), "{} is no key", doc.pattern);
            assert!(
                doc.text.len() > 10 && doc.text.ends_with('.'),
                "{}: {}",
                doc.pattern,
                doc.text
            );
        }
    }

    #[test]
    fn the_default_file_is_right_as_it_is_and_with_every_key_in_force() {
        for text in [DEFAULT_FILE.to_owned(), uncommented()] {
            let tree = tree::read(&text, 0).unwrap();
            let layer = super::super::Layer {
                kind: super::super::LayerKind::File,
                shown: "default.toml".to_owned(),
                text: text.clone(),
                folder: std::path::PathBuf::new(),
                secrets: Vec::new(),
            };
            let walked = walk::walk(&tree, &[layer], &BTreeMap::new(), &Default::default());
            assert!(walked.problems.is_empty(), "{:?}", walked.problems);
        }
    }

    #[test]
    fn the_file_says_the_defaults_of_what_users_name() {
        let docs = docs();
        let value = |pattern: &str| &docs.iter().find(|doc| doc.pattern == pattern).unwrap().value;
        for (name, duration) in [
            ("load_timeout", table::LOAD_TIMEOUT),
            ("poll_interval", table::POLL_INTERVAL),
            ("verify_interval", table::VERIFY_INTERVAL),
            ("max_staleness", table::MAX_STALENESS),
            ("absent_for", table::ABSENT_FOR),
            ("wait", table::WAIT),
        ] {
            let text = value(&format!("tables.*.{name}")).as_str().unwrap();
            assert_eq!(units::parse_duration(text), Ok(duration), "{name}");
        }
        assert_eq!(value("steps[].dedup.max_keys"), state::MAX_KEYS);
        assert_eq!(value("steps[].window.max_keys"), state::MAX_KEYS);
        assert_eq!(value("steps[].window.key"), state::KEY);
        assert_eq!(value("steps[].window.time"), state::TIME);
        let lateness = value("steps[].window.lateness").as_str().unwrap();
        assert_eq!(units::parse_duration(lateness), Ok(state::LATENESS));
        let within = value("delivery.breaker.within").as_str().unwrap();
        assert_eq!(units::parse_duration(within), Ok(breaker::WITHIN));
        assert_eq!(value("delivery.breaker.rejected"), breaker::REJECTED);
        assert_eq!(value("delivery.breaker.window"), breaker::WINDOW);
        assert_eq!(value("tables.*.max_entries"), table::MAX_ENTRIES);
        assert_eq!(value("tables.*.max_waiting"), table::MAX_WAITING);
        let bytes = units::parse_size(value("tables.*.max_bytes").as_str().unwrap());
        assert_eq!(bytes, Ok(table::MAX_BYTES as u64));
        for (name, duration) in
            [("claim_idle", streams::CLAIM_IDLE), ("claim_interval", streams::CLAIM_INTERVAL)]
        {
            let text = value(&format!("source.redis.{name}")).as_str().unwrap();
            assert_eq!(units::parse_duration(text), Ok(duration), "{name}");
        }
        assert_eq!(value("source.redis.max_claims"), streams::MAX_CLAIMS);
        assert_eq!(value("sink.redis.field"), streams::FIELD);
        assert_eq!(value("tables.*.on_empty"), "fail");
        assert_eq!(value("steps[].lookup.on_miss"), "reject");
        assert_eq!(value("kafka.properties"), &serde_json::json!({}));
    }
}
