//! A pipeline of one step with state, plain enough to be right at a glance, and its twin.
//!
//! The step gathers the records of each key and gives off a list of them whenever there are
//! `GATHERED`; what it keeps is a map that is cloned wherever an engine would keep a log of
//! changes. Which lists must come off is known from the log of a partition alone.

use std::collections::{BTreeMap, BTreeSet};

use hotspur::{
    clock::Ticks,
    delivery::GivenOff,
    engine::{Chance, Fate, Process, Stores},
    pipeline::{
        Mark, Processed, Results,
        results::{Entry, Part},
    },
    record::{Destination, Headers, Output, PartitionId, Record},
    transport::{
        Begin, Note,
        memory::{Broker, Stored},
    },
    verdict::{RejectClass, Rejection, Skip, SkipClass, Step, Verdict},
};

pub(crate) const SINK: Destination = Destination(0);
pub(crate) const DEAD: Destination = Destination(1);
pub(crate) const STATE: Destination = Destination(2);

/// Records of one key that make a list.
pub(crate) const GATHERED: usize = 3;

/// Different keys, from 0.
pub(crate) const KEYS: u8 = 3;

/// A record: its fate and its key. `k` is kept, `s` skipped, `r` rejected, `e` emitted by itself.
pub(crate) fn stored(fate: u8, key: u8) -> Stored {
    Stored { key: Some(vec![key]), value: Some(vec![fate]), headers: Vec::new() }
}

/// The lists that must come off a log, and the records that are left.
pub(crate) fn lists(log: &[Stored]) -> BTreeSet<Vec<u32>> {
    let mut open: BTreeMap<u8, Vec<u32>> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for (offset, record) in (0..).zip(log) {
        if record.value.as_deref() != Some(b"k") {
            continue;
        }
        let list = open.entry(record.key.as_ref().unwrap()[0]).or_default();
        list.push(offset);
        if list.len() == GATHERED {
            all.insert(std::mem::take(list));
        }
    }
    all
}

/// What is kept of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kept {
    open: Vec<u32>,
    /// Full lists whose results are not settled, by number.
    full: BTreeMap<u64, Vec<u32>>,
    /// Records up to here are counted.
    counts_to: i64,
    /// A confirmed commit lies past that.
    is_covered: bool,
}

impl Kept {
    fn is_needed(&self) -> bool {
        !self.open.is_empty() || !self.full.is_empty() || !self.is_covered
    }

    fn to_bytes(&self) -> Vec<u8> {
        let list = |list: &[u32]| list.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let full: Vec<_> =
            self.full.iter().map(|(number, it)| format!("{number}:{}", list(it))).collect();
        format!("{};{};{}", self.counts_to, list(&self.open), full.join(" ")).into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Kept {
        let text = std::str::from_utf8(bytes).unwrap();
        let list = |text: &str| {
            text.split(',').filter(|it| !it.is_empty()).map(|it| it.parse().unwrap()).collect()
        };
        let mut parts = text.split(';');
        let counts_to = parts.next().unwrap().parse().unwrap();
        let open = list(parts.next().unwrap());
        let full = parts.next().unwrap().split(' ').filter_map(|it| it.split_once(':'));
        let full = full.map(|(number, it)| (number.parse().unwrap(), list(it))).collect();
        Kept { open, full, counts_to, is_covered: false }
    }
}

type Map = BTreeMap<u8, Kept>;

#[derive(Clone, Debug, Default)]
struct Store {
    map: Map,
    /// Of a commit under way, and of the last confirmed one.
    cut: Map,
    confirmed: Map,
    /// What a commit still has to write.
    to_write: Vec<u8>,
    changed: BTreeSet<u8>,
    /// Lists that the engine has.
    taken: BTreeSet<u64>,
    next_number: u64,
    position: i64,
    seen_to: i64,
    /// What was restored may count records that come again.
    restored_to: i64,
}

/// The pipeline. The broker is what its stores are restored from.
#[derive(Debug)]
pub(crate) struct Gathering {
    pub(crate) broker: Broker,
    stores: BTreeMap<u16, Store>,
    under_way: Vec<PartitionId>,
    /// Positions and changes must be of the same records: it forgets to write (a broken variant).
    pub(crate) is_forgetful: bool,
}

impl Gathering {
    pub(crate) fn new(broker: Broker, is_forgetful: bool) -> Gathering {
        Gathering { broker, stores: BTreeMap::new(), under_way: Vec::new(), is_forgetful }
    }

