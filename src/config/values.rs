//! A value of the tree becomes a value of its kind, or a sentence about why not.

use std::{net::SocketAddr, time::Duration};

use super::{
    hints,
    keys::Kind,
    range,
    requirement::Requirement,
    settings::{Alias, Core, OnMiss, Require, Start, StreamStart},
    stateful, step_values, streams,
    tree::{Node, Value},
    units,
};

/// Records of one window by count.
const WINDOW_RECORDS_MAX: u64 = 1 << 40;

/// A value as its kind means it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Typed {
    Text(String),
    Texts(Vec<String>),
    /// Names and values, in order of the file.
    Pairs(Vec<(String, String)>),
    Boolean(bool),
    Integer(u64),
    Number(f64),
    Share(f64),
    Duration(Duration),
    Start(Start),
    StreamStart(StreamStart),
    Core(Core),
    /// `None` is `auto`.
    Cores(Option<Vec<usize>>),
    OnMiss(OnMiss),
    Aliases(Vec<Alias>),
    Require(Require),
    /// `None` is `off`.
    Listen(Option<SocketAddr>),
}

/// What is wrong with a value, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl From<String> for Wrong {
    fn from(message: String) -> Wrong {
        Wrong { message, hint: None }
    }
}

/// Reads a value of that kind. Properties are not read here: each has a place of its own.
pub(crate) fn parse(kind: Kind, node: &Node) -> Result<Typed, Wrong> {
    match kind {
        Kind::Version => parse_version(node),
        Kind::Name => parse_name(text(node, "a name")?),
        Kind::Text | Kind::File => not_empty(text(node, "text")?),
        Kind::AnyText => Ok(Typed::Text(text(node, "text")?.to_owned())),
        Kind::Expression => not_empty(text(node, "an expression in quotes")?),
        Kind::Path => not_empty(text(node, "a path in quotes")?),
        Kind::Templates => step_values::parse_templates(node),
        Kind::Assignments => step_values::parse_assignments(node),
        Kind::Paths => step_values::parse_paths(node),
        Kind::Renames => step_values::parse_renames(node),
        Kind::Aliases => step_values::parse_aliases(node).map(Typed::Aliases),
        Kind::Require => step_values::parse_require(node).map(Typed::Require),
        Kind::Headers => step_values::parse_headers(node),
        Kind::Aggregates => stateful::parse_aggregates(node),
        Kind::WindowSize(from, to) => parse_window_size(node, from, to),
        Kind::Topic => Ok(Typed::Text(topic(text(node, "the name of a topic")?)?)),
        Kind::Topics => parse_topics(node, topic),
        Kind::Destinations => parse_topics(node, |name| match name {
            "" => Err("a name may not be empty".to_owned().into()),
            name => Ok(name.to_owned()),
        }),
        Kind::Fields => parse_fields(node),
        Kind::Properties(_) => Err(expected("a table of properties", node)),
        Kind::Boolean => parse_boolean(node).map(Typed::Boolean),
        Kind::Secret => parse_secret(node),
        Kind::Number => parse_number(node).map(Typed::Number),
        Kind::Share => parse_share(node).map(Typed::Share),
        Kind::Integer(from, to) => parse_integer(node, from, to).map(Typed::Integer),
        Kind::Duration(from, to) => parse_duration(node, from, to),
        Kind::Size(from, to) => parse_size(node, from, to),
        Kind::Choice(words) => parse_choice(node, words),
        Kind::Start => parse_start(node).map(Typed::Start),
        Kind::Streams => streams::parse_streams(node),
        Kind::StreamStart => streams::parse_start(node).map(Typed::StreamStart),
        Kind::Core => parse_core(node).map(Typed::Core),
        Kind::Cores => parse_cores(node).map(Typed::Cores),
        Kind::OnMiss => parse_on_miss(node).map(Typed::OnMiss),
        Kind::Listen => parse_listen(node).map(Typed::Listen),
        Kind::Requirements => Err(expected("a list of requirements, such as [\"loss = 0\"]", node)),
        Kind::Requirement => parse_requirement(node),
    }
}

/// "expected X, found Y", with the value if it is short.
pub(super) fn expected(what: &str, node: &Node) -> Wrong {
    let found = match &node.value {
        Value::Table(_) | Value::List(_) => node.value.kind().to_owned(),
        value => value.to_toml(),
    };
    Wrong { message: format!("expected {what}, found {found}"), hint: None }
}

