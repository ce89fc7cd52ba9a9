//! `alias`: one field that goes by several names.
//!
//! The path itself is the first spelling, then the others in their order. The first that is present
//! wins and is moved as it is spelled; the others go. Two that say different things are no matter
//! of taste: such a record is rejected, and the reason tells both.

use std::mem;

use crate::{
    codec::{Written, is_equal},
    pipeline::{compile::Target, process::Watch, steps::shown, stop::Stop, work::Work},
    verdict::RejectClass,
};

impl<'p> Work<'p, '_> {
    pub(super) fn alias<W: Watch>(
        &mut self,
        index: u16,
        path: Target,
        spellings: &[Target],
        watch: &mut W,
    ) -> Result<(), Stop<'p>> {
        let mut scratch = mem::take(&mut self.memory.one);
        let mut buffer = self.edits.take_buffer(path.write);
        let mut all = std::iter::once(&path).chain(spellings);
        let winner = all.find(|spelling| match self.json_at(spelling.path, &mut scratch) {
            Some(value) => {
                buffer.extend_from_slice(value);
                true
            }
            None => false,
        });
        self.edits.return_buffer(path.write, buffer);
        let conflict = winner.and_then(|winner| {
            let mut texts = mem::take(&mut self.memory.texts);
            let value = self.edits.buffer(path.write);
            let differs = |spelling: &&Target| {
                let there = self.json_at(spelling.path, &mut scratch);
                there.is_some_and(|there| !is_equal(value, there, &mut texts))
            };
            // Those before the winner are absent.
            let conflict = all.find(differs).map(|it| (winner, it));
            self.memory.texts = texts;
            conflict
        });
        self.memory.one = scratch;
        if let Some((winner, other)) = conflict {
            return Err(self.conflict(path, winner, other));
        }
        let Some(winner) = winner else { return Ok(()) };
        let tree = &self.plan.tree;
        watch.decided(index, &format_args!("`{}` wins", tree.path(winner.path)));
        for spelling in spellings {
            self.edits.remove(tree, self.event, spelling.path, spelling.write);
        }
        match winner.path == path.path {
            true => Ok(()),
            false => self.note(index, path, Written::Json(path.write), watch),
        }
    }

    #[cold]
    fn conflict(&mut self, path: Target, winner: &Target, other: &Target) -> Stop<'p> {
        let mut scratch = Vec::new();
        let there = self.json_at(other.path, &mut scratch).map(shown).unwrap_or_default();
        let value = shown(self.edits.buffer(path.write));
        let tree = &self.plan.tree;
        let (winner, other) = (tree.path(winner.path), tree.path(other.path));
        let reason = format_args!("`{winner}` is {value} and `{other}` is {there}");
        self.reject(RejectClass::Conflict, reason)
    }
}
