//! One entry of a table: a header, the key and the value in one immutable block of memory.
//!
//! One block, because a lookup then pays a single cache miss past its slot. The block is written
//! once, before anyone else can see it; only the generation changes later, which the writer alone
//! reads and writes, and in tables on demand two marks beside it, with which the reader says that
//! it looked here.
//!
//! Contract of the `unsafe` here:
//!
//! * an `Entry` comes from `allocate` only, and is freed at most once;
//! * whoever calls any other method but `at` and `address` owes that the block has not been freed,
//!   and will not be while what it got is in use;
//! * the pointer keeps the provenance of the whole block: the bytes are reached from it, never from
//!   a reference to the header.

use std::{
    alloc::{self, Layout},
    ptr::{self, NonNull},
    slice,
    sync::atomic::Ordering,
};

use super::{
    sync::{AtomicU32, Watch, dealloc},
    value::{Value, ValueKind},
};
use crate::prefetch::prefetch;

/// What stands before the key and the value: sixteen bytes.
#[repr(C)]
pub(super) struct Header {
    hash: u32,
    generation: AtomicU32,
    key_bytes: u32,
    /// The value's length, and above it its kind.
    value: u32,
    watch: Watch,
}

/// As much of an entry as is asked for ahead of a lookup: the header, a key and a value of sixteen.
const NEAR_BYTES: usize = size_of::<Header>() + 32;

/// A value is shorter than 1 GiB; Redis allows half of that.
const LENGTH_BITS: u32 = 30;
const LENGTH_MASK: u32 = (1 << LENGTH_BITS) - 1;

/// Marks stand above the generation.
const GENERATION_MASK: u32 = (1 << 30) - 1;

/// The reader looked the entry up since the writer last came by.
pub(super) const USED: u32 = 1 << 31;

/// A record waits for the entry and has not seen it yet.
pub(super) const WANTED: u32 = 1 << 30;

const KINDS: [ValueKind; 4] =
    [ValueKind::Text, ValueKind::Json, ValueKind::Bytes, ValueKind::Absent];

/// An entry's address. Copies refer to the same block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(NonNull<Header>);

impl Entry {
    /// Takes memory for an entry and fills it. `hash` is the low half of the key's hash.
    ///
    /// # Panics
    ///
    /// If the key or the value has 1 GiB or more.
    pub(super) fn allocate(hash: u32, generation: u32, key: &[u8], value: Value<'_>) -> Entry {
        let Value { kind, bytes: content } = value;
        let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let (key_bytes, value_bytes) = (size(key), size(content));
        assert!(key_bytes.max(value_bytes) <= LENGTH_MASK, "an entry is below 1 GiB");
        let layout = layout(key.len(), content.len());
        // SAFETY: the layout is never empty: it holds the header.
        let block = unsafe { alloc::alloc(layout) }.cast::<Header>();
        let Some(block) = NonNull::new(block) else { alloc::handle_alloc_error(layout) };
        let value = value_bytes | (kind as u32) << LENGTH_BITS;
        let generation = AtomicU32::new(generation & GENERATION_MASK);
        let header = Header { hash, generation, key_bytes, value, watch: Watch::new() };
        // SAFETY: the block is ours, aligned for the header and as long as header, key and value.
        unsafe {
            block.write(header);
            let bytes = block.add(1).cast::<u8>().as_ptr();
            ptr::copy_nonoverlapping(key.as_ptr(), bytes, key.len());
            ptr::copy_nonoverlapping(content.as_ptr(), bytes.add(key.len()), content.len());
        }
        Entry(block)
    }

    /// The entry at an address that `address` gave.
    pub(super) fn at(address: NonNull<Header>) -> Entry {
        Entry(address)
    }

    /// Where it is.
    pub(super) fn address(self) -> NonNull<Header> {
        self.0
    }

    /// Asks the CPU to bring what a lookup reads near: the header, and the bytes behind it. Blocks
    /// are not aligned to cache lines, so half of the short entries stand in two.
    #[inline]
    pub(super) fn approach(self) {
        prefetch(self.0.as_ptr());
        prefetch(self.0.as_ptr().wrapping_byte_add(NEAR_BYTES - 1));
    }

    /// The key.
    ///
    /// # Safety
    ///
    /// The entry is not freed during `'a`.
    #[inline]
    pub(super) unsafe fn key<'a>(self) -> &'a [u8] {
        // SAFETY: the caller owes a live block; the key follows its header.
        unsafe {
            let header = self.0.as_ptr();
            (*header).watch.read();
            let bytes = self.0.add(1).cast::<u8>().as_ptr();
            slice::from_raw_parts(bytes, (*header).key_bytes as usize)
        }
    }

