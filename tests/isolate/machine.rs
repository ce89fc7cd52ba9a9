//! A Linux that the script really changes: what the kernel says before, during and after.
//!
//! One boot for all of it. `guest.bash` prints sections, which are judged here.

use std::{collections::BTreeMap, process::Command};

use super::command::Answer;

/// What each section printed.
struct Sections(BTreeMap<String, String>);

impl Sections {
    fn read(text: &str) -> Sections {
        let mut sections = BTreeMap::new();
        for part in format!("\n{text}").split("\n== ").skip(1) {
            let (name, text) = part.split_once('\n').unwrap_or((part, ""));
            let former = sections.insert(name.to_owned(), format!("{}\n", text.trim_end()));
            assert!(former.is_none(), "two sections {name}");
        }
        Sections(sections)
    }

    #[track_caller]
    fn of(&self, name: &str) -> &str {
        let names: Vec<_> = self.0.keys().collect();
        self.0.get(name).unwrap_or_else(|| panic!("no section {name} in {names:?}"))
    }

    /// Expects this status, and these words.
    #[track_caller]
    fn is(&self, name: &str, status: i32, words: &[&str]) {
        let text = self.of(name);
        assert!(text.ends_with(&format!("status {status}\n")), "{name}:\n{text}");
        self.says(name, words);
    }

    #[track_caller]
    fn says(&self, name: &str, words: &[&str]) {
        let text = self.of(name);
        for word in words {
            assert!(text.contains(word), "no {word:?} in {name}:\n{text}");
        }
    }

    /// Expects the state of another section, byte for byte.
    #[track_caller]
    fn same(&self, before: &str, after: &str) {
        let [was, is] = [self.of(before), self.of(after)].map(|it| it.lines().collect::<Vec<_>>());
        let gone: Vec<_> = was.iter().filter(|it| !is.contains(it)).collect();
        let new: Vec<_> = is.iter().filter(|it| !was.contains(it)).collect();
        assert_eq!(was, is, "{before} has {gone:#?}, {after} has {new:#?}");
    }
}

#[test]
fn the_kernel_isolates_and_gives_back() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let answer = Answer::of(
        // Ends with this thread, and the machine with the script.
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", &format!("{folder}/scripts/machine")])
            .args(["--seconds", "500", "--with", &format!("{folder}/scripts")])
            .args(["--with", &format!("{folder}/tests/isolate/guest.bash")])
            .args(["--", "bash", "guest.bash"]),
    );
    let sections = Sections::read(&answer.is(0, &[]).text);
    is_isolated(&sections);
    keeps_others_away(&sections);
    is_taken_back(&sections);
    says_which_right_is_missing(&sections);
}

fn is_isolated(sections: &Sections) {
    sections.is("dry_run", 0, &["/sys/fs/cgroup/cgroup.subtree_control: (empty) -> +cpuset\n"]);
    sections.same("before", "after_dry_run");
    let fixed = "interrupts that cannot be moved: 0, 2\n";
    sections.is("isolate", 0, &[fixed, "cores 2-3 are isolated"]);
    sections.is("status", 0, &["partition /sys/fs/cgroup/hotspur: isolated"]);
    sections.is("again", 0, &["isolated already"]);
    sections.is("others", 1, &["cores 2-3 are isolated already", "--undo first"]);
    let expected = [
        "/sys/fs/cgroup/hotspur/cpuset.cpus.partition isolated\n",
        "/sys/fs/cgroup/hotspur/cpuset.cpus.effective 2-3\n",
        "/sys/fs/cgroup/cpuset.cpus.effective 0-1\n",
        "/proc/irq/default_smp_affinity 3\n",
        "/proc/irq/3/smp_affinity_list 0-1\n",
        "/proc/sys/kernel/watchdog_cpumask 0-1\n",
        "/sys/devices/virtual/workqueue/cpumask 3\n",
        "/sys/devices/virtual/workqueue/writeback/cpumask 3\n",
        " kthreadd 0-1\n",
        " rcu_preempt 0-1\n",
        " kswapd0 0-1\n",
    ];
    sections.says("isolated", &expected);
    let crossing = |section| {
        let lines = sections.of(section).lines();
        lines.filter(|line| line.starts_with("/proc/") && line.ends_with(" 0-3")).count()
    };
    assert!(crossing("before") > 25, "{}", sections.of("before"));
    assert_eq!(crossing("isolated"), 2, "only interrupts 0 and 2:\n{}", sections.of("isolated"));
}

/// Three busy loops had the choice of two cores or four, and nothing interrupted the two.
fn keeps_others_away(sections: &Sections) {
    let seen = sections.of("busy");
    assert_eq!(seen.lines().count(), 3, "{seen}");
    for line in seen.lines() {
        assert!(["cores 0", "cores 1", "cores 0 1"].contains(&line), "{line}");
    }
    sections.is("pinned", 1, &["Invalid argument"]);
    let port = sections.of("interrupts");
    assert!(["0\n", "1\n"].contains(&port), "interrupts on 2 or 3, or the port's there:\n{port}");
    sections.says("guest", &["current affinity list: 2,3\n", "\ncores 3\n"]);
    let drifted = "no longer: interrupt 1 (i8042) may run on cores 2-3";
    sections.is("drifted_status", 1, &[drifted]);
}

fn is_taken_back(sections: &Sections) {
    sections.says("before", &[" sleep 0\n", " sleep 1-2\n", " sleep 2-3\n"]);
    sections.is("undo", 0, &["was in the partition and is in /sys/fs/cgroup now"]);
    sections.same("before", "undone");
    sections.is("undo_again", 0, &["nothing to undo"]);

    sections.says("killed", &["status 137"]);
    sections.is("killed_again", 1, &["cut short", "--undo first"]);
    sections.is("killed_undo", 0, &[]);
    sections.same("before", "killed_undone");

    sections.is("stopped_60", 137, &[]);
    sections.is("stopped_60_undo", 137, &[]);
    sections.is("stopped_60_undo_again", 0, &[]);
    sections.same("before", "stopped_60_undone");
}

fn says_which_right_is_missing(sections: &Sections) {
    sections.is("not_root", 3, &["the right of root is missing; run it with sudo"]);
    let words = [
        "vm.stat_interval, a partition: this root is only that of a user namespace",
        "(kswapd0): the right CAP_SYS_NICE is missing",
        "nothing could be changed",
    ];
    sections.is("user_namespace", 3, &words);
    let words = [
        "interrupt 9 (acpi): /proc/irq is mounted read-only, as in a container",
        "vm.stat_interval: /proc/sys is mounted read-only",
        "writeback/cpumask: /sys is mounted read-only",
        "a partition: /sys/fs/cgroup is mounted read-only",
        "cores 2-3 are isolated in part",
        "status 1\nthe former state is in force again",
    ];
    sections.is("read_only", 0, &words);
    let words = ["below the host's first cgroup, as in a container", "status 1\n"];
    sections.is("container", 0, &words);
    let words = ["isolated invalid (Cpu list in cpuset.cpus not exclusive)", "in part"];
    sections.is("neighbour", 1, &words);
    sections.is("neighbour_undo", 0, &[]);
    sections.same("before", "refused_undone");
    let words = ["cgroup version 1 holds the cpuset controller (/tmp/version_1)", "in part"];
    sections.is("version_1", 1, &words);
    sections.is("version_1_undo", 0, &[]);
    sections.same("version_1_before", "version_1_undone");
}
