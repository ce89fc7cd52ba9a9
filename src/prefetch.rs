//! Memory that will soon be looked at, asked for before: the misses of many keys pass together, and
//! while other work is done. Nothing waits, and nothing the program can see changes.

/// Asks the CPU to bring the cache line of an address near; valid for any address, true or not.
#[inline]
pub fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program can see, and faults on no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}
