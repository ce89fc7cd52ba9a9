//! Kernel parameters, sysctl's file and tuned's profile: read by a kernel, by sysctl and by tuned.

use std::process::Command;

use serde_json::{Value, json};

use super::{TOOLS, accepts, copy, file, project, refuses, tool};

/// The one line that is no comment.
fn command_line() -> String {
    let text = file("kernel-command-line.txt");
    let lines: Vec<&str> = text.lines().filter(|it| !it.starts_with('#')).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].to_owned()
}

/// A Linux is booted with the line, and loads the file.
#[test]
fn a_kernel_takes_the_parameters_and_the_values() {
    let script = "set -e
        for name in isolated nohz_full; do echo \"$name $(cat /sys/devices/system/cpu/$name)\"; done
        echo \"irqaffinity $(cat /proc/irq/default_smp_affinity)\"
        dmesg | grep 'Offload RCU'
        sysctl --load 90-hotspur.conf || true
        sysctl vm.stat_interval vm.swappiness kernel.sched_rt_runtime_us net.core.rmem_max";
    // Ends with this thread, and the machine with the script.
    let mut machine = Command::new("setpriv");
    machine.args(["--pdeathsig", "KILL", "--", &project("scripts/machine")]);
    machine.args(["--append", &command_line()]);
    machine.args(["--with", &project("tuning/host/90-hotspur.conf"), "--", "bash", "-c", script]);
    let text = accepts(&mut machine);
    let expected = [
        "isolated 2-3\n",
        "nohz_full 2-3\n",
        "irqaffinity 3\n",
        "Offload RCU callbacks from CPUs: 2-3.\n",
        "vm.stat_interval = 10\n",
        "vm.swappiness = 1\n",
        "kernel.sched_rt_runtime_us = -1\n",
        "net.core.rmem_max = 16777216\n",
    ];
    for line in expected {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    // A virtual machine has no such counters, and the file says that it may be refused.
    let refused: Vec<&str> = text.lines().filter(|it| it.starts_with("sysctl: ")).collect();
    assert!(refused.iter().all(|it| it.contains("\"kernel.nmi_watchdog\"")), "{refused:?}");
}

#[test]
fn sysctl_reads_the_file() {
    let load = |path: &str| {
        let mut command = Command::new("sysctl");
        command.args(["--dry-run", "--load", path]);
        command
    };
    let text = accepts(&mut load(&project("tuning/host/90-hotspur.conf")));
    assert!(text.contains("vm.compaction_proactiveness = 0"), "{text}");
    let folder = tempfile::tempdir().expect("a folder");
    let broken = file("90-hotspur.conf").replace("vm.swappiness", "vm.swapiness");
    let path = copy(folder.path(), "90-hotspur.conf", &broken);
    refuses(&mut load(path.to_str().expect("a path in UTF-8")), "vm/swapiness");
}

/// tuned's own loader, with its own functions and the options of its own plugins.
fn load_profile(variables: &str) -> Command {
    let mut command = tool("python");
    command.arg(project("tests/host_files/tuned_profile.py"));
    command.arg(format!("{TOOLS}/tuned/files")).arg(project("tuning/host/tuned/hotspur"));
    command.arg(variables);
    command
}

#[test]
fn tuned_loads_the_profile_and_sets_the_same() {
    let variables = project("tuning/host/tuned/hotspur/hotspur-variables.conf");
    let text = accepts(&mut load_profile(&variables));
    let line = text.lines().find(|it| it.starts_with('{')).expect("JSON");
    let units: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(units["irqbalance"], json!({ "banned_cpus": "2-3" }));
    assert_eq!(units["systemd"], json!({ "cpu_affinity": "0,1" }));
    assert_eq!(units["sysfs"]["/sys/devices/virtual/workqueue/cpumask"], "00000003");
    assert_eq!(units["scheduler"]["isolated_cores"], "2-3");
    assert_eq!(units["cpu"]["governor"], "performance", "from the profile that it includes");
    let own = units["bootloader"]["cmdline_hotspur"].as_str().expect("text");
    let included = units["bootloader"]["cmdline_network_latency"].as_str().expect("text");
    assert_eq!(format!("{} {included}", own.trim_start_matches('+')), command_line());

    let sysctl = &units["sysctl"];
    let values = file("90-hotspur.conf");
    let values =
        values.lines().filter(|it| !it.starts_with('#')).filter_map(|it| it.split_once(" = "));
    let ours = values.filter(|(key, _)| !key.starts_with("net.")).inspect(|(key, value)| {
        let key = key.trim_start_matches('-');
        assert_eq!(sysctl[key], *value, "{key} in the profile and in 90-hotspur.conf");
    });
    assert_eq!(ours.count(), 6);
}

#[test]
fn tuned_refuses_a_profile_without_cores_or_with_some_that_are_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let none = copy(folder.path(), "none.conf", "\n");
    let words = "Assertion 'isolated_cores are set' failed";
    refuses(&mut load_profile(none.to_str().expect("a path in UTF-8")), words);
    let absent = copy(folder.path(), "absent.conf", "isolated_cores=3-4\n");
    let words = "Assertion 'isolated_cores are online' failed";
    refuses(&mut load_profile(absent.to_str().expect("a path in UTF-8")), words);
}
