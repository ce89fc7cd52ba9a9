//! A value of an expression: small, `Copy`, and borrowed from wherever it stands.
//!
//! Text, lists and objects are lent by the record's tape, by JSON that a step wrote, by the program
//! or by the arena, so that reading one copies nothing. A number knows whether it comes from the
//! record: then it may be mixed with numbers of other types, and as text it keeps its spelling.
//!
//! What this does not do: compute. Operators and functions stand in files of their own.

use crate::{
    codec::{self, Event, Node},
    pipeline::cel::{Arena, Time, list::List, map::Map},
};

/// A value; what CEL calls a dynamic one.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// JSON's null, which is not an absent field.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed integer of 64 bits.
    Int(i64, Origin<'a>),
    /// An unsigned integer of 64 bits.
    Uint(u64, Origin<'a>),
    /// A floating-point number of 64 bits.
    Double(f64, Origin<'a>),
    /// Text in UTF-8; CEL calls it a string.
    Text(&'a str),
    /// Bytes, such as a record's key.
    Bytes(&'a [u8]),
    /// A point in time, from year 1 to 9999.
    Timestamp(Time),
    /// A length of time in nanoseconds.
    Duration(i64),
    /// The type of some value.
    Type(Kind),
    /// A list.
    List(List<'a>),
    /// A map; JSON's object is one.
    Map(Map<'a>),
    /// What may be there or not, as `a.?b` gives it.
    Optional(Option<&'a Value<'a>>),
}

/// Where a number comes from.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// From the expression itself, or from a function.
    Program,
    /// Computed with a number from the record.
    Record,
    /// The record's own, at that node of its tape.
    Tape(&'a Event<'a>, Node),
    /// Spelled so in JSON that a step or a table wrote.
    Json(&'a &'a [u8]),
}

impl<'a> Origin<'a> {
    /// True if the number has anything to do with the record.
    #[inline]
    pub fn is_record(self) -> bool {
        !matches!(self, Origin::Program)
    }

    /// The origin of what is computed of two numbers.
    #[inline]
    pub(super) fn with(self, other: Origin<'_>) -> Origin<'a> {
        if self.is_record() || other.is_record() { Origin::Record } else { Origin::Program }
    }

    /// The number as the record spells it; nothing if it was computed.
    #[inline]
    pub fn spelling(self) -> Option<&'a [u8]> {
        match self {
            Origin::Program | Origin::Record => None,
            Origin::Tape(event, node) => Some(&event.input()[event.span(node)]),
            Origin::Json(spelling) => Some(spelling),
        }
    }
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null_type`.
    Null,
    /// `bool`.
    Bool,
    /// `int`.
    Int,
    /// `uint`.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    Text,
    /// `bytes`.
    Bytes,
    /// `google.protobuf.Timestamp`.
    Timestamp,
    /// `google.protobuf.Duration`.
    Duration,
    /// `type`.
    Type,
    /// `list`.
    List,
    /// `map`.
    Map,
    /// `optional_type`.
    Optional,
}

impl Kind {
    /// All types.
    pub const ALL: [Kind; 13] = [
        Kind::Null,
        Kind::Bool,
        Kind::Int,
        Kind::Uint,
        Kind::Double,
        Kind::Text,
        Kind::Bytes,
        Kind::Timestamp,
        Kind::Duration,
        Kind::Type,
        Kind::List,
        Kind::Map,
        Kind::Optional,
    ];

    /// The name in expressions.
    pub fn cel_name(self) -> &'static str {
        match self {
            Kind::Null => "null_type",
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Uint => "uint",
            Kind::Double => "double",
            Kind::Text => "string",
            Kind::Bytes => "bytes",
            Kind::Timestamp => "google.protobuf.Timestamp",
            Kind::Duration => "google.protobuf.Duration",
            Kind::Type => "type",
            Kind::List => "list",
            Kind::Map => "map",
            Kind::Optional => "optional_type",
        }
    }

    /// As a sentence names a value of it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Bool => "a boolean",
            Kind::Int => "an int",
            Kind::Uint => "a uint",
            Kind::Double => "a double",
            Kind::Text => "text",
            Kind::Bytes => "bytes",
            Kind::Timestamp => "a timestamp",
            Kind::Duration => "a duration",
            Kind::Type => "a type",
            Kind::List => "a list",
            Kind::Map => "an object",
            Kind::Optional => "an optional value",
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Kind::Int | Kind::Uint | Kind::Double)
    }
}

impl<'a> Value<'a> {
    /// An integer of the program.
    pub(super) fn int(number: i64) -> Value<'a> {
        Value::Int(number, Origin::Program)
    }

    /// What stands at a node of the tape.
    #[inline(always)]
    pub fn of_node(event: &'a Event<'a>, node: Node) -> Value<'a> {
        let origin = Origin::Tape(event, node);
        match event.value(node) {
            codec::Value::Text(text) => Value::Text(text),
            codec::Value::Signed(number) => Value::Int(number, origin),
            codec::Value::Unsigned(number) => match i64::try_from(number) {
                Ok(number) => Value::Int(number, origin),
                Err(_) => Value::Uint(number, origin),
            },
            codec::Value::Float(number) => Value::Double(number, origin),
            codec::Value::Bool(truth) => Value::Bool(truth),
            codec::Value::Null => Value::Null,
            codec::Value::Object(_) => Value::Map(Map::Tape(event, node)),
            codec::Value::List(_) => Value::List(List::Tape(event, node)),
        }
    }

    /// What a piece of JSON spells, without white space around it; it was checked before.
    pub fn of_json(json: &'a [u8], arena: &'a Arena) -> Value<'a> {
        match json.first() {
            Some(b'{') => Value::Map(Map::Json(json)),
            Some(b'[') => Value::List(List::Json(json)),
            Some(b'"') => Value::Text(arena.unescape(json)),
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'n') | None => Value::Null,
            Some(_) => number(json, arena),
        }
    }

    /// Its type.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Bool,
            Value::Int(..) => Kind::Int,
            Value::Uint(..) => Kind::Uint,
            Value::Double(..) => Kind::Double,
            Value::Text(_) => Kind::Text,
            Value::Bytes(_) => Kind::Bytes,
            Value::Timestamp(_) => Kind::Timestamp,
            Value::Duration(_) => Kind::Duration,
            Value::Type(_) => Kind::Type,
            Value::List(_) => Kind::List,
            Value::Map(_) => Kind::Map,
            Value::Optional(_) => Kind::Optional,
        }
    }
}

fn number<'a>(json: &'a [u8], arena: &'a Arena) -> Value<'a> {
    let origin = Origin::Json(arena.keep(json));
    let text = std::str::from_utf8(json).unwrap_or_default();
    if let Ok(number) = text.parse() {
        Value::Int(number, origin)
    } else if let Ok(number) = text.parse() {
        Value::Uint(number, origin)
    } else {
        Value::Double(text.parse().unwrap_or(f64::NAN), origin)
    }
}
