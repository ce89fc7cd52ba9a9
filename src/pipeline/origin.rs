//! When a record began, as it says itself: the start of its end-to-end latency.
//!
//! A number is read in the configured unit with its fraction, from its digits and not through a
//! double, which at today's seconds could not tell 200 ns apart. A header's bytes may spell such a
//! number. What is absent or no number gives no origin; that is counted elsewhere, never an error.

use crate::{
    codec::{Edits, Event, Value},
    pipeline::{
        Lookup, cel,
        evaluate::{self, Made, Scope},
        expression::{Expression, Field},
    },
    record::Record,
};

/// Nanoseconds since the epoch, from something about the record; nothing if it is in the event.
pub(super) fn of_record(origin: &Expression, unit_nanos: u64, record: &Record<'_>) -> Option<i64> {
    match origin {
        Expression::Record(Field::Timestamp) => record.timestamp_ms?.checked_mul(1_000_000),
        Expression::Record(Field::Offset) => scale(record.offset.into(), unit_nanos),
        Expression::Record(Field::Partition) => scale(record.partition_number.into(), unit_nanos),
        Expression::Record(Field::Id | Field::Topic) => None,
        Expression::Record(field) => {
            // These fields lend the record's own bytes, so nothing is made.
            let mut made = Vec::new();
            let operand = evaluate::evaluate_field(field, record, &mut made).ok()?.bytes;
            decimal(operand, unit_nanos)
        }
        _ => None,
    }
}

/// Nanoseconds since the epoch, from the event as it arrived.
#[inline]
pub(super) fn of_event(
    origin: &Expression,
    unit_nanos: u64,
    event: &Event<'_>,
    edits: &Edits,
) -> Option<i64> {
    let Expression::Event(path) = origin else { return None };
    let node = edits.found(*path)?;
    match event.value(node) {
        Value::Unsigned(number) => scale(number.into(), unit_nanos),
        Value::Signed(number) => scale(number.into(), unit_nanos),
        Value::Float(_) => decimal(&event.input()[event.span(node)], unit_nanos),
        _ => None,
    }
}

/// Nanoseconds since the epoch, from a program's value: a timestamp, or a number in the unit.
#[inline(never)]
pub(super) fn of_program(
    program: &cel::Program,
    unit_nanos: u64,
    scope: &Scope<'_>,
    made: &mut Made,
    tables: &mut dyn Lookup,
) -> Option<i64> {
    let nanos = scope.with_value(program, made, tables, |value| match value {
        cel::Value::Timestamp(at) => i64::try_from(at.nanos()).ok(),
        cel::Value::Int(number, _) => scale(number.into(), unit_nanos),
        cel::Value::Uint(number, _) => scale(number.into(), unit_nanos),
        cel::Value::Double(number, origin) => match origin.spelling() {
            Some(spelling) => decimal(spelling, unit_nanos),
            None => double(number, unit_nanos),
        },
        _ => None,
    });
    nanos.ok().flatten()
}

#[inline]
fn scale(number: i128, unit_nanos: u64) -> Option<i64> {
    i64::try_from(number.checked_mul(i128::from(unit_nanos))?).ok()
}

/// Reads `[-]digits[.digits]` exactly, anything else as a double if it is one.
fn decimal(text: &[u8], unit_nanos: u64) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut parts = digits.splitn(2, |byte| *byte == b'.');
    let whole = parts.next().unwrap_or_default();
    let fraction = parts.next().unwrap_or_default();
    let plain = |part: &[u8]| part.len() <= 19 && part.iter().all(u8::is_ascii_digit);
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        return double(number, unit_nanos);
    }
    let number = |part: &[u8]| {
        part.iter().fold(0_i128, |number, digit| number * 10 + i128::from(digit - b'0'))
    };
    let unit = i128::from(unit_nanos);
    let nanos = number(whole) * unit + number(fraction) * unit / 10_i128.pow(fraction.len() as u32);
    i64::try_from(if negative { -nanos } else { nanos }).ok()
}

fn double(number: f64, unit_nanos: u64) -> Option<i64> {
    let nanos = number * unit_nanos as f64;
    let fits = nanos.is_finite() && nanos.abs() < i64::MAX as f64;
    fits.then_some(nanos as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact() {
        let second = 1_000_000_000;
        for (text, unit, nanos) in [
            ("1732168000.123456789", second, Some(1_732_168_000_123_456_789)),
            ("-1.5", second, Some(-1_500_000_000)),
            ("1732168000123.25", 1_000_000, Some(1_732_168_000_123_250_000)),
            ("1732168000123456789", 1, Some(1_732_168_000_123_456_789)),
            ("1.5e3", 1_000_000, Some(1_500_000_000)),
            ("9999999999999999999", second, None),
            ("1e300", second, None),
            ("NaN", second, None),
            ("", second, None),
            (".", second, None),
            ("soon", second, None),
        ] {
            assert_eq!(decimal(text.as_bytes(), unit), nanos, "{text}");
        }
    }
}
