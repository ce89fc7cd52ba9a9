//! What is written, in which order, and that all of it is taken back from wherever it stopped.

use std::{fs, io::Write};

use super::tree::Tree;

const CORES: [&str; 2] = ["--cores", "2-3"];

#[test]
fn everybody_else_is_moved_off_the_cores() {
    let tree = Tree::new();
    let before = tree.state();
    tree.isolate(&CORES).is(
        0,
        &[
            "cores 2-3 are isolated",
            "echo PID > /sys/fs/cgroup/hotspur/cgroup.procs",
            "kernel threads: 2 moved; 1 are bound",
            "  isolcpus=managed_irq,domain,2-3 nohz_full=2-3 rcu_nocbs=2-3 irqaffinity=0-1\n",
            "GRUB_CMDLINE_LINUX",
        ],
    );
    let expected = [
        ("proc/irq/default_smp_affinity", "3"),
        ("proc/irq/0/smp_affinity_list", "0-1"),
        ("proc/irq/24/smp_affinity_list", "0-1"),
        ("proc/irq/25/smp_affinity_list", "0-1"),
        ("proc/irq/26/smp_affinity_list", "0"),
        ("proc/sys/kernel/watchdog_cpumask", "0-1"),
        ("proc/sys/vm/stat_interval", "10"),
        ("sys/devices/virtual/workqueue/cpumask", "3"),
        ("sys/devices/virtual/workqueue/writeback/cpumask", "3"),
        ("sys/class/net/eth0/queues/rx-0/rps_cpus", "3"),
        ("sys/class/net/lo/queues/rx-0/rps_cpus", "0"),
        ("sys/fs/cgroup/hotspur/cpuset.cpus", "2-3"),
        ("sys/fs/cgroup/hotspur/cpuset.cpus.partition", "isolated"),
    ];
    for (path, text) in expected {
        assert_eq!(tree.text(path), format!("{text}\n"), "{path}");
    }
    let mask = |number| {
        let status = tree.text(&format!("proc/{number}/task/{number}/status"));
        status.lines().last().expect("a mask").to_owned()
    };
    assert_eq!(mask(2), "Cpus_allowed_list:\t0-1", "a kernel thread");
    assert_eq!(mask(52), "Cpus_allowed_list:\t0", "one whose name has brackets");
    assert_eq!(mask(14), "Cpus_allowed_list:\t2", "a bound one");
    assert_eq!(
        mask(900),
        "Cpus_allowed_list:\t1-3",
        "the partition moves programs, not the script"
    );
    tree.isolate(&["--status"]).is(0, &["cores 2-3 were isolated", "hotspur: isolated"]);

    tree.isolate(&["--undo"]).is(0, &["the former state is in force again"]);
    assert_eq!(tree.state(), before);
    tree.isolate(&["--undo"]).is(0, &["nothing to undo"]);
}

#[test]
fn a_dry_run_prints_each_write_and_makes_none() {
    let tree = Tree::new();
    let before = tree.state();
    let answer = tree.isolate(&["--cores=2-3", "--dry-run"]).is(
        0,
        &[
            "/proc/irq/default_smp_affinity: f -> 3\n",
            "/proc/irq/25/smp_affinity_list: 2-3 -> 0-1\n",
            "/proc/sys/vm/stat_interval: 1 -> 10\n",
            "/sys/class/net/eth0/queues/rx-0/rps_cpus: c -> 3\n",
            "/proc/52/task/52 (a (name) of) its own): 0,2-3 -> 0\n",
            "/sys/fs/cgroup/hotspur: absent -> folder\n",
            "/sys/fs/cgroup/hotspur/cpuset.cpus.partition: member -> isolated\n",
            "isolcpus=managed_irq,domain,2-3",
        ],
    );
    assert_eq!(tree.state(), before);
    assert!(!answer.text.contains("/proc/irq/26/"), "nothing to change:\n{}", answer.text);
}

/// A kill behind each line of the journal and behind each change; and one while it is undone.
#[test]
fn a_kill_behind_any_step_is_undone() {
    let tree = Tree::new();
    tell_of_irqbalance(&tree);
    let before = tree.state();
    let mut step = 0;
    loop {
        step += 1;
        let answer = tree.isolate_until(step, &CORES);
        if answer.status == Some(0) {
            break;
        }
        answer.was_killed();
        if !tree.text("run/hotspur-isolate/journal").ends_with("complete\n") {
            tree.isolate(&CORES).is(1, &["cut short", "--undo first"]);
            tree.isolate(&["--status"]).is(1, &["cut short"]);
        }
        tree.isolate(&["--undo"]).is(0, &["the former state"]);
        assert_eq!(tree.state(), before, "killed after {step} steps");
    }
    assert!(step > 30, "only {step} steps");
    let mut undone = 0;
    while tree.isolate_until(undone + 1, &["--undo"]).status.is_none() {
        undone += 1;
        assert!(tree.path("run/hotspur-isolate/journal").exists(), "there is more to undo");
    }
    assert!(undone > 15, "only {undone} steps");
    assert_eq!(tree.state(), before, "undone, with a kill behind each step of it");
}

#[test]
fn a_line_of_the_journal_without_its_end_was_not_acted_on() {
    let tree = Tree::new();
    let before = tree.state();
    tree.isolate_until(12, &CORES).was_killed();
    let journal = tree.path("run/hotspur-isolate/journal");
    let mut journal = fs::OpenOptions::new().append(true).open(journal).expect("a journal");
    write!(journal, "file\t{}\t", tree.path("proc/irq/26/smp_affinity_list").display())
        .expect("half a line");
    tree.isolate(&["--undo"]).is(0, &["the former state"]);
    assert_eq!(tree.state(), before);
}

