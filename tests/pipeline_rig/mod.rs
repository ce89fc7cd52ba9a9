//! A whole pipeline with state as the engine steps it, whose stores come back from what the memory
//! broker has of the state topic, and a table that answers when it likes.

use std::collections::BTreeMap;

use hotspur::{
    clock::Ticks,
    delivery::GivenOff,
    engine::{Chance, Fate, Process, Stores},
    pipeline::{Found, Lookup, Mark, Pipeline, Processed, Results, stores::StateStores},
    record::{Destination, Headers, Output, PartitionId, Record},
    transport::{Begin, Note, memory::Broker},
    verdict::{Awaited, Step},
};
use rand::{RngExt, rngs::SmallRng};

pub(crate) const SINK: Destination = Destination(0);
pub(crate) const DEAD: Destination = Destination(1);
pub(crate) const STATE: Destination = Destination(2);

/// What is done wrong on purpose, for checks that must find it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    No,
    /// Changes of state are taken and not written.
    ForgetsToWrite,
    /// Nobody is told what became of records.
    ForgetsToSettle,
    /// What comes back is put back without what the commit says beside its position.
    ForgetsMarks,
}

#[derive(Debug)]
pub(crate) struct Piped {
    pub(crate) pipeline: Pipeline,
    pub(crate) broker: Broker,
    pub(crate) table: Slow,
    pub(crate) broken: Broken,
    now_ms: i64,
    key: Vec<u8>,
}

/// A table without entries that lets some records wait.
#[derive(Debug)]
pub(crate) struct Slow {
    pub(crate) random: SmallRng,
    pub(crate) share: f64,
    is_last: bool,
    answers: u64,
}

impl Lookup for Slow {
    fn lookup(&mut self, _table: usize, _key: &[u8]) -> Found<'_> {
        match !self.is_last && self.random.random_bool(self.share) {
            true => Found::Unknown(Awaited { table: 0, hash: 7 }),
            false => Found::Miss,
        }
    }

    fn now_ns(&self) -> i64 {
        0
    }
}

impl Piped {
    pub(crate) fn new(
        pipeline: Pipeline,
        broker: Broker,
        (random, share): (SmallRng, f64),
        broken: Broken,
    ) -> Piped {
        let table = Slow { random, share, is_last: false, answers: 0 };
        Piped { pipeline, broker, table, broken, now_ms: 0, key: Vec::new() }
    }

    fn stores(&mut self) -> &mut StateStores {
        self.pipeline.stores_mut()
    }
}

impl Process for Piped {
    fn begin_turn(&mut self, now: Ticks) {
        self.now_ms = now.0 as i64;
        let now_ms = self.now_ms;
        self.stores().begin_turn(now_ms);
        self.table.answers += 1;
    }

    fn process(
        &mut self,
        record: &Record<'_>,
        chance: Chance,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed {
        self.stores().rehearse(chance.is_rehearsal);
        self.table.is_last = chance.is_last;
        self.pipeline.process(record, &mut self.table, mark, results)
    }

    fn answered(&self) -> u64 {
        self.table.answers + self.pipeline.stores().released()
    }

    fn is_answered(&self, _awaited: Awaited) -> bool {
        self.table.answers.is_multiple_of(2)
    }

    fn wait_ns(&self, _table: u16) -> u64 {
        200
    }

    fn step_name(&self, step: Step) -> &str {
        self.pipeline.step_name(step)
    }
}

impl Stores for Piped {
    fn has_state(&self) -> bool {
        true
    }

    fn begin(&mut self, partition: PartitionId, begin: Begin) {
        let Piped { pipeline, broker, broken, table, .. } = self;
        let stores = pipeline.stores_mut();
        let made = stores.make();
        assert!(stores.give(partition, made).is_none(), "begun twice");
        let mut entries = Vec::new();
        broker.for_each_written(|it| {
            if it.destination == STATE && it.partition_number == Some(i32::from(partition.0)) {
                entries.push((it.key.clone().unwrap(), it.value.clone()));
            }
        });
        if table.random.random_bool(0.5) {
            // The topic was compacted: of each key the last is left.
            let last: BTreeMap<_, _> =
                entries.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)).collect();
            let mut at = 0..;
            entries.retain(|(key, _)| at.next() == Some(last[key]));
        }
        for (key, value) in &entries {
            let (&[kind, store], key) = key.split_first_chunk().expect("kind and store");
            let (store, value) = (usize::from(store), value.as_deref());
            let restored = match kind {
                b's' => stores.restore_seed(partition, store, value.expect("a seed stays")),
                _ => stores.restore(partition, store, key, value),
            };
            restored.expect("what was written comes back");
        }
        let marks = if *broken == Broken::ForgetsMarks { &[] } else { begin.note.numbers() };
        stores.begin(partition, begin.position, marks);
    }

    fn end(&mut self, partition: PartitionId) {
        self.stores().end(partition);
    }

    fn takes_records(&mut self) -> bool {
        self.stores().takes_records()
    }

    fn takes_waiting(&mut self, partition: PartitionId) -> bool {
        self.stores().takes_waiting(partition)
    }

    fn owes_results(&mut self) -> bool {
        self.stores().owes_results()
    }

    fn is_behind(&mut self, partition: PartitionId, offset: i64) -> bool {
        self.stores().is_behind(partition, offset)
    }

    fn settled(&mut self, partition: PartitionId, offset: i64, fate: Fate) {
        let is_kept = fate == Fate::Kept || self.broken == Broken::ForgetsToSettle;
        self.stores().settled(partition, offset, is_kept);
    }

    fn give_off(
        &mut self,
        partition: PartitionId,
        _now: Ticks,
        take: &mut impl FnMut(&Record<'_>, GivenOff) -> bool,
    ) -> bool {
        self.stores().give_off(partition, &mut |record, given| {
            take(record, GivenOff { step: given.step, number: given.number })
        })
    }

    fn process_given_off(
        &mut self,
        record: &Record<'_>,
        given_off: GivenOff,
        _now: Ticks,
        results: &mut Results,
    ) -> Processed {
        let Piped { pipeline, table, .. } = self;
        pipeline.process_given_off(record, given_off.step, table, results)
    }

    fn wants_commit(&self, is_at_end: &mut dyn FnMut(PartitionId) -> bool) -> bool {
        self.pipeline.stores().wants_commit(is_at_end)
    }

    fn begin_commit(&mut self, partition: PartitionId, position: i64, is_at_end: bool) -> Note {
        let mut note = Note::default();
        self.stores().begin_commit(partition, position, is_at_end, |mark| note.push(mark));
        note
    }

    fn write_change(&mut self, write: &mut impl FnMut(&Output<'_>) -> bool) -> bool {
        let Piped { pipeline, key, broken, .. } = self;
        pipeline.stores_mut().write_change(&mut |change| {
            key.clear();
            key.extend([if change.is_seed { b's' } else { b'e' }, change.store as u8]);
            key.extend_from_slice(change.key);
            if *broken == Broken::ForgetsToWrite {
                return true;
            }
            write(&Output {
                destination: STATE,
                partition_number: Some(i32::from(change.partition.0)),
                timestamp_ms: None,
                key: Some(key),
                value: change.value,
                headers: Headers::NONE,
            })
        })
    }

    fn committed(&mut self, partition: PartitionId) {
        self.stores().committed(partition);
    }

    fn roll_back(&mut self, partition: PartitionId) {
        self.stores().roll_back(partition);
    }
}
