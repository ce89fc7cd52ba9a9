//! One record through the plan: parse, operate, encode.

use std::{fmt, io::Write};

use crate::{
    cache::{Value, ValueKind},
    codec::{Edits, Obstacle, ParseErrorKind, Parser, PathId, Written, splice},
    config::{
        Problem, Settings,
        settings::{HashAlgorithm, Tombstones},
    },
    limits::{DESTINATIONS_MAX, RESULTS_PER_RECORD_MAX},
    pipeline::{
        Found, Lookup, Mark, Processed, Results,
        compile::{self, OnMiss, Operator, Plan, Target},
        evaluate::{Kind, Made, Operand, Scope},
        expression::{Expression, Field, Piece},
        failure::{Failure, Why},
        hash, origin,
        results::{Entry, Part},
        steps::{
            Memory, Stateless,
            outgoing::{Choice, Outgoing, Topics},
        },
    },
    record::{DUE_HEADER, Destination, Headers, OWN_HEADERS, Record},
    verdict::{Awaited, RejectClass, Rejection, Sentence, Skip, SkipClass, Step, Verdict},
};

/// Where results go, unless a step says otherwise; `assemble` numbers the sinks so.
pub const SINK: Destination = Destination(0);

/// Room that each write starts with.
const WRITE_BYTES: usize = 4096;

/// Compiled steps and sink expressions with their reused memory; one for each hot thread.
#[derive(Debug)]
pub struct Pipeline {
    plan: Plan,
    parser: Parser,
    edits: Edits,
    made: Made,
    memory: Memory,
    outgoing: Outgoing,
    topics: Topics,
}

