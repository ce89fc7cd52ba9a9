//! Duplicates against a naive twin: late ones, waiting ones, refused firsts, crashes at any point.
//!
//! A seed makes records, the order in which they are settled, commits, roll-backs and crashes.
//! What is emitted must be what the twin emits, which knows one list and no crash.

mod state_rig;

use std::collections::{BTreeMap, BTreeSet};

use hotspur::state::{
    RestoreError,
    dedup::{Admission, Dedup, DedupRules, Released, Settled},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use state_rig::{Begun, Guarantee, Survivors, seeds};

const RULES: DedupRules = DedupRules { within_ms: 100, max_keys: 1000, in_flight: 16, seed: 7 };

#[derive(Clone, Copy, Debug)]
struct Seen {
    offset: i64,
    key: u8,
    time: i64,
    is_refused: bool,
}

fn records(random: &mut SmallRng) -> Vec<Seen> {
    let count = random.random_range(1..200);
    let keys = random.random_range(1..30);
    let (mut offset, mut time) = (0, random.random_range(-500..500));
    let record = |_| {
        offset += random.random_range(1..4);
        time += if random.random_bool(0.02) { 150 } else { random.random_range(0..20) };
        Seen {
            offset,
            key: random.random_range(0..keys),
            time: time - if random.random_bool(0.2) { random.random_range(0..200) } else { 0 },
            is_refused: random.random_bool(0.3),
        }
    };
    (0..count).map(record).collect()
}

/// What is emitted, by offset; and which are refused for want of room.
fn twin(records: &[Seen], max_keys: usize) -> (Vec<i64>, BTreeSet<i64>) {
    let (mut clock, mut kept) = (i64::MIN, BTreeMap::<u8, i64>::new());
    let (mut emitted, mut full) = (Vec::new(), BTreeSet::new());
    for record in records {
        clock = clock.max(record.time);
        let is_live = |since: &i64| clock - since <= RULES.within_ms;
        if kept.get(&record.key).is_some_and(is_live) {
            continue;
        }
        if kept.values().filter(|it| is_live(it)).count() >= max_keys {
            full.insert(record.offset);
        } else if !record.is_refused {
            kept.insert(record.key, clock);
            emitted.push(record.offset);
        }
    }
    (emitted, full)
}

/// One run.
struct Run<'a> {
    records: &'a [Seen],
    rules: DedupRules,
    random: SmallRng,
    survivors: Survivors,
    dedup: Dedup,
    /// Index of the next record.
    next: usize,
    /// Offsets of records that are being processed.
    processed: Vec<i64>,
    begun: Option<Begun>,
    full: BTreeSet<i64>,
}

impl<'a> Run<'a> {
    fn new(records: &'a [Seen], rules: DedupRules, guarantee: Guarantee, seed: u64) -> Run<'a> {
        let mut dedup = Dedup::new(rules);
        let survivors = Survivors::new(guarantee);
        dedup.start(survivors.position, survivors.mark);
        let random = SmallRng::seed_from_u64(!seed);
        let (processed, full) = (Vec::new(), BTreeSet::new());
        Run { records, rules, random, survivors, dedup, next: 0, processed, begun: None, full }
    }

    /// Until everything is processed and committed.
    fn go(mut self, is_stepwise: bool) -> Run<'a> {
        let end = self.records.last().map_or(0, |it| it.offset + 1);
        while self.survivors.position < end {
            match self.random.random_range(0..100) {
                0..60 => self.offer(),
                60..82 => self.settle_one(),
                82..88 => self.begin(),
                88..94 => self.confirm(),
                94..97 => self.roll_back(),
                _ => self.crash(),
            }
            while is_stepwise && !self.processed.is_empty() {
                self.settle_one();
            }
        }
        self
    }

    fn offer(&mut self) {
        let Some(record) = self.records.get(self.next) else {
            return self.begin();
        };
        let hash = self.dedup.hash(&[record.key]);
        match self.dedup.admit(hash, record.time, record.offset) {
            Admission::Fresh => self.processed.push(record.offset),
            Admission::Pending { of } => assert!(self.processed.contains(&of)),
            Admission::Full => _ = self.full.insert(record.offset),
            Admission::Seen => {}
            Admission::NotYet => return self.make_way(),
        }
        self.next += 1;
    }

    fn make_way(&mut self) {
        assert!(!self.processed.is_empty() || self.dedup.wants_commit());
        self.settle_one();
        self.begin();
        self.confirm();
    }