    /// The value.
    ///
    /// # Safety
    ///
    /// The entry is not freed during `'a`.
    #[inline]
    pub(super) unsafe fn value<'a>(self) -> Value<'a> {
        // SAFETY: the caller owes a live block; the value follows the key.
        unsafe {
            let header = self.0.as_ptr();
            (*header).watch.read();
            let start = self.0.add(1).cast::<u8>().as_ptr().add((*header).key_bytes as usize);
            let value = (*header).value;
            let bytes = slice::from_raw_parts(start, (value & LENGTH_MASK) as usize);
            Value { kind: KINDS[(value >> LENGTH_BITS) as usize], bytes }
        }
    }

    /// The low half of the key's hash.
    ///
    /// # Safety
    ///
    /// The entry is not freed.
    pub(super) unsafe fn hash(self) -> u32 {
        // SAFETY: the caller owes a live block.
        unsafe { (*self.0.as_ptr()).hash }
    }

    /// In which generation it was last written or confirmed.
    ///
    /// # Safety
    ///
    /// The entry is not freed.
    pub(super) unsafe fn generation(self) -> u32 {
        // SAFETY: the caller owes a live block.
        unsafe { (*self.0.as_ptr()).generation.load(Ordering::Relaxed) & GENERATION_MASK }
    }

    /// Confirms it in a generation.
    ///
    /// # Safety
    ///
    /// The entry is not freed.
    pub(super) unsafe fn set_generation(self, generation: u32) {
        // SAFETY: the caller owes a live block.
        let word = unsafe { &(*self.0.as_ptr()).generation };
        // A mark that the reader makes in between is lost, which costs a second look at most.
        let marks = word.load(Ordering::Relaxed) & !GENERATION_MASK;
        word.store(marks | generation & GENERATION_MASK, Ordering::Relaxed);
    }

    /// True if it was last written or confirmed in that generation.
    ///
    /// # Safety
    ///
    /// The entry is not freed.
    pub(super) unsafe fn is_of(self, generation: u32) -> bool {
        // SAFETY: the caller owes a live block.
        unsafe { self.generation() == generation & GENERATION_MASK }
    }

    /// The marks.
    ///
    /// # Safety
    ///
    /// The entry is not freed.
    pub(super) unsafe fn marks(self) -> u32 {
        // SAFETY: the caller owes a live block.
        unsafe { (*self.0.as_ptr()).generation.load(Ordering::Relaxed) & !GENERATION_MASK }
    }

    /// Adds marks.
    ///
    /// # Safety
    ///
    /// The entry is not freed.
    pub(super) unsafe fn mark(self, marks: u32) {
        // SAFETY: the caller owes a live block.
        unsafe { (*self.0.as_ptr()).generation.fetch_or(marks, Ordering::Relaxed) };
    }

    /// Takes marks away.
    ///
    /// # Safety
    ///
    /// The entry is not freed.
    pub(super) unsafe fn unmark(self, marks: u32) {
        // SAFETY: the caller owes a live block.
        unsafe { (*self.0.as_ptr()).generation.fetch_and(!marks, Ordering::Relaxed) };
    }

    /// The reader found it: nobody waits for it any more. A plain load where that is known.
    ///
    /// # Safety
    ///
    /// The entry is not freed.
    #[inline]
    pub(super) unsafe fn look(self) {
        // SAFETY: the caller owes a live block.
        unsafe {
            let marks = self.marks();
            if marks & USED == 0 {
                self.mark(USED);
            }
            if marks & WANTED != 0 {
                self.unmark(WANTED);
            }
        }
    }

    /// Bytes that its block takes.
    ///
    /// # Safety
    ///
    /// The entry is not freed.
    pub(super) unsafe fn bytes(self) -> usize {
        // SAFETY: the caller owes a live block.
        unsafe { layout(self.key().len(), self.value().bytes.len()) }.size()
    }

    /// Gives the memory back.
    ///
    /// # Safety
    ///
    /// The entry is not freed yet, and nobody uses it, its key or its value any more.
    pub(super) unsafe fn free(self) {
        // SAFETY: the caller owes a live block out of use; the layout is that of `allocate`.
        unsafe {
            let layout = layout(self.key().len(), self.value().bytes.len());
            (*self.0.as_ptr()).watch.free();
            dealloc(self.0.as_ptr().cast::<u8>(), layout);
        }
    }
}

fn layout(key_bytes: usize, value_bytes: usize) -> Layout {
    let size = size_of::<Header>() + key_bytes + value_bytes;
    let layout = Layout::from_size_align(size, align_of::<Header>());
    layout.expect("two sizes below 4 GiB fit the address space")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_sixteen_bytes_over_its_key_and_value() {
        let entry = Entry::allocate(7, 1, &[1; 16], Value::text(&[2; 32]));
        // SAFETY: it was just made, and is not used once it is freed.
        unsafe {
            assert_eq!(entry.bytes(), 16 + 16 + 32);
            assert_eq!((entry.key(), entry.value().bytes), (&[1; 16][..], &[2; 32][..]));
            entry.free();
        }
    }
}
