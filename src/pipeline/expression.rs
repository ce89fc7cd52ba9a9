//! Expressions and templates: read once at start, evaluated to bytes and a kind.
//!
//! Paths, plain text in quotes and texts joined by `+` are built so far; anything else is refused
//! in a sentence.
//! A value is never rebuilt: text comes unescaped from the tape, a number and JSON by the bytes
//! that arrived, what a step wrote from that step's buffer. So evaluating copies nothing, unless
//! an object that was itself changed has to be put together.

use std::io::Write;

use crate::{
    codec::{
        Edits, Event, PathId, PathTree, Segment, Value, Written,
        path::{Path, Scanner},
        splice,
    },
    pipeline::failure::{Failure, Why},
    record::Record,
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
    /// Text in quotes.
    Text(Box<str>),
    /// Texts, one behind the other; none of them is joined itself.
    Joined(Box<[Expression]>),
}

impl Expression {
    /// The paths of the event that it reads.
    pub(super) fn paths(&self) -> impl Iterator<Item = PathId> {
        let parts = match self {
            Expression::Joined(parts) => parts,
            other => std::slice::from_ref(other),
        };
        parts.iter().filter_map(|part| match part {
            Expression::Event(path) => Some(*path),
            _ => None,
        })
    }
}

/// Memory for bytes that stand nowhere else, kept from record to record.
#[derive(Debug)]
pub(super) struct Made {
    joined: Vec<u8>,
    part: Vec<u8>,
}

impl Made {
    pub(super) fn with_capacity(bytes: usize) -> Made {
        Made { joined: Vec::with_capacity(bytes), part: Vec::with_capacity(bytes) }
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

/// What kind of value an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Bytes that may or may not be UTF-8.
    Bytes,
    Number,
    Bool,
    Null,
    Object,
    List,
    Timestamp,
}

impl Kind {
    fn of_json(json: &[u8]) -> Kind {
        match json.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::List,
            Some(b'n') => Kind::Null,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'"') => Kind::Text,
            _ => Kind::Number,
        }
    }

    /// As a sentence names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Bytes => "bytes",
            Kind::Number => "a number",
            Kind::Bool => "a boolean",
            Kind::Null => "null",
            Kind::Object => "an object",
            Kind::List => "a list",
            Kind::Timestamp => "a timestamp",
        }
    }
}

/// A value as bytes: text and bytes as they are, everything else as it is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operand<'a> {
    pub(super) kind: Kind,
    pub(super) bytes: &'a [u8],
}

/// Everything an expression can see.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) tree: &'a PathTree,
    pub(super) event: &'a Event<'a>,
    pub(super) edits: &'a Edits,
    pub(super) record: &'a Record<'a>,
}

