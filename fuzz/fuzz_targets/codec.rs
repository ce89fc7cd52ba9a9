//! `cargo +nightly fuzz run codec`: any bytes through the codec keep its promises.

#![no_main]

#[path = "../../tests/support/codec_invariants.rs"]
mod codec_invariants;
#[path = "../../tests/support/naive_event.rs"]
mod naive_event;
#[path = "../../tests/support/pipeline_settings.rs"]
mod pipeline_settings;

use std::cell::RefCell;

use codec_invariants::Invariants;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static INVARIANTS: RefCell<Invariants> = RefCell::new(Invariants::new());
}

fuzz_target!(|input: &[u8]| {
    INVARIANTS.with_borrow_mut(|invariants| invariants.check(input));
});
