//! The in-flight ring: every record that was taken and is not settled yet, with its bytes.
//!
//! Two rings in memory taken at start. Slots hold what a record is about, an arena holds its key,
//! value and headers, copied once when it is admitted: the source may then reuse its buffer, and
//! the bytes are still here when the broker refuses a result long after. Both are freed from the
//! oldest end only, so freeing is two additions and admission never searches. When nothing is in
//! flight both start again at their beginning, which keeps a quiet pipeline in the cache.
//!
//! What this does not know: partitions' order, offsets to commit, outcomes. See `ledger`.

use crate::{
    clock::Ticks,
    measure::Stamps,
    record::{Headers, PartitionId, Record},
    verdict::{RejectClass, Step},
};

/// Names an admitted record; grows by one with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(pub u64);

/// What is kept of a record beside its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) partition: PartitionId,
    /// The partition's ownership when it was admitted; an older one is no longer ours.
    pub(crate) epoch: u32,
    pub(crate) stage: SlotStage,
    /// Results handed over or waiting to be, not acknowledged.
    pub(crate) pending: u16,
    /// The next younger record of the same partition, as a slot index, or `NO_SLOT`.
    pub(crate) next: u32,
    /// Where it was in its partition; of what state gave off, where that partition was then.
    pub(crate) offset: i64,
    /// What state gave off, by its number there. It moves no position.
    pub(crate) given_off: Option<GivenOff>,
    /// `NO_TIMESTAMP` if there is none.
    timestamp_ms: i64,
    pub(crate) stamps: Stamps,
    /// Dead letters of this record that the broker refused.
    pub(crate) letters_refused: u8,
    /// Why it is dead-lettered, if it is.
    pub(crate) rejected: Option<(RejectClass, Step)>,
    place: Place,
    key_len: u32,
    value_len: u32,
    headers_len: u32,
}

/// A result of a step's state, such as that of a window: a record that no source lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenOff {
    /// The step's index; it goes on behind that.
    pub step: u16,
    /// How the step's state names it.
    pub number: u64,
}

/// A place in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Counted without end, lap after lap.
    start: u64,
    /// The same as an index.
    at: usize,
}

/// What is known of a value of which only the beginning was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of the whole value.
    pub len: usize,
    /// The whole value's xxh3, 64 bits.
    pub xxh3: u64,
}

impl Cut {
    /// Measures a whole value.
    pub fn of(value: &[u8]) -> Cut {
        Cut { len: value.len(), xxh3: xxhash_rust::xxh3::xxh3_64(value) }
    }
}

/// How far a record has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotStage {
    /// Not in use.
    Free,
    /// Admitted, not processed.
    Admitted,
    /// Its results are on their way.
    Emitting,
    /// A result was refused; a dead letter follows when the others have been answered.
    Refused,
    /// Its dead letter is on its way.
    Rejecting,
    /// Nothing more will happen to it; it waits for older ones of its partition.
    Settled,
}

impl SlotStage {
    /// After a result or a letter was refused.
    pub(crate) fn refused(self) -> SlotStage {
        use SlotStage::*;
        debug_assert!(matches!(self, Emitting | Refused | Rejecting));
        Refused
    }
}

/// No slot: the end of a chain.
pub(crate) const NO_SLOT: u32 = u32::MAX;
const ABSENT: u32 = u32::MAX;
/// A lap is at least this part of the arena.
const LAPS_MAX: usize = 8;
const NO_TIMESTAMP: i64 = i64::MIN;

const FREE: Slot = Slot {
    partition: PartitionId(0),
    epoch: 0,
    stage: SlotStage::Free,
    pending: 0,
    next: NO_SLOT,
    offset: 0,
    given_off: None,
    timestamp_ms: NO_TIMESTAMP,
    stamps: Stamps::NONE,
    letters_refused: 0,
    rejected: None,
    place: Place { start: 0, at: 0 },
    key_len: 0,
    value_len: 0,
    headers_len: 0,
};

