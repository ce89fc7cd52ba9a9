//! One record through the plan: parse, operate, encode.

use std::{fmt, io::Write};

use crate::{
    cache::{Value, ValueKind},
    codec::{Edits, Obstacle, ParseErrorKind, Parser, PathId, Written, splice},
    config::{
        Problem, Settings,
        settings::{HashAlgorithm, Tombstones},
    },
    pipeline::{
        Found, Lookup, Mark, Processed, Results,
        compile::{self, OnMiss, Operator, Plan, Target},
        evaluate::{Kind, Made, Operand, Scope},
        expression::{Expression, Field, Piece},
        failure::{Failure, Why},
        hash, origin,
        results::{Entry, Part},
        stop::{Stop, stopped},
    },
    record::{DUE_HEADER, Destination, Headers, Record},
    verdict::{RejectClass, Rejection, Skip, SkipClass, Step, Verdict},
};

/// Where results go, unless a step says otherwise; `assemble` numbers the sinks so.
pub const SINK: Destination = Destination(0);

/// Headers of this prefix are Hotspur's own and do not travel on, except a measurement's stamp.
const OWN_HEADERS: &[u8] = b"hotspur.";

/// Room that each write starts with.
const WRITE_BYTES: usize = 4096;

/// Compiled steps and sink expressions with their reused memory; one for each hot thread.
#[derive(Debug)]
pub struct Pipeline {
    plan: Plan,
    parser: Parser,
    edits: Edits,
    made: Made,
}

/// Told what the steps see and do; the hot thread has none.
pub(super) trait Watch {
    /// A step looked a key up.
    fn looked_up(&mut self, _step: u16, _table: &str, _key: &[u8], _found: &Found<'_>) {}
    /// A step wrote.
    fn wrote(&mut self, _step: u16, _path: &dyn fmt::Display, _written: Written, _bytes: &[u8]) {}
}

pub(super) struct Unwatched;

impl Watch for Unwatched {}

impl Pipeline {
    /// Compiles the settings; table i of a `Lookup` is the i-th of `Settings::tables`.
    ///
    /// # Errors
    ///
    /// All problems at once, with their key paths.
    pub fn compile(settings: &Settings) -> Result<Pipeline, Vec<Problem>> {
        let plan = compile::compile(settings)?;
        Ok(Pipeline {
            parser: Parser::new(settings.limits.record, settings.limits.depth),
            edits: Edits::new(&plan.tree, plan.writes, WRITE_BYTES),
            made: Made::with_capacity(WRITE_BYTES),
            plan,
        })
    }

    /// How messages, dead letters and metrics name a place in the pipeline.
    pub fn step_name(&self, step: Step) -> &str {
        match step {
            Step::Parse => "parse",
            Step::Encode => "encode",
            Step::Sink => "sink",
            Step::Number(index) => &self.plan.steps[usize::from(index)].name,
        }
    }

    /// A table's name, by its index in the settings.
    pub fn table_name(&self, table: usize) -> &str {
        &self.plan.tables[table]
    }

    /// True if an expression asks that table by `lookup`.
    pub(super) fn asks(&self, table: usize) -> bool {
        self.plan.asked.contains(&table)
    }

    /// Names of the steps, in order.
    pub fn step_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.plan.steps.iter().map(|step| step.name.as_str())
    }

