//! The crate's parser, and its complaints as sentences.

use cel::{Env, IdedExpr, common::ast::SourceInfo};

use super::CompileError;

/// Calls in calls, brackets in brackets: how deep an expression may go.
const DEPTH_MAX: u16 = 96;

/// The syntax of an expression, without macros expanded, and where its parts stand.
pub(super) fn parse(text: &str) -> Result<(IdedExpr, SourceInfo), CompileError> {
    let parser = Env::default().parser().enable_ident_escape_syntax(true);
    let parser = parser.enable_optional_syntax(true).max_recursion_depth(DEPTH_MAX);
    parser.parse_with_source_info(text).map_err(|errors| {
        let Some(error) = errors.errors.first() else {
            return CompileError { at: 0, message: "it is no expression".to_owned() };
        };
        let at = offset(text, error.pos);
        CompileError { at, message: sentence(&error.msg, text, at) }
    })
}

/// The parser counts lines and characters from 1; where nodes stand it tells in bytes.
fn offset(text: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let column = usize::try_from(column - 1).unwrap_or(0);
    let rest = text.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}

fn sentence(message: &str, text: &str, at: usize) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    if text.trim().is_empty() {
        return "it is empty where a value is expected".to_owned();
    }
    if message.contains("<EOF>") && text[at..].trim().is_empty() {
        return "it ends where something is expected".to_owned();
    }
    if message.contains("token recognition error") {
        return format!("{:?} is not understood", text[at..].trim_end());
    }
    let is_grammar = ["extraneous input", "mismatched input", "no viable alternative", "missing"];
    if is_grammar.iter().any(|it| message.starts_with(it)) {
        return format!("{:?} is not expected here", text[at..].trim_end());
    }
    message.to_owned()
}
