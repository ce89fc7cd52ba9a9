//! Maps, wherever they stand: an object on the tape or in JSON, headers, or one that was made.
//!
//! Of a field that stands twice the last counts, as everywhere in this program.

use crate::{
    codec::{Event, Node, inside},
    pipeline::cel::{Arena, Value, arena::Made, constant::Constant, equal, fault::Why},
    record::{ENTRY_ID, EXHAUSTED, Headers},
};

/// A map that is lent.
#[derive(Clone, Copy, Debug)]
pub enum Map<'a> {
    /// Made by an expression; no key stands twice.
    Made(&'a [(Value<'a>, Value<'a>)]),
    /// An object of the record.
    Tape(&'a Event<'a>, Node),
    /// An object in JSON that a step or a table wrote.
    Json(&'a [u8]),
    /// Of the expression itself.
    Constant(&'a [(Constant, Constant)]),
    /// The record's headers: name and bytes.
    Headers(Headers<'a>),
}

/// Entries up to which doubles are looked for by comparing each with each.
const FEW: usize = 32;

impl<'a> Map<'a> {
    /// The value of a field.
    #[inline]
    pub fn field(self, name: &str, arena: &'a Arena) -> Option<Value<'a>> {
        match self {
            Map::Made(entries) => {
                let is_it =
                    |(key, _): &&(Value<'_>, _)| matches!(key, Value::Text(it) if *it == name);
                entries.iter().find(is_it).map(|(_, value)| *value)
            }
            Map::Tape(event, node) => {
                let found = event.fields(node).filter(|(it, _)| *it == name).last();
                found.map(|(_, value)| Value::of_node(event, value))
            }
            Map::Json(json) => inside::field(json, name).map(|it| Value::of_json(it, arena)),
            Map::Constant(entries) => {
                let is_it =
                    |(key, _): &&(Constant, _)| matches!(key, Constant::Text(it) if **it == *name);
                entries.iter().find(is_it).map(|(_, value)| value.value())
            }
            Map::Headers(headers) => headers.value_of(name.as_bytes()).map(header),
        }
    }

    /// The value of a key of any type.
    pub fn get(self, key: &Value<'_>, arena: &'a Arena) -> Option<Value<'a>> {
        match (key, self) {
            (Value::Text(name), _) => self.field(name, arena),
            (_, Map::Made(entries)) => {
                let found = entries.iter().find(|(it, _)| equal::is_same_key(it, key));
                found.map(|(_, value)| *value)
            }
            (_, Map::Constant(entries)) => {
                let found = entries.iter().find(|(it, _)| equal::is_same_key(&it.value(), key));
                found.map(|(_, value)| value.value())
            }
            _ => None,
        }
    }

    /// All entries side by side, each key once.
    ///
    /// # Errors
    ///
    /// If the record's expressions have made too much already.
    pub fn entries(self, arena: &'a Arena) -> Result<&'a [(Value<'a>, Value<'a>)], Why> {
        let entries = match self {
            Map::Made(entries) => return Ok(entries),
            Map::Tape(event, node) => {
                let mut entries = arena.vector(event.fields(node).count())?;
                let fields = event.fields(node);
                entries.extend(
                    fields.map(|(name, it)| (Value::Text(name), Value::of_node(event, it))),
                );
                once(entries, arena)?
            }
            Map::Json(json) => {
                let mut entries = arena.vector(inside::fields(json).count())?;
                entries.extend(inside::fields(json).map(|(name, it)| {
                    (Value::Text(arena.unescape(name)), Value::of_json(it, arena))
                }));
                once(entries, arena)?
            }
            Map::Constant(constants) => {
                let mut entries = arena.vector(constants.len())?;
                entries.extend(constants.iter().map(|(key, value)| (key.value(), value.value())));
                entries
            }
            Map::Headers(headers) => {
                let mut entries = arena.vector(headers.count())?;
                let is_shown = |it: &(&[u8], _)| it.0 != ENTRY_ID && it.0 != EXHAUSTED;
                entries.extend(headers.filter(is_shown).map(|(name, value)| {
                    let name = std::str::from_utf8(name).map_or(Value::Bytes(name), Value::Text);
                    (name, header(value))
                }));
                once(entries, arena)?
            }
        };
        Ok(entries.into_bump_slice())
    }

    /// How many entries it has, doubles counted once.
    pub(super) fn len(self, arena: &'a Arena) -> Result<usize, Why> {
        match self {
            Map::Constant(entries) => Ok(entries.len()),
            _ => Ok(self.entries(arena)?.len()),
        }
    }
}

fn header(value: Option<&[u8]>) -> Value<'_> {
    value.map_or(Value::Null, Value::Bytes)
}

type Entries<'a> = Made<'a, (Value<'a>, Value<'a>)>;

fn once<'a>(entries: Entries<'a>, arena: &'a Arena) -> Result<Entries<'a>, Why> {
    if !has_doubles(&entries, arena)? {
        return Ok(entries);
    }
    let mut kept: Entries<'a> = arena.vector(entries.len())?;
    for (index, entry) in entries.iter().enumerate() {
        let is_it = |later: &(Value<'a>, _)| text(&later.0) == text(&entry.0);
        if !entries[index + 1..].iter().any(is_it) {
            kept.push(*entry);
        }
    }
    Ok(kept)
}

fn has_doubles<'a>(entries: &Entries<'a>, arena: &'a Arena) -> Result<bool, Why> {
    let name = |index: usize| text(&entries[index].0);
    if entries.len() <= FEW {
        return Ok((1..entries.len()).any(|index| (0..index).any(|it| name(it) == name(index))));
    }
    let mut names = arena.vector(entries.len())?;
    names.extend(entries.iter().map(|(key, _)| text(key)));
    names.sort_unstable();
    Ok(names.windows(2).any(|pair| pair[0] == pair[1]))
}

fn text<'a>(key: &Value<'a>) -> &'a [u8] {
    match key {
        Value::Text(text) => text.as_bytes(),
        Value::Bytes(bytes) => bytes,
        _ => b"",
    }
}
