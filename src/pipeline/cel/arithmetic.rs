//! `+ - * / %` and the sign, as CEL has them: integers overflow into a fault, never around.
//!
//! Where the types of two numbers differ and one of them comes from the record, both become
//! doubles: in JSON `12` and `12.0` are one field's values. That is the one departure from CEL,
//! which refuses. Two numbers of the expression itself are refused as well.

use crate::pipeline::cel::{Arena, Kind, Origin, Time, Value, fault::Why, list::List};

/// An operator between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// The value of `left sign right`.
#[inline]
pub(super) fn apply<'a>(
    sign: Sign,
    left: Value<'a>,
    right: Value<'a>,
    arena: &'a Arena,
) -> Result<Value<'a>, Why> {
    match (left, right) {
        (Value::Int(one, a), Value::Int(other, b)) => {
            Ok(Value::Int(ints(sign, one, other)?, a.with(b)))
        }
        (Value::Uint(one, a), Value::Uint(other, b)) => {
            Ok(Value::Uint(uints(sign, one, other)?, a.with(b)))
        }
        (Value::Double(one, a), Value::Double(other, b)) => {
            Ok(Value::Double(doubles(sign, one, other)?, a.with(b)))
        }
        _ => mixed(sign, left, right, arena),
    }
}

fn ints(sign: Sign, left: i64, right: i64) -> Result<i64, Why> {
    if right == 0 && matches!(sign, Sign::Divide | Sign::Remainder) {
        return Err(Why::ByZero);
    }
    let result = match sign {
        Sign::Add => left.checked_add(right),
        Sign::Subtract => left.checked_sub(right),
        Sign::Multiply => left.checked_mul(right),
        Sign::Divide => left.checked_div(right),
        Sign::Remainder => left.checked_rem(right),
    };
    result.ok_or(Why::Overflow(Kind::Int))
}

fn uints(sign: Sign, left: u64, right: u64) -> Result<u64, Why> {
    if right == 0 && matches!(sign, Sign::Divide | Sign::Remainder) {
        return Err(Why::ByZero);
    }
    let result = match sign {
        Sign::Add => left.checked_add(right),
        Sign::Subtract => left.checked_sub(right),
        Sign::Multiply => left.checked_mul(right),
        Sign::Divide => left.checked_div(right),
        Sign::Remainder => left.checked_rem(right),
    };
    result.ok_or(Why::Overflow(Kind::Uint))
}

fn doubles(sign: Sign, left: f64, right: f64) -> Result<f64, Why> {
    Ok(match sign {
        Sign::Add => left + right,
        Sign::Subtract => left - right,
        Sign::Multiply => left * right,
        Sign::Divide => left / right,
        Sign::Remainder => return Err(Why::TakesBoth(Kind::Double, Kind::Double)),
    })
}

#[inline(never)]
fn mixed<'a>(
    sign: Sign,
    left: Value<'a>,
    right: Value<'a>,
    arena: &'a Arena,
) -> Result<Value<'a>, Why> {
    use Sign::{Add, Subtract};
    use Value::{Bytes, Duration, List, Text, Timestamp};
    Ok(match (sign, left, right) {
        (Add, Text(left), Text(right)) => Text(arena.join(left, right)?),
        (Add, Bytes(left), Bytes(right)) => {
            let mut bytes = arena.vector(left.len() + right.len())?;
            bytes.extend_from_slice_copy(left);
            bytes.extend_from_slice_copy(right);
            Bytes(bytes.into_bump_slice())
        }
        (Add, List(left), List(right)) => List(joined(left, right, arena)?),
        (Add, Timestamp(at), Duration(by)) | (Add, Duration(by), Timestamp(at)) => {
            Timestamp(moved(at, by.into())?)
        }
        (Subtract, Timestamp(at), Duration(by)) => Timestamp(moved(at, -i128::from(by))?),
        (Subtract, Timestamp(left), Timestamp(right)) => Duration(between(left, right)?),
        (Add, Duration(left), Duration(right)) => Duration(range(left.checked_add(right))?),
        (Subtract, Duration(left), Duration(right)) => Duration(range(left.checked_sub(right))?),
        _ => return promoted(sign, left, right),
    })
}

fn promoted<'a>(sign: Sign, left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Why> {
    let refused = Why::TakesBoth(left.kind(), right.kind());
    let (Some((one, a)), Some((other, b))) = (as_double(left), as_double(right)) else {
        return Err(refused);
    };
    if !a.is_record() && !b.is_record() {
        return Err(refused);
    }
    Ok(Value::Double(doubles(sign, one, other).map_err(|_| refused)?, Origin::Record))
}

fn as_double(value: Value<'_>) -> Option<(f64, Origin<'_>)> {
    match value {
        Value::Int(number, origin) => Some((number as f64, origin)),
        Value::Uint(number, origin) => Some((number as f64, origin)),
        Value::Double(number, origin) => Some((number, origin)),
        _ => None,
    }
}

fn joined<'a>(left: List<'a>, right: List<'a>, arena: &'a Arena) -> Result<List<'a>, Why> {
    let (left, right) = (left.items(arena)?, right.items(arena)?);
    let mut items = arena.vector(left.len() + right.len())?;
    items.extend_from_slice_copy(left);
    items.extend_from_slice_copy(right);
    Ok(List::Made(items.into_bump_slice()))
}

fn range(nanos: Option<i64>) -> Result<i64, Why> {
    nanos.ok_or(Why::Overflow(Kind::Duration))
}

fn moved(at: Time, nanos: i128) -> Result<Time, Why> {
    Time::from_nanos(at.nanos() + nanos).ok_or(Why::OutOfTime)
}

fn between(left: Time, right: Time) -> Result<i64, Why> {
    range(i64::try_from(left.nanos() - right.nanos()).ok())
}

/// The value of `-value`.
pub(super) fn negate(value: Value<'_>) -> Result<Value<'_>, Why> {
    match value {
        Value::Int(number, origin) => {
            let negated = number.checked_neg().ok_or(Why::Overflow(Kind::Int))?;
            Ok(Value::Int(negated, origin.with(Origin::Program)))
        }
        Value::Double(number, origin) => Ok(Value::Double(-number, origin.with(Origin::Program))),
        other => Err(Why::Takes(other.kind())),
    }
}
