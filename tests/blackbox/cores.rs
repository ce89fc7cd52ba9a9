//! The hot core: nobody else of the process on it, and no second hot thread.

use std::fs;

use crate::{
    payload::name,
    support::{
        hotspur::Hotspur,
        kafka::Kafka,
        message::Message,
        names::{HOT_CORE, HOT_THREAD, PID, RUN_CORE, RUN_STARTED},
        pipeline::Pipeline,
    },
};

#[cfg_attr(target_os = "linux", test)]
fn no_other_thread_of_the_process_may_run_on_the_hot_core() {
    let kafka = Kafka::shared();
    // The last core: the other test here wants the first.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let last = cores as i64 - 1;
    let pipeline = Pipeline::names(kafka).set("engine.core", last);
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    hotspur.await_assigned();
    kafka.produce(&pipeline.input, &[Message::new(name(0))]);
    kafka.await_committed_to_end(&pipeline.group, &pipeline.input);
    let core = hotspur.await_event(RUN_CORE).text(HOT_CORE).to_owned();
    let threads = threads(hotspur.await_event(RUN_STARTED).number(PID));
    let (hot, others): (Vec<_>, Vec<_>) =
        threads.into_iter().partition(|(name, _)| name == HOT_THREAD);
    assert_eq!(hot.len(), 1, "{others:?}");
    assert!(others.iter().any(|(name, _)| name.starts_with("rdk:")), "{others:?}");
    assert_eq!(core, last.to_string());
    assert_eq!(hot[0].1, core, "the hot thread's cores");
    for (name, allowed) in others {
        // On the only core all must run; the log says so.
        let apart = !contains(&allowed, &core);
        assert!(apart || cores == 1, "{name} may run on {allowed}, core {core} is hot");
    }
    let told_shared = hotspur.stop().log.contains("core.shared");
    assert_eq!(told_shared, cores == 1);
}

#[cfg_attr(target_os = "linux", test)]
fn without_an_isolated_core_the_hot_thread_is_not_pinned_and_that_is_said() {
    let isolated = fs::read_to_string("/sys/devices/system/cpu/isolated").unwrap_or_default();
    let tickless = fs::read_to_string("/sys/devices/system/cpu/nohz_full").unwrap_or_default();
    let has_some = [&isolated, &tickless].iter().any(|it| it.contains(|c: char| c.is_numeric()));
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).set("engine.core", "auto");
    pipeline.create_topics(kafka, 1);
    let hotspur = pipeline.run();
    let core = hotspur.await_event(RUN_CORE).text(HOT_CORE).to_owned();
    hotspur.await_assigned();
    let log = hotspur.stop().log;
    assert_eq!(log.contains("no isolated core is free"), core == "none", "{log}");
    assert_eq!(core == "none", !has_some, "isolated {isolated:?}, tickless {tickless:?}");
}

#[cfg_attr(target_os = "linux", test)]
fn a_core_that_another_hot_thread_runs_on_is_refused() {
    let kafka = Kafka::shared();
    let pipeline = Pipeline::names(kafka).set("engine.core", 0);
    pipeline.create_topics(kafka, 1);
    // Another test's process may have taken the core: then both of these are refused.
    let first = pipeline.run();
    let second = pipeline.run();
    let refused = |hotspur: Hotspur| {
        hotspur.signal("TERM");
        let ended = hotspur.wait();
        (ended.status == Some(2)).then(|| {
            let told = ended.log;
            assert!(told.contains("engine.core = 0") && told.contains("choose another"), "{told}");
        })
    };
    second.await_end_or_start();
    first.await_end_or_start();
    let refusals = [first, second].into_iter().filter_map(refused).count();
    assert!(refusals >= 1, "two hot threads shared core 0");
}

/// Names of the threads of a process, and the cores they may run on.
fn threads(pid: u64) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
        .map(|status| {
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().trim().to_owned()
            };
            (field("Name:"), field("Cpus_allowed_list:"))
        })
        .collect()
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
