//! The hot core: nobody else of the process on it, no second hot thread, and no page fault.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hotspur::host::Cores;

use crate::{
    payload::name,
    support::{
        hotspur::Hotspur,
        kafka::Kafka,
        message::Message,
        names::{CLIENT_SLEEPS, CLIENT_SPINS, HOT_CORE, HOT_THREAD, PID, RUN_CORE, RUN_STARTED},
        pipeline::Pipeline,
    },
};

/// Records before anything is counted, and afterwards.
const WARM_UP: u64 = 1000;
const ROUNDS: u64 = 6;
const OF_A_ROUND: u64 = 500;

/// Looks at all threads, a round.
const SAMPLES: u64 = 50;

#[cfg_attr(target_os = "linux", test)]
fn the_hot_thread_is_alone_on_its_core_and_once_warm_meets_no_page_fault() {
    let kafka = Kafka::shared();
    let cores = usable();
    let last = *cores.last().expect("a core");
    let pipeline = Pipeline::names(kafka).set("engine.core", last).set("profile", "low-latency");
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    if is_alone(&cores, &hotspur) {
        return;
    }
    hotspur.await_assigned();
    let core = hotspur.await_event(RUN_CORE).text(HOT_CORE).to_owned();
    assert_eq!(core, last.to_string());
    let pid = hotspur.await_event(RUN_STARTED).number(PID);
    let process = |count: u64| {
        let records: Vec<_> = (0..count).map(|number| Message::new(name(number))).collect();
        kafka.produce(&pipeline.input, &records);
        kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    };
    process(WARM_UP);
    let threads = threads(pid);
    let hot = threads.iter().find(|it| it.name == HOT_THREAD).expect("a hot thread");
    assert_eq!(hot.allowed, core, "the hot thread's cores");
    assert!(threads.iter().any(|it| it.name.starts_with("rdk:")), "{threads:?}");
    for Thread { name, allowed, .. } in threads.iter().filter(|it| it.name != HOT_THREAD) {
        let is_apart = !contains(allowed, &core);
        assert!(is_apart, "{name} may run on {allowed}, core {core} is hot");
    }
    let before = hot.counts();
    for _ in 0..ROUNDS {
        let records: Vec<_> = (0..OF_A_ROUND).map(|it| Message::new(name(it))).collect();
        kafka.produce(&pipeline.input, &records);
        for thread in (0..SAMPLES).flat_map(|_| self::threads(pid)) {
            let is_hot = thread.name == HOT_THREAD;
            assert_eq!(thread.core == core, is_hot, "{thread:?}, core {core} is hot");
        }
    }
    process(OF_A_ROUND);
    let after = hot.counts();
    assert_eq!(after.migrations, before.migrations, "None: the system does not count them");
    assert_eq!(after.faults[1], before.faults[1], "major faults");
    // Without the right to lock memory the kernel may take pages and give them back.
    if hotspur.await_event(RUN_CORE).text("memory") == "locked" {
        assert_eq!(after.faults[0], before.faults[0], "minor faults");
    }
    assert!(!hotspur.stop().log.contains("core.shared"));
}

#[cfg_attr(target_os = "linux", test)]
fn a_client_thread_that_spins_has_the_core_that_is_named() {
    let kafka = Kafka::shared();
    let cores = usable();
    let (first, last) = (cores[0], *cores.last().expect("a core"));
    if first == last {
        return;
    }
    let pipeline = Pipeline::names(kafka)
        .set("profile", "ultra")
        .set("engine.core", last)
        .set("engine.client_cores", first.to_string());
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    let spins = hotspur.await_event(CLIENT_SPINS);
    assert_eq!(spins.number(HOT_CORE), first as u64);
    let count = 100;
    let records: Vec<_> = (0..count).map(|it| Message::new(name(it))).collect();
    kafka.produce(&pipeline.input, &records);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let pid = hotspur.await_event(RUN_STARTED).number(PID);
    let names_broker =
        |it: &&Thread| it.name.starts_with("rdk:broker") && it.allowed == first.to_string();
    assert!(threads(pid).iter().any(|it| names_broker(&it)), "{:?}", threads(pid));
    // The reader's thread finds no core left, and the run goes on without one for it.
    hotspur.await_event(CLIENT_SLEEPS);
    let ended = hotspur.stop();
    assert_eq!(ended.counts().emitted, count);
}

