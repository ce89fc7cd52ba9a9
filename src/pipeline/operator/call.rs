//! What an operator sees of one record, and how it writes.
//!
//! Values are lent for the call: by the record, by what steps wrote, or by an arena that forgets
//! them before the next record. What is written lies aside until the operator has answered, so that
//! lent values may stand beside writes; it is all noted at once then, or not at all.

use std::{fmt, str};

use serde::Serialize;

use super::{Answer, End, Ending, Expression, Path, Table};
use crate::{
    cache::ValueKind,
    pipeline::{
        Found, Lookup,
        cel::{self, Arena, List, Map},
        evaluate::{Kind, Scope},
        expression,
        failure::{Failure, Why},
        process::Watch,
        steps::own::Key,
    },
    record::Record,
    verdict::{RejectClass, Sentence, SkipClass},
};

/// A value, lent for the call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'c> {
    /// Null, which is not an absent field.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed integer of 64 bits.
    Int(i64),
    /// An integer that only fits without a sign, or that an expression made one.
    Uint(u64),
    /// A floating-point number.
    Double(f64),
    /// Text.
    Text(&'c str),
    /// Bytes, such as a record's key.
    Bytes(&'c [u8]),
    /// A point in time, in nanoseconds since the epoch.
    Timestamp(i128),
    /// A length of time in nanoseconds.
    Duration(i64),
    /// A list or an object.
    Json(Json<'c>),
}

/// A list or an object, as it is spelled: JSON that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<'c>(&'c [u8]);

impl<'c> Json<'c> {
    /// Its bytes, which are UTF-8.
    pub fn as_bytes(self) -> &'c [u8] {
        self.0
    }
}

/// One record at an operator: what it may see, ask and write.
pub struct Call<'c> {
    lent: Lent<'c>,
    /// What becomes of the record whatever the operator answers.
    forced: Option<Ending>,
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("record", self.lent.scope.record).finish_non_exhaustive()
    }
}

/// What a call lends.
pub(in crate::pipeline) struct Lent<'c> {
    pub(in crate::pipeline) scope: Scope<'c>,
    pub(in crate::pipeline) arena: &'c Arena,
    pub(in crate::pipeline) scratch: &'c mut Vec<u8>,
    pub(in crate::pipeline) tables: &'c mut dyn Lookup,
    pub(in crate::pipeline) table_names: &'c [String],
    pub(in crate::pipeline) keys: &'c [Key],
    /// One for each key, though only paths are written.
    pub(in crate::pipeline) writes: &'c mut [Write],
    pub(in crate::pipeline) told: &'c mut Option<Sentence>,
    /// Who is told, and of which step.
    pub(in crate::pipeline) watch: Option<(u16, &'c mut dyn Watch)>,
}

/// What an operator writes to a path, aside from the event.
#[derive(Debug)]
pub(in crate::pipeline) struct Write {
    pub(in crate::pipeline) buffer: Vec<u8>,
    pub(in crate::pipeline) is_written: bool,
}

/// Which keys of an operator belong to another one is not for the types to say.
const NOT_ITS_OWN: &str = "a key belongs to the operator that declared it";

impl<'c> Call<'c> {
    pub(in crate::pipeline) fn new(lent: Lent<'c>) -> Call<'c> {
        Call { lent, forced: None }
    }

    /// What becomes of the record. One that waits does so even if the operator went on without.
    pub(in crate::pipeline) fn ended(self, answer: Answer) -> Result<(), Ending> {
        match self.forced {
            Some(ending) => Err(ending),
            None => answer.map_err(|End(ending)| ending),
        }
    }

    /// The record as it came: key, headers, place and time.
    pub fn record(&self) -> &'c Record<'c> {
        self.lent.scope.record
    }

    /// The turn's time, in nanoseconds since the epoch: the same for all records of a turn.
    pub fn now_ns(&self) -> i64 {
        self.lent.tables.now_ns()
    }

    /// The value of an expression of the step, over the event as the steps before left it.
    ///
    /// # Errors
    ///
    /// If it has none: classes `missing_field`, `wrong_type`, `expression`, or those of `lookup` if
    /// it asks a table.
    ///
    /// # Panics
    ///
    /// If the key is another operator's, as for all that take one.
    pub fn value(&mut self, key: Expression) -> Result<Value<'c>, End> {
        let value = self.evaluate(key)?;
        self.lend(value).map_err(|why| self.failed(key, Failure::of_whole(why)))
    }

