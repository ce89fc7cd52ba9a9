//! What a record under way comes to: the result's key, value and headers, written into the arena.

use crate::{
    codec::{PathId, push_text, splice},
    pipeline::{
        Lookup, Results,
        compile::Plan,
        evaluate::Kind,
        expression::{Expression, Field},
        results::{Entry, Part},
        steps::outgoing::Choice,
        stop::Stop,
        work::{Sources, Work, as_key},
    },
    record::{DUE_HEADER, Destination, Headers, OWN_HEADERS, Record},
};

impl<'p> Work<'p, '_> {
    #[inline]
    pub(super) fn encode<T: Lookup>(
        &self,
        sources: &mut Sources<'_, T>,
        results: &mut Results,
    ) -> Result<(), Stop<'p>> {
        let key = match self.outgoing.key {
            Choice::AsItCame => self.encode_key(sources, results)?,
            Choice::Absent => Part::Absent,
            Choice::Written(write) => {
                results.append(|out| out.extend_from_slice(self.edits.buffer(write)))
            }
        };
        let value = self.encode_value(sources, results)?;
        let headers = match self.outgoing.changes_headers() {
            true => self.encode_headers(results),
            false => headers_of(self.record, results),
        };
        let destination = self.outgoing.destination;
        results.push(entry(self.plan, self.record, destination, (key, value, headers)));
        Ok(())
    }

    /// The event as it stands, under the record's key unless a step gave it another.
    pub(super) fn encode_as_it_is(&self, results: &mut Results) {
        let key = match self.outgoing.key {
            Choice::AsItCame => key_of(self.record),
            Choice::Absent => Part::Absent,
            Choice::Written(write) => {
                results.append(|out| out.extend_from_slice(self.edits.buffer(write)))
            }
        };
        let value = match self.edits.is_touched(PathId::ROOT) {
            true => results.append(|out| {
                splice::push_event(out, &self.plan.tree, self.event, self.edits);
            }),
            false => Part::OfRecord,
        };
        let headers = match self.outgoing.changes_headers() {
            true => self.encode_headers(results),
            false => headers_of(self.record, results),
        };
        let destination = self.outgoing.destination;
        results.push(entry(self.plan, self.record, destination, (key, value, headers)));
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
    fn encode_key<T: Lookup>(
        &self,
        sources: &mut Sources<'_, T>,
        results: &mut Results,
    ) -> Result<Part, Stop<'p>> {
        let key = &self.plan.key;
        if let Expression::Record(Field::Key) = key {
            return Ok(key_of(self.record));
        }
        let operand = self.scope().evaluate(key, sources.made, sources.tables).and_then(as_key);
        let operand = operand.map_err(|failure| Stop::Operand(failure, key))?;
        Ok(results.append(|out| out.extend_from_slice(operand.bytes)))
    }

    #[inline]
    fn encode_value<T: Lookup>(
        &self,
        sources: &mut Sources<'_, T>,
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
                let (scope, mut pushed) = (self.scope(), Ok(()));
                let part = results.append(|out| {
                    pushed = scope.push_result(program, sources.made, sources.tables, out);
                });
                return pushed.map(|()| part).map_err(|failure| Stop::Operand(failure, value));
            }
            _ => {}
        }
        let operand = self.scope().evaluate(value, sources.made, sources.tables);
        let operand = operand.map_err(|failure| Stop::Operand(failure, value))?;
        Ok(results.append(|out| match operand.kind {
            // JSON has no timestamps: one is text there.
            Kind::Timestamp => push_text(out, operand.bytes),
            _ => out.extend_from_slice(operand.bytes),
        }))
    }
}

pub(super) fn key_of(record: &Record<'_>) -> Part {
    if record.key.is_some() { Part::OfRecord } else { Part::Absent }
}

fn is_own((name, _): (&[u8], Option<&[u8]>)) -> bool {
    name.starts_with(OWN_HEADERS) && name != DUE_HEADER
}

/// The record's headers that travel on.
#[inline]
pub(super) fn headers_of(record: &Record<'_>, results: &mut Results) -> Part {
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
pub(super) fn entry(
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
