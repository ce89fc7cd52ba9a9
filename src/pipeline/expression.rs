//! Expressions and templates as a user writes them: read once at start.
//!
//! An expression is CEL. One that is nothing but a name, such as `event.a.b` or `record.key`, or a
//! text, is kept apart from others: its bytes are lent as they stand, without making a value of
//! them. What any of them comes to is `evaluate`'s.

use crate::{
    codec::PathId,
    pipeline::{
        cel::{self, CompileError, Constant, Leaf, Program},
        names::Sights,
    },
};

/// What a user wrote where a value is wanted.
#[derive(Debug)]
pub(super) enum Expression {
    /// The event or a part of it.
    Event(PathId),
    /// Something about the record.
    Record(Field),
    /// A part of what a step may have written, which no tape knows.
    Inside(PathId),
    /// A text.
    Text(Box<str>),
    /// Anything else.
    Program(Box<Program>),
}

/// What a record knows beside its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Value,
    Key,
    Topic,
    Partition,
    Offset,
    Id,
    Timestamp,
    /// The last header of that name.
    Header(Box<str>),
}

pub(super) const FIELDS: [(&str, Field); 7] = [
    ("value", Field::Value),
    ("key", Field::Key),
    ("topic", Field::Topic),
    ("partition", Field::Partition),
    ("offset", Field::Offset),
    ("id", Field::Id),
    ("timestamp", Field::Timestamp),
];

/// What a program may name beside paths that no step has written; `Leaf::Other` is its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Other {
    /// A path that an earlier step wrote, or below which one did.
    Touched(PathId),
    /// A part of what an earlier step may have written.
    Inside(PathId),
    Field(Field),
    /// All headers.
    Headers,
}

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Piece {
    Literal(Box<str>),
    Hole(Expression),
}

/// Compiles an expression; `others` are what its names stand for, as `names` numbers them.
pub(super) fn compile(text: &str, names: &mut Sights) -> Result<Expression, CompileError> {
    let program = cel::compile(text, names)?;
    if let Some(Constant::Text(text)) = program.constant() {
        return Ok(Expression::Text(text.clone()));
    }
    Ok(match program.leaf() {
        Some(Leaf::Event(path)) => Expression::Event(path),
        Some(Leaf::Other(number)) => match &names.others[number as usize] {
            Other::Touched(path) => Expression::Event(*path),
            Other::Inside(path) => Expression::Inside(*path),
            Other::Field(field) => Expression::Record(field.clone()),
            Other::Headers => Expression::Program(Box::new(program)),
        },
        None => Expression::Program(Box::new(program)),
    })
}