    fn store(&mut self, partition: PartitionId) -> &mut Store {
        self.stores.get_mut(&partition.0).expect("a partition that is ours")
    }

    fn keep(&mut self, record: &Record<'_>) {
        let store = self.store(record.partition);
        assert!(record.offset > store.seen_to, "{} after {}", record.offset, store.seen_to);
        store.seen_to = record.offset;
        let key = record.key.unwrap()[0];
        let kept = store.map.entry(key).or_insert(Kept { counts_to: -1, ..Kept::default() });
        if record.offset <= kept.counts_to {
            return;
        }
        kept.counts_to = record.offset;
        kept.is_covered = false;
        kept.open.push(record.offset as u32);
        if kept.open.len() == GATHERED {
            kept.full.insert(store.next_number, std::mem::take(&mut kept.open));
            store.next_number += 1;
        }
        store.changed.insert(key);
    }
}

fn push(results: &mut Results, destination: Destination) {
    let of_record = Part::OfRecord;
    results.push(Entry {
        destination,
        partition_number: None,
        timestamp_ms: None,
        key: of_record,
        value: of_record,
        headers: of_record,
    });
}

fn reject() -> Verdict {
    let why = format_args!("the script says so");
    Verdict::Reject(Rejection::new(RejectClass::Expression, Step::Number(0), why))
}

impl Process for Gathering {
    fn begin_turn(&mut self, _now: Ticks) {}

    fn process(
        &mut self,
        record: &Record<'_>,
        chance: Chance,
        mark: &mut impl FnMut(Mark),
        results: &mut Results,
    ) -> Processed {
        mark(Mark::Parsed);
        mark(Mark::Operated);
        assert!(!chance.is_rehearsal, "nothing waits here");
        let verdict = match record.value.unwrap()[0] {
            b'k' => {
                self.keep(record);
                Verdict::Hold(Step::Number(0))
            }
            b's' => Verdict::Skip(Skip { class: SkipClass::Filtered, step: Step::Number(0) }),
            b'r' => reject(),
            _ => {
                push(results, SINK);
                Verdict::Emit
            }
        };
        Processed { verdict, origin_ns: Some(0) }
    }

    fn step_name(&self, _step: Step) -> &str {
        "gather"
    }
}

impl Stores for Gathering {
    fn has_state(&self) -> bool {
        true
    }

    fn begin(&mut self, partition: PartitionId, begin: Begin) {
        let mut store =
            Store { position: begin.position, seen_to: begin.position - 1, ..Store::default() };
        self.broker.for_each_written(|it| {
            if it.destination != STATE || it.key.as_ref().unwrap()[0] != partition.0 as u8 {
                return;
            }
            let key = it.key.as_ref().unwrap()[1];
            match &it.value {
                Some(value) => _ = store.map.insert(key, Kept::from_bytes(value)),
                None => _ = store.map.remove(&key),
            }
        });
        // Changes that were written at different times may have the same numbers.
        for kept in store.map.values_mut() {
            let full = std::mem::take(&mut kept.full).into_values();
            kept.full = (store.next_number..).zip(full).collect();
            store.next_number += kept.full.len() as u64;
        }
        if let [number] = begin.note.numbers() {
            assert_eq!(*number, begin.position, "the note came with another position");
        }
        store.restored_to = store.map.values().map(|it| it.counts_to).max().unwrap_or(-1);
        // What is not deleted yet, is once more.
        store.changed = store.map.keys().copied().collect();
        store.confirmed = store.map.clone();
        assert!(self.stores.insert(partition.0, store).is_none(), "begun twice");
    }

    fn end(&mut self, partition: PartitionId) {
        self.stores.remove(&partition.0);
    }

