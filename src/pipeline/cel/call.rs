//! A function and the values it was given.

use base64::{Engine, engine::general_purpose};
use jiff::tz::TimeZone;

pub(super) use crate::pipeline::cel::functions::Function;
use crate::{
    config::settings::HashAlgorithm,
    pipeline::{
        cel::{
            Arena, Kind, Origin, Value, convert, evaluate::time_part, fault::Why, number, text,
            time,
        },
        hash,
    },
};

/// What the function gives.
pub(super) fn call<'a>(
    function: Function,
    arguments: &[Value<'a>],
    arena: &'a Arena,
) -> Result<Value<'a>, Why> {
    use Function as F;
    match (function, arguments) {
        (F::Greatest | F::Least, values) => number::extreme(function, values, arena),
        (F::OptionalNone, []) => Ok(Value::Optional(None)),
        (_, [one]) => of_one(function, *one, arena),
        (_, [one, other]) => of_two(function, *one, *other, arena),
        (_, [first, second, third]) => of_three(function, [*first, *second, *third], arena),
        (
            F::Replace,
            [Value::Text(text), Value::Text(part), Value::Text(by), Value::Int(limit, _)],
        ) => text::replace(text, (part, by), *limit, arena).map(Value::Text),
        _ => Err(refused(arguments)),
    }
}

fn refused(arguments: &[Value<'_>]) -> Why {
    match arguments {
        [one] => Why::Takes(one.kind()),
        [one, other, ..] => Why::TakesBoth(one.kind(), other.kind()),
        [] => Why::Argument("wants an argument"),
    }
}

fn of_one<'a>(function: Function, value: Value<'a>, arena: &'a Arena) -> Result<Value<'a>, Why> {
    use Function as F;
    Ok(match (function, value) {
        (F::Size, _) => return size(value, arena),
        (F::ToInt, _) => Value::int(convert::to_int(value)?),
        (F::ToUint, _) => Value::Uint(convert::to_uint(value)?, Origin::Program),
        (F::ToDouble, _) => Value::Double(convert::to_double(value)?, Origin::Program),
        (F::ToText, _) => Value::Text(convert::to_text(value, arena)?),
        (F::ToBytes, _) => Value::Bytes(convert::to_bytes(value)?),
        (F::ToBool, _) => Value::Bool(convert::to_bool(value)?),
        (F::ToTimestamp, _) => Value::Timestamp(convert::to_timestamp(value)?),
        (F::ToDuration, _) => Value::Duration(convert::to_duration(value)?),
        (F::TypeOf, _) => Value::Type(value.kind()),
        (F::Dyn, _) => value,
        (F::TimePart(part), _) => Value::int(time_part(value, part, None)?),
        (F::LowerAscii, Value::Text(it)) => Value::Text(text::in_case(it, false, arena)?),
        (F::UpperAscii, Value::Text(it)) => Value::Text(text::in_case(it, true, arena)?),
        (F::Trim, Value::Text(it)) => Value::Text(it.trim()),
        (F::Join, Value::List(list)) => Value::Text(text::join(list, "", arena)?),
        (F::Quote, Value::Text(it)) => Value::Text(text::quote(it, arena)?),
        (F::Reverse, Value::Text(it)) => Value::Text(text::reverse(it, arena)?),
        (F::Ceil | F::Floor | F::Round | F::Trunc | F::IsNan | F::IsInf | F::IsFinite, _) => {
            return number::of_double(function, value);
        }
        (F::Sqrt, _) => return number::sqrt(value),
        (F::Abs, _) => return number::abs(value),
        (F::Sign, _) => return number::sign(value),
        (F::BitNot, _) => return number::bit_not(value),
        (F::Base64Encode, _) => Value::Text(encode(convert::to_bytes(value)?, arena)?),
        (F::Base64Decode, Value::Text(it)) => Value::Bytes(decode(it, arena)?),
        (F::Hash(algorithm), _) => {
            Value::Text(digest(algorithm, convert::to_bytes(value)?, arena)?)
        }
        (F::OptionalOf, _) => Value::Optional(Some(arena.keep(value))),
        (F::OptionalOfNonZero, _) => {
            Value::Optional(if is_zero(value, arena)? { None } else { Some(arena.keep(value)) })
        }
        (F::HasValue, Value::Optional(it)) => Value::Bool(it.is_some()),
        (F::OptionalValue, Value::Optional(it)) => *it.ok_or(Why::NoValue)?,
        _ => return Err(Why::Takes(value.kind())),
    })
}

fn of_two<'a>(
    function: Function,
    one: Value<'a>,
    other: Value<'a>,
    arena: &'a Arena,
) -> Result<Value<'a>, Why> {
    use Function as F;
    use Value::{Int, Text};
    Ok(match (function, one, other) {
        (F::Contains, Text(it), Text(part)) => Value::Bool(it.contains(part)),
        (F::StartsWith, Text(it), Text(part)) => Value::Bool(it.starts_with(part)),
        (F::EndsWith, Text(it), Text(part)) => Value::Bool(it.ends_with(part)),
        (F::CharAt, Text(it), Int(index, _)) => Text(text::char_at(it, index)?),
        (F::IndexOf, Text(it), Text(part)) => Value::int(text::index_of(it, part, 0)?),
        (F::LastIndexOf, Text(it), Text(part)) => Value::int(text::last_index_of(it, part, None)?),
        (F::Substring, Text(it), Int(start, _)) => Text(text::substring(it, start, None)?),
        (F::Split, Text(it), Text(by)) => Value::List(text::split(it, by, -1, arena)?),
        (F::Join, Value::List(list), Text(by)) => Text(text::join(list, by, arena)?),
        (F::TimePart(_), _, Text(name)) => {
            // A name that is no constant is looked up in jiff's cache of zones.
            return in_zone(function, one, &time::zone(name).ok_or(Why::NoZone)?);
        }
        (F::BitAnd | F::BitOr | F::BitXor | F::BitShiftLeft | F::BitShiftRight, _, _) => {
            return number::bits(function, one, other);
        }
        _ => return Err(Why::TakesBoth(one.kind(), other.kind())),
    })
}

