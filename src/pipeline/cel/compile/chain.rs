//! Names and ways: `event.a.b[0]["c d"]` is one leaf where the world knows it, else a selection.

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

use super::{CompileError, Compiled, Compiler, Typed, constant};
use crate::{
    codec::{Path, Segment},
    pipeline::cel::{
        Kind,
        constant::Constant,
        node::{Leaf, Node, Op},
    },
};

impl Compiler<'_> {
    /// An identifier or a selection.
    pub(super) fn chain(&mut self, expression: &IdedExpr) -> Compiled {
        if let Some(typed) = self.leaf(expression)? {
            return Ok(typed);
        }
        let at = self.at(expression);
        match &expression.expr {
            Expr::Ident(name) => self.unknown_name(expression, name),
            Expr::Select(select) => {
                let operand = self.expression(&select.operand)?;
                self.label(at, &select.field);
                self.check_parts(expression, operand.kind, &select.field)?;
                let kind = (operand.kind == Some(Kind::Optional)).then_some(Kind::Optional);
                let op = Op::Select(Box::new((operand.node, select.field.as_str().into())));
                Ok(self.folded(Node { at, op }, kind))
            }
            _ => self.error(expression, "this is not understood"),
        }
    }

    /// The whole of it as one leaf, a variable or a type.
    pub(super) fn leaf(&mut self, expression: &IdedExpr) -> Compiled<Option<Typed>> {
        let Some(way) = self.way(expression) else { return Ok(None) };
        let at = self.start(expression);
        if let [Segment::Name(name)] = way.as_slice()
            && let Some(local) = self.local(name)
        {
            self.label(at, name);
            let node = Node { at, op: Op::Local(local) };
            return Ok(Some(Typed { node, kind: None }));
        }
        match self.resolve(expression, &way)? {
            Some((leaf, kind)) => {
                self.label(at, &Path { segments: way }.to_string());
                Ok(Some(Typed { node: Node { at, op: Op::Leaf(leaf) }, kind }))
            }
            None => Ok(type_named(&way).map(|kind| constant(at, Constant::Type(kind)))),
        }
    }

    /// What the world knows of a way.
    pub(super) fn resolve(
        &mut self,
        expression: &IdedExpr,
        way: &[Segment],
    ) -> Compiled<Option<(Leaf, Option<Kind>)>> {
        match self.names.resolve(way) {
            Ok(None) => Ok(None),
            Ok(Some(named)) => Ok(Some((named.leaf, named.kind))),
            Err(message) => Err(CompileError { at: self.start(expression) as usize, message }),
        }
    }

    /// The segments of an expression that consists of nothing but them, from a name down. Only the
    /// name alone may be a variable: below one there is a value.
    pub(super) fn way(&self, expression: &IdedExpr) -> Option<Vec<Segment>> {
        let mut way = Vec::new();
        let mut at = expression;
        loop {
            match &at.expr {
                Expr::Ident(name) => {
                    let is_local = self.local(name).is_some();
                    if is_local && !way.is_empty() {
                        return None;
                    }
                    way.push(Segment::Name(name.trim_start_matches('.').to_owned()));
                    way.reverse();
                    return Some(way);
                }
                Expr::Select(select) => {
                    way.push(Segment::Name(select.field.clone()));
                    at = &select.operand;
                }
                Expr::Call(call) if call.func_name == operators::INDEX => {
                    let [operand, index] = call.args.as_slice() else { return None };
                    way.push(segment(index)?);
                    at = operand;
                }
                _ => return None,
            }
        }
    }

    /// The innermost variable of that name; a leading dot means none.
    pub(super) fn local(&self, name: &str) -> Option<u16> {
        self.locals.iter().rposition(|it| it == name).map(|at| at as u16)
    }

    fn unknown_name(&mut self, expression: &IdedExpr, name: &str) -> Compiled {
        let mut known = self.names.known();
        known.extend(self.locals.iter().filter(|it| !it.starts_with('@')).cloned());
        let near = known.iter().filter(|it| strsim::levenshtein(it, name) < 3);
        let near = near.min_by_key(|it| strsim::levenshtein(it, name)).cloned();
        let near =
            near.or_else(|| known.contains(&"event".to_owned()).then(|| format!("event.{name}")));
        let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        self.refuse(expression, format!("there is no `{name}`{hint}"))
    }
}

fn segment(index: &IdedExpr) -> Option<Segment> {
    match &index.expr {
        Expr::Literal(LiteralValue::String(name)) => Some(Segment::Name(name.inner().to_owned())),
        Expr::Literal(LiteralValue::Int(number)) => {
            usize::try_from(*number.inner()).ok().map(Segment::Index)
        }
        _ => None,
    }
}

fn type_named(way: &[Segment]) -> Option<Kind> {
    let name = |segment: &Segment| match segment {
        Segment::Name(name) => Some(name.clone()),
        Segment::Index(_) => None,
    };
    let names: Option<Vec<String>> = way.iter().map(name).collect();
    let name = names?.join(".");
    Kind::ALL.into_iter().find(|kind| kind.cel_name() == name)
}
