//! Memory for what an expression makes: taken piece by piece, given back all at once.
//!
//! A text that is joined, a list that `map` gives, a text of JSON without its escapes. Chunks are
//! kept from record to record, so that after the first large one nothing is allocated. How much a
//! record's expressions may take, and how often their loops may turn, is bounded here: a short
//! expression can ask for more than any machine has.

use std::{cell::Cell, fmt};

use bumpalo::{Bump, collections};

use crate::{
    codec::inside,
    limits,
    pipeline::cel::{Value, fault::Why},
};

/// A vector in the arena.
pub(super) type Made<'a, T> = collections::Vec<'a, T>;

/// Text under way in the arena.
pub(super) type MadeText<'a> = collections::String<'a>;

/// Memory of one thread for values that stand nowhere else.
#[derive(Debug)]
pub struct Arena {
    bump: Bump,
    /// Bytes that were asked for since the last reset.
    bytes: Cell<usize>,
    turns: Cell<usize>,
}

impl Arena {
    /// With that many bytes ready.
    pub fn with_capacity(bytes: usize) -> Arena {
        Arena { bump: Bump::with_capacity(bytes), bytes: Cell::new(0), turns: Cell::new(0) }
    }

    /// Forgets all values and keeps the memory.
    #[inline]
    pub fn reset(&mut self) {
        self.bump.reset();
        self.bytes.set(0);
        self.turns.set(0);
    }

    /// Makes sure that so many bytes more may be made for this record.
    #[inline]
    pub(super) fn claim(&self, bytes: usize) -> Result<(), Why> {
        let bytes = self.bytes.get().saturating_add(bytes);
        self.bytes.set(bytes);
        if bytes > limits::EXPRESSION_BYTES_MAX { Err(Why::TooLarge) } else { Ok(()) }
    }

    /// Counts turns of a loop.
    #[inline]
    pub(super) fn turn(&self, turns: usize) -> Result<(), Why> {
        let turns = self.turns.get().saturating_add(turns);
        self.turns.set(turns);
        if turns > limits::EXPRESSION_TURNS_MAX { Err(Why::TooLong) } else { Ok(()) }
    }

    /// Keeps a value that is referred to.
    #[inline]
    pub(super) fn keep<T: Copy>(&self, value: T) -> &T {
        self.bump.alloc(value)
    }

    /// Keeps a copy of some bytes.
    pub fn keep_bytes(&self, bytes: &[u8]) -> &[u8] {
        self.bump.alloc_slice_copy(bytes)
    }

    /// Keeps a copy of a text.
    pub fn keep_text(&self, text: &str) -> &str {
        self.bump.alloc_str(text)
    }

    /// Keeps a text that is formatted.
    pub fn keep_formatted(&self, arguments: fmt::Arguments<'_>) -> &str {
        let mut text = self.empty_text();
        // It fails only where a part of it does, and is cut there.
        let _ = fmt::write(&mut text, arguments);
        text.into_bump_str()
    }

    /// Keeps some short texts, one behind the other.
    pub fn keep_joined(&self, parts: &[&str]) -> &str {
        let mut text = self.empty_text();
        parts.iter().for_each(|part| text.push_str(part));
        text.into_bump_str()
    }

    pub(super) fn locals<'a>(&'a self, count: usize) -> &'a [Cell<Value<'a>>] {
        self.bump.alloc_slice_fill_with(count, |_| Cell::new(Value::Null))
    }

    /// A vector with room for so many.
    pub(super) fn vector<T>(&self, capacity: usize) -> Result<Made<'_, T>, Why> {
        self.claim(capacity.saturating_mul(size_of::<T>()))?;
        Ok(Made::with_capacity_in(capacity, &self.bump))
    }

    /// A text with room for so many bytes.
    pub(super) fn text(&self, capacity: usize) -> Result<MadeText<'_>, Why> {
        self.claim(capacity)?;
        Ok(MadeText::with_capacity_in(capacity, &self.bump))
    }

    /// A text without room; what is put into it is to be claimed.
    pub(super) fn empty_text(&self) -> MadeText<'_> {
        MadeText::new_in(&self.bump)
    }

    /// One text of two.
    #[inline]
    pub(super) fn join(&self, first: &str, second: &str) -> Result<&str, Why> {
        let mut text = self.text(first.len() + second.len())?;
        text.push_str(first);
        text.push_str(second);
        Ok(text.into_bump_str())
    }

    /// The text of a JSON string that stands there with its quotes.
    pub(super) fn unescape<'a>(&'a self, json: &'a [u8]) -> &'a str {
        let inner = json.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\""));
        let inner = inner.unwrap_or(json);
        if memchr::memchr(b'\\', inner).is_none() {
            return std::str::from_utf8(inner).unwrap_or_default();
        }
        let mut text = Made::with_capacity_in(inner.len(), &self.bump);
        inside::unescape(inner, |part| text.extend_from_slice_copy(part));
        std::str::from_utf8(text.into_bump_slice()).unwrap_or_default()
    }
}
