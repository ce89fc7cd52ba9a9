//! Records that wait aside for an answer of a table, or to be tried again, and those behind them.
//!
//! A record's bytes stay where they are, in the in-flight ring; here only its number is kept, with
//! what it waits for. Records of one partition with one key form a lane (those without a key one
//! lane a partition): the first of a lane is its head and is tried again, the others follow in
//! order. A lane is known by a seeded hash of 64 bits; should two share one, they wait for each
//! other, and nothing else happens. All memory is taken at start.
//!
//! Deadlines are on a clock that stands still while the run is paused: a record cannot run out of
//! time while nobody may answer it. What this does not do: process records, or settle them.

use std::{collections::VecDeque, hash::BuildHasher};

use foldhash::fast::RandomState;

use crate::{
    clock::Ticks,
    delivery::Sequence,
    record::{PartitionId, Record},
    verdict::Awaited,
};

/// No place: the end of a chain.
const NONE: u32 = u32::MAX;

/// Partition and record key, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lane(u64);

/// One record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) sequence: Sequence,
    pub(super) partition: PartitionId,
    pub(super) lane: Lane,
    /// Its turn came first.
    pub(super) since: Ticks,
    /// The lookup that it waits for; none for one that only waits behind others.
    pub(super) awaited: Option<Awaited>,
    /// On the clock of this file: unanswered by then, the lookup counts as a miss. What is put
    /// off is tried again then.
    pub(super) deadline: u64,
    /// On the clock of this file: then it asks again.
    pub(super) ask_again: u64,
    /// It waited behind others, and was not tried as a head yet.
    pub(super) is_untried: bool,
    /// How often it was put off because what it failed over may heal.
    pub(super) retries: u16,
    /// It is put off until its deadline; no answer of a table changes that.
    pub(super) is_put_off: bool,
    /// It is a duplicate, and waits for what becomes of the first of its key.
    pub(super) is_behind: bool,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    waiter: Waiter,
    /// The next record of the lane; of a free node, the next free one.
    behind: u32,
    /// The last record of the lane, where this is the head.
    last: u32,
    /// The next head in the same bucket, where this is a head.
    bucket_next: u32,
}

/// All that wait.
#[derive(Debug)]
pub(super) struct Waiting {
    nodes: Box<[Node]>,
    free: u32,
    len: usize,
    /// Duplicates that wait for what becomes of another record.
    behind: usize,
    buckets: Box<[u32]>,
    hasher: RandomState,
    heads: VecDeque<u32>,
    /// Heads that the round under way has not looked at yet.
    round_left: usize,
    /// The count of answers when that round began.
    answered: u64,
    /// On the clock of this file: another round is due, answers or not.
    due: u64,
    paused_since: Option<Ticks>,
    paused_ticks: u64,
}

const UNUSED: Node = Node {
    waiter: Waiter {
        sequence: Sequence(0),
        partition: PartitionId(0),
        lane: Lane(0),
        since: Ticks(0),
        awaited: None,
        deadline: 0,
        ask_again: 0,
        is_untried: false,
        retries: 0,
        is_put_off: false,
        is_behind: false,
    },
    behind: NONE,
    last: NONE,
    bucket_next: NONE,
};

