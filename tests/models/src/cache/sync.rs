//! What the structure shares between threads, from loom: it stands in for the program's `sync.rs`.
//!
//! Nothing is really given back, so that a reader who comes too late reads memory that is still
//! there, and its `Watch` can say what happened. Leaks and double frees are miri's to find.
//!
//! Each atomic that the proof rests on has a twin. Loom 0.7 looks for orders to try by the last
//! access of an atomic alone, so that a thread's load before its own store hides that store from
//! another thread's load, and the order of the two is never turned round. Our writer does just that
//! everywhere. On the twin every access is a relaxed exchange: it orders nothing, and no access is
//! hidden behind another.

use std::{
    alloc::Layout,
    sync::atomic::Ordering::{self, Relaxed},
};

use loom::sync::atomic;
pub(super) use loom::sync::{Arc, Mutex, atomic::AtomicU32};

macro_rules! with_twin {
    ($name:ident $(<$of:ident>)?, $real:ty, $content:ty) => {
        #[derive(Debug)]
        pub(super) struct $name $(<$of>)? {
            real: $real,
            twin: atomic::AtomicUsize,
        }

        impl $(<$of>)? $name $(<$of>)? {
            pub(super) fn load(&self, order: Ordering) -> $content {
                self.twin.swap(0, Relaxed);
                self.real.load(order)
            }

            pub(super) fn store(&self, content: $content, order: Ordering) {
                self.twin.swap(0, Relaxed);
                self.real.store(content, order);
            }
        }

        impl $(<$of>)? Default for $name $(<$of>)? {
            fn default() -> Self {
                Self { real: <$real>::default(), twin: atomic::AtomicUsize::default() }
            }
        }
    };
}

with_twin!(AtomicPtr<T>, atomic::AtomicPtr<T>, *mut T);
with_twin!(AtomicU64, atomic::AtomicU64, u64);

impl<T> AtomicPtr<T> {
    pub(super) fn new(content: *mut T) -> AtomicPtr<T> {
        AtomicPtr { real: atomic::AtomicPtr::new(content), twin: atomic::AtomicUsize::new(0) }
    }

    pub(super) fn swap(&self, content: *mut T, order: Ordering) -> *mut T {
        self.twin.swap(0, Relaxed);
        self.real.swap(content, order)
    }
}

/// Loom stops the model if a read and the giving back are in no order.
#[derive(Debug)]
pub(super) struct Watch(loom::cell::UnsafeCell<()>);

impl Watch {
    pub(super) fn new() -> Watch {
        Watch(loom::cell::UnsafeCell::new(()))
    }

    pub(super) fn read(&self) {
        self.0.with(|_| ());
    }

    pub(super) fn free(&self) {
        self.0.with_mut(|_| ());
    }
}

/// Keeps the memory.
///
/// # Safety
///
/// None is needed; the signature is the standard library's.
pub(super) unsafe fn dealloc(_block: *mut u8, _layout: Layout) {}

/// Marks what the box holds as given back, and keeps the memory.
pub(super) fn discard<T>(it: Box<T>) {
    let block = Box::into_raw(it);
    // SAFETY: the box was whole; its memory is never given back, and nobody drops it again.
    unsafe { std::ptr::drop_in_place(block) };
}
