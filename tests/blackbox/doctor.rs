//! `doctor` on the machine at hand: what it finds fits its schema and its exit status, the profile
//! decides what a fault is, and a running process is looked at without being disturbed.

use std::{collections::BTreeSet, fs, path::Path, process};

use serde_json::Value;

use crate::support::{
    hotspur::{Ended, Hotspur},
    json_schema::assert_valid,
    names::{PID, RUN_STARTED},
};

/// A number that no process can have: Linux counts to 2^22.
const NOBODY: &str = "4194305";

fn ask(folder: &Path, words: &[&str]) -> Ended {
    Hotspur::start(folder, &[&["doctor"], words].concat()).wait()
}

/// Findings as JSON, with the exit status held against them.
fn json(folder: &Path, words: &[&str]) -> Value {
    let ended = ask(folder, &[words, &["--json"]].concat());
    let found: Value = serde_json::from_str(&ended.output)
        .unwrap_or_else(|error| panic!("{error}: {} {}", ended.output, ended.log));
    let is_unfit = found["unfit"].as_u64() != Some(0);
    assert_eq!(ended.status, Some(i32::from(is_unfit)), "{found:#}");
    found
}

fn checks(found: &Value) -> &[Value] {
    found["checks"].as_array().expect("a list of checks")
}

fn named<'a>(found: &'a Value, name: &str) -> &'a Value {
    let check = checks(found).iter().find(|it| it["name"] == name);
    check.unwrap_or_else(|| panic!("no {name} in {found:#}"))
}

fn with(found: &Value, outcome: &str) -> BTreeSet<String> {
    let them = checks(found).iter().filter(|it| it["outcome"] == outcome);
    them.map(|it| it["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn what_is_found_fits_the_schema_and_its_own_counts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let schema = Hotspur::start(folder.path(), &["schema", "doctor"]).wait();
    let schema: Value = serde_json::from_str(&schema.output).expect("a schema");
    let found = json(folder.path(), &["-p", "low-latency"]);
    assert_valid(&found, &schema);
    assert_eq!(found["profile"], "low-latency");
    assert!(checks(&found).len() >= 25, "{found:#}");
    for outcome in ["fit", "unfit", "unknown"] {
        assert_eq!(found[outcome].as_u64(), Some(with(&found, outcome).len() as u64), "{outcome}");
    }
    for check in checks(&found) {
        let is_unfit = check["outcome"] == "unfit";
        let is_told = |name: &str| check[name].as_str().is_some_and(|it| !it.is_empty());
        assert!(is_told("found") && is_told("cost"), "{check:#}");
        assert_eq!((is_told("mend"), is_told("lasts")), (is_unfit, is_unfit), "{check:#}");
    }
}

#[test]
fn what_is_a_fault_for_low_latency_is_none_for_a_laptop() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [laptop, strict] = ["laptop", "low-latency"].map(|it| json(folder.path(), &["-p", it]));
    let [relaxed, faults] = [&laptop, &strict].map(|it| with(it, "unfit"));
    assert!(relaxed.is_subset(&faults), "{relaxed:?} {faults:?}");
    assert!(laptop["core"].is_null(), "{laptop:#}");
    // A core that this machine does not keep free is a fault where one is wanted.
    let isolated = fs::read_to_string("/sys/devices/system/cpu/isolated").unwrap_or_default();
    if cfg!(target_os = "linux") && isolated.trim().is_empty() {
        assert_eq!(named(&strict, "isolation")["outcome"], "unfit", "{strict:#}");
        assert_eq!(named(&laptop, "isolation")["outcome"], "fit", "{laptop:#}");
    }
    // The same by a file that says it without a profile's name, and no more than that.
    let text = "[engine]\ncore = \"none\"\nidle = \"park\"\n";
    fs::write(folder.path().join("hotspur.toml"), text).expect("a file that can be written");
    let own = json(folder.path(), &["-p", "balanced"]);
    assert_eq!(with(&own, "unfit"), relaxed);
}

#[test]
fn a_person_reads_a_line_for_each_check_and_a_block_for_each_fault() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ended = ask(folder.path(), &["-p", "low-latency", "--core", "0"]);
    let text = &ended.output;
    assert!(text.starts_with("The profile low-latency asks for a core of its own.\n"), "{text}");
    assert!(text.contains("Core 0 is judged: it was asked for."), "{text}");
    let faults: Vec<&str> = text.lines().filter_map(|it| it.strip_prefix("UNFIT")).collect();
    for row in ["  found  ", "  costs  ", "  mend   ", "  lasts  "] {
        let rows = text.lines().filter(|it| it.starts_with(row)).count();
        assert_eq!(rows, faults.len(), "{row:?} in {text}");
    }
    for fault in &faults {
        let name = fault.split_whitespace().next().expect("a name");
        assert!(text.contains(&format!("\n{name}\n  found  ")), "{name} in {text}");
    }
    assert!(text.contains(&format!(" {} unfit, ", faults.len())), "{text}");
    assert_eq!(ended.status, Some(i32::from(!faults.is_empty())));
    assert!(!text.contains('\u{1b}'), "no colour where nobody sees it: {text}");
}

