//! Settings into a plan: every path, template and table found once, every problem told at once.
//!
//! A plan is read-only; what changes from record to record is in `codec::Edits` and in the scratch
//! of `Pipeline`. Refused here is what no record could ever satisfy, such as reading a field of
//! something that an earlier step made text.

use std::iter;

use crate::{
    codec::{Path, PathId, PathTree},
    config::{
        Problem, Settings,
        settings::{self, HashAlgorithm, RedisKind, SinkPartition, TablePlace, Tombstones},
    },
    pipeline::{
        expression::{self, Expression, Field, Piece},
        foresight::Foresight,
        steps::{Stateless, outgoing::Topics},
    },
};

/// What a pipeline does, compiled.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) tree: PathTree,
    pub(super) steps: Vec<Step>,
    /// Writes of all steps; each has a buffer.
    pub(super) writes: usize,
    pub(super) tables: Vec<String>,
    pub(super) origin: Expression,
    pub(super) unit_nanos: u64,
    pub(super) key: Expression,
    pub(super) value: Expression,
    pub(super) keep_partition: bool,
    pub(super) tombstones: Tombstones,
    pub(super) record_bytes_max: usize,
    pub(super) foresight: Option<Foresight>,
    /// Names of headers that steps replace.
    pub(super) headers: Vec<Box<[u8]>>,
    /// How often edits are saved for a record: steps that make several results of it.
    pub(super) eaches: usize,
    /// What topics may begin with that a record names.
    pub(super) prefixes: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Step {
    /// The step's name, else its number from 1.
    pub(super) name: String,
    /// Unless it is true, the step is passed over.
    pub(super) when: Option<Expression>,
    pub(super) operator: Operator,
}

#[derive(Debug)]
pub(super) enum Operator {
    Lookup {
        table: usize,
        key: Expression,
        into: Target,
        on_miss: OnMiss,
        into_age: Option<Target>,
    },
    Hash {
        algorithm: HashAlgorithm,
        of: Expression,
        into: Target,
    },
    Text(Vec<(Vec<Piece>, Target)>),
    Stateless(Stateless),
}

/// Where a step writes, and the number of its buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) path: PathId,
    pub(super) write: u16,
}

#[derive(Debug)]
pub(super) enum OnMiss {
    Skip,
    Reject,
    Text(Box<str>),
    /// A JSON value that is no text.
    Json(Box<str>),
}

/// Compiles what the settings say; with the topics that results can go to.
pub(super) fn compile(settings: &Settings) -> Result<(Plan, Topics), Vec<Problem>> {
    let mut compiler = Compiler {
        tree: PathTree::new(),
        tables: settings.tables.iter().map(|table| table.name.clone()).collect(),
        has_parts: settings.tables.iter().map(|table| has_parts(&table.place)).collect(),
        whole: Vec::new(),
        writes: 0,
        headers: Vec::new(),
        eaches: 0,
        topics: Topics { names: vec![settings.sink.topic.clone()], are_unknown: false },
        prefixes: Vec::new(),
        problems: Vec::new(),
    };
    let origin = compiler.origin(&settings.latency.origin);
    let steps: Vec<_> = settings.steps.iter().zip(1..).map(|it| compiler.step(it)).collect();
    let key = compiler.expression("sink.kafka.key", &settings.sink.key);
    let value = compiler.expression("sink.kafka.value", &settings.sink.value);
    if !compiler.problems.is_empty() {
        return Err(compiler.problems);
    }
    let steps: Vec<_> = steps.into_iter().flatten().collect();
    let plan = Plan {
        foresight: steps.iter().find_map(|step| Foresight::of(&step.operator, &compiler.tree)),
        tree: compiler.tree,
        steps,
        writes: usize::from(compiler.writes),
        tables: compiler.tables,
        origin: origin.unwrap_or(Expression::Record(Field::Timestamp)),
        unit_nanos: settings.latency.unit_nanos,
        key: key.unwrap_or(Expression::Record(Field::Key)),
        value: value.unwrap_or(Expression::Event(PathId::ROOT)),
        keep_partition: settings.sink.partition == SinkPartition::Source,
        tombstones: settings.source.tombstones,
        record_bytes_max: settings.limits.record,
        headers: compiler.headers,
        eaches: compiler.eaches,
        prefixes: compiler.prefixes,
    };
    Ok((plan, compiler.topics))
}

