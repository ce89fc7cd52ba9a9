//! Why a step could not have a value, or could not write one; and that in words.
//!
//! A failure is small and `Copy`, because every evaluation returns one or a value. The sentence is
//! put together only for the record that is rejected.

use std::fmt;

use crate::{
    codec::{PathId, PathTree},
    pipeline::{
        cel::{self, Fault},
        evaluate::Kind,
        expression::{Expression, FIELDS, Field},
    },
    verdict::RejectClass,
};

/// Why there is no value that could be used. Small and `Copy`: put into words only when needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) class: RejectClass,
    pub(super) why: Why,
}

impl Failure {
    /// Of a program, at a place in it.
    pub(super) fn of_program(fault: Fault) -> Failure {
        Failure { class: fault.why.class(), why: Why::Program(fault) }
    }

    /// About the value of a program as a whole.
    pub(super) fn of_whole(why: cel::Why) -> Failure {
        Failure { class: why.class(), why: Why::Whole(why) }
    }
}

/// What is the matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It is not there.
    Absent,
    /// A parent is of a kind that has no such part.
    InsideOf(PathId, Kind),
    /// It is of a kind that cannot be used here.
    Unusable(Kind),
    /// It is neither true nor false.
    NoTruth(Kind),
    /// It is no list.
    NoList(Kind),
    /// It is not what is wanted, as a sentence names that.
    Unfit(Kind, &'static str),
    /// It is neither a timestamp nor a number.
    NoTime(Kind),
    /// A program has no value.
    Program(Fault),
    /// The value of a program cannot be used.
    Whole(cel::Why),
    /// These bytes must be text and are not UTF-8.
    NotText,
    /// A table's value is not what the table should hold.
    TableValueUnfit,
    /// It cannot be written: a parent is in the way.
    Parent(PathId),
    /// It cannot be written: a list is not extended.
    Item(PathId),
}

impl Why {
    pub(super) fn wrong_type(self) -> Failure {
        Failure { class: RejectClass::WrongType, why: self }
    }

    pub(super) fn missing(self) -> Failure {
        Failure { class: RejectClass::MissingField, why: self }
    }
}

/// Puts something into words for a rejection's reason.
pub(super) struct Shown<'a, T> {
    what: &'a T,
    tree: &'a PathTree,
}

impl Expression {
    pub(super) fn shown<'a>(&'a self, tree: &'a PathTree) -> Shown<'a, Expression> {
        Shown { what: self, tree }
    }
}

impl Why {
    pub(super) fn shown<'a>(&'a self, tree: &'a PathTree) -> Shown<'a, Why> {
        Shown { what: self, tree }
    }
}

impl fmt::Display for Shown<'_, Expression> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            Expression::Event(path) | Expression::Inside(path) => show_path(f, self.tree, *path),
            Expression::Record(Field::Header(name)) => write!(f, "record.headers[{name:?}]"),
            Expression::Record(field) => {
                let name = FIELDS.iter().find(|(_, it)| it == field).map_or("", |(name, _)| name);
                write!(f, "record.{name}")
            }
            Expression::Text(text) => write!(f, "{text:?}"),
            Expression::Program(program) => f.write_str(program.text()),
        }
    }
}

impl fmt::Display for Shown<'_, Why> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self.what {
            Why::Absent => f.write_str("is absent"),
            Why::InsideOf(parent, kind) => {
                f.write_str("cannot be: `")?;
                show_path(f, self.tree, parent)?;
                write!(f, "` is {}", kind.name())
            }
            Why::Unusable(kind) => write!(f, "is {}, which cannot be a key", kind.name()),
            Why::NoTruth(kind) => {
                write!(f, "is {}, and true or false is wanted", kind.name())
            }
            Why::NoList(kind) => write!(f, "is {}, and a list is wanted", kind.name()),
            Why::Unfit(kind, wanted) => write!(f, "is {}, and {wanted} is wanted", kind.name()),
            Why::NoTime(kind) => {
                write!(f, "is {}, and a timestamp or a number of ms is wanted", kind.name())
            }
            Why::Program(fault) => show_program_fault(f, self.tree, fault.why),
            Why::Whole(why) => show_program_fault(f, self.tree, why),
            Why::NotText => f.write_str("is not UTF-8, and text is wanted"),
            Why::TableValueUnfit => f.write_str(
                "leads to a value that is not of its table's kind (no UTF-8, or no JSON)",
            ),
            Why::Parent(parent) => {
                f.write_str("cannot be written: `")?;
                show_path(f, self.tree, parent)?;
                f.write_str("` is there and has no such part")
            }
            Why::Item(item) => {
                f.write_str("cannot be written: there is no `")?;
                show_path(f, self.tree, item)?;
                f.write_str("`, and a list is not extended")
            }
        }
    }
}

/// What is wrong about a program and where, for a rejection's reason.
pub(super) struct Placed<'a> {
    pub(super) program: &'a cel::Program,
    pub(super) fault: Fault,
    pub(super) tree: &'a PathTree,
}

impl fmt::Display for Placed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Placed { program, fault, tree } = *self;
        write!(f, "`{}` ", program.label(&fault))?;
        show_program_fault(f, tree, fault.why)?;
        let character = program.text()[..fault.at as usize].chars().count() + 1;
        write!(f, " (at character {character} of `{}`)", program.text())
    }
}

fn show_program_fault(f: &mut fmt::Formatter<'_>, tree: &PathTree, why: cel::Why) -> fmt::Result {
    match why {
        cel::Why::InsideOf(parent, kind) => {
            f.write_str("cannot be: `")?;
            show_path(f, tree, parent)?;
            write!(f, "` is {}", kind.name())
        }
        other => write!(f, "{other}"),
    }
}

fn show_path(f: &mut fmt::Formatter<'_>, tree: &PathTree, path: PathId) -> fmt::Result {
    let path = tree.path(path);
    write!(f, "event{}{path}", if path.starts_with_bracket() { "" } else { "." })
}
