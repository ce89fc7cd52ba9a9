//! The steps that keep no state: one file for each kind of work.
//!
//! Each is compiled at start, and runs on a record under way (`process::Work`): it reads the event
//! as the steps before left it, notes what it changes in `codec::Edits` or in `outgoing`, or ends
//! the record. None allocates once its buffers have met the largest record, except a JSON Schema.

mod alias;
mod choose;
mod each;
pub(super) mod outgoing;
pub(super) mod own;
mod require;
mod reshape;
mod schema;

use crate::{
    codec::{Kept, PathId, Written, splice},
    pipeline::{
        Lookup,
        compile::Target,
        evaluate::Kind,
        expression::Expression,
        process::Watch,
        stop::Stop,
        work::{Sources, Work},
    },
    verdict::{RejectClass, Sentence},
};
pub(super) use choose::threshold;
pub(super) use each::Each;
pub(super) use outgoing::Route;
use own::{OwnStep, Slot};
pub(super) use require::Rule;
pub(super) use schema::Schema;

/// Memory of all steps, kept from record to record. A step takes what it needs and gives it back.
#[derive(Debug)]
pub(super) struct Memory {
    one: Vec<u8>,
    texts: [Vec<u8>; 2],
    own: Vec<Slot>,
}

impl Memory {
    pub(super) fn new(bytes: usize, own: Vec<Slot>) -> Memory {
        let memory = || Vec::with_capacity(bytes);
        Memory { one: memory(), texts: [memory(), memory()], own }
    }
}

/// A step, compiled.
#[derive(Debug)]
pub(super) enum Stateless {
    Set(Vec<(Expression, Target)>),
    Remove(Vec<Target>),
    Keep(Kept),
    /// New and old.
    Rename(Vec<(Target, Target)>),
    /// A path and its other spellings.
    Alias(Vec<(Target, Vec<Target>)>),
    Require(Vec<Rule>),
    Schema(Box<Schema>),
    Filter(Expression),
    Each(Each),
    Route(Route),
    /// With its buffer.
    Key(Expression, u16),
    /// Numbers of headers, with their buffers.
    Headers(Vec<(usize, Expression, u16)>),
    Sample {
        /// A hash below goes on.
        threshold: u128,
        by: Option<Expression>,
    },
    /// The program brought it along.
    Own(OwnStep),
}

impl<'p> Work<'p, '_> {
    /// What a step does, except that `each` runs the steps behind it.
    pub(super) fn apply_stateless<T: Lookup, W: Watch>(
        &mut self,
        index: u16,
        step: &'p Stateless,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<(), Stop<'p>> {
        match step {
            Stateless::Set(sets) => sets.iter().try_for_each(|(expression, into)| {
                self.set(index, expression, *into, sources, watch)
            }),
            Stateless::Remove(paths) => {
                self.remove(index, paths, watch);
                Ok(())
            }
            Stateless::Keep(kept) => {
                self.edits.keep(&self.plan.tree, self.event, kept);
                watch.decided(index, &"everything that is not named goes");
                Ok(())
            }
            Stateless::Rename(renames) => self.rename(index, renames, watch),
            Stateless::Alias(aliases) => aliases
                .iter()
                .try_for_each(|(path, spellings)| self.alias(index, *path, spellings, watch)),
            Stateless::Require(rules) => {
                self.require(rules)?;
                watch.decided(index, &"all rules hold");
                Ok(())
            }
            Stateless::Schema(schema) => {
                self.require_schema(schema)?;
                watch.decided(index, &"it fits the schema");
                Ok(())
            }
            Stateless::Filter(expression) => self.filter(index, expression, sources, watch),
            Stateless::Route(route) => self.route(index, route, sources, watch),
            Stateless::Key(expression, write) => {
                self.key(index, expression, *write, sources, watch)
            }
            Stateless::Headers(headers) => {
                headers.iter().try_for_each(|(number, expression, write)| {
                    self.header(index, *number, expression, *write, sources, watch)
                })
            }
            Stateless::Sample { threshold, by } => {
                self.sample(index, *threshold, by.as_ref(), sources, watch)
            }
            Stateless::Own(step) => self.own(index, step, sources, watch),
            Stateless::Each(_) => unreachable!("`run` goes through the elements"),
        }
    }

    /// Whether an expression is true.
    #[inline]
    pub(super) fn is_true<T: Lookup, W: Watch>(
        &self,
        index: u16,
        expression: &'p Expression,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<bool, Stop<'p>> {
        let truth = self.scope().is_true(expression, sources.made, sources.tables);
        let truth = truth.map_err(|failure| Stop::Operand(failure, expression))?;
        let shown: &[u8] = if truth { b"true" } else { b"false" };
        watch.read(index, &expression.shown(&self.plan.tree), shown);
        Ok(truth)
    }

    /// Appends the value of an expression as text.
    #[inline]
    fn push_text<T: Lookup, W: Watch>(
        &self,
        index: u16,
        expression: &'p Expression,
        out: &mut Vec<u8>,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<Kind, Stop<'p>> {
        let operand = self.scope().evaluate(expression, sources.made, sources.tables);
        let operand = operand.map_err(|failure| Stop::Operand(failure, expression))?;
        watch.read(index, &expression.shown(&self.plan.tree), operand.bytes);
        out.extend_from_slice(operand.bytes);
        Ok(operand.kind)
    }

    /// Appends the value of an expression as it is to stand in the event; says how that is.
    #[inline]
    fn push_value<T: Lookup, W: Watch>(
        &self,
        index: u16,
        expression: &'p Expression,
        out: &mut Vec<u8>,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<fn(u16) -> Written, Stop<'p>> {
        let pushed = self.scope().push_field(expression, sources.made, sources.tables, out);
        let written = pushed.map_err(|failure| Stop::Operand(failure, expression))?;
        watch.read(index, &expression.shown(&self.plan.tree), out);
        Ok(written)
    }

    /// The value that stands at a path now, as JSON, if there is one. `scratch` is used where its
    /// bytes stand nowhere in one piece.
    fn json_at<'m>(&'m self, path: PathId, scratch: &'m mut Vec<u8>) -> Option<&'m [u8]> {
        let (tree, edits) = (&self.plan.tree, &*self.edits);
        if let (false, Some(node)) = (edits.is_touched(path), edits.found(path)) {
            return Some(&self.event.input()[self.event.span(node)]);
        }
        if let Written::Json(write) = edits.written(path) {
            return Some(edits.buffer(write));
        }
        scratch.clear();
        let is_there = splice::push_present(scratch, tree, self.event, edits, path);
        is_there.then_some(scratch)
    }

    /// The record is rejected, for a reason that names what it found.
    #[cold]
    fn reject(&mut self, class: RejectClass, reason: std::fmt::Arguments<'_>) -> Stop<'p> {
        self.told = Some(Sentence::format(reason));
        Stop::Told(class)
    }
}

/// A value in a sentence: its beginning, if it is long.
#[cold]
fn shown(json: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 40;
    let text = String::from_utf8_lossy(&json[..json.len().min(SHOWN_BYTES_MAX)]).into_owned();
    let more = if json.len() > SHOWN_BYTES_MAX { "…" } else { "" };
    text + more
}
