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

    /// Compiles an argument, by its index; its text is that of the whole, so that what is wrong
    /// with a record is told of its place in that.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::cel::{Constant, Kind};

    struct Nothing;

    impl Names for Nothing {
        fn resolve(
            &mut self,
            _way: &[crate::codec::Segment],
        ) -> Result<Option<crate::pipeline::cel::Named>, String> {
            Ok(None)
        }

        fn known(&self) -> Vec<String> {
            Vec::new()
        }

        fn table(&mut self, name: &str) -> Result<usize, String> {
            Err(format!("no {name}"))
        }
    }

    #[test]
    fn a_call_of_a_name_is_taken_apart_and_nothing_else_is() {
        for text in ["1 + 2", "-1", "'a'", "[1][0]", "'a'.size()", "{'a': 1}.a", "true ? 1 : 2"] {
            assert!(Outer::parse(text).unwrap().is_none(), "{text}");
        }
        assert!(Outer::parse("sum(").is_err());
        let outer = Outer::parse(" q( 1 + 2, 'x') ").unwrap().unwrap();
        assert_eq!((outer.name(), outer.arguments()), ("q", 2));
        let one = outer.argument(0, &mut Nothing).unwrap();
        assert!(matches!(one.constant(), Some(Constant::Int(3))));
        assert_eq!(one.text(), " q( 1 + 2, 'x') ");
        assert_eq!(outer.argument(1, &mut Nothing).unwrap().kind(), Some(Kind::Text));
        assert_eq!(Outer::parse("n()").unwrap().unwrap().arguments(), 0);
    }

    #[test]
    fn what_is_wrong_with_an_argument_is_told_at_its_place_in_the_whole() {
        let outer = Outer::parse("sum(1, nobody)").unwrap().unwrap();
        let error = outer.argument(1, &mut Nothing).unwrap_err();
        assert_eq!(error.at, 7);
        assert!(error.message.contains("nobody"), "{}", error.message);
    }
}