/// A path that a step writes.
struct Whole {
    path: PathId,
    /// Where the step stands.
    place: String,
    has_parts: bool,
}

pub(super) struct Compiler {
    pub(super) tree: PathTree,
    tables: Vec<String>,
    /// Whether a table's values may be JSON.
    has_parts: Vec<bool>,
    /// What the steps have written so far.
    whole: Vec<Whole>,
    pub(super) writes: u16,
    pub(super) headers: Vec<Box<[u8]>>,
    /// Steps so far that make several results of a record.
    pub(super) eaches: usize,
    pub(super) topics: Topics,
    pub(super) prefixes: Vec<String>,
    problems: Vec<Problem>,
}

impl Compiler {
    fn step(&mut self, (step, number): (&settings::Step, usize)) -> Option<Step> {
        let place = &step.place;
        let when = step.when.as_ref().map(|when| self.expression(&format!("{place}.when"), when));
        let known = self.whole.len();
        let operator = match &step.operator {
            settings::Operator::Lookup { table, key, into, on_miss, into_age } => {
                let table = self.table(&format!("{place}.lookup.table"), table);
                let key = self.expression(&format!("{place}.lookup.key"), key);
                let on_miss = self.on_miss(&format!("{place}.lookup.on_miss"), on_miss);
                let into = self.target(&format!("{place}.lookup.into"), into, place);
                if let (Some(table), Some(whole)) = (table, self.whole.last_mut()) {
                    whole.has_parts = self.has_parts[table];
                }
                let age_key = format!("{place}.lookup.into_age");
                let into_age = into_age.as_ref().map(|path| self.target(&age_key, path, place));
                let (table, key, into, on_miss) = (table?, key?, into?, on_miss?);
                Operator::Lookup { table, key, into, on_miss, into_age: into_age.flatten() }
            }
            settings::Operator::Hash { algorithm, of, into } => {
                let of = self.expression(&format!("{place}.hash.of"), of);
                let into = self.target(&format!("{place}.hash.into"), into, place);
                Operator::Hash { algorithm: *algorithm, of: of?, into: into? }
            }
            settings::Operator::Text(texts) => {
                let texts = texts.iter().map(|(path, text)| self.text(place, path, text));
                let texts: Vec<_> = texts.collect();
                Operator::Text(texts.into_iter().collect::<Option<_>>()?)
            }
            other => Operator::Stateless(self.stateless(place, other)?),
        };
        if when.is_some() {
            // Perhaps it is passed over, and what stands there has parts.
            self.whole[known..].iter_mut().for_each(|it| it.has_parts = true);
        }
        let when = when.map_or(Some(None), |when| when.map(Some))?;
        let name = step.name.clone().unwrap_or_else(|| number.to_string());
        Some(Step { name, when, operator })
    }

    fn text(&mut self, place: &str, path: &str, template: &str) -> Option<(Vec<Piece>, Target)> {
        let key = format!("{place}.text.{}", toml_key(path));
        let mut pieces = match expression::parse_template(template, &mut self.tree) {
            Ok(pieces) => Some(pieces),
            Err(sentence) => self.problem(&key, format!("{template:?}: {sentence}")),
        };
        for piece in pieces.iter_mut().flatten() {
            if let Piece::Hole(hole) = piece {
                self.settle(&key, hole);
            }
        }
        let target = self.target(&key, path, place);
        Some((pieces?, target?))
    }

    fn origin(&mut self, text: &str) -> Option<Expression> {
        let expression = self.expression("latency.origin", text)?;
        if let Expression::Text(_) | Expression::Joined(_) = expression {
            let wrong = format!("{text:?} is text, neither a timestamp nor a number");
            return self.problem("latency.origin", wrong);
        }
        Some(expression)
    }

    pub(super) fn expression(&mut self, key: &str, text: &str) -> Option<Expression> {
        match expression::parse(text, &mut self.tree) {
            Ok(mut expression) => {
                self.settle(key, &mut expression);
                Some(expression)
            }
            Err(sentence) => self.problem(key, format!("{text:?}: {sentence}")),
        }
    }

