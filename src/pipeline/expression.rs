//! Expressions and templates as a user writes them: read once at start.
//!
//! Paths, plain text in quotes and texts joined by `+` are built so far; anything else is refused
//! in a sentence. What they come to is `evaluate`'s.

use crate::codec::{
    PathId, PathTree, Segment,
    path::{Path, Scanner},
};

const ONLY_PATHS: &str = "only paths such as `event.a.b` or `record.key`, plain text in quotes and \
                          `+` between texts are built so far, no other operators, no functions \
                          or numbers";

/// What a user wrote where a value is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// The event or a part of it.
    Event(PathId),
    /// Something about the record.
    Record(Field),
    /// A part of what a step may have written, which no tape knows.
    Inside(PathId),
    /// Text in quotes.
    Text(Box<str>),
    /// Texts, one behind the other; none of them is joined itself.
    Joined(Box<[Expression]>),
}

impl Expression {
    /// The expression itself, or the parts that are joined.
    pub(super) fn parts_mut(&mut self) -> &mut [Expression] {
        match self {
            Expression::Joined(parts) => parts,
            other => std::slice::from_mut(other),
        }
    }
}

/// What a record knows beside its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Value,
    Key,
    Topic,
    Partition,
    Offset,
    Id,
    Timestamp,
    /// The last header of that name.
    Header(Box<str>),
}

pub(super) const FIELDS: [(&str, Field); 7] = [
    ("value", Field::Value),
    ("key", Field::Key),
    ("topic", Field::Topic),
    ("partition", Field::Partition),
    ("offset", Field::Offset),
    ("id", Field::Id),
    ("timestamp", Field::Timestamp),
];

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(Box<str>),
    Hole(Expression),
}

/// Reads an expression; the paths in it join `tree`.
pub(super) fn parse(text: &str, tree: &mut PathTree) -> Result<Expression, String> {
    let mut scanner = Scanner::new(text);
    let expression = parse_sum(&mut scanner, tree)?;
    if scanner.rest().is_empty() {
        Ok(expression)
    } else {
        Err(format!("{:?} is not understood: {ONLY_PATHS}", scanner.rest()))
    }
}

fn parse_sum(scanner: &mut Scanner<'_>, tree: &mut PathTree) -> Result<Expression, String> {
    let first = parse_one(scanner, tree)?;
    if !scanner.rest().starts_with('+') {
        return Ok(first);
    }
    let mut parts = vec![first];
    while scanner.take('+') {
        parts.push(parse_one(scanner, tree)?);
    }
    Ok(Expression::Joined(parts.into()))
}

fn parse_one(scanner: &mut Scanner<'_>, tree: &mut PathTree) -> Result<Expression, String> {
    scanner.skip_space();
    if let Some(text) = scanner.quoted()? {
        scanner.skip_space();
        return Ok(Expression::Text(text.into()));
    }
    let Ok(root) = scanner.name() else {
        return Err(format!("{:?} is not understood: {ONLY_PATHS}", scanner.rest()));
    };
    let expression = match root {
        "event" => Expression::Event(tree.add(&Path { segments: scanner.segments()? })),
        "record" => Expression::Record(parse_field(scanner)?),
        _ if scanner.rest().trim_start().starts_with('(') => {
            return Err(format!("the function `{root}` is not built yet: {ONLY_PATHS}"));
        }
        _ => {
            let near = ["event", "record"].into_iter().find(|it| strsim::levenshtein(it, root) < 3);
            let near = near.map_or(format!("event.{root}"), str::to_owned);
            return Err(format!(
                "a path begins with `event` or `record`, not `{root}`; did you mean `{near}`?"
            ));
        }
    };
    scanner.skip_space();
    Ok(expression)
}

fn parse_field(scanner: &mut Scanner<'_>) -> Result<Field, String> {
    use Segment::Name;
    let segments = scanner.segments()?;
    let known = "value, key, topic, partition, offset, id, timestamp or headers[\"name\"]";
    match segments.as_slice() {
        [Name(headers), Name(name)] if headers == "headers" => {
            Ok(Field::Header(name.as_str().into()))
        }
        [Name(headers), ..] if headers == "headers" => {
            Err("name one header, as in `record.headers[\"name\"]`".to_owned())
        }
        [Name(name)] => {
            let field = FIELDS.iter().find(|(it, _)| it == name);
            let near = FIELDS
                .iter()
                .max_by(|a, b| strsim::jaro(a.0, name).total_cmp(&strsim::jaro(b.0, name)));
            let near = near.map_or("", |(it, _)| it);
            let none =
                || format!("`record` has no `{name}`, only {known}; did you mean `record.{near}`?");
            field.map(|(_, field)| field.clone()).ok_or_else(none)
        }
        _ => Err(format!("`record` stands for no value by itself: it has {known}")),
    }
}

