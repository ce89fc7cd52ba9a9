//! Functions of text, which is counted in characters as CEL counts them: code points.
//!
//! Where a text is ASCII as far as it matters, positions are found by arithmetic; else they are
//! counted.

use crate::pipeline::cel::{Arena, Value, arena::MadeText, fault::Why, list::List};

/// Characters.
pub(super) fn length(text: &str) -> i64 {
    if text.is_ascii() { text.len() as i64 } else { text.chars().count() as i64 }
}

/// The byte at which the character of that number begins; the end is one more.
fn byte(text: &str, index: i64) -> Result<usize, Why> {
    let wanted = usize::try_from(index).map_err(|_| Why::NoCharacter(index))?;
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.into_iter().nth(wanted).ok_or(Why::NoCharacter(index))
}

/// How many characters are before that byte.
fn characters(text: &str, byte: usize) -> i64 {
    length(&text[..byte])
}

pub(super) fn char_at(text: &str, index: i64) -> Result<&str, Why> {
    let rest = &text[byte(text, index)?..];
    Ok(rest.chars().next().map_or("", |first| &rest[..first.len_utf8()]))
}

pub(super) fn index_of(text: &str, part: &str, from: i64) -> Result<i64, Why> {
    let start = byte(text, from)?;
    Ok(text[start..].find(part).map_or(-1, |at| characters(text, start + at)))
}

/// The last place that is not behind `from`.
pub(super) fn last_index_of(text: &str, part: &str, from: Option<i64>) -> Result<i64, Why> {
    let end = match from {
        None => text.len(),
        // What begins at `from` may end anywhere behind it.
        Some(from) => (byte(text, from)? + part.len()).min(text.len()),
    };
    let end = (0..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    Ok(text[..end].rfind(part).map_or(-1, |at| characters(text, at)))
}

pub(super) fn substring(text: &str, start: i64, end: Option<i64>) -> Result<&str, Why> {
    let from = byte(text, start)?;
    let Some(end) = end else { return Ok(&text[from..]) };
    let to = byte(text, end)?;
    if from > to {
        return Err(Why::Range(start, end));
    }
    Ok(&text[from..to])
}

/// In the other case, of the letters that ASCII has.
pub(super) fn in_case<'a>(text: &'a str, upper: bool, arena: &'a Arena) -> Result<&'a str, Why> {
    let differs =
        |byte: u8| if upper { byte.is_ascii_lowercase() } else { byte.is_ascii_uppercase() };
    if !text.bytes().any(differs) {
        return Ok(text);
    }
    let mut made = arena.text(text.len())?;
    let change = |c: char| if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    made.extend(text.chars().map(change));
    Ok(made.into_bump_str())
}

/// With the first `limit` places of `part` put otherwise; all of them below zero.
pub(super) fn replace<'a>(
    text: &'a str,
    (part, by): (&str, &str),
    limit: i64,
    arena: &'a Arena,
) -> Result<&'a str, Why> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = text.matches(part).take(limit).count();
    if count == 0 {
        return Ok(text);
    }
    let room = text.len().saturating_add(count.saturating_mul(by.len()));
    let mut made = arena.text(room)?;
    let mut copied = 0;
    for (at, found) in text.match_indices(part).take(limit) {
        made.push_str(&text[copied..at]);
        made.push_str(by);
        copied = at + found.len();
    }
    made.push_str(&text[copied..]);
    Ok(made.into_bump_str())
}

/// In at most `limit` pieces; as many as there are below zero.
pub(super) fn split<'a>(
    text: &'a str,
    by: &str,
    limit: i64,
    arena: &'a Arena,
) -> Result<List<'a>, Why> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = if by.is_empty() { text.len() } else { text.matches(by).count() + 1 };
    let mut pieces = arena.vector(count.min(limit))?;
    if limit > 0 && by.is_empty() {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let end = if pieces.len() + 1 == limit { rest.len() } else { first.len_utf8() };
            pieces.push(Value::Text(&rest[..end]));
            rest = &rest[end..];
        }
    } else if limit > 0 {
        pieces.extend(text.splitn(limit, by).map(Value::Text));
    }
    Ok(List::Made(pieces.into_bump_slice()))
}

pub(super) fn join<'a>(list: List<'a>, by: &str, arena: &'a Arena) -> Result<&'a str, Why> {
    let mut made = arena.empty_text();
    for (index, item) in list.items(arena)?.iter().enumerate() {
        let Value::Text(text) = item else { return Err(Why::Takes(item.kind())) };
        if index > 0 {
            push(&mut made, by, arena)?;
        }
        push(&mut made, text, arena)?;
    }
    Ok(made.into_bump_str())
}

/// Appends to a text without room of its own.
pub(super) fn push(made: &mut MadeText<'_>, text: &str, arena: &Arena) -> Result<(), Why> {
    arena.claim(text.len())?;
    made.push_str(text);
    Ok(())
}

pub(super) fn reverse<'a>(text: &str, arena: &'a Arena) -> Result<&'a str, Why> {
    let mut made = arena.text(text.len())?;
    made.extend(text.chars().rev());
    Ok(made.into_bump_str())
}

/// In double quotes, with escapes for what a line cannot show.
pub(super) fn quote<'a>(text: &str, arena: &'a Arena) -> Result<&'a str, Why> {
    let mut made = arena.text(text.len().saturating_mul(2) + 2)?;
    made.push('"');
    for character in text.chars() {
        let escape = match character {
            '\x07' => 'a',
            '\x08' => 'b',
            '\x0c' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\x0b' => 'v',
            '\\' | '"' => character,
            _ => {
                made.push(character);
                continue;
            }
        };
        made.push('\\');
        made.push(escape);
    }
    made.push('"');
    Ok(made.into_bump_str())
}
