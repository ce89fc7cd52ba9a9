//! Functions: found by name, their arguments counted and their types compared.

use cel::common::ast::{CallExpr, Expr, IdedExpr};

use super::{Compiled, Compiler, Typed};
use crate::pipeline::cel::{
    Kind,
    constant::Constant,
    functions::{self, Entry, Function, Style},
    node::{Node, Op},
    time,
};

impl Compiler<'_> {
    /// An operator, a form that binds variables, or a function.
    pub(super) fn call(&mut self, expression: &IdedExpr, call: &CallExpr) -> Compiled {
        if call.target.is_none()
            && let Some(typed) = self.operator(expression, call)?
        {
            return Ok(typed);
        }
        if let Some(typed) = self.binding(expression, call)? {
            return Ok(typed);
        }
        // A name before the dot may be where the function belongs, not what it is called on.
        if let Some(target) = &call.target
            && let Expr::Ident(space) = &target.expr
            && functions::NAMESPACES.contains(&space.as_str())
            && self.local(space).is_none()
        {
            let name = format!("{space}.{}", call.func_name);
            return self.function(expression, &name, None, &call.args);
        }
        let name = call.func_name.trim_start_matches('.');
        self.function(expression, name, call.target.as_deref(), &call.args)
    }

    fn function(
        &mut self,
        expression: &IdedExpr,
        name: &str,
        target: Option<&IdedExpr>,
        arguments: &[IdedExpr],
    ) -> Compiled {
        let at = self.at(expression);
        self.label(at, name);
        match (name, target, arguments) {
            ("has", None, [argument]) => return self.has(expression, argument),
            ("now", None, []) => {
                return Ok(Typed { node: Node { at, op: Op::Now }, kind: Some(Kind::Timestamp) });
            }
            ("lookup", None, [table, key]) => return self.lookup(expression, table, key),
            ("has", None, _) => {
                return self.refuse(expression, counts("has", "1", arguments.len()));
            }
            ("now", None, _) => {
                return self.refuse(expression, counts("now", "0", arguments.len()));
            }
            ("lookup", None, _) => {
                return self.refuse(expression, counts("lookup", "2", arguments.len()));
            }
            _ => {}
        }
        if let Some((_, function)) = functions::OF_MANY.iter().find(|(it, _)| *it == name) {
            return self.of_many(expression, name, *function, arguments);
        }
        let Some(entry) = functions::named(name) else {
            return self.unknown_function(expression, name);
        };
        match (entry.style, target) {
            (Style::Global, Some(_)) => {
                self.refuse(expression, format!("`{name}` is called as `{name}(…)`"))
            }
            (Style::Method, None) => {
                self.refuse(expression, format!("`{name}` is called as `x.{name}(…)`"))
            }
            _ => self.known(expression, entry, target, arguments),
        }
    }

    fn known(
        &mut self,
        expression: &IdedExpr,
        entry: &'static Entry,
        target: Option<&IdedExpr>,
        arguments: &[IdedExpr],
    ) -> Compiled {
        let count = arguments.len() + usize::from(target.is_some());
        if !entry.takes_count(count) {
            let wanted = entry.counts(target.is_some());
            return self.refuse(expression, counts(entry.name, &wanted, arguments.len()));
        }
        let mut nodes = Vec::new();
        let mut kinds = Vec::new();
        for argument in target.into_iter().chain(arguments) {
            let typed = self.expression(argument)?;
            nodes.push(typed.node);
            kinds.push(typed.kind);
        }
        if self.is_checked && !entry.takes(&kinds) {
            let given: Vec<_> = kinds.iter().map(|it| it.map_or("any value", Kind::name)).collect();
            let message = format!("`{}` does not take {}", entry.name, given.join(" and "));
            return self.error(expression, message);
        }
        self.finish(expression, entry, nodes)
    }

    fn finish(
        &mut self,
        expression: &IdedExpr,
        entry: &'static Entry,
        mut nodes: Vec<Node>,
    ) -> Compiled {
        let at = self.at(expression);
        let op = match (entry.function, nodes.as_slice()) {
            (Function::Matches, [_, pattern]) => {
                let Op::Constant(Constant::Text(pattern)) = &pattern.op else {
                    return self.refuse(expression, "the pattern of `matches` must be a literal");
                };
                match regex::Regex::new(pattern) {
                    Ok(pattern) => Op::Matches(Box::new((nodes.swap_remove(0), pattern))),
                    Err(error) => {
                        let error = error.to_string();
                        let last = error.lines().last().unwrap_or_default().to_owned();
                        return self.refuse(expression, format!("no pattern: {last}"));
                    }
                }
            }
            (Function::TimePart(_), [_, Node { op: Op::Constant(Constant::Text(name)), .. }]) => {
                match time::zone(name) {
                    Some(zone) => {
                        Op::InZone(entry.function, Box::new((nodes.swap_remove(0), zone)))
                    }
                    None => {
                        let message = format!("there is no time zone named {name:?}");
                        return self.refuse(expression, message);
                    }
                }
            }
            _ => Op::Call(entry.function, nodes.into()),
        };
        Ok(self.folded(Node { at, op }, entry.gives))
    }

    fn of_many(
        &mut self,
        expression: &IdedExpr,
        name: &str,
        function: Function,
        arguments: &[IdedExpr],
    ) -> Compiled {
        let mut nodes = Vec::new();
        for argument in arguments {
            let typed = self.expression(argument)?;
            let is_alone = arguments.len() == 1;
            let fits = |kind: Kind| kind.is_number() || is_alone && kind == Kind::List;
            if self.is_checked && !typed.kind.is_none_or(fits) {
                let kind = typed.kind.map_or("", Kind::name);
                return self.error(argument, format!("`{name}` does not take {kind}"));
            }
            nodes.push(typed.node);
        }
        if nodes.is_empty() {
            return self.refuse(expression, counts(name, "1 or more", 0));
        }
        let at = self.at(expression);
        Ok(self.folded(Node { at, op: Op::Call(function, nodes.into()) }, None))
    }

    fn has(&mut self, expression: &IdedExpr, argument: &IdedExpr) -> Compiled {
        let Expr::Select(select) = &argument.expr else {
            return self.error(expression, "`has` wants a field, as in `has(event.a)`");
        };
        let leaf = match self.way(argument) {
            Some(way) => self.resolve(argument, &way)?.map(|(leaf, _)| leaf),
            None => None,
        };
        let operand = self.expression(&select.operand)?;
        self.check_parts(expression, operand.kind, &select.field)?;
        let at = self.at(expression);
        let op = Op::Has(Box::new((operand.node, select.field.as_str().into(), leaf)));
        Ok(Typed { node: Node { at, op }, kind: Some(Kind::Bool) })
    }

    fn lookup(&mut self, expression: &IdedExpr, table: &IdedExpr, key: &IdedExpr) -> Compiled {
        let Op::Constant(Constant::Text(name)) = self.expression(table)?.node.op else {
            return self.refuse(table, "the table of `lookup` must be a literal");
        };
        let table = match self.names.table(&name) {
            Ok(table) => table,
            Err(message) => return self.refuse(table, message),
        };
        let key_typed = self.expression(key)?;
        let is_key = |kind| !matches!(kind, Kind::Null | Kind::List | Kind::Map | Kind::Optional);
        if self.is_checked && !key_typed.kind.is_none_or(is_key) {
            let kind = key_typed.kind.map_or("", Kind::name);
            return self.error(key, format!("{kind} cannot be a key"));
        }
        let at = self.at(expression);
        let op = Op::Lookup(table, Box::new(key_typed.node));
        Ok(Typed { node: Node { at, op }, kind: None })
    }

    fn unknown_function(&mut self, expression: &IdedExpr, name: &str) -> Compiled {
        let known = functions::FUNCTIONS.iter().map(|entry| entry.name);
        let more = ["has", "now", "lookup", "all", "exists", "exists_one", "map", "filter"];
        let known = known.chain(more).chain(functions::OF_MANY.iter().map(|(name, _)| *name));
        let near = known.map(|it| (strsim::levenshtein(it, name), it)).min();
        let hint = match near {
            Some((distance, near)) if distance < 4 => format!("; did you mean `{near}`?"),
            _ => String::new(),
        };
        self.refuse(expression, format!("there is no function `{name}`{hint}"))
    }
}

fn counts(name: &str, wanted: &str, given: usize) -> String {
    let arguments = if wanted == "1" { "argument" } else { "arguments" };
    format!("`{name}` takes {wanted} {arguments}, not {given}")
}