impl Waiting {
    /// Room for that many records.
    pub(super) fn new(records_max: usize) -> Waiting {
        let mut nodes = vec![UNUSED; records_max].into_boxed_slice();
        for (node, next) in nodes.iter_mut().zip(1..) {
            node.behind = next;
        }
        if let Some(node) = nodes.last_mut() {
            node.behind = NONE;
        }
        Waiting {
            free: if nodes.is_empty() { NONE } else { 0 },
            nodes,
            len: 0,
            behind: 0,
            buckets: vec![NONE; records_max.next_power_of_two()].into_boxed_slice(),
            hasher: RandomState::default(),
            heads: VecDeque::with_capacity(records_max),
            round_left: 0,
            answered: 0,
            due: u64::MAX,
            paused_since: None,
            paused_ticks: 0,
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if no further record can wait: then none may be processed, because it might have to.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len == self.nodes.len() && self.len > 0
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many of a partition do.
    pub(super) fn len_of(&self, partition: PartitionId) -> usize {
        let lane_len = |head: &u32| {
            let mut len = 0;
            let mut at = *head;
            while at != NONE {
                len += 1;
                at = self.nodes[at as usize].behind;
            }
            len
        };
        let of_it = |head: &&u32| self.nodes[**head as usize].waiter.partition == partition;
        self.heads.iter().filter(of_it).map(lane_len).sum()
    }

    /// The lane of a record.
    pub(super) fn lane(&self, record: &Record<'_>) -> Lane {
        Lane(self.hasher.hash_one((record.partition.0, record.key)))
    }

    /// A lane of its own: nothing waits behind that record.
    pub(super) fn lane_apart(&self, sequence: Sequence) -> Lane {
        Lane(self.hasher.hash_one(("apart", sequence.0)))
    }

    /// True if a duplicate waits for what becomes of another record.
    #[inline]
    pub(super) fn has_behind(&self) -> bool {
        self.behind > 0
    }

    /// True if a record of that lane waits.
    pub(super) fn holds(&self, lane: Lane) -> bool {
        self.head_of(lane) != NONE
    }

    /// The present on the clock of this file. To be told in every turn whether the run is paused.
    pub(super) fn tell_time(&mut self, now: Ticks, is_paused: bool) -> u64 {
        if is_paused {
            self.paused_since.get_or_insert(now);
        } else if let Some(since) = self.paused_since.take() {
            self.paused_ticks += now.0.saturating_sub(since.0);
        }
        self.time(now)
    }

    /// The present on the clock of this file.
    pub(super) fn time(&self, now: Ticks) -> u64 {
        self.paused_since.unwrap_or(now).0.saturating_sub(self.paused_ticks)
    }

    /// When `begin_round` wants to be called next, unless answers come before.
    pub(super) fn due(&self) -> Option<Ticks> {
        if self.is_empty() || self.paused_since.is_some() {
            return None;
        }
        let due = if self.round_left > 0 { 0 } else { self.due };
        Some(Ticks(due.saturating_add(self.paused_ticks)))
    }

    /// The next call of `begin_round` begins one.
    pub(super) fn hurry(&mut self) {
        self.due = 0;
    }

    /// Adds a record: behind those of its lane, else as a head.
    ///
    /// # Panics
    ///
    /// If there is no room, which is asked for before a record is processed.
    pub(super) fn add(&mut self, waiter: Waiter) {
        let head = self.head_of(waiter.lane);
        let at = self.free;
        assert!(at != NONE, "a record waits where there is no room");
        self.free = self.nodes[at as usize].behind;
        self.len += 1;
        self.behind += usize::from(waiter.is_behind);
        self.nodes[at as usize] = Node { waiter, last: at, ..UNUSED };
        if head == NONE {
            self.link(at);
            self.heads.push_back(at);
            self.due_by(&waiter);
        } else {
            let last = std::mem::replace(&mut self.nodes[head as usize].last, at);
            self.nodes[last as usize].behind = at;
        }
    }

    /// Begins a round over the heads, if answers came since the last or one is due by itself, and
    /// the last is over.
    pub(super) fn begin_round(&mut self, answered: u64, time: u64) {
        let is_wanted = answered != self.answered || time >= self.due;
        if self.round_left == 0 && is_wanted {
            self.round_left = self.heads.len();
            self.answered = answered;
            self.due = u64::MAX;
        }
    }

    /// The next head that the round has not looked at. It is to be given to `keep` or `remove`.
    pub(super) fn next_head(&mut self) -> Option<(Place, Waiter)> {
        self.round_left = self.round_left.checked_sub(1)?;
        let at = self.heads.pop_front()?;
        Some((Place(at), self.nodes[at as usize].waiter))
    }

    /// A head waits on.
    pub(super) fn keep(&mut self, Place(at): Place, waiter: Waiter) {
        self.behind -= usize::from(self.nodes[at as usize].waiter.is_behind);
        self.behind += usize::from(waiter.is_behind);
        self.nodes[at as usize].waiter = waiter;
        self.heads.push_back(at);
        self.due_by(&waiter);
    }

    /// A head waits no more; who follows is the head now, and is looked at in this round.
    pub(super) fn remove(&mut self, Place(at): Place) {
        self.unlink(at);
        let Node { behind, last, waiter, .. } = self.nodes[at as usize];
        self.behind -= usize::from(waiter.is_behind);
        self.nodes[at as usize].behind = self.free;
        self.free = at;
        self.len -= 1;
        if behind != NONE {
            self.nodes[behind as usize].last = last;
            self.link(behind);
            // Before the heads that this round has seen already, which stand at the end.
            self.heads.push_front(behind);
            self.round_left += 1;
        }
    }

    fn due_by(&mut self, waiter: &Waiter) {
        self.due = self.due.min(waiter.deadline).min(waiter.ask_again);
    }

    fn bucket(&self, lane: Lane) -> usize {
        lane.0 as usize & (self.buckets.len() - 1)
    }

    fn head_of(&self, lane: Lane) -> u32 {
        let mut at = self.buckets[self.bucket(lane)];
        while at != NONE && self.nodes[at as usize].waiter.lane != lane {
            at = self.nodes[at as usize].bucket_next;
        }
        at
    }

    fn link(&mut self, at: u32) {
        let bucket = self.bucket(self.nodes[at as usize].waiter.lane);
        self.nodes[at as usize].bucket_next = std::mem::replace(&mut self.buckets[bucket], at);
    }

    fn unlink(&mut self, at: u32) {
        let next = self.nodes[at as usize].bucket_next;
        let bucket = self.bucket(self.nodes[at as usize].waiter.lane);
        let mut before = self.buckets[bucket];
        if before == at {
            self.buckets[bucket] = next;
            return;
        }
        while self.nodes[before as usize].bucket_next != at {
            before = self.nodes[before as usize].bucket_next;
        }
        self.nodes[before as usize].bucket_next = next;
    }
}

/// Where a head stands, between `next_head` and its fate.
#[derive(Debug)]
pub(super) struct Place(u32);

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn waiter(sequence: u64, lane: u64) -> Waiter {
        // Lanes that share buckets, too.
        let lane = Lane(lane << 2);
        let (sequence, partition) = (Sequence(sequence), PartitionId(lane.0 as u16 >> 3));
        Waiter { sequence, lane, partition, deadline: 100, ask_again: 50, ..UNUSED.waiter }
    }

    proptest! {
        #[test]
        fn it_is_a_queue_for_each_lane(
            records_max in 1..20_usize,
            steps in vec((any::<bool>(), 0..6_u64, vec(any::<bool>(), 0..30)), 0..60),
        ) {
            let mut waiting = Waiting::new(records_max);
            let mut twin: BTreeMap<u64, VecDeque<u64>> = BTreeMap::new();
            let (mut next, mut answered) = (0, 0);
            for (adds, lane, fates) in steps {
                let len: usize = twin.values().map(VecDeque::len).sum();
                if adds && len < records_max {
                    prop_assert_eq!(waiting.holds(Lane(lane << 2)), twin.contains_key(&lane));
                    waiting.add(waiter(next, lane));
                    twin.entry(lane).or_default().push_back(next);
                    next += 1;
                    continue;
                }
                prop_assert_eq!((waiting.len(), waiting.is_full()), (len, len == records_max));
                answered += 1;
                waiting.begin_round(answered, 0);
                let mut seen = HashSet::new();
                let mut fates = fates.into_iter();
                while let Some((place, waiter)) = waiting.next_head() {
                    let lane = waiter.lane.0 >> 2;
                    let queue = twin.get_mut(&lane).unwrap();
                    prop_assert_eq!(queue.front(), Some(&waiter.sequence.0));
                    prop_assert!(seen.insert(waiter.sequence.0), "looked at twice in a round");
                    if fates.next().unwrap_or(false) {
                        waiting.remove(place);
                        queue.pop_front();
                    } else {
                        waiting.keep(place, waiter);
                    }
                    if twin[&lane].is_empty() {
                        twin.remove(&lane);
                    }
                }
                for queue in twin.values() {
                    prop_assert!(seen.contains(&queue[0]), "a head was not looked at");
                }
                for partition in 0..3_u64 {
                    let of_it = twin.iter().filter(|(lane, _)| **lane >> 1 == partition);
                    let len: usize = of_it.map(|(_, queue)| queue.len()).sum();
                    prop_assert_eq!(waiting.len_of(PartitionId(partition as u16)), len);
                }
            }
        }
    }

    #[test]
    fn a_round_begins_with_an_answer_or_when_one_is_due_and_not_before() {
        let mut waiting = Waiting::new(4);
        waiting.add(waiter(0, 0));
        assert_eq!(waiting.due(), Some(Ticks(50)));
        waiting.begin_round(0, 49);
        assert!(waiting.next_head().is_none());
        for (answered, time) in [(1, 0), (1, 50)] {
            waiting.begin_round(answered, time);
            let (place, waiter) = waiting.next_head().unwrap();
            waiting.keep(place, waiter);
            assert!(waiting.next_head().is_none());
        }
        waiting.hurry();
        waiting.begin_round(1, 0);
        let (place, _) = waiting.next_head().unwrap();
        waiting.remove(place);
        assert_eq!((waiting.due(), waiting.len()), (None, 0));
    }

    #[test]
    fn no_time_runs_out_while_the_run_is_paused() {
        let mut waiting = Waiting::new(4);
        assert_eq!(waiting.tell_time(Ticks(10), false), 10);
        waiting.add(waiter(0, 0));
        assert_eq!(waiting.tell_time(Ticks(20), true), 20);
        assert_eq!(waiting.due(), None);
        assert_eq!(waiting.tell_time(Ticks(1000), true), 20);
        assert_eq!(waiting.tell_time(Ticks(1010), false), 20);
        assert_eq!(waiting.tell_time(Ticks(1030), false), 40);
        assert_eq!(waiting.due(), Some(Ticks(1040)));
    }

    #[test]
    fn lanes_are_of_one_partition_and_one_key() {
        let waiting = Waiting::new(4);
        let lane = |partition, key| {
            let record = Record {
                partition: PartitionId(partition),
                topic: "t",
                partition_number: 0,
                offset: 0,
                timestamp_ms: None,
                key,
                value: None,
                headers: crate::record::Headers::NONE,
                arrived: Ticks(0),
            };
            waiting.lane(&record)
        };
        let lanes = [lane(0, None), lane(1, None), lane(0, Some(b"")), lane(0, Some(&b"a"[..]))];
        for (index, it) in lanes.iter().enumerate() {
            assert_eq!(lanes.iter().position(|other| other == it), Some(index));
        }
        assert_eq!(lane(0, None), lanes[0]);
    }
}
