//! The files of `tuning/host`, each read by the tool that it is for, and what they promise.
//!
//! A tool that accepts everything shows nothing: each is also given a file that it must refuse.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod containers;
mod kernel;
mod systemd;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What `scripts/setup host` fetched.
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.servers/host");

/// Below the project's folder.
fn project(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of `tuning/host`.
fn file(name: &str) -> String {
    let path = project(&format!("tuning/host/{name}"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A copy with other words in it, for a tool to read.
fn copy(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("a file that can be written");
    path
}

/// One of the tools that were fetched.
fn tool(name: &str) -> Command {
    let path = format!("{TOOLS}/bin/{name}");
    assert!(Path::new(&path).exists(), "there is no {path}; run scripts/setup host");
    Command::new(path)
}

/// Runs it; true if it was content, and what it printed, standard output first.
fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} does not start ({error}); run scripts/setup host machine")
    });
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    (output.status.success(), text)
}

/// Expects that it was content, and returns what it printed.
#[track_caller]
fn accepts(command: &mut Command) -> String {
    let (content, text) = run(command);
    assert!(content, "{command:?}\n{text}");
    text
}

/// Expects that it was not content, and said so in these words.
#[track_caller]
fn refuses(command: &mut Command, words: &str) {
    let (content, text) = run(command);
    assert!(!content && text.contains(words), "{command:?} accepts it, or not for {words}\n{text}");
}
