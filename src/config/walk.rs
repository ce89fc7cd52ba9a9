//! Goes through the merged tree once: every key is known, built and of its kind, or it is told why
//! not. What comes out is typed values by key path, and where everything stands.

use std::collections::BTreeMap;

use super::{
    hints,
    keys::{self, Found, Key, Kind},
    layers::{Layer, LayerKind},
    librdkafka::Scope,
    operators::{OwnOperator, OwnOperators},
    problem::Problem,
    properties,
    report::Located,
    secrets,
    substitute::{self, Surroundings},
    tree::{self, Node, Place, Value},
    unbuilt,
    values::{self, Typed, Wrong},
};

/// A value in force and the layer that set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// Key path.
    pub key: String,
    /// As TOML, as written; secrets masked.
    pub value: String,
    /// `default`, `profile balanced`, `hotspur.toml:12`, `HOTSPUR_NAME`, `-s`.
    pub layer: String,
}

/// What the walk found.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// Typed values by key path.
    pub(crate) values: BTreeMap<String, Typed>,
    /// Places of all nodes by key path.
    pub(crate) places: BTreeMap<String, Place>,
    /// Names of tables, with their key paths.
    pub(crate) tables: Vec<(String, String)>,
    /// What should have been a table and is not.
    pub(crate) broken: Vec<String>,
    /// For each step the names of its operators.
    pub(crate) steps: Vec<Vec<String>>,
    pub(crate) effective: Vec<Effective>,
    pub(crate) problems: Vec<Located>,
    /// Operators beside the built-in ones.
    pub(crate) operators: OwnOperators,
}

/// Walks the tree.
pub(crate) fn walk(
    tree: &Node,
    layers: &[Layer],
    environment: &BTreeMap<String, String>,
    operators: &OwnOperators,
) -> Walked {
    let walked = Walked { operators: operators.clone(), ..Walked::default() };
    let mut walker = Walker { layers, environment, walked };
    walker.children(tree.children().unwrap_or_default(), "", "");
    walker.walked
}

struct Walker<'a> {
    layers: &'a [Layer],
    environment: &'a BTreeMap<String, String>,
    walked: Walked,
}

