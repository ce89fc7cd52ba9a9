//! From a key's tag to where it is kept: open addressing, linear probing, memory taken at start.
//!
//! A cell is eight bytes: 32 bits of the key's hash, which also say where its probe begins, and the
//! place. So a probe looks at what is kept only where the tags agree, and a cell can be moved up
//! without looking at all: a deletion leaves no tombstone behind. The number of cells need not be a
//! power of two. It never grows: whoever owns it refuses before it is full.

/// Cells for each eight places: at most five eighths are in use.
const CELLS_PER_PLACES: (usize, usize) = (8, 5);

const EMPTY: u64 = 0;

/// Where keys are kept.
#[derive(Debug)]
pub(super) struct Index {
    cells: Box<[u64]>,
}

impl Index {
    /// Takes memory for that many places.
    ///
    /// # Panics
    ///
    /// Where a place would not fit into 32 bits.
    pub(super) fn new(places: usize) -> Index {
        assert!(places < u32::MAX as usize, "{places} keys are more than an index can hold");
        let (cells, per) = CELLS_PER_PLACES;
        Index { cells: vec![EMPTY; places.max(per) * cells / per + 1].into_boxed_slice() }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.cells)
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.cells.len() as u64) >> 32) as usize
    }

    #[inline]
    fn next(&self, cell: usize) -> usize {
        if cell + 1 == self.cells.len() { 0 } else { cell + 1 }
    }

    /// The first place of that tag that is the one.
    #[inline]
    pub(super) fn find(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut cell = self.home(tag);
        loop {
            match self.cells[cell] {
                EMPTY => return None,
                it if (it >> 32) as u32 == tag && is_it(place_of(it)) => {
                    return Some(place_of(it));
                }
                _ => cell = self.next(cell),
            }
        }
    }

    /// What its probe begins with. Reading it brings it near, and of several read in a row the
    /// misses overlap.
    #[inline]
    pub(super) fn peek(&self, tag: u32) -> u64 {
        self.cells[self.home(tag)]
    }

    /// The caller knows that it is not there, and that there is room.
    #[inline]
    pub(super) fn insert(&mut self, tag: u32, place: u32) {
        let mut cell = self.home(tag);
        while self.cells[cell] != EMPTY {
            cell = self.next(cell);
        }
        self.cells[cell] = cell_of(tag, place);
    }

    /// That key is kept elsewhere now.
    pub(super) fn replace(&mut self, tag: u32, from: u32, to: u32) {
        let cell = self.cell(tag, from);
        self.cells[cell] = cell_of(tag, to);
    }

    /// Cells behind it that could stand nearer to where their probe begins move up.
    pub(super) fn remove(&mut self, tag: u32, place: u32) {
        let mut hole = self.cell(tag, place);
        let mut cell = hole;
        loop {
            cell = self.next(cell);
            let moved = self.cells[cell];
            if moved == EMPTY {
                break;
            }
            let home = self.home((moved >> 32) as u32);
            if self.distance(home, cell) >= self.distance(hole, cell) {
                self.cells[hole] = moved;
                hole = cell;
            }
        }
        self.cells[hole] = EMPTY;
    }

    pub(super) fn clear(&mut self) {
        self.cells.fill(EMPTY);
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.cells.len() - from }
    }

    /// # Panics
    ///
    /// If it is not there.
    fn cell(&self, tag: u32, place: u32) -> usize {
        let mut cell = self.home(tag);
        while self.cells[cell] != cell_of(tag, place) {
            assert!(self.cells[cell] != EMPTY, "an index has what is taken out of it");
            cell = self.next(cell);
        }
        cell
    }
}

fn cell_of(tag: u32, place: u32) -> u64 {
    u64::from(tag) << 32 | (u64::from(place) + 1)
}

fn place_of(cell: u64) -> u32 {
    (cell as u32).wrapping_sub(1)
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
                        index.insert(tag, place);
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
}