/// Told what the steps see and do, in the order in which they do it; the hot thread has none.
pub(super) trait Watch {
    /// A step begins.
    fn began(&mut self, _step: u16) {}
    /// A step's condition was not true: it does nothing.
    fn passed_over(&mut self, _step: u16) {}
    /// A step read the value of an expression.
    fn read(&mut self, _step: u16, _expression: &dyn fmt::Display, _value: &[u8]) {}
    /// A step chose between ways to go on, as a sentence says.
    fn decided(&mut self, _step: u16, _how: &dyn fmt::Display) {}
    /// A step looked a key up.
    fn looked_up(&mut self, _step: u16, _table: &str, _key: &[u8], _found: &Found<'_>) {}
    /// A step wrote.
    fn wrote(&mut self, _step: u16, _path: &dyn fmt::Display, _written: Written, _bytes: &[u8]) {}
}

pub(super) struct Unwatched;

impl Watch for Unwatched {}

/// Why the steps end early.
pub(super) enum Stop<'p> {
    Skip(SkipClass),
    /// About the value of an expression.
    Operand(Failure, &'p Expression),
    /// About writing to a path.
    Target(Failure, PathId),
    Miss(usize, &'p Expression),
    Stale(usize),
    Late(usize, &'p Expression),
    Wait(Awaited),
    /// In a sentence that the step left in `Work::told`.
    Told(RejectClass),
}

impl Pipeline {
    /// Compiles the settings; table i of a `Lookup` is the i-th of `Settings::tables`.
    ///
    /// # Errors
    ///
    /// All problems at once, with their key paths.
    pub fn compile(settings: &Settings) -> Result<Pipeline, Vec<Problem>> {
        let (plan, topics) = compile::compile(settings)?;
        Ok(Pipeline {
            parser: Parser::new(settings.limits.record, settings.limits.depth),
            edits: Edits::new(&plan.tree, plan.writes, WRITE_BYTES, plan.eaches),
            made: Made::with_capacity(WRITE_BYTES),
            memory: Memory::with_capacity(WRITE_BYTES),
            outgoing: Outgoing::new(plan.headers.len(), plan.eaches),
            topics,
            plan,
        })
    }

    /// Topics that results go to, by the number of their destination.
    pub fn topics(&self) -> &[String] {
        &self.topics.names
    }

    /// What topics may begin with that records name: those that are there are to be learned.
    pub fn prefixes(&self) -> &[String] {
        &self.plan.prefixes
    }

    /// A topic is there that begins with one of the prefixes.
    ///
    /// # Panics
    ///
    /// Past `DESTINATIONS_MAX` topics, one of which is left for the dead letters.
    pub fn learn_topic(&mut self, name: &str) {
        self.topics.number(name);
        assert!(self.topics.names.len() < DESTINATIONS_MAX, "too many topics");
    }

    /// Every topic is taken for one that is there, where it begins with one of the prefixes.
    pub(super) fn imagine_topics(&mut self) {
        self.topics.are_unknown = true;
    }

    /// Results that one record may come to.
    pub fn results_max(&self) -> usize {
        if self.plan.eaches > 0 { RESULTS_PER_RECORD_MAX } else { 1 }
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
        origin_ns = origin_ns
            .or_else(|| origin::of_event(&plan.origin, plan.unit_nanos, &event, &self.edits));
        mark(Mark::Parsed);
        self.outgoing.begin();
        let before = (results.len(), results.bytes_len());
        let mut work = Work {
            plan,
            record,
            event: &event,
            edits: &mut self.edits,
            outgoing: &mut self.outgoing,
            topics: &mut self.topics,
            memory: &mut self.memory,
            results_before: before.0,
            told: None,
        };
        let made = &mut self.made;
        let mut around = Surroundings { tables, made, mark, results, watch };
        if let Err((stop, step)) = work.run(0, &mut around) {
            let told = work.told;
            results.truncate(before.0, before.1);
            return Processed { verdict: stopped(plan, &stop, told, step), origin_ns };
        }
        // Made here and not in a variable of its own, whose 250 bytes would be copied.
        Processed { verdict: Verdict::Emit, origin_ns }
    }
}

/// What a record under way is given for a while.
pub(super) struct Surroundings<'a, T, M, W> {
    pub(super) tables: &'a mut T,
    pub(super) made: &'a mut Made,
    pub(super) mark: &'a mut M,
    pub(super) results: &'a mut Results,
    pub(super) watch: &'a mut W,
}

/// A record under way.
pub(super) struct Work<'p, 'r> {
    pub(super) plan: &'p Plan,
    pub(super) record: &'r Record<'r>,
    pub(super) event: &'r crate::codec::Event<'r>,
    pub(super) edits: &'r mut Edits,
    pub(super) outgoing: &'r mut Outgoing,
    pub(super) topics: &'r mut Topics,
    pub(super) memory: &'r mut Memory,
    /// Results that were there before this record's.
    pub(super) results_before: usize,
    /// The reason of a rejection, where a step has worded it.
    pub(super) told: Option<Sentence>,
}

impl<'p> Work<'p, '_> {
    pub(super) fn scope(&self) -> Scope<'_> {
        let Work { plan, record, event, edits, .. } = self;
        Scope { tree: &plan.tree, event, edits, record }
    }

