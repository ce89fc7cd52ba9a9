//! Values that stand in the expression itself, or were computed of such at start.

use crate::pipeline::cel::{Arena, Kind, Time, Value, fault::Why, list::List, map::Map};

/// A value that the program owns.
#[derive(Clone, Debug)]
pub enum Constant {
    /// Null.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A floating-point number.
    Double(f64),
    /// Text.
    Text(Box<str>),
    /// Bytes.
    Bytes(Box<[u8]>),
    /// A point in time.
    Timestamp(Time),
    /// Nanoseconds.
    Duration(i64),
    /// A type.
    Type(Kind),
    /// A list of such.
    List(Box<[Constant]>),
    /// A map of such.
    Map(Box<[(Constant, Constant)]>),
}

impl Constant {
    /// As a value that is lent.
    #[inline]
    pub fn value(&self) -> Value<'_> {
        use super::Origin::Program;
        match self {
            Constant::Null => Value::Null,
            Constant::Bool(truth) => Value::Bool(*truth),
            Constant::Int(number) => Value::Int(*number, Program),
            Constant::Uint(number) => Value::Uint(*number, Program),
            Constant::Double(number) => Value::Double(*number, Program),
            Constant::Text(text) => Value::Text(text),
            Constant::Bytes(bytes) => Value::Bytes(bytes),
            Constant::Timestamp(at) => Value::Timestamp(*at),
            Constant::Duration(nanos) => Value::Duration(*nanos),
            Constant::Type(kind) => Value::Type(*kind),
            Constant::List(items) => Value::List(List::Constant(items)),
            Constant::Map(entries) => Value::Map(Map::Constant(entries)),
        }
    }

    /// A copy of a value; nothing of one that no program can own.
    pub(super) fn of(value: &Value<'_>, arena: &Arena) -> Result<Option<Constant>, Why> {
        Ok(Some(match *value {
            Value::Null => Constant::Null,
            Value::Bool(truth) => Constant::Bool(truth),
            Value::Int(number, _) => Constant::Int(number),
            Value::Uint(number, _) => Constant::Uint(number),
            Value::Double(number, _) => Constant::Double(number),
            Value::Text(text) => Constant::Text(text.into()),
            Value::Bytes(bytes) => Constant::Bytes(bytes.into()),
            Value::Timestamp(at) => Constant::Timestamp(at),
            Value::Duration(nanos) => Constant::Duration(nanos),
            Value::Type(kind) => Constant::Type(kind),
            Value::Optional(_) => return Ok(None),
            Value::List(list) => {
                let items = list.items(arena)?.iter().map(|item| Constant::of(item, arena));
                let items: Option<_> = items.collect::<Result<_, _>>()?;
                return Ok(items.map(Constant::List));
            }
            Value::Map(map) => {
                let entries = map.entries(arena)?.iter().map(|(key, value)| {
                    Ok(Constant::of(key, arena)?.zip(Constant::of(value, arena)?))
                });
                let entries: Option<_> = entries.collect::<Result<_, _>>()?;
                return Ok(entries.map(Constant::Map));
            }
        }))
    }
}
