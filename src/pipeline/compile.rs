//! Settings into a plan: every path, template and table found once, every problem told at once.
//!
//! A plan is read-only; what changes from record to record is in `codec::Edits` and in the scratch
//! of `Pipeline`. Refused here is what no record could ever satisfy, such as reading a field of
//! something that an earlier step made text.

use crate::{
    codec::{Path, PathId, PathTree},
    config::{
        Problem, Settings,
        settings::{self, HashAlgorithm, RedisKind, SinkPartition, TablePlace, Tombstones},
    },
    pipeline::{
        cel::{CompileError, Kind},
        compile_stateful::Place,
        expression::{self, Expression, Field, Other, Piece},
        foresight::Foresight,
        names::{self, A_TEXT, Sights, Written},
        stateful,
        steps::{Stateless, outgoing::Topics, own::Slot},
        stores::{Room, StoreRules},
        template,
    },
    verdict,
};

/// What a pipeline does, compiled.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) tree: PathTree,
    pub(super) steps: Vec<Step>,
    /// Writes of all steps; each has a buffer.
    pub(super) writes: usize,
    pub(super) tables: Vec<String>,
    /// What programs name beside paths that no step has written.
    pub(super) others: Vec<Other>,
    /// Tables that expressions ask.
    pub(super) asked: Vec<usize>,
    pub(super) origin: Expression,
    pub(super) unit_nanos: u64,
    pub(super) key: Expression,
    pub(super) value: Expression,
    pub(super) keep_partition: bool,
    pub(super) tombstones: Tombstones,
    pub(super) record_bytes_max: usize,
    pub(super) foresight: Option<Foresight>,
    pub(super) state_foresights: Vec<Foresight>,
    /// Names of headers that steps replace.
    pub(super) headers: Vec<Box<[u8]>>,
    /// How often edits are saved for a record: steps that make several results of it.
    pub(super) eaches: usize,
    /// What topics may begin with that a record names.
    pub(super) prefixes: Vec<String>,
    /// Of the steps that keep state, in order.
    pub(super) stores: Vec<StoreRules>,
    pub(super) room: Room,
}

impl Plan {
    /// A step gives results off that come from no record.
    pub(super) fn has_windows(&self) -> bool {
        self.steps.iter().any(|it| matches!(it.operator, Operator::Window(_)))
    }

