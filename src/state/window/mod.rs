//! Windows over event time: what one partition's records add up to, by key.
//!
//! **Time.** A record's time is in milliseconds since the epoch. The watermark is the largest time
//! that came so far less `lateness`; a window whose end it reaches is closed: its result is due,
//! and a record that belongs to no other window is late. With `idle`, a partition that is read to
//! its end and to which nothing came for so long has its watermark moved on as far as the turn's
//! clock has moved since its last record. That cannot be found again by reading the same records,
//! so it goes the safe way: a commit carries it first, and it takes effect when that commit is
//! confirmed; until then no record is taken. And it never happens while older records are read
//! again, which would find another end.
//!
//! **Kinds.** Tumbling and hopping windows begin at multiples of their `size` or `advance` since
//! the epoch and do not contain their end. A session contains records of which each is less than
//! `gap` after another; it ends `gap` after its last, and two sessions become one where a record
//! lies between them. A count window has `size` records; its bounds are the earliest and the latest
//! of their times, and neither lateness nor the watermark matter to it.
//!
//! **Results.** With `final` a window has one result, when it is closed. With `updates` each record
//! leads to one for each window it counts in, and the last is final. Final results come by end,
//! start and key, whatever the order in which keys came; full count windows as they become full.
//!
//! **Bounds.** A record that would make one more than `max_keys` keys have windows is refused, and
//! so is one that would make a session longer than `max_age`, or an entry longer than
//! `limits::STATE_ENTRY_BYTES_MAX` (all three are `state_full`). A count window that is `max_age`
//! old, by the watermark, is closed with what it has. A record that is refused changes nothing, in
//! none of its windows.
//!
//! **Memory.** At start: the index, and the list of entries, for twice `max_keys`: keys whose
//! windows are closed stay until their deletion is committed. Entries live in blocks (`blocks`);
//! `stock` takes more of them between turns. What was changed since the last commit is kept in a
//! buffer, which doubles until it has seen the largest commit. After that nothing allocates.
//!
//! **Commits.** See the head of `state`.

mod adding;
mod closing;
mod coming;
mod committing;
mod keys;
mod layout;
mod timers;
mod undo;

use std::collections::VecDeque;

use self::{
    closing::Offer,
    coming::Foreseen,
    committing::{Confirmed, Draining},
    keys::Keys,
    timers::{Timer, Timers},
    undo::Undo,
};
use super::{
    Mark,
    aggregate::{Aggregate, Plan},
    input::Input,
};
use crate::{
    limits::{COLLECTED_MAX, STATE_ENTRY_BYTES_MAX},
    verdict::RejectClass,
};

/// How records are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One window after another.
    Tumbling {
        /// How long each is, in milliseconds.
        size_ms: i64,
    },
    /// Windows that overlap.
    Hopping {
        /// How long each is, in milliseconds.
        size_ms: i64,
        /// How long after the one before each begins, in milliseconds; at most the size.
        advance_ms: i64,
    },
    /// As long as records come.
    Session {
        /// How long none must come, in milliseconds.
        gap_ms: i64,
    },
    /// So many records.
    Count {
        /// How many.
        size: u64,
    },
}

/// When results come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    /// When a window is closed.
    Final,
    /// With each record, and when a window is closed.
    Updates,
}

/// How a step aggregates.
#[derive(Clone, Debug)]
pub struct WindowRules {
    /// How records are grouped.
    pub kind: Kind,
    /// How long a window stays open after its end, in milliseconds of event time.
    pub lateness_ms: i64,
    /// After how long without a record the watermark moves on by itself, in milliseconds.
    pub idle_ms: Option<i64>,
    /// So many keys have windows at once.
    pub max_keys: usize,
    /// The longest session, the oldest count window, in milliseconds.
    pub max_age_ms: Option<i64>,
    /// When results come.
    pub emit: Emit,
    /// What is computed.
    pub aggregates: Vec<Aggregate>,
}

/// A record that is offered.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its key, evaluated, as bytes.
    pub key: &'a [u8],
    /// Its time, in milliseconds since the epoch.
    pub time_ms: i64,
    /// Its offset.
    pub offset: i64,
    /// The turn's time, in milliseconds since the epoch.
    pub now_ms: i64,
}

/// What became of a record that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It counts: it is held.
    Counted,
    /// Every window it belongs to is closed: it is late.
    Late,
    /// Its key's entry, restored, counts it, or was written after it was settled: it is held.
    Repeated,
    /// It is rejected, and nothing has changed.
    Refused(Refusal),
    /// Offer it again once results are taken, changes are drained, or the commit is confirmed.
    NotYet,
}

/// Why a record does not go into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many keys have windows as may.
    MaxKeys,
    /// Its session would be older than may be.
    MaxAge,
    /// Its key's windows would take more bytes than an entry may have.
    EntryBytes,
    /// The aggregate of that number, from 0, cannot take its value: it wants a finite number.
    NotANumber(usize),
    /// No calendar has that time.
    Time,
}

