//! Loops and other forms that bind a variable, compiled as they are written.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use super::{Compiled, Compiler, Typed};
use crate::pipeline::cel::{
    Kind,
    node::{Loop, LoopKind, Node, Op},
};

/// A form, by the name and the number of arguments: which loop it is, with how many variables.
fn form(name: &str, arguments: usize) -> Option<(LoopKind, usize)> {
    Some(match (name, arguments) {
        ("all", 2) => (LoopKind::All, 1),
        ("all", 3) => (LoopKind::All, 2),
        ("exists", 2) => (LoopKind::Exists, 1),
        ("exists", 3) => (LoopKind::Exists, 2),
        ("exists_one" | "existsOne", 2) => (LoopKind::ExistsOne, 1),
        ("exists_one" | "existsOne", 3) => (LoopKind::ExistsOne, 2),
        ("map", 2 | 3) => (LoopKind::Map, 1),
        ("filter", 2) => (LoopKind::Filter, 1),
        ("transformList", 3 | 4) => (LoopKind::Map, 2),
        ("transformMap", 3 | 4) => (LoopKind::TransformMap, 2),
        ("transformMapEntry", 3 | 4) => (LoopKind::TransformMapEntry, 2),
        _ => return None,
    })
}

impl Compiler<'_> {
    /// The node of a form that binds variables; nothing if the call is none.
    pub(super) fn binding(
        &mut self,
        expression: &IdedExpr,
        call: &CallExpr,
    ) -> Compiled<Option<Typed>> {
        let Some(target) = &call.target else { return Ok(None) };
        let name = call.func_name.as_str();
        if matches!(&target.expr, Expr::Ident(it) if it == "cel") {
            return self.of_cel(expression, name, &call.args);
        }
        if let ("optMap" | "optFlatMap", [variable, value]) = (name, call.args.as_slice()) {
            let operand = self.expression(target)?;
            let local = self.declare(variable)?;
            let value = self.expression(value)?;
            self.locals.pop();
            let op =
                Op::OptionalMap(local, name == "optFlatMap", Box::new([operand.node, value.node]));
            return Ok(Some(self.made(expression, name, op, Some(Kind::Optional))));
        }
        match form(name, call.args.len()) {
            Some(form) => self.looped(expression, call, target, form).map(Some),
            None => Ok(None),
        }
    }

    fn looped(
        &mut self,
        expression: &IdedExpr,
        call: &CallExpr,
        target: &IdedExpr,
        (kind, variables): (LoopKind, usize),
    ) -> Compiled {
        let name = call.func_name.as_str();
        let range = self.expression(target)?;
        let fits = range.kind.is_none_or(|it| matches!(it, Kind::List | Kind::Map));
        if !fits && self.is_checked {
            let given = range.kind.map_or("", Kind::name);
            return self.error(
                expression,
                format!("`{name}` goes through a list or an object, not {given}"),
            );
        }
        let (variable_names, rest) = call.args.split_at(variables);
        let variable = self.declare(&variable_names[0])?;
        let second = variable_names.get(1).map(|it| self.declare(it)).transpose()?;
        if variables == 2
            && self.locals[usize::from(variable)] == self.locals[usize::from(variable) + 1]
        {
            return self.error(&variable_names[1], "the two variables need two names");
        }
        let condition = match rest {
            [condition, _] => Some(self.condition(condition, name)?),
            _ => None,
        };
        let is_condition = matches!(
            kind,
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne | LoopKind::Filter
        );
        let step = &rest[rest.len() - 1];
        let step =
            if is_condition { self.condition(step, name)? } else { self.expression(step)?.node };
        self.locals.truncate(usize::from(variable));
        let gives = match kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Kind::Bool,
            LoopKind::Map | LoopKind::Filter => Kind::List,
            LoopKind::TransformMap | LoopKind::TransformMapEntry => Kind::Map,
        };
        let it = Loop { kind, range: range.node, variable, second, condition, step };
        Ok(self.made(expression, name, Op::Loop(Box::new(it)), Some(gives)))
    }

    fn condition(&mut self, expression: &IdedExpr, name: &str) -> Compiled<Node> {
        let typed = self.expression(expression)?;
        self.check_bool(expression, typed.kind, name)?;
        Ok(typed.node)
    }

    fn made(&mut self, expression: &IdedExpr, name: &str, op: Op, kind: Option<Kind>) -> Typed {
        let at = self.at(expression);
        self.label(at, name);
        Typed { node: Node { at, op }, kind }
    }

    /// `cel.bind`, and what optimisers of CEL write.
    fn of_cel(
        &mut self,
        expression: &IdedExpr,
        name: &str,
        arguments: &[IdedExpr],
    ) -> Compiled<Option<Typed>> {
        match (name, arguments) {
            ("bind", [variable, value, result]) => {
                let value = self.expression(value)?;
                let local = self.declare(variable)?;
                let result = self.expression(result)?;
                self.locals.pop();
                let op = Op::Bind(local, Box::new([value.node, result.node]));
                Ok(Some(self.made(expression, "cel.bind", op, result.kind)))
            }
            ("block", [values, result]) => {
                let Expr::List(list) = &values.expr else {
                    return self.error(values, "`cel.block` wants a list of values");
                };
                self.block(expression, &list.elements, result).map(Some)
            }
            ("index" | "iterVar", _) => {
                let Some(variable) = variable_name(expression) else { return Ok(None) };
                let Some(local) = self.local(&variable) else {
                    return self.error(expression, "no block or loop has this variable");
                };
                Ok(Some(self.made(expression, "cel.index", Op::Local(local), None)))
            }
            _ => Ok(None),
        }
    }

    fn block(&mut self, expression: &IdedExpr, values: &[IdedExpr], result: &IdedExpr) -> Compiled {
        let depth = self.locals.len();
        let mut bound = Vec::new();
        for (index, value) in values.iter().enumerate() {
            bound.push((self.expression(value)?.node, (depth + index) as u16));
            self.locals.push(format!("@index:{index}"));
            self.locals_max = self.locals_max.max(self.locals.len());
        }
        let mut typed = self.expression(result)?;
        self.locals.truncate(depth);
        let kind = typed.kind;
        for (value, local) in bound.into_iter().rev() {
            typed = self.made(
                expression,
                "cel.block",
                Op::Bind(local, Box::new([value, typed.node])),
                kind,
            );
        }
        Ok(typed)
    }

    /// Brings a variable into scope.
    fn declare(&mut self, variable: &IdedExpr) -> Compiled<u16> {
        let Some(name) = variable_name(variable) else {
            return self.error(variable, "the name of a variable is expected here");
        };
        self.locals.push(name);
        self.locals_max = self.locals_max.max(self.locals.len());
        Ok((self.locals.len() - 1) as u16)
    }
}

/// A plain name, `cel.index(1)` or `cel.iterVar(0, 1)`.
fn variable_name(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) if !name.starts_with('.') => Some(name.clone()),
        Expr::Call(call)
            if call
                .target
                .as_ref()
                .is_some_and(|it| matches!(&it.expr, Expr::Ident(name) if name == "cel")) =>
        {
            let number = |it: &IdedExpr| match &it.expr {
                Expr::Literal(LiteralValue::Int(number)) => Some(number.inner().to_string()),
                _ => None,
            };
            let numbers: Option<Vec<String>> = call.args.iter().map(number).collect();
            Some(format!("@{}:{}", call.func_name, numbers?.join(":")))
        }
        _ => None,
    }
}