    /// The value of an expression that is a number.
    ///
    /// # Errors
    ///
    /// As `value`; class `wrong_type` if it is none.
    pub fn number(&mut self, key: Expression) -> Result<f64, End> {
        match self.evaluate(key)? {
            cel::Value::Int(number, _) => Ok(number as f64),
            cel::Value::Uint(number, _) => Ok(number as f64),
            cel::Value::Double(number, _) => Ok(number),
            other => Err(self.unfit(key, &other, "a number")),
        }
    }

    /// The value of an expression that is an integer of 64 bits.
    ///
    /// # Errors
    ///
    /// As `value`; class `wrong_type` if it is none.
    pub fn integer(&mut self, key: Expression) -> Result<i64, End> {
        match self.evaluate(key)? {
            cel::Value::Int(number, _) => Ok(number),
            other => Err(self.unfit(key, &other, "an integer of 64 bits")),
        }
    }

    /// The value of an expression that is true or false.
    ///
    /// # Errors
    ///
    /// As `value`; class `wrong_type` if it is neither.
    pub fn truth(&mut self, key: Expression) -> Result<bool, End> {
        match self.evaluate(key)? {
            cel::Value::Bool(truth) => Ok(truth),
            other => Err(self.unfit(key, &other, "true or false")),
        }
    }

