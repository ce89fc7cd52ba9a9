//! A record's value parsed onto a tape in kept buffers; the only file that knows simd-json.
//!
//! The parser unescapes strings in place, so it is given a copy in a padded buffer of our own: the
//! bytes that arrived are never altered, and no search for backslashes is needed to know whether a
//! copy is due. simd-json would copy as well if the buffer had no padding. The tape's nodes
//! borrow from that copy, everything else (spans, splices) from the bytes that arrived.
//!
//! What this does not do: find paths (`tree`) or say where in the bytes a value stands (`span`).

use std::{cell::Cell, fmt, mem};

use simd_json::{
    Buffers, ErrorType, INPUT_PADDING, Node as TapeNode, StaticNode, Tape, fill_tape_padded,
};

/// Bytes up to which the buffers are made ready at start, whatever the record limit is.
const WARM_UP_BYTES_MAX: usize = 16 << 20;

/// A place on the tape; the event itself is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node(pub(crate) u32);

impl Node {
    /// The whole event.
    pub const ROOT: Node = Node(0);
}

/// What stands at a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text, unescaped.
    Text(&'a str),
    /// An integer that fits.
    Signed(i64),
    /// A positive integer that fits.
    Unsigned(u64),
    /// Any other number; an integer past 64 bits is one of these.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Null.
    Null,
    /// An object with so many fields, doubles counted.
    Object(usize),
    /// A list with so many items.
    List(usize),
}

/// What kind of thing is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// Not JSON, or not UTF-8.
    NotJson,
    /// JSON, but no object.
    NotObject,
    /// Nested past the bound.
    TooDeep,
}

/// Why a value was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What kind.
    pub kind: ParseErrorKind,
    what: &'static str,
    at: Option<usize>,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        self.at.map_or(Ok(()), |at| write!(f, " at byte {at}"))
    }
}

/// Parses one value after another into memory that it keeps.
pub struct Parser {
    padded: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl fmt::Debug for Parser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parser").field("padded_bytes", &self.padded.len()).finish_non_exhaustive()
    }
}

impl Parser {
    /// Takes and touches the memory for values of up to `bytes_max` bytes, so that none of the
    /// usual density allocates later. A value may nest objects and lists `depth_max` deep.
    pub fn new(bytes_max: usize, depth_max: usize) -> Parser {
        let bytes = bytes_max.clamp(64, WARM_UP_BYTES_MAX);
        let mut parser = Parser {
            padded: vec![0; bytes + INPUT_PADDING],
            buffers: Buffers::with_max_depth(bytes, depth_max),
            tape: Tape(Vec::new()),
        };
        let field = br#""a":1234,"#;
        let mut document = b"{".to_vec();
        while document.len() + 2 * field.len() < bytes {
            document.extend_from_slice(field);
        }
        document.extend_from_slice(br#""a":1}"#);
        // With a depth of zero this fails, as every other value will.
        let _ = parser.parse(&document);
        parser
    }

    /// Parses `input`, which must be a JSON object.
    ///
    /// # Errors
    ///
    /// If it is not JSON in UTF-8, no object, or nested too deep.
    #[inline]
    pub fn parse<'a>(&'a mut self, input: &'a [u8]) -> Result<Event<'a>, ParseError> {
        let len = input.len();
        if self.padded.len() < len + INPUT_PADDING {
            self.padded.resize(len + INPUT_PADDING, 0);
        }
        let padded = &mut self.padded[..len + INPUT_PADDING];
        padded[..len].copy_from_slice(input);
        let mut tape = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = fill_tape_padded(padded, len, &mut self.buffers, &mut tape);
        let fault = match (parsed, tape.0.first()) {
            (Ok(()), Some(TapeNode::Object { .. })) => {
                return Ok(Event {
                    tape,
                    home: &mut self.tape,
                    input,
                    structurals: self.buffers.structural_indexes(),
                    cursor: Cell::new((0, 0)),
                });
            }
            (Ok(()), other) => not_object(other),
            (Err(error), _) => parse_error(&error),
        };
        self.tape = tape.reset();
        Err(fault)
    }
}

/// A parsed value: its tape, its bytes as they arrived, and where in them the structure stands.
pub struct Event<'a> {
    tape: Tape<'a>,
    home: &'a mut Tape<'static>,
    pub(super) input: &'a [u8],
    pub(super) structurals: &'a [u32],
    /// A node and its place among the structurals, found last: the next search begins there.
    pub(super) cursor: Cell<(u32, u32)>,
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        *self.home = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("nodes", &self.tape.0.len()).finish_non_exhaustive()
    }
}

