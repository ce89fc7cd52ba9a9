//! `report`: logs in, tables, JSON and a page out; statuses of comparisons; files that are damaged.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::histogram_logs::{SHAPE, SLOW, Shape, write_log};

struct Said {
    status: Option<i32>,
    output: String,
    errors: String,
}

impl Said {
    #[track_caller]
    fn is(self, status: i32, words: &[&str]) -> Said {
        let all = format!("{}\n{}", self.output, self.errors);
        assert_eq!(self.status, Some(status), "{all}");
        for word in words {
            assert!(all.contains(word), "no {word:?} in:\n{all}");
        }
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.output).unwrap_or_else(|it| panic!("{it}: {}", self.output))
    }
}

fn report(folder: &Path, words: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_hotspur"))
        .arg("report")
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { status: output.status.code(), output: text(output.stdout), errors: text(output.stderr) }
}

fn folder(logs: &[(&str, Shape)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    logs.iter().for_each(|(stem, shape)| _ = write_log(folder.path(), stem, *shape));
    folder
}

fn page(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).expect("a page")
}

#[test]
fn a_log_becomes_a_table_and_a_page_beside_it() {
    let folder = folder(&[("a.b", SHAPE)]);
    fs::write(folder.path().join("a.b.slow.jsonl"), SLOW).expect("a file");
    let said = report(folder.path(), &["a.b.hlog"]).is(0, &["report: a.b.html"]);
    let lines: Vec<&str> = said.output.lines().collect();
    assert!(lines[0].starts_with("latency ") && lines[0].ends_with(" max"), "{}", said.output);
    assert!(lines[1].starts_with("source                     40,000"), "{}", said.output);
    for words in ["2000 a second over 20.0 s", "slow records", "time goes to", "source 9"] {
        assert!(said.output.contains(words), "no {words} in:\n{}", said.output);
    }
    let page = page(folder.path(), "a.b.html");
    for words in ["How fast?", "At which rate?", "Where does the time go?", "Can I trust it?"] {
        assert!(page.contains(words), "no {words}");
    }
    for words in [
        "An EPYC",
        "orders:3:712",
        "mood new",
        "preempted: another thread had the core for 8 ms",
        "40,000",
    ] {
        assert!(page.contains(words), "no {words}");
    }
    assert!(page.contains("&lt;b&gt;orders&lt;/b&gt;") && !page.contains("<b>orders"));
    report(folder.path(), &["a.b.hlog", "-o", "other.html"]).is(0, &["report: other.html"]);
    assert!(folder.path().join("other.html").is_file());
}

#[test]
fn several_files_are_merged_and_a_window_cuts_them() {
    let later = Shape { seed: 2, later: Duration::from_secs(10), ..SHAPE };
    let folder = folder(&[("a", SHAPE), ("b", later)]);
    let run = |more: &[&str]| {
        let words = [&["a.hlog", "b.hlog", "--json"], more].concat();
        report(folder.path(), &words).is(0, &[]).json()
    };
    let both = run(&[]);
    assert_eq!(both["records"], 80_000);
    assert_eq!(both["seconds"], 30.0, "ten seconds are in both, and count once");
    assert_eq!(both["files"].as_array().map(Vec::len), Some(2));
    assert_eq!(both["spans"]["end_to_end"]["count"], 80_000);
    assert_eq!(both["spans"]["ack"]["count"], 80_000);
    let part = run(&["--since", "2026-11-21T05:37:10Z", "--until", "2026-11-21T05:37:15Z"]);
    assert_eq!(part["records"], 20_000, "five seconds of each");
    assert_eq!(part["seconds"], 5.0);
    report(folder.path(), &["a.hlog", "--until", "2020-01-01T00:00:00Z"])
        .is(2, &["--since, --until: no interval"]);
    report(folder.path(), &["a.hlog", "--since", "yesterday"]).is(2, &["RFC 3339"]);
}

#[test]
fn a_comparison_tells_noise_from_difference_and_a_tolerance_ends_with_1() {
    let same = Shape { seed: 7, ..SHAPE };
    let slower = Shape { seed: 8, percent: 110, ..SHAPE };
    let folder = folder(&[("base", SHAPE), ("same", same), ("slower", slower)]);
    let run = |file: &str, more: &[&str]| {
        report(folder.path(), &[&[file, "--base", "base.hlog"], more].concat())
    };
    run("same.hlog", &[]).is(0, &["against the base of 2026-11-21 05:37:00 UTC", "within noise"]);
    // The rule is about the difference, also where it is noise, of which p99.9 has much here.
    run("same.hlog", &["--tolerance", "60%"]).is(0, &["no p50, p99 or p99.9 of a total grew by"]);
    run("slower.hlog", &[]).is(0, &["slower"]);
    let said = run("slower.hlog", &["--tolerance", "5%"]);
    said.is(1, &["transit p50 grew by +", "more than 5.0 %", "(slower)", "report: slower.html"]);
    run("slower.hlog", &["--tolerance", "0.9"]).is(0, &["more than 90.0 %"]);
    let json = run("slower.hlog", &["--tolerance", "5%", "--json"]).is(1, &[]).json();
    let exceeded = json["comparison"]["exceeded"].as_array().expect("a list");
    let p50 = exceeded.iter().find(|it| it["span"] == "transit" && it["percentile"] == "p50");
    let p50 = p50.expect("transit's p50 among them");
    let growth = p50["growth"].as_f64().expect("a number");
    assert!((0.08..0.12).contains(&growth) && p50["meaning"] == "slower", "{p50}");
    let html = page(folder.path(), "slower.html");
    assert!(html.contains("Against the base") && html.contains("grew by more than"));
    report(folder.path(), &["same.hlog", "--tolerance", "5%"]).is(2, &["--base"]);
    run("same.hlog", &["--tolerance", "five"]).is(2, &["a tolerance is a share"]);
}

