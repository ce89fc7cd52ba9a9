//! The text of an expression into a program: parsed, names resolved, types checked, constants
//! computed.
//!
//! The crate's parser gives the syntax without its macros, because a loop is easier to compile from
//! how it was written. Checked is what can be known: unknown names, functions and tables, the
//! number of arguments, types that never fit. What depends on the record is a fault when it
//! happens.

mod calls;
mod chain;
mod check;
mod fold;
mod loops;
mod operators;
mod outer;
mod parse;

pub use outer::Outer;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo};

use crate::pipeline::cel::{
    Arena, Kind, Names, Program,
    constant::Constant,
    node::{Entry, Item, Node, Op},
};

/// Why an expression cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// Where in the text, in bytes.
    pub at: usize,
    /// A sentence.
    pub message: String,
}

/// Compiles an expression and checks what can be known of it.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn compile(text: &str, names: &mut dyn Names) -> Result<Program, CompileError> {
    Compiler::run(text, names, true)
}

/// Compiles an expression and leaves unknown names and types that never fit to be faults.
///
/// # Errors
///
/// If the text is no expression.
pub fn compile_unchecked(text: &str, names: &mut dyn Names) -> Result<Program, CompileError> {
    Compiler::run(text, names, false)
}

/// Bytes that computing constants begins with.
const FOLD_BYTES: usize = 1024;

struct Compiler<'n> {
    names: &'n mut dyn Names,
    info: SourceInfo,
    is_checked: bool,
    /// Variables in scope, the innermost last; a variable's number is its place here.
    locals: Vec<String>,
    locals_max: usize,
    labels: Vec<(u32, Box<str>)>,
    arena: Arena,
}

/// A node and the type of its values, where that is known.
struct Typed {
    node: Node,
    kind: Option<Kind>,
}

type Compiled<T = Typed> = Result<T, CompileError>;

impl Compiler<'_> {
    fn run(text: &str, names: &mut dyn Names, is_checked: bool) -> Compiled<Program> {
        let (root, info) = parse::parse(text)?;
        let mut compiler = Compiler::new(names, info, is_checked);
        let Typed { node, kind } = compiler.expression(&root)?;
        Ok(compiler.program(text, node, kind))
    }

    fn new(names: &mut dyn Names, info: SourceInfo, is_checked: bool) -> Compiler<'_> {
        Compiler {
            names,
            info,
            is_checked,
            locals: Vec::new(),
            locals_max: 0,
            labels: Vec::new(),
            arena: Arena::with_capacity(FOLD_BYTES),
        }
    }

    fn program(self, text: &str, root: Node, kind: Option<Kind>) -> Program {
        let Compiler { locals_max: locals, labels, .. } = self;
        Program { text: text.into(), root, kind, locals, labels }
    }

    /// Where an operator, a function's name or a bracket stands. The parser tells of a call where
    /// its bracket is.
    fn at(&self, expression: &IdedExpr) -> u32 {
        let at = self.info.offset_for(expression.id).map_or(0, |(start, _)| start);
        let Expr::Call(call) = &expression.expr else { return at };
        let before = self.info.source.get(..at as usize).unwrap_or_default().trim_end();
        match before.strip_suffix(call.func_name.as_str()) {
            Some(before) => before.len() as u32,
            None => at,
        }
    }

    /// Where the first name of a way stands.
    fn start(&self, expression: &IdedExpr) -> u32 {
        let mut at = expression;
        loop {
            at = match &at.expr {
                Expr::Select(select) => &select.operand,
                Expr::Call(call) if call.target.is_none() => match call.args.first() {
                    Some(operand) => operand,
                    None => return self.at(at),
                },
                _ => return self.at(at),
            }
        }
    }

    fn error<T>(&self, expression: &IdedExpr, message: impl Into<String>) -> Compiled<T> {
        let at = match &expression.expr {
            Expr::Select(_) => self.start(expression),
            _ => self.at(expression),
        };
        Err(CompileError { at: at as usize, message: message.into() })
    }

    /// A problem of types or names: told, unless the expression is not to be checked.
    fn refuse(&mut self, expression: &IdedExpr, message: impl Into<String>) -> Compiled {
        if self.is_checked {
            return self.error(expression, message);
        }
        let at = self.at(expression);
        Ok(Typed { node: Node { at, op: Op::Unknown }, kind: None })
    }

    /// Notes what stands at a place, for the sentence about a fault there.
    fn label(&mut self, at: u32, label: &str) {
        if !self.labels.iter().any(|(it, _)| *it == at) {
            self.labels.push((at, label.into()));
        }
    }

    fn expression(&mut self, expression: &IdedExpr) -> Compiled {
        let at = self.at(expression);
        match &expression.expr {
            Expr::Literal(literal) => Ok(constant(at, literal_value(literal))),
            Expr::Ident(_) | Expr::Select(_) => self.chain(expression),
            Expr::Call(call) => self.call(expression, call),
            Expr::List(list) => {
                let mut items = Vec::new();
                for (index, element) in list.elements.iter().enumerate() {
                    let is_optional = list.optional_indices.contains(&index);
                    items.push(Item { node: self.expression(element)?.node, is_optional });
                }
                self.label(at, "[]");
                Ok(self.folded(Node { at, op: Op::List(items.into()) }, Some(Kind::List)))
            }
            Expr::Map(map) => {
                let mut entries = Vec::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                    let key = self.expression(&entry.key)?.node;
                    let value = self.expression(&entry.value)?.node;
                    self.label(key.at, "{}");
                    entries.push(Entry { key, value, is_optional: entry.optional });
                }
                self.label(at, "{}");
                Ok(self.folded(Node { at, op: Op::Map(entries.into()) }, Some(Kind::Map)))
            }
            Expr::Struct(it) => {
                let name = &it.type_name;
                self.error(expression, format!("there is no message `{name}`: values are JSON's"))
            }
            Expr::Comprehension(_) | Expr::Unspecified => {
                self.error(expression, "this is not understood")
            }
        }
    }
}

fn constant(at: u32, constant: Constant) -> Typed {
    let kind = Some(constant.value().kind());
    Typed { node: Node { at, op: Op::Constant(constant) }, kind }
}

fn literal_value(literal: &LiteralValue) -> Constant {
    match literal {
        LiteralValue::Boolean(truth) => Constant::Bool(*truth.inner()),
        LiteralValue::Bytes(bytes) => Constant::Bytes(bytes.inner().into()),
        LiteralValue::Double(number) => Constant::Double(*number.inner()),
        LiteralValue::Int(number) => Constant::Int(*number.inner()),
        LiteralValue::Null => Constant::Null,
        LiteralValue::String(text) => Constant::Text(text.inner().into()),
        LiteralValue::UInt(number) => Constant::Uint(*number.inner()),
    }
}
