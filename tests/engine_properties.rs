//! What the engine promises for records of every kind: random ones, and the corpus of its fuzz
//! target.

#[path = "support/engine_invariants.rs"]
mod engine_invariants;
#[path = "support/pipeline_settings.rs"]
mod pipeline_settings;

use std::{cell::RefCell, fs};

use engine_invariants::Invariants;
use proptest::{collection::vec, prelude::*};

thread_local! {
    static INVARIANTS: RefCell<Invariants> = RefCell::new(Invariants::new());
}

fn check(input: &[u8]) {
    INVARIANTS.with_borrow_mut(|invariants| invariants.check(input));
}

/// A record's value: most are emitted, some skipped, some of them no JSON or too large.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "\\{\"a\":\"[a-z]{0,4}\"( ,\"t\":[0-9]{1,40})?\\}",
        1 => "\\{\"a\":(null|\\[\\]|7|1e2|\"\\\\u0041\")\\}",
        1 => "\\{\"hash\":\\{\\},\"a\":\"\",\"hash\":\"[é\"x]{0,300}\"\\}",
        1 => "\\PC{0,9}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_record_ends_once_and_as_it_must(values in vec(value(), 0..30)) {
        check(values.join("\u{1e}").as_bytes());
    }
}

#[test]
fn the_corpus_keeps_the_promises() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/engine");
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        check(&fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 5, "only {files} files in {folder}");
}
