//! What a crash leaves behind: a compacted topic, positions with their marks, and results.
//!
//! Both guarantees are modelled by when something becomes visible. At least once: a result at
//! once, a change as it is written, a position when it is committed; a crash may fall between any
//! two. Exactly once: all of it with the transaction, or nothing.

use std::collections::BTreeMap;

use hotspur::state::{Change, Mark};
use rand::{RngExt, rngs::SmallRng};

/// Seeds of a run; `HOTSPUR_STATE_SEED` repeats one, `HOTSPUR_STATE_SEEDS` says how many.
pub(crate) fn seeds() -> std::ops::Range<u64> {
    let number = |name| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
    };
    match number("HOTSPUR_STATE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HOTSPUR_STATE_SEEDS").unwrap_or(300),
    }
}

/// What a run promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guarantee {
    AtLeastOnce,
    ExactlyOnce,
}

/// A commit that is begun and not confirmed.
#[derive(Debug)]
pub(crate) struct Begun {
    position: i64,
    mark: Mark,
    /// Exactly once: what its transaction holds.
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    results: Vec<String>,
}

/// What survives a crash.
#[derive(Debug)]
pub(crate) struct Survivors {
    pub(crate) guarantee: Guarantee,
    pub(crate) topic: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) position: i64,
    pub(crate) mark: Mark,
    /// Every position that was committed, with its mark.
    pub(crate) marks: Vec<(i64, Mark)>,
    /// Results that readers see.
    pub(crate) results: Vec<String>,
    /// Those of the open transaction.
    open: Vec<String>,
}

impl Survivors {
    pub(crate) fn new(guarantee: Guarantee) -> Survivors {
        Survivors {
            guarantee,
            topic: BTreeMap::new(),
            position: 0,
            mark: Mark::NONE,
            marks: Vec::new(),
            results: Vec::new(),
            open: Vec::new(),
        }
    }

    pub(crate) fn is_exactly_once(&self) -> bool {
        self.guarantee == Guarantee::ExactlyOnce
    }

    pub(crate) fn emit(&mut self, result: String) {
        match self.guarantee {
            Guarantee::AtLeastOnce => self.results.push(result),
            Guarantee::ExactlyOnce => self.open.push(result),
        }
    }

    pub(crate) fn begin(&mut self, position: i64, mark: Mark) -> Begun {
        Begun { position, mark, changes: Vec::new(), results: std::mem::take(&mut self.open) }
    }

    pub(crate) fn change(&mut self, begun: &mut Begun, change: &Change<'_>) {
        let is_ahead = change.counts_to >= begun.position;
        assert!(!is_ahead || !self.is_exactly_once(), "{change:?} is past {}", begun.position);
        let change = (change.key.to_vec(), change.value.map(<[u8]>::to_vec));
        match self.guarantee {
            Guarantee::AtLeastOnce => self.write(change),
            Guarantee::ExactlyOnce => begun.changes.push(change),
        }
    }

    fn write(&mut self, (key, value): (Vec<u8>, Option<Vec<u8>>)) {
        match value {
            Some(value) => self.topic.insert(key, value),
            None => self.topic.remove(&key),
        };
    }

    /// The position is safe, and all that goes with it.
    pub(crate) fn commit(&mut self, begun: Begun) {
        begun.changes.into_iter().for_each(|it| self.write(it));
        self.results.extend(begun.results);
        (self.position, self.mark) = (begun.position, begun.mark);
        self.marks.push((self.position, self.mark));
    }

    /// What was open is as if it had never been.
    pub(crate) fn crash(&mut self) {
        self.open.clear();
    }

    /// The entries in an order of their own, as partitions of a compacted topic have it.
    pub(crate) fn entries(&self, random: &mut SmallRng) -> Vec<(&[u8], Option<&[u8]>)> {
        let mut entries: Vec<(&[u8], Option<&[u8]>)> =
            self.topic.iter().map(|(key, value)| (&key[..], Some(&value[..]))).collect();
        // What compaction has not taken away yet comes before.
        let old = entries.clone();
        if random.random_bool(0.3) {
            entries.splice(..0, old.iter().map(|(key, value)| (*key, *value)));
            entries.splice(..0, old.iter().map(|(key, _)| (*key, None)));
        }
        let len = old.len();
        let tail = entries.len() - len;
        entries[tail..].rotate_left(if len > 0 { random.random_range(0..len) } else { 0 });
        entries
    }
}
