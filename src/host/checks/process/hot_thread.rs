//! Whether the hot thread is pinned, and alone: no other thread of its process may run on its core,
//! and no thread of another did.

#[cfg(test)]
use super::recorded::{CLIENT, CLIENT_STATUS, COMM, STAT, STATUS};
use super::{Check, Finding, Host, Told, Wish, allowed, asked, name, proc_files::TaskStat};
use crate::host::checks::Mend;
#[cfg(test)]
use crate::host::checks::{Level, cases::Case};

pub(in super::super) const CHECK: Check = Check {
    name: "hot_thread",
    cost: "whoever else runs on the core keeps the hot thread waiting for 10 µs to 4 ms a time",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const NAMED_MAX: usize = 4;
/// Threads of the kernel have this one as their parent; they are the business of other checks.
const KERNEL_PARENT: &str = "2";

fn run(host: &Host, wish: &Wish) -> Told {
    let (pid, folder) = asked(host, wish)?;
    let cores = allowed(host, &folder)?;
    let pinned = cores.iter().next().filter(|_| cores.len() == 1);
    let Some(core) = pinned else {
        let found = format!("not pinned: it may run on cores {cores} (/{folder}/status)");
        return Ok(Finding::judge(true, wish.own(), found, || {
            Mend::setting("engine.core = N, or an isolated core for \"auto\", and a restart:")
        }));
    };
    let ours = beside(host, pid, &folder, core);
    let others = visitors(host, pid, core, age(host, &folder));
    let found = format!(
        "pinned to core {core}; of its process there may run {}; of others there ran since it \
         began {}",
        list(&ours),
        list(&others)
    );
    let is_bad = !ours.is_empty() || !others.is_empty();
    Ok(Finding::judge(is_bad, wish.own(), found, || match ours.is_empty() {
        true => Mend::boot(format!("isolcpus=managed_irq,domain,{core}")),
        false => Mend::new(
            format!("taskset -cp {} TID for each of them", host.others(core)),
            "no; to keep it: engine.housekeeping_cores without that core in the configuration",
        ),
    }))
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names if names.len() > NAMED_MAX => {
            format!("{} and {} more", names[..NAMED_MAX].join(", "), names.len() - NAMED_MAX)
        }
        names => names.join(", "),
    }
}

/// Other threads of the process that may run there.
fn beside(host: &Host, pid: u32, hot: &str, core: usize) -> Vec<String> {
    let folders = host.tasks(pid).into_iter().map(|task| (task, format!("proc/{pid}/task/{task}")));
    let may = folders.filter(|(_, folder)| {
        folder != hot && allowed(host, folder).is_ok_and(|cores| cores.contains(core))
    });
    may.map(|(task, _)| format!("{} ({task})", name(host, pid, task).unwrap_or_default())).collect()
}

/// How long the hot thread has been there, in milliseconds; without end where that is not told.
fn age(host: &Host, hot: &str) -> f64 {
    let age = || {
        let began = TaskStat::parse(&host.optional(&format!("{hot}/stat"))?)?.began;
        let up = host.optional("proc/uptime")?.split(' ').next()?.parse::<f64>().ok()?;
        Some(up * 1_000.0 - began as f64 * 10.0)
    };
    age().unwrap_or(f64::INFINITY)
}

/// Whether a thread ran within so many milliseconds. The scheduler's clock may lie apart from that
/// of the machine's age, so two of its times are compared: the thread's last, and this one's.
/// Where they are not told, it may have.
fn ran_within(host: &Host, folder: &str, age: f64) -> bool {
    let last = |folder: &str| {
        let text = host.field(&format!("{folder}/sched"), "se.exec_start").ok()?;
        text.rsplit(':').next()?.trim().parse::<f64>().ok()
    };
    match (last("proc/self"), last(folder)) {
        (Some(now), Some(then)) => now - then <= age,
        _ => true,
    }
}

/// Threads of other processes, the kernel's apart, whose last core it was and that ran since the
/// hot thread began.
fn visitors(host: &Host, pid: u32, core: usize, age: f64) -> Vec<String> {
    let ours = std::process::id();
    let mut visitors = Vec::new();
    let processes = host.processes().unwrap_or_default();
    for process in processes.into_iter().filter(|it| ![pid, ours].contains(it)) {
        for task in host.tasks(process) {
            let folder = format!("proc/{process}/task/{task}");
            let Some(text) = host.optional(&format!("{folder}/stat")) else { continue };
            let parent = text.rsplit(')').next().and_then(|it| it.split_whitespace().nth(1));
            let stat = TaskStat::parse(&text).filter(|it| it.core == core);
            let stat = stat.filter(|_| parent != Some(KERNEL_PARENT));
            if let Some(stat) = stat.filter(|_| ran_within(host, &folder, age)) {
                visitors.push(format!("{} ({task})", stat.name));
            }
        }
    }
    visitors
}

#[cfg(test)]
const PINNED: (&str, &str) = (STATUS, "Cpus_allowed_list:\t3\n");

/// The hot thread is one second old.
#[cfg(test)]
const UPTIME: (&str, &str) = ("proc/uptime", "1.10 3.00\n");
#[cfg(test)]
const NOW: (&str, &str) = ("proc/self/sched", "hotspur (9)\nse.exec_start : 1700.0\n");
/// It began 100 ms after the machine.
#[cfg(test)]
const HOT: &str = "103 (hotspur-hot) S 1 2 3 4 5 6 70 8 9 10 1 2 3 4 20 0 1 0 10 6 7 8 9 10 11 12 \
                   13 14 15 16 17 18 19 20 17 3 0";
#[cfg(test)]
const MAKE: &str = "8 (make) S 1 2 3 4 5 6 7 8 9 10 1 2 3 4 20 0 1 0 5 6 7 8 9 10 11 12 13 14 15 \
                    16 17 18 19 20 17 3 0";

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[
            COMM,
            PINNED,
            CLIENT,
            (CLIENT_STATUS, "Cpus_allowed_list:\t0-2\n"),
            (
                "proc/30/task/30/stat",
                "30 (kworker/3:0) I 2 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 6 7 8 9 10 11 12 13 14 \
                 15 16 17 18 19 20 17 3 0",
            ),
        ],
        "pinned to core 3; of its process there may run none; of others there ran since it began \
         none",
    ),
    Case::unfit(
        &[COMM, PINNED, CLIENT, (CLIENT_STATUS, "Cpus_allowed_list:\t0-3\n")],
        "of its process there may run rdk:broker1 (105)",
    ),
    Case::unfit(
        &[
            COMM,
            PINNED,
            (STAT, HOT),
            ("proc/7/task/8/stat", MAKE),
            UPTIME,
            NOW,
            ("proc/7/task/8/sched", "make (8, #threads: 1)\nse.exec_start  :   1600.5\n"),
        ],
        "of others there ran since it began make (8)",
    ),
    Case::fit(
        &[
            COMM,
            PINNED,
            (STAT, HOT),
            ("proc/7/task/8/stat", MAKE),
            UPTIME,
            NOW,
            ("proc/7/task/8/sched", "make (8, #threads: 1)\nse.exec_start  :   600.5\n"),
        ],
        "of others there ran since it began none",
    ),
    Case::unfit(&[COMM, (STATUS, "Cpus_allowed_list:\t0-3\n")], "not pinned"),
    Case::fit(&[COMM, (STATUS, "Cpus_allowed_list:\t0-3\n")], "no fault for")
        .given(|_, wish| wish.level = Level::Shared),
    Case::unknown(&[COMM], "status cannot be read"),
    Case::unknown(&[], "no thread of process 100 is named hotspur-hot"),
];
