//! What the steps changed, beside the event: nothing is changed until the result is spliced.
//!
//! Each path has a slot: where it stands in the event that arrived, and what became of it since.
//! Each write of a pipeline has a buffer of its own, kept from record to record, so that a step can
//! read what an earlier one wrote while it fills its own. A buffer is never changed once it is
//! noted: a change below JSON that a step wrote makes that JSON anew, in the buffer of the change.
//! So the slots alone say how the event stands, and saving it is copying them.
//!
//! Taking an item out of a list moves those behind it, so what is left of the list becomes JSON in
//! a buffer, and paths lead into that; a field that goes is only noted.

use std::mem;

use crate::codec::{
    inside,
    keep::Kept,
    patch::{self, Blocked, Content},
    path::Segment,
    splice,
    tape::{Event, Node, Value},
    tree::{PathId, PathTree, Step},
};

/// What was written to a path, and in which buffer it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Written {
    /// Nothing.
    #[default]
    Nothing,
    /// An object that stands nowhere yet, made for what was written below it.
    Made,
    /// Text in UTF-8, not escaped.
    Text(u16),
    /// Text that needs no escape, such as hex digits.
    Plain(u16),
    /// A JSON value, as it is spelled; also a text in quotes.
    Json(u16),
}

impl Written {
    /// True if the value is in a buffer, with everything below it.
    #[inline]
    pub fn is_value(self) -> bool {
        !matches!(self, Written::Nothing | Written::Made)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    /// Not if it was removed, or something above it was removed or written.
    pub(super) found: Option<Node>,
    pub(super) written: Written,
    /// Changed, or something below it is.
    pub(super) touched: bool,
    /// It was found and removed.
    pub(super) gone: bool,
    /// Of the fields that stand there only those stay that are found in a slot.
    pub(super) thinned: bool,
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
    scratch: Vec<u8>,
    /// Slots as they were saved, one level behind the other.
    saved: Vec<Slot>,
}

impl Edits {
    /// For the paths of `tree` and that many writes, with room for `bytes` in each, and for
    /// saving the edits that many times.
    pub fn new(tree: &PathTree, writes: usize, bytes: usize, saves: usize) -> Edits {
        Edits {
            slots: vec![Slot::default(); tree.len()],
            buffers: (0..writes).map(|_| Vec::with_capacity(bytes)).collect(),
            scratch: Vec::with_capacity(bytes),
            saved: vec![Slot::default(); tree.len() * saves],
        }
    }

    /// Begins with an event as it arrived.
    #[inline]
    pub fn begin(&mut self, tree: &PathTree, event: &Event<'_>) {
        tree.resolve(event, &mut self.slots);
    }

    /// Where a path stands in the event that arrived, if it still does.
    #[inline]
    pub fn found(&self, path: PathId) -> Option<Node> {
        self.slots[path.index()].found
    }

    /// What was written to a path itself.
    #[inline]
    pub fn written(&self, path: PathId) -> Written {
        self.slots[path.index()].written
    }

    /// True if the path or something below it was changed.
    #[inline]
    pub fn is_touched(&self, path: PathId) -> bool {
        self.slots[path.index()].touched
    }

    /// True if what stood at the path is not what it was.
    #[inline]
    pub(super) fn is_changed(&self, path: PathId) -> bool {
        let slot = &self.slots[path.index()];
        slot.touched && (slot.found.is_some() || slot.gone)
    }

    #[inline]
    pub(super) fn is_thinned(&self, path: PathId) -> bool {
        self.slots[path.index()].thinned
    }

    /// True if there is a value, unless it lies within what was written to a path above.
    #[inline]
    pub fn is_present(&self, path: PathId) -> bool {
        let slot = &self.slots[path.index()];
        slot.found.is_some() || slot.written != Written::Nothing
    }