/// Reads a template: text with `{expression}` holes, `{{` and `}}` for braces.
pub(super) fn parse_template(text: &str, tree: &mut PathTree) -> Result<Vec<Piece>, String> {
    let mut scanner = Scanner::new(text);
    let mut pieces = Vec::new();
    let mut literal = String::new();
    while let Some(character) = scanner.rest().chars().next() {
        scanner.take(character);
        let doubled = matches!(character, '{' | '}') && scanner.take(character);
        match character {
            '}' if !doubled => {
                return Err("a `}` without a `{`; a brace of its own is `}}`".to_owned());
            }
            '{' if !doubled => {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
                }
                pieces.push(Piece::Hole(parse_sum(&mut scanner, tree)?));
                if !scanner.take('}') {
                    let wrong = scanner.unexpected("`}`");
                    return Err(format!("a hole must be a path and end with `}}`: {wrong}"));
                }
            }
            _ => literal.push(character),
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text, &mut PathTree::new()).unwrap_err()
    }

    #[test]
    fn paths_and_text_are_expressions() {
        let mut tree = PathTree::new();
        for (text, path) in [
            ("event.a.b", "a.b"),
            (" event[\"odd name\"] ", "[\"odd name\"]"),
            ("event.items[0]", "items[0]"),
            ("event", ""),
        ] {
            let Expression::Event(id) = parse(text, &mut tree).unwrap() else { panic!("{text}") };
            assert_eq!(tree.path(id).to_string(), path);
        }
        let header = Expression::Record(Field::Header("k".into()));
        assert_eq!(parse("record.headers['k']", &mut tree).unwrap(), header);
        assert_eq!(parse("record.headers.k", &mut tree).unwrap(), header);
        assert_eq!(parse("record.id", &mut tree).unwrap(), Expression::Record(Field::Id));
        assert_eq!(parse("'a b'", &mut tree).unwrap(), Expression::Text("a b".into()));
    }

    #[test]
    fn texts_are_joined() {
        let mut tree = PathTree::new();
        let joined = parse("event.country + ':' + record.key", &mut tree).unwrap();
        let Expression::Joined(parts) = &joined else { panic!("{joined:?}") };
        assert!(matches!(parts[0], Expression::Event(_)));
        assert_eq!(parts[1..], [Expression::Text(":".into()), Expression::Record(Field::Key)]);
        assert!(parse("event.a +", &mut tree).is_err());
        assert!(parse("+ event.a", &mut tree).is_err());
    }

    #[test]
    fn what_is_not_built_is_refused_in_a_sentence() {
        for (text, part) in [
            ("event.a + 1", "only paths"),
            ("7", "only paths"),
            ("", "only paths"),
            ("-event.a", "only paths"),
            ("size(event.a)", "the function `size` is not built yet"),
            ("event.a.size()", "only paths"),
            ("evnt.a", "did you mean `event`?"),
            ("key", "did you mean `event.key`?"),
            ("record", "no value by itself"),
            ("record.kex", "did you mean `record.key`?"),
            ("record.headers", "name one header"),
            ("event.a[", "an index or a name"),
        ] {
            assert!(error(text).contains(part), "{text}: {}", error(text));
        }
    }

    #[test]
    fn templates_have_holes_and_doubled_braces() {
        let mut tree = PathTree::new();
        let pieces = parse_template("a{{{event[\"}\"]}}}b", &mut tree).unwrap();
        let hole = Expression::Event(tree.add(&Path::parse("[\"}\"]").unwrap()));
        assert_eq!(
            pieces,
            [Piece::Literal("a{".into()), Piece::Hole(hole), Piece::Literal("}b".into())]
        );
        assert_eq!(parse_template("", &mut tree).unwrap(), []);
        for (text, part) in [
            ("a}", "without a `{`"),
            ("{event.a", "ends where `}`"),
            ("{event.a b}", "must be a path"),
            ("{}", "only paths"),
        ] {
            let error = parse_template(text, &mut tree).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
