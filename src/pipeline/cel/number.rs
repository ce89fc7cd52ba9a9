//! Functions of numbers: the `math` extension, and numbers as text.

use std::{cmp::Ordering, fmt};

use crate::pipeline::cel::{Arena, Kind, Origin, Value, equal, fault::Why, functions::Function};

/// The greatest or least of some numbers, the first of equals.
pub(super) fn extreme<'a>(
    function: Function,
    values: &[Value<'a>],
    arena: &'a Arena,
) -> Result<Value<'a>, Why> {
    let wanted = match function {
        Function::Greatest => Ordering::Greater,
        _ => Ordering::Less,
    };
    if let [Value::List(list)] = values {
        let items = list.items(arena)?;
        return best(items, wanted);
    }
    best(values, wanted)
}

fn best<'a>(values: &[Value<'a>], wanted: Ordering) -> Result<Value<'a>, Why> {
    let Some((first, rest)) = values.split_first() else {
        return Err(Why::Argument("wants at least one number"));
    };
    let mut best = *first;
    if !best.kind().is_number() {
        return Err(Why::Takes(best.kind()));
    }
    for value in rest {
        let order = equal::numbers(value, &best).ok_or(Why::Takes(value.kind()))?;
        if order == Some(wanted) {
            best = *value;
        }
    }
    Ok(best)
}

/// A function of one double that gives a double.
pub(super) fn of_double<'a>(function: Function, value: Value<'a>) -> Result<Value<'a>, Why> {
    let (number, origin) = match value {
        Value::Double(number, origin) => (number, origin),
        // A whole number of the record is one that was spelled without a fraction.
        Value::Int(number, origin) if origin.is_record() => (number as f64, origin),
        Value::Uint(number, origin) if origin.is_record() => (number as f64, origin),
        other => return Err(Why::Takes(other.kind())),
    };
    let result = match function {
        Function::Ceil => number.ceil(),
        Function::Floor => number.floor(),
        Function::Round => number.round(),
        Function::Trunc => number.trunc(),
        Function::IsNan => return Ok(Value::Bool(number.is_nan())),
        Function::IsInf => return Ok(Value::Bool(number.is_infinite())),
        _ => return Ok(Value::Bool(number.is_finite())),
    };
    Ok(Value::Double(result, origin.with(Origin::Program)))
}

pub(super) fn sqrt(value: Value<'_>) -> Result<Value<'_>, Why> {
    let (number, origin) = match value {
        Value::Double(number, origin) => (number, origin),
        Value::Int(number, origin) => (number as f64, origin),
        Value::Uint(number, origin) => (number as f64, origin),
        other => return Err(Why::Takes(other.kind())),
    };
    Ok(Value::Double(number.sqrt(), origin.with(Origin::Program)))
}

pub(super) fn abs(value: Value<'_>) -> Result<Value<'_>, Why> {
    Ok(match value {
        Value::Int(number, origin) => {
            let number = number.checked_abs().ok_or(Why::Overflow(Kind::Int))?;
            Value::Int(number, origin.with(Origin::Program))
        }
        Value::Uint(number, origin) => Value::Uint(number, origin.with(Origin::Program)),
        Value::Double(number, origin) => Value::Double(number.abs(), origin.with(Origin::Program)),
        other => return Err(Why::Takes(other.kind())),
    })
}

pub(super) fn sign(value: Value<'_>) -> Result<Value<'_>, Why> {
    Ok(match value {
        Value::Int(number, origin) => Value::Int(number.signum(), origin.with(Origin::Program)),
        Value::Uint(number, origin) => Value::Uint(number.min(1), origin.with(Origin::Program)),
        Value::Double(number, origin) => {
            let sign = if number == 0.0 || number.is_nan() { number } else { number.signum() };
            Value::Double(sign, origin.with(Origin::Program))
        }
        other => return Err(Why::Takes(other.kind())),
    })
}

/// `bitAnd`, `bitOr`, `bitXor` and the shifts.
pub(super) fn bits<'a>(
    function: Function,
    left: Value<'a>,
    right: Value<'a>,
) -> Result<Value<'a>, Why> {
    match (left, right) {
        (Value::Int(one, a), Value::Int(other, b)) => {
            let result = match function {
                Function::BitAnd => one & other,
                Function::BitOr => one | other,
                Function::BitXor => one ^ other,
                // As if there were no sign: what comes in from the left is zero.
                _ => shifted(function, one as u64, other)? as i64,
            };
            Ok(Value::Int(result, a.with(b)))
        }
        (Value::Uint(one, a), Value::Uint(other, b)) => {
            let result = match function {
                Function::BitAnd => one & other,
                Function::BitOr => one | other,
                Function::BitXor => one ^ other,
                _ => return Err(Why::TakesBoth(left.kind(), right.kind())),
            };
            Ok(Value::Uint(result, a.with(b)))
        }
        (Value::Uint(one, a), Value::Int(other, b))
            if matches!(function, Function::BitShiftLeft | Function::BitShiftRight) =>
        {
            Ok(Value::Uint(shifted(function, one, other)?, a.with(b)))
        }
        _ => Err(Why::TakesBoth(left.kind(), right.kind())),
    }
}

fn shifted(function: Function, number: u64, by: i64) -> Result<u64, Why> {
    let by = u32::try_from(by.min(64)).map_err(|_| Why::Argument("shifts by less than nothing"))?;
    let result = match function {
        Function::BitShiftLeft => number.checked_shl(by),
        _ => number.checked_shr(by),
    };
    Ok(result.unwrap_or(0))
}

pub(super) fn bit_not(value: Value<'_>) -> Result<Value<'_>, Why> {
    Ok(match value {
        Value::Int(number, origin) => Value::Int(!number, origin.with(Origin::Program)),
        Value::Uint(number, origin) => Value::Uint(!number, origin.with(Origin::Program)),
        other => return Err(Why::Takes(other.kind())),
    })
}

/// A double as text: as few digits as tell it from its neighbours, without an exponent from a
/// millionth up to 10^21, as JavaScript has it.
pub(super) struct Shortest(pub(super) f64);

impl fmt::Display for Shortest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if self.0.is_nan() {
            f.write_str("NaN")
        } else if self.0.is_infinite() {
            f.write_str(if self.0 > 0.0 { "Infinity" } else { "-Infinity" })
        } else if size == 0.0 || (1e-6..1e21).contains(&size) {
            write!(f, "{}", self.0)
        } else {
            write!(f, "{:e}", self.0)
        }
    }
}