/// Slots and arena.
#[derive(Debug)]
pub(crate) struct Ring {
    slots: Box<[Slot]>,
    arena: Box<[u8]>,
    /// Sequence of the oldest slot in use, and of the next to be used.
    oldest: u64,
    next: u64,
    /// What lies between these in the arena is in use.
    arena_start: u64,
    arena_end: Place,
    /// Slots are two to this power: a lap is a shift, not a division.
    slots_power: u32,
}

impl Ring {
    /// Takes all memory and touches it: `slots` is rounded up to a power of two.
    pub(crate) fn new(slots: usize, arena_bytes: usize) -> Ring {
        let arena = touched(arena_bytes);
        let slots = vec![FREE; slots.next_power_of_two()].into_boxed_slice();
        let slots_power = slots.len().trailing_zeros();
        let arena_end = Place { start: 0, at: 0 };
        Ring { slots, arena, oldest: 0, next: 0, arena_start: 0, arena_end, slots_power }
    }

    /// Slots in use, settled ones that wait for older ones included.
    pub(crate) fn len(&self) -> usize {
        (self.next - self.oldest) as usize
    }

    /// Bytes of the arena in use.
    pub(crate) fn bytes_len(&self) -> usize {
        (self.arena_end.start - self.arena_start) as usize
    }

    /// Bytes of the arena, used or not.
    pub(crate) fn arena_len(&self) -> usize {
        self.arena.len()
    }

    /// The sequence of the oldest slot in use; grows when room is made.
    pub(crate) fn oldest(&self) -> Sequence {
        Sequence(self.oldest)
    }

    /// The sequence that the next admission gets.
    pub(crate) fn next(&self) -> Sequence {
        Sequence(self.next)
    }

    /// The slot index of a sequence.
    pub(crate) fn index(&self, sequence: Sequence) -> u32 {
        (sequence.0 & (self.slots.len() as u64 - 1)) as u32
    }

    /// How often the ring had gone round when a sequence was admitted.
    pub(crate) fn lap(&self, sequence: Sequence) -> u64 {
        sequence.0 >> self.slots_power
    }

    /// The sequence that a slot index stands for while it is in use.
    pub(crate) fn sequence(&self, index: u32) -> Sequence {
        let mask = self.slots.len() as u64 - 1;
        Sequence(self.oldest + (u64::from(index).wrapping_sub(self.oldest) & mask))
    }

    pub(crate) fn slot(&self, index: u32) -> &Slot {
        &self.slots[index as usize]
    }