fn of_three<'a>(
    function: Function,
    arguments: [Value<'a>; 3],
    arena: &'a Arena,
) -> Result<Value<'a>, Why> {
    use Function as F;
    use Value::{Int, Text};
    Ok(match (function, arguments) {
        (F::IndexOf, [Text(it), Text(part), Int(from, _)]) => {
            Value::int(text::index_of(it, part, from)?)
        }
        (F::LastIndexOf, [Text(it), Text(part), Int(from, _)]) => {
            Value::int(text::last_index_of(it, part, Some(from))?)
        }
        (F::Replace, [Text(it), Text(part), Text(by)]) => {
            Text(text::replace(it, (part, by), -1, arena)?)
        }
        (F::Split, [Text(it), Text(by), Int(limit, _)]) => {
            Value::List(text::split(it, by, limit, arena)?)
        }
        (F::Substring, [Text(it), Int(start, _), Int(end, _)]) => {
            Text(text::substring(it, start, Some(end))?)
        }
        _ => return Err(refused(&arguments)),
    })
}

/// A part of a time, where the zone is known.
pub(super) fn in_zone<'a>(
    function: Function,
    value: Value<'a>,
    zone: &TimeZone,
) -> Result<Value<'a>, Why> {
    match function {
        Function::TimePart(part) => Ok(Value::int(time_part(value, part, Some(zone))?)),
        _ => Err(Why::Takes(value.kind())),
    }
}

fn size<'a>(value: Value<'a>, arena: &'a Arena) -> Result<Value<'a>, Why> {
    Ok(Value::int(match value {
        Value::Text(it) => text::length(it),
        Value::Bytes(bytes) => bytes.len() as i64,
        Value::List(list) => list.len() as i64,
        Value::Map(map) => map.len(arena)? as i64,
        other => return Err(Why::Takes(other.kind())),
    }))
}

fn is_zero<'a>(value: Value<'a>, arena: &'a Arena) -> Result<bool, Why> {
    Ok(match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Int(number, _) => number == 0,
        Value::Uint(number, _) => number == 0,
        Value::Double(number, _) => number == 0.0,
        Value::Text(it) => it.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::Timestamp(at) => at.nanos() == 0,
        Value::Duration(nanos) => nanos == 0,
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.len(arena)? == 0,
        Value::Optional(it) => it.is_none(),
        Value::Type(_) => false,
    })
}

fn encode<'a>(bytes: &[u8], arena: &'a Arena) -> Result<&'a str, Why> {
    let room = bytes.len().div_ceil(3).saturating_mul(4);
    let mut made = arena.vector(room)?;
    made.resize(room, 0);
    let length = general_purpose::STANDARD.encode_slice(bytes, &mut made);
    made.truncate(length.map_err(|_| Why::TooLarge)?);
    std::str::from_utf8(made.into_bump_slice()).map_err(|_| Why::NotUtf8)
}

/// With or without the padding at the end.
fn decode<'a>(text: &str, arena: &'a Arena) -> Result<&'a [u8], Why> {
    let text = text.trim_end_matches('=');
    let mut made = arena.vector(base64::decoded_len_estimate(text.len()))?;
    made.resize(made.capacity(), 0);
    let length = general_purpose::STANDARD_NO_PAD.decode_slice(text, &mut made);
    made.truncate(length.map_err(|_| Why::Convert(Kind::Text, Kind::Bytes))?);
    Ok(made.into_bump_slice())
}

fn digest<'a>(algorithm: HashAlgorithm, bytes: &[u8], arena: &'a Arena) -> Result<&'a str, Why> {
    hash::with_digest(algorithm, bytes, |digest| {
        arena.claim(digest.len())?;
        std::str::from_utf8(arena.keep_bytes(digest)).map_err(|_| Why::NotUtf8)
    })
}
