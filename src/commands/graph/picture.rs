//! What a picture of the pipeline shows, whoever draws it.
//!
//! In the middle the way of a record: source, steps in order, sink. To the left what steps read and
//! remember, tables and state; to the right where else they send to, and the dead letters.

use crate::config::{
    Loaded, Settings, StepOutline,
    settings::{Table, TablePlace},
};

/// A box with words in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// What it is.
    pub(super) title: String,
    /// Words below, a line each.
    pub(super) lines: Vec<String>,
}

/// A box at the side, and the steps, by their index, that it has to do with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) node: Node,
    pub(super) steps: Vec<usize>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Picture {
    /// The pipeline's.
    pub(super) name: String,
    pub(super) source: Node,
    pub(super) steps: Vec<Node>,
    pub(super) sink: Node,
    pub(super) dead_letters: Node,
    pub(super) tables: Vec<Beside>,
    pub(super) state: Option<Beside>,
    pub(super) topics: Vec<Beside>,
}

impl Picture {
    pub(super) fn of(loaded: &Loaded) -> Picture {
        Picture::new(&loaded.settings, &loaded.outline(), loaded.state_topic())
    }

    fn new(settings: &Settings, steps: &[StepOutline], state_topic: String) -> Picture {
        let sink = &settings.sink;
        let sink_lines = vec![
            sink.topic.clone(),
            format!("key = {}", sink.key),
            format!("value = {}", sink.value),
        ];
        let with_state = indices(steps, |step| step.has_state);
        Picture {
            name: settings.name.clone(),
            source: node("source", settings.source.topics.clone()),
            steps: steps.iter().map(step_node).collect(),
            sink: node("sink", sink_lines),
            dead_letters: node("dead letters", vec![settings.dead_letters.topic.clone()]),
            tables: settings.tables.iter().map(|table| beside(table, steps)).collect(),
            state: (!with_state.is_empty())
                .then(|| Beside { node: node("state", vec![state_topic]), steps: with_state }),
            topics: topics(steps, &sink.topic),
        }
    }
}

fn node(title: &str, lines: Vec<String>) -> Node {
    Node { title: title.to_owned(), lines }
}

fn indices(steps: &[StepOutline], fits: impl Fn(&StepOutline) -> bool) -> Vec<usize> {
    let fitting = steps.iter().enumerate().filter(|(_, step)| fits(step));
    fitting.map(|(index, _)| index).collect()
}

fn step_node(step: &StepOutline) -> Node {
    let StepOutline { number, name, operator, when, lines, .. } = step;
    let title = match name {
        Some(name) => format!("{number} {name}: {operator}"),
        None => format!("{number} {operator}"),
    };
    let when = when.iter().map(|when| format!("when {when}"));
    Node { title, lines: when.chain(lines.iter().cloned()).collect() }
}

fn beside(table: &Table, steps: &[StepOutline]) -> Beside {
    let place = match &table.place {
        TablePlace::Redis(redis) => vec![redis.shown.clone(), format!("{}*", redis.prefix)],
        TablePlace::File(path) => vec![path.display().to_string()],
    };
    Beside {
        node: node(&format!("table {}", table.name), place),
        steps: indices(steps, |step| step.tables.contains(&table.name)),
    }
}

/// Topics beside the sink's, each once, in the order in which steps name them.
fn topics(steps: &[StepOutline], sink: &str) -> Vec<Beside> {
    let mut found: Vec<Beside> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        for (topic, _) in step.topics.iter().filter(|(topic, _)| topic != sink) {
            match found.iter_mut().find(|beside| beside.node.lines[0] == *topic) {
                Some(beside) if beside.steps.contains(&index) => {}
                Some(beside) => beside.steps.push(index),
                None => found
                    .push(Beside { node: node("topic", vec![topic.clone()]), steps: vec![index] }),
            }
        }
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A picture with everything in it, and words that mean something to who draws it.
    pub(in super::super) fn full() -> Picture {
        let step = |title: &str, lines: &[&str]| {
            node(title, lines.iter().map(|line| (*line).to_owned()).collect())
        };
        let beside = |title: &str, lines: &[&str], steps: &[usize]| Beside {
            node: step(title, lines),
            steps: steps.to_vec(),
        };
        Picture {
            name: "shop <&\"1\">".to_owned(),
            source: step("source", &["orders", "returns"]),
            steps: vec![
                step("1 find: lookup", &["cached = users[event.key], else skip"]),
                step("2 filter", &["when event.a < 3 && event.b == \"x\"", "event.`c` > '#'"]),
                step("3 dedup", &[&"a long line, ".repeat(20), "key = größe 数量 \u{1b}"]),
                step("4 route", &["fraud if event.amount > 1000", "otherwise sink"]),
            ],
            sink: step("sink", &["processed", "key = record.key", "value = event"]),
            dead_letters: step("dead letters", &["orders.dead"]),
            tables: vec![
                beside("table users", &["redis://localhost:6379/0", "user:*"], &[0, 2]),
                beside("table unused", &["/etc/a-rather-long-path/to/some/countries.csv"], &[]),
                beside("table prices", &["prices.jsonl"], &[0]),
            ],
            state: Some(beside("state", &["shop.state"], &[2])),
            topics: vec![
                beside("topic", &["fraud"], &[3]),
                beside("topic", &["late-orders"], &[2, 3]),
            ],
        }
    }

    fn outline(name: Option<&str>, topics: &[&str]) -> StepOutline {
        StepOutline {
            number: 1,
            name: name.map(str::to_owned),
            operator: "route".to_owned(),
            when: Some("event.x".to_owned()),
            lines: vec!["a line".to_owned()],
            topics: topics.iter().map(|topic| ((*topic).to_owned(), String::new())).collect(),
            ..StepOutline::default()
        }
    }

    #[test]
    fn a_step_shows_its_number_name_operator_and_condition() {
        let node = step_node(&outline(Some("split"), &[]));
        assert_eq!(node.title, "1 split: route");
        assert_eq!(node.lines, ["when event.x", "a line"]);
        assert_eq!(step_node(&outline(None, &[])).title, "1 route");
    }

    #[test]
    fn a_topic_is_there_once_and_the_sink_s_not_again() {
        let steps = [outline(None, &["a", "out", "a"]), outline(None, &["b", "a"])];
        let found = topics(&steps, "out");
        let of = |beside: &Beside| (beside.node.lines[0].clone(), beside.steps.clone());
        let expected = [("a".to_owned(), vec![0, 1]), ("b".to_owned(), vec![1])];
        assert_eq!(found.iter().map(of).collect::<Vec<_>>(), expected);
    }
}
