//! Aggregates: what a window adds up of its records, as bytes that are also their written form.
//!
//! A window's aggregates are a block of fixed length, one cell for each whose size never changes
//! (`number`), and behind it one part for each of the others (`kept`, `distinct`, `quantile`). All
//! zero is the empty window. Because state is these bytes and nothing else, to copy it, to write
//! it, to read it back and to undo a change is to copy bytes, and what was restored is the same.
//!
//! Values that are absent or null are passed over by every aggregate but `count()`.

mod bytes;
mod distinct;
mod kept;
mod number;
mod quantile;

use std::cmp::Ordering;

use self::{
    bytes::Part,
    kept::{edge, list},
    number::{count, extreme, mean, sum},
};
pub(super) use self::{
    bytes::{LENGTH_BYTES, close, length_at, open, set_length},
    number::Number,
};
use super::input::Input;

/// What is computed of a window's records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregate {
    /// `count()`: the records.
    Records,
    /// `count(x)`: the records that have a value.
    Count,
    /// `sum(x)`: exact for integers, compensated for doubles.
    Sum,
    /// `min(x)`.
    Min,
    /// `max(x)`.
    Max,
    /// `avg(x)`: the sum by the count, a double.
    Avg,
    /// `first(x)`: of the earliest record.
    First,
    /// `last(x)`: of the latest record.
    Last,
    /// `distinct(x)`: how many different values, about.
    Distinct,
    /// `quantile(x, q)`: `q` from 0 to 1, within one percent.
    Quantile(f64),
    /// `collect(x, n)`: the first `n` values to come, up to `limits::COLLECTED_MAX`.
    Collect(u32),
}

impl Aggregate {
    /// It takes integers and finite numbers alone.
    fn wants_numbers(self) -> bool {
        use Aggregate::{Avg, Max, Min, Quantile, Sum};
        matches!(self, Sum | Min | Max | Avg | Quantile(_))
    }

    /// Bytes of its cell; `None` if it lives in a part.
    fn cell_bytes(self) -> Option<usize> {
        match self {
            Aggregate::Records => Some(0),
            Aggregate::Count => Some(count::BYTES),
            Aggregate::Sum => Some(sum::BYTES),
            Aggregate::Min | Aggregate::Max => Some(extreme::BYTES),
            Aggregate::Avg => Some(mean::BYTES),
            Aggregate::First | Aggregate::Last => None,
            Aggregate::Distinct | Aggregate::Quantile(_) | Aggregate::Collect(_) => None,
        }
    }
}

/// Where a record stands among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) time: i64,
    pub(super) offset: i64,
}

/// An aggregate's place.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The cell begins there.
    Cell(usize),
    /// The part of that number.
    Part,
}

/// All aggregates of a step.
#[derive(Debug)]
pub(super) struct Plan {
    places: Vec<(Aggregate, Place)>,
    /// Bytes of all cells.
    cells: usize,
    parts: usize,
    /// Holds one value's JSON.
    json: Vec<u8>,
}

impl Plan {
    pub(super) fn new(aggregates: &[Aggregate]) -> Plan {
        let (mut cells, mut parts) = (0, 0);
        let place = |aggregate: &Aggregate| match aggregate.cell_bytes() {
            Some(bytes) => {
                cells += bytes;
                (*aggregate, Place::Cell(cells - bytes))
            }
            None => {
                parts += 1;
                (*aggregate, Place::Part)
            }
        };
        let places = aggregates.iter().map(place).collect();
        Plan { places, cells, parts, json: Vec::new() }
    }

    /// Bytes of a window without records.
    pub(super) fn empty_bytes(&self) -> usize {
        self.cells + self.parts * LENGTH_BYTES
    }

    /// A window's length never changes.
    pub(super) fn is_fixed(&self) -> bool {
        self.parts == 0
    }

