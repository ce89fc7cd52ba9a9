//! What expressions come to: bytes and a kind.
//!
//! A value is never rebuilt: text comes unescaped from the tape, a number and JSON by the bytes
//! that arrived, what a step wrote from that step's buffer. So evaluating a name copies nothing,
//! unless an object that was itself changed has to be put together. What is more than a name is a
//! program, whose value becomes bytes here.

use std::io::Write;

use crate::{
    codec::{self, Edits, Event, PathId, PathTree, Segment, Value, Written, splice},
    pipeline::{
        Lookup,
        cel::{self, Arena, Program},
        expression::{Expression, Field, Other},
        failure::{Failure, Why},
        sight::Sight,
    },
    record::Record,
};

/// Memory for bytes that stand nowhere else, kept from record to record.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) bytes: Vec<u8>,
    pub(super) arena: Arena,
}

impl Made {
    pub(super) fn with_capacity(bytes: usize) -> Made {
        Made { bytes: Vec::with_capacity(bytes), arena: Arena::with_capacity(4 * bytes) }
    }

    /// Forgets what the record before made.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.arena.reset();
    }

    /// For values as they are, and for bytes that are put together on the way.
    pub(super) fn parts(&mut self) -> (&Arena, &mut Vec<u8>) {
        (&self.arena, &mut self.bytes)
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
    Duration,
    Type,
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

    pub(super) fn of_value(value: &cel::Value<'_>) -> Kind {
        match value.kind() {
            cel::Kind::Null | cel::Kind::Optional => Kind::Null,
            cel::Kind::Bool => Kind::Bool,
            cel::Kind::Int | cel::Kind::Uint | cel::Kind::Double => Kind::Number,
            cel::Kind::Text => Kind::Text,
            cel::Kind::Bytes => Kind::Bytes,
            cel::Kind::Timestamp => Kind::Timestamp,
            cel::Kind::Duration => Kind::Duration,
            cel::Kind::Type => Kind::Type,
            cel::Kind::List => Kind::List,
            cel::Kind::Map => Kind::Object,
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
            Kind::Duration => "a duration",
            Kind::Type => "a type",
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
    /// What `cel::Leaf::Other` numbers.
    pub(super) others: &'a [Other],
}

impl<'a> Scope<'a> {
    /// The value of an expression. `made` is used where its bytes stand nowhere yet.
    #[inline(always)]
    pub(super) fn evaluate<'m, T: Lookup>(
        &self,
        expression: &'m Expression,
        made: &'m mut Made,
        tables: &mut T,
    ) -> Result<Operand<'m>, Failure>
    where
        'a: 'm,
    {
        match expression {
            Expression::Event(path) => self.evaluate_path(*path, &mut made.bytes),
            Expression::Record(field) => evaluate_field(field, self.record, &mut made.bytes),
            Expression::Text(text) => Ok(Operand { kind: Kind::Text, bytes: text.as_bytes() }),
            Expression::Inside(path) => self.evaluate_inside(*path, &mut made.bytes),
            Expression::Program(program) => self.evaluate_program(program, made, tables),
        }
    }

    #[inline(never)]
    fn evaluate_program<'m>(
        &self,
        program: &'m Program,
        made: &'m mut Made,
        tables: &mut dyn Lookup,
    ) -> Result<Operand<'m>, Failure>
    where
        'a: 'm,
    {
        let Made { bytes, arena } = made;
        let arena: &'m Arena = arena;
        let value = self.value(program, arena, bytes, tables)?;
        let kind = match value {
            cel::Value::Text(text) => {
                return Ok(Operand { kind: Kind::Text, bytes: text.as_bytes() });
            }
            cel::Value::Bytes(bytes) => return Ok(Operand { kind: Kind::Bytes, bytes }),
            other => Kind::of_value(&other),
        };
        bytes.clear();
        value.push_as_text(bytes, arena).map_err(Failure::of_whole)?;
        Ok(Operand { kind, bytes })
    }

    /// The value of a program.
    pub(super) fn value<'m>(
        &self,
        program: &'m Program,
        arena: &'m Arena,
        scratch: &mut Vec<u8>,
        tables: &mut dyn Lookup,
    ) -> Result<cel::Value<'m>, Failure>
    where
        'a: 'm,
    {
        let scope: Scope<'m> = *self;
        let mut sight = Sight { scope, tables, scratch };
        program.evaluate(&mut sight, arena).map_err(Failure::of_program)
    }

    /// What a program is that is nothing but a path which no step wrote, as it stands on the tape.
    #[inline]
    pub(super) fn on_tape(&self, program: &Program) -> Option<Value<'a>> {
        let Some(cel::Leaf::Event(path)) = program.leaf() else { return None };
        Some(self.event.value(self.edits.found(path)?))
    }

    /// Appends the value of a program as a result's: text and bytes as they are, all else as JSON.
    #[inline(never)]
    pub(super) fn push_result(
        &self,
        program: &Program,
        made: &mut Made,
        tables: &mut dyn Lookup,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let Made { bytes, arena } = made;
        let arena: &Arena = arena;
        match self.value(program, arena, bytes, tables)? {
            cel::Value::Text(text) => out.extend_from_slice(text.as_bytes()),
            cel::Value::Bytes(bytes) => out.extend_from_slice(bytes),
            other => other.push_json(out, arena).map_err(Failure::of_whole)?,
        }
        Ok(())
    }

    /// Appends the value of an expression as a field's: what stands in the event by its bytes, text
    /// and bytes as they are, all else as JSON. Says which it is.
    pub(super) fn push_field<T: Lookup>(
        &self,
        expression: &Expression,
        made: &mut Made,
        tables: &mut T,
        out: &mut Vec<u8>,
    ) -> Result<fn(u16) -> Written, Failure> {
        let kind = match expression {
            Expression::Event(path) | Expression::Inside(path)
                if splice::push_present(out, self.tree, self.event, self.edits, *path) =>
            {
                return Ok(Written::Json);
            }
            Expression::Program(program) => {
                let Made { bytes, arena } = made;
                let arena: &Arena = arena;
                match self.value(program, arena, bytes, tables)? {
                    cel::Value::Text(text) => {
                        out.extend_from_slice(text.as_bytes());
                        Kind::Text
                    }
                    other => {
                        other.push_json(out, arena).map_err(Failure::of_whole)?;
                        Kind::Object
                    }
                }
            }
            other => {
                let operand = self.evaluate(other, made, tables)?;
                out.extend_from_slice(operand.bytes);
                operand.kind
            }
        };
        match kind {
            Kind::Bytes if std::str::from_utf8(out).is_err() => Err(Why::NotText.wrong_type()),
            Kind::Text | Kind::Bytes | Kind::Timestamp => Ok(Written::Text),
            _ => Ok(Written::Json),
        }
    }

    /// The truth of an expression.
    #[inline]
    pub(super) fn is_true<T: Lookup>(
        &self,
        expression: &Expression,
        made: &mut Made,
        tables: &mut T,
    ) -> Result<bool, Failure> {
        if let Expression::Program(program) = expression {
            let Made { bytes, arena } = made;
            let mut sight = Sight { scope: *self, tables, scratch: bytes };
            return program.is_true(&mut sight, arena).map_err(Failure::of_program);
        }
        let operand = self.evaluate(expression, made, tables)?;
        match operand.kind {
            Kind::Bool => Ok(operand.bytes == b"true"),
            other => Err(Why::NoTruth(other).wrong_type()),
        }
    }

    /// The value of a program as it is; for what is no text in the end.
    pub(super) fn with_value<R>(
        &self,
        program: &Program,
        made: &mut Made,
        tables: &mut dyn Lookup,
        use_it: impl FnOnce(cel::Value<'_>) -> R,
    ) -> Result<R, Failure> {
        let Made { bytes, arena } = made;
        let arena: &Arena = arena;
        self.value(program, arena, bytes, tables).map(use_it)
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

    /// A part of what a step wrote.
    #[inline(never)]
    fn evaluate_inside<'m>(
        &self,
        path: PathId,
        made: &'m mut Vec<u8>,
    ) -> Result<Operand<'m>, Failure>
    where
        'a: 'm,
    {
        match self.find_inside(path)? {
            Some(value) => Ok(of_json(value, made)),
            None => self.evaluate_path(path, made),
        }
    }

    /// A part of what a step wrote, as it is spelled: that is JSON which was checked, or a text
    /// without parts. Nothing if it was not written after all.
    pub(super) fn find_inside(&self, path: PathId) -> Result<Option<&'a [u8]>, Failure> {
        let Some(written) = self.edits.written_above(self.tree, path) else { return Ok(None) };
        let Written::Json(write) = self.edits.written(written) else {
            return Err(Why::InsideOf(written, Kind::Text).wrong_type());
        };
        let json = self.edits.buffer(write);
        let way = &self.tree.path(path).segments[self.tree.path(written).segments.len()..];
        let value = codec::inside::find(json, way).map_err(|astray| {
            let kind = Kind::of_json(astray.value);
            let fits = match way[astray.steps] {
                Segment::Name(_) => kind == Kind::Object,
                Segment::Index(_) => kind == Kind::List,
            };
            let above = (astray.steps..way.len())
                .fold(path, |at, _| self.tree.parent(at).unwrap_or(PathId::ROOT));
            if fits { Why::Absent.missing() } else { Why::InsideOf(above, kind).wrong_type() }
        });
        value.map(Some)
    }

    #[cold]
    pub(super) fn why_absent(&self, path: PathId) -> Failure {
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
    if memchr::memchr(b'\\', json).is_none() {
        return Operand { kind, bytes: &json[1..json.len() - 1] };
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
        let bytes = bytes.ok_or_else(|| Why::Absent.missing())?;
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
    if let (Field::Offset | Field::Id, Some(id)) = (field, record.entry_id()) {
        made.extend_from_slice(id.as_bytes());
        return Ok(Kind::Text);
    }
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