    pub(crate) fn slot_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.slots[index as usize]
    }

    /// True if a sequence is in use.
    pub(crate) fn holds(&self, sequence: Sequence) -> bool {
        (self.oldest..self.next).contains(&sequence.0)
    }

    /// Copies a record in; `None` if there is no room for its slot or its bytes.
    #[inline]
    pub(crate) fn admit(&mut self, record: &Record<'_>, epoch: u32, polled: Ticks) -> Option<u32> {
        let place = self.find_room(record.bytes_len())?;
        if self.len() == self.slots.len() {
            return None;
        }
        let headers = record.headers.as_bytes();
        let mut at = place.at;
        for part in [record.key.unwrap_or_default(), record.value.unwrap_or_default(), headers] {
            if !part.is_empty() {
                self.arena[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
        }
        self.arena_end = Place { start: place.start + (at - place.at) as u64, at };
        let index = self.index(Sequence(self.next));
        self.next += 1;
        *self.slot_mut(index) = Slot {
            partition: record.partition,
            epoch,
            stage: SlotStage::Admitted,
            pending: 0,
            next: NO_SLOT,
            offset: record.offset,
            given_off: None,
            timestamp_ms: record.timestamp_ms.unwrap_or(NO_TIMESTAMP),
            stamps: Stamps { arrived: record.arrived, polled, ..Stamps::NONE },
            letters_refused: 0,
            rejected: None,
            place,
            key_len: record.key.map_or(ABSENT, |it| it.len() as u32),
            value_len: record.value.map_or(ABSENT, |it| it.len() as u32),
            headers_len: headers.len() as u32,
        };
        Some(index)
    }

    /// Where `bytes` fit in one piece: at the end, or at the beginning of the arena. The beginning
    /// is taken again as soon as a lap was long enough for what is in flight: a stream that is
    /// never at rest then walks through little more memory than it needs, and not through all of
    /// the arena, most of which would be out of the cache. What a short lap leaves out at the end
    /// cannot be used before the lap is freed.
    fn find_room(&self, bytes: usize) -> Option<Place> {
        let Place { start, at } = self.arena_end;
        let left = self.arena.len() - at;
        let beginning = Place { start: start + left as u64, at: 0 };
        let in_flight = (start - self.arena_start) as usize;
        let is_long = at >= self.arena.len() / LAPS_MAX + 2 * in_flight;
        if bytes > left || is_long && self.fits(beginning, bytes) {
            return Some(beginning).filter(|it| self.fits(*it, bytes));
        }
        Some(self.arena_end).filter(|it| self.fits(*it, bytes))
    }

    fn fits(&self, place: Place, bytes: usize) -> bool {
        place.start + bytes as u64 - self.arena_start <= self.arena.len() as u64
    }

    /// The record of a slot, its bytes as they arrived. Topic and partition number are the source's
    /// to say.
    pub(crate) fn record<'a>(
        &'a self,
        index: u32,
        topic: &'a str,
        partition_number: i32,
    ) -> Record<'a> {
        let slot = self.slot(index);
        let rest = &self.arena[slot.place.at..];
        let (key, rest) = split(rest, slot.key_len);
        let (value, rest) = split(rest, slot.value_len);
        Record {
            partition: slot.partition,
            topic,
            partition_number,
            offset: slot.offset,
            timestamp_ms: Some(slot.timestamp_ms).filter(|it| *it != NO_TIMESTAMP),
            key,
            value,
            headers: Headers::from_bytes(&rest[..slot.headers_len as usize]),
            arrived: slot.stamps.arrived,
        }
    }

    /// Gives back the slots and bytes of freed records at the oldest end. True if that left
    /// nothing in use: then the next sequence is another, the first of a lap.
    pub(crate) fn reclaim(&mut self) -> bool {
        while self.oldest < self.next {
            let slot = self.slot(self.index(Sequence(self.oldest)));
            if slot.stage != SlotStage::Free {
                self.arena_start = slot.place.start;
                return false;
            }
            self.oldest += 1;
        }
        // Begin again where the cache is warm.
        self.next = self.next.next_multiple_of(self.slots.len() as u64);
        self.oldest = self.next;
        self.arena_start = 0;
        self.arena_end = Place { start: 0, at: 0 };
        true
    }
}

fn split(bytes: &[u8], len: u32) -> (Option<&[u8]>, &[u8]) {
    if len == ABSENT {
        return (None, bytes);
    }
    let (part, rest) = bytes.split_at(len as usize);
    (Some(part), rest)
}

