//! Which values are equal, and which come first.
//!
//! Numbers of different types compare by what they are; beside a double, an integer past 2^53
//! counts as the double next to it, as the specification has it. Values of other types that differ
//! are unequal, which is no fault; to order them is one.

use std::cmp::Ordering;

use crate::pipeline::cel::{Arena, Value, fault::Why, list::List, map::Map};

/// True if both are equal.
pub(super) fn equal<'a>(
    left: &Value<'a>,
    right: &Value<'a>,
    arena: &'a Arena,
) -> Result<bool, Why> {
    Ok(match (left, right) {
        (Value::Text(left), Value::Text(right)) => left == right,
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Bytes(left), Value::Bytes(right)) => left == right,
        (Value::Timestamp(left), Value::Timestamp(right)) => left == right,
        (Value::Duration(left), Value::Duration(right)) => left == right,
        (Value::Type(left), Value::Type(right)) => left == right,
        (Value::List(left), Value::List(right)) => lists(*left, *right, arena)?,
        (Value::Map(left), Value::Map(right)) => maps(*left, *right, arena)?,
        (Value::Optional(left), Value::Optional(right)) => match (left, right) {
            (None, None) => true,
            (Some(left), Some(right)) => equal(left, right, arena)?,
            _ => false,
        },
        _ => numbers(left, right).is_some_and(|it| it == Some(Ordering::Equal)),
    })
}

fn lists<'a>(left: List<'a>, right: List<'a>, arena: &'a Arena) -> Result<bool, Why> {
    if left.len() != right.len() {
        return Ok(false);
    }
    let (left, right) = (left.items(arena)?, right.items(arena)?);
    arena.turn(left.len())?;
    for (left, right) in left.iter().zip(right) {
        if !equal(left, right, arena)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn maps<'a>(left: Map<'a>, right: Map<'a>, arena: &'a Arena) -> Result<bool, Why> {
    let left = left.entries(arena)?;
    if left.len() != right.len(arena)? {
        return Ok(false);
    }
    arena.turn(left.len())?;
    for (key, value) in left {
        match right.get(key, arena) {
            Some(other) if equal(value, &other, arena)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// True if both name the same entry of a map.
pub(super) fn is_same_key(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => left == right,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Bytes(left), Value::Bytes(right)) => left == right,
        _ => numbers(left, right).is_some_and(|it| it == Some(Ordering::Equal)),
    }
}

/// The order of two values; nothing inside if a NaN is among them.
#[inline]
pub(super) fn order(left: &Value<'_>, right: &Value<'_>) -> Result<Option<Ordering>, Why> {
    Ok(match (left, right) {
        (Value::Int(left, _), Value::Int(right, _)) => Some(left.cmp(right)),
        (Value::Double(left, _), Value::Double(right, _)) => left.partial_cmp(right),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Timestamp(left), Value::Timestamp(right)) => Some(left.cmp(right)),
        (Value::Duration(left), Value::Duration(right)) => Some(left.cmp(right)),
        _ => match numbers(left, right) {
            Some(order) => order,
            None => return Err(Why::TakesBoth(left.kind(), right.kind())),
        },
    })
}

/// The order of two numbers of any types; nothing if one is none.
pub(super) fn numbers(left: &Value<'_>, right: &Value<'_>) -> Option<Option<Ordering>> {
    use Value::{Double, Int, Uint};
    Some(match (left, right) {
        (Int(left, _), Int(right, _)) => Some(left.cmp(right)),
        (Uint(left, _), Uint(right, _)) => Some(left.cmp(right)),
        (Double(left, _), Double(right, _)) => left.partial_cmp(right),
        (Int(left, _), Uint(right, _)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Uint(left, _), Int(right, _)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Int(left, _), Double(right, _)) => (*left as f64).partial_cmp(right),
        (Uint(left, _), Double(right, _)) => (*left as f64).partial_cmp(right),
        (Double(left, _), Int(right, _)) => left.partial_cmp(&(*right as f64)),
        (Double(left, _), Uint(right, _)) => left.partial_cmp(&(*right as f64)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::cel::Origin::Program;

    #[test]
    fn numbers_compare_across_types() {
        let cases = [
            (Value::Int(1, Program), Value::Double(1.0, Program), Ordering::Equal),
            (Value::Int(-1, Program), Value::Uint(u64::MAX, Program), Ordering::Less),
            (
                Value::Int(i64::MAX, Program),
                Value::Double(i64::MAX as f64, Program),
                Ordering::Equal,
            ),
            (Value::Uint(u64::MAX, Program), Value::Double(1e300, Program), Ordering::Less),
            (Value::Int(0, Program), Value::Double(-0.5, Program), Ordering::Greater),
            (Value::Int(0, Program), Value::Double(0.5, Program), Ordering::Less),
            (Value::Int(3, Program), Value::Double(f64::NEG_INFINITY, Program), Ordering::Greater),
        ];
        for (left, right, order) in cases {
            assert_eq!(numbers(&left, &right), Some(Some(order)), "{left:?} {right:?}");
            assert_eq!(numbers(&right, &left), Some(Some(order.reverse())), "{left:?} {right:?}");
        }
        assert_eq!(numbers(&Value::Int(0, Program), &Value::Double(f64::NAN, Program)), Some(None));
    }
}
