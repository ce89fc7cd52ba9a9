//! Whole steps, one behind the other, come to what the same changes to a tree of `serde_json` come
//! to: as the pipeline compiles them, with conditions, and with what each reads of those before it.

#[path = "support/naive_changes.rs"]
mod naive_changes;
#[path = "support/pipeline_settings.rs"]
mod pipeline_settings;

use hotspur::{
    clock::Ticks,
    config::settings::{Alias, Operator},
    pipeline::{Found, Lookup, Pipeline, Results},
    record::{Headers, PartitionId, Record},
    verdict::Verdict,
};
use naive_changes::Naive;
use pipeline_settings::settings;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;

const PATHS: [&str; 10] =
    ["a", "b", "c", "a.b", "b.a", "a.b.c", "c[0]", "c[1].a", "b[\"é\"]", "[\"x y\"]"];

#[derive(Clone, Debug)]
enum Step {
    Copy(&'static str, &'static str),
    Set(&'static str, &'static str),
    Remove(&'static str),
    Keep(Vec<&'static str>),
    Rename(&'static str, &'static str),
    Alias(&'static str, &'static str, &'static str),
}

/// Expressions and the JSON that they give.
const LITERALS: [(&str, &str); 5] = [
    ("7", "7"),
    ("'é\\n'", "\"é\\n\""),
    ("null", "null"),
    ("[1, {'a': true}]", "[1,{\"a\":true}]"),
    ("{'b': {'c': [2]}}", "{\"b\":{\"c\":[2]}}"),
];

fn path() -> impl Strategy<Value = &'static str> {
    select(PATHS.to_vec())
}

fn step() -> impl Strategy<Value = (Step, Option<&'static str>)> {
    let step = prop_oneof![
        3 => (path(), path()).prop_map(|(to, from)| Step::Copy(to, from)),
        3 => (path(), select(LITERALS.to_vec())).prop_map(|(to, (it, _))| Step::Set(to, it)),
        3 => path().prop_map(Step::Remove),
        1 => vec(path(), 1..4).prop_map(Step::Keep),
        2 => (path(), path()).prop_map(|(new, old)| Step::Rename(new, old)),
        2 => (path(), path(), path()).prop_map(|(to, one, two)| Step::Alias(to, one, two)),
    ];
    (step, prop_oneof![3 => Just(None), 1 => select(vec!["a", "b"]).prop_map(Some)])
}

fn json() -> impl Strategy<Value = String> {
    let leaf = select(vec!["1", "2.5", "null", "\"\\u00e9\"", "{}", "[]"]).prop_map(str::to_owned);
    leaf.prop_recursive(3, 20, 4, |inner| {
        let list = vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", ")));
        prop_oneof![1 => list, 2 => object_of(inner)]
    })
}

fn object_of(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let name = select(vec!["a", "b", "c", "é", "x y", "z"]);
    let field = (name, inner).prop_map(|(name, value)| format!("\"{name}\": {value}"));
    vec(field, 0..5).prop_map(|fields| format!("{{{} }}", fields.join(" ,")))
}

/// As an expression names it.
fn named(path: &str) -> String {
    format!("event{}{path}", if path.starts_with('[') { "" } else { "." })
}

impl Step {
    fn operator(&self) -> Operator {
        let text = |text: &&str| (*text).to_owned();
        match self {
            Step::Copy(to, from) => Operator::Set(vec![(text(to), named(from))]),
            Step::Set(to, literal) => Operator::Set(vec![(text(to), text(literal))]),
            Step::Remove(path) => Operator::Remove(vec![text(path)]),
            Step::Keep(paths) => {
                let mut paths: Vec<_> = paths.iter().map(text).collect();
                paths.dedup();
                Operator::Keep(paths)
            }
            Step::Rename(new, old) => Operator::Rename(vec![(text(new), text(old))]),
            Step::Alias(to, one, two) => {
                let spellings = vec![text(one), text(two)];
                Operator::Alias(vec![Alias { path: text(to), spellings }])
            }
        }
    }

    /// `None`: the record is rejected.
    fn apply(&self, event: &mut Naive) -> Option<()> {
        match self {
            Step::Copy(to, from) => {
                let value = event.read(from)?.clone();
                event.write(to, value).ok()
            }
            Step::Set(to, literal) => {
                let (_, json) = LITERALS.iter().find(|(it, _)| it == literal)?;
                event.write(to, serde_json::from_str(json).ok()?).ok()
            }
            Step::Remove(path) => {
                event.remove(path);
                Some(())
            }
            Step::Keep(paths) => {
                event.keep(paths);
                Some(())
            }
            Step::Rename(new, old) => event.rename(new, old).ok(),
            Step::Alias(to, one, two) => alias(event, to, [one, two]),
        }
    }
}

fn alias(event: &mut Naive, to: &str, spellings: [&str; 2]) -> Option<()> {
    let all = || [to].into_iter().chain(spellings);
    let Some(winner) = all().find(|path| event.read(path).is_some()) else { return Some(()) };
    let value = event.read(winner)?.clone();
    if spellings.iter().any(|path| event.read(path).is_some_and(|it| *it != value)) {
        return None;
    }
    for path in spellings.into_iter().filter(|path| *path != to) {
        event.remove(path);
    }
    if winner == to { Some(()) } else { event.write(to, value).ok() }
}

/// No table.
struct NoTables;

impl Lookup for NoTables {
    fn lookup(&mut self, _table: usize, _key: &[u8]) -> Found<'_> {
        Found::Miss
    }

    fn now_ns(&self) -> i64 {
        0
    }
}

/// What comes out of the pipeline; nothing, if the record is rejected.
fn through(steps: &[(Step, Option<&str>)], input: &str) -> Option<Vec<u8>> {
    let mut settings = settings(steps.iter().map(|(step, _)| step.operator()).collect(), &[]);
    for (step, (_, when)) in settings.steps.iter_mut().zip(steps) {
        step.when = when.map(|name| format!("has(event.{name})"));
    }
    settings.limits.record = 1 << 12;
    let mut pipeline = Pipeline::compile(&settings).unwrap_or_else(|it| panic!("{it:?}"));
    let record = Record {
        partition: PartitionId(0),
        topic: "in",
        partition_number: 0,
        offset: 0,
        timestamp_ms: None,
        key: None,
        value: Some(input.as_bytes()),
        headers: Headers::NONE,
        arrived: Ticks::default(),
    };
    let mut results = Results::default();
    let verdict = pipeline.process(&record, &mut NoTables, &mut |_| {}, &mut results).verdict;
    match verdict {
        Verdict::Emit => Some(results.output(0, &record).value?.to_vec()),
        Verdict::Reject(_) => None,
        other => panic!("no step here comes to {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn steps_come_to_what_a_tree_comes_to(
        input in object_of(json()),
        steps in vec(step(), 1..7),
    ) {
        let mut naive = Naive(serde_json::from_str(&input).unwrap());
        let expected = steps.iter().try_for_each(|(step, when)| {
            let is_passed_over = when.is_some_and(|name| naive.read(name).is_none());
            if is_passed_over { Some(()) } else { step.apply(&mut naive) }
        });
        let output = through(&steps, &input);
        prop_assert_eq!(output.is_some(), expected.is_some(), "{:?} in the tree", naive);
        if let Some(output) = output {
            let value: Value = serde_json::from_slice(&output).unwrap();
            prop_assert_eq!(value, naive.0, "{}", String::from_utf8_lossy(&output));
        }
    }
}
