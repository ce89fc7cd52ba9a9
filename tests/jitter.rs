//! `hotspur jitter` on this machine: beside a busy neighbour, without one, and told to end.
//!
//! The neighbour is a shell that does nothing, without pause, on the same core, under a name of its
//! own. Nothing here says how fast the machine is: other programs may run beside these tests.
#![cfg(target_os = "linux")]

#[path = "support/mod.rs"]
#[expect(dead_code, reason = "not every test program uses all of it")]
mod support;

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::Stdio,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use support::{
    await_some, await_true,
    child::Process,
    hotspur::{Ended, Hotspur},
};
use tempfile::TempDir;

/// The neighbour's name.
const NAME: &str = "neighbour";

/// One test at a time has the cores, or each would be the other's neighbour.
fn cores_to_ourselves() -> MutexGuard<'static, ()> {
    static CORES: Mutex<()> = Mutex::new(());
    // A test that failed leaves nothing behind that matters to the next.
    CORES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cores that this process may use, from the lowest.
fn usable() -> Vec<u64> {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let number = |text: &str| text.trim().parse::<u64>().expect("a core's number");
    list.expect("a list of cores")
        .split(',')
        .flat_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            number(first)..=number(last)
        })
        .collect()
}

fn last_core() -> u64 {
    *usable().last().expect("a core")
}

/// A busy shell on that core; it ends when dropped.
fn neighbour(folder: &Path, core: u64) -> Process {
    let program = folder.join(NAME);
    symlink("/bin/sh", &program).expect("a link");
    let mut process = Process::start("taskset", |command| {
        command.args(["-c", &core.to_string()]).arg(&program).args(["-c", "while :; do :; done"]);
        command.stdout(Stdio::null());
    });
    let pid = process.streams().id();
    let name = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    await_true("the neighbour runs", || name().trim() == NAME);
    process
}

/// Runs it to its end.
#[track_caller]
fn jitter(folder: &TempDir, words: &[&str]) -> Ended {
    let ended = Hotspur::start(folder.path(), &[&["jitter"], words].concat()).wait();
    assert_eq!(ended.status, Some(0), "{}", ended.log);
    ended
}

#[track_caller]
fn parse(ended: &Ended) -> Value {
    serde_json::from_str(&ended.output).expect("JSON on standard output")
}

fn measure(folder: &TempDir, length: &str, core: u64) -> Value {
    let core = core.to_string();
    let found = parse(&jitter(folder, &["--for", length, "--core", &core, "--json"]));
    assert_eq!(found["cores"].as_array().map(Vec::len), Some(1));
    found["cores"][0].clone()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number, not {value}"))
}

/// Nanoseconds for which that process ran on the core, if it is named.
fn ran_ns(core: &Value, pid: u32) -> Option<u64> {
    let neighbours = core["meanwhile"]["neighbours"].as_array().expect("a list");
    let found = neighbours.iter().find(|it| it["pid"] == pid);
    found.inspect(|it| assert_eq!(it["comm"], NAME)).map(|it| number(&it["ran_ns"]))
}

#[test]
fn a_busy_neighbour_is_named_with_the_time_that_it_took() {
    let _alone = cores_to_ourselves();
    let folder = tempfile::tempdir().expect("a folder");
    let core = last_core();
    let mut busy = neighbour(folder.path(), core);
    let pid = busy.streams().id();
    let beside = measure(&folder, "2s", core);
    busy.kill();

    let ran = ran_ns(&beside, pid).unwrap_or_else(|| panic!("process {pid} in {beside:#}"));
    let lost_share = |core: &Value| core["stalls"]["lost_share"].as_f64().expect("a share");
    assert!(lost_share(&beside) > 0.0, "{beside:#}");
    assert!(ran <= number(&beside["measured_ns"]) * 5 / 4, "{ran} ns in {beside:#}");
    let lost_to = &beside["lost_to"];
    let named = format!("`{NAME}` (process {pid}) ran ");
    let share = |name: &str| number(&lost_to[name]);
    let threads = share("threads_ns");
    // A quota or a host that takes more than the neighbour does is the greater cause.
    if threads > share("throttled_ns") && threads > share("steal_ns") {
        assert!(threads * 2 > number(&beside["stalls"]["lost_ns"]), "{beside:#}");
        assert_eq!(beside["cause"], "threads");
        let verdict = beside["verdict"].as_str().expect("a sentence");
        assert!(verdict.contains(&named), "{verdict}");
        assert!(lost_share(&beside) > 0.2, "{beside:#}");
    }
    let seconds = beside["seconds"].as_array().expect("a list");
    assert!(seconds.iter().any(|it| it["said"].as_str().is_some_and(|it| it.contains(&named))));
    assert!(number(&beside["meanwhile"]["involuntary_switches"]) > 0, "{beside:#}");

    // Others may keep the core busy for a while.
    await_some("less is lost without the neighbour", || {
        let without = measure(&folder, "500ms", core);
        assert_eq!(ran_ns(&without, pid), None, "{without:#}");
        (lost_share(&without) < lost_share(&beside)).then_some(())
    });
}

