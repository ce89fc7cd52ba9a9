//! File tables: what a line may be, and changes of the file while it serves.

mod cache_rig;

use std::{fs, io::Write, path::PathBuf};

use cache_rig::{Opened, open, settings, until};
use hotspur::{
    cache::CacheError,
    config::settings::{Table, TablePlace},
};
use tempfile::TempDir;

struct Rig {
    directory: TempDir,
    path: PathBuf,
}

impl Rig {
    fn new(content: &str) -> Rig {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.jsonl");
        fs::write(&path, content).unwrap();
        Rig { directory, path }
    }

    fn settings(&self) -> Table {
        settings(TablePlace::File(self.path.clone()))
    }

    fn open(&self) -> Opened {
        open(&self.settings()).unwrap()
    }

    fn refusal(&self) -> String {
        open(&self.settings()).err().expect("the file is refused").to_string()
    }
}

#[test]
fn strings_are_bytes_and_other_values_are_their_json() {
    let rig = Rig::new(concat!(
        "{\"key\":\"a\",\"value\":\"g\\u00f6ld\\n\"}\n",
        "\r\n",
        "{ \"value\" : {\"z\": 1.50, \"a\":[null]} , \"key\" : 12.50 }\r\n",
        "{\"key\":\"twice\",\"value\":1}\n",
        "{\"key\":\"twice\",\"value\":\"the last counts\"}\n",
        "{\"key\":\"\",\"value\":null}",
    ));
    let mut table = rig.open();
    assert_eq!(table.get("a").unwrap(), "göld\n".as_bytes());
    assert_eq!(table.get("12.50").unwrap(), br#"{"z": 1.50, "a":[null]}"#);
    assert_eq!(table.get("twice").unwrap(), b"the last counts");
    assert_eq!(table.get("").unwrap(), b"null");
    assert_eq!(table.handle.status().entries(), 4);
    assert!(table.handle.status().is_fresh());
}

#[test]
fn a_line_that_cannot_be_used_is_named() {
    let good = "{\"key\":\"a\",\"value\":1}\n";
    let cases = [
        ("nonsense", "expected"),
        ("{\"key\":\"a\"}", "missing field `value`"),
        ("{\"value\":\"a\"}", "missing field `key`"),
        ("{\"key\":\"a\",\"value\":1,\"other\":2}", "unknown field `other`"),
        ("{\"key\":null,\"value\":1}", "the key must be text, a number or a truth value: null"),
        ("{\"key\":[1],\"value\":1}", "the key must be text, a number or a truth value: [1]"),
    ];
    for (line, reason) in cases {
        let message = Rig::new(&format!("{good}{line}\n{good}")).refusal();
        assert!(message.contains("users.jsonl:2: ") && message.contains(reason), "{message}");
    }
    let rig = Rig::new("");
    fs::write(&rig.path, b"{\"key\":\"a\",\"value\":\"\xff\"}").unwrap();
    assert!(rig.refusal().contains("users.jsonl:1: "));
}

#[test]
fn a_missing_file_fails_at_once() {
    let rig = Rig::new("");
    fs::remove_file(&rig.path).unwrap();
    let message = rig.refusal();
    assert!(message.contains("users.jsonl could not be read: No such file"), "{message}");
}

#[test]
fn an_empty_file_is_an_error_unless_allowed() {
    let rig = Rig::new("\n");
    let error = open(&rig.settings()).err().unwrap();
    assert!(matches!(error, CacheError::Empty { .. }), "{error}");
    assert!(error.to_string().contains("on_empty = \"allow\""), "{error}");
    let mut table = open(&Table { fail_on_empty: false, ..rig.settings() }).unwrap();
    assert_eq!(table.get("a"), None);
}

#[test]
fn a_change_in_place_and_a_rename_are_taken() {
    let rig = Rig::new("{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"2\"}\n");
    let mut table = rig.open();
    fs::write(&rig.path, "{\"key\":\"a\",\"value\":\"one\"}\n").unwrap();
    table.until("a", Some("one"));
    table.until("b", None);
    let other = rig.directory.path().join("other");
    fs::write(&other, "{\"key\":\"c\",\"value\":\"3\"}\n").unwrap();
    fs::rename(&other, &rig.path).unwrap();
    table.until("c", Some("3"));
    table.until("a", None);
    until("three loads", || table.handle.status().loads() == 3);
}

#[test]
fn a_file_is_read_again_on_request_whatever_it_looks_like() {
    let rig = Rig::new("{\"key\":\"a\",\"value\":\"1\"}\n");
    let mut table = rig.open();
    let changed = fs::metadata(&rig.path).unwrap().modified().unwrap();
    // Another content of the same length and time: a look cannot tell.
    let file = fs::OpenOptions::new().write(true).open(&rig.path).unwrap();
    (&file).write_all(b"{\"key\":\"a\",\"value\":\"2\"}\n").unwrap();
    file.set_modified(changed).unwrap();
    table.handle.rereader()();
    table.until("a", Some("2"));
    until("a second load", || table.handle.status().loads() == 2);
}

#[test]
fn the_old_copy_serves_until_the_new_one_is_valid() {
    let rig = Rig::new("{\"key\":\"a\",\"value\":\"1\"}\n");
    let mut table = rig.open();
    let status = table.handle.status().clone();
    for (broken, reason) in [("{\"key\":\"a\",\"val", ":1: "), ("", "became empty")] {
        let refused = status.failed_loads();
        fs::write(&rig.path, broken).unwrap();
        until("the content is refused", || status.failed_loads() > refused);
        until("and the reason is told", || status.last_error().contains(reason));
        assert!(!status.is_fresh());
        assert_eq!(table.get("a").unwrap(), b"1");
    }
    fs::remove_file(&rig.path).unwrap();
    until("it is missed", || status.last_error().contains("could not be read"));
    assert_eq!(table.get("a").unwrap(), b"1");
    fs::write(&rig.path, "{\"key\":\"a\",\"value\":\"2\"}\n").unwrap();
    table.until("a", Some("2"));
    until("it is fresh again", || status.is_fresh());
}

#[test]
fn a_turn_sees_the_old_file_or_the_new_one_and_never_some_of_both() {
    const KEYS: usize = 5_000;
    let content = |version: u32| -> String {
        (0..KEYS).map(|key| format!("{{\"key\":{key},\"value\":{version}}}\n")).collect()
    };
    let rig = Rig::new(&content(1));
    let mut table = rig.open();
    for version in 2..5_u32 {
        let next = rig.directory.path().join("next");
        fs::write(&next, content(version)).unwrap();
        fs::rename(&next, &rig.path).unwrap();
        let (before, after) = ((version - 1).to_string(), version.to_string());
        until("the new content", || {
            table.tables.quiesce();
            let value = |key: usize| table.tables.get(0, key.to_string().as_bytes()).unwrap().bytes;
            let first = value(0);
            assert!(first == before.as_bytes() || first == after.as_bytes());
            assert!((0..KEYS).all(|key| value(key) == first), "some of both");
            first == after.as_bytes()
        });
    }
}
