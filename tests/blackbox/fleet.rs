//! `scripts/fleet`: several processes of one configuration, seen as one.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use hotspur::host::Cores;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use serde_json::Value;

use crate::{
    payload::name,
    support::{
        PATIENCE, await_true, http::get, kafka::Kafka, message::Message, pipeline::Pipeline,
    },
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/fleet");

/// A fleet in a folder of its own; dropped, none of its processes runs any more.
struct Fleet {
    folder: tempfile::TempDir,
    configuration: PathBuf,
}

/// What the script came to: status, standard output, standard error.
type Said = (Option<i32>, String, String);

impl Fleet {
    fn of(pipeline: &Pipeline) -> Fleet {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Fleet { folder, configuration: pipeline.written() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("fleet")
    }

    fn say(&self, command: &str, options: &[&str]) -> Said {
        // As it is typed: the script is to find its processes by any path of the folder.
        let output = Command::new(SCRIPT)
            .args([command, "--dir", "./fleet/"])
            .args(options)
            .current_dir(self.folder.path())
            .env("HOTSPUR_PROGRAM", env!("CARGO_BIN_EXE_hotspur"))
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env_remove("HOTSPUR_CONFIG")
            .env_remove("HOTSPUR_PROFILE")
            .stdin(Stdio::null())
            .output()
            .expect("the script runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn start(&self, number: &str, options: &[&str]) -> Said {
        let configuration = self.configuration.to_str().expect("a path in UTF-8");
        self.say("start", &[&["-n", number, "-c", configuration], options].concat())
    }

    /// Where each process listens.
    fn addresses(&self) -> Vec<String> {
        let (status, text, _) = self.say("status", &[]);
        assert_eq!(status, Some(0), "{text}");
        let address =
            |line: &str| Some(line.split_once("http://")?.1.split_once('/')?.0.to_owned());
        text.lines().map(|line| address(line).expect(line)).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let (status, _, told) = self.say("stop", &[]);
        if status != Some(0) {
            eprintln!("scripts/fleet stop: {status:?}: {told}");
        }
    }
}

fn polled(address: &str) -> u64 {
    let (status, text) = get(address, "/metrics");
    assert_eq!(status, 200, "{text}");
    let value = |line: &str| line.strip_prefix("hotspur_polled_records_total ")?.parse().ok();
    text.lines().find_map(value).expect("a counter of polled records")
}

fn partitions(address: &str) -> usize {
    let (status, text) = get(address, "/live/moment");
    assert_eq!(status, 200, "{text}");
    let moment: Value = serde_json::from_str(&text).expect("a moment is JSON");
    moment["lag"].as_array().expect("a list").len()
}

/// Names of the group's members, as the brokers have them.
fn members(kafka: &Kafka, group: &str) -> Vec<String> {
    let mut config = ClientConfig::new();
    let client: BaseConsumer =
        config.set("bootstrap.servers", kafka.brokers()).create().expect("a client");
    let list = client.fetch_group_list(Some(group), PATIENCE).expect("a list of groups");
    let members = list.groups().iter().flat_map(|it| it.members());
    members.map(|it| it.id().to_owned()).collect()
}

fn exists(folder: &Path, file: &str) -> bool {
    folder.join(file).exists()
}

#[test]
fn two_processes_share_the_partitions_and_are_seen_as_one() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 4);
    let fleet = Fleet::of(&pipeline);
    let (status, text, told) = fleet.start("2", &["--", "-s", "commit.nothing=1"]);
    assert_eq!(status, Some(2), "{text}{told}");
    assert!(told.contains("commit"), "an argument for each is checked first: {told}");
    let (status, text, told) = fleet.start("2", &["--", "-s", "latency.slow=5ms"]);
    assert_eq!(status, Some(0), "{text}{told}");
    let addresses = fleet.addresses();
    assert!(addresses.len() == 2 && addresses[0] != addresses[1], "{addresses:?}");
    await_true("two partitions each", || addresses.iter().all(|it| partitions(it) == 2));
    let mut members = members(kafka, &pipeline.group);
    members.sort();
    let is_static = |(place, id): (usize, &String)| id.contains(&format!("-{place}-"));
    assert!(members.len() == 2 && members.iter().enumerate().all(is_static), "{members:?}");

    let records: Vec<_> =
        (0..1_000).map(|it| Message::new(name(it)).key(format!("key {it}"))).collect();
    kafka.produce(&pipeline.input, &records);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    await_true("all are counted", || addresses.iter().map(|it| polled(it)).sum::<u64>() == 1_000);
    assert!(addresses.iter().all(|it| polled(it) > 0), "both have some");

    let (status, picture, told) = fleet.say("top", &[]);
    assert_eq!(status, Some(0), "{told}");
    for words in ["2 processes", "-0 ", "-1 ", "all; largest", "all are ready"] {
        assert!(picture.contains(words), "no {words} in {picture}");
    }

    let (status, _, told) = fleet.start("2", &[]);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("run there already"), "{told}");
    assert_eq!(fleet.say("stop", &[]).0, Some(0));
    let (status, text, _) = fleet.say("status", &[]);
    assert_eq!((status, text.trim_end().starts_with("no fleet was started")), (Some(3), true));
    let (status, report, told) = fleet.say("report", &[]);
    assert_eq!(status, Some(0), "{told}");
    assert!(report.contains("1,000") && exists(&fleet.path(), "fleet.html"), "{report}");
    let (status, text, told) = fleet.start("1", &[]);
    assert_eq!(status, Some(0), "{text}{told}");
    assert_eq!(fleet.addresses(), addresses[..1], "ports stay");
}

#[cfg_attr(target_os = "linux", test)]
fn a_fleet_starts_as_a_whole_or_not_at_all() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka);
    pipeline.create_topics(kafka, 1);
    let fleet = Fleet::of(&pipeline);
    // The second finds the core taken by the first.
    let cores = Cores::read(Path::new("/")).reachable();
    let core = cores.iter().next().expect("a core");
    let (status, text, told) = fleet.start("2", &["--cores", &format!("{core},{core}")]);
    assert_eq!(status, Some(3), "{text}{told}");
    let taken = format!("engine.core = {core}");
    assert!(told.contains(&taken) && told.contains("none runs"), "{told}");
    assert_eq!(fleet.say("status", &[]).0, Some(3));
    for (options, reason) in [
        (&["-n", "0"][..], "not \"0\""),
        (&["-n", "two"], "not \"two\""),
        (&["-n", "2", "-c", "missing.toml"], "there is no missing.toml"),
        (&["-n", "3", "--cores", "0-1"], "2 cores for 3 processes"),
        (&["-n", "2", "--cores", "0-x"], "\"0-x\" is no list of cores"),
        (&["-n"], "usage:"),
    ] {
        let whole = [&["-c", fleet.configuration.to_str().expect("UTF-8")], options].concat();
        let (status, _, told) = fleet.say("start", &whole);
        assert_eq!(status, Some(2), "{options:?}: {told}");
        assert!(told.contains(reason), "{options:?}: {told}");
    }
    assert_eq!(fleet.say("top", &[]).0, Some(3));
}