    fn settle_one(&mut self) {
        if self.processed.is_empty() {
            return;
        }
        let chosen = self.random.random_range(0..self.processed.len());
        let offset = self.processed.swap_remove(chosen);
        let record = self.records.iter().find(|it| it.offset == offset).unwrap();
        let outcome = if record.is_refused { Settled::Refused } else { Settled::Kept };
        if !record.is_refused {
            self.survivors.emit(offset.to_string());
        }
        let processed = &mut self.processed;
        self.dedup.settle(offset, outcome, |offset, released| {
            if released == Released::Process {
                processed.push(offset);
            }
        });
    }

    fn begin(&mut self) {
        if self.begun.is_some() {
            return self.confirm();
        }
        while !self.processed.is_empty() {
            self.settle_one();
        }
        let position = self.next.checked_sub(1).map_or(0, |it| self.records[it].offset + 1);
        let mark = self.dedup.begin_commit(position);
        let mut begun = self.survivors.begin(position, mark);
        while let Some(change) = self.dedup.next_change() {
            self.survivors.change(&mut begun, &change);
            if self.random.random_bool(0.05) {
                return self.crash();
            }
        }
        self.begun = Some(begun);
    }

    fn confirm(&mut self) {
        let Some(begun) = self.begun.take() else { return };
        match self.random.random_range(0..10) {
            0 => self.crash(),
            1 => {
                self.survivors.commit(begun);
                self.crash();
            }
            _ => {
                self.survivors.commit(begun);
                self.dedup.committed();
            }
        }
    }

    fn roll_back(&mut self) {
        if self.survivors.is_exactly_once() {
            self.survivors.crash();
            self.dedup.roll_back();
            self.go_back();
        }
    }

    fn crash(&mut self) {
        self.survivors.crash();
        self.dedup = Dedup::new(self.rules);
        for (key, value) in self.survivors.entries(&mut self.random) {
            self.dedup.restore(key, value).unwrap();
        }
        self.dedup.start(self.survivors.position, self.survivors.mark);
        self.go_back();
    }

    fn go_back(&mut self) {
        self.begun = None;
        self.processed.clear();
        self.next = self.records.partition_point(|it| it.offset < self.survivors.position);
    }
}

fn emitted(run: &Run<'_>) -> Vec<i64> {
    let mut emitted: Vec<i64> =
        run.survivors.results.iter().map(|it| it.parse().unwrap()).collect();
    emitted.sort_unstable();
    if !run.survivors.is_exactly_once() {
        emitted.dedup();
    }
    emitted
}

#[test]
fn what_is_emitted_is_what_the_twin_emits_through_crashes_and_roll_backs() {
    for seed in seeds() {
        for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
            let records = records(&mut SmallRng::seed_from_u64(seed));
            let run = Run::new(&records, RULES, guarantee, seed).go(false);
            let twin = twin(&records, usize::MAX).0;
            assert_eq!(emitted(&run), twin, "HOTSPUR_STATE_SEED={seed}, {guarantee:?}");
        }
    }
}

#[test]
fn a_key_too_many_is_refused_until_a_period_ends() {
    let mut refused = 0;
    for seed in seeds() {
        let records = records(&mut SmallRng::seed_from_u64(seed));
        let rules = DedupRules { max_keys: 4, ..RULES };
        let run = Run::new(&records, rules, Guarantee::ExactlyOnce, seed).go(true);
        let (twin, full) = twin(&records, rules.max_keys);
        assert_eq!(emitted(&run), twin, "HOTSPUR_STATE_SEED={seed}");
        assert_eq!(run.full, full, "HOTSPUR_STATE_SEED={seed}");
        refused += full.len();
    }
    assert!(refused > 0, "no record found the store full");
}

/// Commits everything before that position, and what it writes.
fn commit(dedup: &mut Dedup, position: i64) -> Vec<(Vec<u8>, bool)> {
    dedup.begin_commit(position);
    let mut changes = Vec::new();
    while let Some(change) = dedup.next_change() {
        changes.push((change.key.to_vec(), change.value.is_some()));
    }
    dedup.committed();
    changes
}

fn keep(dedup: &mut Dedup, key: &[u8], time: i64, offset: i64) {
    let admission = dedup.admit(dedup.hash(key), time, offset);
    assert_eq!(admission, Admission::Fresh);
    dedup.settle(offset, Settled::Kept, |_, _| panic!("nothing waits"));
}

