//! What must not be shown: passwords, keys, and where they stand in a text that is shown.

use std::ops::Range;

use super::{
    keys, librdkafka,
    tree::{Node, Value},
};

/// What stands in place of a secret.
pub(crate) const MASK: &str = "***";

/// Whether a value of that name is a secret. Names of librdkafka properties have dots of their own.
pub(crate) fn is_secret(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name).trim_matches('"');
    matches!(last, "password" | "key" | "pem" | "secret" | "passphrase" | "token")
        && name.contains('.')
}

/// Whether what stands at that path may be a secret. A property that nobody knows may be one, too:
/// a password does not become public because its name is misspelt.
fn may_be_secret(path: &str) -> bool {
    let property = path.split_once(".properties.").map(|(_, name)| name);
    if path.strip_prefix('.') == Some(keys::TOKEN) {
        return true;
    }
    property.is_some_and(|name| is_secret(path) || librdkafka::find(name).is_none())
}

/// The span of the password in a URL: `redis://user:PASSWORD@host`.
pub(crate) fn url_password(text: &str) -> Option<Range<usize>> {
    let start = text.find("://")? + 3;
    let authority_end = text[start..].find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    let at = start + text[start..authority_end].rfind('@')?;
    let colon = start + text[start..at].find(':')?;
    Some(colon + 1..at).filter(|span| !span.is_empty())
}

/// A text with the password of a URL masked; a reference to a variable or file is no secret.
pub(crate) fn masked_url(text: &str) -> String {
    match url_password(text) {
        Some(span) if !text[span.clone()].starts_with("${") => {
            format!("{}{MASK}{}", &text[..span.start], &text[span.end..])
        }
        _ => text.to_owned(),
    }
}

/// The value of a property or key as it may be shown.
pub(crate) fn shown(name: &str, written: &str) -> String {
    match is_secret(name) && !written.starts_with("${") {
        true => MASK.to_owned(),
        false => masked_url(written),
    }
}

/// Spans of secrets in the text that a tree was read from.
pub(crate) fn spans(tree: &Node, text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    collect(tree, "", text, &mut spans);
    spans
}

/// Spans that may be secrets, in a text that is no TOML: what follows the `=` of a suspect line.
pub(crate) fn guess(text: &str) -> Vec<Range<usize>> {
    const SUSPECT: [&str; 6] = ["password", "secret", "pem", "passphrase", "token", "@"];
    let mut spans = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let lower = line.to_lowercase();
        if SUSPECT.iter().any(|word| lower.contains(word)) {
            let value = line.find('=').map_or(0, |at| at + 1);
            spans.push(start + value..start + line.trim_end().len().max(value));
        }
        start += line.len();
    }
    spans
}

fn collect(node: &Node, path: &str, text: &str, spans: &mut Vec<Range<usize>>) {
    match &node.value {
        Value::Table(children) => {
            for (name, child) in children {
                collect(child, &format!("{path}.{name}"), text, spans);
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, path, text, spans)),
        _ => {
            let written = text.get(node.place.value.clone()).unwrap_or_default();
            let is_reference = written.trim_start_matches(['"', '\'']).starts_with("${");
            if is_reference {
                // Shown as written: the secret is elsewhere.
            } else if may_be_secret(path) {
                spans.push(node.place.value.clone());
            } else if let Some(span) = url_password(written) {
                let start = node.place.value.start;
                spans.push(start + span.start..start + span.end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tree, *};

    #[test]
    fn secrets_are_known_by_name() {
        for name in ["sasl.password", "ssl.key.pem", "ssl.key.password", "x.client.secret"] {
            assert!(is_secret(name), "{name}");
        }
        assert!(!is_secret("ssl.key.location") && !is_secret("sasl.username"));
    }

    #[test]
    fn passwords_in_urls_are_masked() {
        assert_eq!(masked_url("redis://u:p@h:6379/0"), "redis://u:***@h:6379/0");
        assert_eq!(masked_url("redis://:p@q@h/0"), "redis://:***@h/0");
        assert_eq!(masked_url("redis://h:6379/0"), "redis://h:6379/0");
        assert_eq!(masked_url("redis://u:${P}@h"), "redis://u:${P}@h");
        assert_eq!(masked_url("localhost:9092"), "localhost:9092");
    }

    #[test]
    fn suspect_lines_are_masked_where_nothing_can_be_read() {
        let text = "a = [\nsasl.password = \"x\nb = 1\n";
        let found: Vec<&str> = guess(text).into_iter().map(|span| &text[span]).collect();
        assert_eq!(found, [" \"x"]);
    }

    fn spans_of(text: &str) -> Vec<&str> {
        let tree = tree::read(text, 0).unwrap();
        spans(&tree, text).into_iter().map(|span| &text[span]).collect()
    }

    #[test]
    fn spans_cover_secrets_and_nothing_else() {
        let text = "[kafka.properties]\n\"sasl.password\" = \"x\"\n\
                    [tables.u]\nredis = 'redis://a:b@c'\n[sink.kafka]\nkey = \"record.key\"\n";
        assert_eq!(spans_of(text), ["\"x\"", "b"]);
    }

    #[test]
    fn a_token_is_a_secret_and_a_reference_to_one_is_none() {
        assert_eq!(spans_of("[observe]\ntoken = \"x\"\n"), ["\"x\""]);
        assert_eq!(spans_of("[observe]\ntoken = \"${file:token}\"\n"), [""; 0]);
    }

    #[test]
    fn a_secret_is_covered_whatever_it_is_written_as_and_however_its_name_is_spelt() {
        let text = "kafka.properties = { 'sasl.password' = 1234, 'linger.ms' = 5 }\n\
                    source.kafka.properties.sasl.passwort = \"x\"\n\
                    sink.kafka.properties = { \"sasl.pasword\" = [\"y\"], acks = \"all\" }\n";
        assert_eq!(spans_of(text), ["1234", "\"x\"", "\"y\""]);
    }
}
