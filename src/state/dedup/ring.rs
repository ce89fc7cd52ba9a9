//! Remembered keys in the order in which they were admitted, in memory taken at start.
//!
//! A slot is 28 bytes: 96 bits of the key's hash, the partition's time at its admission, and its
//! offset with three flags in the bits that offsets never use. Slots are numbered for ever; a
//! number's slot is found by the remainder.

use super::KeyHash;
use crate::prefetch::prefetch;

const PENDING: u64 = 1 << 63;
const GONE: u64 = 1 << 62;
const SUPERSEDED: u64 = 1 << 61;
const FLAGS: u64 = PENDING | GONE | SUPERSEDED;

/// One remembered key.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(super) struct Slot([u32; 7]);

pub(super) const SLOT_BYTES: usize = size_of::<Slot>();
const _: () = assert!(SLOT_BYTES == 28);

impl Slot {
    const NONE: Slot = Slot([0, 0, 0, 0, 0, 0, 1 << 30]);

    pub(super) fn new(hash: KeyHash, time: i64, offset: i64) -> Slot {
        assert!(
            offset >= 0 && (offset as u64) & FLAGS == 0,
            "offset {offset} has less than 61 bits"
        );
        let [tag, middle, low] = hash.0;
        let (time, offset) = (time as u64, offset as u64);
        let halves = |it: u64| [(it >> 32) as u32, it as u32];
        let ([a, b], [c, d]) = (halves(time), halves(offset));
        Slot([tag, middle, low, a, b, c, d])
    }

    pub(super) fn hash(&self) -> KeyHash {
        KeyHash([self.0[0], self.0[1], self.0[2]])
    }

    pub(super) fn time(&self) -> i64 {
        (u64::from(self.0[3]) << 32 | u64::from(self.0[4])) as i64
    }

    /// Asks for it; it may lie in two cache lines.
    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch(&raw const self.0[0]);
        prefetch(&raw const self.0[6]);
    }

    fn last(&self) -> u64 {
        u64::from(self.0[5]) << 32 | u64::from(self.0[6])
    }

    fn set_last(&mut self, last: u64) {
        (self.0[5], self.0[6]) = ((last >> 32) as u32, last as u32);
    }

    pub(super) fn offset(&self) -> i64 {
        (self.last() & !FLAGS) as i64
    }

    /// It awaits what becomes of its record.
    pub(super) fn is_pending(&self) -> bool {
        self.last() & PENDING != 0
    }

    /// Its record was refused.
    pub(super) fn is_gone(&self) -> bool {
        self.last() & GONE != 0
    }

    /// Its period was over, and the key has a later slot.
    pub(super) fn is_superseded(&self) -> bool {
        self.last() & SUPERSEDED != 0
    }

    pub(super) fn pending(mut self) -> Slot {
        self.set_last(self.last() | PENDING);
        self
    }

    pub(super) fn settle(&mut self) {
        self.set_last(self.last() & !PENDING);
    }

    pub(super) fn give_up(&mut self) {
        self.set_last(self.last() & !PENDING | GONE);
    }

    pub(super) fn set_superseded(&mut self, is: bool) {
        let last = self.last() & !SUPERSEDED;
        self.set_last(if is { last | SUPERSEDED } else { last });
    }
}

/// The slots.
#[derive(Debug)]
pub(super) struct Ring {
    slots: Box<[Slot]>,
    /// The number whose slot is the first one, in the lap that the newest is in.
    lap: u64,
}

impl Ring {
    pub(super) fn new(slots: usize) -> Ring {
        Ring { slots: vec![Slot::NONE; slots].into_boxed_slice(), lap: 0 }
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }

    /// To be called before a slot is used of which the number is larger than of any before.
    #[inline]
    pub(super) fn enter(&mut self, number: u64) {
        if number == self.lap + self.slots.len() as u64 {
            self.lap = number;
        }
    }

    /// The remainder by the number of slots, without a division: numbers in use are less than that
    /// many apart.
    #[inline]
    fn place(&self, number: u64) -> u32 {
        let ahead = number.wrapping_sub(self.lap);
        let place =
            if number >= self.lap { ahead } else { ahead.wrapping_add(self.slots.len() as u64) };
        place as u32
    }

    #[inline]
    pub(super) fn at(&self, number: u64) -> &Slot {
        &self.slots[self.place(number) as usize]
    }

    #[inline]
    pub(super) fn at_mut(&mut self, number: u64) -> &mut Slot {
        &mut self.slots[self.place(number) as usize]
    }

    /// The first so many, as they lie.
    pub(super) fn first_mut(&mut self, count: usize) -> &mut [Slot] {
        &mut self.slots[..count]
    }
}
