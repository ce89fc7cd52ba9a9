//! A record under way: its steps one behind the other, and those that look up, hash and fill in.
//!
//! What a step is given for a while (tables, scratch memory, who watches) is passed along apart
//! from what stays with the record.

use std::io::Write;

use crate::{
    cache::{Value, ValueKind},
    codec::{Edits, Obstacle, Written},
    config::settings::HashAlgorithm,
    pipeline::{
        Found, Lookup, Mark, Results,
        compile::{OnMiss, Operator, Plan, Target},
        evaluate::{Kind, Made, Operand, Scope},
        expression::{Expression, Piece},
        failure::{Failure, Why},
        hash, origin,
        process::Watch,
        steps::{
            Memory, Stateless,
            outgoing::{Outgoing, Topics},
        },
        stop::Stop,
        stores::StateStores,
    },
    record::Record,
    verdict::{Sentence, SkipClass, Step},
};

/// What values come from beside the record.
pub(super) struct Sources<'s, T> {
    pub(super) made: &'s mut Made,
    pub(super) tables: &'s mut T,
}

/// What a record under way is given for a while.
pub(super) struct Surroundings<'a, T, M, W> {
    pub(super) sources: Sources<'a, T>,
    pub(super) mark: &'a mut M,
    pub(super) results: &'a mut Results,
    pub(super) watch: &'a mut W,
}

/// A record under way.
pub(super) struct Work<'p, 'r> {
    pub(super) plan: &'p Plan,
    pub(super) record: &'r Record<'r>,
    pub(super) event: &'r crate::codec::Event<'r>,
    pub(super) edits: &'r mut Edits,
    pub(super) outgoing: &'r mut Outgoing,
    pub(super) topics: &'r mut Topics,
    pub(super) memory: &'r mut Memory,
    pub(super) stores: &'r mut StateStores,
    /// Results that were there before this record's.
    pub(super) results_before: usize,
    /// The reason of a rejection, where a step has worded it.
    pub(super) told: Option<Sentence>,
}

