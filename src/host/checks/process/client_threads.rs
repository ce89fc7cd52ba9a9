//! Where librdkafka's threads may run: anywhere but on the hot core.

#[cfg(test)]
use super::recorded::{CLIENT, CLIENT_STATUS, COMM, STATUS};
use super::{Check, Finding, Host, Told, Wish, allowed, asked, name};
use crate::host::checks::Mend;
#[cfg(test)]
use crate::host::checks::{Level, cases::Case};

pub(in super::super) const CHECK: Check = Check {
    name: "client_threads",
    cost: "a client's thread on the hot core keeps it for 10-100 µs for each request and answer",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const PREFIX: &str = "rdk:";

fn run(host: &Host, wish: &Wish) -> Told {
    let (pid, folder) = asked(host, wish)?;
    let hot = allowed(host, &folder)?;
    let clients: Vec<u32> = host
        .tasks(pid)
        .into_iter()
        .filter(|task| name(host, pid, *task).is_some_and(|it| it.starts_with(PREFIX)))
        .collect();
    let places: Vec<_> = clients
        .iter()
        .filter_map(|task| allowed(host, &format!("proc/{pid}/task/{task}")).ok())
        .collect();
    if places.is_empty() {
        return Ok(Finding::unknown(format!("process {pid} has no threads named {PREFIX}…")));
    }
    let all = places.iter().fold(crate::host::CpuList::default(), |all, it| all.or(it));
    let beside = places.iter().filter(|it| !it.and(&hot).is_empty()).count();
    let found = format!(
        "threads of librdkafka: {}, on cores {all}, the hot thread on {hot}: {beside} may share \
         its core (/proc/{pid}/task/*/status)",
        places.len()
    );
    Ok(Finding::judge(beside > 0, wish.own(), found, || {
        Mend::setting("engine.housekeeping_cores without the hot core, and a restart:")
    }))
}

#[cfg(test)]
const PINNED: (&str, &str) = (STATUS, "Cpus_allowed_list:\t3\n");

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(
        &[COMM, PINNED, CLIENT, (CLIENT_STATUS, "Cpus_allowed_list:\t0-2\n")],
        "threads of librdkafka: 1, on cores 0-2, the hot thread on 3: 0 may share",
    ),
    Case::unfit(
        &[COMM, PINNED, CLIENT, (CLIENT_STATUS, "Cpus_allowed_list:\t0-3\n")],
        "1 may share its core",
    ),
    Case::fit(
        &[COMM, PINNED, CLIENT, (CLIENT_STATUS, "Cpus_allowed_list:\t0-3\n")],
        "no fault for",
    )
    .given(|_, wish| wish.level = Level::Relaxed),
    Case::unknown(&[COMM, PINNED], "no threads named rdk:"),
];
