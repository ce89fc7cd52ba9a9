//! The layers, each over the one before: built-in defaults, the profile with what it inherits from,
//! the file, the environment, `-p` and `-s`. Nothing is checked here but that it can be read.

use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    docs, environment,
    keys::{self, Kind},
    operators::OwnOperators,
    problem::Problem,
    profiles,
    report::{Located, Report},
    secrets,
    substitute::{self, Surroundings},
    tree::{self, Node, Place, Value},
};

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `-c`.
    pub file: Option<PathBuf>,
    /// `-p`.
    pub profile: Option<String>,
    /// `-s`, in order.
    pub set: Vec<String>,
    /// The environment, all of it: `HOTSPUR_…` is read, `${NAME}` looks here.
    pub environment: BTreeMap<String, String>,
    /// Operators that the program brings along.
    pub operators: OwnOperators,
}

impl Sources {
    /// What was given on the command line, with this process's environment.
    pub fn of_process(file: Option<PathBuf>, profile: Option<String>, set: Vec<String>) -> Sources {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        let pairs = std::env::vars_os();
        let environment = pairs.filter_map(|(name, value)| Some((text(name)?, text(value)?)));
        let (environment, operators) = (environment.collect(), OwnOperators::default());
        Sources { file, profile, set, environment, operators }
    }

    /// The file to read: `-c`, else `HOTSPUR_CONFIG`, else `./hotspur.toml`, if it is there.
    pub fn path(&self) -> Option<PathBuf> {
        let variable = self.environment.get("HOTSPUR_CONFIG").filter(|path| !path.is_empty());
        let here = || Some(PathBuf::from("hotspur.toml")).filter(|path| path.exists());
        self.file.clone().or_else(|| variable.map(PathBuf::from)).or_else(here)
    }
}

/// Which kind of layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LayerKind {
    Default,
    Profile,
    File,
    Variable,
    Argument,
}

/// One layer's text and how to speak of it.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) kind: LayerKind,
    /// The file's path, `profile NAME`, `environment` or `command line`.
    pub(crate) shown: String,
    pub(crate) text: String,
    /// Where its relative paths start.
    pub(crate) folder: PathBuf,
    /// Where secrets stand in the text, in order.
    pub(crate) secrets: Vec<Range<usize>>,
}

/// All layers and what they say together.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) layers: Vec<Layer>,
    pub(crate) tree: Node,
    pub(crate) file: PathBuf,
    /// `HOTSPUR_…` variables that mean nothing.
    pub(crate) ignored: Vec<String>,
    /// What can be told already.
    pub(crate) problems: Vec<Located>,
}

/// Reads all layers. Fails if there is no file, or if a file or profile is no TOML: what is missing
/// then cannot be told from what cannot be read.
pub(crate) fn gather(sources: &Sources) -> Result<Gathered, Report> {
    let Some(file) = sources.path() else { return Err(no_file()) };
    let text = fs::read_to_string(&file).map_err(|error| {
        let message = format!("cannot read {}: {error}", file.display());
        Report::of(
            Problem::error("", message).hint("the file is -c, HOTSPUR_CONFIG or ./hotspur.toml"),
        )
    })?;
    gather_text(sources, file, text)
}

/// The same, where a file that is not there counts as an empty one.
pub(crate) fn gather_if_any(sources: &Sources) -> Result<Gathered, Report> {
    match sources.path() {
        Some(_) => gather(sources),
        None => gather_text(sources, PathBuf::from("hotspur.toml"), String::new()),
    }
}

fn gather_text(sources: &Sources, file: PathBuf, text: String) -> Result<Gathered, Report> {
    let mut gatherer =
        Gatherer { sources, layers: Vec::new(), problems: Vec::new(), is_readable: true };
    let mut tree = gatherer.defaults();
    let (from_file, mut choice) = gatherer.file(&file, text);
    let (variables, ignored) = gatherer.variables();
    let arguments = gatherer.arguments();
    for node in variables.iter().chain(&arguments) {
        choice = node.get(&["profile"]).cloned().or(choice);
    }
    for profile in gatherer.profiles(choice.as_ref().or(tree.get(&["profile"]))) {
        tree.merge(profile, true);
    }
    tree.merge(from_file, true);
    for mut node in variables.into_iter().chain(arguments) {
        environment::match_names(&mut node, &tree);
        tree.merge(node, false);
    }
    let Gatherer { layers, problems, is_readable, .. } = gatherer;
    if !is_readable {
        return Err(Report { problems });
    }
    Ok(Gathered { layers, tree, file, ignored, problems })
}

