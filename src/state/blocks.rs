//! Memory for entries of any length: blocks of a few sizes, cut from slabs that stay.
//!
//! Sizes go up by halves (64, 96, 128, 192 … bytes), so that a block is at least two thirds full
//! unless its entry shrank; all but those of 96 bytes are whole cache lines. A slab is a quarter of
//! a MiB, or one block if that is larger. `stock`, which is for the time between turns, takes a
//! slab where a size in use runs short; only if that was not enough does `take` allocate: once for
//! a slab's worth of blocks, and never again once as many blocks were in use at the same time.

use crate::limits::STATE_ENTRY_BYTES_MAX;

const BLOCK_BYTES_MIN: usize = 64;
const SLAB_BYTES: usize = 256 << 10;
const SIZES: usize = 27;

const _: () = assert!(block_bytes(SIZES - 1) == STATE_ENTRY_BYTES_MAX);

const fn block_bytes(size: usize) -> usize {
    let power = BLOCK_BYTES_MIN << (size / 2);
    if size.is_multiple_of(2) { power } else { power + power / 2 }
}

/// The least size that holds so many bytes.
fn size_for(bytes: usize) -> usize {
    let units = bytes.div_ceil(BLOCK_BYTES_MIN).max(1);
    let power = units.next_power_of_two().trailing_zeros() as usize;
    let size = 2 * power;
    if size > 0 && block_bytes(size - 1) >= bytes { size - 1 } else { size }
}

/// A block that is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    number: u32,
    size: u8,
}

impl Block {
    /// How many bytes it holds.
    #[inline]
    pub(super) fn capacity(self) -> usize {
        block_bytes(usize::from(self.size))
    }

    #[inline]
    fn place_in_slab(self, shift: u32) -> usize {
        (self.number as usize & ((1 << shift) - 1)) * self.capacity()
    }
}

/// Blocks of one size.
#[derive(Debug)]
struct Size {
    slabs: Vec<Slab>,
    free: Vec<u32>,
    /// Blocks in a slab, as a power of two.
    shift: u32,
}

/// Memory for some blocks, the first of which begins with a cache line.
#[derive(Debug)]
struct Slab {
    bytes: Box<[u8]>,
    start: usize,
}

impl Slab {
    fn new(bytes: usize) -> Slab {
        let bytes = vec![0; bytes + BLOCK_BYTES_MIN].into_boxed_slice();
        let start = bytes.as_ptr().align_offset(BLOCK_BYTES_MIN).min(BLOCK_BYTES_MIN);
        Slab { bytes, start }
    }
}

/// All blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    sizes: [Size; SIZES],
}

impl Blocks {
    pub(super) fn new() -> Blocks {
        let size = |size| {
            let blocks = (SLAB_BYTES / block_bytes(size)).max(1);
            Size { slabs: Vec::new(), free: Vec::new(), shift: blocks.ilog2() }
        };
        Blocks { sizes: std::array::from_fn(size) }
    }

    pub(super) fn bytes(&self) -> usize {
        let of = |it: &Size| {
            let slabs: usize = it.slabs.iter().map(|slab| slab.bytes.len()).sum();
            slabs + it.free.capacity() * size_of::<u32>()
        };
        self.sizes.iter().map(of).sum()
    }

    /// # Panics
    ///
    /// Past `limits::STATE_ENTRY_BYTES_MAX`.
    pub(super) fn take(&mut self, bytes: usize) -> Block {
        let size = size_for(bytes);
        let of_size = &mut self.sizes[size];
        if of_size.free.is_empty() {
            of_size.grow(size);
        }
        let number = of_size.free.pop().expect("a slab has a block");
        Block { number, size: size as u8 }
    }

    pub(super) fn give_back(&mut self, block: Block) {
        self.sizes[usize::from(block.size)].free.push(block.number);
    }

    /// Takes a slab for each size in use that has less than half a slab left.
    pub(super) fn stock(&mut self) {
        for (size, of_size) in self.sizes.iter_mut().enumerate() {
            let is_short = of_size.free.len() < 1 << of_size.shift >> 1;
            if is_short && !of_size.slabs.is_empty() {
                of_size.grow(size);
            }
        }
    }

    #[inline]
    pub(super) fn get(&self, block: Block) -> &[u8] {
        let Size { slabs, shift, .. } = &self.sizes[usize::from(block.size)];
        let Slab { bytes, start } = &slabs[(block.number >> shift) as usize];
        let start = start + block.place_in_slab(*shift);
        &bytes[start..start + block.capacity()]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, block: Block) -> &mut [u8] {
        let Size { slabs, shift, .. } = &mut self.sizes[usize::from(block.size)];
        let Slab { bytes, start } = &mut slabs[(block.number >> *shift) as usize];
        let start = *start + block.place_in_slab(*shift);
        &mut bytes[start..start + block.capacity()]
    }
}

impl Size {
    fn grow(&mut self, size: usize) {
        let blocks = 1_u32 << self.shift;
        let first = self.slabs.len() as u32 * blocks;
        self.slabs.push(Slab::new(blocks as usize * block_bytes(size)));
        // All of them may be free one day: giving one back must not allocate.
        let all = self.slabs.len() * blocks as usize;
        self.free.reserve(all - self.free.len());
        self.free.extend((first..first + blocks).rev());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_has_the_least_size_that_holds_it() {
        for bytes in (1..3000).chain([STATE_ENTRY_BYTES_MAX - 1, STATE_ENTRY_BYTES_MAX]) {
            let least = (0..SIZES).find(|size| block_bytes(*size) >= bytes).unwrap();
            assert_eq!(size_for(bytes), least, "{bytes} bytes");
        }
    }

    #[test]
    fn blocks_do_not_overlap_and_come_back() {
        let mut blocks = Blocks::new();
        let taken: Vec<Block> = (0..5000).map(|it| blocks.take(it % 700 + 1)).collect();
        for (number, block) in taken.iter().enumerate() {
            blocks.get_mut(*block).fill(number as u8);
        }
        for (number, block) in taken.iter().enumerate() {
            assert!(blocks.get(*block).iter().all(|it| *it == number as u8));
        }
        let before = blocks.bytes();
        taken.iter().for_each(|it| blocks.give_back(*it));
        (0..5000).for_each(|it| _ = blocks.take(it % 700 + 1));
        assert_eq!(blocks.bytes(), before);
        blocks.stock();
        assert!(blocks.bytes() > before);
    }
}
