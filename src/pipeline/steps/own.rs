//! A step whose operator the program brought along: one dynamic call, and what it wrote is noted.

use std::{fmt, mem};

use crate::{
    codec::Written,
    pipeline::{
        Lookup,
        compile::{Plan, Target},
        evaluate::Scope,
        expression::Expression,
        operator::{Call, Ending, Lent, Operator, Write},
        process::Watch,
        stop::Stop,
        work::{Sources, Work},
    },
};

/// Such a step, compiled.
#[derive(Debug)]
pub(in crate::pipeline) struct OwnStep {
    /// Which one of those in `Memory` is its operator.
    pub(in crate::pipeline) slot: usize,
    /// What it says for each key of its operator.
    pub(in crate::pipeline) keys: Vec<Key>,
}

/// What a step says for a key.
#[derive(Debug)]
pub(in crate::pipeline) enum Key {
    Expression(Expression),
    /// Nothing, where a step need not say it.
    Path(Option<Target>),
    Table(usize),
    /// What the operator was made of.
    AtStart,
}

/// An operator with its memory.
pub(in crate::pipeline) struct Slot {
    operator: Box<dyn Operator>,
    writes: Vec<Write>,
}

impl Slot {
    /// With room for what is written to each key, though only paths are.
    pub(in crate::pipeline) fn new(
        operator: Box<dyn Operator>,
        keys: &[Key],
        bytes: usize,
    ) -> Slot {
        let write = |key: &Key| {
            let bytes = if matches!(key, Key::Path(Some(_))) { bytes } else { 0 };
            Write { buffer: Vec::with_capacity(bytes), is_written: false }
        };
        Slot { operator, writes: keys.iter().map(write).collect() }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("writes", &self.writes).finish_non_exhaustive()
    }
}

impl<'p> Work<'p, '_> {
    // Apart from the built-in steps, which it is not to make larger.
    #[inline(never)]
    pub(super) fn own<T: Lookup, W: Watch>(
        &mut self,
        index: u16,
        step: &'p OwnStep,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<(), Stop<'p>> {
        self.call(index, step, sources, watch).map_err(|ending| stop(step, ending))?;
        for (number, key) in step.keys.iter().enumerate() {
            let Key::Path(Some(target)) = key else { continue };
            let write = &mut self.memory.own[step.slot].writes[number];
            if !write.is_written {
                continue;
            }
            let mut buffer = self.edits.take_buffer(target.write);
            mem::swap(&mut buffer, &mut write.buffer);
            self.edits.return_buffer(target.write, buffer);
            self.note(index, *target, Written::Json(target.write), watch)?;
        }
        Ok(())
    }

    fn call<T: Lookup, W: Watch>(
        &mut self,
        index: u16,
        step: &OwnStep,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<(), Ending> {
        let Plan { tree, others, tables: table_names, .. } = self.plan;
        let Slot { operator, writes } = &mut self.memory.own[step.slot];
        writes.iter_mut().for_each(|write| write.is_written = false);
        let (arena, scratch) = sources.made.parts();
        let is_watching = watch.is_watching();
        let mut call = Call::new(Lent {
            scope: Scope {
                tree,
                event: self.event,
                edits: self.edits,
                record: self.record,
                others,
            },
            arena,
            scratch,
            tables: &mut *sources.tables,
            table_names,
            keys: &step.keys,
            writes,
            told: &mut self.told,
            watch: is_watching.then_some((index, watch)),
        });
        let answer = operator.apply(&mut call);
        call.ended(answer)
    }
}

#[cold]
fn stop(step: &OwnStep, ending: Ending) -> Stop<'_> {
    match ending {
        Ending::Skip(class) => Stop::Skip(class),
        Ending::Told(class) => Stop::Told(class),
        Ending::Stale(table) => Stop::Stale(table),
        Ending::Wait(awaited) => Stop::Wait(awaited),
        Ending::Operand(failure, key) => match &step.keys[key] {
            Key::Expression(expression) => Stop::Operand(failure, expression),
            _ => unreachable!("only an expression has a value"),
        },
    }
}