    /// The path above to which a value was written, in which this path then lies.
    #[inline]
    pub fn written_above(&self, tree: &PathTree, path: PathId) -> Option<PathId> {
        let mut at = tree.parent(path)?;
        while at != PathId::ROOT {
            if self.written(at).is_value() {
                return Some(at);
            }
            at = tree.branch(at).parent;
        }
        None
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

    /// Keeps how the event stands, to return to it: `level` is below the saves that were asked for.
    pub fn save(&mut self, level: usize) {
        let len = self.slots.len();
        self.saved[level * len..][..len].copy_from_slice(&self.slots);
    }

    /// The event stands again as it was saved. Buffers of writes before that must not have been
    /// filled again since.
    pub fn restore(&mut self, level: usize) {
        let len = self.slots.len();
        self.slots.copy_from_slice(&self.saved[level * len..][..len]);
    }

    /// Notes that a path was written. Whatever was written below it is gone.
    ///
    /// # Errors
    ///
    /// If a parent is in the way; then nothing changes. Missing parents are made.
    ///
    /// # Panics
    ///
    /// If `written` names no buffer.
    #[inline]
    pub fn write(
        &mut self,
        tree: &PathTree,
        event: &Event<'_>,
        path: PathId,
        written: Written,
    ) -> Result<(), Obstacle> {
        if tree.branch(path).parent != PathId::ROOT || tree.is_item(path) {
            if let Some(above) = self.written_above(tree, path) {
                return self.write_within(tree, path, above, written);
            }
            self.check_parents(tree, event, path)?;
        }
        self.note(tree, path, written);
        Ok(())
    }

    #[inline]
    fn note(&mut self, tree: &PathTree, path: PathId, written: Written) {
        self.forget_below(tree, path);
        let slot = &mut self.slots[path.index()];
        (slot.written, slot.thinned) = (written, false);
        self.touch(tree, path);
        let mut at = tree.branch(path).parent;
        while at != PathId::ROOT && !self.is_present(at) {
            self.slots[at.index()].written = Written::Made;
            at = tree.branch(at).parent;
        }
    }

    #[inline]
    fn touch(&mut self, tree: &PathTree, path: PathId) {
        let mut at = path;
        while at != PathId::ROOT {
            self.slots[at.index()].touched = true;
            at = tree.branch(at).parent;
        }
        self.slots[0].touched = true;
    }

    /// Makes anew what was written above, with the value in it.
    #[inline(never)]
    fn write_within(
        &mut self,
        tree: &PathTree,
        path: PathId,
        above: PathId,
        written: Written,
    ) -> Result<(), Obstacle> {
        let way = way_from(tree, above, path);
        let mut scratch = mem::take(&mut self.scratch);
        scratch.clear();
        let content = self.content(written).expect("a buffer was filled");
        let json = match self.written(above) {
            Written::Json(write) => self.buffer(write),
            // Any text is in the way alike.
            _ => b"\"\"",
        };
        let put = patch::push_with(&mut scratch, json, way, content);
        self.scratch = scratch;
        let ancestor = |steps: usize| {
            (steps..way.len()).fold(path, |at, _| tree.parent(at).unwrap_or(PathId::ROOT))
        };
        put.map_err(|blocked| match blocked {
            Blocked::Parent(steps) => Obstacle::Parent(ancestor(steps)),
            Blocked::Item(steps) => Obstacle::Item(ancestor(steps)),
        })?;
        if let Written::Text(own) | Written::Plain(own) | Written::Json(own) = written {
            self.make_anew(above, own);
        }
        Ok(())
    }

    /// What was put together in the scratch is the value of `path` from now on.
    fn make_anew(&mut self, path: PathId, write: u16) {
        mem::swap(&mut self.scratch, &mut self.buffers[usize::from(write)]);
        self.slots[path.index()].written = Written::Json(write);
    }

    /// What is in a write's buffer, as it is to be written out.
    #[inline]
    pub(super) fn content(&self, written: Written) -> Option<Content<'_>> {
        match written {
            Written::Text(write) => Some(Content::Text(self.buffer(write))),
            Written::Plain(write) => Some(Content::Plain(self.buffer(write))),
            Written::Json(write) => Some(Content::Json(self.buffer(write))),
            Written::Nothing | Written::Made => None,
        }
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
                (Step::Index(_), None) if self.is_present(parent) => {
                    return Err(Obstacle::Parent(parent));
                }
                (Step::Index(_), None | Some(Value::List(_))) => return Err(Obstacle::Item(at)),
                _ => return Err(Obstacle::Parent(parent)),
            }
            at = parent;
        }
        Ok(())
    }

    #[inline]
    fn forget_below(&mut self, tree: &PathTree, path: PathId) {
        if !tree.branch(path).children.is_empty() {
            self.forget_children(tree, path);
        }
    }

    fn forget_children(&mut self, tree: &PathTree, path: PathId) {
        for child in &tree.branch(path).children {
            self.slots[child.index()] = Slot::default();
            self.forget_children(tree, *child);
        }
    }

    /// Removes what stands at a path, all doubles of a field. True if something did. `write` is a
    /// buffer of this removal, for what is left of a list or of JSON that a step wrote.
    pub fn remove(&mut self, tree: &PathTree, event: &Event<'_>, path: PathId, write: u16) -> bool {
        if let Some(above) = self.written_above(tree, path) {
            return self.remove_within(tree, path, above, write);
        }
        let Step::Index(index) = tree.branch(path).segment else {
            return self.remove_field(tree, path);
        };
        let list = tree.branch(path).parent;
        let is_there = |node| matches!(event.value(node), Value::List(len) if index < len);
        if !self.found(list).is_some_and(is_there) {
            return false;
        }
        let whole = self.put_together(tree, event, list);
        let mut left = self.take_buffer(write);
        patch::push_without(&mut left, &whole, &[Segment::Index(index)]);
        self.return_buffer(write, left);
        self.scratch = whole;
        self.note(tree, list, Written::Json(write));
        true
    }

    #[inline]
    fn remove_field(&mut self, tree: &PathTree, path: PathId) -> bool {
        let is_there = self.is_present(path);
        if is_there {
            self.forget_below(tree, path);
            let slot = &mut self.slots[path.index()];
            let gone = slot.gone || slot.found.is_some();
            *slot = Slot { gone, ..Slot::default() };
            self.touch(tree, path);
        }
        is_there
    }

    fn remove_within(&mut self, tree: &PathTree, path: PathId, above: PathId, own: u16) -> bool {
        let Written::Json(write) = self.written(above) else { return false };
        let mut scratch = mem::take(&mut self.scratch);
        scratch.clear();
        let way = way_from(tree, above, path);
        let is_there = patch::push_without(&mut scratch, self.buffer(write), way);
        self.scratch = scratch;
        if is_there {
            self.make_anew(above, own);
        }
        is_there
    }

    /// The value of a path as it stands now, as JSON in memory that is lent.
    fn put_together(&mut self, tree: &PathTree, event: &Event<'_>, path: PathId) -> Vec<u8> {
        let mut whole = mem::take(&mut self.scratch);
        whole.clear();
        splice::push_value(&mut whole, tree, event, self, path);
        whole
    }

    /// Removes everything that is not kept.
    pub fn keep(&mut self, tree: &PathTree, event: &Event<'_>, kept: &Kept) {
        self.keep_at(tree, event, kept);
    }

    /// False if nothing is left; it is then the caller's to remove the path.
    fn keep_at(&mut self, tree: &PathTree, event: &Event<'_>, kept: &Kept) -> bool {
        let path = kept.path;
        if kept.parts.is_empty() && path != PathId::ROOT {
            return self.is_present(path);
        }
        match (self.written(path), self.found(path).map(|node| event.value(node))) {
            (Written::Json(write), _) => self.keep_within(kept, write),
            (Written::Made, _) | (Written::Nothing, Some(Value::Object(_))) => {
                self.keep_fields(tree, event, kept)
            }
            (Written::Nothing, Some(Value::List(_))) => {
                let whole = self.put_together(tree, event, path);
                let is_left = kept.is_in(&whole);
                let mut left = self.take_buffer(kept.write);
                kept.push(&mut left, &whole);
                self.return_buffer(kept.write, left);
                self.scratch = whole;
                if is_left {
                    self.note(tree, path, Written::Json(kept.write));
                }
                is_left
            }
            _ => false,
        }
    }

    fn keep_fields(&mut self, tree: &PathTree, event: &Event<'_>, kept: &Kept) -> bool {
        let mut is_left = false;
        for child in &tree.branch(kept.path).children {
            match kept.part(*child) {
                Some(part) if self.keep_at(tree, event, part) => is_left = true,
                _ => _ = self.remove_field(tree, *child),
            }
        }
        if is_left || kept.path == PathId::ROOT {
            self.slots[kept.path.index()].thinned = true;
            self.touch(tree, kept.path);
        }
        is_left
    }

    fn keep_within(&mut self, kept: &Kept, write: u16) -> bool {
        let is_left = kept.is_in(self.buffer(write));
        if is_left {
            let mut left = mem::take(&mut self.scratch);
            left.clear();
            kept.push(&mut left, self.buffer(write));
            self.scratch = left;
            self.make_anew(kept.path, kept.write);
        }
        is_left
    }

    /// What stands at a path within what was written to one above, if there is any.
    pub fn json_within(&self, tree: &PathTree, path: PathId) -> Option<&[u8]> {
        self.within(tree, path, self.written_above(tree, path)?)
    }

    /// The JSON that stands at a path below what a step wrote; none if there is none.
    pub(super) fn within(&self, tree: &PathTree, path: PathId, above: PathId) -> Option<&[u8]> {
        let Written::Json(write) = self.written(above) else { return None };
        inside::find(self.buffer(write), way_from(tree, above, path)).ok()
    }
}

fn way_from(tree: &PathTree, above: PathId, path: PathId) -> &[Segment] {
    &tree.path(path).segments[tree.path(above).segments.len()..]
}
