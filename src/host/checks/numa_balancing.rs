//! The kernel moving memory after its threads, which it finds out by taking pages away.

use super::{Check, Finding, Host, Mend, Told, Wish};
#[cfg(test)]
use super::{Level, cases::Case};

pub(super) const CHECK: Check = Check {
    name: "numa_balancing",
    cost: "pages are unmapped to see who touches them: a fault of 1-5 µs each, 10-100 µs where one \
           is moved, in bursts of thousands",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const BALANCING: &str = "proc/sys/kernel/numa_balancing";
const NODES: &str = "sys/devices/system/node/online";

fn run(host: &Host, wish: &Wish) -> Told {
    let value: u32 = host.value(BALANCING)?;
    let nodes = host.list(NODES).map_or(1, |it| it.len());
    let found = format!("numa_balancing = {value} on a machine of {nodes} nodes (/{BALANCING})");
    Ok(Finding::judge(value != 0 && nodes > 1, wish.low(), found, || {
        Mend::sysctl("kernel.numa_balancing", 0)
    }))
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(BALANCING, "0\n")], "numa_balancing = 0"),
    Case::fit(&[(BALANCING, "1\n"), (NODES, "0\n")], "of 1 nodes"),
    Case::unfit(&[(BALANCING, "1\n"), (NODES, "0-1\n")], "numa_balancing = 1 on a machine of 2"),
    Case::fit(&[(BALANCING, "1\n"), (NODES, "0-1\n")], "no fault")
        .given(|_, wish| wish.level = Level::Relaxed),
    Case::unknown(&[], "numa_balancing cannot be read"),
];