pub(super) fn text<'a>(node: &'a Node, what: &str) -> Result<&'a str, Wrong> {
    node.text().ok_or_else(|| expected(what, node))
}

fn not_empty(text: &str) -> Result<Typed, Wrong> {
    match text.trim() {
        "" => Err("this may not be empty".to_owned().into()),
        _ => Ok(Typed::Text(text.to_owned())),
    }
}

fn parse_version(node: &Node) -> Result<Typed, Wrong> {
    match parse_integer(node, 0, u64::MAX)? {
        1 => Ok(Typed::Integer(1)),
        other => Err(Wrong {
            message: format!("this program reads version 1 of the language, not {other}"),
            hint: Some("hotspur = 1".to_owned()),
        }),
    }
}

/// Names stand in file names, groups and metrics.
fn parse_name(name: &str) -> Result<Typed, Wrong> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 128 || !name.chars().all(is_fit) {
        return Err(Wrong {
            message: format!(
                "a name has 1 to 128 letters, digits, \".\", \"_\" or \"-\", not \"{name}\""
            ),
            hint: None,
        });
    }
    Ok(Typed::Text(name.to_owned()))
}

/// Kafka's own rule for names of topics.
pub(crate) fn topic(name: &str) -> Result<String, Wrong> {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if matches!(name, "" | "." | "..") || name.len() > 249 || !name.chars().all(is_fit) {
        return Err(Wrong::from(format!(
            "a topic's name has 1 to 249 letters, digits, \".\", \"_\" or \"-\", not \"{name}\""
        )));
    }
    Ok(name.to_owned())
}

fn parse_topics(node: &Node, fits: impl Fn(&str) -> Result<String, Wrong>) -> Result<Typed, Wrong> {
    let what = "a list of topics, such as [\"orders\"]";
    let Value::List(items) = &node.value else { return Err(expected(what, node)) };
    if items.is_empty() {
        return Err("there must be at least one topic".to_owned().into());
    }
    different(items, |item| fits(text(item, "the name of a topic")?))
}

fn parse_fields(node: &Node) -> Result<Typed, Wrong> {
    let what = "a list of fields, such as [\"tier\"]";
    let Value::List(items) = &node.value else { return Err(expected(what, node)) };
    if items.is_empty() {
        return Err("there must be at least one field".to_owned().into());
    }
    different(items, |item| text(item, "the name of a field").map(str::to_owned))
}

/// Names of which none stands twice.
pub(super) fn different(
    items: &[Node],
    name: impl Fn(&Node) -> Result<String, Wrong>,
) -> Result<Typed, Wrong> {
    let mut names: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let name = name(item)?;
        if names.contains(&name) {
            return Err(format!("\"{name}\" stands here twice").into());
        }
        names.push(name);
    }
    Ok(Typed::Texts(names))
}

fn parse_requirement(node: &Node) -> Result<Typed, Wrong> {
    let text = text(node, "a requirement in quotes, such as \"loss = 0\"")?;
    match Requirement::parse(text) {
        Ok(requirement) => Ok(Typed::Text(requirement.text)),
        Err(error) => Err(Wrong { message: error.sentence(), hint: error.hint }),
    }
}

fn parse_boolean(node: &Node) -> Result<bool, Wrong> {
    match &node.value {
        Value::Boolean(boolean) => Ok(*boolean),
        _ => Err(expected("true or false", node)),
    }
}

/// What is wrong is told without the value.
fn parse_secret(node: &Node) -> Result<Typed, Wrong> {
    let is_fit = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_graphic());
    match node.text().filter(|text| is_fit(text)) {
        Some(text) => Ok(Typed::Text(text.to_owned())),
        None => Err(Wrong {
            message: "expected letters, digits and signs in quotes, without spaces".to_owned(),
            hint: Some("token = \"${file:token}\"".to_owned()),
        }),
    }
}

fn parse_number(node: &Node) -> Result<f64, Wrong> {
    match &node.value {
        Value::Float(number) if number.is_finite() => Ok(*number),
        Value::Integer(number) => Ok(*number as f64),
        _ => Err(expected("a number", node)),
    }
}

fn parse_share(node: &Node) -> Result<f64, Wrong> {
    let share = match &node.value {
        Value::Float(number) => *number,
        Value::Integer(number) => *number as f64,
        _ => return Err(expected("a share from 0 to 1, such as 0.5", node)),
    };
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err(format!("{} is no share: those are from 0 to 1", node.value.to_toml()).into()),
    }
}

