//! The tuning profiles that come with the program: files of differences, embedded.

use std::collections::BTreeMap;

use super::{
    hints, keys,
    keys::Kind,
    problem::Problem,
    tree::{self, Node},
};

/// Names and texts, in the order in which they are listed.
pub const BUILT_IN: [(&str, &str); 5] = [
    ("laptop", include_str!("../../tuning/profiles/laptop.toml")),
    ("balanced", include_str!("../../tuning/profiles/balanced.toml")),
    ("low-latency", include_str!("../../tuning/profiles/low-latency.toml")),
    ("throughput", include_str!("../../tuning/profiles/throughput.toml")),
    ("ultra", include_str!("../../tuning/profiles/ultra.toml")),
];

/// Sections that a profile may set.
const SECTIONS: [&str; 4] = ["engine", "limits", "observe", "latency"];

/// The text of a profile that comes with the program.
pub fn find(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Whether a choice of profile is a path rather than a name.
pub(crate) fn is_path(choice: &str) -> bool {
    choice.contains(['/', '\\']) || choice.to_lowercase().ends_with(".toml")
}

/// That there is no such profile.
pub fn unknown(key: &str, choice: &str) -> Problem {
    let names = BUILT_IN.map(|(name, _)| name);
    let hint = hints::did_you_mean(choice, names)
        .unwrap_or_else(|| format!("{}, or the path of a file: ./{choice}.toml", names.join(", ")));
    Problem::error(key, format!("there is no profile named \"{choice}\"")).hint(hint)
}

/// The first sentence of a profile's file: what it is for.
pub fn summary(text: &str) -> String {
    let comment: Vec<&str> =
        text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim).collect();
    comment.join(" ").split_inclusive(". ").next().unwrap_or_default().trim().to_owned()
}

/// What is in force with a built-in profile and nothing else, as TOML by key path; `None`: there is
/// no such profile.
pub fn effective(name: &str) -> Option<BTreeMap<String, String>> {
    let mut tree = tree::read(super::DEFAULT_FILE, 0).ok()?;
    let mut chain = Vec::new();
    let mut next = Some(name.to_owned());
    while let Some(name) = next {
        let profile = tree::read(find(&name)?, 0).ok()?;
        next = profile.get(&["inherits"]).and_then(Node::text).map(str::to_owned);
        chain.push(profile);
    }
    for profile in chain.into_iter().rev() {
        tree.merge(profile, true);
    }
    let mut values = BTreeMap::new();
    leaves(&tree, "", &mut values);
    values.retain(|key, _| !matches!(key.as_str(), "profile" | "inherits"));
    Some(values)
}

fn leaves(node: &Node, path: &str, values: &mut BTreeMap<String, String>) {
    match node.children() {
        Some(children) => {
            for (name, child) in children {
                leaves(child, &tree::join_key(path, name), values);
            }
        }
        None => {
            values.insert(path.to_owned(), node.value.to_toml());
        }
    }
}

/// Refuses what a profile may not set: it tunes, it does not say what a pipeline does.
pub(crate) fn check<'a>(tree: &'a Node, problems: &mut Vec<(Problem, &'a Node)>) {
    check_below(tree, &mut Vec::new(), problems);
}

fn check_below<'a>(
    node: &'a Node,
    path: &mut Vec<&'a str>,
    problems: &mut Vec<(Problem, &'a Node)>,
) {
    for (name, child) in node.children().unwrap_or_default() {
        path.push(name);
        let pattern = path.join(".");
        let is_allowed = SECTIONS.contains(&path[0])
            || matches!(pattern.as_str(), "inherits" | "hotspur")
            || matches!(keys::find(&pattern).map(|key| key.kind), Some(Kind::Properties(_)));
        if !is_allowed {
            if child.children().is_some() && !keys::names_under(&pattern).is_empty() {
                check_below(child, path, problems);
            } else {
                let message = "a profile sets only engine, limits, observe, latency and properties";
                let problem = Problem::error(pattern, message).hint("it belongs in the pipeline");
                problems.push((problem, child));
            }
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_may_tune_and_nothing_else() {
        let text = "inherits = \"laptop\"\n[engine]\nidle = \"spin\"\n[kafka]\nbrokers = \"x\"\n\
                    [kafka.properties]\n\"linger.ms\" = 1\n[sink.kafka]\ntopic = \"t\"\n\
                    [tables.users]\nfile = \"f\"\n";
        let tree = tree::read(text, 0).unwrap();
        let mut problems = Vec::new();
        check(&tree, &mut problems);
        let keys: Vec<&str> = problems.iter().map(|(problem, _)| problem.key.as_str()).collect();
        assert_eq!(keys, ["kafka.brokers", "sink.kafka.topic", "tables.users"]);
    }

    #[test]
    fn each_profile_says_what_it_is_for() {
        for (name, text) in BUILT_IN {
            assert!(summary(text).ends_with('.'), "{name}: {}", summary(text));
        }
        assert_eq!(unknown("profile", "latop").hint.as_deref(), Some("did you mean \"laptop\"?"));
        assert!(unknown("profile", "mine").hint.unwrap().contains("./mine.toml"));
    }
}
