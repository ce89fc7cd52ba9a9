//! What the steps wrote, beside the event: nothing is changed until the result is spliced.
//!
//! Each path has a slot: where it stands in the event that arrived, and what was written to it
//! since. Each write of a pipeline has a buffer of its own, kept from record to record, so that a
//! step can read what an earlier one wrote while it fills its own.

use std::mem;

use crate::codec::{
    tape::{Event, Node, Value},
    tree::{PathId, PathTree, Step},
};

/// What was written to a path, and in which buffer it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Written {
    /// Nothing.
    #[default]
    Nothing,
    /// Text in UTF-8, not escaped.
    Text(u16),
    /// Text that needs no escape, such as hex digits.
    Plain(u16),
    /// A JSON value that is no text.
    Json(u16),
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    pub(super) found: Option<Node>,
    pub(super) written: Written,
    /// Written, or something below it is.
    pub(super) touched: bool,
}

/// Why a path cannot be written in this event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// That parent is there and is no object, or no list where an index follows.
    Parent(PathId),
    /// That item is not there, and a list is not extended.
    Item(PathId),
}

/// The slots of one event's paths and the buffers of what was written.
#[derive(Debug)]
pub struct Edits {
    slots: Vec<Slot>,
    buffers: Vec<Vec<u8>>,
}

impl Edits {
    /// For the paths of `tree` and that many writes, with room for `bytes` in each.
    pub fn new(tree: &PathTree, writes: usize, bytes: usize) -> Edits {
        let buffers = (0..writes).map(|_| Vec::with_capacity(bytes)).collect();
        Edits { slots: vec![Slot::default(); tree.len()], buffers }
    }

    /// Begins with an event as it arrived.
    #[inline]
    pub fn begin(&mut self, tree: &PathTree, event: &Event<'_>) {
        tree.resolve(event, &mut self.slots);
    }

    /// Where a path stands in the event that arrived.
    #[inline]
    pub fn found(&self, path: PathId) -> Option<Node> {
        self.slots[path.index()].found
    }

    /// What was written to a path itself.
    #[inline]
    pub fn written(&self, path: PathId) -> Written {
        self.slots[path.index()].written
    }

    /// True if the path or something below it was written.
    #[inline]
    pub fn is_touched(&self, path: PathId) -> bool {
        self.slots[path.index()].touched
    }

    /// What a write put into its buffer.
    #[inline]
    pub fn buffer(&self, write: u16) -> &[u8] {
        &self.buffers[usize::from(write)]
    }

    /// Takes a write's buffer, empty, to fill it while the others can be read.
    #[inline]
    pub fn take_buffer(&mut self, write: u16) -> Vec<u8> {
        let mut buffer = mem::take(&mut self.buffers[usize::from(write)]);
        buffer.clear();
        buffer
    }

    /// Puts a buffer back; also one whose write came to nothing, or its memory would be lost.
    #[inline]
    pub fn return_buffer(&mut self, write: u16, buffer: Vec<u8>) {
        self.buffers[usize::from(write)] = buffer;
    }

    /// Notes that a path was written. Whatever was written below it is gone.
    ///
    /// # Errors
    ///
    /// If a parent is in the way; then nothing changes. Missing parents are made.
    #[inline]
    pub fn write(
        &mut self,
        tree: &PathTree,
        event: &Event<'_>,
        path: PathId,
        written: Written,
    ) -> Result<(), Obstacle> {
        if tree.branch(path).parent != PathId::ROOT || tree.is_item(path) {
            self.check_parents(tree, event, path)?;
        }
        self.forget_below(tree, path);
        self.slots[path.index()].written = written;
        let mut at = path;
        while at != PathId::ROOT {
            self.slots[at.index()].touched = true;
            at = tree.branch(at).parent;
        }
        self.slots[0].touched = true;
        Ok(())
    }

    fn check_parents(
        &self,
        tree: &PathTree,
        event: &Event<'_>,
        path: PathId,
    ) -> Result<(), Obstacle> {
        let mut at = path;
        while at != PathId::ROOT {
            let parent = tree.branch(at).parent;
            let around = self.found(parent).map(|node| event.value(node));
            match (&tree.branch(at).segment, around) {
                (Step::Name { .. }, None | Some(Value::Object(_))) => {}
                (Step::Index(index), Some(Value::List(len))) if *index < len => {}
                (Step::Index(_), None | Some(Value::List(_))) => return Err(Obstacle::Item(at)),
                _ => return Err(Obstacle::Parent(parent)),
            }
            at = parent;
        }
        Ok(())
    }

    fn forget_below(&mut self, tree: &PathTree, path: PathId) {
        for child in &tree.branch(path).children {
            let slot = &mut self.slots[child.index()];
            (slot.written, slot.touched) = (Written::Nothing, false);
            self.forget_below(tree, *child);
        }
    }
}
