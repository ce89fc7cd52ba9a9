//! Other people's tools read our histogram logs, with the options that they have by default.
//!
//! HdrHistogram's own `HistogramLogProcessor` (Java) and the Python package `hdrhistogram` find
//! `end_to_end` without a tag and each stage by its tag, and their percentiles are ours. Both are
//! installed by `scripts/setup`. The logs have 40,000 records, so that each percentile is a whole
//! rank: between two ranks Python takes the nearer one, Java and we the upper one.

#[path = "support/histogram_logs.rs"]
#[expect(dead_code, reason = "others use the rest")]
mod histogram_logs;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use histogram_logs::{SHAPE, STAGES, write_log};
use serde_json::Value;

const PERCENTILES: [(&str, f64); 6] = [
    ("p50", 50.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("p99.99", 99.99),
    ("max", 100.0),
];

/// Reads a log as its documentation shows it.
const PYTHON: &str = "
import sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
total = HdrHistogram(1, 3600 * 10**9, 3)
reader = HistogramLogReader(sys.argv[1], total)
tag = sys.argv[2] if len(sys.argv) > 2 else None
while (interval := reader.get_next_interval_histogram()) is not None:
    if interval.get_tag() == tag:
        total.add(interval)
print(total.get_total_count())
for percentile in [50, 90, 99, 99.9, 99.99, 100]:
    print(total.get_value_at_percentile(percentile))
";

/// Our figures of a log, by span: the count, then the percentiles in nanoseconds.
fn ours(log: &Path) -> BTreeMap<String, Vec<u64>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hotspur"));
    let output = command.arg("report").arg(log).arg("--json").output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let spans = report["spans"].as_object().expect("spans");
    let number = |span: &Value, field: &str| span[field].as_u64().expect("a whole number");
    let figures = |span: &Value| {
        let named = PERCENTILES.iter().map(|(name, _)| number(span, &format!("{name}_ns")));
        std::iter::once(number(span, "count")).chain(named).collect()
    };
    spans.iter().map(|(name, span)| (name.clone(), figures(span))).collect()
}

/// The log, and each span of it with the tag that it has.
fn log() -> (tempfile::TempDir, PathBuf, Vec<(String, Option<String>)>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write_log(folder.path(), "a", SHAPE);
    let mut spans = vec![("end_to_end".to_owned(), None)];
    let tags = STAGES.iter().map(|it| it.name()).chain(["transit"]);
    spans.extend(tags.map(|it| (it.to_owned(), Some(it.to_owned()))));
    (folder, path, spans)
}

fn servers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".servers")
}

fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} does not start ({error}); scripts/setup installs it")
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}; scripts/setup installs it");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn python_reads_the_percentiles_that_we_report() {
    let (_folder, path, spans) = log();
    let ours = ours(&path);
    for (span, tag) in spans {
        let mut command = Command::new(servers().join("hdrhistogram/bin/python"));
        let text = output_of(command.args(["-c", PYTHON]).arg(&path).args(tag));
        let theirs: Vec<u64> = text.lines().map(|it| it.parse().expect("a whole number")).collect();
        assert_eq!(theirs, ours[&span], "{span}");
    }
}

#[test]
fn java_reads_the_percentiles_that_we_report() {
    let (_folder, path, spans) = log();
    let ours = ours(&path);
    for (span, tag) in spans {
        let mut command = Command::new("java");
        command.arg("-XX:TieredStopAtLevel=1").arg("-cp").arg(servers().join("kafka/libs/*"));
        command.args(["org.HdrHistogram.HistogramLogProcessor", "-i"]).arg(&path);
        if let Some(tag) = &tag {
            command.args(["-tag", tag]);
        }
        let text = output_of(&mut command);
        let (rows, count) = rows(&text);
        assert_eq!(count, ours[&span][0], "{span}");
        for ((name, percentile), nanos) in PERCENTILES.iter().zip(&ours[&span][1..]) {
            // By default it prints milliseconds, to the microsecond, and not every percentile.
            let Some(theirs) = rows.get(&format!("{:.6}", percentile / 100.0)) else { continue };
            assert_eq!(*theirs, format!("{:.3}", *nanos as f64 / 1e6), "{span} {name}");
        }
        for percentile in ["0.500000", "0.900000", "1.000000"] {
            assert!(rows.contains_key(percentile), "{span}: no {percentile} in {text}");
        }
    }
}

/// Values by percentile as they stand in a printed distribution, and the count below it.
fn rows(text: &str) -> (BTreeMap<String, String>, u64) {
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|it| !it.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [value, percentile, ..] = words[..]
            && let Ok(percentile) = percentile.parse::<f64>()
        {
            rows.insert(format!("{percentile:.6}"), value.to_owned());
        }
    }
    let count = text.split("Total count").nth(1).expect("a count");
    let digits = count.trim_start_matches([' ', '=']).chars().take_while(char::is_ascii_digit);
    (rows, digits.collect::<String>().parse().expect("a number"))
}
