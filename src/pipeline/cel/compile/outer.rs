//! An expression around expressions: one call of a name that is no function here, whose arguments
//! are compiled one by one by who knows what it means.

use cel::common::ast::{CallExpr, Expr, SourceInfo};

use super::{CompileError, Compiler, Typed, parse};
use crate::pipeline::cel::{Names, Program};

/// A call, taken apart.
#[derive(Debug)]
pub struct Outer {
    text: Box<str>,
    name: String,
    arguments: usize,
}

impl Outer {
    /// Takes a text apart; `None` if it is an expression, but no call of a name.
    ///
    /// # Errors
    ///
    /// If the text is no expression.
    pub fn parse(text: &str) -> Result<Option<Outer>, CompileError> {
        Ok(call_of(text)?.map(|(CallExpr { func_name: name, args, .. }, _)| Outer {
            text: text.into(),
            name,
            arguments: args.len(),
        }))
    }

    /// What is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many arguments it is given.
    pub fn arguments(&self) -> usize {
        self.arguments
    }

    /// Compiles an argument, by its index; its text is that of the whole, so that what is wrong with
    /// a record is told of its place in that.
    ///
    /// # Errors
    ///
    /// As `compile`.
    pub fn argument(&self, index: usize, names: &mut dyn Names) -> Result<Program, CompileError> {
        let (call, info) = call_of(&self.text)?.expect("it was a call before");
        let mut compiler = Compiler::new(names, info, true);
        let Typed { node, kind } = compiler.expression(&call.args[index])?;
        Ok(compiler.program(&self.text, node, kind))
    }
}

/// The call of a name that a text is.
fn call_of(text: &str) -> Result<Option<(CallExpr, SourceInfo)>, CompileError> {
    let (root, info) = parse::parse(text)?;
    let is_name = |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic());
    Ok(match root.expr {
        Expr::Call(call) if call.target.is_none() && is_name(&call.func_name) => Some((call, info)),
        _ => None,
    })
}
