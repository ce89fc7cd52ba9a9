//! The kernel's own work that is bound to no core, writing back files among it: where it may run.

#[cfg(test)]
use super::cases::Case;
use super::{Check, Finding, Host, Mend, Told, Wish};

pub(super) const CHECK: Check = Check {
    name: "workqueues",
    cost: "a kernel thread that writes back files or sends blocks takes the core for 10 µs to 4 ms",
    informs: false,
    run,
    #[cfg(test)]
    cases: CASES,
};

const ALL: &str = "sys/devices/virtual/workqueue/cpumask";
const WRITEBACK: &str = "sys/bus/workqueue/devices/writeback/cpumask";

fn run(host: &Host, wish: &Wish) -> Told {
    let core = wish.core()?;
    let all = host.mask(ALL)?;
    // A kernel need not show the queue; the general mask bounds it then.
    let writeback = host.mask(WRITEBACK).ok();
    let on: Vec<&str> = [(ALL, Some(&all)), (WRITEBACK, writeback.as_ref())]
        .into_iter()
        .filter(|(_, mask)| mask.is_some_and(|it| it.contains(core)))
        .map(|(path, _)| path)
        .collect();
    // What the general mask leaves out, no queue's own mask brings back.
    let is_bad = all.contains(core);
    let found = match on.as_slice() {
        [] => format!("none on core {core} (/{ALL}: {all})"),
        _ if !is_bad => format!("none on core {core} (/{ALL}: {all}, which bounds /{WRITEBACK})"),
        on => format!("may run on core {core} (/{})", on.join(", /")),
    };
    Ok(Finding::judge(is_bad, wish.own(), found, || {
        let others = host.others(core);
        let mask = others.iter().filter(|it| *it < 64).fold(0_u64, |mask, it| mask | 1 << it);
        let value = match mask >> 32 {
            0 => format!("{mask:x}"),
            high => format!("{high:x},{:08x}", mask & 0xffff_ffff),
        };
        Mend::write(ALL, value)
    }))
}

#[cfg(test)]
const CASES: &[Case] = &[
    Case::fit(&[(ALL, "7\n")], "none on core 3 (/sys/devices/virtual/workqueue/cpumask: 0-2)"),
    Case::fit(&[(ALL, "7\n"), (WRITEBACK, "f\n")], "which bounds"),
    Case::unfit(&[(ALL, "f\n"), (WRITEBACK, "f\n")], "devices/writeback/cpumask"),
    Case::unknown(&[(ALL, "0-3\n")], "not as expected"),
    Case::unknown(&[], "workqueue/cpumask cannot be read"),
];
