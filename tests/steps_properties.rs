//! What the steps promise for texts of every kind: random ones, and the corpus of their fuzz
//! target.

#[path = "support/pipeline_settings.rs"]
mod pipeline_settings;
#[path = "support/steps_invariants.rs"]
mod steps_invariants;

use std::fs;

use proptest::{collection::vec, prelude::*};
use steps_invariants::check;

/// Pieces of what is understood, and of what is not, in any order.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop_oneof![Just("event"), Just("record"), Just("a"), Just("b"), Just("key")]
            .prop_map(str::to_owned),
        4 => prop_oneof![Just("."), Just("{"), Just("}"), Just("["), Just("]"), Just("\"")]
            .prop_map(str::to_owned),
        2 => "[0-9]{1,3}",
        1 => "\\PC{0,3}",
    ];
    prop_oneof![
        1 => vec(piece, 0..6).prop_map(|pieces| pieces.concat()),
        1 => "event(\\.[abc]|\\[\"[a-c é]{0,3}\"\\]|\\[[0-3]\\]){0,3}",
        1 => "[abc](\\.[abc]|\\[[0-3]\\]){0,2}",
        1 => "\\{\\{(\\{event\\.[abc]\\}|\\{record\\.(key|id)\\}|[xé]){0,3}\\}\\}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_text_is_refused_in_a_sentence_or_makes_steps(
        texts in vec(text(), 5),
        value in "\\{(\"[abc]\":(1|\"x\\\\n\"|\\[1,\\{\\}\\]|\\{\"a\":null\\})(,\"a\":\"é\")?)?\\}",
    ) {
        check(format!("{}\u{1e}{value}", texts.join("\u{1e}")).as_bytes());
    }
}

#[test]
fn the_corpus_keeps_the_promises() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/steps");
    let mut understood = 0;
    for entry in fs::read_dir(folder).unwrap() {
        understood += usize::from(check(&fs::read(entry.unwrap().path()).unwrap()));
    }
    assert!(understood >= 4, "only {understood} files in {folder} are steps");
}
