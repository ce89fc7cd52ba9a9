//! Steps in short, as a picture of the pipeline shows them.
//!
//! Read from the tree of the file and not from the settings: an operator's keys are its own words
//! for what it does, so that a step needs no word here to be shown. Only what leads elsewhere is
//! known by name: tables, topics, state.

use super::{
    operators::{OwnOperators, Takes},
    tree::{Node, Value, quoted_key},
};

/// A step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepOutline {
    /// From 1.
    pub number: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The operator's key.
    pub operator: String,
    /// The condition on it.
    pub when: Option<String>,
    /// What it reads and writes, in the file's words.
    pub lines: Vec<String>,
    /// Names of the tables that it looks into.
    pub tables: Vec<String>,
    /// Topics that it may send to beside the sink's, and when.
    pub topics: Vec<(String, String)>,
    /// Whether it remembers anything from record to record.
    pub has_state: bool,
}

/// Operators with state.
const WITH_STATE: [&str; 2] = ["dedup", "window"];

/// Destinations of a route, and fates of late records, that are no topic.
const NO_TOPICS: [&str; 3] = ["sink", "skip", "reject"];

/// All steps of a configuration.
pub(super) fn steps(root: &Node, operators: &OwnOperators) -> Vec<StepOutline> {
    let nodes = match root.get(&["steps"]).map(|node| &node.value) {
        Some(Value::List(nodes)) => nodes.as_slice(),
        _ => &[],
    };
    let step = |(node, number)| {
        let mut outline = step(node, number);
        add_own_tables(&mut outline, node, operators);
        outline
    };
    nodes.iter().zip(1..).map(step).collect()
}

/// The topic of the state, if the file says one.
pub(super) fn state_topic(root: &Node) -> Option<&str> {
    root.get(&["state", "topic"])?.text()
}

fn step(node: &Node, number: usize) -> StepOutline {
    let text = |name: &str| node.get(&[name]).and_then(Node::text).map(str::to_owned);
    let mut outline =
        StepOutline { number, name: text("name"), when: text("when"), ..StepOutline::default() };
    let mut children = node.children().unwrap_or_default().iter();
    let operator = children.find(|(name, _)| name != "name" && name != "when");
    if let Some((name, operator)) = operator {
        outline.operator.clone_from(name);
        outline.has_state = WITH_STATE.contains(&name.as_str());
        outline.lines = lines(name, operator);
        outline.topics = topics(operator);
        add_tables(&mut outline.tables, node);
    }
    outline
}

fn lines(operator: &str, node: &Node) -> Vec<String> {
    let part = |name: &str| node.get(&[name]).map(shown).unwrap_or_default();
    match operator {
        "lookup" => {
            let miss = node.get(&["on_miss"]).map(|node| format!(", else {}", shown(node)));
            let (into, table, key) = (part("into"), part("table"), part("key"));
            let mut lines = vec![format!("{into} = {table}[{key}]{}", miss.unwrap_or_default())];
            let age = node.get(&["into_age"]).map(|age| format!("{} = age of {table}", shown(age)));
            lines.extend(age);
            lines
        }
        "hash" => vec![format!("{} = {}({})", part("into"), part("algorithm"), part("of"))],
        "route" if node.get(&["to"]).is_some() => {
            let mut lines: Vec<String> = topics(node)
                .into_iter()
                .map(|(topic, when)| match when.as_str() {
                    "otherwise" => format!("otherwise {topic}"),
                    when => format!("{topic} if {when}"),
                })
                .collect();
            let otherwise = node.get(&["otherwise"]).and_then(Node::text);
            lines.extend(
                otherwise.filter(|it| NO_TOPICS.contains(it)).map(|it| format!("otherwise {it}")),
            );
            lines
        }
        _ => {
            let mut lines = Vec::new();
            push_lines(&mut lines, "", node);
            lines
        }
    }
}

/// A line a key; what stands in a table has a path.
fn push_lines(lines: &mut Vec<String>, path: &str, node: &Node) {
    match node.children() {
        None if path.is_empty() => lines.push(shown(node)),
        None => lines.push(format!("{path} = {}", shown(node))),
        Some(children) => {
            for (name, node) in children {
                let name = quoted_key(name);
                let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                push_lines(lines, &path, node);
            }
        }
    }
}

/// Text as it is, a list of texts with commas, anything else as TOML.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        Value::List(nodes) if nodes.iter().all(|node| node.text().is_some()) => {
            nodes.iter().filter_map(Node::text).collect::<Vec<_>>().join(", ")
        }
        value => value.to_toml(),
    }
}