impl Walker<'_> {
    fn tell(&mut self, problem: Problem, place: &Place, value: bool) {
        self.walked.problems.push(Located::new(problem, place, value, self.layers));
    }

    fn children(&mut self, children: &[(String, Node)], path: &str, pattern: &str) {
        for (name, node) in children {
            let path = tree::join_key(path, name);
            self.walked.places.insert(path.clone(), node.place.clone());
            match keys::look_up(pattern, name) {
                Found::Leaf(key) => self.leaf(key, &path, node),
                Found::Table(inner) => self.table(name, node, &path, &inner),
                Found::List(inner) => self.list(node, &path, &inner),
                Found::Unknown => match self.walked.operators.find(name) {
                    Some(own) if pattern == keys::STEPS => {
                        let own = own.clone();
                        self.own(&own, node, &path);
                    }
                    _ => self.unknown(name, node, &path, pattern),
                },
            }
        }
    }

    fn table(&mut self, name: &str, node: &Node, path: &str, pattern: &str) {
        if pattern == "tables.*" {
            self.walked.tables.push((name.to_owned(), path.to_owned()));
        }
        match node.children() {
            Some(children) => self.children(children, path, pattern),
            None if pattern == keys::BREAKER => self.breaker(path, node),
            None => {
                let message = format!("expected a table, found {}", node.value.kind());
                self.walked.broken.push(path.to_owned());
                self.tell(Problem::error(path, message), &node.place, true);
            }
        }
    }

    /// What a step says to an operator that the program brought along.
    fn own(&mut self, own: &OwnOperator, node: &Node, path: &str) {
        let Some(children) = node.children() else {
            let message = format!("expected a table, found {}", node.value.kind());
            self.walked.broken.push(path.to_owned());
            return self.tell(Problem::error(path, message), &node.place, true);
        };
        for (name, node) in children {
            let path = tree::join_key(path, name);
            self.walked.places.insert(path.clone(), node.place.clone());
            match own.keys.iter().find(|key| key.name == name) {
                Some(key) => {
                    let key = Key { pattern: keys::OWN_KEY, kind: key.kind() };
                    self.leaf(&key, &path, node);
                }
                None => self.tell(own.no_key(&path, name), &node.place, false),
            }
        }
    }

    /// A breaker that is no table: only `false`.
    fn breaker(&mut self, path: &str, node: &Node) {
        self.effective(path, node);
        match node.value {
            Value::Boolean(false) => {
                self.walked.values.insert(path.to_owned(), Typed::Boolean(false));
            }
            _ => {
                let hint = "breaker = { rejected = 0.5 }, or leave it out: it is on";
                let message = format!("expected a table or false, found {}", node.value.to_toml());
                self.tell(Problem::error(path, message).hint(hint), &node.place, true);
            }
        }
    }

    fn list(&mut self, node: &Node, path: &str, pattern: &str) {
        let Value::List(items) = &node.value else {
            let message = format!("expected a list of tables, found {}", node.value.kind());
            let hint = match pattern {
                keys::STEPS => format!("[[{path}]]"),
                _ => "to = [{ when = \"event.value > 100\", topic = \"large\" }]".to_owned(),
            };
            self.walked.broken.push(path.to_owned());
            let problem = Problem::error(path, message).hint(hint);
            return self.tell(problem, &node.place, true);
        };
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            self.walked.places.insert(path.clone(), item.place.clone());
            if pattern == keys::STEPS {
                let names = item.children().unwrap_or_default().iter().map(|(name, _)| name);
                let is_operator = |name: &&String| !matches!(name.as_str(), "name" | "when");
                self.walked.steps.push(names.filter(is_operator).cloned().collect());
            }
            self.table("", item, &path, pattern);
        }
    }

    /// A name that `keys` does not have: not built yet, or not meant.
    fn unknown(&mut self, name: &str, node: &Node, path: &str, pattern: &str) {
        let dot = if pattern.is_empty() { "" } else { "." };
        if let Some(not_built) = unbuilt::key(&format!("{pattern}{dot}{name}")) {
            let problem = Problem::error(path, not_built.message()).hint(not_built.instead);
            return self.tell(problem, &node.place, false);
        }
        let near = keys::names_under(pattern).into_iter().chain(unbuilt::names_under(pattern));
        let own = self.walked.operators.names().filter(|_| pattern == keys::STEPS);
        let near = near.chain(own);
        let near = near.map(|name| name.trim_end_matches("[]"));
        let hint = hints::did_you_mean(name, near).or_else(|| {
            let same = |key: &&Key| key.pattern.rsplit('.').next() == Some(name);
            keys::KEYS.iter().find(same).map(|key| format!("there is {}", key.pattern))
        });
        let mut problem = Problem::error(path, "there is no such key");
        problem.hint = hint;
        self.tell(problem, &node.place, false);
    }

    fn leaf(&mut self, key: &Key, path: &str, node: &Node) {
        if let (Kind::Properties(scope), Some(children)) = (key.kind, node.children()) {
            return self.properties(scope, path, children);
        }
        self.effective(path, node);
        if let (Kind::Requirements, Value::List(items)) = (key.kind, &node.value) {
            return self.requirements(key, path, items);
        }
        if let Some(typed) = self.typed(key, path, node) {
            self.walked.values.insert(path.to_owned(), typed);
        }
        // What is wrong with a part is told at its own place.
        for (name, part) in node.children().unwrap_or_default() {
            let part_path = tree::join_key(path, name);
            self.walked.places.insert(part_path, part.place.clone());
        }
    }

    /// The value, or `None` where it was told what is wrong with it.
    fn typed(&mut self, key: &Key, path: &str, node: &Node) -> Option<Typed> {
        let resolved = match self.resolve(key, node) {
            Ok(resolved) => resolved,
            Err(message) => {
                self.tell(Problem::error(path, message), &node.place, true);
                return None;
            }
        };
        match values::parse(key.kind, resolved.as_ref().unwrap_or(node)) {
            Ok(typed) => Some(typed),
            Err(wrong) => {
                // What a variable or a file held is never shown.
                let wrong = resolved.map_or(Some(wrong), |_| values::parse(key.kind, node).err());
                self.wrong(key, path, node, wrong);
                None
            }
        }
    }

    /// Each is a value of its own, so that what is wrong with it is told at its place.
    fn requirements(&mut self, key: &Key, path: &str, items: &[Node]) {
        let item_key = Key { kind: Kind::Requirement, ..*key };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            if let Some(Typed::Text(text)) =
                self.typed(&item_key, &format!("{path}[{index}]"), item)
            {
                texts.push(text);
            }
        }
        self.walked.values.insert(path.to_owned(), Typed::Texts(texts));
    }

    fn wrong(&mut self, key: &Key, path: &str, node: &Node, wrong: Option<Wrong>) {
        let text = match &node.value {
            Value::Text(text) => text.clone(),
            value => value.to_toml(),
        };
        let problem = match (unbuilt::value(key.pattern, &text), wrong) {
            // Off is the only way to write it; true or a table would be the planned feature.
            (Some(not_built), _) => {
                Problem::error(path, not_built.message()).hint(not_built.instead)
            }
            (None, Some(Wrong { message, hint })) => {
                let problem = Problem::error(path, secrets::masked_url(&message));
                Problem { hint, ..problem }
            }
            (None, None) => Problem::error(path, "what this stands for does not fit here"),
        };
        self.tell(problem, &node.place, true);
    }

    /// The node with `${…}` replaced, if there was any.
    fn resolve(&self, key: &Key, node: &Node) -> Result<Option<Node>, String> {
        // No step is substituted: braces and dollars have meanings of their own there.
        if !key.kind.is_substituted() || key.pattern.starts_with("steps[]") {
            return Ok(None);
        }
        match &node.value {
            Value::Text(text) => {
                let text = self.substitute(text, &node.place)?;
                let place = node.place.clone();
                Ok(text.map(|text| Node { value: scalar(key.kind, text), place }))
            }
            Value::List(items) => {
                let mut items = items.clone();
                let mut any = false;
                for item in &mut items {
                    let text = item.text().map(|text| self.substitute(text, &item.place));
                    if let Some(text) = text.transpose()?.flatten() {
                        item.value = Value::Text(text);
                        any = true;
                    }
                }
                let place = node.place.clone();
                Ok(any.then_some(Node { value: Value::List(items), place }))
            }
            _ => Ok(None),
        }
    }

    fn substitute(&self, text: &str, place: &Place) -> Result<Option<String>, String> {
        let folder = &self.layers[place.layer].folder;
        let around = Surroundings { environment: self.environment, folder };
        substitute::substitute(text, &around)
    }

    fn properties(&mut self, scope: Scope, path: &str, children: &[(String, Node)]) {
        let mut pairs = Vec::new();
        for (name, node) in children {
            let path = tree::join_key(path, name);
            self.walked.places.insert(path.clone(), node.place.clone());
            self.effective_property(&path, name, node);
            match self.property(name, node, scope) {
                Ok(value) => pairs.push((name.clone(), value)),
                Err(problem) => {
                    self.tell(Problem { key: path, ..problem }, &node.place, true);
                }
            }
        }
        self.walked.values.insert(path.to_owned(), Typed::Pairs(pairs));
    }

    fn property(&self, name: &str, node: &Node, scope: Scope) -> Result<String, Problem> {
        let written = match &node.value {
            Value::Text(text) => text.clone(),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => node.value.to_toml(),
            other => {
                let message =
                    format!("a property is text, a number or a boolean, not {}", other.kind());
                return Err(Problem::error("", message));
            }
        };
        let resolved = self.substitute(&written, &node.place);
        let resolved = resolved.map_err(|message| Problem::error("", message))?;
        let value = resolved.as_ref().unwrap_or(&written);
        if properties::check(name, value, scope).is_ok() {
            return Ok(value.clone());
        }
        let shown = secrets::shown(name, &written);
        let refused = properties::check(name, &shown, scope).err();
        let refused = refused.unwrap_or_else(|| properties::Refused {
            message: "what this stands for does not fit here".to_owned(),
            hint: None,
        });
        Err(Problem { hint: refused.hint, ..Problem::error("", refused.message) })
    }

    fn effective(&mut self, path: &str, node: &Node) {
        let value = match &node.value {
            Value::Text(text) if path == keys::TOKEN => {
                Value::Text(secrets::shown(path, text)).to_toml()
            }
            _ if path == keys::TOKEN => Value::Text(secrets::MASK.to_owned()).to_toml(),
            Value::Text(text) => Value::Text(secrets::masked_url(text)).to_toml(),
            value => value.to_toml(),
        };
        self.push_effective(path, value, node);
    }

    fn effective_property(&mut self, path: &str, name: &str, node: &Node) {
        let value = match &node.value {
            Value::Text(text) => Value::Text(secrets::shown(name, text)).to_toml(),
            _ if secrets::is_secret(name) => Value::Text(secrets::MASK.to_owned()).to_toml(),
            value => value.to_toml(),
        };
        self.push_effective(path, value, node);
    }

    fn push_effective(&mut self, path: &str, value: String, node: &Node) {
        let layer = &self.layers[node.place.layer];
        let start = node.place.key.start.min(layer.text.len());
        let line = layer.text[..start].matches('\n').count() + 1;
        let layer = match layer.kind {
            LayerKind::Default => "default".to_owned(),
            LayerKind::Profile | LayerKind::File => format!("{}:{line}", layer.shown),
            LayerKind::Variable => layer.text.split('=').next().unwrap_or_default().to_owned(),
            LayerKind::Argument => layer.text[..2].to_owned(),
        };
        self.walked.effective.push(Effective { key: path.to_owned(), value, layer });
    }
}

/// Text that took the place of `${…}` where a number or a boolean belongs, as that.
fn scalar(kind: Kind, text: String) -> Value {
    let is_scalar = matches!(kind, Kind::Version | Kind::Boolean | Kind::Integer(..) | Kind::Core);
    let fraction = text.parse::<f64>();
    match (is_scalar, text.parse::<i64>(), text.as_str()) {
        (true, Ok(number), _) => Value::Integer(number),
        _ if kind == Kind::Share && fraction.is_ok() => Value::Float(fraction.unwrap_or_default()),
        (true, _, "true") => Value::Boolean(true),
        (true, _, "false") => Value::Boolean(false),
        _ => Value::Text(text),
    }
}