fn parse_integer(node: &Node, from: u64, to: u64) -> Result<u64, Wrong> {
    let what = "a whole number";
    let number = match &node.value {
        Value::Integer(number) => i128::from(*number),
        _ => return Err(expected(what, node)),
    };
    match u64::try_from(number).ok().filter(|number| (from..=to).contains(number)) {
        Some(number) => Ok(number),
        None => Err(format!("{number} is not from {from} to {to}").into()),
    }
}

fn parse_duration(node: &Node, from: Duration, to: Duration) -> Result<Typed, Wrong> {
    let what = "a duration in quotes, such as \"100ms\"";
    let duration = units::parse_duration(text(node, what)?)?;
    if duration < from || duration > to {
        let [from, to, it] = [from, to, duration].map(units::show_duration);
        return Err(format!("{it} is not from {from} to {to}").into());
    }
    Ok(Typed::Duration(duration))
}

fn parse_window_size(node: &Node, from: Duration, to: Duration) -> Result<Typed, Wrong> {
    const WHAT: &str = "a duration in quotes, such as \"1m\", or a number of records";
    match &node.value {
        Value::Integer(_) => parse_integer(node, 1, WINDOW_RECORDS_MAX).map(Typed::Integer),
        Value::Text(_) => parse_duration(node, from, to),
        _ => Err(expected(WHAT, node)),
    }
}

fn parse_size(node: &Node, from: u64, to: u64) -> Result<Typed, Wrong> {
    let size = units::parse_size(text(node, "a size in quotes, such as \"64MiB\"")?)?;
    if !(from..=to).contains(&size) {
        let [from, to, size] = [from, to, size].map(units::show_size);
        return Err(format!("{size} is not from {from} to {to}").into());
    }
    Ok(Typed::Integer(size))
}

fn parse_choice(node: &Node, words: &[&str]) -> Result<Typed, Wrong> {
    let list = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
    let what = if words.len() == 1 { list } else { format!("one of {list}") };
    match node.text() {
        Some(text) if words.contains(&text) => Ok(Typed::Text(text.to_owned())),
        Some(text) => {
            let hint = hints::did_you_mean(text, words.iter().copied());
            Err(Wrong { hint, ..expected(&what, node) })
        }
        None => Err(expected(&what, node)),
    }
}

fn parse_start(node: &Node) -> Result<Start, Wrong> {
    const WHAT: &str = "\"earliest\", \"latest\", a time such as \"2026-11-21T05:37:00Z\" \
                        or an age such as \"1h\"";
    let text = match &node.value {
        Value::Text(text) | Value::Time(text) => text.as_str(),
        _ => return Err(expected(WHAT, node)),
    };
    range::parse_start(text).ok_or_else(|| {
        let hint = hints::did_you_mean(text, ["earliest", "latest"]);
        Wrong { hint, ..expected(WHAT, node) }
    })
}

fn parse_core(node: &Node) -> Result<Core, Wrong> {
    let what = "\"auto\", \"none\" or the number of a core";
    match &node.value {
        Value::Integer(number) => match usize::try_from(*number) {
            Ok(number) if number < 4096 => Ok(Core::Number(number)),
            _ => Err(expected(what, node)),
        },
        Value::Text(text) if text == "auto" => Ok(Core::Auto),
        Value::Text(text) if text == "none" => Ok(Core::None),
        Value::Text(text) => {
            let hint = hints::did_you_mean(text, ["auto", "none"]);
            Err(Wrong { hint, ..expected(what, node) })
        }
        _ => Err(expected(what, node)),
    }
}

fn parse_cores(node: &Node) -> Result<Option<Vec<usize>>, Wrong> {
    match &node.value {
        Value::Integer(number) => Ok(Some(units::parse_cores(&number.to_string())?)),
        Value::Text(text) if text == "auto" => Ok(None),
        Value::Text(text) => Ok(Some(units::parse_cores(text)?)),
        _ => Err(expected("\"auto\" or a list of cores such as \"2,4-7\"", node)),
    }
}

fn parse_on_miss(node: &Node) -> Result<OnMiss, Wrong> {
    const WHAT: &str = "\"skip\", \"reject\", \"null\" or { default = … }";
    if let Some([(name, value)]) = node.children()
        && name == "default"
    {
        return Ok(OnMiss::Default(json(value)?.to_string()));
    }
    match node.text() {
        Some("skip") => Ok(OnMiss::Skip),
        Some("reject") => Ok(OnMiss::Reject),
        Some("null") => Ok(OnMiss::Null),
        Some(text) => {
            let hint = hints::did_you_mean(text, ["skip", "reject", "null"]);
            Err(Wrong { hint, ..expected(WHAT, node) })
        }
        None => Err(expected(WHAT, node)),
    }
}

