//! Windows against a naive twin: late and repeated records, idle partitions, crashes at any point.
//!
//! A seed makes rules, records, when results are taken, commits, roll-backs and crashes. The set
//! of results must be the twin's; under exactly once each comes once, and in its order.

mod state_rig;
#[path = "state_rig/twin.rs"]
mod twin;

use std::collections::BTreeSet;

use hotspur::state::{
    Aggregate, Mark,
    window::{Added, Arrival, Emit, Kind, Refusal, WindowRules, Windows},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use state_rig::{Begun, Guarantee, Survivors, seeds};
use twin::{Event, Value};

const AGGREGATES: [Aggregate; 12] = [
    Aggregate::Records,
    Aggregate::Count,
    Aggregate::Sum,
    Aggregate::Min,
    Aggregate::Max,
    Aggregate::Avg,
    Aggregate::First,
    Aggregate::Last,
    Aggregate::Distinct,
    Aggregate::Quantile(0.5),
    Aggregate::Quantile(0.9),
    Aggregate::Collect(3),
];

fn rules(random: &mut SmallRng) -> WindowRules {
    let kinds = [
        Kind::Tumbling { size_ms: 20 },
        Kind::Hopping { size_ms: 20, advance_ms: 7 },
        Kind::Session { gap_ms: 9 },
        Kind::Count { size: random.random_range(1..5) },
    ];
    let kind = *kinds.choose(random).unwrap();
    let has_age = matches!(kind, Kind::Session { .. } | Kind::Count { .. });
    let aggregates = match random.random_range(0..3) {
        // Of fixed length: changed in place.
        0 => AGGREGATES[..6].to_vec(),
        1 => AGGREGATES.to_vec(),
        _ => AGGREGATES.iter().filter(|_| random.random_bool(0.4)).copied().collect(),
    };
    WindowRules {
        kind,
        lateness_ms: *[0, 5, 30].choose(random).unwrap(),
        idle_ms: Some(30).filter(|_| random.random_bool(0.5)),
        max_keys: 1_000,
        max_age_ms: Some(25).filter(|_| has_age && random.random_bool(0.4)),
        emit: if random.random_bool(0.3) { Emit::Updates } else { Emit::Final },
        aggregates,
    }
}

fn value(random: &mut SmallRng, has_doubles: bool) -> Value {
    match random.random_range(0..10) {
        0 => Value::Absent,
        1 => Value::Null,
        2..6 if has_doubles => Value::Quarters(random.random_range(-20..20)),
        2 => Value::Uint(u64::MAX),
        3 => Value::Int(i64::MIN),
        _ => Value::Int(random.random_range(-3..3)),
    }
}

fn events(random: &mut SmallRng) -> Vec<Event> {
    let count = random.random_range(1..150);
    let keys = random.random_range(1..8);
    let has_doubles = random.random_bool(0.5);
    let (mut offset, mut time) = (0, random.random_range(-50..50));
    let event = |_| {
        offset += random.random_range(1..4);
        time += random.random_range(0..6) + if random.random_bool(0.03) { 40 } else { 0 };
        let back = if random.random_bool(0.3) { random.random_range(0..30) } else { 0 };
        // Keys of which one begins another, and that agree in their first eight bytes.
        let key = "a long key".repeat(5)[..7 + random.random_range(0..keys)].into();
        Event { offset, key, time: time - back, value: value(random, has_doubles) }
    };
    (0..count).map(event).collect()
}

/// One run.
struct Run<'a> {
    rules: WindowRules,
    events: &'a [Event],
    random: SmallRng,
    survivors: Survivors,
    windows: Windows,
    next: usize,
    /// So many records are in the partition: those that were read once.
    end: usize,
    now: i64,
    begun: Option<Begun>,
    late: BTreeSet<i64>,
    full: BTreeSet<i64>,
}

impl<'a> Run<'a> {
    fn new(rules: &WindowRules, events: &'a [Event], guarantee: Guarantee, seed: u64) -> Run<'a> {
        let mut windows = Windows::new(rules.clone());
        windows.start(0, Mark::NONE, 0);
        Run {
            rules: rules.clone(),
            events,
            random: SmallRng::seed_from_u64(!seed),
            survivors: Survivors::new(guarantee),
            windows,
            next: 0,
            end: 0,
            now: 0,
            begun: None,
            late: BTreeSet::new(),
            full: BTreeSet::new(),
        }
    }

    /// Until everything is processed, taken and committed.
    fn go(mut self) -> Run<'a> {
        let end = self.events.last().map_or(0, |it| it.offset + 1);
        for step in 0.. {
            if self.survivors.position >= end && !self.windows.has_due() && self.begun.is_none() {
                break;
            }
            let state = (self.next, self.survivors.position, end);
            assert!(step < 100_000, "it does not end: {state:?} {:?}", self.rules);
            self.now += self.random.random_range(0..3);
            match self.random.random_range(0..100) {
                0..60 => self.offer(),
                60..75 => self.take(),
                75..83 => self.begin(),
                83..90 => self.confirm(),
                90..94 => self.roll_back(),
                94..97 => self.now += self.random.random_range(30..60),
                _ => self.crash(),
            }
        }
        self.finish();
        self
    }

    /// Results that came after the last commit began belong to another.
    fn finish(&mut self) {
        let position = self.survivors.position;
        let mark = self.windows.begin_commit(position, None);
        let mut begun = self.survivors.begin(position, mark);
        while let Some(change) = self.windows.next_change() {
            self.survivors.change(&mut begun, &change);
        }
        self.survivors.commit(begun);
    }