#[cfg_attr(target_os = "linux", test)]
fn without_an_isolated_core_the_hot_thread_is_not_pinned_and_that_is_said() {
    let cores = Cores::read(Path::new("/"));
    let quiet = cores.isolated.or(&cores.tickless).and(&cores.reachable());
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).set("engine.core", "auto");
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    let core = hotspur.await_event(RUN_CORE).text(HOT_CORE).to_owned();
    hotspur.await_assigned();
    let log = hotspur.stop().log;
    assert_eq!(log.contains("no isolated core is free"), core == "none", "{log}");
    assert_eq!(core == "none", quiet.is_empty(), "{cores:?}");
}

#[cfg_attr(target_os = "linux", test)]
fn a_core_that_another_hot_thread_runs_on_is_refused() {
    let kafka = Kafka::shared();
    let core = usable()[0];
    let pipeline = Pipeline::names(kafka).set("engine.core", core);
    pipeline.create_topics(kafka, 1);
    let first = pipeline.run();
    first.await_event(RUN_STARTED);
    let refused = pipeline.run().wait();
    assert_eq!(refused.status, Some(2), "{}", refused.log);
    let told = refused.log;
    assert!(
        told.contains(&format!("engine.core = {core}")) && told.contains("choose another"),
        "{told}"
    );
    first.stop();
}

/// A thread of a process, as the system tells of it.
#[derive(Debug)]
struct Thread {
    folder: PathBuf,
    name: String,
    /// The cores that it may run on.
    allowed: String,
    /// The one that it ran on last.
    core: String,
}

impl Thread {
    fn read(folder: PathBuf) -> Option<Thread> {
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        let (name, allowed) = (field("Name:"), field("Cpus_allowed_list:"));
        let core = stat(&fs::read_to_string(folder.join("stat")).ok()?, 39)?.to_owned();
        Some(Thread { folder, name, allowed, core })
    }

    fn counts(&self) -> Counts {
        let text = fs::read_to_string(self.folder.join("stat")).expect("the thread runs");
        let number = |field| stat(&text, field).and_then(|it| it.parse().ok()).expect("a number");
        let scheduling = fs::read_to_string(self.folder.join("sched")).unwrap_or_default();
        let line = scheduling.lines().find(|line| line.contains("nr_migrations"));
        let migrations = line.and_then(|line| line.rsplit_once(':')?.1.trim().parse().ok());
        Counts { faults: [number(10), number(12)], migrations }
    }
}

/// What happened to a thread so far.
#[derive(Clone, Copy, Debug)]
struct Counts {
    /// Minor and major ones.
    faults: [u64; 2],
    /// From core to core, where the system counts them.
    migrations: Option<u64>,
}

/// Cores that this process may use, from the lowest.
fn usable() -> Vec<i64> {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let list = list.expect("a list of cores").trim().to_owned();
    (0..1024).filter(|core| contains(&list, &core.to_string())).collect()
}

/// Whether a run that spins was refused because there is only this core.
fn is_alone(cores: &[i64], hotspur: &Hotspur) -> bool {
    if cores.len() > 1 {
        return false;
    }
    hotspur.await_end_or_start();
    hotspur.log.text().contains("may run on core")
}

/// A field of `/proc/PID/stat`, counted from 1. The second, a name, may hold blanks.
fn stat(text: &str, field: usize) -> Option<&str> {
    text.rsplit_once(") ")?.1.split(' ').nth(field - 3)
}

fn threads(pid: u64) -> Vec<Thread> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    tasks.filter_map(|task| Thread::read(task.ok()?.path())).collect()
}

/// True if a list such as `0,2-3` names the core.
fn contains(list: &str, core: &str) -> bool {
    let core: u32 = core.parse().expect("a core's number");
    list.split(',').any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.parse::<u32>().expect("a core's number");
        (number(first)..=number(last)).contains(&core)
    })
}
