//! The loops: `all`, `exists`, `exists_one`, `map`, `filter`, and those with two variables.

use crate::pipeline::cel::{
    Kind, Origin, Value, World,
    arena::Made,
    equal,
    evaluate::Run,
    fault::{Fault, Why, prefer},
    list::List,
    map::Map,
    node::{Loop, LoopKind, Node},
};

/// What a loop comes to.
pub(super) fn run<'a, W: World<'a>>(
    run: &mut Run<'a, '_, W>,
    node: &'a Node,
    it: &'a Loop,
) -> Result<Value<'a>, Fault> {
    let range = run.value(&it.range)?;
    let turns = Turns::of(range, run).map_err(|why| why.at(node.at))?;
    run.arena.turn(turns.len()).map_err(|why| why.at(node.at))?;
    match it.kind {
        LoopKind::All => any(run, it, turns, false).map(Value::Bool),
        LoopKind::Exists => any(run, it, turns, true).map(Value::Bool),
        LoopKind::ExistsOne => exactly_one(run, it, turns).map(Value::Bool),
        LoopKind::Map | LoopKind::Filter => list(run, node, it, turns),
        LoopKind::TransformMap | LoopKind::TransformMapEntry => map(run, node, it, turns),
    }
}

/// What the variables are, turn by turn.
#[derive(Clone, Copy)]
enum Turns<'a> {
    Items(&'a [Value<'a>]),
    Entries(&'a [(Value<'a>, Value<'a>)]),
}

impl<'a> Turns<'a> {
    fn of<W>(range: Value<'a>, run: &Run<'a, '_, W>) -> Result<Turns<'a>, Why> {
        match range {
            Value::List(list) => Ok(Turns::Items(list.items(run.arena)?)),
            Value::Map(map) => Ok(Turns::Entries(map.entries(run.arena)?)),
            other => Err(Why::Takes(other.kind())),
        }
    }

    fn len(self) -> usize {
        match self {
            Turns::Items(items) => items.len(),
            Turns::Entries(entries) => entries.len(),
        }
    }

    /// Sets the variables of one turn; returns the item, or the key of an entry.
    fn begin<W>(self, index: usize, it: &Loop, run: &Run<'a, '_, W>) -> Value<'a> {
        let (first, second) = match self {
            Turns::Items(items) if it.second.is_none() => (items[index], items[index]),
            Turns::Items(items) => (Value::Int(index as i64, Origin::Program), items[index]),
            Turns::Entries(entries) => entries[index],
        };
        run.locals[usize::from(it.variable)].set(first);
        if let Some(local) = it.second {
            run.locals[usize::from(local)].set(second);
        }
        first
    }
}

/// True if `decides` is found; a fault counts only if nothing decides.
fn any<'a, W: World<'a>>(
    run: &mut Run<'a, '_, W>,
    it: &'a Loop,
    turns: Turns<'a>,
    decides: bool,
) -> Result<bool, Fault> {
    let mut fault: Option<Fault> = None;
    for index in 0..turns.len() {
        turns.begin(index, it, run);
        match run.truth(&it.step) {
            Ok(truth) if truth == decides => return Ok(decides),
            Ok(_) => {}
            Err(other) => fault = Some(fault.map_or(other, |first| prefer(first, other))),
        }
    }
    fault.map_or(Ok(!decides), Err)
}

/// Here a fault is one, as the specification has it.
fn exactly_one<'a, W: World<'a>>(
    run: &mut Run<'a, '_, W>,
    it: &'a Loop,
    turns: Turns<'a>,
) -> Result<bool, Fault> {
    let mut count = 0_usize;
    for index in 0..turns.len() {
        turns.begin(index, it, run);
        count += usize::from(run.truth(&it.step)?);
    }
    Ok(count == 1)
}

fn list<'a, W: World<'a>>(
    run: &mut Run<'a, '_, W>,
    node: &Node,
    it: &'a Loop,
    turns: Turns<'a>,
) -> Result<Value<'a>, Fault> {
    let made = run.arena.vector(turns.len());
    let mut made = made.map_err(|why| why.at(node.at))?;
    for index in 0..turns.len() {
        let item = turns.begin(index, it, run);
        if let Some(condition) = &it.condition
            && !run.truth(condition)?
        {
            continue;
        }
        match it.kind {
            LoopKind::Filter if run.truth(&it.step)? => made.push(item),
            LoopKind::Filter => {}
            _ => made.push(run.value(&it.step)?),
        }
    }
    Ok(Value::List(List::Made(made.into_bump_slice())))
}

fn map<'a, W: World<'a>>(
    run: &mut Run<'a, '_, W>,
    node: &Node,
    it: &'a Loop,
    turns: Turns<'a>,
) -> Result<Value<'a>, Fault> {
    let made = run.arena.vector(turns.len());
    let mut made = made.map_err(|why| why.at(node.at))?;
    for index in 0..turns.len() {
        let key = turns.begin(index, it, run);
        if let Some(condition) = &it.condition
            && !run.truth(condition)?
        {
            continue;
        }
        let value = run.value(&it.step)?;
        if let LoopKind::TransformMap = it.kind {
            made.push((key, value));
            continue;
        }
        let Value::Map(entry) = value else {
            return Err(Why::Takes(value.kind()).at(it.step.at));
        };
        let entries = entry.entries(run.arena).map_err(|why| why.at(it.step.at))?;
        for (key, value) in entries {
            insert(&mut made, *key, *value).map_err(|why| why.at(it.step.at))?;
        }
    }
    Ok(Value::Map(Map::Made(made.into_bump_slice())))
}

/// Adds an entry to a map under way.
pub(super) fn insert<'a>(
    made: &mut Made<'a, (Value<'a>, Value<'a>)>,
    key: Value<'a>,
    value: Value<'a>,
) -> Result<(), Why> {
    if !matches!(key.kind(), Kind::Text | Kind::Int | Kind::Uint | Kind::Bool) {
        return Err(Why::NoKey(key.kind()));
    }
    if made.iter().any(|(it, _)| equal::is_same_key(it, &key)) {
        return Err(Why::KeyTwice);
    }
    made.push((key, value));
    Ok(())
}