    /// The value of an expression that is text, or bytes in UTF-8.
    ///
    /// # Errors
    ///
    /// As `value`; class `wrong_type` if it is no text.
    pub fn text(&mut self, key: Expression) -> Result<&'c str, End> {
        match self.evaluate(key)? {
            cel::Value::Text(text) => Ok(text),
            cel::Value::Bytes(bytes) => {
                str::from_utf8(bytes).map_err(|_| self.failed(key, Why::NotText.wrong_type()))
            }
            other => Err(self.unfit(key, &other, "text")),
        }
    }

    /// The value of an expression as a key of a table, as the step `lookup` takes it: text and
    /// bytes as they are, a number as the record spells it.
    ///
    /// # Errors
    ///
    /// As `value`; class `wrong_type` for null, an object and a list.
    pub fn key(&mut self, key: Expression) -> Result<&'c [u8], End> {
        let value = self.evaluate(key)?;
        let kind = Kind::of_value(&value);
        match value {
            cel::Value::Text(text) => return Ok(text.as_bytes()),
            cel::Value::Bytes(bytes) => return Ok(bytes),
            _ if matches!(kind, Kind::Null | Kind::Object | Kind::List) => {
                return Err(self.failed(key, Why::Unusable(kind).wrong_type()));
            }
            _ => {}
        }
        let Lent { scratch, arena, .. } = &mut self.lent;
        scratch.clear();
        match value.push_as_text(scratch, arena) {
            Ok(()) => Ok(arena.keep_bytes(scratch)),
            Err(why) => Err(self.failed(key, Failure::of_whole(why))),
        }
    }

    /// What a table holds for a key; `None` if it does not hold it.
    ///
    /// # Errors
    ///
    /// If the table on demand has been asked and nobody knows yet: the record waits, whatever the
    /// operator answers, and comes again. If the table is older than it may be: the record is
    /// rejected, class `stale_table`, whatever the operator answers. Class `lookup_timeout` if
    /// there was no answer in time, class `wrong_type` if the value is not of the table's kind.
    pub fn lookup(&mut self, table: Table, key: &[u8]) -> Result<Option<Value<'c>>, End> {
        let Some(Key::Table(table)) = self.lent.keys.get(table.0) else { panic!("{NOT_ITS_OWN}") };
        let Lent { tables, arena, table_names, watch, .. } = &mut self.lent;
        let name = &table_names[*table];
        let found = tables.lookup(*table, key);
        if let Some((step, watch)) = watch {
            watch.looked_up(*step, name, key, &found);
        }
        let (kind, bytes) = match found {
            Found::Hit(value) => (value.kind, arena.keep_bytes(value.bytes)),
            Found::Miss => return Ok(None),
            Found::Stale => return Err(self.force(Ending::Stale(*table))),
            Found::Unknown(awaited) => return Err(self.force(Ending::Wait(awaited))),
            Found::Late => {
                let reason = format_args!("the table `{name}` had no answer in time");
                return Err(self.reject(RejectClass::LookupTimeout, reason));
            }
        };
        let value = match kind {
            ValueKind::Text => str::from_utf8(bytes).ok().map(Value::Text),
            ValueKind::Json => {
                let value = cel::Value::of_json(bytes, self.lent.arena);
                self.lend(value).ok()
            }
            _ => None,
        };
        value.map(Some).ok_or_else(|| {
            let reason =
                format_args!("the table `{name}` holds a value that is not of its kind for a key");
            self.reject(RejectClass::WrongType, reason)
        })
    }

    /// How old an answer of a table may be by now, in nanoseconds; `None` if nobody knows.
    pub fn age_ns(&self, table: Table) -> Option<u64> {
        let Some(Key::Table(table)) = self.lent.keys.get(table.0) else { panic!("{NOT_ITS_OWN}") };
        self.lent.tables.age_ns(*table)
    }

    /// Writes a value to a path, as JSON: text, a number, a list, a struct, `format_args!`. A
    /// number that JSON does not have (NaN, an infinity) is null. Of two writes to one path the
    /// later counts. The steps behind see it, this call does not.
    ///
    /// # Errors
    ///
    /// Class `wrong_type`, if the value cannot be JSON. That a parent in the event is in the way
    /// is found, as for every step, once the operator has answered.
    pub fn write<T: Serialize + ?Sized>(&mut self, path: Path, value: &T) -> Answer {
        let Some((target, write)) = self.target(path) else { return Ok(()) };
        let written = serde_json::to_writer(&mut write.buffer, value);
        write.is_written = written.is_ok();
        written.map_err(|error| {
            let target = self.lent.scope.tree.path(target);
            let reason = format_args!("`{target}` cannot be written: {error}");
            self.reject(RejectClass::WrongType, reason)
        })
    }

    /// Writes a list or an object to a path, as it is spelled.
    pub fn write_json(&mut self, path: Path, json: Json<'_>) {
        if let Some((_, write)) = self.target(path) {
            write.buffer.extend_from_slice(json.0);
            write.is_written = true;
        }
    }

    /// A text that is put together, until the end of the call: a key to be looked up, say.
    pub fn format(&self, arguments: fmt::Arguments<'_>) -> &'c str {
        self.lent.arena.keep_formatted(arguments)
    }

    /// A copy of some bytes, until the end of the call.
    pub fn keep(&self, bytes: &[u8]) -> &'c [u8] {
        self.lent.arena.keep_bytes(bytes)
    }

    /// Nothing is to be emitted.
    pub fn skip(&self, class: SkipClass) -> End {
        End(Ending::Skip(class))
    }

    /// The record cannot be processed, for a reason that is a sentence for a person; it is cut at
    /// `limits::SENTENCE_BYTES`. Of the classes `stale_table` and `lookup_timeout` it is tried
    /// again where `delivery.retry` says so.
    #[cold]
    pub fn reject(&mut self, class: RejectClass, reason: fmt::Arguments<'_>) -> End {
        *self.lent.told = Some(Sentence::format(reason));
        End(Ending::Told(class))
    }

    /// The buffer of a path, empty; `None` if the step does not say that path.
    fn target(&mut self, path: Path) -> Option<(crate::codec::PathId, &mut Write)> {
        let Some(Key::Path(target)) = self.lent.keys.get(path.0) else { panic!("{NOT_ITS_OWN}") };
        let write = &mut self.lent.writes[path.0];
        write.buffer.clear();
        target.map(|target| (target.path, write))
    }

    fn expression(&self, key: Expression) -> &'c expression::Expression {
        match self.lent.keys.get(key.0) {
            Some(Key::Expression(expression)) => expression,
            _ => panic!("{NOT_ITS_OWN}"),
        }
    }

    #[inline]
    fn evaluate(&mut self, key: Expression) -> Result<cel::Value<'c>, End> {
        let expression = self.expression(key);
        let Lent { scope, arena, scratch, tables, .. } = &mut self.lent;
        let value = scope.look(expression, arena, scratch, *tables);
        let value = value.map_err(|failure| self.failed(key, failure))?;
        if self.lent.watch.is_some() {
            self.show(expression, &value);
        }
        Ok(value)
    }

    #[cold]
    fn show(&mut self, expression: &expression::Expression, value: &cel::Value<'c>) {
        let Lent { scope, arena, scratch, watch, .. } = &mut self.lent;
        scratch.clear();
        // What has no text is shown as far as it goes.
        let _ = value.push_as_text(scratch, arena);
        if let Some((step, watch)) = watch {
            watch.read(*step, &expression.shown(scope.tree), scratch);
        }
    }

    /// The value as operators see it.
    fn lend(&mut self, value: cel::Value<'c>) -> Result<Value<'c>, cel::Why> {
        let Lent { arena, scratch, .. } = &mut self.lent;
        Ok(match value {
            cel::Value::Null | cel::Value::Optional(None) => Value::Null,
            cel::Value::Bool(truth) => Value::Bool(truth),
            cel::Value::Int(number, _) => Value::Int(number),
            cel::Value::Uint(number, _) => Value::Uint(number),
            cel::Value::Double(number, _) => Value::Double(number),
            cel::Value::Text(text) => Value::Text(text),
            cel::Value::Bytes(bytes) => Value::Bytes(bytes),
            cel::Value::Timestamp(at) => Value::Timestamp(at.nanos()),
            cel::Value::Duration(nanos) => Value::Duration(nanos),
            cel::Value::Type(kind) => Value::Text(kind.cel_name()),
            cel::Value::Optional(Some(value)) => return self.lend(*value),
            cel::Value::List(List::Json(json)) | cel::Value::Map(Map::Json(json)) => {
                Value::Json(Json(json))
            }
            cel::Value::List(List::Tape(event, node)) | cel::Value::Map(Map::Tape(event, node)) => {
                Value::Json(Json(&event.input()[event.span(node)]))
            }
            made => {
                scratch.clear();
                made.push_json(scratch, arena)?;
                Value::Json(Json(arena.keep_bytes(scratch)))
            }
        })
    }

    #[cold]
    fn unfit(&mut self, key: Expression, value: &cel::Value<'_>, wanted: &'static str) -> End {
        self.failed(key, Why::Unfit(Kind::of_value(value), wanted).wrong_type())
    }

    #[cold]
    fn failed(&mut self, key: Expression, failure: Failure) -> End {
        let ending = Ending::Operand(failure, key.0);
        match failure.why {
            Why::Program(fault) if matches!(fault.why, cel::Why::Wait(_) | cel::Why::Stale(_)) => {
                self.force(ending)
            }
            _ => End(ending),
        }
    }

    fn force(&mut self, ending: Ending) -> End {
        self.forced = Some(ending);
        End(ending)
    }
}