#[test]
fn the_parts_of_a_measurement_agree_with_each_other() {
    let _alone = cores_to_ourselves();
    let folder = tempfile::tempdir().expect("a folder");
    let core = measure(&folder, "1100ms", last_core());
    let sum = |list: &Value, field: &str| {
        let list = list.as_array().expect("a list");
        list.iter().map(|it| number(&it[field])).sum::<u64>()
    };
    let stalls = &core["stalls"];
    for (field, of_second) in [("count", "count"), ("lost_ns", "lost_ns")] {
        assert_eq!(sum(&stalls["classes"], field), number(&stalls[field]), "{core:#}");
        assert_eq!(sum(&core["seconds"], of_second), number(&stalls[field]), "{core:#}");
    }
    let lost_to = core["lost_to"].as_object().expect("an object");
    assert_eq!(lost_to.values().map(number).sum::<u64>(), number(&stalls["lost_ns"]));
    assert_eq!(sum(&core["seconds"], "length_ns"), number(&core["measured_ns"]));
    // Ticks become nanoseconds with a rounding.
    assert!(number(&core["measured_ns"]) >= 1_099_999_000, "{core:#}");
    assert!(number(&core["turns"]["p50_ns"]) > 0, "{core:#}");
}

#[test]
fn percentiles_and_log_are_left_and_can_be_read() {
    let _alone = cores_to_ourselves();
    let folder = tempfile::tempdir().expect("a folder");
    let core = last_core();
    let words = ["--for", "1s", "--core", &core.to_string(), "--out", "found", "--json"];
    let found = parse(&jitter(&folder, &words));
    let files: Vec<_> = found["files"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it.as_str().expect("a path").to_owned())
        .collect();
    let [percentiles, log] = &files[..] else { panic!("two files, not {files:?}") };
    let host = found["host"].as_str().expect("a name");
    let start = format!("found/jitter-{host}-core{core}-");
    assert!(percentiles.starts_with(&start) && percentiles.ends_with(".hgrm"), "{percentiles}");
    assert!(log.starts_with(&start) && log.ends_with(".hlog"), "{log}");

    let text = fs::read_to_string(folder.path().join(percentiles)).expect("a file");
    let count = number(&found["cores"][0]["stalls"]["count"]);
    assert!(count > 0, "a second without a single stall: {found:#}");
    let rows: Vec<Vec<f64>> = text
        .lines()
        .filter(|line| line.starts_with(' ') && !line.contains("Value"))
        .map(|line| line.split_whitespace().map(|it| it.parse().expect("a number")).collect())
        .collect();
    let last = rows.last().expect("a row");
    assert_eq!((last[1], last[2] as u64), (1.0, count), "{text}");
    let worst_us = number(&found["cores"][0]["stalls"]["worst_ns"]) as f64 / 1e3;
    assert!((last[0] - worst_us).abs() <= worst_us / 500.0, "{worst_us} us in {text}");
    assert!(text.ends_with("#[Unit: us]\n"), "{text}");

    let report = Hotspur::start(folder.path(), &["report", log, "--json"]).wait();
    assert_eq!(report.status, Some(0), "{}", report.log);
    assert_eq!(parse(&report)["spans"]["stalls"]["count"], count);
}

#[test]
fn compared_cores_are_all_shown() {
    let _alone = cores_to_ourselves();
    let folder = tempfile::tempdir().expect("a folder");
    // Two suffice, where there are many.
    let cores: Vec<_> = usable().into_iter().take(2).map(|it| it.to_string()).collect();
    let list = cores.join(",");
    let words = ["--for", "300ms", "--compare", "--core", &list];
    let text = jitter(&folder, &words).output;
    for core in &cores {
        assert!(text.contains(&format!("\ncore {core}, ")), "core {core} in {text}");
    }
    assert_eq!(text.matches("\nverdict: ").count(), cores.len(), "{text}");
    assert_eq!(text.contains(" is taken away the least: "), cores.len() > 1, "{text}");
    let found = parse(&jitter(&folder, &[&words[..], &["--json"]].concat()));
    let shown: Vec<_> = found["cores"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["core"].to_string())
        .collect();
    assert_eq!(shown, cores);
}

#[test]
fn told_to_end_it_says_what_it_has_found_so_far() {
    let _alone = cores_to_ourselves();
    let folder = tempfile::tempdir().expect("a folder");
    let running = Hotspur::start(folder.path(), &["jitter", "--for", "1h", "--json", "-v"]);
    let core = running.await_event("jitter.second").number("core");
    running.signal("INT");
    let ended = running.wait();
    assert_eq!(ended.status, Some(0), "{}", ended.log);
    let found = parse(&ended);
    assert_eq!((&found["cut"], &found["cores"][0]["core"]), (&true.into(), &core.into()));
    let measured = number(&found["cores"][0]["measured_ns"]);
    assert!((999_999_000..3_600_000_000_000).contains(&measured), "{measured}");
    assert!(found["notes"].to_string().contains("told to end before the 1h were over"));
}

#[test]
fn a_core_that_is_not_there_is_refused_with_those_that_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |words: &[&str]| {
        let ended = Hotspur::start(folder.path(), &[&["jitter"], words].concat()).wait();
        assert_eq!((ended.status, ended.output.as_str()), (Some(2), ""), "{}", ended.log);
        ended.log
    };
    let log = refused(&["--core", "1000"]);
    assert!(log.contains("--core 1000: this process may run on cores "), "{log}");
    let log = refused(&["--core", "none"]);
    assert!(log.contains("\"none\" is no list of cores"), "{log}");
    let log = refused(&["--threshold", "1ns"]);
    assert!(log.contains("a threshold is 100ns to 1h"), "{log}");
    let log = refused(&["-c", "hotspur.toml"]);
    assert!(log.contains("`hotspur jitter` reads no configuration"), "{log}");
}