    /// A step that keeps state stands behind that one.
    pub(super) fn has_state_behind(&self, step: verdict::Step) -> bool {
        let last = self.stores.last().map(|it| verdict::Step::Number(it.step));
        last.is_some_and(|last| last > step)
    }
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
    Dedup(stateful::Dedup),
    Window(Box<stateful::Window>),
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

/// What stays as it is, the topics that results can go to, and operators that the program brought
/// along.
type Compiled = (Plan, Topics, Vec<Slot>);

/// Compiles what the settings say.
pub(super) fn compile(settings: &Settings) -> Result<Compiled, Vec<Problem>> {
    let mut compiler = Compiler {
        names: Sights {
            tables: settings.tables.iter().map(|table| table.name.clone()).collect(),
            ..Sights::default()
        },
        has_parts: settings.tables.iter().map(|table| has_parts(&table.place)).collect(),
        writes: 0,
        headers: Vec::new(),
        eaches: 0,
        topics: Topics { names: vec![settings.sink.topic.clone()], are_unknown: false },
        prefixes: Vec::new(),
        own: Vec::new(),
        stores: Vec::new(),
        is_behind_window: false,
        on_demand: settings.tables.iter().map(|table| table.on_demand().is_some()).collect(),
        problems: Vec::new(),
    };
    // Read before the steps, which may be what asks for an answer.
    let origin = compiler.origin(&settings.latency.origin);
    compiler.names.has_tables = true;
    let steps: Vec<_> = settings.steps.iter().zip(1..).map(|it| compiler.step(it)).collect();
    let asked = compiler.names.asked.len();
    let sink = settings.sink_section();
    let key = compiler.expression(&format!("{sink}.key"), &settings.sink.key);
    let value_key = format!("{sink}.value");
    let value = compiler.expression(&value_key, &settings.sink.value);
    compiler.check_asked(&value_key, asked);
    if !compiler.problems.is_empty() {
        return Err(compiler.problems);
    }
    let steps: Vec<_> = steps.into_iter().flatten().collect();
    let Sights { tree, tables, others, asked, .. } = compiler.names;
    let plan = Plan {
        state_foresights: (steps.iter())
            .filter_map(|step| Foresight::of_state(&step.operator, &tree))
            .collect(),
        foresight: (steps.iter())
            // Behind a window keys are not in the record.
            .take_while(|step| !matches!(step.operator, Operator::Window(_)))
            .find_map(|step| Foresight::of(&step.operator, &tree)),
        tree,
        steps,
        writes: usize::from(compiler.writes),
        tables,
        others,
        asked,
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
        stores: compiler.stores,
        room: Room {
            in_flight: settings.limits.in_flight,
            waiting: settings.records_waiting_for_others().min(settings.limits.in_flight),
        },
    };
    Ok((plan, compiler.topics, compiler.own))
}

pub(super) struct Compiler {
    pub(super) names: Sights,
    /// Whether a table's values may be JSON.
    has_parts: Vec<bool>,
    pub(super) writes: u16,
    pub(super) headers: Vec<Box<[u8]>>,
    /// Steps so far that make several results of a record.
    pub(super) eaches: usize,
    pub(super) topics: Topics,
    pub(super) prefixes: Vec<String>,
    pub(super) own: Vec<Slot>,
    pub(super) stores: Vec<StoreRules>,
    /// A window stands before the next step.
    pub(super) is_behind_window: bool,
    /// Whether a table is read on demand.
    pub(super) on_demand: Vec<bool>,
    pub(super) problems: Vec<Problem>,
}

impl Compiler {
    fn step(&mut self, (step, number): (&settings::Step, usize)) -> Option<Step> {
        let place = &step.place;
        let when = step.when.as_ref().map(|when| self.condition(&format!("{place}.when"), when));
        let (known, asked) = (self.names.written.len(), self.names.asked.len());
        let name = step.name.clone().unwrap_or_else(|| number.to_string());
        let at = Place { step, index: (number - 1) as u16, name: &name };
        let is_behind_window = self.is_behind_window;
        let operator = match &step.operator {
            settings::Operator::Lookup { table, key, into, on_miss, into_age } => {
                let table_key = format!("{place}.lookup.table");
                let table = self.table(&table_key, table);
                table.into_iter().for_each(|table| self.refuse_on_demand(&table_key, table));
                let key = self.expression(&format!("{place}.lookup.key"), key);
                let on_miss = self.on_miss(&format!("{place}.lookup.on_miss"), on_miss);
                let into = self.target(&format!("{place}.lookup.into"), into, place);
                if let (Some(table), Some(written)) = (table, self.names.written.last_mut()) {
                    written.has_parts = self.has_parts[table];
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
            settings::Operator::Dedup(dedup) => Operator::Dedup(self.dedup(at, dedup)?),
            settings::Operator::Window(window) => {
                Operator::Window(Box::new(self.window(at, window)?))
            }
            other => Operator::Stateless(self.stateless(place, other)?),
        };
        if is_behind_window {
            self.check_asked(place, asked);
        }
        if when.is_some() {
            let known = known.min(self.names.written.len());
            // Perhaps it is passed over, and what stands there has parts.
            self.names.written[known..].iter_mut().for_each(|it| it.has_parts = true);
        }
        let when = when.map_or(Some(None), |when| when.map(Some))?;
        Some(Step { name, when, operator })
    }

    fn text(&mut self, place: &str, path: &str, template: &str) -> Option<(Vec<Piece>, Target)> {
        let key = format!("{place}.text.{}", toml_key(path));
        let pieces = match template::parse(template, &mut self.names) {
            Ok(pieces) => Some(pieces),
            Err(error) => self.problem(&key, sentence(template, &error)),
        };
        let target = self.target(&key, path, place);
        Some((pieces?, target?))
    }

    fn origin(&mut self, text: &str) -> Option<Expression> {
        let expression = self.expression("latency.origin", text)?;
        let is_time = match &expression {
            Expression::Text(_) => false,
            Expression::Program(program) => {
                let number = [Kind::Int, Kind::Uint, Kind::Double, Kind::Timestamp];
                program.kind().is_none_or(|kind| number.contains(&kind))
            }
            _ => true,
        };
        if !is_time {
            let wrong = format!("{text:?} is neither a timestamp nor a number");
            return self.problem("latency.origin", wrong);
        }
        Some(expression)
    }

    /// An expression that is true or false.
    pub(super) fn condition(&mut self, key: &str, text: &str) -> Option<Expression> {
        let expression = self.expression(key, text)?;
        let kind = match &expression {
            Expression::Program(program) => program.kind(),
            Expression::Text(_) => Some(Kind::Text),
            _ => None,
        };
        match kind.filter(|kind| *kind != Kind::Bool) {
            None => Some(expression),
            Some(kind) => {
                let wrong = format!("{text:?} is {}, and true or false is wanted", kind.name());
                self.problem(key, wrong)
            }
        }
    }

    pub(super) fn expression(&mut self, key: &str, text: &str) -> Option<Expression> {
        match expression::compile(text, &mut self.names) {
            Ok(expression) => Some(expression),
            Err(error) => self.problem(key, sentence(text, &error)),
        }
    }

    pub(super) fn target(&mut self, key: &str, path: &str, place: &str) -> Option<Target> {
        match Path::parse(path) {
            Ok(path) => {
                let path = self.names.tree.add(&path);
                if self.names.written_above(path).is_some_and(|above| !above.has_parts) {
                    let wrong = self.names.cannot_be(path, A_TEXT);
                    self.problems.push(Problem::error(key, wrong));
                }
                let written = Written { path, place: place.to_owned(), has_parts: false };
                self.names.written.push(written);
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

    pub(super) fn table(&mut self, key: &str, name: &str) -> Option<usize> {
        let found = self.names.tables.iter().position(|table| table == name);
        if found.is_none() {
            let (wrong, hint) = names::no_table(&self.names.tables, name);
            self.problems.push(Problem::error(key, wrong).hint(hint));
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

/// What is wrong about an expression or a template, and where.
pub(super) fn sentence(text: &str, error: &CompileError) -> String {
    let character = text.get(..error.at).unwrap_or(text).chars().count() + 1;
    format!("{text:?}, character {character}: {}", error.message)
}

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
