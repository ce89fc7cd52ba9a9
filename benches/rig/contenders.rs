//! Structures that take turns: each is measured a little, then the next one, for several rounds.

use std::{any::Any, time::Duration};

use hotspur::cache::table;

use super::{
    isolated::{self, Seen, Stamps, Work},
    statistics::median,
    structures::{Key, Ours, OursReads, Reads, Structure},
};

/// One of them, whatever it is.
pub(crate) trait Contender {
    fn name(&self) -> &'static str;

    /// One measurement, kept under its work. A table that has grown is filled anew.
    fn run(&mut self, work: Work, length: Duration, stamps: Stamps);

    /// The measurements under one kind of work, one a round.
    fn seen(&self, work: Work) -> Vec<&Seen>;

    /// Lookups of these keys, in turns of 64.
    fn look_many(&mut self, keys: &[Key]) -> u64;

    /// To be had back as what it is.
    fn as_any(&mut self) -> &mut dyn Any;
}

/// A structure of so many keys.
pub(crate) struct Pair<S: Structure, R> {
    name: &'static str,
    keys: u64,
    fill: fn(u64) -> (S, R),
    halves: Option<(S, R)>,
    seen: Vec<(Work, Seen)>,
}

impl<S: Structure> Pair<S, S::Reads> {
    pub(crate) fn filled(keys: u64) -> Self {
        Pair::new(S::NAME, keys, S::filled)
    }
}

impl<S: Structure, R: Reads> Pair<S, R> {
    fn new(name: &'static str, keys: u64, fill: fn(u64) -> (S, R)) -> Self {
        Pair { name, keys, fill, halves: Some(fill(keys)), seen: Vec::new() }
    }

    pub(crate) fn reader(&mut self) -> &mut R {
        &mut self.halves.as_mut().expect("it is filled").1
    }
}

impl<S: Structure + 'static, R: Reads + 'static> Contender for Pair<S, R> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&mut self, work: Work, length: Duration, stamps: Stamps) {
        let (writer, reader) = self.halves.as_mut().expect("it is filled");
        let seen = isolated::measure((writer, reader), self.keys, work, length, stamps);
        self.seen.push((work, seen));
        if work == Work::Grow {
            // The old one first: the machine need not hold both.
            drop(self.halves.take());
            self.halves = Some((self.fill)(self.keys));
        }
    }

    fn seen(&self, work: Work) -> Vec<&Seen> {
        self.seen.iter().filter(|(it, _)| *it == work).map(|(_, seen)| seen).collect()
    }

    fn look_many(&mut self, keys: &[Key]) -> u64 {
        let reader = self.reader();
        keys.chunks(64).fold(0, |sum, keys| sum ^ reader.look_many(keys))
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// The reader of one table beside the writer of another: what writing does to a reader that has
/// nothing to do with it.
pub(crate) struct Aside {
    reader: OursReads,
    other: table::Reader,
    _idle: Ours,
}

impl Reads for Aside {
    fn look(&mut self, key: &Key) -> u64 {
        self.other.quiesce();
        self.reader.look(key)
    }

    fn look_many(&mut self, keys: &[Key]) -> u64 {
        self.other.quiesce();
        self.reader.look_many(keys)
    }
}

/// The control.
pub(crate) fn control(keys: u64) -> Pair<Ours, Aside> {
    Pair::new("hotspur; control: another table is written", keys, |keys| {
        let (idle, reader) = Ours::filled(keys);
        let (writer, OursReads(other)) = Ours::filled(keys);
        (writer, Aside { reader, other, _idle: idle })
    })
}

/// The middle of a figure over the rounds.
pub(crate) fn middle(seen: &[&Seen], of: impl Fn(&Seen) -> f64) -> f64 {
    median(seen.iter().map(|it| of(it)))
}

/// The middle of a figure as a multiple of the same figure beside an idle writer, round by round.
pub(crate) fn ratio(contender: &dyn Contender, work: Work, of: impl Fn(&Seen) -> f64) -> f64 {
    let (busy, idle) = (contender.seen(work), contender.seen(Work::Idle));
    median(busy.iter().zip(&idle).map(|(busy, idle)| of(busy) / of(idle)))
}
