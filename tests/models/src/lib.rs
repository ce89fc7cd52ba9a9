//! The table's structure by itself, for checkers that cannot build the whole program.
//!
//! The files are the program's own. Under `--cfg loom` what they share between threads comes from
//! loom instead of the standard library. With `--cfg mutant="…"` one file is a copy with a fault
//! that the check must find (`build.rs` makes it).

#[path = "../../../src/limits.rs"]
pub mod limits;
#[path = "../../../src/prefetch.rs"]
pub mod prefetch;

pub mod cache;