    /// The table and key that a record is likely to look up first: a guess, good for prefetching.
    #[inline]
    pub fn foresee<'a>(&self, record: &Record<'a>) -> Option<(usize, &'a [u8])> {
        let foresight = self.plan.foresight.as_ref()?;
        Some((foresight.table, foresight.guess(record)?))
    }

    /// Processes one record. Results of an emitted one were pushed to `results`; of any other
    /// nothing stays there. `mark` is told the end of parse and of operate, unless it ended before.
    #[inline]
    pub fn process<T: Lookup>(
        &mut self,
        record: &Record<'_>,
        tables: &mut T,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed {
        self.process_watched(record, tables, mark, results, &mut Unwatched)
    }

    #[inline]
    pub(super) fn process_watched<T: Lookup>(
        &mut self,
        record: &Record<'_>,
        tables: &mut T,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
        watch: &mut impl Watch,
    ) -> Processed {
        let plan = &self.plan;
        let mut origin_ns = origin::of_record(&plan.origin, plan.unit_nanos, record);
        let parse_rejected = |class, reason: fmt::Arguments<'_>| Processed {
            verdict: Verdict::Reject(Rejection::new(class, Step::Parse, reason)),
            origin_ns,
        };
        let Some(value) = record.value else {
            return Processed { verdict: tombstone(plan, record, mark, results), origin_ns };
        };
        if value.len() > plan.record_bytes_max {
            let (len, max) = (value.len(), plan.record_bytes_max);
            let reason = format_args!("the value has {len} bytes, more than limits.record = {max}");
            return parse_rejected(RejectClass::TooLarge, reason);
        }
        let event = match self.parser.parse(value) {
            Ok(event) => event,
            Err(error) => {
                let class = match error.kind {
                    ParseErrorKind::NotJson => RejectClass::NotJson,
                    ParseErrorKind::NotObject => RejectClass::NotObject,
                    ParseErrorKind::TooDeep => RejectClass::TooDeep,
                };
                return parse_rejected(class, format_args!("{error}"));
            }
        };
        self.edits.begin(&plan.tree, &event);
        self.made.begin();
        let mut work = Work { plan, record, event: &event, edits: &mut self.edits };
        origin_ns = origin_ns.or_else(|| work.origin_ns(&mut self.made, tables));
        mark(Mark::Parsed);
        for (step, index) in plan.steps.iter().zip(0..) {
            if let Err(stop) = work.apply(index, &step.operator, tables, &mut self.made, watch) {
                return Processed { verdict: stopped(plan, &stop, Step::Number(index)), origin_ns };
            }
        }
        mark(Mark::Operated);
        let before = (results.len(), results.bytes_len());
        if let Err(stop) = work.encode(&mut self.made, tables, results) {
            results.truncate(before.0, before.1);
            return Processed { verdict: stopped(plan, &stop, Step::Encode), origin_ns };
        }
        // Made here and not in a variable of its own, whose 250 bytes would be copied.
        Processed { verdict: Verdict::Emit, origin_ns }
    }
}

/// What values come from beside the record.
struct Sources<'s, T> {
    made: &'s mut Made,
    tables: &'s mut T,
}

/// A record under way.
struct Work<'p, 'r> {
    plan: &'p Plan,
    record: &'r Record<'r>,
    event: &'r crate::codec::Event<'r>,
    edits: &'r mut Edits,
}

