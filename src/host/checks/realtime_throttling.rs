//! The part of each second that real-time threads may have: one that spins under `SCHED_FIFO` is
//! stopped for the rest.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "realtime_throttling",
    cost: "a real-time thread that spins is stopped for 50 ms each second; on kernels from 6.12 on \
           that were built without groups of real-time threads only while others wait for the core",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const RUNTIME: &str = "proc/sys/kernel/sched_rt_runtime_us";
const SERVERS: &str = "sys/kernel/debug/sched/fair_server";
const PERIOD: &str = "proc/sys/kernel/sched_rt_period_us";

fn run(host: &Host, wish: &Wish) -> Told {
    let runtime: i64 = host.value(RUNTIME)?;
    let period: i64 = host.value(PERIOD)?;
    let is_bounded = runtime >= 0 && runtime < period;
    let found = match is_bounded {
        true => format!("real-time threads have {runtime} of {period} µs (/{RUNTIME})"),
        false => format!("real-time threads are not bounded (/{RUNTIME} = {runtime})"),
    };
    if is_bounded && !(wish.fifo && wish.spins) {
        return Ok(Finding::fit(format!("{found}; no thread is to spin under SCHED_FIFO")));
    }
    Ok(Finding::judge(is_bounded, true, found, || mend(host, wish)))
}

fn mend(host: &Host, wish: &Wish) -> Mend {
    let mut mend = Mend::sysctl("kernel.sched_rt_runtime_us", -1);
    // Kernels from 6.12 on also keep a share of the core for ordinary threads that wait.
    if let Some(core) = wish.core.filter(|_| host.exists(SERVERS)) {
        mend.how.push_str(&format!("; echo 0 > /{SERVERS}/cpu{core}/runtime"));
    }
    mend
}

#[cfg(test)]
const BOUNDED: [(&str, &str); 2] = [(RUNTIME, "950000\n"), (PERIOD, "1000000\n")];

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&BOUNDED, "no thread is to spin under SCHED_FIFO"),
    Case::fit(&[(RUNTIME, "-1\n"), (PERIOD, "1000000\n")], "not bounded")
        .given(|_, wish| wish.fifo = true),
    Case::unfit(&BOUNDED, "950000 of 1000000 µs").given(|_, wish| wish.fifo = true),
    Case::unknown(&[(RUNTIME, "most\n")], "not as expected"),
    Case::unknown(&[], "sched_rt_runtime_us cannot be read"),
];
