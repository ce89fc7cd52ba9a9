//! What is the same for every record is computed at start.

use super::{Compiler, Typed};
use crate::pipeline::cel::{
    Arena, Kind, Leaf, Time, Value, World,
    constant::Constant,
    evaluate::Run,
    fault::Why,
    node::{Node, Op},
};

/// A world without anything in it.
struct Nothing;

impl<'a> World<'a> for Nothing {
    fn leaf(&mut self, _leaf: Leaf, _arena: &'a Arena) -> Result<Value<'a>, Why> {
        Err(Why::Unknown)
    }

    fn now(&self) -> Time {
        Time::from_nanos(0).unwrap_or_else(|| unreachable!("the epoch is in time"))
    }

    fn lookup(&mut self, _table: usize, _key: &[u8], _: &'a Arena) -> Result<Value<'a>, Why> {
        Err(Why::Unknown)
    }
}

impl Compiler<'_> {
    /// The node, or the constant that it always comes to. One that fails stays: an operator around
    /// it may do without it.
    pub(super) fn folded(&mut self, node: Node, kind: Option<Kind>) -> Typed {
        match is_constant(&node).then(|| self.computed(&node)).flatten() {
            Some(constant) => super::constant(node.at, constant),
            None => Typed { node, kind },
        }
    }

    /// What a node always comes to.
    fn computed(&mut self, node: &Node) -> Option<Constant> {
        self.arena.reset();
        let arena = &self.arena;
        let mut run = Run { world: &mut Nothing, arena, locals: &[] };
        let value = run.value(node).ok()?;
        Constant::of(&value, arena).ok().flatten()
    }
}

/// True if all operands are constants; a loop never is, and neither is what the world is asked.
fn is_constant(node: &Node) -> bool {
    let all = |nodes: &[Node]| nodes.iter().all(|it| matches!(it.op, Op::Constant(_)));
    let one = |node: &Node| matches!(node.op, Op::Constant(_));
    match &node.op {
        Op::Select(select) => one(&select.0),
        Op::Index(nodes) | Op::Equal(nodes) | Op::NotEqual(nodes) | Op::In(nodes) => {
            all(&nodes[..])
        }
        Op::Compare(_, nodes) | Op::Arithmetic(_, nodes) => all(&nodes[..]),
        Op::If(nodes) => all(&nodes[..]),
        Op::And(nodes) | Op::Or(nodes) | Op::Call(_, nodes) => all(nodes),
        Op::Not(operand) | Op::Negate(operand) => one(operand),
        Op::List(items) => items.iter().all(|item| one(&item.node) && !item.is_optional),
        Op::Map(entries) => {
            entries.iter().all(|entry| one(&entry.key) && one(&entry.value) && !entry.is_optional)
        }
        Op::Matches(operand) => one(&operand.0),
        Op::InZone(_, operand) => one(&operand.0),
        _ => false,
    }
}