    pub(super) fn target(&mut self, key: &str, path: &str, place: &str) -> Option<Target> {
        match Path::parse(path) {
            Ok(path) => {
                let path = self.tree.add(&path);
                if self.whole_above(path).is_some_and(|above| !above.has_parts) {
                    self.refuse_below(key, path, A_TEXT);
                }
                self.whole.push(Whole { path, place: place.to_owned(), has_parts: false });
                Some(Target { path, write: self.next_write() })
            }
            Err(sentence) => self.problem(key, format!("{path:?} is no path: {sentence}")),
        }
    }

    /// A buffer of its own for one write.
    pub(super) fn next_write(&mut self) -> u16 {
        self.writes += 1;
        self.writes - 1
    }

    /// What stands there from now on may have parts that no tape knows.
    pub(super) fn may_hold_parts(&mut self, path: PathId) {
        self.whole.push(Whole { path, place: String::new(), has_parts: true });
    }

    /// What was written there, or below, may be gone.
    pub(super) fn forget_kind(&mut self, path: PathId) {
        let Compiler { tree, whole, .. } = self;
        for it in whole {
            let mut above = iter::successors(Some(it.path), |at| tree.parent(*at));
            it.has_parts |= above.any(|at| at == path);
        }
    }

    /// Paths below what a step writes lead into that, not into the event that arrived. Below a
    /// text there is nothing.
    fn settle(&mut self, key: &str, expression: &mut Expression) {
        for part in expression.parts_mut() {
            let Expression::Event(path) = *part else { continue };
            match self.whole_above(path) {
                None => {}
                Some(above) if !above.has_parts => self.refuse_below(key, path, A_TEXT),
                Some(_) => *part = Expression::Inside(path),
            }
        }
    }

    /// The nearest path above that a step has written.
    fn whole_above(&self, path: PathId) -> Option<&Whole> {
        let above = iter::successors(self.tree.parent(path), |at| self.tree.parent(*at));
        above.into_iter().find_map(|at| self.whole.iter().rev().find(|it| it.path == at))
    }

    fn refuse_below(&mut self, key: &str, path: PathId, what: &str) {
        let Some(Whole { path: at, place, .. }) = self.whole_above(path) else { return };
        let (path, at) = (self.tree.path(path), self.tree.path(*at));
        let wrong = format!("`{path}` cannot be: {place} makes `{at}` {what}");
        self.problems.push(Problem::error(key, wrong));
    }

    fn table(&mut self, key: &str, name: &str) -> Option<usize> {
        let found = self.tables.iter().position(|table| table == name);
        if found.is_none() {
            let distance = |table: &&String| strsim::levenshtein(table, name);
            let near = self.tables.iter().min_by_key(distance).filter(|it| distance(it) < 4);
            let hint = match near {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("a table is made by `[tables.{name}]`"),
            };
            let problem = Problem::error(key, format!("there is no table named {name:?}"));
            self.problems.push(problem.hint(hint));
        }
        found
    }

    fn on_miss(&mut self, key: &str, on_miss: &settings::OnMiss) -> Option<OnMiss> {
        Some(match on_miss {
            settings::OnMiss::Skip => OnMiss::Skip,
            settings::OnMiss::Reject => OnMiss::Reject,
            settings::OnMiss::Null => OnMiss::Json("null".into()),
            settings::OnMiss::Default(json) => match serde_json::from_str(json) {
                Ok(serde_json::Value::String(text)) => OnMiss::Text(text.into()),
                Ok(_) => OnMiss::Json(json.trim().into()),
                Err(error) => {
                    return self.problem(key, format!("the default {json:?} is no JSON: {error}"));
                }
            },
        })
    }

    pub(super) fn problem<T>(&mut self, key: &str, message: String) -> Option<T> {
        self.problems.push(Problem::error(key, message));
        None
    }
}

/// What most steps make of a path.
const A_TEXT: &str = "a text, which has no fields";

fn has_parts(place: &TablePlace) -> bool {
    match place {
        TablePlace::File(_) => true,
        TablePlace::Redis(redis) => redis.kind != RedisKind::String,
    }
}

/// A key as TOML writes it.
pub(super) fn toml_key(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") }
}