    /// Runs the steps from that one on and pushes what the record comes to.
    pub(super) fn run<T: Lookup, M: FnMut(Mark), W: Watch>(
        &mut self,
        first: usize,
        around: &mut Surroundings<'_, T, M, W>,
    ) -> Result<(), (Stop<'p>, Step)> {
        let plan = self.plan;
        for (step, index) in plan.steps.iter().zip(0..).skip(first) {
            let here = |stop| (stop, Step::Number(index));
            let Surroundings { tables, made, watch, .. } = around;
            watch.began(index);
            if let Some(when) = &step.when
                && !self.is_true(index, when, made, *watch).map_err(here)?
            {
                watch.passed_over(index);
                continue;
            }
            match &step.operator {
                Operator::Stateless(Stateless::Each(each)) => {
                    return self.each(index, each, around);
                }
                operator => self.apply(index, operator, *tables, made, *watch).map_err(here)?,
            }
        }
        (around.mark)(Mark::Operated);
        self.encode(around.made, around.results).map_err(|stop| (stop, Step::Encode))
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
                let operand = self.scope().evaluate(key, made).and_then(as_key);
                let operand = operand.map_err(|failure| Stop::Operand(failure, key))?;
                let found = tables.lookup(*table, operand.bytes);
                watch.read(index, &key.shown(&self.plan.tree), operand.bytes);
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
                if !matches!(found, Found::Hit(_)) {
                    watch.decided(index, &"on_miss gives the value");
                }
                self.write(index, *into, kind, watch, |_, out, _| {
                    out.extend_from_slice(bytes);
                    Ok(())
                })?;
                match into_age {
                    Some(target) => self.write_age(index, *target, tables.age_ns(*table), watch),
                    None => Ok(()),
                }
            }
            Operator::Hash { algorithm, of, into } => {
                self.hash(index, *algorithm, of, *into, made, watch)
            }
            Operator::Text(texts) => texts.iter().try_for_each(|(pieces, into)| {
                self.write(index, *into, Written::Text, watch, |scope, out, watch| {
                    fill_in(index, pieces, scope, made, out, watch)
                })
            }),
            Operator::Stateless(step) => self.apply_stateless(index, step, made, watch),
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
        self.write(index, into, Written::Json, watch, |_, out, _| {
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
    fn hash(
        &mut self,
        index: u16,
        algorithm: HashAlgorithm,
        of: &'p Expression,
        into: Target,
        made: &mut Made,
        watch: &mut impl Watch,
    ) -> Result<(), Stop<'p>> {
        self.write(index, into, Written::Plain, watch, |scope, out, watch| {
            let operand = scope.evaluate(of, made);
            let operand = operand.map_err(|failure| Stop::Operand(failure, of))?;
            watch.read(index, &of.shown(scope.tree), operand.bytes);
            hash::push_digest(out, algorithm, operand.bytes);
            Ok(())
        })
    }

    /// Fills the buffer of a write and notes it. The buffer comes back whatever happens.
    #[inline]
    fn write<W: Watch>(
        &mut self,
        index: u16,
        into: Target,
        kind: fn(u16) -> Written,
        watch: &mut W,
        fill: impl FnOnce(Scope<'_>, &mut Vec<u8>, &mut W) -> Result<(), Stop<'p>>,
    ) -> Result<(), Stop<'p>> {
        let mut buffer = self.edits.take_buffer(into.write);
        let filled = fill(self.scope(), &mut buffer, watch);
        self.edits.return_buffer(into.write, buffer);
        filled?;
        self.note(index, into, kind(into.write), watch)
    }

    /// Notes a write whose buffer is filled.
    #[inline]
    pub(super) fn note<W: Watch>(
        &mut self,
        index: u16,
        into: Target,
        written: Written,
        watch: &mut W,
    ) -> Result<(), Stop<'p>> {
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
    fn encode(&self, made: &mut Made, results: &mut Results) -> Result<(), Stop<'p>> {
        let key = match self.outgoing.key {
            Choice::AsItCame => self.encode_key(made, results)?,
            Choice::Absent => Part::Absent,
            Choice::Written(write) => {
                results.append(|out| out.extend_from_slice(self.edits.buffer(write)))
            }
        };
        let value = self.encode_value(made, results)?;
        let headers = match self.outgoing.changes_headers() {
            true => self.encode_headers(results),
            false => headers_of(self.record, results),
        };
        let destination = self.outgoing.destination;
        results.push(entry(self.plan, self.record, destination, (key, value, headers)));
        Ok(())
    }

    /// The record's headers without those that steps replaced, then these.
    fn encode_headers(&self, results: &mut Results) -> Part {
        let headers = || self.plan.headers.iter().zip(&self.outgoing.headers);
        let goes = |name: &[u8]| {
            headers().any(|(it, choice)| **it == *name && *choice != Choice::AsItCame)
        };
        results.append(|out| {
            for (name, value) in self.record.headers.filter(|it| !is_own(*it) && !goes(it.0)) {
                Headers::push(out, name, value);
            }
            for (name, choice) in headers() {
                if let Choice::Written(write) = choice {
                    Headers::push(out, name, Some(self.edits.buffer(*write)));
                }
            }
        })
    }

