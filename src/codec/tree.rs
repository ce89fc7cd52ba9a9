//! All paths that a pipeline names, as one tree, found in one pass over each record.
//!
//! A level's lengths stand in a bit set, so that most fields of a record are passed over without
//! looking at their names; the others are compared with names of as many bytes alone, and that as
//! integers: first and last bytes, the middle only for names past 16. Every field is looked at,
//! because of a field that stands twice the last counts.

use crate::codec::{
    edits::Slot,
    escape::push_text,
    path::{Path, Segment},
    tape::{Event, Node},
};

/// One path of a tree; the event itself is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathId(pub(super) u16);

impl PathId {
    /// The event itself.
    pub const ROOT: PathId = PathId(0);

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Paths that share their beginnings.
#[derive(Debug)]
pub struct PathTree {
    branches: Vec<Branch>,
}

#[derive(Debug)]
pub(super) struct Branch {
    /// The way here from the parent.
    pub(super) segment: Step,
    pub(super) parent: PathId,
    pub(super) children: Vec<PathId>,
    /// The children that are fields of an object, those of one length side by side.
    fields: Vec<Field>,
    /// Bit n is set if a field's name has n bytes, modulo 64.
    lengths: u64,
    /// Where those begin whose names have n bytes, modulo 64; they end where those of n + 1 begin.
    starts: [u16; LENGTHS + 1],
    /// The children that are items of a list, or have children of their own.
    others: Vec<PathId>,
    path: Path,
}

/// Lengths that are told apart.
const LENGTHS: usize = 64;

#[derive(Debug)]
struct Field {
    name: Name,
    path: PathId,
}

#[derive(Debug)]
pub(super) enum Step {
    /// A comma, the name in quotes and a colon, as they are written where the field is made.
    Name {
        json: Box<[u8]>,
    },
    Index(usize),
}

/// A name that is compared as integers.
#[derive(Debug)]
struct Name {
    bytes: Box<[u8]>,
    ends: (u64, u64),
}

impl Name {
    fn new(name: &str) -> Name {
        Name { bytes: name.as_bytes().into(), ends: ends(name.as_bytes()) }
    }

