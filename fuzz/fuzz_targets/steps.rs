//! `cargo +nightly fuzz run steps`: any text as a path, a template or an expression.

#![no_main]

#[path = "../../tests/support/pipeline_settings.rs"]
mod pipeline_settings;
#[path = "../../tests/support/steps_invariants.rs"]
mod steps_invariants;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    steps_invariants::check(input);
});