/// Where a route, or a window's late records, may go.
fn topics(operator: &Node) -> Vec<(String, String)> {
    let part = |name: &str| operator.get(&[name]);
    let list = |name: &str| match part(name).map(|node| &node.value) {
        Some(Value::List(nodes)) => nodes.as_slice(),
        _ => &[],
    };
    let mut topics = Vec::new();
    for node in list("to") {
        let text = |name: &str| node.get(&[name]).and_then(Node::text).map(str::to_owned);
        topics.extend(text("topic").map(|topic| (topic, text("when").unwrap_or_default())));
    }
    let expression = || part("topic").map(shown).unwrap_or_default();
    let among = list("among").iter().filter_map(Node::text);
    topics.extend(among.map(|topic| (topic.to_owned(), expression())));
    let prefix = part("prefix").and_then(Node::text);
    topics.extend(prefix.map(|prefix| (format!("{prefix}*"), expression())));
    for name in ["otherwise", "late"] {
        let topic = part(name).and_then(Node::text).filter(|it| !NO_TOPICS.contains(it));
        topics.extend(topic.map(|topic| (topic.to_owned(), name.to_owned())));
    }
    topics
}

/// Tables by keys of an operator that the program brought along.
fn add_own_tables(outline: &mut StepOutline, node: &Node, operators: &OwnOperators) {
    let Some(own) = operators.find(&outline.operator) else { return };
    for key in own.keys.iter().filter(|key| key.takes == Takes::Table) {
        let table = node.get(&[own.name, key.name]).and_then(Node::text);
        outline.tables.extend(table.map(str::to_owned));
    }
}

/// Tables by the key of a lookup, or by `lookup("…", …)` in an expression, each once.
fn add_tables(tables: &mut Vec<String>, node: &Node) {
    let mut add = |name: &str| {
        if !tables.iter().any(|known| known == name) {
            tables.push(name.to_owned());
        }
    };
    match &node.value {
        Value::Text(text) => {
            for call in text.split("lookup(").skip(1) {
                let call = call.trim_start();
                let quote = call.chars().next().filter(|it| matches!(it, '"' | '\''));
                if let Some(name) = quote.and_then(|quote| call[1..].split(quote).next()) {
                    add(name);
                }
            }
        }
        Value::List(nodes) => nodes.iter().for_each(|node| add_tables(tables, node)),
        Value::Table(children) => {
            if let Some(table) = node.get(&["lookup", "table"]).and_then(Node::text) {
                add(table);
            }
            children.iter().for_each(|(_, node)| add_tables(tables, node));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tree, *};

    fn outline(text: &str) -> StepOutline {
        let root = tree::read(&format!("[[steps]]\n{text}\n"), 0).unwrap();
        steps(&root, &OwnOperators::default()).pop().unwrap()
    }

    #[test]
    fn every_operator_is_shown_in_its_own_words() {
        for (text, expected) in [
            (
                "lookup = { table = 'users', key = 'event.key', into = 'c', on_miss = 'skip' }",
                "c = users[event.key], else skip",
            ),
            (
                "hash = { algorithm = 'md5', of = 'record.value', into = 'h' }",
                "h = md5(record.value)",
            ),
            ("text.result = 'a_{event.b}'", "result = a_{event.b}"),
            ("text.\"a.b\" = '1'\ntext.c.d = '2'", "\"a.b\" = 1|c.d = 2"),
            ("set = { a = 'event.b + 1' }", "a = event.b + 1"),
            ("remove = ['a', 'b.c']", "a, b.c"),
            ("alias = { id = ['ID', 'Id'] }", "id = ID, Id"),
            ("filter = 'event.a > 1'", "event.a > 1"),
            ("dedup = { key = 'event.id', within = '10m' }", "key = event.id|within = 10m"),
            ("sample = { share = 0.5 }", "share = 0.5"),
            (
                "[steps.window]\nkind = 'tumbling'\naggregate = { n = 'count()' }",
                "kind = tumbling|aggregate.n = count()",
            ),
            (
                "route = { to = [{ when = 'event.a', topic = 't' }], otherwise = 'skip' }",
                "t if event.a|otherwise skip",
            ),
            ("anything = { new = true }", "new = true"),
        ] {
            assert_eq!(outline(text).lines.join("|"), expected, "{text}");
        }
    }

    #[test]
    fn tables_topics_conditions_and_state_are_found() {
        let step = outline("name = 'n'\nwhen = 'event.x'\nset.a = 'lookup(\"users\", event.b)'");
        assert_eq!((step.name.as_deref(), step.when.as_deref()), (Some("n"), Some("event.x")));
        assert_eq!(
            (step.operator.as_str(), step.tables.as_slice()),
            ("set", &["users".to_owned()][..])
        );
        let topics = |text: &str| {
            let topics = outline(text).topics.into_iter();
            topics.map(|(topic, when)| format!("{topic}:{when}")).collect::<Vec<_>>().join("|")
        };
        let route = "route = { to = [{ when = 'event.a', topic = 't' }], otherwise = 'u' }";
        assert_eq!(topics(route), "t:event.a|u:otherwise");
        assert_eq!(
            topics("route = { topic = 'event.t', among = ['a', 'b'] }"),
            "a:event.t|b:event.t"
        );
        assert_eq!(topics("route = { topic = 'event.t', prefix = 'o.' }"), "o.*:event.t");
        assert_eq!(topics("window = { late = 'late-ones' }"), "late-ones:late");
        assert_eq!(topics("window = { late = 'skip' }"), "");
        assert!(outline("dedup = { key = 'k' }").has_state && !outline("filter = 'k'").has_state);
    }
}