/// Memory that is already mapped: a zero page that is only read would fault at its first write.
fn touched(bytes: usize) -> Box<[u8]> {
    vec![1; bytes.max(1)].into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>, block: &'a [u8]) -> Record<'a> {
        Record {
            partition: PartitionId(3),
            topic: "t",
            partition_number: 1,
            offset: 9,
            timestamp_ms: Some(5),
            key,
            value,
            headers: Headers::from_bytes(block),
            arrived: Ticks(1),
        }
    }

    fn free(ring: &mut Ring, index: u32) {
        ring.slot_mut(index).stage = SlotStage::Free;
        ring.reclaim();
    }

    #[test]
    fn absent_and_empty_parts_come_back_apart() {
        let mut ring = Ring::new(4, 64);
        let mut block = Vec::new();
        Headers::push(&mut block, b"h", None);
        let first = ring.admit(&record(None, Some(b""), &block), 0, Ticks(2)).unwrap();
        let second = ring.admit(&record(Some(b""), None, &[]), 0, Ticks(2)).unwrap();
        let back = ring.record(first, "t", 1);
        assert_eq!((back.key, back.value), (None, Some(&b""[..])));
        assert_eq!(back.headers.value_of(b"h"), Some(None));
        let back = ring.record(second, "t", 1);
        assert_eq!((back.key, back.value, back.offset), (Some(&b""[..]), None, 9));
    }

    #[test]
    fn bytes_wrap_in_one_piece_and_full_is_said() {
        let mut ring = Ring::new(8, 100);
        let forty = [7u8; 40];
        let record = record(None, Some(&forty), &[]);
        let first = ring.admit(&record, 0, Ticks(0)).unwrap();
        let second = ring.admit(&record, 0, Ticks(0)).unwrap();
        assert_eq!(ring.admit(&record, 0, Ticks(0)), None, "20 bytes are left");
        free(&mut ring, first);
        let third = ring.admit(&record, 0, Ticks(0)).expect("the first forty are free again");
        assert_eq!(ring.bytes_len(), 100, "the 20 bytes at the end are passed over");
        assert_eq!(ring.admit(&record, 0, Ticks(0)), None);
        for index in [second, third] {
            assert_eq!(ring.record(index, "t", 0).value, Some(&forty[..]));
            free(&mut ring, index);
        }
        assert_eq!((ring.len(), ring.bytes_len()), (0, 0));
    }

    #[test]
    fn a_stream_that_never_rests_stays_in_few_bytes() {
        let arena_bytes = 1 << 20;
        let mut ring = Ring::new(64, arena_bytes);
        let bytes = [7_u8; 1000];
        let record = record(None, Some(&bytes), &[]);
        let mut in_flight = std::collections::VecDeque::new();
        let mut farthest = 0;
        for _ in 0..5_000 {
            if in_flight.len() == 32 {
                free(&mut ring, in_flight.pop_front().unwrap());
            }
            let index = ring.admit(&record, 0, Ticks(0)).expect("there is always room");
            in_flight.push_back(index);
            farthest = farthest.max(ring.slot(index).place.at);
            assert!(in_flight.iter().all(|it| ring.record(*it, "t", 0).value == Some(&bytes[..])));
        }
        assert!(farthest < arena_bytes / LAPS_MAX + 3 * 32 * 1000, "{farthest}");
    }

    #[test]
    fn slots_run_out_before_bytes_too() {
        let mut ring = Ring::new(2, 100);
        let record = record(Some(b"k"), Some(b"v"), &[]);
        let first = ring.admit(&record, 0, Ticks(0)).unwrap();
        ring.admit(&record, 0, Ticks(0)).unwrap();
        assert_eq!(ring.admit(&record, 0, Ticks(0)), None);
        free(&mut ring, first);
        let third = ring.admit(&record, 0, Ticks(0)).unwrap();
        assert_eq!(ring.sequence(third), Sequence(2));
        assert_eq!(ring.index(Sequence(2)), third);
        assert!(!ring.holds(Sequence(0)) && ring.holds(Sequence(2)));
    }

    #[test]
    fn an_empty_ring_begins_again_with_other_sequences() {
        let mut ring = Ring::new(4, 100);
        let record = record(Some(b"k"), Some(b"v"), &[]);
        let first = ring.admit(&record, 0, Ticks(0)).unwrap();
        free(&mut ring, first);
        assert_eq!((ring.next(), ring.oldest()), (Sequence(4), Sequence(4)));
        let again = ring.admit(&record, 0, Ticks(0)).unwrap();
        assert_eq!((again, ring.sequence(again)), (first, Sequence(4)));
        assert_ne!(ring.lap(Sequence(4)), ring.lap(Sequence(0)));
        free(&mut ring, again);
        assert_eq!(ring.next(), Sequence(8));
    }
}
