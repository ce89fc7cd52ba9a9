//! Which paths are kept when everything else goes: a tree of them, compiled at start.
//!
//! A path that is named is kept whole. What is above it stays with nothing else in it, unless
//! nothing of what is named there is present: then it goes as well, as if the kept values had been
//! put into an empty event. Of a list the named items are kept, in their order.

use crate::codec::{
    inside::{Part, Parts},
    patch::Copier,
    path::Segment,
    tree::{PathId, PathTree},
};

/// A path of which something is kept.
#[derive(Debug)]
pub struct Kept {
    pub(super) path: PathId,
    segment: Option<Segment>,
    /// What is kept below; nothing named there: all.
    pub(super) parts: Vec<Kept>,
    /// The buffer for what is left of JSON that a step wrote, or of a list.
    pub(super) write: u16,
}

impl Kept {
    /// Of the event those paths are kept. `next_write` counts the buffers up that this may need.
    pub fn new(tree: &PathTree, paths: &[PathId], next_write: &mut u16) -> Kept {
        Kept::at(tree, PathId::ROOT, paths, next_write)
    }

    fn at(tree: &PathTree, path: PathId, paths: &[PathId], next_write: &mut u16) -> Kept {
        let write = *next_write;
        *next_write += 1;
        let mut parts = Vec::new();
        if path == PathId::ROOT || !paths.contains(&path) {
            let children = tree.branch(path).children.iter();
            let leads = |child: &&PathId| paths.iter().any(|it| is_within(tree, *it, **child));
            for child in children.filter(leads) {
                parts.push(Kept::at(tree, *child, paths, next_write));
            }
        }
        Kept { path, segment: tree.path(path).segments.last().cloned(), parts, write }
    }

    /// What is kept at or below a child.
    pub(super) fn part(&self, child: PathId) -> Option<&Kept> {
        self.parts.iter().find(|part| part.path == child)
    }

    /// True if JSON holds something that is kept.
    pub(super) fn is_in(&self, json: &[u8]) -> bool {
        let mut parts = Parts::of(json).enumerate();
        self.parts.is_empty()
            || parts.any(|(index, part)| self.kept_of(json, &part, index).is_some())
    }

    /// Appends what is kept of JSON that holds something of it.
    pub(super) fn push(&self, out: &mut Vec<u8>, json: &[u8]) {
        if self.parts.is_empty() {
            return out.extend_from_slice(json);
        }
        let mut copier = Copier::new(out, json);
        for (index, part) in Parts::of(json).enumerate() {
            match self.kept_of(json, &part, index) {
                Some(kept) => {
                    copier.open(&part);
                    kept.push(copier.out, &json[part.value.clone()]);
                }
                None => copier.cut(&part),
            }
        }
        copier.end_parts();
        copier.copy_to(json.len());
    }

    /// By what a part is kept, if it is. Of doubles the last.
    fn kept_of(&self, json: &[u8], part: &Part, index: usize) -> Option<&Kept> {
        let is_it = |kept: &&Kept| match &kept.segment {
            Some(Segment::Name(name)) => part.is_named(json, name),
            Some(Segment::Index(at)) => *at == index && json[0] == b'[',
            None => false,
        };
        let kept = self.parts.iter().find(is_it)?;
        if let Some(Segment::Name(name)) = &kept.segment
            && Parts::of(json).any(|it| it.start > part.start && it.is_named(json, name))
        {
            return None;
        }
        kept.is_in(&json[part.value.clone()]).then_some(kept)
    }
}

fn is_within(tree: &PathTree, path: PathId, above: PathId) -> bool {
    std::iter::successors(Some(path), |at| tree.parent(*at)).any(|at| at == above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Path;

    fn kept(json: &str, paths: &[&str]) -> Option<String> {
        let mut tree = PathTree::new();
        let ids: Vec<_> = paths.iter().map(|path| tree.add(&Path::parse(path).unwrap())).collect();
        let kept = Kept::new(&tree, &ids, &mut 0);
        let mut out = Vec::new();
        kept.is_in(json.as_bytes()).then(|| kept.push(&mut out, json.as_bytes()))?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_is_named_stays_as_it_is_spelled() {
        let json = r#"{ "a" : 1.50, "b":{"c":[1, 2,{"d": 3, "e":4}]} , "f":null }"#;
        for (paths, expected) in [
            (&["a"][..], Some(r#"{ "a" : 1.50 }"#)),
            (&["f", "a"], Some(r#"{ "a" : 1.50, "f":null }"#)),
            (&["b.c[1]", "b.c[2].d"], Some(r#"{ "b":{"c":[2,{"d": 3}]} }"#)),
            (&["b", "b.c[0]"], Some(r#"{ "b":{"c":[1, 2,{"d": 3, "e":4}]} }"#)),
            (&["b.x", "f"], Some(r#"{ "f":null }"#)),
            (&["b.x", "a.y"], None),
        ] {
            assert_eq!(kept(json, paths).as_deref(), expected, "{paths:?}");
        }
        assert_eq!(kept(r#"{"a":{"x":1},"a":{"y":2}}"#, &["a.x"]), None);
        assert_eq!(kept(r#"{"a":1,"a":2}"#, &["a"]).as_deref(), Some(r#"{"a":2}"#));
    }
}