#[test]
fn what_cannot_be_asked_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ask = |words: &[&str], status: i32, said: &str| {
        let ended = ask(folder.path(), words);
        assert_eq!(ended.status, Some(status), "{words:?}: {}", ended.log);
        assert!(ended.log.contains(said), "{said:?} not in {}", ended.log);
    };
    ask(&["-s", "engine.idel=spin"], 2, "did you mean \"idle\"?");
    ask(&["-p", "lowlatency"], 2, "no profile named \"lowlatency\"");
    ask(&["-c", "missing.toml"], 2, "cannot read missing.toml");
    ask(&["--core", "1023"], 2, "--core = 1023: this machine's cores are");
    ask(&["-s", "engine.core=1023"], 2, "engine.core = 1023: this machine's cores are");
    ask(&["--pid", NOBODY], 3, "there is no process 4194305");
    let ours = process::id().to_string();
    ask(&["--pid", &ours], 2, "is no running Hotspur: it has no thread named hotspur-hot");
}

#[cfg_attr(target_os = "linux", test)]
fn a_running_process_is_looked_at() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let words = ["demo", "--rate", "200", "--for", "5m", "--out", "out"];
    let demo = Hotspur::start(folder.path(), &[&words[..], &["-s", "engine.core=none"]].concat());
    let pid = demo.await_event(RUN_STARTED).number(PID).to_string();
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let strict = json(elsewhere.path(), &["--pid", &pid, "-p", "low-latency"]);
    let relaxed = json(elsewhere.path(), &["--pid", &pid, "-p", "laptop"]);
    demo.stop();
    assert_eq!(strict["pid"].to_string(), pid);
    let hot = named(&strict, "hot_thread");
    assert_eq!(hot["outcome"], "unfit", "{hot:#}");
    assert!(hot["found"].as_str().is_some_and(|it| it.starts_with("not pinned")), "{hot:#}");
    let clients = named(&strict, "client_threads");
    assert!(clients["found"].as_str().is_some_and(|it| it.contains("librdkafka")), "{clients:#}");
    for name in ["switches", "page_faults", "memory_locked"] {
        assert_ne!(named(&strict, name)["outcome"], "unknown", "{strict:#}");
    }
    assert_eq!(named(&relaxed, "hot_thread")["outcome"], "fit", "{relaxed:#}");
    // Where a hot thread runs nothing is measured.
    let wakeup = named(&strict, "wakeup");
    let said = format!("process {pid} runs there and would be disturbed");
    assert!(wakeup["found"].as_str().is_some_and(|it| it.contains(&said)), "{wakeup:#}");
}