fn no_file() -> Report {
    let message = "there is no configuration: none was given with -c or HOTSPUR_CONFIG, and there \
                   is no hotspur.toml in this folder";
    let hint = "`hotspur init orders > hotspur.toml`, or `hotspur demo`";
    Report::of(Problem::error("", message).hint(hint))
}

struct Gatherer<'a> {
    sources: &'a Sources,
    layers: Vec<Layer>,
    problems: Vec<Located>,
    is_readable: bool,
}

impl Gatherer<'_> {
    fn push(&mut self, kind: LayerKind, shown: &str, text: String, folder: PathBuf) -> usize {
        let shown = shown.to_owned();
        self.layers.push(Layer { kind, shown, text, folder, secrets: Vec::new() });
        self.layers.len() - 1
    }

    fn tell(&mut self, problem: Problem, place: &Place) {
        self.problems.push(Located::new(problem, place, true, &self.layers));
    }

    /// Reads a layer's text as TOML; a text that is none is told and counts as empty.
    fn read(&mut self, layer: usize) -> Node {
        match tree::read(&self.layers[layer].text, layer) {
            Ok(mut node) => {
                self.layers[layer].secrets = secrets::spans(&node, &self.layers[layer].text);
                flatten_properties(&mut node);
                node
            }
            Err(error) => {
                let text = &self.layers[layer].text;
                // The parser points behind the last line where something is missing there.
                let start = error.span.start.min(text.trim_end().len());
                let span = start..error.span.end.max(start);
                self.layers[layer].secrets = secrets::guess(text);
                self.is_readable = false;
                let place = Place { layer, key: span.clone(), value: span };
                self.tell(Problem::error("", format!("not TOML: {}", error.message)), &place);
                empty(layer)
            }
        }
    }

    fn defaults(&mut self) -> Node {
        let text = docs::DEFAULT_FILE.to_owned();
        let layer = self.push(LayerKind::Default, "default", text, PathBuf::new());
        self.read(layer)
    }

    /// The file's tree, and the profile it chooses.
    fn file(&mut self, path: &Path, text: String) -> (Node, Option<Node>) {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let layer = self.push(LayerKind::File, &path.display().to_string(), text, folder);
        let node = self.read(layer);
        let choice = node.get(&["profile"]).cloned();
        (node, choice)
    }

    /// One tree for each variable that means something, and the names of those that do not.
    fn variables(&mut self) -> (Vec<Node>, Vec<String>) {
        let (mut nodes, mut ignored) = (Vec::new(), Vec::new());
        for (name, value) in &self.sources.environment {
            if !name.starts_with("HOTSPUR_") || name == "HOTSPUR_CONFIG" {
                continue;
            }
            let Some(path) = environment::path_of(name) else {
                ignored.push(name.clone());
                continue;
            };
            let text = format!("{name}={value}");
            let layer = self.push(LayerKind::Variable, "environment", text, PathBuf::new());
            let node = environment::read(&path, 0..name.len(), value, name.len() + 1, layer);
            self.keep(node, layer, &mut nodes);
        }
        (nodes, ignored)
    }

    /// One tree for `-p`, then one for each `-s`.
    fn arguments(&mut self) -> Vec<Node> {
        let mut nodes = Vec::new();
        if let Some(profile) = &self.sources.profile {
            let text = format!("-p {profile}");
            let layer = self.push(LayerKind::Argument, "command line", text, PathBuf::new());
            let node = environment::read(&["profile".to_owned()], 0..2, profile, 3, layer);
            nodes.push(node);
        }
        for argument in &self.sources.set {
            let text = format!("-s {argument}");
            let layer = self.push(LayerKind::Argument, "command line", text, PathBuf::new());
            match environment::split_argument(argument) {
                Ok((path, key_end, value)) => {
                    let start = 3 + argument.len() - value.len();
                    let node = environment::read(&path, 3..3 + key_end, value, start, layer);
                    self.keep(node, layer, &mut nodes);
                }
                Err(message) => {
                    let span = 3..3 + argument.len();
                    let place = Place { layer, key: span.clone(), value: span };
                    let hint = "-s 'limits.depth=64', -s 'kafka.properties.\"check.crcs\"=true'";
                    self.tell(Problem::error("", message).hint(hint), &place);
                }
            }
        }
        nodes
    }

    fn keep(&mut self, mut node: Node, layer: usize, nodes: &mut Vec<Node>) {
        flatten_properties(&mut node);
        self.layers[layer].secrets = secrets::spans(&node, &self.layers[layer].text);
        nodes.push(node);
    }

    /// The chosen profile and those it inherits from, the most basic first.
    fn profiles(&mut self, choice: Option<&Node>) -> Vec<Node> {
        let (mut nodes, mut names) = (Vec::new(), Vec::new());
        let mut key = "profile";
        let mut next = choice.cloned();
        while let Some(node) = next {
            next = None;
            let Some(written) = node.text() else { break };
            let folder = self.layers[node.place.layer].folder.clone();
            let around = Surroundings { environment: &self.sources.environment, folder: &folder };
            // A name that cannot be resolved is told later, with all other values.
            let Ok(resolved) = substitute::substitute(written, &around) else { break };
            let name = resolved.unwrap_or_else(|| written.to_owned());
            let identity = if profiles::is_path(&name) {
                fs::canonicalize(folder.join(&name)).unwrap_or_default()
            } else {
                PathBuf::from(&name)
            };
            if names.contains(&identity) {
                let message = format!("the profile \"{name}\" inherits from itself");
                self.tell(Problem::error(key, message), &node.place);
                break;
            }
            let Some(mut profile) = self.profile(key, &name, &folder, &node.place) else { break };
            if let Value::Table(children) = &mut profile.value {
                let at = children.iter().position(|(name, _)| name == "inherits");
                next = at.map(|at| children.remove(at).1);
            }
            names.push(identity);
            nodes.push(profile);
            key = "inherits";
        }
        nodes.reverse();
        nodes
    }

    fn profile(&mut self, key: &str, name: &str, folder: &Path, place: &Place) -> Option<Node> {
        let layer = if profiles::is_path(name) {
            let path = folder.join(name);
            match fs::read_to_string(&path) {
                Ok(text) => {
                    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
                    self.push(LayerKind::Profile, &path.display().to_string(), text, folder)
                }
                Err(error) => {
                    let message = format!("cannot read the profile {}: {error}", path.display());
                    self.tell(Problem::error(key, message), place);
                    return None;
                }
            }
        } else if let Some(text) = profiles::find(name) {
            let shown = format!("profile {name}");
            self.push(LayerKind::Profile, &shown, text.to_owned(), PathBuf::new())
        } else {
            self.tell(profiles::unknown(key, name), place);
            return None;
        };
        let node = self.read(layer);
        let mut problems = Vec::new();
        profiles::check(&node, &mut problems);
        for (problem, node) in problems {
            self.tell(problem, &node.place);
        }
        Some(node)
    }
}

fn empty(layer: usize) -> Node {
    Node { value: Value::Table(Vec::new()), place: Place { layer, key: 0..0, value: 0..0 } }
}

/// `properties.linger.ms = 1` without quotes nests tables; a property's name has its dots in one
/// piece, so that layers merge whichever way they were written.
fn flatten_properties(tree: &mut Node) {
    for key in keys::KEYS {
        let Kind::Properties(_) = key.kind else { continue };
        let mut node = Some(&mut *tree);
        for name in key.pattern.split('.') {
            node = node.and_then(|node| match &mut node.value {
                Value::Table(children) => {
                    children.iter_mut().find(|(child, _)| child == name).map(|(_, node)| node)
                }
                _ => None,
            });
        }
        let Some(Node { value: Value::Table(children), .. }) = node else { continue };
        let mut flat = Vec::new();
        flatten("", std::mem::take(children), &mut flat);
        *children = flat;
    }
}

fn flatten(prefix: &str, children: Vec<(String, Node)>, flat: &mut Vec<(String, Node)>) {
    for (name, node) in children {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match node.value {
            Value::Table(children) => flatten(&name, children, flat),
            _ => flat.push((name, node)),
        }
    }
}
