//! `cargo +nightly fuzz run engine`: any records through the engine end as they must.

#![no_main]

#[path = "../../tests/support/engine_invariants.rs"]
mod engine_invariants;
#[path = "../../tests/support/pipeline_settings.rs"]
mod pipeline_settings;

use std::cell::RefCell;

use engine_invariants::Invariants;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static INVARIANTS: RefCell<Invariants> = RefCell::new(Invariants::new());
}

fuzz_target!(|input: &[u8]| {
    INVARIANTS.with_borrow_mut(|invariants| invariants.check(input));
});
