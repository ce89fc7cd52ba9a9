//! What expressions of a pipeline can name: the event as the steps so far leave it, the record.
//!
//! Whether an earlier step may have written a path is decided here, at start, so that all other
//! paths are read from the tape without asking.

use crate::{
    codec::{Path, PathId, PathTree, Segment},
    pipeline::{
        cel::{Kind, Leaf, Named, Names},
        expression::{FIELDS, Field, Other},
    },
};

/// A path that a step writes.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) path: PathId,
    /// Where the step stands.
    pub(super) place: String,
    /// Whether what it writes may be an object or a list.
    pub(super) has_parts: bool,
}

/// What the expressions so far could name.
#[derive(Debug, Default)]
pub(super) struct Sights {
    pub(super) tree: PathTree,
    pub(super) tables: Vec<String>,
    /// What the steps have written so far.
    pub(super) written: Vec<Written>,
    pub(super) others: Vec<Other>,
    /// A step has removed what it did not name.
    pub(super) is_thinned: bool,
    /// Tables that expressions ask.
    pub(super) asked: Vec<usize>,
    /// All fields of the event as it is before the next step, where they are known.
    pub(super) fields: Option<Vec<String>>,
    /// False where no table can be asked.
    pub(super) has_tables: bool,
}

/// What most steps make of a path.
pub(super) const A_TEXT: &str = "a text, which has no fields";

impl Sights {
    /// What stands there from now on may be an object or a list that no tape knows.
    pub(super) fn may_hold_parts(&mut self, path: PathId) {
        self.written.push(Written { path, place: String::new(), has_parts: true });
    }

    /// What was written there, or below, may be gone, and what stood there, too.
    pub(super) fn may_be_gone(&mut self, path: PathId) {
        let Sights { tree, written, .. } = self;
        for it in written {
            let mut above = std::iter::successors(Some(it.path), |at| tree.parent(*at));
            it.has_parts |= above.any(|at| at == path);
        }
        if path != PathId::ROOT {
            self.may_hold_parts(path);
        }
    }

    /// The nearest path above that a step has written.
    pub(super) fn written_above(&self, path: PathId) -> Option<&Written> {
        let above = std::iter::successors(self.tree.parent(path), |at| self.tree.parent(*at));
        above.into_iter().find_map(|at| self.written.iter().rev().find(|it| it.path == at))
    }

    /// The sentence for a path below something that has no such part.
    pub(super) fn cannot_be(&self, path: PathId, what: &str) -> String {
        let Some(Written { path: at, place, .. }) = self.written_above(path) else {
            return String::new();
        };
        let (path, at) = (self.tree.path(path), self.tree.path(*at));
        format!("`{path}` cannot be: {place} makes `{at}` {what}")
    }

    fn other(&mut self, other: Other) -> Leaf {
        let known = self.others.iter().position(|it| *it == other);
        let number = known.unwrap_or_else(|| {
            self.others.push(other);
            self.others.len() - 1
        });
        Leaf::Other(number as u32)
    }

    fn event(&mut self, way: &[Segment]) -> Result<Leaf, String> {
        let path = self.tree.add(&Path { segments: way.to_vec() });
        self.check_field(way)?;
        if let Some(Written { has_parts, .. }) = self.written_above(path) {
            return match has_parts {
                true => Ok(self.other(Other::Inside(path))),
                false => Err(self.cannot_be(path, A_TEXT)),
            };
        }
        let is_touched = self.written.iter().any(|it| {
            let mut up = std::iter::successors(Some(it.path), |at| self.tree.parent(*at));
            up.any(|at| at == path)
        });
        Ok(if is_touched || self.is_thinned {
            self.other(Other::Touched(path))
        } else {
            Leaf::Event(path)
        })
    }

    /// Behind a window an event is its result, of which all fields are known.
    fn check_field(&self, way: &[Segment]) -> Result<(), String> {
        let (Some(fields), Some(first)) = (&self.fields, way.first()) else { return Ok(()) };
        let is_written = |it: &Written| self.tree.path(it.path).segments.first() == Some(first);
        let is_there = match first {
            Segment::Name(name) => fields.contains(name),
            Segment::Index(_) => false,
        };
        if is_there || self.written.iter().any(is_written) {
            return Ok(());
        }
        let path = Path { segments: vec![first.clone()] };
        Err(format!(
            "behind a window the event is its result, which has {} and no `{path}`",
            fields.join(", ")
        ))
    }

    fn record(&mut self, way: &[Segment]) -> Result<Option<Named>, String> {
        use Segment::Name;
        let (other, kind) = match way {
            [Name(headers)] if headers == "headers" => (Other::Headers, Some(Kind::Map)),
            [Name(headers), Name(name)] if headers == "headers" => {
                (Other::Field(Field::Header(name.as_str().into())), Some(Kind::Bytes))
            }
            [Name(name)] => {
                let Some((_, field)) = FIELDS.iter().find(|(it, _)| it == name) else {
                    return Err(no_field(name));
                };
                let kind = match field {
                    Field::Topic | Field::Id => Some(Kind::Text),
                    Field::Timestamp => Some(Kind::Timestamp),
                    // Numbers of the record may be mixed with others.
                    Field::Partition | Field::Offset => None,
                    _ => Some(Kind::Bytes),
                };
                (Other::Field(field.clone()), kind)
            }
            [] => return Err(format!("`record` stands for no value by itself: it has {KNOWN}")),
            _ => return Ok(None),
        };
        Ok(Some(Named { leaf: self.other(other), kind }))
    }
}

const KNOWN: &str = "value, key, topic, partition, offset, id, timestamp or headers[\"name\"]";

fn no_field(name: &str) -> String {
    let near = |it: &&(&str, Field)| (strsim::jaro(it.0, name) * 1e6) as u32;
    let near = FIELDS.iter().max_by_key(near).map_or("", |(it, _)| it);
    format!("`record` has no `{name}`, only {KNOWN}; did you mean `record.{near}`?")
}

impl Names for Sights {
    fn resolve(&mut self, way: &[Segment]) -> Result<Option<Named>, String> {
        match way {
            [Segment::Name(root), rest @ ..] if root == "event" => {
                Ok(Some(Named { leaf: self.event(rest)?, kind: None }))
            }
            [Segment::Name(root), rest @ ..] if root == "record" => self.record(rest),
            _ => Ok(None),
        }
    }

    fn known(&self) -> Vec<String> {
        vec!["event".to_owned(), "record".to_owned()]
    }

    fn table(&mut self, name: &str) -> Result<usize, String> {
        if !self.has_tables {
            return Err("no table can be asked here".to_owned());
        }
        let found = self.tables.iter().position(|table| table == name);
        self.asked.extend(found);
        found.ok_or_else(|| {
            let (wrong, hint) = no_table(&self.tables, name);
            format!("{wrong}; {hint}")
        })
    }
}

/// What is wrong about a table's name, and a hint.
pub(super) fn no_table(tables: &[String], name: &str) -> (String, String) {
    let distance = |table: &&String| strsim::levenshtein(table, name);
    let near = tables.iter().min_by_key(distance).filter(|it| distance(it) < 4);
    let hint = match near {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("a table is made by `[tables.{name}]`"),
    };
    (format!("there is no table named {name:?}"), hint)
}