impl Refusal {
    /// The class under which the record is rejected.
    pub fn class(self) -> RejectClass {
        match self {
            Refusal::MaxKeys | Refusal::MaxAge | Refusal::EntryBytes => RejectClass::StateFull,
            Refusal::NotANumber(_) | Refusal::Time => RejectClass::WrongType,
        }
    }
}

/// A window's result, lent until the next call.
#[derive(Clone, Copy, Debug)]
pub struct WindowResult<'a> {
    /// The key's bytes.
    pub key: &'a [u8],
    /// The window's start, in milliseconds since the epoch.
    pub start_ms: i64,
    /// The window's end, in milliseconds since the epoch.
    pub end_ms: i64,
    /// No other result of this window follows.
    pub is_final: bool,
    values: &'a Values,
}

impl<'a> WindowResult<'a> {
    /// What was computed, as JSON, in the order of the rules.
    pub fn values(&self) -> impl Iterator<Item = &'a [u8]> {
        let Values { json, ends } = self.values;
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts.zip(ends).map(|(start, end)| &json[start..*end])
    }
}

/// The JSON of a result's aggregates.
#[derive(Debug, Default)]
struct Values {
    json: Vec<u8>,
    ends: Vec<usize>,
}

/// Times of which there are dates: 100 million days about the epoch, as JavaScript has it.
const TIME_MAX: i64 = 8_640_000_000_000_000;

/// Places for entries, for each key that may have windows; and at least.
const PLACES_A_KEY: usize = 2;
const PLACES_MIN: usize = 64;

/// A window whose update is to be told.
#[derive(Clone, Copy, Debug)]
struct Update {
    entry: u32,
    start: i64,
    end: i64,
}

/// The windows of one partition.
#[derive(Debug)]
pub struct Windows {
    rules: WindowRules,
    /// Entries that are kept for records that must not wait.
    reserve: usize,
    plan: Plan,
    keys: Keys,
    timers: Timers,
    /// Entries that have a full count window, as these became full.
    full: VecDeque<u32>,
    updates: VecDeque<Update>,
    /// What was offered just now.
    offer: Option<Offer>,
    /// The timer of the window whose result is to be taken.
    in_hand: Option<Timer>,
    undo: Undo,
    watermark: i64,
    /// The largest time that came, for the idle.
    latest: i64,
    /// When the last record came, by the turn's clock.
    last_arrival: i64,
    last_offset: i64,
    /// Records below that offset were settled, and the watermark had come that far.
    complete: (i64, Mark),
    /// Entries without windows, whose deletion is to come.
    empties: Vec<u32>,
    /// None of them can be deleted before another record comes.
    is_stalled: bool,
    confirmed: Confirmed,
    draining: Option<Draining>,
    /// The entry whose change is lent, and whether it is written.
    lent: (u32, bool),
    /// Deleted by the commit under way.
    buried: Vec<u32>,
    /// The copy of an entry that is being changed.
    scratch: Vec<u8>,
    /// What stands in it behind a session that another becomes part of.
    behind: Vec<u8>,
    /// Timers that the change wants: when due, and the window's start.
    wanted: Vec<(i64, i64)>,
    /// Keys of records that are to come.
    foreseen: Foreseen,
    values: Values,
}

impl Windows {
    /// Takes the memory. Then comes `restore` for each entry, if there are any, and `start`.
    ///
    /// # Panics
    ///
    /// If a size, advance, gap or bound is not above zero, an advance is larger than its size, a
    /// lateness is below zero, a quantile is not from 0 to 1, or more is collected than may be.
    pub fn new(rules: WindowRules) -> Windows {
        Windows::with_reserve(rules, 0)
    }

    /// The same; `has_room` keeps room for that many keys more, for records that must not wait.
    ///
    /// # Panics
    ///
    /// As `new`.
    pub fn with_reserve(rules: WindowRules, reserve: usize) -> Windows {
        judge(&rules);
        let places = (rules.max_keys * PLACES_A_KEY).max(PLACES_MIN) + reserve;
        Windows {
            plan: Plan::new(&rules.aggregates),
            keys: Keys::new(places),
            timers: Timers::with_capacity(rules.max_keys),
            full: VecDeque::new(),
            updates: VecDeque::new(),
            offer: None,
            in_hand: None,
            undo: Undo::default(),
            watermark: Mark::NONE.0,
            latest: Mark::NONE.0,
            last_arrival: 0,
            last_offset: -1,
            empties: Vec::with_capacity(places),
            complete: (0, Mark::NONE),
            is_stalled: false,
            confirmed: Confirmed::default(),
            draining: None,
            lent: (0, false),
            buried: Vec::new(),
            scratch: Vec::new(),
            behind: Vec::new(),
            wanted: Vec::new(),
            foreseen: Foreseen::new(),
            values: Values::default(),
            reserve,
            rules,
        }
    }

    /// The watermark, in milliseconds since the epoch; `None` before the first record.
    pub fn watermark_ms(&self) -> Option<i64> {
        Some(self.watermark).filter(|it| *it != Mark::NONE.0)
    }

