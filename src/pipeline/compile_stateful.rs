//! Steps with state, compiled: their stores numbered, aggregates taken apart, and what the steps
//! behind a window can name.

use std::time::Duration;

use crate::{
    config::{Problem, hints, settings},
    limits::COLLECTED_MAX,
    pipeline::{
        cel::{self, Constant, Kind, Outer, Program},
        compile::{Compiler, sentence, toml_key},
        expression::{Expression, Field},
        stateful::{
            Dedup, Time, Window,
            aggregates::{self, Aggregated, Wants},
        },
        stores::{Rules, StoreRules},
    },
    state::{
        Aggregate, configuration_hash,
        window::{Emit, Kind as WindowKind, WindowRules},
    },
};

/// What there is, as it is written.
const FORMS: [(&str, &str); 11] = [
    ("count", "count()"),
    ("count", "count(x)"),
    ("sum", "sum(x)"),
    ("min", "min(x)"),
    ("max", "max(x)"),
    ("avg", "avg(x)"),
    ("first", "first(x)"),
    ("last", "last(x)"),
    ("distinct", "distinct(x)"),
    ("quantile", "quantile(x, 0.99)"),
    ("collect", "collect(x, 100)"),
];

/// A step that is being compiled.
#[derive(Clone, Copy)]
pub(super) struct Place<'s> {
    pub(super) step: &'s settings::Step,
    pub(super) index: u16,
    pub(super) name: &'s str,
}

impl Compiler {
    pub(super) fn dedup(&mut self, at: Place<'_>, dedup: &settings::Dedup) -> Option<Dedup> {
        let settings::Dedup { key, within, max_keys } = dedup;
        // Neither bound changes what an entry means: its time is written in it.
        let hash = hash_of(["dedup", key.as_str()]);
        let rules = Rules::Dedup { within_ms: millis(*within), max_keys: *max_keys };
        let store = self.store(at, hash, rules);
        let key = self.expression(&format!("{}.dedup.key", at.step.place), key)?;
        Some(Dedup { store, key, max_keys: *max_keys })
    }

    /// `None`: it was told what is wrong.
    pub(super) fn window(&mut self, at: Place<'_>, window: &settings::Window) -> Option<Window> {
        let place = format!("{}.window", at.step.place);
        let key = self.expression(&format!("{place}.key"), &window.key);
        let time = self.time(&format!("{place}.time"), &window.time);
        let late = window.late.as_ref().map(|late| self.topic(&format!("{place}.late"), late));
        let read: Vec<_> = window
            .aggregates
            .iter()
            .map(|(name, text)| {
                let key = format!("{place}.aggregate.{}", toml_key(name));
                self.aggregate(&key, name, text)
            })
            .collect();
        let names: Vec<String> = window.aggregates.iter().map(|(name, _)| name.clone()).collect();
        self.begin_results(at.step.when.is_some(), window.updates, &names);
        let (aggregates, mut read) = read.into_iter().collect::<Option<(Vec<_>, Vec<_>)>>()?;
        let late = late.map_or(Some(None), |late| late.map(Some))?;
        let rules = Rules::Window(rules_of(window, aggregates), names);
        let store = self.store(at, hash_of_window(window), rules);
        let (key_buffer, max_keys) = (self.next_write(), window.max_keys);
        aggregates::share(&mut read);
        let (key, time, aggregates) = (key?, time?, read);
        Some(Window { store, key, key_buffer, time, aggregates, late, max_keys })
    }

    fn store(&mut self, at: Place<'_>, hash: u64, rules: Rules) -> usize {
        let operator = at.step.operator.name();
        let (step, name) = (at.index, at.name.to_owned());
        self.stores.push(StoreRules { step, name, operator, hash, rules });
        self.stores.len() - 1
    }

    /// What the steps behind a window see. Unless each record ends there, it may also be a record.
    fn begin_results(&mut self, may_pass: bool, updates: bool, names: &[String]) {
        self.is_behind_window = true;
        if may_pass {
            return self.names.written.iter_mut().for_each(|it| it.has_parts = true);
        }
        let fields = ["key", "start", "end"].into_iter().chain(updates.then_some("final"));
        let fields = fields.map(str::to_owned).chain(names.iter().cloned());
        self.names.written.clear();
        self.names.is_thinned = false;
        self.names.fields = Some(fields.collect());
    }