    #[inline]
    fn is(&self, other: &[u8]) -> bool {
        self.bytes.len() == other.len()
            && self.ends == ends(other)
            && (other.len() <= 16 || *self.bytes == *other)
    }
}

/// The first and the last bytes; together with the length they say all of up to 16 bytes.
#[inline]
fn ends(name: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
        return (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    match name {
        [] => (0, 0),
        [first, .., last] => (u64::from(*first) << 8 | u64::from(name[1]), u64::from(*last)),
        [only] => (u64::from(*only), 0),
    }
}

impl Branch {
    fn new(segment: Step, parent: PathId, path: Path) -> Branch {
        let (children, fields, others) = (Vec::new(), Vec::new(), Vec::new());
        let starts = [0; LENGTHS + 1];
        Branch { segment, parent, children, fields, lengths: 0, starts, others, path }
    }

    fn add_field(&mut self, name: &str, path: PathId) {
        let length = name.len() % LENGTHS;
        let behind = usize::from(self.starts[length + 1]);
        self.fields.insert(behind, Field { name: Name::new(name), path });
        self.starts[length + 1..].iter_mut().for_each(|start| *start += 1);
        self.lengths |= 1 << length;
    }

    /// Most names of a record end here, which costs next to nothing.
    #[inline(always)]
    fn field(&self, name: &[u8]) -> Option<PathId> {
        let is_as_long = self.lengths & 1 << (name.len() % LENGTHS) != 0;
        if is_as_long { self.field_as_long(name) } else { None }
    }

    fn field_as_long(&self, name: &[u8]) -> Option<PathId> {
        let length = name.len() % LENGTHS;
        let [start, end] = [self.starts[length], self.starts[length + 1]].map(usize::from);
        let alike = &self.fields[start..end];
        alike.iter().find(|field| field.name.is(name)).map(|field| field.path)
    }
}

impl Default for PathTree {
    fn default() -> PathTree {
        PathTree::new()
    }
}

impl PathTree {
    /// Only the event itself.
    pub fn new() -> PathTree {
        PathTree { branches: vec![Branch::new(Step::Index(0), PathId::ROOT, Path::default())] }
    }

    /// Adds a path, or finds it.
    ///
    /// # Panics
    ///
    /// Past 65,535 paths, which no configuration comes near.
    pub fn add(&mut self, path: &Path) -> PathId {
        let mut at = PathId::ROOT;
        for depth in 1..=path.segments.len() {
            let way = &path.segments[..depth];
            let known = self.branches[at.index()].children.iter().copied();
            let known = known.into_iter().find(|child| self.path(*child).segments == way);
            at = known.unwrap_or_else(|| self.grow(at, way));
        }
        at
    }

    /// A path that was added.
    pub fn find(&self, path: &Path) -> Option<PathId> {
        (0..self.branches.len())
            .find_map(|at| (self.branches[at].path == *path).then_some(PathId(at as u16)))
    }

    fn grow(&mut self, parent: PathId, way: &[Segment]) -> PathId {
        let id = PathId(u16::try_from(self.branches.len()).expect("fewer than 65,536 paths"));
        let above = &mut self.branches[parent.index()];
        above.children.push(id);
        let segment = match &way[way.len() - 1] {
            Segment::Index(index) => {
                above.others.push(id);
                Step::Index(*index)
            }
            Segment::Name(name) => {
                above.add_field(name, id);
                let mut json = vec![b','];
                push_text(&mut json, name.as_bytes());
                json.push(b':');
                Step::Name { json: json.into() }
            }
        };
        let grandparent = above.parent;
        if parent != PathId::ROOT && above.children.len() == 1 && !self.is_item(parent) {
            self.branches[grandparent.index()].others.push(parent);
        }
        self.branches.push(Branch::new(segment, parent, Path { segments: way.to_vec() }));
        id
    }

    /// A path as it can be written.
    pub fn path(&self, id: PathId) -> &Path {
        &self.branches[id.index()].path
    }

    /// The path above; the event itself has none.
    pub fn parent(&self, id: PathId) -> Option<PathId> {
        (id != PathId::ROOT).then(|| self.branch(id).parent)
    }

    /// True if the path ends with an index.
    pub fn is_item(&self, id: PathId) -> bool {
        id != PathId::ROOT && matches!(self.branch(id).segment, Step::Index(_))
    }

    /// Paths, the event itself counted.
    pub fn len(&self) -> usize {
        self.branches.len()
    }

    /// Never true: the event itself is always there.
    pub fn is_empty(&self) -> bool {
        self.branches.is_empty()
    }

    pub(super) fn branch(&self, id: PathId) -> &Branch {
        &self.branches[id.index()]
    }

    /// The child of `id` with that name.
    #[inline]
    pub(super) fn child_named(&self, id: PathId, field: &str) -> Option<PathId> {
        self.branch(id).field(field.as_bytes())
    }

    /// Notes in `slots` at which node each path stands in the event.
    #[inline]
    pub(super) fn resolve(&self, event: &Event<'_>, slots: &mut [Slot]) {
        slots.fill(Slot::default());
        slots[0].found = Some(Node::ROOT);
        self.resolve_below(PathId::ROOT, Node::ROOT, event, slots);
    }

    fn resolve_below(&self, id: PathId, node: Node, event: &Event<'_>, slots: &mut [Slot]) {
        let branch = self.branch(id);
        if branch.lengths != 0 {
            for (name, value) in event.fields(node) {
                if let Some(child) = branch.field(name.as_bytes()) {
                    slots[child.index()].found = Some(value);
                }
            }
        }
        for child in &branch.others {
            if let Step::Index(index) = self.branch(*child).segment {
                slots[child.index()].found = event.items(node).nth(index);
            }
            // Below the last of a field's doubles only: what the others hold does not count.
            if let Some(found) = slots[child.index()].found {
                self.resolve_below(*child, found, event, slots);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tape::Parser;

    #[test]
    fn names_are_told_apart_at_every_length() {
        let text: String = ('a'..='z').collect();
        for length in 0..=text.len() {
            let name = Name::new(&text[..length]);
            assert!(name.is(&text.as_bytes()[..length]));
            assert!(!name.is(&text.as_bytes()[..length.saturating_sub(1)]) || length == 0);
            for at in 0..length {
                let mut other = text.as_bytes()[..length].to_vec();
                other[at] ^= 1;
                assert!(!name.is(&other), "length {length}, byte {at}");
            }
        }
    }

    #[test]
    fn names_whose_lengths_fall_together_are_told_apart() {
        let [long, longer] = [64, 128].map(|length| "x".repeat(length));
        let input = format!(r#"{{"{long}":1,"":2,"{longer}":3,"y":4}}"#);
        let paths = [&long, "", &longer, "y", "z"].map(|it| format!("[{it:?}]"));
        let found = found(&paths.each_ref().map(String::as_str), &input);
        let values = ["1", "2", "3", "4"].map(|it| Some(it.to_owned()));
        assert_eq!(found, [&values[..], &[None]].concat());
    }

    fn found(paths: &[&str], input: &str) -> Vec<Option<String>> {
        let mut tree = PathTree::new();
        let ids: Vec<_> = paths.iter().map(|path| tree.add(&Path::parse(path).unwrap())).collect();
        let mut parser = Parser::new(1024, 16);
        let event = parser.parse(input.as_bytes()).unwrap();
        let mut slots = vec![Slot::default(); tree.len()];
        tree.resolve(&event, &mut slots);
        let show = |node| input[event.span(node)].to_owned();
        ids.iter().map(|id| slots[id.index()].found.map(show)).collect()
    }

    #[test]
    fn paths_are_found_in_one_pass() {
        let input = r#"{"a":{"b":[10,{"c":20}]},"odd name":3}"#;
        let paths = ["a.b[0]", "a.b[1].c", r#"["odd name"]"#, "a.x", "a.b[2]", "a.b.c", "a[0]"];
        let absent = None::<String>;
        let [ten, twenty, three] = ["10", "20", "3"].map(|it| Some(it.to_owned()));
        let none = [absent.clone(), absent.clone(), absent.clone(), absent];
        let expected: Vec<_> = [ten, twenty, three].into_iter().chain(none).collect();
        assert_eq!(found(&paths, input), expected);
    }

    #[test]
    fn of_doubles_the_last_counts_and_what_is_in_the_others_does_not() {
        let input = r#"{"a":{"b":1,"c":2},"a":{"b":3,"b":4}}"#;
        assert_eq!(found(&["a.b", "a.c"], input), [Some("4".to_owned()), None]);
    }
}
