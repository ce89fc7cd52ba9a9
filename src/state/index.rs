//! From a key's tag to where it is kept: open addressing by cache lines, memory taken at start.
//!
//! A line has eight cells, and a cell 32 bits of the key's hash, which also say at which line its
//! probe begins, and the place: whatever 31 bits its owner knows it by. So a probe looks at what is
//! kept only where the tags agree. A key for which its line has no cell goes past it, to the next;
//! the line notes that, and a probe goes on only where it is noted. The note goes when a key comes
//! and no other is found that is past. So taking a key out is no more than emptying its cell.
//!
//! A place may also be over without being taken out; its cell is used again by the next key that
//! comes to its line. Taking it out would cost a look at a line that is far; this costs none.
//!
//! The number of lines need not be a power of two. It never grows: whoever owns it refuses before
//! it is full.

use crate::prefetch::prefetch;

/// Cells for each so many places: at most nine sixteenths are in use, and those that are over.
const CELLS_PER_PLACES: (usize, usize) = (16, 9);

/// Cells of a cache line.
const LINE: usize = 8;

/// The tag of a cell that is not in use.
const EMPTY: u32 = 0;

/// What a place has room in.
pub(super) const PLACE_MASK: u32 = u32::MAX >> 1;

/// Beside the last place of a line: a key that begins here, or before, may be past it.
const PASSED: u32 = !PLACE_MASK;

/// A cache line of cells.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line {
    tags: [u32; LINE],
    places: [u32; LINE],
}

const _: () = assert!(size_of::<Line>() == 64);

impl Line {
    const EMPTY: Line = Line { tags: [EMPTY; LINE], places: [0; LINE] };

    #[inline]
    fn place(&self, cell: usize) -> u32 {
        self.places[cell] & PLACE_MASK
    }

    #[inline]
    fn set(&mut self, cell: usize, tag: u32, place: u32) {
        self.tags[cell] = tag;
        self.places[cell] = place | self.places[cell] & PASSED;
    }

    #[inline]
    fn is_passed(&self) -> bool {
        self.places[LINE - 1] & PASSED != 0
    }

    #[inline]
    fn set_passed(&mut self, is: bool) {
        let last = &mut self.places[LINE - 1];
        *last = *last & PLACE_MASK | if is { PASSED } else { 0 };
    }
}

/// Some cells of a line: a byte each, found without a branch, for nobody could foretell it.
#[derive(Clone, Copy)]
struct Cells(u64);

impl Cells {
    #[inline]
    fn that(is_one: impl Fn(usize) -> bool) -> Cells {
        Cells(u64::from_le_bytes(std::array::from_fn(|cell| u8::from(is_one(cell)))))
    }

    /// The first, or any if there is none.
    #[inline]
    fn first(self) -> usize {
        self.0.trailing_zeros() as usize / LINE % LINE
    }

    #[inline]
    fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl Iterator for Cells {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let next = (!self.is_none()).then_some(self.first());
        self.0 &= self.0.wrapping_sub(1);
        next
    }
}

/// Where keys are kept.
#[derive(Debug)]
pub(super) struct Index {
    lines: Box<[Line]>,
}