impl<'a> Event<'a> {
    /// The bytes as they arrived.
    pub fn input(&self) -> &'a [u8] {
        self.input
    }

    /// What stands at a node.
    #[inline]
    pub fn value(&self, node: Node) -> Value<'a> {
        match self.tape.0[node.0 as usize] {
            TapeNode::String(text) => Value::Text(text),
            TapeNode::Object { len, .. } => Value::Object(len),
            TapeNode::Array { len, .. } => Value::List(len),
            TapeNode::Static(StaticNode::I64(number)) => Value::Signed(number),
            TapeNode::Static(StaticNode::U64(number)) => Value::Unsigned(number),
            TapeNode::Static(StaticNode::F64(number)) => Value::Float(number),
            TapeNode::Static(StaticNode::Bool(truth)) => Value::Bool(truth),
            TapeNode::Static(StaticNode::Null) => Value::Null,
        }
    }

    /// The node behind this one and all that is in it.
    #[inline]
    pub(super) fn after(&self, node: Node) -> Node {
        match self.tape.0[node.0 as usize] {
            TapeNode::Object { count, .. } | TapeNode::Array { count, .. } => {
                Node(node.0 + 1 + count as u32)
            }
            _ => Node(node.0 + 1),
        }
    }

    /// True if the event holds no object and no list: then each field has just four structurals.
    /// An empty list is one node but two structurals, so counting nodes would not do.
    #[inline]
    pub(super) fn is_flat(&self) -> bool {
        match self.tape.0[0] {
            TapeNode::Object { len, .. } => self.structurals.len() == 4 * len + 1,
            _ => false,
        }
    }

    /// The fields of an object: name and the node of the value. Nothing, if it is none.
    #[inline]
    pub fn fields(&self, object: Node) -> impl Iterator<Item = (&'a str, Node)> {
        let mut left = match self.value(object) {
            Value::Object(len) => len,
            _ => 0,
        };
        let mut key = Node(object.0 + 1);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let TapeNode::String(name) = self.tape.0[key.0 as usize] else { return None };
            let value = Node(key.0 + 1);
            key = self.after(value);
            Some((name, value))
        })
    }

    /// The items of a list. Nothing, if it is none.
    pub fn items(&self, list: Node) -> impl Iterator<Item = Node> {
        let mut left = match self.value(list) {
            Value::List(len) => len,
            _ => 0,
        };
        let mut next = Node(list.0 + 1);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let item = next;
            next = self.after(item);
            Some(item)
        })
    }
}

#[cold]
fn not_object(root: Option<&TapeNode<'_>>) -> ParseError {
    let what = match root {
        Some(TapeNode::Array { .. }) => "the value is a list, not an object",
        Some(TapeNode::String(_)) => "the value is text, not an object",
        Some(TapeNode::Static(StaticNode::Null)) => "the value is null, not an object",
        Some(TapeNode::Static(StaticNode::Bool(_))) => "the value is a boolean, not an object",
        _ => "the value is a number, not an object",
    };
    ParseError { kind: ParseErrorKind::NotObject, what, at: None }
}

