//! `"%s is %d".format([…])`, of the strings extension.

use std::fmt::{self, Write};

use crate::pipeline::cel::{Arena, Kind, Value, arena::MadeText, convert, fault::Why, text::push};

/// Digits behind the point that one may ask for.
const PRECISION_MAX: usize = 1_000;

/// The text with its clauses filled.
pub(super) fn format<'a>(
    text: Value<'a>,
    list: Value<'a>,
    arena: &'a Arena,
) -> Result<Value<'a>, Why> {
    let (Value::Text(text), Value::List(list)) = (text, list) else {
        return Err(Why::TakesBoth(text.kind(), list.kind()));
    };
    let mut values = list.items(arena)?.iter();
    let mut made = arena.empty_text();
    let mut rest = text;
    while let Some((before, clause)) = rest.split_once('%') {
        push(&mut made, before, arena)?;
        let (precision, clause) = precision(clause)?;
        let Some(letter) = clause.chars().next() else {
            return Err(Why::Argument("ends within a clause, after `%`"));
        };
        rest = &clause[letter.len_utf8()..];
        if letter == '%' {
            push(&mut made, "%", arena)?;
            continue;
        }
        let value = values.next().ok_or(Why::Argument("has more clauses than values"))?;
        clause_of(letter, precision, *value, &mut made, arena)?;
    }
    push(&mut made, rest, arena)?;
    Ok(Value::Text(made.into_bump_str()))
}

/// `.3`, if it stands there.
fn precision(clause: &str) -> Result<(Option<usize>, &str), Why> {
    let Some(rest) = clause.strip_prefix('.') else { return Ok((None, clause)) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let precision = rest[..end].parse().ok().filter(|it| *it <= PRECISION_MAX);
    let wrong = Why::Argument("has a precision that is no number up to 1000");
    Ok((Some(precision.ok_or(wrong)?), &rest[end..]))
}

fn clause_of<'a>(
    letter: char,
    precision: Option<usize>,
    value: Value<'a>,
    made: &mut MadeText<'a>,
    arena: &'a Arena,
) -> Result<(), Why> {
    match letter {
        's' => show(value, made, arena),
        'd' => match value {
            Value::Int(..) | Value::Uint(..) => show(value, made, arena),
            Value::Double(number, _) if !number.is_finite() => show(value, made, arena),
            other => Err(Why::Takes(other.kind())),
        },
        'f' => double(value, made, arena, |made, number| {
            write!(made, "{number:.*}", precision.unwrap_or(6))
        }),
        'e' => double(value, made, arena, |made, number| {
            scientific(made, number, precision.unwrap_or(6))
        }),
        'b' => match value {
            Value::Bool(truth) => push(made, if truth { "1" } else { "0" }, arena),
            _ => whole(value, made, arena, |f, number| write!(f, "{number:b}")),
        },
        'o' => whole(value, made, arena, |f, number| write!(f, "{number:o}")),
        'x' => match bytes(value) {
            Some(bytes) => hex(bytes, made, arena, |f, byte| write!(f, "{byte:02x}")),
            None => whole(value, made, arena, |f, number| write!(f, "{number:x}")),
        },
        'X' => match bytes(value) {
            Some(bytes) => hex(bytes, made, arena, |f, byte| write!(f, "{byte:02X}")),
            None => whole(value, made, arena, |f, number| write!(f, "{number:X}")),
        },
        _ => Err(Why::Argument("has a clause that is none of %s %d %f %e %b %o %x %X %%")),
    }
}

/// More than any number takes whose precision is bounded.
const NUMBER_BYTES: usize = 1_400;