    /// The first aggregate that cannot take its value.
    ///
    /// # Panics
    ///
    /// If there are not as many inputs as aggregates.
    #[inline]
    pub(super) fn wrong(&self, inputs: &[Input<'_>]) -> Option<usize> {
        assert_eq!(inputs.len(), self.places.len(), "one input for each aggregate");
        self.places.iter().zip(inputs).position(|((aggregate, _), input)| {
            aggregate.wants_numbers() && input.number().is_none() && !input.is_nothing()
        })
    }

    /// Whether these bytes can be a window's cells and parts.
    pub(super) fn is_sound(&self, window: &[u8]) -> bool {
        let Some((_, mut rest)) = window.split_at_checked(self.cells) else { return false };
        for (aggregate, _) in self.places.iter().filter(|it| matches!(it.1, Place::Part)) {
            if rest.len() < LENGTH_BYTES {
                return false;
            }
            let part = rest[LENGTH_BYTES..].split_at_checked(length_at(rest, 0));
            match part {
                Some((part, behind)) if is_sound_part(*aggregate, part) => rest = behind,
                _ => return false,
            }
        }
        rest.is_empty()
    }

    /// Adds to the cells, which are all there is if the plan is fixed.
    #[inline]
    pub(super) fn add_to_cells(&self, cells: &mut [u8], inputs: &[Input<'_>]) {
        for ((aggregate, place), input) in self.places.iter().zip(inputs) {
            let Place::Cell(at) = *place else { continue };
            let cell = &mut cells[at..];
            match (aggregate, input.number()) {
                (Aggregate::Records, _) => {}
                (Aggregate::Count, _) => count::add(cell, u64::from(!input.is_nothing())),
                (Aggregate::Sum, Some(number)) => sum::add(cell, number),
                (Aggregate::Min, Some(number)) => extreme::add(cell, number, Ordering::Less),
                (Aggregate::Max, Some(number)) => extreme::add(cell, number, Ordering::Greater),
                (Aggregate::Avg, Some(number)) => mean::add(cell, number),
                _ => {}
            }
        }
    }

    /// Adds to the cells and parts that begin at `start` of an entry's copy.
    pub(super) fn add(&mut self, entry: &mut Vec<u8>, start: usize, inputs: &[Input<'_>], at: At) {
        self.add_to_cells(&mut entry[start..], inputs);
        let mut next = start + self.cells;
        for ((aggregate, place), input) in self.places.iter().zip(inputs) {
            if let Place::Part = place {
                if !input.is_nothing() {
                    add_to_part(*aggregate, Part::new(entry, next), *input, at, &mut self.json);
                }
                next += LENGTH_BYTES + length_at(entry, next);
            }
        }
    }

    /// Adds what another window has, whose cells and parts these are.
    pub(super) fn merge(&self, entry: &mut Vec<u8>, start: usize, other: &[u8]) {
        let (mut next, mut others) = (start + self.cells, self.cells);
        for (aggregate, place) in &self.places {
            match *place {
                Place::Cell(at) => {
                    merge_cells(*aggregate, &mut entry[start + at..], &other[at..]);
                }
                Place::Part => {
                    let bytes = length_at(other, others);
                    let from = &other[others + LENGTH_BYTES..][..bytes];
                    merge_parts(*aggregate, Part::new(entry, next), from);
                    next += LENGTH_BYTES + length_at(entry, next);
                    others += LENGTH_BYTES + bytes;
                }
            }
        }
    }

    /// Appends each aggregate's JSON, and to `ends` where it ends.
    pub(super) fn write(
        &self,
        window: &[u8],
        records: u64,
        json: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) {
        let mut next = self.cells;
        for (aggregate, place) in &self.places {
            match *place {
                Place::Cell(at) => write_cell(*aggregate, &window[at..], records, json),
                Place::Part => {
                    let bytes = length_at(window, next);
                    write_part(*aggregate, &window[next + LENGTH_BYTES..][..bytes], json);
                    next += LENGTH_BYTES + bytes;
                }
            }
            ends.push(json.len());
        }
    }
}

fn add_to_part(aggregate: Aggregate, part: Part<'_>, input: Input<'_>, at: At, json: &mut Vec<u8>) {
    match aggregate {
        Aggregate::Distinct => return distinct::add(part, input.hash()),
        Aggregate::Quantile(_) => {
            return quantile::add(part, input.number().expect("inputs were judged before"));
        }
        _ => {}
    }
    json.clear();
    input.write_json(json);
    match aggregate {
        Aggregate::Collect(most) => list::add(part, at.offset, json, most),
        _ => edge::add(part, at, json, aggregate == Aggregate::First),
    }
}

fn is_sound_part(aggregate: Aggregate, part: &[u8]) -> bool {
    match aggregate {
        Aggregate::Distinct => distinct::is_sound(part),
        Aggregate::Quantile(_) => quantile::is_sound(part),
        Aggregate::Collect(_) => list::is_sound(part),
        _ => edge::is_sound(part),
    }
}

fn merge_cells(aggregate: Aggregate, cell: &mut [u8], other: &[u8]) {
    match aggregate {
        Aggregate::Count => count::add(cell, count::get(other)),
        Aggregate::Sum => sum::merge(cell, other),
        Aggregate::Min => extreme::merge(cell, other, Ordering::Less),
        Aggregate::Max => extreme::merge(cell, other, Ordering::Greater),
        Aggregate::Avg => mean::merge(cell, other),
        _ => {}
    }
}

fn merge_parts(aggregate: Aggregate, part: Part<'_>, other: &[u8]) {
    match aggregate {
        Aggregate::Distinct => distinct::merge(part, other),
        Aggregate::Quantile(_) => quantile::merge(part, other),
        Aggregate::Collect(most) => list::merge(part, other, most),
        _ => edge::merge(part, other, aggregate == Aggregate::First),
    }
}

fn write_cell(aggregate: Aggregate, cell: &[u8], records: u64, json: &mut Vec<u8>) {
    let mut write_count = |count: u64| {
        json.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    };
    match aggregate {
        Aggregate::Records => write_count(records),
        Aggregate::Count => write_count(count::get(cell)),
        Aggregate::Sum => sum::write(cell, json),
        Aggregate::Avg => mean::write(cell, json),
        _ => extreme::write(cell, json),
    }
}

fn write_part(aggregate: Aggregate, part: &[u8], json: &mut Vec<u8>) {
    match aggregate {
        Aggregate::Distinct => {
            json.extend_from_slice(itoa::Buffer::new().format(distinct::estimate(part)).as_bytes());
        }
        Aggregate::Quantile(quantile) => quantile::write(part, quantile, json),
        Aggregate::Collect(_) => list::write(part, json),
        _ => edge::write(part, json),
    }
}
