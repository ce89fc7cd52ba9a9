//! What an expression is compiled to: a tree that evaluation walks.
//!
//! Names are numbers here, constants are computed, patterns and time zones are read. A condition
//! that compares a field of the record with a constant is one node.

use std::cmp::Ordering;

use jiff::tz::TimeZone;
use regex::Regex;

use crate::{
    codec::PathId,
    pipeline::cel::{arithmetic::Sign, constant::Constant, functions::Function},
};

/// A node, and where its operator, name or bracket stands in the expression.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: u32,
    pub(super) op: Op,
}

/// Something that the world gives: a path of the event, or what it numbered itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// A path that no step has written: one look-up.
    Event(PathId),
    /// Anything else, by the number that `Names::resolve` gave.
    Other(u32),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    /// True if two values that are ordered so compare so.
    #[inline]
    pub(super) fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Less => order.is_lt(),
            Comparison::LessEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterEqual => order.is_ge(),
        }
    }
}

#[derive(Debug)]
pub(super) enum Op {
    Constant(Constant),
    Leaf(Leaf),
    /// A variable of a loop or of `cel.bind`.
    Local(u16),
    Select(Box<(Node, Box<str>)>),
    /// True if the operand has that field; the leaf, if both are one.
    Has(Box<(Node, Box<str>, Option<Leaf>)>),
    Index(Box<[Node; 2]>),
    OptionalSelect(Box<(Node, Box<str>)>),
    OptionalIndex(Box<[Node; 2]>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    If(Box<[Node; 3]>),
    Equal(Box<[Node; 2]>),
    NotEqual(Box<[Node; 2]>),
    Compare(Comparison, Box<[Node; 2]>),
    /// What stands on the left of a comparison is a leaf, and on the right a constant.
    Test(Box<Test>),
    In(Box<[Node; 2]>),
    Arithmetic(Sign, Box<[Node; 2]>),
    List(Box<[Item]>),
    Map(Box<[Entry]>),
    Call(Function, Box<[Node]>),
    Matches(Box<(Node, Regex)>),
    /// A function of time in a zone that is known.
    InZone(Function, Box<(Node, TimeZone)>),
    Now,
    Lookup(usize, Box<Node>),
    Loop(Box<Loop>),
    /// The value that a variable stands for, and where it does.
    Bind(u16, Box<[Node; 2]>),
    /// `optMap` and `optFlatMap`.
    OptionalMap(u16, bool, Box<[Node; 2]>),
    /// Something that was not to be checked and is not known.
    Unknown,
}

/// A leaf against a constant: what most conditions consist of.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) leaf: Leaf,
    /// Where the leaf stands.
    pub(super) leaf_at: u32,
    pub(super) how: How,
    pub(super) constant: Constant,
}

/// What a test asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Equal,
    NotEqual,
    Order(Comparison),
}

/// An item of a list that is made.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) node: Node,
    /// Left out if it is an optional value without one.
    pub(super) is_optional: bool,
}

/// An entry of a map that is made.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Node,
    pub(super) value: Node,
    pub(super) is_optional: bool,
}

/// What a loop over a list or map comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    /// `map`, and `transformList` with two variables.
    Map,
    Filter,
    TransformMap,
    TransformMapEntry,
}

#[derive(Debug)]
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) range: Node,
    /// The first variable, an item or a key.
    pub(super) variable: u16,
    /// The second one: then the first is an index or a key, and this an item or a value.
    pub(super) second: Option<u16>,
    /// What is to be true before the step counts.
    pub(super) condition: Option<Node>,
    pub(super) step: Node,
}