    #[inline]
    fn encode_key(&self, made: &mut Made, results: &mut Results) -> Result<Part, Stop<'p>> {
        let key = &self.plan.key;
        if let Expression::Record(Field::Key) = key {
            return Ok(key_of(self.record));
        }
        let operand = self.scope().evaluate(key, made).and_then(as_key);
        let operand = operand.map_err(|failure| Stop::Operand(failure, key))?;
        Ok(results.append(|out| out.extend_from_slice(operand.bytes)))
    }

    #[inline]
    fn encode_value(&self, made: &mut Made, results: &mut Results) -> Result<Part, Stop<'p>> {
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
            _ => {}
        }
        let operand = self.scope().evaluate(value, made);
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
fn fill_in<'p>(
    index: u16,
    pieces: &'p [Piece],
    scope: Scope<'_>,
    made: &mut Made,
    out: &mut Vec<u8>,
    watch: &mut impl Watch,
) -> Result<(), Stop<'p>> {
    for piece in pieces {
        match piece {
            // What stands between two holes is a single byte most of the time.
            Piece::Literal(text) => match text.as_bytes() {
                [byte] => out.push(*byte),
                bytes => out.extend_from_slice(bytes),
            },
            Piece::Hole(hole) => {
                let operand = scope.evaluate(hole, made);
                let operand = operand.map_err(|failure| Stop::Operand(failure, hole))?;
                if operand.kind == Kind::Bytes && std::str::from_utf8(operand.bytes).is_err() {
                    return Err(Stop::Operand(Why::NotText.wrong_type(), hole));
                }
                watch.read(index, &hole.shown(scope.tree), operand.bytes);
                out.extend_from_slice(operand.bytes);
            }
        }
    }
    Ok(())
}

fn key_of(record: &Record<'_>) -> Part {
    if record.key.is_some() { Part::OfRecord } else { Part::Absent }
}

fn is_own((name, _): (&[u8], Option<&[u8]>)) -> bool {
    name.starts_with(OWN_HEADERS) && name != DUE_HEADER
}

/// The record's headers that travel on.
#[inline]
fn headers_of(record: &Record<'_>, results: &mut Results) -> Part {
    if !record.headers.into_iter().any(is_own) {
        return Part::OfRecord;
    }
    results.append(|out| {
        for (name, value) in record.headers.filter(|header| !is_own(*header)) {
            Headers::push(out, name, value);
        }
    })
}

#[inline]
fn entry(
    plan: &Plan,
    record: &Record<'_>,
    destination: Destination,
    (key, value, headers): (Part, Part, Part),
) -> Entry {
    Entry {
        destination,
        partition_number: plan.keep_partition.then_some(record.partition_number),
        timestamp_ms: record.timestamp_ms,
        key,
        value,
        headers,
    }
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
            let headers = headers_of(record, results);
            let parts = (key_of(record), Part::Absent, headers);
            results.push(entry(plan, record, SINK, parts));
            Verdict::Emit
        }
    }
}

#[cold]
fn stopped(plan: &Plan, stop: &Stop<'_>, told: Option<Sentence>, step: Step) -> Verdict {
    let reject =
        |class, reason: fmt::Arguments<'_>| Verdict::Reject(Rejection::new(class, step, reason));
    match stop {
        Stop::Skip(class) => Verdict::Skip(Skip { class: *class, step }),
        Stop::Operand(failure, expression) => {
            let value = expression.part(failure).shown(&plan.tree);
            reject(failure.class, format_args!("`{value}` {}", failure.why.shown(&plan.tree)))
        }
        Stop::Target(failure, path) => {
            let path = plan.tree.path(*path);
            reject(failure.class, format_args!("`{path}` {}", failure.why.shown(&plan.tree)))
        }
        Stop::Miss(table, key) => {
            let (table, key) = (&plan.tables[*table], key.shown(&plan.tree));
            let reason = format_args!("the table `{table}` does not hold the key in `{key}`");
            reject(RejectClass::TableMiss, reason)
        }
        Stop::Stale(table) => {
            let table = &plan.tables[*table];
            reject(RejectClass::StaleTable, format_args!("the table `{table}` is too old"))
        }
        Stop::Late(table, key) => {
            let (table, key) = (&plan.tables[*table], key.shown(&plan.tree));
            let reason = format_args!("the table `{table}` had no answer in time for `{key}`");
            reject(RejectClass::LookupTimeout, reason)
        }
        Stop::Wait(awaited) => Verdict::Wait(*awaited),
        Stop::Told(class) => {
            let reason = told.unwrap_or_else(|| Sentence::from("no reason was given"));
            Verdict::Reject(Rejection { class: *class, step, reason })
        }
    }
}
