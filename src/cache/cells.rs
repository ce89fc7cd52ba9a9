//! The memory of a table's array: words that start empty, on huge pages if asked for.
//!
//! A large array begins at a huge page's border, so that it can be made of whole ones: a lookup
//! then does not miss in the address translation as well. Every word is written when the array is
//! made. That is what brings the pages in, on the writer's time; memory that is only promised to be
//! zero would have the reader fault at its first look.
//!
//! Contract of the `unsafe` here:
//!
//! * `start` points to `count` words in one block of `layout(count)`, owned by this alone;
//! * `count` is a power of two, and an index is cut to it before it is used;
//! * advice to the kernel names whole pages of that block and changes no content.

use std::{
    alloc::{self, Layout},
    ptr::NonNull,
};

use super::{
    entry::Header,
    sync::{AtomicPtr, Watch, dealloc},
};

#[cfg(target_os = "linux")]
const SWITCH: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// Smaller arrays have no use for a huge page.
const HUGE_PAGE_BYTES: usize = 2 << 20;

type Cell = AtomicPtr<Header>;

/// How the writer wants its arrays, and what became of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum HugePages {
    #[default]
    NotAsked,
    Asked,
    /// They could not be had: why.
    Refused(String),
}

impl HugePages {
    /// What is known before any array is made.
    pub(super) fn ask() -> HugePages {
        switched_off().map_or(HugePages::Asked, HugePages::Refused)
    }
}

/// Words of a fixed number, a power of two.
#[derive(Debug)]
pub(super) struct Cells {
    start: NonNull<Cell>,
    count: usize,
    watch: Watch,
}

// SAFETY: it is a slice of atomics with an owner.
unsafe impl Send for Cells {}
// SAFETY: as above.
unsafe impl Sync for Cells {}

impl Cells {
    /// Empty words. What huge pages came to is noted.
    ///
    /// # Panics
    ///
    /// If the number is no power of two.
    pub(super) fn new(count: usize, huge_pages: &mut HugePages) -> Cells {
        assert!(count.is_power_of_two(), "an index is cut by a mask");
        let layout = layout(count);
        // SAFETY: the layout is not empty: a power of two is at least one.
        let block = unsafe { alloc::alloc(layout) };
        let Some(start) = NonNull::new(block.cast::<Cell>()) else {
            alloc::handle_alloc_error(layout)
        };
        if *huge_pages == HugePages::Asked && layout.size() >= HUGE_PAGE_BYTES {
            // SAFETY: the block is ours and consists of whole pages.
            if let Err(reason) = unsafe { advise(block, layout.size()) } {
                *huge_pages = HugePages::Refused(reason);
            }
        }
        for index in 0..count {
            // SAFETY: the block has room for `count` words, and nobody else knows it yet.
            unsafe { start.add(index).write(Cell::default()) };
        }
        Cells { start, count, watch: Watch::new() }
    }

    /// How many.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The word there; indices wrap around.
    #[inline]
    pub(super) fn at(&self, index: usize) -> &Cell {
        self.watch.read();
        // SAFETY: the mask keeps the index below the count, and the words are alive as long as the
        // reference to their owner.
        unsafe { self.start.add(index & (self.count - 1)).as_ref() }
    }
}

impl Drop for Cells {
    fn drop(&mut self) {
        self.watch.free();
        // SAFETY: the block is ours and of this layout; words need no drop.
        unsafe { dealloc(self.start.as_ptr().cast::<u8>(), layout(self.count)) };
    }
}

fn layout(count: usize) -> Layout {
    let array = Layout::array::<Cell>(count).expect("a number of words that fits memory");
    let align = if array.size() >= HUGE_PAGE_BYTES { HUGE_PAGE_BYTES } else { array.align() };
    array.align_to(align).expect("a power of two")
}

/// Asks the kernel for huge pages.
///
/// # Safety
///
/// The bytes are one live block.
#[cfg(all(target_os = "linux", not(miri)))]
unsafe fn advise(block: *mut u8, bytes: usize) -> Result<(), String> {
    // SAFETY: the caller owes a live block; the advice changes no content.
    match unsafe { libc::madvise(block.cast(), bytes, libc::MADV_HUGEPAGE) } {
        0 => Ok(()),
        _ => Err(format!("the kernel refused them: {}", std::io::Error::last_os_error())),
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
unsafe fn advise(_block: *mut u8, _bytes: usize) -> Result<(), String> {
    Err("this system has no such advice".to_owned())
}

/// The kernel takes the advice also where it will never follow it.
#[cfg(all(target_os = "linux", not(miri)))]
fn switched_off() -> Option<String> {
    off_by(std::fs::read_to_string(SWITCH).ok().as_deref())
}

/// Whether what the switch says is a refusal. A kernel without huge pages has no switch.
#[cfg(target_os = "linux")]
fn off_by(choice: Option<&str>) -> Option<String> {
    match choice {
        Some(choice) if choice.contains("[never]") => {
            Some(format!("{SWITCH} says never; write madvise there"))
        }
        Some(_) => None,
        None => Some("this kernel was built without them".to_owned()),
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn switched_off() -> Option<String> {
    Some("this system has no such advice".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn words_start_empty_and_indices_wrap() {
        for count in [1, 16, HUGE_PAGE_BYTES / size_of::<Cell>()] {
            let cells = Cells::new(count, &mut HugePages::NotAsked);
            assert_eq!(cells.count(), count);
            assert!((0..count).all(|index| cells.at(index).load(Ordering::Relaxed).is_null()));
            assert!(std::ptr::eq(cells.at(usize::MAX), cells.at(count - 1)));
        }
    }

    #[test]
    fn a_large_array_lies_on_whole_huge_pages() {
        let mut huge_pages = HugePages::ask();
        let cells = Cells::new(2 * HUGE_PAGE_BYTES / size_of::<Cell>(), &mut huge_pages);
        assert_eq!(cells.start.addr().get() % HUGE_PAGE_BYTES, 0);
        assert_ne!(huge_pages, HugePages::NotAsked);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_switch_that_says_never_is_a_refusal_and_so_is_none() {
        let never = off_by(Some("always madvise [never]\n")).unwrap();
        assert!(never.contains(SWITCH) && never.contains("write madvise there"), "{never}");
        assert!(off_by(None).unwrap().contains("built without"));
        assert_eq!(off_by(Some("always [madvise] never\n")), None);
        assert_eq!(off_by(Some("[always] madvise never\n")), None);
    }

    #[cfg(all(target_os = "linux", not(miri)))]
    #[test]
    fn what_the_kernel_refuses_is_told_with_its_reason() {
        let mut block = vec![0_u8; 2 * HUGE_PAGE_BYTES];
        // SAFETY: the bytes are one live block; that they begin within a page is what is refused.
        let refused = unsafe { advise(block.as_mut_ptr().wrapping_add(1), HUGE_PAGE_BYTES) };
        assert!(refused.unwrap_err().starts_with("the kernel refused them: "));
    }

    #[test]
    fn a_table_that_is_refused_them_works_and_keeps_the_reason() {
        let mut huge_pages = HugePages::Refused("for a test".to_owned());
        let cells = Cells::new(2 * HUGE_PAGE_BYTES / size_of::<Cell>(), &mut huge_pages);
        assert!(cells.at(0).load(Ordering::Relaxed).is_null());
        assert_eq!(huge_pages, HugePages::Refused("for a test".to_owned()));
    }
}