fn parse_listen(node: &Node) -> Result<Option<SocketAddr>, Wrong> {
    let what = "\"off\" or an address such as \"127.0.0.1:9464\" (port 0 takes a free one)";
    let text = text(node, what)?;
    if text == "off" {
        return Ok(None);
    }
    // A name would have to be looked up, and may have several addresses; this one has not.
    let text = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let text = text.as_deref().or(node.text()).unwrap_or_default();
    text.parse().map(Some).map_err(|_| expected(what, node))
}

/// A value of TOML as JSON.
pub(super) fn json(node: &Node) -> Result<serde_json::Value, Wrong> {
    Ok(match &node.value {
        Value::Text(text) | Value::Time(text) => text.clone().into(),
        Value::Integer(number) => (*number).into(),
        Value::Boolean(boolean) => (*boolean).into(),
        Value::Float(number) => match serde_json::Number::from_f64(*number) {
            Some(number) => number.into(),
            None => return Err(expected("a number that JSON has", node)),
        },
        Value::List(items) => items.iter().map(json).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Table(children) => {
            let pair = |(name, node): &(String, Node)| Ok((name.clone(), json(node)?));
            children.iter().map(pair).collect::<Result<serde_json::Map<_, _>, Wrong>>()?.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{super::tree, *};

    fn read(kind: Kind, value: &str) -> Result<Typed, Wrong> {
        let tree = tree::read(&format!("it = {value}"), 0).unwrap();
        parse(kind, tree.get(&["it"]).unwrap())
    }

    fn message(kind: Kind, value: &str) -> String {
        read(kind, value).unwrap_err().message
    }

    #[test]
    fn starts() {
        for (value, start) in [
            ("\"latest\"", Start::Latest),
            ("\"1h\"", Start::Age(Duration::from_secs(3600))),
            ("\"1970-01-01T00:00:01Z\"", Start::Time(1000)),
            ("1970-01-01T00:00:01Z", Start::Time(1000)),
        ] {
            assert_eq!(read(Kind::Start, value), Ok(Typed::Start(start)));
        }
        let wrong = read(Kind::Start, "\"earlyest\"").unwrap_err();
        assert_eq!(wrong.hint.as_deref(), Some("did you mean \"earliest\"?"));
    }

    #[test]
    fn cores() {
        assert_eq!(read(Kind::Core, "3"), Ok(Typed::Core(Core::Number(3))));
        assert_eq!(read(Kind::Core, "\"none\""), Ok(Typed::Core(Core::None)));
        assert!(read(Kind::Core, "-1").is_err() && read(Kind::Core, "\"two\"").is_err());
        assert_eq!(read(Kind::Cores, "\"1-2\""), Ok(Typed::Cores(Some(vec![1, 2]))));
        assert_eq!(read(Kind::Cores, "\"auto\""), Ok(Typed::Cores(None)));
    }

    #[test]
    fn misses_take_any_default() {
        let default = |text: &str| Ok(Typed::OnMiss(OnMiss::Default(text.to_owned())));
        assert_eq!(read(Kind::OnMiss, "{ default = \"gold\" }"), default("\"gold\""));
        assert_eq!(
            read(Kind::OnMiss, "{ default = { a = [1, 2.5] } }"),
            default(r#"{"a":[1,2.5]}"#)
        );
        assert!(read(Kind::OnMiss, "{ default = nan }").is_err());
        assert!(read(Kind::OnMiss, "{ other = 1 }").is_err());
    }

    #[test]
    fn wrong_values_are_told_with_the_value() {
        let range = Kind::Duration(Duration::from_millis(1), Duration::from_secs(1));
        assert_eq!(message(range, "\"2s\""), "2s is not from 1ms to 1s");
        assert!(message(range, "100").ends_with("found 100"));
        assert_eq!(message(Kind::Integer(1, 9), "10"), "10 is not from 1 to 9");
        assert!(message(Kind::Size(1, 9), "\"1KB\"").contains("\"KB\""));
        assert!(message(Kind::Topics, "[]").contains("at least one"));
        assert!(message(Kind::Topics, "[\"a\", \"a\"]").contains("twice"));
        assert!(message(Kind::Topic, "\"a b\"").contains("a b"));
        assert!(message(Kind::Version, "2").contains("version 1"));
        assert!(message(Kind::Name, "\"a/b\"").contains("a/b"));
    }
}