    fn give_off(
        &mut self,
        partition: PartitionId,
        _now: Ticks,
        take: &mut impl FnMut(&Record<'_>, GivenOff) -> bool,
    ) -> bool {
        let store = self.store(partition);
        for (key, kept) in &store.map {
            let next = kept.full.iter().find(|(number, _)| !store.taken.contains(*number));
            let Some((number, list)) = next else { continue };
            let value: Vec<u8> = list.iter().flat_map(|it| it.to_le_bytes()).collect();
            let key = [partition.0 as u8, *key];
            let record = Record {
                partition,
                topic: "memory",
                partition_number: i32::from(partition.0),
                offset: -1,
                timestamp_ms: None,
                key: Some(&key),
                value: Some(&value),
                headers: Headers::NONE,
                arrived: Ticks(0),
            };
            if take(&record, GivenOff { step: 0, number: *number }) {
                store.taken.insert(*number);
            }
            return true;
        }
        false
    }

    fn process_given_off(
        &mut self,
        record: &Record<'_>,
        _given_off: GivenOff,
        _now: Ticks,
        results: &mut Results,
    ) -> Processed {
        // Lists that begin with a multiple of five are passed over, of seven rejected.
        let first = u32::from_le_bytes(record.value.unwrap()[..4].try_into().unwrap());
        let verdict = match (first % 5, first % 7) {
            (0, _) => Verdict::Skip(Skip { class: SkipClass::Filtered, step: Step::Number(1) }),
            (_, 0) => reject(),
            _ => {
                push(results, SINK);
                Verdict::Emit
            }
        };
        Processed { verdict, origin_ns: None }
    }

    fn given_off_settled(&mut self, partition: PartitionId, given_off: GivenOff, _fate: Fate) {
        let store = self.store(partition);
        assert!(store.taken.remove(&given_off.number), "settled without being taken");
        for (key, kept) in &mut store.map {
            if kept.full.remove(&given_off.number).is_some() {
                store.changed.insert(*key);
            }
        }
    }

    fn wants_commit(&self, _is_at_end: &mut dyn FnMut(PartitionId) -> bool) -> bool {
        self.stores.values().any(|it| !it.changed.is_empty())
    }

    fn begin_commit(&mut self, partition: PartitionId, position: i64, _is_at_end: bool) -> Note {
        let store = self.store(partition);
        assert!(position >= store.position);
        let end = position.max(store.restored_to + 1);
        assert!(store.map.values().all(|it| it.counts_to < end), "ahead of {position}");
        store.position = position;
        store.to_write = std::mem::take(&mut store.changed).into_iter().collect();
        store.cut = store.map.clone();
        if self.is_forgetful {
            self.store(partition).to_write.clear();
        }
        self.under_way.retain(|it| *it != partition);
        self.under_way.push(partition);
        let mut note = Note::default();
        note.push(position);
        note
    }

    fn write_change(&mut self, write: &mut impl FnMut(&Output<'_>) -> bool) -> bool {
        for partition in &self.under_way {
            let Some(store) = self.stores.get_mut(&partition.0) else { continue };
            let Some(key) = store.to_write.last().copied() else { continue };
            let value = store.map.get(&key).filter(|it| it.is_needed()).map(Kept::to_bytes);
            let name = [partition.0 as u8, key];
            let output = Output {
                destination: STATE,
                partition_number: Some(i32::from(partition.0)),
                timestamp_ms: None,
                key: Some(&name),
                value: value.as_deref(),
                headers: Headers::NONE,
            };
            if write(&output) {
                store.to_write.pop();
            }
            return true;
        }
        false
    }

    fn committed(&mut self, partition: PartitionId) {
        let store = self.store(partition);
        assert!(store.to_write.is_empty());
        store.confirmed = std::mem::take(&mut store.cut);
        let position = store.position;
        for map in [&mut store.confirmed, &mut store.map] {
            map.retain(|_, it| it.is_needed());
            for (key, kept) in map {
                if kept.counts_to < position && !std::mem::replace(&mut kept.is_covered, true) {
                    // It may be deleted with the next commit.
                    store.changed.extend((!kept.is_needed()).then_some(*key));
                }
            }
        }
    }

    fn roll_back(&mut self, partition: PartitionId) {
        let begin = self.broker.committed()[usize::from(partition.0)].unwrap_or(0);
        let store = self.store(partition);
        store.map = store.confirmed.clone();
        store.taken.clear();
        store.changed = store.map.keys().copied().collect();
        store.to_write.clear();
        (store.position, store.seen_to) = (begin, begin - 1);
    }
}
