//! Expressions in CEL, the Common Expression Language, compiled at start and walked per record.
//!
//! The kept crate `cel` parses; names, types and the number of arguments are checked here, and what
//! comes out is a tree of our own (`node`) over values that borrow: from the record's tape, from
//! what steps wrote, from the program, from an arena. Evaluating allocates nothing once the arena
//! has met the largest record, but for two things: a time zone that the record names is looked up
//! by jiff, and a pattern of `matches` builds parts of its automaton when it first needs them.
//!
//! What is more than the standard: `hash.md5`, `hash.sha256`, `hash.xxh3`, `now()` (the turn's
//! time), `lookup("table", key)`. What is less: messages of Protobuf, their wrappers and enums; and
//! the pattern of `matches` is a literal. What departs: see `arithmetic`.
//!
//! What this does not do: know the event, the record or the tables. They are a `World`, and `Names`
//! says at start what it knows.

mod arena;
mod arithmetic;
mod call;
mod compile;
mod constant;
mod convert;
mod equal;
mod evaluate;
mod fault;
mod format;
mod functions;
mod list;
mod loops;
mod map;
mod node;
mod number;
mod text;
mod time;
mod value;
mod write;

pub use arena::Arena;
pub use compile::{CompileError, Outer, compile, compile_unchecked};
pub use constant::Constant;
pub use fault::{Fault, Why};
pub use list::List;
pub use map::Map;
pub use node::Leaf;
pub use time::Time;
pub use value::{Kind, Origin, Value};

use node::{Node, Op};

use crate::codec::{self, Segment};

/// What an expression can name, asked at start.
pub trait Names {
    /// What a way such as `event.a[0]` stands for; the first segment is a name. It is asked for
    /// the longest way first, and `None` leaves the last segment to be looked up in the value
    /// before it.
    ///
    /// # Errors
    ///
    /// A sentence, if the way cannot be.
    fn resolve(&mut self, way: &[Segment]) -> Result<Option<Named>, String>;

    /// The names that one may have meant.
    fn known(&self) -> Vec<String>;

    /// The number of a table.
    ///
    /// # Errors
    ///
    /// A sentence, if there is none of that name.
    fn table(&mut self, name: &str) -> Result<usize, String>;
}

/// What a way stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// What the world is asked for.
    pub leaf: Leaf,
    /// Its type, where it can have but one. Never that of a number which is the record's.
    pub kind: Option<Kind>,
}

/// What an expression sees of one record.
pub trait World<'a> {
    /// The value of what `Names` resolved.
    ///
    /// # Errors
    ///
    /// Why there is none.
    fn leaf(&mut self, leaf: Leaf, arena: &'a Arena) -> Result<Value<'a>, Why>;

    /// The same as it stands on the record's tape, if it is known to: a comparison with a constant
    /// needs no more.
    fn on_tape(&self, _leaf: Leaf) -> Option<codec::Value<'a>> {
        None
    }

    /// The turn's time.
    fn now(&self) -> Time;

    /// What a table holds for a key; null if nothing.
    ///
    /// # Errors
    ///
    /// If the table has no answer.
    fn lookup(&mut self, table: usize, key: &[u8], arena: &'a Arena) -> Result<Value<'a>, Why>;
}

/// An expression, compiled.
#[derive(Debug)]
pub struct Program {
    text: Box<str>,
    root: Node,
    kind: Option<Kind>,
    locals: usize,
    /// What leaves are called, by their place.
    labels: Vec<(u32, Box<str>)>,
}

impl Program {
    /// The value for one record; it lives as long as the arena is not reset.
    ///
    /// # Errors
    ///
    /// A fault with its place, if there is no value.
    #[inline]
    pub fn evaluate<'a, W: World<'a>>(
        &'a self,
        world: &mut W,
        arena: &'a Arena,
    ) -> Result<Value<'a>, Fault> {
        self.run(world, arena).value(&self.root)
    }

    /// As `evaluate`, for a condition.
    ///
    /// # Errors
    ///
    /// A fault with its place, also if the value is no boolean.
    #[inline]
    pub fn is_true<'a, W: World<'a>>(
        &'a self,
        world: &mut W,
        arena: &'a Arena,
    ) -> Result<bool, Fault> {
        self.run(world, arena).truth(&self.root)
    }

    #[inline]
    fn run<'a, 'w, W>(&self, world: &'w mut W, arena: &'a Arena) -> evaluate::Run<'a, 'w, W> {
        let locals = if self.locals == 0 { &[][..] } else { arena.locals(self.locals) };
        evaluate::Run { world, arena, locals }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The type of every value that it can have, where that is known.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// The leaf, if the expression is nothing else.
    pub fn leaf(&self) -> Option<Leaf> {
        match self.root.op {
            Op::Leaf(leaf) => Some(leaf),
            _ => None,
        }
    }

    /// The value, if it is the same for every record.
    pub fn constant(&self) -> Option<&Constant> {
        match &self.root.op {
            Op::Constant(constant) => Some(constant),
            _ => None,
        }
    }

    /// What stands at the place of a fault: a name as written, or an operator or function.
    pub fn label(&self, fault: &Fault) -> &str {
        let label = self.labels.iter().find(|(at, _)| *at == fault.at);
        label.map_or("", |(_, label)| label)
    }
}