#[test]
fn a_key_is_deleted_only_when_its_end_is_committed() {
    let mut dedup = Dedup::new(RULES);
    dedup.start(0, hotspur::state::Mark::NONE);
    keep(&mut dedup, b"old", 0, 0);
    let written = commit(&mut dedup, 1);
    assert_eq!((written.len(), written[0].1), (1, true));
    keep(&mut dedup, b"new", 1_000, 1);
    // The period is over, and a restart does not know it yet.
    assert_eq!(commit(&mut dedup, 2).iter().map(|it| it.1).collect::<Vec<_>>(), [true]);
    assert_eq!(commit(&mut dedup, 2), [(written[0].0.clone(), false)]);
    assert_eq!(commit(&mut dedup, 2), []);
    assert_eq!(dedup.keys(), 1);
}

#[test]
fn an_entry_from_ahead_of_the_position_holds_until_the_position_has_passed_it() {
    let mut before = Dedup::new(RULES);
    before.start(0, hotspur::state::Mark::NONE);
    keep(&mut before, b"key", 0, 50);
    before.begin_commit(51);
    let change = before.next_change().unwrap();
    let mut dedup = Dedup::new(RULES);
    dedup.restore(change.key, change.value).unwrap();
    dedup.start(40, hotspur::state::Mark::NONE);
    // A filter let it pass that held it back before: time is further on than it was.
    keep(&mut dedup, b"other", 10_000, 41);
    assert_eq!(dedup.admit(dedup.hash(b"key"), 0, 45), Admission::Seen);
    let deleted = |changes: Vec<(Vec<u8>, bool)>| {
        changes.iter().filter(|(_, is_written)| !is_written).count()
    };
    for position in [46, 50, 51] {
        assert_eq!(deleted(commit(&mut dedup, position)), 0, "position {position}");
    }
    assert_eq!(deleted(commit(&mut dedup, 51)), 1);
}

#[test]
fn waiting_duplicates_inherit_one_by_one() {
    let mut dedup = Dedup::new(RULES);
    dedup.start(0, hotspur::state::Mark::NONE);
    let hash = dedup.hash(b"key");
    assert_eq!(dedup.admit(hash, 0, 10), Admission::Fresh);
    for offset in 11..14 {
        assert_eq!(dedup.admit(hash, 0, offset), Admission::Pending { of: 10 });
    }
    let mut released = Vec::new();
    dedup.settle(10, Settled::Refused, |offset, it| released.push((offset, it)));
    assert_eq!(dedup.admit(hash, 0, 14), Admission::Pending { of: 11 });
    dedup.settle(11, Settled::Refused, |offset, it| released.push((offset, it)));
    dedup.settle(12, Settled::Kept, |offset, it| released.push((offset, it)));
    let expected = [
        (11, Released::Process),
        (12, Released::Process),
        (13, Released::Skip),
        (14, Released::Skip),
    ];
    assert_eq!(released, expected);
    assert_eq!(dedup.admit(hash, 100, 15), Admission::Seen);
    assert_eq!(dedup.admit(hash, 101, 16), Admission::Fresh);
}

#[test]
fn what_is_none_of_its_entries_is_told_and_not_taken() {
    let mut dedup = Dedup::new(DedupRules { max_keys: 1, ..RULES });
    assert_eq!(dedup.restore(b"short", Some(&[0; 16])), Err(RestoreError::Key));
    assert_eq!(dedup.restore(&[0; 12], Some(&[0; 15])), Err(RestoreError::Value));
    assert_eq!(dedup.restore(&[0; 12], Some(&[255; 16])), Err(RestoreError::Value));
    let restored = (0..=255).map(|it| dedup.restore(&[it; 12], Some(&[0; 16])));
    assert!(restored.last().unwrap().is_err_and(|it| matches!(it, RestoreError::TooMany(_))));
}

#[test]
fn a_million_keys_take_less_than_48_bytes_each() {
    let keys = 1_000_000;
    let rules = DedupRules { within_ms: i64::MAX, max_keys: keys, in_flight: 32_768, seed: 7 };
    let mut dedup = Dedup::new(rules);
    dedup.start(0, hotspur::state::Mark::NONE);
    for number in 0..keys as i64 {
        keep(&mut dedup, &number.to_le_bytes(), 0, number);
    }
    assert_eq!(dedup.keys(), keys);
    let each = dedup.bytes() as f64 / keys as f64;
    assert!(each <= 48.0, "{each:.1} bytes a remembered key");
    assert_eq!(dedup.admit(dedup.hash(b"one more"), 0, keys as i64), Admission::Full);
    println!("{each:.1} bytes a remembered key");
}
