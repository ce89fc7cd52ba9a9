//! Templates: text with `{expression}` holes, and `{{` and `}}` for braces.
//!
//! Any expression may stand in a hole. Where it ends is found by going through its brackets and
//! quotes: a brace within them belongs to it.

use crate::pipeline::{
    cel::CompileError,
    expression::{self, Piece},
    names::Sights,
};

/// Reads a template.
pub(super) fn parse(text: &str, names: &mut Sights) -> Result<Vec<Piece>, CompileError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    let error = |at, message: &str| Err(CompileError { at, message: message.to_owned() });
    while let Some(character) = text[at..].chars().next() {
        let is_doubled = text[at + character.len_utf8()..].starts_with(character);
        match character {
            '{' | '}' if is_doubled => {
                literal.push(character);
                at += 1;
            }
            '}' => return error(at, "a `}` without a `{`; a brace of its own is `}}`"),
            '{' => {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
                }
                let start = at + 1;
                let Some(length) = hole_end(&text[start..]) else {
                    return error(at, "this hole does not end; a brace of its own is `{{`");
                };
                let hole = expression::compile(&text[start..start + length], names);
                let hole = hole.map_err(|it| CompileError { at: start + it.at, ..it })?;
                pieces.push(Piece::Hole(hole));
                at = start + length;
            }
            _ => literal.push(character),
        }
        at += character.len_utf8();
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
    Ok(pieces)
}

/// Where the brace stands that ends an expression.
fn hole_end(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            b'"' | b'\'' => at += quoted_len(text, at)? - 1,
            b'`' => at += text[at + 1..].find('`')? + 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Bytes of the quoted text that begins at `at`, its quotes counted.
fn quoted_len(text: &str, at: usize) -> Option<usize> {
    let is_raw = is_raw(&text[..at]);
    let quote = &text[at..at + 1];
    let tripled = quote.repeat(3);
    let close = if text[at..].starts_with(&tripled) { tripled.as_str() } else { quote };
    let mut end = at + close.len();
    loop {
        let rest = text.get(end..)?;
        if rest.starts_with(close) {
            return Some(end + close.len() - at);
        }
        end += if rest.starts_with('\\') && !is_raw { 2 } else { 1 };
        while end < text.len() && !text.is_char_boundary(end) {
            end += 1;
        }
    }
}

/// True if an `r` before the quote says that backslashes stand for themselves.
fn is_raw(before: &str) -> bool {
    let name = before.len() - before.trim_end_matches(|c: char| c.is_ascii_alphanumeric()).len();
    let prefix = &before[before.len() - name..];
    matches!(prefix, "r" | "R" | "rb" | "br" | "Rb" | "bR" | "rB" | "Br" | "RB" | "BR")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::expression::Expression;

    fn shown(text: &str) -> Vec<String> {
        let mut names = Sights::default();
        let pieces = parse(text, &mut names).unwrap();
        let show = |piece: &Piece| match piece {
            Piece::Literal(text) => format!("'{text}'"),
            Piece::Hole(Expression::Event(path)) => names.tree.path(*path).to_string(),
            Piece::Hole(Expression::Program(program)) => program.text().to_owned(),
            Piece::Hole(other) => format!("{other:?}"),
        };
        pieces.iter().map(show).collect()
    }

    #[test]
    fn templates_have_holes_and_doubled_braces() {
        assert_eq!(shown(r#"a{{{event["}"]}}}b"#), ["'a{'", r#"["}"]"#, "'}b'"]);
        assert_eq!(shown(""), [""; 0]);
        assert_eq!(shown("{event.a}{event.b}é"), ["a", "b", "'é'"]);
    }

    #[test]
    fn an_expression_keeps_its_own_braces_and_quotes() {
        for hole in [
            r#" {"a": event.b}.a "#,
            r#"event.a + '}'"#,
            r#"event.a + "\"}""#,
            r#"event.a + r'\'"#,
            r#"event.a + '''}'}'''"#,
            r#"event.a + '\\' + "}""#,
            r#"{"a}": "é}"}["a}"] + event.a"#,
            r#"{"a": "}"}.`a` + event.a"#,
        ] {
            let text = format!("x{{ {hole}}}y");
            assert_eq!(shown(&text)[1].trim(), hole.trim(), "{text}");
            assert_eq!(shown(&text).len(), 3, "{text}");
        }
    }

    #[test]
    fn what_is_no_template_is_told_in_a_sentence() {
        for (text, at, part) in [
            ("a}", 1, "without a `{`"),
            ("{event.a", 0, "does not end"),
            ("{event.a + '}", 0, "does not end"),
            ("{event.a b}", 9, "not expected here"),
            ("x{}", 2, "is empty"),
            ("ab {evnt.a}", 4, "did you mean `event`?"),
        ] {
            let error = parse(text, &mut Sights::default()).unwrap_err();
            assert!(error.message.contains(part), "{text}: {error:?}");
            assert_eq!(error.at, at, "{text}: {error:?}");
        }
    }
}
