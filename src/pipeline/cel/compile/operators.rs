//! Operators: which node each becomes, and what they take.

use cel::common::ast::{CallExpr, IdedExpr, operators as ops};

use super::{Compiled, Compiler, Typed, check};
use crate::pipeline::cel::{
    Kind,
    arithmetic::Sign,
    constant::Constant,
    node::{Comparison, How, Node, Op, Test},
};

impl Compiler<'_> {
    /// The node of an operator; nothing if the call is none.
    pub(super) fn operator(
        &mut self,
        expression: &IdedExpr,
        call: &CallExpr,
    ) -> Compiled<Option<Typed>> {
        let arguments = call.args.as_slice();
        let typed = match (call.func_name.as_str(), arguments) {
            (ops::LOGICAL_AND, _) => self.logical(expression, call, "&&")?,
            (ops::LOGICAL_OR, _) => self.logical(expression, call, "||")?,
            (ops::LOGICAL_NOT, [operand]) => {
                let operand = self.expression(operand)?;
                self.check_bool(expression, operand.kind, "!")?;
                self.unary(expression, "!", Op::Not(Box::new(operand.node)), Some(Kind::Bool))
            }
            (ops::NEGATE, [operand]) => self.negated(expression, operand)?,
            (ops::CONDITIONAL, [condition, yes, no]) => {
                let condition = self.expression(condition)?;
                self.check_bool(expression, condition.kind, "?:")?;
                let (yes, no) = (self.expression(yes)?, self.expression(no)?);
                let kind = if yes.kind == no.kind { yes.kind } else { None };
                let op = Op::If(Box::new([condition.node, yes.node, no.node]));
                self.unary(expression, "?:", op, kind)
            }
            (ops::INDEX, [operand, index]) => self.index(expression, operand, index)?,
            (ops::OPT_INDEX, [operand, index]) => {
                let operand = self.expression(operand)?;
                self.check_index(expression, operand.kind)?;
                let index = self.expression(index)?;
                let op = Op::OptionalIndex(Box::new([operand.node, index.node]));
                self.unary(expression, "[?]", op, Some(Kind::Optional))
            }
            (ops::OPT_SELECT, [operand, field]) => {
                let operand = self.expression(operand)?;
                let Op::Constant(Constant::Text(field)) = self.expression(field)?.node.op else {
                    return self.error(expression, "a name is expected behind `.?`");
                };
                self.check_parts(expression, operand.kind, &field)?;
                let op = Op::OptionalSelect(Box::new((operand.node, field)));
                self.unary(expression, ".?", op, Some(Kind::Optional))
            }
            (name, [left, right]) => {
                let Some(binary) = binary(name) else { return Ok(None) };
                self.binary(expression, binary, left, right)?
            }
            _ => return Ok(None),
        };
        Ok(Some(typed))
    }

    fn unary(&mut self, expression: &IdedExpr, name: &str, op: Op, kind: Option<Kind>) -> Typed {
        let at = self.at(expression);
        self.label(at, name);
        self.folded(Node { at, op }, kind)
    }

    fn negated(&mut self, expression: &IdedExpr, operand: &IdedExpr) -> Compiled {
        let operand = self.expression(operand)?;
        let fits = operand.kind.is_none_or(|kind| matches!(kind, Kind::Int | Kind::Double));
        if self.is_checked && !fits {
            let kind = operand.kind.map_or("", Kind::name);
            return self.error(expression, format!("`-` does not take {kind}"));
        }
        Ok(self.unary(expression, "-", Op::Negate(Box::new(operand.node)), operand.kind))
    }

    /// Operands of the same operator side by side, however they were nested.
    fn logical(&mut self, expression: &IdedExpr, call: &CallExpr, name: &str) -> Compiled {
        let mut nodes = Vec::new();
        for argument in &call.args {
            let typed = self.expression(argument)?;
            self.check_bool(argument, typed.kind, name)?;
            match typed.node.op {
                Op::And(operands) if name == "&&" => nodes.extend(operands),
                Op::Or(operands) if name == "||" => nodes.extend(operands),
                op => nodes.push(Node { op, ..typed.node }),
            }
        }
        let op = if name == "&&" { Op::And(nodes.into()) } else { Op::Or(nodes.into()) };
        Ok(self.unary(expression, name, op, Some(Kind::Bool)))
    }

    fn index(&mut self, expression: &IdedExpr, operand: &IdedExpr, index: &IdedExpr) -> Compiled {
        if let Some(typed) = self.leaf(expression)? {
            return Ok(typed);
        }
        let operand = self.expression(operand)?;
        self.check_index(expression, operand.kind)?;
        let index = self.expression(index)?;
        let kind = (operand.kind == Some(Kind::Optional)).then_some(Kind::Optional);
        let op = Op::Index(Box::new([operand.node, index.node]));
        Ok(self.unary(expression, "[]", op, kind))
    }

    fn binary(
        &mut self,
        expression: &IdedExpr,
        binary: Binary,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Compiled {
        let (left, right) = (self.expression(left)?, self.expression(right)?);
        let kinds = (left.kind, right.kind);
        let nodes = Box::new([left.node, right.node]);
        let (name, op, kind) = match binary {
            Binary::Equal(name, is_equal) => {
                self.check_pair(expression, name, kinds, check::may_be_equal)?;
                let op = if is_equal { Op::Equal(nodes) } else { Op::NotEqual(nodes) };
                (name, op, Some(Kind::Bool))
            }
            Binary::Compare(name, comparison) => {
                self.check_pair(expression, name, kinds, check::is_comparable)?;
                (name, Op::Compare(comparison, nodes), Some(Kind::Bool))
            }
            Binary::In => {
                self.check_in(expression, kinds.1)?;
                ("in", Op::In(nodes), Some(Kind::Bool))
            }
            Binary::Arithmetic(name, sign) => {
                let fits = |left, right| check::result(sign, left, right).is_some();
                self.check_pair(expression, name, kinds, fits)?;
                let kind = kinds.0.zip(kinds.1);
                let kind = kind.and_then(|(left, right)| check::result(sign, left, right));
                (name, Op::Arithmetic(sign, nodes), kind)
            }
        };
        Ok(self.unary(expression, name, tested(op), kind))
    }
}

