//! `set`, `remove` and `rename`: what goes where in the event.
//!
//! A value that stands in the event is moved by its bytes, as it is spelled. Several renames of one
//! step happen at once, so that two fields can change places.

use std::mem;

use crate::{
    codec::Written,
    pipeline::{
        Lookup,
        compile::Target,
        expression::Expression,
        process::Watch,
        stop::Stop,
        work::{Sources, Work},
    },
};

impl<'p> Work<'p, '_> {
    pub(super) fn set<T: Lookup, W: Watch>(
        &mut self,
        index: u16,
        expression: &'p Expression,
        into: Target,
        sources: &mut Sources<'_, T>,
        watch: &mut W,
    ) -> Result<(), Stop<'p>> {
        let mut buffer = self.edits.take_buffer(into.write);
        let written = self.push_value(index, expression, &mut buffer, sources, watch);
        self.edits.return_buffer(into.write, buffer);
        self.note(index, into, written?(into.write), watch)
    }

    pub(super) fn remove<W: Watch>(&mut self, index: u16, paths: &[Target], watch: &mut W) {
        for target in paths {
            let tree = &self.plan.tree;
            if self.edits.remove(tree, self.event, target.path, target.write) {
                watch.decided(index, &format_args!("`{}` goes", tree.path(target.path)));
            }
        }
    }

    pub(super) fn rename<W: Watch>(
        &mut self,
        index: u16,
        renames: &[(Target, Target)],
        watch: &mut W,
    ) -> Result<(), Stop<'p>> {
        let mut scratch = mem::take(&mut self.memory.one);
        for (new, old) in renames {
            let mut buffer = self.edits.take_buffer(new.write);
            buffer.extend_from_slice(self.json_at(old.path, &mut scratch).unwrap_or_default());
            self.edits.return_buffer(new.write, buffer);
        }
        self.memory.one = scratch;
        for (_, old) in renames {
            self.edits.remove(&self.plan.tree, self.event, old.path, old.write);
        }
        // No JSON is empty: what is absent moves nowhere.
        renames.iter().try_for_each(|(new, _)| match self.edits.buffer(new.write) {
            [] => Ok(()),
            _ => self.note(index, *new, Written::Json(new.write), watch),
        })
    }
}