    fn offer(&mut self) {
        let Some(event) = self.events.get(self.next) else {
            self.take();
            return self.begin();
        };
        if self.random.random_bool(0.2) {
            self.foresee();
        }
        let record = Arrival {
            key: &event.key,
            time_ms: event.time,
            offset: event.offset,
            now_ms: self.now,
        };
        let inputs = vec![event.value.input(); self.rules.aggregates.len()];
        match self.windows.add(&record, &inputs) {
            Added::Counted => {}
            Added::Repeated => assert!(!self.survivors.is_exactly_once()),
            Added::Late => _ = self.late.insert(event.offset),
            Added::Refused(refusal) => {
                assert!(matches!(refusal, Refusal::MaxKeys | Refusal::MaxAge), "{refusal:?}");
                self.full.insert(event.offset);
            }
            Added::NotYet => {
                self.take();
                self.begin();
                return self.confirm();
            }
        }
        self.next += 1;
        self.end = self.end.max(self.next);
        if self.rules.emit == Emit::Updates {
            if self.random.random_bool(0.03) {
                return self.crash();
            }
            self.take();
        }
    }

    /// Keys of records that may come next: some come, some do not, some were foreseen before.
    fn foresee(&mut self) {
        for event in self.events[self.next..].iter().take(self.random.random_range(0..30)) {
            if self.random.random_bool(0.9) {
                self.windows.foresee(&event.key);
            }
        }
        self.windows.approach();
    }

    /// Takes all results, or a few if none has to be taken.
    fn take(&mut self) {
        let is_bounded = self.rules.emit == Emit::Final && self.random.random_bool(0.5);
        for _ in 0..if is_bounded { self.random.random_range(0..3) } else { usize::MAX } {
            let Some(it) = self.windows.next_result() else { return };
            let bounds = (it.start_ms, it.end_ms);
            self.survivors.emit(twin::result(it.key, bounds, it.is_final, it.values()));
        }
    }

    fn begin(&mut self) {
        if self.begun.is_some() {
            return self.confirm();
        }
        let position = self.next.checked_sub(1).map_or(0, |it| self.events[it].offset + 1);
        let at_end = Some(self.now).filter(|_| self.next == self.end);
        let mark = self.windows.begin_commit(position, at_end);
        let mut begun = self.survivors.begin(position, mark);
        while let Some(change) = self.windows.next_change() {
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
                self.windows.committed();
            }
        }
    }

    fn roll_back(&mut self) {
        if self.survivors.is_exactly_once() {
            self.survivors.crash();
            self.windows.roll_back();
            self.go_back();
        }
    }

    fn crash(&mut self) {
        self.survivors.crash();
        self.windows = Windows::new(self.rules.clone());
        for (key, value) in self.survivors.entries(&mut self.random) {
            self.windows.restore(key, value).unwrap();
        }
        self.windows.start(self.survivors.position, self.survivors.mark, self.now);
        self.go_back();
    }

    fn go_back(&mut self) {
        self.begun = None;
        self.next = self.events.partition_point(|it| it.offset < self.survivors.position);
    }
}

/// Runs both, and compares; what the twin found.
fn compare(
    rules: &WindowRules,
    events: &[Event],
    guarantee: Guarantee,
    seed: u64,
) -> twin::Outcome {
    let run = Run::new(rules, events, guarantee, seed).go();
    let marks = run.survivors.marks.iter().filter(|it| it.1 != Mark::NONE);
    let moved: Vec<(i64, i64)> =
        marks.map(|(at, mark)| (*at, mark.to_string().parse().unwrap())).collect();
    let twin = twin::outcome(rules, events, &moved);
    let of = format!("HOTSPUR_STATE_SEED={seed}, {guarantee:?}, {rules:?}");
    let mut results = run.survivors.results;
    let mut expected = twin.results.clone();
    // Updates, and windows by count that become full, may be taken before others that are due.
    let has_order = rules.emit == Emit::Final && !matches!(rules.kind, Kind::Count { .. });
    if guarantee == Guarantee::AtLeastOnce || !has_order {
        results.sort();
        expected.sort();
    }
    if guarantee == Guarantee::AtLeastOnce {
        results.dedup();
        expected.dedup();
    }
    let pairs = results.iter().zip(&expected).find(|(result, expected)| result != expected);
    assert_eq!(pairs, None, "{of}");
    assert_eq!(results.len(), expected.len(), "{of}");
    assert_eq!(run.late, twin.late, "late: {of}");
    assert_eq!(run.full, twin.full, "refused: {of}");
    twin
}

#[test]
fn results_are_the_twins_through_crashes_roll_backs_and_idle_times() {
    let (mut results, mut late) = (0, 0);
    for seed in seeds() {
        let mut random = SmallRng::seed_from_u64(seed);
        let (rules, events) = (rules(&mut random), events(&mut random));
        for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
            let twin = compare(&rules, &events, guarantee, seed);
            results += twin.results.len();
            late += twin.late.len();
        }
    }
    assert!(results > 0 && late > 0, "{results} results, {late} late records");
}

#[test]
fn keys_too_many_are_refused_until_a_window_is_closed() {
    let mut refused = 0;
    for seed in seeds() {
        let mut random = SmallRng::seed_from_u64(seed);
        let rules = WindowRules { max_keys: 2, ..rules(&mut random) };
        let events = events(&mut random);
        refused += compare(&rules, &events, Guarantee::ExactlyOnce, seed).full.len();
    }
    assert!(refused > 0, "no record found the store full");
}
