//! Lists, wherever they stand: on the tape, in JSON, in the program, in the arena.

use crate::{
    codec::{self, Event, Node, inside},
    pipeline::cel::{Arena, Value, constant::Constant, fault::Why},
};

/// A list that is lent.
#[derive(Clone, Copy, Debug)]
pub enum List<'a> {
    /// Made by an expression.
    Made(&'a [Value<'a>]),
    /// Of the record.
    Tape(&'a Event<'a>, Node),
    /// In JSON that a step or a table wrote.
    Json(&'a [u8]),
    /// Of the expression itself.
    Constant(&'a [Constant]),
}

impl<'a> List<'a> {
    /// How many items it has.
    pub fn len(self) -> usize {
        match self {
            List::Made(items) => items.len(),
            List::Tape(event, node) => match event.value(node) {
                codec::Value::List(len) => len,
                _ => 0,
            },
            List::Json(json) => inside::items(json).count(),
            List::Constant(items) => items.len(),
        }
    }

    /// True if it has none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The item of that index, from 0.
    pub fn get(self, index: usize, arena: &'a Arena) -> Option<Value<'a>> {
        match self {
            List::Made(items) => items.get(index).copied(),
            List::Tape(event, node) => {
                event.items(node).nth(index).map(|item| Value::of_node(event, item))
            }
            List::Json(json) => {
                inside::items(json).nth(index).map(|item| Value::of_json(item, arena))
            }
            List::Constant(items) => items.get(index).map(Constant::value),
        }
    }

    /// All items side by side.
    ///
    /// # Errors
    ///
    /// If the record's expressions have made too much already.
    pub fn items(self, arena: &'a Arena) -> Result<&'a [Value<'a>], Why> {
        let items = match self {
            List::Made(items) => return Ok(items),
            List::Tape(event, node) => {
                let mut items = arena.vector(self.len())?;
                items.extend(event.items(node).map(|item| Value::of_node(event, item)));
                items
            }
            List::Json(json) => {
                let mut items = arena.vector(self.len())?;
                items.extend(inside::items(json).map(|item| Value::of_json(item, arena)));
                items
            }
            List::Constant(constants) => {
                let mut items = arena.vector(constants.len())?;
                items.extend(constants.iter().map(Constant::value));
                items
            }
        };
        Ok(items.into_bump_slice())
    }
}
