//! One record as a program sees it: the event with its edits, the record, tables and the time.

use crate::{
    cache::{self, ValueKind},
    codec::{self, Written, splice},
    pipeline::{
        Found, Lookup,
        cel::{Arena, Kind, Leaf, Map, Origin, Time, Value, Why, World},
        evaluate::Scope,
        expression::{Expression, Field, Other},
        failure::{self, Failure},
    },
    record::Record,
};

impl<'a> Scope<'a> {
    /// The value of an expression as a program would see it.
    pub(super) fn look<'m>(
        &self,
        expression: &'m Expression,
        arena: &'m Arena,
        scratch: &mut Vec<u8>,
        tables: &mut dyn Lookup,
    ) -> Result<Value<'m>, Failure>
    where
        'a: 'm,
    {
        let scope: Scope<'m> = *self;
        let mut sight = Sight { scope, tables, scratch };
        let path = match expression {
            Expression::Event(path) => path,
            Expression::Inside(path) => match scope.find_inside(*path)? {
                Some(json) => return Ok(Value::of_json(json, arena)),
                None => path,
            },
            Expression::Record(field) => {
                return of_record(field, scope.record, arena).map_err(Failure::of_whole);
            }
            Expression::Text(text) => return Ok(Value::Text(text)),
            Expression::Program(program) => {
                return program.evaluate(&mut sight, arena).map_err(Failure::of_program);
            }
        };
        sight.touched(*path, arena).map_err(|why| match why {
            Why::Absent | Why::InsideOf(..) => scope.why_absent(*path),
            other => Failure::of_whole(other),
        })
    }
}

/// What a program sees.
pub(super) struct Sight<'a, 't> {
    pub(super) scope: Scope<'a>,
    pub(super) tables: &'t mut dyn Lookup,
    /// For bytes that are put together before the arena keeps them.
    pub(super) scratch: &'t mut Vec<u8>,
}

impl<'a> World<'a> for Sight<'a, '_> {
    #[inline(always)]
    fn leaf(&mut self, leaf: Leaf, arena: &'a Arena) -> Result<Value<'a>, Why> {
        match leaf {
            Leaf::Event(path) => match self.scope.edits.found(path) {
                Some(node) => Ok(Value::of_node(self.scope.event, node)),
                None => Err(why(self.scope.why_absent(path))),
            },
            Leaf::Other(number) => self.other(&self.scope.others[number as usize], arena),
        }
    }

    #[inline(always)]
    fn on_tape(&self, leaf: Leaf) -> Option<codec::Value<'a>> {
        let Leaf::Event(path) = leaf else { return None };
        Some(self.scope.event.value(self.scope.edits.found(path)?))
    }

    fn now(&self) -> Time {
        // A clock of 64 bits does not leave the years of CEL.
        let now = Time::from_nanos(self.tables.now_ns().into());
        now.unwrap_or_else(|| unreachable!("the present is between the years 1 and 9999"))
    }