impl<'p> Work<'p, '_> {
    pub(super) fn scope(&self) -> Scope<'_> {
        let Work { plan, record, event, edits, .. } = self;
        Scope { tree: &plan.tree, event, edits, record, others: &plan.others }
    }

    /// Runs the steps from that one on and pushes what the record comes to.
    pub(super) fn run<T: Lookup, M: FnMut(Mark), W: Watch>(
        &mut self,
        first: usize,
        around: &mut Surroundings<'_, T, M, W>,
    ) -> Result<(), (Stop<'p>, Step)> {
        let plan = self.plan;
        for (step, index) in plan.steps[first..].iter().zip(first as u16..) {
            let here = |stop| (stop, Step::Number(index));
            let Surroundings { sources, watch, .. } = around;
            watch.began(index);
            if let Some(when) = &step.when
                && !self.is_true(index, when, sources, *watch).map_err(here)?
            {
                watch.passed_over(index);
                continue;
            }
            match &step.operator {
                Operator::Stateless(Stateless::Each(each)) => {
                    return self.each(index, each, around);
                }
                Operator::Window(window) => return self.window(index, window, around),
                operator => self.apply(index, operator, sources, *watch).map_err(here)?,
            }
        }
        (around.mark)(Mark::Operated);
        self.encode(&mut around.sources, around.results).map_err(|stop| (stop, Step::Encode))
    }

    #[inline]
    pub(super) fn origin_ns<T: Lookup>(&self, sources: &mut Sources<'_, T>) -> Option<i64> {
        let Plan { origin, unit_nanos, .. } = self.plan;
        match origin {
            Expression::Program(program) => {
                let Sources { made, tables } = sources;
                origin::of_program(program, *unit_nanos, &self.scope(), made, *tables)
            }
            other => origin::of_event(other, *unit_nanos, self.event, self.edits),
        }
    }

    #[inline(always)]
    fn apply<T: Lookup>(
        &mut self,
        index: u16,
        operator: &'p Operator,
        sources: &mut Sources<'_, T>,
        watch: &mut impl Watch,
    ) -> Result<(), Stop<'p>> {
        match operator {
            Operator::Lookup { table, key, into, on_miss, into_age } => {
                let Sources { made, tables } = sources;
                let operand = self.scope().evaluate(key, made, *tables).and_then(as_key);
                let operand = operand.map_err(|failure| Stop::Operand(failure, key))?;
                let found = tables.lookup(*table, operand.bytes);
                watch.read(index, &key.shown(&self.plan.tree), operand.bytes);
                watch.looked_up(index, &self.plan.tables[*table], operand.bytes, &found);
                let (bytes, kind): (_, fn(u16) -> Written) = match (found, on_miss) {
                    (Found::Hit(Value { kind: ValueKind::Text, bytes }), _) => {
                        (bytes, Written::Text)
                    }
                    (Found::Hit(Value { kind: ValueKind::Json, bytes }), _) => {
                        (bytes, Written::Json)
                    }
                    (Found::Hit(_), _) => {
                        return Err(Stop::Operand(Why::TableValueUnfit.wrong_type(), key));
                    }
                    (Found::Stale, _) => return Err(Stop::Stale(*table)),
                    (Found::Unknown(awaited), _) => return Err(Stop::Wait(awaited)),
                    (Found::Miss, OnMiss::Reject) => return Err(Stop::Miss(*table, key)),
                    (Found::Late, OnMiss::Reject) => return Err(Stop::Late(*table, key)),
                    (_, OnMiss::Skip) => return Err(Stop::Skip(SkipClass::TableMiss)),
                    (_, OnMiss::Text(text)) => (text.as_bytes(), Written::Text),
                    (_, OnMiss::Json(json)) => (json.as_bytes(), Written::Json),
                };
                if !matches!(found, Found::Hit(_)) {
                    watch.decided(index, &"on_miss gives the value");
                }
                self.write(index, *into, kind, watch, |_, out, _| {
                    out.extend_from_slice(bytes);
                    Ok(())
                })?;
                match into_age {
                    Some(target) => self.write_age(index, *target, tables.age_ns(*table), watch),
                    None => Ok(()),
                }
            }
            Operator::Hash { algorithm, of, into } => {
                self.hash(index, *algorithm, of, *into, sources, watch)
            }
            Operator::Text(texts) => texts.iter().try_for_each(|(pieces, into)| {
                self.write(index, *into, Written::Text, watch, |scope, out, watch| {
                    fill_in(index, pieces, scope, sources, out, watch)
                })
            }),
            Operator::Dedup(dedup) => self.dedup(index, dedup, sources, watch),
            Operator::Window(_) => unreachable!("`run` ends with it"),
            Operator::Stateless(step) => self.apply_stateless(index, step, sources, watch),
        }
    }

    /// Milliseconds with three decimals, rounded up: an answer is never older than it says.
    fn write_age(
        &mut self,
        index: u16,
        into: Target,
        age_ns: Option<u64>,
        watch: &mut impl Watch,
    ) -> Result<(), Stop<'p>> {
        self.write(index, into, Written::Json, watch, |_, out, _| {
            let micros = age_ns.map(|age| age.div_ceil(1_000));
            // Writing to a vector cannot fail.
            let _ = match micros {
                Some(micros) => write!(out, "{}.{:03}", micros / 1_000, micros % 1_000),
                None => write!(out, "null"),
            };
            Ok(())
        })
    }

    #[inline]
    fn hash<T: Lookup>(
        &mut self,
        index: u16,
        algorithm: HashAlgorithm,
        of: &'p Expression,
        into: Target,
        sources: &mut Sources<'_, T>,
        watch: &mut impl Watch,
    ) -> Result<(), Stop<'p>> {
        self.write(index, into, Written::Plain, watch, |scope, out, watch| {
            let operand = scope.evaluate(of, sources.made, sources.tables);
            let operand = operand.map_err(|failure| Stop::Operand(failure, of))?;
            watch.read(index, &of.shown(scope.tree), operand.bytes);
            hash::push_digest(out, algorithm, operand.bytes);
            Ok(())
        })
    }

    /// Fills the buffer of a write and notes it. The buffer comes back whatever happens.
    #[inline]
    fn write<W: Watch>(
        &mut self,
        index: u16,
        into: Target,
        kind: fn(u16) -> Written,
        watch: &mut W,
        fill: impl FnOnce(Scope<'_>, &mut Vec<u8>, &mut W) -> Result<(), Stop<'p>>,
    ) -> Result<(), Stop<'p>> {
        let mut buffer = self.edits.take_buffer(into.write);
        let filled = fill(self.scope(), &mut buffer, watch);
        self.edits.return_buffer(into.write, buffer);
        filled?;
        self.note(index, into, kind(into.write), watch)
    }

    /// Notes a write whose buffer is filled.
    #[inline]
    pub(super) fn note<W: Watch>(
        &mut self,
        index: u16,
        into: Target,
        written: Written,
        watch: &mut W,
    ) -> Result<(), Stop<'p>> {
        let tree = &self.plan.tree;
        self.edits.write(tree, self.event, into.path, written).map_err(|obstacle| {
            let failure = match obstacle {
                Obstacle::Parent(parent) => Why::Parent(parent).wrong_type(),
                Obstacle::Item(item) => Why::Item(item).missing(),
            };
            Stop::Target(failure, into.path)
        })?;
        if watch.is_watching() {
            // Below what a step wrote, the buffer holds all of that.
            let (path, part) = (tree.path(into.path), self.edits.json_within(tree, into.path));
            match part {
                Some(json) => watch.wrote(index, path, Written::Json(into.write), json),
                None => watch.wrote(index, path, written, self.edits.buffer(into.write)),
            }
        }
        Ok(())
    }
}

/// What may be a key: not null, no object, no list.
#[inline]
pub(super) fn as_key(operand: Operand<'_>) -> Result<Operand<'_>, Failure> {
    match operand.kind {
        Kind::Null | Kind::Object | Kind::List => Err(Why::Unusable(operand.kind).wrong_type()),
        _ => Ok(operand),
    }
}

#[inline]
fn fill_in<'p, T: Lookup>(
    index: u16,
    pieces: &'p [Piece],
    scope: Scope<'_>,
    sources: &mut Sources<'_, T>,
    out: &mut Vec<u8>,
    watch: &mut impl Watch,
) -> Result<(), Stop<'p>> {
    for piece in pieces {
        match piece {
            // What stands between two holes is a single byte most of the time.
            Piece::Literal(text) => match text.as_bytes() {
                [byte] => out.push(*byte),
                bytes => out.extend_from_slice(bytes),
            },
            Piece::Hole(hole) => {
                let operand = scope.evaluate(hole, sources.made, sources.tables);
                let operand = operand.map_err(|failure| Stop::Operand(failure, hole))?;
                if operand.kind == Kind::Bytes && std::str::from_utf8(operand.bytes).is_err() {
                    return Err(Stop::Operand(Why::NotText.wrong_type(), hole));
                }
                watch.read(index, &hole.shown(scope.tree), operand.bytes);
                out.extend_from_slice(operand.bytes);
            }
        }
    }
    Ok(())
}
