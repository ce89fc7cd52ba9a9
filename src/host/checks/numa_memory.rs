//! Memory near the core: on a machine of several nodes the other node's memory is farther away.

use crate::host::CpuList;

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "numa_memory",
    cost: "memory of another node takes 60-150 ns more each time it is not in the caches: a \
           look-up in a large table 0.2-0.5 µs more",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const NODES: &str = "sys/devices/system/node/online";
const STATUS: &str = "proc/self/status";

fn run(host: &Host, wish: &Wish) -> Told {
    let nodes = host.list(NODES)?;
    if nodes.len() < 2 {
        return Ok(Finding::fit(format!("all memory is of one node (/{NODES}: {nodes})")));
    }
    let core = wish.core()?;
    let node = nodes.iter().find(|node| cores(host, *node).contains(core)).ok_or_else(|| {
        Finding::unknown(format!("no /sys/devices/system/node/node*/cpulist names core {core}"))
    })?;
    let text = host.field(STATUS, "Mems_allowed_list:")?;
    let memory: CpuList = text.parse().map_err(|_| super::reading::odd(STATUS, &text))?;
    let away = wish.housekeeping.without(&cores(host, node));
    let near = wish.housekeeping.without(&away);
    let place = format!("core {core} is of node {node} of {nodes}");
    let (is_bad, found) = if !memory.contains(node) {
        (true, format!("{place}, and memory may come of {memory} alone (Mems_allowed_list)"))
    } else if near.is_empty() {
        (true, format!("{place}, but all other threads run on cores {away}, of another"))
    } else {
        (false, format!("{place}, from which memory may come; others run on {near} of it, too"))
    };
    Ok(Finding::judge(is_bad, wish.low(), found, || {
        Mend::new(
            format!(
                "numactl --cpunodebind={node} --membind={node} hotspur run, and \
                 engine.housekeeping_cores of node {node}: {}",
                cores(host, node)
            ),
            "yes, with the service: NUMAPolicy=bind, NUMAMask= and CPUAffinity= in its unit",
        )
    }))
}

/// Those of a node.
fn cores(host: &Host, node: usize) -> CpuList {
    host.list(&format!("sys/devices/system/node/node{node}/cpulist")).unwrap_or_default()
}

#[cfg(test)]
const TWO: (&str, &str) = (NODES, "0-1\n");
#[cfg(test)]
const EVEN: [(&str, &str); 2] = [
    ("sys/devices/system/node/node0/cpulist", "0,2\n"),
    ("sys/devices/system/node/node1/cpulist", "1,3\n"),
];

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(NODES, "0\n")], "all memory is of one node"),
    Case::fit(
        &[TWO, EVEN[0], EVEN[1], (STATUS, "Mems_allowed_list:\t0-1\n")],
        "core 3 is of node 1 of 0-1, from which memory may come; others run on 1",
    ),
    Case::unfit(
        &[TWO, EVEN[0], EVEN[1], (STATUS, "Mems_allowed_list:\t0\n")],
        "memory may come of 0 alone",
    ),
    Case::unfit(
        &[
            TWO,
            ("sys/devices/system/node/node1/cpulist", "3\n"),
            (STATUS, "Mems_allowed_list:\t0-1\n"),
        ],
        "all other threads run on cores 0-2, of another",
    ),
    Case::unknown(&[TWO], "node*/cpulist names core 3"),
    Case::unknown(&[], "node/online cannot be read"),
];