    fn lookup(&mut self, table: usize, key: &[u8], arena: &'a Arena) -> Result<Value<'a>, Why> {
        let cache::Value { kind, bytes } = match self.tables.lookup(table, key) {
            Found::Hit(value) => value,
            Found::Miss => return Ok(Value::Null),
            Found::Stale => return Err(Why::Stale(table)),
            Found::Unknown(awaited) => return Err(Why::Wait(awaited)),
            Found::Late => return Err(Why::Late(table)),
        };
        match kind {
            ValueKind::Text => {
                let text = std::str::from_utf8(bytes).map_err(|_| Why::TableValueUnfit)?;
                Ok(Value::Text(arena.keep_text(text)))
            }
            ValueKind::Json => Ok(Value::of_json(arena.keep_bytes(bytes), arena)),
            _ => Err(Why::TableValueUnfit),
        }
    }
}

impl<'a> Sight<'a, '_> {
    #[inline(never)]
    fn other(&mut self, other: &'a Other, arena: &'a Arena) -> Result<Value<'a>, Why> {
        match other {
            Other::Touched(path) => self.touched(*path, arena),
            Other::Inside(path) => self.inside(*path, arena),
            Other::Field(field) => of_record(field, self.scope.record, arena),
            Other::Headers => Ok(Value::Map(Map::Headers(self.scope.record.headers))),
        }
    }

    fn touched(&mut self, path: codec::PathId, arena: &'a Arena) -> Result<Value<'a>, Why> {
        let Scope { tree, event, edits, .. } = self.scope;
        if !edits.is_touched(path) || !edits.is_present(path) {
            return self.leaf(Leaf::Event(path), arena);
        }
        match edits.written(path) {
            Written::Text(write) | Written::Plain(write) => text(edits.buffer(write)),
            Written::Json(write) => Ok(Value::of_json(edits.buffer(write).trim_ascii(), arena)),
            Written::Nothing | Written::Made => {
                self.scratch.clear();
                splice::push_value(self.scratch, tree, event, edits, path);
                Ok(Value::of_json(arena.keep_bytes(self.scratch), arena))
            }
        }
    }

    fn inside(&mut self, path: codec::PathId, arena: &'a Arena) -> Result<Value<'a>, Why> {
        match self.scope.find_inside(path).map_err(why)? {
            Some(json) => Ok(Value::of_json(json, arena)),
            None => self.touched(path, arena),
        }
    }
}

fn text(bytes: &[u8]) -> Result<Value<'_>, Why> {
    std::str::from_utf8(bytes).map(Value::Text).map_err(|_| Why::NotUtf8)
}

/// A field of the record; its numbers are the record's.
fn of_record<'a>(field: &Field, record: &Record<'a>, arena: &'a Arena) -> Result<Value<'a>, Why> {
    let bytes = |bytes: Option<&'a [u8]>| bytes.map(Value::Bytes).ok_or(Why::Absent);
    if let (Field::Offset | Field::Id, Some(id)) = (field, record.entry_id()) {
        return Ok(Value::Text(id));
    }
    match field {
        Field::Value => bytes(record.value),
        Field::Key => bytes(record.key),
        Field::Header(name) => bytes(record.headers.value_of(name.as_bytes()).flatten()),
        Field::Topic => Ok(Value::Text(record.topic)),
        Field::Partition => Ok(Value::Int(record.partition_number.into(), Origin::Record)),
        Field::Offset => Ok(Value::Int(record.offset, Origin::Record)),
        Field::Timestamp => {
            let millis = record.timestamp_ms.map(i128::from).ok_or(Why::Absent)?;
            Time::from_nanos(millis * 1_000_000).map(Value::Timestamp).ok_or(Why::OutOfTime)
        }
        Field::Id => {
            let mut digits = [itoa::Buffer::new(), itoa::Buffer::new()];
            let [partition, offset] = &mut digits;
            let partition = partition.format(record.partition_number);
            Ok(Value::Text(arena.keep_joined(&[partition, ":", offset.format(record.offset)])))
        }
    }
}

/// Why a path has no value, as a program tells it.
fn why(failure: failure::Failure) -> Why {
    match failure.why {
        failure::Why::InsideOf(parent, kind) => Why::InsideOf(parent, cel_kind(kind)),
        _ => Why::Absent,
    }
}

fn cel_kind(kind: super::evaluate::Kind) -> Kind {
    use super::evaluate::Kind as It;
    match kind {
        It::Text => Kind::Text,
        It::Bytes => Kind::Bytes,
        It::Number => Kind::Double,
        It::Bool => Kind::Bool,
        It::Null => Kind::Null,
        It::Object => Kind::Map,
        It::List => Kind::List,
        It::Timestamp => Kind::Timestamp,
        It::Duration => Kind::Duration,
        It::Type => Kind::Type,
    }
}