impl<'p> Work<'p, '_> {
    fn scope(&self) -> Scope<'_> {
        let Work { plan, record, event, edits } = self;
        Scope { tree: &plan.tree, event, edits, record, others: &plan.others }
    }

    #[inline]
    fn origin_ns<T: Lookup>(&self, made: &mut Made, tables: &mut T) -> Option<i64> {
        let Plan { origin, unit_nanos, .. } = self.plan;
        match origin {
            Expression::Program(program) => {
                origin::of_program(program, *unit_nanos, &self.scope(), made, tables)
            }
            other => origin::of_event(other, *unit_nanos, self.event, self.edits),
        }
    }

    #[inline]
    fn apply<T: Lookup>(
        &mut self,
        index: u16,
        operator: &'p Operator,
        tables: &mut T,
        made: &mut Made,
        watch: &mut impl Watch,
    ) -> Result<(), Stop<'p>> {
        match operator {
            Operator::Lookup { table, key, into, on_miss, into_age } => {
                let operand = self.scope().evaluate(key, made, tables).and_then(as_key);
                let operand = operand.map_err(|failure| Stop::Operand(failure, key))?;
                let found = tables.lookup(*table, operand.bytes);
                watch.looked_up(index, &self.plan.tables[*table], operand.bytes, &found);
                let (bytes, kind): (_, fn(u16) -> Written) = match (found, on_miss) {
                    (Found::Hit(Value { kind: ValueKind::Text, bytes }), _) => {
                        (bytes, Written::Text)
                    }
                    (Found::Hit(Value { kind: ValueKind::Json, bytes }), _) => {
                        (bytes, Written::Json)
                    }
                    (Found::Hit(_), _) => {
                        return Err(Stop::Operand(Why::TableValueUnfit.wrong_type(), key));
                    }
                    (Found::Stale, _) => return Err(Stop::Stale(*table)),
                    (Found::Unknown(awaited), _) => return Err(Stop::Wait(awaited)),
                    (Found::Miss, OnMiss::Reject) => return Err(Stop::Miss(*table, key)),
                    (Found::Late, OnMiss::Reject) => return Err(Stop::Late(*table, key)),
                    (_, OnMiss::Skip) => return Err(Stop::Skip(SkipClass::TableMiss)),
                    (_, OnMiss::Text(text)) => (text.as_bytes(), Written::Text),
                    (_, OnMiss::Json(json)) => (json.as_bytes(), Written::Json),
                };
                let fill = |_: Scope<'_>, out: &mut Vec<u8>| {
                    out.extend_from_slice(bytes);
                    Ok(())
                };
                self.write(index, *into, kind, watch, fill)?;
                match into_age {
                    Some(target) => self.write_age(index, *target, tables.age_ns(*table), watch),
                    None => Ok(()),
                }
            }
            Operator::Hash { algorithm, of, into } => {
                let mut sources = Sources { made, tables };
                self.hash(index, *algorithm, of, *into, &mut sources, watch)
            }
            Operator::Text(texts) => texts.iter().try_for_each(|(pieces, into)| {
                let fill =
                    |scope: Scope<'_>, out: &mut Vec<u8>| fill_in(pieces, scope, made, tables, out);
                self.write(index, *into, Written::Text, watch, fill)
            }),
        }
    }

    /// Milliseconds with three decimals, rounded up: an answer is never older than it says.
    fn write_age(
        &mut self,
        index: u16,
        into: Target,
        age_ns: Option<u64>,
        watch: &mut impl Watch,
    ) -> Result<(), Stop<'p>> {
        self.write(index, into, Written::Json, watch, |_, out| {
            let micros = age_ns.map(|age| age.div_ceil(1_000));
            // Writing to a vector cannot fail.
            let _ = match micros {
                Some(micros) => write!(out, "{}.{:03}", micros / 1_000, micros % 1_000),
                None => write!(out, "null"),
            };
            Ok(())
        })
    }

    #[inline]
    fn hash<T: Lookup>(
        &mut self,
        index: u16,
        algorithm: HashAlgorithm,
        of: &'p Expression,
        into: Target,
        sources: &mut Sources<'_, T>,
        watch: &mut impl Watch,
    ) -> Result<(), Stop<'p>> {
        self.write(index, into, Written::Plain, watch, |scope, out| {
            let operand = scope.evaluate(of, sources.made, sources.tables);
            let operand = operand.map_err(|failure| Stop::Operand(failure, of))?;
            hash::push_digest(out, algorithm, operand.bytes);
            Ok(())
        })
    }

    /// Fills the buffer of a write and notes it. The buffer comes back whatever happens.
    #[inline]
    fn write(
        &mut self,
        index: u16,
        into: Target,
        kind: fn(u16) -> Written,
        watch: &mut impl Watch,
        fill: impl FnOnce(Scope<'_>, &mut Vec<u8>) -> Result<(), Stop<'p>>,
    ) -> Result<(), Stop<'p>> {
        let mut buffer = self.edits.take_buffer(into.write);
        let filled = fill(self.scope(), &mut buffer);
        self.edits.return_buffer(into.write, buffer);
        filled?;
        let written = kind(into.write);
        let tree = &self.plan.tree;
        self.edits.write(tree, self.event, into.path, written).map_err(|obstacle| {
            let failure = match obstacle {
                Obstacle::Parent(parent) => Why::Parent(parent).wrong_type(),
                Obstacle::Item(item) => Why::Item(item).missing(),
            };
            Stop::Target(failure, into.path)
        })?;
        watch.wrote(index, tree.path(into.path), written, self.edits.buffer(into.write));
        Ok(())
    }

    #[inline]
    fn encode<T: Lookup>(
        &self,
        made: &mut Made,
        tables: &mut T,
        results: &mut Results,
    ) -> Result<(), Stop<'p>> {
        let key = self.encode_key(made, tables, results)?;
        let value = self.encode_value(made, tables, results)?;
        results_push(self.plan, self.record, results, key, value);
        Ok(())
    }

    #[inline]
    fn encode_key<T: Lookup>(
        &self,
        made: &mut Made,
        tables: &mut T,
        results: &mut Results,
    ) -> Result<Part, Stop<'p>> {
        let key = &self.plan.key;
        if let Expression::Record(Field::Key) = key {
            return Ok(key_of(self.record));
        }
        let operand = self.scope().evaluate(key, made, tables).and_then(as_key);
        let operand = operand.map_err(|failure| Stop::Operand(failure, key))?;
        Ok(results.append(|out| out.extend_from_slice(operand.bytes)))
    }

    #[inline]
    fn encode_value<T: Lookup>(
        &self,
        made: &mut Made,
        tables: &mut T,
        results: &mut Results,
    ) -> Result<Part, Stop<'p>> {
        let value = &self.plan.value;
        match value {
            Expression::Record(Field::Value) => return Ok(Part::OfRecord),
            Expression::Event(PathId::ROOT) if !self.edits.is_touched(PathId::ROOT) => {
                return Ok(Part::OfRecord);
            }
            Expression::Event(PathId::ROOT) => {
                let tree = &self.plan.tree;
                return Ok(results.append(|out| {
                    splice::push_event(out, tree, self.event, self.edits);
                }));
            }
            Expression::Program(program) => {
                let mut pushed = Ok(());
                let part = results.append(|out| {
                    pushed = self.scope().push_result(program, made, tables, out);
                });
                return pushed.map(|()| part).map_err(|failure| Stop::Operand(failure, value));
            }
            _ => {}
        }
        let operand = self.scope().evaluate(value, made, tables);
        let operand = operand.map_err(|failure| Stop::Operand(failure, value))?;
        Ok(results.append(|out| match operand.kind {
            // JSON has no timestamps: one is text there.
            Kind::Timestamp => crate::codec::push_text(out, operand.bytes),
            _ => out.extend_from_slice(operand.bytes),
        }))
    }
}