/// A comparison of a leaf with a constant is one node.
fn tested(op: Op) -> Op {
    let how = match &op {
        Op::Equal(_) => How::Equal,
        Op::NotEqual(_) => How::NotEqual,
        Op::Compare(comparison, _) => How::Order(*comparison),
        _ => return op,
    };
    match op {
        Op::Equal(nodes) | Op::NotEqual(nodes) | Op::Compare(_, nodes)
            if matches!((&nodes[0].op, &nodes[1].op), (Op::Leaf(_), Op::Constant(_))) =>
        {
            let [leaf, constant] = *nodes;
            let Node { at: leaf_at, op: Op::Leaf(leaf) } = leaf else {
                unreachable!("that was looked at")
            };
            let Op::Constant(constant) = constant.op else { unreachable!("that was looked at") };
            Op::Test(Box::new(Test { leaf, leaf_at, how, constant }))
        }
        other => other,
    }
}

#[derive(Clone, Copy)]
enum Binary {
    Equal(&'static str, bool),
    Compare(&'static str, Comparison),
    In,
    Arithmetic(&'static str, Sign),
}

fn binary(name: &str) -> Option<Binary> {
    Some(match name {
        ops::EQUALS => Binary::Equal("==", true),
        ops::NOT_EQUALS => Binary::Equal("!=", false),
        ops::LESS => Binary::Compare("<", Comparison::Less),
        ops::LESS_EQUALS => Binary::Compare("<=", Comparison::LessEqual),
        ops::GREATER => Binary::Compare(">", Comparison::Greater),
        ops::GREATER_EQUALS => Binary::Compare(">=", Comparison::GreaterEqual),
        ops::IN => Binary::In,
        ops::ADD => Binary::Arithmetic("+", Sign::Add),
        ops::SUBSTRACT => Binary::Arithmetic("-", Sign::Subtract),
        ops::MULTIPLY => Binary::Arithmetic("*", Sign::Multiply),
        ops::DIVIDE => Binary::Arithmetic("/", Sign::Divide),
        ops::MODULO => Binary::Arithmetic("%", Sign::Remainder),
        _ => return None,
    })
}