    /// A result of a window comes from no offset at which it could be read again.
    pub(super) fn refuse_on_demand(&mut self, key: &str, table: usize) {
        if !self.is_behind_window || !self.on_demand[table] {
            return;
        }
        let table = &self.names.tables[table];
        let message =
            format!("the result of a window cannot wait for {table:?}, which is read on demand");
        let hint = "load = \"all\", or look up in front of the window";
        self.problems.push(Problem::error(key, message).hint(hint));
    }

    /// Of the tables that expressions asked since there were that many.
    pub(super) fn check_asked(&mut self, key: &str, known: usize) {
        for table in self.names.asked.get(known..).unwrap_or_default().to_vec() {
            self.refuse_on_demand(key, table);
        }
    }

    fn time(&mut self, key: &str, text: &str) -> Option<Time> {
        let expression = self.expression(key, text)?;
        let kind = match &expression {
            Expression::Record(Field::Timestamp) => return Some(Time::OfRecord(expression)),
            Expression::Program(program) => program.kind(),
            Expression::Text(_) => Some(Kind::Text),
            Expression::Record(_) => Some(Kind::Bytes),
            Expression::Event(_) | Expression::Inside(_) => None,
        };
        let number = [Kind::Int, Kind::Uint, Kind::Double, Kind::Timestamp];
        if let Some(kind) = kind.filter(|it| !number.contains(it)) {
            let kind = kind.name();
            let wrong = format!("{text:?} is {kind}, and a timestamp or a number of ms is wanted");
            return self.problem(key, wrong);
        }
        let program = cel::compile(text, &mut self.names);
        program.map(|it| Time::Of(Expression::Program(Box::new(it)))).ok()
    }

    fn aggregate(&mut self, key: &str, name: &str, text: &str) -> Option<(Aggregate, Aggregated)> {
        let outer = match Outer::parse(text) {
            Ok(Some(outer)) => outer,
            Ok(None) => return self.no_aggregate(key, format!("{text:?} is no aggregate"), None),
            Err(error) => return self.problem(key, sentence(text, &error)),
        };
        let called = outer.name();
        let forms: Vec<_> = FORMS.iter().filter(|(it, _)| *it == called).collect();
        let Some((_, form)) = forms.last() else {
            let wrong = format!("{text:?}: there is no aggregate `{called}`");
            return self.no_aggregate(key, wrong, Some(called));
        };
        let wanted = form.matches(',').count() + 1;
        let is_count = called == "count" && outer.arguments() == 0;
        if outer.arguments() != wanted && !is_count {
            let given = outer.arguments();
            let wrong =
                format!("{text:?}: `{called}` is written as {form}, and not with {given} values");
            return self.problem(key, wrong);
        }
        let [of, more] = [0, 1].map(|index| {
            (index < outer.arguments()).then(|| self.argument(key, text, &outer, index))
        });
        let (of, more) = (lifted(of)?, lifted(more)?);
        let aggregate = self.aggregate_of(key, text, called, more.as_ref(), of.is_none())?;
        let wants = wants_of(aggregate);
        if let Some(kind) = of.as_ref().and_then(Program::kind)
            && takes_numbers(aggregate)
            && !matches!(kind, Kind::Int | Kind::Uint | Kind::Double | Kind::Optional)
        {
            let wrong = format!("{text:?}: `{called}` takes numbers, not {}", kind.name());
            return self.problem(key, wrong);
        }
        let of = of.map(|program| Expression::Program(Box::new(program)));
        Some((
            aggregate,
            Aggregated { name: name.into(), text: text.into(), of, wants, as_earlier: None },
        ))
    }

    fn aggregate_of(
        &mut self,
        key: &str,
        text: &str,
        called: &str,
        more: Option<&Program>,
        is_alone: bool,
    ) -> Option<Aggregate> {
        let more = more.and_then(Program::constant);
        Some(match called {
            "count" if is_alone => Aggregate::Records,
            "count" => Aggregate::Count,
            "sum" => Aggregate::Sum,
            "min" => Aggregate::Min,
            "max" => Aggregate::Max,
            "avg" => Aggregate::Avg,
            "first" => Aggregate::First,
            "last" => Aggregate::Last,
            "distinct" => Aggregate::Distinct,
            "quantile" => {
                let share = match more {
                    Some(Constant::Double(number)) => Some(*number),
                    Some(Constant::Int(number)) => Some(*number as f64),
                    _ => None,
                };
                match share.filter(|it| (0.0..=1.0).contains(it)) {
                    Some(share) => Aggregate::Quantile(share),
                    None => {
                        let wrong = format!("{text:?}: the quantile is a number from 0 to 1");
                        return self.problem(key, wrong);
                    }
                }
            }
            _ => {
                let most = match more {
                    Some(Constant::Int(number)) => u32::try_from(*number).ok(),
                    _ => None,
                };
                match most.filter(|it| (1..=COLLECTED_MAX).contains(it)) {
                    Some(most) => Aggregate::Collect(most),
                    None => {
                        let wrong =
                            format!("{text:?}: from 1 to {COLLECTED_MAX} values are collected");
                        return self.problem(key, wrong);
                    }
                }
            }
        })
    }

