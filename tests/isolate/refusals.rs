//! What is refused before anything is changed, and what a host cannot give, in sentences.

use std::fs;

use super::tree::Tree;

#[test]
fn bad_lists_and_cores_that_are_not_there_are_refused() {
    let cases = [
        ("two", "no list of cores"),
        ("", "no list of cores"),
        ("3-2", "no list of cores"),
        ("1,,2", "no list of cores"),
        ("2-1024", "no list of cores such as 2-3,6, each below 1024"),
        ("2-5", "there is no core 4-5, or it is offline; online are 0-3"),
        ("0-3", "no core would be left"),
    ];
    let tree = Tree::new();
    let before = tree.state();
    for (cores, words) in cases {
        tree.isolate(&["--cores", cores]).is(2, &[words]);
    }
    for words in [&["--cores"][..], &[], &["--core", "2"], &["--dry-run"]] {
        tree.isolate(words).is(2, &["usage: scripts/isolate --cores LIST"]);
    }
    assert_eq!(tree.state(), before);
}

/// A core that was isolated at boot is nobody's house.
#[test]
fn a_core_stays_for_housekeeping() {
    let tree = Tree::new();
    tree.write("sys/devices/system/cpu/isolated", "0-1\n");
    let words = ["no core would be left", "isolated since the boot are 0-1"];
    tree.isolate(&["--cores", "2-3"]).is(2, &words);
    tree.write("sys/devices/system/cpu/isolated", "(null)\n");
    tree.isolate(&["--cores", "2-3", "--dry-run"]).is(0, &[]);
}

#[test]
fn one_isolation_at_a_time() {
    let tree = Tree::new();
    tree.isolate(&["--cores", "2-3"]).is(0, &[]);
    let during = tree.state();
    tree.isolate(&["--cores", "3,2"]).is(0, &["cores 2-3 are isolated already"]);
    tree.isolate(&["--cores", "1"]).is(1, &["cores 2-3 are isolated already", "--undo first"]);
    assert_eq!(tree.state(), during);
}

#[test]
fn what_no_longer_holds_is_named() {
    let tree = Tree::new();
    tree.isolate(&["--status"]).is(3, &["nothing is isolated"]);
    tree.isolate(&["--cores", "2-3"]).is(0, &[]);
    tree.write("proc/irq/24/smp_affinity_list", "3\n");
    tree.write("proc/52/task/52/status", "Cpus_allowed_list:\t0-3\n");
    let partition = "sys/fs/cgroup/hotspur/cpuset.cpus.partition";
    tree.write(partition, "isolated invalid (Cpu list in cpuset.cpus not exclusive)\n");
    tree.isolate(&["--status"]).is(
        1,
        &[
            "no longer: interrupt 24 (eth0-rx-0) may run on cores 3",
            "no longer: kernel thread 52 (a (name) of) its own) may run on cores 0-3",
            "no longer: the partition is not in force: isolated invalid (Cpu list",
        ],
    );
}

/// All but the partition is done, and taken back.
#[test]
fn cgroups_that_give_no_partition_are_told_apart() {
    let version_1 = "cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n";
    let unified = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
    let cases = [
        (version_1.to_owned(), "version 1 holds the cpuset controller (/sys/fs/cgroup/cpuset)"),
        (format!("{version_1}{unified}"), "boot with cgroup_no_v1=cpuset"),
        (String::new(), "mount -t cgroup2 none /sys/fs/cgroup"),
        (unified.to_owned(), "no cpuset controller (CONFIG_CPUSETS)"),
    ];
    for (mounts, words) in cases {
        let tree = Tree::new();
        tree.write("proc/mounts", &mounts);
        tree.write("sys/fs/cgroup/unified/cgroup.controllers", "cpu io\n");
        let before = tree.state();
        let part = "cores 2-3 are isolated in part";
        tree.isolate(&["--cores", "2-3"]).is(1, &[words, "other programs may still run", part]);
        assert_eq!(tree.text("proc/irq/24/smp_affinity_list"), "0-1\n");
        tree.isolate(&["--undo"]).is(0, &[]);
        assert_eq!(tree.state(), before);
    }
}

#[test]
fn a_cgroup_below_the_hosts_and_a_strangers_folder_are_left_alone() {
    let tree = Tree::new();
    tree.write("sys/fs/cgroup/cgroup.type", "domain\n");
    tree.isolate(&["--cores", "2-3"]).is(1, &["below the host's first cgroup", "on the host"]);
    tree.isolate(&["--undo"]).is(0, &[]);
    fs::remove_file(tree.path("sys/fs/cgroup/cgroup.type")).expect("the file");
    tree.write("sys/fs/cgroup/hotspur/cgroup.procs", "77\n");
    tree.isolate(&["--cores", "2-3"]).is(1, &["there already, and not of this script"]);
    tree.isolate(&["--undo"]).is(0, &[]);
    assert_eq!(tree.text("sys/fs/cgroup/hotspur/cgroup.procs"), "77\n");
}