impl Index {
    /// Takes memory for that many places.
    ///
    /// # Panics
    ///
    /// Where a place would not fit into 31 bits.
    pub(super) fn new(places: usize) -> Index {
        assert!(places <= PLACE_MASK as usize, "{places} keys are more than an index can hold");
        let (cells, per) = CELLS_PER_PLACES;
        let lines = (places * cells / per).div_ceil(LINE) + 1;
        Index { lines: vec![Line::EMPTY; lines].into_boxed_slice() }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.lines.len() as u64) >> 32) as usize
    }

    #[inline]
    fn next(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() { 0 } else { line + 1 }
    }

    /// The first place of that tag that is the one.
    #[inline]
    pub(super) fn find(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag.max(1);
        let home = self.home(tag);
        let mut number = home;
        loop {
            let line = &self.lines[number];
            let of_tag = Cells::that(|cell| line.tags[cell] == tag);
            for place in of_tag.map(|cell| line.place(cell)) {
                if is_it(place) {
                    return Some(place);
                }
            }
            number = self.next(number);
            if !line.is_passed() || number == home {
                return None;
            }
        }
    }

    /// Asks for the line where the probe of that tag begins.
    #[inline]
    pub(super) fn prefetch(&self, tag: u32) {
        prefetch(&raw const self.lines[self.home(tag.max(1))]);
    }

    /// Asks for the next line, too, where the probe goes on; the first one is to be near.
    #[inline]
    pub(super) fn prefetch_next(&self, tag: u32) {
        let home = self.home(tag.max(1));
        let next = home + usize::from(self.lines[home].is_passed());
        prefetch(&raw const self.lines[next.min(self.lines.len() - 1)]);
    }

    /// Where a key of that tag may be kept, without a branch; whatever if it is in no such place.
    #[inline]
    pub(super) fn guess(&self, tag: u32) -> u32 {
        let tag = tag.max(1);
        let line = &self.lines[self.home(tag)];
        let of_tag = Cells::that(|cell| line.tags[cell] == tag);
        line.place(of_tag.first()) * u32::from(!of_tag.is_none())
    }

    /// The caller knows that it is not there, and that there is room, which are also the places
    /// that `is_over` names.
    #[inline]
    pub(super) fn insert(&mut self, tag: u32, place: u32, is_over: impl Fn(u32) -> bool) {
        let tag = tag.max(1);
        let home = self.home(tag);
        if self.lines[home].is_passed() && !self.is_any_past(home, &is_over) {
            self.lines[home].set_passed(false);
        }
        let mut number = home;
        loop {
            let line = &mut self.lines[number];
            let free = Cells::that(|cell| (line.tags[cell] == EMPTY) | is_over(line.place(cell)));
            if !free.is_none() {
                line.set(free.first(), tag, place);
                return;
            }
            line.set_passed(true);
            number = self.next(number);
        }
    }

    /// Whether a key is behind that line whose probe begins there or before.
    fn is_any_past(&self, line: usize, is_over: impl Fn(u32) -> bool) -> bool {
        let mut number = line;
        loop {
            number = self.next(number);
            if number == line {
                return false;
            }
            let ahead = self.distance(line, number);
            let Line { tags, .. } = &self.lines[number];
            let is_past = |cell: usize| {
                let home = self.home(tags[cell]);
                let is_kept = (tags[cell] != EMPTY) & !is_over(self.lines[number].place(cell));
                is_kept & (self.distance(home, number) >= ahead)
            };
            if !Cells::that(is_past).is_none() {
                return true;
            }
            if !self.lines[number].is_passed() {
                return false;
            }
        }
    }

    /// That key is kept elsewhere now.
    pub(super) fn replace(&mut self, tag: u32, from: u32, to: u32) {
        let (line, cell) = self.cell(tag, from);
        self.lines[line].set(cell, tag.max(1), to);
    }

    pub(super) fn remove(&mut self, tag: u32, place: u32) {
        let (line, cell) = self.cell(tag, place);
        self.lines[line].set(cell, EMPTY, 0);
    }

    pub(super) fn clear(&mut self) {
        self.lines.fill(Line::EMPTY);
    }

    #[inline]
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.lines.len() - from }
    }

    /// Its line, and which cell of that.
    ///
    /// # Panics
    ///
    /// If it is not there.
    #[inline]
    fn cell(&self, tag: u32, place: u32) -> (usize, usize) {
        let tag = tag.max(1);
        let home = self.home(tag);
        let mut number = home;
        loop {
            let line = &self.lines[number];
            let is_it = |cell| (line.tags[cell] == tag) & (line.place(cell) == place);
            if let Some(cell) = Cells::that(is_it).next() {
                return (number, cell);
            }
            number = self.next(number);
            let goes_on = line.is_passed() && number != home;
            assert!(goes_on, "an index has what is taken out of it");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn it_agrees_with_a_set_also_where_tags_collide_and_probes_wrap_around() {
        for seed in 0..200 {
            let mut random = SmallRng::seed_from_u64(seed);
            let places: u32 = random.random_range(1..40);
            let tags = [0, 1, u32::MAX - 1, u32::MAX, random.random()];
            let mut index = Index::new(places as usize);
            let mut all = BTreeSet::new();
            for _ in 0..400 {
                let place = random.random_range(0..places);
                let tag = tags[place as usize % tags.len()];
                match all.remove(&place) {
                    true => index.remove(tag, place),
                    false => {
                        index.insert(tag, place, |_| false);
                        all.insert(place);
                    }
                }
                for place in 0..places {
                    let tag = tags[place as usize % tags.len()];
                    let found = index.find(tag, |it| it == place);
                    assert_eq!(found.is_some(), all.contains(&place), "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn places_that_are_over_make_room_and_no_others() {
        for seed in 0..60 {
            let mut random = SmallRng::seed_from_u64(seed);
            let kept_max: u32 = random.random_range(1..60);
            let tag_of = |number: u32| match seed % 3 {
                0 => number.wrapping_mul(0x9e37_79b9),
                1 => number % 3,
                _ => u32::MAX - number % 2,
            };
            let mut index = Index::new(kept_max as usize);
            // From the front on, but those that were taken out; numbers go round.
            let (mut front, mut next) = (PLACE_MASK - 1_000, PLACE_MASK - 1_000);
            let mut gone = BTreeSet::new();
            for _ in 0..3_000 {
                let kept = next - front;
                match random.random_range(0..4) {
                    0 if kept > 0 => front += 1,
                    1 if kept > 0 => {
                        let number = random.random_range(front..next);
                        if gone.insert(number) {
                            index.remove(tag_of(number), number & PLACE_MASK);
                        }
                    }
                    _ if kept < kept_max => {
                        let is_over = |it: u32| it.wrapping_sub(front) & PLACE_MASK >= kept;
                        index.insert(tag_of(next), next & PLACE_MASK, is_over);
                        next += 1;
                    }
                    _ => {}
                }
                for number in front..next {
                    let is_it = |it| it == number & PLACE_MASK;
                    let found = index.find(tag_of(number), is_it);
                    assert_eq!(found.is_some(), !gone.contains(&number), "seed {seed}");
                }
            }
        }
    }
}