#[cold]
fn parse_error(error: &simd_json::Error) -> ParseError {
    let kind = match error.error() {
        ErrorType::DepthLimitExceeded => ParseErrorKind::TooDeep,
        _ => ParseErrorKind::NotJson,
    };
    let what = match error.error() {
        ErrorType::DepthLimitExceeded => "it nests deeper than `limits.depth`",
        ErrorType::InvalidUtf8 => "it is not UTF-8, or a surrogate stands alone",
        ErrorType::InvalidUnicodeCodepoint | ErrorType::InvalidUnicodeEscape => {
            "a `\\u` escape that names no character"
        }
        ErrorType::InvalidEscape => "an escape that JSON does not have",
        ErrorType::InvalidNumber | ErrorType::InvalidExponent | ErrorType::ExpectedNumber => {
            "a number that JSON does not have, or past the range of a double"
        }
        ErrorType::ExpectedTrue | ErrorType::ExpectedFalse | ErrorType::ExpectedNull => {
            "a word that is none of true, false and null"
        }
        ErrorType::ExpectedObjectKey | ErrorType::KeyMustBeAString => "no name where one must be",
        ErrorType::ExpectedObjectColon => "no colon where one must be",
        ErrorType::ExpectedObjectContent | ErrorType::ExpectedMapComma => {
            "neither a field nor a comma nor the end of the object"
        }
        ErrorType::ExpectedArrayContent | ErrorType::ExpectedArrayComma => {
            "neither an item nor a comma nor the end of the list"
        }
        ErrorType::TrailingData => "something behind the value",
        ErrorType::UnterminatedString => "text that does not end",
        ErrorType::Syntax | ErrorType::Eof => {
            "it is empty, cut off, or holds a control character in text"
        }
        _ => "something that is not JSON",
    };
    // Errors of the first pass have no place: the parser gives 0 and no character for them.
    let at = error.character().map(|_| error.index());
    ParseError { kind, what, at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(input: &[u8]) -> ParseErrorKind {
        Parser::new(1024, 4).parse(input).unwrap_err().kind
    }

    #[test]
    fn values_stand_as_they_were_spelled_and_input_is_untouched() {
        let input = br#"{"a":"x\ny","b":[1,-2,1.5],"c":{"d":null},"e":true}"#.to_vec();
        let mut parser = Parser::new(1024, 4);
        let event = parser.parse(&input).unwrap();
        let fields: Vec<_> = event.fields(Node::ROOT).collect();
        let values: Vec<_> = fields.iter().map(|(_, node)| event.value(*node)).collect();
        assert_eq!(
            values,
            [Value::Text("x\ny"), Value::List(3), Value::Object(1), Value::Bool(true)]
        );
        let items: Vec<_> = event.items(fields[1].1).map(|item| event.value(item)).collect();
        assert_eq!(items, [Value::Unsigned(1), Value::Signed(-2), Value::Float(1.5)]);
        assert_eq!(event.items(Node::ROOT).count() + event.fields(fields[1].1).count(), 0);
        assert_eq!(event.input(), input);
    }

    #[test]
    fn what_is_no_object_is_told_apart() {
        assert_eq!(kind(b""), ParseErrorKind::NotJson);
        assert_eq!(kind(b" "), ParseErrorKind::NotJson);
        assert_eq!(kind(b"{"), ParseErrorKind::NotJson);
        assert_eq!(kind(b"{} x"), ParseErrorKind::NotJson);
        assert_eq!(kind(b"{\"a\":\xff}"), ParseErrorKind::NotJson);
        assert_eq!(kind(b"[]"), ParseErrorKind::NotObject);
        assert_eq!(kind(b" 7 "), ParseErrorKind::NotObject);
        assert_eq!(kind(b"null"), ParseErrorKind::NotObject);
        assert_eq!(kind(br#"{"a":[[[[1]]]]}"#), ParseErrorKind::TooDeep);
        assert!(Parser::new(1024, 4).parse(br#"{"a":[[[1]]]}"#).is_ok());
    }

    #[test]
    fn a_parser_goes_on_after_an_error_and_past_its_first_size() {
        let mut parser = Parser::new(64, 4);
        assert!(parser.parse(b"{\"a\":").is_err());
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
        for _ in 0..2 {
            let event = parser.parse(large.as_bytes()).unwrap();
            let (name, value) = event.fields(Node::ROOT).next().unwrap();
            assert_eq!((name, event.value(value)), ("a", Value::Text(&large[6..large.len() - 2])));
        }
        let error = parser.parse(b"{\"a\":nul}").unwrap_err();
        assert_eq!(error.to_string(), "a word that is none of true, false and null at byte 5");
    }
}
