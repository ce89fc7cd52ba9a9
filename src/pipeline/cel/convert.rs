//! Values of one type made of values of another, as `int(x)` and its like do.

use std::fmt::Write;

use crate::pipeline::cel::{
    Arena, Kind, Time, Value,
    fault::Why,
    number::Shortest,
    time::{self, Seconds},
};

const INT_END: f64 = 9_223_372_036_854_775_808.0;
const UINT_END: f64 = 18_446_744_073_709_551_616.0;

pub(super) fn to_int(value: Value<'_>) -> Result<i64, Why> {
    let failed = Why::Convert(value.kind(), Kind::Int);
    match value {
        Value::Int(number, _) => Ok(number),
        Value::Uint(number, _) => number.try_into().map_err(|_| Why::Overflow(Kind::Int)),
        Value::Double(number, _) if number > -INT_END && number < INT_END => Ok(number as i64),
        Value::Double(..) => Err(Why::Overflow(Kind::Int)),
        Value::Text(text) => text.parse().map_err(|_| failed),
        Value::Timestamp(at) => Ok(at.seconds()),
        other => Err(Why::Takes(other.kind())),
    }
}

pub(super) fn to_uint(value: Value<'_>) -> Result<u64, Why> {
    let failed = Why::Convert(value.kind(), Kind::Uint);
    match value {
        Value::Int(number, _) => number.try_into().map_err(|_| Why::Overflow(Kind::Uint)),
        Value::Uint(number, _) => Ok(number),
        Value::Double(number, _) if number > -1.0 && number < UINT_END => Ok(number as u64),
        Value::Double(..) => Err(Why::Overflow(Kind::Uint)),
        Value::Text(text) => text.parse().map_err(|_| failed),
        other => Err(Why::Takes(other.kind())),
    }
}

pub(super) fn to_double(value: Value<'_>) -> Result<f64, Why> {
    let failed = Why::Convert(value.kind(), Kind::Double);
    match value {
        Value::Int(number, _) => Ok(number as f64),
        Value::Uint(number, _) => Ok(number as f64),
        Value::Double(number, _) => Ok(number),
        Value::Text(text) => text.parse().map_err(|_| failed),
        other => Err(Why::Takes(other.kind())),
    }
}

pub(super) fn to_bool(value: Value<'_>) -> Result<bool, Why> {
    match value {
        Value::Bool(truth) => Ok(truth),
        Value::Text("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Value::Text("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Value::Text(_) => Err(Why::Convert(Kind::Text, Kind::Bool)),
        other => Err(Why::Takes(other.kind())),
    }
}

pub(super) fn to_bytes(value: Value<'_>) -> Result<&[u8], Why> {
    match value {
        Value::Text(text) => Ok(text.as_bytes()),
        Value::Bytes(bytes) => Ok(bytes),
        other => Err(Why::Takes(other.kind())),
    }
}

pub(super) fn to_timestamp(value: Value<'_>) -> Result<Time, Why> {
    match value {
        Value::Timestamp(at) => Ok(at),
        Value::Int(seconds, _) => Time::from_seconds(seconds).ok_or(Why::OutOfTime),
        Value::Text(text) => Time::parse(text).ok_or(Why::Convert(Kind::Text, Kind::Timestamp)),
        other => Err(Why::Takes(other.kind())),
    }
}

pub(super) fn to_duration(value: Value<'_>) -> Result<i64, Why> {
    match value {
        Value::Duration(nanos) => Ok(nanos),
        Value::Text(text) => {
            time::parse_duration(text).ok_or(Why::Convert(Kind::Text, Kind::Duration))
        }
        other => Err(Why::Takes(other.kind())),
    }
}

/// An untouched number of the record keeps its spelling.
pub(super) fn to_text<'a>(value: Value<'a>, arena: &'a Arena) -> Result<&'a str, Why> {
    let mut room = arena.empty_text();
    // Writing to a text cannot fail.
    let _ = match value {
        Value::Text(text) => return Ok(text),
        Value::Bytes(bytes) => return std::str::from_utf8(bytes).map_err(|_| Why::NotUtf8),
        Value::Bool(truth) => return Ok(if truth { "true" } else { "false" }),
        Value::Int(_, origin) | Value::Uint(_, origin) | Value::Double(_, origin)
            if origin.spelling().is_some() =>
        {
            let spelling = origin.spelling().unwrap_or_default();
            return std::str::from_utf8(spelling).map_err(|_| Why::NotUtf8);
        }
        Value::Int(number, _) => {
            room.push_str(itoa::Buffer::new().format(number));
            Ok(())
        }
        Value::Uint(number, _) => {
            room.push_str(itoa::Buffer::new().format(number));
            Ok(())
        }
        Value::Double(number, _) => write!(room, "{}", Shortest(number)),
        Value::Timestamp(at) => write!(room, "{at}"),
        Value::Duration(nanos) => write!(room, "{}", Seconds(nanos)),
        other => return Err(Why::Takes(other.kind())),
    };
    Ok(room.into_bump_str())
}