fn double(
    value: Value<'_>,
    made: &mut MadeText<'_>,
    arena: &Arena,
    write: impl FnOnce(&mut MadeText<'_>, f64) -> fmt::Result,
) -> Result<(), Why> {
    let number = match value {
        Value::Double(number, _) => number,
        Value::Int(number, _) => number as f64,
        Value::Uint(number, _) => number as f64,
        other => return Err(Why::Takes(other.kind())),
    };
    arena.claim(NUMBER_BYTES)?;
    // Writing to a text cannot fail.
    let _ = match number.is_finite() {
        true => write(made, number),
        false => write!(made, "{}", super::number::Shortest(number)),
    };
    Ok(())
}

/// `1.052033e+03`: a sign, and two digits at least.
fn scientific(made: &mut MadeText<'_>, number: f64, precision: usize) -> fmt::Result {
    let mut digits = Digits { made, exponent: None, is_negative: false };
    write!(digits, "{number:.precision$e}")?;
    let Digits { exponent, is_negative, .. } = digits;
    write!(made, "e{}{:02}", if is_negative { '-' } else { '+' }, exponent.unwrap_or(0))
}

/// Passes on what stands before the `e`, and reads what stands behind it.
struct Digits<'m, 'a> {
    made: &'m mut MadeText<'a>,
    exponent: Option<u32>,
    is_negative: bool,
}

impl fmt::Write for Digits<'_, '_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for character in part.chars() {
            match (self.exponent, character) {
                (None, 'e') => self.exponent = Some(0),
                (None, _) => self.made.push(character),
                (Some(_), '-') => self.is_negative = true,
                (Some(number), _) => {
                    self.exponent = Some(number * 10 + character.to_digit(10).unwrap_or(0));
                }
            }
        }
        Ok(())
    }
}

/// Minus and the digits of what is without its sign.
fn whole(
    value: Value<'_>,
    made: &mut MadeText<'_>,
    arena: &Arena,
    write: impl FnOnce(&mut MadeText<'_>, u64) -> fmt::Result,
) -> Result<(), Why> {
    arena.claim(65)?;
    let number = match value {
        Value::Int(number, _) => {
            if number < 0 {
                made.push('-');
            }
            number.unsigned_abs()
        }
        Value::Uint(number, _) => number,
        other => return Err(Why::Takes(other.kind())),
    };
    // Writing to a text cannot fail.
    let _ = write(made, number);
    Ok(())
}

fn bytes<'a>(value: Value<'a>) -> Option<&'a [u8]> {
    match value {
        Value::Text(text) => Some(text.as_bytes()),
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

fn hex(
    bytes: &[u8],
    made: &mut MadeText<'_>,
    arena: &Arena,
    write: impl Fn(&mut MadeText<'_>, u8) -> fmt::Result,
) -> Result<(), Why> {
    arena.claim(bytes.len().saturating_mul(2))?;
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write(made, *byte);
    }
    Ok(())
}

/// A value for a person: lists and maps with what is in them, a map's keys in order.
fn show<'a>(value: Value<'a>, made: &mut MadeText<'a>, arena: &'a Arena) -> Result<(), Why> {
    match value {
        Value::Null => push(made, "null", arena),
        Value::Type(kind) => push(made, kind.cel_name(), arena),
        Value::List(list) => {
            push(made, "[", arena)?;
            for (index, item) in list.items(arena)?.iter().enumerate() {
                push(made, if index > 0 { ", " } else { "" }, arena)?;
                show(*item, made, arena)?;
            }
            push(made, "]", arena)
        }
        Value::Map(map) => {
            let entries = map.entries(arena)?;
            let mut sorted = arena.vector(entries.len())?;
            for (key, value) in entries {
                let mut name = arena.empty_text();
                show(*key, &mut name, arena)?;
                sorted.push((name.into_bump_str(), *value));
            }
            sorted.sort_unstable_by_key(|(name, _)| *name);
            push(made, "{", arena)?;
            for (index, (name, value)) in sorted.iter().enumerate() {
                push(made, if index > 0 { ", " } else { "" }, arena)?;
                push(made, name, arena)?;
                push(made, ": ", arena)?;
                show(*value, made, arena)?;
            }
            push(made, "}", arena)
        }
        Value::Optional(_) => Err(Why::Takes(Kind::Optional)),
        other => push(made, convert::to_text(other, arena)?, arena),
    }
}
