//! Why an expression has no value for a record: small and `Copy`, put into words when needed.
//!
//! A fault is a value: `||`, `&&`, `?:` and the loops of `all` and `exists` may do without the part
//! that failed. So making one costs nothing, and the sentence is written for the rejected record
//! only.

use std::fmt;

use crate::{
    codec::PathId,
    pipeline::cel::Kind,
    verdict::{Awaited, RejectClass},
};

/// What failed, and where in the expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The offset in the expression, in bytes.
    pub at: u32,
    /// What is the matter.
    pub why: Why,
}

/// What is the matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A field, header, key or item is not there.
    Absent,
    /// The value at this path above is of a kind that has no such part.
    InsideOf(PathId, Kind),
    /// A value of this kind has no parts.
    NoParts(Kind),
    /// A list has no item of that number.
    NoItem(i64),
    /// The operator or function does not take a value of this kind.
    Takes(Kind),
    /// The operator or function does not take values of these kinds together.
    TakesBoth(Kind, Kind),
    /// The condition is of this kind.
    NoBool(Kind),
    /// A map cannot have a key of this kind.
    NoKey(Kind),
    /// A key stands twice in a map that was made.
    KeyTwice,
    /// A result past the range of this kind.
    Overflow(Kind),
    /// Division or modulus by zero.
    ByZero,
    /// A value of the first kind that is none of the second.
    Convert(Kind, Kind),
    /// Bytes that are no UTF-8.
    NotUtf8,
    /// Text has no character of that number.
    NoCharacter(i64),
    /// An end that is before the start.
    Range(i64, i64),
    /// A function's argument is outside of what it takes.
    Argument(&'static str),
    /// No time zone is named so.
    NoZone,
    /// Past the year 1 or 9999.
    OutOfTime,
    /// An optional value that is not there.
    NoValue,
    /// The expressions of this record make more than `limits::EXPRESSION_BYTES_MAX`.
    TooLarge,
    /// The loops of this record's expressions turn more than `limits::EXPRESSION_TURNS_MAX` times.
    TooLong,
    /// The name or function is not known; found at start unless that was not to be checked.
    Unknown,
    /// The kind of value cannot be JSON.
    NotJson,
    /// The table is older than allowed.
    Stale(usize),
    /// The table has been asked and did not answer in time.
    Late(usize),
    /// The table has been asked: the record is to be processed again.
    Wait(Awaited),
    /// The table's value is not what the table should hold.
    TableValueUnfit,
}

impl Why {
    /// At that place.
    #[inline]
    pub(super) fn at(self, at: u32) -> Fault {
        Fault { at, why: self }
    }

    /// The class of a record that is rejected over it. One that waits is not rejected.
    pub fn class(&self) -> RejectClass {
        match self {
            Why::Absent | Why::NoItem(_) => RejectClass::MissingField,
            Why::InsideOf(..) | Why::NoParts(_) | Why::TableValueUnfit | Why::NotJson => {
                RejectClass::WrongType
            }
            Why::Stale(_) => RejectClass::StaleTable,
            Why::Late(_) | Why::Wait(_) => RejectClass::LookupTimeout,
            _ => RejectClass::Expression,
        }
    }
}

/// Which of two faults an operator tells that could have done with either value: the left one,
/// unless the right one may still become a value.
pub(super) fn prefer(left: Fault, right: Fault) -> Fault {
    if matches!(right.why, Why::Wait(_)) { right } else { left }
}

impl fmt::Display for Why {
    /// Follows what it is about; `InsideOf` alone cannot name its path here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Why::Absent => f.write_str("is absent"),
            Why::InsideOf(_, kind) => write!(f, "cannot be: what is above it is {}", kind.name()),
            Why::NoParts(kind) => write!(f, "cannot be: {} has no such part", kind.name()),
            Why::NoItem(index) => write!(f, "is absent: there is no item {index}"),
            Why::Takes(kind) => write!(f, "does not take {}", kind.name()),
            Why::TakesBoth(one, other) => {
                write!(f, "does not take {} and {}", one.name(), other.name())
            }
            Why::NoBool(kind) => write!(f, "wants a boolean, not {}", kind.name()),
            Why::NoKey(kind) => write!(f, "cannot have {} as a key", kind.name()),
            Why::KeyTwice => f.write_str("has one key twice"),
            Why::Overflow(kind) => write!(f, "is past the range of {}", kind.name()),
            Why::ByZero => f.write_str("divides by zero"),
            Why::Convert(from, to) => {
                write!(f, "cannot make {} of this {}", to.name(), bare(from))
            }
            Why::NotUtf8 => f.write_str("is not UTF-8, and text is wanted"),
            Why::NoCharacter(index) => write!(f, "asks for character {index}, which is not there"),
            Why::Range(start, end) => write!(f, "ends at {end}, before it starts at {start}"),
            Why::Argument(what) => f.write_str(what),
            Why::NoZone => f.write_str("names no time zone that is known"),
            Why::OutOfTime => f.write_str("is not between the years 1 and 9999"),
            Why::NoValue => f.write_str("has no value"),
            Why::TooLarge => f.write_str("makes more bytes than one record may"),
            Why::TooLong => f.write_str("takes more turns of its loops than one record may"),
            Why::Unknown => f.write_str("is not known"),
            Why::NotJson => f.write_str("has no form in JSON"),
            Why::Stale(_) => f.write_str("asks a table that is too old"),
            Why::Late(_) => f.write_str("had no answer of its table in time"),
            Why::Wait(_) => f.write_str("waits for a table"),
            Why::TableValueUnfit => f.write_str(
                "leads to a value that is not of its table's kind (no UTF-8, or no JSON)",
            ),
        }
    }
}

fn bare(kind: Kind) -> &'static str {
    let name = kind.name();
    name.strip_prefix("a ").or(name.strip_prefix("an ")).unwrap_or(name)
}
