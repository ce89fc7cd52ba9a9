//! The template of a service, as `systemd-analyze` reads it.

use std::{collections::BTreeSet, fs, process::Command};

use super::{accepts, copy, file, refuses};

const INSTALLED: &str = "/usr/local/bin/hotspur";

/// The template, with the program that was built here in place of the one that would be installed.
fn unit() -> String {
    let text = file("hotspur@.service");
    assert!(text.contains(INSTALLED), "{text}");
    text.replace(INSTALLED, env!("CARGO_BIN_EXE_hotspur"))
}

fn analyze(words: &[&str]) -> Command {
    let mut command = Command::new("systemd-analyze");
    command.args(words).arg("--no-pager").env("SYSTEMD_LOG_COLOR", "0");
    command
}

#[test]
fn systemd_takes_the_unit_and_warns_of_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let verify = ["verify", "--man=no", "--recursive-errors=no"];
    let path = copy(folder.path(), "hotspur@3.service", &unit());
    assert_eq!(accepts(analyze(&verify).arg(path)), "", "warnings");

    let broken = unit().replace(env!("CARGO_BIN_EXE_hotspur"), "/nowhere/hotspur");
    let path = copy(folder.path(), "hotspur@4.service", &broken);
    refuses(analyze(&verify).arg(path), "Command /nowhere/hotspur is not executable");
}

/// 10 is a service that nothing holds back; systemd calls all below 2 "OK".
#[test]
fn the_service_may_do_little_else_than_its_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let security = ["security", "--offline=yes", "--threshold=20"];
    let path = copy(folder.path(), "hotspur@3.service", &unit());
    let report = accepts(analyze(&security).arg(path));
    assert!(report.contains("Overall exposure level for hotspur@3.service: 1."), "{report}");

    let open = unit().replace("CapabilityBoundingSet=\n", "").replace("SystemCallFilter=", "#");
    let path = copy(folder.path(), "hotspur@4.service", &open);
    refuses(analyze(&security).arg(path), "Overall exposure level");
}

/// What pins, locks and raises the hot thread.
#[test]
fn the_filter_of_system_calls_lets_the_hot_thread_have_its_core() {
    let calls = calls_of("@system-service");
    let needed = ["mlockall", "mlock2", "sched_setaffinity", "sched_setscheduler", "prctl"];
    for call in needed.into_iter().chain(["epoll_wait", "sendto", "madvise", "prlimit64"]) {
        assert!(calls.contains(call), "{call} is not in @system-service");
    }
    assert!(!calls.contains("reboot"), "a filter that keeps nothing away");
    let unit = unit();
    assert!(unit.contains("\nSystemCallFilter=@system-service\n"), "{unit}");
    assert!(!unit.contains("\nRestrictRealtime="), "SCHED_FIFO would be refused");
}

/// All that a run asks of the system: nothing is refused to it by the unit.
#[test]
fn a_run_makes_no_call_that_the_unit_refuses() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("strace");
    command.args(["--follow-forks", "--quiet=all", "--output=trace"]);
    // Hundreds of thousands of them, and allowed.
    command.args(["--trace=!futex,clock_nanosleep,epoll_wait"]);
    command.args([env!("CARGO_BIN_EXE_hotspur"), "demo", "--rate", "100", "--for", "1s"]);
    command.args(["--out", "out", "-s", "observe.listen=127.0.0.1:0"]);
    accepts(command.current_dir(folder.path()));
    let trace = fs::read(folder.path().join("trace")).expect("what was traced");
    let trace = String::from_utf8_lossy(&trace);
    let calls: BTreeSet<&str> = trace.lines().filter_map(call).collect();
    assert!(calls.contains("sched_setaffinity") && calls.len() > 40, "{calls:?}");
    let allowed = calls_of("@system-service");
    let refused: Vec<_> = calls.iter().filter(|it| !allowed.contains(**it)).collect();
    assert!(refused.is_empty(), "{refused:?}");

    let unit = unit();
    let families = unit.lines().find_map(|it| it.strip_prefix("RestrictAddressFamilies="));
    let families: Vec<&str> = families.expect("families").split(' ').collect();
    for part in trace.split(" socket(").skip(1) {
        let family = part.split(',').next().expect("a family");
        assert!(families.contains(&family), "{family} is not among {families:?}");
    }
    assert!(!trace.contains("PROT_WRITE|PROT_EXEC"), "MemoryDenyWriteExecute= refuses that");
}

/// The call of a line `1234 read(3, …`, or of one that goes on with a call.
fn call(line: &str) -> Option<&str> {
    let (_, call) = line.split_once(' ')?;
    let call = call.trim_start();
    let call = call.strip_prefix("<... ").unwrap_or(call);
    let end = call.find(|it: char| !it.is_ascii_alphanumeric() && it != '_')?;
    Some(&call[..end]).filter(|it| !it.is_empty())
}

/// The calls of a group, and of the groups in it.
fn calls_of(group: &str) -> BTreeSet<String> {
    let text = accepts(&mut analyze(&["syscall-filter", group]));
    let mut calls = BTreeSet::new();
    for name in text.lines().filter_map(|line| line.strip_prefix("    ")) {
        match name.trim() {
            group if group.starts_with('@') => calls.append(&mut calls_of(group)),
            name => _ = calls.insert(name.to_owned()),
        }
    }
    calls
}

#[test]
fn the_service_restarts_where_that_can_help() {
    let unit = unit();
    let lines = [
        "Type=notify",
        "WatchdogSec=30",
        "Restart=on-failure",
        // Bad configuration, and an open breaker.
        "RestartPreventExitStatus=2 4",
        "LimitMEMLOCK=infinity",
        "Environment=HOTSPUR_INSTANCE=%H-%i",
        "CPUAffinity=0-1",
    ];
    for line in lines {
        assert_eq!(unit.lines().filter(|it| *it == line).count(), 1, "{line}");
    }
}

/// The command of instance 3, as systemd would give it, with a configuration to check.
#[test]
fn the_arguments_of_an_instance_are_understood() {
    let folder = tempfile::tempdir().expect("a folder");
    let orders = include_str!("../../tuning/pipelines/orders.toml");
    let configuration = copy(folder.path(), "hotspur.toml", orders);
    let unit = unit().replace("\\\n", " ").replace("%i", "3").replace("%H", "web1");
    let line = unit.lines().find_map(|it| it.strip_prefix("ExecStart=")).expect("a command");
    let mut words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words.pop(), Some("run"));
    let configured = configuration.to_str().expect("a path in UTF-8");
    let words = words.iter().map(|it| match *it {
        "/etc/hotspur/hotspur.toml" => configured,
        other => other.trim_matches('\''),
    });
    let words: Vec<&str> = words.chain(["check", "--effective"]).collect();
    let mut command = Command::new(words[0]);
    let text = accepts(command.args(&words[1..]).env("HOTSPUR_INSTANCE", "web1-3"));
    let member = "\"group.instance.id\" = \"web1-3\"";
    for value in
        ["instance = \"web1-3\"", member, "core = 3", "127.0.0.3:9464", "/var/lib/hotspur/3"]
    {
        assert!(text.contains(value), "no {value} in\n{text}");
    }
}
