//! What expressions come to: bytes and a kind.
//!
//! A value is never rebuilt: text comes unescaped from the tape, a number and JSON by the bytes
//! that arrived, what a step wrote from that step's buffer. So evaluating copies nothing, unless
//! an object that was itself changed has to be put together, or texts are joined.

use std::io::Write;

use crate::{
    codec::{self, Edits, Event, PathId, PathTree, Segment, Value, Written, splice},
    pipeline::{
        expression::{Expression, Field},
        failure::{Failure, Why},
    },
    record::Record,
};

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
    #[inline(always)]
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

    #[inline(always)]
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
            Expression::Inside(path) => self.evaluate_inside(*path, made),
            Expression::Joined(_) => unreachable!("what is joined is no sum itself"),
        }
    }

    /// As in CEL, only text (and bytes) can be joined: nothing is made text for it.
    #[inline(never)]
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
        if edits.is_touched(path) && edits.is_present(path) {
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
            Written::Json(write) => return of_json(edits.buffer(write), made),
            Written::Nothing | Written::Made => {
                made.clear();
                splice::push_value(made, self.tree, self.event, edits, path);
                (Kind::of_json(made), made.as_slice())
            }
        };
        Operand { kind, bytes }
    }

    /// A part of what a step may have written: of JSON, or of a text without parts.
    #[inline(never)]
    fn evaluate_inside<'m>(
        &self,
        path: PathId,
        made: &'m mut Vec<u8>,
    ) -> Result<Operand<'m>, Failure>
    where
        'a: 'm,
    {
        let edits = self.edits;
        let Some(written) = edits.written_above(self.tree, path) else {
            return self.evaluate_path(path, made);
        };
        let Written::Json(write) = edits.written(written) else {
            return Err(Why::InsideOf(written, Kind::Text).wrong_type());
        };
        let taken = self.tree.path(written).segments.len();
        let way = &self.tree.path(path).segments[taken..];
        let value = codec::inside::find(edits.buffer(write), way).map_err(|astray| {
            let kind = Kind::of_json(astray.value);
            let fits = match way[astray.steps] {
                Segment::Name(_) => kind == Kind::Object,
                Segment::Index(_) => kind == Kind::List,
            };
            let above = (astray.steps..way.len())
                .fold(path, |at, _| self.tree.parent(at).unwrap_or(PathId::ROOT));
            if fits { Why::Absent.missing() } else { Why::InsideOf(above, kind).wrong_type() }
        })?;
        Ok(of_json(value, made))
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

/// A value that is spelled so.
fn of_json<'m>(json: &'m [u8], made: &'m mut Vec<u8>) -> Operand<'m> {
    let kind = Kind::of_json(json);
    if kind != Kind::Text {
        return Operand { kind, bytes: json };
    }
    made.clear();
    codec::inside::push_unescaped(made, json);
    Operand { kind, bytes: made }
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