impl<'a> Scope<'a> {
    /// The value of an expression. `made` is used where its bytes stand nowhere yet.
    #[inline]
    pub(super) fn evaluate<'m>(
        &self,
        expression: &'m Expression,
        made: &'m mut Made,
    ) -> Result<Operand<'m>, Failure>
    where
        'a: 'm,
    {
        match expression {
            Expression::Joined(parts) => self.join(parts, made),
            part => self.evaluate_part(part, &mut made.part),
        }
    }

    #[inline]
    fn evaluate_part<'m>(
        &self,
        expression: &'m Expression,
        made: &'m mut Vec<u8>,
    ) -> Result<Operand<'m>, Failure>
    where
        'a: 'm,
    {
        match expression {
            Expression::Event(path) => self.evaluate_path(*path, made),
            Expression::Record(field) => evaluate_field(field, self.record, made),
            Expression::Text(text) => Ok(Operand { kind: Kind::Text, bytes: text.as_bytes() }),
            Expression::Joined(_) => unreachable!("what is joined is no sum itself"),
        }
    }

    /// As in CEL, only text (and bytes) can be joined: nothing is made text for it.
    fn join<'m>(
        &self,
        parts: &'m [Expression],
        made: &'m mut Made,
    ) -> Result<Operand<'m>, Failure> {
        let Made { joined, part: scratch } = made;
        joined.clear();
        let mut kind = Kind::Text;
        for (part, number) in parts.iter().zip(1..) {
            let operand = self.evaluate_part(part, scratch);
            let operand = operand.map_err(|failure| Failure { part: number, ..failure })?;
            match operand.kind {
                Kind::Text => {}
                Kind::Bytes => kind = Kind::Bytes,
                other => {
                    return Err(Failure { part: number, ..Why::NotJoined(other).wrong_type() });
                }
            }
            joined.extend_from_slice(operand.bytes);
        }
        Ok(Operand { kind, bytes: joined })
    }

    #[inline]
    fn evaluate_path<'m>(&self, path: PathId, made: &'m mut Vec<u8>) -> Result<Operand<'m>, Failure>
    where
        'a: 'm,
    {
        let edits = self.edits;
        if edits.is_touched(path) {
            return Ok(self.evaluate_touched(path, made));
        }
        let Some(node) = edits.found(path) else { return Err(self.why_absent(path)) };
        let kind = match self.event.value(node) {
            Value::Text(text) => return Ok(Operand { kind: Kind::Text, bytes: text.as_bytes() }),
            Value::Signed(_) | Value::Unsigned(_) | Value::Float(_) => Kind::Number,
            Value::Bool(_) => Kind::Bool,
            Value::Null => Kind::Null,
            Value::Object(_) => Kind::Object,
            Value::List(_) => Kind::List,
        };
        Ok(Operand { kind, bytes: &self.event.input()[self.event.span(node)] })
    }

    /// The value of a path that was written, or something below it.
    fn evaluate_touched<'m>(&self, path: PathId, made: &'m mut Vec<u8>) -> Operand<'m>
    where
        'a: 'm,
    {
        let edits = self.edits;
        let (kind, bytes) = match edits.written(path) {
            Written::Text(write) | Written::Plain(write) => (Kind::Text, edits.buffer(write)),
            Written::Json(write) => (Kind::of_json(edits.buffer(write)), edits.buffer(write)),
            Written::Nothing => {
                made.clear();
                splice::push_value(made, self.tree, self.event, edits, path);
                (Kind::of_json(made), made.as_slice())
            }
        };
        Operand { kind, bytes }
    }

    #[cold]
    fn why_absent(&self, path: PathId) -> Failure {
        let mut at = path;
        while let Some(parent) = self.tree.parent(at) {
            if let Some(node) = self.edits.found(parent) {
                let fits = match self.event.value(node) {
                    Value::Object(_) => !self.tree.is_item(at),
                    Value::List(_) => self.tree.is_item(at),
                    _ => false,
                };
                let kind = Kind::of_json(&self.event.input()[self.event.span(node)]);
                let inside = Why::InsideOf(parent, kind);
                return if fits { Why::Absent.missing() } else { inside.wrong_type() };
            }
            at = parent;
        }
        Why::Absent.missing()
    }
}

/// The value of a field of the record, which needs no event.
#[inline]
pub(super) fn evaluate_field<'a>(
    field: &Field,
    record: &'a Record<'a>,
    made: &'a mut Vec<u8>,
) -> Result<Operand<'a>, Failure> {
    let bytes = |bytes: Option<&'a [u8]>| {
        let bytes = bytes.ok_or(Why::Absent.missing())?;
        Ok(Operand { kind: Kind::Bytes, bytes })
    };
    match field {
        Field::Value => bytes(record.value),
        Field::Key => bytes(record.key),
        Field::Header(name) => bytes(record.headers.value_of(name.as_bytes()).flatten()),
        Field::Topic => Ok(Operand { kind: Kind::Text, bytes: record.topic.as_bytes() }),
        Field::Partition | Field::Offset | Field::Id | Field::Timestamp => {
            made.clear();
            let kind = write_field(field, record, made)?;
            Ok(Operand { kind, bytes: made })
        }
    }
}

fn write_field(field: &Field, record: &Record<'_>, made: &mut Vec<u8>) -> Result<Kind, Failure> {
    let mut digits = itoa::Buffer::new();
    Ok(match field {
        Field::Partition => {
            made.extend_from_slice(digits.format(record.partition_number).as_bytes());
            Kind::Number
        }
        Field::Offset => {
            made.extend_from_slice(digits.format(record.offset).as_bytes());
            Kind::Number
        }
        Field::Timestamp => {
            let at = record.timestamp_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
            let at = at.ok_or(Why::Absent.missing())?;
            // Writing to a vector cannot fail.
            let _ = write!(made, "{at}");
            Kind::Timestamp
        }
        _ => {
            made.extend_from_slice(digits.format(record.partition_number).as_bytes());
            made.push(b':');
            made.extend_from_slice(digits.format(record.offset).as_bytes());
            Kind::Text
        }
    })
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
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[1], Expression::Text(":".into()));
        assert_eq!(joined.paths().count(), 1);
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