    /// Keys that have windows.
    pub fn keys(&self) -> usize {
        self.keys.open()
    }

    /// Entries: keys that have windows, and those whose deletion is to be committed.
    pub fn entries(&self) -> usize {
        self.keys.count()
    }

    /// Memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let lists = self.empties.capacity() + self.full.capacity() + self.buried.capacity();
        let updates = self.updates.capacity() * size_of::<Update>();
        let scratch = self.scratch.capacity() + self.behind.capacity();
        let stores = self.keys.bytes() + self.timers.bytes() + self.undo.bytes();
        let parts = stores + self.foreseen.bytes();
        parts + lists * size_of::<u32>() + updates + scratch + size_of::<Windows>()
    }

    /// Takes memory that records may soon need; for the time between turns.
    pub fn stock(&mut self) {
        self.keys.stock();
    }

    /// A record with that key is to come, so that what it will look at can be asked for in time:
    /// it would wait for memory by itself.
    #[inline]
    pub fn foresee(&mut self, key: &[u8]) {
        self.foreseen.push(self.keys.tag(key));
    }

    /// No more keys are foreseen before the next record is offered.
    #[inline]
    pub fn approach(&mut self) {
        self.foreseen.approach(&self.keys);
    }

    /// A record with whatever key can be offered now; else `add` may say `NotYet`, or panic.
    #[inline]
    pub fn has_room(&self) -> bool {
        let is_full = self.keys.open() >= self.rules.max_keys && self.has_due();
        let has_room = self.keys.has_room_for(1 + self.reserve);
        self.updates.is_empty() && has_room && !is_full && !self.is_held()
    }

    /// Updates of the last record are to be taken before another is offered.
    #[inline]
    pub fn has_updates(&self) -> bool {
        !self.updates.is_empty()
    }

    /// Offers a record, with one input for each aggregate.
    ///
    /// # Panics
    ///
    /// If offsets do not grow, or results of the record before are not taken.
    pub fn add(&mut self, record: &Arrival<'_>, inputs: &[Input<'_>]) -> Added {
        self.add_within(record, inputs, self.rules.max_keys)
    }

    /// The same for a record that cannot wait for results to be taken: it may make one key more
    /// than `max_keys`, where some of them are to be closed.
    ///
    /// # Panics
    ///
    /// As `add`.
    pub fn add_now(&mut self, record: &Arrival<'_>, inputs: &[Input<'_>]) -> Added {
        let is_due = self.has_due();
        self.add_within(record, inputs, if is_due { usize::MAX } else { self.rules.max_keys })
    }

    fn add_within(&mut self, record: &Arrival<'_>, inputs: &[Input<'_>], keys: usize) -> Added {
        let Arrival { time_ms, offset, .. } = *record;
        assert!(offset > self.last_offset, "offset {offset} came after {}", self.last_offset);
        assert!(self.updates.is_empty(), "updates are taken before the next record");
        if self.is_held() {
            return Added::NotYet;
        }
        let added = match self.plan.wrong(inputs) {
            Some(aggregate) => Added::Refused(Refusal::NotANumber(aggregate)),
            None if time_ms.abs() > TIME_MAX => Added::Refused(Refusal::Time),
            None if offset < self.complete.0 => Added::Repeated,
            None => self.count(record, inputs, keys),
        };
        if added == Added::NotYet {
            return added;
        }
        self.last_offset = offset;
        self.is_stalled = false;
        self.last_arrival = record.now_ms;
        if !matches!(added, Added::Refused(_)) {
            self.latest = self.latest.max(time_ms);
            self.watermark = self.watermark.max(time_ms - self.rules.lateness_ms);
        }
        added
    }
}

fn judge(rules: &WindowRules) {
    let WindowRules { kind, lateness_ms, max_keys, idle_ms, max_age_ms, .. } = rules;
    let is_fit = match *kind {
        Kind::Tumbling { size_ms } => size_ms > 0,
        Kind::Hopping { size_ms, advance_ms } => advance_ms > 0 && advance_ms <= size_ms,
        Kind::Session { gap_ms } => gap_ms > 0,
        Kind::Count { size } => size > 0,
    };
    assert!(is_fit, "{kind:?} has sizes above zero, and no advance above its size");
    assert!((0..=TIME_MAX).contains(lateness_ms), "a lateness from 0, not {lateness_ms} ms");
    assert!(*max_keys > 0, "max_keys is above zero");
    let bounds = [*idle_ms, *max_age_ms].into_iter().flatten();
    bounds.for_each(|it| assert!(it > 0, "idle and max_age are above zero, not {it} ms"));
    for aggregate in &rules.aggregates {
        match *aggregate {
            Aggregate::Quantile(it) => assert!((0.0..=1.0).contains(&it), "quantile {it}"),
            Aggregate::Collect(most) => {
                assert!((1..=COLLECTED_MAX).contains(&most), "{most} values are collected");
            }
            _ => {}
        }
    }
    assert!(Plan::new(&rules.aggregates).empty_bytes() < STATE_ENTRY_BYTES_MAX / 2);
}