#[test]
fn a_total_that_has_vanished_is_within_no_tolerance() {
    let folder = folder(&[("base", SHAPE), ("now", SHAPE)]);
    let path = folder.path().join("now.hlog");
    let text = fs::read_to_string(&path).expect("a log");
    let is_tagged = |line: &&str| line.starts_with("Tag=") || line.starts_with(['#', '"']);
    let tagged: Vec<_> = text.lines().filter(is_tagged).collect();
    fs::write(&path, tagged.join("\n") + "\n").expect("a log without a sum");
    let words = ["now.hlog", "--base", "base.hlog"];
    report(folder.path(), &words).is(0, &["transit"]);
    let said = report(folder.path(), &[&words[..], &["--tolerance", "5%"]].concat());
    said.is(1, &["end_to_end has records in the base and none now"]);
}

#[test]
fn a_time_beyond_all_times_is_an_error_with_its_line() {
    let folder = folder(&[("a", SHAPE)]);
    let path = folder.path().join("a.hlog");
    let text = fs::read_to_string(&path).expect("a log");
    let (head, line) = text.split_once("\nTag=").expect("an interval");
    let rest = line.split_once(',').expect("a tag").1.split_once(',').expect("a time").1;
    let wrong = format!("{head}\nTag=source,18446744073709551615.000,{rest}");
    fs::write(&path, wrong).expect("a log");
    report(folder.path(), &["a.hlog"]).is(2, &["a.hlog:", "no interval can lie there in time"]);
}

#[test]
fn a_comparison_names_what_was_not_alike() {
    let other = Shape {
        records_an_interval: 1_000,
        facts: "name: orders\nprofile: throughput\ncpu: Another",
        ..SHAPE
    };
    let folder = folder(&[("base", SHAPE), ("now", other)]);
    let said = report(folder.path(), &["now.hlog", "--base", "base.hlog"]);
    said.is(0, &["cpu: An EPYC then, Another now", "rate: 2000 records/s then, 1000 now"]);
}

#[test]
fn a_log_that_was_cut_is_read_up_to_its_last_whole_interval() {
    let folder = folder(&[("a", SHAPE)]);
    let path = folder.path().join("a.hlog");
    let text = fs::read(&path).expect("a log");
    let last = text.windows(8).rposition(|it| it == b"\n19.000,").expect("a last interval");
    fs::write(&path, &text[..last + 40]).expect("a file that can be written");
    let said =
        report(folder.path(), &["a.hlog", "--json"]).is(0, &["a.hlog: it ends in the middle"]);
    assert_eq!(said.json()["records"], 38_000);
    assert_eq!(said.json()["intervals"], 19);
}

#[test]
fn what_is_no_log_is_refused_with_file_line_and_way_out() {
    let folder = folder(&[("a", SHAPE)]);
    let write = |name: &str, text: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file that can be written");
        path
    };
    let text = fs::read_to_string(folder.path().join("a.hlog")).expect("a log");
    write("words.hlog", b"# a comment\nhello\n");
    write("damaged.hlog", text.replacen("HIST", "XIST", 1).as_bytes());
    write("empty.hlog", b"");
    let run = |words: &[&str]| report(folder.path(), words);
    run(&["words.hlog"])
        .is(2, &["words.hlog:2: \"hello\" is no line of a histogram log;", "observe.out"]);
    run(&["a.hlog", "damaged.hlog"]).is(2, &["damaged.hlog:", "the histogram of source cannot be"]);
    run(&["empty.hlog"]).is(2, &["empty.hlog:1: the file is empty"]);
    run(&["missing.hlog"]).is(2, &["missing.hlog: cannot be read"]);
    run(&["a.hlog", "-o", "a.hlog"]).is(2, &["would be overwritten"]);
    run(&["a.hlog", "-o", "no/such/folder.html"]).is(2, &["cannot be written", "-o"]);
    run(&[]).is(2, &["FILE.hlog"]);
    run(&["a.hlog", "-s", "name=b"]).is(2, &["reads no configuration"]);
}