/// One interrupt has gone with its device, and one thread has ended and left its number to another.
#[test]
fn what_is_gone_is_not_missed() {
    let tree = Tree::new();
    tree.isolate(&CORES).is(0, &[]);
    fs::remove_dir_all(tree.path("proc/irq/24")).expect("an interrupt");
    let stat = tree.text("proc/2/task/2/stat").replace(" 41 ", " 77 ");
    tree.write("proc/2/task/2/stat", &stat);
    tree.isolate(&["--undo"]).is(0, &["the former state"]);
    assert!(!tree.path("proc/irq/24").exists());
    assert!(tree.text("proc/2/task/2/status").ends_with("\t0-1\n"), "another thread's mask");
    assert!(tree.text("proc/52/task/52/status").ends_with("\t0,2-3\n"));
}

#[test]
fn irqbalance_spares_the_cores_and_gets_its_own_list_back() {
    let tree = Tree::new();
    tell_of_irqbalance(&tree);
    let before = tree.state();
    tree.isolate(&CORES).is(0, &[]);
    let unit = tree.text("run/systemd/system/irqbalance.service.d/hotspur-isolate.conf");
    let file = tree.path("run/hotspur-isolate/irqbalance");
    assert_eq!(unit, format!("[Service]\nEnvironmentFile={}\n", file.display()));
    let list = tree.text("run/hotspur-isolate/irqbalance");
    assert_eq!(list, "IRQBALANCE_BANNED_CPULIST=1-3\n", "its own and ours");
    let restarted = "daemon-reload\nrestart irqbalance.service\n";
    assert_eq!(tree.service_log(), restarted);
    tree.isolate(&["--undo"]).is(0, &[]);
    assert_eq!(tree.state(), before);
    assert_eq!(tree.service_log(), restarted.repeat(2));
}

#[test]
fn irqbalance_without_systemd_is_named() {
    let tree = Tree::new();
    tell_of_irqbalance(&tree);
    fs::remove_dir_all(tree.path("run/systemd")).expect("systemd's folder");
    let words = ["irqbalance (process 700) was not told", "IRQBALANCE_BANNED_CPULIST=1-3"];
    tree.isolate(&CORES).is(1, &words);
}

fn tell_of_irqbalance(tree: &Tree) {
    tree.write("proc/700/comm", "irqbalance\n");
    tree.write("proc/700/environ", "LANG=C\0IRQBALANCE_BANNED_CPULIST=1\0");
    fs::create_dir_all(tree.path("run/systemd/system")).expect("systemd's folder");
}

/// More cores than a word of a mask holds, some of them without hyperthreads of ours.
#[test]
fn wide_masks_are_read_and_written_as_the_kernel_has_them() {
    let tree = Tree::new();
    tree.write("sys/devices/system/cpu/online", "0-95\n");
    tree.write("proc/irq/default_smp_affinity", "ffffffff,ffffffff,ffffffff\n");
    tree.write("sys/devices/virtual/workqueue/cpumask", "ffffffff,00000000,00000000\n");
    tree.write("proc/irq/24/smp_affinity_list", "8,40-95\n");
    tree.write("sys/devices/system/cpu/cpu40/topology/thread_siblings_list", "8,40\n");
    tree.isolate(&["--cores", "40-47,64-95", "--dry-run"]).is(
        0,
        &[
            "default_smp_affinity: ffffffff,ffffffff,ffffffff -> ffff00ff,ffffffff\n",
            // Nothing of it is left: the housekeeping cores stand in.
            "workqueue/cpumask: ffffffff,00000000,00000000 -> ffff00ff,ffffffff\n",
            "/proc/irq/24/smp_affinity_list: 8,40-95 -> 8,48-63\n",
            "core 40 shares its execution units with 8",
            "isolcpus=managed_irq,domain,40-47,64-95",
            "irqaffinity=0-39,48-63",
        ],
    );
}

/// Since Linux 6.9 a partition narrows the mask that is in force, and what was asked for is aside.
#[test]
fn the_mask_that_was_asked_for_is_put_back_not_the_one_in_force() {
    let tree = Tree::new();
    tree.write("sys/devices/virtual/workqueue/cpumask", "b\n");
    tree.write("sys/devices/virtual/workqueue/cpumask_requested", "f\n");
    let line = "/sys/devices/virtual/workqueue/cpumask: f -> 3\n";
    tree.isolate(&["--cores", "2-3", "--dry-run"]).is(0, &[line]);
}

#[test]
fn what_the_kernel_was_booted_with_is_not_asked_for_again() {
    let tree = Tree::new();
    let all = "isolcpus=managed_irq,domain,3 nohz_full=3 rcu_nocbs=3 irqaffinity=0-2";
    tree.write("proc/cmdline", &format!("quiet {all}\n"));
    let answer = tree.isolate(&["--cores", "3", "--dry-run"]).is(0, &["all that only a boot"]);
    assert!(!answer.text.contains("nohz_full"), "{}", answer.text);
    tree.write("proc/cmdline", &format!("{}\n", all.replace("rcu_nocbs=3 ", "")));
    tree.isolate(&["--cores", "3", "--dry-run"]).is(0, &["\n  rcu_nocbs=3\n"]);
}