/// What may be a key: not null, no object, no list.
#[inline]
fn as_key(operand: Operand<'_>) -> Result<Operand<'_>, Failure> {
    match operand.kind {
        Kind::Null | Kind::Object | Kind::List => Err(Why::Unusable(operand.kind).wrong_type()),
        _ => Ok(operand),
    }
}

#[inline]
fn fill_in<'p, T: Lookup>(
    pieces: &'p [Piece],
    scope: Scope<'_>,
    made: &mut Made,
    tables: &mut T,
    out: &mut Vec<u8>,
) -> Result<(), Stop<'p>> {
    for piece in pieces {
        match piece {
            // What stands between two holes is a single byte most of the time.
            Piece::Literal(text) => match text.as_bytes() {
                [byte] => out.push(*byte),
                bytes => out.extend_from_slice(bytes),
            },
            Piece::Hole(hole) => {
                let operand = scope.evaluate(hole, made, tables);
                let operand = operand.map_err(|failure| Stop::Operand(failure, hole))?;
                if operand.kind == Kind::Bytes && std::str::from_utf8(operand.bytes).is_err() {
                    return Err(Stop::Operand(Why::NotText.wrong_type(), hole));
                }
                out.extend_from_slice(operand.bytes);
            }
        }
    }
    Ok(())
}

fn key_of(record: &Record<'_>) -> Part {
    if record.key.is_some() { Part::OfRecord } else { Part::Absent }
}

#[inline]
fn results_push(plan: &Plan, record: &Record<'_>, results: &mut Results, key: Part, value: Part) {
    let own = |(name, _): (&[u8], _)| name.starts_with(OWN_HEADERS) && name != DUE_HEADER;
    let headers = if record.headers.into_iter().any(own) {
        results.append(|out| {
            for (name, value) in record.headers.filter(|header| !own(*header)) {
                Headers::push(out, name, value);
            }
        })
    } else {
        Part::OfRecord
    };
    results.push(Entry {
        destination: SINK,
        partition_number: plan.keep_partition.then_some(record.partition_number),
        timestamp_ms: record.timestamp_ms,
        key,
        value,
        headers,
    });
}

/// A record without a value is passed over, written as it is, or rejected.
#[cold]
fn tombstone(
    plan: &Plan,
    record: &Record<'_>,
    mark: &mut impl FnMut(Mark),
    results: &mut Results,
) -> Verdict {
    match plan.tombstones {
        Tombstones::Skip => Verdict::Skip(Skip { class: SkipClass::Tombstone, step: Step::Parse }),
        Tombstones::Reject => {
            let reason = format_args!("the record has no value (a tombstone)");
            Verdict::Reject(Rejection::new(RejectClass::NotJson, Step::Parse, reason))
        }
        Tombstones::Pass => {
            mark(Mark::Parsed);
            mark(Mark::Operated);
            results_push(plan, record, results, key_of(record), Part::Absent);
            Verdict::Emit
        }
    }
}
