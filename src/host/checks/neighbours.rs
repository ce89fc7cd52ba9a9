//! Who else runs on the core: threads that want it at this moment, and how busy it was a while.

use super::{
    Check, Finding, Host, Mend, Told, Wish,
    proc_files::{STAT, TaskStat},
};
#[cfg(test)]
use super::{Level, cases::Case};

pub(super) const CHECK: Check = Check {
    name: "neighbours",
    cost: "each turn of another thread keeps the hot thread waiting for 1-4 ms, the scheduler's \
           slice",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

/// The probe itself takes a little, and the system counts in steps of 10 ms.
const BUSY_PER_CENT_MAX: f64 = 10.0;
const NAMED_MAX: usize = 4;
/// The hot thread of another Hotspur is told by another check.
const HOT_THREAD: &str = "hotspur-hot";

fn run(host: &Host, wish: &Wish) -> Told {
    let core = wish.core()?;
    let running = running(host, core)?;
    let mut is_bad = !running.is_empty();
    let mut found = match running.len() {
        0 => format!("no other thread wants core {core} (/proc/*/task/*/stat)"),
        count => {
            let named: Vec<&str> = running.iter().take(NAMED_MAX).map(String::as_str).collect();
            format!("others that want core {core}: {count}, {}", named.join(", "))
        }
    };
    // A core with a hot thread is busy by itself.
    if wish.pid.is_none() && host.earlier.contains_key(STAT) {
        let time = host.core_time(core)?;
        let busy = time.per_cent(time.busy);
        found.push_str(&format!("; it was busy {busy:.0} % of the time (/{STAT})"));
        is_bad |= busy > BUSY_PER_CENT_MAX;
    }
    Ok(Finding::judge(is_bad, wish.own(), found, || {
        let others = host.others(core);
        Mend::new(
            format!(
                "taskset -acp {others} PID for each of them; for good keep the core free (see \
                 isolation), or systemctl set-property --runtime system.slice AllowedCPUs={others}"
            ),
            "no; without --runtime set-property lasts, and so does isolcpus=",
        )
    }))
}

/// Threads of other processes that run or wait on the core, by name and number.
fn running(host: &Host, core: usize) -> Result<Vec<String>, Finding> {
    let ours = std::process::id();
    let mut running = Vec::new();
    let mut seen = 0;
    for process in host.processes()?.into_iter().filter(|it| *it != ours) {
        for task in host.tasks(process) {
            let text = host.optional(&format!("proc/{process}/task/{task}/stat"));
            let Some(stat) = text.as_deref().and_then(TaskStat::parse) else { continue };
            seen += 1;
            if stat.state == 'R' && stat.core == core && stat.name != HOT_THREAD {
                running.push(format!("{} ({task})", stat.name));
            }
        }
    }
    match seen {
        0 => Err(Finding::unknown("no /proc/*/task/*/stat can be read")),
        _ => Ok(running),
    }
}

#[cfg(test)]
const SLEEPS: &str = "7 (a) S 1 2 3 4 5 6 7 8 9 10 1 2 3 4 20 0 1 0 5 6 7 8 9 10 11 12 13 14 15 16 \
                      17 18 19 20 17 3 0";
#[cfg(test)]
const RUNS: &str = "8 (make) R 1 2 3 4 5 6 7 8 9 10 1 2 3 4 20 0 1 0 5 6 7 8 9 10 11 12 13 14 15 \
                    16 17 18 19 20 17 3 0";
#[cfg(test)]
fn idle_before(host: &mut Host, _: &mut Wish) {
    host.earlier.insert(STAT.to_owned(), "cpu3 10 0 0 100 0 0 0 0 0 0".to_owned());
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[("proc/7/task/7/stat", SLEEPS), (STAT, "cpu3 11 0 0 199 0 0 0 0 0 0\n")],
        "no other thread wants core 3 (/proc/*/task/*/stat); it was busy 1 %",
    )
    .given(idle_before),
    Case::unfit(
        &[("proc/7/task/7/stat", SLEEPS), ("proc/8/task/8/stat", RUNS)],
        "others that want core 3: 1, make (8)",
    ),
    Case::unfit(
        &[("proc/7/task/7/stat", SLEEPS), (STAT, "cpu3 60 0 0 150 0 0 0 0 0 0\n")],
        "it was busy 50 %",
    )
    .given(idle_before),
    Case::fit(&[("proc/8/task/8/stat", RUNS)], "no fault for")
        .given(|_, wish| wish.level = Level::Shared),
    Case::unknown(&[("proc/8/task/8/stat", "8 (make")], "no /proc/*/task/*/stat can be read"),
];
