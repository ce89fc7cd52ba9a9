//! Every crate that Hotspur is built from has a licence that its own, MIT OR Apache-2.0, can carry.
//!
//! Asks `cargo metadata`, which reads `Cargo.lock`, and reads the SPDX expressions that it lists.
//! What is vendored stands in a list here. The C libraries inside are not seen: librdkafka and zstd
//! (BSD), OpenSSL (Apache-2.0), zlib.

use std::{env, process::Command};

/// Licences that ask for no more than to be named.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

#[test]
fn every_dependency_has_a_licence_that_ours_can_carry() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() > 50, "cargo metadata lists {} packages", packages.len());
    let refused: Vec<String> = packages
        .iter()
        .filter(|package| !package["license"].as_str().is_some_and(is_allowed))
        .map(|package| {
            format!("{} {}: {}", package["name"], package["version"], package["license"])
        })
        .collect();
    assert!(refused.is_empty(), "not in the list of tests/licences.rs:\n{}", refused.join("\n"));
}

/// What is kept in the repository beside crates: its licence's file, and words of it.
const VENDORED: [(&str, &str); 1] =
    [("src/observe/web/vendor/uplot/LICENSE", "The MIT License (MIT)")];

#[test]
fn what_is_vendored_has_its_licence_beside_it() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, words) in VENDORED {
        let text = std::fs::read_to_string(root.join(file)).expect("a licence beside it");
        assert!(text.contains(words), "{file} does not say {words}");
    }
    let folder = std::fs::read_dir(root.join("src/observe/web/vendor")).expect("a folder");
    assert_eq!(folder.count(), VENDORED.len(), "each vendored folder stands in VENDORED");
}

#[test]
fn an_expression_is_allowed_if_one_of_its_choices_is() {
    assert!(is_allowed("MIT OR Apache-2.0"));
    assert!(is_allowed("GPL-2.0 OR MIT"));
    assert!(is_allowed("MIT/Apache-2.0"));
    assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(is_allowed("Apache-2.0 WITH LLVM-exception OR GPL-3.0"));
    assert!(!is_allowed("MIT AND GPL-3.0"));
    assert!(!is_allowed("(MIT OR Apache-2.0) AND (GPL-2.0 OR MPL-2.0)"));
    assert!(!is_allowed("GPL-2.0 WITH Classpath-exception-2.0"));
    assert!(!is_allowed(""));
}

/// Reads an SPDX expression: `OR` binds weaker than `AND`, `WITH` belongs to its licence.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let allowed = either(&mut words);
    allowed && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>) -> bool {
    let mut allowed = both(words);
    while words.next_if_eq(&"OR").is_some() {
        allowed |= both(words);
    }
    allowed
}

fn both(words: &mut Words<'_>) -> bool {
    let mut allowed = one(words);
    while words.next_if_eq(&"AND").is_some() {
        allowed &= one(words);
    }
    allowed
}

fn one(words: &mut Words<'_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let allowed = either(words);
        return words.next_if_eq(&")").is_some() && allowed;
    }
    let mut licence = words.next().unwrap_or_default().to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next().unwrap_or_default());
    }
    ALLOWED.contains(&licence.as_str())
}