    fn argument(&mut self, key: &str, text: &str, outer: &Outer, index: usize) -> Option<Program> {
        let argument = outer.argument(index, &mut self.names);
        match argument {
            Ok(program) => Some(program),
            Err(error) => self.problem(key, sentence(text, &error)),
        }
    }

    fn no_aggregate<T>(&mut self, key: &str, wrong: String, called: Option<&str>) -> Option<T> {
        let near = called.and_then(|it| hints::did_you_mean(it, FORMS.iter().map(|(it, _)| *it)));
        let all = || format!("there is {}", FORMS.map(|(_, form)| form).join(", "));
        self.problems.push(Problem::error(key, wrong).hint(near.unwrap_or_else(all)));
        None
    }
}

/// What was told of is nothing; what is not there is no problem.
fn lifted<T>(it: Option<Option<T>>) -> Option<Option<T>> {
    it.map_or(Some(None), |it| it.map(Some))
}

fn takes_numbers(aggregate: Aggregate) -> bool {
    use Aggregate::{Avg, Max, Min, Quantile, Sum};
    matches!(aggregate, Sum | Min | Max | Avg | Quantile(_))
}

fn wants_of(aggregate: Aggregate) -> Wants {
    match aggregate {
        Aggregate::Records | Aggregate::Count => Wants::Presence,
        Aggregate::First | Aggregate::Last | Aggregate::Collect(_) => Wants::Spelling,
        _ => Wants::Value,
    }
}

fn rules_of(window: &settings::Window, aggregates: Vec<Aggregate>) -> WindowRules {
    WindowRules {
        kind: match window.kind {
            settings::WindowKind::Tumbling { size } => {
                WindowKind::Tumbling { size_ms: millis(size) }
            }
            settings::WindowKind::Hopping { size, advance } => {
                WindowKind::Hopping { size_ms: millis(size), advance_ms: millis(advance) }
            }
            settings::WindowKind::Session { gap } => WindowKind::Session { gap_ms: millis(gap) },
            settings::WindowKind::Count { size } => WindowKind::Count { size },
        },
        lateness_ms: millis(window.lateness),
        idle_ms: window.idle.map(millis),
        max_keys: window.max_keys,
        max_age_ms: window.max_age.map(millis),
        emit: if window.updates { Emit::Updates } else { Emit::Final },
        aggregates,
    }
}

/// How the windows of an entry are laid out in bytes, see `state::window` and `state::aggregate`.
const WINDOW_LAYOUT: &str = "2";

/// Of what an entry's bytes mean: their layout, windows, their keys and times, aggregates in order.
/// Bounds, names and when results come can change under them.
fn hash_of_window(window: &settings::Window) -> u64 {
    let sizes = match window.kind {
        settings::WindowKind::Tumbling { size } => [millis(size), 0],
        settings::WindowKind::Hopping { size, advance } => [millis(size), millis(advance)],
        settings::WindowKind::Session { gap } => [millis(gap), 0],
        settings::WindowKind::Count { size } => [size as i64, 0],
    };
    let [size, advance] = sizes.map(|it| it.to_string());
    let settings::Window { key, time, .. } = window;
    let head = ["window", WINDOW_LAYOUT, window.kind.name(), &size, &advance, key, time];
    hash_of(head.into_iter().chain(window.aggregates.iter().map(|(_, text)| text.as_str())))
}

fn hash_of<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let digits = configuration_hash(parts);
    let digits = std::str::from_utf8(&digits).expect("digits are text");
    u64::from_str_radix(digits, 16).expect("sixteen hexadecimal digits")
}

fn millis(duration: Duration) -> i64 {
    duration.as_millis() as i64
}
