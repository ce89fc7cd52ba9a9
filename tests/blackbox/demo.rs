//! The demonstration: the whole of it with nothing installed, and what it says at the end.

use crate::support::{hotspur::Hotspur, pipeline::files_in};

#[test]
fn the_demo_runs_and_says_what_happened() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("demo-out");
    let arguments = ["--rate", "500", "--for", "3s", "--out", "demo-out"];
    let hotspur = Hotspur::start(folder.path(), &[&["demo"], &arguments[..]].concat());
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(0), "{}\n{}", ended.output, ended.log);

    let said = format!("{}\n{}", ended.output, ended.log).to_lowercase();
    assert!(said.contains("embedded broker"), "{said}");
    assert!(said.contains("redis") || said.contains("file table"), "{said}");
    let stages = ["source", "queue", "batch", "parse", "operate", "encode", "send", "ack"];
    let headings = ["p50", "p90", "p99", "p99.9", "p99.99", "max"];
    let outcomes = ["emitted", "skipped", "dead-lettered"];
    for word in stages.iter().chain(&["transit", "end_to_end"]).chain(&headings).chain(&outcomes) {
        assert!(ended.output.contains(word), "no {word} in:\n{}", ended.output);
    }
    assert!(ended.output.contains("Live page: http://127.0.0.1:"), "{}", ended.output);
    let counts = ended.counts();
    counts.assert_balanced();
    assert_eq!(counts.polled, 1_500);
    assert!(counts.emitted > 0 && counts.skipped > 0, "{counts:?}");
    assert_eq!(counts.rejected, 3, "some orders are none");
    assert_eq!(files_in(&out, ".hlog").len(), 1);
    assert_eq!(files_in(&out, ".end_to_end.hgrm").len(), 1);
    let pages = files_in(&out, ".html");
    assert_eq!(pages.len(), 1);
    let page = std::fs::read_to_string(&pages[0]).expect("a page");
    assert!(page.contains("embedded broker: a demonstration, not a measurement"), "{page}");
    assert!(ended.output.contains("demo-out"), "{}", ended.output);
}

#[test]
fn a_rate_beyond_the_machine_is_missed_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let hotspur = Hotspur::start(folder.path(), &["demo", "--rate", "300k", "--for", "1s"]);
    let ended = hotspur.wait();
    assert_eq!(ended.status, Some(0), "{}\n{}", ended.output, ended.log);
    let counts = ended.counts();
    counts.assert_balanced();
    assert_eq!((counts.polled, counts.rejected), (300_000, 600));
}
